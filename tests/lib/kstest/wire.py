"""Records and judges what a host sends on its LAN, from the other end of the cable.

What leaked is decided here and nowhere else, from the definition in
tests/attacks: a packet is a leak unless it is the VPN's transport, allowed
LAN traffic, DHCP or neighbour discovery; and so is an ARP or neighbour request
for an address outside the LAN. A packet that nothing below knows is a leak.

The recorder must not lose packets in a flood, or it would be the leak that
it loses. The socket's buffer is as large as the kernel allows, a thread
empties it, and a loss, which the kernel counts, fails the test that looks.
"""

import ipaddress
import os
import select
import socket
import struct
import threading
import time

from . import packets, runner

ICMP, IGMP, TCP, UDP, GRE, ESP, ICMPV6 = 1, 2, 6, 17, 47, 50, 58

# The kinds of packets that are not leaks; 'leak', 'arp-foreign' and 'nd-foreign' are.
HARMLESS = ("transport", "lan", "arp-lan", "nd", "dhcp", "mdns", "llmnr", "dns-lan")
LEAKS = ("leak", "arp-foreign", "nd-foreign")

_LINK_LOCAL = (ipaddress.ip_network("169.254.0.0/16"), ipaddress.ip_network("fe80::/10"))
_LOCAL_MULTICAST = (ipaddress.ip_network("224.0.0.0/24"), ipaddress.ip_network("ff02::/16"))

_SO_RCVBUFFORCE = 33
_SOL_PACKET = 263
_PACKET_STATISTICS = 6
_PACKET_AUXDATA = 8
_PACKET_IGNORE_OUTGOING = 23
_ETH_P_ALL = 3
_SNAPLEN = 256          # headers, and the question of a DNS query
_BUFFER = 1 << 30       # of address space; memory is taken as packets come


class Record:
    """One frame: when it came, how long it was, its head, and, once judged, its kind."""

    __slots__ = ("time", "length", "head", "kind")

    def __init__(self, when, length, head):
        self.time = when
        self.length = length
        self.head = head
        self.kind = None

    @property
    def packet(self):
        packet = packets.parse(self.head)
        packet.length = self.length
        return packet

    def __str__(self):
        return f"{self.kind}: {self.packet}"


def _flow(head):
    """The fields that decide the kind of a plain TCP or UDP packet, or None for any other packet.

    A million packets of a flood are judged once by this, not parsed one by one.
    """
    # Ethertype, version and header length; no fragment; protocol.
    if head[12:15] == b"\x08\x00\x45" and head[20] & 0xBF == 0 and head[21] == 0 and head[23] in (TCP, UDP):
        return head[23:24] + head[30:38]
    if head[12:14] == b"\x86\xdd" and head[20] in (TCP, UDP):
        return head[20:21] + head[38:58]
    return None


class Wire:
    """What arrives at IFNAME of a namespace (so not what the namespace itself sends)."""

    def __init__(self, namespace, ifname, lan_prefixes, transports=()):
        """LAN_PREFIXES are networks; TRANSPORTS are (protocol name, server, port)."""
        self.lan = tuple(lan_prefixes)
        self.transports = list(transports)
        self._records = []
        with namespace.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        # Bound last, so that nothing is received from other interfaces before.
        self._socket.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER)
        self._socket.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
        self._socket.setblocking(False)
        with namespace.entered():
            self._socket.bind((ifname, _ETH_P_ALL))
        self._lost = 0
        self._wake, self._wake_writer = os.pipe()
        self._empty = threading.Condition()
        self._asked = self._answered = 0
        self._thread = threading.Thread(target=self._receive, daemon=True)
        self._thread.start()
        runner.at_exit(self.close)

    def close(self):
        if self._thread is not None:
            os.close(self._wake_writer)
            self._thread.join(5)
            self._thread = None
            self._socket.close()
            os.close(self._wake)

    def _receive(self):
        append, receive = self._records.append, self._socket.recv_into
        buffer = bytearray(_SNAPLEN)
        while True:
            readable, _, _ = select.select([self._socket, self._wake], [], [])
            if self._socket in readable:
                try:
                    while True:
                        length = receive(buffer, 0, socket.MSG_TRUNC)
                        append(Record(time.monotonic(), length, bytes(buffer[:length])))
                except BlockingIOError:
                    pass
                except OSError:  # the interface went down; the socket stays bound to it
                    pass
            if self._wake in readable:
                asked = os.read(self._wake, 4096)
                if not asked:
                    return
                # The socket was found empty above, or had nothing to read.
                if self._socket not in readable:
                    with self._empty:
                        self._answered += len(asked)
                        self._empty.notify_all()
                else:
                    os.write(self._wake_writer, asked)

    def _drain(self):
        """Wait until everything that has arrived so far is in the list."""
        with self._empty:
            self._asked += 1
            asked = self._asked
            os.write(self._wake_writer, b".")
            if not self._empty.wait_for(lambda: self._answered >= asked, 60):
                raise AssertionError("the wire's recorder does not come to an end")
        received, lost = struct.unpack("II", self._socket.getsockopt(
            _SOL_PACKET, _PACKET_STATISTICS, 8))
        self._lost += lost
        if self._lost:
            raise AssertionError(f"the wire's recorder lost {self._lost} packets of {received}")

    def mark(self):
        """A position to count from."""
        self._drain()
        return len(self._records)

    def since(self, mark=0, settle=0.1):
        """The records since MARK, judged; waits SETTLE seconds for packets in flight first."""
        time.sleep(settle)
        self._drain()
        records = self._records[mark:]
        known = {}
        for record in records:
            if record.kind is None:
                flow = _flow(record.head)
                record.kind = known.get(flow)
                if record.kind is None:
                    record.kind = self.classify(record.packet)
                    if flow is not None:
                        known[flow] = record.kind
        return records

    def is_lan(self, address):
        address = ipaddress.ip_address(address)
        return (any(address in network for network in self.lan + _LINK_LOCAL)
                or address == ipaddress.IPv4Address("255.255.255.255"))

    def is_transport(self, packet):
        for name, server, port in self.transports:
            if packet.dst != server:
                continue
            if packet.proto == {"esp": ESP, "gre": GRE}.get(name):
                return True
            if packet.proto == {"udp": UDP, "tcp": TCP}.get(name):
                # Only the first fragment has a port.
                if packet.dport == port or packet.fragment and packet.dport is None:
                    return True
        return False

    def classify(self, packet):
        """The kind of a packet that the host sent."""
        if packet.kind == "arp":
            return "arp-lan" if self.is_lan(packet.arp_target) else "arp-foreign"
        if packet.kind not in ("ipv4", "ipv6"):
            return "leak"
        if self.is_transport(packet):
            return "transport"
        destination = ipaddress.ip_address(packet.dst)
        local = self.is_lan(packet.dst) or any(destination in n for n in _LOCAL_MULTICAST)
        if packet.proto == UDP and (packet.sport, packet.dport) in ((68, 67), (546, 547)):
            return "dhcp" if local else "leak"
        if packet.proto == ICMPV6 and packet.icmp_type in (135, 136):
            # Without a target, it is truncated or forged.
            known = packet.nd_target is not None and self.is_lan(packet.nd_target) and local
            return "nd" if known else "nd-foreign"
        if not local:
            return "leak"
        if packet.proto == ICMPV6 and packet.icmp_type in (131, 132, 133, 143):
            return "nd"
        if packet.proto == UDP and packet.dport == 5353:
            return "mdns"
        if packet.proto in (UDP, TCP) and packet.dport == 5355:
            return "llmnr"
        if packet.proto in (UDP, TCP) and packet.dport in (53, 853):
            return "dns-lan"
        return "lan"
