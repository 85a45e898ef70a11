"""An OpenVPN provider and a profile for NetworkManager's OpenVPN plugin, for the tests in the virtual machine."""

from dataclasses import dataclass

from .packets import TCP, UDP
from .runner import wait_for
from .vm import PATIENCE
from .vm_vpn import SERVER, load_profile, provide, watch
from .vm_wire import Transport

_DIRECTORY = "/etc/ks-openvpn"

# ED25519: RSA keys take a minute to make in an emulated machine
MAKE_KEYS = f"""set -e
mkdir -p {_DIRECTORY}; cd {_DIRECTORY}
[ ! -e ca.crt ] || exit 0
openssl req -x509 -newkey ed25519 -nodes -days 30 -keyout ca.key -out ca.crt -subj /CN=ca
for name in server client; do
    openssl req -x509 -newkey ed25519 -nodes -days 30 -keyout $name.key -out $name.crt -subj /CN=$name \
        -CA ca.crt -CAkey ca.key -addext basicConstraints=critical,CA:FALSE
done
"""

_SERVER = """\
port {port}
proto {proto}
dev ovs{number}
dev-type tun
topology subnet
server 10.{net}.0.0 255.255.255.0
server-ipv6 fd{net}::/64
push "route-ipv6 ::/0"
{push}
ca {directory}/ca.crt
cert {directory}/server.crt
key {directory}/server.key
dh none
keepalive 2 10
"""

_PROFILE = """\
[connection]
id={name}
uuid=77777777-7777-4777-8777-{number:012d}
type=vpn
autoconnect=false

[vpn]
service-type=org.freedesktop.NetworkManager.openvpn
connection-type=tls
dev-type=tun
remote={server}
port={port}
{tcp}
ca={directory}/ca.crt
cert={directory}/client.crt
key={directory}/client.key
cert-pass-flags=4
ping=2
ping-restart=10

[ipv4]
method=auto

[ipv6]
method=auto
"""


@dataclass
class OpenVPN:
    """An OpenVPN between the client and its provider."""

    name: str
    port: int
    transports: list
    config: str         # of the provider's daemon, in the guest


def server_text(port, proto, number, push=""):
    """The configuration of a provider's daemon, whose keys MAKE_KEYS makes."""
    return _SERVER.format(port=port, proto=proto, number=number, net=80 + number, push=push, directory=_DIRECTORY)


def profile_text(name, number, port, tcp=False, server=SERVER):
    """The keyfile of a profile for it."""
    return _PROFILE.format(name=name, number=number, server=server, port=port, tcp="proto-tcp=yes" if tcp else "",
                           directory=_DIRECTORY)


def make_openvpn(machine, name="my-openvpn", number=0, tcp=False, server=SERVER, push=""):
    """Make the provider's daemon and the client's profile; PUSH are further lines of its configuration."""
    port = 1194 + number
    proto = ("tcp-server" if tcp else "udp") if ":" not in server else ("tcp6-server" if tcp else "udp6")
    vpn = OpenVPN(name=name, port=port, transports=[Transport(server, port, TCP if tcp else UDP)],
                  config=f"{_DIRECTORY}/server{number}.conf")
    machine.run(MAKE_KEYS)
    machine.push(vpn.config, server_text(port, proto, number, push))
    serve_openvpn(machine, vpn)
    load_profile(machine, name, profile_text(name, number, port, tcp, server))
    watch(machine, vpn)
    return vpn


def serve_openvpn(machine, vpn):
    """(Re)start the provider's daemon."""
    stop_openvpn(machine, vpn)
    provide(machine, f"openvpn-{vpn.port}", f"exec openvpn --config {vpn.config} --daemon --log {vpn.config}.log "
                                            f"--writepid {vpn.config}.pid")
    wait_for(lambda: machine.run(["grep", "-q", "Initialization Sequence Completed", vpn.config + ".log"], check=False),
             60 * PATIENCE, "the OpenVPN provider is up", 0.3)


def stop_openvpn(machine, vpn):
    """The provider goes away without a word, until serve_openvpn() or a reboot."""
    pid = f"{vpn.config}.pid"
    machine.run(f"[ ! -e {pid} ] || kill -9 $(cat {pid}); rm -f {pid} {vpn.config}.log", check=False)
