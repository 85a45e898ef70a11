"""VPNs that are made of PPP, in the virtual machine: L2TP by xl2tpd, without IPsec and with strongSwan's, PPTP by pptpd, SSTP.

At both ends pppd makes the device. They have IPv4 only.
"""

import shlex

from .guest import Guest
from .netns import TARGET
from .subject import PROBES
from .vm_plugin import Plugin, start
from .vm_strongswan import SECRET, configure_strongswan, start_strongswan
from .vm_vpn import SERVER

_DIRECTORY = "/etc/ks-ppp"
_USER, _PASSWORD = "somebody", "worth-nothing"

_OPTIONS = f"""\
name server
require-mschap-v2
nodefaultroute
noipv6
ms-dns {TARGET}
mtu 1400
mru 1400
"""

_XL2TPD = f"""\
[global]
listen-addr = {SERVER}
access control = no
[lns default]
ip range = 10.14.0.2-10.14.0.99
local ip = 10.14.0.1
require authentication = yes
name = server
pppoptfile = {_DIRECTORY}/options
"""

_IKEV1 = f"""\
conn l2tp
    keyexchange = ikev1
    type = transport
    ike = aes128-sha256-modp2048!
    esp = aes128-sha256!
    left = {SERVER}
    leftid = {SERVER}
    leftprotoport = udp/1701
    leftauth = psk
    right = %any
    rightprotoport = udp/%any
    rightauth = psk
    auto = add
"""

_WITH_IPSEC = f"""\
ipsec-enabled=yes
ipsec-psk={SECRET}
ipsec-ike=aes128-sha256-modp2048
ipsec-esp=aes128-sha256
"""

_PPTPD = f"""\
option {_DIRECTORY}/options
listen {SERVER}
localip 10.15.0.1
remoteip 10.15.0.2-99
"""

# ED25519: RSA keys take a minute to make in an emulated machine
_MAKE_CERTIFICATE = f"""set -e
mkdir -p {_DIRECTORY}; cd {_DIRECTORY}
openssl req -x509 -newkey ed25519 -nodes -days 30 -keyout sstp.key -out sstp.crt -subj /CN={SERVER}
cat sstp.key sstp.crt >sstp.pem
"""

# By the echo requests the client notices that the server has gone.
_PROFILE = """\
[connection]
id={name}
uuid=88888888-8888-4888-8888-00000000001{number}
type=vpn
autoconnect=false

[vpn]
service-type=org.freedesktop.NetworkManager.{service}
gateway={server}
user={user}
password-flags=0
lcp-echo-interval=3
lcp-echo-failure=4
{more}
[vpn-secrets]
password={password}

[ipv4]
method=auto

[ipv6]
method=auto
"""


def _profile(name, number, service, more=""):
    return _PROFILE.format(name=name, number=number, service=service, server=SERVER, user=_USER, password=_PASSWORD, more=more)


def _kill_servers(machine, names):
    """The provider's processes of these NAMES end without a word."""
    machine.server(f"pkill -KILL --ns $$ --nslist net -x '{names}'")


class _Ppp(Plugin):
    device = "ppp0"
    carried = [probe for probe in PROBES if ":" not in probe.to]

    @classmethod
    def prepare(cls, machine):
        machine.push(f"{_DIRECTORY}/options", _OPTIONS)
        machine.push("/etc/ppp/chap-secrets", f"{_USER} * {_PASSWORD} *\n", 0o600)
        super().prepare(machine)

    def down(self):
        super().down()
        self._wait_no_device()

    def wait_down(self):
        self._wait_no_device()
        super().wait_down()

    def _wait_no_device(self):
        """pppd goes on for seconds after nmcli has returned: it waits for the server to say that it may end."""
        self.machine.run("while pgrep --ns 1 --nslist net -x 'pppd|xl2tpd|pptp|sstpc' >/dev/null; do sleep 0.2; done",
                         timeout=30)


class L2tp(_Ppp):
    """Without IPsec."""

    name = "l2tp"
    profile = _profile("l2tp", 1, "l2tp")
    transport = [("udp", SERVER, 1701)]
    inside = ("10.14.",)
    program = "xl2tpd"

    @classmethod
    def prepare(cls, machine):
        machine.push(f"{_DIRECTORY}/xl2tpd.conf", _XL2TPD)
        super().prepare(machine)

    @staticmethod
    def serve(machine):
        start(machine, "xl2tpd", f"exec xl2tpd -D -c {_DIRECTORY}/xl2tpd.conf -p /run/ks-xl2tpd.pid -C /run/ks-xl2tpd.control",
              "^xl2tpd.*: Listening on")

    @staticmethod
    def end_server(machine):
        _kill_servers(machine, "xl2tpd|pppd")

    def wait_down(self):
        """NetworkManager's plugin leaves its route to the server behind."""
        super().wait_down()
        self.machine.run(f"ip route delete {SERVER}; true")


class L2tpIpsec(L2tp):
    """With IPsec, by strongSwan at both ends: of L2TP nothing is seen."""

    name = "l2tp-ipsec"
    profile = _profile("l2tp-ipsec", 2, "l2tp", _WITH_IPSEC)
    transport = [("udp", SERVER, 500), ("udp", SERVER, 4500), ("esp", SERVER, None)]

    def kill(self):
        """The server still has its half of the tunnel, and takes the next one, from the same port, for that: it begins anew."""
        super().kill()
        self.end_server(self.machine)
        self._served = False

    @classmethod
    def prepare(cls, machine):
        """The server of L2tp serves it, too: only IPsec is to be added."""
        configure_strongswan(machine, _IKEV1)
        start_strongswan(machine)


class Pptp(_Ppp):
    """Its data are in GRE."""

    name = "pptp"
    profile = _profile("pptp", 3, "pptp")
    transport = [("tcp", SERVER, 1723), ("gre", SERVER, None)]
    inside = ("10.15.",)
    program = "pppd"

    @classmethod
    def prepare(cls, machine):
        machine.push(f"{_DIRECTORY}/pptpd.conf", _PPTPD)
        super().prepare(machine)

    @staticmethod
    def serve(machine):
        start(machine, "pptpd", f"pptpd --fg --conf {_DIRECTORY}/pptpd.conf &\n"
              f"until ss -ltn | grep -q {SERVER}:1723; do sleep 0.1; done; echo ready; wait", "^ready")

    @staticmethod
    def end_server(machine):
        _kill_servers(machine, "pptpd|pptpctrl|pppd")


class Sstp(_Ppp):
    """PPP inside TLS. The server is ours: kstest/sstp.py."""

    name = "sstp"
    profile = _profile("sstp", 4, "sstp", "connection-type=password\nignore-cert-warn=yes\n")
    transport = [("tcp", SERVER, 443)]
    inside = ("10.16.",)
    program = "sstpc"

    @classmethod
    def prepare(cls, machine):
        machine.run(_MAKE_CERTIFICATE)
        super().prepare(machine)

    @staticmethod
    def serve(machine):
        command = Guest(machine, ["sstp"]).module("sstp", SERVER, "443", f"{_DIRECTORY}/sstp.pem", "file",
                                                  f"{_DIRECTORY}/options", "10.16.0.1:10.16.0.2")
        start(machine, "sstp", f"exec {shlex.join(command)}", "^ready")

    @staticmethod
    def end_server(machine):
        _kill_servers(machine, "sstpd|pppd")
