/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NetworkManager merges these, each one overriding those before it:
 *
 *   1. the snippets in /usr/lib/NetworkManager/conf.d, by name
 *   2. those in /run/NetworkManager/conf.d
 *   3. nm-system-settings.conf, or else NetworkManager.conf, in /etc/NetworkManager
 *   4. the snippets in /etc/NetworkManager/conf.d
 *
 * A snippet is hidden by one of the same name in a later directory, and ignored
 * if its [.config] enable= says so. An invalid file keeps NetworkManager from
 * starting. The command line is not known here, but it cannot set the path.
 */
#include "input/ks-nm-config.h"

#include <string.h>

#include "base/ks-error.h"

#define SUFFIX ".conf"

typedef struct {
  GPtrArray *values; /* of char*, owned: the possible values of [keyfile] path=; NULL is "not set" */
  GPtrArray *errors; /* nullable */
} Reader;

typedef enum { ENABLED, DISABLED, UNDECIDED } Enabled;

/* Parses booleans as NetworkManager does; anything else is a list of conditions on its version and environment. */
static Enabled
parse_enabled (const char *text)
{
  static const char *const yes[] = { "true", "yes", "on", "1" };
  static const char *const no[] = { "false", "no", "off", "0" };

  for (guint i = 0; i < G_N_ELEMENTS (yes); i++) {
    if (g_ascii_strcasecmp (text, yes[i]) == 0)
      return ENABLED;
    if (g_ascii_strcasecmp (text, no[i]) == 0)
      return DISABLED;
  }
  return UNDECIDED;
}

static char *
get_string (GKeyFile *file, const char *group, const char *key)
{
  char *value = g_key_file_get_string (file, group, key, NULL);

  return value ? g_strstrip (value) : NULL;
}

/* Adds the value; unless it is @sure, the earlier ones may still apply. */
static void
take (Reader *r, char *value, gboolean sure)
{
  if (sure)
    g_ptr_array_set_size (r->values, 0);
  g_ptr_array_add (r->values, value);
}

static void
report (Reader *r, const char *path, const GError *error)
{
  if (r->errors)
    ks_error_add (r->errors,
                  "%s: %s: it may say where NetworkManager's profiles are, so those in the usual place count as well",
                  path, error->message);
}

/* Returns whether it could be read. */
static gboolean
read_file (Reader *r, const char *path, gboolean is_snippet)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) error = NULL;
  g_autofree char *enable = NULL, *value = NULL;
  Enabled enabled = ENABLED;

  if (!g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, &error)) {
    if (!g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
      report (r, path, error);
      take (r, NULL, FALSE);
    }
    return FALSE;
  }
  enable = is_snippet ? get_string (file, ".config", "enable") : NULL;
  if (enable)
    enabled = parse_enabled (enable);
  value = get_string (file, "keyfile", "path");
  if (value && enabled != DISABLED)
    take (r, g_steal_pointer (&value), enabled == ENABLED);
  return TRUE;
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* The names of the snippets in @directory, in order (transfer full). */
static GPtrArray *
list_snippets (const char *directory)
{
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) dir = g_dir_open (directory, 0, NULL);
  const char *name;

  while (dir && (name = g_dir_read_name (dir)))
    if (g_str_has_suffix (name, SUFFIX))
      g_ptr_array_add (names, g_strdup (name));
  g_ptr_array_sort (names, compare_names);
  return names;
}

/* @later, nullable, are the directories whose snippets hide those of the same name. */
static void
read_snippets (Reader *r, const char *directory, const char *later, const char *last)
{
  g_autoptr (GPtrArray) names = list_snippets (directory);

  for (guint i = 0; i < names->len; i++) {
    g_autofree char *path = g_build_filename (directory, names->pdata[i], NULL);
    g_autofree char *by_later = later ? g_build_filename (later, names->pdata[i], NULL) : NULL;
    g_autofree char *by_last = last ? g_build_filename (last, names->pdata[i], NULL) : NULL;

    if ((by_later && g_file_test (by_later, G_FILE_TEST_EXISTS | G_FILE_TEST_IS_SYMLINK))
        || (by_last && g_file_test (by_last, G_FILE_TEST_EXISTS | G_FILE_TEST_IS_SYMLINK)))
      continue;
    read_file (r, path, TRUE);
  }
}

/* Removes empty components, "." and a trailing slash, so that each directory has one spelling (interned). */
static const char *
simplify (const char *path)
{
  g_auto (GStrv) parts = g_strsplit (path, "/", -1);
  g_autoptr (GString) out = g_string_new (NULL);

  for (char **part = parts; *part; part++)
    if (**part && strcmp (*part, ".") != 0)
      g_string_append_printf (out, "/%s", *part);
  return g_intern_string (out->len ? out->str : "/");
}

static gboolean
has_directory (const GArray *directories, const char *path)
{
  for (guint i = 0; i < directories->len; i++)
    if (strcmp (g_array_index (directories, KsProfileDirectory, i).path, path) == 0)
      return TRUE;
  return FALSE;
}

/* An empty value means no directory at all; a value that is not an absolute path means the default. */
static void
add_configured (GArray *directories, const KsProfileDirectory *usual, const char *value)
{
  KsProfileDirectory directory = *usual;

  if (value && !*value)
    return;
  if (value && *value == '/')
    directory.path = simplify (value);
  if (!has_directory (directories, directory.path))
    g_array_append_val (directories, directory);
}

/* Later ones first: when it is uncertain which applies, they are the likelier ones. */
static void
add_all_configured (GArray *directories, const KsProfileDirectory *usual, const GPtrArray *values)
{
  for (guint i = values->len; i-- > 0;)
    add_configured (directories, usual, values->pdata[i]);
}

GArray *
ks_nm_config_directories (const KsPaths *paths, GPtrArray *errors)
{
  GArray *directories = g_array_new (TRUE, TRUE, sizeof (KsProfileDirectory));
  g_autoptr (GPtrArray) values = g_ptr_array_new_with_free_func (g_free);
  const KsNmConfigPaths *config = &paths->nm_config;
  Reader r = { .values = values, .errors = errors };

  g_ptr_array_add (values, NULL);
  read_snippets (&r, config->lib, config->run, config->etc);
  read_snippets (&r, config->run, config->etc, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (config->main); i++)
    if (read_file (&r, config->main[i], FALSE))
      break;
  read_snippets (&r, config->etc, NULL, NULL);

  for (const KsProfileDirectory *directory = paths->profiles; directory->path; directory++)
    if (directory->is_configured)
      add_all_configured (directories, directory, values);
    else if (!has_directory (directories, directory->path))
      g_array_append_val (directories, *directory);
  return directories;
}

GPtrArray *
ks_nm_config_sources (const KsPaths *paths)
{
  const KsNmConfigPaths *config = &paths->nm_config;
  GPtrArray *sources = g_ptr_array_new ();

  for (guint i = 0; i < G_N_ELEMENTS (config->main); i++)
    g_ptr_array_add (sources, (gpointer) config->main[i]);
  g_ptr_array_add (sources, (gpointer) config->lib);
  g_ptr_array_add (sources, (gpointer) config->run);
  g_ptr_array_add (sources, (gpointer) config->etc);
  return sources;
}
