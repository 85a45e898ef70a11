/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/ks-route-index.h"

#define MAX_LENGTH 128

struct KsRouteIndex {
  GHashTable *routes; /* KsPrefix (network) -> GPtrArray of KsRoute */
  gboolean has_length[2][MAX_LENGTH + 1]; /* IPv4, IPv6: whether there is a prefix of this length */
};

static int
compare_metrics (gconstpointer a, gconstpointer b)
{
  const KsRoute *first = *(const KsRoute *const *) a, *second = *(const KsRoute *const *) b;

  return first->metric < second->metric ? -1 : first->metric > second->metric;
}

static gboolean *
lengths_of (KsRouteIndex *self, int family)
{
  return self->has_length[family == AF_INET6];
}

static void
add (KsRouteIndex *self, const KsRoute *route)
{
  KsPrefix network = ks_prefix_network (&route->dst);
  GPtrArray *routes = g_hash_table_lookup (self->routes, &network);

  if (!routes) {
    routes = g_ptr_array_new ();
    g_hash_table_insert (self->routes, g_memdup2 (&network, sizeof network), routes);
    lengths_of (self, network.family)[network.length] = TRUE;
  }
  g_ptr_array_add (routes, (gpointer) route);
}

KsRouteIndex *
ks_route_index_new (const GArray *routes, guint32 table)
{
  KsRouteIndex *self = g_new0 (KsRouteIndex, 1);
  GHashTableIter iter;
  gpointer list;

  self->routes =
    g_hash_table_new_full (ks_prefix_hash, ks_prefix_equal_func, g_free, (GDestroyNotify) g_ptr_array_unref);
  for (guint i = 0; i < routes->len; i++) {
    const KsRoute *route = &g_array_index (routes, KsRoute, i);

    if (route->table == table && route->tos == 0)
      add (self, route);
  }
  /* g_ptr_array_sort() is stable: routes with the same metric stay in the kernel's order */
  g_hash_table_iter_init (&iter, self->routes);
  while (g_hash_table_iter_next (&iter, NULL, &list))
    g_ptr_array_sort (list, compare_metrics);
  return self;
}

void
ks_route_index_free (KsRouteIndex *self)
{
  g_hash_table_unref (self->routes);
  g_free (self);
}

const GPtrArray *
ks_route_index_match (const KsRouteIndex *self, const KsPrefix *host)
{
  const gboolean *has_length = self->has_length[host->family == AF_INET6];

  for (guint length = ks_prefix_full_length (host->family) + 1; length-- > 0;) {
    KsPrefix network = *host;
    const GPtrArray *routes;

    if (!has_length[length])
      continue;
    network.length = (guint8) length;
    network = ks_prefix_network (&network);
    routes = g_hash_table_lookup (self->routes, &network);
    if (routes)
      return routes;
  }
  return NULL;
}
