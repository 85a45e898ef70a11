"""Changes by other programs are repaired; a session ends only by a disconnect on purpose.

A prober sends from the machine all the time (both families, root and an
unprivileged user, sockets bound to the uplink and unbound), and the wire is
watched from outside. Nothing here calls the product to make it notice a change.
"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest.runner import check, equal, main, test, wait_for
from kstest.vm import PATIENCE
from kstest.vm_life import (HEAL, all_probes, assert_prober_leaks, cpu_ms, messages, now, ours, prober, quiet, repair_time,
                            set_zone, wait_armed, wait_line, wait_released, wait_rule, wait_same)
from kstest.vm_stages import Stages
from kstest.vm_vpn import (assert_blocked, assert_kept_up, assert_leak, assert_tunnel, down, is_active, leaks_during,
                           package, ping, up, wait_idle)

KILL_OPENVPN = "pkill -9 -f 'openvpn .*--remote'"
SLEEP = "busctl call org.freedesktop.NetworkManager /org/freedesktop/NetworkManager org.freedesktop.NetworkManager Sleep b"
at = Stages("lifecycle-repair")


# Controls: without the kill switch the same packets are on the wire

@test
def without_kill_switch_everything_sent_is_seen():
    machine = at.clean()
    assert_leak(machine, "not installed", lambda: all_probes(machine))
    assert_prober_leaks(machine)


# Changes by other programs are repaired

DAMAGE = (
    # (what is damaged, command, what the journal must name)
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
    """All foreign rules, routes and tables, as text."""
    return machine.run("ip -4 -N rule; ip -6 -N rule; ip -4 -N route show table all; ip -6 -N route show table all;"
                       " nft list tables").stdout.splitlines()


def _not_ours(lines):
    return sorted(line for line in lines if "proto 83" not in line and "nm_killswitch" not in line)


def _repaired(machine, what, command, word, until="same"):
    since = now(machine)
    times = []
    repair = lambda: times.append(repair_time(machine, command, until))  # pylint: disable=unnecessary-lambda-assignment
    if word == "guard":
        # only the guard sees sockets that are bound to a device, so until it is back, their packets get out
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
        machine.run("rm -f /run/nm-killswitch/healed")  # so that the next repair is not taken for a repeated one


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
def a_rule_placed_before_ours_is_jumped_over_and_stays():
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
    # root removed everything: until it is repaired, nothing can stop a packet
    with prober(machine):
        lost = leaks_during(machine, lambda: times.append(repair_time(machine, command)))
    print(f"        both layers: repaired after {times[0]:.0f} ms, {len(lost)} packets got out meanwhile")
    quiet(at.machine, "both layers, repaired")
    assert_blocked(machine, "both layers, repaired")
    machine.run("systemctl stop nm-killswitch-heal.socket")
    machine.run(command)
    assert_leak(machine, "the control: both layers gone, nobody repairs", lambda: all_probes(machine))


@test
def other_programs_changes_start_nothing_while_nothing_is_armed():
    machine = at.installed()
    others = ("for i in $(seq 1 200); do echo route add 10.251.0.$i/32 dev eth0; echo route delete 10.251.0.$i/32 dev eth0;"
              " done | ip -batch -; ip link add ks0 type veth peer name ks1; ip link set ks0 up; ip link delete ks0;"
              " nft add table inet ks_foreign; nft delete table inet ks_foreign")
    machine.run("ip route add 10.252.0.0/24 dev eth0; ip route delete 10.252.0.0/24 dev eth0")
    time.sleep(2 * PATIENCE)    # systemd may start a run for that, and a busy machine not at once
    wait_idle(machine)
    since = now(machine)
    machine.run(others)
    wait_idle(machine)
    equal(cpu_ms(machine, since, HEAL)[0], 0, "processes while nothing is armed")
    # a section's device is noticed, although the kernel knows nothing of it before it appears
    machine.run("printf '[vpn x]\\nInterface=ks7\\nMode=session\\nProtocol=udp\\nPort=7\\nTo=203.0.113.99\\n'"
                " >>/etc/nm-killswitch.conf")
    wait_idle(machine)
    machine.run("ip tuntap add mode tun name ks7; ip link set ks7 up")
    wait_rule(machine, "^8390:", "armed by the section's device")
    wait_idle(machine)
    machine.run("ip rule delete priority 8390")
    wait_rule(machine, "^8390:", "repaired: the filter is another one now")
    machine.run("ip route add 10.252.0.0/24 dev eth0")
    wait_for(lambda: "10.252.0.0" in machine.run("ip route show table 85").stdout, 30, "table 85 follows main")


# A set that does not fit into a queue of a few kilobytes
FLOOD = ("import subprocess; subprocess.run(['nft', 'add table inet ks_foreign; add set inet ks_foreign many"
         " { type ipv4_addr; elements = { %s } }' % ', '.join(f'10.9.{a}.{b}' for a in range(8) for b in range(250))], check=True)")


@test
def watching_begins_again_when_systemd_has_given_it_up():
    machine = at.armed()
    machine.run("directory=/run/systemd/system/nm-killswitch-heal.socket.d; mkdir -p $directory;"
                " printf '[Socket]\\nReceiveBuffer=4K\\n' >$directory/small.conf;"
                " systemctl daemon-reload; systemctl restart nm-killswitch-heal.socket")
    wait_idle(machine)
    since = now(machine)
    # systemd may not run between the first notification and the first that is lost: it would only start the service
    machine.run("taskset -pc 0 1")
    machine.run(["chrt", "-f", "50", "taskset", "-c", "0", "python3", "-c", FLOOD])
    machine.run("taskset -p ffffffff 1")
    _wait_failed(machine, "nm-killswitch-heal.socket", since)
    wait_line(machine, "systemctl is-active nm-killswitch-heal.socket", "^active", "messages are read again")
    wait_idle(machine)
    machine.run("ip rule delete priority 8390")
    wait_rule(machine, "^8390:", "repaired")
    # no path can be watched again after a change of it
    machine.run("sysctl -q fs.inotify.max_user_instances=0")
    set_zone(machine, at.vpns.second, "killswitch")
    _wait_failed(machine, "nm-killswitch-sync.path", since)
    machine.run("sysctl -q fs.inotify.max_user_instances=1024")
    wait_line(machine, "systemctl is-active nm-killswitch-sync.path", "^active", "profiles are watched again")
    wait_idle(machine)
    for vpn in (at.vpns.vpn, at.vpns.second):
        set_zone(machine, vpn, "")
    wait_released(machine, "turned off")


def _wait_failed(machine, unit, since):
    wait_for(lambda: any(f"{unit}: Failed with result 'resources'" in str(entry.get("MESSAGE"))
                         for entry in messages(machine, since)), 30 * PATIENCE, f"{unit} fails", 0.5)


@test
def repairs_slow_down_when_another_program_keeps_undoing_them():
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


def _session_ends(machine, vpn, kept_up):
    """A disconnect on purpose releases, and nothing before it did. KEPT_UP: nothing has ended the VPN so far."""
    if kept_up:
        assert_kept_up(machine, vpn, "session")
    else:
        up(machine, vpn)
        assert_tunnel(machine, "session, up again")
    down(machine, vpn)
    wait_released(machine, "disconnected on purpose")


@test
def a_session_is_armed_by_activation_and_released_by_disconnecting():
    machine, vpn = _session()
    assert_tunnel(machine, "session")
    quiet(at.machine, "session")
    _session_ends(machine, vpn, kept_up=True)
    wait_same(machine, at.vpns.before, "disconnected")
    assert_leak(machine, "disconnected", lambda: all_probes(machine))


@test
def a_session_outlives_its_device():
    machine, vpn = _session()
    quiet(at.machine, "device deleted", lambda: machine.run(["ip", "link", "delete", vpn.device]))
    quiet(at.machine, "device deleted")
    assert_blocked(machine, "device deleted")
    _session_ends(machine, vpn, kept_up=False)


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
    _session_ends(machine, vpn, kept_up=True)


@test
def a_session_outlives_sleep():
    machine, vpn = _session()
    quiet(at.machine, "asleep", lambda: (machine.run(f"{SLEEP} true"), all_probes(machine)))
    wait_armed(machine, "asleep")
    quiet(at.machine, "waking up", lambda: (machine.run(f"{SLEEP} false"), machine.wait_online(), all_probes(machine)))
    wait_armed(machine, "awake")
    _session_ends(machine, vpn, kept_up=True)


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
    _session_ends(machine, plugin, kept_up=False)
    wait_same(machine, at.vpns.before, "disconnected")


if __name__ == "__main__":
    main(at.set_up)
