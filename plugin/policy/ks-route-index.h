/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The routes of one table, indexed by destination: which of them the kernel
 * looks at for an address. A table may have thousands of routes, and there may
 * be as many servers.
 */
#pragma once

#include "policy/ks-route.h"

typedef struct KsRouteIndex KsRouteIndex;

/* The routes of @table among @routes (KsRoute), which have to stay as long as the index (transfer full). */
KsRouteIndex *ks_route_index_new (const GArray *routes, guint32 table);
void ks_route_index_free (KsRouteIndex *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsRouteIndex, ks_route_index_free)

/*
 * The routes of the longest prefix that holds @host, the lowest metric first
 * (of KsRoute; transfer none); NULL when no prefix does. Whatever comes first
 * there is the kernel's answer, and the others what it falls back to when the
 * device of the first is gone (fib_table_lookup(), net/ipv4/fib_trie.c;
 * fib6_node_lookup(), net/ipv6/ip6_fib.c). Routes for one type of service only
 * are left out: no transport has one.
 */
const GPtrArray *ks_route_index_match (const KsRouteIndex *self, const KsPrefix *host);
