/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "value/ks-tunnel.h"

KsTunnel *
ks_tunnel_new (const char *key, const char *interface)
{
  KsTunnel *self = g_new0 (KsTunnel, 1);

  self->metric = KS_TUNNEL_METRIC;
  self->key = g_strdup (key);
  self->interface = g_strdup (interface);
  self->addresses = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  self->prefixes = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  self->gateways = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  self->nameservers = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  return self;
}

void
ks_tunnel_free (KsTunnel *self)
{
  g_free (self->key);
  g_free (self->interface);
  g_array_unref (self->addresses);
  g_array_unref (self->prefixes);
  g_array_unref (self->gateways);
  g_array_unref (self->nameservers);
  g_free (self);
}

void
ks_tunnel_add_prefix (KsTunnel *self, const KsPrefix *prefix, const KsPrefix *gateway)
{
  KsPrefix network = ks_prefix_network (prefix);
  KsPrefix via = gateway ? *gateway : KS_PREFIX_UNSET;

  if (network.length == 0 || ks_prefix_array_contains (self->prefixes, &network))
    return;
  g_array_append_val (self->prefixes, network);
  g_array_append_val (self->gateways, via);
}

const KsTunnel *
ks_tunnel_find (const GPtrArray *tunnels, const char *key)
{
  for (guint i = 0; i < tunnels->len; i++) {
    const KsTunnel *tunnel = tunnels->pdata[i];

    if (g_strcmp0 (tunnel->key, key) == 0)
      return tunnel;
  }
  return NULL;
}
