/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What became of a probe, and whether it should have. Values, no I/O.
 */
#pragma once

#include "selftest/ks-selftest-case.h"

typedef struct {
  int error; /* errno value that the program got, or 0 */
  guint seen; /* on the wire, of what the probe is */
  guint bad; /* on the wire, of what may not be there */
  guint tunnelled; /* in the tunnel, of what the probe is */
  gboolean answered;
  char *what; /* the first bad one, or else the first seen one; nullable */
} KsSelftestObservation;

/* Counts what the router and the tunnel saw (KsSelftestPacket) while @probe was tried. What is in @out stays. */
void ks_selftest_observe (const KsSelftestCase *self, const KsSelftestProbe *probe, const GArray *wire,
                          const GArray *tunnel, KsSelftestObservation *out);
/* What is wrong (transfer full); NULL for nothing. */
char *ks_selftest_judge (const KsSelftestCase *self, KsSelftestState state, KsSelftestExpectation expectation,
                         const KsSelftestObservation *seen);
