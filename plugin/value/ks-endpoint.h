/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An endpoint: the destination of a VPN's transport, as its profile spells it.
 * The parsers in plugin/vpn create them; policy/ks-transport.h is the result.
 */
#pragma once

#include "value/ks-prefix.h"

/* How the packets leave. */
typedef enum {
  KS_CARRIAGE_PLAIN, /* as they were sent, by the profile's users or by the kernel */
  KS_CARRIAGE_WRAPPED, /* encapsulated by the kernel: routed as root's, owned by the sender of the inner packet */
  KS_CARRIAGE_IPSEC, /* likewise, by the kernel's IPsec */
  KS_CARRIAGE_INSIDE_IPSEC, /* in transport mode: routed as they were sent, and let out only once IPsec encrypts them */
  KS_CARRIAGE_LOOKUP, /* no packet: only their route is looked up. Not for endpoints, only for transports */
} KsCarriage;

/* Used in place of a host: the resolvers that the uplinks were given. No host name is spelt like this. */
#define KS_ENDPOINT_RESOLVERS "*"

typedef struct {
  char *host; /* an address or a host name, as written, without brackets; or KS_ENDPOINT_RESOLVERS */
  guint16 port; /* 0 for any */
  guint8 ip_protocol; /* 0 for any */
  KsCarriage carriage;
} KsEndpoint;

/* KS_CARRIAGE_PLAIN. */
KsEndpoint *ks_endpoint_new (const char *host, guint16 port, guint8 ip_protocol);
KsEndpoint *ks_endpoint_copy (const KsEndpoint *self);
void ks_endpoint_free (KsEndpoint *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsEndpoint, ks_endpoint_free)
gboolean ks_endpoint_equal (const KsEndpoint *a, const KsEndpoint *b);
gboolean ks_endpoint_array_contains (const GPtrArray *endpoints, const KsEndpoint *endpoint);
/* Adds a copy of @endpoint to an array of KsEndpoint unless it is there already. */
void ks_endpoint_array_add (GPtrArray *endpoints, const KsEndpoint *endpoint);
/* True if it stands for the resolvers of the uplinks. */
gboolean ks_endpoint_is_resolvers (const KsEndpoint *self);
/* Whether the host is an address rather than a name; @out, nullable, is then set to it. */
gboolean ks_endpoint_get_address (const KsEndpoint *self, KsPrefix *out);
/* Adds the host names in @endpoints (of KsEndpoint) to @names (of char*, owned), without duplicates. */
void ks_endpoint_collect_names (const GPtrArray *endpoints, GPtrArray *names);
/* Whether any host of @endpoints is a name. */
gboolean ks_endpoint_has_name (const GPtrArray *endpoints);
/* True if any of @endpoints stands for the resolvers of the uplinks. */
gboolean ks_endpoint_has_resolvers (const GPtrArray *endpoints);
