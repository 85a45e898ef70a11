#!/usr/bin/env python3
"""OpenVPN through a real NetworkManager, beside the sheet (test_types_openvpn.py): its device deleted, the setting
changed while the VPN is up, session mode, and a server with a private address.
"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import netns, runner
from kstest.machine import VPN, Machine
from kstest.runner import check, test, wait_for

_machines = {}


def machine(killswitch):
    """The machine, with or without the kill switch, made at first use."""
    if killswitch not in _machines:
        _machines[killswitch] = Machine(killswitch)
    return _machines[killswitch]


def without(lose):
    """The control: LOSE the tunnel without the kill switch. It must be seen to leak."""
    m = machine(False)
    m.up()
    m.check_tunnel_carries()
    mark = m.mark()
    with m.flood():
        lose(m)
        wait_for(lambda: len(m.leaks(mark)) > 10, 10, "the flood leaks")
    m.check_leaks()


def armed():
    """A machine with the VPN up and the kill switch on, in mode strict."""
    m = machine(True)
    m.nm.modify(VPN, "connection.zone", "killswitch")
    m.up()
    m.check_tunnel_carries()
    return m


def losing(lose):
    """LOSE the tunnel with the kill switch on, under a flood, then reconnect, still under it."""
    m = armed()
    mark = m.mark()
    with m.flood() as flood:
        lose(m)
        time.sleep(1)
        m.check_blocked()
        m.up()
        m.check_tunnel_carries()
    check(flood.sent["udp"] > 100, f"the flood was one: {flood.sent}")
    m.assert_no_leak(mark)


@test
def without_killswitch_deleting_the_device_leaks():
    without(Machine.delete_device)


@test
def deleting_the_device_does_not_leak():
    losing(Machine.delete_device)


@test
def zone_emptied_while_up_keeps_the_vpn_and_stops_blocking():
    m = armed()
    m.nm.modify(VPN, "connection.zone", "")
    m.check_tunnel_carries()
    m.disconnect()
    m.check_leaks()


@test
def armed_while_up_blocks_when_the_tunnel_is_lost():
    m = machine(True)
    m.nm.modify(VPN, "connection.zone", "")
    m.up()
    m.nm.modify(VPN, "connection.zone", "killswitch")
    m.check_tunnel_carries()
    mark = m.mark()
    m.kill()
    m.check_blocked()
    m.assert_no_leak(mark)


@test
def session_mode_blocks_after_a_loss_and_releases_when_the_user_disconnects():
    m = machine(True)
    m.nm.modify(VPN, "connection.zone", "killswitch-auto")
    if m.nm.state(VPN):
        m.disconnect()
    m.wait_released()
    m.check_leaks()
    m.up()
    m.check_tunnel_carries()
    mark = m.mark()
    with m.flood():
        m.kill()
        m.check_blocked()
        m.nm.up(VPN)
        m.check_tunnel_carries()
    m.assert_no_leak(mark)
    m.disconnect()
    m.wait_released()
    m.check_leaks()
    m.nm.modify(VPN, "connection.zone", "")


@test
def without_killswitch_a_private_server_behind_the_router_is_reached():
    m = Machine(False, address=netns.PRIVATE_SERVER)
    m.up()
    m.check_tunnel_carries()
    m.disconnect()
    m.check_leaks()


@test
def a_private_server_behind_the_router_is_reached_while_blocked_and_after_disarming():
    # NetworkManager asks the kernel for the gateway to the server, is told "on link", and believes it of a private server
    m = Machine(True, address=netns.PRIVATE_SERVER)
    m.nm.modify(VPN, "connection.zone", "killswitch")
    m.check_blocked()
    m.up()
    m.check_tunnel_carries()
    m.nm.modify(VPN, "connection.zone", "")
    m.wait_released()
    m.check_tunnel_carries()
    m.nm.modify(VPN, "connection.zone", "killswitch")
    m.check_tunnel_carries()
    mark = m.mark()
    m.kill()
    m.check_blocked()
    m.up()
    m.check_tunnel_carries()
    m.assert_no_leak(mark)
    m.disconnect()
    m.nm.modify(VPN, "connection.zone", "")
    m.wait_down()
    wait_for(lambda: m.host.routing() == m.untouched, 20, "rules, routes and nftables are as before", error=AssertionError)


if __name__ == "__main__":
    runner.main()
