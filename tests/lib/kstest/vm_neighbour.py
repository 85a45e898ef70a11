"""A sheet for neighbours: other programs that touch rules, routes or nftables, really run beside an armed VPN.

A neighbour is data: the commands that start and stop it, and what it can do in between. All the time packets are sent by
root and an unprivileged user, in both families, from sockets bound to the uplink and not, and by a guest behind the host if
the neighbour has one.

    UFW = Neighbour("ufw", start="ufw --force enable", again=("ufw reload",), stop="ufw disable")

    check_control(at, UFW)      the same steps leak while nothing is armed
    check_down(at, UFW)         armed and down: nothing leaks, the LAN works, and the VPN can be brought up beside it
    check_up(at, UFW)           armed and up: nothing leaks at any step nor when the VPN is lost, and the VPN works after each
    check_untouched(at, UFW)    what is theirs stays as it is, and disarming leaves nothing of ours
"""

import contextlib
import re
from dataclasses import dataclass

from .runner import TookTooLong, check
from .vm import PATIENCE
from .vm_life import assert_from_prober, prober, quiet, wait_released
from .vm_router import LAN6_GATEWAY, LAN_GATEWAY
from .vm_vpn import (PUBLIC, PUBLIC6, arm, assert_blocked, assert_same, assert_tunnel, disarm, down, leaks_during, ping,
                     snapshot, up, wait_idle)

_PROBER = "/usr/local/lib/ks-test/prober.py"
_STEP = 180     # the seconds that a command of a neighbour's may take


@dataclass(frozen=True)
class Neighbour:
    """A program. Its commands are for bash, and return when they have taken effect."""

    name: str
    start: str
    stop: str
    again: tuple = ()       # what it is told while it runs: reload, restart
    prepare: str = ""       # once, before anything else
    # The network namespace of a guest behind the host: a file, or words that print its name, expanded before each use. Its
    # uplink is called eth0, as the prober has it.
    guest: str = ""
    guest_addresses: tuple = (PUBLIC,)      # what the guest reaches; with PUBLIC6 if it has IPv6

    @property
    def steps(self):
        """Once through its life; at the end it runs."""
        return (self.start, *self.again, self.stop, self.start)


# Its commands

def prepare(machine, neighbour):
    if neighbour.prepare:
        machine.run(neighbour.prepare, timeout=_STEP)


def run(machine, command):
    machine.run(command, timeout=_STEP)


# Guests

@contextlib.contextmanager
def guest_prober(machine, neighbour):
    """The neighbour's guest sends what the prober sends; also one that comes, or comes back, only now."""
    if not neighbour.guest:
        yield
        return
    job = machine.spawn(f"while :; do timeout 5 nsenter --net={neighbour.guest} python3 {_PROBER}; sleep 0.5; done")
    try:
        yield
    finally:
        job.kill()


def guest_reaches(machine, neighbour, address, timeout=20):
    """Whether ADDRESS answers the guest within TIMEOUT seconds."""
    limit = round(timeout * PATIENCE)
    return bool(machine.run(f"until nsenter --net={neighbour.guest} ping -q -c1 -W1 {address}; do"
                            f" [ $SECONDS -lt {limit} ] || exit 1; sleep 0.2; done", check=False, timeout=timeout + 30))


# What has to hold

def assert_quiet(machine, neighbour, what, action=None):
    """ACTION (or the probes) passes, and nothing leaks, neither from the host nor from the guest."""
    with guest_prober(machine, neighbour):
        quiet(machine, f"{neighbour.name}: {what}", action)


def assert_works(machine, neighbour, what, running=True):
    """The VPN carries and nothing is beside it, for the guest too; and the LAN is there."""
    what = f"{neighbour.name}: {what}"
    assert_tunnel(machine, what)
    for address in (LAN_GATEWAY, LAN6_GATEWAY):
        check(ping(machine, address), f"{what}: {address} on the LAN does not answer")
    for address in neighbour.guest_addresses if neighbour.guest and running else ():
        if not guest_reaches(machine, neighbour, address):
            raise TookTooLong(f"{what}: no answer to the guest from {address}")


def assert_all_blocked(machine, neighbour, what):
    """Nothing gets out of the host, nothing of the guest's, and the LAN is there."""
    what = f"{neighbour.name}: {what}"
    assert_blocked(machine, what)
    for address in neighbour.guest_addresses if neighbour.guest else ():
        check(not guest_reaches(machine, neighbour, address, 1), f"{what}: {address} answers the guest")


def theirs(machine):
    """snapshot() without what is ours, counters, and what a bridge's port is busy with: `linkdown` goes by itself."""
    found = {name: [line.replace('"linkdown"', "") for line in lines if name == "nftables" or '"protocol": "83"' not in line]
             for name, lines in snapshot(machine).items()}
    text = re.sub(r"(?ms)^table inet nm_killswitch \{.*?^\}\n?", "", "\n".join(found["nftables"]))
    found["nftables"] = sorted(re.sub(r"counter packets \d+ bytes \d+", "counter", text).splitlines())
    return found


# The sheet

def check_control(at, neighbour):
    """The positive control: while nothing is armed, each step leaks what the prober sends, and what the guest sends."""
    machine = at.installed()
    prepare(machine, neighbour)
    for step in neighbour.steps:
        with prober(machine):
            assert_from_prober(leaks_during(machine, lambda step=step: run(machine, step)))
    if not neighbour.guest:
        return
    for address in neighbour.guest_addresses:
        check(guest_reaches(machine, neighbour, address), f"{neighbour.name}: {address} does not answer the guest")
        ping_it = lambda address=address: guest_reaches(machine, neighbour, address)  # pylint: disable=unnecessary-lambda-assignment
        check(any(packet.dst == address for packet in leaks_during(machine, ping_it)),
              f"{neighbour.name}: nothing of the guest to {address} is on the wire")


def check_down(at, neighbour):
    """The whole life of the neighbour while the VPN is armed and down; then the VPN is brought up, and lost."""
    machine, vpn = at.armed(), at.vpns.vpn
    prepare(machine, neighbour)
    for step in neighbour.steps:
        assert_quiet(machine, neighbour, f"{step}, down", lambda step=step: run(machine, step))
    wait_idle(machine)
    assert_all_blocked(machine, neighbour, "running, down")
    assert_quiet(machine, neighbour, "brought up", lambda: up(machine, vpn))
    assert_works(machine, neighbour, "brought up")
    assert_quiet(machine, neighbour, "lost", lambda: run(machine, f"ip link delete {vpn.device}; sleep 2"))
    assert_quiet(machine, neighbour, "lost")
    assert_all_blocked(machine, neighbour, "lost")
    assert_quiet(machine, neighbour, "brought up again", lambda: up(machine, vpn))
    assert_works(machine, neighbour, "brought up again")


def check_up(at, neighbour):
    """The whole life of the neighbour while the VPN is armed and up."""
    machine, vpn = at.armed_up(), at.vpns.vpn
    prepare(machine, neighbour)
    for step in neighbour.steps:
        assert_quiet(machine, neighbour, f"{step}, up", lambda step=step: run(machine, step))
        assert_works(machine, neighbour, f"{step}, up", running=step != neighbour.stop)
    assert_quiet(machine, neighbour, "disconnected", lambda: down(machine, vpn))
    assert_all_blocked(machine, neighbour, "disconnected")


def check_untouched(at, neighbour):
    """Arming changes nothing of theirs; bringing the VPN up and down and disarming leaves all as it was."""
    machine, vpn = at.installed(), at.vpns.vpn
    prepare(machine, neighbour)
    run(machine, neighbour.start)
    wait_idle(machine)
    before = theirs(machine)
    arm(machine, vpn)
    assert_same(before, theirs(machine), f"{neighbour.name}: armed")
    up(machine, vpn)
    check(ping(machine, PUBLIC) and ping(machine, PUBLIC6), f"{neighbour.name}: the VPN does not carry")
    down(machine, vpn)
    wait_idle(machine)
    assert_same(before, theirs(machine), f"{neighbour.name}: up and down again")
    disarm(machine, vpn)
    wait_released(machine, f"{neighbour.name}: disarmed")
    assert_same(before, theirs(machine), f"{neighbour.name}: disarmed")
