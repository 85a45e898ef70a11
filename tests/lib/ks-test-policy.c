/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test-policy.h"

#include "ks-test.h"

static void
policy_tunnel_free (gpointer data)
{
  KsPolicyTunnel *tunnel = data;

  g_array_unref (tunnel->addresses);
  g_free (tunnel);
}

KsPolicy *
ks_test_policy_new (const char *lan_prefixes)
{
  KsPolicy *self = g_new0 (KsPolicy, 1);

  self->armed = self->guard = TRUE;
  self->lan = KS_LAN_PRIVATE;
  self->dns = KS_DNS_TUNNEL;
  self->servers_table = 86;
  self->uplink_table = 85;
  self->rules = g_array_new (FALSE, FALSE, sizeof (KsRule));
  self->routes = g_array_new (FALSE, FALSE, sizeof (KsRoute));
  self->transports = g_array_new (FALSE, FALSE, sizeof (KsTransport));
  self->bootstrap = g_array_new (FALSE, FALSE, sizeof (KsTransport));
  self->outers = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  self->names = g_ptr_array_new_with_free_func (g_free);
  self->management = g_array_new (FALSE, FALSE, sizeof (KsManagement));
  self->management_prefixes = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  self->lan_prefixes = ks_test_prefixes (lan_prefixes);
  self->tunnels = g_ptr_array_new_with_free_func (policy_tunnel_free);
  return self;
}

void
ks_test_policy_add_tunnel (KsPolicy *self, const char *interface, guint ifindex, const char *address)
{
  KsPolicyTunnel *tunnel = g_new0 (KsPolicyTunnel, 1);
  KsPrefix host = ks_test_prefix (address);

  g_strlcpy (tunnel->interface, interface, sizeof tunnel->interface);
  tunnel->ifindex = ifindex;
  tunnel->addresses = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  g_array_append_val (tunnel->addresses, host);
  g_ptr_array_add (self->tunnels, tunnel);
}
