/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An endpoint: where a VPN's transport goes, as its profile spells it.
 */
#pragma once

#include <glib.h>

typedef struct {
  char *host; /* an address or a host name, as written, without brackets */
  guint16 port; /* 0 for any */
  guint8 ip_protocol; /* 0 for any */
} KsEndpoint;

KsEndpoint *ks_endpoint_new (const char *host, guint16 port, guint8 ip_protocol);
void ks_endpoint_free (KsEndpoint *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsEndpoint, ks_endpoint_free)
gboolean ks_endpoint_equal (const KsEndpoint *a, const KsEndpoint *b);
