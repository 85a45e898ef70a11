"""OpenVPN in a whole system: a VPN plugin, whose transport NetworkManager does not show us."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest.runner import check, main, test, wait_for
from kstest.vm_life import wait_same
from kstest.vm_openvpn import serve_openvpn, stop_openvpn
from kstest.vm_stages import Stages
from kstest.vm_vpn import (PUBLIC, arm, assert_blocked, assert_leak, assert_no_leak, assert_tunnel, assert_tunnel_unprotected,
                           disarm, down, is_active, package, ping, probe, up)

at = Stages("openvpn")


def _both_armed():
    """The one over UDP and the one over TCP armed and down."""
    package()
    at.machine.stage("both-armed", lambda: arm(at.armed_plugin(), at.vpns.tcp))
    return at.machine


def _without_kill_switch(vpn):
    machine = at.machine
    mark = machine.wire.mark()
    up(machine, vpn)
    assert_tunnel_unprotected(machine, "up")
    check(machine.wire.since(mark).transport, "no transport packet on the wire")
    down(machine, vpn)
    assert_leak(machine, "down")


def _with_kill_switch(vpn):
    machine = at.machine
    assert_blocked(machine, "armed")
    assert_no_leak(machine, "coming up", lambda: up(machine, vpn))
    assert_tunnel(machine, "up")
    assert_no_leak(machine, "up, bound to the uplink", lambda: probe(machine, device="eth0"))
    assert_no_leak(machine, "going down", lambda: down(machine, vpn))
    assert_blocked(machine, "down")


@test
def without_kill_switch_udp_works_and_down_leaks():
    at.clean()
    _without_kill_switch(at.vpns.plugin)


@test
def without_kill_switch_tcp_works_and_down_leaks():
    at.clean()
    _without_kill_switch(at.vpns.tcp)


@test
def armed_udp_works_and_nothing_leaks():
    _both_armed()
    _with_kill_switch(at.vpns.plugin)


@test
def armed_tcp_works_and_nothing_leaks():
    _both_armed()
    _with_kill_switch(at.vpns.tcp)


@test
def killing_the_client_blocks_and_it_comes_up_again():
    machine = at.armed_plugin_up()
    assert_no_leak(machine, "killed", lambda: (machine.run("pkill -9 -f 'openvpn .*--remote'"), probe(machine)))
    wait_for(lambda: not is_active(machine, at.vpns.plugin), 60, "NetworkManager notices")
    assert_blocked(machine, "killed")
    up(machine, at.vpns.plugin)
    assert_tunnel(machine, "up again")


@test
def a_provider_that_goes_away_and_comes_back_leaks_nothing():
    machine = at.armed_plugin_up()
    assert_no_leak(machine, "provider gone", lambda: (stop_openvpn(machine, at.vpns.plugin), probe(machine)))
    serve_openvpn(machine, at.vpns.plugin)
    wait_for(lambda: ping(machine, PUBLIC, timeout=1), 90, "the client reconnects by itself")
    assert_tunnel(machine, "reconnected")


@test
def restarting_networkmanager_blocks():
    machine = at.armed_plugin_up()
    assert_no_leak(machine, "restarting", lambda: (machine.run("systemctl restart NetworkManager"), probe(machine)))
    machine.wait_online()
    wait_for(lambda: not is_active(machine, at.vpns.plugin), 30, "the plugin's VPN is gone")
    assert_blocked(machine, "restarted")
    up(machine, at.vpns.plugin)
    assert_tunnel(machine, "up again")


@test
def disarming_restores_everything():
    machine = _both_armed()
    disarm(machine, at.vpns.plugin, all_of_them=False)
    assert_blocked(machine, "one is still armed")
    disarm(machine, at.vpns.tcp)
    wait_same(machine, at.vpns.before, "disarmed")
    assert_leak(machine, "disarmed")


if __name__ == "__main__":
    main(at.set_up)
