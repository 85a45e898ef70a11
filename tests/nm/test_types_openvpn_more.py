#!/usr/bin/env python3
"""The sheet of cases (kstest/sheet.py) for what else an OpenVPN profile can say: TCP, several remotes, proxies."""

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

DEAD = "203.0.113.20"       # nothing is there
PROXY, PROXY_PORT = "203.0.113.30", 3128


class Proxied(Machine):
    """The host reaches the server through a proxy only."""

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

# With the second kind of proxy a loss is the same as with the first.
LOSSES = (sheet.killing_does_not_leak, sheet.disconnecting_does_not_leak, sheet.the_end_of_the_server_does_not_leak)

sheets = {name: Sheet(make) for name, make in TYPES.items()}
for name, each in sheets.items():
    each.register(f"{name}_", sheet.CONTROLS_OF_LOSSES + (LOSSES if name == "socks_proxy" else ()))


def bytes_after_the_end(m, uid, arm_late):
    """A program of UID fills a connection to the server and ends; (sent, received), with the kill switch on at its end."""
    m.install()
    m.down()
    (m.disarm if arm_late else m.arm)()
    m.server.stop()
    with m.lab.internet.entered():
        listener = socket.create_server((netns.SERVER, m.server.port))
    with m.host.entered():
        os.seteuid(uid)
        try:
            client = socket.create_connection((netns.SERVER, m.server.port), timeout=5)
        finally:
            os.seteuid(0)
    peer, _ = listener.accept()
    peer.settimeout(5)
    sent, received = 0, 0
    client.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            sent += client.send(bytes(65536))   # the peer does not read: more than it has room for
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
def tcp_what_a_program_has_left_to_send_reaches_the_server_after_its_end():
    # The kernel sends it when the program is gone, and its packets have no owner any more. A server that does not hear of
    # the end keeps its session, and may refuse the next one: seen with ssh, whose tun device it kept.
    sent, received = bytes_after_the_end(sheets["tcp"].subject(), 0, arm_late=False)
    equal(received, sent, "bytes that arrived")


@test
def tcp_what_another_users_program_has_left_to_send_does_not_leave():
    sent, received = bytes_after_the_end(sheets["tcp"].subject(), NOBODY, arm_late=True)
    check(received < sent, f"{received} of {sent} bytes arrived")


if __name__ == "__main__":
    runner.main()
