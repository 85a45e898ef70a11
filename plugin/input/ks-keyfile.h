/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NetworkManager's keyfiles: which files there are, and which of them count.
 * What they say is ks-profile-read.c's matter.
 */
#pragma once

#include "input/ks-profile-read.h"

typedef struct {
  char *path;
  char *uuid; /* nullable; in lower case */
  GKeyFile *file;
} KsKeyfile;

void ks_keyfile_free (KsKeyfile *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsKeyfile, ks_keyfile_free)

/*
 * The keyfiles in @directories (as ks_profile_set_read()), those left out that
 * another one or a tombstone hides (transfer full; of KsKeyfile). The path of
 * a file that is no valid profile, or of a directory that cannot be read, goes
 * to @unreadable (of char*), and a GError* that says why to @errors.
 */
GPtrArray *ks_keyfile_find (const KsProfileDirectory *directories, GPtrArray *unreadable, GPtrArray *errors);
