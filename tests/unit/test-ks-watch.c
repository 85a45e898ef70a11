/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test.h"

#include "base/ks-error.h"
#include "run/ks-watch.h"

/* The drop-in for a configuration with @path; NULL when there is none (transfer full). */
static char *
generate (const char *path, GError **error)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autoptr (KsTestDirectory) directory = ks_test_directory_new ();
  g_autofree char *config = path ? g_strdup_printf ("[keyfile]\npath=%s\n", path) : g_strdup ("[main]\n");
  g_autofree char *drop_in = ks_test_path (directory, "nm-killswitch-sync.path.d/50-keyfile-path.conf");
  char *text = NULL;

  ks_test_host_write (host, "nm/main.conf", config);
  if (ks_watch_generate (&host->paths, directory->path, error))
    g_file_get_contents (drop_in, &text, NULL, NULL);
  return text;
}

static void
watch_adds_the_configured_directory (void **state G_GNUC_UNUSED)
{
  static const char *const cases[][2] = {
    { "/srv/profiles", "PathChanged=/srv/profiles" },
    { "/srv/my profiles", "PathChanged=/srv/my profiles" },
    { "/srv/50%h", "PathChanged=/srv/50%%h" },
    { "/srv/b\303\274ro", "PathChanged=/srv/b\303\274ro" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    g_autofree char *text = generate (cases[i][0], &error);
    g_auto (GStrv) lines = g_strsplit (text ? text : "", "\n", -1);

    assert_null (error);
    assert_int_equal (g_strv_length (lines), 4);
    assert_true (g_str_has_prefix (lines[0], "# "));
    assert_string_equal (lines[1], "[Path]");
    assert_string_equal (lines[2], cases[i][1]);
    assert_string_equal (lines[3], "");
  }
}

static void
watch_adds_nothing_to_the_usual_places (void **state G_GNUC_UNUSED)
{
  static const char *const paths[] = { NULL, "", "relative" };

  for (guint i = 0; i < G_N_ELEMENTS (paths); i++) {
    g_autoptr (GError) error = NULL;

    assert_null (generate (paths[i], &error));
    assert_null (error);
  }
}

static void
watch_refuses_what_a_unit_cannot_spell (void **state G_GNUC_UNUSED)
{
  static const char *const paths[] = { "/srv/a\\nPathExists=/", "/srv/a\\tb", "/srv/a\\\\" };

  for (guint i = 0; i < G_N_ELEMENTS (paths); i++) {
    g_autoptr (GError) error = NULL;

    assert_null (generate (paths[i], &error));
    assert_true (g_error_matches (error, KS_ERROR, KS_ERROR_INVALID));
  }
}

static void
watch_reports_what_it_cannot_write (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autofree char *file = ks_test_path (host->directory, "boot_id");
  g_autoptr (GError) error = NULL;

  ks_test_host_write (host, "nm/main.conf", "[keyfile]\npath=/srv/profiles\n");
  assert_false (ks_watch_generate (&host->paths, file, &error));
  assert_true (g_error_matches (error, KS_ERROR, KS_ERROR_IO));
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (watch_adds_the_configured_directory),
    cmocka_unit_test (watch_adds_nothing_to_the_usual_places),
    cmocka_unit_test (watch_refuses_what_a_unit_cannot_spell),
    cmocka_unit_test (watch_reports_what_it_cannot_write),
  };

  return cmocka_run_group_tests_name ("ks-watch", tests, NULL, NULL);
}
