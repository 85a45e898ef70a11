"""WireGuard in the virtual machine, as a subject of the sheet (sheet.py).

The tunnel is a device of the kernel's, and no program carries it. So it is
killed by deleting the device. It does not notice that the server has gone, and
sends on into the tunnel, which leaks nothing without the kill switch either.
The profile has a listening port, so that there is one to abuse.
"""

import ipaddress
import os
import signal
import subprocess
from dataclasses import dataclass

from . import netns, probes, wire
from .netns import TARGET, TARGET6
from .runner import at_exit, check, equal, wait_for
from .subject import Subject
from .vm import PATIENCE
from .vm_router import DIE_WITH_PARENT, LAN6_GATEWAY, LAN_GATEWAY
from .vm_vpn import SERVER, arm, disarm, down, is_active, serve_wireguard, snapshot, up, wait_idle

_GUEST = "/usr/local/lib/ks-sheet"
_LISTENING_PORT = 40001


@dataclass(frozen=True)
class _Lan:
    """As the sheet knows a LAN; the cable is always plugged in."""

    device: str = "eth0"
    router: str = LAN_GATEWAY
    router6: str = LAN6_GATEWAY
    plugged: bool = True
    prefixes: tuple = tuple(map(ipaddress.ip_network, ("192.168.77.0/24", "fd77::/64")))


class _Router:
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
        return self._guest.run("cat", self._log, check=False).stdout

    def stop(self):
        self._guest.run("sh", "-c", f'kill -{signal.SIGTERM} "$(cat "$0.pid")"', self._log)
        self._job.wait(30 * PATIENCE)


class _Guest:
    """The client, with those methods of netns.Namespace that a subject needs."""

    def __init__(self, machine):
        self.machine = machine
        for name in ("probes.py", "echo.py"):
            with open(os.path.join(netns.LIB, "kstest", name), "rb") as file:
                machine.push(f"{_GUEST}/{name}", file.read())

    @staticmethod
    def module(name, *arguments):
        return ["python3", "-I", "-S", f"{_GUEST}/{name}.py", *arguments]

    def run(self, *command, timeout=30, check=True, input=""):  # pylint: disable=redefined-builtin,redefined-outer-name
        return self.machine.run(command, check=check, timeout=timeout, stdin=input)

    def run_python(self, name, *arguments, **options):
        return self.run(*self.module(name, *arguments), **options)

    def python(self, name, *arguments):
        return _Program(self, name, arguments)

    def sysctl(self, **settings):
        self.run("sysctl", "-qw", *(f"net.{key.replace('__', '.')}={value}" for key, value in settings.items()))


class WireGuard(Subject):
    """The machine of vm_stages.py, and its WireGuard profile with a listening port."""

    sports = (_LISTENING_PORT,)
    patience = 2 * PATIENCE

    def __init__(self, stages):
        self._stages = stages
        self.machine, self.vpn = stages.clean(), stages.vpns.second
        self.device, self.inside = self.vpn.device, (f"10.{self.vpn.net}.", f"fd{self.vpn.net}::")
        transport = ("udp", SERVER, self.vpn.port)
        super().__init__(_Guest(self.machine), [wire.Wire(_Router(self.machine.router), "tap0", _Lan.prefixes, [transport])],
                         [_Lan()])
        self.transports = [transport]
        self.untouched = stages.vpns.before
        self._served = True
        self._answer()

    def _answer(self):
        """Echo servers at the end of the tunnel."""
        self.machine.spawn(["ip", "netns", "exec", "server", *self.host.module("echo", "udp:7,53", "tcp:7,80", TARGET, TARGET6)],
                           timeout=3600)

    # The kill switch

    def install(self):
        """Go on from the state with the package installed, and all VPNs down: it has been booted as long as the first one."""
        if not self.killswitch:
            self.machine = self._stages.installed()
            self.host = _Guest(self.machine)
            self.killswitch = self._served = True
            self._answer()

    def arm(self):
        arm(self.machine, self.vpn)

    def disarm(self):
        disarm(self.machine, self.vpn)

    # The VPN

    def _has_device(self):
        return bool(self.machine.run(["test", "-e", f"/sys/class/net/{self.device}"], check=False))

    def up(self):
        self.down()
        if not self._served:
            serve_wireguard(self.machine, self.vpn)
            self._served = True
        up(self.machine, self.vpn)

    def down(self):
        self.machine.run(["nmcli", "connection", "down", self.vpn.name], check=False)
        self.wait_down()

    def disconnect(self):
        down(self.machine, self.vpn)

    def wait_down(self):
        wait_for(lambda: not self._has_device(), 10 * PATIENCE, "the tunnel's device is gone", 0.3)
        if self.killswitch:
            wait_idle(self.machine)

    def routing(self):
        return snapshot(self.machine)

    def flood(self):
        return probes.Flood(self.host, (TARGET, TARGET6), interval=0.02)

    def check_tunnel_carries(self):
        mark = self.mark()
        super().check_tunnel_carries()
        equal({record.packet.sport for record in self.since(mark) if record.kind == "transport"}, {_LISTENING_PORT},
              "source ports of the transport")

    # Ways to lose it

    def kill(self):
        self.machine.run(["ip", "link", "delete", self.device])
        wait_for(lambda: not is_active(self.machine, self.vpn), 20 * PATIENCE, "NetworkManager notices", 0.3)

    def server_gone(self):
        self.machine.server(["ip", "link", "delete", self.vpn.server_device])
        self._served = False

    def reconnect(self):
        """The server forgets the session; after 15 seconds without an answer WireGuard shakes hands anew."""
        serve_wireguard(self.machine, self.vpn)

        def shook_hands():
            output = self.machine.server(["wg", "show", self.vpn.server_device, "latest-handshakes"]).stdout
            return output.split()[-1] != "0"

        check(not shook_hands(), "the server has forgotten the session")
        wait_for(shook_hands, 60 * PATIENCE, "WireGuard connects again", 1)
