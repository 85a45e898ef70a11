/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The processor time that heal has used of late, over all its processes: what
 * others do must not make it use more than a tenth of a processor for long.
 */
#pragma once

#include "base/ks-paths.h"

typedef struct _KsEffort KsEffort;

/* Reads what earlier processes of this boot have written down. */
KsEffort *ks_effort_new (const KsPaths *paths);
void ks_effort_free (KsEffort *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsEffort, ks_effort_free)

/* Writes down what this process has used since the last call, or since it was read; returns that, in microseconds. */
gint64 ks_effort_add (KsEffort *self);
/* True if more was used than what may be; it no longer is once enough time has passed. */
gboolean ks_effort_is_exceeded (KsEffort *self);
