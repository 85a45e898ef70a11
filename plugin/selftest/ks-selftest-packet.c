/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "selftest/ks-selftest-packet.h"

#include <linux/if_ether.h>
#include <netinet/icmp6.h>
#include <string.h>

#define DHCP_CLIENT 68
#define DHCP_SERVER 67
#define DHCP6_CLIENT 546
#define DHCP6_SERVER 547

/* --- parsing: every length is checked --- */

static guint16
get_u16 (const guint8 *bytes)
{
  return (guint16) (bytes[0] << 8 | bytes[1]);
}

static void
parse_arp (const guint8 *bytes, gsize length, KsSelftestPacket *out)
{
  if (length < 28)
    return;
  /* a reply has the router's own address, in the LAN, as its target */
  out->to = ks_prefix_from_bytes (AF_INET, bytes + 24, 32);
  out->is_question = TRUE;
}

static void
parse_icmp6 (const guint8 *bytes, gsize length, KsSelftestPacket *out)
{
  if (length < 1)
    return;
  switch (bytes[0]) {
  case ND_NEIGHBOR_SOLICIT:
    if (length >= 24) {
      out->to = ks_prefix_from_bytes (AF_INET6, bytes + 8, 128);
      out->is_question = TRUE;
    }
    break;
  case ND_ROUTER_SOLICIT:
  case ND_NEIGHBOR_ADVERT:
  case MLD_LISTENER_REPORT:
  case MLD_LISTENER_REDUCTION:
  case 143: /* version 2 report, RFC 3810 */
    out->is_link = TRUE;
    break;
  default:
    break;
  }
}

static void
parse_transport (const guint8 *bytes, gsize length, KsSelftestPacket *out)
{
  switch (out->ip_protocol) {
  case IPPROTO_ICMPV6:
    parse_icmp6 (bytes, length, out);
    break;
  case IPPROTO_IGMP:
    out->is_link = TRUE;
    break;
  case IPPROTO_TCP:
  case IPPROTO_UDP:
    if (length >= 4) {
      out->sport = get_u16 (bytes);
      out->dport = get_u16 (bytes + 2);
    }
    break;
  default:
    break;
  }
}

static void
parse_ip4 (const guint8 *bytes, gsize length, KsSelftestPacket *out)
{
  gsize header = length >= 20 ? (gsize) (bytes[0] & 15) * 4 : 0;

  if (header < 20 || header > length)
    return;
  out->from = ks_prefix_from_bytes (AF_INET, bytes + 12, 32);
  out->to = ks_prefix_from_bytes (AF_INET, bytes + 16, 32);
  out->ip_protocol = bytes[9];
  out->is_later_fragment = (get_u16 (bytes + 6) & 0x1fff) != 0;
  if (!out->is_later_fragment)
    parse_transport (bytes + header, length - header, out);
}

static void
parse_ip6 (const guint8 *bytes, gsize length, KsSelftestPacket *out)
{
  gsize at = 40;
  guint8 next;

  if (length < at)
    return;
  out->from = ks_prefix_from_bytes (AF_INET6, bytes + 8, 128);
  out->to = ks_prefix_from_bytes (AF_INET6, bytes + 24, 128);
  next = bytes[6];
  while ((next == IPPROTO_HOPOPTS || next == IPPROTO_DSTOPTS || next == IPPROTO_FRAGMENT) && length >= at + 8) {
    gsize size = next == IPPROTO_FRAGMENT ? 8 : (gsize) (bytes[at + 1] + 1) * 8;

    out->is_later_fragment = out->is_later_fragment || (next == IPPROTO_FRAGMENT && get_u16 (bytes + at + 2) >> 3);
    next = bytes[at];
    at += size;
  }
  out->ip_protocol = next;
  if (!out->is_later_fragment && at < length)
    parse_transport (bytes + at, length - at, out);
}

KsSelftestPacket
ks_selftest_packet_parse (guint16 ethertype, const guint8 *bytes, gsize length)
{
  KsSelftestPacket packet = { .ethertype = ethertype };

  switch (ethertype) {
  case ETH_P_ARP:
    parse_arp (bytes, length, &packet);
    break;
  case ETH_P_IP:
    parse_ip4 (bytes, length, &packet);
    break;
  case ETH_P_IPV6:
    parse_ip6 (bytes, length, &packet);
    break;
  case KS_SELFTEST_MARKER:
    if (length >= sizeof packet.serial)
      memcpy (&packet.serial, bytes, sizeof packet.serial);
    break;
  default:
    break;
  }
  return packet;
}

/* --- classification --- */

static gboolean
is_in (const KsPrefix *address, const char *const *prefixes, guint count)
{
  for (guint i = 0; i < count; i++) {
    KsPrefix prefix;

    if (ks_prefix_is_set (address) && ks_prefix_parse (prefixes[i], &prefix, NULL)
        && ks_prefix_contains (&prefix, address))
      return TRUE;
  }
  return FALSE;
}

/* The tunnel's own addresses, which must not be on the wire, in either direction. */
static gboolean
is_tunnels (const KsPrefix *address)
{
  static const char *const prefixes[] = { KS_SELFTEST_TUNNEL, KS_SELFTEST_TUNNEL6 };

  return is_in (address, prefixes, G_N_ELEMENTS (prefixes));
}

static gboolean
is_private (const KsPrefix *address)
{
  static const char *const prefixes[] = {
    "10.0.0.0/8",      "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "224.0.0.0/24", "239.255.0.0/16",
    "255.255.255.255", "fc00::/7",      "fe80::/10",      "ff01::/16",      "ff02::/16",    "ff05::/16",
  };

  return is_in (address, prefixes, G_N_ELEMENTS (prefixes));
}

static gboolean
is_server (const KsPrefix *address)
{
  static const char *const servers[] = { KS_SELFTEST_SERVER, KS_SELFTEST_SERVER6 };

  return is_in (address, servers, G_N_ELEMENTS (servers));
}

/* Name queries outside the tunnel: DNS, DNS over TLS and QUIC, LLMNR. */
static gboolean
is_dns (const KsSelftestPacket *packet)
{
  return packet->dport == 53 || packet->dport == 853 || packet->dport == 5355;
}

static gboolean
is_dhcp (const KsSelftestPacket *packet)
{
  return packet->ip_protocol == IPPROTO_UDP
         && ((packet->sport == DHCP_CLIENT && packet->dport == DHCP_SERVER)
             || (packet->sport == DHCP6_CLIENT && packet->dport == DHCP6_SERVER));
}

KsSelftestClass
ks_selftest_packet_classify (const KsSelftestPacket *self)
{
  if (is_tunnels (&self->from) || is_tunnels (&self->to))
    return KS_SELFTEST_LEAK;
  if (self->is_link || (self->is_question && is_private (&self->to)))
    return KS_SELFTEST_LINK;
  if (is_dhcp (self))
    return KS_SELFTEST_DHCP;
  if (is_server (&self->to) && self->ip_protocol == IPPROTO_UDP
      && (self->dport == KS_SELFTEST_SERVER_PORT || self->is_later_fragment))
    return KS_SELFTEST_TRANSPORT;
  if (!is_dns (self) && !self->is_question && is_private (&self->to))
    return KS_SELFTEST_LAN_TRAFFIC;
  return KS_SELFTEST_LEAK;
}

/* --- for people --- */

char *
ks_selftest_protocol_format (guint8 ip_protocol)
{
  switch (ip_protocol) {
  case IPPROTO_UDP:
    return g_strdup ("udp");
  case IPPROTO_TCP:
    return g_strdup ("tcp");
  case IPPROTO_ICMP:
  case IPPROTO_ICMPV6:
    return g_strdup ("icmp");
  default:
    return g_strdup_printf ("protocol %u", ip_protocol);
  }
}

char *
ks_selftest_packet_format (const KsSelftestPacket *self)
{
  g_autofree char *protocol = ks_selftest_protocol_format (self->ip_protocol);
  g_autofree char *from = NULL;
  g_autofree char *to = NULL;
  g_autofree char *port = self->dport ? g_strdup_printf (" port %u", self->dport) : g_strdup ("");

  if (!ks_prefix_is_set (&self->to))
    return g_strdup_printf ("frame of type 0x%04x", self->ethertype);
  to = ks_prefix_format_address (&self->to);
  if (self->is_question)
    return g_strdup_printf ("%s for %s", self->ethertype == ETH_P_ARP ? "ARP request" : "neighbour solicitation", to);
  from = ks_prefix_format_address (&self->from);
  return g_strdup_printf ("%s%s %s -> %s%s", protocol, self->is_later_fragment ? " fragment" : "", from, to, port);
}
