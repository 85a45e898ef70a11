/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file that keeps the state between runs, and across boots.
 */
#pragma once

#include "state/ks-state.h"

/* Reads @path. Never fails: if the file is missing or corrupt, the state is empty and is_known is FALSE; for a corrupt
 * file, a GError* is also appended to @errors. */
KsState *ks_state_file_read (const char *path, GPtrArray *errors);
/* Writes @path if it would change, by means of a temporary file in its directory, which is created. KS_ERROR_IO. */
gboolean ks_state_file_write (const KsState *self, const char *path, GError **error);
