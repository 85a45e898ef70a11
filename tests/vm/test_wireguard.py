"""WireGuard in a whole system: the sheet of cases (kstest/sheet.py), and what else the kernel's WireGuard and a whole system show.

NetworkManager brings it up, and the wire is watched from outside.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest.runner import main, test, wait_for
from kstest.sheet import Sheet, without_killswitch_the_end_of_the_server_leaks
from kstest.vm_life import wait_same
from kstest.vm_stages import Stages
from kstest.vm_vpn import (PUBLIC, arm, assert_blocked, assert_leak, assert_no_leak, assert_tunnel, assert_tunnel_unprotected,
                           disarm, down, install, package, ping, probe, purge, up)
from kstest.wireguard import WireGuard

at = Stages("wireguard")

# When the server ends, no tunnel goes down, so nothing leaks.
Sheet(lambda: WireGuard(at)).register(left_out=(without_killswitch_the_end_of_the_server_leaks,))


@test
def without_kill_switch_bound_sockets_are_seen_on_the_wire():
    machine, vpn = at.clean(), at.vpns.vpn
    up(machine, vpn)
    assert_leak(machine, "bound to the uplink", lambda: probe(machine, device="eth0"), kinds=(6, 17))


@test
def the_package_installs_and_changes_nothing_by_itself():
    package()
    machine = at.clean()
    install(machine, "apt-get install --yes")
    wait_same(machine, at.vpns.before, "installed, not armed")
    assert_leak(machine, "installed, not armed")


@test
def arming_while_up_keeps_the_tunnel():
    machine, vpn = at.installed(), at.vpns.vpn
    up(machine, vpn)
    arm(machine, vpn)
    assert_tunnel(machine, "armed while up")
    assert_no_leak(machine, "armed while up, bound to the uplink", lambda: probe(machine, device="eth0"))
    down(machine, vpn)
    assert_blocked(machine, "down")


@test
def killing_networkmanager_keeps_the_tunnel():
    """The device belongs to the kernel and stays."""
    machine = at.armed_up()
    assert_no_leak(machine, "killed", lambda: (machine.run("pkill -9 -x NetworkManager"), probe(machine)))
    machine.wait_online()
    wait_for(lambda: ping(machine, PUBLIC), 30, "the tunnel works again")
    assert_tunnel(machine, "back")


@test
def restarting_networkmanager_keeps_the_block():
    machine, vpn = at.armed(), at.vpns.vpn
    assert_no_leak(machine, "restarting", lambda: (machine.run("systemctl restart NetworkManager"), probe(machine)))
    machine.wait_online()
    assert_blocked(machine, "restarted")
    up(machine, vpn)
    assert_tunnel(machine, "up")


@test
def disarming_while_up_leaves_a_working_vpn():
    machine, vpn = at.armed_up(), at.vpns.vpn
    disarm(machine, vpn)
    assert_tunnel_unprotected(machine, "disarmed while up")
    down(machine, vpn)
    wait_same(machine, at.vpns.before, "disarmed, down")
    assert_leak(machine, "disarmed, down")


@test
def purging_while_down_leaves_nothing():
    machine = at.armed()
    purge(machine, "apt-get purge --yes")
    wait_same(machine, at.vpns.before, "purged")
    assert_leak(machine, "purged")


@test
def purging_while_up_leaves_a_working_vpn():
    machine, vpn = at.armed_up(), at.vpns.vpn
    purge(machine)
    assert_tunnel_unprotected(machine, "purged while up")
    down(machine, vpn)
    wait_same(machine, at.vpns.before, "purged, down")
    assert_leak(machine, "purged, down")


if __name__ == "__main__":
    main(at.set_up)
