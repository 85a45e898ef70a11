"""OpenVPN in a whole system: a VPN plugin, whose transport NetworkManager does not show us."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest.runner import check, main, test, wait_for
from kstest.vm import Machine
from kstest.vm_openvpn import make_openvpn, serve_openvpn, stop_openvpn
from kstest.vm_vpn import (PUBLIC, arm, assert_blocked, assert_leak, assert_no_leak, assert_same, assert_tunnel,
                           assert_tunnel_unprotected, disarm, down, install, is_active, package, ping, probe, snapshot,
                           up)

RELEASE = os.environ.get("KS_VM_RELEASE", "bookworm")


class _Made:
    """What the stages have made, for the tests."""

    machine = udp = tcp = before = None


def set_up():
    _Made.machine = Machine(f"openvpn-{RELEASE}", RELEASE)
    _Made.machine.start()
    _Made.machine.wait_booted()


# The states in which tests begin; each is made once

def _clean():
    """No package, two profiles, both down."""
    def build():
        _Made.udp = make_openvpn(_Made.machine, "udp-vpn")
        _Made.tcp = make_openvpn(_Made.machine, "tcp-vpn", 1, tcp=True)
    _Made.machine.stage("clean", build)
    return _Made.machine


def _armed():
    """The package installed, both profiles armed and down."""
    def build():
        machine = _clean()
        _Made.before = snapshot(machine)
        install(machine)
        arm(machine, _Made.udp)
        arm(machine, _Made.tcp)
    package()
    _Made.machine.stage("armed", build)
    return _Made.machine


def _armed_up():
    """As before, and the one over UDP up."""
    def build():
        up(_armed(), _Made.udp)
    package()
    _Made.machine.stage("armed-up", build)
    return _Made.machine


def _without_kill_switch(vpn):
    machine = _Made.machine
    mark = machine.wire.mark()
    up(machine, vpn)
    assert_tunnel_unprotected(machine, "up")
    check(machine.wire.since(mark).transport, "no transport packet on the wire")
    down(machine, vpn)
    assert_leak(machine, "down")


def _with_kill_switch(vpn):
    machine = _Made.machine
    assert_blocked(machine, "armed")
    assert_no_leak(machine, "coming up", lambda: up(machine, vpn))
    assert_tunnel(machine, "up")
    assert_no_leak(machine, "up, bound to the uplink", lambda: probe(machine, device="eth0"))
    assert_no_leak(machine, "going down", lambda: down(machine, vpn))
    assert_blocked(machine, "down")


@test
def without_kill_switch_udp_works_and_down_leaks():
    _clean()
    _without_kill_switch(_Made.udp)


@test
def without_kill_switch_tcp_works_and_down_leaks():
    _clean()
    _without_kill_switch(_Made.tcp)


@test
def armed_udp_works_and_nothing_leaks():
    _armed()
    _with_kill_switch(_Made.udp)


@test
def armed_tcp_works_and_nothing_leaks():
    _armed()
    _with_kill_switch(_Made.tcp)


@test
def killing_the_client_blocks_and_it_comes_up_again():
    machine = _armed_up()
    assert_no_leak(machine, "killed", lambda: (machine.run("pkill -9 -f 'openvpn .*--remote'"), probe(machine)))
    wait_for(lambda: not is_active(machine, _Made.udp), 60, "NetworkManager notices")
    assert_blocked(machine, "killed")
    up(machine, _Made.udp)
    assert_tunnel(machine, "up again")


@test
def a_provider_that_goes_away_and_comes_back_leaks_nothing():
    machine = _armed_up()
    assert_no_leak(machine, "provider gone", lambda: (stop_openvpn(machine, _Made.udp), probe(machine)))
    serve_openvpn(machine, _Made.udp)
    wait_for(lambda: ping(machine, PUBLIC, timeout=1), 90, "the client reconnects by itself")
    assert_tunnel(machine, "reconnected")


@test
def restarting_networkmanager_blocks():
    machine = _armed_up()
    assert_no_leak(machine, "restarting", lambda: (machine.run("systemctl restart NetworkManager"), probe(machine)))
    machine.wait_online()
    wait_for(lambda: not is_active(machine, _Made.udp), 30, "the plugin's VPN is gone")
    assert_blocked(machine, "restarted")
    up(machine, _Made.udp)
    assert_tunnel(machine, "up again")


@test
def disarming_restores_everything():
    machine = _armed()
    disarm(machine, _Made.udp, all_of_them=False)
    assert_blocked(machine, "one is still armed")
    disarm(machine, _Made.tcp)
    assert_same(_Made.before, snapshot(machine), "disarmed")
    assert_leak(machine, "disarmed")


if __name__ == "__main__":
    main(set_up)
