/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The profiles, read from disk rather than over D-Bus: that works before
 * NetworkManager runs, and while it is blocked waiting for us.
 */
#pragma once

#include "base/ks-paths.h"
#include "value/ks-profile.h"

/* ks-profile-memory.h */
typedef struct _KsProfileMemory KsProfileMemory;

/*
 * Reads the profiles in @directories, highest precedence first, ended by an entry
 * with a NULL path, with NetworkManager's precedence and tombstones. Never fails:
 * for each malformed file, a GError* that names file, key and value is appended
 * to @errors; a file that is not a profile at all goes to "unreadable".
 * @zone_directories are firewalld's, ended by NULL: a zone with a file there is
 * no misspelling. A file that @memory, nullable, knows in its present state is
 * not read.
 */
KsProfileSet *ks_profile_set_read (const KsProfileDirectory *directories, const char *const *zone_directories,
                                   const KsConfig *config, KsProfileMemory *memory, GPtrArray *errors);
