/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guard lets out, and why.
 *
 * Routing is blind to a socket bound to a device (IPv4 takes a failed lookup
 * with a device as "on link"), to foreign rules that come first, and to a flush
 * of our rules. The guard judges the packet itself:
 *
 *   postrouting   accepts: the tunnels; lo; transports; queries for the servers'
 *                 names; replies to ManagementFrom=; DHCP; neighbour discovery;
 *                 the LAN. Everything else is counted and dropped.
 *   forward       accepts the tunnels and the LAN. Everything else is counted
 *                 and dropped.
 *   prerouting    drops packets to a tunnel's address that arrive elsewhere
 *                 (CVE-2019-14899), before connection tracking. Marks packets
 *                 from the VPNs' servers, unless they have a mark, for other
 *                 programs' reverse-path filters (ks-policy.c, "Answers").
 *
 * Postrouting rather than output: a mangle chain (`type route hook output`) or
 * destination NAT may redirect a packet after it was routed, and other chains
 * at output still see the old device. In postrouting, device and destination
 * are final, and the source is still the program's own, since source NAT comes
 * later (priority 100). It also comes before neighbour resolution, so a dropped
 * packet causes no ARP request. Forwarded packets pass postrouting too, so a
 * chain at forward denies them what only the host itself may do. The priority
 * decides nothing: an accept holds for this table only, and a drop is final.
 * Connection state is not used, except for ManagementFrom=: a connection opened
 * before arming is no exception.
 *
 * The tunnel of an unarmed VPN is recognised by its kind, even before one of
 * our runs has seen it: it is not the LAN, whatever its addresses are. A
 * transport may leave through it, as through any uplink. A transport inside
 * another VPN's tunnel leaves through that tunnel and needs no line.
 *
 * A tunnel is identified by its index, not its name: a device that was deleted
 * and created again, by anyone, is a different one until the policy says so.
 *
 * ks-guard-transports.c says who may send a transport, ks-guard-queries.c which
 * names may be queried.
 *
 * ManagementFrom=: accepts replies, as connection tracking sees them, in a
 * connection whose first packet came from one of the prefixes, if the source is
 * an address of the device they leave through. The state must be "established":
 * a connection that has been or is being answered, not a new one that belongs
 * to it ("related"). What the host sends first is never a reply, and since it
 * is dropped here, before connection tracking confirms it, it leaves no entry
 * that would make it one later. In a connection from before arming that was
 * never tracked, the peer has to speak first (run, 6.18). If the source of a
 * packet is forged, the answer goes to the prefix and nothing else does. A
 * program asked from there can answer; no program can start a connection.
 *
 * A packet that IPsec is about to encrypt passes postrouting twice, in plain
 * text first: it is accepted there if IPsec encrypts a transport, and the
 * encrypted packet is judged. Traffic that is a transport only inside IPsec has
 * no line of its own: in plain text it is dropped.
 *
 * Indices, addresses and protocols are written as numbers: /etc/protocols may
 * be missing. A server's name is written as the number that its bytes form: no
 * name enters the text literally, so no name can break it.
 */
#include "policy/ks-guard-format.h"

#include <string.h>

#include "policy/ks-guard-builder.h"
#include "value/ks-interface.h"

/* The index of lo in every network namespace: LOOPBACK_IFINDEX of the kernel's include/net/flow.h. */
#define LOOPBACK 1u
/* Up to this many tunnels get a line each; more go into a set. */
#define TUNNEL_LINES 2

#define DNS_PORTS "53, 853, 5355"

/*
 * Multicast that stays on the link or in the site, and broadcast. IPv6: scopes
 * interface, link and site, well-known and transient.
 */
static const char *const lan_groups[] = {
  "224.0.0.0/24", "239.255.0.0/16", "255.255.255.255", "ff01::/16", "ff02::/16",
  "ff05::/16",    "ff11::/16",      "ff12::/16",       "ff15::/16",
};

static void
add_set (GString *out, const char *name, int family, GArray *prefixes)
{
  g_autofree char *elements = ks_guard_format_elements (family, prefixes);

  g_string_append_printf (out, "  set %s {\n    type %s\n    flags interval\n", name,
                          family == AF_INET6 ? "ipv6_addr" : "ipv4_addr");
  if (elements)
    g_string_append_printf (out, "    elements = %s\n", elements);
  g_string_append (out, "  }\n");
}

static gboolean
is_tunnel_route (const KsPolicy *policy, const KsRoute *route)
{
  for (guint i = 0; i < policy->tunnels->len; i++)
    if (ks_route_uses (route, ((const KsPolicyTunnel *) policy->tunnels->pdata[i])->ifindex))
      return TRUE;
  return FALSE;
}

/* The LAN's prefixes; with Lan=routes also those of table 85, the copy of main, except for its default route. */
static GArray *
lan_prefixes (const KsPolicy *policy)
{
  GArray *prefixes = g_array_new (FALSE, FALSE, sizeof (KsPrefix));

  if (policy->lan == KS_LAN_OFF)
    return prefixes;
  for (guint i = 0; i < policy->lan_prefixes->len; i++)
    ks_guard_collect (prefixes, &g_array_index (policy->lan_prefixes, KsPrefix, i));
  for (guint i = 0; i < G_N_ELEMENTS (lan_groups); i++) {
    KsPrefix group;

    if (ks_prefix_parse (lan_groups[i], &group, NULL))
      ks_guard_collect (prefixes, &group);
  }
  for (guint i = 0; policy->lan == KS_LAN_ROUTES && i < policy->routes->len; i++) {
    const KsRoute *route = &g_array_index (policy->routes, KsRoute, i);

    if (route->table == policy->uplink_table && route->type == RTN_UNICAST && route->dst.length > 0
        && !is_tunnel_route (policy, route))
      ks_guard_collect (prefixes, &route->dst);
  }
  return prefixes;
}

/* What belongs into the tunnel although it looks like the LAN: the prefixes that have a blackhole in table 84. */
static GArray *
shadowed_prefixes (const KsPolicy *policy)
{
  GArray *prefixes = g_array_new (FALSE, FALSE, sizeof (KsPrefix));

  for (guint i = 0; i < policy->routes->len; i++) {
    const KsRoute *route = &g_array_index (policy->routes, KsRoute, i);

    if (route->type == RTN_BLACKHOLE && route->dst.length > 0)
      ks_guard_collect (prefixes, &route->dst);
  }
  return prefixes;
}

/* The indices of the tunnels, with @address only of those that have it: "{ 5, 7 }" (transfer full; NULL for none). */
static char *
format_tunnels (const KsPolicy *policy, const KsPrefix *address)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < policy->tunnels->len; i++) {
    const KsPolicyTunnel *tunnel = policy->tunnels->pdata[i];

    if (!address || ks_prefix_array_contains (tunnel->addresses, address))
      g_string_append_printf (out, "%s%u", out->len ? ", " : "{ ", tunnel->ifindex);
  }
  if (out->len)
    g_string_append (out, " }");
  return g_string_free (out, out->len == 0);
}

/* Where answers come from: the servers that table 86 has routes to, and the resolvers asked for servers' names. */
static GArray *
answering_hosts (const KsPolicy *policy)
{
  GArray *hosts = g_array_new (FALSE, FALSE, sizeof (KsPrefix));

  for (guint i = 0; i < policy->routes->len; i++) {
    const KsRoute *route = &g_array_index (policy->routes, KsRoute, i);

    if (route->table == policy->servers_table)
      ks_guard_collect (hosts, &route->dst);
  }
  for (guint i = 0; i < policy->bootstrap->len; i++) {
    const KsTransport *transport = &g_array_index (policy->bootstrap, KsTransport, i);

    if (ks_policy_marks_resolver (policy, transport))
      ks_guard_collect (hosts, &transport->to);
  }
  return hosts;
}

/* Are @elements, as ks_guard_format_elements() writes them, only one? */
static gboolean
is_single (const char *elements)
{
  return !strchr (elements, ',');
}

/* Single hosts, so not an interval set: looked up by hash. A host alone has no set: see add_answer_marks(). */
static void
add_answering_set (GString *out, const char *name, int family, GArray *hosts)
{
  g_autofree char *elements = ks_guard_format_elements (family, hosts);

  if (elements && !is_single (elements))
    g_string_append_printf (out, "  set %s {\n    type %s\n    elements = %s\n  }\n", name,
                            family == AF_INET6 ? "ipv6_addr" : "ipv4_addr", elements);
}

static void
add_sets (GString *out, const KsPolicy *policy, GArray *answering)
{
  g_autoptr (GArray) lan = lan_prefixes (policy);
  g_autoptr (GArray) shadowed = shadowed_prefixes (policy);
  g_autofree char *tunnels = format_tunnels (policy, NULL);

  if (policy->tunnels->len > TUNNEL_LINES)
    g_string_append_printf (out, "  set tunnels {\n    type iface_index\n    elements = %s\n  }\n", tunnels);
  add_set (out, "lan4", AF_INET, lan);
  add_set (out, "lan6", AF_INET6, lan);
  add_set (out, "shadowed4", AF_INET, shadowed);
  add_set (out, "shadowed6", AF_INET6, shadowed);
  add_answering_set (out, "answering4", AF_INET, answering);
  add_answering_set (out, "answering6", AF_INET6, answering);
  if (policy->management->len > 0) {
    g_autoptr (GArray) prefixes = g_array_copy (policy->management_prefixes);

    add_set (out, "management4", AF_INET, prefixes);
    add_set (out, "management6", AF_INET6, prefixes);
  }
}

/* --- chains --- */

static void
begin_base_chain (GString *out, const char *hook, const char *priority, const char *verdict)
{
  ks_guard_begin_chain (out, hook);
  ks_guard_add_line (out, "type filter hook %s priority %s; policy %s;", hook, priority, verdict);
}

/* An unarmed VPN's tunnel is not the LAN, whatever its addresses are. Armed ones have been accepted earlier. */
static void
add_tunnel_kinds (GString *out)
{
  g_string_append (out, "    meta oifkind { ");
  for (guint i = 0; ks_interface_tunnel_kinds[i]; i++)
    g_string_append_printf (out, "%s\"%s\"", i ? ", " : "", ks_interface_tunnel_kinds[i]);
  g_string_append (out, " } return\n");
}

/* Accepts packets to the LAN, returns for all others. LLMNR asks for the same names as DNS; mDNS for local ones. */
static void
add_lan_chain (GString *out, const KsPolicy *policy)
{
  ks_guard_begin_chain (out, "lan");
  if (policy->dns == KS_DNS_TUNNEL)
    ks_guard_add_line (out, "meta l4proto { 6, 17 } th dport { " DNS_PORTS " } return");
  if (policy->lan != KS_LAN_OFF)
    add_tunnel_kinds (out);
  ks_guard_add_line (out, "ip daddr @shadowed4 return");
  ks_guard_add_line (out, "ip6 daddr @shadowed6 return");
  ks_guard_add_line (out, "ip daddr @lan4 accept");
  ks_guard_add_line (out, "ip6 daddr @lan6 accept");
  ks_guard_end_chain (out);
}

/* What a link needs before it carries anything, whatever the setting of Lan=. */
static void
add_link_rules (GString *out)
{
  /* a renewal, whose server may be outside the LAN; all other DHCP uses packet sockets, which no hook sees */
  ks_guard_add_line (out, "meta nfproto ipv4 udp sport 68 udp dport 67 meta skuid 0 accept");
  ks_guard_add_line (out, "meta nfproto ipv6 udp sport 546 udp dport 547 meta skuid 0 accept");
  /* router solicitation, neighbour solicitation and advertisement; routers do not forward them */
  ks_guard_add_line (out, "ip6 hoplimit 255 icmpv6 type { 133, 135, 136 } accept");
  /* multicast listener reports: switches need them to forward neighbour discovery */
  ks_guard_add_line (out, "ip6 daddr ff02::/16 icmpv6 type { 131, 132, 143 } accept");
}

/*
 * Accepts what leaves through a tunnel, which is nearly everything: first, and by
 * the device's index alone. A set costs a packet some 20 ns more than a line.
 */
static void
add_tunnel_rules (GString *out, const KsPolicy *policy)
{
  if (policy->tunnels->len > TUNNEL_LINES)
    ks_guard_add_line (out, "oif @tunnels accept");
  else
    for (guint i = 0; i < policy->tunnels->len; i++)
      ks_guard_add_line (out, "oif %u accept", ((const KsPolicyTunnel *) policy->tunnels->pdata[i])->ifindex);
}

/* The replies that ManagementFrom= lets out. */
static void
add_management_rules (GString *out, const KsPolicy *policy)
{
  for (guint i = 0; i < policy->management->len; i++) {
    const KsManagement *entry = &g_array_index (policy->management, KsManagement, i);
    gboolean is_ipv6 = entry->address.family == AF_INET6;
    g_autofree char *address = ks_prefix_format_address (&entry->address);

    ks_guard_add_line (
      out, "oif %u %s saddr %s ct state established ct direction reply ct original %s saddr @management%c accept",
      entry->ifindex, is_ipv6 ? "ip6" : "ip", address, is_ipv6 ? "ip6" : "ip", is_ipv6 ? '6' : '4');
  }
}

static void
add_postrouting_chain (GString *out, const KsPolicy *policy)
{
  begin_base_chain (out, "postrouting", "filter", "drop");
  add_tunnel_rules (out, policy);
  ks_guard_add_line (out, "oif %u accept", LOOPBACK);
  if (ks_guard_has_ipsec (policy))
    ks_guard_add_line (out, "rt ipsec exists accept");
  ks_guard_add_transports (out, policy);
  ks_guard_add_bootstrap (out, policy);
  add_management_rules (out, policy);
  add_link_rules (out);
  ks_guard_add_line (out, "jump lan");
  ks_guard_add_line (out, "counter name \"dropped_output\" drop");
  ks_guard_end_chain (out);
}

static void
add_forward_chain (GString *out, const KsPolicy *policy)
{
  begin_base_chain (out, "forward", "filter", "drop");
  add_tunnel_rules (out, policy);
  if (ks_guard_has_ipsec (policy))
    ks_guard_add_line (out, "rt ipsec exists accept");
  ks_guard_add_line (out, "jump lan");
  ks_guard_add_line (out, "counter name \"dropped_forward\" drop");
  ks_guard_end_chain (out);
}

/* For other programs' reverse-path filters. A set costs each packet some 20 ns more than one address in the line. */
static void
add_answer_marks (GString *out, const KsPolicy *policy, GArray *answering)
{
  static const int families[] = { AF_INET, AF_INET6 };

  for (guint i = 0; i < G_N_ELEMENTS (families); i++) {
    g_autofree char *hosts = ks_guard_format_elements (families[i], answering);
    gboolean is_ipv6 = families[i] == AF_INET6;

    if (hosts)
      ks_guard_add_line (out, "%s saddr %s meta mark 0 meta mark set %u", is_ipv6 ? "ip6" : "ip",
                         is_single (hosts) ? hosts
                         : is_ipv6         ? "@answering6"
                                           : "@answering4",
                         ks_policy_answers_mark (policy));
  }
}

/*
 * Each packet that arrives passes this, so each line begins with what ends it soonest: the family, to half of them, and
 * the address, to nearly all others.
 * A link-local IPv6 address belongs to its link: another device may have the same one.
 */
static void
add_prerouting_chain (GString *out, const KsPolicy *policy, GArray *answering)
{
  g_autoptr (GArray) done = g_array_new (FALSE, FALSE, sizeof (KsPrefix));

  begin_base_chain (out, "prerouting", "raw", "accept");
  ks_guard_add_line (out, "iif %u accept", LOOPBACK);
  if (ks_guard_has_ipsec (policy))
    ks_guard_add_line (out, "meta secpath exists accept");
  for (guint i = 0; i < policy->tunnels->len; i++) {
    const KsPolicyTunnel *tunnel = policy->tunnels->pdata[i];

    for (guint j = 0; j < tunnel->addresses->len; j++) {
      const KsPrefix *address = &g_array_index (tunnel->addresses, KsPrefix, j);
      g_autofree char *holders = format_tunnels (policy, address);
      g_autofree char *text = ks_prefix_format_address (address);

      if (ks_prefix_array_contains (done, address)
          || (address->family == AF_INET6 && ks_prefix_is_link_local (address)))
        continue;
      ks_prefix_array_add (done, address);
      ks_guard_add_line (out, "%s daddr %s iif != %s counter name \"dropped_input\" drop",
                         address->family == AF_INET6 ? "ip6" : "ip", text, holders);
    }
  }
  add_answer_marks (out, policy, answering);
  ks_guard_end_chain (out);
}

static void
add_counter (GString *out, const char *name, const KsGuardCounter *counter)
{
  g_string_append_printf (out, "  counter %s {\n    packets %" G_GUINT64_FORMAT " bytes %" G_GUINT64_FORMAT "\n  }\n",
                          name, counter->packets, counter->bytes);
}

char *
ks_guard_format (const KsPolicy *policy, const KsGuardCounters *counters)
{
  static const KsGuardCounters zero;
  g_autoptr (GArray) answering = NULL;
  GString *out;

  if (!policy->armed || !policy->guard)
    return NULL;
  if (!counters)
    counters = &zero;

  /* The first line makes the second one valid whether or not the table exists; all is one transaction. */
  out = g_string_new ("table inet " KS_GUARD_TABLE "\ndelete table inet " KS_GUARD_TABLE "\n"
                      "table inet " KS_GUARD_TABLE " {\n");
  add_counter (out, "dropped_output", &counters->output);
  add_counter (out, "dropped_forward", &counters->forward);
  add_counter (out, "dropped_input", &counters->input);
  answering = answering_hosts (policy);
  add_sets (out, policy, answering);
  ks_guard_add_unowned_chain (out);
  ks_guard_add_names_chains (out, policy);
  add_lan_chain (out, policy);
  add_postrouting_chain (out, policy);
  add_forward_chain (out, policy);
  add_prerouting_chain (out, policy, answering);
  g_string_append (out, "}\n");
  return g_string_free (out, FALSE);
}
