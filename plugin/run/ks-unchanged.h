/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whether nothing has changed since a run that had nothing to do: most events
 * find it so, and to compute again what a thousand profiles ask for takes
 * several times as long as to see that.
 */
#pragma once

#include "run/ks-report.h"

typedef struct _KsUnchanged KsUnchanged;

/* What a run is about to read; under the lock, before it reads anything. */
KsUnchanged *ks_unchanged_new (const KsPaths *paths);
void ks_unchanged_free (KsUnchanged *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsUnchanged, ks_unchanged_free)

/* TRUE if this run would do nothing, write nothing and say nothing, whichever hint it was started by. FALSE when in
 * doubt. */
gboolean ks_unchanged_holds (KsUnchanged *self);

/* Notes what the run has found in the kernel. */
void ks_unchanged_take_snapshot (KsUnchanged *self, const KsSnapshot *snapshot);
/* At the end of the run that @report is of: writes what everything was, if there was nothing to do, for the runs to
 * come. Nothing but time is lost when that fails. */
void ks_unchanged_write (KsUnchanged *self, const KsReport *report);
