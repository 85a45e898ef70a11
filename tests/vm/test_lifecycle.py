"""From boot to purge, and never stuck: what makes every change take effect, repairs, recovers and ends.

A prober sends from the machine all the time (both families, root and an
unprivileged user, sockets bound to the uplink and not), and the wire is watched
from outside. Nothing here calls the product to make it notice something.
"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest.runner import check, equal, main, test, wait_for
from kstest.vm import PATIENCE
from kstest.vm_life import (HEAL, SYNC, all_probes, chase, cpu_ms, edit_zone, now, ours, prober, quiet, repair_time, set_zone,
                            wait_armed, wait_released, wait_rule, wait_same, wait_server)
from kstest.vm_stages import Stages
from kstest.vm_vpn import (PROFILES, SERVER, arm, assert_blocked, assert_leak, assert_tunnel, assert_tunnel_unprotected, disarm,
                           down, is_active, leaks_during, load_profile, package, ping, up, wait_idle)

KILL_OPENVPN = "pkill -9 -f 'openvpn .*--remote'"
SLEEP = "busctl call org.freedesktop.NetworkManager /org/freedesktop/NetworkManager org.freedesktop.NetworkManager Sleep b"
at = Stages("lifecycle")


# Controls: without the kill switch the same packets are on the wire

@test
def without_kill_switch_everything_that_is_sent_is_seen():
    machine = at.clean()
    assert_leak(machine, "not installed", lambda: all_probes(machine))
    with prober(machine):
        leaks = leaks_during(machine, lambda: time.sleep(3))
    for kind in ("ipv4", "ipv6"):
        for uid in (0, 65534):
            for bound in (0, 1):
                start = f"ks-probe uid={uid} bound={bound} ".encode()
                check(any(packet.kind == kind and packet.payload.startswith(start) for packet in leaks),
                      f"no {kind} probe {start.decode()}on the wire")


@test
def the_package_enables_and_starts_its_units():
    machine = at.installed()
    for unit in ("nm-killswitch-boot.service", "nm-killswitch-sync.path", "nm-killswitch-heal.socket"):
        machine.run(["systemctl", "is-enabled", unit])
    for unit in ("nm-killswitch-sync.path", "nm-killswitch-heal.socket"):
        machine.run(["systemctl", "is-active", unit])
    # both families' rules and routes (groups 7, 8, 11, 19), and nftables (group 7)
    for family, mask in (("0", "00040 4c0".replace(" ", "")), ("12", "00000040")):
        held = machine.run(f"awk '$2 == {family} {{ print $4 }}' /proc/net/netlink").stdout.split()
        check(mask in held, f"nobody listens to netlink {family}, groups {mask}: {held}")
    equal(machine.run("pgrep -x nm-killswitch", check=False).stdout, "", "programs of ours")


# A change of profile or configuration takes effect by itself

@test
def profiles_where_networkmanager_is_told_to_keep_them_are_followed():
    machine, vpn = at.installed(), at.vpns.vpn
    machine.run(f"cp -a {PROFILES} /srv/profiles; mkdir /srv/old; mv {PROFILES}/*vpn* /srv/old")
    machine.push("/etc/NetworkManager/conf.d/90-path.conf", "[keyfile]\npath=/srv/profiles\n")
    machine.run("systemctl daemon-reload; systemctl restart NetworkManager")
    machine.wait_online()
    arm(machine, vpn)
    assert_blocked(machine, "armed in /srv/profiles")
    disarm(machine, vpn)
    assert_leak(machine, "disarmed in /srv/profiles")
    # one that NetworkManager does not know of arms nothing
    machine.run(f"sed -i 's/^\\[connection\\]/&\\nzone=killswitch/' /srv/old/{vpn.name}.nmconnection;"
                f" mv /srv/old/{vpn.name}.nmconnection {PROFILES}")
    time.sleep(3 * PATIENCE)
    wait_idle(machine)
    assert_leak(machine, "armed in the directory that is not used")


def _toggle_down_and_up(what, on, off):
    """ON arms and OFF releases, with the VPN down and with it up; both are commands of a person."""
    machine, vpn = at.installed(), at.vpns.vpn
    machine.run(on)
    wait_armed(machine, f"{what}, down")
    wait_idle(machine)
    quiet(at.machine, f"{what}, down")
    machine.run(off)
    wait_released(machine, f"{what}, down")
    wait_same(machine, at.vpns.before, f"{what}, down")
    up(machine, vpn)
    machine.run(on)
    wait_armed(machine, f"{what}, up")
    wait_idle(machine)
    assert_tunnel(machine, f"{what}, up")
    quiet(at.machine, f"{what}, up")
    machine.run(off)
    wait_released(machine, f"{what}, up")
    assert_tunnel_unprotected(machine, f"{what}, up, released")


@test
def modifying_temporarily_takes_effect():
    _toggle_down_and_up("modify --temporary", "nmcli connection modify --temporary my-vpn connection.zone killswitch",
                        "nmcli connection modify --temporary my-vpn connection.zone ''")


@test
def an_edited_keyfile_takes_effect():
    at.installed()
    reload = "; nmcli connection reload"
    _toggle_down_and_up("edited", edit_zone(at.vpns.vpn, "killswitch") + reload, edit_zone(at.vpns.vpn, "") + reload)


@test
def a_loaded_keyfile_takes_effect():
    machine = at.installed()
    keyfile = machine.pull(f"{PROFILES}/my-vpn.nmconnection").decode()
    loaded = keyfile.replace("id=my-vpn", "id=loaded\nzone=killswitch").replace("66666666-6666", "66666666-7777")
    load_profile(machine, "loaded", loaded.replace("wg0", "wg7"))
    wait_armed(machine, "loaded")
    wait_idle(machine)
    quiet(at.machine, "loaded")
    machine.run(f"rm {PROFILES}/loaded.nmconnection; nmcli connection reload")
    wait_released(machine, "file removed")
    wait_same(machine, at.vpns.before, "file removed")


@test
def deleting_the_armed_profile_releases_down_and_up():
    machine = at.armed()
    machine.run("nmcli connection delete my-vpn")
    wait_released(machine, "deleted while down")
    wait_same(machine, at.vpns.before, "deleted while down")
    machine = at.armed_up()
    machine.run("nmcli connection delete my-vpn")
    wait_released(machine, "deleted while up")
    wait_same(machine, at.vpns.before, "deleted while up")
    assert_leak(machine, "deleted", lambda: all_probes(machine))


@test
def a_clone_of_an_armed_profile_is_armed_too():
    machine = at.armed()
    quiet(at.machine, "cloned", lambda: machine.run("nmcli connection clone my-vpn copy"))
    machine.run("nmcli connection delete my-vpn")
    wait_idle(machine)
    assert_blocked(machine, "only the clone is left")
    machine.run("nmcli connection delete copy")
    wait_same(machine, at.vpns.before, "the clone deleted")


@test
def an_imported_vpn_can_be_armed():
    machine = at.installed()
    key = machine.run("wg genkey").stdout.strip()
    machine.push("/tmp/wg9.conf", f"[Interface]\nPrivateKey = {key}\nListenPort = 40009\nAddress = 10.99.0.2/24\n\n"
                 f"[Peer]\nPublicKey = {at.vpns.vpn.client_peer}\nEndpoint = 203.0.113.10:51899\n"
                 "AllowedIPs = 0.0.0.0/0\n")
    machine.run("nmcli connection import type wireguard file /tmp/wg9.conf;"
                " nmcli connection modify wg9 connection.autoconnect no connection.zone killswitch;"
                " nmcli --wait 20 connection down wg9", check=False)
    wait_armed(machine, "imported")
    wait_server(machine, SERVER, "its server is exempted")
    wait_rule(machine, "dport 51899 .*lookup 86", "its port is exempted")
    quiet(at.machine, "imported")
    machine.run("nmcli connection delete wg9")
    wait_same(machine, at.vpns.before, "deleted")


@test
def changed_settings_take_effect():
    machine = at.armed()
    config, lan = "/etc/nm-killswitch.conf", "^8330:"
    original = machine.pull(config)
    wait_rule(machine, lan, "the LAN is reachable")
    machine.run(f"sed -i s/^#Lan=.*/Lan=off/ {config}")         # replaces the file, as most editors do
    wait_rule(machine, lan, "Lan=off", present=False)
    machine.run(f"echo '[main]' > {config}; echo Dns=lan >> {config}")  # writes into it
    wait_rule(machine, lan, "Lan is back")
    wait_rule(machine, "^8310:", "Dns=lan", present=False)
    machine.run(f"rm {config}")
    wait_rule(machine, "^8310:", "no file: the defaults")
    machine.push(config, original.replace(b"#Zones=killswitch", b"Zones=another"))
    wait_released(machine, "another zone")
    machine.push(config, original)
    wait_armed(machine, "the first zone again")
    wait_idle(machine)
    quiet(at.machine, "settings")


def _burst(count, last):
    """Replace the profile's file COUNT times as fast as can be, with the zone LAST at the end."""
    other = "" if last else "killswitch"
    odd, even = edit_zone(at.vpns.vpn, other), edit_zone(at.vpns.vpn, last)
    return f"for i in $(seq {count // 2}); do {odd}; {even}; done"


@test
def of_a_burst_of_changes_the_last_counts():
    machine = at.armed()
    for last in ("", "killswitch"):
        since = now(machine)
        machine.run(_burst(60, last), timeout=120)
        (wait_armed if last else wait_released)(machine, f"60 changes, at the end {last or 'off'}")
        wait_idle(machine)
        runs, used = cpu_ms(machine, since, SYNC)
        print(f"        60 changes in a row, at the end {last or 'off'}: {runs} runs, {used:.0f} ms of CPU")
        check(runs <= 60, f"{runs} runs")
        (wait_armed if last else wait_released)(machine, "and it stays so")
    quiet(at.machine, "after the burst")


@test
def of_a_burst_by_nmcli_the_last_counts():
    machine = at.armed()
    for last in ("", "killswitch"):
        other = "" if last else "killswitch"
        machine.run(f"for i in 1 2 3 4 5; do nmcli connection modify my-vpn connection.zone '{other}';"
                    f" nmcli connection modify my-vpn connection.zone '{last}'; done", timeout=120)
        (wait_armed if last else wait_released)(machine, f"at the end {last or 'off'}")


@test
def a_change_at_the_moment_in_which_the_service_ends_is_not_missed():
    machine, vpn = at.armed(), at.vpns.vpn
    path = f"{PROFILES}/my-vpn.nmconnection"
    for number in range(4):
        # first released, then armed again at the worst moment; and the other way round
        wait_idle(machine)
        machine.run(f"cp -p {path} /root/other; sed -i /^zone=/d /root/other")
        chase(machine, vpn, "/root/other")
        wait_armed(machine, f"pair {number}: armed again", timeout=10)
        wait_idle(machine)
        wait_armed(machine, f"pair {number}: armed again and it stays so", timeout=10)
    for pause in range(0, 100, 25):
        machine.run(f"{edit_zone(vpn, '')}; sleep {pause / 1000}; {edit_zone(vpn, 'killswitch')}")
        time.sleep(0.3)
        wait_armed(machine, f"two changes {pause} ms apart", timeout=10)
        wait_idle(machine)
        wait_armed(machine, f"two changes {pause} ms apart, and it stays so", timeout=10)


# What somebody else changes is repaired

DAMAGE = (
    # what, command, what the journal is to name
    ("all our rules", "ip -4 rule flush protocol 83; ip -6 rule flush protocol 83", "rule"),
    ("one rule", "ip -4 rule del priority 8380", "8380"),
    ("one IPv6 rule", "ip -6 rule del priority 8390", "8390"),
    ("table 83", "ip -4 route flush table 83 protocol 83; ip -6 route flush table 83 protocol 83",
     "blackhole"),
    ("table 85", "ip -4 route flush table 85", "85"),
    ("table 86", "ip -4 route flush table 86", "86"),
    ("all of nftables", "nft flush ruleset", "guard"),
    ("the guard", "nft delete table inet nm_killswitch", "guard"),
    ("a chain of the guard", "nft flush chain inet nm_killswitch postrouting", "guard"),
)
FOREIGN = ("ip rule add priority 20000 from 10.250.0.1 lookup 250; ip -6 rule add priority 20000 from fd25::1 lookup 250;"
           " ip rule add priority 30 from 10.250.0.1 lookup 250;"
           " ip route add 10.250.1.0/24 dev lo table 250; ip route add blackhole 10.250.2.0/24 table 83 proto static;"
           " nft add table inet ks_foreign; nft add chain inet ks_foreign c")


def _foreign(machine):
    """All rules, routes and tables that are not ours, as text."""
    return machine.run("ip -4 -N rule; ip -6 -N rule; ip -4 -N route show table all; ip -6 -N route show table all;"
                       " nft list tables").stdout.splitlines()


def _not_ours(lines):
    return sorted(line for line in lines if "proto 83" not in line and "nm_killswitch" not in line)


def _repaired(machine, what, command, word, until="same"):
    since = now(machine)
    times = []
    repair = lambda: times.append(repair_time(machine, command, until))  # pylint: disable=unnecessary-lambda-assignment
    if word == "guard":
        # nothing else sees a socket that is bound to a device: until the guard is back, its packets get out
        with prober(machine):
            leaks = leaks_during(machine, repair)
        unbound = [packet for packet in leaks if b" bound=0 " in packet.payload]
        check(not unbound, f"{what}: {len(unbound)} packets of sockets that are not bound leaked")
        quiet(machine, f"{what}, repaired")
    else:
        quiet(machine, what, repair)
    wait_idle(machine)
    said = [text for text in ours(machine, since) if "repaired" in text]
    check(any(word in text for text in said), f"{what}: the journal does not name {word}: {said}")
    runs, used = cpu_ms(machine, since, HEAL)
    print(f"        {what}: repaired after {times[0]:.0f} ms; {runs} runs, {used:.0f} ms of CPU")
    return times[0]


def _repair_all(machine):
    machine.run(FOREIGN)
    wait_idle(machine)
    for what, command, word in DAMAGE:
        foreign = _not_ours(_foreign(machine))
        took = _repaired(machine, what, command, word)
        check(took < 20000 * PATIENCE, f"{what}: repaired after {took:.0f} ms")
        if command == "nft flush ruleset":
            machine.run("nft add table inet ks_foreign")
        equal(_not_ours(_foreign(machine)), foreign, f"{what}: of others")
        machine.run("rm -f /run/nm-killswitch/healed")  # the next one is not by a program that insists


@test
def damage_is_repaired_while_down():
    machine = at.armed()
    _repair_all(machine)
    quiet(at.machine, "repaired")
    assert_blocked(machine, "repaired")


@test
def damage_is_repaired_while_up():
    machine = at.armed_up()
    _repair_all(machine)
    assert_tunnel(machine, "repaired")
    quiet(at.machine, "repaired")


@test
def a_rule_put_in_front_is_jumped_over_and_stays():
    for build in (at.armed, at.armed_up):
        machine = build()
        rule = "priority 1 lookup main"
        _repaired(machine, "a rule at priority 1", f"ip rule add {rule}", "8300", until="jump")
        quiet(at.machine, "a rule at priority 1")
        check("lookup main" in machine.run("ip rule show priority 1").stdout, "the foreign rule is gone")
        machine.run(f"ip rule del {rule}")
        wait_rule(machine, "goto", "the jump goes with it", present=False)
    assert_tunnel(machine, "up")


@test
def both_layers_at_once_are_repaired():
    machine = at.armed()
    command = "ip -4 rule flush protocol 83; ip -6 rule flush protocol 83; nft flush ruleset"
    times = []
    # root took everything away: until the repair nothing can stop a packet
    with prober(machine):
        lost = leaks_during(machine, lambda: times.append(repair_time(machine, command)))
    print(f"        both layers: repaired after {times[0]:.0f} ms, {len(lost)} packets got out meanwhile")
    quiet(at.machine, "both layers, repaired")
    assert_blocked(machine, "both layers, repaired")
    machine.run("systemctl stop nm-killswitch-heal.socket")
    machine.run(command)
    assert_leak(machine, "the control: both layers gone, nobody repairs", lambda: all_probes(machine))


@test
def a_program_that_insists_is_met_more_and_more_slowly():
    machine = at.armed()
    since = now(machine)
    loop = ("end=$((SECONDS + 20)); n=0; while [ $SECONDS -lt $end ]; do"
            " ip -4 rule del priority 8380 2>/dev/null && n=$((n + 1)); sleep 0.05; done; echo $n")
    deleted = []
    quiet(at.machine, "a program insists", lambda: deleted.append(machine.run(loop).stdout.strip()))
    wait_rule(machine, "^8380:", "the rule is back in the end")
    wait_idle(machine)
    runs, used = cpu_ms(machine, since, HEAL)
    print(f"        in 20 s deleted {deleted[0]} times; {runs} runs, {used:.0f} ms of CPU")
    check(any("keeps happening" in text for text in ours(machine, since)), "the journal does not say that it insists")
    check(int(deleted[0]) < 60, f"repaired {deleted[0]} times in 20 s: no backing off")
    equal(machine.run("pgrep -x 'nm-killswitch|10-killswitch'", check=False).stdout, "", "programs of ours")
    machine.run("systemctl is-active nm-killswitch-heal.socket")
    assert_blocked(machine, "it has given up")


# Mode session

def _session():
    """WireGuard in mode session, up."""
    def build():
        machine, vpn = at.installed(), at.vpns.vpn
        set_zone(machine, vpn, "killswitch-auto")
        wait_idle(machine)
        assert_leak(machine, "a session that has not begun", lambda: all_probes(machine))
        up(machine, vpn)
        wait_armed(machine, "activated")
        check(ping(machine, "198.51.100.1"), "the tunnel does not work")
        wait_idle(machine)
    package()
    at.machine.stage("session", build)
    return at.machine, at.vpns.vpn


def _session_ends(machine, vpn):
    """A disconnect on purpose releases, and nothing else before did."""
    if not is_active(machine, vpn):
        up(machine, vpn)
    assert_tunnel(machine, "session, up again")
    down(machine, vpn)
    wait_released(machine, "disconnected on purpose")


@test
def a_session_is_armed_by_activation_and_released_by_disconnecting():
    machine, vpn = _session()
    assert_tunnel(machine, "session")
    quiet(at.machine, "session")
    _session_ends(machine, vpn)
    wait_same(machine, at.vpns.before, "disconnected")
    assert_leak(machine, "disconnected", lambda: all_probes(machine))


@test
def a_session_outlives_its_device():
    machine, vpn = _session()
    quiet(at.machine, "device deleted", lambda: machine.run(["ip", "link", "delete", vpn.device]))
    quiet(at.machine, "device deleted")
    assert_blocked(machine, "device deleted")
    _session_ends(machine, vpn)


@test
def a_session_outlives_networkmanager():
    machine, vpn = _session()
    quiet(at.machine, "NetworkManager killed", lambda: (machine.run("pkill -9 -x NetworkManager"), all_probes(machine)))
    machine.wait_online()
    wait_armed(machine, "NetworkManager killed")
    quiet(at.machine, "NetworkManager is back")
    quiet(at.machine, "NetworkManager restarted", lambda: (machine.run("systemctl restart NetworkManager"), all_probes(machine)))
    machine.wait_online()
    wait_armed(machine, "NetworkManager restarted")
    quiet(at.machine, "NetworkManager is back again")
    _session_ends(machine, vpn)


@test
def a_session_outlives_sleep():
    machine, vpn = _session()
    quiet(at.machine, "asleep", lambda: (machine.run(f"{SLEEP} true"), all_probes(machine)))
    wait_armed(machine, "asleep")
    quiet(at.machine, "waking up", lambda: (machine.run(f"{SLEEP} false"), machine.wait_online(), all_probes(machine)))
    wait_armed(machine, "awake")
    assert_blocked(machine, "awake") if not is_active(machine, vpn) else assert_tunnel(machine, "awake")
    _session_ends(machine, vpn)


@test
def a_session_outlives_its_plugin():
    machine, plugin = at.installed(), at.vpns.plugin
    set_zone(machine, plugin, "killswitch-auto")
    up(machine, plugin)
    wait_armed(machine, "activated")
    assert_tunnel(machine, "activated")
    quiet(at.machine, "openvpn killed", lambda: (machine.run(KILL_OPENVPN), all_probes(machine)))
    wait_for(lambda: not is_active(machine, plugin), 60, "NetworkManager notices")
    wait_armed(machine, "openvpn killed")
    quiet(at.machine, "openvpn killed")
    _session_ends(machine, plugin)
    wait_same(machine, at.vpns.before, "disconnected")


if __name__ == "__main__":
    main(at.set_up)
