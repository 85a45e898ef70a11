/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The difference between what the kernel holds of ours and a policy, as an
 * ordered plan: no prefix of its steps lets out what both would stop, and none
 * locks out a transport that both allow.
 */
#pragma once

#include "policy/ks-policy.h"

typedef enum {
  KS_STEP_ADD_ROUTE,
  KS_STEP_DELETE_ROUTE,
  KS_STEP_ADD_RULE,
  KS_STEP_DELETE_RULE,
} KsStepKind;

/* What steps rely on each other for; a set of bits. */
typedef enum {
  KS_CONCERN_NONE = 0,
  KS_CONCERN_BLOCK = 1 << 0, /* what blocks is in place, and what no longer counts has gone */
  KS_CONCERN_SERVERS = 1 << 1, /* no old server meets a new rule, and no new server an old one */
} KsConcern;

typedef struct {
  KsStepKind kind;
  guint phase; /* steps are sorted by it; ks-diff.c names them */
  KsConcern closes; /* something could get out without it: once it failed, no step that opens the same is taken */
  KsConcern opens; /* relies on the steps before it that close the same */
  union {
    KsRoute route;
    KsRule rule;
  };
} KsStep;

typedef enum {
  KS_DIFF_DEFAULT = 0,
  /* A profile could not be read: add and correct, but delete nothing that blocks and no exemption. */
  KS_DIFF_HOLD = 1 << 0,
  /* NetworkManager did not answer: an exemption that seems stale may be in use. */
  KS_DIFF_HOLD_EXEMPTIONS = 1 << 1,
  /* Another run may be at work: add what is missing, delete nothing at all. */
  KS_DIFF_ADD_ONLY = 1 << 2,
} KsDiffFlags;

/*
 * @rules and @routes are what the kernel holds (KsRule, KsRoute; also of
 * others, which are ignored). Returns an array of KsStep in the order they
 * have to be applied (transfer full).
 */
GArray *ks_diff_compute (const KsConfig *config, const GArray *rules, const GArray *routes, const KsPolicy *policy,
                         KsDiffFlags flags);

/* Takes one step; returns whether it is done. */
typedef gboolean (*KsStepFunc) (const KsStep *step, gpointer user_data);
/* Takes the steps of @plan in order; after one that closes has failed, those that open the same are left out. Returns
 * whether every step was done. */
gboolean ks_plan_take (const GArray *plan, KsStepFunc take, gpointer user_data);

/* For messages: "add rule ..." (transfer full). */
char *ks_step_format (const KsStep *self);
