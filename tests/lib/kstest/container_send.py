"""Runs in the guest: what is in containers sends all the time, and asks for names.

    python3 container_send.py send SERVER PORT RESOLVER GLOB...    until it is killed
    python3 container_send.py ask NAME RESOLVER                    one query; prints the address, or nothing

GLOB are paths of network namespaces. One that comes is sent from at once, until its path goes: containers end and begin
again while their program does. Each packet says which address the container has, and of which kind it is:

    new     a socket of its own, that is routed anew       old   one socket, for as long as the namespace is there
    server  to the VPN's server and port                   dns   to the LAN's resolver

Further kinds have no room for a text: ping, and the first packet of TCP. How often each sender has sent all of this is in
a file of its own in ROUNDS.
"""

import contextlib
import ctypes
import glob
import itertools
import os
import shutil
import socket
import struct
import sys
import time

PUBLIC = {socket.AF_INET: "198.51.100.1", socket.AF_INET6: "2001:db8:1::1"}
INTERVAL = 0.4
ROUNDS = "/run/ks-container"
_CLONE_NEWNET = 0x40000000


def _enter(path):
    with open(path, "rb") as file:
        if ctypes.CDLL(None, use_errno=True).setns(file.fileno(), _CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), path)


class Flow:
    """Datagrams to one address; of the same socket if it is to be an OLD one."""

    def __init__(self, kind, address, port):
        self._kind, self._address, self._port = kind, address, port
        self._family = socket.AF_INET6 if ":" in address else socket.AF_INET
        self._socket = None

    def send(self):
        try:
            if self._socket is None:
                self._socket = socket.socket(self._family, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
                self._socket.connect((self._address, self._port))
            self._socket.send(f"ks-container {self._socket.getsockname()[0]} {self._kind}".encode())
            if self._kind == "old":
                return
        except OSError:
            pass    # every error is what a kill switch, or a container that has no network yet, may cause
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _connect(address):
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        sock.connect_ex((address, 443))


def _ping(address):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    # an echo request whose checksum is right as it stands: 0x0800 + 0xf7ff
    request = struct.pack("!BBHHH", 8, 0, 0xf7ff, 0, 0) if family == socket.AF_INET else struct.pack("!BBHHH", 128, 0, 0, 0, 0)
    try:
        with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6) as sock:
            sock.setblocking(False)
            sock.sendto(request, (address, 0))
    except OSError:
        pass


def _rounds_of(pid):
    return os.path.join(ROUNDS, str(pid))


def _send_from(path, server, port, resolver):
    _enter(path)
    inode = os.stat(path).st_ino
    flows = [Flow("server", server, port), Flow("dns", resolver, 53)]
    flows += [Flow(kind, address, 9) for kind in ("new", "old") for address in PUBLIC.values()]
    rounds = os.open(_rounds_of(os.getpid()), os.O_WRONLY | os.O_CREAT)
    for number in itertools.count(1):
        try:
            if os.stat(path).st_ino != inode:
                return
        except OSError:
            return
        for flow in flows:
            flow.send()
        for address in PUBLIC.values():
            _connect(address)
            _ping(address)
        os.pwrite(rounds, b"%d\n" % number, 0)
        time.sleep(INTERVAL)


def send(server, port, resolver, *patterns):
    children = {}
    shutil.rmtree(ROUNDS, ignore_errors=True)
    os.mkdir(ROUNDS)
    while True:
        paths = {path for pattern in patterns for path in glob.glob(pattern)}
        for path in paths - set(children.values()):
            pid = os.fork()
            if pid == 0:
                try:
                    _send_from(path, server, int(port), resolver)
                except OSError:
                    pass
                finally:
                    os._exit(0)
            children[pid] = path
        while children:
            pid, _ = os.waitpid(-1, os.WNOHANG)
            if not pid:
                break
            children.pop(pid, None)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(_rounds_of(pid))
        time.sleep(0.05)


def ask(name, resolver):
    """The A record of NAME, as RESOLVER has it."""
    question = b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0" + struct.pack("!HH", 1, 1)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.settimeout(4)
        try:
            sock.sendto(struct.pack("!HHHHHH", 0x4b53, 0x0100, 1, 0, 0, 0) + question, (resolver, 53))
            answer = sock.recv(2048)
        except OSError:
            return
    if struct.unpack_from("!H", answer, 6)[0]:
        print(socket.inet_ntoa(answer[-4:]))


if __name__ == "__main__":
    sys.exit({"send": send, "ask": ask}[sys.argv[1]](*sys.argv[2:]))
