#!/usr/bin/env python3
"""The same attacks on WireGuard, in the virtual machine, captured from outside; and repair, which needs systemd.

One boot: a column is measured in one go (kstest/attack_vm.py), and each test looks at its case.
"""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import attack_record, attack_vm
from kstest.attack_record import ARTICLE, NONE, PRODUCT, WG_QUICK, attack, fact

_made = {}


def set_up():
    _made["vm"] = attack_vm.AttackVm()
    for name, version in _made["vm"].versions().items():
        fact(name, version)


def columns(*names):
    return {name: (lambda name=name: _made["vm"].column(name)) for name in names or (NONE, ARTICLE, WG_QUICK, PRODUCT)}


COLUMNS = columns()


@attack(COLUMNS)
def row01_tunnel_deleted(cases):
    """the tunnel's device is deleted, under a flood"""
    return cases["row01_tunnel_deleted"]


@attack(COLUMNS)
def row01_ordinary_sockets(cases):
    """ordinary sockets, VPN up and lost"""
    return cases["row01_ordinary_sockets"]


@attack(COLUMNS)
def row05_bound_socket_so_bindtodevice(cases):
    """a socket bound to the uplink (SO_BINDTODEVICE); the router does proxy ARP"""
    return cases["row05_bound_socket_so_bindtodevice"]


@attack(COLUMNS)
def row05_bound_socket_unicast_if(cases):
    """IP_UNICAST_IF, IPV6_UNICAST_IF"""
    return cases["row05_bound_socket_unicast_if"]


@attack(COLUMNS)
def row05_bound_socket_pktinfo(cases):
    """IP_PKTINFO, IPV6_PKTINFO"""
    return cases["row05_bound_socket_pktinfo"]


@attack(COLUMNS)
def row06_from_the_vpns_port(cases):
    """TCP and UDP from WireGuard's port, VPN up and lost, by an ordinary user and by root"""
    return cases["row06_from_the_vpns_port"]


@attack(COLUMNS)
def row07_tunnelvision(cases):
    """DHCP option 121 with 0.0.0.0/1, 128.0.0.0/1 and a /32 (CVE-2024-3661)"""
    return cases["row07_tunnelvision"]


@attack(COLUMNS)
def row08_tunnelcrack_localnet(cases):
    """the LAN claims public subnets, IPv4 and IPv6 (CVE-2023-36672, CVE-2023-35838)"""
    return cases["row08_tunnelcrack_localnet"]


@attack(COLUMNS)
def row09_other_traffic_to_the_vpns_server(cases):
    """TunnelCrack ServerIP: TCP 80 and 443, UDP 53 and 443 to the VPN server's address"""
    return cases["row09_other_traffic_to_the_vpns_server"]


@attack(COLUMNS)
def row10_private_addresses_of_the_tunnel_shadowed(cases):
    """DHCP option 121 and RFC 4191 routes for the provider's private DNS server"""
    return cases["row10_private_addresses_of_the_tunnel_shadowed"]


@attack(COLUMNS)
def row11_more_specific_routes(cases):
    """RFC 4191 routes for 2000::/3 and a /64 around the destination"""
    return cases["row11_more_specific_routes"]


@attack(COLUMNS)
def row12_forwarded_masqueraded(cases):
    """a container behind the host, masqueraded"""
    return cases["row12_forwarded_masqueraded"]


@attack(columns(NONE, ARTICLE, PRODUCT))
def row13_transfers_begun_before_arming(cases):
    """TCP transfers by IPv4 and IPv6 that were under way when the kill switch was turned on"""
    return cases["row13_transfers_begun_before_arming"]


@attack(COLUMNS)
def row14_fragments(cases):
    """3 kB UDP datagrams"""
    return cases["row14_fragments"]


@attack(COLUMNS)
def row15_dns_to_the_router(cases):
    """DNS (UDP, TCP, TLS) to the router's resolver"""
    return cases["row15_dns_to_the_router"]


@attack(COLUMNS)
def row16_packets_for_the_tunnels_address_on_the_lan(cases):
    """SYN, UDP, ping for the tunnel's address from the LAN, also from forged sources (CVE-2019-14899): answers"""
    return cases["row16_packets_for_the_tunnels_address_on_the_lan"]


@attack(columns(PRODUCT))
def row17_one_layer_ip_rule_flush(cases):
    """ip rule flush under a flood; the heal unit puts everything back"""
    return cases["row17_one_layer_ip_rule_flush"]


@attack(columns(PRODUCT))
def row17_one_layer_route_flush(cases):
    """ip route flush of tables 83 to 86 under a flood; the heal unit puts everything back"""
    return cases["row17_one_layer_route_flush"]


@attack(columns(PRODUCT))
def row17_one_layer_nft_flush(cases):
    """nft flush ruleset under a flood; the heal unit puts everything back"""
    return cases["row17_one_layer_nft_flush"]


@attack(columns(PRODUCT), judged=False)
def row17_both_layers_at_once(cases):
    """rules and nftables flushed at once, the VPN lost, under a flood: what gets out until they are back"""
    return cases["row17_both_layers_at_once"]


@attack(COLUMNS, control=False)
def row20_strict_reverse_path_filtering(cases):
    """rp_filter=1 on every device: the VPN works"""
    return cases["row20_strict_reverse_path_filtering"]


@attack(columns(PRODUCT))
def everything_else(cases):
    """packets that belong to none of the probes"""
    return cases["everything_else"]


@attack(COLUMNS, control=False)
def works_the_lan_and_the_vpn(cases):
    """what must work: the LAN with the VPN up and lost, the VPN comes back after each loss"""
    return cases["works_the_lan_and_the_vpn"]


if __name__ == "__main__":
    attack_record.main("WireGuard", set_up)
