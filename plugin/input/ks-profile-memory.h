/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What was read from each keyfile, remembered until the file changes. Most
 * events find the profiles unchanged, and reading a thousand of them takes
 * longer than everything else together.
 */
#pragma once

#include <sys/stat.h>

#include "input/ks-keyfile.h"

/* The memory in the file @path. It is empty if the file does not exist, is malformed, or was written under another
 * configuration, by another version of this program or with another libnm; with @forget, in any case. @now is the
 * real-time clock in seconds, before any keyfile is read. */
KsProfileMemory *ks_profile_memory_new (const char *path, const KsConfig *config, gint64 now, gboolean forget);
void ks_profile_memory_free (KsProfileMemory *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsProfileMemory, ks_profile_memory_free)

/* What was read from the file @path when it was as @status says (transfer full); NULL if that is not known. */
KsKeyfile *ks_profile_memory_recall (KsProfileMemory *self, const char *path, const struct stat *status);
/* Remembers @keyfile, read while the file was as @status says, unless a later change might not show in the stamp. */
void ks_profile_memory_add (KsProfileMemory *self, const KsKeyfile *keyfile, const struct stat *status);
/* Whether every file asked for was recalled: then everything that its profiles depend on has a stamp. */
gboolean ks_profile_memory_is_whole (const KsProfileMemory *self);
/* The libnm that the profiles went through; NULL for none (transfer none). */
const char *ks_profile_memory_libnm (const KsProfileMemory *self);
/* Writes what was recalled and added, if the file holds something else. If that fails, later runs only take longer. */
void ks_profile_memory_write (KsProfileMemory *self);
