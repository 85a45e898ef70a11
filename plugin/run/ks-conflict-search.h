/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The search for conflicts while it goes on: shared by ks-conflict.c, -rules.c, -routes.c and -filters.c. */
#pragma once

#include "run/ks-conflict.h"

/* The index of lo in every network namespace: LOOPBACK_IFINDEX of the kernel's include/net/flow.h. */
#define KS_CONFLICT_LOOPBACK 1u

/* Which rules take effect before ours. */
typedef struct {
  guint32 floor; /* rules up to this priority cannot be jumped over */
  guint32 jump; /* the priority of our jump; G_MAXUINT32 if there is none */
} KsConflictPlaces;

typedef struct {
  const KsConflictInput *in;
  int family; /* of the rules and routes under consideration */
  KsConflictPlaces places;
  gboolean is_after_dns; /* the rule under consideration does not get DNS queries: ours for them comes first */
  GPtrArray *out; /* of KsConflict */
} KsConflictSearch;

/* --- ks-conflict.c --- */

/* Adds a conflict, unless there are enough like it. @object and @text are taken. */
void ks_conflict_add (KsConflictSearch *s, const char *kind, KsConflictEffect effect, char *object, const char *program,
                      char *text);
/* A device's name may contain anything (@text is taken; transfer full). */
char *ks_conflict_printable (char *text);
/* "-4" or "-6", for `ip`. */
const char *ks_conflict_family_option (int family);
/* " (probably set by BIRD)" (transfer full). */
char *ks_conflict_by (const char *program);
/* What stops packets that a leaking rule or route lets through. */
const char *ks_conflict_last_defence (const KsConflictSearch *s);
/* NULL if there is no such device. */
const KsLink *ks_conflict_find_link (const KsConflictSearch *s, guint ifindex);
/* Its name, as the kernel has it; "?" if there is no such device. */
const char *ks_conflict_interface (const KsConflictSearch *s, guint ifindex);
/* Whether @prefix is part of the LAN by its addresses, or of this host. */
gboolean ks_conflict_is_private (const KsConflictSearch *s, const KsPrefix *prefix);
/* Whether packets to @prefix may leave to the LAN. */
gboolean ks_conflict_is_lan (const KsConflictSearch *s, const KsPrefix *prefix);
/* Whether @route, of the family, sends packets to other addresses through a device that is no tunnel. */
gboolean ks_conflict_route_leaves (const KsConflictSearch *s, const KsRoute *route);

/* --- ks-conflict-rules.c --- */

KsConflictPlaces ks_conflict_find_places (const KsConfig *config, const GArray *rules, int family);
/* Whether @rule, a foreign one, takes effect before the last of ours. */
gboolean ks_conflict_takes_effect (const KsConfig *config, const KsRule *rule, const KsConflictPlaces *places);
/* Whether the rule matches all packets without a mark, whatever they are. */
gboolean ks_conflict_is_for_the_unmarked (const KsRule *rule);
/* What follows "priority N " in the arguments of `ip rule add`, without the protocol: enough to find the rule again. */
char *ks_conflict_selector (const KsRule *rule);
void ks_conflict_consider_rule (KsConflictSearch *s, const KsRule *rule);

/* --- ks-conflict-routes.c --- */

void ks_conflict_consider_route (KsConflictSearch *s, const KsRoute *route);
/* The default route that transports take: another program's kill switch, none that can be copied, or none in main. */
void ks_conflict_consider_default (KsConflictSearch *s);

/* --- ks-conflict-filters.c --- */

void ks_conflict_consider_nft (KsConflictSearch *s, const KsNftObject *object);
void ks_conflict_consider_redirection (KsConflictSearch *s, const KsTcRedirection *redirection);
