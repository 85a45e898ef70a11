"""The sheet of cases (kstest/sheet.py) for VPNs that are made of PPP: L2TP, with and without IPsec, PPTP, and SSTP."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import sheet
from kstest.runner import main
from kstest.sheet import Sheet
from kstest.vm_plugin import PluginStages
from kstest.vm_ppp import L2tp, L2tpIpsec, Pptp, Sstp

at = PluginStages("types_ppp", [L2tp, L2tpIpsec, Pptp, Sstp])

# They do not reconnect by themselves.
for each in (L2tp, Pptp, Sstp):
    Sheet(lambda each=each: each(at)).register(f"{each.name}_", [sheet.reconnecting_does_not_leak])
Sheet(lambda: L2tpIpsec(at)).register("l2tp_ipsec_", [sheet.reconnecting_does_not_leak, *sheet.CONTROLS_OF_LOSSES])

if __name__ == "__main__":
    main(at.set_up)
