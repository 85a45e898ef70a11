"""firewalld, ufw and libvirt's default network, really run beside an armed VPN, by kstest/neighbour_life.py; and flowtables."""

import dataclasses
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import documents
from kstest.containers import answer_at_router
from kstest.neighbour_life import check_life
from kstest.runner import check, equal, main, test, wait_for
from kstest.vm import PATIENCE
from kstest.vm_life import wait_armed
from kstest.vm_neighbour import Neighbour, assert_works, guest_reaches, prepare, run
from kstest.vm_router import LAN2_GATEWAY, LAN_CLIENT, LAN_GATEWAY
from kstest.vm_stages import Stages
from kstest.vm_vpn import (PUBLIC, PUBLIC6, arm, assert_blocked, assert_no_leak, assert_tunnel, disarm, down, ping, provide,
                           up)

at = Stages("neighbours-firewalls", "neighbours")

# What firewall-cmd calls. It waits for 25 seconds at most, and takes seconds to start.
_BUS = "org.fedoraproject.FirewallD1"
_CALL = f"busctl --timeout=150 call {_BUS} /org/fedoraproject/FirewallD1 {_BUS}"
RELOAD, COMPLETE_RELOAD = f"{_CALL} reload", f"{_CALL} completeReload"
PANIC_ON, PANIC_OFF = f"{_CALL} enablePanicMode", f"{_CALL} disablePanicMode"

# It says that it runs before it has made its tables.
_WAIT = """; until nft list ruleset | grep -q 'iifname "eth0".* goto'; do sleep 0.5; done"""
FIREWALLD = Neighbour(
    "firewalld", prepare="systemctl unmask firewalld",
    start="systemctl start firewalld" + _WAIT, stop="systemctl stop firewalld",
    again=(RELOAD, COMPLETE_RELOAD, "systemctl restart firewalld" + _WAIT), panic=(PANIC_ON, PANIC_OFF),
    # its files, and the zones that devices are in
    state=f"find /etc/firewalld -type f -exec sha256sum {{}} +; {_CALL}.zone getActiveZones")
FIREWALLD_IPTABLES = dataclasses.replace(
    FIREWALLD, name="firewalld with iptables", panic=(),
    prepare="systemctl unmask firewalld; sed -i s/^FirewallBackend=.*/FirewallBackend=iptables/ /etc/firewalld/firewalld.conf")
UFW = Neighbour(
    "ufw", start="ufw --force enable", stop="ufw disable",
    again=("ufw reload", "ufw route delete allow in on eth0 out on wg0; ufw allow 22/tcp; ufw route allow in on eth0 out on wg0"),
    state="cat /etc/ufw/*.rules")

LIBVIRT = Neighbour(
    "libvirt",
    # The network "default" has no IPv6 until it is given some. What a virtual machine has is an interface in the bridge.
    prepare="""set -e
        sed -i "s!<forward.*/>!<forward mode='nat'><nat ipv6='yes'/></forward>!
                s!</network>!<ip family='ipv6' address='fd44::1' prefix='64'/></network>!" /etc/libvirt/qemu/networks/default.xml
        systemctl unmask libvirtd.service libvirtd.socket libvirtd-ro.socket libvirtd-admin.socket virtlogd.socket \\
            virtlockd.socket
        ip netns add guest
        ip link add ks-guest type veth peer name eth0 netns guest
        ip -n guest link set lo up
        ip -n guest address add 192.168.122.77/24 dev eth0
        ip -n guest address add fd44::77/64 dev eth0 nodad
        ip -n guest link set eth0 up
        ip -n guest route add default via 192.168.122.1
        ip -n guest route add default via fd44::1
        ip link set ks-guest up""",
    start="systemctl start libvirtd && virsh net-start default && ip link set ks-guest master virbr0",
    stop="virsh net-destroy default && systemctl stop libvirtd",
    again=("systemctl restart libvirtd",
           "virsh net-destroy default && virsh net-start default && ip link set ks-guest master virbr0"),
    guest="/run/netns/guest", guest_addresses=(PUBLIC, PUBLIC6))


LISTEN = "import socket, sys, time; kept = [socket.create_server(('', int(port))) for port in sys.argv[1:]]; time.sleep(900)"
SSH, CLOSED = 22, 8080      # the default zone "public" has a service for the first
RESOLVER = "10.66.0.1"      # at the VPN's other end


# By the sheet

def _register(neighbour):
    def run_life():
        check_life(at, neighbour)
    run_life.__name__ = f"nothing_leaks_beside_{neighbour.name.replace(' ', '_')}_which_is_left_as_it_was"
    test(run_life)


for each in (FIREWALLD, FIREWALLD_IPTABLES, UFW, LIBVIRT):
    _register(each)


# firewalld

def _zone(machine, device="wg0"):
    """The zone that DEVICE is in."""
    return machine.run(f"{_CALL}.zone getZoneOfInterface s {device} | cut -d'\"' -f2").stdout.strip()


def _wait_zone(machine, zone, device="wg0"):
    wait_for(lambda: _zone(machine, device) == zone, 30 * PATIENCE, f"{device} is in zone {zone}", 0.5)


def _assert_reached(machine, vpn, expected, what):
    """EXPECTED is reached, on a busy machine perhaps not at once; and nothing else ever is."""
    end = time.monotonic() + 30 * PATIENCE
    while True:
        found = _reached(machine, vpn)
        if found - expected or found == expected or time.monotonic() > end:
            break
    equal(found, expected, what)


def _reached(machine, vpn):
    """What a host of the LAN and one at the VPN's other end reach of this one: {(who, port or "ping")}."""
    connect = "timeout 4 bash -c 'exec 3<>/dev/tcp/{}/{}'"
    commands = {port: connect.format(vpn.client_address, port) for port in (SSH, CLOSED)}
    commands["ping"] = f"ping -q -c1 -W2 {vpn.client_address}"
    jobs = {how: machine.spawn(["ip", "netns", "exec", "server", "bash", "-c", command]) for how, command in commands.items()}
    found = {("lan", port) for port in (SSH, CLOSED)
             if machine.router.run("bash", "-c", connect.format(LAN_CLIENT, port), check=False).returncode == 0}
    return found | {("vpn", how) for how, job in jobs.items() if job.wait(60)}


@test
def arming_opens_nothing_that_the_default_zone_of_firewalld_closes():
    machine, vpn = at.installed(), at.vpns.vpn
    prepare(machine, FIREWALLD)
    run(machine, FIREWALLD.start)
    machine.spawn(["python3", "-c", LISTEN, str(SSH), str(CLOSED)])
    up(machine, vpn)
    check(ping(machine, PUBLIC), "the VPN carries")
    _wait_zone(machine, "public")   # of a VPN that is in none
    before = {("lan", SSH), ("vpn", SSH), ("vpn", "ping")}
    _assert_reached(machine, vpn, before, "what is reached in the default zone")
    arm(machine, vpn)
    _wait_zone(machine, "killswitch")
    # the zone has no services, and answers no pings, as zone drop does not
    _assert_reached(machine, vpn, {("lan", SSH)}, "what is reached in zone killswitch")
    assert_works(machine, FIREWALLD, "armed")
    machine.run("nmcli connection modify my-vpn connection.zone killswitch-auto")
    _wait_zone(machine, "killswitch-auto")
    _assert_reached(machine, vpn, {("lan", SSH)}, "in zone killswitch-auto")
    # in a zone that another profile uses, too, it is armed by user data, and what that zone lets in stays reachable
    machine.run("nmcli connection modify lan connection.zone work")
    machine.run("nmcli connection modify my-vpn connection.zone work; nm-killswitch enable my-vpn")
    wait_armed(machine, "by user data")
    for device in ("wg0", "eth0"):
        _wait_zone(machine, "work", device)
    _assert_reached(machine, vpn, before, "armed in zone work")
    assert_works(machine, FIREWALLD, "armed in zone work")


@test
def with_zone_drop_as_the_default_the_vpn_works_and_nothing_is_let_in():
    machine, vpn = at.installed(), at.vpns.vpn
    prepare(machine, FIREWALLD)
    machine.run("sed -i s/^DefaultZone=.*/DefaultZone=drop/ /etc/firewalld/firewalld.conf")
    run(machine, FIREWALLD.start)
    machine.spawn(["python3", "-c", LISTEN, str(SSH), str(CLOSED)])
    arm(machine, vpn)
    up(machine, vpn)
    _wait_zone(machine, "drop", "eth0")
    assert_tunnel(machine, "firewalld: zone drop")
    _assert_reached(machine, vpn, set(), "what is reached")
    run(machine, COMPLETE_RELOAD)
    assert_tunnel(machine, "firewalld: zone drop, reloaded")
    down(machine, vpn)
    assert_blocked(machine, "firewalld: zone drop, disconnected")


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
    assert_no_leak(machine, "ufw: deny outgoing")


# Flowtables

# A guest behind the host, in a network namespace; SEND keeps one UDP connection of each family open.
_SEND = f"""
import socket, time
flows = [socket.socket(family, socket.SOCK_DGRAM) for family in (socket.AF_INET, socket.AF_INET6)]
for flow, address in zip(flows, ("{PUBLIC}", "{PUBLIC6}")):
    flow.setblocking(False)
    flow.connect((address, 9))
while True:
    for flow in flows:
        try:
            flow.send(b"ks-flow")
        except OSError:
            pass
    time.sleep(0.2)
"""
# {guest} is the device that the guest is behind, {uplink} the one with the addresses, {port} that of the cable.
_FLOWS = """set -e
ip address add 10.50.0.1/24 dev {guest}; ip address add fd50::1/64 dev {guest} nodad
ip -n guest link set lo up; ip -n guest link set eth0 up
ip -n guest address add 10.50.0.2/24 dev eth0; ip -n guest address add fd50::2/64 dev eth0 nodad
ip -n guest route add default via 10.50.0.1; ip -n guest -6 route add default via fd50::1
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
nft -f - <<END
table inet flows {{
  flowtable f {{ hook ingress priority 0; devices = {{ {port}, g0 }}; }}
  chain forward {{ type filter hook forward priority filter; ct state established meta l4proto udp flow add @f; }}
  chain postrouting {{ type nat hook postrouting priority srcnat; oifname "{uplink}" masquerade; }}
}}
END
"""
_GUEST = "ip netns add guest; ip link add g0 type veth peer name eth0 netns guest; ip link set g0 up; "
_BRIDGES = """set -e
nmcli device set eth2 managed no; nmcli --wait 30 device disconnect eth0
ip link add br1 type bridge; ip link set g0 master br1; ip link set br1 up
ip link add br0 type bridge; ip link set eth2 up; ip link set eth2 master br0; ip link set br0 up
ip address add 192.168.78.60/24 dev br0; ip address add fd78::60/64 dev br0 nodad
ip route add default via 192.168.78.1 dev br0; ip -6 route add default via fd78::1 dev br0
"""


def _flows(wire, mark):
    """The families of the guest's connections on the WIRE since MARK."""
    return {packet.kind for packet in wire.since(mark).leak if packet.payload == b"ks-flow"}


def _check_flows(machine, wire, setup, gateway):
    vpn, both = at.vpns.vpn, {"ipv4", "ipv6"}
    machine.run(setup)
    for address in (PUBLIC, PUBLIC6):
        check(ping(machine, address), f"{address} does not answer while nothing is armed")
    machine.spawn(["ip", "netns", "exec", "guest", "python3", "-c", _SEND])
    wait_for(lambda: machine.run("grep -c OFFLOAD /proc/net/nf_conntrack", check=False).stdout.strip() == "2", 30 * PATIENCE,
             "the flowtable has both connections", 1)
    # the control: they pass no chain any more
    machine.run("nft insert rule inet flows forward meta l4proto udp drop")
    mark = wire.mark()
    wait_for(lambda: _flows(wire, mark) == both, 30 * PATIENCE, "both connections pass the flowtable", 0.5)
    arm(machine, vpn)
    machine.run("nft flush chain inet flows forward")   # nothing but the kill switch stops them now
    time.sleep(2 * PATIENCE)
    mark = wire.mark()
    check(machine.run(f"ip netns exec guest ping -q -c3 -i2 -W5 {gateway}", check=False), "the LAN does not answer the guest")
    equal(_flows(wire, mark), set(), "connections on the uplink, armed")
    check("flowtable" not in machine.run("nm-killswitch status", check=False).stdout, "a flowtable that does no harm is reported")
    disarm(machine, vpn)
    mark = wire.mark()
    wait_for(lambda: _flows(wire, mark) == both, 30 * PATIENCE, "both connections go on once disarmed", 0.5)


@test
def connections_that_a_flowtable_routes_are_stopped():
    machine = at.installed()
    _check_flows(machine, machine.wire, _GUEST + _FLOWS.format(guest="g0", uplink="eth0", port="eth0"), LAN_GATEWAY)


@test
def connections_that_a_flowtable_passes_between_bridges_are_stopped():
    machine = at.installed()
    machine.run(_GUEST + _BRIDGES)
    machine.plug(2)
    try:
        _check_flows(machine, machine.wire2, _FLOWS.format(guest="br1", uplink="br0", port="eth2"), LAN2_GATEWAY)
    finally:
        machine.plug(2, False)


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
    wait_for(lambda: (_guest_asks(machine, "control.example"), _asked_in_the_lan(machine, mark, "control.example"))[1],
             30 * PATIENCE, "without the kill switch the guest's question is seen", 1, AssertionError)
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


def set_up():
    at.set_up()
    answer_at_router(at.machine)    # a flowtable takes over a connection only once it has been answered


if __name__ == "__main__":
    main(set_up)
