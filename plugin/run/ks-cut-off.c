/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run/ks-cut-off.h"

#include "kernel/ks-connections.h"

#define MAX_NAMED 8

static gboolean
is_lan (const KsPolicy *policy, const KsPrefix *peer)
{
  if (policy->lan == KS_LAN_OFF)
    return FALSE;
  if (ks_prefix_array_covers (policy->lan_prefixes, peer))
    return TRUE;
  for (guint i = 0; policy->lan == KS_LAN_ROUTES && i < policy->routes->len; i++) {
    const KsRoute *route = &g_array_index (policy->routes, KsRoute, i);

    if (route->table == policy->uplink_table && route->type == RTN_UNICAST && !ks_route_is_default (route)
        && ks_prefix_contains (&route->dst, peer))
      return TRUE;
  }
  return FALSE;
}

/* Whether ManagementFrom= lets the replies out. */
static gboolean
is_managed (const KsPolicy *policy, const KsConnection *connection)
{
  if (!ks_prefix_array_covers (policy->management_prefixes, &connection->peer))
    return FALSE;
  for (guint i = 0; i < policy->management->len; i++)
    if (ks_prefix_equal (&g_array_index (policy->management, KsManagement, i).address, &connection->local))
      return TRUE;
  return FALSE;
}

/* Whether @local is an address of an uplink: replies left through it so far, and no longer may. */
static gboolean
is_of_uplink (const KsPolicy *policy, const GArray *addresses, const KsPrefix *local)
{
  for (guint i = 0; i < addresses->len; i++) {
    const KsAddress *address = &g_array_index (addresses, KsAddress, i);
    KsPrefix host = ks_prefix_host (&address->prefix);

    if (ks_prefix_equal (&host, local) && !ks_policy_has_tunnel (policy, address->ifindex))
      return TRUE;
  }
  return FALSE;
}

static char *
format_warning (const KsConnection *connection)
{
  g_autofree char *peer = ks_prefix_format_address (&connection->peer);

  return g_strdup_printf ("%s is connected to port %u of this host from outside the local network, and is cut off now. "
                          "To let it connect, add ManagementFrom=%s to the [main] section of " KS_SYSCONFDIR
                          "/nm-killswitch.conf. To turn everything off, run: nm-killswitch release",
                          peer, connection->port, peer);
}

GPtrArray *
ks_cut_off_compute (const KsPolicy *policy, const GArray *addresses, const GArray *connections)
{
  GPtrArray *warnings = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GArray) peers = g_array_new (FALSE, FALSE, sizeof (KsPrefix));

  for (guint i = 0; i < connections->len && peers->len < MAX_NAMED; i++) {
    const KsConnection *connection = &g_array_index (connections, KsConnection, i);

    if (ks_prefix_is_loopback (&connection->peer) || is_lan (policy, &connection->peer)
        || is_managed (policy, connection) || !is_of_uplink (policy, addresses, &connection->local)
        || ks_prefix_array_contains (peers, &connection->peer))
      continue;
    ks_prefix_array_add (peers, &connection->peer);
    g_ptr_array_add (warnings, format_warning (connection));
  }
  return warnings;
}
