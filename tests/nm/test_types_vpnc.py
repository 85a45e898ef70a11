#!/usr/bin/env python3
"""The sheet of cases (kstest/sheet.py) for vpnc, with ESP in UDP."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import runner, sheet
from kstest.sheet import Sheet
from kstest.vpnc import Vpnc

Sheet(lambda: Vpnc(False)).register(left_out=[sheet.reconnecting_does_not_leak])

if __name__ == "__main__":
    runner.main()
