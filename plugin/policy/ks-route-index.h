/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The routes of one table, indexed by destination, to find those that the
 * kernel considers for an address. A table may have thousands of routes, and
 * there may be as many servers.
 */
#pragma once

#include "policy/ks-route.h"

typedef struct KsRouteIndex KsRouteIndex;

/* The routes of @table among @routes (KsRoute), which must outlive the index (transfer full). */
KsRouteIndex *ks_route_index_new (const GArray *routes, guint32 table);
void ks_route_index_free (KsRouteIndex *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsRouteIndex, ks_route_index_free)

/*
 * The routes of the longest prefix that contains @host, lowest metric first (of
 * KsRoute; transfer none); NULL if no prefix does. The first is the kernel's
 * answer, and the others are what it falls back to when the device of the first
 * is gone (fib_table_lookup(), net/ipv4/fib_trie.c; fib6_node_lookup(),
 * net/ipv6/ip6_fib.c). Routes for a single type of service are left out:
 * transports have none.
 */
const GPtrArray *ks_route_index_match (const KsRouteIndex *self, const KsPrefix *host);
