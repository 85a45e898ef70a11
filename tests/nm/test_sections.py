#!/usr/bin/env python3
"""[vpn NAME] sections: VPNs that NetworkManager does not start.

A plain tunnel program (kstest/tunnel.py: the article's Staex, IP in UDP from
source port 1234) without NetworkManager, with one that sees its device as an
external connection, and with everything that can happen to the device.
nm-killswitch-heal, started by its sockets, follows the device.
"""

import ipaddress
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import netns, nm, probes, runner, wire
from kstest.netns import SERVER, SERVER6, TARGET, TARGET6
from kstest.probes import Probe
from kstest.runner import check, equal, test, wait_for

CONFIG = "/etc/nm-killswitch.conf"
PORT = 1234             # the program's source port
SERVER_PORT = 4321
STAEX = f"[vpn staex]\nInterface=staex0\nProtocol=udp\nPort={PORT}\n"

PROBES = [Probe(kind, address, port) for address in (TARGET, TARGET6)
          for kind, port in (("udp", 7), ("udp", 53), ("tcp", 80), ("icmp", 0))]

_machines = {}


class Machine:
    """A host in a Lab with the kill switch installed, and the servers of two tunnels in the internet."""

    def __init__(self, with_nm):
        stage = nm.stage()
        self.lab = netns.Lab()
        self.host = self.lab.host
        self.lab.serve()
        self.lab.lan.serve(dhcp=False)
        self._clients = []
        for number, server in enumerate((SERVER, SERVER6)):
            ready = self.lab.internet.start(f"tunnel{number}", *netns.python_module(
                "tunnel", "server", f"tun{number}", server, str(SERVER_PORT), f"10.9.{number}.1/24",
                f"fd09:{number}::1/64"))
            wait_for(lambda process=ready: "ready" in process.text(), 5, "the tunnel's server is up", 0.01)
        self.wire = wire.Wire(self.lab.router, self.lab.lan.port, self.lab.lan.prefixes,
                              [("udp", SERVER, SERVER_PORT), ("udp", SERVER6, SERVER_PORT)])
        self.nm = nm.NetworkManager(self.host)
        self.nm.install(stage)
        if with_nm:
            self.nm.add_lan(self.lab.lan)
            self.nm.start()
            self.nm.wait_state(self.lab.lan.name, "activated")
        else:
            self.lab.lan.configure()
        # as systemd does: before the VPN, and for as long as the host runs
        self.heal = self.nm.stand_in_for_heal_socket()
        self.untouched = self.host.routing()

    # The configuration

    def configure(self, text):
        """Write the file, and do what the path unit does. Returns what `sync` printed."""
        self.host.write(CONFIG, text)
        return self.host.run("nm-killswitch", "sync", check=False).stderr

    def status(self):
        return self.host.run("nm-killswitch", "status", check=False).stdout

    # The program

    def connect(self, device="staex0", number=0, sport=PORT, mark=0, wait=True, uid=None):
        """Start the program. Returns its process."""
        server = (SERVER, SERVER6)[number]
        command = netns.python_module("tunnel", "client", device, str(sport), server, str(SERVER_PORT), str(mark),
                                      f"10.9.{number}.2/24", f"fd09:{number}::2/64")
        if uid:
            command = ["setpriv", f"--reuid={uid}", f"--regid={uid}", "--clear-groups",
                       "--inh-caps=+net_admin", "--ambient-caps=+net_admin", *command]
        process = self.host.start(f"client{len(self._clients)}", *command)
        self._clients.append(process)
        if wait:
            wait_for(lambda: "ready" in process.text(), 5, f"the tunnel connects: {process.text()}", 0.01)
        return process

    def end_programs(self):
        for process in self._clients:
            process.stop()

    # What must hold

    def mark(self):
        return self.wire.mark()

    def leaks(self, mark):
        return [str(record) for record in self.wire.since(mark) if record.kind in wire.LEAKS]

    def check_lan_works(self):
        for result in probes.expect(self.host, [Probe(kind, address) for address in
                                                (self.lab.lan.router, self.lab.lan.router6)
                                                for kind in ("udp", "tcp", "icmp")]):
            check(result.answered, f"the LAN must work: {result}")

    def check_blocked(self):
        mark = self.mark()
        for uid in (probes.NOBODY, 0):
            for result in probes.send(self.host, PROBES, uid):
                check(not result.answered, f"must be blocked: {result}")
        equal(self.leaks(mark), [], "leaks")
        self.check_lan_works()

    def carries(self, number=0):
        """Is every probe answered by a server that saw the tunnel's address?"""
        inner = (ipaddress.ip_network(f"10.9.{number}.0/24"), ipaddress.ip_network(f"fd09:{number}::/64"))
        results = [result for uid in (probes.NOBODY, 0) for result in probes.send(self.host, PROBES, uid)]
        return all(result.answered and (result.seen_as is None or any(
            ipaddress.ip_address(result.seen_as) in network for network in inner)) for result in results)

    def check_carries(self, number=0):
        mark = self.mark()
        wait_for(lambda: self.carries(number), 20, "the tunnel carries both families")
        equal(self.leaks(mark), [], "leaks")
        check([record for record in self.wire.since(mark) if record.kind == "transport"], "by its transport")
        self.check_lan_works()

    def routes_by(self, device):
        """The kill switch's default routes by DEVICE. `status` looks at the devices of the moment; these follow when heal has run."""
        return [route for family in ("-4", "-6") for route in self.host.ip_json(family, "route", "show", "table", "83")
                if route.get("dev") == device]

    def wait_rules(self, present):
        """Wait until our rules are there, or gone."""
        wait_for(lambda: any(8300 <= rule["priority"] < 8400 for rule in self.host.ip_json("-4", "rule")) == present,
                 20, f"the rules are {'there' if present else 'gone'}", 0.02)


def machine(with_nm=False):
    """The machine, disarmed and without the program."""
    m = _machines.get(with_nm)
    if m is None:
        m = _machines[with_nm] = Machine(with_nm)
    m.end_programs()
    m.configure("[main]\n")
    m.wait_rules(False)
    return m


def abuses():
    """What an unprivileged program could try with the section's exemptions. SERVER has an echo server on port 443."""
    for server, source in ((SERVER, "0.0.0.0"), (SERVER6, "::"), (TARGET, "0.0.0.0"), (TARGET6, "::")):
        yield Probe("udp", server, 443, source=source, sport=PORT, reuseport=True)  # its source port
        yield Probe("tcp", server, 443, source=source, sport=PORT, reuseport=True)  # and another protocol
        yield Probe("udp", server, 443, source=source, sport=PORT, reuseport=True, bind_device="eth0")
        yield Probe("udp", server, SERVER_PORT)  # its server's port
        yield Probe("udp", server, 443)
        yield Probe("tcp", server, 443)
        yield Probe("udp", server, 443, bind_device="eth0")


def sent_by_host(m, mark):
    return [record for record in m.wire.since(mark) if record.kind in wire.LEAKS + ("transport",)]


@test
def without_the_kill_switch_everything_here_gets_out():
    """The control for all the other tests."""
    m = machine()
    mark = m.mark()

    def unseen():
        probes.send(m.host, list(abuses()), probes.NOBODY)
        seen = [record.packet for record in sent_by_host(m, mark)]
        return [str(probe) for probe in abuses() if not any(
            (packet.dst, packet.dport) == (probe.to, probe.port) and probe.sport in (0, packet.sport)
            and packet.proto == {"udp": wire.UDP, "tcp": wire.TCP}[probe.kind] for packet in seen)]
    wait_for(lambda: not unseen(), 20, "each of them is seen on the wire", error=AssertionError)
    mark = m.mark()
    for result in probes.expect(m.host, PROBES, probes.NOBODY):
        check(result.answered, f"the wire carries: {result}")
    check(len(m.leaks(mark)) >= len(PROBES), "and all of them are seen to leak")
    process = m.connect()
    check(m.host.has_device("staex0"), "the program connects")
    process.stop()


@test
def the_program_connects_while_blocked_and_then_carries_both_families():
    m = machine()
    m.configure(STAEX)
    m.check_blocked()
    check("blocking" in m.status().splitlines()[0], m.status())
    m.connect()
    m.check_carries()
    status = m.status()
    check("protected" in status.splitlines()[0], status)
    check("strict   by [vpn staex]; up on staex0" in status, status)
    check("repaired what another program had changed" not in m.heal.text(), m.heal.text())
    m.host.run("ip", "rule", "delete", "priority", "8380")
    wait_for(lambda: "repaired what another program had changed" in m.heal.text(), 5, "the repair of a rule is told")
    m.host.run("nm-killswitch", "check")


def check_no_abuse(m, sport=PORT):
    """SPORT is the port that the program sends from."""
    mark = m.mark()
    probes.send(m.host, list(abuses()), probes.NOBODY)
    seen = [record for record in m.wire.since(mark) if record.packet.dst in (SERVER, SERVER6, TARGET, TARGET6)
            and (record.kind != "transport" or record.packet.sport != sport)]
    equal([str(record) for record in seen], [], "what an unprivileged program got out")


@test
def an_unprivileged_program_cannot_use_the_exemption():
    m = machine()
    m.configure(STAEX)
    check_no_abuse(m)   # the port is free: nobody's own packets look like the transport
    m.wire.mark()
    mark = m.mark()
    probes.send(m.host, [Probe("udp", SERVER, SERVER_PORT, source="0.0.0.0", sport=PORT)], probes.NOBODY)
    equal(sent_by_host(m, mark), [], "from the port, to the server's port")
    probes.send(m.host, [Probe("udp", SERVER, SERVER_PORT, source="0.0.0.0", sport=PORT)])
    wait_for(lambda: sent_by_host(m, mark), 5, "root's own is the transport", error=AssertionError)
    equal(len(sent_by_host(m, mark)), 1, "root's own is the transport, and only that")
    m.connect()
    m.check_carries()
    check_no_abuse(m)


@test
def the_program_killed_leaks_nothing_and_connects_again():
    m = machine()
    m.configure(STAEX)
    for _ in range(3):
        process = m.connect()
        m.check_carries()
        mark = m.mark()
        with probes.Flood(m.host, (TARGET, TARGET6)):
            time.sleep(0.2)
            process.stop()
            time.sleep(0.3)
        equal(m.leaks(mark), [], "leaks")
        check(not m.host.has_device("staex0"), "the device is gone")
        m.check_blocked()
    check("down (no device staex0 is up)" in m.status(), m.status())


@test
def without_the_kill_switch_the_killed_program_leaks():
    """The control for the test before: when such a program ends, the routes that it set lead to the uplink."""
    m = machine()
    process = m.connect()
    m.host.ip("route add 0.0.0.0/1 dev staex0\nroute add 128.0.0.0/1 dev staex0\n"
              f"route add {SERVER} via {m.lab.lan.router}\nroute add 2000::/3 dev staex0\n")
    with probes.Flood(m.host, (TARGET, TARGET6)):
        time.sleep(0.2)
        mark = m.mark()
        process.stop()
        wait_for(lambda: m.leaks(mark), 20, "the flood is seen to leak", error=AssertionError)
    m.host.run("ip", "route", "delete", SERVER)


@test
def a_renamed_device_is_no_longer_a_tunnel():
    m = machine()
    m.configure(STAEX)
    m.connect()
    m.check_carries()
    mark = m.mark()
    with probes.Flood(m.host, (TARGET, TARGET6)):
        m.host.ip("link set staex0 name other0")  # while it is up
        wait_for(lambda: not m.routes_by("other0"), 5, "no route of ours leads there")
        check("down (no device" in m.status(), m.status())
        m.check_blocked()
        m.host.ip("link set other0 name staex0")
        wait_for(lambda: "up on staex0" in m.status(), 5, "the tunnel is up")
    equal(m.leaks(mark), [], "leaks")
    m.check_carries()


@test
def a_device_without_addresses_or_down_carries_nothing_and_leaks_nothing():
    m = machine()
    m.configure(STAEX)
    m.connect()
    m.check_carries()
    m.host.ip("link set staex0 down")
    wait_for(lambda: "down (no device" in m.status(), 5, "the tunnel is down")
    m.check_blocked()
    m.host.ip("link set staex0 up\naddress add fd09:0::2/64 dev staex0 nodad")
    m.check_carries()
    m.host.ip("address del 10.9.0.2/24 dev staex0")
    mark = m.mark()
    wait_for(lambda: "staex0" not in m.host.run("ip", "route", "show", "table", "83").stdout, 5, "no IPv4 by it")
    for result in probes.send(m.host, [probe for probe in PROBES if ":" not in probe.to]):
        check(not result.answered, f"must be blocked: {result}")
    equal(m.leaks(mark), [], "leaks")


@test
def two_devices_are_two_tunnels_and_the_second_takes_over():
    m = machine()
    m.configure(STAEX.replace("Interface=staex0", "Interface=staex*").replace(f"Port={PORT}", f"ServerPort={SERVER_PORT}"))
    first = m.connect("staex0", 0, sport=0)
    m.check_carries(0)
    m.connect("staex1", 1, sport=0)
    wait_for(lambda: "up on staex0, staex1" in m.status(), 5, "both are up")
    m.check_carries(0)
    mark = m.mark()
    with probes.Flood(m.host, (TARGET, TARGET6)):
        time.sleep(0.1)
        first.stop()
        time.sleep(0.3)
    equal(m.leaks(mark), [], "leaks")
    m.check_carries(1)


@test
def a_session_is_armed_from_the_device_to_disable_and_again_by_a_new_device():
    m = machine()
    m.configure(STAEX + "Mode=session\n")
    m.wait_rules(False)
    process = m.connect()
    m.wait_rules(True)
    m.check_carries()
    process.stop()
    m.check_blocked()
    m.connect()
    m.check_carries()
    check("disarmed" not in m.host.run("nm-killswitch", "disable", "staex").stdout, "disable works")
    m.wait_rules(False)
    equal(m.host.run("ip", "rule", "show", "priority", "8380").stdout, "", "disarmed")
    m.host.run("nm-killswitch", "sync")
    m.host.ip("address add 10.77.0.1/32 dev staex0")  # an event about a device that is not new
    time.sleep(0.3)
    m.wait_rules(False)
    m.host.run("nm-killswitch", "enable", "staex")
    m.wait_rules(True)
    m.check_carries()
    m.host.run("nm-killswitch", "disable", "staex")
    m.wait_rules(False)
    m.end_programs()
    m.wait_rules(False)
    m.connect()
    m.wait_rules(True)
    m.check_carries()


@test
def disable_explains_why_it_refuses():
    m = machine()
    m.configure(STAEX)
    result = m.host.run("nm-killswitch", "disable", "staex", check=False)
    check(result.returncode == 1 and "set Mode=session" in result.stderr, result.stderr)
    result = m.host.run("nm-killswitch", "disable", "home", check=False)
    check(result.returncode == 1 and "NetworkManager does not answer, so profile 'home' cannot be changed" in result.stderr,
          result.stderr)
    m.wait_rules(True)


@test
def removing_the_section_restores_everything():
    m = machine()
    m.configure(STAEX)
    m.connect()
    m.check_carries()
    m.end_programs()
    m.configure("[main]\n")
    m.wait_rules(False)
    wait_for(lambda: m.host.routing() == m.untouched, 20, "rules, routes and nftables are as before", error=AssertionError)


@test
def a_malformed_section_stays_blocked():
    m = machine()
    for line, what in (("Prot=1234", "[vpn staex] key: 'Prot' is not known"),
                       ("ServerPort=x", "[vpn staex] ServerPort: 'x' is not a port"),
                       ("User=who", "[vpn staex] User: 'who' is not a user in /etc/passwd"),
                       ("Port 1234", "[vpn staex] line: 'Port 1234' is not of the form Key=value"),
                       ("Mode=on", "[vpn staex] Mode: 'on' is not one of strict, session")):
        said = m.configure(STAEX + line + "\n")
        check(f"{CONFIG}: {what}" in said, said)
        m.check_blocked()
        if "Mode" not in line:
            process = m.connect(wait=False)
            time.sleep(0.5)
            check("ready" not in process.text(), "nothing is exempted")
            process.stop()
    m.configure(STAEX)
    m.connect()
    m.check_carries()
    m.configure("no section before this\n" + STAEX)  # the rest cannot be read
    m.check_carries()
    m.configure("[main]\n\0")  # nothing can be read
    check("file unreadable: armed when last readable; up on staex0" in m.status(), m.status())
    m.check_carries()
    m.end_programs()
    m.check_blocked()


@test
def servers_by_network_and_by_mark():
    m = machine()
    m.configure("[vpn staex]\nInterface=staex0\nProtocol=udp\nTo=203.0.113.0/24;2001:db8:113::/48\n")
    m.check_blocked()
    m.connect(sport=5555)
    m.check_carries()
    check_no_abuse(m, 5555)
    m.end_programs()
    m.configure("[vpn staex]\nInterface=staex0\nMark=0x5342\n")
    m.check_blocked()
    m.connect(sport=5555, mark=0x5342)
    m.check_carries()
    check_no_abuse(m, 5555)


@test
def only_the_user_that_the_section_names_may_send():
    m = machine()
    m.configure(STAEX + "User=daemon\n")
    mark = m.mark()
    m.host.sysctl(ipv4__conf__all__rp_filter=1, ipv4__conf__eth0__rp_filter=1)
    process = m.connect(wait=False, uid=2)
    time.sleep(0.5)
    process.stop()
    equal(sent_by_host(m, mark), [], "another user's program gets nothing out")
    m.connect(uid=1)
    m.check_carries()
    check_no_abuse(m)
    m.host.sysctl(ipv4__conf__all__rp_filter=0, ipv4__conf__eth0__rp_filter=0)


@test
def packets_from_the_kernel_have_no_owner_and_their_gateway_is_found():
    """VXLAN stands in for WireGuard: the kernel sends, from a device that is ethernet but not a network card."""
    m = machine()
    for namespace, remote, end in ((m.host, SERVER, 2), (m.lab.internet, m.lab.lan.address, 1)):
        namespace.ip(f"link add vx7 type vxlan id 7 remote {remote} dstport 4789\n"
                     f"address add 10.9.7.{end}/24 dev vx7\naddress add fd09:7::{end}/64 dev vx7 nodad\n")
    m.wire.transports.append(("udp", SERVER, 4789))
    m.configure(f"[vpn vx]\nInterface=vx*\nProtocol=udp\nServerPort=4789\nTo={SERVER}\nUser=kernel\n")
    m.lab.internet.run("ip", "link", "set", "vx7", "up")
    m.check_blocked()
    m.host.ip("link set vx7 up\nroute add default via 10.9.7.1 dev vx7 table 1000\n"
              "route add ::/0 via fd09:7::1 dev vx7 table 1000\naddress add 10.9.7.3/32 dev vx7\n")
    m.check_carries(7)
    wait_for(lambda: "via 10.9.7.1 dev vx7" in m.host.run("ip", "route", "show", "table", "83").stdout, 20, "by its gateway",
             error=AssertionError)
    mark = m.mark()
    probes.send(m.host, [Probe("udp", SERVER, 4789, size=1000),
                         Probe("udp", SERVER, 4789, size=1000, bind_device="eth0")], probes.NOBODY)
    sizes = [record.length for record in m.wire.since(mark) if record.packet.dst == SERVER]
    check(max(sizes) > 1000, f"a program's own packet to the port goes into the tunnel: {sizes}")
    check(14 + 20 + 8 + 1000 not in sizes, f"and not beside it, whatever it is bound to: {sizes}")
    equal(m.leaks(mark), [], "leaks, of which a question for the server's own address is one")
    m.host.run("ip", "link", "delete", "vx7")
    m.check_blocked()
    m.lab.internet.run("ip", "link", "delete", "vx7")


@test
def a_servers_name_is_looked_up_through_resolv_conf():
    m = machine()
    m.lab.lan.serve(dhcp=False, hosts=[("vpn.example", SERVER)])
    section = "[vpn staex]\nInterface=staex0\nProtocol=udp\nTo=vpn.example\n"
    m.host.write("/etc/resolv.conf", "nameserver 127.0.0.1\n")
    m.configure(section)
    check("[vpn staex] names its server by a host name" in m.status(), m.status())
    m.check_blocked()
    m.host.write("/etc/resolv.conf", f"nameserver {m.lab.lan.router}\n")
    mark = m.mark()
    m.configure(section)
    wait_for(lambda: f" to {SERVER}, uid 0" in m.status(), 10, f"the server is known: {m.status()}")
    equal(m.leaks(mark), [], "leaks")
    m.check_blocked()
    m.connect(sport=5555)
    m.check_carries()
    m.host.write("/etc/resolv.conf", "")


@test
def beside_networkmanager_the_device_is_an_external_connection():
    m = machine(with_nm=True)
    m.configure(STAEX + "Mode=session\n")
    process = m.connect()
    wait_for(lambda: "staex0" in m.nm.nmcli("-g", "GENERAL.CONNECTION", "device", "show", "staex0", check=False).stdout,
             10, "NetworkManager sees the device")
    m.check_carries()
    mark = m.mark()
    process.stop()
    time.sleep(1)  # NetworkManager's events
    m.check_blocked()
    m.nm.stop()
    m.check_blocked()
    m.connect()
    m.check_carries()
    m.nm.start()
    m.check_carries()
    equal(m.leaks(mark), [], "leaks")
    m.end_programs()
    m.host.run("nm-killswitch", "disable", "staex")
    m.wait_rules(False)


if __name__ == "__main__":
    runner.main()
