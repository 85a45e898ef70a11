"""Which packets for a private network get as far as a device that leads there, by the device's kind.

Runs in the host, for each KIND one after the other, and prints as JSON what was
seen, or null for a kind that the kernel does not have:

    device_kinds.main(["tun", "ipip"])  ->  {"tun": ["4 0 any", "4 0 bound", ...], "ipip": null}

that is: the IP version, who sent it, and whether the socket was bound to the
device. The packets are looked at before the device has them: it need not lead anywhere.
"""

import contextlib
import fcntl
import json
import os
import socket
import struct
import subprocess
import sys
import time

NOBODY = 65534
_DEVICE = "kskind0"
_TO = {socket.AF_INET: "10.51.0.2", socket.AF_INET6: "fd51::2"}
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_ETH_P_ALL = 3

_OUTER, _OUTER6 = "remote 192.168.77.1", "remote fd77::1"
_OPTIONS = {"ipip": _OUTER, "gre": _OUTER, "gretap": _OUTER, "sit": _OUTER, "vti": f"{_OUTER} key 7", "vti6": f"{_OUTER6} key 7",
            "ip6tnl": _OUTER6, "ip6gre": _OUTER6, "ip6gretap": _OUTER6, "xfrm": "dev eth0 if_id 7"}


@contextlib.contextmanager
def _made(kind):
    """A device of this KIND with addresses; yields whether the kernel has such."""
    tun = None
    if kind == "tun":
        tun = os.open("/dev/net/tun", os.O_RDWR)
        fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", _DEVICE.encode(), _IFF_TUN | _IFF_NO_PI))
    elif subprocess.run(["ip", "link", "add", _DEVICE, "type", kind, *_OPTIONS.get(kind, "").split()],
                        capture_output=True, check=False).returncode:
        yield False
        return
    try:
        # The neighbours are for kinds that have any.
        subprocess.run(["ip", "-force", "-batch", "-"], text=True, capture_output=True, check=False, input=f"""\
link set {_DEVICE} up
address add 10.51.0.1/24 dev {_DEVICE}
address add fd51::1/64 dev {_DEVICE} nodad
neighbour add {_TO[socket.AF_INET]} lladdr 02:00:00:00:51:02 dev {_DEVICE}
neighbour add {_TO[socket.AF_INET6]} lladdr 02:00:00:00:51:02 dev {_DEVICE}
""")
        yield True
    finally:
        if tun is not None:
            os.close(tun)
        else:
            subprocess.run(["ip", "link", "delete", _DEVICE], check=False)


def _send(uid):
    """As UID, by a socket that is bound to the device and by one that is not."""
    pid = os.fork()
    if pid:
        os.waitpid(pid, 0)
        return
    if uid:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
    for family, address in _TO.items():
        for how in ("any", "bound"):
            with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sender:
                if how == "bound":
                    sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, _DEVICE.encode())
                sender.sendto(f"ks-kind {uid} {how}".encode(), (address, 9))
    os._exit(0)


def _seen():
    """What of that the device is given."""
    found = set()
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0) as sniffer:
        sniffer.bind((_DEVICE, _ETH_P_ALL))
        sniffer.setblocking(False)
        for uid in (0, NOBODY):
            _send(uid)
        time.sleep(0.1)
        with contextlib.suppress(BlockingIOError):
            while True:
                packet = sniffer.recv(2048)
                _, mark, rest = packet.partition(b"ks-kind ")
                if mark:
                    found.add(f"{packet[0] >> 4} {rest.decode()}")
    return sorted(found)


def main(kinds):
    result = {}
    for kind in kinds:
        with _made(kind) as is_there:
            result[kind] = _seen() if is_there else None
    print(json.dumps(result))


if __name__ == "__main__":
    main(sys.argv[1:])
