"""strongSwan: an IKEv2 server at the provider, and a profile of NetworkManager's plugin, whose daemon is charon-nm.

Debian 12's (strongSwan 5.9) makes a tun device that carries nothing: IPsec policies match the addresses it has. Debian 13's
(6.0) makes an XFRM interface.
"""

from .netns import TARGET
from .runner import wait_for
from .vm import PATIENCE
from .vm_plugin import Plugin, log_of, start
from .vm_vpn import SERVER

_DIRECTORY = "/etc/ks-strongswan"
ADDRESS, ADDRESS6 = "10.13.0.1", "fd13::1"      # of the client in the tunnel
SECRET = "worth-nothing-but-long-enough"

_STRONGSWAN = """\
charon {{
    load = aes sha1 sha2 hmac kdf random nonce gmp openssl kernel-netlink socket-default stroke updown
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
"""

# The plainest algorithms: emulated, others take seconds.
_IKEV2 = """\
conn ikev2
    keyexchange = ikev2
    ike = aes128-sha256-modp2048!
    esp = aes128-sha256!
    left = {server}
    leftid = {server}
    leftsubnet = 0.0.0.0/0,::/0
    leftauth = psk
    right = %any
    rightauth = psk
    rightsourceip = {address},{address6}
    rightdns = {dns}
    auto = add
"""

# /run of its own: the client may have a charon, too
_SERVE = """\
mount -t tmpfs tmpfs /run
export STRONGSWAN_CONF={directory}/strongswan.conf
exec /usr/lib/ipsec/starter --nofork --conf {directory}/ipsec.conf
"""

_PROFILE = """\
[connection]
id=ikev2
uuid=88888888-8888-4888-8888-000000000001
type=vpn
autoconnect=false

[vpn]
service-type=org.freedesktop.NetworkManager.strongswan
address={server}
method=psk
user=client
virtual=yes
proposal=yes
ike=aes128-sha256-modp2048
esp=aes128-sha256
password-flags=0

[vpn-secrets]
password={secret}

[ipv4]
method=auto

[ipv6]
method=auto
"""

_IKE = [("udp", SERVER, 500), ("udp", SERVER, 4500)]


def configure_strongswan(machine, connection):
    """The server's files; it has one CONNECTION, and its log is log_of("strongswan")."""
    machine.push(f"{_DIRECTORY}/strongswan.conf", _STRONGSWAN.format(directory=_DIRECTORY))
    machine.push(f"{_DIRECTORY}/ipsec.conf", _IPSEC + connection)
    machine.push(f"{_DIRECTORY}/secrets", f': PSK "{SECRET}"\n')


def start_strongswan(machine):
    start(machine, "strongswan", _SERVE.format(directory=_DIRECTORY), "added configuration ")


class StrongSwan(Plugin):
    """IKEv2 with a pre-shared key; both families."""

    name = "ikev2"
    profile = _PROFILE.format(server=SERVER, secret=SECRET)
    transport = [*_IKE, ("esp", SERVER, None)]
    inside = (ADDRESS, ADDRESS6)
    program = "charon-nm"

    @classmethod
    def prepare(cls, machine):
        configure_strongswan(machine, _IKEV2.format(server=SERVER, dns=TARGET, address=ADDRESS, address6=ADDRESS6))
        cls.serve(machine)

    @staticmethod
    def serve(machine):
        start_strongswan(machine)

    def server_gone(self):
        """The server ends in order, and says so.

        The client tries to connect again, for ever. Of a server that ends without a word it would learn after hours, when it
        is time for other keys.
        """
        self.machine.run("pkill -TERM -x starter; while pgrep -x starter >/dev/null; do sleep 0.1; done", timeout=30)
        self._served = self._is_up = False

    def reconnect(self):
        """The server ends the connection, and the client makes another at once; its device stays."""
        before = self._connections()
        self.machine.run("nsenter -m -t $(pgrep -x starter) /usr/lib/ipsec/stroke down-nb ikev2")
        wait_for(lambda: self._connections() > before, 30 * PATIENCE, "charon-nm connects again", 0.3)

    def _connections(self):
        return int(self.machine.run(f"grep -c 'CHILD_SA ikev2.* established' {log_of('strongswan')}; true").stdout)

    def wait_down(self):
        """charon-nm goes on after its last connection, and has a device, a rule and routes of its own; they end with it.

        If it has been killed before, the addresses of that time are still there.
        """
        self.machine.run("pkill -TERM -x charon-nm; while pgrep -x charon-nm >/dev/null; do sleep 0.1; done;"
                         f" ip address delete {ADDRESS} dev eth0; ip address delete {ADDRESS6} dev eth0; true", timeout=30)
        super().wait_down()


class StrongSwanBehindNat(StrongSwan):
    """The same through a router that translates addresses: ESP in UDP, and never plain."""

    transport = _IKE

    def __init__(self, stages):
        super().__init__(stages)
        stages.machine.router.run("nft", "add table ip nat; add chain ip nat out { type nat hook postrouting priority 100; };"
                                        "add rule ip nat out oifname tap1 masquerade")
