"""firewalld, ufw and libvirt's default network, really run beside an armed VPN, by the sheet in kstest/vm_neighbour.py."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import documents
from kstest.runner import check, equal, main, test, wait_for
from kstest.vm import PATIENCE
from kstest.vm_life import wait_armed
from kstest.vm_neighbour import (Neighbour, assert_quiet, assert_works, check_control, check_down, check_untouched, check_up,
                                 guest_reaches, prepare, run)
from kstest.vm_router import LAN_CLIENT
from kstest.vm_stages import Stages
from kstest.vm_vpn import PUBLIC, arm, assert_tunnel, down, ping, provide, up

at = Stages("neighbours-firewalls", "neighbours")

# What firewall-cmd calls. It waits for 25 seconds at most, and takes seconds to start.
_BUS = "org.fedoraproject.FirewallD1"
_CALL = f"busctl --timeout=150 call {_BUS} /org/fedoraproject/FirewallD1 {_BUS}"
RELOAD, COMPLETE_RELOAD = f"{_CALL} reload", f"{_CALL} completeReload"
PANIC_ON, PANIC_OFF = f"{_CALL} enablePanicMode", f"{_CALL} disablePanicMode"

FIREWALLD = Neighbour(
    "firewalld", prepare="systemctl unmask firewalld",
    start="systemctl start firewalld", stop="systemctl stop firewalld",
    again=(RELOAD, COMPLETE_RELOAD, "systemctl restart firewalld"))
UFW = Neighbour(
    "ufw", start="ufw --force enable", stop="ufw disable",
    again=("ufw reload", "ufw allow 22/tcp; ufw route allow in on eth0 out on wg0; ufw route allow in on wg0 out on eth0"))

LIBVIRT = Neighbour(
    "libvirt",
    # what a virtual machine has is an interface in the bridge
    prepare="""set -e
        systemctl unmask libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket virtlogd.socket \\
            virtlockd.socket
        ip netns add guest
        ip link add ks-guest type veth peer name eth0 netns guest
        ip -n guest link set lo up
        ip -n guest address add 192.168.122.77/24 dev eth0
        ip -n guest link set eth0 up
        ip -n guest route add default via 192.168.122.1
        ip link set ks-guest up""",
    start="systemctl start libvirtd && virsh net-start default && ip link set ks-guest master virbr0",
    stop="virsh net-destroy default && systemctl stop libvirtd",
    again=("systemctl restart libvirtd",
           "virsh net-destroy default && virsh net-start default && ip link set ks-guest master virbr0"),
    guest="/run/netns/guest")


LISTEN = "import socket, sys, time; kept = [socket.create_server(('', int(port))) for port in sys.argv[1:]]; time.sleep(900)"
SSH, CLOSED = 22, 8080      # the default zone "public" has a service for the first
RESOLVER = "10.66.0.1"      # at the VPN's other end


# By the sheet

def _register(neighbour, *cases):
    claims = {check_control: "without_kill_switch_all_leaks_beside_{}",
              check_down: "nothing_leaks_beside_{}_and_the_vpn_comes_up",
              check_up: "the_vpn_works_beside_{}_and_nothing_leaks", check_untouched: "{}_is_left_as_it_was"}
    for case in cases or claims:
        def run_case(case=case):
            case(at, neighbour)
        run_case.__name__ = claims[case].format(neighbour.name.replace(" ", "_"))
        test(run_case)


_register(FIREWALLD, check_control, check_down)
_register(UFW)
_register(LIBVIRT)


# firewalld

def _zone(machine, device="wg0"):
    """The zone that DEVICE is in."""
    return machine.run(f"{_CALL}.zone getZoneOfInterface s {device} | cut -d'\"' -f2").stdout.strip()


def _wait_zone(machine, zone):
    wait_for(lambda: _zone(machine) == zone, 30 * PATIENCE, f"the tunnel is in zone {zone}", 0.5)


def _reached(machine, vpn):
    """What a host of the LAN and one at the VPN's other end reach of this one: {(who, port or "ping")}."""
    connect = "timeout 4 bash -c 'exec 3<>/dev/tcp/{}/{}'"
    found = set()
    for port in (SSH, CLOSED):
        if machine.router.run("bash", "-c", connect.format(LAN_CLIENT, port), check=False).returncode == 0:
            found.add(("lan", port))
        if machine.server(connect.format(vpn.client_address, port), check=False):
            found.add(("vpn", port))
    if machine.server(["ping", "-q", "-c1", "-W2", vpn.client_address], check=False):
        found.add(("vpn", "ping"))
    return found


@test
def arming_opens_nothing_that_the_default_zone_of_firewalld_closes():
    machine, vpn = at.installed(), at.vpns.vpn
    prepare(machine, FIREWALLD)
    run(machine, FIREWALLD.start)
    machine.spawn(["python3", "-c", LISTEN, str(SSH), str(CLOSED)])
    up(machine, vpn)
    check(ping(machine, PUBLIC), "the VPN carries")
    equal(_zone(machine), "public", "the zone of a VPN that is in none")
    before = _reached(machine, vpn)
    equal(before, {("lan", SSH), ("vpn", SSH), ("vpn", "ping")}, "what is reached in the default zone")
    arm(machine, vpn)
    _wait_zone(machine, "killswitch")
    # the zone has no services, and answers no pings, as zone drop does not
    after = _reached(machine, vpn)
    equal(after, {("lan", SSH)}, "what is reached in zone killswitch")
    assert_works(machine, FIREWALLD, "armed")
    machine.run("nmcli connection modify my-vpn connection.zone killswitch-auto")
    _wait_zone(machine, "killswitch-auto")
    equal(_reached(machine, vpn), after, "in zone killswitch-auto")
    # in a zone of one's own it is armed by user data, and what that zone lets in stays reachable
    machine.run("nmcli connection modify my-vpn connection.zone work; nm-killswitch enable my-vpn")
    wait_armed(machine, "by user data")
    _wait_zone(machine, "work")
    equal(_reached(machine, vpn), before, "armed in zone work")
    assert_works(machine, FIREWALLD, "armed in zone work")


@test
def firewallds_panic_mode_stops_everything_and_then_all_works_again():
    machine = at.armed_up()
    prepare(machine, FIREWALLD)
    run(machine, FIREWALLD.start)
    assert_quiet(machine, FIREWALLD, "panic", lambda: run(machine, PANIC_ON))
    check(not ping(machine, PUBLIC, timeout=1), "the tunnel carries in panic mode")
    assert_quiet(machine, FIREWALLD, "panic over", lambda: run(machine, PANIC_OFF))
    assert_works(machine, FIREWALLD, "panic over")


@test
def a_server_reached_by_ipv6_answers_through_firewallds_reverse_path_filter():
    machine, vpn = at.installed(), at.vpns.six
    arm(machine, vpn)
    prepare(machine, FIREWALLD)
    run(machine, FIREWALLD.start)
    rules = ["nft", "list", "table", "inet", "firewalld"]
    wait_for(lambda: "fib saddr . mark . iif oif missing drop" in machine.run(rules, check=False).stdout, 30 * PATIENCE,
             "firewalld's filter is there", 0.5)
    up(machine, vpn)
    assert_works(machine, FIREWALLD, "by IPv6")
    down(machine, vpn)
    up(machine, vpn)
    assert_tunnel(machine, "firewalld: by IPv6, once more")


# ufw

@test
def the_vpn_can_be_allowed_under_ufws_deny_outgoing_as_documented():
    machine, vpn = at.armed(), at.vpns.vpn
    run(machine, f"{UFW.start}; ufw default deny outgoing")
    status = machine.run("nm-killswitch status").stdout
    check("probably set by ufw" in status, f"status does not name ufw: {status}")
    up(machine, vpn)
    check(not ping(machine, PUBLIC, timeout=2), "the tunnel carries although ufw denies it")
    for command in documents.block_after("docs/neighbours.md", "**ufw with `default deny outgoing`.**"):
        machine.run(command.removeprefix("sudo "))
    assert_tunnel(machine, "ufw: allowed")
    assert_quiet(machine, UFW, "deny outgoing")


# libvirt

def _guest_asks(machine, name):
    """Whether libvirt's dnsmasq answers the guest."""
    return bool(machine.run(f"ip netns exec guest timeout 5 busybox nslookup -type=a {name} 192.168.122.1", check=False))


def _asked_in_the_lan(machine, mark, name):
    label = name.encode().partition(b".")[0]
    return [packet for packet in machine.wire.since(mark).dns if label in packet.payload]


@test
def a_libvirt_guests_dns_queries_go_through_the_tunnel():
    machine, vpn = at.installed(), at.vpns.vpn
    provide(machine, "dns", f"dnsmasq --conf-file=/dev/null --user=root --pid-file= --no-resolv --no-hosts --bind-dynamic"
            f" --interface={vpn.server_device} --host-record=inside.example,{PUBLIC}")
    machine.run(f"nmcli connection modify my-vpn ipv4.dns {RESOLVER} ipv4.dns-priority -10")
    prepare(machine, LIBVIRT)
    run(machine, LIBVIRT.start)
    check(guest_reaches(machine, LIBVIRT, "192.168.122.1"), "the bridge passes the guest's packets")
    mark = machine.wire.mark()
    _guest_asks(machine, "control.example")
    check(_asked_in_the_lan(machine, mark, "control.example"), "without the kill switch the guest's question is not seen")
    arm(machine, vpn)
    mark = machine.wire.mark()
    check(not _guest_asks(machine, "blocked.example"), "the guest gets an answer while all is blocked")
    up(machine, vpn)
    wait_for(lambda: _guest_asks(machine, "inside.example"), 30 * PATIENCE, "the VPN's resolver answers the guest", 1)
    run(machine, "systemctl restart libvirtd")
    wait_for(lambda: _guest_asks(machine, "inside.example"), 30 * PATIENCE, "it does so once libvirtd was restarted", 1)
    down(machine, vpn)
    check(not _guest_asks(machine, "blocked.example"), "the guest gets an answer while all is blocked again")
    for name in ("blocked.example", "inside.example"):
        equal(_asked_in_the_lan(machine, mark, name), [], f"questions for {name} on the LAN")


if __name__ == "__main__":
    main(at.set_up)
