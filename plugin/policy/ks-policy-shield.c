/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The tunnels of unarmed VPNs. They are uplinks: transports may leave through
 * them, and nothing else. The LAN rules look up table main, where such a tunnel
 * has routes to private subnets too, such as a company's 10.0.0.0/8. Packets to
 * these subnets follow the default instead, by means of routes in table 84,
 * which is looked up before the LAN rules:
 *
 *   PREFIX dev TUNNEL [via GATEWAY] metric 100+n   through each tunnel that may carry everything
 *   unreachable PREFIX metric 201
 *   throw SUBNET metric 202                        what main has inside PREFIX through another device: goes on to
 *                                                  the LAN rules
 *
 * A prefix needs none of this if an armed VPN has a wider one in table 84. The
 * metrics differ because IPv6 takes two routes that lead nowhere, with the same
 * prefix and metric, for the same route. The type is not blackhole, which to the
 * guard means a subnet of an armed VPN, including any local network inside it.
 * The guard recognises unarmed tunnels by their kind.
 */
#include "policy/ks-bypass.h"
#include "policy/ks-policy-builder.h"
#include "policy/ks-route-index.h"

typedef struct {
  KsPolicyBuilder *b;
  GArray *own; /* KsPrefix: what table 84 has for the armed VPNs */
  GHashTable *shields; /* set of KsPrefix */
} Shielding;

static guint32
shield_metric (const Shielding *s)
{
  return s->b->config->blackhole_metric + 1;
}

static gboolean
is_kept_from_main (const Shielding *s, const KsPrefix *prefix)
{
  return ks_prefix_array_covers (s->own, prefix);
}

/* Each device has its own fe80::/64. */
static gboolean
is_of_link (const KsPrefix *prefix)
{
  return prefix->family == AF_INET6 && ks_prefix_is_link_local (prefix);
}

static gboolean
is_subnet (const Shielding *s, const KsRoute *route)
{
  return !ks_owner_has_bypass (s->b->config, route) && route->table == RT_TABLE_MAIN && route->type == RTN_UNICAST
         && route->n_nexthops > 0 && route->dst.length > 0 && route->tos == 0 && !is_of_link (&route->dst)
         && !ks_prefix_is_multicast (&route->dst);
}

/* Whether main has a route to the same prefix through another device that comes first. */
static gboolean
is_beaten (const Shielding *s, const KsRoute *route)
{
  const GArray *routes = s->b->in->main_routes;

  for (guint i = 0; i < routes->len; i++) {
    const KsRoute *other = &g_array_index (routes, KsRoute, i);

    if (is_subnet (s, other) && other->metric < route->metric && ks_prefix_equal (&other->dst, &route->dst)
        && !ks_policy_is_by_foreign_tunnel (s->b, other))
      return TRUE;
  }
  return FALSE;
}

static void
add_shield (Shielding *s, const KsPrefix *prefix)
{
  KsPrefix *copy;
  KsRoute end;

  if (is_kept_from_main (s, prefix) || g_hash_table_contains (s->shields, prefix))
    return;
  copy = g_memdup2 (prefix, sizeof *prefix);
  g_hash_table_add (s->shields, copy);
  end = ks_route_blackhole (s->b->config->tunnel_table, s->b->config->protocol, prefix, shield_metric (s));
  end.type = RTN_UNREACHABLE;
  g_array_append_val (s->b->policy->routes, end);
  ks_policy_add_default_routes_to (s->b, s->b->config->tunnel_table, prefix);
}

/* The part of the route's prefix that the LAN rules cover. */
static void
shield_route (Shielding *s, const KsRoute *route)
{
  const GArray *lan = s->b->policy->lan_prefixes;

  if (s->b->policy->lan == KS_LAN_ROUTES) {
    add_shield (s, &route->dst);
    return;
  }
  for (guint i = 0; i < lan->len; i++) {
    const KsPrefix *prefix = &g_array_index (lan, KsPrefix, i);

    if (ks_prefix_contains (prefix, &route->dst))
      add_shield (s, &route->dst);
    else if (ks_prefix_contains (&route->dst, prefix) && !is_of_link (prefix))
      add_shield (s, prefix);
  }
}

static gboolean
is_inside_shield (const Shielding *s, const KsPrefix *prefix)
{
  GHashTableIter iter;
  gpointer shield;

  if (g_hash_table_contains (s->shields, prefix))
    return FALSE;
  g_hash_table_iter_init (&iter, s->shields);
  while (g_hash_table_iter_next (&iter, &shield, NULL))
    if (ks_prefix_contains (shield, prefix))
      return TRUE;
  return FALSE;
}

/* A host that NetworkManager mistook for a neighbour is not in the local network. */
static gboolean
is_mistaken_server (const Shielding *s, const KsRoute *route)
{
  return g_hash_table_contains (s->b->servers, &route->dst)
         && ks_bypass_is_mistaken (s->b->config, route, s->b->in->main_routes);
}

static void
add_throws (Shielding *s)
{
  const GArray *routes = s->b->in->main_routes;

  for (guint i = 0; i < routes->len; i++) {
    const KsRoute *route = &g_array_index (routes, KsRoute, i);
    KsRoute copy;

    if (!is_subnet (s, route) || ks_policy_is_by_foreign_tunnel (s->b, route) || is_kept_from_main (s, &route->dst)
        || !is_inside_shield (s, &route->dst) || is_mistaken_server (s, route))
      continue;
    copy = ks_route_init (s->b->config->tunnel_table, s->b->config->protocol, &route->dst, shield_metric (s) + 1);
    copy.type = RTN_THROW;
    g_array_append_val (s->b->policy->routes, copy);
  }
}

/* Local multicast looks up the uplinks' table, whose first default route may be through such a tunnel. */
static void
add_multicast_shields (Shielding *s)
{
  g_autoptr (KsRouteIndex) index = ks_route_index_new (s->b->policy->routes, s->b->config->uplink_table);
  g_autoptr (GArray) added = g_array_new (FALSE, FALSE, sizeof (KsRoute));

  for (guint i = 0; ks_policy_multicast_groups[i]; i++) {
    const GPtrArray *answers;
    KsRoute end;
    KsPrefix group;

    ks_prefix_parse (ks_policy_multicast_groups[i], &group, NULL);
    answers = ks_route_index_match (index, &group);
    if (!answers || !ks_policy_is_by_foreign_tunnel (s->b, answers->pdata[0]))
      continue;
    end = ks_route_blackhole (s->b->config->tunnel_table, s->b->config->protocol, &group, shield_metric (s));
    end.type = RTN_UNREACHABLE;
    g_array_append_val (added, end);
  }
  /* not before: the index points into the policy's routes */
  g_array_append_vals (s->b->policy->routes, added->data, added->len);
}

void
ks_policy_add_shields (KsPolicyBuilder *b)
{
  g_autoptr (GArray) own = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  g_autoptr (GHashTable) shields = g_hash_table_new_full (ks_prefix_hash, ks_prefix_equal_func, g_free, NULL);
  Shielding s = { .b = b, .own = own, .shields = shields };

  if (b->policy->lan == KS_LAN_OFF || !b->in->tunnel_links || b->in->tunnel_links->len == 0 || !b->in->main_routes)
    return;
  for (guint i = 0; i < b->policy->routes->len; i++) {
    const KsRoute *route = &g_array_index (b->policy->routes, KsRoute, i);

    if (route->table == b->config->tunnel_table)
      ks_prefix_array_add (own, &route->dst);
  }
  for (guint i = 0; i < b->in->main_routes->len; i++) {
    const KsRoute *route = &g_array_index (b->in->main_routes, KsRoute, i);

    if (is_subnet (&s, route) && ks_policy_is_by_foreign_tunnel (b, route) && !is_beaten (&s, route))
      shield_route (&s, route);
  }
  if (g_hash_table_size (shields) > 0)
    add_throws (&s);
  add_multicast_shields (&s);
}
