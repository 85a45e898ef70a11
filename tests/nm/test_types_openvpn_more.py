#!/usr/bin/env python3
"""The sheet of cases (kstest/sheet.py) for other OpenVPN settings: TCP, several remotes, proxies."""

import contextlib
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import netns, runner, sheet
from kstest.machine import Machine
from kstest.probes import NOBODY
from kstest.runner import check, equal, test
from kstest.sheet import Sheet

DEAD = "203.0.113.20"       # nothing answers there
PROXY, PROXY_PORT = "203.0.113.30", 3128


class Proxied(Machine):
    """The host reaches the server only through a proxy."""

    def __init__(self, kind):
        super().__init__(False, proto="tcp", transports=[("tcp", PROXY, PROXY_PORT)],
                         extra=f"proxy-type={kind}\nproxy-server={PROXY}\nproxy-port={PROXY_PORT}")

    def prepare(self):
        self.lab.internet.run("ip", "address", "add", f"{PROXY}/24", "dev", "eth0")
        proxy = self.lab.internet.python("proxy", PROXY, str(PROXY_PORT))
        runner.wait_for(lambda: "ready" in proxy.text(), 5, "the proxy is up", 0.02)


TYPES = {
    "tcp": lambda: Machine(False, proto="tcp"),
    # Without a limit OpenVPN tries a dead server for two minutes.
    "second_remote": lambda: Machine(
        False, proto="tcp", remote=f"{DEAD}:1195:udp, {netns.SERVER}:1194:tcp", extra="connect-timeout=2",
        transports=[("udp", DEAD, 1195), ("tcp", netns.SERVER, 1194)]),
    "http_proxy": lambda: Proxied("http"),
    "socks_proxy": lambda: Proxied("socks"),
}

# Losing the VPN is the same with either kind of proxy.
LOSSES = (sheet.killing_does_not_leak, sheet.disconnecting_does_not_leak, sheet.the_end_of_the_server_does_not_leak)

sheets = {name: Sheet(make) for name, make in TYPES.items()}
for name, each in sheets.items():
    each.register(f"{name}_", sheet.CONTROLS_OF_LOSSES + (LOSSES if name == "socks_proxy" else ()))


def bytes_after_the_end(m, uid, arm_late):
    """A program of UID fills a connection to the server and ends while armed; returns (sent, received)."""
    m.install()
    m.down()
    (m.disarm if arm_late else m.arm)()
    m.server.stop()
    with m.lab.internet.entered():
        listener = socket.create_server((netns.SERVER, m.server.port))
    with m.host.entered():
        os.seteuid(uid)
        try:
            client = socket.create_connection((netns.SERVER, m.server.port), timeout=20)
        finally:
            os.seteuid(0)
    peer, _ = listener.accept()
    peer.settimeout(5)
    sent, received = 0, 0
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += client.send(bytes(65536))   # the peer does not read, so its buffers fill up
    m.arm()
    client.close()
    try:
        while data := peer.recv(65536):
            received += len(data)
    except TimeoutError:
        pass
    finally:
        peer.close()
        listener.close()
        m.server.start()
    return sent, received


@test
def tcp_data_that_a_program_has_queued_reaches_the_server_after_it_ends():
    # The kernel sends the rest once the program is gone, and those packets have no owner. A server that does not hear of
    # the end keeps its session, and may refuse the next one: seen with ssh, whose tun device it kept.
    sent, received = bytes_after_the_end(sheets["tcp"].subject(), 0, arm_late=False)
    equal(received, sent, "bytes that arrived")


@test
def tcp_data_that_another_users_program_has_queued_does_not_leave():
    sent, received = bytes_after_the_end(sheets["tcp"].subject(), NOBODY, arm_late=True)
    check(received < sent, f"{received} of {sent} bytes arrived")


if __name__ == "__main__":
    runner.main()
