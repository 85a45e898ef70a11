#!/usr/bin/env python3
"""A million packets a case while everything changes: how many of them got out? OpenVPN, in namespaces."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import attack_record, wire
from kstest.attack_flood import Counter, Flood
from kstest.attack_machine import UP, columns
from kstest.attack_record import ARTICLE, PRODUCT, Tally, attack
from kstest.machine import VPN
from kstest.netns import TARGET, TARGET6
from kstest.probes import NOBODY
from kstest.runner import TookTooLong, check, wait_for

PACKETS = 1_000_000
RATE = 12_000       # a second, of both users and both families together
LIMIT = 180         # seconds, whatever the machine does meanwhile
COLUMNS = columns(lans=2)


def loaded(m, turn, turns, packets=PACKETS):
    """TURN(m, number) at least TURNS times and until PACKETS were offered; how many were seen at the router.

    In the other columns a part of it is enough to see what they do.
    """
    m.bring(UP)
    for each in m.wires:
        each.close()
    counter = Counter(m.lab, m.wires[0].transports)
    try:
        before = counter.read()
        start = time.monotonic()
        number = 0
        with Flood(m.host, (TARGET, TARGET6), NOBODY, RATE * 3 // 4) as one, \
                Flood(m.host, (TARGET, TARGET6), 0, RATE // 4) as two:
            while number < turns or one.offered() + two.offered() < packets:
                if time.monotonic() - start > LIMIT:
                    leaked = counter.read()["leak"] - before["leak"]
                    check(m.column != PRODUCT or not leaked, f"{leaked} packets leaked: {'; '.join(counter.examples())}")
                    raise TookTooLong(f"{number} turns, {one.offered() + two.offered()} packets in {LIMIT} s")
                if number < turns:
                    turn(m, number)
                    number += 1
                else:
                    time.sleep(0.2)
            time.sleep(0.3)
        after = counter.read()
        counted = {name: after[name] - before[name] for name in after}
        offered = one.result["offered"] + two.result["offered"]
        print(f"        {m.column}: {number} turns in {time.monotonic() - start:.0f} s; {one.result}, {two.result}; "
              f"at the router {counted}", flush=True)
        check(m.column != PRODUCT or counted["transport"] > offered // 20, f"the tunnel carried some of it: {counted}")
        return Tally(sent=offered, leaked=counted["leak"], packets=counted["leak"], examples=counter.examples())
    finally:
        counter.close()
        m.wires = [wire.Wire(m.lab.router, lan.port, lan.prefixes, each.transports)
                   for lan, each in zip(m.lab.lans, m.wires)]


def turns(m, number):
    """How often, and how many packets: less where nothing is asserted but that it leaks."""
    return (number, PACKETS) if m.column == PRODUCT else (max(3, number // 20), PACKETS // 20)


def cycle(m, _number):
    """Down and up, as the user asks for it, every fifth time by a crash of openvpn."""
    if _number % 5 == 4:
        m.host.kill_all("openvpn")
        m.nm.wait_state(VPN, "")
    else:
        m.nm.nmcli("connection", "down", VPN, check=False)
    if m.column == ARTICLE:
        m.unprotect()
    m.nm.nmcli("--wait", "20", "connection", "up", VPN, check=m.column == PRODUCT, timeout=30)
    m.protect()


@attack(COLUMNS)
def row02_a_million_packets_through_100_cycles(m):
    """100 times VPN down and up, each fifth by a crash, under a flood of UDP and TCP, IPv4 and IPv6"""
    tally = loaded(m, cycle, *turns(m, 100))
    m.check_works()
    return tally


def flap(m, _number):
    """The carrier goes for less time than NetworkManager waits."""
    m.lab.lan.plug(False)
    time.sleep(0.15)
    m.lab.lan.plug(True)
    time.sleep(0.35)


def readdress(m, number):
    """A new address and gateway for the uplink; the router has both."""
    lan = m.lab.lan
    last = 3 + number % 20
    gateway = f"192.168.50.{250 + number % 3}"
    m.lab.router.run("ip", "address", "replace", f"{gateway}/24", "dev", lan.port)
    m.nm.nmcli("connection", "modify", lan.name, "ipv4.addresses", f"192.168.50.{last}/24", "ipv4.gateway", gateway,
               "ipv6.addresses", f"fd50::{last}/64")
    m.nm.nmcli("connection", "up", lan.name)


def second_uplink(m, number):
    """The second uplink becomes the better one, or goes."""
    second = m.lab.lans[1]
    if number % 2:
        m.nm.nmcli("connection", "down", second.name, check=False)
    else:
        m.nm.nmcli("connection", "modify", second.name, "ipv4.route-metric", "10", "ipv6.route-metric", "10")
        m.nm.up(second.name)


def reconnect(m):
    """As a user would after a change of network, until it works."""
    m.unprotect()
    wait_for(lambda: m.nm.state(VPN) == "activated"
             or m.nm.nmcli("--wait", "10", "connection", "up", VPN, check=False, timeout=20).returncode == 0,
             30, "the VPN comes up again")
    m.protect()


def change(m, number):
    (flap, readdress, second_uplink)[number % 3](m, number // 3)
    if number % 3:
        reconnect(m)


def restore(m):
    """The addresses and metrics as they were."""
    for lan in m.lab.lans:
        m.nm.nmcli("connection", "modify", lan.name, "ipv4.addresses", f"{lan.address}/24", "ipv4.gateway", lan.router,
                   "ipv6.addresses", f"{lan.address6}/64", "ipv4.route-metric", str(90 + 10 * lan.number),
                   "ipv6.route-metric", str(90 + 10 * lan.number))
        m.nm.up(lan.name)


@attack(COLUMNS)
def row02_a_million_packets_through_changes_of_the_network(m):
    """20 each of: carrier flaps, new address and gateway, a second uplink with lower metric coming and going"""
    tally = loaded(m, change, *turns(m, 60))
    restore(m)
    m.check_works()
    return tally


if __name__ == "__main__":
    attack_record.main("OpenVPN")
