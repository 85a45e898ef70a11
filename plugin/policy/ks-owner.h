/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What in the kernel is ours: the priorities of our rules, and which rules and
 * routes belong to us. Nothing else is ever changed or deleted.
 */
#pragma once

#include "policy/ks-route.h"
#include "policy/ks-rule.h"
#include "value/ks-config.h"

/* Offsets from KsConfig.priority; ks-policy.c specifies the rules. */
enum {
  KS_PRIORITY_TRANSPORT = 0,
  KS_PRIORITY_BOOTSTRAP = 5,
  KS_PRIORITY_DHCP = 7,
  KS_PRIORITY_MANAGEMENT = 8,
  KS_PRIORITY_TUNNEL = 9,
  KS_PRIORITY_DNS = 10,
  KS_PRIORITY_LAN = 30,
  KS_PRIORITY_MULTICAST = 35,
  KS_PRIORITY_PROGRAMS = 70,
  KS_PRIORITY_GATEWAY = 75,
  KS_PRIORITY_DEFAULT = 80,
  KS_PRIORITY_TERMINAL = 90,
};

/* Whether routing table @table is one of ours. */
gboolean ks_owner_has_table (const KsConfig *config, guint32 table);
/* Whether @rule has our protocol and one of our priorities, or is our jump to them or our lookup of table local. */
gboolean ks_owner_has_rule (const KsConfig *config, const KsRule *rule);
/* Whether any of @rules (of KsRule) is one of ours. */
gboolean ks_owner_has_any_rule (const KsConfig *config, const GArray *rules);
/* Whether @table is one of the tables for ManagementFrom=. */
gboolean ks_owner_is_management_table (const KsConfig *config, guint32 table);
/* Whether @route has our protocol and is in one of our tables, or is a bypass route. */
gboolean ks_owner_has_route (const KsConfig *config, const KsRoute *route);
/* Whether any of @routes (of KsRoute) is one of ours. */
gboolean ks_owner_has_any_route (const KsConfig *config, const GArray *routes);
/* Whether @route is one of our host routes in table main (ks-bypass.h). */
gboolean ks_owner_has_bypass (const KsConfig *config, const KsRoute *route);
