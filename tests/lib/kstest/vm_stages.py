"""The states in which the tests in the virtual machine begin.

    clean        booted, all VPNs of Vpns made and down, no package
    installed    the package installed, nothing armed
    armed        the WireGuard profile "my-vpn" armed and down; armed_up: up
    armed_plugin the OpenVPN profile "my-openvpn" instead; armed_plugin_up: up

The first two are kept on disk beside the machine's image, memory included, so that a test program begins in seconds and
not with a boot and the making of keys; they are made again when what they are made from changes: image, package, or this
code. The others are made by each program, at first use.
"""

import contextlib
import fcntl
import hashlib
import os
import pickle
from dataclasses import dataclass

from .runner import Skip, check
from .vm import Machine
from .vm_image import BUILD, VARIANTS, ensure_image, recipe
from .vm_openvpn import OpenVPN, make_openvpn
from .vm_vpn import (PUBLIC, SERVER, SERVER6, WireGuard, arm, install, make_wireguard, package, ping, snapshot, up,
                     wait_idle, watch)
from .vm_wire import Transport

RELEASE = os.environ.get("KS_VM_RELEASE", "bookworm")
ALIASES = ("203.0.113.11", "203.0.113.12")      # further addresses of the VPN's server
_NOBODY_THERE = "203.0.113.99"


@dataclass
class Vpns:
    """All profiles, by how their server is known; and the rules, routes and nftables without any of us."""

    vpn: WireGuard          # by address
    second: WireGuard       # another, with a listening port in the profile
    named: WireGuard        # by name
    six: WireGuard          # by IPv6 address
    plugin: OpenVPN         # by address, over UDP
    tcp: OpenVPN            # over TCP
    many: OpenVPN           # two servers, the first of which is not there
    changing: OpenVPN       # a name whose address changes: one of ALIASES
    secondary: OpenVPN      # for an uplink that brings it up
    before: dict

    def watch(self, machine):
        """What these VPNs send to their servers is no leak."""
        for vpn in vars(self).values():
            if isinstance(vpn, (WireGuard, OpenVPN)):
                watch(machine, vpn)
        for wire in (machine.wire, machine.wire2):
            wire.transports |= {Transport(server, vpn.port) for server in (SERVER, _NOBODY_THERE, *ALIASES)
                                for vpn in (self.many, self.changing)}


def _make_vpns(machine):
    aliases = "\n".join(f"ip address replace {address}/24 dev eth1" for address in ALIASES)
    machine.server(aliases)
    machine.push("/etc/ks-server.d/aliases.sh", aliases + "\n")
    return Vpns(
        vpn=make_wireguard(machine),
        second=make_wireguard(machine, "second-vpn", 1, listen_port=40001),
        named=make_wireguard(machine, "named-vpn", 2, endpoint="vpn.example"),
        six=make_wireguard(machine, "six-vpn", 3, endpoint=SERVER6),
        plugin=make_openvpn(machine),
        tcp=make_openvpn(machine, "tcp-vpn", 1, tcp=True),
        many=make_openvpn(machine, "many-vpn", 2, server=f"{_NOBODY_THERE}:1196:udp, {SERVER}"),
        changing=make_openvpn(machine, "changing-vpn", 3, server="changing.example", push="multihome"),
        secondary=make_openvpn(machine, "secondary-vpn", 4),
        before=snapshot(machine))


# What is kept on disk

def _path(image, name):
    return os.path.join(BUILD, image, f"{name}.qcow2")


def _hash(*parts):
    digest = hashlib.sha256("\0".join(parts).encode())
    directory = os.path.dirname(os.path.realpath(__file__))
    for name in sorted(os.listdir(directory)):
        if name.startswith("vm") and name.endswith(".py"):
            with open(os.path.join(directory, name), "rb") as file:
                digest.update(file.read())
    return digest.hexdigest()


def _kept(image, name, key, build):
    """(Kept, Vpns) of this NAME beside IMAGE; made by BUILD unless one with this KEY is there."""
    path = _path(image, name)
    with contextlib.suppress(OSError, EOFError, pickle.UnpicklingError), open(f"{path}.made", "rb") as file:
        made = pickle.load(file)
        if made[0] == key and os.path.exists(path):
            return made[1:]
    with contextlib.suppress(FileNotFoundError):
        os.unlink(f"{path}.made")   # what it tells of is about to be replaced
    machine, vpns = build()
    result = (machine.keep(path), vpns)
    with open(f"{path}.made.new", "wb") as file:
        pickle.dump((key, *result), file)
    os.rename(f"{path}.made.new", f"{path}.made")
    return result


def _boot(image):
    machine = Machine(f"clean-{image}", image, uplinks=2)
    machine.plug(2, False)  # the second uplink is for one test
    machine.start()
    machine.wait_booted()
    made = []
    machine.stage("clean", lambda: made.append(_make_vpns(machine)))
    return machine, made[0]


def _install(image, clean, vpns):
    machine = Machine(f"installed-{image}", image, uplinks=2, kept=clean)

    def build():
        machine.stage("clean", None)
        install(machine)
        wait_idle(machine)

    machine.stage("installed", build)
    return machine, vpns


def _has_package():
    try:
        return bool(package())
    except Skip:
        return False


def _furthest(image):
    """(Kept, Vpns) with as many states of IMAGE as can be made."""
    key = _hash(recipe(ensure_image(image)))
    clean, vpns = _kept(image, "clean", key, lambda: _boot(image))
    if not _has_package():
        return clean, vpns
    with open(package(), "rb") as file:
        key = _hash(key, hashlib.sha256(file.read()).hexdigest())
    return _kept(image, "installed", key, lambda: _install(image, clean, vpns))


class Stages:
    """The machine of a test program, in the states above; of VARIANT, if given, an image with further programs."""

    def __init__(self, name, variant=None):
        self._name = name
        self._image = f"{RELEASE}-{variant}" if variant else RELEASE
        self.machine = self.vpns = None

    def set_up(self):
        if self._image not in (RELEASE, *VARIANTS):
            raise Skip(f"there is no image {self._image}")
        directory = os.path.join(BUILD, self._image)
        os.makedirs(directory, exist_ok=True)
        # until the machine has its copy: another program may have another package
        with open(os.path.join(directory, "stages.lock"), "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            kept, self.vpns = _furthest(self._image)
            self.machine = Machine(f"{self._name}-{RELEASE}", self._image, uplinks=2, kept=kept)
        self.machine.plug(2, False)
        self.vpns.watch(self.machine)

    def clean(self):
        self.machine.stage("clean", None)
        return self.machine

    def installed(self):
        package()
        self.machine.stage("installed", None)
        return self.machine

    def armed(self):
        package()
        self.machine.stage("armed", lambda: arm(self.installed(), self.vpns.vpn))
        return self.machine

    def armed_up(self):
        return self._up("armed-up", self.armed, self.vpns.vpn)

    def armed_plugin(self):
        """OpenVPN armed and down; WireGuard is not armed."""
        package()
        self.machine.stage("armed-plugin", lambda: arm(self.installed(), self.vpns.plugin))
        return self.machine

    def armed_plugin_up(self):
        """OpenVPN armed and up; WireGuard is not armed."""
        return self._up("armed-plugin-up", self.armed_plugin, self.vpns.plugin)

    def _up(self, name, armed, vpn):
        def build():
            up(armed(), vpn)
            check(ping(self.machine, PUBLIC), "the tunnel does not work")
            wait_idle(self.machine)
        package()
        self.machine.stage(name, build)
        return self.machine
