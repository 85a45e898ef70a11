"""Sends what probes.py asks for, and says what became of it. Runs inside the namespace: probe_send.main().

It imports as little as it can: to start it takes longer than to send, above all in an emulated machine.
"""

import errno
import json
import os
import selectors
import signal
import socket
import struct
import sys
import time
from types import SimpleNamespace

IP_UNICAST_IF = 50
IPV6_UNICAST_IF = 76


class _Sent:
    """A probe under way."""

    def __init__(self, probe):
        self.probe = probe
        self.family = socket.AF_INET6 if ":" in probe.to else socket.AF_INET
        self.answered, self.seen_as, self.error = False, None, None
        self.done = False
        self.socket = None

    def fail(self, error):
        self.error = errno.errorcode.get(error.errno, str(error))
        self.done = True

    def result(self):
        return {"answered": self.answered, "seen_as": self.seen_as, "error": self.error}


def _open(sent):
    probe, v6 = sent.probe, sent.family == socket.AF_INET6
    kind, protocol = {
        "udp": (socket.SOCK_DGRAM, 0),
        "tcp": (socket.SOCK_STREAM, 0),
        "icmp": (socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP),
        "raw": (socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if v6 else socket.IPPROTO_ICMP),
    }[probe.kind]
    sock = sent.socket = socket.socket(sent.family, kind, protocol)
    sock.setblocking(False)
    if v6 and probe.kind != "raw":
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    if probe.reuseport:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if probe.mark:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, probe.mark)
    if probe.bind_device:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, probe.bind_device.encode())
    if probe.unicast_if:
        level, option = (socket.IPPROTO_IPV6, IPV6_UNICAST_IF) if v6 else (socket.IPPROTO_IP, IP_UNICAST_IF)
        sock.setsockopt(level, option, struct.pack("!I", socket.if_nametoindex(probe.unicast_if)))
    if probe.source or probe.sport:
        sock.bind((probe.source or ("::" if v6 else "0.0.0.0"), probe.sport))
    return sock


def _control(sent):
    """The ancillary data that names an output device for one packet."""
    if not sent.probe.pktinfo:
        return []
    index = socket.if_nametoindex(sent.probe.pktinfo)
    if sent.family == socket.AF_INET6:
        return [(socket.IPPROTO_IPV6, socket.IPV6_PKTINFO, struct.pack("=16sI", b"", index))]
    ip_pktinfo = 8
    return [(socket.IPPROTO_IP, ip_pktinfo, struct.pack("=I4s4s", index, b"", b""))]


def _echo_request(sent):
    request = 128 if sent.family == socket.AF_INET6 else 8
    payload = b"p" * sent.probe.size
    header = struct.pack("!BBHHH", request, 0, 0, os.getpid() & 0xFFFF, 1)
    # The kernel fills in the checksum for ping sockets and ICMPv6, not for raw ICMP.
    total = sum(struct.unpack(f"!{len(header + payload) // 2}H", (header + payload)[:len(header + payload) & ~1]))
    total = (total & 0xFFFF) + (total >> 16)
    total = ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF
    return struct.pack("!BBHHH", request, 0, total, os.getpid() & 0xFFFF, 1) + payload


def _start(sent, selector):
    probe = sent.probe
    try:
        sock = _open(sent)
        if probe.kind == "tcp":
            error = sock.connect_ex((probe.to, probe.port))
            if error not in (0, errno.EINPROGRESS):
                raise OSError(error, os.strerror(error))
            selector.register(sock, selectors.EVENT_WRITE, sent)
            return
        payload = b"u" * probe.size if probe.kind == "udp" else _echo_request(sent)
        port = probe.port if probe.kind == "udp" else 0
        sock.sendmsg([payload], _control(sent), 0, (probe.to, port))
        selector.register(sock, selectors.EVENT_READ, sent)
    except OSError as error:
        sent.fail(error)


def _ready(sent, selector, events):
    sock, probe = sent.socket, sent.probe
    try:
        if events & selectors.EVENT_WRITE:  # TCP: connected, or failed to
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error:
                raise OSError(error, os.strerror(error))
            sent.answered = True
            sock.send(b"t" * probe.size)
            selector.modify(sock, selectors.EVENT_READ, sent)
            return
        data, peer = sock.recvfrom(65536)
        if probe.kind == "raw":
            # A raw socket gets all ICMP packets, including its own request over loopback.
            at = 0 if sent.family == socket.AF_INET6 else (data[0] & 15) * 4
            if peer[0] != probe.to or data[at] not in (0, 129):
                return
        if probe.kind in ("udp", "tcp"):
            sent.seen_as = data.decode("ascii", "replace")
        sent.answered = sent.done = True
    except OSError as error:
        sent.fail(error)


def _become(uid):
    if uid:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)


def _flood(request):
    """Send until SIGTERM; then print what was sent."""
    _become(request["uid"])
    counts = dict.fromkeys(("udp", "udp failed", "syn", "syn failed", "data", "data failed"), 0)
    going = True

    def stop(_signum, _frame):
        nonlocal going
        going = False

    signal.signal(signal.SIGTERM, stop)
    print("ready", flush=True)
    streams = {}
    turn = 0
    while going:
        for address in request["addresses"]:
            family = socket.AF_INET6 if ":" in address else socket.AF_INET
            try:
                # A new socket each time, so that every packet is routed anew.
                with socket.socket(family, socket.SOCK_DGRAM) as sock:
                    sock.sendto(b"flood" * 20, (address, 9))
                counts["udp"] += 1
            except OSError:
                counts["udp failed"] += 1
            if turn % 10 == 0:
                with socket.socket(family, socket.SOCK_STREAM) as sock:
                    sock.setblocking(False)
                    failed = sock.connect_ex((address, 9)) not in (0, errno.EINPROGRESS)
                    counts["syn failed" if failed else "syn"] += 1
                # One connection that lives as long as it can, opened by whatever route there was.
                try:
                    if address not in streams:
                        streams[address] = socket.socket(family, socket.SOCK_STREAM)
                        streams[address].setblocking(False)
                        streams[address].connect_ex((address, 7))
                    streams[address].send(b"flood" * 20)
                    counts["data"] += 1
                    streams[address].recv(65536)
                except BlockingIOError:
                    pass
                except OSError:
                    counts["data failed"] += 1
                    streams.pop(address).close()
        turn += 1
        time.sleep(request["interval"])
    print(json.dumps(counts), flush=True)


def main(arguments):
    if arguments:
        _flood(json.loads(arguments[0]))
        return
    request = json.load(sys.stdin)
    _become(request["uid"])
    selector = selectors.DefaultSelector()
    probes = [_Sent(SimpleNamespace(**probe)) for probe in request["probes"]]
    for sent in probes:
        _start(sent, selector)
    end = time.monotonic() + request["timeout"]
    while not all(sent.done for sent in probes):
        left = end - time.monotonic()
        if left <= 0:
            break
        for key, events in selector.select(left):
            _ready(key.data, selector, events)
            if key.data.done:
                selector.unregister(key.fileobj)
    json.dump([sent.result() for sent in probes], sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
