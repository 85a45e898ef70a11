/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tunnel: the network device of an active armed profile, and what is known
 * about it. A value; ks-network.c fills it from NetworkManager, ks-situation.c
 * from the kernel and the event if NetworkManager does not answer.
 */
#pragma once

#include "value/ks-prefix.h"

/* NetworkManager's metric of a VPN's routes, unless the profile has another (NM_VPN_ROUTE_METRIC_DEFAULT). */
#define KS_TUNNEL_METRIC 50

typedef struct {
  char *key; /* ks_profile_key() of its profile */
  char *interface;
  guint ifindex; /* 0: the kernel has no such device, or it is not up */
  gboolean has_ipv4; /* has an address of the family, so it can carry its packets */
  gboolean has_ipv6;
  KsPrefix gateway4; /* unset for none */
  KsPrefix gateway6;
  GArray *addresses; /* KsPrefix with host bits and length */
  GArray *prefixes; /* KsPrefix: its subnets and specific routes */
  GArray *gateways; /* KsPrefix: next hop of the prefix with the same index; unset for none */
  GArray *nameservers; /* KsPrefix */
  guint16 listen_port; /* WireGuard's; 0 if unknown */
  guint32 fwmark; /* WireGuard's; 0 for none */
  gboolean is_leaving; /* NetworkManager is taking it down */
  gboolean never_default; /* carries only subnets of its own */
  guint32 metric; /* of its default route, according to NetworkManager: the lowest is preferred */
} KsTunnel;

KsTunnel *ks_tunnel_new (const char *key, const char *interface);
void ks_tunnel_free (KsTunnel *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsTunnel, ks_tunnel_free)

/* Adds a specific route of the tunnel, with host bits cleared; @gateway may be NULL. Ignores a default route. */
void ks_tunnel_add_prefix (KsTunnel *self, const KsPrefix *prefix, const KsPrefix *gateway);
/* The tunnel of the profile with @key among @tunnels (of KsTunnel); NULL for none (transfer none). */
const KsTunnel *ks_tunnel_find (const GPtrArray *tunnels, const char *key);
