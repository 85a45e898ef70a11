/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "value/ks-endpoint.h"

#include <string.h>

KsEndpoint *
ks_endpoint_new (const char *host, guint16 port, guint8 ip_protocol)
{
  KsEndpoint *self = g_new0 (KsEndpoint, 1);

  self->host = g_strdup (host);
  self->port = port;
  self->ip_protocol = ip_protocol;
  return self;
}

void
ks_endpoint_free (KsEndpoint *self)
{
  g_free (self->host);
  g_free (self);
}

gboolean
ks_endpoint_equal (const KsEndpoint *a, const KsEndpoint *b)
{
  return strcmp (a->host, b->host) == 0 && a->port == b->port && a->ip_protocol == b->ip_protocol;
}

gboolean
ks_endpoint_get_address (const KsEndpoint *self, KsPrefix *out)
{
  KsPrefix address;

  if (!ks_prefix_parse (self->host, &address, NULL))
    return FALSE;
  if (out)
    *out = address;
  return TRUE;
}

void
ks_endpoint_collect_names (const GPtrArray *endpoints, GPtrArray *names)
{
  for (guint i = 0; i < endpoints->len; i++) {
    const KsEndpoint *endpoint = endpoints->pdata[i];

    if (!ks_endpoint_get_address (endpoint, NULL)
        && !g_ptr_array_find_with_equal_func (names, endpoint->host, g_str_equal, NULL))
      g_ptr_array_add (names, g_strdup (endpoint->host));
  }
}

gboolean
ks_endpoint_has_name (const GPtrArray *endpoints)
{
  for (guint i = 0; i < endpoints->len; i++)
    if (!ks_endpoint_get_address (endpoints->pdata[i], NULL))
      return TRUE;
  return FALSE;
}
