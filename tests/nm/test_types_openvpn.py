#!/usr/bin/env python3
"""The sheet of cases (kstest/sheet.py) for OpenVPN over UDP."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import runner
from kstest.machine import Machine
from kstest.sheet import Sheet

Sheet(lambda: Machine(False)).register()

if __name__ == "__main__":
    runner.main()
