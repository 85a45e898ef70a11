"""What every subject of the sheet (sheet.py) has, in namespaces or a virtual machine: the wires, the probes, the checks.

A subject is a host, the VPN it has, and the wires it is watched by. With the
kill switch installed or without, it is the same host otherwise, so that every
claim about the kill switch has a control that shows the probe works.
"""

import time
from collections import Counter

from . import probes, runner, wire
from .netns import TARGET, TARGET6
from .probes import Probe
from .runner import check, equal
from .sheet import abuse_probes

PROBES = [Probe(kind, address, port)
          for address in (TARGET, TARGET6)
          for kind, port in (("udp", 7), ("udp", 53), ("tcp", 80), ("icmp", 0))]


class Subject:
    """A host, and the wires on which it is watched.

    How its VPN is served, brought up and lost is said by subclasses.
    """

    device = "tun0"         # the tunnel's
    inside = ()             # prefixes of the tunnel's addresses, as text
    sports = ()             # the source ports of the transport, if they are known
    carried = PROBES        # the probes that the tunnel has to carry; the others must be blocked while it is up
    patience = 0.6          # seconds for the answers to probes

    def __init__(self, host, wires, lans):
        """HOST is a netns.Namespace, or has the same methods to run programs by; LANS have routers that answer probes."""
        self.host, self.wires, self.lans = host, wires, lans
        self.killswitch = False
        self.transports = []    # (protocol name, server, port) that the wires may carry
        self._unjudged = []
        runner.on_failure(self._leaked)

    # The wires

    def mark(self):
        mark = [each.mark() for each in self.wires]
        self._unjudged = [each for each in self._unjudged if each[0] == runner.running()] + [(runner.running(), mark)]
        return mark

    def since(self, mark, settle=0.1):
        """The records of all wires since MARK."""
        records = [record for each, since in zip(self.wires, mark) for record in each.since(since, settle)]
        if not any(record.kind in wire.LEAKS for record in records):
            self._forget(mark)
        return records

    def _forget(self, mark):
        self._unjudged = [each for each in self._unjudged if each[1] is not mark]

    def leaks(self, mark, settle=0.1):
        return [record for record in self.since(mark, settle) if record.kind in wire.LEAKS]

    def _leaked(self, _directory):
        """For on_failure(): what leaked since a mark that the failed test never looked at, or only counted."""
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
        return probes.send(self.host, chosen, uid, self.patience)

    def abuse(self):
        """Send what abuse_probes() has, as nobody; returns {probe: whether the wire carried it}."""
        self.host.sysctl(ipv4__ip_unprivileged_port_start=0)    # so that nobody can have any source port
        sent = abuse_probes(self.transports, (TARGET, TARGET6), self.lans[0].device, self.sports)
        marks = [each.mark() for each in self.wires]
        probes.send(self.host, sent, probes.NOBODY, self.patience)
        packets = [record.packet for each, mark in zip(self.wires, marks) for record in each.since(mark)]
        seen = {(packet.proto, packet.dst, packet.sport) for packet in packets}
        return {probe: (wire.TCP if probe.kind == "tcp" else wire.UDP, probe.to, probe.sport) in seen
                for probe in sent}

    def flood(self):
        return probes.Flood(self.host, (TARGET, TARGET6))

    # What the tests check

    def check_lan_works(self):
        for result in probes.expect(self.host, [Probe(kind, address) for lan in self.lans if lan.plugged
                                                for address in (lan.router, lan.router6)
                                                for kind in ("udp", "tcp", "icmp")], timeout=self.patience):
            check(result.answered, f"the LAN must work: {result}")

    def _is_inside(self, result):
        return result.seen_as is None or result.seen_as.startswith(self.inside)

    def _results_inside(self, uid):
        """What became of the probes that the tunnel carries.

        On a busy machine the kernel makes a new IPv6 address usable a moment after it was added (addrconf_dad_work()),
        and until then sends into the tunnel with another device's: such probes are sent again.
        """
        end = time.monotonic() + 5
        while True:
            results = probes.expect(self.host, self.carried, uid, self.patience)
            if time.monotonic() > end or all(self._is_inside(result) for result in results):
                return results

    def check_tunnel_carries(self):
        """Every probe is answered by a server that saw the tunnel's address, and nothing leaks."""
        mark = self.mark()
        results = [result for uid in (probes.NOBODY, 0) for result in self._results_inside(uid)]
        if self.killswitch:     # first, since the wires know better than the servers which way a packet went
            self.assert_no_leak(mark)
        else:
            # The kernel answers packets for a program that was killed with an ICMP error.
            servers = [server for _, server, _ in self.transports]
            equal([str(leak) for leak in self.leaks(mark) if leak.packet.dst not in servers], [], "probes that leaked")
        for result in results:
            check(result.answered, f"the tunnel must carry: {result}")
            check(self._is_inside(result), f"not with the tunnel's address: {result}")
        check(self.counts(mark)["transport"] >= 2 * len(self.carried), "the transport carries the probes")

    def check_leaks(self):
        """Without the kill switch and the tunnel, every probe is seen on the wire.

        They are sent again for a while: a tunnel that was taken down may carry for another moment.
        """
        end = time.monotonic() + 20
        while True:
            mark = self.mark()
            unanswered = [str(result) for result in probes.expect(self.host, PROBES, probes.NOBODY, self.patience)
                          if not result.answered]
            leaked = len(self.leaks(mark))
            self._forget(mark)
            if not unanswered and leaked >= len(PROBES):
                return
            if time.monotonic() > end:
                break
            time.sleep(0.5)
        equal(unanswered, [], "without the tunnel the wire must carry")
        check(leaked >= len(PROBES), f"all probes are seen to leak, not {leaked} packets")

    def check_blocked(self):
        """No probe of an ordinary user or of root is answered or seen, and the LAN works."""
        mark = self.mark()
        for uid in (probes.NOBODY, 0):
            for result in self.probe(uid):
                check(not result.answered, f"must be blocked: {result}")
        self.assert_no_leak(mark)
        self.check_lan_works()

    def check_others_blocked(self):
        """While the tunnel is up, probes that it cannot carry are blocked, from an ordinary user and from root."""
        others = [probe for probe in PROBES if probe not in self.carried]
        mark = self.mark()
        for result in [result for uid in (probes.NOBODY, 0) for result in self.probe(uid, others)]:
            check(not result.answered, f"must be blocked: {result}")
        self.assert_no_leak(mark)
