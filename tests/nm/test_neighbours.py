#!/usr/bin/env python3
"""Other VPN programs' rule sets and a routing daemon's routes beside an armed VPN, added and removed as they do it.

The programs themselves are not run: what they leave in the kernel is written down here from their source. Tailscale:
ipRules() in wgengine/router/osrouter/router_linux.go and util/linuxfw/nftables_runner.go. Mullvad: all_rules() in
talpid-routing/src/unix/linux.rs and talpid-core/src/firewall/linux.rs. Their devices are plain tun devices that no program
reads, so packets that they would carry end there.
"""

import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import probes, runner
from kstest.machine import VPN, Machine
from kstest.netns import SERVER6, TARGET, TARGET6
from kstest.probes import Probe
from kstest.runner import check, equal, test, wait_for

TAILSCALE_MARK, TAILSCALE_MASK = 0x80000, 0xff0000
MULLVAD = 0x6d6f6c65    # "mole": its mark and its table

_TAILSCALE_NFT = """
table ip filter {
    chain ts-input {
        ip saddr 100.100.1.1 iifname "lo" accept
        ip saddr 100.64.0.0/10 iifname != "tailscale0" drop
        iifname "tailscale0" accept
        udp dport 41641 accept
    }
    chain INPUT { type filter hook input priority filter; policy accept; jump ts-input; }
    chain ts-forward {
        iifname "tailscale0" meta mark set meta mark & 0xff00ffff | 0x00040000
        meta mark & 0x00ff0000 == 0x00040000 accept
        ip saddr 100.64.0.0/10 oifname "tailscale0" drop
        oifname "tailscale0" accept
    }
    chain FORWARD { type filter hook forward priority filter; policy accept; jump ts-forward; }
}
"""

# Connected, with its setting "local network sharing". It lets out no other VPN's transport.
_MULLVAD_NFT = """
table inet mullvad {
    chain output {
        type filter hook output priority 0; policy drop;
        oifname "lo" accept
        udp sport 68 ip daddr 255.255.255.255 udp dport 67 accept
        icmpv6 type { nd-router-solicit, nd-neighbor-solicit, nd-neighbor-advert } accept
        ip daddr 198.18.0.9 udp dport 51820 meta mark 0x6d6f6c65 accept
        oifname "wg0-mullvad" udp dport 53 ip daddr 10.64.0.1 accept
        udp dport 53 reject
        tcp dport 53 reject with tcp reset
        oifname "wg0-mullvad" accept
        ip daddr { 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 169.254.0.0/16, 224.0.0.0/24, 239.0.0.0/8 } accept
        ip6 daddr { fe80::/10, fc00::/7, ff01::/16, ff02::/16, ff05::/16 } accept
        reject
    }
    chain input {
        type filter hook input priority 0; policy drop;
        iifname "lo" accept
        icmpv6 type { nd-router-advert, nd-redirect, nd-neighbor-solicit, nd-neighbor-advert } accept
        ip saddr 198.18.0.9 udp sport 51820 ct state established accept
        iifname "wg0-mullvad" accept
        ip saddr { 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16, 169.254.0.0/16 } accept
        ip6 saddr { fe80::/10, fc00::/7 } accept
    }
    chain forward { type filter hook forward priority 0; policy drop; oifname "wg0-mullvad" accept; reject; }
}
"""


def _both(commands):
    return "".join(f"ip {family} {command}\n" for family in ("-4", "-6") for command in commands)


def _tailscale_rules(verb):
    mark = f"fwmark {TAILSCALE_MARK:#x}/{TAILSCALE_MASK:#x}"
    return _both([f"rule {verb} pref 5210 {mark} table main", f"rule {verb} pref 5230 {mark} table default",
                  f"rule {verb} pref 5250 {mark} type unreachable", f"rule {verb} pref 5270 table 52"])


class Tailscale:
    """With an exit node that does not carry the local network."""

    device, table = "tailscale0", "ip filter"
    start = (f"ip tuntap add tailscale0 mode tun\n{_tailscale_rules('add')}ip link set tailscale0 up\n"
             "ip address add 100.100.1.1/32 dev tailscale0\nip -6 address add fd7a:115c:a1e0::1/128 dev tailscale0 nodad\n"
             f"nft -f - <<'END'\n{_TAILSCALE_NFT}END\n"
             "ip route add throw 192.168.50.0/24 table 52\n" + _both(["route add default dev tailscale0 table 52"]) +
             "ip route add 100.64.0.0/10 dev tailscale0 table 52\n")
    stop = f"ip link set tailscale0 down\n{_tailscale_rules('del')}nft delete table ip filter\nip route flush table 52\n" \
           "ip link delete tailscale0\n"
    # without an exit node, it carries only its own network
    control = f"ip tuntap add tailscale0 mode tun\n{_tailscale_rules('add')}ip link set tailscale0 up\n" \
              f"ip route add 100.64.0.0/10 dev tailscale0 table 52\nnft -f - <<'END'\n{_TAILSCALE_NFT}END\n"
    mark, lets_others_through = TAILSCALE_MARK, True
    deletes_one_of_ours, own_address = False, "100.100.100.100"
    in_the_way = []


# clear_routing_rules() believes that the first rule looking up main with suppress_prefixlength 0 is its own
_MULLVAD_CLEARS = """
for family in -4 -6; do
    number=$(ip $family rule | sed -n 's/:.*lookup main suppress_prefixlength 0.*//p' | head -n 1)
    [ -z "$number" ] || ip $family rule del priority $number
done
"""


class Mullvad:
    """Connected by WireGuard, with the firewall of a program that trusts only itself."""

    device, table = "wg0-mullvad", "inet mullvad"
    start = (f"{_MULLVAD_CLEARS}ip tuntap add wg0-mullvad mode tun\nip link set wg0-mullvad up\n"
             "ip address add 10.64.0.2/32 dev wg0-mullvad\nip -6 address add fc00:bbbb:bbbb::2/128 dev wg0-mullvad nodad\n"
             f"nft -f - <<'END'\n{_MULLVAD_NFT}END\n" + _both([f"route add default dev wg0-mullvad table {MULLVAD}",
                                                            f"rule add not fwmark {MULLVAD:#x} table {MULLVAD}",
                                                            "rule add table main suppress_prefixlength 0"]))
    stop = f"{_MULLVAD_CLEARS}" + _both([f"rule del not fwmark {MULLVAD:#x} table {MULLVAD}"]) + \
        "nft delete table inet mullvad\nip link delete wg0-mullvad\n"
    # while it disconnects, its firewall is gone and its rules are still there
    control = _both(["rule add table main suppress_prefixlength 0"])
    mark, lets_others_through = MULLVAD, False
    deletes_one_of_ours = True
    in_the_way = [("block", "inet mullvad output", "Mullvad's app")]


def _theirs(m, neighbour):
    """Everything of theirs in the kernel, without counters."""
    return {**{family: [rule for rule in m.host.ip_json(family, "rule")
                        if rule.get("protocol") != "killswitch" and rule["priority"] not in (0, 32766, 32767)]
               for family in ("-4", "-6")},
            "nftables": m.host.run("nft", "--stateless", "list", "table", *neighbour.table.split()).stdout}


def _conflicts(m):
    """What status lists as being in the way."""
    told = json.loads(m.host.run("nm-killswitch", "status", "--json").stdout)["conflicts"]
    return [(each["effect"], each["object"], each["program"]) for each in told]


def _marked(m, neighbour):
    """Send as root with the program's own mark, as the program itself does."""
    sent = [Probe(kind, target, port, mark=neighbour.mark) for target in (TARGET, TARGET6) for kind, port in (("udp", 7), ("tcp", 7))]
    return probes.send(m.host, sent, 0, m.patience)


def _beside(neighbour):
    m = Machine(True)
    m.arm()
    heal = m.nm.stand_in_for_heal_socket()
    m.up()
    m.check_tunnel_carries()
    mark = m.mark()
    with m.flood() as flood:
        m.host.run("sh", "-ec", neighbour.start)
        if neighbour.deletes_one_of_ours:
            wait_for(lambda: "repaired" in heal.text(), 10, "what it took of ours is put back")
        theirs = _theirs(m, neighbour)
        check(all(theirs.values()), f"all of theirs is there: {theirs}")
        if neighbour.lets_others_through:
            m.check_tunnel_carries()
            # as README says, the neighbour's own network cannot be reached while armed
            check(" dev tun0 " in m.host.run("ip", "route", "get", neighbour.own_address).stdout, "where its own network is looked for")
        equal(_conflicts(m), [], "nothing of theirs is in the way of a VPN that is up")
        m.kill()
        equal(_conflicts(m), neighbour.in_the_way, "what is in the way of a VPN that is down")
        for result in _marked(m, neighbour):
            check(not result.answered, f"with the program's mark past the VPN: {result}")
        m.assert_no_leak(mark)
        m.nm.stand_in_for_path_unit()
        equal(_theirs(m, neighbour), theirs, "what is theirs, after ours was looked over")
        if neighbour.lets_others_through:
            m.check_blocked()
        # taken out and put in again while the VPN is down
        m.host.run("sh", "-ec", neighbour.stop)
        m.check_blocked()
        m.host.run("sh", "-ec", neighbour.start)
        equal(_conflicts(m), neighbour.in_the_way, "what is in the way of a VPN that is down, put in again")
        if neighbour.lets_others_through:
            m.check_blocked()
            m.up()
            m.check_tunnel_carries()
        m.host.run("sh", "-ec", neighbour.stop)
        check(not m.host.has_device(neighbour.device), "the neighbour is gone")
        m.nm.stand_in_for_path_unit()
        m.up()
        m.check_tunnel_carries()
        m.check_lan_works()
    check(flood.sent["udp"] > 100, f"the flood was one: {flood.sent}")
    m.assert_no_leak(mark)
    # after disarming, their rules are as they were
    m.host.run("sh", "-ec", neighbour.start)
    theirs = _theirs(m, neighbour)
    m.nm.modify(VPN, "connection.zone", "")
    m.wait_released()
    equal(_theirs(m, neighbour), theirs, "what is theirs, disarmed")


def _assert_losing_leaks(m):
    """The control: a VPN that is up is lost under a flood."""
    mark = m.mark()
    with m.flood():
        m.kill()
        wait_for(lambda: len(m.leaks(mark)) > 10, 10, "the flood leaks")


def _without(neighbour):
    m = Machine(False)
    m.host.run("sh", "-ec", neighbour.control)
    m.up()
    m.check_tunnel_carries()
    _assert_losing_leaks(m)


@test
def without_killswitch_losing_the_vpn_beside_tailscale_leaks():
    _without(Tailscale)


@test
def nothing_leaks_beside_tailscale_and_its_rules_stay():
    _beside(Tailscale)


@test
def without_killswitch_losing_the_vpn_beside_mullvad_leaks():
    _without(Mullvad)


@test
def nothing_leaks_beside_mullvad_and_its_rules_stay():
    _beside(Mullvad)


# A routing daemon (BIRD, FRR) adds routes to main that are more specific than any default route

_DAEMONS = (("-4", "0.0.0.0/1", "bird"), ("-4", "128.0.0.0/1", "bird"), ("-4", "198.0.0.0/8", "zebra"), ("-6", "::/1", "bird"),
            ("-6", "8000::/1", "bird"), ("-6", "2001:db8::/32", "zebra"))


def _learn_routes(m, verb="add"):
    lan = m.lab.lans[0]
    for family, prefix, protocol in _DAEMONS:
        router = lan.router if family == "-4" else lan.router6
        m.host.run("ip", family, "route", verb, prefix, "via", router, "dev", lan.device, "proto", protocol)


def _learned(m):
    return [m.host.ip_json(family, "route", "show", "proto", protocol) for family in ("-4", "-6") for protocol in ("bird", "zebra")]


@test
def without_killswitch_a_routing_daemons_routes_lead_past_the_vpn():
    m = Machine(False)
    m.up()
    m.check_tunnel_carries()
    mark = m.mark()
    _learn_routes(m)
    with m.flood():
        wait_for(lambda: len(m.leaks(mark)) > 10, 10, "the flood leaks although the VPN is up")


@test
def nothing_leaks_through_a_routing_daemons_routes_and_they_stay():
    m = Machine(True)
    m.arm()
    m.nm.stand_in_for_heal_socket()
    m.up()
    mark = m.mark()
    with m.flood() as flood:
        _learn_routes(m)
        learned = _learned(m)
        check(all(learned), f"all of its routes are there: {learned}")
        m.check_tunnel_carries()
        m.kill()
        m.check_blocked()
        m.up()      # these routes lead to the server, too
        m.check_tunnel_carries()
        m.kill()
        _learn_routes(m, "delete")
        _learn_routes(m)
        m.check_blocked()
        m.check_lan_works()
    check(flood.sent["udp"] > 100, f"the flood was one: {flood.sent}")
    m.assert_no_leak(mark)
    m.disarm()
    m.wait_released()
    equal(_learned(m), learned, "the daemon's routes, disarmed")


# As firewalld does for IPv6, and NixOS for both families: the route back to the sender is looked up without ports.
_REVERSE_PATH_FILTER = """
table inet filter {
    chain prerouting {
        type filter hook prerouting priority filter + 10;
        icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
        fib saddr . mark . iif oif missing counter drop
    }
}
"""


def _beside_a_reverse_path_filter(m):
    m.host.run("nft", "-f", "-", input=_REVERSE_PATH_FILTER)
    m.arm()
    mark = m.mark()
    m.check_blocked()
    m.up()
    m.check_tunnel_carries()
    m.check_lan_works()
    m.kill()
    m.check_blocked()
    m.up()
    m.check_tunnel_carries()
    m.assert_no_leak(mark)
    m.disarm()
    m.wait_released()


@test
def a_vpn_comes_up_over_ipv4_beside_a_reverse_path_filter():
    _beside_a_reverse_path_filter(Machine(True))


@test
def a_vpn_comes_up_over_ipv6_beside_a_reverse_path_filter():
    _beside_a_reverse_path_filter(Machine(True, proto="tcp", address=SERVER6))


# Firewalls that replace whole rule sets: nftables.service with a file like Debian's, and iptables-restore

_NFTABLES_CONF = """
flush ruleset
table inet filter {
    chain input { type filter hook input priority filter; policy accept; tcp dport 2222 accept; }
    chain forward { type filter hook forward priority filter; policy accept; }
    chain output { type filter hook output priority filter; policy accept; }
}
"""
# as docs/neighbours.md says to write it
_OWN_TABLE_ONLY = _NFTABLES_CONF.replace("flush ruleset", "add table inet filter\ndelete table inet filter")
_IPTABLES_SAVED = """*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -p tcp --dport 2222 -j ACCEPT
COMMIT
"""


def _nftables_service(m, verb):
    """What its unit runs."""
    if verb in ("stop", "restart"):
        m.host.run("nft", "flush", "ruleset")
    if verb != "stop":
        m.host.run("nft", "-f", "-", input=_NFTABLES_CONF)


def _bound_probes_leak(m):
    """Whether anything is seen on the wire of probes from sockets that are bound to the uplink."""
    sent = [Probe("udp", target, bind_device=m.lab.lans[0].device) for target in (TARGET, TARGET6)]
    mark = m.mark()
    probes.send(m.host, sent, probes.NOBODY, m.patience)
    return bool(m.leaks(mark))


def _has_guard(m):
    return "table inet nm_killswitch" in m.host.run("nft", "list", "tables").stdout


def _table(m, table):
    return m.host.run("nft", "--stateless", "list", "table", *table.split()).stdout


@test
def without_killswitch_losing_the_vpn_beside_nftables_service_leaks():
    m = Machine(False)
    _nftables_service(m, "start")
    m.up()
    m.check_tunnel_carries()
    wait_for(lambda: _bound_probes_leak(m), 20, "a probe from a socket bound to the uplink is seen", error=AssertionError)
    _assert_losing_leaks(m)


@test
def the_guard_is_put_back_beside_nftables_service_and_iptables_restore():
    m = Machine(True)
    _nftables_service(m, "start")
    theirs = _table(m, "inet filter")
    m.arm()
    m.nm.stand_in_for_heal_socket()
    mark = m.mark()
    with m.flood() as flood:
        for is_up in (False, True):
            if is_up:
                m.up()
            for verb in ("reload", "restart", "stop", "start"):
                _nftables_service(m, verb)
                wait_for(lambda: _has_guard(m), 20, f"the guard is back after {verb}")
                check(not _bound_probes_leak(m), f"a socket bound to the uplink gets past the guard after {verb}")
            equal(_table(m, "inet filter"), theirs, "their table")
            guard = _table(m, "inet nm_killswitch")
            for command, text in ((("iptables-restore",), _IPTABLES_SAVED), (("ip6tables-restore",), _IPTABLES_SAVED),
                                  (("nft", "-f", "-"), _OWN_TABLE_ONLY)):
                m.host.run(*command, input=text)
                equal(_table(m, "inet nm_killswitch"), guard, f"the guard, which {command[0]} leaves alone")
            if is_up:
                m.check_tunnel_carries()
                m.check_lan_works()
        m.kill()
        m.check_blocked()
    check(flood.sent["udp"] > 100, f"the flood was one: {flood.sent}")
    m.assert_no_leak(mark)
    m.disarm()
    m.wait_released()
    equal(_table(m, "inet filter"), theirs, "their table, disarmed")
    for family in ("ip", "ip6"):
        check("2222" in _table(m, f"{family} filter"), f"iptables' table for {family} is gone")


# Multipath TCP: NetworkManager makes each uplink's address an endpoint, and the kernel binds a subflow of its own to that device

_MPTCP_PORT = 5555

_MPTCP_SERVER = f"""
import socket, threading
def echo(connection):
    while data := connection.recv(9999):
        connection.sendall(data)
server = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
server.bind(("{TARGET}", {_MPTCP_PORT}))
server.listen()
print("ready", flush=True)
while True:
    threading.Thread(target=echo, args=server.accept()[:1], daemon=True).start()
"""

_MPTCP_CLIENT = f"""
import socket, time
client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
client.settimeout(10)
client.connect(("{TARGET}", {_MPTCP_PORT}))
for _ in range(20):
    client.sendall(b"x" * 3000)
    left = 3000
    while left:
        left -= len(client.recv(left))
    time.sleep(0.02)
"""


@test
def subflows_of_multipath_tcp_do_not_leave_beside_the_vpn():
    m = Machine(True)
    if not os.path.exists("/proc/sys/net/mptcp/enabled"):
        raise runner.Skip("no Multipath TCP here")
    m.host.run("ip", "mptcp", "limits", "set", "subflow", "2", "add_addr_accepted", "2")
    m.lab.internet.run("ip", "mptcp", "limits", "set", "subflow", "2", "add_addr_accepted", "2")
    m.host.run("ip", "mptcp", "endpoint", "add", m.lab.lans[0].address, "dev", m.lab.lans[0].device, "subflow",
               check=False)     # NetworkManager may have added it
    server = m.lab.internet.start("mptcp", sys.executable, "-c", _MPTCP_SERVER)
    wait_for(lambda: "ready" in server.text(), 10, "the server listens")
    m.up()
    mark = m.mark()

    def subflow_leaves():
        m.host.run(sys.executable, "-c", _MPTCP_CLIENT)
        return any(leak.packet.dport == _MPTCP_PORT for leak in m.leaks(mark))
    wait_for(subflow_leaves, 20, "without the kill switch, a subflow leaves", error=AssertionError)
    m.arm()
    mark = m.mark()
    m.host.run(sys.executable, "-c", _MPTCP_CLIENT)     # is carried
    m.kill()
    check(m.host.run(sys.executable, "-c", _MPTCP_CLIENT, check=False).returncode != 0, "blocked")
    m.assert_no_leak(mark)


if __name__ == "__main__":
    runner.main()
