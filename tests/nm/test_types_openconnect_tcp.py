#!/usr/bin/env python3
"""The sheet of cases (kstest/sheet.py) for OpenConnect without UDP."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import runner, sheet
from kstest.openconnect import OpenConnect
from kstest.sheet import Sheet

Sheet(lambda: OpenConnect(False, dtls=False)).register("", sheet.CONTROLS_OF_LOSSES)

if __name__ == "__main__":
    runner.main()
