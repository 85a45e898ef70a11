"""What the tests of the life cycle need besides vm_vpn.py: waiting for the units, the journal, repair times.

Nothing here asks the product to do anything: the tests want to see what it does by itself.
"""

import contextlib
import json
import re

from .runner import TookTooLong, check, wait_for
from .vm import NOBODY, PATIENCE
from .vm_vpn import PROFILES, assert_no_leak, probe, snapshot, wait_idle, wait_state

SYNC, SETTLE, HEAL = (f"nm-killswitch-{name}.service" for name in ("sync", "settle", "heal"))
_GUEST = "/usr/local/lib/ks-test/life.py"


# What the product does by itself

def wait_armed(machine, what, timeout=60):
    """Until rules of both families and the guard are there; who does not come in time has missed the change."""
    wait_state(machine, "armed", f"{what}: armed", timeout)


def wait_released(machine, what, timeout=60):
    """Until nothing of ours is there."""
    wait_state(machine, "released", f"{what}: released", timeout)


def wait_line(machine, command, pattern, what, present=True, timeout=60):
    """Until a line that COMMAND prints matches PATTERN (of grep -E), or none does any more."""
    limit = round(timeout * PATIENCE)
    script = (f"until {'' if present else '!'} {command} | grep -Eq '{pattern}';"
              f" do [ $SECONDS -lt {limit} ] || exit 1; sleep 0.1; done")
    if not machine.run(script, check=False, timeout=timeout + 30):
        # what does not go has been left behind
        raise (TookTooLong if present else AssertionError)(
            f"not within {limit} s: {what}: {'a' if present else 'no'} line {pattern} of {command}")


def wait_rule(machine, pattern, what, present=True, family=4, timeout=60):
    """Until a rule of ours matches PATTERN, or none does any more."""
    wait_line(machine, f"ip -{family} -N rule", pattern, what, present, timeout)


def wait_server(machine, address, what, present=True, timeout=60):
    """Until ADDRESS is one of the servers that are exempted, or is none any more."""
    wait_line(machine, "ip -N route show table 86", f"^{address} ".replace(".", "[.]"), what, present, timeout)


def wait_same(machine, before, what, timeout=60):
    """Until rules, routes and nftables are rule by rule what they were BEFORE."""
    differences = [None]

    def same():
        after = snapshot(machine)
        differences[0] = [f"{name}: gone {[line for line in lines if line not in after[name]]},"
                          f" new {[line for line in after[name] if line not in lines]}"
                          for name, lines in before.items() if sorted(lines) != sorted(after[name])]
        return not differences[0]

    try:
        wait_for(same, timeout * PATIENCE, what, 0.5, AssertionError)
    except AssertionError as error:
        raise AssertionError(f"{what}: not as before: {'; '.join(differences[0])}") from error


# Probes

def all_probes(machine):
    """Datagrams, TCP and pings, unbound and bound to the uplink; the prober in the guest sends datagrams only."""
    probe(machine, device="eth0")


@contextlib.contextmanager
def prober(machine):
    """The prober sends meanwhile. Otherwise it stands still: it takes a good part of an emulated processor."""
    answer = machine.ask({"op": "prober", "runs": True})
    try:
        yield answer["now"]
    finally:
        machine.ask({"op": "prober", "runs": False})


def assert_prober_leaks(machine):
    """The positive control: without the kill switch all that the prober sends is seen, once it has begun."""
    marks = [(wire, wire.mark()) for wire in (machine.wire, machine.wire2) if wire is not None]

    def missing():
        try:
            assert_from_prober([packet for wire, mark in marks for packet in wire.since(mark).leak])
            return None
        except AssertionError as error:
            return error
    with prober(machine):
        with contextlib.suppress(TookTooLong):
            wait_for(lambda: not missing(), 30 * PATIENCE, "all that the prober sends is seen", 0.5)
        error = missing()
    if error:
        raise error


def assert_from_prober(leaks):
    """Among the LEAKS is each kind of packet that the prober sends."""
    for kind in ("ipv4", "ipv6"):
        for uid in (0, NOBODY):
            for bound in (0, 1):
                start = f"ks-probe uid={uid} bound={bound} ".encode()
                check(any(packet.kind == kind and packet.payload.startswith(start) for packet in leaks),
                      f"no {kind} probe {start.decode()}on the wire")


def quiet(machine, what, action=None, journal=True):
    """ACTION (or the probes) passes, nothing leaks, the prober was at it, and no unit of ours complained."""
    with prober(machine) as since:
        assert_no_leak(machine, what, action or (lambda: all_probes(machine)), settle=0.5)     # the prober goes on meanwhile
        check(machine.ask({"op": "prober", "runs": True})["pids"], "the prober has ended")
    if journal:
        assert_no_complaint(messages(machine, since), what)


# Profiles

def edit_zone(vpn, zone):
    """The shell command with which a person edits the profile's file; NetworkManager is not told."""
    path = f"{PROFILES}/{vpn.name}.nmconnection"
    return f"sed -i -e /^zone=/d -e '/^\\[connection\\]/azone={zone}' {path}" if zone else f"sed -i /^zone=/d {path}"


def set_zone(machine, vpn, zone):
    machine.run(["nmcli", "connection", "modify", vpn.name, "connection.zone", zone])


# The journal

def now(machine):
    """The machine's time, for messages()."""
    return machine.ask({"op": "now"})["now"]


def messages(machine, since):
    """The journal's entries of the time SINCE and later as dictionaries."""
    text = machine.run(f"journalctl --sync; exec journalctl --no-pager --all --since=@{since:.6f} --output=json").stdout
    return [json.loads(line) for line in text.splitlines() if line.startswith("{")]


def ours(machine, since):
    """What we have said since then."""
    return [str(entry.get("MESSAGE")) for entry in messages(machine, since)
            if entry.get("SYSLOG_IDENTIFIER") == "nm-killswitch"]


def cpu_ms(machine, since, unit):
    """(runs, milliseconds of CPU) that UNIT has used since then, as systemd counts them."""
    used = [int(entry["CPU_USAGE_NSEC"]) / 1e6 for entry in messages(machine, since)
            if entry.get("UNIT") == unit and "CPU_USAGE_NSEC" in entry]
    return len(used), sum(used)


_ERROR = "e17d4c9b2f6a4b7c9d3e5f8a1b0c2d46"     # KS_MESSAGE_ERROR
_FAILED = re.compile(r"nm-killswitch-\w+\.service: Failed with result 'exit-code'|Failed to start nm-killswitch-")
_BUSY = re.compile(r"cannot lock .*: another run holds it")


def assert_no_complaint(entries, what):
    """No unit of ours has failed, no sandbox has denied anything and nothing has crashed, by these ENTRIES of the journal.

    A run that waited for the lock in vain, 15 seconds, is late: each run takes some seconds in a machine that gets little
    of a busy host's time. It fails, and so does its unit.
    """
    bad = ("denied", "Operation not permitted", "Read-only file system", "core-dump", "status=31", "signal",
           "Failed with result", "Failed to start", "assertion")
    found = [entry for entry in entries
             if "killswitch" in json.dumps(entry) and any(word in str(entry.get("MESSAGE")) for word in bad)]
    if not found:
        return
    errors = [str(entry.get("MESSAGE")) for entry in entries if entry.get("MESSAGE_ID") == _ERROR]
    only_late = errors and all(map(_BUSY.search, errors)) and all(_FAILED.match(str(entry["MESSAGE"])) for entry in found)
    texts = [f"{entry.get('SYSLOG_IDENTIFIER')}: {entry['MESSAGE']}" for entry in found[:5]]
    raise (TookTooLong if only_late else AssertionError)(f"{what}: in the journal: {texts + errors[:1] if only_late else texts}")


# Repairs and races

def repair_time(machine, command, until="same", limit=60):
    """Run COMMAND, which damages what is ours; returns the milliseconds from the damage to the end of the repair."""
    wait_idle(machine)
    output = machine.run(["python3", _GUEST, "repair", str(limit * PATIENCE), until, command],
                         timeout=limit + 30).stdout
    times = json.loads(output.splitlines()[-1])
    check(times["broken"] is not None, f"{command!r}: nothing of ours was seen to change: {times}")
    check(times["fixed"] is not None, f"{command!r}: not repaired within {limit} s: {times}")
    return times["fixed"] - times["broken"]


def chase(machine, vpn, other, unit=SYNC):
    """Replace the profile's file by OTHER, and put the first version back at the moment in which UNIT ends."""
    machine.run(["python3", _GUEST, "chase", f"{PROFILES}/{vpn.name}.nmconnection", unit, other])
