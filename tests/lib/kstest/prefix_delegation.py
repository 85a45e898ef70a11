"""A DHCPv6 server that delegates a prefix (RFC 8415), which dnsmasq does not do: what NetworkManager's sharing gives clients.

Runs in the router's namespace, beside a dnsmasq that only announces the network: prefix_delegation.main([DEVICE, ADDRESS,
PREFIX]). Whoever asks is given ADDRESS and PREFIX, and the route to PREFIX leads by them.
"""

import ipaddress
import socket
import struct
import subprocess
import sys

_SOLICIT, _ADVERTISE, _REQUEST, _RENEW, _REBIND, _REPLY, _RELEASE = 1, 2, 3, 5, 6, 7, 8
_ANSWERS = {_SOLICIT: _ADVERTISE, **dict.fromkeys((_REQUEST, _RENEW, _REBIND, _RELEASE), _REPLY)}
_CLIENT_ID, _SERVER_ID, _IA_NA, _IA_ADDRESS, _IA_PD, _IA_PREFIX = 1, 2, 3, 5, 25, 26
_OURS = struct.pack("!HH", 3, 1) + bytes(6)     # a DUID
_LIFETIME = 1800                                # seconds
_TIMES = struct.pack("!II", _LIFETIME, _LIFETIME)


def _option(code, value):
    return struct.pack("!HH", code, len(value)) + value


def _options(text):
    """The (code, value) of each option in TEXT."""
    while len(text) >= 4:
        code, length = struct.unpack_from("!HH", text)
        yield code, text[4:4 + length]
        text = text[4 + length:]


def _answer(request, address, prefix):
    """The answer to REQUEST; None if there is none."""
    kind = _ANSWERS.get(request[0]) if len(request) >= 4 else None
    if kind is None:
        return None
    given = {_IA_NA: _option(_IA_ADDRESS, address.packed + _TIMES),
             _IA_PD: _option(_IA_PREFIX, _TIMES + bytes([prefix.prefixlen]) + prefix.network_address.packed)}
    answer = bytes([kind]) + request[1:4] + _option(_SERVER_ID, _OURS)
    for code, value in _options(request[4:]):
        if code == _CLIENT_ID:
            answer += _option(code, value)
        elif code in given:
            answer += _option(code, value[:4] + _TIMES + given[code])
    return answer


def main(arguments):
    device, address, prefix = arguments
    group = socket.inet_pton(socket.AF_INET6, "ff02::1:2") + struct.pack("@I", socket.if_nametoindex(device))
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        server.bind(("::", 547))
        server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group)
        while True:
            request, peer = server.recvfrom(2048)
            answer = _answer(request, ipaddress.ip_address(address), ipaddress.ip_network(prefix))
            if answer is not None:
                subprocess.run(["ip", "route", "replace", prefix, "via", peer[0].partition("%")[0], "dev", device], check=True)
                server.sendto(answer, peer)


if __name__ == "__main__":
    main(sys.argv[1:])
