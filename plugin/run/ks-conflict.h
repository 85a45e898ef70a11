/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Conflicts: foreign objects in the kernel that defeat a promise. They are
 * reported and left alone.
 *
 *   - A rule that decides before ours, or among them, and sends packets
 *     elsewhere. A rule before ours is jumped over (ks-policy.c), unless it comes
 *     before table local's rule, or has the same priority.
 *   - A route in one of our tables, or in table local; with Lan=routes, one in
 *     table main that makes half of the internet the local network.
 *   - What keeps the VPN from connecting: a rule before ours that drops its
 *     packets, or leads them to where they are dropped; a route that drops them,
 *     or takes its server for this host; a default route into another kill
 *     switch; a firewall that drops unknown traffic. What a firewall's rules
 *     amount to cannot be computed, so such a chain is reported only while no
 *     tunnel is up that has received anything.
 *   - What sends packets past all hooks: a flowtable, if the connections that it
 *     forwards cannot be ended (ks-flows.h); nftables' `fwd` and `dup` in family
 *     netdev, and traffic control's mirred, to a device that is an uplink.
 */
#pragma once

#include "kernel/ks-kernel.h"
#include "kernel/ks-tc.h"
#include "policy/ks-neighbour.h"
#include "policy/ks-policy.h"

typedef enum {
  KS_CONFLICT_LEAKS, /* packets may leave past the VPN */
  KS_CONFLICT_BLOCKS, /* the VPN may fail to connect, or to carry anything */
} KsConflictEffect;

typedef struct {
  const char *kind; /* "rule", "route", "chain", "flowtable" or "action" */
  char *object; /* as `ip rule`, `ip route`, `nft` and `tc actions` show it */
  const char *program; /* the program it probably belongs to; NULL: unknown */
  KsConflictEffect effect;
  gboolean passes_guard; /* what it lets out, the guard does not see */
  char *text; /* the whole conflict and what to do about it, in one line */
} KsConflict;

void ks_conflict_free (KsConflict *self);

/* The input; nothing is owned. */
typedef struct {
  const KsConfig *config;
  const KsPolicy *policy;
  const GArray *rules; /* KsRule, in the kernel's order */
  const GArray *routes; /* KsRoute, of all tables */
  const GArray *links; /* KsLink */
  const GPtrArray *objects; /* of KsNftObject */
  const GArray *redirections; /* KsTcRedirection */
  guint flows; /* how many flows of flowtables go past the VPN */
  gboolean has_guard; /* the guard is in place, and stops what the rules let out */
} KsConflictInput;

/* The conflicts, leaks first; none while nothing is armed. Pure (transfer full; of KsConflict). */
GPtrArray *ks_conflict_find (const KsConflictInput *input);
/* Whether any of @conflicts (of KsConflict) lets packets out that the guard does not see. */
gboolean ks_conflict_any_passes_guard (const GPtrArray *conflicts);

/*
 * Whether a foreign rule or route is where it could do harm, as far as a run can
 * tell without reading more (table local is not among its @routes). On such a
 * host every run has to look closely: no notification tells of changes to the
 * table that such a rule leads to.
 */
gboolean ks_conflict_is_possible (const KsConfig *config, const GArray *rules, const GArray *routes);

/*
 * As ks_conflict_find(), for the kernel as it is now; what cannot be read is left out.
 * @snapshot must be of the same moment or just before.
 */
GPtrArray *ks_conflict_read (KsKernel *kernel, const KsConfig *config, const KsPolicy *policy,
                             const KsSnapshot *snapshot, gboolean has_guard);
/* "leak" or "block". */
const char *ks_conflict_effect_format (KsConflictEffect effect);
