"""Sends probes towards the internet from the first moment of boot to the last of shutdown.

The boot and shutdown tests look for these on the wire. As root and as the
unprivileged uid 65534, to an IPv4 and an IPv6 address, from an ordinary socket
and from one bound to the uplink. Every error is ignored: the probes begin before
there is a network, and that is the point.
"""

import itertools
import os
import socket
import sys
import time

TARGETS = ((socket.AF_INET, "198.51.100.1"), (socket.AF_INET6, "2001:db8:1::1"))
PORT = 9
DEVICE = b"eth0"
NOBODY = 65534
INTERVAL = 1 / 10


def probe(family, address, bound, text):
    """One datagram from a socket of its own: an open socket would keep an old route."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            if bound:
                sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, DEVICE)
            sender.sendto(text.encode(), (address, PORT))
    except OSError:
        pass


def main():
    if os.fork() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
    uid = os.getuid()
    for number in itertools.count():
        for family, address in TARGETS:
            for bound in (False, True):
                probe(family, address, bound, f"ks-probe uid={uid} bound={int(bound)} n={number}")
        time.sleep(INTERVAL)


if __name__ == "__main__":
    sys.exit(main())
