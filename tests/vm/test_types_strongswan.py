"""The sheet of cases (kstest/sheet.py) for strongSwan's IKEv2, with and without NAT between client and server."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import sheet
from kstest.runner import main, test
from kstest.sheet import Sheet
from kstest.vm_plugin import RELEASE, PluginStages
from kstest.vm_strongswan import StrongSwan, StrongSwanBehindNat

at = PluginStages("types_strongswan", [StrongSwan])

direct = Sheet(lambda: StrongSwan(at))
# On Debian 12 the end of charon-nm does not leak: see below. On Debian 13 its device goes with it.
direct.register(left_out=[sheet.without_killswitch_killing_leaks] if RELEASE == "bookworm" else [])

if RELEASE == "bookworm":
    @test
    def without_killswitch_killing_leaves_the_kernel_encrypting():
        subject = StrongSwan(at)
        subject.up()
        subject.kill()
        subject.check_tunnel_carries()


behind_nat = Sheet(lambda: StrongSwanBehindNat(at))
# How a tunnel is lost behind a NAT is tried with one of the releases.
LOSSES = (sheet.killing_does_not_leak, sheet.disconnecting_does_not_leak, sheet.the_end_of_the_server_does_not_leak)
behind_nat.register("behind_nat_", sheet.CONTROLS_OF_LOSSES + (() if RELEASE == "bookworm" else LOSSES))

if __name__ == "__main__":
    main(at.set_up)
