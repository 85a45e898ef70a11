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
