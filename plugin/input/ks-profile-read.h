/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The profiles, read from disk, not over D-Bus: that works before
 * NetworkManager runs and while it is blocked waiting for us.
 */
#pragma once

#include "base/ks-paths.h"
#include "value/ks-profile.h"

/* ks-profile-memory.h */
typedef struct _KsProfileMemory KsProfileMemory;

/*
 * Reads the profiles in @directories, highest precedence first, an entry with
 * a NULL path at the end, with NetworkManager's precedence and tombstones.
 * Never fails: each malformed file appends a GError* to @errors that names
 * file, key and value; one that is no profile at all is in "unreadable".
 * @zone_directories are firewalld's, NULL at the end: a zone that has a file
 * there is no misspelling. A file that @memory, nullable, knows as it is now is
 * not read.
 */
KsProfileSet *ks_profile_set_read (const KsProfileDirectory *directories, const char *const *zone_directories,
                                   const KsConfig *config, KsProfileMemory *memory, GPtrArray *errors);
