"""What a person sees: from installing to removing, notifications in a real session, and what polkit allows them to do."""

import os
import re
import shlex
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import documents
from kstest.person import BACK, DOWN, LOST, NAME, UP, Person
from kstest.runner import check, equal, main, test
from kstest.vm_life import all_probes, assert_no_complaint, assert_prober_leaks, messages, now, prober, wait_same
from kstest.vm_stages import Stages
from kstest.vm_vpn import (arm, assert_blocked, assert_leak, assert_no_leak, assert_tunnel, disarm, package, purge, up, wait_idle)

at = Stages("person", "desktop")
TYPO, RULES = "kill-switch", "/etc/polkit-1/rules.d/50-nm-killswitch.rules"
# usage: TERMINAL COMMAND PASSWORD: runs COMMAND on a terminal of its own, and types PASSWORD when it is asked for, which is when
# the terminal shows no more what is typed
TERMINAL = "/usr/local/lib/ks-test/terminal.py"
_TERMINAL = """\
import os, pty, sys, termios, time
pid, terminal = pty.fork()
if pid == 0:
    os.execlp("bash", "bash", "-c", sys.argv[1])
shown, is_asked = b"", False
while True:
    try:
        shown += os.read(terminal, 4096)
    except OSError:     # the command has ended
        break
    if not is_asked and shown.endswith(b"Password: "):
        is_asked = True
        end = time.monotonic() + 30
        while termios.tcgetattr(terminal)[3] & termios.ECHO and time.monotonic() < end:
            time.sleep(0.05)
        os.write(terminal, sys.argv[2].encode() + b"\\n")
print(shown.decode(errors="replace"))
"""


def _logged_in():
    """A machine with the package installed, and a person logged in."""
    at.installed()

    def build():
        person = Person(at.installed())
        person.log_in()

    at.machine.stage("logged-in", build)
    return at.machine, Person(at.machine)


class Clock:
    """Measures each step that a person takes, without what the test does in between."""

    def __init__(self):
        self.total, self.steps = 0.0, []

    def time(self, what, action):
        start = time.monotonic()
        result = action()
        took = time.monotonic() - start
        self.total += took
        self.steps.append(f"{what} {took:.0f} s")
        return result


# From installing to removing

@test
def a_first_time_user_is_protected_until_they_turn_it_off_and_purging_leaves_the_machine_as_it_was():
    machine, vpn, clock = at.clean(), at.vpns.plugin, Clock()
    person = Person(machine)
    person.log_in()
    machine.run(f"nmcli connection modify {vpn.name} connection.id my-first-vpn")
    assert_leak(machine, "before", lambda: all_probes(machine))
    assert_prober_leaks(machine)

    with open(package(), "rb") as file:
        machine.push("/tmp/download/nm-killswitch_0_amd64.deb", file.read())
    clock.time("install", lambda: machine.run("cd /tmp/download && apt-get install -y ./nm-killswitch_*.deb", timeout=180))
    # the zone is misspelt: nothing is armed, and every place where a person would look says so
    clock.time("set the zone", lambda: person.type(f"nmcli connection modify my-first-vpn connection.zone {TYPO}"))
    wait_idle(machine)
    assert_leak(machine, "the zone is misspelt")
    correction = "nmcli connection modify my-first-vpn connection.zone killswitch"
    listed = clock.time("list", lambda: person.type("nm-killswitch list")).stdout
    for where, text in (("list", listed), ("sudo status", machine.run("nm-killswitch status").stdout),
                        ("journal", machine.run("journalctl -t nm-killswitch").stdout)):
        words = " ".join(text.split())
        check(f"zone '{TYPO}' of 'my-first-vpn' does not arm the kill switch" in words and correction in words, f"{where}: {text}")
    shown = person.type("nm-killswitch status").stdout
    check("off" in shown.splitlines()[0] and "warning" in shown, f"status without root: {shown}")

    _arm_lose_and_disarm(machine, person, clock, "my-first-vpn", "pkill -KILL -x -u nm-openvpn openvpn")
    # its device is in the kernel; NetworkManager does not bring it up again, even if the profile connects automatically
    _arm_lose_and_disarm(machine, person, clock, at.vpns.vpn.name, f"ip link delete {at.vpns.vpn.device}")
    clock.time("purge", lambda: purge(machine, "apt-get purge -y"))
    wait_same(machine, at.vpns.before, "purged")
    assert_leak(machine, "purged", lambda: all_probes(machine))
    left = person.run("systemctl --user list-units --all --plain --no-legend 'nm-killswitch*'; systemctl --user list-unit-files"
                      " --no-legend 'nm-killswitch*'", check=False).stdout
    equal(left, "", "units of the person's that purge left")
    print(f"        in {clock.total:.0f} s: {', '.join(clock.steps)}")


def _arm_lose_and_disarm(machine, person, clock, name, kill):
    """The VPN called NAME, which KILL ends."""
    said = clock.time("enable", lambda: person.type(f"nm-killswitch enable {name}")).stdout
    equal(said, f"'{name}' is armed (strict) and down: only the local network and the VPN's own transport get out\n", "enable")
    equal(clock.time("told", lambda: person.wait_shown("enabled"))[0], DOWN, "shown when enabled")
    with prober(machine) as since:
        assert_no_leak(machine, f"{name}: armed", lambda: _while_armed(machine, person, clock, name, kill))
    assert_no_complaint(messages(machine, since), f"{name}: armed")
    said = clock.time("disable", lambda: person.type(f"nm-killswitch disable {name}")).stdout
    equal(said, f"'{name}' is no longer armed; nothing is blocked\n", "disable")
    equal(person.wait_shown("disabled")[0], "Kill switch off: nothing is blocked", "shown when disabled")
    wait_idle(machine)
    machine.run(f"nmcli connection down {name}")
    assert_leak(machine, f"{name}: off")


def _while_armed(machine, person, clock, name, kill):
    """Connect; the VPN is killed, the person is told, and connects again as `status` says."""
    clock.time("connect", lambda: person.type(f"nmcli connection up {name}"))
    check("protected" in person.type("nm-killswitch status").stdout, "status says protected")
    equal(clock.time("told", lambda: person.wait_shown("connected"))[0], UP, "shown when connected")
    assert_tunnel(machine, "connected")
    machine.run(kill)
    clock.time("told that it was killed", lambda: _told_lost(person, name))
    assert_blocked(machine, "killed")
    shown = clock.time("status", lambda: person.type("nm-killswitch status")).stdout
    check(shown.startswith("Kill switch: blocking"), f"status: {shown}")
    command = re.search(r"Connect the VPN: (.*)", shown)
    check(command, f"status does not say how to connect: {shown}")
    clock.time("connect again", lambda: person.type(command[1]))
    equal(person.wait_shown("connected again")[0], BACK, "shown when connected again")
    assert_tunnel(machine, "connected again")


def _told_lost(person, name):
    title, body, actions = person.wait_shown("lost")
    equal((title, body), (LOST, f"Only the local network can be reached until {name} is up."), "shown when lost")
    equal(sorted(actions.values()), ["Connect", "Release"], "buttons")
    return actions


# Notifications

def _armed_and_up():
    """WireGuard armed and up, and the person has been told."""
    machine, person = _logged_in()

    def build():
        _logged_in()
        person.type(f"nm-killswitch enable {at.vpns.vpn.name}")
        equal(person.wait_shown("enabled")[0], DOWN, "shown when enabled")
        up(machine, at.vpns.vpn)
        equal(person.wait_shown("up")[0], UP, "shown when up")
        wait_idle(machine)
        person.wait_told()

    machine.stage("logged-in-up", build)
    person.seen = len(person.calls("Notify"))
    return machine, person


def _lose(machine, person):
    machine.run(f"ip link delete {at.vpns.vpn.device}")
    return _told_lost(person, at.vpns.vpn.name)


@test
def the_package_enables_the_units_of_every_user():
    machine, person = _logged_in()
    for unit in ("nm-killswitch-notify.path", "nm-killswitch-notify.service"):
        equal(person.run(f"systemctl --user is-enabled {unit}").stdout, "enabled\n", unit)
    equal(person.run("systemctl --user is-active nm-killswitch-notify.path").stdout, "active\n", "the path unit")
    machine.run("export XDG_RUNTIME_DIR=/run/user/0; systemctl start user@0; systemctl --user is-active default.target;"
                " ! systemctl --user is-active nm-killswitch-notify.path", timeout=90)


@test
def the_desktop_shows_each_change_and_a_button_connects():
    machine, person = _armed_and_up()
    since = now(machine)
    actions = _lose(machine, person)
    person.press(next(key for key, label in actions.items() if label == "Connect"))
    title, body, actions = person.wait_shown("back")
    equal((title, body, actions), (BACK, f"Traffic goes through {at.vpns.vpn.name} again.", {}), "shown when it is back")
    assert_tunnel(machine, "connected with the button")
    machine.run("nm-killswitch release")
    equal(person.wait_shown("released")[0], "Kill switch released: nothing is blocked", "shown")
    machine.run("nm-killswitch resume")
    equal(person.wait_shown("resumed")[0], "Kill switch is back on", "shown")
    # the guard cannot be put back, since the library that it needs is gone
    library = machine.run("readlink -f /usr/lib/x86_64-linux-gnu/libnftables.so.1").stdout.strip()
    machine.run(f"mkdir /root/copy; cp {library} /root/copy/libnftables.so.1; mv {library} /root;"
                " LD_LIBRARY_PATH=/root/copy nft delete table inet nm_killswitch; ! nm-killswitch sync")
    equal(person.wait_shown("incomplete")[0], "Kill switch is incomplete", "shown")
    machine.run(f"mv /root/{os.path.basename(library)} {library}; nm-killswitch sync")
    equal(person.wait_shown("complete again")[0], "Kill switch is back on", "shown")
    disarm(machine, at.vpns.vpn)
    equal(person.wait_shown("off")[0], "Kill switch off: nothing is blocked", "shown")
    found = [entry["MESSAGE"] for entry in messages(machine, since) if entry.get("SYSLOG_IDENTIFIER") == "nm-killswitch-notify"]
    equal(found, [], "in the journal")


@test
def the_release_button_needs_an_administrator_or_a_polkit_rule():
    machine, person = _armed_and_up()
    _lose(machine, person)
    person.press("release")
    title, body, _ = person.wait_shown("refused")
    equal(title, LOST, "shown when refused")
    check(re.match(r"That did not work: .*authenticat", body), f"the reason: {body}")
    assert_blocked(machine, "refused")
    # as in the manual page
    rule = next(lines for lines in documents.blocks("man/nm-killswitch-notify.8") if lines[0].startswith("polkit."))
    machine.push(RULES, "\n".join(rule).replace("alice", NAME) + "\n")
    machine.run("systemctl restart polkit")     # it reads new rules by itself, but does not say when it has
    person.press("release")
    equal(person.wait_shown("released")[0], "Kill switch released: nothing is blocked", "shown")
    assert_leak(machine, "released")


@test
def notifications_can_be_turned_off_for_one_user():
    machine, person = _armed_and_up()
    person.type("mkdir -p ~/.config/nm-killswitch && touch ~/.config/nm-killswitch/no-notifications")
    machine.run(f"ip link delete {at.vpns.vpn.device}")
    wait_idle(machine)
    person.wait_told()
    equal(person.new(), [], "shown though nothing is wanted")
    person.type("rm ~/.config/nm-killswitch/no-notifications")
    person.type("systemctl --user mask --now nm-killswitch-notify.path nm-killswitch-notify.service")
    machine.run("nm-killswitch release")
    time.sleep(5)
    equal(person.new(), [], "shown though the units are masked")
    person.type("systemctl --user unmask nm-killswitch-notify.path nm-killswitch-notify.service;"
                " systemctl --user start nm-killswitch-notify.path")
    machine.run("nm-killswitch resume")
    equal(person.wait_shown("unmasked")[0], LOST, "the control")


@test
def without_a_session_or_a_desktop_nothing_is_shown_and_nothing_fails():
    machine, person = _armed_and_up()
    since = now(machine)
    person.run("systemctl --user stop notifications")
    machine.run("nm-killswitch release")
    wait_idle(machine)
    time.sleep(5)
    person.wait_told()
    person.log_out()
    machine.run("nm-killswitch resume")
    wait_idle(machine)
    machine.run(f"ip link delete {at.vpns.vpn.device}")
    wait_idle(machine)
    assert_blocked(machine, "nobody is logged in")
    assert_no_complaint(messages(machine, since), "without a desktop")
    person.log_in()
    machine.run("nm-killswitch release")
    equal(person.wait_shown("logged in again")[0], "Kill switch released: nothing is blocked", "the control")


# Who may turn it on and off

@test
def enabling_without_root_needs_networkmanagers_polkit_permission():
    machine, person = _logged_in()
    vpn = at.vpns.vpn
    # in an active session, where NetworkManager's policy on Debian allows it for the group netdev
    said = person.type(f"nm-killswitch enable {vpn.name}").stdout
    check(said.startswith(f"'{vpn.name}' is armed (strict)"), said)
    assert_blocked(machine, "enabled in the session")
    # without a session, and with nobody to ask
    machine.run(f"gpasswd --delete {NAME} netdev; systemctl restart polkit")
    refused = person.type(f"nm-killswitch disable {vpn.name}", check=False)
    equal((refused.rc, refused.stdout), (1, ""), "refused")
    check(re.fullmatch(rf"nm-killswitch: .*'{vpn.name}'.*; run the command with sudo\n", refused.stderr), refused.stderr)
    assert_blocked(machine, "refused")
    # an agent in the same terminal asks for an administrator's password
    machine.run("echo root:secret | chpasswd")
    machine.push(TERMINAL, _TERMINAL, 0o755)
    command = ("mkfifo /tmp/registered && { pkttyagent --process $$ --notify-fd 5 5>/tmp/registered & } && cat /tmp/registered;"
               f" exec nm-killswitch disable {vpn.name}")
    shown = person.run(f"python3 -I {TERMINAL} {shlex.quote(command)} secret", timeout=90).stdout
    check("Authenticating as: root" in shown and f"'{vpn.name}' is no longer armed; nothing is blocked" in shown, shown)
    arm(machine, vpn)
    machine.push(RULES, f'''polkit.addRule(function (action, subject) {{
    if (action.id == "org.freedesktop.NetworkManager.settings.modify.system" && subject.user == "{NAME}")
        return polkit.Result.YES;
}});
''')
    machine.run("systemctl restart polkit")
    said = person.run(f"nm-killswitch disable {vpn.name}").stdout
    equal(said, f"'{vpn.name}' is no longer armed; nothing is blocked\n", "allowed by the rule, without a session")
    assert_leak(machine, "disabled")


if __name__ == "__main__":
    main(at.set_up)
