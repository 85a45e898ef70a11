#!/usr/bin/env python3
"""Profiles as netplan writes them on Ubuntu, with a real NetworkManager: in /run, with its comments and its user data.

Ubuntu's NetworkManager hands its profiles over to netplan, which writes them back to /run/NetworkManager/system-connections:
profiles made with nmcli or the desktop have a UUID, those written in YAML have none. tests/unit/netplan has such files.
"""

import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import nm, openvpn, runner
from kstest.machine import VPN, Machine
from kstest.runner import check, test

DIRECTORY = "/run/NetworkManager/system-connections"
WITH_UUID = f"{DIRECTORY}/netplan-NM-6ba7b810-9dad-11d1-80b4-00c04fd430c8.nmconnection"
WITHOUT_UUID = f"{DIRECTORY}/netplan-my-vpn.nmconnection"


def _as_netplan_writes(text, settings, keep_uuid):
    """The keyfile TEXT with a comment before each key; a name with a dot is split at its last one."""
    lines = []
    for line in text.splitlines():
        if "=" in line and not (line.startswith("uuid=") and not keep_uuid):
            lines.append("#Netplan: passthrough setting")
        if keep_uuid or not line.startswith("uuid="):
            lines.append(line)
    lines += settings
    return "\n".join(lines) + "\n"


def _machine(killswitch, path, zone=None, user_data=None):
    """A machine whose VPN is in the file PATH, and up."""
    m = Machine(killswitch)
    text = openvpn.profile(m.keys, VPN, zone=zone)
    settings = [f"[user.nm-killswitch]\n#Netplan: passthrough setting\nmode={user_data}"] if user_data else []
    m.host.run("rm", f"{nm.PROFILES}/{VPN}.nmconnection")
    m.host.write(path, _as_netplan_writes(text, settings, path == WITH_UUID), 0o600)
    m.nm.nmcli("connection", "reload")
    shown = m.nm.nmcli("--terse", "--fields", "NAME,FILENAME", "connection").stdout
    check(re.search(rf"^{VPN}:{re.escape(path)}$", shown, re.MULTILINE), f"NetworkManager has read the file: {shown}")
    m.nm.stand_in_for_path_unit()
    return m


def _lose(m):
    """Connect, then lose the VPN under a flood."""
    m.up()
    m.check_tunnel_carries()
    mark = m.mark()
    with m.flood():
        m.kill()
        if m.killswitch:
            m.check_blocked()
        else:
            runner.wait_for(lambda: len(m.leaks(mark)) > 10, 10, "the flood leaks")
    return mark


def _is_protected(m):
    """Traffic is blocked before the VPN connects and when it is lost, but not when disarmed; its own file brings it up."""
    m.check_blocked()
    m.assert_no_leak(_lose(m))
    m.up()
    m.check_tunnel_carries()
    m.check_lan_works()


def _disarm(m, path, pattern):
    m.host.write(path, re.sub(pattern, "", m.host.read(path)), 0o600)
    m.nm.stand_in_for_path_unit()
    m.down()
    m.check_leaks()


@test
def without_killswitch_losing_a_netplan_vpn_leaks():
    _lose(_machine(False, WITH_UUID, zone="killswitch"))


@test
def a_netplan_profile_is_armed_by_its_zone():
    m = _machine(True, WITH_UUID, zone="killswitch")
    _is_protected(m)
    _disarm(m, WITH_UUID, "zone=killswitch\n")


@test
def a_netplan_profile_without_a_uuid_is_armed_by_its_zone():
    m = _machine(True, WITHOUT_UUID, zone="killswitch")
    _is_protected(m)
    check("up on tun0" in m.host.run("nm-killswitch", "status").stdout, "status knows it as up")
    _disarm(m, WITHOUT_UUID, "zone=killswitch\n")


@test
def a_netplan_profile_is_armed_by_its_user_data():
    m = _machine(True, WITH_UUID, user_data="strict")
    _is_protected(m)
    _disarm(m, WITH_UUID, "mode=strict\n")


if __name__ == "__main__":
    runner.main()
