"""Reads captured packets: what left the host, as seen on the wire from outside.

The tests judge the kill switch by its wire, so this is deliberately small and
written out by hand: no library decides for us what a packet is. A frame that
cannot be understood is of kind 'other' and keeps its ethertype; it is never
dropped, since a packet nobody can classify is one that should not be there.
"""

import ipaddress
import struct
from dataclasses import dataclass
from typing import Optional

ICMP, IGMP, TCP, UDP, GRE, ESP, ICMPV6 = 1, 2, 6, 17, 47, 50, 58

ETH_ARP, ETH_IPV4, ETH_IPV6 = 0x0806, 0x0800, 0x86DD
_ETH_VLAN = (0x8100, 0x88A8)

# IPv6 extension headers that stand between the header and the payload, and
# whose second byte is their length in units of eight bytes
_V6_OPTIONS = (0, 43, 60)
_V6_FRAGMENT = 44

_PROTOCOL_NAMES = {ICMP: "icmp", IGMP: "igmp", TCP: "tcp", UDP: "udp", GRE: "gre", ESP: "esp",
                   ICMPV6: "icmpv6"}

_PCAP_MAGIC = {
    b"\xd4\xc3\xb2\xa1": ("<", 1e6), b"\xa1\xb2\xc3\xd4": (">", 1e6),
    b"\x4d\x3c\xb2\xa1": ("<", 1e9), b"\xa1\xb2\x3c\x4d": (">", 1e9),
}
_PCAP_ETHERNET = 1


@dataclass
class Packet:
    """One frame. Addresses are text, ports and protocol are numbers, absent is None."""

    eth_src: str
    eth_dst: str
    ethertype: int
    kind: str                           # 'arp', 'ipv4', 'ipv6', 'other'
    length: int                         # of the whole frame
    src: Optional[str] = None           # for ARP the sender's address
    dst: Optional[str] = None           # for ARP the address asked for
    proto: Optional[int] = None         # IP protocol, after any extension headers
    sport: Optional[int] = None         # absent in all fragments but the first
    dport: Optional[int] = None
    arp_op: Optional[int] = None        # 1 request, 2 reply
    arp_target: Optional[str] = None
    icmp_type: Optional[int] = None     # ICMP and ICMPv6
    nd_target: Optional[str] = None     # neighbour solicitation and advertisement
    fragment: bool = False              # part of a fragmented datagram
    payload: bytes = b""                # behind the UDP, TCP or ICMP header
    time: float = 0.0                   # seconds since the epoch, set by who knows it

    def __str__(self):
        """One line in the manner of tcpdump, for messages of failed tests."""
        if self.kind == "arp":
            verb = "who-has" if self.arp_op == 1 else "reply to"
            return f"arp {verb} {self.arp_target} from {self.src} ({self.eth_src})"
        if self.kind == "other":
            return f"ethertype {self.ethertype:#06x} {self.eth_src} > {self.eth_dst}, {self.length} bytes"
        name = _PROTOCOL_NAMES.get(self.proto, f"proto {self.proto}")
        text = f"{name} {_endpoint(self.src, self.sport)} > {_endpoint(self.dst, self.dport)}"
        if self.icmp_type is not None:
            text += f" type {self.icmp_type}"
        if self.nd_target:
            text += f" target {self.nd_target}"
        if self.fragment:
            text += " fragment"
        return f"{text}, {self.length} bytes"


def _endpoint(address, port):
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _mac(raw):
    return ":".join(f"{byte:02x}" for byte in raw)


def _address(raw):
    return str(ipaddress.ip_address(raw))


def parse(frame: bytes) -> Packet:
    """The packet in an Ethernet FRAME. Never raises: what is cut short is parsed as far as it goes."""
    if len(frame) < 14:
        return Packet("", "", 0, "other", len(frame))
    ethertype, body = _ethertype(frame)
    packet = Packet(_mac(frame[6:12]), _mac(frame[0:6]), ethertype, "other", len(frame))
    if ethertype == ETH_ARP:
        _parse_arp(packet, body)
    elif ethertype == ETH_IPV4:
        _parse_ipv4(packet, body)
    elif ethertype == ETH_IPV6:
        _parse_ipv6(packet, body)
    return packet


def _ethertype(frame):
    """The ethertype and what follows it, behind any VLAN tags."""
    at = 12
    while True:
        ethertype = struct.unpack_from("!H", frame, at)[0]
        if ethertype not in _ETH_VLAN or len(frame) < at + 6:
            return ethertype, frame[at + 2:]
        at += 4


def _parse_arp(packet, body):
    if len(body) < 28 or body[:6] != b"\x00\x01\x08\x00\x06\x04":
        return
    packet.kind = "arp"
    packet.arp_op = struct.unpack_from("!H", body, 6)[0]
    packet.src = _address(body[14:18])
    packet.dst = packet.arp_target = _address(body[24:28])


def _parse_ipv4(packet, body):
    if len(body) < 20 or body[0] >> 4 != 4:
        return
    packet.kind = "ipv4"
    packet.src, packet.dst, packet.proto = _address(body[12:16]), _address(body[16:20]), body[9]
    total, fragment = struct.unpack_from("!H2xH", body, 2)
    packet.fragment = bool(fragment & 0x3FFF)
    if not fragment & 0x1FFF:  # not the first: no transport header in there
        # an Ethernet frame is padded to 60 bytes, the total length says where the packet ends
        _parse_transport(packet, body[(body[0] & 15) * 4:total or None])


def _parse_ipv6(packet, body):
    if len(body) < 40 or body[0] >> 4 != 6:
        return
    packet.kind = "ipv6"
    packet.src, packet.dst = _address(body[8:24]), _address(body[24:40])
    length, header = struct.unpack_from("!HB", body, 4)
    at, end = 40, 40 + length if length else len(body)
    while header in _V6_OPTIONS or header == _V6_FRAGMENT:
        if len(body) < at + 8:
            packet.proto = header
            return
        if header == _V6_FRAGMENT:
            packet.fragment = True
            if struct.unpack_from("!H", body, at + 2)[0] & 0xFFF8:
                packet.proto = body[at]
                return
            size = 8
        else:
            size = 8 * (body[at + 1] + 1)
        header, at = body[at], at + size
    packet.proto = header
    _parse_transport(packet, body[at:end])


def _parse_transport(packet, body):
    if packet.proto in (TCP, UDP) and len(body) >= 8:
        packet.sport, packet.dport = struct.unpack_from("!HH", body)
        header = 8 if packet.proto == UDP or len(body) < 20 else (body[12] >> 4) * 4
        packet.payload = bytes(body[header:])
    elif packet.proto in (ICMP, ICMPV6) and len(body) >= 4:
        packet.icmp_type = body[0]
        packet.payload = bytes(body[8:])
        if packet.proto == ICMPV6 and packet.icmp_type in (135, 136) and len(body) >= 24:
            packet.nd_target = _address(body[8:24])


def read_pcap(path):
    """Yield (time, frame) for each packet in the file PATH.

    A file that does not exist or has no header yet holds no packet; a record
    that is not whole yet ends the reading.
    """
    yield from PcapReader(path).read()


class PcapReader:
    """Reads a capture that is still being written: each read() yields what has come since the last."""

    def __init__(self, path):
        self.path = path
        self._offset = 0
        self._order = self._unit = None

    def read(self):
        """Yield (time, frame) for each new packet."""
        try:
            file = open(self.path, "rb")
        except FileNotFoundError:
            return
        with file:
            if self._order is None and not self._read_header(file.read(24)):
                return
            file.seek(self._offset)
            while True:
                record = file.read(16)
                if len(record) < 16:
                    return
                seconds, fraction, size = struct.unpack_from(self._order + "III", record)
                frame = file.read(size)
                if len(frame) < size:
                    return
                self._offset += 16 + size
                yield seconds + fraction / self._unit, frame

    def _read_header(self, header):
        if len(header) < 24:
            return False
        if header[:4] not in _PCAP_MAGIC:
            raise ValueError(f"{self.path}: not a pcap file")
        self._order, self._unit = _PCAP_MAGIC[header[:4]]
        link = struct.unpack_from(self._order + "I", header, 20)[0] & 0xFFFF
        if link != _PCAP_ETHERNET:
            raise ValueError(f"{self.path}: link type {link}, only Ethernet is understood")
        self._offset = 24
        return True
