/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What was read from each keyfile, remembered until the file changes: most
 * events come with the profiles as they were, and to read a thousand of them
 * takes longer than everything else together.
 */
#pragma once

#include <sys/stat.h>

#include "input/ks-keyfile.h"

/* The memory in the file @path, empty when it is not there, is malformed, or was written under another configuration,
 * by another version of this program or with another libnm. With @forget it is empty in any case. @now is the time in
 * seconds of the real-time clock, before any keyfile is read. */
KsProfileMemory *ks_profile_memory_new (const char *path, const KsConfig *config, gint64 now, gboolean forget);
void ks_profile_memory_free (KsProfileMemory *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsProfileMemory, ks_profile_memory_free)

/* What was read from the file @path when it was as @status says (transfer full); NULL when that is not known. */
KsKeyfile *ks_profile_memory_recall (KsProfileMemory *self, const char *path, const struct stat *status);
/* Remembers @keyfile, which was read while the file was as @status says, unless it cannot be told from a later one. */
void ks_profile_memory_add (KsProfileMemory *self, const KsKeyfile *keyfile, const struct stat *status);
/* Whether every file that was asked for was recalled: then nothing that its profiles depend on is without a stamp. */
gboolean ks_profile_memory_is_whole (const KsProfileMemory *self);
/* The libnm that the profiles went through, NULL for none (transfer none). */
const char *ks_profile_memory_libnm (const KsProfileMemory *self);
/* Writes what was recalled and added, if that is not what the file has. Nothing but time is lost when that fails. */
void ks_profile_memory_write (KsProfileMemory *self);
