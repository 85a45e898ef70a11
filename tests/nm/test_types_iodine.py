#!/usr/bin/env python3
"""The sheet of cases (kstest/sheet.py) for iodine with a name server of its own, and with the network's resolver."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import runner, sheet
from kstest.iodine import Iodine
from kstest.runner import test
from kstest.sheet import Sheet

Sheet(lambda: Iodine(False)).register(left_out=[sheet.reconnecting_does_not_leak])


@test
def the_networks_resolver_carries_it_while_blocked():
    m = Iodine(False, resolver=True)
    m.install()
    m.arm()
    mark = m.mark()
    with m.flood():
        m.up()
        m.check_tunnel_carries()
        m.kill()
        m.check_blocked()
    m.assert_no_leak(mark)


if __name__ == "__main__":
    runner.main()
