"""strongSwan: an IKEv2 server at the provider, and a profile of NetworkManager's plugin, whose daemon is charon-nm.

Debian 12's (strongSwan 5.9) makes a tun device that carries nothing: IPsec policies match the addresses it has. Debian 13's
(6.0) makes an XFRM interface. The server is what Debian's package "strongswan" brings: starter in 12, charon-systemd in 13.
"""

from .netns import TARGET
from .runner import wait_for
from .vm import PATIENCE
from .vm_plugin import RELEASE, Plugin, log_of, start
from .vm_vpn import SERVER

_DIRECTORY = "/etc/ks-strongswan"
ADDRESS, ADDRESS6 = "10.13.0.1", "fd13::1"      # of the client in the tunnel; the first ones, if it has been killed before
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

_CHARON_SYSTEMD = """\
charon-systemd {
    load = random nonce openssl drbg pubkey attr kernel-netlink socket-default vici updown
    filelog {
        stderr {
            default = 1
        }
    }
}
"""

# The same connection.
_SWANCTL = """\
connections {{
    ikev2 {{
        version = 2
        proposals = aes128-sha256-modp2048
        local_addrs = {server}
        pools = pool4, pool6
        unique = never
        local {{
            auth = psk
            id = {server}
        }}
        remote {{
            auth = psk
        }}
        children {{
            ikev2 {{
                local_ts = 0.0.0.0/0, ::/0
                esp_proposals = aes128-sha256
            }}
        }}
    }}
}}
pools {{
    pool4 {{
        addrs = {address}-10.13.0.99
        dns = {dns}
    }}
    pool6 {{
        addrs = {address6}-fd13::99
    }}
}}
secrets {{
    ike {{
        secret = {secret}
    }}
}}
"""

_SERVE_BY_SWANCTL = """\
mount -t tmpfs tmpfs /run
export STRONGSWAN_CONF={directory}/strongswan.conf
/usr/sbin/charon-systemd &
until [ -S /run/charon.vici ]; do sleep 0.1; done
swanctl --load-all --file {directory}/swanctl.conf
wait
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


class _Starter:
    """The server of Debian 12, for IKEv2."""

    process = "starter"
    terminate = "/usr/lib/ipsec/stroke down-nb ikev2"

    @staticmethod
    def configure(machine):
        configure_strongswan(machine, _IKEV2.format(server=SERVER, dns=TARGET, address=ADDRESS, address6=ADDRESS6))

    start = staticmethod(start_strongswan)


class _CharonSystemd:
    """The server of Debian 13."""

    process = "charon-systemd"
    terminate = "swanctl --terminate --ike ikev2 --timeout -1"

    @staticmethod
    def configure(machine):
        machine.run(["systemctl", "mask", "--now", "strongswan.service"])   # the client's own
        machine.push(f"{_DIRECTORY}/strongswan.conf", _CHARON_SYSTEMD)
        machine.push(f"{_DIRECTORY}/swanctl.conf", _SWANCTL.format(server=SERVER, dns=TARGET, address=ADDRESS,
                                                                   address6=ADDRESS6, secret=SECRET), 0o600)

    @staticmethod
    def start(machine):
        start(machine, "strongswan", _SERVE_BY_SWANCTL.format(directory=_DIRECTORY), "successfully loaded 1 connections")


_SERVER = _Starter if RELEASE == "bookworm" else _CharonSystemd


class StrongSwan(Plugin):
    """IKEv2 with a pre-shared key; both families."""

    name = "ikev2"
    profile = _PROFILE.format(server=SERVER, secret=SECRET)
    transport = [*_IKE, ("esp", SERVER, None)]
    inside = ("10.13.", "fd13:")
    program = "charon-nm"

    @classmethod
    def prepare(cls, machine):
        _SERVER.configure(machine)
        cls.serve(machine)

    @staticmethod
    def serve(machine):
        _SERVER.start(machine)

    def server_gone(self):
        """The server ends in order, and says so.

        The client tries to connect again, for ever. Of a server that ends without a word it would learn after hours, when it
        is time for other keys.
        """
        name = _SERVER.process
        self.machine.run(f"pkill -TERM -x {name}; while pgrep -x {name} >/dev/null; do sleep 0.1; done", timeout=30)
        self._served = self._is_up = False

    def reconnect(self):
        """The server ends the connection, and the client makes another at once; its device stays."""
        before = self._connections()
        self.machine.run(f"nsenter -m -t $(pgrep -x {_SERVER.process}) {_SERVER.terminate}")
        wait_for(lambda: self._connections() > before, 30 * PATIENCE, "charon-nm connects again", 0.3)

    def _connections(self):
        return int(self.machine.run(f"grep -c 'CHILD_SA ikev2.* established' {log_of('strongswan')}; true").stdout)

    def wait_down(self):
        """charon-nm goes on after its last connection, and has a device, a rule and routes of its own; they end with it.

        If it has been killed before, the addresses of that time are still there, and XFRM interfaces.
        """
        self.machine.run("pkill -TERM -x charon-nm; while pgrep -x charon-nm >/dev/null; do sleep 0.1; done;"
                         " for device in eth0 lo; do ip address flush dev $device to 10.13.0.0/24;"
                         " ip -6 address flush dev $device to fd13::/64; done;"
                         " for link in /sys/class/net/nm-xfrm-*; do [ ! -e $link ] || ip link delete ${link##*/}; done",
                         timeout=30)
        super().wait_down()


class StrongSwanBehindNat(StrongSwan):
    """The same through a router that translates addresses: ESP in UDP, and never plain."""

    transport = _IKE

    def __init__(self, stages):
        super().__init__(stages)
        stages.machine.router.run("nft", "add table ip nat; add chain ip nat out { type nat hook postrouting priority 100; };"
                                        "add rule ip nat out oifname tap1 masquerade")
