"""What the tests have this machine send, without a program to be started for it: that would take most of the time."""

import os
import socket
import struct
import time

NOBODY = 65534
ECHO = {socket.AF_INET: (8, 0, socket.IPPROTO_ICMP), socket.AF_INET6: (128, 129, socket.IPPROTO_ICMPV6)}


def in_child(function, uid):
    """Run FUNCTION in a child process, as UID; its exit status is whether what it returned was true."""
    pid = os.fork()
    if pid:
        return pid
    status = 2
    try:
        if uid:
            os.setgroups([])
            os.setgid(uid)
            os.setuid(uid)
        status = 0 if function() else 1
    finally:
        os._exit(status)


def wait(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _socket(family, kind, device, protocol=0):
    made = socket.socket(family, kind, protocol)
    if device:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
    return made


def _checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xffff) + (total >> 16)
    return ~(total + (total >> 16)) & 0xffff


def _echo_socket(family, device):
    """As ping has it: a raw one for root, the other kind for everybody else."""
    kind = socket.SOCK_RAW if os.getuid() == 0 else socket.SOCK_DGRAM
    made = _socket(family, kind, device, ECHO[family][2])
    made.setblocking(False)
    return made


def _echo_request(family, number):
    body = struct.pack("!HH", os.getpid() & 0xffff, number) + b"ks-probe"
    # of IPv6 the kernel knows the sum
    return struct.pack("!BBH", ECHO[family][0], 0, _checksum(struct.pack("!H", ECHO[family][0] << 8) + body)) + body


def _answered(echo, family, number):
    """Whether the answer to request NUMBER has come, or an error that ends the attempt (None)."""
    try:
        while True:
            data, _ = echo.recvfrom(2048)
            if family == socket.AF_INET and echo.type == socket.SOCK_RAW:
                data = data[(data[0] & 15) * 4:]
            if data[0] == ECHO[family][1] and data[6:8] == struct.pack("!H", number) and data[8:] == b"ks-probe" \
                    and (echo.type != socket.SOCK_RAW or data[4:6] == struct.pack("!H", os.getpid() & 0xffff)):
                return True
    except BlockingIOError:
        return False
    except OSError:
        return None


def _ping_once(address, device, number):
    family = family_of(address)
    end = time.monotonic() + 1
    try:
        with _echo_socket(family, device) as echo:
            echo.sendto(_echo_request(family, number), (address, 0))
            while time.monotonic() < end:
                answer = _answered(echo, family, number)
                if answer is not False:
                    return bool(answer)
                time.sleep(0.01)
    except OSError:
        pass
    return False


def ping(address, limit, device=None):
    """Whether ADDRESS answers within LIMIT seconds; each second it is tried again, also after an error."""
    end = time.monotonic() + limit
    for number in range(1, 1 << 16):
        if _ping_once(address, device, number):
            return True
        if time.monotonic() >= end:
            return False
        time.sleep(0.2)
    return False


def _attempt(sockets, family, kind, address, port, device):
    """One UDP or TCP probe; every error is what a kill switch may cause."""
    try:
        sockets.append(_socket(family, kind, device))
        sockets[-1].setblocking(False)
        sockets[-1].connect((address, port))
        sockets[-1].send(b"ks-probe")
    except OSError:
        pass


def _echoes(addresses, devices, number):
    for address in addresses:
        for device in devices:
            try:
                with _echo_socket(family_of(address), device) as echo:
                    echo.sendto(_echo_request(family_of(address), number), (address, 0))
            except OSError:
                pass


def all_kinds(addresses, device=None):
    """One of each kind of packet to each of the ADDRESSES; with DEVICE also from sockets bound to it."""
    sockets = []
    devices = (None, device) if device else (None,)
    for address in addresses:
        for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
            for bound in devices:
                for port in (9, 443):
                    _attempt(sockets, family_of(address), kind, address, port, bound)
    _echoes(addresses, devices, 1)
    time.sleep(0.3)
    _echoes(addresses, devices, 2)
    return True
