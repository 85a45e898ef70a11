"""Probes: packets that an ordinary program would send, and what became of them.

A probe is data, so that a test can send a whole table of them at once. They
run in one process inside the namespace, all at the same time, as root or as
the user nobody:

    results = probes.send(lab.host, [Probe("udp", TARGET, 53), ...], uid=probes.NOBODY)

An echo server (echo.py) answers with the address it saw, which says which way
the probe went. A `Flood` sends all the time, for leaks that last a moment.
"""

import dataclasses
import errno
import json
import os
import selectors
import signal
import socket
import struct
import sys
import time
from typing import Optional

NOBODY = 65534

IP_UNICAST_IF = 50
IPV6_UNICAST_IF = 76


@dataclasses.dataclass(frozen=True)
class Probe:
    """What to send. A device is a name; without one, routing decides."""

    kind: str                           # 'udp', 'tcp', 'icmp' (ping socket), 'raw' (ICMP, needs root)
    to: str
    port: int = 7
    bind_device: Optional[str] = None   # SO_BINDTODEVICE
    unicast_if: Optional[str] = None    # IP_UNICAST_IF, IPV6_UNICAST_IF
    pktinfo: Optional[str] = None       # IP_PKTINFO, IPV6_PKTINFO
    source: Optional[str] = None        # the address to bind to
    sport: int = 0                      # the port to bind to
    reuseport: bool = False             # SO_REUSEPORT and SO_REUSEADDR, to share a busy port
    mark: int = 0                       # SO_MARK, needs root
    size: int = 32                      # of the payload; 3000 makes fragments

    def __str__(self):
        how = [f"{field.name}={getattr(self, field.name)}" for field in dataclasses.fields(self)
               if field.name not in ("kind", "to", "port")
               and getattr(self, field.name) != field.default]
        port = "" if self.kind in ("icmp", "raw") else f" {self.port}"
        return " ".join([f"{self.kind} {self.to}{port}"] + how)


@dataclasses.dataclass
class Result:
    """What became of it."""

    probe: Probe
    answered: bool
    seen_as: Optional[str]      # the address the server saw, if it is an echo server
    error: Optional[str]        # name of the errno, such as 'ENETUNREACH'; None if there was none

    def __str__(self):
        what = f"answered, seen as {self.seen_as}" if self.answered else self.error or "no answer"
        return f"{self.probe}: {what}"


def send(namespace, probes, uid=0, timeout=0.6):
    """Send all PROBES from NAMESPACE as UID; returns their results in the same order."""
    request = json.dumps({"timeout": timeout, "uid": uid,
                          "probes": [dataclasses.asdict(probe) for probe in probes]})
    output = namespace.run_python("probes", input=request, timeout=timeout + 20)
    return [Result(probe, **result) for probe, result in zip(probes, json.loads(output.stdout))]


def expect(namespace, probes, uid=0, timeout=0.6, tries=4):
    """As send(), for probes that should be answered: those without an answer are sent again, with twice the time each try.

    On a busy machine, or under a flood, an answer may be lost or late; four times in a row it is not by chance.
    """
    results = send(namespace, probes, uid, timeout)
    for _ in range(tries - 1):
        missing = [number for number, result in enumerate(results) if not result.answered]
        if not missing:
            break
        timeout *= 2
        for number, result in zip(missing, send(namespace, [probes[number] for number in missing], uid, timeout)):
            results[number] = result
    return results


class Flood:
    """UDP datagrams, TCP connections and TCP data to ADDRESSES, without end; a context manager.

    After it, `sent` says how many sends succeeded and how many failed, by kind.
    """

    def __init__(self, namespace, addresses, uid=NOBODY, interval=0.001, patience=5):
        """INTERVAL is the time between packets; PATIENCE, in seconds, how long it may take to start."""
        self._namespace, self._patience = namespace, patience
        self._request = json.dumps({"addresses": list(addresses), "uid": uid, "interval": interval})
        self._process = None
        self.sent = {}

    def __enter__(self):
        from .runner import wait_for  # not at the top: inside the namespace this file needs none of it
        self._process = self._namespace.python("probes", self._request)
        # The log continues where an earlier flood's ended.
        wait_for(lambda: self._process.text().rstrip().endswith("ready"), self._patience, "the flood starts", 0.005)
        return self

    def __exit__(self, error, *_):
        self._process.stop()
        if error is None:
            self.sent = json.loads(self._process.text().splitlines()[-1])


# What follows runs inside the namespace.

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
    probes = [_Sent(Probe(**probe)) for probe in request["probes"]]
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
