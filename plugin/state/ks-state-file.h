/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file that keeps the state between runs, and across boots.
 */
#pragma once

#include "state/ks-state.h"

/* Reads @path. Never fails: without a file, or with a corrupt one, an empty state with is_known FALSE; a corrupt one
 * also appends a GError* to @errors. */
KsState *ks_state_file_read (const char *path, GPtrArray *errors);
/* Writes @path, if that changes it, by way of a temporary file in the same directory, which is made. KS_ERROR_IO. */
gboolean ks_state_file_write (const KsState *self, const char *path, GError **error);
