"""A DHCP server with leases of a few seconds, which dnsmasq does not do; it forgets its client when it ends.

Runs in the router's namespace: attack_dhcp.main([DEVICE, OUR-ADDRESS, CLIENT-ADDRESS, SECONDS]).
"""

import socket
import struct
import sys

_COOKIE = b"\x63\x82\x53\x63"
_DISCOVER, _OFFER, _REQUEST, _ACK = 1, 2, 3, 5


def _option(code, value):
    return bytes((code, len(value))) + value


def _kind(request):
    """The DHCP message type; option 53."""
    at = 240
    while at + 2 <= len(request) and request[at] != 255:
        if request[at] == 53:
            return request[at + 2]
        at += 1 if request[at] == 0 else 2 + request[at + 1]
    return None


def main(arguments):
    device, ours, client, seconds = arguments
    address, server = socket.inet_aton(client), socket.inet_aton(ours)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        sock.bind(("", 67))
        print("ready", flush=True)
        while True:
            request, peer = sock.recvfrom(2048)
            answer = {_DISCOVER: _OFFER, _REQUEST: _ACK}.get(_kind(request))
            if len(request) < 240 or not answer:
                continue
            reply = struct.pack("!BBBB", 2, 1, 6, 0) + request[4:8] + struct.pack("!HH", 0, 0x8000) \
                + request[12:16] + address + server + bytes(4) + request[28:44] + bytes(192) + _COOKIE \
                + _option(53, bytes((answer,))) + _option(54, server) + _option(51, struct.pack("!I", int(seconds))) \
                + _option(1, socket.inet_aton("255.255.255.0")) + _option(3, server) + _option(6, server) + b"\xff"
            print(f"type {answer} to {peer[0]}", flush=True)
            sock.sendto(reply, (peer[0] if peer[0] != "0.0.0.0" else "255.255.255.255", 68))


if __name__ == "__main__":
    main(sys.argv[1:])
