#!/usr/bin/env python3
"""What a program on the host can do, without privileges or as root, to send past the tunnel. OpenVPN, in namespaces."""

import contextlib
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import attack_record, netns, probes
from kstest.attack_machine import DOWN, UP, columns, public, versions
from kstest.attack_record import NONE, PRODUCT, Tally, attack, fact
from kstest.machine import VPN
from kstest.netns import SERVER, TARGET, TARGET6
from kstest.probes import NOBODY, Probe
from kstest.runner import TookTooLong, check, wait_for
from kstest.wire import LEAKS

COLUMNS = columns()
ALL = (("udp", 7), ("udp", 443), ("tcp", 80), ("icmp", 0), ("raw", 0))
DATAGRAMS = (("udp", 7), ("udp", 443), ("icmp", 0))


@contextlib.contextmanager
def proxy_arp(m, enabled):
    """A router that answers for every address, or not, when a host asks for it as for a neighbour."""
    m.lab.router.sysctl(ipv4__conf__lan1__proxy_arp=int(enabled), ipv6__conf__lan1__proxy_ndp=int(enabled))
    change = "add" if enabled else "delete"
    m.lab.router.run("ip", "-6", "neighbour", change, "proxy", TARGET6, "dev", "lan1", check=enabled)
    m.host.run("ip", "neighbour", "flush", "all", check=False)
    try:
        yield
    finally:
        m.lab.router.sysctl(ipv4__conf__lan1__proxy_arp=0, ipv6__conf__lan1__proxy_ndp=0)


def bound(m, proxy, wanted):
    with proxy_arp(m, proxy):
        return m.both(wanted, all_seen=True)


@attack(COLUMNS)
def row05_bound_socket_so_bindtodevice_proxy_arp_on(m):
    """a socket bound to the uplink (SO_BINDTODEVICE); the router does proxy ARP"""
    return bound(m, True, public(ALL[:4], bind_device="eth0"))


@attack(COLUMNS)
def row05_bound_socket_so_bindtodevice_proxy_arp_off(m):
    """the same without proxy ARP"""
    return bound(m, False, public(ALL[:4], bind_device="eth0"))


@attack(COLUMNS)
def row05_bound_socket_unicast_if_proxy_arp_on(m):
    """IP_UNICAST_IF, IPV6_UNICAST_IF; proxy ARP"""
    return bound(m, True, public(DATAGRAMS, unicast_if="eth0"))


@attack(COLUMNS)
def row05_bound_socket_unicast_if_proxy_arp_off(m):
    """IP_UNICAST_IF, IPV6_UNICAST_IF; no proxy ARP"""
    return bound(m, False, public(DATAGRAMS, unicast_if="eth0"))


@attack(COLUMNS)
def row05_bound_socket_pktinfo_proxy_arp_on(m):
    """IP_PKTINFO, IPV6_PKTINFO; proxy ARP"""
    return bound(m, True, public(DATAGRAMS, pktinfo="eth0"))


@attack(COLUMNS)
def row05_bound_socket_pktinfo_proxy_arp_off(m):
    """IP_PKTINFO, IPV6_PKTINFO; no proxy ARP"""
    return bound(m, False, public(DATAGRAMS, pktinfo="eth0"))


@attack(COLUMNS)
def row05_bound_socket_source_address(m):
    """a socket bound to the uplink's address, and one to device and address"""
    lan = m.lab.lan
    return m.both([probe for address, source in ((TARGET, lan.address), (TARGET6, lan.address6))
                   for probe in public(ALL[:3], (address,), source=source)
                   + public(ALL[:3], (address,), source=source, bind_device="eth0")])


@attack(COLUMNS)
def row05_multicast_if(m):
    """multicast of global and organisation scope by IP_MULTICAST_IF, IPV6_MULTICAST_IF"""
    groups = ("233.252.0.1", "239.192.0.1", "224.0.1.1", "ff0e::1", "ff08::1")
    tally = Tally()
    for state in (UP, DOWN):
        m.bring(state)
        tally += m.send_multicast(groups, 7, "eth0")
        tally += m.send_multicast(groups, 7, all_seen=False)
    m.check_works()
    return tally


@attack(COLUMNS)
def row05_raw_sockets_and_marks_of_root(m):
    """root: raw sockets, and firewall marks that VPNs use"""
    marked = [probe for mark in (1194, 51820, 51821) for probe in public(ALL[1:3], mark=mark)]
    return m.both(public(ALL[4:]) + public(ALL[4:], bind_device="eth0") + marked, uids=(0,))


@attack(COLUMNS)
def row06_from_the_vpns_port(m):
    """TCP and UDP from the VPN's port, to ports of all sorts and to the VPN's"""
    kinds = (("udp", 7), ("udp", 443), ("udp", 1194), ("udp", 53), ("tcp", 80), ("tcp", 443))
    tally = Tally()
    for state in (UP, DOWN):
        m.bring(state)
        for kind in kinds:  # one at a time: they share the port
            tally += m.send(public((kind,), sport=1194, reuseport=True), all_seen=state == DOWN, timeout=0.2)
    m.check_works()
    return tally


@attack(COLUMNS)
def row06_the_transports_own_selector_by_an_ordinary_user(m):
    """to the VPN server's own address, port and protocol, by the user nobody, also from its port and bound"""
    def forged(record):
        return record.kind == "transport" and record.packet.payload.startswith(b"u" * 16)

    how = ({}, {"sport": 1194, "reuseport": True}, {"bind_device": "eth0"}, {"size": 3000})
    tally = Tally()
    for state in (UP, DOWN):
        m.bring(state)
        for each in how:
            tally += m.send([Probe("udp", SERVER, 1194, **each)], (NOBODY,), timeout=0.2, also=forged)
    m.check_works()
    return tally


@attack(COLUMNS)
def row09_other_traffic_to_the_vpns_server(m):
    """TunnelCrack ServerIP: TCP 80, 443 and 1194, UDP 53 and 443, ping to the VPN server's address"""
    kinds = (("tcp", 80), ("tcp", 443), ("tcp", 1194), ("udp", 53), ("udp", 443), ("icmp", 0))
    return m.both(public(kinds, (SERVER,)) + public(kinds, (SERVER,), bind_device="eth0"))


def transferring(m, arm):
    """A transfer by either family from before the kill switch was armed; what is on the wire of it afterwards."""
    if m.column == PRODUCT:
        m.nm.modify(VPN, "connection.zone", "")
    m.unprotect()
    if m.nm.state(VPN):
        m.disconnect()
    m.host.run("ip", "tcp_metrics", "flush", check=False)
    transfer = m.host.python("attack_send", "transfer", TARGET, TARGET6)
    ready = transfer.text().count("ready")
    wait_for(lambda: transfer.text().count("ready") > ready, 10, "the transfer runs")
    arm()
    mark = m.mark()
    tally = m.judge(mark, [], settle=2)
    check(transfer.alive() or m.column != NONE, f"the transfer goes on: {transfer.text()}")
    transfer.stop()
    tally.leaked = tally.packets - tally.asked
    tally.sent = 2
    tally.note = "packets of 2 transfers"
    return tally


def arm_in_any_column(m):
    if m.column == PRODUCT:
        m.nm.nmcli("connection", "modify", VPN, "connection.zone", "killswitch")
        # Without the guard it says, and exits so, that sockets bound to a device get out.
        m.host.run("nm-killswitch", "sync", check=False)
    elif m.column != NONE:
        # The tunnel's route cannot be made, as the VPN is down; the rest can.
        m.host.run("sh", "-c", "grep -q vpn1 /etc/iproute2/rt_tables || echo '83 vpn1' >>/etc/iproute2/rt_tables; "
                   "ip route add blackhole default table vpn1 metric 200; ip rule add not sport 1194 table vpn1; "
                   "ip rule add table main suppress_prefixlength 0")


@attack(COLUMNS)
def row13_transfers_begun_before_arming(m):
    """TCP transfers by IPv4 and IPv6 that were under way when the kill switch was turned on"""
    tally = transferring(m, lambda: arm_in_any_column(m))
    m.check_works()
    return tally


@attack(columns(NONE, PRODUCT))
def row13_transfers_begun_before_arming_without_the_guard(m):
    """the same with Guard=off: by routing alone"""
    if m.column == PRODUCT:
        m.host.write("/etc/nm-killswitch.conf", "[main]\nGuard=off\n")
    try:
        return transferring(m, lambda: arm_in_any_column(m))
    finally:
        if m.column == PRODUCT:
            m.host.write("/etc/nm-killswitch.conf", "")
            m.nm.stand_in_for_path_unit()
            m.check_works()


@attack(COLUMNS)
def row14_fragments(m):
    """3 kB UDP datagrams from and to the transport's port, and a bare second fragment"""
    tally = Tally()
    big = [Probe("udp", address, port, size=3000, **how) for address in (TARGET, TARGET6, SERVER)
           for port in (7, 1195) for how in ({}, {"bind_device": "eth0"})]
    for state in (UP, DOWN):
        m.bring(state)
        tally += m.send(big, all_seen=state == DOWN)
        for address in (TARGET, TARGET6):
            tally += m.send([Probe("udp", address, 7, size=3000, sport=1194, reuseport=True)], all_seen=state == DOWN)
        mark = m.mark()
        m.host.run(*netns.python_module("attack_send", "fragment", m.lab.lan.address, TARGET))
        m.host.run(*netns.python_module("attack_send", "fragment", m.lab.lan.address, SERVER))
        found = m.leaks(mark)
        tally += Tally(sent=2, leaked=len(found), packets=len(found), examples=[str(each) for each in found])
    m.check_works()
    return tally


@attack(columns(NONE, PRODUCT), control=False)
def row14_path_mtu(m):
    """a path to the server that carries 1300 bytes: large datagrams still get through the tunnel"""
    m.bring(UP)
    m.lab.router.run("ip", "link", "set", "wan", "mtu", "1300")
    try:
        mark = m.mark()
        for address in (TARGET, TARGET6):
            probe = Probe("udp", address, 7, size=3000)
            wait_for(lambda probe=probe: all(each.answered for each in probes.send(m.host, [probe], NOBODY)), 20,
                     f"3 kB get through the tunnel to {address}")
        return (m.judge(mark, []) if m.column == PRODUCT else Tally()) + Tally(note="works")
    finally:
        m.lab.router.run("ip", "link", "set", "wan", "mtu", "1500")
        m.host.run("ip", "route", "flush", "cache")


@attack(COLUMNS)
def row15_dns_to_the_router_and_llmnr(m):
    """DNS (UDP, TCP, TLS) to the router's resolver, also bound to the uplink, and LLMNR; mDNS must work"""
    lan = m.lab.lan
    kinds = LEAKS + ("dns-lan", "llmnr")
    ports = (("udp", 53), ("tcp", 53), ("tcp", 853), ("udp", 853), ("tcp", 5355), ("udp", 5355))
    wanted = public(ports, (lan.router, lan.router6)) + public(ports, (lan.router, lan.router6), bind_device="eth0")
    tally = Tally()
    for state in (UP, DOWN):
        m.bring(state)
        tally += m.send(wanted, kinds=kinds)
        tally += m.send_multicast(("224.0.0.252", "ff02::1:3"), 5355, "eth0", kinds=kinds)
        mark = m.mark()
        m.send_multicast(("224.0.0.251", "ff02::fb"), 5353, "eth0")
        with contextlib.suppress(TookTooLong):
            wait_for(lambda mark=mark: m.counts(mark)["mdns"] >= 4, 5, "mDNS")
        seen = m.counts(mark)["mdns"]
        check(seen == 4, f"{state}: mDNS must work: {seen} of 4 queries on the wire")
    m.check_works()
    return tally


@attack(columns(NONE, PRODUCT))
def row16_packets_for_the_tunnels_address_on_the_lan(m):
    """SYN, UDP, ping for the tunnel's address from the LAN, also from forged sources (CVE-2019-14899): answers"""
    m.bring(UP)
    m.host.sysctl(ipv4__conf__all__rp_filter=0, ipv4__conf__eth0__rp_filter=0)
    echo = m.host.python("echo", "udp:7777", "tcp:7777", "0.0.0.0", "::")
    wait_for(lambda: "ready" in echo.text(), 5, "the host listens")
    addresses = [info["local"] for link in m.host.ip_json("address", "show", "dev", "tun0")
                 for info in link["addr_info"] if info["scope"] == "global"]
    check(len(addresses) == 2, f"the tunnel has an address of each family: {addresses}")
    m.lab.internet.run("nft", "-f", "-", input="""
        table inet forged
        delete table inet forged
        table inet forged {
            counter answers {}
            chain prerouting {
                type filter hook prerouting priority -400; policy accept;
                iifname tun0 tcp sport { 7777, 7778 } counter name answers
            }
        }""")
    wanted = [Probe(*kind) for address in addresses
              for kind in (("tcp", address, 7777), ("tcp", address, 7778), ("udp", address, 7777), ("icmp", address))]
    for address in addresses:
        m.lab.router.run("ip", "route", "replace", address, "via",
                         m.lab.lan.address6 if ":" in address else m.lab.lan.address)
    mark = m.mark()
    probes.send(m.lab.router, wanted)
    for address, source in zip(addresses, (TARGET, TARGET6)):
        for port in (7777, 7778):
            m.lab.router.run(*netns.python_module("attack_send", "forged_syn", source, address, str(port), "5"))
    answers = [record for record in m.wires[0].since(mark[0], 0.5)
               if record.packet.src in addresses or record.kind in LEAKS]
    through = sum(each["counter"]["packets"] for each in
                  netns.json.loads(m.lab.internet.run("nft", "-j", "list", "counters").stdout)["nftables"]
                  if "counter" in each)
    for address in addresses:
        m.lab.router.run("ip", "route", "delete", address)
    echo.stop()
    m.check_works()
    packets = len(answers) + through
    return Tally(sent=len(wanted) + 20, leaked=packets, packets=packets, note=f"{through} of them through the tunnel"
                 if through else "", examples=[str(record) for record in answers[:5]])


@attack(COLUMNS)
def works_openvpn_comes_back(m):
    """what must work: the LAN while the VPN is down, and the VPN can be brought up again"""
    m.bring(DOWN)
    tally = m.send(public())
    tally.note = m.what_works()
    check(m.column != PRODUCT or not tally.note, tally.note)
    return tally


def set_up():
    for name, version in versions(COLUMNS[PRODUCT]()).items():
        fact(name, version)


if __name__ == "__main__":
    attack_record.main("OpenVPN", set_up)
