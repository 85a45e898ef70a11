/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A packet as the router or the tunnel's other end sees it, and how it is
 * classified. Values, no I/O.
 */
#pragma once

#include "value/ks-prefix.h"

/* The ethertype of the marker frames, before which everything sent earlier arrives (IEEE 802 local experiments). */
#define KS_SELFTEST_MARKER 0x88b5

/* The address plan; ks-selftest-net.c draws it. Public addresses are those reserved for documentation. */
#define KS_SELFTEST_SERVER "203.0.113.10"
#define KS_SELFTEST_SERVER6 "2001:db8:113::10"
#define KS_SELFTEST_SERVER_PORT 1194
/* The WireGuard profile's port, which a program may try to use as its source port. */
#define KS_SELFTEST_WIREGUARD_PORT 51820
#define KS_SELFTEST_PUBLIC "198.51.100.1"
#define KS_SELFTEST_PUBLIC6 "2001:db8:1::1"
#define KS_SELFTEST_ON_LINK "198.51.101.1"
#define KS_SELFTEST_ON_LINK6 "2001:db8:101::1"
#define KS_SELFTEST_ROUTER "192.168.77.1"
#define KS_SELFTEST_SERVER_NAME "vpn.example"
#define KS_SELFTEST_ROUTER6 "fd77::1"
#define KS_SELFTEST_HOST "192.168.77.2"
#define KS_SELFTEST_HOST6 "fd77::2"
#define KS_SELFTEST_TUNNEL_ADDRESS "10.8.0.2/24"
#define KS_SELFTEST_TUNNEL_ADDRESS6 "fd08::2/64"
#define KS_SELFTEST_TUNNEL "10.8.0.0/24"
#define KS_SELFTEST_TUNNEL6 "fd08::/64"

typedef struct {
  guint16 ethertype; /* host byte order */
  guint8 ip_protocol; /* IPPROTO_*; 0 for ARP */
  gboolean is_question; /* ARP or neighbour discovery asks for @to */
  gboolean is_link; /* neighbour discovery, multicast listener reports, IGMP: what a link needs */
  gboolean is_later_fragment; /* a fragment without ports */
  KsPrefix from; /* unset in ARP */
  KsPrefix to; /* the destination, or the address asked for */
  guint16 sport; /* 0 for none */
  guint16 dport;
  guint32 serial; /* of a marker */
} KsSelftestPacket;

/* What a packet on the wire is while armed. Bits, for sets of them. */
typedef enum {
  KS_SELFTEST_LEAK = 1 << 0, /* none of those below */
  KS_SELFTEST_LAN_TRAFFIC = 1 << 1,
  KS_SELFTEST_TRANSPORT = 1 << 2, /* the VPN's own, to its server's port */
  KS_SELFTEST_DHCP = 1 << 3,
  KS_SELFTEST_LINK = 1 << 4, /* ARP and neighbour discovery for the LAN, and similar */
} KsSelftestClass;

/* Parses what follows the link-layer header. A packet that is too short or unknown has no addresses: a leak. */
KsSelftestPacket ks_selftest_packet_parse (guint16 ethertype, const guint8 *bytes, gsize length);
KsSelftestClass ks_selftest_packet_classify (const KsSelftestPacket *self);
/* "udp 192.168.77.2 -> 198.51.100.1:443", "ARP request for 198.51.100.1" (transfer full). */
char *ks_selftest_packet_format (const KsSelftestPacket *self);

/* "udp", "tcp", "icmp" (of both families), or "protocol N" (transfer full). */
char *ks_selftest_protocol_format (guint8 ip_protocol);
