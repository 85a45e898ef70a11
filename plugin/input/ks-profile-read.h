/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The profiles, read from disk, not over D-Bus: that works before
 * NetworkManager runs and while it is blocked waiting for us.
 */
#pragma once

#include "value/ks-profile.h"

/* A directory of keyfiles. */
typedef struct {
  const char *path;
  gboolean any_name; /* files need no ".nmconnection" at the end of their name */
  gboolean tombstones; /* UUID.nmmeta files that hide a profile count */
} KsProfileDirectory;

/*
 * Reads the profiles in @directories, highest precedence first, an entry with
 * a NULL path at the end, with NetworkManager's precedence and tombstones.
 * Never fails: each malformed file appends a GError* to @errors that names
 * file, key and value; one that is no profile at all is in "unreadable".
 */
KsProfileSet *ks_profile_set_read (const KsProfileDirectory *directories, const KsConfig *config, GPtrArray *errors);

/* NetworkManager's own directories, highest precedence first. */
extern const KsProfileDirectory ks_profile_directories[];
