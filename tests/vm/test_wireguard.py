"""WireGuard in a whole system: NetworkManager brings it up, the wire is watched from outside.

The first tests run without the kill switch. They are the positive control: what
the later ones want not to see is there when nothing prevents it.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest.runner import check, main, test, wait_for
from kstest.vm_router import LAN_GATEWAY
from kstest.vm_stages import Stages
from kstest.vm_vpn import (PUBLIC, PUBLIC6, arm, assert_blocked, assert_leak, assert_no_leak, assert_same,
                           assert_tunnel, assert_tunnel_unprotected, disarm, down, install, package, ping, probe,
                           purge, snapshot, up)

at = Stages("wireguard")


@test
def without_kill_switch_probes_are_seen_on_the_wire():
    machine = at.clean()
    assert_leak(machine, "no VPN")
    check(ping(machine, PUBLIC) and ping(machine, PUBLIC6), "the internet does not answer")


@test
def without_kill_switch_bound_sockets_are_seen_on_the_wire():
    machine, vpn = at.clean(), at.vpns.vpn
    up(machine, vpn)
    assert_leak(machine, "bound to the uplink", lambda: probe(machine, device="eth0"), kinds=(6, 17))


@test
def without_kill_switch_the_tunnel_carries_traffic_and_going_down_leaks():
    machine, vpn = at.clean(), at.vpns.vpn
    mark = machine.wire.mark()
    up(machine, vpn)
    assert_tunnel_unprotected(machine, "VPN up")
    check(machine.wire.since(mark).transport, "no transport packet on the wire")
    machine.server(f"wg show {vpn.server_device} transfer | grep -v '\\s0\\s'")
    down(machine, vpn)
    assert_leak(machine, "VPN down")


@test
def without_kill_switch_a_fixed_listen_port_works():
    machine = at.clean()
    mark = machine.wire.mark()
    up(machine, at.vpns.second)
    assert_tunnel_unprotected(machine, "fixed port")
    check(all(packet.sport == 40001 for packet in machine.wire.since(mark).transport), "another source port")


@test
def the_package_installs_and_changes_nothing_by_itself():
    package()
    machine = at.clean()
    install(machine, "apt-get install --yes")
    assert_same(at.vpns.before, snapshot(machine), "installed, not armed")
    assert_leak(machine, "installed, not armed")


@test
def arming_while_down_blocks_at_once():
    machine = at.armed()
    assert_blocked(machine, "armed, never up")
    assert_no_leak(machine, "armed, bound to the uplink", lambda: probe(machine, device="eth0"))


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
def an_armed_vpn_comes_up_and_nothing_leaks():
    machine, vpn = at.armed(), at.vpns.vpn
    assert_no_leak(machine, "coming up", lambda: up(machine, vpn))
    assert_tunnel(machine, "up")
    assert_no_leak(machine, "up, bound to the uplink", lambda: probe(machine, device="eth0"))
    check(ping(machine, LAN_GATEWAY), "the LAN does not answer")


@test
def going_down_blocks_and_it_comes_up_again():
    machine, vpn = at.armed_up(), at.vpns.vpn
    assert_no_leak(machine, "going down", lambda: down(machine, vpn))
    assert_blocked(machine, "down")
    assert_no_leak(machine, "down, bound to the uplink", lambda: probe(machine, device="eth0"))
    up(machine, vpn)
    assert_tunnel(machine, "up again")


@test
def deleting_the_device_blocks_and_it_comes_up_again():
    machine, vpn = at.armed_up(), at.vpns.vpn
    assert_no_leak(machine, "device deleted", lambda: machine.run(["ip", "link", "delete", vpn.device]))
    assert_blocked(machine, "device deleted")
    up(machine, vpn)
    assert_tunnel(machine, "up again")


@test
def restarting_networkmanager_keeps_the_tunnel():
    machine = at.armed_up()
    assert_no_leak(machine, "restarting", lambda: (machine.run("systemctl restart NetworkManager"), probe(machine)))
    machine.wait_online()
    wait_for(lambda: ping(machine, PUBLIC), 30, "the tunnel works again")
    assert_tunnel(machine, "restarted")


@test
def restarting_networkmanager_keeps_the_block():
    machine, vpn = at.armed(), at.vpns.vpn
    assert_no_leak(machine, "restarting", lambda: (machine.run("systemctl restart NetworkManager"), probe(machine)))
    machine.wait_online()
    assert_blocked(machine, "restarted")
    up(machine, vpn)
    assert_tunnel(machine, "up")


@test
def a_second_armed_profile_takes_over():
    machine, vpn = at.armed_up(), at.vpns.vpn
    second = at.vpns.second
    arm(machine, second)
    assert_no_leak(machine, "second comes up", lambda: up(machine, second))
    assert_tunnel(machine, "both up")
    assert_no_leak(machine, "first goes down", lambda: down(machine, vpn))
    assert_tunnel(machine, "only the second up")
    assert_no_leak(machine, "second goes down", lambda: down(machine, second))
    assert_blocked(machine, "both down")
    disarm(machine, second, all_of_them=False)
    assert_blocked(machine, "the first is still armed")


@test
def disarming_while_down_restores_everything():
    machine, vpn = at.armed(), at.vpns.vpn
    disarm(machine, vpn)
    assert_same(at.vpns.before, snapshot(machine), "disarmed")
    assert_leak(machine, "disarmed")


@test
def disarming_while_up_leaves_a_working_vpn():
    machine, vpn = at.armed_up(), at.vpns.vpn
    disarm(machine, vpn)
    assert_tunnel_unprotected(machine, "disarmed while up")
    down(machine, vpn)
    assert_same(at.vpns.before, snapshot(machine), "disarmed, down")
    assert_leak(machine, "disarmed, down")


@test
def purging_while_down_leaves_nothing():
    machine = at.armed()
    purge(machine, "apt-get purge --yes")
    assert_same(at.vpns.before, snapshot(machine), "purged")
    assert_leak(machine, "purged")


@test
def purging_while_up_leaves_a_working_vpn():
    machine, vpn = at.armed_up(), at.vpns.vpn
    purge(machine)
    assert_tunnel_unprotected(machine, "purged while up")
    down(machine, vpn)
    assert_same(at.vpns.before, snapshot(machine), "purged, down")
    assert_leak(machine, "purged, down")


if __name__ == "__main__":
    main(at.set_up)
