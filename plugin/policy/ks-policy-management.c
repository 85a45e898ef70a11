/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ManagementFrom=: replies to the prefixes it names leave through the device
 * that the connection came in by. ks-policy.c describes the rules and why they
 * suffice; this file computes which addresses they are for and where the
 * replies of each one go.
 *
 * A device takes part if it is no tunnel and table main has a route through it
 * that covers one of the prefixes, or is inside one. Each device has a table of
 * its own with these routes, so that the reply leaves through the device that
 * holds the address, whichever uplink NetworkManager prefers.
 */
#include <string.h>

#include "policy/ks-policy-builder.h"

static gboolean
overlaps_any (const GArray *prefixes, const KsPrefix *prefix)
{
  for (guint i = 0; i < prefixes->len; i++)
    if (ks_prefix_overlaps (&g_array_index (prefixes, KsPrefix, i), prefix))
      return TRUE;
  return FALSE;
}

static int
compare_indices (gconstpointer a, gconstpointer b)
{
  guint left = *(const guint *) a, right = *(const guint *) b;

  return left < right ? -1 : left > right;
}

static gboolean
has_index (const GArray *indices, guint ifindex)
{
  for (guint i = 0; i < indices->len; i++)
    if (g_array_index (indices, guint, i) == ifindex)
      return TRUE;
  return FALSE;
}

/* The devices of @routes, in order of their index, without duplicates (transfer full; of guint). */
static GArray *
find_devices (const GArray *routes)
{
  GArray *devices = g_array_new (FALSE, FALSE, sizeof (guint));

  for (guint i = 0; i < routes->len; i++) {
    const KsRoute *route = &g_array_index (routes, KsRoute, i);

    for (guint j = 0; j < route->n_nexthops; j++)
      if (!has_index (devices, route->nexthops[j].ifindex))
        g_array_append_val (devices, route->nexthops[j].ifindex);
  }
  g_array_sort (devices, compare_indices);
  return devices;
}

/* The uplinks' routes to the prefixes, as table 85 has them, including unreachable ones (transfer full). */
static GArray *
find_routes (const KsPolicyBuilder *b)
{
  GArray *routes = g_array_new (FALSE, FALSE, sizeof (KsRoute));

  for (guint i = 0; b->in->main_routes && i < b->in->main_routes->len; i++) {
    const KsRoute *route = &g_array_index (b->in->main_routes, KsRoute, i);

    if (ks_policy_is_uplink_route (b, route) && overlaps_any (b->config->management_prefixes, &route->dst)) {
      KsRoute copy = ks_policy_uplink_route (b, route, b->config->uplink_table);

      g_array_append_val (routes, copy);
    }
  }
  return routes;
}

/* @route as the device's own table has it. Returns FALSE if it does not leave through the device. */
static gboolean
keep_device (KsRoute *route, guint ifindex)
{
  KsNexthop kept = { 0 };

  if (route->n_nexthops == 0)
    return TRUE;
  for (guint i = 0; i < route->n_nexthops && !kept.ifindex; i++)
    if (route->nexthops[i].ifindex == ifindex)
      kept = route->nexthops[i];
  if (!kept.ifindex)
    return FALSE;
  kept.weight = 0;
  memset (route->nexthops, 0, sizeof route->nexthops);
  route->nexthops[0] = kept;
  route->n_nexthops = 1;
  return TRUE;
}

static void
add_table (KsPolicyBuilder *b, int family, const GArray *routes, guint ifindex, guint32 table)
{
  KsPrefix all = ks_prefix_default (family);
  KsRoute end = ks_route_init (table, b->config->protocol, &all, G_MAXUINT32);

  for (guint i = 0; i < routes->len; i++) {
    KsRoute route = g_array_index (routes, KsRoute, i);

    route.table = table;
    if (route.family == family && keep_device (&route, ifindex))
      g_array_append_val (b->policy->routes, route);
  }
  end.type = RTN_UNREACHABLE;
  g_array_append_val (b->policy->routes, end);
}

/* Adds the device's addresses that hosts outside its link can reach; returns whether there is one. */
static gboolean
add_addresses (KsPolicyBuilder *b, int family, guint ifindex, guint32 table)
{
  gboolean found = FALSE;

  for (guint i = 0; i < b->in->addresses->len; i++) {
    const KsAddress *address = &g_array_index (b->in->addresses, KsAddress, i);
    KsManagement entry = {
      .address = ks_prefix_host (&address->prefix),
      .ifindex = ifindex,
      .table = table,
    };

    if (address->ifindex != ifindex || address->prefix.family != family || ks_prefix_is_link_local (&entry.address)
        || ks_prefix_is_loopback (&entry.address))
      continue;
    g_array_append_val (b->policy->management, entry);
    found = TRUE;
  }
  return found;
}

void
ks_policy_add_management (KsPolicyBuilder *b)
{
  const GArray *prefixes = b->config->management_prefixes;
  g_autoptr (GArray) routes = NULL;
  g_autoptr (GArray) devices = NULL;

  /* only the guard can tell a reply from anything else */
  if (prefixes->len == 0 || !b->in->addresses || !b->policy->guard || b->in->no_guard)
    return;
  g_array_append_vals (b->policy->management_prefixes, prefixes->data, prefixes->len);
  routes = find_routes (b);
  devices = find_devices (routes);
  for (guint i = 0; i < MIN (devices->len, KS_MANAGEMENT_TABLES); i++)
    for (guint j = 0; j < ks_policy_family_count (b); j++) {
      guint ifindex = g_array_index (devices, guint, i);
      guint32 table = b->config->management_table + i;

      if (ks_prefix_array_has_family (prefixes, ks_policy_families[j])
          && add_addresses (b, ks_policy_families[j], ifindex, table))
        add_table (b, ks_policy_families[j], routes, ifindex, table);
    }
}
