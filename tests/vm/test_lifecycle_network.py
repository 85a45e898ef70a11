"""Never stuck: a VPN can be brought up while blocked, however its server is known and whatever the network does.

The name server of the local network, the addresses of the VPN's server, the
uplink and its router change under an armed machine; each time nothing gets out,
and the VPN works afterwards.
"""

import contextlib
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest.packets import TCP, UDP
from kstest.runner import check, main, test, wait_for
from kstest.vm import NOBODY, Machine
from kstest.vm_life import all_probes, quiet, set_zone, wait_armed, wait_idle, wait_released, wait_rule
from kstest.vm_openvpn import make_openvpn
from kstest.vm_router import INTERNET, INTERNET6
from kstest.vm_vpn import (SERVER, SERVER6, arm, assert_blocked, assert_leak, assert_tunnel, disarm,
                           down, install, is_active, leaks_during, make_wireguard, package, ping, probe, snapshot, up)
from kstest.vm_wire import Transport

RELEASE = os.environ.get("KS_VM_RELEASE", "bookworm")
RESOLVER, RESOLVER6 = INTERNET[1], INTERNET6[1]         # a public one; the router answers for it
ALIASES = ("203.0.113.11", "203.0.113.12")              # further addresses of the VPN's server
PUBLIC_RESOLVER = (f"--dhcp-option=option:dns-server,{RESOLVER}", f"--dhcp-option=option6:dns-server,[{RESOLVER6}]",
                   f"--listen-address={RESOLVER}", f"--listen-address={RESOLVER6}")
# asks the resolvers of this machine, as an unprivileged program does
ASK = "python3 -I -c 'import socket, sys; socket.getaddrinfo(sys.argv[1], 1)' private.example"


class _Made:
    """What the stages have made, for the tests."""

    machine = vpn = named = six = many = changing = secondary = before = None


def set_up():
    _Made.machine = Machine(f"lifecycle-network-{RELEASE}", RELEASE, uplinks=2)
    _Made.machine.start()
    _cable(2, False)    # the second uplink is for one test
    _Made.machine.wait_booted()


# The states in which tests begin; each is made once

def _clean():
    """No package; profiles whose server is known in each way, all down."""
    def build():
        machine = _Made.machine
        aliases = "; ".join(f"ip netns exec server ip address replace {address}/24 dev eth1" for address in ALIASES)
        machine.run(aliases)
        machine.push("/etc/ks-server.d/aliases.sh", aliases.replace("ip netns exec server ", "") + "\n")
        _Made.vpn = make_wireguard(machine)
        _Made.named = make_wireguard(machine, "named-vpn", 1, endpoint="vpn.example")
        _Made.six = make_wireguard(machine, "six-vpn", 2, endpoint=SERVER6)
        _Made.many = make_openvpn(machine, "many-vpn", 0, server=f"203.0.113.99:1194:udp, {SERVER}")
        _Made.changing = make_openvpn(machine, "changing-vpn", 1, server="changing.example", push="multihome")
        _Made.secondary = make_openvpn(machine, "secondary-vpn", 2)
        for wire in (machine.wire, machine.wire2):
            wire.transports |= {Transport(server, port) for server in (SERVER, "203.0.113.99", *ALIASES)
                                for port in (1194, 1195)}
    _Made.machine.stage("clean", build)
    return _Made.machine


def _installed():
    def build():
        machine = _clean()
        _Made.before = snapshot(machine)
        install(machine)
        wait_idle(machine)
    package()
    _Made.machine.stage("installed", build)
    return _Made.machine


def _armed():
    def build():
        arm(_installed(), _Made.vpn)
    package()
    _Made.machine.stage("armed", build)
    return _Made.machine


def _armed_up():
    def build():
        up(_armed(), _Made.vpn)
        check(ping(_Made.machine, "198.51.100.1"), "the tunnel does not work")
    package()
    _Made.machine.stage("armed-up", build)
    return _Made.machine


def _cable(number, plugged):
    _Made.machine.qmp("set_link", name=f"nic{number}", up=plugged)


@contextlib.contextmanager
def _serving(*options, **more):
    """The router's services with further OPTIONS meanwhile."""
    router = _Made.machine.router
    router.serve(*options, **more)
    try:
        yield router
    finally:
        router.serve()


def _comes_up(vpn, what, timeout=60):
    quiet(_Made.machine, f"{what}, coming up", lambda: up(_Made.machine, vpn, timeout))
    assert_tunnel(_Made.machine, what)
    quiet(_Made.machine, f"{what}, up", lambda: probe(_Made.machine, device="eth0"))


# Bringing a VPN up while blocked

@test
def without_kill_switch_probes_and_queries_are_seen():
    machine = _clean()
    with _serving(*PUBLIC_RESOLVER):
        machine.run("nmcli connection up lan")
        assert_leak(machine, "not installed", lambda: all_probes(machine))
        leaks = leaks_during(machine, lambda: machine.run(ASK, check=False, uid=NOBODY))
        check(any(packet.dport == 53 and b"private" in packet.payload for packet in leaks), "no query on the wire")
    machine.run("nmcli connection up lan")


@test
def a_server_known_by_its_address_is_reached():
    machine = _armed()
    assert_blocked(machine, "armed")
    _comes_up(_Made.vpn, "by address")


@test
def a_server_with_an_ipv6_address_is_reached():
    machine = _installed()
    arm(machine, _Made.six)
    _comes_up(_Made.six, "by IPv6 address")


@test
def a_server_known_by_name_is_reached_with_the_lans_resolver():
    machine = _installed()
    arm(machine, _Made.named)
    assert_blocked(machine, "armed")
    _comes_up(_Made.named, "by name")
    quiet(_Made.machine, "down", lambda: down(machine, _Made.named))
    _comes_up(_Made.named, "by name, again")


@test
def a_server_known_by_name_is_reached_with_a_public_resolver():
    machine = _installed()
    with _serving(*PUBLIC_RESOLVER):
        machine.run("nmcli connection up lan")
        machine.wait_online()
        check(RESOLVER in machine.run("cat /etc/resolv.conf").stdout, "DHCP did not give the resolver")
        arm(machine, _Made.named)
        wait_idle(machine)
        bootstrap = {Transport(address, 53, proto) for address in (RESOLVER, RESOLVER6) for proto in (UDP, TCP)}
        machine.wire.transports |= bootstrap
        try:
            mark = machine.wire.mark()
            quiet(_Made.machine, "a user asks", lambda: machine.run(ASK, check=False, uid=NOBODY))
            _comes_up(_Made.named, "by name, public resolver")
            asked = [packet for packet in machine.wire.since(mark).transport if packet.dport == 53]
            check(not any(b"private" in packet.payload for packet in asked), "the user's query got out")
            # with the tunnel up nobody has to ask beside it
            mark = machine.wire.mark()
            machine.run(ASK, check=False)
            check(not [packet for packet in machine.wire.since(mark).transport if packet.dport == 53],
                  "root's query got out beside the tunnel")
        finally:
            machine.wire.transports -= bootstrap


@test
def of_several_servers_one_that_answers_is_reached():
    machine = _installed()
    arm(machine, _Made.many)
    _comes_up(_Made.many, "the second of two servers", timeout=120)


@test
def a_server_whose_name_has_several_addresses_is_reached():
    machine = _installed()
    with _serving(f"--host-record=changing.example,{ALIASES[0]}", f"--host-record=changing.example,{ALIASES[1]}"):
        arm(machine, _Made.changing)
        for number in range(2):
            _comes_up(_Made.changing, f"round robin, {number}")
            quiet(_Made.machine, "down", lambda: down(machine, _Made.changing))


@test
def a_server_whose_name_has_changed_its_address_is_reached():
    machine = _installed()
    with _serving(f"--host-record=changing.example,{ALIASES[0]}"):
        arm(machine, _Made.changing)
        wait_rule(machine, f"to {ALIASES[0]}", "the first address")
        wait_idle(machine)
    with _serving(f"--host-record=changing.example,{ALIASES[1]}"):
        _comes_up(_Made.changing, "the address has changed", timeout=90)


@test
def a_name_that_could_not_be_resolved_when_arming_is_resolved_later():
    machine = _installed()
    arm(machine, _Made.changing)        # nobody knows the name yet
    wait_idle(machine)
    with _serving(f"--host-record=changing.example,{ALIASES[0]}"):
        _comes_up(_Made.changing, "known only now", timeout=90)


@test
def without_any_resolver_the_last_answers_hold():
    machine = _installed()
    with _serving(f"--host-record=changing.example,{ALIASES[0]}"):
        arm(machine, _Made.changing)
        wait_rule(machine, f"to {ALIASES[0]}", "the first answer")
        up(machine, _Made.changing)
        assert_tunnel(machine, "up")
    with _serving("--port=0"):  # DHCP goes on, DNS is down
        machine.run("nmcli connection down changing-vpn; nmcli connection up lan")
        machine.wait_online()
        wait_idle(machine)
        wait_rule(machine, f"to {ALIASES[0]}", "the last answer, without DNS")
        assert_blocked(machine, "DNS is down")
        # somebody else knows the name as well, for instance a cache
        machine.run(f"echo {ALIASES[0]} changing.example >> /etc/hosts")
        _comes_up(_Made.changing, "DNS is down")


# At boot

def _rebooted():
    """Armed: a WireGuard that connects by itself and an OpenVPN that comes with the uplink. Not armed: a session."""
    def build():
        machine = _armed()
        machine.run("nmcli connection modify my-vpn connection.autoconnect yes")
        machine.run("nmcli connection modify lan connection.secondaries $(nmcli -g connection.uuid connection show"
                    " secondary-vpn)")
        arm(machine, _Made.secondary)
        set_zone(machine, _Made.six, "killswitch-auto")
        up(machine, _Made.six)
        machine.run("systemctl enable ks-prober; sync")
        wait_idle(machine)
        quiet(_Made.machine, "reboot", lambda: machine.reboot(400))
    package()
    _Made.machine.stage("rebooted", build)
    return _Made.machine


@test
def an_armed_wireguard_with_autoconnect_comes_up_at_boot():
    machine = _rebooted()
    wait_for(lambda: is_active(machine, _Made.vpn), 120, "WireGuard is up")
    assert_tunnel(machine, "booted")
    quiet(_Made.machine, "booted")


@test
def an_armed_openvpn_comes_up_with_its_uplink_at_boot():
    machine = _rebooted()
    wait_for(lambda: is_active(machine, _Made.secondary), 120, "OpenVPN is up")
    machine.run("nmcli connection modify my-vpn connection.autoconnect no; nmcli connection down my-vpn")
    assert_tunnel(machine, "only OpenVPN")
    quiet(_Made.machine, "only OpenVPN")


@test
def a_session_is_not_armed_after_a_reboot_until_it_is_activated():
    machine = _rebooted()
    machine.run("nmcli connection modify lan connection.secondaries ''; nmcli connection modify my-vpn"
                " connection.autoconnect no")
    for vpn in (_Made.vpn, _Made.secondary):
        machine.run(["nmcli", "connection", "down", vpn.name], check=False)
        set_zone(machine, vpn, "")
    wait_released(machine, "only the session is left, and it has not begun")
    assert_leak(machine, "the session has not begun", lambda: all_probes(machine))
    up(machine, _Made.six)
    wait_armed(machine, "the session has begun")
    assert_tunnel(machine, "session")
    down(machine, _Made.six)
    wait_released(machine, "the session is over")


# Roaming

@contextlib.contextmanager
def _other_network(subnet="192.168.99", six="fd99"):
    """The cable is in another network, whose router is another; at the end it is back in the first."""
    router = _Made.machine.router

    def move(old, old6, new, new6):
        _cable(0, False)
        router.stop_serving()
        router.run("ip", "address", "flush", "dev", "tap0", "scope", "global")
        for address in (f"{new}.1/24", f"{new6}::1/64"):
            router.run("ip", "address", "add", address, "dev", "tap0")
        return old, old6

    move("192.168.77", "fd77", subnet, six)
    router.serve(f"--dhcp-range=set:lan,{subnet}.50,{subnet}.99,255.255.255.0,1h",
                 f"--dhcp-range=set:lan,{six}::,ra-only,64,30m")
    try:
        yield subnet
    finally:
        move(subnet, six, "192.168.77", "fd77")
        router.serve()
        _cable(0, True)


def _wait_address(start):
    machine = _Made.machine
    machine.run(f"until ip -4 address show dev eth0 | grep -q 'inet {start}'; do sleep 0.2; done", timeout=90)
    machine.wait_online(90)


@test
def a_lost_and_returned_uplink_leaks_nothing_and_the_vpn_works():
    machine = _armed_up()

    def flap():
        for _ in range(3):
            _cable(0, False)
            time.sleep(3)
            _cable(0, True)
            time.sleep(3)
        machine.wait_online(90)

    quiet(_Made.machine, "carrier lost and back, three times", flap)
    if not is_active(machine, _Made.vpn):
        up(machine, _Made.vpn)
    assert_tunnel(machine, "carrier back")
    quiet(_Made.machine, "carrier back")


@test
def another_network_leaks_nothing_and_the_vpn_works():
    for build, what in ((_armed_up, "up"), (_armed, "down")):
        machine = build()
        with _other_network() as subnet:
            quiet(_Made.machine, f"roaming while {what}", lambda: (_cable(0, True), _wait_address(subnet)))
            wait_idle(machine)
            if not is_active(machine, _Made.vpn):
                quiet(_Made.machine, f"roamed while {what}")
                check(ping(machine, f"{subnet}.1"), "the new LAN does not answer")
                up(machine, _Made.vpn)
            assert_tunnel(machine, f"roamed while {what}")
            quiet(_Made.machine, f"roamed while {what}")


@test
def a_new_address_leaks_nothing_and_the_vpn_works():
    machine = _armed_up()
    quiet(_Made.machine, "another address", lambda: (
        machine.run("nmcli connection modify lan ipv4.dhcp-client-id ks ethernet.cloned-mac-address 52:54:00:77:00:99;"
                    " nmcli connection up lan"), machine.wait_online()))
    check("192.168.77.50/" not in machine.run("ip -4 address show dev eth0").stdout, "still the first address")
    if not is_active(machine, _Made.vpn):
        up(machine, _Made.vpn)
    assert_tunnel(machine, "another address")
    quiet(_Made.machine, "another address")


@test
def a_better_second_uplink_and_the_loss_of_the_first_leak_nothing():
    machine = _armed_up()
    machine.run("nmcli connection modify lan2 ipv4.route-metric 50 ipv6.route-metric 50")
    quiet(_Made.machine, "a second uplink", lambda: (
        _cable(2, True), machine.run("until ip -4 route show default dev eth2 | grep -q . &&"
                                     " ip -6 route show default dev eth2 | grep -q .; do sleep 0.2; done", timeout=90)))
    wait_idle(machine)
    quiet(_Made.machine, "two uplinks", lambda: (all_probes(machine), probe(machine, device="eth2")))
    assert_tunnel(machine, "two uplinks")
    quiet(_Made.machine, "the first is lost", lambda: (_cable(0, False), time.sleep(5)))
    wait_idle(machine)
    if not is_active(machine, _Made.vpn):
        up(machine, _Made.vpn)
    mark = machine.wire2.mark()
    assert_tunnel(machine, "only the second")
    check(machine.wire2.since(mark).transport, "the tunnel is not by the second uplink")
    quiet(_Made.machine, "only the second", lambda: probe(machine, device="eth2"))
    quiet(_Made.machine, "down", lambda: (down(machine, _Made.vpn), probe(machine, device="eth2")))
    check(ping(machine, "192.168.78.1"), "the second LAN does not answer")
    _cable(0, True)
    _cable(2, False)


@test
def an_uplink_with_ipv6_only_leaks_nothing_and_the_vpn_works():
    machine = _installed()
    arm(machine, _Made.six)
    quiet(_Made.machine, "IPv4 goes", lambda: machine.run("nmcli connection modify lan ipv4.method disabled; nmcli connection up lan"))
    machine.run("until ip -6 route show default dev eth0 | grep -q .; do sleep 0.2; done")
    wait_idle(machine)
    quiet(_Made.machine, "IPv6 only")
    _comes_up(_Made.six, "IPv6 only")
    disarm(machine, _Made.six)


if __name__ == "__main__":
    main(set_up)
