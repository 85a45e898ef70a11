/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The difference between a policy and what the kernel holds of it, as an
 * ordered plan: no prefix of its steps lets out what both would stop, and none
 * cuts off a transport that both allow. kernel/ks-kernel.c applies the plan.
 */
#pragma once

#include "policy/ks-policy.h"

typedef enum {
  KS_STEP_ADD_ROUTE,
  KS_STEP_DELETE_ROUTE,
  KS_STEP_ADD_RULE,
  KS_STEP_DELETE_RULE,
} KsStepKind;

/* What steps can depend on; a set of bits. */
typedef enum {
  KS_CONCERN_NONE = 0,
  KS_CONCERN_BLOCK = 1 << 0, /* what blocks is in place, and what is no longer wanted is gone */
  KS_CONCERN_SERVERS = 1 << 1, /* no old server meets a new rule, and no new server an old rule */
} KsConcern;

typedef struct {
  KsStepKind kind;
  guint phase; /* steps are sorted by it; ks-order.c lists the phases */
  KsConcern closes; /* packets could get out without this step: if it fails, steps that open the same are skipped */
  KsConcern opens; /* relies on earlier steps that close the same */
  union {
    KsRoute route;
    KsRule rule;
  };
} KsStep;

typedef enum {
  KS_DIFF_DEFAULT = 0,
  /* A profile could not be read: add and correct, but delete neither exemptions nor anything that blocks. */
  KS_DIFF_HOLD = 1 << 0,
  /* NetworkManager did not answer: an exemption that seems stale may be in use. */
  KS_DIFF_HOLD_EXEMPTIONS = 1 << 1,
  /* Another run may be in progress: add what is missing, delete nothing at all. */
  KS_DIFF_ADD_ONLY = 1 << 2,
} KsDiffFlags;

/*
 * @rules and @routes are what the kernel holds (KsRule, KsRoute); foreign ones
 * among them are ignored. Returns an array of KsStep in the order in which they
 * have to be applied (transfer full).
 */
GArray *ks_diff_compute (const KsConfig *config, const GArray *rules, const GArray *routes, const KsPolicy *policy,
                         KsDiffFlags flags);

/* Takes one step; returns whether it succeeded. */
typedef gboolean (*KsStepFunc) (const KsStep *step, gpointer user_data);
/* Takes the steps of @plan in order. After a step that closes something has failed, the steps that open the same are
 * skipped. Returns whether every step succeeded. */
gboolean ks_plan_take (const GArray *plan, KsStepFunc take, gpointer user_data);

/* For messages: "add rule ..." (transfer full). */
char *ks_step_format (const KsStep *self);
