"""WireGuard in a whole system: NetworkManager brings it up, the wire is watched from outside.

The first tests run without the kill switch. They are the positive control: what
the later ones want not to see is there when nothing prevents it.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest.runner import Skip, check, equal, main, test, wait_for
from kstest.vm import Machine
from kstest.vm_vpn import (PUBLIC, PUBLIC6, arm, assert_blocked, assert_leak, assert_no_leak, assert_same,
                           assert_tunnel, down, install, make_wireguard, package, ping, probe, purge, rules_of_ours,
                           snapshot, up)
from kstest.vm_router import LAN_GATEWAY

RELEASE = os.environ.get("KS_VM_RELEASE", "bookworm")


class _State:
    """What one test leaves for the next: a boot is too slow to have one each."""

    machine = vpn = second = before = None


def set_up():
    _State.machine = Machine(f"wireguard-{RELEASE}", RELEASE)
    _State.machine.start()
    _State.machine.wait_booted()
    _State.vpn = make_wireguard(_State.machine)


def _armed():
    """The machine and its VPN, with the package installed and the profile armed."""
    package()
    check(_State.before is not None, "the package could not be installed or armed")
    return _State.machine, _State.vpn


@test
def without_kill_switch_probes_are_seen_on_the_wire():
    assert_leak(_State.machine, "no VPN")
    check(ping(_State.machine, PUBLIC) and ping(_State.machine, PUBLIC6), "the internet does not answer")


@test
def without_kill_switch_bound_sockets_are_seen_on_the_wire():
    assert_leak(_State.machine, "bound", lambda: probe(_State.machine, device="eth0"))


@test
def without_kill_switch_the_tunnel_carries_traffic():
    machine, vpn = _State.machine, _State.vpn
    mark = machine.wire.mark()
    up(machine, vpn)
    assert_tunnel(machine, "VPN up")
    check(machine.wire.since(mark).transport, "no transport packet on the wire")
    machine.server(f"wg show {vpn.server_device} transfer | grep -v '\\s0\\s'")


@test
def without_kill_switch_a_vpn_that_goes_down_leaks():
    down(_State.machine, _State.vpn)
    assert_leak(_State.machine, "VPN down")


@test
def without_kill_switch_a_fixed_listen_port_works():
    machine = _State.machine
    second = make_wireguard(machine, "fixed-port", 1, listen_port=40001)
    mark = machine.wire.mark()
    up(machine, second)
    assert_tunnel(machine, "fixed port")
    check(all(packet.sport == 40001 for packet in machine.wire.since(mark).transport), "another source port")
    down(machine, second)


# From here on with the package

@test
def the_package_installs_and_changes_nothing_by_itself():
    package()
    machine = _State.machine
    before = snapshot(machine)
    install(machine)
    assert_same(before, snapshot(machine), "installed, not armed")
    assert_leak(machine, "installed, not armed")
    _State.before = before


@test
def arming_while_down_blocks_at_once():
    machine, vpn = _armed()
    arm(machine, vpn)
    assert_blocked(machine, "armed, never up")


@test
def an_armed_vpn_comes_up_and_nothing_leaks():
    machine, vpn = _armed()
    assert_no_leak(machine, "coming up", lambda: up(machine, vpn))
    assert_tunnel(machine, "armed, up")
    assert_no_leak(machine, "bound to the uplink", lambda: probe(machine, device="eth0"))
    check(ping(machine, LAN_GATEWAY), "the LAN does not answer")


@test
def going_down_blocks():
    machine, vpn = _armed()
    assert_no_leak(machine, "going down", lambda: down(machine, vpn))
    assert_blocked(machine, "down")
    assert_no_leak(machine, "bound to the uplink", lambda: probe(machine, device="eth0"))


@test
def it_comes_up_again_while_blocked():
    machine, vpn = _armed()
    up(machine, vpn)
    assert_tunnel(machine, "up again")


@test
def deleting_the_device_blocks():
    machine, vpn = _armed()
    assert_no_leak(machine, "device deleted", lambda: machine.run(["ip", "link", "delete", vpn.device]))
    assert_blocked(machine, "device deleted")
    up(machine, vpn)


@test
def restarting_networkmanager_keeps_the_tunnel_and_the_block():
    machine, vpn = _armed()
    assert_no_leak(machine, "restarting", lambda: (machine.run("systemctl restart NetworkManager"), probe(machine)))
    machine.wait_online()
    wait_for(lambda: ping(machine, PUBLIC), 30, "the tunnel works again")
    assert_tunnel(machine, "restarted, up")
    down(machine, vpn)
    assert_no_leak(machine, "restarting", lambda: (machine.run("systemctl restart NetworkManager"), probe(machine)))
    machine.wait_online()
    assert_blocked(machine, "restarted, down")


@test
def a_second_armed_profile_works():
    machine, vpn = _armed()
    second = _State.second = make_wireguard(machine, "second-vpn", 2)
    arm(machine, second)
    up(machine, second)
    assert_tunnel(machine, "second up, first down")
    up(machine, vpn)
    assert_tunnel(machine, "both up")
    down(machine, vpn)
    assert_tunnel(machine, "first down again")
    down(machine, second)
    assert_blocked(machine, "both down")


@test
def a_reboot_keeps_it_armed():
    machine, vpn = _armed()
    machine.run("systemctl enable ks-prober")
    mark = machine.wire.mark()
    machine.reboot()
    machine.run("systemctl disable --now ks-prober")
    leaks = machine.wire.since(mark).leak
    check(not leaks, f"rebooting: {len(leaks)} leaked, such as {leaks[:3]}")
    assert_blocked(machine, "rebooted")
    make_wireguard(machine)     # the provider was in this machine's memory
    arm(machine, vpn)
    up(machine, vpn)
    assert_tunnel(machine, "rebooted, up")
    down(machine, vpn)


@test
def disarming_restores_everything():
    machine, vpn = _armed()
    for each in filter(None, (_State.second, vpn)):
        machine.run(["nmcli", "connection", "modify", each.name, "connection.zone", ""])
    wait_for(lambda: not rules_of_ours(machine), 30, "the rules are gone", 0.3)
    assert_same(_State.before, snapshot(machine), "disarmed")
    assert_leak(machine, "disarmed")


@test
def purging_leaves_nothing():
    machine, vpn = _armed()
    arm(machine, vpn)
    assert_blocked(machine, "armed again")
    purge(machine)
    equal(rules_of_ours(machine), [], "rules left by purge")
    assert_same(_State.before, snapshot(machine), "purged")
    assert_leak(machine, "purged")


if __name__ == "__main__":
    main(set_up)
