"""A neighbour's whole life beside a VPN that is armed, down and up, under one watch of the wire.

    check_life(at, UFW)

Meanwhile packets are sent by root and an unprivileged user, in both families, from sockets bound to the uplink and not, and by a
guest behind the host if the neighbour has one. The journal is read once, at the end: in an emulated machine that takes a while.
"""

import contextlib

from .packets import ICMP, ICMPV6
from .runner import TookTooLong, check, wait_for
from .vm import PATIENCE
from .vm_life import assert_from_prober, assert_no_complaint, messages, prober, wait_released
from .vm_neighbour import assert_all_blocked, guest_prober, guest_reaches, prepare, run, theirs
from .vm_router import LAN6_GATEWAY, LAN_GATEWAY
from .vm_vpn import PUBLIC, PUBLIC6, arm, assert_same, disarm, down, ping, up, wait_idle


# The wire

class Watch:
    """What leaves while a neighbour goes through its life. Every packet is judged with the step in which, or after which, it
    was seen: there is no gap between two steps."""

    def __init__(self, machine, neighbour):
        self._machine, self._name = machine, neighbour.name
        self._wires = [wire for wire in (machine.wire, machine.wire2) if wire is not None]
        self._marks = []
        self.forget()

    def forget(self):
        """What has left so far is not judged."""
        self._marks = [wire.mark() for wire in self._wires]

    def leaks(self):
        """What has leaked since forget() or step()."""
        return [packet for wire, mark in zip(self._wires, self._marks) for packet in wire.since(mark).leak]

    def step(self, what, action):
        """ACTION passes, and nothing leaks; also if it takes too long: then the leak is what has failed."""
        late = None
        try:
            action()
        except TookTooLong as error:
            late = error
        marks = [wire.mark() for wire in self._wires]   # before it is judged: what comes meanwhile is judged twice
        leaks = self.leaks()
        check(not leaks, f"{self._name}: {what}: {len(leaks)} packets leaked, such as {'; '.join(map(str, leaks[:5]))}")
        self._marks = marks
        check(self._machine.ask({"op": "prober", "runs": True})["pids"], "the prober has ended")
        if late:
            raise late


@contextlib.contextmanager
def watching(machine, neighbour):
    """All probes are sent meanwhile; yields the Watch. No unit of ours may have complained in the end."""
    with prober(machine) as since, guest_prober(machine, neighbour):
        yield Watch(machine, neighbour)
    assert_no_complaint(messages(machine, since), neighbour.name)


def assert_leaks(machine, neighbour, watch, what):
    """The positive control: all that the prober sends is seen, and what the guest sends."""
    def seen():
        try:
            assert_from_prober(watch.leaks())
        except AssertionError:
            return False
        return True
    try:
        wait_for(seen, 40 * PATIENCE, what, 0.5)
    except TookTooLong:
        assert_from_prober(watch.leaks())   # names what is missing: that is no lateness
    for address in neighbour.guest_addresses if neighbour.guest else ():
        check(guest_reaches(machine, neighbour, address), f"{neighbour.name}: {what}: {address} does not answer the guest")
        check(any(packet.dst == address and packet.proto in (ICMP, ICMPV6) for packet in watch.leaks()),
              f"{neighbour.name}: {what}: no ping of the guest to {address} is on the wire")


# What has to hold

def _assert_carries(machine, neighbour, what, running=True):
    """The VPN carries both families, for the guest too; and the LAN is there."""
    what = f"{neighbour.name}: {what}"
    for address in (PUBLIC, PUBLIC6, LAN_GATEWAY, LAN6_GATEWAY):
        if not ping(machine, address):
            raise TookTooLong(f"{what}: no answer from {address}")
    for address in neighbour.guest_addresses if neighbour.guest and running else ():
        if not guest_reaches(machine, neighbour, address):
            raise TookTooLong(f"{what}: no answer to the guest from {address}")


def _all_theirs(machine, neighbour):
    """theirs(), and what else the neighbour has."""
    found = theirs(machine)
    if neighbour.state:
        found["state"] = machine.run(neighbour.state).stdout.splitlines()
    return found


# The sheet

def check_life(at, neighbour):
    """Started unarmed, where everything leaks; armed; once through its life with the VPN down, and once with it up; the VPN
    lost and brought up again, disconnected; disarmed, where everything leaks again. Nothing that we do changes what is theirs."""
    machine, vpn = at.installed(), at.vpns.vpn
    steps = (*neighbour.again, *neighbour.panic, neighbour.stop, neighbour.start)
    prepare(machine, neighbour)

    def same(before, what):
        wait_idle(machine)
        found = []

        def is_same():
            found.append(_all_theirs(machine, neighbour))
            return found[-1] == before
        with contextlib.suppress(TookTooLong):      # an address that came back may be in doubt for some seconds
            wait_for(is_same, 15 * PATIENCE, what, 1)
        assert_same(before, found[-1], f"{neighbour.name}: {what}")
        return found[-1]

    with watching(machine, neighbour) as watch:
        run(machine, neighbour.start)
        assert_leaks(machine, neighbour, watch, "started, unarmed")
        before = _all_theirs(machine, neighbour)
        arm(machine, vpn)
        watch.forget()
        same(before, "armed")

        for step in steps:
            watch.step(f"{step}, down", lambda step=step: run(machine, step))
        watch.step("down", lambda: assert_all_blocked(machine, neighbour, "down"))
        before = _all_theirs(machine, neighbour)

        def bring_up():
            up(machine, vpn)
            _assert_carries(machine, neighbour, "brought up")
        watch.step("brought up", bring_up)
        for step in steps:
            def take(step=step):
                run(machine, step)
                if step in neighbour.panic[:1]:
                    check(not ping(machine, PUBLIC, timeout=1), f"{neighbour.name}: the tunnel carries after {step}")
                else:
                    _assert_carries(machine, neighbour, f"{step}, up", running=step != neighbour.stop)
            watch.step(f"{step}, up", take)
        watch.step("lost", lambda: run(machine, f"ip link delete {vpn.device}; sleep 2"))
        watch.step("lost", lambda: assert_all_blocked(machine, neighbour, "lost"))
        watch.step("brought up again", bring_up)
        watch.step("disconnected", lambda: down(machine, vpn))
        before = same(before, "up, lost and disconnected")
        watch.step("disconnected", lambda: assert_all_blocked(machine, neighbour, "disconnected"))
        disarm(machine, vpn)
        wait_released(machine, f"{neighbour.name}: disarmed")
        same(before, "disarmed")
        watch.forget()
        assert_leaks(machine, neighbour, watch, "disarmed")
