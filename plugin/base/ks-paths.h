/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Paths of files and directories.
 */
#pragma once

#include <glib.h>

/* A directory of keyfiles. */
typedef struct {
  const char *path;
  gboolean any_name; /* the names of files need not end in ".nmconnection" */
  gboolean tombstones; /* UUID.nmmeta files hide a profile */
  gboolean is_configured; /* NetworkManager's configuration may name another directory instead */
} KsProfileDirectory;

/* NetworkManager's configuration. */
typedef struct {
  const char *main[2]; /* files: the first that exists counts */
  const char *lib, *run, *etc; /* directories of snippets, lowest precedence first */
} KsNmConfigPaths;

typedef struct {
  const char *config;
  const KsProfileDirectory *profiles; /* highest precedence first; ended by an entry with a NULL path */
  KsNmConfigPaths nm_config;
  const char *state; /* what is remembered across boots */
  const char *runtime; /* directory: gone after a reboot */
  const char *command_line; /* the kernel's */
  const char *boot_id;
  const char *resolv_conf; /* the C library's resolvers */
  const char *const *zones; /* directories of firewalld's zone files; ended by NULL */
  const char *dispatcher; /* the program that NetworkManager's dispatcher runs */
  const char *nm_dispatcher; /* NetworkManager's dispatcher, which runs it */
  const char *selinux_enforce; /* the kernel's file: whether SELinux enforces its policy */
  const char *selinux_module; /* the policy module that lets the program be run */
} KsPaths;

extern const KsPaths ks_paths_default;

/* @name in the runtime directory (transfer full). */
char *ks_paths_runtime (const KsPaths *self, const char *name);
/* Creates the runtime directory. KS_ERROR_IO. */
gboolean ks_paths_make_runtime (const KsPaths *self, GError **error);
/* The text of a short file without surrounding white space; NULL if it cannot be read (transfer full). */
char *ks_paths_read_line (const char *path);

/* Names in the runtime directory. */
#define KS_LOCK_NAME "lock"
#define KS_GUARD_NAME "guard"
#define KS_STATE_NAME "state" /* the state, while its own file cannot be written */
#define KS_STATUS_NAME "status.json" /* what everyone may know: state/ks-summary-file.h */
#define KS_WARNED_NAME "warned" /* which warnings were logged last */
#define KS_PROFILES_NAME "profiles" /* what was read from each keyfile */
#define KS_UNCHANGED_NAME "unchanged" /* everything a run with nothing to do has read */
