/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run/ks-follow.h"

#include <inttypes.h>
#include <sys/stat.h>

#include "input/ks-nm-config.h"

/*
 * No further run begins after this: a run may take 40 seconds, most of them
 * waiting for the lock, and nm-killswitch-sync.service is stopped after 60.
 * nm-killswitch-settle.service and the path unit see later changes.
 */
#define BUDGET_SECONDS 15

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return g_strcmp0 (*(const char *const *) a, *(const char *const *) b);
}

static void
add_file_fingerprint (GString *out, const char *path)
{
  struct stat status;

  if (lstat (path, &status) == 0)
    g_string_append_printf (out, "%s %ju %ju %jd.%09ld %jd.%09ld\n", path, (uintmax_t) status.st_ino,
                            (uintmax_t) status.st_size, (intmax_t) status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
                            (intmax_t) status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
}

/* Everything that changes when a file of @directory does: names, inodes, sizes, times. */
static void
add_fingerprint (GString *out, const char *directory)
{
  g_autoptr (GDir) dir = g_dir_open (directory, 0, NULL);
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  const char *name;

  while (dir && (name = g_dir_read_name (dir)))
    g_ptr_array_add (names, g_build_filename (directory, name, NULL));
  g_ptr_array_sort (names, compare_names);
  for (guint i = 0; i < names->len; i++)
    add_file_fingerprint (out, names->pdata[i]);
}

static char *
fingerprint (const KsPaths *paths)
{
  GString *out = g_string_new (NULL);
  g_autoptr (GPtrArray) sources = ks_nm_config_sources (paths);
  g_autoptr (GArray) directories = ks_nm_config_directories (paths, NULL);

  add_file_fingerprint (out, paths->config);
  for (guint i = 0; i < sources->len; i++) {
    add_file_fingerprint (out, sources->pdata[i]);
    add_fingerprint (out, sources->pdata[i]);
  }
  for (guint i = 0; i < directories->len; i++)
    add_fingerprint (out, g_array_index (directories, KsProfileDirectory, i).path);
  return g_string_free (out, FALSE);
}

KsReport *
ks_follow (const KsPaths *paths)
{
  gint64 end = g_get_monotonic_time () + BUDGET_SECONDS * G_USEC_PER_SEC;
  g_autofree char *seen = fingerprint (paths);
  KsReport *report = NULL;

  for (;;) {
    g_autofree char *now = NULL;

    report = ks_report_join (report, ks_reconcile (paths, NULL, KS_RECONCILE_ANEW));
    now = fingerprint (paths);
    if (g_str_equal (seen, now) || g_get_monotonic_time () >= end)
      return report;
    g_free (seen);
    seen = g_steal_pointer (&now);
  }
}
