/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What became of a probe, and whether that is right. Values, no I/O.
 */
#pragma once

#include "selftest/ks-selftest-case.h"

typedef struct {
  int error; /* errno value that the program got, or 0 */
  guint seen; /* packets of the probe on the wire */
  guint bad; /* packets on the wire that must not be there */
  guint tunnelled; /* packets of the probe in the tunnel */
  gboolean answered;
  char *what; /* the first bad packet, or else the first one seen; nullable */
} KsSelftestObservation;

/* Adds what the router and the tunnel saw (KsSelftestPacket) while @probe was tried to @out, which is not cleared. */
void ks_selftest_observe (const KsSelftestCase *self, const KsSelftestProbe *probe, const GArray *wire,
                          const GArray *tunnel, KsSelftestObservation *out);
/* What is wrong (transfer full); NULL if nothing is. */
char *ks_selftest_judge (const KsSelftestCase *self, KsSelftestState state, KsSelftestExpectation expectation,
                         const KsSelftestObservation *seen);
