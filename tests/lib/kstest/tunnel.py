"""A plain tunnel program, such as Staex: IP packets in UDP, from one source port, by a tun device.

It knows nothing of NetworkManager, and adds no route. The device is there
from when the server has answered until the program ends:

    tunnel.main(["client", DEVICE, SOURCE-PORT, SERVER, PORT, MARK, ADDRESS/LENGTH...])
    tunnel.main(["server", DEVICE, SERVER, PORT, ADDRESS/LENGTH...])

SOURCE-PORT and MARK may be 0, for none.
"""

import fcntl
import os
import selectors
import socket
import struct
import subprocess
import sys

_TUNSETIFF = 0x400454CA
_IFF_TUN, _IFF_NO_PI = 0x0001, 0x1000
_HELLO = b"hello"       # the first byte of an IP packet is none of these
_SO_MARK = 36


def _open_device(name, addresses):
    device = os.open("/dev/net/tun", os.O_RDWR)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    script = [f"address add {address} dev {name}" for address in addresses] + [f"link set {name} mtu 1280 up"]
    subprocess.run(["ip", "-batch", "-"], input="\n".join(script), text=True, check=True, timeout=5)
    return device


def _carry(device, sock, peer):
    """Between DEVICE and SOCK; a server takes the address of whoever sent last for its peer."""
    selector = selectors.DefaultSelector()
    selector.register(device, selectors.EVENT_READ)
    selector.register(sock, selectors.EVENT_READ)
    while True:
        for key, _ in selector.select():
            try:
                if key.fileobj == device:
                    packet = os.read(device, 65536)
                    if peer:
                        sock.sendto(packet, peer)
                else:
                    packet, peer = sock.recvfrom(65536)
                    if packet == _HELLO:
                        sock.sendto(_HELLO, peer)
                    else:
                        os.write(device, packet)
            except OSError as error:
                print(f"lost: {error}", flush=True)


def _serve(device, address, port, *addresses):
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((address, int(port)))
    descriptor = _open_device(device, addresses)
    print("ready", flush=True)
    _carry(descriptor, sock, None)


def _connect(device, source_port, server, port, mark, *addresses):
    sock = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM)
    if int(mark):
        sock.setsockopt(socket.SOL_SOCKET, _SO_MARK, int(mark))
    if int(source_port):
        sock.bind(("", int(source_port)))
    sock.settimeout(0.2)
    peer = (server, int(port))
    while True:
        try:
            sock.sendto(_HELLO, peer)
            if sock.recv(65536) == _HELLO:
                break
        except OSError as error:
            print(f"not yet: {error}", flush=True)
    sock.settimeout(None)
    descriptor = _open_device(device, addresses)
    print("ready", flush=True)
    _carry(descriptor, sock, peer)


def main(arguments):
    {"client": _connect, "server": _serve}[arguments[0]](*arguments[1:])


if __name__ == "__main__":
    main(sys.argv[1:])
