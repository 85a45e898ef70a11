/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a run has changed for people: from the summary of the run before it to
 * its own. Each change is one journal message.
 */
#pragma once

#include "state/ks-summary-file.h"

typedef enum {
  KS_TRANSITION_NONE,
  KS_TRANSITION_INCOMPLETE, /* the kernel no longer holds what it should */
  KS_TRANSITION_RELEASED, /* everything was released: nothing is armed any more */
  KS_TRANSITION_ARMED, /* a profile is armed that was not, the first or one more */
  KS_TRANSITION_DISARMED, /* a profile is no longer armed, but others are */
  KS_TRANSITION_PROTECTED, /* a VPN is up, and none was before */
  KS_TRANSITION_BLOCKED, /* no VPN is up any more */
} KsTransitionKind;

typedef struct {
  KsTransitionKind kind;
  GPtrArray *profiles; /* of KsSummaryProfile, owned by the summaries: those that it is about */
} KsTransition;

/* Compares two summaries. NULL for @former: unknown, as if nothing had been armed; for @now: no change. Pure. */
void ks_transition_init (KsTransition *self, const KsSummary *former, const KsSummary *now);
void ks_transition_clear (KsTransition *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (KsTransition, ks_transition_clear)

/* What has happened, for people, without the cause (transfer full). */
char *ks_transition_format (const KsTransition *self, const KsSummary *now);
