/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a run has changed for a person: from the summary of the run before it to
 * its own. Each is one message of the journal.
 */
#pragma once

#include "state/ks-summary-file.h"

typedef enum {
  KS_TRANSITION_NONE,
  KS_TRANSITION_INCOMPLETE, /* the kernel does not hold any more what it should */
  KS_TRANSITION_RELEASED, /* nothing is armed any more */
  KS_TRANSITION_ARMED, /* a profile is, that was not; the first, or one more */
  KS_TRANSITION_DISARMED, /* a profile is not any more; others still are */
  KS_TRANSITION_PROTECTED, /* a VPN is up, where none was */
  KS_TRANSITION_BLOCKED, /* none is up any more */
} KsTransitionKind;

typedef struct {
  KsTransitionKind kind;
  GPtrArray *profiles; /* of KsSummaryProfile, the summaries': those that it is about */
} KsTransition;

/* Both may be NULL: nothing was known, which is as if nothing had been armed; nothing is, and then it is none. Pure. */
void ks_transition_init (KsTransition *self, const KsSummary *former, const KsSummary *now);
void ks_transition_clear (KsTransition *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (KsTransition, ks_transition_clear)

/* What has happened, for people, without the occasion (transfer full). */
char *ks_transition_format (const KsTransition *self, const KsSummary *now);
