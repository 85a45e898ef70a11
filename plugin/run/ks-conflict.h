/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Conflicts: what other programs have put into the kernel that defeats a
 * promise, and that is theirs, so that it is named and left alone.
 *
 *   - a rule that decides before ours, or in the middle of them, and sends a
 *     packet elsewhere. One in front of ours is jumped over (ks-policy.c); not
 *     one that stands before table local, or has its priority.
 *   - a route in one of our tables; with Lan=routes, one of table main that
 *     makes half of the internet the local network.
 *   - what keeps the VPN from connecting: a rule that drops before ours decide,
 *     a default route into another kill switch, a firewall that drops what it does
 *     not know. What a firewall's rules come to cannot be computed, so such a
 *     chain is named only while no tunnel is up.
 *   - a flowtable: what it has taken over passes no hook, and a connection over IPv6 or by a bridge keeps its route
 * when the rules change (nf_flow_dst_check(), net/netfilter/nf_flow_table_ip.c; read, not run).
 */
#pragma once

#include "kernel/ks-kernel.h"
#include "policy/ks-neighbour.h"
#include "policy/ks-policy.h"

typedef enum {
  KS_CONFLICT_LEAKS, /* packets may leave past the VPN */
  KS_CONFLICT_BLOCKS, /* the VPN may not connect, or not carry anything */
} KsConflictEffect;

typedef struct {
  const char *kind; /* "rule", "route", "chain" or "flowtable" */
  char *object; /* as `ip rule`, `ip route` and `nft` show it */
  const char *program; /* to whom it probably belongs; NULL: nothing tells */
  KsConflictEffect effect;
  char *text; /* all of it and what to do, in one line */
} KsConflict;

void ks_conflict_free (KsConflict *self);

/* What is looked at; nothing is owned. */
typedef struct {
  const KsConfig *config;
  const KsPolicy *policy;
  const GArray *rules; /* KsRule, in the kernel's order */
  const GArray *routes; /* KsRoute, of all tables */
  const GArray *links; /* KsLink */
  const GPtrArray *objects; /* of KsNftObject */
  gboolean has_guard; /* the guard is in place, and stops what the rules let out */
} KsConflictInput;

/* Those there are, what leaks first; none while nothing is armed. Pure (transfer full; of KsConflict). */
GPtrArray *ks_conflict_find (const KsConflictInput *input);

/*
 * Whether a rule or a route of another program is where it could do harm; what a
 * run can see without reading more. Such a host has to be looked at by every run:
 * the table that such a rule leads to is nothing that anybody tells of.
 */
gboolean ks_conflict_is_possible (const KsConfig *config, const GArray *rules, const GArray *routes);

/*
 * As ks_conflict_find(), of the kernel as it is now; what cannot be read is left out.
 * @snapshot is of the same moment or just before.
 */
GPtrArray *ks_conflict_read (KsKernel *kernel, const KsConfig *config, const KsPolicy *policy,
                             const KsSnapshot *snapshot, gboolean has_guard);
/* "leak" or "block". */
const char *ks_conflict_effect_format (KsConflictEffect effect);
