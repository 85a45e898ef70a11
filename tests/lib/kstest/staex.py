"""A host whose VPN is a plain tunnel program (tunnel.py) with a [vpn NAME] section: the article's Staex, from UDP port 1234."""

import signal

from . import netns
from .machine import Host
from .netns import SERVER
from .runner import wait_for

_CONFIG = "/etc/nm-killswitch.conf"
_PORT, _SERVER_PORT = 1234, 4321

# The routes that such a program sets, and the one to its server, which it has to take away itself.
_ROUTES = "route add 0.0.0.0/1 dev {device}\nroute add 128.0.0.0/1 dev {device}\nroute add 2000::/3 dev {device}\n"
_SERVER_ROUTE = f"route replace {SERVER} via {{router}}\n"


class Staex(Host):
    """NetworkManager sees its device as an external connection; what follows the device is nm-killswitch-heal."""

    device = "staex0"
    inside = ("10.9.0.2", "fd09::2")
    sports = (_PORT,)

    def __init__(self, killswitch, **options):
        super().__init__(killswitch, **options)
        self._client = self._server = None
        self._serve()
        self._armed = False
        self.start(None, [("udp", SERVER, _SERVER_PORT)])

    def _serve(self):
        self._server = self.lab.internet.start("staex-server", *netns.python_module(
            "tunnel", "server", "staex0", SERVER, str(_SERVER_PORT), "10.9.0.1/24", "fd09::1/64"))
        wait_for(lambda: self.lab.internet.has_device("staex0"), 5, "the tunnel's server is up", 0.01)

    # The kill switch

    def install(self):
        if not self.killswitch:
            super().install()
            self.nm.stand_in_for_heal_socket()

    def arm(self):
        self._configure(f"[vpn staex]\nInterface={self.device}\nProtocol=udp\nPort={_PORT}\n")
        self._armed = True

    def disarm(self):
        self._configure("[main]\n")
        self._armed = False

    def _configure(self, text):
        """Write the file, and do what the path unit does."""
        self.host.write(_CONFIG, text)
        self.nm.stand_in_for_path_unit()

    # The program

    def down(self):
        if self._client is not None:
            self._end(signal.SIGTERM)

    def disconnect(self):
        self._end(signal.SIGTERM)

    def kill(self):
        self._end(signal.SIGKILL)

    def _end(self, signum):
        self._client.stop(signum)
        self._client = None
        self.wait_down()
        self.host.run("ip", "route", "delete", SERVER)

    def up(self):
        self.down()
        self._client = self.host.start("staex", *netns.python_module(
            "tunnel", "client", self.device, str(_PORT), SERVER, str(_SERVER_PORT), "0", "10.9.0.2/24", "fd09::2/64"))
        self.host.ip(_SERVER_ROUTE.format(router=self.lab.lan.router))
        wait_for(lambda: self.host.has_device(self.device), 5, "the tunnel connects", 0.01)
        wait_for(lambda: self.host.run("ip", "-6", "address", "show", "dev", self.device, "up").stdout, 5, "it is up", 0.02)
        self.host.ip(_ROUTES.format(device=self.device))
        if self._armed:
            wait_for(lambda: f"up on {self.device}" in self.host.run("nm-killswitch", "status", check=False).stdout,
                     5, "the kill switch has noticed the device")

    def server_gone(self):
        """The server ends. The program would wait for it for ever; here it is ended too."""
        self._server.stop()
        self.check_lan_works()
        self.kill()
        self._serve()

    def reconnect(self):
        """The server is started anew, and sends to whoever sent to it last; the program has not noticed."""
        self._server.stop()
        self._serve()
        self.probe()
