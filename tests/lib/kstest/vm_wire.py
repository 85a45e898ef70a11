"""Judges what a machine sent: every captured packet is sorted into one list by what it is.

What no rule below recognises is a leak. The rules are the promise of the kill
switch seen from outside (transport, LAN, DHCP, neighbour discovery), and narrow:
an ARP request for a public address is a leak although no payload left.
"""

import ipaddress
from dataclasses import dataclass, field, fields

from .packets import ICMPV6, TCP, UDP, PcapReader, parse, read_pcap

PRIVATE = tuple(ipaddress.ip_network(text) for text in (
    "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10"))
# what never leaves the link, whoever asks: multicast of link scope, limited broadcast
_LINK_SCOPE = tuple(ipaddress.ip_network(text) for text in (
    "224.0.0.0/24", "255.255.255.255/32", "ff01::/16", "ff02::/16"))
_MDNS, _LLMNR, _DNS_PORTS = 5353, 5355, (53, 853)
_ND_TYPES = (133, 134, 135, 136, 137)


@dataclass(frozen=True)
class Transport:
    """A VPN's server: what may be sent to it, and nothing else to that address."""

    dst: str
    dport: int
    proto: int = UDP

    def carries(self, packet):
        """Whether PACKET is this VPN's own. A later fragment has no ports and is not recognised as such."""
        return (packet.proto, packet.dst, packet.dport) == (self.proto, self.dst, self.dport)


@dataclass
class Traffic:
    """The packets a machine sent, each in exactly one list."""

    transport: list = field(default_factory=list)
    lan: list = field(default_factory=list)
    arp: list = field(default_factory=list)         # for addresses of the LAN; for others it is a leak
    dhcp: list = field(default_factory=list)
    nd: list = field(default_factory=list)
    mdns: list = field(default_factory=list)
    llmnr: list = field(default_factory=list)
    dns: list = field(default_factory=list)         # to a resolver on the LAN, such as the router
    multicast: list = field(default_factory=list)   # of link scope: IGMP, MLD and the like
    leak: list = field(default_factory=list)        # everything else

    def __str__(self):
        counts = (f"{each.name} {len(getattr(self, each.name))}" for each in fields(self))
        return ", ".join(counts)


def classify(pcap, outside=(), transports=(), lan=PRIVATE):
    """Sort the packets in the file PCAP; frames from the link addresses OUTSIDE were not sent by the machine."""
    packets = (_parse_at(time, frame) for time, frame in read_pcap(pcap))
    return sort(packets, outside, transports, lan)


def sort(packets, outside=(), transports=(), lan=PRIVATE):
    """As classify(), of packets already parsed."""
    traffic = Traffic()
    for packet in packets:
        if packet.eth_src not in outside:
            getattr(traffic, _verdict(packet, transports, lan)).append(packet)
    return traffic


def _parse_at(time, frame):
    packet = parse(frame)
    packet.time = time
    return packet


def _within(address, networks):
    address = ipaddress.ip_address(address)
    return any(address in network for network in networks if network.version == address.version)


def _verdict(packet, transports, lan):
    """The name of the list that PACKET belongs in."""
    if packet.kind == "arp":
        return "arp" if _within(packet.arp_target, lan) else "leak"
    if packet.kind == "other":
        return "leak"
    if any(transport.carries(packet) for transport in transports):
        return "transport"
    link_scope, local = _within(packet.dst, _LINK_SCOPE), _within(packet.dst, lan)
    if not (link_scope or local):
        return "leak"
    if packet.proto == ICMPV6 and packet.icmp_type in _ND_TYPES:
        # asking the neighbours for a public address says where one wants to go
        return "nd" if packet.nd_target is None or _within(packet.nd_target, lan) else "leak"
    if packet.proto == UDP and packet.dport in (67, 547) and packet.sport in (68, 546):
        return "dhcp"
    if packet.proto == UDP and packet.dport == _MDNS:
        return "mdns"
    if packet.dport == _LLMNR:
        return "llmnr"
    if packet.proto in (TCP, UDP) and packet.dport in _DNS_PORTS:
        return "dns"
    return "multicast" if link_scope else "lan"


class Wire:
    """The capture of one network card, while it grows."""

    def __init__(self, outside=()):
        self.outside = set(outside)     # link addresses of the others on this wire
        self.transports = set()
        self.lan = PRIVATE
        self._reader = None
        self._packets = []

    def add_file(self, path):
        """A capture begins a new file each time the machine is switched on."""
        self.packets()
        self._reader = PcapReader(path)

    def packets(self):
        """All packets so far, in both directions."""
        if self._reader is not None:
            self._packets.extend(_parse_at(time, frame) for time, frame in self._reader.read())
        return self._packets

    def mark(self):
        """A place in the capture, for since()."""
        return len(self.packets())

    def since(self, mark=0):
        """What the machine sent since MARK."""
        return sort(self.packets()[mark:], self.outside, self.transports, self.lan)

    def received(self, mark=0):
        """The packets the machine was sent since MARK."""
        return [packet for packet in self.packets()[mark:] if packet.eth_src in self.outside]
