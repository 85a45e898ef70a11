"""SELinux in enforcing mode, with Debian's policy: the kill switch works completely, or says what it cannot do.

Debian 12's policy does not know our program in NetworkManager's dispatcher directory: it has the label of a library, which
NetworkManager's domain may not run. Debian 13's lets it run, but in that domain, which has no access to nftables. The units
must then keep everything from leaking, and `status` says what is wrong. Debian 13 is tried by hand (KS_VM_RELEASE=trixie).
With the module that comes with the package, installed as nm-killswitch(8) shows, the events arrive as well.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import documents, vm_image
from kstest.runner import check, equal, main, test
from kstest.vm import NOBODY
from kstest.vm_life import all_probes, messages, now, quiet, set_zone, wait_armed, wait_released, wait_rule, wait_same
from kstest.vm_stages import RELEASE, Stages
from kstest.vm_vpn import (PUBLIC, assert_blocked, assert_leak, assert_no_leak, assert_tunnel, down, install, ping, purge, up,
                           wait_idle)

# Debian 13's image has the same packages and kernel command line
for table in (vm_image.VARIANTS, vm_image.KERNEL_WORDS):
    table.setdefault("trixie-selinux", table["bookworm-selinux"])
at = Stages("selinux", "selinux")
PROGRAM = "/usr/lib/NetworkManager/dispatcher.d/no-wait.d/10-killswitch"
UNITS = "system_u:system_r:initrc_t:s0"
LABEL = "system_u:object_r:initrc_exec_t:s0"
# without the module: the program's type, what `status` says, and whether NetworkManager can run the program at all
TYPE, WARNING, RUNS = {
    "bookworm": ("lib_t", "SELinux keeps NetworkManager from running", False),
    "trixie": ("NetworkManager_initrc_exec_t", "SELinux keeps nftables and the kill switch's files from", True),
}[RELEASE]


def _context(machine):
    return machine.run(["stat", "--format=%C", PROGRAM]).stdout.strip()


def _audited(machine):
    """The machine, whose journal has what SELinux denies, which is not so on Debian 13."""
    machine.run("systemctl --quiet is-active systemd-journald-audit.socket || {"
                " systemctl enable systemd-journald-audit.socket && systemctl stop systemd-journald.service &&"
                " systemctl start systemd-journald-audit.socket systemd-journald.service; }")
    return machine


def _with_module():
    """The machine with the policy module installed, and nothing armed."""
    def build():
        machine = _audited(at.installed())
        commands, = (lines for lines in documents.blocks("man/nm-killswitch.8") if lines[0].startswith("semodule -i "))
        for command in commands:
            machine.run(command, timeout=600)   # the policy is compiled anew
        equal(_context(machine), LABEL, "the program's label")
    at.machine.stage("with-module", build)
    return at.machine


def _denied(machine, since):
    """What SELinux has denied since then to our programs, or for our files."""
    texts = [str(entry.get("MESSAGE")) for entry in messages(machine, since) if entry.get("_TRANSPORT") == "audit"]
    return [text for text in texts if "denied" in text and "killswitch" in text]


def _assert_enforcing(machine):
    equal(machine.run("cat /sys/fs/selinux/enforce").stdout.strip(), "1", "SELinux enforces its policy")


def _assert_allowed(machine, since, what):
    """Nothing of ours was denied, and all our programs that logged something ran in the units' domain."""
    equal(_denied(machine, since), [], f"{what}: denied")
    # standard output does not count: it has the domain of systemd, which opened the stream before it ran the program
    contexts = {str(entry.get("_SELINUX_CONTEXT")).strip("\0\n") for entry in messages(machine, since)
                if entry.get("SYSLOG_IDENTIFIER") == "nm-killswitch" and entry.get("_TRANSPORT") == "journal"}
    check(contexts, f"{what}: nothing in the journal")
    equal({context for context in contexts if not context.startswith("unconfined_u:")}, {UNITS}, f"{what}: domains")


@test
def without_kill_switch_everything_sent_is_seen():
    machine = at.clean()
    _assert_enforcing(machine)
    assert_leak(machine, "not installed", lambda: all_probes(machine))


@test
def without_the_module_status_says_so_and_a_strict_vpn_is_still_protected():
    machine, vpn = _audited(at.armed()), at.vpns.vpn
    _assert_enforcing(machine)
    equal(_context(machine), f"system_u:object_r:{TYPE}:s0", "the program's label")
    since = now(machine)
    shown = " ".join(machine.run("nm-killswitch status").stdout.split())
    check(WARNING in shown, "status does not say so to root")
    check(f"run 'semodule -i /usr/share/nm-killswitch/nm-killswitch.cil' and 'restorecon {PROGRAM}'" in shown, f"no command: {shown}")
    check("warning" in machine.run("nm-killswitch status", uid=NOBODY, check=False).stdout, "status does not say so to a user")
    check(WARNING in machine.run("journalctl --boot --no-pager -t nm-killswitch").stdout, "the journal does not say so")
    assert_blocked(machine, "armed, no module")
    assert_no_leak(machine, "coming up, no module", lambda: (up(machine, vpn), all_probes(machine)))
    assert_tunnel(machine, "up, no module")
    assert_no_leak(machine, "lost, no module", lambda: (machine.run(["ip", "link", "delete", vpn.device]), all_probes(machine)))
    assert_blocked(machine, "lost, no module")
    # the positive control for _denied(): NetworkManager was kept from running the program, or the program in NetworkManager's
    # domain from its work, and nothing else was denied
    denied, of_us = _denied(machine, since), 'comm="10-killswitch"' if RUNS else "execute_no_trans"
    check(denied and all(of_us in text and "scontext=system_u:system_r:NetworkManager_t:" in text for text in denied),
          f"denied: {denied}")


def a_session_vpn_without_the_module_is_protected_by_the_units_and_stays_armed():
    machine, vpn = at.installed(), at.vpns.vpn
    set_zone(machine, vpn, "killswitch-auto")
    wait_idle(machine)
    wait_released(machine, "not activated yet")
    up(machine, vpn)
    wait_armed(machine, "activated")
    wait_idle(machine)
    assert_tunnel(machine, "activated")
    quiet(machine, "lost", lambda: (machine.run(["ip", "link", "delete", vpn.device]), all_probes(machine)))
    assert_blocked(machine, "lost")
    up(machine, vpn)
    assert_no_leak(machine, "disconnected", lambda: (down(machine, vpn), all_probes(machine)))
    assert_blocked(machine, "disconnected")
    machine.run("nm-killswitch release")
    wait_same(machine, at.vpns.before, "released")


if RUNS:
    test(a_session_vpn_without_the_module_is_protected_by_the_units_and_stays_armed)


@test
def with_the_module_every_part_works_and_nothing_is_denied():
    machine, vpn = _with_module(), at.vpns.vpn
    since = now(machine)
    set_zone(machine, vpn, "killswitch")
    wait_armed(machine, "armed")
    wait_idle(machine)
    text = machine.run("nm-killswitch status").stdout
    check(WARNING not in text, f"a warning all the same: {text}")
    assert_blocked(machine, "armed")
    quiet(machine, "coming up", lambda: (up(machine, vpn), all_probes(machine)))
    assert_tunnel(machine, "up")
    machine.run("ip rule del priority 8380")
    wait_rule(machine, "^8380:", "a deleted rule is put back")
    quiet(machine, "lost", lambda: (machine.run(["ip", "link", "delete", vpn.device]), all_probes(machine)))
    assert_blocked(machine, "lost")
    install(machine)
    equal(_context(machine), LABEL, "the program's label after an upgrade")
    check("Kill switch: " in machine.run("nm-killswitch status", uid=NOBODY, check=False).stdout, "no status for a user")
    machine.run("nm-killswitch release")
    wait_same(machine, at.vpns.before, "released")
    machine.run("nm-killswitch resume")
    wait_armed(machine, "resumed")
    wait_idle(machine)
    _assert_allowed(machine, since, "armed, up, lost, released")
    # what `semodule -r nm-killswitch` removes; to compile the policy once more takes half a minute (tests/arch/test_releases.py)
    machine.run("rm -r /var/lib/selinux/default/active/modules/400/nm-killswitch")
    purge(machine)
    wait_same(machine, at.vpns.before, "purged")
    equal(_denied(machine, since), [], "purged: denied")
    assert_leak(machine, "purged", lambda: all_probes(machine))


@test
def with_the_module_a_session_vpn_is_armed_by_its_activation():
    machine, vpn = _with_module(), at.vpns.vpn
    set_zone(machine, vpn, "killswitch-auto")
    wait_idle(machine)
    wait_released(machine, "not activated yet")
    up(machine, vpn)
    wait_armed(machine, "activated")
    assert_tunnel(machine, "activated")
    quiet(machine, "lost", lambda: (machine.run(["ip", "link", "delete", vpn.device]), all_probes(machine)))
    assert_blocked(machine, "lost")


@test
def openvpn_that_the_policy_keeps_from_connecting_leaks_nothing():
    # Debian's policy does not let openvpn write to NetworkManager's directory in /run, with or without the kill switch
    machine = at.armed_plugin()

    def connect():
        return machine.run("nmcli --wait 30 connection up my-openvpn", check=False)

    assert_no_leak(machine, "connecting", lambda: (connect(), all_probes(machine)))
    assert_blocked(machine, "connecting")
    machine.run("nm-killswitch release")
    wait_same(machine, at.vpns.before, "released")
    check(not connect(), "OpenVPN connects: then test it here as WireGuard is")
    check(ping(machine, PUBLIC), "off-line")


@test
def at_boot_it_is_armed_before_the_network_and_nothing_is_denied():
    machine, vpn = _with_module(), at.vpns.vpn
    set_zone(machine, vpn, "killswitch")
    wait_armed(machine, "armed")
    wait_idle(machine)
    since = now(machine)
    machine.run("systemctl enable ks-prober.service")
    assert_no_leak(machine, "rebooting", machine.reboot)
    _assert_enforcing(machine)
    machine.run("systemctl is-active nm-killswitch-boot.service")
    assert_blocked(machine, "booted")
    _assert_allowed(machine, since, "booted")
    up(machine, vpn)
    assert_tunnel(machine, "booted and up")
    assert_no_leak(machine, "disconnected", lambda: (down(machine, vpn), all_probes(machine)))


if __name__ == "__main__":
    main(at.set_up)
