"""Never stuck: a VPN can be brought up while blocked, however its server is known and whatever the network does.

The local network's name server, the addresses of the VPN's server, the uplink
and its router change while the machine is armed. Each time nothing gets out,
and the VPN works afterwards.
"""

import contextlib
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest.packets import UDP
from kstest.runner import check, main, test, wait_for
from kstest.vm import NOBODY, PATIENCE, device_state
from kstest.vm_life import all_probes, quiet, set_zone, wait_armed, wait_line, wait_released, wait_rule, wait_server
from kstest.vm_router import INTERNET, INTERNET6, LAN_GATEWAY
from kstest.vm_stages import ALIASES, Stages
from kstest.vm_vpn import (arm, assert_blocked, assert_kept_up, assert_leak, assert_tunnel, disarm, down, is_active,
                           leaks_during, package, ping, probe, up, wait_idle)
from kstest.vm_wire import Transport

RESOLVER, RESOLVER6 = INTERNET[1], INTERNET6[1]         # a public one; the router answers for it
PUBLIC_RESOLVER = (f"--dhcp-option=option:dns-server,{RESOLVER}", f"--dhcp-option=option6:dns-server,[{RESOLVER6}]",
                   f"--listen-address={RESOLVER}", f"--listen-address={RESOLVER6}")
# asks each of this machine's resolvers, as an unprivileged program does, but does not wait for the usual 20 seconds
ASK = "RES_OPTIONS='timeout:1 attempts:1' python3 -I -c 'import socket, sys; socket.getaddrinfo(sys.argv[1], 1)' private.example"
at = Stages("lifecycle-network")


@contextlib.contextmanager
def _serving(*options, **more):
    """Run the router's services with further OPTIONS."""
    router = at.machine.router
    router.serve(*options, **more)
    try:
        yield router
    finally:
        router.serve()


def _comes_up(vpn, what, timeout=60):
    quiet(at.machine, f"{what}, coming up", lambda: up(at.machine, vpn, timeout))
    assert_tunnel(at.machine, what)
    quiet(at.machine, f"{what}, up", lambda: probe(at.machine, device="eth0"))


# Bringing a VPN up while blocked

@test
def without_kill_switch_probes_and_queries_are_seen():
    machine = at.clean()
    with _serving(*PUBLIC_RESOLVER):
        machine.run("nmcli connection up lan")
        assert_leak(machine, "not installed", lambda: all_probes(machine))
        wait_for(lambda: any(packet.dport == 53 and b"private" in packet.payload for packet in leaks_during(
            machine, lambda: machine.run(ASK, check=False, uid=NOBODY))), 30 * PATIENCE, "a query on the wire", error=AssertionError)
    machine.run("nmcli connection up lan")


@test
def a_server_known_by_its_address_is_reached():
    machine = at.armed()
    assert_blocked(machine, "armed")
    _comes_up(at.vpns.vpn, "by address")


@test
def a_server_with_an_ipv6_address_is_reached():
    machine = at.installed()
    arm(machine, at.vpns.six)
    _comes_up(at.vpns.six, "by IPv6 address")


@test
def a_server_known_by_name_is_reached_with_the_lans_resolver():
    machine = at.installed()
    arm(machine, at.vpns.named)
    assert_blocked(machine, "armed")
    _comes_up(at.vpns.named, "by name")
    quiet(at.machine, "down", lambda: down(machine, at.vpns.named))
    _comes_up(at.vpns.named, "by name, again")


@test
def a_server_known_by_name_is_reached_with_a_public_resolver():
    machine = at.installed()
    with _serving(*PUBLIC_RESOLVER):
        machine.run("nmcli connection up lan")
        machine.wait_online()
        wait_line(machine, "cat /etc/resolv.conf", RESOLVER, "DHCP gives the resolver")
        arm(machine, at.vpns.named)
        wait_idle(machine)
        bootstrap = {Transport(address, 53, UDP) for address in (RESOLVER, RESOLVER6)}
        machine.wire.transports |= bootstrap
        try:
            mark = machine.wire.mark()
            quiet(at.machine, "a user asks", lambda: machine.run(ASK, check=False, uid=NOBODY))
            _comes_up(at.vpns.named, "by name, public resolver")
            asked = [packet for packet in machine.wire.since(mark).transport if packet.dport == 53]
            check(not any(b"private" in packet.payload for packet in asked), "the user's query got out")
            # while the tunnel is up, nothing needs to be looked up outside it
            wait_idle(machine)
            mark = machine.wire.mark()
            machine.run(ASK, check=False)
            check(not [packet for packet in machine.wire.since(mark).transport if packet.dport == 53],
                  "root's query got out beside the tunnel")
        finally:
            machine.wire.transports -= bootstrap


@test
def the_server_that_answers_is_reached_among_several():
    machine = at.installed()
    arm(machine, at.vpns.many)
    _comes_up(at.vpns.many, "the second of two servers", timeout=120)


@test
def a_server_whose_name_has_several_addresses_is_reached():
    machine = at.installed()
    with _serving(f"--host-record=changing.example,{ALIASES[0]}", f"--host-record=changing.example,{ALIASES[1]}"):
        arm(machine, at.vpns.changing)
        for number in range(2):
            _comes_up(at.vpns.changing, f"round robin, {number}")
            quiet(at.machine, "down", lambda: down(machine, at.vpns.changing))


@test
def a_server_whose_address_has_changed_is_reached_by_name():
    machine = at.installed()
    with _serving(f"--host-record=changing.example,{ALIASES[0]}"):
        arm(machine, at.vpns.changing)
        wait_server(machine, ALIASES[0], "the first address")
        wait_idle(machine)
    with _serving(f"--host-record=changing.example,{ALIASES[1]}"):
        _comes_up(at.vpns.changing, "the address has changed", timeout=90)


@test
def a_name_that_could_not_be_resolved_while_arming_is_resolved_later():
    machine = at.installed()
    arm(machine, at.vpns.changing)        # no resolver knows the name yet
    wait_idle(machine)
    with _serving(f"--host-record=changing.example,{ALIASES[0]}"):
        _comes_up(at.vpns.changing, "known only now", timeout=90)


@test
def without_any_resolver_the_last_answers_hold():
    machine = at.installed()
    with _serving(f"--host-record=changing.example,{ALIASES[0]}"):
        arm(machine, at.vpns.changing)
        wait_server(machine, ALIASES[0], "the first answer")
        up(machine, at.vpns.changing)
        assert_tunnel(machine, "up")
    with _serving("--port=0"):  # DHCP goes on, DNS is down
        machine.run("nmcli connection down changing-vpn; nmcli connection up lan")
        machine.wait_online()
        wait_idle(machine)
        wait_server(machine, ALIASES[0], "the last answer, without DNS")
        assert_blocked(machine, "DNS is down")
        # another resolver knows the name, too, such as a cache
        machine.run(f"echo {ALIASES[0]} changing.example >> /etc/hosts")
        _comes_up(at.vpns.changing, "DNS is down")


@test
def while_one_vpn_is_up_nobody_asks_the_lan_for_the_server_of_another():
    machine = at.armed()
    arm(machine, at.vpns.named)
    wait_rule(machine, "^8305:.*dport 53", "while both are down the name may be asked for")
    up(machine, at.vpns.vpn)
    assert_tunnel(machine, "one is up")
    wait_rule(machine, "^8305:", "one is up", present=False)
    wait_idle(machine)
    mark = machine.wire.mark()
    machine.run(f"exec 3<>/dev/udp/{LAN_GATEWAY}/53; echo private >&3; {ASK}", check=False)
    asked = machine.wire.since(mark).dns
    check(not asked, f"{len(asked)} queries by root, such as {asked[:2]}")
    quiet(machine, "down", lambda: down(machine, at.vpns.vpn))
    _comes_up(at.vpns.named, "the other, by name")


# At boot

def _rebooted():
    """Armed: a WireGuard that connects by itself and an OpenVPN that comes with the uplink. Not armed: a session."""
    def build():
        machine = at.armed()
        machine.run("nmcli connection modify my-vpn connection.autoconnect yes")
        machine.run("nmcli connection modify lan connection.secondaries $(nmcli -g connection.uuid connection show"
                    " secondary-vpn)")
        arm(machine, at.vpns.secondary)
        set_zone(machine, at.vpns.six, "killswitch-auto")
        up(machine, at.vpns.six)
        # unused servers would only make the boot longer
        machine.run("cd /etc/ks-server.d && rm wgs1.sh wgs2.sh openvpn-1194.sh openvpn-1195.sh openvpn-1196.sh openvpn-1197.sh;"
                    " systemctl enable ks-prober; sync")
        wait_idle(machine)
        quiet(at.machine, "reboot", lambda: machine.reboot(400))
    package()
    at.machine.stage("rebooted", build)
    return at.machine


@test
def an_armed_wireguard_with_autoconnect_comes_up_at_boot():
    machine = _rebooted()
    wait_for(lambda: is_active(machine, at.vpns.vpn), 120, "WireGuard is up")
    assert_tunnel(machine, "booted")
    quiet(at.machine, "booted")


@test
def an_armed_openvpn_comes_up_with_its_uplink_at_boot():
    machine = _rebooted()
    for vpn in (at.vpns.secondary, at.vpns.vpn):
        wait_for(lambda vpn=vpn: is_active(machine, vpn), 120 * PATIENCE, f"{vpn.name} is up")
    machine.run("nmcli connection modify my-vpn connection.autoconnect no; nmcli connection down my-vpn")
    assert_tunnel(machine, "only OpenVPN")
    quiet(at.machine, "only OpenVPN")


@test
def a_session_is_not_armed_after_a_reboot_until_it_is_activated():
    machine = _rebooted()
    machine.run("nmcli connection modify lan connection.secondaries ''; nmcli connection modify my-vpn"
                " connection.autoconnect no")
    for vpn in (at.vpns.vpn, at.vpns.secondary):
        machine.run(["nmcli", "connection", "down", vpn.name], check=False)
        set_zone(machine, vpn, "")
    wait_released(machine, "only the session is left, and it has not begun")
    assert_leak(machine, "the session has not begun", lambda: all_probes(machine))
    up(machine, at.vpns.six)
    wait_armed(machine, "the session has begun")
    assert_tunnel(machine, "session")
    down(machine, at.vpns.six)
    wait_released(machine, "the session is over")


# Roaming

@contextlib.contextmanager
def _other_network(subnet="192.168.99", six="fd99"):
    """Plug the cable into another network, with another router; in the end it is back in the first."""
    router = at.machine.router

    def move(new, new6):
        at.machine.plug(0, False)
        router.stop_serving()
        router.run("ip", "address", "flush", "dev", "tap0", "scope", "global")
        for address in (f"{new}.1/24", f"{new6}::1/64"):
            router.run("ip", "address", "add", address, "dev", "tap0")

    move(subnet, six)
    # if it is plugged in before that, NetworkManager keeps the old network's address
    _wait_unavailable()
    router.serve(f"--dhcp-range=set:lan,{subnet}.50,{subnet}.99,255.255.255.0,1h",
                 f"--dhcp-range=set:lan,{six}::,ra-only,64,30m")
    try:
        yield subnet
    finally:
        move("192.168.77", "fd77")
        router.serve()
        at.machine.plug(0, True)


def _wait_unavailable():
    """Wait until NetworkManager acts on the lost carrier, which takes some seconds."""
    at.machine.run(f"until {device_state(20)}; do sleep 0.2; done", timeout=60)


def _wait_address(start):
    machine = at.machine
    machine.run(f"until ip -4 address show dev eth0 | grep -q 'inet {start}'; do sleep 0.2; done", timeout=90)
    machine.wait_online(90)


@test
def losing_the_uplink_leaks_nothing_and_the_vpn_works_when_it_is_back():
    machine = at.armed_up()

    def flap():
        for _ in range(3):
            at.machine.plug(0, False)
            time.sleep(3)
            at.machine.plug(0, True)
            time.sleep(3)
        machine.wait_online(90)

    quiet(at.machine, "carrier lost and back, three times", flap)
    assert_kept_up(machine, at.vpns.vpn, "carrier back")
    quiet(at.machine, "carrier back")


@test
def a_plugins_vpn_comes_back_with_the_uplink_that_brings_it_up():
    machine, vpn = at.installed(), at.vpns.secondary
    machine.run(f"nmcli connection modify lan connection.secondaries $(nmcli -g connection.uuid connection show {vpn.name})")
    arm(machine, vpn)
    up(machine, vpn)
    assert_tunnel(machine, "up")
    quiet(at.machine, "carrier lost", lambda: (at.machine.plug(0, False), _wait_unavailable()))
    wait_for(lambda: not is_active(machine, vpn), 60, "the VPN ends with its uplink")
    quiet(at.machine, "carrier back", lambda: (
        at.machine.plug(0, True), machine.wait_online(90),
        wait_for(lambda: is_active(machine, vpn), 90, "the uplink has brought the VPN up")))
    assert_tunnel(machine, "carrier back")
    quiet(at.machine, "carrier back")


@test
def another_network_leaks_nothing_and_the_vpn_works():
    for build, what in ((at.armed_up, "up"), (at.armed, "down")):
        machine = build()
        with _other_network() as subnet:
            quiet(at.machine, f"roaming while {what}", lambda: (at.machine.plug(0, True), _wait_address(subnet)))
            wait_idle(machine)
            check(ping(machine, f"{subnet}.1"), "the new LAN does not answer")
            if build == at.armed:
                quiet(at.machine, f"roamed while {what}")
                up(machine, at.vpns.vpn)
                assert_tunnel(machine, f"roamed while {what}")
            else:
                assert_kept_up(machine, at.vpns.vpn, f"roamed while {what}")
            quiet(at.machine, f"roamed while {what}")


@test
def a_new_address_leaks_nothing_and_the_vpn_works():
    machine = at.armed_up()
    quiet(at.machine, "another address", lambda: (
        machine.run("nmcli connection modify lan ipv4.dhcp-client-id ks ethernet.cloned-mac-address 52:54:00:77:00:99;"
                    " nmcli connection up lan"), machine.wait_online()))
    check("192.168.77.50/" not in machine.run("ip -4 address show dev eth0").stdout, "still the first address")
    assert_kept_up(machine, at.vpns.vpn, "another address")
    quiet(at.machine, "another address")


@test
def a_better_second_uplink_leaks_nothing_and_neither_does_losing_the_first():
    machine = at.armed_up()
    machine.run("nmcli connection modify lan2 ipv4.route-metric 50 ipv6.route-metric 50")
    quiet(at.machine, "a second uplink", lambda: (
        at.machine.plug(2, True), machine.run("until ip -4 route show default dev eth2 | grep -q . &&"
                                     " ip -6 route show default dev eth2 | grep -q .; do sleep 0.2; done", timeout=90)))
    wait_idle(machine)
    quiet(at.machine, "two uplinks", lambda: (all_probes(machine), probe(machine, device="eth2")))
    assert_tunnel(machine, "two uplinks")
    quiet(at.machine, "the first is lost", lambda: (at.machine.plug(0, False), time.sleep(5)))
    wait_idle(machine)
    mark = machine.wire2.mark()
    assert_kept_up(machine, at.vpns.vpn, "only the second")
    check(machine.wire2.since(mark).transport, "the tunnel is not by the second uplink")
    quiet(at.machine, "only the second", lambda: probe(machine, device="eth2"))
    quiet(at.machine, "down", lambda: (down(machine, at.vpns.vpn), probe(machine, device="eth2")))
    check(ping(machine, "192.168.78.1"), "the second LAN does not answer")
    at.machine.plug(0, True)
    at.machine.plug(2, False)


@test
def an_uplink_with_ipv6_only_leaks_nothing_and_the_vpn_works():
    machine = at.installed()
    arm(machine, at.vpns.six)
    quiet(at.machine, "IPv4 goes", lambda: machine.run("nmcli connection modify lan ipv4.method disabled; nmcli connection up lan"))
    machine.run("until ip -6 route show default dev eth0 | grep -q .; do sleep 0.2; done")
    wait_idle(machine)
    quiet(at.machine, "IPv6 only")
    _comes_up(at.vpns.six, "IPv6 only")
    disarm(machine, at.vpns.six)


if __name__ == "__main__":
    main(at.set_up)
