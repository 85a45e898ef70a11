#!/usr/bin/env python3
"""Several VPNs at once, through a real NetworkManager: which one carries what, and does anything leave beside them?

    home     10.8.0.0/24, fd08::/64   carries everything
    away     10.9.0.0/24, fd09::/64   carries everything
    company  10.7.0.0/24              carries 10.99.0.0/16, and has a DNS server; never the default
    twin     as home, the same server

Each has its server in the internet, on an address of its own; the echo servers
say which tunnel a probe came through. A flood runs during every change.
"""

import contextlib
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import netns, nm, openvpn, probes, runner, wire
from kstest.machine import Machine
from kstest.probes import Probe
from kstest.runner import check, equal, test, wait_for
from kstest.subject import PROBES, Subject

HOME, AWAY, COMPANY, TWIN = "home", "away", "company", "twin"
VPNS = (HOME, AWAY, COMPANY, TWIN)
DEVICES = {HOME: "tunh", AWAY: "tuna", COMPANY: "tunc", TWIN: "tunt"}
ADDRESSES = {HOME: "203.0.113.10", AWAY: "203.0.113.11", COMPANY: "203.0.113.12", TWIN: "203.0.113.10"}
NETWORKS = {HOME: ("10.8.", "fd08::"), AWAY: ("10.9.", "fd09::"), COMPANY: ("10.7.", None), TWIN: ("10.8.", "fd08::")}
INSIDE_COMPANY = "10.99.0.1"
COMPANY_DNS = "10.7.0.1"
TRANSPORT = "nm-killswitch.transport"


class Several(Machine):
    """The machine of machine.py with several VPNs, all down and none armed."""

    def __init__(self, killswitch):  # pylint: disable=super-init-not-called
        stage = nm.stage() if killswitch else None
        self.lab = netns.Lab()
        self.lab.internet.ip(f"""
            address add {ADDRESSES[AWAY]}/24 dev eth0
            address add {ADDRESSES[COMPANY]}/24 dev eth0
            address add {INSIDE_COMPANY}/32 dev lo
        """)
        self.lab.serve()
        self.lab.internet.python("echo", "udp:7,53", "tcp:7,80", INSIDE_COMPANY)
        self.lab.lan.serve(dhcp=False)
        self.keys = openvpn.Keys(os.path.join(self.lab.directory, "keys"))
        options = {"keepalive": (1, 4), "options": ("--duplicate-cn",)}
        self.servers = {
            HOME: openvpn.Server(self.lab, self.keys, ipv6=True, push=["dhcp-option DNS 10.8.0.1"], **options),
            AWAY: openvpn.Server(self.lab, self.keys, port=1195, address=ADDRESSES[AWAY], tun="tun1",
                                 network="10.9.0.0", network6="fd09::/64", ipv6=True, **options),
            COMPANY: openvpn.Server(self.lab, self.keys, port=1196, address=ADDRESSES[COMPANY], tun="tun2",
                                    network="10.7.0.0", hosts=[("intranet.test", INSIDE_COMPANY)],
                                    push=["route 10.99.0.0 255.255.0.0", f"dhcp-option DNS {COMPANY_DNS}"], **options)}
        Subject.__init__(self, self.lab.host, [wire.Wire(self.lab.router, self.lab.lan.port, self.lab.lan.prefixes,
                                                         [server.transport for server in self.servers.values()])],
                         self.lab.lans)
        self.killswitch = killswitch
        self.nm = nm.NetworkManager(self.host)
        if killswitch:
            self.nm.install(stage)
        self.nm.add_lan(self.lab.lan, metric=100)
        for vpn in VPNS:
            self.set_profile(vpn)
        self.nm.stand_in_for_boot_unit()
        self.nm.start()
        self.nm.wait_state("lan1", "activated")
        self.untouched = self.host.routing()

    def set_profile(self, vpn, zone=None, transport=None):
        """(Re)write the profile: nmcli cannot set user data."""
        server = self.servers[HOME if vpn == TWIN else vpn]
        self.nm.add_profile(vpn, openvpn.profile(
            self.keys, vpn, remote=server.address, port=server.port, dev=DEVICES[vpn], zone=zone,
            user_data={TRANSPORT: transport} if transport else None, never_default=vpn == COMPANY))

    def arm(self, *vpns, zone="killswitch", **transports):
        """Arm these and no others; TRANSPORTS are user data settings."""
        for vpn in VPNS:
            self.set_profile(vpn, zone if vpn in vpns else None, transports.get(vpn))
        self.nm.nmcli("connection", "reload")
        self.nm.stand_in_for_path_unit()

    def reset(self):
        """Disconnect and disarm all; the host must be as it was."""
        for vpn in VPNS:
            if self.nm.state(vpn):
                self.nm.nmcli("connection", "down", vpn, check=False)
        wait_for(lambda: not self.host.processes("openvpn"), 10, "the last openvpn has ended")
        self.arm()
        wait_for(lambda: self.host.routing() == self.untouched, 30, "rules, routes and nftables are as before",
                 error=AssertionError)

    # What is up

    def up_all(self, *vpns):
        for vpn in vpns:
            # the previous openvpn may not have ended yet, and would make the next one fail by holding its device
            wait_for(lambda vpn=vpn: self.process(vpn) is None and not self.host.has_device(DEVICES[vpn]), 10,
                     f"nothing is left of {vpn}")
            self.nm.up(vpn)

    def process(self, vpn):
        for pid in self.host.processes("openvpn"):
            with open(f"/proc/{pid}/cmdline", encoding="utf-8") as file:
                if DEVICES[vpn] in file.read().split("\0"):
                    return pid
        return None

    def kill(self, vpn):
        os.kill(self.process(vpn), 9)
        self.nm.wait_state(vpn, "")

    def delete(self, vpn):
        self.host.run("ip", "link", "delete", DEVICES[vpn])

    def defaults(self):
        """Devices of table 83's default routes, the preferred one first."""
        routes = self.host.ip_json("-4", "route", "show", "table", "83")
        return [route["dev"] for route in sorted(routes, key=lambda each: each.get("metric", 0))
                if route["dst"] == "default" and "dev" in route and route.get("type", "unicast") == "unicast"]

    def wait_defaults(self, *vpns):
        """Wait until these VPNs have table 83's default routes, in this order: the last event of a connection may come late."""
        expected = [DEVICES[vpn] for vpn in vpns]
        with contextlib.suppress(runner.TookTooLong):
            wait_for(lambda: self.defaults() == expected, 20, "the default routes")
        equal(self.defaults(), expected, "default routes, the preferred one first")

    def server_devices(self, vpn):
        """Devices of table 86's routes to the server."""
        return {route["dev"] for route in self.host.ip_json("-4", "route", "show", "table", "86")
                if route["dst"] == ADDRESSES[vpn] and route.get("type", "unicast") == "unicast"}

    # What must hold

    def check_carried_by(self, vpn):
        """Every probe is answered through the tunnel of VPN, and nothing leaks."""
        mark = self.mark()
        for uid in (probes.NOBODY, 0):
            for result in probes.expect(self.host, PROBES, uid, self.patience):
                check(result.answered, f"{vpn} must carry: {result}")
                check(result.seen_as is None or result.seen_as.startswith(NETWORKS[vpn]), f"not by {vpn}: {result}")
        self.assert_no_leak(mark)

    def check_company(self):
        """The company's routes and its DNS server work."""
        wanted = [Probe(kind, INSIDE_COMPANY, 7) for kind in ("udp", "tcp", "icmp")]
        for result in probes.expect(self.host, wanted):
            check(result.answered, f"the company's route must work: {result}")
            check(result.seen_as is None or result.seen_as.startswith("10.7."), f"not by the company's: {result}")
        answer = self.host.run(*netns.python_module("several_dns", COMPANY_DNS, "intranet.test")).stdout
        equal(answer.strip(), INSIDE_COMPANY, "the company's DNS server")

    def sent_beside(self, vpn, mark):
        """How many packets for the server of VPN were on the wire."""
        return sum(record.packet.dst == ADDRESSES[vpn] for record in self.since(mark))


_machines = {}


def machine(killswitch=True):
    """The machine without or with the kill switch, all VPNs down; made at first use."""
    if killswitch not in _machines:
        _machines[killswitch] = Several(killswitch)
    elif killswitch:
        _machines[killswitch].reset()
    return _machines[killswitch]


@test
def without_killswitch_losing_both_leaks():
    m = machine(False)
    m.up_all(HOME, AWAY)
    mark = m.mark()
    with m.flood():
        m.kill(AWAY)
        m.kill(HOME)
        wait_for(lambda: len(m.leaks(mark)) > 10, 10, "the flood leaks")
    m.check_leaks()


def two_up():
    m = machine()
    m.check_leaks()
    m.arm(HOME, AWAY)
    m.check_blocked()
    m.up_all(HOME, AWAY)
    m.wait_defaults(AWAY, HOME)     # the latest first, as in NetworkManager
    m.check_carried_by(AWAY)
    return m


@test
def a_lower_metric_is_preferred():
    m = machine()
    m.arm(HOME, AWAY)
    m.nm.modify(HOME, "ipv4.route-metric", "20", "ipv6.route-metric", "20")
    m.up_all(HOME, AWAY)
    m.wait_defaults(HOME, AWAY)
    m.check_carried_by(HOME)


def taking_over(lose):
    """LOSE the first of two under a flood: the other carries on; then it is lost, too; then both come back."""
    m = two_up()
    mark = m.mark()
    with m.flood() as flood:
        lose(m, AWAY)
        m.check_carried_by(HOME)
    equal(flood.sent["udp failed"], 0, f"datagrams refused while the other one is up: {flood.sent}")
    check(flood.sent["udp"] > 100, f"the flood was one: {flood.sent}")
    with m.flood():
        m.kill(HOME)
        m.check_blocked()
        m.nm.nmcli("connection", "down", AWAY, check=False)
        wait_for(lambda: not m.host.processes("openvpn"), 10, "the last openvpn has ended")
        m.up_all(AWAY)
        m.check_carried_by(AWAY)
        m.up_all(HOME)
        m.check_carried_by(HOME)
    m.assert_no_leak(mark)


@test
def the_next_takes_over_when_the_first_is_killed():
    taking_over(Several.kill)


@test
def the_next_takes_over_when_the_first_is_disconnected():
    taking_over(lambda m, vpn: m.nm.down(vpn))


@test
def the_next_takes_over_when_the_device_of_the_first_is_deleted():
    taking_over(Several.delete)


@test
def one_up_and_the_others_down_is_protected():
    m = machine()
    m.arm(*VPNS)
    m.check_blocked()
    for vpn in (HOME, AWAY):
        m.nm.up(vpn)
        m.check_carried_by(vpn)
        mark = m.mark()
        m.nm.down(vpn)
        m.check_blocked()
        m.assert_no_leak(mark)


@test
def the_same_server_in_two_profiles_stays_exempted_while_either_is_armed():
    for first, second in ((HOME, TWIN), (TWIN, HOME)):
        m = machine()
        m.arm(HOME, TWIN)
        mark = m.mark()
        m.up_all(first, second)
        m.check_carried_by(second)
        m.nm.down(first)
        m.check_carried_by(second)
        m.nm.modify(first, "connection.zone", "")
        m.check_carried_by(second)
        m.kill(second)
        m.check_blocked()
        m.up_all(second)
        m.check_carried_by(second)
        m.assert_no_leak(mark)


@test
def a_vpn_inside_another_sends_nothing_beside_it():
    m = machine()
    m.arm(HOME, AWAY)
    m.up_all(HOME)
    mark = m.mark()
    m.up_all(AWAY)
    m.check_carried_by(AWAY)
    check(m.sent_beside(AWAY, mark) > 10, "without the setting the second one goes beside the first")

    m = machine()
    m.arm(HOME, AWAY, away="inside")
    m.up_all(HOME)
    wait_for(lambda: m.server_devices(AWAY) == {DEVICES[HOME]}, 20, "the way to the inner one's server is by the outer one",
             error=AssertionError)
    mark = m.mark()
    m.up_all(AWAY)
    m.check_carried_by(AWAY)
    equal(m.sent_beside(AWAY, mark), 0, "packets of the inner one beside the outer one")
    check(m.sent_beside(HOME, mark) > 10, "the outer one carries the inner one")
    wait_for(lambda: f"inside {HOME} ({DEVICES[HOME]})" in m.host.run("nm-killswitch", "status").stdout, 20, "status tells",
             error=AssertionError)
    with m.flood():
        m.delete(HOME)
        time.sleep(1)
        m.nm.nmcli("connection", "down", HOME, check=False)
        # now it goes beside, since no other VPN is up
        wait_for(lambda: m.server_devices(AWAY) == {"eth0"}, 20, "the inner one goes beside")
        m.nm.nmcli("connection", "down", AWAY, check=False)
        wait_for(lambda: not m.host.processes("openvpn"), 10, "the last openvpn has ended")
        m.up_all(AWAY)
        m.check_carried_by(AWAY)
    m.assert_no_leak(mark)


@test
def the_inner_vpn_sends_nothing_beside_the_outer_one_when_its_device_vanishes():
    m = machine()
    m.arm(HOME, AWAY, away="inside")
    m.up_all(HOME, AWAY)
    m.check_carried_by(AWAY)
    # none of our runs notices it, so only what the kernel does by itself counts
    program = "/usr/lib/NetworkManager/dispatcher.d/no-wait.d/10-killswitch"
    m.host.run("chmod", "600", program)
    try:
        mark = m.mark()
        with m.flood():
            m.delete(HOME)
            time.sleep(1)
        equal(m.sent_beside(AWAY, mark), 0, "packets of the inner one beside")
        m.assert_no_leak(mark)
    finally:
        m.host.run("chmod", "755", program)


@test
def a_company_vpn_keeps_its_routes_and_dns_and_goes_inside_a_full_one():
    for order in ((HOME, COMPANY), (COMPANY, HOME)):
        m = machine()
        m.arm(HOME, COMPANY)
        m.up_all(*order)
        m.check_carried_by(HOME)
        mark = m.mark()
        m.check_company()
        equal(m.sent_beside(COMPANY, mark), 0, "packets of the company's VPN beside the full one")
        m.wait_defaults(HOME)   # none by the company's
        mark = m.mark()
        with m.flood():
            m.kill(HOME)
            m.check_blocked()
            m.up_all(HOME)
            m.check_carried_by(HOME)
        m.assert_no_leak(mark)


@test
def a_company_vpn_goes_beside_a_full_one_if_configured_and_outlives_it():
    m = machine()
    m.arm(HOME, COMPANY, company="beside")
    m.up_all(HOME, COMPANY)
    m.check_carried_by(HOME)
    mark = m.mark()
    m.check_company()
    check(m.sent_beside(COMPANY, mark) > 5, "the company's transport is on the wire")
    m.kill(HOME)
    m.check_company()
    m.check_blocked()
    m.assert_no_leak(mark)


@test
def a_strict_vpn_stays_armed_when_the_session_of_another_ends():
    m = machine()
    m.arm(HOME)
    m.set_profile(AWAY, "killswitch-auto")
    m.nm.nmcli("connection", "reload")
    m.nm.stand_in_for_path_unit()
    m.up_all(HOME, AWAY)
    m.check_carried_by(AWAY)
    mark = m.mark()
    m.nm.down(AWAY)
    m.check_carried_by(HOME)
    m.nm.down(HOME)
    m.check_blocked()
    m.assert_no_leak(mark)
    m.up_all(AWAY)
    mark = m.mark()
    m.kill(AWAY)
    m.check_blocked()
    m.assert_no_leak(mark)
    m.nm.modify(HOME, "connection.zone", "")
    m.check_blocked()   # losing the VPN does not end its session
    m.up_all(AWAY)
    m.nm.down(AWAY)
    m.wait_released()
    m.check_leaks()


def company_sees(m, send=probes.send):
    """Which kinds of probes to the company's network are answered, both unbound and bound to its device; SEND as probes.send()."""
    wanted = [Probe(kind, INSIDE_COMPANY, 7, bind_device=device)
              for kind in ("udp", "tcp", "icmp") for device in (None, DEVICES[COMPANY])]
    return [result for result in send(m.host, wanted) if result.answered]


@test
def nothing_leaves_through_the_tunnel_of_an_unarmed_vpn():
    m = machine()
    m.up_all(COMPANY)
    equal(len(company_sees(m, probes.expect)), 6, "probes answered while nothing is armed")
    m.arm(HOME)
    m.check_blocked()
    equal(company_sees(m), [], "probes answered by way of an unarmed VPN")
    m.up_all(HOME)
    m.check_carried_by(HOME)
    seen = [result for result in company_sees(m) if result.seen_as and result.seen_as.startswith("10.7.")]
    equal(seen, [], "probes answered by way of an unarmed VPN")
    m.check_lan_works()


@test
def nothing_leaves_through_an_unarmed_tunnel_without_the_guard_either():
    m = machine()
    m.up_all(COMPANY)
    m.host.write("/etc/nm-killswitch.conf", "[main]\nGuard=off\n")
    try:
        m.arm(HOME)
        bound = [str(result) for result in company_sees(m) if not result.probe.bind_device]
        equal(bound, [], "probes answered by way of an unarmed VPN, by routing alone")
        m.check_lan_works()
    finally:
        m.host.write("/etc/nm-killswitch.conf", "[main]\n")


@test
def an_unarmed_full_vpn_does_not_keep_the_armed_one_from_connecting():
    m = machine()
    m.up_all(AWAY)
    m.arm(HOME)
    m.check_blocked()
    mark = m.mark()
    with m.flood():
        m.up_all(HOME)
        m.check_carried_by(HOME)
        m.kill(HOME)
        m.check_blocked()
        m.up_all(HOME)
        m.check_carried_by(HOME)
    m.assert_no_leak(mark)


if __name__ == "__main__":
    runner.main()
