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

KsEndpoint *
ks_endpoint_copy (const KsEndpoint *self)
{
  KsEndpoint *copy = ks_endpoint_new (self->host, self->port, self->ip_protocol);

  copy->carriage = self->carriage;
  return copy;
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
  return strcmp (a->host, b->host) == 0 && a->port == b->port && a->ip_protocol == b->ip_protocol
         && a->carriage == b->carriage;
}

gboolean
ks_endpoint_array_contains (const GPtrArray *endpoints, const KsEndpoint *endpoint)
{
  for (guint i = 0; i < endpoints->len; i++)
    if (ks_endpoint_equal (endpoints->pdata[i], endpoint))
      return TRUE;
  return FALSE;
}

void
ks_endpoint_array_add (GPtrArray *endpoints, const KsEndpoint *endpoint)
{
  if (!ks_endpoint_array_contains (endpoints, endpoint))
    g_ptr_array_add (endpoints, ks_endpoint_copy (endpoint));
}

gboolean
ks_endpoint_is_resolvers (const KsEndpoint *self)
{
  return strcmp (self->host, KS_ENDPOINT_RESOLVERS) == 0;
}

static gboolean
is_name (const KsEndpoint *self)
{
  return !ks_endpoint_is_resolvers (self) && !ks_endpoint_get_address (self, NULL);
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

    if (is_name (endpoint) && !g_ptr_array_find_with_equal_func (names, endpoint->host, g_str_equal, NULL))
      g_ptr_array_add (names, g_strdup (endpoint->host));
  }
}

gboolean
ks_endpoint_has_name (const GPtrArray *endpoints)
{
  for (guint i = 0; i < endpoints->len; i++)
    if (is_name (endpoints->pdata[i]))
      return TRUE;
  return FALSE;
}

gboolean
ks_endpoint_has_resolvers (const GPtrArray *endpoints)
{
  for (guint i = 0; i < endpoints->len; i++)
    if (ks_endpoint_is_resolvers (endpoints->pdata[i]))
      return TRUE;
  return FALSE;
}
