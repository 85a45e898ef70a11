#!/usr/bin/env python3
"""The sheet of cases (kstest/sheet.py) for OpenConnect over DTLS, and its login while blocked."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import runner
from kstest.openconnect import OpenConnect
from kstest.probes import NOBODY
from kstest.runner import check, test
from kstest.sheet import Sheet

dtls = Sheet(lambda: OpenConnect(False, dtls=True))
dtls.register()


@test
def a_login_works_while_blocked_as_root_and_as_nobody_else():
    m = dtls.subject()
    m.install()
    m.disarm()
    check(m.log_in(NOBODY).returncode == 0, "without the kill switch everybody can log in")
    m.arm()
    mark = m.mark()
    check(m.log_in(NOBODY, check=False).returncode, "an ordinary user's login must be blocked")
    check(m.log_in().returncode == 0, "root's login must work")
    m.assert_no_leak(mark)
    m.disarm()


@test
def nmcli_asks_root_for_the_password_and_connects_while_blocked():
    m = dtls.subject()
    m.install()
    m.down()
    m.arm()
    mark = m.mark()
    seen = m.ask()
    check("successfully activated" in seen, seen)
    m.check_tunnel_carries()
    m.assert_no_leak(mark)
    m.disconnect()
    m.disarm()


if __name__ == "__main__":
    runner.main()
