/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One run at a time: events come in parallel.
 */
#pragma once

#include "base/ks-paths.h"

/*
 * Takes the lock, waiting up to @timeout_ms milliseconds. Returns a file
 * descriptor for ks_lock_release(), or -1 with KS_ERROR_IO. A process that
 * ends, however it does, has released it.
 */
int ks_lock_take (const KsPaths *paths, guint timeout_ms, GError **error);
/* Releases; -1 is ignored. */
void ks_lock_release (int lock);
