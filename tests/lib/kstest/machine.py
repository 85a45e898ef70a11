"""A laptop in a Lab: NetworkManager, an OpenVPN profile, the wire, and what must hold of them.

With the kill switch installed or without, the same machine otherwise, so that
every claim about the kill switch has a control that shows the probe works.
"""

import os

from . import netns, nm, openvpn, probes, wire
from .netns import TARGET, TARGET6
from .probes import Probe
from .runner import check, equal, wait_for

VPN = "my-vpn"

PROBES = [Probe(kind, address, port)
          for address in (TARGET, TARGET6)
          for kind, port in (("udp", 7), ("udp", 53), ("tcp", 80), ("icmp", 0))]


class Machine:
    """A host with NetworkManager and an OpenVPN profile, and the wire it is watched by."""

    def __init__(self, killswitch):
        stage = nm.stage() if killswitch else None
        self.killswitch = killswitch
        self.lab = netns.Lab()
        self.host = self.lab.host
        self.lab.serve()
        self.keys = openvpn.Keys(os.path.join(self.lab.directory, "keys"))
        self.server = openvpn.Server(self.lab, self.keys, ipv6=True, keepalive=(1, 4),
                                     push=["dhcp-option DNS 10.8.0.1", "route 10.99.0.0 255.255.0.0"])
        self.wire = wire.Wire(self.lab.router, self.lab.lan.port, self.lab.lan.prefixes,
                              [self.server.transport])
        self.nm = nm.NetworkManager(self.host)
        if killswitch:
            self.nm.install(stage)
        self.nm.add_lan(self.lab.lan)
        self.nm.add_profile(VPN, openvpn.profile(self.keys, VPN))
        self.nm.start()
        self.nm.wait_state("lan1", "activated")
        self.untouched = self.host.routing()

    def probe(self, uid=probes.NOBODY):
        return probes.send(self.host, PROBES, uid)

    def flood(self):
        return probes.Flood(self.host, (TARGET, TARGET6))

    # What the tests claim

    def check_lan_works(self):
        lan = self.lab.lan
        for result in probes.send(self.host, [Probe(kind, address) for address in (lan.router, lan.router6)
                                              for kind in ("udp", "tcp", "icmp")]):
            check(result.answered, f"the LAN must work: {result}")

    def check_tunnel_carries(self):
        """Every probe is answered by a server that saw the tunnel's address, and nothing leaks."""
        mark = self.wire.mark()
        for uid in (probes.NOBODY, 0):
            for result in self.probe(uid):
                check(result.answered, f"the tunnel must carry: {result}")
                check(result.seen_as is None or result.seen_as.startswith(("10.8.0.", "fd08::")),
                      f"went past the tunnel: {result}")
        if self.killswitch:
            self.wire.assert_no_leak(mark)
        else:
            # To what came for an openvpn that was killed the kernel answers with an ICMP error.
            equal([str(leak) for leak in self.wire.leaks(mark) if leak.packet.dst != self.server.address],
                  [], "probes that leaked")
        check(self.wire.counts(mark)["transport"] >= 2 * len(PROBES), "the transport carries the probes")

    def check_leaks(self):
        """Without the kill switch and the tunnel every probe is seen on the wire."""
        mark = self.wire.mark()
        for result in self.probe():
            check(result.answered, f"without the tunnel the wire must carry: {result}")
        leaked = len(self.wire.leaks(mark))
        check(leaked >= len(PROBES), f"all probes are seen to leak, not {leaked} packets")

    def check_blocked(self):
        """No probe is answered or seen, of an ordinary user or of root; the LAN works."""
        mark = self.wire.mark()
        for uid in (probes.NOBODY, 0):
            for result in self.probe(uid):
                check(not result.answered, f"must be blocked: {result}")
        self.wire.assert_no_leak(mark)
        self.check_lan_works()

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
        """The server forgets its clients; OpenVPN reconnects, is given another address, and gives up its device.

        It cannot make a new one, as it is no longer root. NetworkManager shows the VPN as connected.
        """
        self.server.stop()
        self.server.start()
        wait_for(lambda: not self.host.has_device("tun0"), 20, "OpenVPN closes its device")
