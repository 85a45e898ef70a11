"""iodine: a tunnel inside DNS queries. An iodined in the Lab's internet, and a host with a profile of the plugin."""

import uuid

from .machine import VPN, Host
from .runner import wait_for
from .subject import PROBES

SERVER = "203.0.113.12"     # an address of its own: at the others something answers on port 53
DOMAIN = "t.example"
_PASSWORD = "worth-nothing"

_PROFILE = """\
[connection]
id={name}
uuid={uuid}
type=vpn
autoconnect=false
[vpn]
service-type=org.freedesktop.NetworkManager.iodine
topdomain={domain}
{nameserver}
[vpn-secrets]
password={password}
[ipv4]
method=auto
[ipv6]
method=auto
"""


class Iodine(Host):
    """A host whose VPN is iodine's."""

    needs = ("/usr/sbin/iodined", "/usr/lib/NetworkManager/VPN/nm-iodine-service.name")
    device = "dns0"
    program = "iodine"
    inside = ("10.11.",)
    carried = [probe for probe in PROBES if ":" not in probe.to]    # it has IPv4 only

    def __init__(self, killswitch, resolver=False, **options):
        """With RESOLVER the queries go to the LAN's resolver, which asks the server; else to the server."""
        super().__init__(killswitch, **options)
        self.lab.internet.run("ip", "address", "add", f"{SERVER}/24", "dev", "eth0")
        if resolver:
            self.lab.lan.serve(False, f"--server=/{DOMAIN}/{SERVER}")
        self._server = None
        self._serve()
        self.start(_PROFILE.format(name=VPN, uuid=uuid.uuid5(uuid.NAMESPACE_DNS, VPN), domain=DOMAIN, password=_PASSWORD,
                                   nameserver="" if resolver else f"nameserver={SERVER}"),
                   [("udp", self.lab.lan.router if resolver else SERVER, 53)])
        self.host.run("mkdir", "-p", "/run/nm-iodine")  # the plugin's package has systemd make it

    def _serve(self):
        self._server = self.lab.internet.start("iodined", "iodined", "-f", "-c", "-P", _PASSWORD, "-l", SERVER, "-d", "dns0",
                                               "10.11.0.1/24", DOMAIN)
        wait_for(lambda: self.lab.internet.run("ss", "-Huln", f"src {SERVER}:53").stdout, 10, "iodined listens", 0.05)

    def down(self):
        """The plugin (1.2.0) fails to connect a second time (it goes on with a finished GVariantBuilder); so it is a new one.

        Its last thread may end later than the process seems to. NetworkManager would take it for the new one until then.
        """
        super().down()
        self.host.kill_all("nm-iodine-service")
        wait_for(lambda: not self.nm.has_name("org.freedesktop.NetworkManager.iodine"), 10, "the plugin has ended", 0.02)

    def server_gone(self):
        """iodined ends. iodine notices after a minute without data; here it is told to end at once."""
        self._server.stop()
        self.check_lan_works()
        self.kill()
        self._serve()
