"""Containers beside an armed VPN: Docker, Podman with and without root, macvlan, ipvlan and VRFs, really run.

Containers send all the time, also while their program is stopped, started and restarted: to the internet, by sockets of
before and after arming, to the VPN's server and port as the VPN does, and to the LAN's resolver. Each packet is labelled
(kstest/containers.py), and none of them may be seen on the uplink. docs/neighbours.md says what these tests find.
"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import containers
from kstest.containers import (IMAGE, LAN6_CLIENT, PEERS, SLOW, answer_at_router, ask_name, assert_nothing_sent, assert_reached,
                               assert_sent, peer_sending, reaches, reaches_from_lan, reaches_from_server, sending, sent_since,
                               wait_name, wait_sent)
from kstest.runner import check, equal, main, test, wait_for
from kstest.vm import PATIENCE
from kstest.vm_life import prober, wait_rule
from kstest.vm_neighbour import theirs
from kstest.vm_router import LAN_CLIENT, LAN_GATEWAY, MACS
from kstest.vm_stages import Stages
from kstest.vm_vpn import (PUBLIC, PUBLIC6, SERVER, arm, assert_leak, assert_same, assert_tunnel, disarm, down, ping, probe, up,
                           wait_idle)

at = Stages("neighbours-containers", "neighbours")

IN_FRONT = "198.51.100.2"       # on the internet, at the router


def _kill_tunnel():
    at.machine.run(["ip", "link", "delete", at.vpns.vpn.device])
    time.sleep(2)


def _bring_up():
    up(at.machine, at.vpns.vpn)
    wait_idle(at.machine)


# Docker

DOCKER = "/run/docker/netns/*"      # `default` is the host's own: that of a container with --network host
DOCKERS = 4                         # namespaces
WEB, APP, PUB = "172.17.0.2", "172.18.0.10", "198.18.5.10"
WEB6, APP6 = "fd17::242:ac11:2", "fd18::10"
_DOCKER = """set -e
cat >/etc/docker/daemon.json <<END
{"ipv6": true, "fixed-cidr-v6": "fd17::/64", "experimental": true, "ip6tables": true}
END
systemctl unmask docker.service docker.socket containerd.service
systemctl start docker
"""
# On the bridge that Docker has by itself; on one with Docker's own DNS; on one with public addresses; on the host's network.
_CONTAINERS = f"""set -e
docker import /root/image.tar {IMAGE}
docker network create --ipv6 --subnet 172.18.0.0/16 --subnet fd18::/64 named
docker network create --subnet 198.18.5.0/24 public
run() {{ docker run -d --stop-signal KILL --restart unless-stopped --name "$@"; }}
run web -p 8080:80 {IMAGE} /bin/httpd -f -p 80 -h /
run app -p 8081:80 --network named --ip {APP} --ip6 {APP6} {IMAGE} /bin/httpd -f -p 80 -h /
run pub --network public --ip {PUB} {IMAGE} /bin/sleep 1000000
run own --network host {IMAGE} /bin/sleep 1000000
"""
_NO_CHAINS = ("for tables in iptables ip6tables; do for table in filter nat; do $tables -t $table -F; $tables -t $table -X; done;"
              " $tables -P FORWARD ACCEPT; done")


def _docker():
    """Docker and its containers run; nothing is armed."""
    def build():
        machine = at.installed()
        containers.prepare(machine, at.vpns.vpn)
        machine.run("mkdir -p /etc/docker")
        machine.run(_DOCKER, timeout=SLOW)
        machine.run(_CONTAINERS, timeout=SLOW)
        wait_idle(machine)
    at.machine.stage("docker", build)
    return at.machine


def _pid(program, name):
    return at.machine.run(f"{program} inspect --format '{{{{.State.Pid}}}}' {name}").stdout.strip()


def _wait_answer(machine, pid, address):
    """ADDRESS answers, through the tunnel, who is in the network namespace of the process PID."""
    wait_for(lambda: machine.run(f"nsenter --net --target={pid} ping -q -c1 -W2 {address}", check=False), 30 * PATIENCE,
             f"{address} answers through the tunnel", 0.5, AssertionError)


def _ways_in(machine, armed):
    """Who reaches the published ports, from where; only those on the internet stop being answered."""
    web = _pid("docker", "web")
    return {
        "from the LAN": (lambda: reaches_from_lan(machine, LAN_CLIENT, 8080), True),
        "from the LAN, IPv6": (lambda: reaches_from_lan(machine, LAN6_CLIENT, 8080), True),
        "from the LAN, a network of one's own": (lambda: reaches_from_lan(machine, LAN_CLIENT, 8081), True),
        "from the LAN, by the container's address": (lambda: reaches_from_lan(machine, WEB, 80), True),
        "from the internet": (lambda: reaches_from_lan(machine, LAN_CLIENT, 8080, IN_FRONT), not armed),
        "from the host, by loopback": (lambda: reaches(machine, "127.0.0.1", 8080), True),
        "from the host, by its address": (lambda: reaches(machine, LAN_CLIENT, 8080), True),
        "from the host, to the container": (lambda: reaches(machine, APP), True),
        "from the host, to the container, IPv6": (lambda: reaches(machine, APP6), True),
        "from a container, by the host's address": (lambda: reaches(machine, LAN_CLIENT, 8081, web), True),
    }


@test
def docker_containers_reach_the_internet_through_the_tunnel_and_by_nothing_else():
    machine, vpn = _docker(), at.vpns.vpn
    before = theirs(machine)
    assert_reached(_ways_in(machine, False), "published ports, nothing armed")
    with sending(machine, vpn, DOCKER):
        # the control; these connections go on when it is armed
        assert_sent(machine, "before arming", (WEB, APP, PUB, LAN_CLIENT, WEB6, APP6))
        arm(machine, vpn)
        assert_nothing_sent(machine, "armed, down", None, DOCKERS)
        assert_same(before, theirs(machine), "armed, down")
        assert_nothing_sent(machine, "brought up", _bring_up, DOCKERS)
        assert_nothing_sent(machine, "the tunnel is lost", _kill_tunnel, DOCKERS)
        assert_nothing_sent(machine, "brought up again", _bring_up, DOCKERS)
    web, app, pub = (_pid("docker", name) for name in ("web", "app", "pub"))

    def through_the_tunnel():
        for pid, address in ((web, PUBLIC), (web, PUBLIC6), (app, PUBLIC), (app, PUBLIC6)):
            _wait_answer(machine, pid, address)
    assert_nothing_sent(machine, "through the tunnel", through_the_tunnel)
    assert_nothing_sent(machine, "public addresses", lambda: check(
        not machine.run(f"nsenter --net --target={pub} ping -q -c2 -W2 {PUBLIC}", check=False), "the answer has come back"))

    # one that was there before the VPN has kept the LAN's resolver, which is now asked for in the tunnel, in vain
    assert_nothing_sent(machine, "DNS, of before", lambda: equal(ask_name(machine, app, "127.0.0.11"), "", "the LAN's resolver"))
    machine.run("docker restart app", timeout=SLOW)
    app = _pid("docker", "app")
    assert_nothing_sent(machine, "DNS, started again", lambda: wait_name(
        machine, app, "127.0.0.11", "Docker's own resolver asks the VPN's"))

    assert_nothing_sent(machine, "published ports", lambda: assert_reached(_ways_in(machine, True), "published ports, armed and up"))
    assert_reached({"from behind the VPN": (lambda: reaches_from_server(machine, vpn.client_address, 8080), True)}, "published ports")
    # public addresses are the LAN only for who says so
    machine.run("sed -i 's!^#*LanPrefixes=.*!LanPrefixes=10.0.0.0/8;172.16.0.0/12;192.168.0.0/16;fc00::/7;fe80::/10;198.18.5.0/24!'"
                " /etc/nm-killswitch.conf; nm-killswitch sync")
    wait_idle(machine)
    assert_nothing_sent(machine, "public addresses in LanPrefixes", lambda: _wait_answer(machine, pub, PUBLIC))

    # a network of Docker's macvlan driver is beside the kill switch, as documented; that is said
    machine.run(f"docker network create --driver macvlan --subnet 192.168.77.0/24 --gateway {LAN_GATEWAY} -o parent=eth0 lan;"
                f" docker run -d --name mac --network lan --ip {MAC} {IMAGE} /bin/sleep 1000000", timeout=SLOW)
    with sending(machine, vpn, DOCKER):
        assert_sent(machine, "Docker's macvlan", (MAC,))
    for command in ("status", "check"):
        check("on eth0, probably a container (macvlan)" in machine.run(["nm-killswitch", command]).stdout, command)
    machine.run("docker rm -f mac; docker network rm lan", timeout=SLOW)
    # the kernel takes the container's network away after Docker has returned
    wait_for(lambda: "macvlan" not in machine.run("nm-killswitch status").stdout, 30 * PATIENCE,
             "nothing is said of a container that is gone", 0.5, AssertionError)
    assert_tunnel(machine, "the host itself, beside macvlan")

    down(machine, vpn)
    disarm(machine, vpn)
    # app was started again: its port at the host is the only thing of theirs with a new name
    after = theirs(machine)
    for name in ("rules", "rules6", "nftables"):
        assert_same({name: before[name]}, {name: after[name]}, "disarmed")
    with sending(machine, vpn, DOCKER):
        assert_sent(machine, "disarmed", (WEB, APP, PUB, WEB6, APP6))


@test
def nothing_leaks_while_docker_is_stopped_started_and_restarted():
    machine, vpn = _docker(), at.vpns.vpn
    arm(machine, vpn)
    _bring_up()

    def run(command):
        return lambda: machine.run(command, timeout=SLOW)

    with sending(machine, vpn, DOCKER), prober(machine):
        assert_nothing_sent(machine, "stopped, up", run("systemctl stop docker.socket docker containerd"))
        # as on a machine that has never run it: bridges, chains and addresses are made while armed
        machine.run("for link in $(ls /sys/class/net | grep -E '^(br-|docker0)'); do ip link delete $link; done;"
                    f" {_NO_CHAINS}")
        assert_nothing_sent(machine, "started, up", run("systemctl start docker"), DOCKERS)
        assert_tunnel(machine, "started, up")
        assert_reached({"from the LAN": (lambda: reaches_from_lan(machine, LAN_CLIENT, 8080), True)}, "published ports")
        assert_nothing_sent(machine, "the tunnel is lost", _kill_tunnel)
        # From now on containers go on while Docker restarts, and Docker leaves iptables alone: nothing is masqueraded any
        # more, and nothing is kept from being forwarded.
        web = _pid("docker", "web")
        machine.run("sed -i 's/{/{\"live-restore\": true, /' /etc/docker/daemon.json; systemctl reload docker;"
                    " sed -i 's/{/{\"iptables\": false, /; s/\"ip6tables\": true/\"ip6tables\": false/' /etc/docker/daemon.json")
        assert_nothing_sent(machine, "restarted without iptables, lost",
                            run(f"systemctl stop docker; {_NO_CHAINS}; systemctl start docker"), DOCKERS)
        equal(_pid("docker", "web"), web, "the container that goes on")
        assert_nothing_sent(machine, "brought up", _bring_up, DOCKERS)
        assert_tunnel(machine, "without iptables, up")
        down(machine, vpn)
        disarm(machine, vpn)
        # the control: what Docker does not masquerade leaves with the container's own address
        assert_sent(machine, "without iptables, disarmed", (WEB, APP, WEB6, APP6))


# Podman

PODMAN = "/run/netns/netns-*"
PODMANS = 2
PWEB, PAPP, PAPP6, PRESOLVER = "10.88.0.2", "10.89.0.10", "fd19::10", "10.89.0.1"
_PODMAN = f"""set -e
podman import /root/image.tar {IMAGE}
podman network create --ipv6 --subnet 10.89.0.0/24 --subnet fd19::/64 named
podman run -d --name web -p 8090:80 {IMAGE} /bin/httpd -f -p 80 -h /
podman run -d --name app -p 8091:80 --network named --ip {PAPP} --ip6 {PAPP6} {IMAGE} /bin/httpd -f -p 80 -h /
"""


def _podman():
    """Podman's containers run; nothing is armed."""
    def build():
        machine = at.installed()
        containers.prepare(machine, at.vpns.vpn)
        machine.run(_PODMAN, timeout=SLOW)
        machine.run("sysctl -w net.ipv6.conf.all.forwarding=1")
        wait_idle(machine)
    at.machine.stage("podman", build)
    return at.machine


@test
def podman_containers_reach_the_internet_through_the_tunnel_and_by_nothing_else():
    machine, vpn = _podman(), at.vpns.vpn
    before = theirs(machine)
    ways = {
        "from the LAN": (lambda: reaches_from_lan(machine, LAN_CLIENT, 8090), True),
        "from the LAN, IPv6": (lambda: reaches_from_lan(machine, LAN6_CLIENT, 8091), True),
        "from the host, by loopback": (lambda: reaches(machine, "127.0.0.1", 8090), True),
        "from the host, to the container": (lambda: reaches(machine, PAPP), True),
    }
    assert_reached(ways, "published ports, nothing armed")
    with sending(machine, vpn, PODMAN), prober(machine), peer_sending(machine):
        assert_sent(machine, "Podman, nothing armed", (PWEB, PAPP, PAPP6, *PEERS))
        arm(machine, vpn)
        assert_nothing_sent(machine, "armed, down", None, PODMANS)
        assert_same(before, theirs(machine), "armed, down")
        assert_nothing_sent(machine, "brought up", _bring_up, PODMANS)
        assert_nothing_sent(machine, "restarted, up", lambda: machine.run("podman restart -t 0 app", timeout=SLOW))
        assert_tunnel(machine, "restarted, up")
        assert_nothing_sent(machine, "the tunnel is lost", _kill_tunnel, PODMANS)
        assert_nothing_sent(machine, "stopped, started and reloaded, lost", lambda: machine.run(
            "podman stop -t 0 web app; podman start web app; podman network reload app", timeout=SLOW), PODMANS)
        assert_nothing_sent(machine, "brought up again", _bring_up, PODMANS)
    app = _pid("podman", "app")

    def works():
        for address in (PUBLIC, PUBLIC6):
            _wait_answer(machine, app, address)
        # aardvark-dns asks on the host, as root, the resolvers that resolv.conf had when it last looked
        equal(ask_name(machine, app, PRESOLVER), "", "Podman's own resolver, of before the VPN")
        machine.run("pkill -HUP aardvark-dns")
        wait_name(machine, app, PRESOLVER, "Podman's own resolver")
        assert_reached(ways, "published ports, armed and up")
    assert_nothing_sent(machine, "up", works)
    down(machine, vpn)
    disarm(machine, vpn)
    after = theirs(machine)
    for name in ("rules", "rules6"):
        assert_same({name: before[name]}, {name: after[name]}, "disarmed")
    with sending(machine, vpn, PODMAN):
        assert_sent(machine, "disarmed", (PAPP, PAPP6))     # Podman gave web another address when it started again


# Podman without root: slirp4netns sends what a container sends from sockets of the host, as the user

USER, USER_ID = "ana", 1000
SLIRP, SLIRP_RESOLVER, USER_PORT = "10.0.2.100", "10.0.2.3", 8095
SERVER6_INSIDE = "fd66::1"
_CONNECT = "import socket, sys; socket.create_connection((sys.argv[1], 53), 20)"
_AS_USER = f"""#!/bin/sh
cd /home/{USER} || exit
exec setpriv --reuid={USER_ID} --regid={USER_ID} --clear-groups env HOME=/home/{USER} XDG_RUNTIME_DIR=/run/user/{USER_ID} \
    podman --cgroup-manager=cgroupfs --events-backend=file "$@"
"""
_ROOTLESS = f"""set -e
useradd --create-home --uid {USER_ID} {USER}
for file in subuid subgid; do echo {USER}:100000:65536 >/etc/$file; done
install -d -o {USER} -m 700 /run/user/{USER_ID}
install -o {USER} /root/image.tar /home/{USER}/image.tar
user-podman import image.tar {IMAGE}
user-podman run -d --name web --network slirp4netns:enable_ipv6=true -p {USER_PORT}:80 {IMAGE} /bin/httpd -f -p 80 -h /
"""


def _rootless():
    """A user's container runs; nothing is armed."""
    def build():
        machine = at.installed()
        containers.prepare(machine, at.vpns.vpn)
        machine.push("/usr/bin/user-podman", _AS_USER, 0o755)
        machine.run(_ROOTLESS, timeout=SLOW)
    at.machine.stage("rootless", build)
    return at.machine


@test
def a_users_podman_container_reaches_the_internet_through_the_tunnel_and_by_nothing_else():
    machine, vpn = _rootless(), at.vpns.vpn
    web = _pid("user-podman", "web")
    addresses = (SLIRP, machine.run(f"nsenter --net --target={web} ip -6 -brief address show dev tap0 scope global"
                                    " | sed 's/.* \\([0-9a-f:]*\\)[/].*/\\1/'").stdout.strip())
    ways = {
        "from the LAN": (lambda: reaches_from_lan(machine, LAN_CLIENT, USER_PORT), True),
        "from the host, by loopback": (lambda: reaches(machine, "127.0.0.1", USER_PORT), True),
    }
    assert_reached(ways, "published ports, nothing armed")
    with sending(machine, vpn, f"/proc/{web}/ns/net"):
        assert_sent(machine, "without root, nothing armed", addresses)
        arm(machine, vpn)
        assert_nothing_sent(machine, "armed, down", None, 1)
        assert_nothing_sent(machine, "brought up", _bring_up, 1)
        assert_nothing_sent(machine, "the tunnel is lost", _kill_tunnel, 1)
        assert_nothing_sent(machine, "brought up again", _bring_up, 1)

    def works():
        _wait_answer(machine, web, PUBLIC)
        # slirp4netns forwards no pings over IPv6; this is the resolver behind the VPN
        wait_for(lambda: machine.run(["nsenter", "--net", f"--target={web}", "python3", "-c", _CONNECT, SERVER6_INSIDE], check=False),
                 30 * PATIENCE, "an answer through the tunnel, IPv6", 1, AssertionError)
        # slirp4netns reads resolv.conf for each query
        wait_name(machine, web, SLIRP_RESOLVER, "slirp4netns asks the VPN's resolver")
        assert_reached(ways, "published ports, armed and up")
    assert_nothing_sent(machine, "up", works)
    down(machine, vpn)
    disarm(machine, vpn)
    with sending(machine, vpn, f"/proc/{web}/ns/net"):
        assert_sent(machine, "disarmed", addresses)


# Uplinks of their own

MAC, MAC6 = "192.168.77.201", "fd77::201"


def _own_uplink(kind, routed=False):
    """A namespace whose uplink is of KIND on the host's own; ROUTED: it passes the host's network layer."""
    via = "dev u0" if routed else f"via {LAN_GATEWAY}"
    return f"""set -e
ip netns add own; ip link add link eth0 name u0 netns own type {kind}
ip -n own link set lo up; ip -n own link set u0 up; ip -n own address add {MAC}/24 dev u0; ip -n own route add default {via}
"""


@test
def a_container_with_its_own_uplink_bypasses_the_kill_switch_as_documented():
    machine, vpn = at.armed_up(), at.vpns.vpn
    containers.prepare(machine, vpn)
    for kind in ("macvlan mode bridge", "ipvlan mode l2"):
        machine.run(_own_uplink(kind))
        with sending(machine, vpn, "/run/netns/own"):
            assert_sent(machine, kind, (MAC,))
        # the device by itself: that of a namespace goes some time later, and until then the uplink has no other kind
        machine.run("ip -n own link delete u0; ip netns delete own")
    assert_tunnel(machine, "the host itself")


@test
def an_ipvlan_that_goes_through_the_hosts_network_layer_is_stopped():
    machine, vpn = at.installed(), at.vpns.vpn
    containers.prepare(machine, vpn)
    machine.run(_own_uplink("ipvlan mode l3", True))
    # in this mode nobody answers ARP requests for it
    machine.router.run("ip", "neigh", "replace", MAC, "lladdr", MACS["tap0"], "dev", "tap0", "nud", "permanent")
    with sending(machine, vpn, "/run/netns/own"):
        assert_sent(machine, "ipvlan, nothing armed", (MAC,))
        arm(machine, vpn)
        _bring_up()
        mark = machine.wire.mark()
        wait_sent(machine, 1, 6)
        sent = sent_since(machine, mark)
    # a packet that nobody owns is taken for the VPN's own when it is for its server and port
    check(not sent.labels - {(MAC, "server")}, f"ipvlan, up: {sent}")
    check(all(packet.kind == "arp" and packet.arp_target == SERVER for packet in sent.others), f"ipvlan, up: {sent}")
    check(machine.run(f"ip netns exec own ping -q -c1 -w30 {LAN_GATEWAY}", check=False), "the LAN does not answer")
    machine.router.run("ip", "neigh", "delete", MAC, "dev", "tap0")


# VRFs

BLUE, BLUE6 = "10.40.0.2", "fd40::2"
_VRF = """set -e
ip link add blue type vrf table 10; ip link set blue up
ip netns add own; ip link add b0 type veth peer name eth0 netns own; ip link set b0 master blue up
ip address add 10.40.0.1/24 dev b0; ip address add fd40::1/64 dev b0 nodad
ip -n own link set lo up; ip -n own link set eth0 up
ip -n own address add 10.40.0.2/24 dev eth0; ip -n own address add fd40::2/64 dev eth0 nodad
ip -n own route add default via 10.40.0.1; ip -n own -6 route add default via fd40::1
ip route add default via 192.168.77.1 dev eth0 table 10; ip -6 route add default via fd77::1 dev eth0 table 10
sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1
"""


@test
def a_vrf_with_a_route_to_the_uplink_leaks_nothing():
    machine, vpn = at.installed(), at.vpns.vpn
    containers.prepare(machine, vpn)
    machine.run(_VRF)
    time.sleep(2)
    before = theirs(machine)
    # a service in the VRF, and programs of the host's that are bound to it
    both = lambda: probe(machine, device="blue")  # pylint: disable=unnecessary-lambda-assignment
    in_vrf, not_in_vrf = "ip vrf exec blue ping -q -c1 -w30 10.40.0.2", "ip vrf exec blue ping -q -c2 -W2 10.40.0.2"
    with sending(machine, vpn, "/run/netns/own"):
        assert_sent(machine, "a VRF, nothing armed", (BLUE, BLUE6))
        assert_leak(machine, "bound to the VRF, nothing armed", both)
        check(machine.run(in_vrf, check=False), "inside the VRF, nothing armed")
        arm(machine, vpn)
        assert_nothing_sent(machine, "armed, down", both, 1)
        assert_same(before, theirs(machine), "armed, down")
        _bring_up()
        assert_nothing_sent(machine, "up", both, 1)
        assert_tunnel(machine, "up")
        assert_nothing_sent(machine, "lost", _kill_tunnel, 1)
        # as the kernel's documentation of VRFs and ifupdown2 have it; packets to the host itself go on reaching it
        machine.run("for family in -4 -6; do ip $family rule add pref 32765 table local; ip $family rule del pref 0; done")
        for family in (4, 6):
            wait_rule(machine, "^998:.*lookup 255", "table local is looked up first", family=family)
        for address in ("127.0.0.1", "::1", LAN_CLIENT, LAN_GATEWAY):
            check(ping(machine, address), f"with table local behind all else: {address} does not answer")
        assert_nothing_sent(machine, "table local moved", both, 1)
        machine.run("for family in -4 -6; do ip $family rule add pref 0 table local; ip $family rule del pref 32765; done")
        for family in (4, 6):
            wait_rule(machine, "^998:", "table local is first again", present=False, family=family)
        # as documented: the VRF's own networks are out of reach while armed
        check(not machine.run(not_in_vrf, check=False), "inside the VRF, armed: docs/neighbours.md says that it does not work")
        disarm(machine, vpn)
        assert_same(before, theirs(machine), "disarmed")
        check(machine.run(in_vrf, check=False), "inside the VRF, disarmed")
    check(ping(machine, LAN_GATEWAY), "the LAN, disarmed")


@test
def a_vrf_that_is_made_while_armed_leaks_nothing():
    machine = at.armed()

    def send():
        probe(machine, device="blue")
        machine.run(f"for to in {PUBLIC} {PUBLIC6}; do ip netns exec own ping -q -c2 -i0.2 -W1 $to; done; true")

    assert_nothing_sent(machine, "a VRF is made", lambda: (machine.run(_VRF), send()))
    # the kernel has put its rule in front of ours, with the first VRF
    for family in (4, 6):
        wait_rule(machine, "^999:.*goto 8300", "the VRF's rule is jumped over", family=family)
    assert_nothing_sent(machine, "the VRF's rule is jumped over", send)


def set_up():
    at.set_up()
    answer_at_router(at.machine)
    at.machine.router.run("ip", "route", "add", f"{WEB}/32", "via", LAN_CLIENT)     # the LAN knows where a container is


if __name__ == "__main__":
    main(set_up)
