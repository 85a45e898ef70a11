/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-paths.h"

#include <errno.h>
#include <glib/gstdio.h>

#include "input/ks-config-read.h"
#include "input/ks-profile-read.h"
#include "ks-error.h"

const KsPaths ks_paths_default = {
  .config = KS_CONFIG_PATH,
  .profiles = ks_profile_directories,
  .state = KS_LOCALSTATEDIR "/lib/nm-killswitch/state",
  .runtime = KS_RUNSTATEDIR "/nm-killswitch",
  .command_line = "/proc/cmdline",
  .boot_id = "/proc/sys/kernel/random/boot_id",
};

char *
ks_paths_runtime (const KsPaths *self, const char *name)
{
  return g_build_filename (self->runtime, name, NULL);
}

gboolean
ks_paths_make_runtime (const KsPaths *self, GError **error)
{
  if (g_mkdir_with_parents (self->runtime, 0755) == 0)
    return TRUE;
  g_set_error (error, KS_ERROR, KS_ERROR_IO, "cannot make %s: %s", self->runtime, g_strerror (errno));
  return FALSE;
}

gboolean
ks_paths_make_marker (const KsPaths *self, const char *name, GError **error)
{
  g_autofree char *path = ks_paths_runtime (self, name);

  if (!ks_paths_make_runtime (self, error))
    return FALSE;
  return g_file_set_contents_full (path, "", 0, G_FILE_SET_CONTENTS_NONE, 0600, error);
}

gboolean
ks_paths_remove_marker (const KsPaths *self, const char *name, GError **error)
{
  g_autofree char *path = ks_paths_runtime (self, name);

  if (g_unlink (path) == 0 || errno == ENOENT)
    return TRUE;
  g_set_error (error, KS_ERROR, KS_ERROR_IO, "cannot remove %s: %s", path, g_strerror (errno));
  return FALSE;
}
