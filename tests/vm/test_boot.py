"""Boot and shutdown of a whole system, under probes from the first moment to the last.

The network card is captured from outside from power-on, so no packet that leaves
is missed, whatever state the system inside is in.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest.runner import main, test, wait_for
from kstest.vm_life import assert_from_prober
from kstest.vm_stages import Stages
from kstest.vm_vpn import PUBLIC, assert_blocked, assert_leak, assert_no_leak, assert_tunnel, down, leaks_during, ping, up

at = Stages("boot")


def _with_prober(machine):
    """Start the prober, now and at the start of each boot. One VPN is enough: others would make a boot longer."""
    machine.run("cd /etc/ks-server.d && ls | grep -v wgs0 | xargs rm; systemctl enable ks-prober; systemctl start ks-prober")
    return machine


def _armed():
    """The profile armed and down, with the prober running."""
    at.armed()
    at.machine.stage("armed-prober", lambda: _with_prober(at.machine))
    return at.machine, at.vpns.vpn


def _no_leak(what, action):
    """ACTION passes without a leak, and the prober has been sending all the time and still is."""
    assert_no_leak(at.machine, what, action)
    at.machine.run("systemctl is-active ks-prober")


def _power_cycle():
    at.machine.poweroff()
    at.machine.start()
    at.machine.wait_booted()


@test
def without_kill_switch_every_kind_of_probe_leaves_at_boot():
    assert_from_prober(leaks_during(_with_prober(at.clean()), at.machine.reboot))


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
    machine.poweroff()  # before counting, since it leaks until then, as it should
    _no_leak("armed at the next boot", lambda: (machine.start(), machine.wait_booted()))


if __name__ == "__main__":
    main(at.set_up)
