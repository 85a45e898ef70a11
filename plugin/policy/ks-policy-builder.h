/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Between ks-policy.c, ks-policy-routes.c and ks-policy-management.c: a policy
 * while it is computed.
 */
#pragma once

#include "policy/ks-policy.h"

typedef struct {
  const KsPolicyInput *in;
  const KsConfig *config;
  KsPolicy *policy;
  GHashTable *servers; /* set of KsPrefix, hosts: where transports to one server go */
} KsPolicyBuilder;

/* AF_INET, AF_INET6: the first ks_policy_family_count() of them count. */
extern const int ks_policy_families[];
guint ks_policy_family_count (const KsPolicyBuilder *b);

/* Adds all routes, in order, each once. */
void ks_policy_add_routes (KsPolicyBuilder *b);
/* Adds the addresses whose replies ManagementFrom= lets out, and the routes of their tables. */
void ks_policy_add_management (KsPolicyBuilder *b);
/* Whether @route, of table main, belongs into the uplinks' tables. */
gboolean ks_policy_is_uplink_route (const KsPolicyBuilder *b, const KsRoute *route);
/* The route as @table has it, without next hops by a tunnel. */
KsRoute ks_policy_uplink_route (const KsPolicyBuilder *b, const KsRoute *route, guint32 table);
/* Puts routes in order, each once. */
void ks_policy_sort_routes (GArray *routes);
