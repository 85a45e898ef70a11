"""What the tests in the virtual machine do over and over: VPNs, probes, snapshots, the package.

A VPN is a WireGuard interface at the provider (the guest's namespace "server")
and a NetworkManager profile at the client; both made here with keys of their own.
"""

import glob
import ipaddress
import json
import os
import time
from dataclasses import dataclass

from .runner import Skip, check, equal, wait_for
from .vm import NOBODY
from .vm_image import ROOT
from .vm_router import LAN_GATEWAY
from .vm_wire import Transport

PUBLIC, PUBLIC6 = "198.51.100.1", "2001:db8:1::1"
SERVER, SERVER6 = "203.0.113.10", "2001:db8:203::10"
PROFILES = "/etc/NetworkManager/system-connections"

_KEYFILE = """\
[connection]
id={name}
uuid={uuid}
type=wireguard
interface-name={device}
autoconnect={autoconnect}

[wireguard]
private-key={private}
{listen_port}
[wireguard-peer.{peer}]
endpoint={endpoint}
allowed-ips={allowed_ips}
persistent-keepalive=5

[ipv4]
method=manual
address1={address}
{dns}
[ipv6]
method=manual
addr-gen-mode=eui64
address1={address6}
"""

# one probe of each kind; %s is a number that makes every probe's payload its own
_PROBES = """
import socket
def attempt(family, kind, address, port, device=None):
    try:
        with socket.socket(family, kind) as s:
            s.settimeout(0.3)
            if device:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device)
            s.connect((address, port))
            s.send(b"ks-probe")
            s.recv(100)
    except OSError:
        pass
import sys
v4, v6, device = sys.argv[1], sys.argv[2], sys.argv[3].encode()
for family, address in ((socket.AF_INET, v4), (socket.AF_INET6, v6)):
    for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM):
        for bound in (None, device) if device else (None,):
            for port in (9, 443):
                attempt(family, kind, address, port, bound)
"""


@dataclass
class WireGuard:
    """A WireGuard VPN between the client and its provider."""

    name: str
    device: str
    server_device: str
    port: int
    client_address: str
    client_address6: str
    server_address: str
    server_address6: str

    @property
    def transport(self):
        return Transport(SERVER, self.port)


def make_wireguard(machine, name="my-vpn", number=0, listen_port=None, endpoint=SERVER, allowed_ips="0.0.0.0/0;::/0;",
                   dns=None, autoconnect=False):
    """Make the provider's end and the client's profile NAME; NUMBER tells several VPNs apart."""
    net = 66 + number
    vpn = WireGuard(name=name, device=f"wg{number}", server_device=f"wgs{number}", port=51820 + number,
                    client_address=f"10.{net}.0.2", client_address6=f"fd{net}::2",
                    server_address=f"10.{net}.0.1", server_address6=f"fd{net}::1")
    client_key, server_key = (machine.run(["wg", "genkey"]).stdout.strip() for _ in range(2))
    client_peer, server_peer = (machine.run(["wg", "pubkey"], stdin=key).stdout.strip()
                                for key in (client_key, server_key))
    _make_server(machine, vpn, server_key, client_peer)
    keyfile = _KEYFILE.format(
        name=name, uuid=f"66666666-6666-4666-8666-{number:012d}", device=vpn.device,
        autoconnect="true" if autoconnect else "false", private=client_key, peer=server_peer,
        listen_port=f"listen-port={listen_port}\n" if listen_port else "",
        endpoint=f"{_bracketed(endpoint)}:{vpn.port}", allowed_ips=allowed_ips,
        address=vpn.client_address + "/24", address6=vpn.client_address6 + "/64",
        dns=f"dns={dns};\ndns-priority=-10\n" if dns else "")
    machine.push(f"{PROFILES}/{name}.nmconnection", keyfile, 0o600)
    machine.run(["nmcli", "connection", "load", f"{PROFILES}/{name}.nmconnection"])
    machine.wire.transports.add(vpn.transport)
    return vpn


def _bracketed(address):
    try:
        return f"[{address}]" if ipaddress.ip_address(address).version == 6 else address
    except ValueError:
        return address  # a host name


def _make_server(machine, vpn, key, peer):
    machine.server(f"""set -e
        ip link delete {vpn.server_device} 2>/dev/null || true
        ip link add {vpn.server_device} type wireguard
        wg set {vpn.server_device} listen-port {vpn.port} private-key /dev/stdin \
            peer {peer} allowed-ips {vpn.client_address}/32,{vpn.client_address6}/128
        ip address add {vpn.server_address}/24 dev {vpn.server_device}
        ip address add {vpn.server_address6}/64 dev {vpn.server_device} nodad
        ip link set {vpn.server_device} up""", stdin=key)


def up(machine, vpn, timeout=60):
    machine.run(["nmcli", "--wait", str(timeout), "connection", "up", vpn.name], timeout=timeout + 10)


def down(machine, vpn):
    machine.run(["nmcli", "--wait", "30", "connection", "down", vpn.name])


def arm(machine, vpn, zone="killswitch"):
    """Set the zone, and wait until the product has taken notice; an empty ZONE disarms."""
    machine.run(["nmcli", "connection", "modify", vpn.name, "connection.zone", zone])
    wait_for(lambda: bool(rules_of_ours(machine)) == bool(zone), 30, f"the rules follow zone '{zone}'", 0.3)


def rules_of_ours(machine):
    """The rules in our range of priorities."""
    output = machine.run("ip -4 rule; ip -6 rule").stdout
    return [line for line in output.splitlines() if line.startswith("83") and line[4] == ":"]


# Probes

def ping(machine, address, count=1, uid=None, device=None, timeout=3):
    """Whether ADDRESS answers a ping."""
    command = ["ping", "-n", "-c", str(count), "-i", "0.2", "-W", str(timeout), address]
    if device:
        command[1:1] = ["-I", device]
    return bool(machine.run(command, check=False, uid=uid, timeout=timeout * count + 20))


def probe(machine, v4=PUBLIC, v6=PUBLIC6, device=None):
    """Send one of each kind of packet (ping, UDP, TCP) to both families as root and as nobody.

    With DEVICE also from sockets bound to it.
    """
    for uid in (None, NOBODY):
        machine.run(["python3", "-I", "-c", _PROBES, v4, v6, device or ""], uid=uid, timeout=90)
        machine.run(f"ping -n -c2 -i0.2 -W1 {v4} & ping -n -c2 -i0.2 -W1 {v6} & wait", uid=uid, check=False)


def leaks_during(machine, action=None, settle=1.0):
    """Run ACTION (or the probes) and return what leaked meanwhile."""
    mark = machine.wire.mark()
    (action or (lambda: probe(machine)))()
    time.sleep(settle)  # an ARP or neighbour request is repeated each second
    return machine.wire.since(mark).leak


def assert_no_leak(machine, what, action=None):
    leaks = leaks_during(machine, action)
    check(not leaks, f"{what}: {len(leaks)} packets leaked, such as {'; '.join(map(str, leaks[:5]))}")


def assert_leak(machine, what, action=None):
    """The positive control: the same probes are seen when nothing stops them."""
    leaks = leaks_during(machine, action)
    for proto in (1, 6, 17, 58):
        check(any(packet.proto == proto for packet in leaks), f"{what}: no probe of protocol {proto} on the wire")
    check(any(p.kind == "ipv4" for p in leaks) and any(p.kind == "ipv6" for p in leaks), f"{what}: one family is missing")


def assert_tunnel(machine, what):
    """Both families get through the tunnel, and nothing beside it."""
    assert_no_leak(machine, what, lambda: [
        check(ping(machine, address), f"{what}: no answer through the tunnel from {address}")
        for address in (PUBLIC, PUBLIC6)])


def assert_blocked(machine, what):
    """No probe gets out, and the LAN works nevertheless."""
    assert_no_leak(machine, what)
    check(not ping(machine, PUBLIC, timeout=1), f"{what}: {PUBLIC} answers")
    check(ping(machine, LAN_GATEWAY), f"{what}: the LAN does not answer")


# Snapshots

def snapshot(machine):
    """Rules, routes and nftables as comparable lists, without what changes by itself."""
    lists = {}
    for what, command in (("rules", "rule"), ("rules6", "-6 rule"),
                          ("routes", "route show table all"), ("routes6", "-6 route show table all")):
        entries = json.loads(machine.run(f"ip -N -json {command}").stdout or "[]")
        for entry in entries:
            entry.pop("expires", None)
        lists[what] = sorted(json.dumps(entry, sort_keys=True) for entry in entries)
    lists["nftables"] = machine.run("nft list ruleset").stdout.splitlines()
    return lists


def assert_same(before, after, what):
    for name, lines in before.items():
        gone = [line for line in lines if line not in after[name]]
        new = [line for line in after[name] if line not in lines]
        check(not gone and not new, f"{what}: {name}: gone {gone}, new {new}")


# The package

def package():
    """The path of the package under test on this host."""
    found = sorted(glob.glob(os.path.join(ROOT, "build", "deb", "nm-killswitch_*.deb")), key=os.path.getmtime)
    if not found:
        raise Skip("build/deb/ has no nm-killswitch package")
    return found[-1]


def install(machine):
    """Install the package in the guest as a user does, but off-line."""
    with open(package(), "rb") as file:
        machine.push("/tmp/nm-killswitch.deb", file.read())
    machine.run("apt-get install --yes --no-download /tmp/nm-killswitch.deb", timeout=180)


def purge(machine):
    """Purge the package and check that none of its files is left."""
    files = machine.run("dpkg -L nm-killswitch").stdout.splitlines()
    machine.run("apt-get purge --yes nm-killswitch", timeout=180)
    left = machine.run(["bash", "-c", 'for f; do [ -e "$f" ] && [ ! -d "$f" ] && echo "$f"; done; true', "sh", *files])
    equal(left.stdout, "", "files left by purge")
    named = machine.run("find / -xdev -not -path '/proc/*' -not -path '/tmp/*' -iname '*killswitch*' -print")
    equal(named.stdout, "", "files named after us left by purge")
