#!/usr/bin/env python3
"""What the command shows and does, with a real NetworkManager, as root and as an ordinary user."""

import concurrent.futures
import glob
import json
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import netns, probes, runner
from kstest.machine import VPN, Machine
from kstest.runner import check, equal, test, wait_for

_machine = None


def machine():
    """The machine, armed, with the VPN down."""
    global _machine
    if _machine is None:
        _machine = Machine(True)
    _machine.arm()
    _machine.down()
    return _machine


def command(m, *arguments, uid=0, check_status=True):
    return m.host.run("nm-killswitch", *arguments, uid=uid, check=check_status)


def state(m, uid):
    """What `status --json` says to UID."""
    return json.loads(command(m, "status", "--json", uid=uid).stdout)


def quiet(m, uid=probes.NOBODY):
    return command(m, "status", "--quiet", uid=uid, check_status=False).returncode


@test
def a_user_sees_the_state_and_nothing_of_the_profile():
    m = machine()
    told = command(m, "status", uid=probes.NOBODY).stdout
    for text in ("Kill switch: blocking", VPN, "by connection.zone; down", "Not shown, since only root may see it",
                 f"  Connect the VPN: nmcli connection up {VPN}", "sudo nm-killswitch release"):
        check(text in told, f"'{text}' is not in: {told}")
    check(netns.SERVER not in told, f"the server's address is root's: {told}")
    check(netns.SERVER in command(m, "status").stdout, "root sees the server's address")
    equal(m.host.run("stat", "-c", "%a", "/run/nm-killswitch/status.json").stdout.strip(), "644", "mode of the file")
    check(netns.SERVER not in m.host.read("/run/nm-killswitch/status.json"), "the server's address is in the file")
    result = m.host.run("cat", "/var/lib/nm-killswitch/state", uid=probes.NOBODY, check=False)
    check(result.returncode, "the control: a user cannot read what is remembered")
    for word in ("check", "sync", "release", "resume"):
        result = command(m, word, uid=probes.NOBODY, check_status=False)
        equal((result.returncode, result.stderr), (1, "nm-killswitch: this needs root: run the command with sudo\n"), word)


@test
def root_and_a_user_are_told_the_same_state_through_a_whole_life():
    m = machine()
    for act, expected, status in (
            (lambda: None, "blocking", 3),
            (m.up, "protected", 0),
            (m.kill, "blocking", 3),
            (lambda: command(m, "release"), "released", 4),
            (lambda: command(m, "resume"), "blocking", 3),
            (m.disarm, "off", 4)):
        act()
        told = wait_for(lambda: (lambda each: each if each["state"] == expected else None)(state(m, probes.NOBODY)), 5,
                        f"a user is told '{expected}'")
        wait_for(lambda: state(m, 0)["state"] == expected, 5, f"root is told '{expected}'")
        equal((told["complete"], told["problems"]), (False, []), "a user is told all there is to tell")
        equal((quiet(m), quiet(m, 0)), (status, status), f"exit status of `status --quiet` while {expected}")
        check(("Not shown" in command(m, "status", uid=probes.NOBODY).stdout) == (expected in ("protected", "blocking")),
              f"only what is there can be left out while {expected}")
        equal([profile["tunnel"] for profile in told["armed"]], {"protected": ["tun0"], "blocking": [None]}.get(expected, []),
              f"tunnels while {expected}")


@test
def a_user_sees_at_once_that_rules_are_missing():
    m = machine()
    m.host.run("ip", "-6", "rule", "delete", "priority", "8390")
    told = state(m, probes.NOBODY)
    equal((told["state"], len(told["problems"]), quiet(m)), ("incomplete", 1, 5), "without the terminal rule")
    command(m, "sync")
    equal((state(m, probes.NOBODY)["state"], quiet(m)), ("blocking", 3), "repaired")


@test
def everybody_is_told_that_the_guard_cannot_be_installed():
    m = machine()
    m.up()
    link, = glob.glob("/usr/lib/*/libnftables.so.1")
    library = os.path.realpath(link)
    m.host.run("sh", "-c", f"mkdir -p /run/copy; cp {library} /run/copy/libnftables.so.1; mount --bind /dev/null {library};"
               " LD_LIBRARY_PATH=/run/copy nft delete table inet nm_killswitch")
    result = command(m, "sync", check_status=False)
    equal(result.returncode, 1, "exit status of sync")
    check("cannot load libnftables" in result.stderr, f"the reason: {result.stderr}")
    for uid in (0, probes.NOBODY):
        equal((state(m, uid)["state"], quiet(m, uid)), ("incomplete", 5), f"told to {uid}")
    m.host.run("umount", library)
    command(m, "sync")
    equal((state(m, probes.NOBODY)["state"], quiet(m)), ("protected", 0), "repaired")


@test
def status_says_since_when_and_later_runs_keep_it():
    m = machine()
    before = state(m, probes.NOBODY)["since"]
    check(before, "there is a time")
    command(m, "sync")
    for uid in (0, probes.NOBODY):
        # the two clocks are read one after the other, so a second may pass in between
        since = state(m, uid)["since"]
        check(abs(_seconds(since) - _seconds(before)) <= 1, f"another run of the same state: {before}, then {since}")


def _seconds(timestamp):
    """Seconds since midnight."""
    hours, minutes, seconds = timestamp.split("T")[1].rstrip("Z").split(":")
    return int(hours) * 3600 + int(minutes) * 60 + int(seconds)


@test
def watch_shows_each_change():
    m = machine()
    watch = m.host.start("watch", "nm-killswitch", "status", "--watch", "--json")
    wait_for(lambda: '"blocking"' in watch.text(), 5, "the first state")
    command(m, "release")
    wait_for(lambda: '"released"' in watch.text(), 5, "the next state")
    command(m, "resume")
    wait_for(lambda: len(watch.text().splitlines()) >= 3, 5, "and back")
    watch.stop()
    equal([json.loads(line)["state"] for line in watch.text().splitlines()][:3], ["blocking", "released", "blocking"],
          "one line for each state")


# --- list, enable, disable ---

DIRECTORY = "/etc/NetworkManager/system-connections"
OTHER = "Work & \u00dcbung"
UUID = {name: f"{number}0000000-0000-4000-8000-000000000000" for number, name in enumerate(("typo", "twin-1", "twin-2", OTHER), 1)}

# Every property that could get lost when a setting is changed.
_WIREGUARD = """[connection]
id={id}
uuid={uuid}
type=wireguard
autoconnect=false
interface-name=wg-none
permissions={permissions}
{zone}

[wireguard]
private-key=CFAGBPcE9sN6uWXSCT+nhKbJz2oG9CIFzlDaBA8yP0s=
listen-port=51820

[wireguard-peer.xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=]
endpoint=203.0.113.10:51820
preshared-key=LJtIg6lIkzDoElS3H7UwHdEVDE3QSWs+zg4mWXVOAGE=
preshared-key-flags=0
allowed-ips=0.0.0.0/0;

[ipv4]
address1=10.9.0.2/24
dns=10.9.0.1;
dns-search=work.example;
method=manual
route1=10.77.0.0/16,10.9.0.1,50
route1_options=mtu=1400,onlink=true,table=0

[ipv6]
addr-gen-mode=stable-privacy
address1=fd09::2/64
dns=fd09::1;
method=manual
route1=fd77::/48,fd09::1
route1_options=mtu=1300

[proxy]

[user]
org.example.note=a; b = c
"""


def add(m, name, zone="", permissions="", uuid=None, file=None):
    """Add a WireGuard profile, as NetworkManager itself would write it. Returns the lines of its file."""
    path = f"{DIRECTORY}/{file or name}.nmconnection"
    m.host.write(path, _WIREGUARD.format(id=name, uuid=uuid or UUID[name], zone=f"zone={zone}" if zone else "",
                                         permissions=permissions).replace("permissions=\n", ""), 0o600)
    m.nm.nmcli("connection", "load", path)
    m.nm.stand_in_for_path_unit()
    return lines(m, file or name)


def lines(m, name):
    """The lines of a profile's file that set something, each with its section, sorted."""
    result, section = [], ""
    for line in m.host.read(f"{DIRECTORY}/{name}.nmconnection").splitlines():
        if line.startswith("["):
            section = line
        elif line:
            result.append(f"{section} {line}")
    return sorted(result)


def delete(m, *uuids):
    for uuid in uuids:
        m.nm.nmcli("connection", "delete", "uuid", uuid)
    m.nm.stand_in_for_path_unit()


@test
def list_shows_every_vpn_and_likely_mistakes():
    m = machine()
    m.host.write("/etc/nm-killswitch.conf", "[vpn staex]\nInterface=none0\nPort=1234\nMode=session\n")
    add(m, "typo", "kilswitch")
    m.nm.modify(m.lab.lan.name, "connection.zone", "killswitch")
    for uid in (0, probes.NOBODY):
        shown = command(m, "list", uid=uid).stdout
        for line in (f"{VPN:22}vpn       strict  yes   down       known   zone",
                     "staex                 section   session no    down       -       section",
                     "typo                  wireguard -       no    down       -"):
            check(line in shown.splitlines(), f"{uid}: no line '{line}' in: {shown}")
        for text in ("zone 'kilswitch' of 'typo' does not arm the kill switch; did you mean 'killswitch'?",
                     f"zone 'killswitch' has no effect on '{m.lab.lan.name}': it is an ethernet connection, not a VPN"):
            equal(shown.count(text), 1, f"{uid}: how often '{text}' is in: {shown}")
        equal(set(command(m, "list", "--names", uid=uid).stdout.split()), {VPN, "staex", "typo"}, "names")
    m.nm.modify(m.lab.lan.name, "connection.zone", "")
    m.host.write("/etc/nm-killswitch.conf", "")
    delete(m, UUID["typo"])
    m.up()
    # to NetworkManager the tunnel's device is a connection as well, which is not a VPN to be armed
    wait_for(lambda: m.nm.state("tun0") == "activated", 10, "NetworkManager has a connection for the tunnel's device")
    for uid in (0, probes.NOBODY):
        shown = command(m, "list", uid=uid).stdout.splitlines()
        equal(shown[1:], [f"{VPN:22}vpn       strict  yes   up tun0    known   zone"], f"{uid}: listed while it is up")
    result = command(m, "enable", "tun0", check_status=False)
    check(result.returncode == 1 and "'tun0' has no profile" in result.stderr, f"enable tun0: {result.stderr}")


@test
def a_profile_whose_file_cannot_be_read_is_listed_as_armed():
    m = machine()
    path = f"{DIRECTORY}/{VPN}.nmconnection"
    kept = m.host.read(path)
    m.host.write(path, "garbage", 0o600)
    equal(command(m, "sync", check_status=False).returncode, 1, "a file that cannot be read is an error")
    for uid in (0, probes.NOBODY):
        shown = command(m, "list", uid=uid, check_status=False).stdout
        check(any(line.startswith(VPN) and " yes " in line for line in shown.splitlines()), f"{uid}: armed: {shown}")
    m.host.write(path, kept, 0o600)
    m.nm.stand_in_for_path_unit()


@test
def enable_and_disable_change_the_zone_and_nothing_else():
    m = machine()
    m.disarm()
    before = add(m, OTHER)
    for arguments, zone, told in (
            ((OTHER,), "killswitch", "is armed (strict) and down: only the local network"),
            ((UUID[OTHER],), "killswitch", "is armed (strict) and down: only the local network"),
            ((OTHER, "--session"), "killswitch-auto", "is armed (session) from the moment it connects"),
            ((f"{DIRECTORY}/{OTHER}.nmconnection",), "killswitch", "is armed (strict) and down")):
        said = command(m, "enable", *arguments).stdout
        check(said.startswith(f"'{OTHER}' {told}") and said.count("\n") == 1, f"enable {arguments}: {said}")
        equal(lines(m, OTHER), sorted(before + [f"[connection] zone={zone}"]), f"the file, enable {arguments}")
    m.check_blocked()
    said = command(m, "disable", OTHER).stdout
    equal(said, f"'{OTHER}' is no longer armed; nothing is blocked\n", "disable")
    equal(lines(m, OTHER), before, "the file, disabled")
    m.check_leaks()
    command(m, "enable", VPN)
    m.up()
    check("armed (strict) and up on tun0" in command(m, "enable", VPN).stdout, "enable says where it is up")
    m.check_tunnel_carries()    # its secrets are still there
    delete(m, UUID[OTHER])


@test
def a_zone_that_firewalld_has_is_left_alone():
    m = machine()
    m.disarm()
    before = add(m, OTHER, "home")
    check("armed (strict)" in command(m, "enable", OTHER).stdout, "enable")
    equal(lines(m, OTHER), sorted(before + ["[user] nm-killswitch.mode=strict"]), "user data beside the zone")
    m.check_blocked()
    command(m, "enable", OTHER, "--session")
    equal(lines(m, OTHER), sorted(before + ["[user] nm-killswitch.mode=session"]), "user data beside the zone")
    command(m, "disable", OTHER)
    equal(lines(m, OTHER), before, "disabled")
    m.check_leaks()
    delete(m, UUID[OTHER])


@test
def a_misspelt_zone_is_corrected():
    m = machine()
    m.disarm()
    before = add(m, OTHER, "kilswitch")
    told = command(m, "sync").stderr
    check(f"zone 'kilswitch' of '{OTHER}' does not arm" in told, f"the warning, with the letters of the name: {told}")
    command(m, "enable", OTHER)
    equal(lines(m, OTHER), sorted([line for line in before if "zone=" not in line] + ["[connection] zone=killswitch"]), "the file")
    delete(m, UUID[OTHER])


@test
def enable_refuses_a_name_that_is_ambiguous_unknown_or_not_a_vpn():
    m = machine()
    m.disarm()
    for file in ("twin-1", "twin-2"):
        add(m, "twin", uuid=UUID[file], file=file)
    result = command(m, "enable", "twin", check_status=False)
    equal(result.returncode, 1, "ambiguous")
    for uuid in (UUID["twin-1"], UUID["twin-2"]):
        check(uuid in result.stderr, f"both are listed: {result.stderr}")
    check("armed" in command(m, "enable", UUID["twin-2"]).stdout, "by UUID")
    command(m, "disable", UUID["twin-2"])
    for name, text in (("no-such", "there is no profile or section 'no-such'"),
                       (m.lab.lan.name, f"'{m.lab.lan.name}' cannot be armed: it is a connection of type")):
        result = command(m, "enable", name, check_status=False)
        check(result.returncode == 1 and text in result.stderr, f"enable {name}: {result.stderr}")
    equal(command(m, "enable", check_status=False).returncode, 2, "without a name")
    equal(command(m, "disable", VPN, "--session", check_status=False).returncode, 2, "an option of enable's")
    m.nm.stop()
    result = command(m, "enable", VPN, check_status=False)
    check(result.returncode == 1 and "NetworkManager does not answer" in result.stderr, f"without NetworkManager: {result.stderr}")
    m.nm.start()
    m.nm.wait_state(m.lab.lan.name, "activated")
    delete(m, UUID["twin-1"], UUID["twin-2"])


@test
def a_user_may_switch_where_networkmanager_allows_it_and_waits_until_it_is_in_force():
    m = machine()
    m.disarm()
    for word, expected in (("enable", f"'{VPN}' is armed (strict) and down: only the local network and the VPN's own "
                                      "transport get out\n"),
                           ("disable", f"'{VPN}' is no longer armed; nothing is blocked\n")):
        with concurrent.futures.ThreadPoolExecutor() as pool:
            running = pool.submit(command, m, word, VPN, uid=probes.NOBODY)
            wait_for(lambda word=word: ("zone=killswitch" in m.host.read(f"{DIRECTORY}/{VPN}.nmconnection")) == (word == "enable"),
                     20, f"{word} changes the profile")
            time.sleep(0.5)
            check(not running.done(), f"{word} waits for the run that the change starts")
            m.nm.stand_in_for_path_unit()
            equal(running.result().stdout, expected, word)


@test
def a_user_may_not_switch_where_networkmanager_does_not_allow_it():
    m = machine()
    m.disarm()
    m.host.write("/etc/NetworkManager/conf.d/90-root.conf", "[main]\nauth-polkit=root-only\n")
    m.nm.restart()
    m.nm.wait_state(m.lab.lan.name, "activated")
    result = command(m, "enable", VPN, uid=probes.NOBODY, check_status=False)
    check(result.returncode == 1 and "run the command with sudo" in result.stderr, f"refused: {result.stderr}")
    check("zone=" not in m.host.read(f"{DIRECTORY}/{VPN}.nmconnection"), "nothing was changed")
    m.host.run("rm", "/etc/NetworkManager/conf.d/90-root.conf")
    m.nm.restart()
    m.nm.wait_state(m.lab.lan.name, "activated")
    # where root could not do it either, sudo is no advice
    m.host.run("mount", "-o", "remount,ro", "/etc")
    result = command(m, "enable", VPN, uid=probes.NOBODY, check_status=False)
    m.host.run("mount", "-o", "remount,rw", "/etc")
    check(result.returncode == 1 and "Read-only file system" in result.stderr and "sudo" not in result.stderr,
          f"with a read-only /etc: {result.stderr}")


@test
def enable_does_not_cut_off_the_ssh_connection_it_is_typed_in():
    m = machine()
    m.disarm()
    lan = m.lab.lan

    def enable(client, *arguments, server=lan.address, through=()):
        environment = dict(netns.ENVIRONMENT, SSH_CONNECTION=f"{client} 50000 {server} 22")
        return m.host.run(*through, "nm-killswitch", "enable", VPN, *arguments, check=False, env=environment)

    # As with sudo: the variable is gone, but the parent shell still has it.
    through_sudo = ("sh", "-c", 'env -u SSH_CONNECTION "$@"; exit $?', "sh")
    for client, server in ((netns.TARGET, lan.address), (netns.TARGET6, lan.address6)):
        for through in ((), through_sudo):
            result = enable(client, server=server, through=through)
            check(result.returncode == 1 and f"cut off the SSH connection you are using, from {client}" in result.stderr
                  and f"ManagementFrom={client} " in result.stderr, f"from {client}: {result.stderr}")
            check("zone=" not in m.host.read(f"{DIRECTORY}/{VPN}.nmconnection"), "nothing was changed")
    m.host.write("/etc/nm-killswitch.conf", f"[main]\nManagementFrom={netns.TARGET}\n")
    for client, arguments in ((lan.router, ()), (netns.TARGET, ()), (netns.TARGET6, ("--force",))):
        result = enable(client, *arguments, server=lan.address6 if ":" in client else lan.address)
        equal(result.returncode, 0, f"from {client} {arguments}: {result.stderr}")
        m.disarm()
    m.host.write("/etc/nm-killswitch.conf", "")
    m.up()
    equal(enable("10.8.0.1", server="10.8.0.2").returncode, 0, "through the VPN itself")


if __name__ == "__main__":
    runner.main()
