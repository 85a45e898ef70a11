#!/usr/bin/env python3
"""The sheet of cases (kstest/sheet.py) for what else an OpenVPN profile can say: TCP, several remotes, proxies."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import netns, runner, sheet
from kstest.machine import Machine
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
    "second_remote": lambda: Machine(
        False, proto="tcp", remote=f"{DEAD}:1195:udp, {netns.SERVER}:1194:tcp", extra="connect-timeout=2",
        transports=[("udp", DEAD, 1195), ("tcp", netns.SERVER, 1194)]),
    "http_proxy": lambda: Proxied("http"),
    "socks_proxy": lambda: Proxied("socks"),
}

for name, make in TYPES.items():
    Sheet(make).register(f"{name}_", sheet.CONTROLS_OF_LOSSES)

if __name__ == "__main__":
    runner.main()
