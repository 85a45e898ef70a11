"""A laptop in a Lab: NetworkManager, an OpenVPN profile, the wire, and what must hold of them.

With the kill switch installed or without, the same machine otherwise, so that
every claim about the kill switch has a control that shows the probe works.
"""

import os
from collections import Counter

from . import netns, nm, openvpn, probes, runner, wire
from .netns import TARGET, TARGET6
from .probes import Probe
from .runner import check, equal, wait_for

VPN = "my-vpn"

PROBES = [Probe(kind, address, port)
          for address in (TARGET, TARGET6)
          for kind, port in (("udp", 7), ("udp", 53), ("tcp", 80), ("icmp", 0))]


class Machine:
    """A host with NetworkManager and an OpenVPN profile, and the wires it is watched by."""

    def __init__(self, killswitch, proto="udp", address=netns.SERVER, remote=None, method="manual", lans=1,
                 hosts=(), dead=(), dns="default"):
        """ADDRESS is the server's, REMOTE what the profile has instead of it, if it has.

        DEAD are addresses where no server answers; the profile has them first.

        METHOD is that of the LAN: 'manual' or 'auto'; HOSTS are (name, address) in every DNS; DNS is
        what NetworkManager does with resolvers.
        """
        stage = nm.stage() if killswitch else None
        self.killswitch = killswitch
        self.lab = netns.Lab()
        self.host = self.lab.host
        while len(self.lab.lans) < lans:
            self.lab.add_lan()
        self.lab.serve()
        for lan in self.lab.lans:
            lan.serve(dhcp=method == "auto", hosts=hosts)
        self.keys = openvpn.Keys(os.path.join(self.lab.directory, "keys"))
        self.server = openvpn.Server(self.lab, self.keys, proto=proto, address=address, ipv6=True,
                                     keepalive=(1, 4), hosts=hosts,
                                     push=["dhcp-option DNS 10.8.0.1", "route 10.99.0.0 255.255.0.0"])
        transports = [self.server.transport] + [(proto, each, self.server.port) for each in dead]
        self.wires = [wire.Wire(self.lab.router, lan.port, lan.prefixes, transports) for lan in self.lab.lans]
        self.nm = nm.NetworkManager(self.host, dns=dns)
        if killswitch:
            self.nm.install(stage)
        for lan in self.lab.lans:
            self.nm.add_lan(lan, method=method, metric=90 + 10 * lan.number)
        self.nm.add_profile(VPN, openvpn.profile(
            self.keys, VPN, remote=", ".join([*dead, remote or address]), tcp=proto == "tcp",
            # Without it OpenVPN tries a dead server for two minutes; with it, it gives up a slow one.
            extra="connect-timeout=3" if dead else ""))
        self.nm.stand_in_for_boot_unit()
        self.nm.start()
        for lan in self.lab.lans:
            self.nm.wait_state(lan.name, "activated")
        self.untouched = self.host.routing()
        self._unjudged = []
        runner.on_failure(self._leaked)

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

    def probe(self, uid=probes.NOBODY):
        return probes.send(self.host, PROBES, uid)

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
            results = self.probe(uid)
            if not all(result.answered for result in results):
                results = self.probe(uid)  # under a flood a datagram may be lost, twice in a row it is not by chance
            for result in results:
                check(result.answered, f"the tunnel must carry: {result}")
                check(result.seen_as is None or result.seen_as.startswith(("10.8.", "fd08::")),
                      f"went past the tunnel: {result}")
        if self.killswitch:
            self.assert_no_leak(mark)
        else:
            # To what came for an openvpn that was killed the kernel answers with an ICMP error.
            equal([str(leak) for leak in self.leaks(mark) if leak.packet.dst != self.server.address],
                  [], "probes that leaked")
        check(self.counts(mark)["transport"] >= 2 * len(PROBES), "the transport carries the probes")

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

    def wait_released(self):
        """nmcli returns from a disconnect when NetworkManager is done; the last event may still run."""
        wait_for(lambda: not any(8300 <= rule["priority"] < 8400 for family in ("-4", "-6")
                                 for rule in self.host.ip_json(family, "rule")), 5, "the rules are gone",
                 error=AssertionError)

    # Ways to lose the tunnel

    def up(self):
        """Connect, whatever state it is in; the device is tun0."""
        self.nm.nmcli("connection", "down", VPN, check=False)
        wait_for(lambda: not self.host.processes("openvpn"), 10, "the last openvpn has ended")
        self.nm.up(VPN)

    def disconnect(self):
        self.nm.down(VPN)

    def kill_openvpn(self):
        check(self.host.kill_all("openvpn"), "an openvpn was killed")
        self.nm.wait_state(VPN, "")

    def delete_device(self):
        self.host.run("ip", "link", "delete", "tun0")

    def crash_server(self):
        """The server comes back with other addresses; OpenVPN reconnects and gives up its device.

        It cannot make a new one, as it is no longer root. NetworkManager still shows the VPN as connected.
        """
        self.server.stop()
        self.server.network = "10.8.1.0" if self.server.network == "10.8.0.0" else "10.8.0.0"
        self.server.start()
        wait_for(lambda: not self.host.has_device("tun0"), 20, "OpenVPN closes its device")
