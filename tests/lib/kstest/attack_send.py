"""Sends what probes.py cannot: multicast by a named device, forged packets, fragments, a long transfer.

Runs in a namespace: attack_send.main([KIND, ...]).
"""

import select
import socket
import struct
import sys
import time

_IPV6_HDRINCL = 36


def _family(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def multicast(device, *groups):
    """A datagram to each GROUP ("address port source-port")."""
    index = socket.if_nametoindex(device) if device else 0
    for group in groups:
        address, port, sport = group.split()
        with socket.socket(_family(address), socket.SOCK_DGRAM) as sock:
            try:
                if ":" in address:
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 8)
                    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, index)
                    sock.bind(("::", int(sport)))
                else:
                    sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 8)
                    if index:
                        sock.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("=4s4sI", b"", b"", index))
                    sock.bind(("0.0.0.0", int(sport)))
                sock.sendto(b"u" * 32, (address, int(port)))
            except OSError:
                pass


def _checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _syn(source, destination, sport, dport):
    """A TCP SYN as the payload of IP."""
    raw = [socket.inet_pton(_family(each), each) for each in (source, destination)]
    tcp = struct.pack("!HHIIBBHHH", sport, dport, 12345, 0, 5 << 4, 2, 64240, 0, 0)
    pseudo = raw[0] + raw[1] + struct.pack("!IHBB", len(tcp), 0, 0, socket.IPPROTO_TCP)
    return tcp[:16] + struct.pack("!H", _checksum(pseudo + tcp)) + tcp[18:]


def _ip(source, destination, protocol, payload, offset=0):
    """An IP packet; with an OFFSET (in bytes) the last fragment of one, IPv4 only."""
    if ":" in source:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64) \
            + socket.inet_pton(socket.AF_INET6, source) + socket.inet_pton(socket.AF_INET6, destination) + payload
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 4711, offset // 8, 64, protocol, 0) \
        + socket.inet_aton(source) + socket.inet_aton(destination) + payload


def _send_raw(packet, destination):
    with socket.socket(_family(destination), socket.SOCK_RAW, socket.IPPROTO_RAW) as sock:
        if ":" in destination:
            sock.setsockopt(socket.IPPROTO_IPV6, _IPV6_HDRINCL, 1)
        try:
            sock.sendto(packet, (destination, 0))
        except OSError:
            pass


def forged_syn(source, destination, dport, count):
    """COUNT SYNs from SOURCE, which is somebody else's address."""
    for number in range(int(count)):
        _send_raw(_ip(source, destination, socket.IPPROTO_TCP,
                      _syn(source, destination, 30000 + number, int(dport))), destination)


def fragment(source, destination):
    """The second fragment of a UDP datagram: it has no ports."""
    _send_raw(_ip(source, destination, socket.IPPROTO_UDP, b"u" * 64, offset=1480), destination)


def transfer(*addresses):
    """A TCP connection to the echo server at each of the ADDRESSES, with data in both directions, until killed.

    A connection that has ended is not opened anew.
    """
    streams = []
    for address in addresses:
        sock = socket.create_connection((address, 7), 5)
        sock.setblocking(False)
        streams.append(sock)
    echoed = dict.fromkeys(streams, 0)
    ready = False
    while streams:
        for sock in list(streams):
            try:
                sock.send(b"t" * 500)
            except BlockingIOError:
                pass
            except OSError as error:
                print(f"ended: {error}", flush=True)
                streams.remove(sock)
        for sock in select.select(streams, [], [], 0.002)[0]:
            try:
                echoed[sock] += len(sock.recv(65536))
            except OSError as error:
                print(f"ended: {error}", flush=True)
                streams.remove(sock)
        if not ready and all(echoed.values()):
            ready = True
            print("ready", flush=True)
        time.sleep(0.002)


def main(arguments):
    kind, *rest = arguments
    {"multicast": multicast, "forged_syn": forged_syn, "fragment": fragment, "transfer": transfer}[kind](*rest)


if __name__ == "__main__":
    main(sys.argv[1:])
