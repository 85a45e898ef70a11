"""Echo servers for the probes: they answer with the address they saw.

The answer tells which way a probe came: from a LAN address over the wire, or
from a tunnel address through the VPN. Runs in a namespace, for ever:

    echo.main(["udp:7,53", "tcp:7,80", "198.51.100.1", "2001:db8:1::1"])
"""

import selectors
import socket
import sys


def _listen(kind, address, port):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, kind)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    sock.bind((address, port))
    if kind == socket.SOCK_STREAM:
        sock.listen(128)
    sock.setblocking(False)
    return sock


def main(arguments):
    kinds = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}
    ports = [(kinds[kind], int(port)) for kind, _, listed in (a.partition(":") for a in arguments
                                                             if a.startswith(("udp:", "tcp:")))
             for port in listed.split(",")]
    addresses = [a for a in arguments if not a.startswith(("udp:", "tcp:"))]
    selector = selectors.DefaultSelector()
    for kind, port in ports:
        for address in addresses:
            selector.register(_listen(kind, address, port), selectors.EVENT_READ, "listen")
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            sock = key.fileobj
            try:
                if key.data == "stream":
                    if not sock.recv(65536):
                        raise ConnectionError
                    sock.send(sock.getpeername()[0].encode())
                elif sock.type == socket.SOCK_DGRAM:
                    _, peer = sock.recvfrom(65536)
                    sock.sendto(peer[0].encode(), peer)
                else:
                    stream, _ = sock.accept()
                    stream.setblocking(False)
                    selector.register(stream, selectors.EVENT_READ, "stream")
            except OSError:
                if key.data == "stream":
                    selector.unregister(sock)
                    sock.close()


if __name__ == "__main__":
    main(sys.argv[1:])
