/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a user was told last: kept in their own runtime directory, and so for as
 * long as they are logged in.
 */
#pragma once

#include <glib.h>

#include "base/ks-paths.h"

typedef struct {
  char *state; /* nullable: nothing yet */
  gboolean was_up; /* a VPN has been up since the kill switch was turned on */
  guint32 id; /* of the notification that was shown; 0 for none */
  char *owner; /* nullable: the unique bus name of the service that assigned that number */
} KsTold;

/* The user's own directory, "nm-killswitch" in @runtime, which is $XDG_RUNTIME_DIR (transfer full). */
char *ks_told_directory (const char *runtime);

/* Reads what is remembered in @own->runtime; empty if there is no such file. To be cleared by the caller. */
void ks_told_read (KsTold *self, const KsPaths *own);
/* Remembers it. If that fails, the user may be told the same again. */
void ks_told_write (const KsTold *self, const KsPaths *own);
/*
 * Sets all fields; @owner may be NULL. Whether a VPN has been up follows from
 * @state and from what was told before. Nothing is written.
 */
void ks_told_set (KsTold *self, const char *state, guint32 id, const char *owner);
void ks_told_clear (KsTold *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (KsTold, ks_told_clear)
