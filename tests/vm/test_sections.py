"""wg-quick beside a [vpn NAME] section, in a whole system: its own rules, mark and table, up and down in any order.

NetworkManager runs, but does not start the VPN. systemd's socket and path units follow the device and the file.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import vm_wg_quick as wg_quick
from kstest.runner import check, main, test, wait_for
from kstest.vm import PATIENCE
from kstest.vm_life import wait_armed, wait_released, wait_same
from kstest.vm_stages import Stages
from kstest.vm_vpn import (PUBLIC, PUBLIC6, SERVER, assert_blocked, assert_leak, assert_no_leak, assert_tunnel,
                           assert_tunnel_unprotected, ping, probe, snapshot, wait_idle)
from kstest.vm_wg_quick import DEVICE

CONFIG = "/etc/nm-killswitch.conf"

at = Stages("sections")


def configure_wg_quick(machine):
    """The profile's keys and server."""
    wg_quick.configure(machine, at.vpns.vpn, keepalive=5)


def quick(machine, what):
    wg_quick.run(machine, what)
    wait_idle(machine)


def write_section(machine, selector):
    machine.push(CONFIG, f"[vpn {DEVICE}]\nInterface={DEVICE}\n{selector}User=kernel\n")
    wait_armed(machine, "the section is there")
    wait_idle(machine)


def by_server():
    return f"Protocol=udp\nServerPort={at.vpns.vpn.port}\nTo={SERVER}\n"


def remove_section(machine):
    machine.push(CONFIG, "[main]\n")
    wait_released(machine, "the section is taken out")
    wait_idle(machine)


def wait_up(machine):
    wait_for(lambda: ping(machine, PUBLIC) and ping(machine, PUBLIC6), 60 * PATIENCE, "the tunnel carries")


@test
def without_a_section_wg_quick_works_and_its_end_leaks():
    machine = at.installed()
    configure_wg_quick(machine)
    quick(machine, "up")
    assert_tunnel_unprotected(machine, "wg-quick up")
    assert_leak(machine, "bound to the uplink", lambda: probe(machine, device="eth0"), kinds=(6, 17))
    quick(machine, "down")
    assert_leak(machine, "wg-quick down")


@test
def wg_quick_comes_up_and_goes_down_while_armed_by_its_server():
    machine = at.installed()
    before = snapshot(machine)
    configure_wg_quick(machine)
    write_section(machine, by_server())
    assert_blocked(machine, "armed, never up")
    for _ in range(2):
        assert_no_leak(machine, "coming up", lambda: quick(machine, "up"))
        wait_up(machine)
        assert_tunnel(machine, "up")
        assert_no_leak(machine, "up, bound to the uplink", lambda: probe(machine, device="eth0"))
        check(f"up on {DEVICE}" in machine.run("nm-killswitch status").stdout, "status says so")
        machine.run("nm-killswitch check")
        assert_no_leak(machine, "going down", lambda: quick(machine, "down"))
        assert_blocked(machine, "down")
    remove_section(machine)
    wait_same(machine, before, "disarmed")


@test
def wg_quick_can_be_armed_by_its_mark_and_disarmed_while_up():
    machine = at.installed()
    before = snapshot(machine)
    configure_wg_quick(machine)
    quick(machine, "up")
    wait_up(machine)
    with_wg_quick = snapshot(machine)
    mark = machine.run(["wg", "show", DEVICE, "fwmark"]).stdout.strip()
    write_section(machine, f"Mark={mark}\n")
    assert_tunnel(machine, "armed while up")
    assert_no_leak(machine, "bound to the uplink", lambda: probe(machine, device="eth0"))
    remove_section(machine)
    wait_same(machine, with_wg_quick, "disarmed while up")
    assert_tunnel_unprotected(machine, "disarmed while up")
    write_section(machine, f"Mark={mark}\n")
    assert_no_leak(machine, "going down", lambda: quick(machine, "down"))
    assert_blocked(machine, "down")
    # now its rules have other priorities, which the kernel chooses before ours
    quick(machine, "up")
    wait_up(machine)
    assert_tunnel(machine, "up again")
    remove_section(machine)
    assert_tunnel_unprotected(machine, "disarmed, and wg-quick goes on")
    quick(machine, "down")
    wait_same(machine, before, "wg-quick has gone")


if __name__ == "__main__":
    main(at.set_up)
