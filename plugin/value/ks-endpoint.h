/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An endpoint: where a VPN's transport goes, as its profile spells it.
 */
#pragma once

#include "value/ks-prefix.h"

/* How the packets get out. */
typedef enum {
  KS_CARRIAGE_PLAIN, /* as they were sent, by the profile's users or by the kernel */
  KS_CARRIAGE_WRAPPED, /* what the kernel makes of other packets: routed as root's, owned by who sent the one inside */
  KS_CARRIAGE_IPSEC, /* likewise, and it is IPsec that does it */
  KS_CARRIAGE_INSIDE_IPSEC, /* in transport mode: routed as they were sent, and let out only once IPsec encrypts them */
  KS_CARRIAGE_LOOKUP, /* none: somebody asks for their route. Of no endpoint, only of a transport */
} KsCarriage;

/* In place of a host: the resolvers that the uplinks were given. No host is spelt like that. */
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
/* True if it stands for the resolvers of the uplinks. */
gboolean ks_endpoint_is_resolvers (const KsEndpoint *self);
/* Whether the host is an address, not a name; @out, nullable, is then that address. */
gboolean ks_endpoint_get_address (const KsEndpoint *self, KsPrefix *out);
/* Adds the names among the hosts of @endpoints (of KsEndpoint) to @names (of char*, owned), each once. */
void ks_endpoint_collect_names (const GPtrArray *endpoints, GPtrArray *names);
/* Whether any host of @endpoints is a name. */
gboolean ks_endpoint_has_name (const GPtrArray *endpoints);
/* True if any of @endpoints stands for the resolvers of the uplinks. */
gboolean ks_endpoint_has_resolvers (const GPtrArray *endpoints);
