/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "selftest/ks-selftest-case.h"

#include "selftest/ks-selftest-answer.h"
#include "selftest/ks-selftest-packet.h"

#define UDP KS_SELFTEST_UDP
#define TCP KS_SELFTEST_TCP
#define ICMP KS_SELFTEST_ICMP
#define ALL (UDP | TCP | ICMP)

#define TO(v4, v6) .to4 = (v4), .to6 = (v6)
/* No program listens there: a connection attempt ends at once, and its ports are free again. */
#define PUBLIC TO (KS_SELFTEST_PUBLIC, KS_SELFTEST_PUBLIC6), .port = 80
#define SERVER TO (KS_SELFTEST_SERVER, KS_SELFTEST_SERVER6)
#define ROUTER TO (KS_SELFTEST_ROUTER, KS_SELFTEST_ROUTER6)
#define BIG .size = 3000

#define ATTACK KS_SELFTEST_ATTACK
#define BOUND KS_SELFTEST_ATTACK_BOUND
#define GUARD KS_SELFTEST_ATTACK_GUARD
#define WORKS KS_SELFTEST_WORKS

/*
 * Each line is a case, tried with each of its protocols and destinations. The
 * name says what a user would want to know.
 */
const KsSelftestCase ks_selftest_cases[] = {
  /* ordinary programs */
  { "traffic to the Internet, as root", ATTACK, ALL, PUBLIC },
  { "traffic to the Internet, as another user", ATTACK, ALL, PUBLIC, .other_user = TRUE },
  { "traffic through the tunnel, with an answer", ATTACK, UDP, TO (KS_SELFTEST_PUBLIC, KS_SELFTEST_PUBLIC6),
    .port = KS_SELFTEST_ANSWER_PORT, .exchange = TRUE },
  { "connections opened before arming", KS_SELFTEST_ATTACK_OLD, UDP | TCP, TO (KS_SELFTEST_PUBLIC, KS_SELFTEST_PUBLIC6),
    .port = KS_SELFTEST_TCP_PORT },

  /* sockets that name a device or an address; the router answers for every address, as with proxy ARP */
  { "bound socket (SO_BINDTODEVICE), router with proxy ARP", BOUND, ALL, PUBLIC, .socket = KS_SELFTEST_BOUND },
  { "bound socket (SO_BINDTODEVICE), as another user", BOUND, ALL, PUBLIC, .socket = KS_SELFTEST_BOUND,
    .other_user = TRUE },
  { "bound socket that treats all addresses as on-link (SO_DONTROUTE)", BOUND, ALL, .to4 = KS_SELFTEST_PUBLIC,
    .port = 443, .socket = KS_SELFTEST_BOUND_ON_LINK },
  { "IP_UNICAST_IF, IPV6_UNICAST_IF", BOUND, UDP | ICMP, PUBLIC, .socket = KS_SELFTEST_UNICAST_IF },
  { "IP_UNICAST_IF, IPV6_UNICAST_IF, as another user", BOUND, UDP, PUBLIC, .socket = KS_SELFTEST_UNICAST_IF,
    .other_user = TRUE },
  { "IP_PKTINFO, IPV6_PKTINFO", BOUND, UDP | ICMP, PUBLIC, .socket = KS_SELFTEST_PKTINFO },
  { "IP_PKTINFO, IPV6_PKTINFO, as another user", BOUND, UDP, PUBLIC, .socket = KS_SELFTEST_PKTINFO,
    .other_user = TRUE },
  { "socket with the LAN's address", ATTACK, UDP | TCP, PUBLIC, .socket = KS_SELFTEST_SOURCE },
  { "multicast beyond the site (IP_MULTICAST_IF)", GUARD, UDP, TO ("233.252.0.1", "ff0e::db8:1"), .port = 9,
    .socket = KS_SELFTEST_MULTICAST_IF },

  /* imitations of a transport */
  { "udp from the VPN's port, as root", ATTACK, UDP, PUBLIC, .sport = KS_SELFTEST_WIREGUARD_PORT },
  { "udp in fragments from the VPN's port, as root", ATTACK, UDP, PUBLIC, .sport = KS_SELFTEST_WIREGUARD_PORT, BIG },
  { "tcp from the VPN's port, as root", ATTACK, TCP, PUBLIC, .sport = KS_SELFTEST_WIREGUARD_PORT },
  { "udp and tcp from the VPN's port, as another user", ATTACK, UDP | TCP, PUBLIC, .sport = KS_SELFTEST_WIREGUARD_PORT,
    .other_user = TRUE },
  { "udp in fragments from the VPN's port, as another user", ATTACK, UDP, PUBLIC, .sport = KS_SELFTEST_WIREGUARD_PORT,
    .other_user = TRUE, BIG },
  { "other traffic to the VPN's server (ServerIP)", ATTACK, ALL, SERVER, .port = 443 },
  { "tcp to the VPN's port of its server", ATTACK, TCP, SERVER, .port = KS_SELFTEST_SERVER_PORT },
  { "udp to the VPN's port of its server, as another user", ATTACK, UDP, SERVER, .port = KS_SELFTEST_SERVER_PORT,
    .other_user = TRUE, .classes = KS_SELFTEST_TRANSPORT },

  /* name resolution */
  { "DNS to the router", ATTACK, TCP, ROUTER, .port = 53 },
  { "DNS to the router, over UDP", GUARD, UDP, ROUTER, .port = 53 },
  { "a user's name in DNS, as another user (the resolver's)", GUARD, UDP, ROUTER, .port = 53, .other_user = TRUE,
    .name_asked = "private.example" },
  { "DNS over TLS or QUIC to the router", ATTACK, UDP | TCP, ROUTER, .port = 853 },
  { "LLMNR", GUARD, UDP, TO ("224.0.0.252", "ff02::1:3"), .port = 5355, .socket = KS_SELFTEST_MULTICAST_IF },

  /* addresses and routes announced by the LAN */
  { "private address in the tunnel, shadowed by a LAN route", ATTACK, ALL, TO ("10.8.0.1", "fd08::1"), .port = 443,
    .routes = "10.8.0.1/32 fd08::1/128" },
  { "LAN routes for half of the Internet (TunnelVision)", ATTACK, ALL, PUBLIC,
    .routes = "0.0.0.0/1 128.0.0.0/1 ::/1 8000::/1" },
  { "LAN route for one address (TunnelVision)", ATTACK, ALL, PUBLIC,
    .routes = KS_SELFTEST_PUBLIC "/32 " KS_SELFTEST_PUBLIC6 "/128" },
  { "public addresses as the LAN's own (LocalNet)", ATTACK, ALL, TO (KS_SELFTEST_ON_LINK, KS_SELFTEST_ON_LINK6),
    .port = 443, .addresses = "198.51.101.2/24 2001:db8:101::2/64" },
  { "answers for the tunnel's address to the LAN", KS_SELFTEST_ATTACK_IN, TCP | ICMP, TO ("10.8.0.2", "fd08::2"),
    .port = 443, .place = KS_SELFTEST_AT_ROUTER },

  /* a container or virtual machine behind the host */
  { "forwarded traffic to the Internet", ATTACK, ALL, PUBLIC, .place = KS_SELFTEST_AT_GUEST },
  { "forwarded fragments from the VPN's port", ATTACK, UDP, PUBLIC, .sport = KS_SELFTEST_WIREGUARD_PORT, BIG,
    .place = KS_SELFTEST_AT_GUEST },
  { "forwarded traffic to the VPN's port of its server", GUARD, UDP, SERVER, .port = KS_SELFTEST_SERVER_PORT,
    .place = KS_SELFTEST_AT_GUEST, .classes = KS_SELFTEST_TRANSPORT },
  { "forwarded DNS to the router", ATTACK, TCP, ROUTER, .port = 53, .place = KS_SELFTEST_AT_GUEST },
  { "forwarded DNS to the router, over UDP", GUARD, UDP, ROUTER, .port = 53, .place = KS_SELFTEST_AT_GUEST },

  /* what has to work all the time */
  { "works: the local network, with an answer", WORKS, UDP, ROUTER, .port = KS_SELFTEST_ANSWER_PORT, .exchange = TRUE,
    .classes = KS_SELFTEST_LAN_TRAFFIC },
  { "works: the local network, as another user", WORKS, ALL, ROUTER, .port = 80, .other_user = TRUE,
    .classes = KS_SELFTEST_LAN_TRAFFIC },
  { "works: the local network, forwarded", WORKS, ALL, ROUTER, .port = 80, .place = KS_SELFTEST_AT_GUEST,
    .classes = KS_SELFTEST_LAN_TRAFFIC },
  { "works: mDNS", WORKS, UDP, TO ("224.0.0.251", "ff02::fb"), .port = 5353, .classes = KS_SELFTEST_LAN_TRAFFIC },
  { "works: mDNS (IP_MULTICAST_IF)", WORKS, UDP, TO ("224.0.0.251", "ff02::fb"), .port = 5353,
    .socket = KS_SELFTEST_MULTICAST_IF, .classes = KS_SELFTEST_LAN_TRAFFIC },
  { "works: DHCP renewal", WORKS, UDP, .to4 = KS_SELFTEST_PUBLIC, .sport = 68, .port = 67,
    .classes = KS_SELFTEST_DHCP },
  { "works: DHCPv6 renewal", WORKS, UDP, .to6 = KS_SELFTEST_PUBLIC6, .sport = 546, .port = 547,
    .classes = KS_SELFTEST_DHCP },
  { "works: the VPN's own transport, with an answer", WORKS, UDP, SERVER, .port = KS_SELFTEST_SERVER_PORT,
    .exchange = TRUE, .classes = KS_SELFTEST_TRANSPORT },
  { "works: the VPN's own transport, strict reverse-path filter", WORKS, UDP, .to4 = KS_SELFTEST_SERVER,
    .port = KS_SELFTEST_SERVER_PORT, .exchange = TRUE, .classes = KS_SELFTEST_TRANSPORT, .strict = TRUE },
  { "works: the VPN's own transport, in fragments", WORKS, UDP, SERVER, .port = KS_SELFTEST_SERVER_PORT, BIG,
    .classes = KS_SELFTEST_TRANSPORT },
  { "works: the server's name in DNS, as another user (the resolver's)", KS_SELFTEST_WORKS_DOWN, UDP, ROUTER,
    .port = 53, .other_user = TRUE, .name_asked = KS_SELFTEST_SERVER_NAME, .classes = KS_SELFTEST_LEAK },
};

const guint ks_selftest_n_cases = G_N_ELEMENTS (ks_selftest_cases);

gboolean
ks_selftest_case_is_work (const KsSelftestCase *self)
{
  return self->kind == KS_SELFTEST_WORKS || self->kind == KS_SELFTEST_WORKS_DOWN;
}

KsSelftestExpectation
ks_selftest_case_expectation (const KsSelftestCase *self, int family, KsSelftestState state)
{
  enum { N = KS_SELFTEST_NOT_TRIED, L = KS_SELFTEST_LEAVES, S = KS_SELFTEST_STOPPED, T = KS_SELFTEST_TUNNELLED };
  /* off, blocking, up, lost, guard alone, rules alone, off again */
  static const guint8 expectations[][KS_SELFTEST_N_STATES] = {
    [KS_SELFTEST_ATTACK] = { L, S, T, S, S, S, L },       [KS_SELFTEST_ATTACK_BOUND] = { L, S, S, S, S, S, L },
    [KS_SELFTEST_ATTACK_GUARD] = { L, S, S, S, S, N, L }, [KS_SELFTEST_ATTACK_OLD] = { L, S, S, S, S, S, N },
    [KS_SELFTEST_ATTACK_IN] = { L, N, S, N, N, N, L },    [KS_SELFTEST_WORKS] = { L, L, L, L, L, L, L },
    [KS_SELFTEST_WORKS_DOWN] = { L, L, N, N, L, L, L },
  };

  /* IPv4: the kernel takes a failed lookup with a device as "on link", and no rule can stop that */
  if (self->kind == KS_SELFTEST_ATTACK_BOUND && family == AF_INET && state == KS_SELFTEST_RULES_ALONE)
    return KS_SELFTEST_NOT_TRIED;
  return expectations[self->kind][state];
}

static int
protocol_number (guint protocol, int family)
{
  switch (protocol) {
  case KS_SELFTEST_UDP:
    return IPPROTO_UDP;
  case KS_SELFTEST_TCP:
    return IPPROTO_TCP;
  default:
    return family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
  }
}

gboolean
ks_selftest_case_probe (const KsSelftestCase *self, int family, guint protocol, KsSelftestProbe *out)
{
  const char *to = family == AF_INET6 ? self->to6 : self->to4;
  gboolean has_ports = protocol != KS_SELFTEST_ICMP;

  if (!to || !(self->protocols & protocol))
    return FALSE;
  *out = (KsSelftestProbe){
    .ip_protocol = protocol_number (protocol, family),
    .port = has_ports ? self->port : 0,
    .sport = has_ports ? self->sport : 0,
    .socket = self->socket,
    .device = KS_SELFTEST_UPLINK,
    .size = self->size,
    .connected = self->kind == KS_SELFTEST_ATTACK_OLD,
    .other_user = self->other_user,
    .name = self->name_asked,
  };
  return ks_prefix_parse (to, &out->to, NULL)
         && ks_prefix_parse (family == AF_INET6 ? KS_SELFTEST_HOST6 : KS_SELFTEST_HOST, &out->source, NULL);
}

gboolean
ks_selftest_state_is_armed (KsSelftestState state)
{
  return state != KS_SELFTEST_OFF && state != KS_SELFTEST_OFF_AGAIN;
}

const char *
ks_selftest_state_format (KsSelftestState state)
{
  static const char *const words[] = {
    [KS_SELFTEST_OFF] = "without the kill switch",
    [KS_SELFTEST_BLOCKING] = "armed, no tunnel",
    [KS_SELFTEST_UP] = "armed, tunnel up",
    [KS_SELFTEST_LOST] = "tunnel deleted",
    [KS_SELFTEST_GUARD_ALONE] = "rules flushed, guard alone",
    [KS_SELFTEST_RULES_ALONE] = "guard deleted, rules alone",
    [KS_SELFTEST_OFF_AGAIN] = "disarmed again",
  };

  return words[state];
}
