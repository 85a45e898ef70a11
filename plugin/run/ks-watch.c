/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run/ks-watch.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "base/ks-error.h"
#include "input/ks-nm-config.h"

#define DROP_IN_DIRECTORY "nm-killswitch-sync.path.d"
#define DROP_IN "50-keyfile-path.conf"

static gboolean
is_usual (const KsPaths *paths, const char *path)
{
  for (const KsProfileDirectory *usual = paths->profiles; usual->path; usual++)
    if (strcmp (usual->path, path) == 0)
      return TRUE;
  return FALSE;
}

/* A newline would end the value, a backslash before it would continue it; "%" begins a specifier of systemd.unit(5). */
static gboolean
add_path (GString *out, const char *path, GError **error)
{
  g_autofree char *printable = ks_error_printable (path);

  if (strcmp (path, printable) != 0 || g_str_has_suffix (path, "\\")) {
    g_set_error (error, KS_ERROR, KS_ERROR_INVALID, "[keyfile] path: '%s' is not a path that a unit can watch",
                 printable);
    return FALSE;
  }
  g_string_append (out, "PathChanged=");
  for (const char *p = path; *p; p++) {
    g_string_append_c (out, *p);
    if (*p == '%')
      g_string_append_c (out, '%');
  }
  g_string_append_c (out, '\n');
  return TRUE;
}

/* The drop-in; "" if there is nothing to add (transfer full). */
static char *
format_drop_in (const KsPaths *paths, GError **error)
{
  g_autoptr (GArray) directories = ks_nm_config_directories (paths, NULL);
  g_autoptr (GString) out = g_string_new (NULL);

  for (guint i = 0; i < directories->len; i++) {
    const char *path = g_array_index (directories, KsProfileDirectory, i).path;

    if (!is_usual (paths, path) && !add_path (out, path, error))
      return NULL;
  }
  if (out->len)
    g_string_prepend (out, "# Where NetworkManager's configuration says its profiles are.\n[Path]\n");
  return g_string_free (g_steal_pointer (&out), FALSE);
}

gboolean
ks_watch_generate (const KsPaths *paths, const char *directory, GError **error)
{
  g_autofree char *text = format_drop_in (paths, error);
  g_autofree char *parent = g_build_filename (directory, DROP_IN_DIRECTORY, NULL);
  g_autofree char *path = g_build_filename (parent, DROP_IN, NULL);
  g_autoptr (GError) io_error = NULL;

  if (!text || !*text)
    return text != NULL;
  if (g_mkdir_with_parents (parent, 0755) != 0) {
    g_set_error (error, KS_ERROR, KS_ERROR_IO, "cannot make %s: %s", parent, g_strerror (errno));
    return FALSE;
  }
  if (!g_file_set_contents (path, text, -1, &io_error)) {
    g_set_error_literal (error, KS_ERROR, KS_ERROR_IO, io_error->message);
    return FALSE;
  }
  return TRUE;
}
