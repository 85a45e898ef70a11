"""A laptop in a Lab: NetworkManager, the profile of a VPN, the wire, and what must hold of them.

With the kill switch installed or without, the same machine otherwise, so that
every claim about the kill switch has a control that shows the probe works.
"""

import os
import signal
from collections import Counter

from . import netns, nm, openvpn, probes, runner, sheet, wire
from .netns import TARGET, TARGET6
from .probes import Probe
from .runner import check, equal, wait_for

VPN = "my-vpn"

PROBES = [Probe(kind, address, port)
          for address in (TARGET, TARGET6)
          for kind, port in (("udp", 7), ("udp", 53), ("tcp", 80), ("icmp", 0))]


class Host:
    """A host with NetworkManager and the profile of one VPN, and the wires it is watched by.

    How that VPN is served and lost is said by a subclass, one for each type: see sheet.py, whose cases are run on them.
    """

    needs = ()              # paths of what must be installed
    device = "tun0"         # of the tunnel
    program = ""            # what carries the VPN at the host, as a process is called
    inside = ()             # how the tunnel's addresses begin
    sports = ()             # the source ports of the transport, if they are known
    carried = PROBES        # the probes that the tunnel has to carry; the others must be blocked while it is up

    def __init__(self, killswitch, method="manual", lans=1, hosts=(), dns="default"):
        """METHOD is that of the LAN: 'manual' or 'auto'; HOSTS are (name, address) that its DNS resolves; DNS is
        what NetworkManager does with resolvers.
        """
        for path in self.needs:
            if not os.path.exists(path):
                raise runner.Skip(f"no {path} here")
        stage = nm.stage() if killswitch else None
        self.killswitch = False
        self.lab = netns.Lab()
        self.host = self.lab.host
        while len(self.lab.lans) < lans:
            self.lab.add_lan()
        self.lab.serve()
        for lan in self.lab.lans:
            lan.serve(dhcp=method == "auto", hosts=hosts)
        self.wires = [wire.Wire(self.lab.router, lan.port, lan.prefixes) for lan in self.lab.lans]
        self.nm = nm.NetworkManager(self.host, dns=dns)
        if stage:
            self._install(stage)
        for lan in self.lab.lans:
            self.nm.add_lan(lan, method=method, metric=90 + 10 * lan.number)
        self.transports = []
        self.untouched = None
        self._unjudged = []
        runner.on_failure(self._leaked)

    def _install(self, stage):
        self.nm.install(stage)
        self.killswitch = True

    def start(self, profile, transports):
        """Begin, with the VPN's PROFILE if it has one.

        TRANSPORTS are (protocol name, server, port) that the wires may carry for it.
        """
        self.transports = list(transports)
        for each in self.wires:
            each.transports += self.transports
        if profile:
            self.nm.add_profile(VPN, profile)
        self.nm.stand_in_for_boot_unit()
        self.nm.start()
        for lan in self.lab.lans:
            self.nm.wait_state(lan.name, "activated")
        self.untouched = self.host.routing()

    # The kill switch

    def install(self):
        """Install it on the running host, if it is not there yet."""
        if not self.killswitch:
            self._install(nm.stage())
            self.nm.stand_in_for_boot_unit()

    def arm(self):
        self.nm.modify(VPN, "connection.zone", "killswitch")

    def disarm(self):
        self.nm.modify(VPN, "connection.zone", "")

    # The wires

    def mark(self):
        mark = [each.mark() for each in self.wires]
        self._unjudged = [each for each in self._unjudged if each[0] == runner.running()] + [(runner.running(), mark)]
        return mark

    def since(self, mark, settle=0.1):
        """The records since MARK, of all wires."""
        records = [record for each, since in zip(self.wires, mark) for record in each.since(since, settle)]
        if not any(record.kind in wire.LEAKS for record in records):
            self._forget(mark)
        return records

    def _forget(self, mark):
        self._unjudged = [each for each in self._unjudged if each[1] is not mark]

    def leaks(self, mark, settle=0.1):
        return [record for record in self.since(mark, settle) if record.kind in wire.LEAKS]

    def _leaked(self, _directory):
        """For on_failure(): what leaked since a mark that the failed test has not come to look at, or has only counted."""
        if not self.killswitch:
            return None
        leaks = [leak for test, mark in self._unjudged if test == runner.running() for leak in self.leaks(mark)]
        return f"{len(leaks)} packets leaked: {'; '.join(map(str, leaks[:5]))}" if leaks else None

    def counts(self, mark):
        return Counter(record.kind for record in self.since(mark))

    def assert_no_leak(self, mark):
        leaks = self.leaks(mark)
        check(not leaks, f"{len(leaks)} packets leaked: {'; '.join(map(str, leaks[:5]))}")

    # Probes

    def probe(self, uid=probes.NOBODY, chosen=PROBES):
        return probes.send(self.host, chosen, uid)

    def abuse(self):
        """Send what sheet.abuse_probes() has, as nobody; returns {probe: whether the wire carried it}."""
        self.host.sysctl(ipv4__ip_unprivileged_port_start=0)    # so that nobody can have any source port
        sent = sheet.abuse_probes(self.transports, (TARGET, TARGET6), self.lab.lan.device, self.sports)
        marks = [each.mark() for each in self.wires]
        probes.send(self.host, sent, probes.NOBODY)
        packets = [record.packet for each, mark in zip(self.wires, marks) for record in each.since(mark)]
        seen = {(packet.proto, packet.dst, packet.sport) for packet in packets}
        return {probe: (wire.TCP if probe.kind == "tcp" else wire.UDP, probe.to, probe.sport) in seen
                for probe in sent}

    def flood(self):
        return probes.Flood(self.host, (TARGET, TARGET6))

    # What the tests claim

    def check_lan_works(self):
        for result in probes.send(self.host, [Probe(kind, address) for lan in self.lab.lans if lan.plugged
                                              for address in (lan.router, lan.router6)
                                              for kind in ("udp", "tcp", "icmp")]):
            check(result.answered, f"the LAN must work: {result}")

    def check_tunnel_carries(self):
        """Every probe is answered by a server that saw the tunnel's address, and nothing leaks."""
        mark = self.mark()
        for uid in (probes.NOBODY, 0):
            results = self.probe(uid, self.carried)
            if not all(result.answered for result in results):
                # Under a flood a datagram may be lost; twice in a row it is not by chance.
                results = self.probe(uid, self.carried)
            for result in results:
                check(result.answered, f"the tunnel must carry: {result}")
                check(result.seen_as is None or result.seen_as.startswith(self.inside),
                      f"went past the tunnel: {result}")
        if self.killswitch:
            self.assert_no_leak(mark)
        else:
            # To what came for a program that was killed the kernel answers with an ICMP error.
            servers = [server for _, server, _ in self.transports]
            equal([str(leak) for leak in self.leaks(mark) if leak.packet.dst not in servers], [], "probes that leaked")
        check(self.counts(mark)["transport"] >= 2 * len(self.carried), "the transport carries the probes")

    def check_leaks(self):
        """Without the kill switch and the tunnel every probe is seen on the wire."""
        mark = self.mark()
        for result in self.probe():
            check(result.answered, f"without the tunnel the wire must carry: {result}")
        leaked = len(self.leaks(mark))
        self._forget(mark)
        check(leaked >= len(PROBES), f"all probes are seen to leak, not {leaked} packets")

    def check_blocked(self):
        """No probe is answered or seen, of an ordinary user or of root; the LAN works."""
        mark = self.mark()
        for uid in (probes.NOBODY, 0):
            for result in self.probe(uid):
                check(not result.answered, f"must be blocked: {result}")
        self.assert_no_leak(mark)
        self.check_lan_works()

    def check_others_blocked(self):
        """While the tunnel is up: the probes that it cannot carry are blocked, of an ordinary user and of root."""
        others = [probe for probe in PROBES if probe not in self.carried]
        mark = self.mark()
        for result in [result for uid in (probes.NOBODY, 0) for result in self.probe(uid, others)]:
            check(not result.answered, f"must be blocked: {result}")
        self.assert_no_leak(mark)

    def wait_released(self):
        """nmcli returns from a disconnect when NetworkManager is done; the last event may still run."""
        wait_for(lambda: not any(8300 <= rule["priority"] < 8400 for family in ("-4", "-6")
                                 for rule in self.host.ip_json(family, "rule")), 5, "the rules are gone",
                 error=AssertionError)

    def routing(self):
        return self.host.routing()

    # Ways to lose the tunnel

    def down(self):
        """Be disconnected, whatever state it is in."""
        self.nm.nmcli("connection", "down", VPN, check=False)
        wait_for(lambda: not self.host.processes(self.program), 10, f"the last {self.program} has ended")

    def up(self):
        """Connect, whatever state it is in."""
        self.down()
        self.nm.up(VPN)

    def disconnect(self):
        self.nm.down(VPN)

    def wait_down(self):
        """Until the device is gone, which may be after nmcli has returned."""
        wait_for(lambda: not self.host.has_device(self.device), 5, "the tunnel's device is gone")

    def kill(self):
        """The program that carries the VPN ends without a word."""
        check(self.host.kill_all(self.program), f"{self.program} was killed")
        self.nm.wait_state(VPN, "")


class Machine(Host):
    """A host with an OpenVPN profile; its device is tun0."""

    program = "openvpn"
    inside = ("10.8.", "fd08::")

    def __init__(self, killswitch, proto="udp", address=netns.SERVER, remote=None, hosts=(), transports=None, extra="",
                 **options):
        """ADDRESS is the server's, REMOTE what the profile has instead of it, if it has.

        EXTRA are further lines of its [vpn] section, TRANSPORTS what the wires may carry if that is not what all this
        says. HOSTS are in every DNS.
        """
        super().__init__(killswitch, hosts=hosts, **options)
        self.prepare()
        self.keys = openvpn.Keys(os.path.join(self.lab.directory, "keys"))
        self.server = openvpn.Server(self.lab, self.keys, proto=proto, address=address, ipv6=True,
                                     keepalive=(1, 4), hosts=hosts,
                                     push=["dhcp-option DNS 10.8.0.1", "route 10.99.0.0 255.255.0.0"])
        self.start(openvpn.profile(self.keys, VPN, remote=remote or address, tcp=proto == "tcp", extra=extra),
                   transports or [self.server.transport])

    def prepare(self):
        """For a subclass: what the network has besides, before anything starts."""

    def delete_device(self):
        self.host.run("ip", "link", "delete", "tun0")

    def server_gone(self):
        """The server comes back with other addresses; OpenVPN reconnects and gives up its device.

        It cannot make a new one, as it is no longer root. NetworkManager still shows the VPN as connected.
        """
        self.server.stop()
        self.server.network = "10.8.1.0" if self.server.network == "10.8.0.0" else "10.8.0.0"
        self.server.start()
        wait_for(lambda: not self.host.has_device("tun0"), 20, "OpenVPN closes its device")

    def reconnect(self):
        """OpenVPN connects again by itself and keeps its device, as after a loss; its new socket is not root's."""
        before = self.server.connections()
        self.host.kill_all(self.program, signal.SIGUSR1)
        wait_for(lambda: self.server.connections() > before, 20, "OpenVPN connects again")
