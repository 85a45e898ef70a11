/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where things are on disk.
 */
#pragma once

#include <glib.h>

/* A directory of keyfiles. */
typedef struct {
  const char *path;
  gboolean any_name; /* files need no ".nmconnection" at the end of their name */
  gboolean tombstones; /* UUID.nmmeta files that hide a profile count */
  gboolean is_configured; /* NetworkManager's configuration may name another one in its place */
} KsProfileDirectory;

/* NetworkManager's configuration. */
typedef struct {
  const char *main[2]; /* files: the first that is there counts */
  const char *lib, *run, *etc; /* directories of snippets, lowest precedence first */
} KsNmConfigPaths;

typedef struct {
  const char *config;
  const KsProfileDirectory *profiles; /* highest precedence first; an entry with a NULL path at the end */
  KsNmConfigPaths nm_config;
  const char *state; /* what is remembered across boots */
  const char *runtime; /* directory: gone after a reboot */
  const char *command_line; /* the kernel's */
  const char *boot_id;
  const char *resolv_conf; /* the C library's resolvers */
  const char *const *zones; /* directories of firewalld's zone files; NULL at the end */
  const char *dispatcher; /* the program that NetworkManager's dispatcher runs */
  const char *selinux_enforce; /* the kernel's: whether SELinux's policy is enforced */
} KsPaths;

extern const KsPaths ks_paths_default;

/* @name in the runtime directory (transfer full). */
char *ks_paths_runtime (const KsPaths *self, const char *name);
/* Makes the runtime directory. KS_ERROR_IO. */
gboolean ks_paths_make_runtime (const KsPaths *self, GError **error);
/* The text of a short file without white space around it; NULL when it cannot be read (transfer full). */
char *ks_paths_read_line (const char *path);

/* Names in the runtime directory. */
#define KS_LOCK_NAME "lock"
#define KS_GUARD_NAME "guard"
#define KS_STATE_NAME "state" /* the state, while its own file cannot be written */
#define KS_STATUS_NAME "status.json" /* what anybody may know: state/ks-summary-file.h */
#define KS_WARNED_NAME "warned" /* which warnings were logged last */
#define KS_PROFILES_NAME "profiles" /* what was read from each keyfile */
#define KS_UNCHANGED_NAME "unchanged" /* what everything was when a run had nothing to do */
