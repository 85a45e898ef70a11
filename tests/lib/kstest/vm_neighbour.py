"""Neighbours: other programs that touch rules, routes or nftables, really run beside an armed VPN.

A neighbour is data: the commands that start and stop it, and what it can do in between.

    UFW = Neighbour("ufw", start="ufw --force enable", again=("ufw reload",), stop="ufw disable")

kstest/neighbour_life.py takes it through its life.
"""

import contextlib
import re
from dataclasses import dataclass

from .runner import TookTooLong, check
from .vm import PATIENCE
from .vm_router import LAN6_GATEWAY, LAN_GATEWAY
from .vm_vpn import PUBLIC, assert_blocked, assert_tunnel, ping, snapshot

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
    panic: tuple = ()       # (the command that stops all traffic, the one that lets it pass again)
    state: str = ""         # prints what else is theirs, besides rules, routes and nftables
    # The network namespace of a guest behind the host: a file, or words that print its name, expanded before each use. Its
    # uplink is called eth0, as the prober has it.
    guest: str = ""
    guest_addresses: tuple = (PUBLIC,)      # what the guest reaches; with PUBLIC6 if it has IPv6


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
    """snapshot() without what is ours, counters, and what a bridge's port is busy with: `linkdown` goes by itself.

    firewalld makes the chains of a zone, the kill switch's too, when a device first comes into it, and keeps them.
    """
    found = {name: [line.replace('"linkdown"', "") for line in lines if name == "nftables" or '"protocol": "83"' not in line]
             for name, lines in snapshot(machine).items()}
    text = re.sub(r"(?ms)^table inet nm_killswitch \{.*?^\}\n?", "", "\n".join(found["nftables"]))
    text = re.sub(r"(?ms)^\tchain \S*killswitch\S* \{.*?^\t\}\n?", "", text)
    found["nftables"] = sorted(re.sub(r"counter packets \d+ bytes \d+", "counter", text).splitlines())
    return found
