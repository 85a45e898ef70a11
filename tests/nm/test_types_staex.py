#!/usr/bin/env python3
"""The sheet of cases (kstest/sheet.py) for a plain tunnel program, by a [vpn NAME] section."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import runner
from kstest.sheet import Sheet
from kstest.staex import Staex

Sheet(lambda: Staex(False)).register()

if __name__ == "__main__":
    runner.main()
