/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The routes of the policy: tables 83 to 86. ks-policy.c tells what is in
 * them and why; ks-policy-management.c adds those of ManagementFrom=.
 */
#include <string.h>

#include "policy/ks-bypass.h"
#include "policy/ks-policy-builder.h"
#include "policy/ks-route-index.h"

const int ks_policy_families[] = { AF_INET, AF_INET6 };

guint
ks_policy_family_count (const KsPolicyBuilder *b)
{
  return b->in->no_ipv6 ? 1 : G_N_ELEMENTS (ks_policy_families);
}

static void
add_route (KsPolicyBuilder *b, const KsRoute *route)
{
  g_array_append_val (b->policy->routes, *route);
}

/* Puts the routes in order, each once: main may be long, so not while adding. */
void
ks_policy_sort_routes (GArray *routes)
{
  guint kept = 0;

  g_array_sort (routes, ks_route_compare);
  for (guint i = 0; i < routes->len; i++) {
    const KsRoute *route = &g_array_index (routes, KsRoute, i);

    if (kept == 0 || !ks_route_equal (&g_array_index (routes, KsRoute, kept - 1), route))
      g_array_index (routes, KsRoute, kept++) = *route;
  }
  g_array_set_size (routes, kept);
}

/* The metric of the tunnel that is @index-th in preference; always before the blackhole's. */
static guint32
tunnel_metric (const KsPolicyBuilder *b, guint index)
{
  return MIN (b->config->tunnel_metric + index, b->config->blackhole_metric - 1);
}

/* A profile may name IPv6 subnets all the same. */
static void
drop_ipv6_routes (GArray *routes)
{
  for (guint i = routes->len; i-- > 0;)
    if (g_array_index (routes, KsRoute, i).family == AF_INET6)
      g_array_remove_index (routes, i);
}

static void
add_default_routes (KsPolicyBuilder *b)
{
  for (guint i = 0; i < ks_policy_family_count (b); i++) {
    KsPrefix all = ks_prefix_default (ks_policy_families[i]);
    KsRoute blackhole = ks_route_blackhole (b->config->table, b->config->protocol, &all, b->config->blackhole_metric);

    add_route (b, &blackhole);
  }
  for (guint i = 0; i < b->in->tunnels->len; i++) {
    const KsTunnel *tunnel = b->in->tunnels->pdata[i];

    for (guint j = 0; j < ks_policy_family_count (b); j++) {
      KsPrefix all = ks_prefix_default (ks_policy_families[j]);
      gboolean carries = ks_policy_families[j] == AF_INET ? tunnel->has_ipv4 : tunnel->has_ipv6;
      const KsPrefix *gateway = ks_policy_families[j] == AF_INET ? &tunnel->gateway4 : &tunnel->gateway6;
      KsRoute route =
        ks_route_via (b->config->table, b->config->protocol, &all, tunnel_metric (b, i), tunnel->ifindex, gateway);

      if (carries && tunnel->ifindex)
        add_route (b, &route);
    }
  }
}

/*
 * Whether @prefix may stand in table 84: specific, unicast, and not so wide
 * that it takes a LAN prefix whole, or the multicast groups (224.0.0.0/3 is
 * among the allowed IPs of "everything but private addresses").
 */
static gboolean
is_specific (const KsPolicyBuilder *b, const KsPrefix *prefix)
{
  KsPrefix multicast;

  ks_prefix_parse (prefix->family == AF_INET6 ? "ff00::/8" : "224.0.0.0/4", &multicast, NULL);
  if (prefix->length == 0 || ks_prefix_overlaps (prefix, &multicast) || ks_prefix_is_link_local (prefix)
      || ks_prefix_is_loopback (prefix))
    return FALSE;
  for (guint i = 0; i < b->config->lan_prefixes->len; i++) {
    const KsPrefix *lan = &g_array_index (b->config->lan_prefixes, KsPrefix, i);

    if (prefix->length < lan->length && ks_prefix_contains (prefix, lan))
      return FALSE;
  }
  return TRUE;
}

static gboolean
is_tunnel_index (const KsPolicyBuilder *b, guint ifindex)
{
  for (guint i = 0; i < b->in->tunnels->len; i++) {
    const KsTunnel *tunnel = b->in->tunnels->pdata[i];

    if (tunnel->ifindex && tunnel->ifindex == ifindex)
      return TRUE;
  }
  return FALSE;
}

static gboolean
leaves_by_tunnel_only (const KsPolicyBuilder *b, const KsRoute *route)
{
  if (route->n_nexthops == 0)
    return FALSE;
  for (guint i = 0; i < route->n_nexthops; i++)
    if (!is_tunnel_index (b, route->nexthops[i].ifindex))
      return FALSE;
  return TRUE;
}

/* Whether an uplink is directly in a subnet that overlaps @prefix: the home LAN numbered like the company's. */
static gboolean
overlaps_uplink (const KsPolicyBuilder *b, const KsPrefix *prefix)
{
  for (guint i = 0; b->in->main_routes && i < b->in->main_routes->len; i++) {
    const KsRoute *route = &g_array_index (b->in->main_routes, KsRoute, i);
    gboolean direct = route->type == RTN_UNICAST && route->protocol == RTPROT_KERNEL && route->n_nexthops > 0
                      && !ks_prefix_is_set (&route->nexthops[0].gateway) && !ks_route_is_default (route);

    if (direct && !leaves_by_tunnel_only (b, route) && ks_prefix_overlaps (&route->dst, prefix))
      return TRUE;
  }
  return FALSE;
}

static void
add_tunnel_blackhole (KsPolicyBuilder *b, const KsPrefix *prefix)
{
  KsRoute route =
    ks_route_blackhole (b->config->tunnel_table, b->config->protocol, prefix, b->config->blackhole_metric);

  if (is_specific (b, &route.dst) && !overlaps_uplink (b, &route.dst))
    add_route (b, &route);
}

static void
add_tunnel_blackholes (KsPolicyBuilder *b, const GArray *prefixes)
{
  for (guint i = 0; prefixes && i < prefixes->len; i++)
    add_tunnel_blackhole (b, &g_array_index (prefixes, KsPrefix, i));
}

static void
add_tunnel_route (KsPolicyBuilder *b, guint index, const KsPrefix *prefix, const KsPrefix *gateway)
{
  const KsTunnel *tunnel = b->in->tunnels->pdata[index];
  gboolean carries = prefix->family == AF_INET ? tunnel->has_ipv4 : tunnel->has_ipv6;
  KsRoute route = ks_route_via (b->config->tunnel_table, b->config->protocol, prefix, tunnel_metric (b, index),
                                tunnel->ifindex, gateway);

  if (carries && tunnel->ifindex && is_specific (b, &route.dst))
    add_route (b, &route);
}

static void
add_tunnel_routes (KsPolicyBuilder *b)
{
  for (guint i = 0; i < b->in->tunnels->len; i++) {
    const KsTunnel *tunnel = b->in->tunnels->pdata[i];

    for (guint j = 0; j < tunnel->prefixes->len; j++)
      add_tunnel_route (b, i, &g_array_index (tunnel->prefixes, KsPrefix, j),
                        &g_array_index (tunnel->gateways, KsPrefix, j));
    for (guint j = 0; j < tunnel->nameservers->len; j++) {
      const KsPrefix *server = &g_array_index (tunnel->nameservers, KsPrefix, j);

      add_tunnel_route (b, i, server, server->family == AF_INET ? &tunnel->gateway4 : &tunnel->gateway6);
    }
    add_tunnel_blackholes (b, tunnel->prefixes);
    add_tunnel_blackholes (b, tunnel->nameservers);
  }
  for (guint i = 0; i < b->in->armed->len; i++) {
    const KsProfile *profile = b->in->armed->pdata[i];

    add_tunnel_blackholes (b, profile->prefixes);
    add_tunnel_blackholes (b, profile->nameservers);
    if (b->in->remembered)
      add_tunnel_blackholes (b, g_hash_table_lookup (b->in->remembered, ks_profile_key (profile)));
  }
}

KsRoute
ks_policy_uplink_route (const KsPolicyBuilder *b, const KsRoute *route, guint32 table)
{
  KsRoute copy = *route;

  copy.table = table;
  copy.protocol = b->config->protocol;
  copy.n_nexthops = 0;
  memset (copy.nexthops, 0, sizeof copy.nexthops);
  for (guint i = 0; i < route->n_nexthops; i++) {
    KsNexthop hop = route->nexthops[i];

    if (is_tunnel_index (b, hop.ifindex))
      continue;
    /* main has resolved the gateway; here the order of insertion must not matter */
    if (ks_prefix_is_set (&hop.gateway))
      hop.onlink = TRUE;
    copy.nexthops[copy.n_nexthops++] = hop;
  }
  if (copy.n_nexthops == 1)
    copy.nexthops[0].weight = 0;
  /* main's "look elsewhere": what comes after main in our rules is the tunnel */
  if (copy.type == RTN_THROW)
    copy.type = RTN_UNREACHABLE;
  return copy;
}

/* The servers that there are transports to (set of KsPrefix, transfer full). */
static GHashTable *
find_servers (const GArray *transports)
{
  GHashTable *servers = g_hash_table_new (ks_prefix_hash, ks_prefix_equal_func);

  for (guint i = 0; i < transports->len; i++) {
    KsTransport *transport = &g_array_index (transports, KsTransport, i);

    if (ks_transport_has_server (transport))
      g_hash_table_add (servers, &transport->to);
  }
  return servers;
}

gboolean
ks_policy_is_uplink_route (const KsPolicyBuilder *b, const KsRoute *route)
{
  switch (route->type) {
  case RTN_UNICAST:
  case RTN_BLACKHOLE:
  case RTN_UNREACHABLE:
  case RTN_PROHIBIT:
  case RTN_THROW:
    break;
  default:
    return FALSE;
  }
  if (route->table != RT_TABLE_MAIN || ks_owner_has_bypass (b->config, route) || leaves_by_tunnel_only (b, route))
    return FALSE;
  if (route->type == RTN_UNICAST && route->n_nexthops == 0)
    return FALSE;
  if (g_hash_table_contains (b->servers, &route->dst) && ks_bypass_is_mistaken (b->config, route, b->in->main_routes))
    return FALSE;
  /* Each device has its own fe80::/64 and ff00::/8; no transport is routed by them. */
  return !(route->family == AF_INET6
           && (ks_prefix_is_link_local (&route->dst) || ks_prefix_is_multicast (&route->dst)));
}

/* Behind the routes to @dst: where none of them leads any more, the lookup ends. */
static KsRoute
end_of (const KsPolicyBuilder *b, guint32 table, const KsPrefix *dst)
{
  KsRoute end = ks_route_init (table, b->config->protocol, dst, G_MAXUINT32);

  end.type = RTN_UNREACHABLE;
  return end;
}

static void
add_uplink_routes (KsPolicyBuilder *b)
{
  for (guint i = 0; b->in->main_routes && i < b->in->main_routes->len; i++) {
    const KsRoute *route = &g_array_index (b->in->main_routes, KsRoute, i);

    if (ks_policy_is_uplink_route (b, route)) {
      KsRoute copy = ks_policy_uplink_route (b, route, b->config->uplink_table);

      add_route (b, &copy);
    }
  }
  for (guint i = 0; i < ks_policy_family_count (b); i++) {
    KsPrefix all = ks_prefix_default (ks_policy_families[i]);
    KsRoute end = end_of (b, b->config->uplink_table, &all);

    add_route (b, &end);
  }
}

/* For each server what table 85 answers, as host routes. */
static void
add_server_routes (KsPolicyBuilder *b)
{
  g_autoptr (KsRouteIndex) index = ks_route_index_new (b->policy->routes, b->config->uplink_table);
  g_autoptr (GArray) routes = g_array_new (FALSE, FALSE, sizeof (KsRoute));
  GHashTableIter iter;
  gpointer server;

  g_hash_table_iter_init (&iter, b->servers);
  while (g_hash_table_iter_next (&iter, &server, NULL)) {
    const GPtrArray *answers = ks_route_index_match (index, server);
    KsRoute end = end_of (b, b->config->servers_table, server);

    g_array_append_val (routes, end);
    for (guint i = 0; answers && i < answers->len; i++) {
      KsRoute route = *(const KsRoute *) answers->pdata[i];

      route.table = b->config->servers_table;
      route.dst = *(const KsPrefix *) server;
      g_array_append_val (routes, route);
    }
  }
  /* not before: the index points into the policy's routes */
  g_array_append_vals (b->policy->routes, routes->data, routes->len);
}

void
ks_policy_add_routes (KsPolicyBuilder *b)
{
  g_autoptr (GHashTable) servers = NULL;

  add_default_routes (b);
  add_tunnel_routes (b);
  b->servers = servers = find_servers (b->policy->transports);
  add_uplink_routes (b);
  add_server_routes (b);
  ks_policy_add_management (b);
  b->servers = NULL;
  if (b->in->no_ipv6)
    drop_ipv6_routes (b->policy->routes);
  ks_policy_sort_routes (b->policy->routes);
}
