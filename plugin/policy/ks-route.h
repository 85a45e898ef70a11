/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One route, as `ip route` shows it: a pure value.
 */
#pragma once

#include <linux/rtnetlink.h>

#include "value/ks-prefix.h"

/* Routes with more next hops than this are not copied to the uplink table. */
#define KS_ROUTE_MAX_NEXTHOPS 16

typedef struct {
  guint ifindex; /* 0 for "not set" */
  KsPrefix gateway; /* of either family: IPv4 routes may have an IPv6 gateway */
  guint8 weight; /* 0 is the kernel's rtnh_hops: weight - 1 */
  gboolean onlink; /* RTNH_F_ONLINK: treat the gateway as a neighbour, do not look it up */
} KsNexthop;

typedef struct {
  int family;
  guint32 table;
  guint8 protocol;
  guint8 type; /* RTN_* */
  guint8 scope; /* RT_SCOPE_*; always RT_SCOPE_UNIVERSE for IPv6 */
  guint8 tos;
  KsPrefix dst; /* length 0 for the default route */
  KsPrefix src; /* IPv6 only: for packets from there (`from`); unset for packets from anywhere */
  guint32 metric; /* RTA_PRIORITY */
  KsPrefix prefsrc;
  guint32 metrics[RTAX_MAX + 1]; /* RTAX_*; 0 for "not set" */
  guint n_nexthops; /* 0 for blackhole and similar types */
  KsNexthop nexthops[KS_ROUTE_MAX_NEXTHOPS];
} KsRoute;

/* A unicast route to @dst without a next hop yet. */
KsRoute ks_route_init (guint32 table, guint8 protocol, const KsPrefix *dst, guint32 metric);
/* `blackhole DST metric METRIC`. */
KsRoute ks_route_blackhole (guint32 table, guint8 protocol, const KsPrefix *dst, guint32 metric);
/* `DST [via GATEWAY onlink] dev IFINDEX metric METRIC`; @gateway may be unset. */
KsRoute ks_route_via (guint32 table, guint8 protocol, const KsPrefix *dst, guint32 metric, guint ifindex,
                      const KsPrefix *gateway);

gboolean ks_route_is_default (const KsRoute *self);
/* Whether a next hop leaves by @ifindex. */
gboolean ks_route_uses (const KsRoute *self, guint ifindex);
gboolean ks_route_equal (const KsRoute *a, const KsRoute *b);
/* A GCompareFunc of KsRoute. */
int ks_route_compare (gconstpointer a, gconstpointer b);

/* The first words after `ip [-6] route add`: "blackhole default from 2001:db8::/64" (transfer full). */
char *ks_route_format_destination (const KsRoute *self);
/* The words after `ip [-6] route add`, with ifN for interface index N (transfer full). */
char *ks_route_format (const KsRoute *self);
