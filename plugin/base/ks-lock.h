/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One run at a time: events arrive in parallel.
 */
#pragma once

#include "base/ks-paths.h"

/*
 * Takes the lock, waiting up to @timeout_ms milliseconds. Returns a file
 * descriptor for ks_lock_release(), or -1 with KS_ERROR_IO. The lock is released
 * when the process ends, however it does.
 */
int ks_lock_take (const KsPaths *paths, guint timeout_ms, GError **error);
/* Releases the lock; -1 is ignored. */
void ks_lock_release (int lock);
