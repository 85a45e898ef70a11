/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/ks-bypass.h"

#include "policy/ks-policy.h"

gboolean
ks_bypass_is_route (const KsConfig *config, const KsRoute *route)
{
  return route->table == RT_TABLE_MAIN && route->protocol == config->protocol && route->type == RTN_UNICAST
         && ks_prefix_is_host (&route->dst);
}

/* The route of @table that the kernel takes for @server, our own bypass routes left out; NULL for none that carries. */
static const KsRoute *
best_route (const KsConfig *config, const GArray *routes, guint32 table, const KsPrefix *server)
{
  const KsRoute *best = NULL;

  for (guint i = 0; i < routes->len; i++) {
    const KsRoute *route = &g_array_index (routes, KsRoute, i);

    if (route->table != table || route->tos != 0 || ks_bypass_is_route (config, route)
        || !ks_prefix_contains (&route->dst, server))
      continue;
    if (!best || route->dst.length > best->dst.length
        || (route->dst.length == best->dst.length && route->metric < best->metric))
      best = route;
  }
  return best && best->type == RTN_UNICAST && best->n_nexthops > 0 ? best : NULL;
}

static void
add (GArray *out, const KsRoute *route)
{
  for (guint i = 0; i < out->len; i++)
    if (ks_route_equal (&g_array_index (out, KsRoute, i), route))
      return;
  g_array_append_val (out, *route);
}

/* A server that main would send by another device than its uplink. */
static void
consider_server (const KsConfig *config, const GArray *routes, const KsPrefix *server, GArray *out)
{
  const KsRoute *uplink = best_route (config, routes, config->uplink_table, server);
  const KsRoute *main_route = best_route (config, routes, RT_TABLE_MAIN, server);
  KsRoute bypass;

  if (!uplink || !main_route || ks_route_uses (main_route, uplink->nexthops[0].ifindex))
    return;
  bypass = ks_route_via (RT_TABLE_MAIN, config->protocol, server, config->tunnel_metric, uplink->nexthops[0].ifindex,
                         &uplink->nexthops[0].gateway);
  add (out, &bypass);
}

void
ks_bypass_compute (const KsConfig *config, const GArray *rules, const GArray *routes, GArray *out)
{
  for (guint i = 0; rules && i < rules->len; i++) {
    const KsRule *rule = &g_array_index (rules, KsRule, i);

    if (ks_policy_owns_rule (config, rule) && rule->priority == config->priority + KS_PRIORITY_TRANSPORT
        && ks_prefix_is_set (&rule->to) && ks_prefix_is_host (&rule->to))
      consider_server (config, routes, &rule->to, out);
  }
  for (guint i = 0; routes && i < routes->len; i++) {
    const KsRoute *route = &g_array_index (routes, KsRoute, i);
    const KsRoute *main_route;

    if (!ks_bypass_is_route (config, route) || route->n_nexthops == 0)
      continue;
    main_route = best_route (config, routes, RT_TABLE_MAIN, &route->dst);
    if (main_route && !ks_route_uses (main_route, route->nexthops[0].ifindex))
      add (out, route);
  }
}
