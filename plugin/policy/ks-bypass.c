/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/ks-bypass.h"

#include "policy/ks-owner.h"

/* Before NetworkManager's own host route, whose metric is that of the VPN's device (50). */
#define METRIC 1

static gboolean
is_better (const KsRoute *route, const KsRoute *best)
{
  return !best || route->dst.length > best->dst.length
         || (route->dst.length == best->dst.length && route->metric < best->metric);
}

/* The route of @table that the kernel takes for @server, our own bypass routes left out; NULL if it has no route. */
static const KsRoute *
best_route (const KsConfig *config, const GArray *routes, guint32 table, const KsPrefix *server)
{
  const KsRoute *best = NULL;

  for (guint i = 0; i < routes->len; i++) {
    const KsRoute *route = &g_array_index (routes, KsRoute, i);

    if (route->table == table && route->tos == 0 && !ks_owner_has_bypass (config, route)
        && ks_prefix_contains (&route->dst, server) && is_better (route, best))
      best = route;
  }
  return best && best->type == RTN_UNICAST && best->n_nexthops > 0 ? best : NULL;
}

/* Whether @route treats the single host it leads to as a neighbour. */
static gboolean
is_neighbour (const KsRoute *route)
{
  return route->type == RTN_UNICAST && ks_prefix_is_host (&route->dst) && route->n_nexthops == 1
         && !ks_prefix_is_set (&route->nexthops[0].gateway);
}

gboolean
ks_bypass_is_mistaken (const KsConfig *config, const KsRoute *route, const GArray *routes)
{
  const KsRoute *best = NULL;

  if (route->table != RT_TABLE_MAIN || route->protocol != RTPROT_STATIC || !is_neighbour (route))
    return FALSE;
  for (guint i = 0; i < routes->len; i++) {
    const KsRoute *other = &g_array_index (routes, KsRoute, i);

    if (other->table == RT_TABLE_MAIN && other->tos == 0 && !ks_owner_has_bypass (config, other)
        && !ks_prefix_equal (&other->dst, &route->dst) && ks_prefix_contains (&other->dst, &route->dst)
        && ks_route_uses (other, route->nexthops[0].ifindex) && is_better (other, best))
      best = other;
  }
  return best && ks_prefix_is_set (&best->nexthops[0].gateway);
}

/* Whether main, whose best route to a host is @main_route, would not send its packets to the uplink's next hop @hop. */
static gboolean
is_needed (const KsRoute *main_route, const KsNexthop *hop)
{
  if (!main_route)
    return FALSE;
  return !ks_route_uses (main_route, hop->ifindex) || (is_neighbour (main_route) && ks_prefix_is_set (&hop->gateway));
}

static void
add (GArray *out, const KsRoute *route)
{
  for (guint i = 0; i < out->len; i++)
    if (ks_route_equal (&g_array_index (out, KsRoute, i), route))
      return;
  g_array_append_val (out, *route);
}

/* A server whose best route in the servers' table is @uplink, and which main would reach by another route. */
static void
consider_server (const KsConfig *config, const GArray *routes, const KsRoute *uplink, GArray *out)
{
  const KsRoute *main_route = best_route (config, routes, RT_TABLE_MAIN, &uplink->dst);
  KsRoute bypass;

  if (!is_needed (main_route, &uplink->nexthops[0]))
    return;
  bypass = ks_route_via (RT_TABLE_MAIN, config->protocol, &uplink->dst, METRIC, uplink->nexthops[0].ifindex,
                         &uplink->nexthops[0].gateway);
  add (out, &bypass);
}

/* A bypass route that already exists. */
static void
consider_bypass (const KsConfig *config, const GArray *routes, const KsRoute *bypass, GArray *out)
{
  if (bypass->n_nexthops > 0
      && is_needed (best_route (config, routes, RT_TABLE_MAIN, &bypass->dst), &bypass->nexthops[0]))
    add (out, bypass);
}

void
ks_bypass_compute (const KsConfig *config, const GArray *routes, GArray *out)
{
  for (guint i = 0; routes && i < routes->len; i++) {
    const KsRoute *route = &g_array_index (routes, KsRoute, i);

    if (ks_owner_has_bypass (config, route))
      consider_bypass (config, routes, route, out);
    else if (route->table == config->servers_table && ks_owner_has_route (config, route)
             && best_route (config, routes, config->servers_table, &route->dst) == route)
      consider_server (config, routes, route, out);
  }
}
