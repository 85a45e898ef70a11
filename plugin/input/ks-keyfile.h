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
  KsProfile *profile; /* NULL: it has no setting of ours */
  gboolean is_unclear; /* it has a zone that a configuration we could not read may name */
  GPtrArray *errors; /* of GError: what is malformed */
  GPtrArray *warnings; /* of char*: settings that have no effect */
  gboolean may_warn; /* without a change of the file, because of other ones */
} KsKeyfile;

KsKeyfile *ks_keyfile_new (const char *path);
void ks_keyfile_free (KsKeyfile *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsKeyfile, ks_keyfile_free)

/* Fills in what @file, which may be altered, says. */
typedef void (*KsKeyfileFunc) (KsKeyfile *self, GKeyFile *file, gpointer user_data);

/*
 * The keyfiles in @directories (as ks_profile_set_read()), those left out that
 * another one or a tombstone hides (transfer full; of KsKeyfile). Each is
 * filled in by @read, or from @memory, nullable. The path of a file that is no
 * valid profile, or of a directory that cannot be read, goes to @unreadable (of
 * char*), and a GError* that says why to @errors.
 */
GPtrArray *ks_keyfile_find (const KsProfileDirectory *directories, KsProfileMemory *memory, KsKeyfileFunc read,
                            gpointer user_data, GPtrArray *unreadable, GPtrArray *errors);
