/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/ks-marker.h"

#include <errno.h>
#include <glib/gstdio.h>

#include "base/ks-error.h"

gboolean
ks_marker_make (const KsPaths *paths, const char *name, GError **error)
{
  g_autofree char *path = ks_paths_runtime (paths, name);

  if (!ks_paths_make_runtime (paths, error))
    return FALSE;
  return g_file_set_contents_full (path, "", 0, G_FILE_SET_CONTENTS_NONE, 0600, error);
}

gboolean
ks_marker_remove (const KsPaths *paths, const char *name, GError **error)
{
  g_autofree char *path = ks_paths_runtime (paths, name);

  if (g_unlink (path) == 0 || errno == ENOENT)
    return TRUE;
  g_set_error (error, KS_ERROR, KS_ERROR_IO, "cannot remove %s: %s", path, g_strerror (errno));
  return FALSE;
}

static gboolean
exists (const KsPaths *paths, const char *name)
{
  g_autofree char *path = ks_paths_runtime (paths, name);

  return g_file_test (path, G_FILE_TEST_EXISTS);
}

gboolean
ks_marker_is_released (const KsPaths *paths)
{
  g_autofree char *line = NULL;
  g_auto (GStrv) words = NULL;

  if (exists (paths, KS_MARKER_RELEASED))
    return TRUE;
  if (exists (paths, KS_MARKER_RESUMED))
    return FALSE;
  line = ks_paths_read_line (paths->command_line);
  words = g_strsplit (line ? line : "", " ", -1);
  return g_strv_contains ((const char *const *) words, "nm_killswitch=off");
}
