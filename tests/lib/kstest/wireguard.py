"""WireGuard in the virtual machine, as a subject of the sheet (sheet.py).

The tunnel is a device of the kernel's, and no program carries it. So it is
killed by deleting the device. It does not notice that the server has gone, and
sends on into the tunnel, which leaks nothing without the kill switch either.
The profile has a listening port, so that there is one to abuse.
"""

from . import wire
from .guest import Guest, Lan, Router, slow_flood
from .netns import TARGET, TARGET6
from .runner import check, equal, wait_for
from .subject import Subject
from .vm import PATIENCE
from .vm_vpn import SERVER, arm, disarm, down, is_active, serve_wireguard, snapshot, up, wait_idle

_LISTENING_PORT = 40001


class WireGuard(Subject):
    """The machine of vm_stages.py, and its WireGuard profile with a listening port."""

    sports = (_LISTENING_PORT,)
    patience = 2 * PATIENCE

    def __init__(self, stages):
        self._stages = stages
        self.machine, self.vpn = stages.clean(), stages.vpns.second
        self.device, self.inside = self.vpn.device, (f"10.{self.vpn.net}.", f"fd{self.vpn.net}::")
        transport = ("udp", SERVER, self.vpn.port)
        super().__init__(Guest(self.machine), [wire.Wire(Router(self.machine.router), "tap0", Lan.prefixes, [transport])],
                         [Lan()])
        self.transports = [transport]
        self.untouched = stages.vpns.before
        self._served = True
        self.host.serve_echo(TARGET, TARGET6)

    # The kill switch

    def install(self):
        """Go on from the state with the package installed, and all VPNs down: it has been booted as long as the first one."""
        if not self.killswitch:
            self.machine = self._stages.installed()
            self.host = Guest(self.machine)
            self.killswitch = self._served = True
            self.host.serve_echo(TARGET, TARGET6)

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
        return slow_flood(self.host)

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
