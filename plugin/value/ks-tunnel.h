/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tunnel: the network device of an active armed profile, and what is known
 * of it. A value; ks-network.c fills it from NetworkManager, ks-situation.c
 * from the kernel and the event when NetworkManager does not answer.
 */
#pragma once

#include "value/ks-prefix.h"

/* NetworkManager's metric of a VPN's routes, unless the profile has another (NM_VPN_ROUTE_METRIC_DEFAULT). */
#define KS_TUNNEL_METRIC 50

typedef struct {
  char *key; /* ks_profile_key() of its profile */
  char *interface;
  guint ifindex; /* 0: the kernel has no such device (any more), or it is not up */
  gboolean has_ipv4; /* has an address the tunnel can carry packets for */
  gboolean has_ipv6;
  KsPrefix gateway4; /* unset without */
  KsPrefix gateway6;
  GArray *addresses; /* KsPrefix with host bits and length */
  GArray *prefixes; /* KsPrefix: its subnets and specific routes */
  GArray *gateways; /* KsPrefix: next hop of the prefix with the same index; unset without */
  GArray *nameservers; /* KsPrefix */
  guint16 listen_port; /* WireGuard's; 0 when unknown */
  guint32 fwmark; /* WireGuard's; 0 for none */
  gboolean is_leaving; /* NetworkManager is taking it down */
  gboolean never_default; /* carries subnets of its own only */
  guint32 metric; /* of its default route, as NetworkManager has it: what is preferred has the lower one */
} KsTunnel;

KsTunnel *ks_tunnel_new (const char *key, const char *interface);
void ks_tunnel_free (KsTunnel *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsTunnel, ks_tunnel_free)

/* Adds a specific route of the tunnel, host bits cleared; @gateway may be NULL. A default route is not one. */
void ks_tunnel_add_prefix (KsTunnel *self, const KsPrefix *prefix, const KsPrefix *gateway);
/* The tunnel of the profile with @key among @tunnels (of KsTunnel); NULL for none (transfer none). */
const KsTunnel *ks_tunnel_find (const GPtrArray *tunnels, const char *key);
