"""Other programs that set up networks, run beside the kill switch: networkd, wg-quick, NetworkManager's sharing.

Each is started, stopped, reloaded and restarted while the VPN is armed, up and down. A prober sends from the machine all
the time, and the wire is watched from outside. Nothing here calls the product to make it notice a change.
"""

import contextlib
import ipaddress
import os
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import vm_wg_quick as wg_quick
from kstest.containers import LAN6_CLIENT
from kstest.netns import python_module
from kstest.runner import TookTooLong, at_exit, check, equal, main, test, wait_for
from kstest.vm import PATIENCE
from kstest.vm_life import all_probes, quiet, repair_time, wait_armed, wait_released, wait_rule, wait_same
from kstest.vm_neighbour import theirs
from kstest.vm_router import DIE_WITH_PARENT, LAN6_GATEWAY, LAN_CLIENT, LAN_GATEWAY
from kstest.vm_stages import Stages
from kstest.vm_vpn import (PUBLIC, PUBLIC6, SERVER, arm, assert_blocked, assert_kept_up, assert_leak, assert_tunnel,
                           assert_tunnel_unprotected, disarm, down, leaks_during, ping, probe, snapshot, up, wait_idle)
from kstest.vm_wire import Transport

at = Stages("neighbours-networks")


def _theirs(machine):
    """What must stay as it is for other programs; routes come and go with the VPN."""
    found = theirs(machine)
    return [found[name] for name in ("rules", "rules6", "nftables")]


# systemd-networkd. By default, it deletes all foreign rules and routes when it configures a link.

SECOND_UPLINK = """[Match]
Name=eth2
[Network]
DHCP=ipv4
[DHCPv4]
RouteMetric=50
[IPv6AcceptRA]
RouteMetric=50
"""
CONFIGURED = "networkctl --no-legend list eth2"


def _prepare_networkd(machine):
    """Give it the second uplink, which is the better one."""
    machine.run("systemctl unmask --quiet systemd-networkd.service systemd-networkd.socket; nmcli device set eth2 managed no")
    machine.push("/etc/systemd/network/50-eth2.network", SECOND_UPLINK)
    machine.plug(2, True)


def _networkd(machine, command):
    machine.run(f"{command} && until {CONFIGURED} | grep -q ' configured'; do sleep 0.2; done", timeout=120)


def _networkds_routes(machine):
    """The routes of networkd's own: those of the kernel's come and go with the check for duplicate addresses."""
    found = theirs(machine)
    return [line for name in ("routes", "routes6") for line in found[name] if '"eth2"' in line and '"protocol": "2"' not in line]


def _has_all(routes):
    """ROUTES, if they are those of DHCP and of router advertisements, with both default routes; else None."""
    wanted = ('"protocol": "16"', '"protocol": "9"')
    return routes if all(any(each in line and '"default"' in line for line in routes) for each in wanted) else None


@test
def without_kill_switch_networkd_leads_traffic_past_a_vpn_that_is_up():
    machine = at.clean()
    _prepare_networkd(machine)
    up(machine, at.vpns.vpn)
    assert_tunnel_unprotected(machine, "up")
    _networkd(machine, "systemctl start systemd-networkd")
    assert_leak(machine, "the VPN is up, and the rules that NetworkManager has made for it are gone")
    down(machine, at.vpns.vpn)
    assert_leak(machine, "down", lambda: probe(machine, device="eth2"))
    machine.plug(2, False)


@test
def what_networkd_deletes_is_put_back():
    machine = at.armed()
    _prepare_networkd(machine)
    quiet(machine, "networkd starts", lambda: _networkd(machine, "systemctl start systemd-networkd"))
    wait_armed(machine, "networkd has started")
    wait_idle(machine)
    before = wait_for(lambda: _has_all(_networkds_routes(machine)), 30 * PATIENCE, "networkd has routes from DHCP and RA", 1, AssertionError)

    def step(command, what):
        run = machine.run if " stop " in command else lambda command: _networkd(machine, command)
        quiet(machine, f"{what}: {command}", lambda: (run(command), probe(machine, device="eth2")))
        wait_armed(machine, command)

    stop, start = "systemctl stop systemd-networkd.socket systemd-networkd", "systemctl start systemd-networkd"
    again = ("networkctl reload", "networkctl reconfigure eth2", stop, start)
    for command in again:
        step(command, "down")
    quiet(machine, "networkd restarts while down", lambda: print(
        f"        restart: repaired after {repair_time(machine, 'systemctl restart systemd-networkd'):.0f} ms"))
    quiet(machine, "coming up", lambda: up(machine, at.vpns.vpn))
    assert_tunnel(machine, "up, by the uplink that is networkd's")
    check(at.machine.wire2.packets(), "nothing on the second wire")
    for command in again:
        step(command, "up")
        assert_kept_up(machine, at.vpns.vpn, command)
    loop = "for i in $(seq 20); do systemctl reset-failed systemd-networkd; systemctl restart systemd-networkd; done"
    quiet(machine, "networkd restarts twenty times", lambda: machine.run(loop, timeout=300))
    # it has been met more slowly in the end
    wait_armed(machine, "after twenty restarts")
    wait_idle(machine)
    assert_kept_up(machine, at.vpns.vpn, "after twenty restarts")
    quiet(machine, "the first uplink is lost", lambda: (machine.plug(0, False), all_probes(machine)))
    assert_kept_up(machine, at.vpns.vpn, "only networkd's uplink is left")
    machine.plug(0, True)
    quiet(machine, "going down", lambda: (down(machine, at.vpns.vpn), probe(machine, device="eth2")))
    disarm(machine, at.vpns.vpn)
    wait_released(machine, "disarmed")
    wait_for(lambda: _networkds_routes(machine) == before, 30 * PATIENCE, f"networkd's routes are as they were: {before}", 1,
             AssertionError)
    machine.plug(2, False)


# wg-quick, with its own mark, table and rules, beside a NetworkManager VPN

def _configure_wg_quick(machine):
    """The keys and the server of the second profile: nothing exempts them."""
    wg_quick.configure(machine, at.vpns.second, keepalive=2)


def _has_handshake(machine):
    return machine.run(["wg", "show", wg_quick.DEVICE, "latest-handshakes"]).stdout.split()[1] != "0"


@contextlib.contextmanager
def _only_the_armed_vpn():
    """Count what wg-quick's device sends to its server as a leak."""
    other = {Transport(SERVER, at.vpns.second.port)}
    at.machine.wire.transports -= other
    try:
        yield
    finally:
        at.machine.wire.transports |= other


@test
def without_kill_switch_wg_quick_goes_on_beside_a_lost_vpn():
    machine = at.clean()
    _configure_wg_quick(machine)
    up(machine, at.vpns.vpn)
    wg_quick.run(machine, "up")
    with _only_the_armed_vpn():
        leaks = leaks_during(machine, lambda: (machine.run(["ip", "link", "delete", at.vpns.vpn.device]), ping(machine, PUBLIC)))
    check(any(packet.dport == at.vpns.second.port for packet in leaks), "wg-quick's device sends nothing to its server")
    wg_quick.run(machine, "down")
    assert_leak(machine, "both are down", lambda: all_probes(machine))


@test
def wg_quick_beside_an_armed_vpn_that_is_up():
    machine = at.armed_up()
    _configure_wg_quick(machine)
    with _only_the_armed_vpn():
        quiet(machine, "wg-quick up", lambda: (wg_quick.run(machine, "up"), all_probes(machine)))
        wait_idle(machine)
        assert_kept_up(machine, at.vpns.vpn, "wg-quick is up")
        # it connects inside the armed VPN and carries nothing, not even for a program bound to it
        wait_for(lambda: _has_handshake(machine), 30 * PATIENCE, "wg-quick's device connects inside the VPN", 1)
        check(not ping(machine, PUBLIC, device=wg_quick.DEVICE, timeout=2), "wg-quick's device carries something")
        before, mark = _theirs(machine), machine.run("sysctl net.ipv4.conf.all.src_valid_mark").stdout
        check(any(wg_quick.DEVICE in line for line in before[-1]), f"wg-quick has no table: {before}")
        quiet(machine, "the VPN is lost", lambda: (machine.run(["ip", "link", "delete", at.vpns.vpn.device]), all_probes(machine)))
        assert_blocked(machine, "lost, beside wg-quick")
        quiet(machine, "coming up", lambda: up(machine, at.vpns.vpn))
        assert_tunnel(machine, "up again, beside wg-quick")
        equal(_theirs(machine), before, "of theirs")
        equal(machine.run("sysctl net.ipv4.conf.all.src_valid_mark").stdout, mark, "the sysctl")
        quiet(machine, "wg-quick down", lambda: (wg_quick.run(machine, "down"), all_probes(machine)))
        wait_rule(machine, "^8330:.*192[.]168", "the LAN's rules are there")
        wait_idle(machine)
        assert_kept_up(machine, at.vpns.vpn, "wg-quick is down")
        check(ping(machine, LAN_GATEWAY), "the LAN does not answer")
        quiet(machine, "going down", lambda: down(machine, at.vpns.vpn))
    disarm(machine, at.vpns.vpn)
    wait_released(machine, "disarmed")


@test
def wg_quick_that_is_up_before_the_vpn_is_armed():
    machine = at.installed()
    _configure_wg_quick(machine)
    wg_quick.run(machine, "up")
    wait_for(lambda: _has_handshake(machine), 30 * PATIENCE, "wg-quick's device connects", 1)
    before = snapshot(machine)
    arm(machine, at.vpns.vpn)
    with _only_the_armed_vpn():
        quiet(machine, "armed, beside wg-quick", lambda: all_probes(machine))
        assert_blocked(machine, "armed, beside wg-quick")
        quiet(machine, "wg-quick down and up", lambda: (wg_quick.run(machine, "down"), wg_quick.run(machine, "up"), all_probes(machine)))
        wait_idle(machine)
        assert_blocked(machine, "wg-quick again")
        quiet(machine, "coming up", lambda: up(machine, at.vpns.vpn))
        assert_tunnel(machine, "up, beside wg-quick")
        quiet(machine, "going down", lambda: down(machine, at.vpns.vpn))
    disarm(machine, at.vpns.vpn)
    # the kernel gives rules without a priority one before those that are there: wg-quick's have others than at first
    routes = ("routes", "routes6")
    with contextlib.suppress(TookTooLong):
        wait_for(lambda: all(snapshot(machine)[what] == before[what] for what in routes), 20 * PATIENCE, "routes, disarmed", 1)
    after = snapshot(machine)
    for what in routes:
        equal(after[what], before[what], f"disarmed: {what}")
    equal([len(after[what]) for what in ("rules", "rules6")], [len(before[what]) for what in ("rules", "rules6")], "rules")
    assert_tunnel_unprotected(machine, "disarmed: wg-quick's VPN works again")
    wg_quick.run(machine, "down")
    wait_same(machine, at.vpns.before, "as it was before")


# NetworkManager's sharing (a hotspot), on a second device whose client is a namespace

# The hotspot has an IPv6 network of its own, and one of the prefix that the uplink's router delegates. The client is in both:
# it sends from CLIENT6, and from the other by itself.
HOTSPOT, CLIENT = "10.42.7.1", "10.42.7.50"
HOTSPOT6, CLIENT6, OWN6 = "fd42::1", "fd42::50", "fd42::/64"
DELEGATED, SHARED = "2001:db8:77::/60", "2001:db8:77::/64"      # of the first, NetworkManager shares the second
UPLINK6 = "fd77::77"            # what the host is given by DHCPv6
ANSWER = "198.51.100.9"         # of the provider's resolver, for every name
SET_UP_HOTSPOT = f"""set -e
modprobe --all --quiet nft_chain_nat nft_masq nft_ct nft_reject_inet || true
ip netns add client
ip link add hot0 type veth peer name eth0 netns client
ip -netns client -batch - <<END
link set lo up
link set eth0 up
address add {CLIENT}/24 dev eth0
address add {CLIENT6}/64 dev eth0 nodad
route add default via {HOTSPOT}
END
nmcli device set hot0 managed yes
nmcli connection add type ethernet con-name hotspot ifname hot0 connection.autoconnect no \\
    ipv4.method shared ipv4.addresses {HOTSPOT}/24 ipv6.method shared ipv6.addresses {HOTSPOT6}/64
nmcli connection modify my-vpn ipv4.dns {{dns}} ipv4.dns-priority -10
"""
IPTABLES = """printf '[main]\\nfirewall-backend=iptables\\n' >/etc/NetworkManager/conf.d/60-ks-firewall.conf
systemctl restart NetworkManager"""
# the client's address of the shared prefix is there; NetworkManager announces it at once only to those who ask
SOLICIT = """import socket
with socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6) as sock:
    sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    sock.sendto(bytes([133]) + bytes(7), ("ff02::2", 0, 0, socket.if_nametoindex("eth0")))
"""
WAIT_SHARED = f"""until ip -n client -6 address show dev eth0 to {SHARED} -tentative | grep -q inet6; do
    ip netns exec client python3 -c '{SOLICIT}'; sleep 1; done"""
CLIENT_SENDS = f"""python3 -I /usr/local/lib/ks-test/prober.py &
while :; do ping -q -i 0.2 -I {CLIENT6} {PUBLIC6}; sleep 0.2; done"""
# The VPN's provider routes these networks, as few do: NetworkManager masquerades no IPv6.
ROUTE_CLIENTS = f"""wg set {{device}} peer {{peer}} allowed-ips {{client}}/32,fd{{net}}::2/128,{OWN6},{DELEGATED}
ip route replace {OWN6} dev {{device}}; ip route replace {DELEGATED} dev {{device}}"""
SHARED_IS_LAN = ("sed -i 's!^#*LanPrefixes=.*!LanPrefixes=10.0.0.0/8;172.16.0.0/12;192.168.0.0/16;fc00::/7;fe80::/10;"
                 f"{SHARED}!' /etc/nm-killswitch.conf")
# a DNS query for NAME to each of the servers given, all at once; what each of them answers is printed
QUERY = """
import select, socket, sys, time
question = b"".join(bytes([len(label)]) + label.encode() for label in sys.argv[1].split(".")) + b"\\0\\0\\1\\0\\1"
asked = {}
for server in sys.argv[2:]:
    sock = socket.socket(socket.AF_INET6 if ":" in server else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.connect((server, 53))
        sock.send(b"\\x12\\x34\\1\\0\\0\\1\\0\\0\\0\\0\\0\\0" + question)
        asked[sock] = server
    except OSError as error:
        print(server, error)
end = time.monotonic() + 3
while asked and time.monotonic() < end:
    for sock in select.select(list(asked), [], [], end - time.monotonic())[0]:
        server = asked.pop(sock)
        try:
            print(server, socket.inet_ntoa(sock.recv(512)[-4:]))
        except OSError as error:
            print(server, error)
"""


def _set_up_hotspot(machine):
    vpn = at.vpns.vpn
    machine.server(f"dnsmasq --conf-file=/dev/null --no-resolv --no-hosts --user=root --pid-file= --bind-dynamic"
                   f" --listen-address={vpn.server_address} --address=/#/{ANSWER}")
    machine.server(ROUTE_CLIENTS.format(device=vpn.server_device, peer=vpn.client_peer, client=vpn.client_address, net=vpn.net))
    machine.run(SET_UP_HOTSPOT.format(dns=vpn.server_address))


def _hotspot(machine):
    """Activate it, again until it masquerades: NetworkManager gives nft two seconds, and does without if that is too short."""
    machine.run("for i in 1 2 3 4 5; do nmcli connection up hotspot && nft list ruleset | grep -q 10.42.7 && exit; done; exit 1",
                timeout=120)


def _wait_shared(machine):
    """Until the client has an address of the prefix that the uplink's router has delegated."""
    machine.run(WAIT_SHARED, timeout=60)


def _client(machine, *command, **options):
    return machine.run(["ip", "netns", "exec", "client", *command], **options)


def _client_asks(machine):
    """The hotspot's own DNS, the LAN's and a public one."""
    return _client(machine, "python3", "-I", "-c", QUERY, "private.example", HOTSPOT, LAN_GATEWAY, LAN6_GATEWAY, PUBLIC, PUBLIC6,
                   check=False).stdout


def _client_reaches(machine, *addresses, timeout=20, source=None):
    """Those of the ADDRESSES that answer the client within TIMEOUT seconds."""
    limit = round(timeout * PATIENCE)
    words = f"-I {source}" if source else ""
    script = (f"for address; do (until ping -c 1 -W 1 {words} $address >/dev/null; do [ $SECONDS -lt {limit} ] || exit;"
              " sleep 0.1; done; echo $address) & done; wait")
    answer = _client(machine, "bash", "-c", script, "bash", *addresses, check=False, timeout=timeout + 30)
    return set(answer.stdout.split())


@contextlib.contextmanager
def _client_probes(machine):
    """The client sends all the time."""
    job = machine.spawn(["ip", "netns", "exec", "client", "bash", "-c", CLIENT_SENDS])
    try:
        yield
    finally:
        job.kill()


def _asked_the_lan(machine, mark):
    return [packet for packet in machine.wire.since(mark).dns if packet.dport in (53, 853)]


def _within(network, packet):
    return packet.kind == "ipv6" and ipaddress.ip_address(packet.src) in ipaddress.ip_network(network)


@test
def without_kill_switch_everything_a_hotspot_client_sends_is_seen():
    machine = at.clean()
    _set_up_hotspot(machine)
    _hotspot(machine)
    _wait_shared(machine)
    mark = machine.wire.mark()

    def seen():
        """{what is to be seen: whether it is}"""
        _client_asks(machine)
        leaks = machine.wire.since(mark).leak
        probes = [packet for packet in leaks if packet.payload.startswith(b"ks-probe")]
        asked = {packet.dst for packet in _asked_the_lan(machine, mark) if b"private" in packet.payload}
        return {"a probe of the client's by IPv4": any(packet.src == LAN_CLIENT for packet in probes),
                "a probe of the client's by IPv6": any(_within(SHARED, packet) for packet in probes),
                "a packet from its address of the hotspot's own network": any(packet.src == CLIENT6 for packet in leaks),
                "its queries to both resolvers on the LAN": asked >= {LAN_GATEWAY, LAN6_GATEWAY}}
    with _client_probes(machine):
        _client_reaches(machine, PUBLIC, PUBLIC6)
        with contextlib.suppress(TookTooLong):
            wait_for(lambda: all(seen().values()), 40 * PATIENCE, "everything that the client sends is on the wire", 1)
        found = seen()
    equal([what for what, there in found.items() if not there], [], "not on the wire")


def _beside_hotspot(machine, when_up=None):
    vpn = at.vpns.vpn
    _set_up_hotspot(machine)
    _hotspot(machine)
    _wait_shared(machine)
    before = _theirs(machine)
    check(any(CLIENT.rpartition(".")[0] in line for line in before[-1]), f"NetworkManager masquerades nothing: {before}")
    arm(machine, vpn)
    begin = machine.wire.mark()
    with _client_probes(machine):
        quiet(machine, "down", lambda: (all_probes(machine), _client_asks(machine)))
        equal(_client_reaches(machine, PUBLIC, PUBLIC6, timeout=2), set(), "what the client reaches without the VPN")
        equal(_client_reaches(machine, LAN_GATEWAY, LAN6_GATEWAY), {LAN_GATEWAY, LAN6_GATEWAY}, "of the LAN, down")
        quiet(machine, "coming up", lambda: up(machine, vpn))
        equal(_client_reaches(machine, PUBLIC, LAN_GATEWAY, LAN6_GATEWAY), {PUBLIC, LAN_GATEWAY, LAN6_GATEWAY}, "up")
        equal(_client_reaches(machine, PUBLIC6, source=CLIENT6), {PUBLIC6}, "by the VPN, from the hotspot's own network")
        if when_up:
            when_up(machine)
        quiet(machine, "up", lambda: (all_probes(machine), _client_reaches(machine, PUBLIC)))
        wait_for(lambda: f"{HOTSPOT} {ANSWER}" in _client_asks(machine), 30 * PATIENCE, "the hotspot's DNS answers by the VPN", 1)
        quiet(machine, "the VPN is lost", lambda: (machine.run(["ip", "link", "delete", vpn.device]), _client_asks(machine)))
        equal(_client_reaches(machine, PUBLIC, PUBLIC6, timeout=2), set(), "what the client reaches after the VPN is lost")
        quiet(machine, "the hotspot is activated again while lost", lambda: (_hotspot(machine), all_probes(machine)))
        equal(_client_reaches(machine, PUBLIC, PUBLIC6, timeout=2), set(), "what the client reaches by the new hotspot")
        asked = _asked_the_lan(machine, begin)
        check(not asked, f"{len(asked)} queries on the LAN, such as {asked[:2]}")
    disarm(machine, vpn)
    wait_released(machine, "disarmed")
    equal(_theirs(machine), before, "of theirs")
    equal(_client_reaches(machine, PUBLIC), {PUBLIC}, "disarmed")
    equal(_client_reaches(machine, PUBLIC6, source=CLIENT6), {PUBLIC6}, "disarmed")


def _share_the_prefix_and_activate_again(machine):
    """A client's address of the shared prefix is no part of the local network unless somebody says so.

    NetworkManager 1.42 gives the prefix to the hotspot's first activation only: it is gone after the second.
    """
    equal(_client_reaches(machine, PUBLIC6, timeout=2), set(), "what is reached from the shared prefix")
    machine.run(SHARED_IS_LAN)
    wait_rule(machine, f"^8330:.*{SHARED}", "the shared prefix is part of the local network", family=6)
    quiet(machine, "the shared prefix is part of the local network",
          lambda: equal(_client_reaches(machine, PUBLIC6), {PUBLIC6}, "what is reached from the shared prefix by the VPN"))
    quiet(machine, "the hotspot is activated again while up", lambda: _hotspot(machine))


@test
def a_hotspot_client_reaches_the_internet_only_through_the_vpn():
    _beside_hotspot(at.installed(), _share_the_prefix_and_activate_again)


@test
def a_hotspot_client_reaches_the_internet_only_through_the_vpn_with_iptables():
    machine = at.installed()
    machine.run(IPTABLES)
    machine.wait_online()
    _beside_hotspot(machine)


# NetworkManager's bridge with the uplink as a port

SET_UP_BRIDGE = """set -e
nmcli connection add type bridge con-name lan-bridge ifname br0 bridge.stp no connection.autoconnect no ipv6.addr-gen-mode eui64
nmcli connection add type ethernet con-name lan-port ifname eth0 master lan-bridge connection.autoconnect no
"""
WAIT_BRIDGE = ("until ip -4 route show default dev br0 | grep -q . && ip -6 route show default dev br0 | grep -q .;"
               " do sleep 0.2; done")
GUEST, GUEST6, GUEST_MAC = "192.168.77.60", "fd77::60", "52:54:00:77:00:60"
SET_UP_GUEST = f"""set -e
ip netns add guest
ip link add port0 type veth peer name eth0 address {GUEST_MAC} netns guest
ip link set port0 master br0 up
ip -netns guest -batch - <<END
link set eth0 up
address add {GUEST}/24 dev eth0
address add {GUEST6}/64 dev eth0 nodad
route add default via {LAN_GATEWAY}
route add default via {LAN6_GATEWAY}
END
"""


def _move_to_bridge(machine):
    machine.run("nmcli connection up lan-port")
    machine.run(WAIT_BRIDGE, timeout=120)


def _move_back(machine):
    machine.run("nmcli connection up lan && nmcli connection down lan-bridge; true")
    machine.wait_online()


def _bridge_probes(machine):
    probe(machine, device="br0")


@test
def without_kill_switch_probes_from_the_bridge_are_seen():
    machine = at.clean()
    machine.run(SET_UP_BRIDGE)
    _move_to_bridge(machine)
    assert_leak(machine, "the uplink is a bridge", lambda: _bridge_probes(machine))


@test
def roaming_to_a_bridge_over_the_uplink_leaks_nothing():
    for build in (at.armed, at.armed_up):
        machine = build()
        machine.run(SET_UP_BRIDGE)
        quiet(machine, "to the bridge", lambda: (_move_to_bridge(machine), _bridge_probes(machine)))
        wait_idle(machine)
        if build == at.armed:
            assert_blocked(machine, "the uplink is a bridge")
            quiet(machine, "coming up by the bridge", lambda: up(machine, at.vpns.vpn))
            assert_tunnel(machine, "by the bridge")
            quiet(machine, "going down", lambda: (down(machine, at.vpns.vpn), _bridge_probes(machine)))
        else:
            assert_kept_up(machine, at.vpns.vpn, "by the bridge")
        quiet(machine, "on the bridge", lambda: _bridge_probes(machine))
    quiet(machine, "back from the bridge", lambda: (_move_back(machine), all_probes(machine)))
    assert_kept_up(machine, at.vpns.vpn, "without the bridge")


def _guest_leaks(machine):
    """What a machine on a port of the bridge sends to the internet: it is on the LAN by itself."""
    # the router advertises a prefix, so it has another IPv6 address as well
    command = f"ping -c 3 -W 1 {PUBLIC}; ping -c 3 -W 1 -I {GUEST6} {PUBLIC6}"
    leaks = leaks_during(machine, lambda: machine.run(["ip", "netns", "exec", "guest", "bash", "-c", command], check=False))
    return {packet.src for packet in leaks} & {GUEST, GUEST6}


@test
def a_machine_on_a_port_of_the_bridge_is_on_the_lan_by_itself():
    machine = at.armed_up()
    machine.run(SET_UP_BRIDGE)
    _move_to_bridge(machine)
    machine.run(SET_UP_GUEST)
    wait_idle(machine)
    wait_for(lambda: _guest_leaks(machine) == {GUEST, GUEST6}, 30 * PATIENCE, "frames that are bridged pass no rule, as"
             " docs/neighbours.md says", 1, AssertionError)
    told = "the virtual machine or container on port0 (a port of br0)"
    for command in ("status", "check"):
        check(told in machine.run(["nm-killswitch", command]).stdout, f"{command} does not name it")
    machine.run("modprobe br_netfilter && sysctl -w net.bridge.bridge-nf-call-iptables=1")
    check(not _guest_leaks(machine), "with br_netfilter the guard stops them, as docs/neighbours.md says")
    check(told not in machine.run("nm-killswitch status").stdout, "it is named although the guard stops it")
    assert_kept_up(machine, at.vpns.vpn, "with br_netfilter")


def set_up():
    at.set_up()
    router = at.machine.router
    delegates = subprocess.Popen(DIE_WITH_PARENT + router.command(*python_module("prefix_delegation", "tap0", UPLINK6, DELEGATED)),
                                 stdin=subprocess.DEVNULL)
    at_exit(delegates.kill)
    router.run("ip", "route", "add", OWN6, "via", LAN6_CLIENT)


if __name__ == "__main__":
    main(set_up)
