/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NetworkManager's keyfiles: which files there are, and which of them count.
 * ks-profile-read.c interprets them.
 */
#pragma once

#include "input/ks-profile-read.h"

typedef struct {
  char *path;
  char *uuid; /* nullable; in lower case */
  KsProfile *profile; /* NULL: it has none of our settings */
  gboolean is_unclear; /* it has a zone that may arm, but the configuration that would say so is unreadable */
  GPtrArray *errors; /* of GError: what is malformed */
  GPtrArray *warnings; /* of char*: settings that have no effect */
  gboolean may_warn; /* a warning may come or go when other files change */
} KsKeyfile;

KsKeyfile *ks_keyfile_new (const char *path);
void ks_keyfile_free (KsKeyfile *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsKeyfile, ks_keyfile_free)

/* Fills in @self from @file, which it may modify. */
typedef void (*KsKeyfileFunc) (KsKeyfile *self, GKeyFile *file, gpointer user_data);

/*
 * The keyfiles in @directories (as for ks_profile_set_read()), without those that
 * another file or a tombstone hides (transfer full; of KsKeyfile). Each is filled
 * in by @read, or from @memory, nullable. Paths of files that are not valid
 * profiles, and of directories that cannot be read, go to @unreadable (of char*),
 * each with a GError* in @errors that says why.
 */
GPtrArray *ks_keyfile_find (const KsProfileDirectory *directories, KsProfileMemory *memory, KsKeyfileFunc read,
                            gpointer user_data, GPtrArray *unreadable, GPtrArray *errors);
