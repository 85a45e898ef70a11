/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The processor time that heal has used recently, over all its processes: other
 * programs' changes must not make it use more than a tenth of a processor for
 * long.
 */
#pragma once

#include "base/ks-paths.h"

typedef struct _KsEffort KsEffort;

/* Reads what earlier processes of this boot have recorded. */
KsEffort *ks_effort_new (const KsPaths *paths);
void ks_effort_free (KsEffort *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsEffort, ks_effort_free)

/* Records what this process has used since the last call, or since ks_effort_new(), and returns it, in microseconds. */
gint64 ks_effort_add (KsEffort *self);
/* True if more was used than is allowed; becomes false again once enough time has passed. */
gboolean ks_effort_is_exceeded (KsEffort *self);
