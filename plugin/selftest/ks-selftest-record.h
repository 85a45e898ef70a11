/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is known about a case so far, and its outcome. Values, no I/O.
 */
#pragma once

#include "selftest/ks-selftest-judge.h"
#include "selftest/ks-selftest.h"

typedef struct {
  GString *details; /* a line for each probe; NULL if not wanted */
  char *failure; /* the first one; nullable */
  guint failures;
  guint without; /* packets seen on the wire without the kill switch */
  guint with; /* packets seen with it: leaks, or packets that have to leave */
  guint tunnelled;
} KsSelftestRecord;

void ks_selftest_record_init (KsSelftestRecord *self, gboolean verbose);
void ks_selftest_record_clear (KsSelftestRecord *self);

/* Records what became of one probe; @failure, nullable, is what is wrong about it. */
void ks_selftest_record_note (KsSelftestRecord *self, const KsSelftestCase *c, const KsSelftestProbe *probe,
                              KsSelftestState state, const KsSelftestObservation *seen, const char *failure);
/* The final result of the case (transfer full). */
KsSelftestOutcome *
ks_selftest_record_outcome (const KsSelftestRecord *self, const KsSelftestCase *c, gboolean is_skipped);

/* @text is taken over. */
KsSelftestOutcome *ks_selftest_outcome_new (KsSelftestResult result, const char *name, char *text);
void ks_selftest_outcome_free (KsSelftestOutcome *self);
