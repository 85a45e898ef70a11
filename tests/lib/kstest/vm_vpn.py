"""What the tests in the virtual machine do over and over: VPNs, probes, snapshots, the package.

A VPN is a WireGuard interface at the provider (the guest's namespace "server")
and a NetworkManager profile at the client; both made here with keys of their own.
"""

import contextlib
import functools
import glob
import ipaddress
import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass

from .nm import NMCLI_TIMED_OUT
from .packets import ICMP, ICMPV6, TCP, UDP
from .runner import Skip, TookTooLong, at_exit, check, equal, wait_for
from .vm import PATIENCE
from .vm_image import ROOT
from .vm_router import LAN6_GATEWAY, LAN_GATEWAY, PREFIX
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
address1=10.{net}.0.2/24
{dns}
[ipv6]
method=manual
address1=fd{net}::2/64
"""

@dataclass
class WireGuard:
    """A WireGuard VPN between the client and its provider."""

    name: str
    device: str
    server_device: str
    port: int
    net: int            # its addresses: 10.NET.0.2 and fdNET::2, the provider has .1 and ::1
    transports: list
    server_key: str
    client_peer: str

    @property
    def client_address(self):
        return f"10.{self.net}.0.2"

    @property
    def server_address(self):
        return f"10.{self.net}.0.1"


def make_wireguard(machine, name="my-vpn", number=0, listen_port=None, endpoint=SERVER, allowed_ips="0.0.0.0/0;::/0;",
                   dns=None, autoconnect=False):
    """Make the provider's end and the client's profile NAME; NUMBER tells several VPNs apart.

    ENDPOINT is one of the provider's addresses, or its name vpn.example.
    """
    client_key, server_key = (machine.run(["wg", "genkey"]).stdout.strip() for _ in range(2))
    client_peer, server_peer = (machine.run(["wg", "pubkey"], stdin=key).stdout.strip()
                                for key in (client_key, server_key))
    port = 51820 + number
    servers = [endpoint] if _is_address(endpoint) else [SERVER, SERVER6]
    vpn = WireGuard(name=name, device=f"wg{number}", server_device=f"wgs{number}", port=port, net=66 + number,
                    transports=[Transport(server, port) for server in servers],
                    server_key=server_key, client_peer=client_peer)
    serve_wireguard(machine, vpn)
    keyfile = _KEYFILE.format(
        name=name, uuid=f"66666666-6666-4666-8666-{number:012d}", device=vpn.device,
        autoconnect="true" if autoconnect else "false", private=client_key, peer=server_peer,
        listen_port=f"listen-port={listen_port}\n" if listen_port else "",
        endpoint=f"[{endpoint}]:{port}" if ":" in endpoint else f"{endpoint}:{port}", allowed_ips=allowed_ips,
        net=vpn.net, dns=f"dns={dns};\ndns-priority=-10\n" if dns else "")
    load_profile(machine, name, keyfile)
    watch(machine, vpn)
    return vpn


def serve_wireguard(machine, vpn):
    provide(machine, vpn.server_device, f"""set -e
        ip link delete {vpn.server_device} 2>/dev/null || true
        ip link add {vpn.server_device} type wireguard
        echo {vpn.server_key} | wg set {vpn.server_device} listen-port {vpn.port} private-key /dev/stdin \\
            peer {vpn.client_peer} allowed-ips 10.{vpn.net}.0.2/32,fd{vpn.net}::2/128
        ip -batch - <<END
address add 10.{vpn.net}.0.1/24 dev {vpn.server_device}
address add fd{vpn.net}::1/64 dev {vpn.server_device} nodad
link set {vpn.server_device} up
END""")


def provide(machine, name, script):
    """Run SCRIPT at the provider, now and, since the provider is in the same machine, at each boot."""
    path = f"/etc/ks-server.d/{name}.sh"
    machine.push(path, script + "\n")
    machine.server(["/bin/sh", path])


def load_profile(machine, name, keyfile):
    """Write a profile and have NetworkManager read it."""
    path = f"{PROFILES}/{name}.nmconnection"
    machine.push(path, keyfile, 0o600)
    machine.run(["nmcli", "connection", "load", path])


def watch(machine, vpn):
    """From now on the VPN's packets to its server are its transport, on every uplink."""
    for wire in filter(None, (machine.wire, machine.wire2)):
        wire.transports.update(vpn.transports)


def _is_address(text):
    try:
        return bool(ipaddress.ip_address(text))
    except ValueError:
        return False


def up(machine, vpn, timeout=60):
    _nmcli(machine, timeout, "connection", "up", vpn.name)


def down(machine, vpn, timeout=60):
    _nmcli(machine, timeout, "connection", "down", vpn.name)


def _nmcli(machine, timeout, *arguments):
    """nmcli, which waits for TIMEOUT seconds at most; then it is late."""
    result = machine.run(["nmcli", "--wait", str(timeout), *arguments], check=False, timeout=timeout + 10)
    if result.timed_out or result.rc == NMCLI_TIMED_OUT:
        raise TookTooLong(str(result))
    check(result, str(result))


def is_active(machine, vpn):
    active = machine.run("nmcli -g name connection show --active").stdout.splitlines()
    return vpn.name in active


def assert_kept_up(machine, vpn, what):
    """Nobody had to bring the WireGuard VPN up again: NetworkManager promises that, and its tunnel carries within seconds.

    To NetworkManager it is a device without a parent, which neither an uplink that is lost or changed, nor sleep, nor
    NetworkManager's own end takes down. A plugin's VPN ends with each of these; what brings it back is
    connection.secondaries of an uplink, or a person.
    """
    check(is_active(machine, vpn), f"{what}: {vpn.name} is no longer up")
    assert_tunnel(machine, what)


def arm(machine, vpn, zone="killswitch"):
    """Turn the kill switch on as a user does, and wait until the product has taken notice."""
    machine.run(["nmcli", "connection", "modify", vpn.name, "connection.zone", zone])
    wait_state(machine, "rules", f"there are rules once {vpn.name} is armed")
    wait_idle(machine)


def disarm(machine, vpn, all_of_them=True):
    """Turn it off. ALL_OF_THEM: no other profile is armed, so no rule may be left."""
    machine.run(["nmcli", "connection", "modify", vpn.name, "connection.zone", ""])
    if all_of_them:
        wait_state(machine, "no rules", f"no rule is left once {vpn.name} is disarmed")
    wait_idle(machine)


def wait_state(machine, condition, what, timeout=60):
    """Until CONDITION, one of those the agent in the machine knows."""
    limit = timeout * PATIENCE
    answer = machine.ask({"op": "wait", "condition": condition, "timeout": limit}, timeout + 30)
    if not answer["held"]:
        left_behind = condition in ("released", "no rules")
        raise (AssertionError if left_behind else TookTooLong)(f"not within {limit:.0f} s: {what}")


def wait_idle(machine, timeout=60):
    """Until no unit or program of ours is at work: what is there now stays if nothing happens."""
    wait_state(machine, "idle", "nothing of ours runs", timeout)


# Probes

def ping(machine, address, uid=None, device=None, timeout=15):
    """Whether ADDRESS answers a ping within TIMEOUT seconds.

    It is tried again for so long, also after an error: the first packet may be lost, a handshake may be due, and
    the program may still be about to be told of the new tunnel. When no answer is expected, ask briefly.
    """
    answer = machine.ask({"op": "ping", "address": address, "uid": uid, "device": device, "timeout": timeout * PATIENCE},
                         timeout + 30)
    return answer["rc"] == 0


def probe(machine, v4=PUBLIC, v6=PUBLIC6, device=None):
    """Send one of each kind of packet (ping, UDP, TCP) to both families as root and as nobody.

    With DEVICE also from sockets bound to it.
    """
    equal(machine.ask({"op": "probe", "to": [v4, v6], "device": device})["rc"], 0, "the probes' exit status")


def leaks_during(machine, action=None):
    """Run ACTION (or the probes) and return what leaked meanwhile, on any uplink."""
    marks = _marks(machine)
    (action or (lambda: probe(machine)))()
    time.sleep(1)
    return _leaks(marks)


def _marks(machine):
    return [(wire, wire.mark()) for wire in (machine.wire, machine.wire2) if wire is not None]


def _leaks(marks):
    return [packet for wire, mark in marks for packet in wire.since(mark).leak]


def assert_no_leak(machine, what, action=None, settle=1):
    """Nothing leaks during ACTION (or the probes), also if that takes too long: then the leak is what has failed.

    Nor for SETTLE seconds after it: an ARP or neighbour request is repeated each second.
    """
    marks, late = _marks(machine), None
    try:
        (action or (lambda: probe(machine)))()
    except TookTooLong as error:
        late = error
    time.sleep(settle)
    leaks = _leaks(marks)
    check(not leaks, f"{what}: {len(leaks)} packets leaked, such as {'; '.join(map(str, leaks[:5]))}")
    if late:
        raise late


def assert_leak(machine, what, action=None, kinds=(ICMP, TCP, UDP)):
    """The positive control: the same probes are seen, in both families, when nothing stops them.

    They are tried again for a while: an address that is being checked for duplicates sends nothing.
    """
    missing, end = {}, time.monotonic() + 30 * PATIENCE

    def all_seen(marks):
        for kind in ("ipv4", "ipv6"):
            seen = {ICMP if packet.proto == ICMPV6 else packet.proto for packet in _leaks(marks) if packet.kind == kind}
            missing[kind] = set(kinds) - seen
        return not any(missing.values())

    while not missing or time.monotonic() < end:
        marks = _marks(machine)
        (action or (lambda: probe(machine)))()
        with contextlib.suppress(TookTooLong):
            wait_for(lambda marks=marks: all_seen(marks), PATIENCE, what)
            return
    raise AssertionError(f"{what}: no probes of these protocols on the wire: {missing}")


def assert_tunnel(machine, what):
    """Both families get through the tunnel, and nothing at all beside it.

    What goes beside it does so before the answer that comes through it.
    """
    assert_no_leak(machine, what, lambda: _ping_through(machine, what), settle=0.2)


def assert_tunnel_unprotected(machine, what):
    """As assert_tunnel() for use without the kill switch, when some other packet may well be on the wire."""
    leaks = leaks_during(machine, lambda: _ping_through(machine, what))
    check(not any(packet.dst in (PUBLIC, PUBLIC6) for packet in leaks), f"{what}: a ping was beside the tunnel")


def _ping_through(machine, what):
    for address in (PUBLIC, PUBLIC6):
        if not ping(machine, address):
            raise TookTooLong(f"{what}: no answer through the tunnel from {address}")


def assert_blocked(machine, what):
    """No probe gets out, and the LAN works nevertheless."""
    mark = machine.wire.mark()
    assert_no_leak(machine, what, lambda: (
        probe(machine), check(not ping(machine, PUBLIC, timeout=1), f"{what}: {PUBLIC} answers")), settle=0)
    for address in (LAN_GATEWAY, LAN6_GATEWAY):
        check(ping(machine, address), f"{what}: {address} on the LAN does not answer")
    # a capture that saw nothing at all would prove nothing
    check(machine.wire.since(mark).lan, f"{what}: the LAN's answer is not in the capture")


# Snapshots

def snapshot(machine):
    """Rules, routes and nftables as comparable lists, without what changes by itself."""
    commands = {"rules": "ip -4 -N -json rule", "rules6": "ip -6 -N -json rule",
                "routes": "ip -4 -N -json route show table all", "routes6": "ip -6 -N -json route show table all",
                "nftables": "nft list ruleset"}
    lists = {}
    outputs = machine.run("; echo; echo ==; ".join(commands.values())).stdout.split("\n==\n")
    for what, text in zip(commands, outputs):
        if what == "nftables":
            lists[what] = text.splitlines()
            continue
        entries = json.loads(text.strip() or "[]")
        for entry in entries:
            entry.pop("expires", None)
        lists[what] = sorted(json.dumps(entry, sort_keys=True) for entry in entries)
    return lists


def assert_same(before, after, what):
    for name, lines in before.items():
        gone = [line for line in lines if line not in after[name]]
        new = [line for line in after[name] if line not in lines]
        check(not gone and not new, f"{what}: {name}: gone {gone}, new {new}")


# The package

@functools.cache
def package():
    """The path of the package under test, which the variable KS_VM_PACKAGE may name.

    A copy: that it is built anew meanwhile must not change what the later tests of a run are about.
    """
    found = sorted(glob.glob(os.path.join(ROOT, "build", "deb", "nm-killswitch_*.deb")), key=os.path.getmtime)
    path = os.environ.get("KS_VM_PACKAGE") or (found[-1] if found else None)
    if path is None:
        raise Skip("build/deb/ has no nm-killswitch package")
    directory = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-")
    at_exit(shutil.rmtree, directory, True)
    return shutil.copy(path, directory)


def install(machine, command="dpkg --force-unsafe-io --install"):
    """Install the package in the guest, with COMMAND."""
    with open(package(), "rb") as file:
        machine.push("/tmp/nm-killswitch.deb", file.read())
    machine.run(f"{command} /tmp/nm-killswitch.deb", timeout=180)


def purge(machine, command="dpkg --force-unsafe-io --purge"):
    """Purge the package with COMMAND and check that none of its files and units is left."""
    files = machine.run("dpkg -L nm-killswitch").stdout.splitlines()
    machine.run(f"{command} nm-killswitch", timeout=180)
    left = machine.run(["bash", "-c", 'for f; do [ -e "$f" ] && [ ! -d "$f" ] && echo "$f"; done; true', "sh", *files])
    equal(left.stdout, "", "files left by purge")
    named = machine.run("find / -xdev -not -path '/proc/*' -not -path '/tmp/*' -iname '*killswitch*' -print")
    equal(named.stdout, "", "files named after us left by purge")
    units = machine.run("systemctl list-units --all --plain --no-legend 'nm-killswitch*'").stdout
    equal(units, "", "units left by purge")
