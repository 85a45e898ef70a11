/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where things are on disk.
 */
#pragma once

#include "input/ks-profile-read.h"

typedef struct {
  const char *config;
  const KsProfileDirectory *profiles;
  const char *state; /* what is remembered across boots */
  const char *runtime; /* directory: gone after a reboot */
  const char *command_line; /* the kernel's */
  const char *boot_id;
} KsPaths;

extern const KsPaths ks_paths_default;

/* @name in the runtime directory (transfer full). */
char *ks_paths_runtime (const KsPaths *self, const char *name);
/* Makes the runtime directory. KS_ERROR_IO. */
gboolean ks_paths_make_runtime (const KsPaths *self, GError **error);
/* A marker is an empty file @name in the runtime directory: that it is there says something. */
gboolean ks_paths_make_marker (const KsPaths *self, const char *name, GError **error);
gboolean ks_paths_remove_marker (const KsPaths *self, const char *name, GError **error);

/* Names in the runtime directory. */
#define KS_LOCK_NAME "lock"
#define KS_RELEASED_NAME "released" /* made by `release`: nothing is armed until `resume` or a reboot */
#define KS_RESUMED_NAME "resumed" /* made by `resume`: nm_killswitch=off on the kernel command line is over */
#define KS_NAMES_NAME "names" /* there while the names of servers have to be asked for again and again */
#define KS_GUARD_NAME "guard"
