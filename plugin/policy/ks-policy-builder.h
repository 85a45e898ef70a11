/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A policy while it is computed: shared by ks-policy.c and
 * ks-policy-transports.c, -rules.c, -routes.c, -shield.c and -management.c.
 */
#pragma once

#include "policy/ks-nesting.h"
#include "policy/ks-policy.h"
#include "policy/ks-route-index.h"

typedef struct {
  const KsPolicyInput *in;
  const KsConfig *config;
  KsPolicy *policy;
  GPtrArray *connecting; /* of KsProfile: armed or on standby, whose transports are exempted */
  KsNesting *nesting; /* which servers are reached through another VPN's tunnel */
  GArray *uplink_subnets; /* KsPrefix: the uplinks' own subnets */
  KsRouteIndex *main; /* of the routes of table main; NULL without any */
  GHashTable *servers; /* set of KsPrefix, hosts: the servers of transports to a single server */
} KsPolicyBuilder;

/* AF_INET, AF_INET6: only the first ks_policy_family_count() of them are used. */
extern const int ks_policy_families[];
guint ks_policy_family_count (const KsPolicyBuilder *b);

/* Adds what is exempted: transports, sorted and without duplicates, and the queries for servers' names. */
void ks_policy_add_transports (KsPolicyBuilder *b);
/* Adds the rules of @family, in order of priority. Call after ks_policy_add_transports(). */
void ks_policy_add_rules (KsPolicyBuilder *b, int family);
/* Adds all routes, sorted and without duplicates. */
void ks_policy_add_routes (KsPolicyBuilder *b);
/* Adds the addresses whose replies ManagementFrom= lets out, and the routes of their tables. */
void ks_policy_add_management (KsPolicyBuilder *b);
/* Adds to table 84 the routes that keep the LAN rules from leading into an unarmed VPN's tunnel. */
void ks_policy_add_shields (KsPolicyBuilder *b);
/* IPv4 multicast groups that routers do not forward beyond the site, and broadcast; NULL at the end. */
extern const char *const ks_policy_multicast_groups[];
/* Adds to @table a route to @dst through each tunnel that may carry everything, in order. */
void ks_policy_add_default_routes_to (KsPolicyBuilder *b, guint32 table, const KsPrefix *dst);
/* Whether a next hop of @route is the tunnel of a VPN that is not armed. */
gboolean ks_policy_is_by_foreign_tunnel (const KsPolicyBuilder *b, const KsRoute *route);
/* Whether @route, of table main, belongs in the uplinks' tables. */
gboolean ks_policy_is_uplink_route (const KsPolicyBuilder *b, const KsRoute *route);
/* @route as @table has it, without next hops through a tunnel. */
KsRoute ks_policy_uplink_route (const KsPolicyBuilder *b, const KsRoute *route, guint32 table);
/* Sorts routes and removes duplicates. */
void ks_policy_sort_routes (GArray *routes);
