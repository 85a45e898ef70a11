#!/usr/bin/env python3
"""Somebody else's changes, and what does not work when we run: full disks, corrupt files, a silent NetworkManager. OpenVPN, in namespaces."""

import contextlib
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import attack_record
from kstest.attack_machine import DOWN, UP, columns, public
from kstest.attack_record import NONE, PRODUCT, Tally, attack
from kstest.machine import VPN
from kstest.runner import TookTooLong, check, equal, wait_for

COLUMNS = columns()
OURS = columns(NONE, PRODUCT)
KINDS = (("udp", 7), ("tcp", 80), ("icmp", 0))
EVENT_LIMIT = 5.0  # seconds; an event may never take longer, whoever does not answer


# Row 17: one layer destroyed at a time, then repaired by what the heal unit runs. That the unit is started is shown
# in the virtual machine, where there is systemd.

def destroyed(m, script, undo=None, same=True):
    """SCRIPT as root with the VPN up and lost: the other layer holds, and heal puts everything back.

    UNDO takes away what the script has added; unless SAME, nothing may leak after heal while that is still there.
    """
    tally = Tally()
    for state in (UP, DOWN) if m.column == PRODUCT else (DOWN,):
        m.bring(state)
        before = settled(m)
        m.host.run("sh", "-c", script)
        tally += m.send(public(KINDS), all_seen=False)
        tally += m.flooded(lambda m: time.sleep(0.3))
        if undo and not same:
            heal(m)
            tally += m.send(public(KINDS) + public(KINDS, bind_device="eth0"), all_seen=False)
        if undo:
            m.host.run("sh", "-c", undo, check=False)
        heal(m)
        if m.column == PRODUCT:
            equal(without_counters(m.host.routing()), without_counters(before), f"{state}: rules, routes, nftables after heal")
            m.host.run("nm-killswitch", "check")
        tally += m.send(public(KINDS) + public(KINDS, bind_device="eth0"), all_seen=False)
        if m.column != PRODUCT:
            restore_main_rules(m)
    m.check_works()
    return tally


def settled(m):
    """Rules, routes and nftables once NetworkManager and the last event are done with the change."""
    seen = []

    def same():
        seen.append(m.host.routing())
        return len(seen) > 1 and without_counters(seen[-1]) == without_counters(seen[-2])
    wait_for(same, 20, "rules and routes no longer change", 0.3)
    return seen[-1]


def heal(m):
    if m.column == PRODUCT:
        m.host.run("nm-killswitch", "heal")


def without_counters(routing):
    routing["nftables"] = "\n".join(line for line in routing["nftables"].splitlines() if "packets" not in line)
    return routing


def restore_main_rules(m):
    for family in ("-4", "-6"):
        m.host.run("ip", family, "rule", "add", "priority", "32766", "lookup", "main", check=False)
    m.host.run("ip", "rule", "add", "priority", "32767", "lookup", "default", check=False)


# What a system has without rules of ours; `ip rule flush` takes them, too, and who flushes puts them back.
_MAIN = """for family in -4 -6; do ip $family rule add priority 32766 lookup main 2>/dev/null
    [ $family = -6 ] || ip $family rule add priority 32767 lookup default 2>/dev/null; done; true"""


@attack(COLUMNS)
def row17_ip_rule_flush(m):
    """ip rule flush, and the kernel's own rules put back"""
    return destroyed(m, f"ip rule flush; ip -6 rule flush; {_MAIN}")


@attack(COLUMNS)
def row17_rule_at_priority_1(m):
    """ip rule add priority 1 lookup main"""
    return destroyed(m, "ip rule add priority 1 lookup main; ip -6 rule add priority 1 lookup main",
                     "ip rule delete priority 1; ip -6 rule delete priority 1", same=False)


@attack(COLUMNS)
def row17_ip_route_flush_tables(m):
    """ip route flush of tables 83 to 86"""
    return destroyed(m, "for table in 83 84 85 86; do ip route flush table $table; ip -6 route flush table $table; done; true")


@attack(COLUMNS)
def row17_nft_flush_ruleset(m):
    """nft flush ruleset"""
    return destroyed(m, "nft flush ruleset")


@attack(COLUMNS)
def row17_systemd_networkd_restarted(m):
    """every rule and route deleted that is not the kernel's own, as systemd-networkd does when it starts"""
    return destroyed(m, """
        for family in -4 -6; do
            ip $family rule | grep -v 'lookup \\(local\\|main\\|default\\)$' | while IFS=: read priority rest; do
                ip $family rule delete priority $priority; done
            ip $family route flush table 83; ip $family route flush table 84; ip $family route flush table 85
            ip $family route flush table 86
        done; true""")


@attack(COLUMNS)
def row17_wg_quick_up_and_down(m):
    """the rules, route and sysctl of wg-quick up, and its wg-quick down"""
    # The route is by the uplink: if a packet got there, it would be seen.
    lan = m.lab.lan
    up = f"""
        sysctl -q net.ipv4.conf.all.src_valid_mark=1
        ip route add default via {lan.router} dev eth0 table 51820
        ip -6 route add default via {lan.router6} dev eth0 table 51820
        for family in -4 -6; do
            ip $family rule add not fwmark 51820 table 51820
            ip $family rule add table main suppress_prefixlength 0
        done"""
    down = """
        for family in -4 -6; do
            while ip $family rule show | grep -q 'lookup 51820'; do ip $family rule delete table 51820; done
            while ip $family rule show | grep -q 'from all lookup main suppress_prefixlength 0'; do
                ip $family rule delete table main suppress_prefixlength 0; done
            ip $family route flush table 51820
        done; true"""
    return destroyed(m, up, down, same=False) + destroyed(m, up + down)


@attack(COLUMNS)
def row17_docker_starts(m):
    """what Docker does when it starts: forwarding on, a bridge, masquerading, accepting chains"""
    undo = "nft delete table ip nat; nft delete table ip filter; ip link delete docker0; " \
           "sysctl -q net.ipv4.ip_forward=0"
    return destroyed(m, """
        sysctl -q net.ipv4.ip_forward=1
        ip link add docker0 type bridge; ip address add 172.17.0.1/16 dev docker0; ip link set docker0 up
        nft -f - <<END
        table ip nat { chain POSTROUTING { type nat hook postrouting priority 100; policy accept
            ip saddr 172.17.0.0/16 oifname != "docker0" masquerade
        }
        }
        table ip filter { chain FORWARD { type filter hook forward priority 0; policy accept
            accept
        }
        chain OUTPUT { type filter hook output priority 0; policy accept
            accept
        }
        }
END""", undo, same=False)


# Row 18

@contextlib.contextmanager
def full(m, *paths):
    """PATHS are full: 16 kB of memory each, with what was there and nothing more."""
    for path in paths:
        m.host.run("sh", "-c", f"""mkdir -p {path} && cp -a {path} /run/ks-saved && mount -t tmpfs -o size=16k tmpfs {path} &&
            cp -a /run/ks-saved/. {path}/; rm -rf /run/ks-saved; cat /dev/zero >{path}/zero 2>/dev/null; true""")
    try:
        yield
    finally:
        for path in paths:
            m.host.run("umount", "-l", path)


def check_took(start, what):
    """WHAT was begun at START. On a busy machine it may be late by chance, so it is tried once more, alone."""
    took = time.monotonic() - start
    if took >= EVENT_LIMIT:
        raise TookTooLong(f"took {took:.1f} s: {what}")


def event(m, *arguments, env=None):
    """Run the dispatcher's program as NetworkManager does; it must end soon. Its exit status."""
    start = time.monotonic()
    result = m.host.run("/usr/lib/NetworkManager/dispatcher.d/no-wait.d/10-killswitch", *arguments, check=False,
                        timeout=20, env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", **(env or {})})
    check_took(start, f"{' '.join(arguments)}: {result.stderr.strip()}")
    return result


def sync(m):
    start = time.monotonic()
    result = m.host.run("nm-killswitch", "sync", check=False, timeout=20)
    check_took(start, f"sync: {result.stderr.strip()}")
    return result


def disturbed(m, disturb, connect=True):
    """Events and a loss of the tunnel under DISTURB: still blocked, and with CONNECT it can be brought up, too."""
    tally = Tally()
    for state in (UP, DOWN) if m.column == PRODUCT else (DOWN,):
        m.bring(state)
        with disturb(m):
            mark = m.mark()
            if m.column == PRODUCT:
                sync(m)
                event(m, "eth0", "dhcp4-change", env={"DEVICE_IFACE": "eth0"})
                event(m, "", "connectivity-change", env={"CONNECTIVITY_STATE": "LIMITED"})
            tally += m.send(public(KINDS) + public(KINDS, bind_device="eth0"), all_seen=False)
            if connect and m.column == PRODUCT:
                m.up()
                m.check_tunnel_carries()
            m.host.kill_all("openvpn")
            wait_for(lambda: not m.host.has_device("tun0"), 10, "the tunnel's device is gone")
            tally += m.send(public(KINDS) + public(KINDS, bind_device="eth0"))
            if m.column == PRODUCT:
                sync(m)
                m.check_lan_works()
                tally += m.judge(mark, [])
        if m.column == PRODUCT:
            sync(m)
            m.check_blocked()
    m.check_works()
    return tally


@attack(OURS)
def row18_full_run_and_var(m):
    """/run and /var/lib are full"""
    return disturbed(m, lambda m: full(m, "/run/nm-killswitch", "/var/lib/nm-killswitch"))


@contextlib.contextmanager
def corrupt(m, *paths):
    """The files have random bytes in place of what was in them; they are there again afterwards."""
    saved = {path: m.host.read(path) for path in paths}
    for path in paths:
        m.host.run("sh", "-c", 'mkdir -p "$(dirname "$1")"; head -c 3000 /dev/urandom >"$1"', "sh", path)
    try:
        yield
    finally:
        for path, text in saved.items():
            m.host.write(path, text, 0o600)


@attack(OURS)
def row18_corrupt_configuration(m):
    """the configuration file is garbage"""
    return disturbed(m, lambda m: corrupt(m, "/etc/nm-killswitch.conf"))


@attack(OURS)
def row18_corrupt_state(m):
    """every state file is garbage"""
    def disturb(m):
        paths = [path for directory in ("/var/lib/nm-killswitch", "/run/nm-killswitch")
                 for path in m.host.run("find", directory, "-type", "f", check=False).stdout.split()]
        return corrupt(m, *paths)
    return disturbed(m, disturb)


@attack(OURS)
def row18_corrupt_profile(m):
    """the armed profile's file is garbage"""
    tally = disturbed(m, lambda m: corrupt(m, f"/etc/NetworkManager/system-connections/{VPN}.nmconnection"), connect=False)
    m.nm.nmcli("connection", "reload")
    return tally


@contextlib.contextmanager
def silent(m, comm):
    """The programs called COMM do not answer: SIGSTOP."""
    pids = m.host.processes(comm)
    check(pids, f"there is a {comm}")
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


@attack(OURS)
def row18_networkmanager_does_not_answer(m):
    """NetworkManager is stopped with SIGSTOP: every event ends within five seconds"""
    return disturbed(m, lambda m: silent(m, "NetworkManager"), connect=False)


@attack(OURS)
def row18_the_bus_does_not_answer(m):
    """the system bus is stopped with SIGSTOP: every event ends within five seconds"""
    return disturbed(m, lambda m: silent(m, "dbus-daemon"), connect=False)


if __name__ == "__main__":
    attack_record.main("OpenVPN")
