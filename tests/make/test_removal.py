#!/usr/bin/env python3
"""What the Debian package's scripts do to the kernel when the package goes, in a network namespace of its own.

systemd and the command that tells a change root are stood in for; what they were told is looked at.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import netns
from kstest.runner import check, equal, main, test

SCRIPT = os.path.join(netns.ROOT, "packaging", "deb", "debian", "nm-killswitch.postrm")
SERVER, SERVER6 = "203.0.113.10", "2001:db8:113::10"

_STAND_INS = """
set -e
mount -t tmpfs tmpfs /run
mkdir -p /run/systemd/system /run/bin
printf '#!/bin/sh\\nexit 1\\n' >/run/bin/ischroot
printf '#!/bin/sh\\nfor argument; do printf "%%s\\\\n" "$argument"; done >>/run/told\\n' >/run/bin/systemd-run
chmod 755 /run/bin/*
ip link set lo up
ip link add eth0 type veth peer name router; ip link set eth0 up; ip link set router up
ip address add 192.168.50.2/24 dev eth0; ip address add fd50::2/64 dev eth0 nodad
ip tuntap add dev tun0 mode tun; ip link set tun0 up; ip address add 10.8.0.2/24 dev tun0
ip -6 address add fd08::2/64 dev tun0 nodad
ip route add default via 192.168.50.1 dev eth0 metric 100
ip -6 route add default via fd50::1 dev eth0 metric 100
"""


def _host(*routes):
    """A namespace with an uplink eth0, a VPN's device tun0, the stand-ins, and these further ROUTES."""
    host = netns.Namespace("host", netns.make_directory())
    host.run("sh", "-c", _STAND_INS)
    for route in routes:
        host.run("ip", *route.split())
    return host


def _remove(host):
    """Run the script; returns what systemd was told, one list for each unit."""
    host.run("sh", SCRIPT, "remove", env={**netns.ENVIRONMENT, "PATH": f"/run/bin:{netns.ENVIRONMENT['PATH']}"})
    told = host.read("/run/told").splitlines()
    starts = [i for i, word in enumerate(told) if word == "--quiet"] + [len(told)]
    return [told[start:end] for start, end in zip(starts, starts[1:])]


def _units(host):
    """[(device that the unit is bound to, what it runs in the end)]."""
    return [(next(word for word in words if word.startswith("--property=BindsTo=")).rpartition("-")[2].removesuffix(".device"),
             next(word for word in words if word.startswith("--property=ExecStop=")).partition("/")[2].partition(" ")[2])
            for words in _remove(host)]


OURS = (f"-4 route add {SERVER} via 192.168.50.1 dev eth0 proto 83 metric 1",)
OURS6 = (f"-6 route add {SERVER6} via fd50::1 dev eth0 proto 83 metric 1",)
STOP = f"-4 route delete {SERVER} table main protocol 83"


@test
def the_host_route_goes_with_the_device_of_a_vpn_that_has_the_default_route():
    equal(_units(_host("-4 route add default dev tun0 metric 50", *OURS)), [("tun0", STOP)], "units")


@test
def the_host_route_goes_with_the_device_of_a_vpn_that_splits_the_default_route():
    equal(_units(_host("-4 route add 0.0.0.0/1 dev tun0", "-4 route add 128.0.0.0/1 dev tun0", *OURS)), [("tun0", STOP)], "units")


@test
def the_host_route_goes_with_the_device_of_a_vpn_without_a_default_route():
    # the uplink's default route is the only one
    equal(_units(_host("-4 route add 203.0.113.0/24 dev tun0 metric 50", *OURS)), [("tun0", STOP)], "units")


@test
def a_mistaken_route_to_the_server_on_the_uplink_does_not_hide_the_vpn():
    equal(_units(_host("-4 route add default dev tun0 metric 50", f"-4 route add {SERVER} dev eth0 proto static metric 50", *OURS)),
          [("tun0", STOP)], "units")


@test
def each_host_route_goes_by_itself_with_its_own_device():
    host = _host("-4 route add default dev tun0 metric 50", "-6 route add default dev tun0 metric 50", *OURS, *OURS6,
                 "tuntap add dev tun1 mode tun", "link set tun1 up",
                 "-4 route add 198.51.100.0/24 dev tun1", "-4 route add 198.51.100.7 via 192.168.50.1 dev eth0 proto 83 metric 1")
    equal(sorted(_units(host)), sorted([("tun0", STOP), ("tun1", "-4 route delete 198.51.100.7 table main protocol 83"),
                                        ("tun0", f"-6 route delete {SERVER6} table main protocol 83")]), "units")
    names = [word for words in _remove(host) for word in words if word.startswith("--unit=")]
    equal(len(set(names)), 3, f"different names in {names}")


@test
def what_a_unit_runs_removes_only_its_own_route():
    host = _host("-4 route add default dev tun0 metric 50", *OURS, f"-4 route add {SERVER} via 192.168.50.1 dev eth0 metric 7")
    before = host.run("ip", "-4", "route").stdout.splitlines()
    (_, command), = _units(host)
    equal(host.run("ip", "-4", "route").stdout.splitlines(), before, "routes before the VPN ends")
    host.run("ip", *command.split())
    after = host.run("ip", "-4", "route").stdout.splitlines()
    equal([line for line in before if line not in after], [line for line in before if "proto 83" in line or "killswitch" in line],
          "the route that went")


@test
def without_a_vpns_device_the_host_route_is_left_to_the_uplink():
    host = _host(*OURS)
    equal(_units(host), [], "units")
    check(SERVER in host.run("ip", "-4", "route").stdout, "the route is gone")
    host.run("ip", "link", "delete", "eth0")
    check(SERVER not in host.run("ip", "-4", "route").stdout, "the route is still there")


if __name__ == "__main__":
    main()
