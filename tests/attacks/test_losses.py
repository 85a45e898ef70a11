#!/usr/bin/env python3
"""The tunnel is lost, or NetworkManager is, under a flood of UDP and TCP of both families. OpenVPN, in namespaces."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import attack_record
from kstest.attack_machine import UP, AttackMachine, columns
from kstest.attack_record import PRODUCT, attack
from kstest.machine import VPN
from kstest.runner import wait_for

COLUMNS = columns()


def losing(m, lose):
    """LOSE the tunnel under a flood; with nm-killswitch come back under it, too."""
    m.bring(UP)

    def act(m):
        lose(m)
        time.sleep(0.5)
        if m.column == PRODUCT:
            m.check_blocked()
            m.up()
            m.wait_carries()

    tally = m.flooded(act)
    if m.nm.state(VPN):
        m.nm.nmcli("connection", "down", VPN, check=False)
    m.check_works()
    return tally


@attack(COLUMNS)
def row01_user_disconnects(m):
    """the user disconnects"""
    return losing(m, AttackMachine.disconnect)


@attack(COLUMNS)
def row01_device_deleted(m):
    """the tunnel's device is deleted"""
    return losing(m, AttackMachine.delete_device)


@attack(COLUMNS)
def row01_device_set_down(m):
    """the tunnel's device is set down"""
    return losing(m, lambda m: m.host.run("ip", "link", "set", "tun0", "down"))


@attack(COLUMNS)
def row01_vpn_process_killed(m):
    """openvpn is killed"""
    return losing(m, AttackMachine.kill)


@attack(COLUMNS)
def row01_server_gone(m):
    """the server crashes and comes back with other addresses"""
    return losing(m, AttackMachine.server_gone)


def gone_for_the_lan_only(m):
    m.nm.wait_state("lan1", "activated")
    wait_for(lambda: not m.host.has_device("tun0"), 10, "the tunnel's device is gone")


@attack(COLUMNS)
def row03_networkmanager_restarted(m):
    """NetworkManager is restarted"""
    def lose(m):
        m.nm.restart()
        gone_for_the_lan_only(m)
    return losing(m, lose)


@attack(COLUMNS)
def row03_networkmanager_killed(m):
    """NetworkManager is killed with SIGKILL and started a second later"""
    def lose(m):
        m.nm.kill()
        time.sleep(1)
        m.nm.start()
        gone_for_the_lan_only(m)
    return losing(m, lose)


@attack(COLUMNS)
def row03_networkmanager_stopped(m):
    """NetworkManager is stopped for three seconds"""
    def lose(m):
        m.nm.stop()
        wait_for(lambda: not m.host.has_device("tun0"), 10, "the tunnel's device is gone")
        time.sleep(3)
        m.nm.start()
        gone_for_the_lan_only(m)
    return losing(m, lose)


@attack(COLUMNS)
def row03_suspended_and_resumed(m):
    """NetworkManager's Sleep call, as at suspending and resuming, twice; then openvpn is killed, which NetworkManager has kept"""
    def lose(m):
        for _ in range(2):
            m.nm.sleep(True)
            time.sleep(1)
            m.nm.sleep(False)
            m.nm.wait_state("lan1", "activated")
        m.host.kill_all("openvpn")
        wait_for(lambda: not m.host.has_device("tun0"), 10, "the tunnel's device is gone")
    return losing(m, lose)


if __name__ == "__main__":
    attack_record.main("OpenVPN")
