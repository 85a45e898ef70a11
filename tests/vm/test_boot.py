"""Boot and shutdown of a whole system, under probes from the first moment to the last.

The network card is captured from outside from power-on, so nothing that leaves
is missed, whatever state the system inside is in.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest.runner import check, main, test, wait_for
from kstest.vm import Machine
from kstest.vm_vpn import (PUBLIC, arm, assert_blocked, assert_leak, assert_no_leak, assert_tunnel, down, install,
                           leaks_during, make_wireguard, package, ping, up)

RELEASE = os.environ.get("KS_VM_RELEASE", "bookworm")


class _Made:
    """What the stages have made, for the tests."""

    machine = vpn = None


def set_up():
    _Made.machine = Machine(f"boot-{RELEASE}", RELEASE)
    _Made.machine.start()
    _Made.machine.wait_booted()


# The states in which tests begin; each is made once

def _clean():
    """No package; the prober will run from the next boot on."""
    def build():
        _Made.vpn = make_wireguard(_Made.machine)
        _Made.machine.run("systemctl enable ks-prober")
    _Made.machine.stage("clean", build)
    return _Made.machine


def _armed():
    """The package installed, the profile armed and down; the prober runs."""
    def build():
        machine = _clean()
        install(machine)
        arm(machine, _Made.vpn)
        machine.run("systemctl start ks-prober")
    package()
    _Made.machine.stage("armed", build)
    return _Made.machine, _Made.vpn


def _no_leak(what, action):
    """ACTION passes without a leak, and the prober, which must have been at it all the time, still is."""
    assert_no_leak(_Made.machine, what, action)
    _Made.machine.run("systemctl is-active ks-prober")


def _power_cycle():
    _Made.machine.poweroff()
    _Made.machine.start()
    _Made.machine.wait_booted()


@test
def without_kill_switch_every_kind_of_probe_leaves_at_boot():
    leaks = leaks_during(_clean(), _Made.machine.reboot)
    for kind in ("ipv4", "ipv6"):
        for uid in (0, 65534):
            for bound in (0, 1):
                start = f"ks-probe uid={uid} bound={bound} ".encode()
                check(any(packet.kind == kind and packet.payload.startswith(start) for packet in leaks),
                      f"no {kind} probe {start.decode()}on the wire")


@test
def armed_nothing_leaves_at_reboot():
    machine, vpn = _armed()
    _no_leak("reboot", machine.reboot)
    assert_blocked(machine, "rebooted")
    _no_leak("coming up", lambda: up(machine, vpn))
    assert_tunnel(machine, "up")


@test
def armed_with_the_vpn_up_nothing_leaves_at_shutdown_and_boot():
    machine, vpn = _armed()
    up(machine, vpn)
    _no_leak("power off and on", _power_cycle)
    assert_blocked(machine, "powered on")


@test
def losing_power_leaks_nothing():
    machine, vpn = _armed()
    up(machine, vpn)
    machine.run("sync")
    _no_leak("power lost", machine.reset)
    assert_blocked(machine, "power is back")


@test
def a_vpn_that_connects_at_boot_leaks_nothing():
    machine, vpn = _armed()
    machine.run(["nmcli", "connection", "modify", vpn.name, "connection.autoconnect", "yes"])
    _no_leak("boot", machine.reboot)
    wait_for(lambda: ping(machine, PUBLIC), 60, "the tunnel carries traffic")
    assert_tunnel(machine, "connected at boot")
    down(machine, vpn)
    assert_blocked(machine, "down")


@test
def the_kernel_command_line_turns_it_off_for_one_boot():
    machine, _ = _armed()
    machine.append = "nm_killswitch=off"
    try:
        _power_cycle()
        assert_leak(machine, "nm_killswitch=off")
    finally:
        machine.append = ""
    machine.poweroff()  # switched off before counting: it leaks as it should until then
    _no_leak("armed at the next boot", lambda: (machine.start(), machine.wait_booted()))


if __name__ == "__main__":
    main(set_up)
