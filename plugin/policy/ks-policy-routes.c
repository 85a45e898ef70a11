/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The routes of the policy: tables 83 to 86. ks-policy.c describes what they
 * hold and why; ks-policy-management.c adds those of ManagementFrom=.
 */
#include <string.h>

#include "policy/ks-bypass.h"
#include "policy/ks-policy-builder.h"
#include "policy/ks-route-index.h"

/* More than any metric that NetworkManager sets: its penalty for an uplink without connectivity is 20000. */
#define LATER 1000000

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

/* Sorts routes and removes duplicates at the end rather than while adding: main may be long. */
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

/* The metric of the tunnel that is @index-th in preference; always lower than the blackhole's. */
static guint32
tunnel_metric (const KsPolicyBuilder *b, guint index)
{
  return MIN (b->config->tunnel_metric + index, b->config->blackhole_metric - 1);
}

/* For a host without IPv6: a profile may list IPv6 subnets all the same. */
static void
drop_ipv6_routes (GArray *routes)
{
  for (guint i = routes->len; i-- > 0;)
    if (g_array_index (routes, KsRoute, i).family == AF_INET6)
      g_array_remove_index (routes, i);
}

static const KsProfile *
find_profile (const KsPolicyBuilder *b, const KsTunnel *tunnel)
{
  for (guint i = 0; i < b->in->armed->len; i++)
    if (g_strcmp0 (ks_profile_key (b->in->armed->pdata[i]), tunnel->key) == 0)
      return b->in->armed->pdata[i];
  return NULL;
}

static gboolean
is_never_default (const KsProfile *profile, int family)
{
  return family == AF_INET6 ? profile->never_default6 : profile->never_default4;
}

static gboolean
is_any_full (const KsPolicyBuilder *b, int family)
{
  for (guint i = 0; i < b->in->armed->len; i++)
    if (!is_never_default (b->in->armed->pdata[i], family))
      return TRUE;
  return FALSE;
}

/*
 * Whether everything may go through @tunnel. A tunnel that wants no default
 * route gets one only if no armed VPN, up or down, wants one: traffic meant for
 * one VPN is not for the network at the other end of another.
 */
static gboolean
carries_default (const KsPolicyBuilder *b, const KsTunnel *tunnel, int family)
{
  const KsProfile *profile = find_profile (b, tunnel);
  gboolean has_family = family == AF_INET6 ? tunnel->has_ipv6 : tunnel->has_ipv4;

  return has_family && tunnel->ifindex && (!profile || !is_never_default (profile, family) || !is_any_full (b, family));
}

/* To @dst by the tunnel that is @index-th in preference. */
static KsRoute
route_by_tunnel (const KsPolicyBuilder *b, guint32 table, guint index, const KsPrefix *dst)
{
  const KsTunnel *tunnel = b->in->tunnels->pdata[index];

  return ks_route_via (table, b->config->protocol, dst, tunnel_metric (b, index), tunnel->ifindex,
                       dst->family == AF_INET6 ? &tunnel->gateway6 : &tunnel->gateway4);
}

void
ks_policy_add_default_routes_to (KsPolicyBuilder *b, guint32 table, const KsPrefix *dst)
{
  for (guint i = 0; i < b->in->tunnels->len; i++) {
    KsRoute route = route_by_tunnel (b, table, i, dst);

    if (carries_default (b, b->in->tunnels->pdata[i], dst->family))
      add_route (b, &route);
  }
}

static void
add_default_routes (KsPolicyBuilder *b)
{
  for (guint i = 0; i < ks_policy_family_count (b); i++) {
    KsPrefix all = ks_prefix_default (ks_policy_families[i]);
    KsRoute blackhole = ks_route_blackhole (b->config->table, b->config->protocol, &all, b->config->blackhole_metric);

    add_route (b, &blackhole);
    ks_policy_add_default_routes_to (b, b->config->table, &all);
  }
}

/*
 * Whether @prefix may be in table 84: specific, unicast, and not so wide that it
 * covers a whole LAN prefix, or the multicast groups (224.0.0.0/3 is among the
 * allowed IPs of "everything but private addresses").
 */
static gboolean
is_specific (const KsPolicyBuilder *b, const KsPrefix *prefix)
{
  static const KsPrefix multicast4 = { .family = AF_INET, .length = 4, .bytes = { 224 } };
  static const KsPrefix multicast6 = { .family = AF_INET6, .length = 8, .bytes = { 0xff } };

  if (prefix->length == 0 || ks_prefix_overlaps (prefix, prefix->family == AF_INET6 ? &multicast6 : &multicast4)
      || ks_prefix_is_link_local (prefix) || ks_prefix_is_loopback (prefix))
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

gboolean
ks_policy_is_by_foreign_tunnel (const KsPolicyBuilder *b, const KsRoute *route)
{
  for (guint i = 0; i < route->n_nexthops; i++) {
    guint ifindex = route->nexthops[i].ifindex;

    for (guint j = 0; b->in->tunnel_links && j < b->in->tunnel_links->len; j++)
      if (g_array_index (b->in->tunnel_links, guint, j) == ifindex && !is_tunnel_index (b, ifindex))
        return TRUE;
  }
  return FALSE;
}

/*
 * Whether the kernel refuses a copy of @hop, with `onlink`: for an IPv6 gateway
 * that is not link-local, table main's best route to it must use the hop's
 * device (ip6_route_check_nh_onlink(), net/ipv6/route.c; run, 6.18). It does not
 * where two network cards are in one subnet. Then the other card's route is
 * there as well, and once that card is gone, this one is taken.
 */
static gboolean
is_refused (const KsPolicyBuilder *b, const KsNexthop *hop)
{
  const GPtrArray *best;

  if (!b->main || hop->gateway.family != AF_INET6 || ks_prefix_is_link_local (&hop->gateway))
    return FALSE;
  best = ks_route_index_match (b->main, &hop->gateway);
  if (!best || ks_route_is_default (best->pdata[0]) || ((const KsRoute *) best->pdata[0])->type != RTN_UNICAST)
    return FALSE;
  return !ks_route_uses (best->pdata[0], hop->ifindex);
}

static gboolean
is_uplink_hop (const KsPolicyBuilder *b, const KsNexthop *hop)
{
  return !is_tunnel_index (b, hop->ifindex) && !is_refused (b, hop);
}

static gboolean
has_uplink_hop (const KsPolicyBuilder *b, const KsRoute *route)
{
  for (guint i = 0; i < route->n_nexthops; i++)
    if (is_uplink_hop (b, &route->nexthops[i]))
      return TRUE;
  return FALSE;
}

/* The uplinks' own subnets (KsPrefix; transfer full): few, of all the routes there are. */
static GArray *
find_uplink_subnets (const KsPolicyBuilder *b)
{
  GArray *subnets = g_array_new (FALSE, FALSE, sizeof (KsPrefix));

  for (guint i = 0; b->in->main_routes && i < b->in->main_routes->len; i++) {
    const KsRoute *route = &g_array_index (b->in->main_routes, KsRoute, i);
    gboolean direct = route->type == RTN_UNICAST && route->protocol == RTPROT_KERNEL && route->n_nexthops > 0
                      && !ks_prefix_is_set (&route->nexthops[0].gateway) && !ks_route_is_default (route);

    if (direct && has_uplink_hop (b, route) && !ks_policy_is_by_foreign_tunnel (b, route))
      g_array_append_val (subnets, route->dst);
  }
  return subnets;
}

/* Whether an uplink's own subnet overlaps @prefix: the home LAN numbered like the company's. */
static gboolean
overlaps_uplink (const KsPolicyBuilder *b, const KsPrefix *prefix)
{
  for (guint i = 0; i < b->uplink_subnets->len; i++)
    if (ks_prefix_overlaps (&g_array_index (b->uplink_subnets, KsPrefix, i), prefix))
      return TRUE;
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
add_nameserver_routes (KsPolicyBuilder *b, guint index)
{
  const KsTunnel *tunnel = b->in->tunnels->pdata[index];

  for (guint i = 0; i < tunnel->nameservers->len; i++) {
    const KsPrefix *server = &g_array_index (tunnel->nameservers, KsPrefix, i);

    add_tunnel_route (b, index, server, server->family == AF_INET ? &tunnel->gateway4 : &tunnel->gateway6);
  }
  add_tunnel_blackholes (b, tunnel->nameservers);
}

static void
add_tunnel_routes (KsPolicyBuilder *b)
{
  for (guint i = 0; i < b->in->tunnels->len; i++) {
    const KsTunnel *tunnel = b->in->tunnels->pdata[i];

    for (guint j = 0; j < tunnel->prefixes->len; j++)
      add_tunnel_route (b, i, &g_array_index (tunnel->prefixes, KsPrefix, j),
                        &g_array_index (tunnel->gateways, KsPrefix, j));
    add_nameserver_routes (b, i);
    add_tunnel_blackholes (b, tunnel->prefixes);
  }
  for (guint i = 0; i < b->in->armed->len; i++) {
    const KsProfile *profile = b->in->armed->pdata[i];

    add_tunnel_blackholes (b, profile->prefixes);
    add_tunnel_blackholes (b, profile->nameservers);
    if (b->in->remembered)
      add_tunnel_blackholes (b, g_hash_table_lookup (b->in->remembered, ks_profile_key (profile)));
  }
}

/*
 * Whether a copy of @route, a default route through @tunnel, sends packets the
 * same way if its scope is universe. (Only IPv4 has scopes.) With scope link, the
 * check of a new route's gateway (ks-policy.c) would find the tunnel; it skips
 * routes of a wider scope. But the kernel then also chooses the source among the
 * device's addresses of scope universe, and link-local ones are not.
 */
static gboolean
may_have_shortcut (const KsTunnel *tunnel, const KsRoute *route)
{
  gboolean has_address = FALSE;

  if (route->family == AF_INET6 || route->scope == RT_SCOPE_UNIVERSE)
    return TRUE;
  for (guint i = 0; i < tunnel->addresses->len; i++) {
    const KsPrefix *address = &g_array_index (tunnel->addresses, KsPrefix, i);

    if (address->family != AF_INET)
      continue;
    if (ks_prefix_is_link_local (address))
      return FALSE;
    has_address = TRUE;
  }
  return has_address;
}

/*
 * As many of the default routes of @family, from the first, as may stand in
 * table 84: where none of these is left, the lookup goes on to table 83, which
 * has all of them.
 */
static gboolean
add_default_shortcuts (KsPolicyBuilder *b, int family)
{
  KsPrefix all = ks_prefix_default (family);
  gboolean is_any = FALSE;

  for (guint i = 0; i < b->in->tunnels->len; i++) {
    const KsTunnel *tunnel = b->in->tunnels->pdata[i];
    KsRoute route = route_by_tunnel (b, b->config->tunnel_table, i, &all);

    if (!carries_default (b, tunnel, family))
      continue;
    if (!may_have_shortcut (tunnel, &route))
      break;
    route.scope = RT_SCOPE_UNIVERSE;
    add_route (b, &route);
    is_any = TRUE;
  }
  return is_any;
}

/* Behind the shields: what these keep from the local network stays so. */
static guint32
pass_metric (const KsConfig *config)
{
  return config->blackhole_metric + 3;
}

gboolean
ks_policy_is_pass (const KsConfig *config, const KsRoute *route)
{
  return route->table == config->tunnel_table && route->type == RTN_THROW && route->metric == pass_metric (config);
}

static void
add_pass (KsPolicyBuilder *b, const KsPrefix *prefix)
{
  KsRoute route = ks_route_init (b->config->tunnel_table, b->config->protocol, prefix, pass_metric (b->config));

  route.type = RTN_THROW;
  add_route (b, &route);
}

/* Whether the rules behind table 84 are for some prefixes only, and not for everything. */
static gboolean
is_lan_limited (const KsPolicyBuilder *b, int family)
{
  for (guint i = 0; i < b->policy->lan_prefixes->len; i++) {
    const KsPrefix *prefix = &g_array_index (b->policy->lan_prefixes, KsPrefix, i);

    if (prefix->family == family && prefix->length == 0)
      return FALSE;
  }
  return b->policy->lan != KS_LAN_ROUTES;
}

static void
add_shortcuts (KsPolicyBuilder *b, int family)
{
  if (!is_lan_limited (b, family) || !add_default_shortcuts (b, family))
    return;
  for (guint i = 0; i < b->policy->lan_prefixes->len; i++) {
    const KsPrefix *prefix = &g_array_index (b->policy->lan_prefixes, KsPrefix, i);

    if (prefix->family == family)
      add_pass (b, prefix);
  }
  for (guint i = 0; family == AF_INET && b->policy->lan != KS_LAN_OFF && ks_policy_multicast_groups[i]; i++) {
    KsPrefix group;

    ks_prefix_parse (ks_policy_multicast_groups[i], &group, NULL);
    add_pass (b, &group);
  }
}

/*
 * A default route through an unarmed VPN's tunnel serves transports only if
 * there is no other. That VPN's own packets go through the armed tunnel once it
 * is up, and the armed tunnel's would go through that VPN: neither would arrive.
 */
static guint32
later_metric (guint32 metric)
{
  return MIN (metric, KS_NESTED_METRIC - 1 - LATER) + LATER;
}

KsRoute
ks_policy_uplink_route (const KsPolicyBuilder *b, const KsRoute *route, guint32 table)
{
  KsRoute copy = *route;

  copy.table = table;
  copy.protocol = b->config->protocol;
  /* the kernel looks a route up before it has chosen an address to send from */
  copy.src = KS_PREFIX_UNSET;
  copy.n_nexthops = 0;
  memset (copy.nexthops, 0, sizeof copy.nexthops);
  for (guint i = 0; i < route->n_nexthops; i++) {
    KsNexthop hop = route->nexthops[i];

    if (!is_uplink_hop (b, &hop))
      continue;
    /* main has resolved the gateway; here the order in which routes are added must not matter */
    if (ks_prefix_is_set (&hop.gateway))
      hop.onlink = TRUE;
    copy.nexthops[copy.n_nexthops++] = hop;
  }
  if (copy.n_nexthops == 1)
    copy.nexthops[0].weight = 0;
  if (ks_policy_is_by_foreign_tunnel (b, &copy) && ks_route_is_default (&copy))
    copy.metric = later_metric (copy.metric);
  /* a throw route of main says "look elsewhere", but in our rules the tunnel comes after main */
  if (copy.type == RTN_THROW)
    copy.type = RTN_UNREACHABLE;
  return copy;
}

/* The servers that have transports (set of KsPrefix, transfer full). */
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
  if (route->table != RT_TABLE_MAIN || ks_owner_has_bypass (b->config, route))
    return FALSE;
  if (!has_uplink_hop (b, route) && (route->type == RTN_UNICAST || route->n_nexthops > 0))
    return FALSE;
  if (g_hash_table_contains (b->servers, &route->dst) && ks_bypass_is_mistaken (b->config, route, b->in->main_routes))
    return FALSE;
  /* half of the internet: a default route in effect, but with no metric that puts it last */
  if (route->dst.length == 1 && ks_policy_is_by_foreign_tunnel (b, route))
    return FALSE;
  /* Each device has its own fe80::/64 and ff00::/8; transports are not routed by them. */
  return !(route->family == AF_INET6
           && (ks_prefix_is_link_local (&route->dst) || ks_prefix_is_multicast (&route->dst)));
}

/* Follows the routes to @dst: once none of them leads anywhere, the lookup ends. */
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

/* The gateway of @tunnel to @host: that of the longest prefix that contains it, or of the default route. */
static const KsPrefix *
gateway_to (const KsTunnel *tunnel, const KsPrefix *host)
{
  const KsPrefix *gateway = host->family == AF_INET6 ? &tunnel->gateway6 : &tunnel->gateway4;
  int length = -1;

  for (guint i = 0; i < tunnel->prefixes->len; i++) {
    const KsPrefix *prefix = &g_array_index (tunnel->prefixes, KsPrefix, i);

    if (ks_prefix_contains (prefix, host) && prefix->length > length) {
      length = prefix->length;
      gateway = &g_array_index (tunnel->gateways, KsPrefix, i);
    }
  }
  return gateway;
}

/* The route to @server, which is reached inside the VPN @outer. */
static KsRoute
inner_route (const KsPolicyBuilder *b, const KsPrefix *server, const KsTunnel *outer)
{
  return ks_route_via (b->config->servers_table, b->config->protocol, server, KS_NESTED_METRIC, outer->ifindex,
                       gateway_to (outer, server));
}

/* For each server, what table 85 answers, or the tunnel it is inside of, as host routes. */
static void
add_server_routes (KsPolicyBuilder *b)
{
  g_autoptr (KsRouteIndex) index = ks_route_index_new (b->policy->routes, b->config->uplink_table);
  g_autoptr (GArray) routes = g_array_new (FALSE, FALSE, sizeof (KsRoute));
  GHashTableIter iter;
  gpointer server;

  g_hash_table_iter_init (&iter, b->servers);
  while (g_hash_table_iter_next (&iter, &server, NULL)) {
    const KsTunnel *outer = ks_nesting_find (b->nesting, server);
    const GPtrArray *answers = outer ? NULL : ks_route_index_match (index, server);
    KsRoute end = end_of (b, b->config->servers_table, server);

    g_array_append_val (routes, end);
    if (outer) {
      KsRoute route = inner_route (b, server, outer);

      g_array_append_val (routes, route);
    }
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
  g_autoptr (GArray) subnets = find_uplink_subnets (b);
  g_autoptr (KsRouteIndex) main_routes =
    b->in->main_routes ? ks_route_index_new (b->in->main_routes, RT_TABLE_MAIN) : NULL;

  b->uplink_subnets = subnets;
  b->main = main_routes;
  add_default_routes (b);
  add_tunnel_routes (b);
  b->servers = servers = find_servers (b->policy->transports);
  add_uplink_routes (b);
  add_server_routes (b);
  ks_policy_add_shields (b);
  for (guint i = 0; i < ks_policy_family_count (b); i++)
    add_shortcuts (b, ks_policy_families[i]);
  ks_policy_add_management (b);
  b->servers = NULL;
  b->uplink_subnets = NULL;
  b->main = NULL;
  if (b->in->no_ipv6)
    drop_ipv6_routes (b->policy->routes);
  ks_policy_sort_routes (b->policy->routes);
}
