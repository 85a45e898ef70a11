"""vpnc: strongSwan as a server for Cisco's IKEv1 (XAuth, group password) in the Lab's internet, and a host with a profile.

ESP is made by programs at both ends: by vpnc itself, and by strongSwan's kernel-libipsec, since the kernel may have no ESP.
That one knows ESP in UDP only, which it gets by claiming to be behind NAT.
"""

import os
import signal
import uuid

from .machine import VPN, Host
from .netns import SERVER
from .runner import wait_for
from .subject import PROBES

_GROUP, _GROUP_PASSWORD, _USER, _PASSWORD = "group", "worth-nothing", "somebody", "nor-is-this"

_STRONGSWAN = """\
charon {{
    load = aes sha1 sha2 md5 des hmac random nonce gmp openssl kdf kernel-libipsec kernel-netlink socket-default stroke updown xauth-generic
    i_dont_care_about_security_and_use_aggressive_mode_psk = yes
    filelog {{
        stderr {{
            default = 1
        }}
    }}
    plugins {{
        stroke {{
            secrets_file = {directory}/secrets
        }}
    }}
}}
"""

_IPSEC = """\
config setup
    uniqueids = no
conn vpnc
    keyexchange = ikev1
    aggressive = yes
    ike = aes128-sha1-modp1024!
    esp = aes128-sha1!
    left = {address}
    leftid = {address}
    leftsubnet = 0.0.0.0/0
    leftauth = psk
    right = %any
    rightauth = psk
    rightauth2 = xauth
    rightsourceip = 10.12.0.0/24
    modeconfig = pull
    auto = add
"""

_PROFILE = """\
[connection]
id={name}
uuid={uuid}
type=vpn
autoconnect=false
[vpn]
service-type=org.freedesktop.NetworkManager.vpnc
IPSec gateway={address}
IPSec ID={group}
Xauth username={user}
NAT Traversal Mode=natt
Enable Single DES=no
Vendor=cisco
IKE DH Group=dh2
Perfect Forward Secrecy=nopfs
[vpn-secrets]
IPSec secret={group_password}
Xauth password={password}
[ipv4]
method=auto
[ipv6]
method=auto
"""


class Vpnc(Host):
    """A host whose VPN is vpnc's, with ESP in UDP."""

    needs = ("/usr/lib/ipsec/starter", "/usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so",
             "/usr/lib/ipsec/plugins/libstrongswan-xauth-generic.so", "/usr/lib/NetworkManager/VPN/nm-vpnc-service.name")
    program = "vpnc"
    inside = ("10.12.",)
    carried = [probe for probe in PROBES if ":" not in probe.to]    # it has IPv4 only

    def __init__(self, killswitch, **options):
        super().__init__(killswitch, **options)
        self._directory = os.path.join(self.lab.directory, "strongswan")
        os.makedirs(self._directory)
        self._write("strongswan.conf", _STRONGSWAN.format(directory=self._directory))
        self._write("ipsec.conf", _IPSEC.format(address=SERVER))
        self._write("secrets", f': PSK "{_GROUP_PASSWORD}"\n{_USER} : XAUTH "{_PASSWORD}"\n')
        self.lab.internet.run("mount", "-t", "tmpfs", "tmpfs", "/run")
        self._server = None
        self._serve()
        self.start(_PROFILE.format(name=VPN, uuid=uuid.uuid5(uuid.NAMESPACE_DNS, VPN), address=SERVER, group=_GROUP, user=_USER,
                                   group_password=_GROUP_PASSWORD, password=_PASSWORD),
                   [("udp", SERVER, 500), ("udp", SERVER, 4500)])

    def _write(self, name, text):
        with open(os.path.join(self._directory, name), "w", encoding="ascii") as file:
            file.write(text)

    def _serve(self):
        before = self._server.text().count("added configuration 'vpnc'") if self._server else 0
        self._server = self.lab.internet.start(
            "strongswan", "env", f"STRONGSWAN_CONF={self._directory}/strongswan.conf", "/usr/lib/ipsec/starter", "--nofork",
            "--conf", f"{self._directory}/ipsec.conf")
        wait_for(lambda: self._server.text().count("added configuration 'vpnc'") > before, 10, "strongSwan is up", 0.05)

    def server_gone(self):
        """strongSwan ends without a word. vpnc would notice after a minute; here it is ended at once."""
        self.lab.internet.kill_all("charon")
        self._server.stop(signal.SIGKILL)
        self.check_lan_works()
        self.kill()
        self.lab.internet.run("rm", "-f", "/run/charon.pid", "/run/starter.charon.pid", "/run/charon.ctl")
        self._serve()
