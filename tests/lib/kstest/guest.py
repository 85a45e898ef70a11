"""The virtual machine as what a subject (subject.py) has in namespaces: a host that runs programs, its LAN, a router with a wire."""

import ipaddress
import os
import signal
import subprocess
from dataclasses import dataclass

from . import netns, probes
from .netns import TARGET, TARGET6
from .runner import at_exit
from .vm import PATIENCE, CommandError
from .vm_router import DIE_WITH_PARENT, LAN6_GATEWAY, LAN_GATEWAY

_GUEST = "/usr/local/lib/ks-sheet"


@dataclass(frozen=True)
class Lan:
    """As the sheet knows a LAN; the cable is always plugged in."""

    device: str = "eth0"
    router: str = LAN_GATEWAY
    router6: str = LAN6_GATEWAY
    plugged: bool = True
    prefixes: tuple = tuple(map(ipaddress.ip_network, ("192.168.77.0/24", "fd77::/64")))


class Router:
    """The router's namespace: its wire is recorded, and it answers the probes that leak, and those to itself."""

    def __init__(self, router):
        self._router = router
        for ports, addresses in ((("udp:7,53", "tcp:7,80"), (TARGET, TARGET6)), (("udp:7", "tcp:7"), (LAN_GATEWAY, LAN6_GATEWAY))):
            echo = subprocess.Popen(DIE_WITH_PARENT + router.command(*netns.python_module("echo", *ports, *addresses)),
                                    stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            at_exit(echo.kill)

    def entered(self):
        return netns.entered(f"/run/netns/{self._router.namespace}")


class _Program:
    """A module of this package that runs in the guest; as netns.Process."""

    def __init__(self, guest, name, arguments):
        self._guest, self._log = guest, f"{_GUEST}/{name}.log"
        self._job = guest.machine.spawn(["sh", "-c", 'echo $$ >"$0.pid"; exec "$@" >"$0" 2>&1', self._log,
                                         *guest.module(name, *arguments)])

    def text(self):
        try:
            return self._guest.machine.pull(self._log).decode()
        except CommandError:    # it has not been started yet
            return ""

    def stop(self):
        self._guest.run("sh", "-c", f'kill -{signal.SIGTERM} "$(cat "$0.pid")"', self._log)
        self._job.wait(30 * PATIENCE)


class Guest:
    """The client, with those methods of netns.Namespace that a subject needs."""

    def __init__(self, machine, modules=("probe_send", "echo")):
        """MODULES are those of this package that can be run in it."""
        self.machine = machine
        for name in modules:
            with open(os.path.join(netns.LIB, "kstest", f"{name}.py"), "rb") as file:
                machine.push(f"{_GUEST}/{name}.py", file.read())

    @staticmethod
    def module(name, *arguments):
        # imported, so that it is compiled only once
        code = f"import sys; sys.path.insert(0, {_GUEST!r}); import {name}; {name}.main(sys.argv[1:])"
        return ["python3", "-I", "-S", "-c", code, *arguments]

    def run(self, *command, timeout=30, check=True, input=""):  # pylint: disable=redefined-builtin,redefined-outer-name
        return self.machine.run(command, check=check, timeout=timeout, stdin=input)

    def run_python(self, name, *arguments, **options):
        return self.run(*self.module(name, *arguments), **options)

    def python(self, name, *arguments):
        return _Program(self, name, arguments)

    def serve_echo(self, *addresses):
        """Answer probes to ADDRESSES at the VPN's provider; it goes on in what is kept of the machine from here."""
        command = ["ip", "netns", "exec", "server", *self.module("echo", "udp:7,53", "tcp:7,80", *addresses)]
        self.run("sh", "-c", 'setsid "$@" >/dev/null 2>&1 </dev/null &', "sh", *command)

    def sysctl(self, **settings):
        self.run("sysctl", "-qw", *(f"net.{key.replace('__', '.')}={value}" for key, value in settings.items()))


def slow_flood(guest):
    """As much of a flood as an emulated processor has time for."""
    return probes.Flood(guest, (TARGET, TARGET6), interval=0.02, patience=20 * PATIENCE, look=0.1)
