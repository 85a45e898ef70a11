/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An endpoint: where a VPN's transport goes, as its profile spells it.
 */
#pragma once

#include "value/ks-prefix.h"

typedef struct {
  char *host; /* an address or a host name, as written, without brackets */
  guint16 port; /* 0 for any */
  guint8 ip_protocol; /* 0 for any */
} KsEndpoint;

KsEndpoint *ks_endpoint_new (const char *host, guint16 port, guint8 ip_protocol);
void ks_endpoint_free (KsEndpoint *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsEndpoint, ks_endpoint_free)
gboolean ks_endpoint_equal (const KsEndpoint *a, const KsEndpoint *b);
/* Whether the host is an address, not a name; @out, nullable, is then that address. */
gboolean ks_endpoint_get_address (const KsEndpoint *self, KsPrefix *out);
/* Adds the names among the hosts of @endpoints (of KsEndpoint) to @names (of char*, owned), each once. */
void ks_endpoint_collect_names (const GPtrArray *endpoints, GPtrArray *names);
/* Whether any host of @endpoints is a name. */
gboolean ks_endpoint_has_name (const GPtrArray *endpoints);
