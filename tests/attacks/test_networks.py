#!/usr/bin/env python3
"""What a hostile or odd network can do: DHCP, router advertisements, subnets; and who is behind the host. OpenVPN, in namespaces."""

import contextlib
import ipaddress
import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import attack_record, netns, openvpn, probes
from kstest.attack_machine import DOWN, UP, columns, public
from kstest.attack_record import NONE, PRODUCT, Tally, attack
from kstest.machine import VPN
from kstest.netns import TARGET, TARGET6
from kstest.probes import Probe
from kstest.runner import check, wait_for

COLUMNS = columns(method="auto")
KINDS = (("udp", 7), ("udp", 443), ("tcp", 80), ("icmp", 0))


@contextlib.contextmanager
def lan_says(m, *options, address=None, **how):
    """The LAN's DHCP and RA server has these OPTIONS of dnsmasq, and the host has heard them."""
    lan = m.lab.lan
    m.unprotect()
    lan.serve(True, *options, **how)
    activate(m)
    wait_heard(m, address, **how)
    try:
        yield
    finally:
        m.unprotect()
        lan.serve(True)
        activate(m)
    wait_heard(m)   # not if something has failed, which must not be hidden


def activate(m):
    m.nm.up(m.lab.lan.name)
    m.nm.wait_state(m.lab.lan.name, "activated")


def wait_heard(m, address=None, ra=True):
    """The uplink has heard DHCP, and with RA the router's advertisement: for NetworkManager one of them is enough."""
    device = m.lab.lan.device
    wait_for(lambda: any(address in (None, each["local"]) for link in m.host.ip_json("-4", "address", "show", "dev", device)
                         for each in link.get("addr_info", ())), 20, f"the host is {address or 'given an address'}")
    if ra:
        wait_for(lambda: m.host.ip_json("-6", "route", "show", "default", "dev", device), 20, "the host has a router by IPv6")


def has_route(m, family, route):
    return any(route == each["dst"] for each in m.host.ip_json(family, "route"))


@attack(COLUMNS)
def row07_tunnelvision_two_halves(m):
    """DHCP option 121 with 0.0.0.0/1 and 128.0.0.0/1 (CVE-2024-3661)"""
    router = m.lab.lan.router
    with lan_says(m, f"--dhcp-option=121,0.0.0.0/1,{router},128.0.0.0/1,{router},0.0.0.0/0,{router}"):
        wait_for(lambda: has_route(m, "-4", "0.0.0.0/1") and has_route(m, "-4", "128.0.0.0/1"), 20, "the host took the routes")
        return m.both(public(KINDS, (TARGET,)), all_seen=True)


@attack(COLUMNS)
def row07_tunnelvision_without_a_default_route(m):
    """the same, and no default route besides"""
    router = m.lab.lan.router
    with lan_says(m, f"--dhcp-option=121,0.0.0.0/1,{router},128.0.0.0/1,{router}"):
        return m.both(public(KINDS, (TARGET,)), all_seen=True)


@attack(COLUMNS)
def row07_tunnelvision_one_host(m):
    """DHCP option 121 with one /32"""
    router = m.lab.lan.router
    with lan_says(m, f"--dhcp-option=121,{TARGET}/32,{router},0.0.0.0/0,{router}"):
        wait_for(lambda: has_route(m, "-4", TARGET), 20, "the host took the route")
        return m.both(public(KINDS, (TARGET,)) + public(KINDS, (TARGET,), bind_device="eth0"), all_seen=True)


@contextlib.contextmanager
def public_lan(m, proxy):
    """The LAN has the subnets of the probes' destination. What is asked of its router and of the host itself is no leak."""
    router, port = m.lab.router, m.lab.lan.port
    wire, saved = m.wires[0], m.wires[0].lan
    router.ip(f"""
        address add 198.51.100.254/24 dev {port}
        address add 2001:db8:1::fe/64 dev {port} nodad
    """)
    router.sysctl(ipv4__conf__lan1__proxy_arp=int(proxy), ipv6__conf__lan1__proxy_ndp=int(proxy))
    if proxy:
        router.run("ip", "-6", "neighbour", "add", "proxy", TARGET6, "dev", port)
    wire.lan += tuple(map(ipaddress.ip_network, ("198.51.100.254/32", "198.51.100.50/32", "2001:db8:1::fe/128",
                                                 "2001:db8:1:0:0:ff:fe00:3202/128")))
    # The range of the Lan's own is without effect: the router has another address first on that port.
    router.run("ip", "address", "delete", f"{m.lab.lan.router}/24", "dev", port)
    try:
        yield
    finally:
        router.run("ip", "address", "delete", "198.51.100.254/24", "dev", port, check=False)
        router.run("ip", "address", "delete", "2001:db8:1::fe/64", "dev", port, check=False)
        router.run("ip", "-6", "neighbour", "delete", "proxy", TARGET6, "dev", port, check=False)
        router.run("ip", "address", "replace", f"{m.lab.lan.router}/24", "dev", port)
        router.sysctl(ipv4__conf__lan1__proxy_arp=0, ipv6__conf__lan1__proxy_ndp=0)
        wire.lan = saved


def localnet(m, proxy):
    lan = m.lab.lan
    saved = lan.router, lan.address
    with public_lan(m, proxy):
        # What Lan.serve() tells dnsmasq.
        lan.router, lan.address = "198.51.100.254", "198.51.100.50"
        try:
            with lan_says(m, "--dhcp-range=2001:db8:1::,ra-only,64,2m", address=lan.address):
                wait_for(lambda: has_route(m, "-6", "2001:db8:1::/64"), 20, "the host took the IPv6 subnet")
                tally = m.both(public(KINDS), all_seen=True, lan=False)
                lan.router, lan.address = saved
                m.lab.router.run("ip", "address", "replace", f"{lan.router}/24", "dev", lan.port)
                return tally
        finally:
            lan.router, lan.address = saved


@attack(COLUMNS)
def row08_tunnelcrack_localnet_proxy_arp_on(m):
    """the LAN claims public subnets, IPv4 and IPv6 (CVE-2023-36672, CVE-2023-35838); proxy ARP"""
    return localnet(m, True)


@attack(COLUMNS)
def row08_tunnelcrack_localnet_proxy_arp_off(m):
    """the same without proxy ARP: what is seen are requests to the neighbours"""
    return localnet(m, False)


@attack(COLUMNS)
def row10_private_addresses_of_the_tunnel_shadowed_by_dhcp(m):
    """DHCP option 121 for the provider's DNS server and for a subnet that the VPN pushes"""
    router = m.lab.lan.router
    kinds = (("udp", 53), ("tcp", 53), ("tcp", 853), ("udp", 7), ("tcp", 80), ("icmp", 0))
    with lan_says(m, f"--dhcp-option=121,10.8.0.1/32,{router},10.99.1.0/24,{router},0.0.0.0/0,{router}"):
        return m.both(public(kinds, ("10.8.0.1", "10.99.1.1")), all_seen=True)


@contextlib.contextmanager
def advertising(m, routes="", when=lambda m: True):
    """The router begins to advertise itself; before that the LAN has no IPv6."""
    lan = m.lab.lan
    path = os.path.join(m.lab.directory, "radvd.conf")
    with open(path, "w", encoding="ascii") as file:
        file.write(f"""interface {lan.port} {{
            AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; AdvDefaultPreference high;
            prefix {lan.network6} {{ AdvOnLink on; AdvAutonomous on; }};
            {routes}
        }};
        """)
    process = m.lab.router.start("radvd", "radvd", "--nodaemon", "--config", path, "--logmethod", "stderr",
                                 "--pidfile", os.path.join(m.lab.directory, "radvd.pid"))
    try:
        wait_for(lambda: has_route(m, "-6", str(lan.network6)) and when(m), 30, "the host has heard the advertisement")
        yield
    finally:
        process.stop()


@attack(COLUMNS)
def row11_router_advertisement_after_arming(m):
    """a LAN without IPv6 begins to have it while the VPN is up"""
    tally = Tally()
    with lan_says(m, ra=False):
        m.bring(UP)
        with advertising(m, when=lambda m: any(route.get("dev") == "eth0" for route in
                                               m.host.ip_json("-6", "route", "show", "default"))):
            tally += m.send(public(to=(TARGET6,)), all_seen=False)
            tally += m.send(public(to=(TARGET6,), bind_device="eth0"))
            m.disconnect()
            tally += m.send(public(to=(TARGET6,)))
            tally += m.send(public(to=(TARGET6,), bind_device="eth0"))
            m.check_works()
    return tally


@attack(COLUMNS)
def row11_more_specific_routes(m):
    """RFC 4191 routes for 2000::/3, a /64 around the destination and the tunnel's own address, VPN up and lost"""
    routes = "".join(f"route {prefix} {{ AdvRoutePreference high; AdvRouteLifetime 600; }};"
                     for prefix in ("2000::/3", "2001:db8:1::/64", "fd08::1/128"))
    with lan_says(m, ra=False), advertising(m, routes, lambda m: has_route(m, "-6", "2001:db8:1::/64")):
        return m.both(public(KINDS, (TARGET6, "fd08::1")), all_seen=True)


@attack(columns(NONE, PRODUCT, method="auto"))
def row11_vpn_without_ipv6(m):
    """a VPN that has no IPv6, on a LAN that has"""
    other = "v4-only"
    m.bring(DOWN)
    server = openvpn.Server(m.lab, m.keys, port=1195, tun="tun1", network="10.8.9.0")
    m.wires[0].transports.append(server.transport)
    zone = "killswitch" if m.column == PRODUCT else None
    m.nm.add_profile(other, openvpn.profile(m.keys, other, port=1195, zone=zone))
    if m.column == PRODUCT:
        m.nm.modify(VPN, "connection.zone", "")
    try:
        m.nm.up(other)
        wait_for(lambda: probes.send(m.host, [Probe("udp", TARGET)])[0].answered, 20, "the tunnel carries IPv4")
        tally = m.send(public(KINDS, (TARGET6,)) + public(KINDS, (TARGET6,), bind_device="eth0"))
        for result in probes.expect(m.host, public(KINDS, (TARGET,))):
            check(result.answered, f"the tunnel carries IPv4: {result}")
        m.nm.down(other)
        tally += m.send(public(KINDS))
    finally:
        m.nm.nmcli("connection", "delete", other)
        m.nm.stand_in_for_path_unit()
        server.stop()
    m.bring(UP)
    m.check_works()
    return tally


class Guest:
    """A namespace behind the host, 172.31.0.2 and fd31::2."""

    def __init__(self, m):
        self.m = m
        self.namespace = netns.Namespace("guest", m.lab.directory)
        # The peer is made in the router's and moved by a number of the outer PID namespace, as Lan does it.
        m.lab.router.run("ip", "link", "add", "guest0", "type", "veth", "peer", "name", "guest1")
        for device, target in (("guest0", m.host), ("guest1", self.namespace)):
            netns.subprocess.run(["nsenter", "--target", str(m.lab.router.pid), "--net", "--", "ip", "link", "set",
                                  device, "netns", str(target.pid)], check=True, timeout=10)
        m.host.ip("""
            link set guest0 up
            address add 172.31.0.1/24 dev guest0
            address add fd31::1/64 dev guest0 nodad
        """)
        self.namespace.ip("""
            link set guest1 up
            address add 172.31.0.2/24 dev guest1
            address add fd31::2/64 dev guest1 nodad
            route add default via 172.31.0.1
            route add ::/0 via fd31::1
        """)
        self.namespace.sysctl(ipv4__ping_group_range="0 2147483647")
        m.host.sysctl(ipv4__ip_forward=1, ipv6__conf__all__forwarding=1)
        for address, via in (("172.31.0.0/24", m.lab.lan.address), ("fd31::/64", m.lab.lan.address6)):
            m.lab.router.run("ip", "route", "add", address, "via", via, check=False)

    def masquerade(self, enabled):
        self.m.host.run("nft", "-f", "-", input="table inet guest\ndelete table inet guest\n" + ("""
            table inet guest {
                chain postrouting {
                    type nat hook postrouting priority 100; policy accept;
                    oifname != { "guest0", "lo" } masquerade
                }
            }""" if enabled else ""))

    def answered(self, wanted, expected=True):
        """Those of the probes that are answered; EXPECTED ones are sent again until they are."""
        send = probes.expect if expected else probes.send
        return [result for result in send(self.namespace, wanted) if result.answered]

    def close(self):
        self.masquerade(False)
        self.m.host.run("ip", "link", "delete", "guest0", check=False)
        self.m.host.sysctl(ipv4__ip_forward=0, ipv6__conf__all__forwarding=0)
        self.namespace.close()


def forwarding(m, masquerade):
    lan = m.lab.lan
    guest = Guest(m)
    try:
        guest.masquerade(masquerade)
        tally = Tally()
        local = [Probe(kind, lan.router) for kind in ("udp", "tcp", "icmp")]
        for state in (UP, DOWN):
            m.bring(state)
            tally += m.send(public(KINDS), all_seen=state == DOWN, source=guest.namespace)
            if masquerade and m.column == PRODUCT:
                carried = len(guest.answered(public(), expected=state == UP))
                check(carried == (len(public()) if state == UP else 0), f"{state}: the guest had {carried} answers")
            if masquerade or m.column == NONE:
                check(len(guest.answered(local)) == len(local), f"{state}: the guest reaches the LAN")
        m.check_works()
        return tally
    finally:
        guest.close()


@attack(COLUMNS)
def row12_forwarded_with_masquerading(m):
    """a container behind the host, masqueraded; it reaches the LAN, and the internet through the tunnel only"""
    return forwarding(m, True)


@attack(COLUMNS)
def row12_forwarded_without_masquerading(m):
    """the same without masquerading"""
    return forwarding(m, False)


def lease(m):
    """The uplink's lease of eight seconds is not renewed; then there is a server again."""
    lan = m.lab.lan
    m.unprotect()
    lan.serve(False)
    dhcp = m.lab.router.python("attack_dhcp", lan.port, lan.router, lan.address, "8")
    try:
        m.nm.up(lan.name)
        m.bring(UP)

        def lose(m):
            dhcp.stop()
            wait_for(lambda: not m.host.ip_json("-4", "route", "show", "default", "dev", "eth0"), 20, "the lease is lost")
            time.sleep(1)

        tally = m.flooded(lose)
        if m.column == PRODUCT:
            for result in m.probe():
                check(not result.answered or "fd08" in str(result.seen_as), f"without a lease: {result}")
        return tally
    finally:
        dhcp.stop()
        m.unprotect()
        lan.serve(True)
        activate(m)


@attack(columns(NONE, PRODUCT, method="auto"), control=False)
def row01_lease_lost(m):
    """the uplink's DHCP lease is not renewed: a lease of eight seconds, and the server is gone"""
    tally = lease(m)
    m.bring(UP)
    m.check_works()
    return tally if m.column == PRODUCT else Tally(sent=tally.sent, leaked=tally.leaked)


@attack(columns(NONE, PRODUCT, method="auto"), control=False)
def row20_strict_reverse_path_filtering(m):
    """rp_filter=1 on every device: the VPN connects and carries"""
    m.bring(DOWN)
    m.host.sysctl(ipv4__conf__all__rp_filter=1, ipv4__conf__default__rp_filter=1, ipv4__conf__eth0__rp_filter=1)
    try:
        m.bring(UP)
        mark = m.mark()
        m.check_tunnel_carries()
        m.check_works()
        return (m.judge(mark, []) if m.column == PRODUCT else Tally()) + Tally(note="works")
    finally:
        m.host.sysctl(ipv4__conf__all__rp_filter=0, ipv4__conf__default__rp_filter=0, ipv4__conf__eth0__rp_filter=0)


if __name__ == "__main__":
    attack_record.main("OpenVPN")
