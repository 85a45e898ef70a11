/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Tells whether nothing has changed since a run that had nothing to do. That is
 * the case for most events, and computing what a thousand profiles ask for takes
 * several times as long as finding that out.
 */
#pragma once

#include "run/ks-report.h"

typedef struct _KsUnchanged KsUnchanged;

/* Takes note of what a run is about to read; call under the lock, before it reads anything. */
KsUnchanged *ks_unchanged_new (const KsPaths *paths);
void ks_unchanged_free (KsUnchanged *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsUnchanged, ks_unchanged_free)

/* TRUE if this run would do nothing, write nothing and report nothing, whichever hint started it. FALSE in case of
 * doubt. */
gboolean ks_unchanged_holds (KsUnchanged *self);

/* Notes what the run has found in the kernel. */
void ks_unchanged_take_snapshot (KsUnchanged *self, const KsSnapshot *snapshot);
/* Call at the end of the run that @report is of: if there was nothing to do, records everything for later runs. If that
 * fails, they only take longer. */
void ks_unchanged_write (KsUnchanged *self, const KsReport *report);
