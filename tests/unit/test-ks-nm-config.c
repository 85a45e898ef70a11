/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test.h"

#include "base/ks-error.h"
#include "input/ks-nm-config.h"

/* The directories, less the host's own: "run etc lib" when nothing is configured. */
static char *
read_directories (const KsTestHost *host, GPtrArray *errors)
{
  g_autoptr (GArray) directories = ks_nm_config_directories (&host->paths, errors);
  g_autoptr (GString) out = g_string_new (NULL);

  for (guint i = 0; i < directories->len; i++) {
    const KsProfileDirectory *directory = &g_array_index (directories, KsProfileDirectory, i);
    const char *path = directory->path;

    if (g_str_has_prefix (path, host->directory->path))
      path += strlen (host->directory->path) + 1;
    else
      assert_true (directory->any_name && directory->tombstones);
    g_string_append_printf (out, "%s%s", i ? " " : "", path);
  }
  assert_null (g_array_index (directories, KsProfileDirectory, directories->len).path);
  return g_string_free (g_steal_pointer (&out), FALSE);
}

static void
assert_directories (const KsTestHost *host, const char *expected)
{
  g_autoptr (GPtrArray) errors = ks_test_errors_new ();
  g_autofree char *directories = read_directories (host, errors);

  assert_string_equal (directories, expected);
  assert_int_equal (errors->len, 0);
}

static void
nm_config_without_a_path_has_the_usual_directories (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();

  assert_directories (host, "run etc lib");
  ks_test_host_write (host, "nm/main.conf", "[main]\nplugins=keyfile\n[keyfile]\nunmanaged-devices=none\n");
  ks_test_host_write (host, "nm/etc/10-x.conf", "[main]\npath=/elsewhere\n[logging]\nlevel=INFO\n");
  assert_directories (host, "run etc lib");
}

static void
nm_config_path_takes_the_place_of_the_directory_in_etc (void **state G_GNUC_UNUSED)
{
  static const char *const cases[][2] = {
    { "/srv/profiles", "run /srv/profiles lib" },
    { " /srv/profiles ", "run /srv/profiles lib" },
    { "//srv/./profiles//", "run /srv/profiles lib" },
    { "/srv/my\\sprofiles;x", "run /srv/my profiles;x lib" },
    { "/srv/../profiles", "run /srv/../profiles lib" },
    /* a relative path means the default, an empty one no directory */
    { "profiles", "run etc lib" },
    { "~/profiles", "run etc lib" },
    { "", "run lib" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (KsTestHost) host = ks_test_host_new ();
    g_autofree char *text = g_strdup_printf ("[keyfile]\npath=%s\n", cases[i][0]);

    ks_test_host_write (host, "nm/main.conf", text);
    assert_directories (host, cases[i][1]);
  }
}

static void
nm_config_has_each_directory_once (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autofree char *run = g_strdup_printf ("[keyfile]\npath=%s/run/\n", host->directory->path);
  g_autofree char *lib = g_strdup_printf ("[keyfile]\npath=%s//lib\n", host->directory->path);

  ks_test_host_write (host, "nm/main.conf", run);
  assert_directories (host, "run lib");
  ks_test_host_write (host, "nm/main.conf", lib);
  assert_directories (host, "run lib");
}

static void
nm_config_later_files_win (void **state G_GNUC_UNUSED)
{
  static const char *const files[] = { "nm/lib/20-b.conf", "nm/lib/90-c.conf", "nm/run/10-a.conf", "nm/main.conf",
                                       "nm/old.conf",      "nm/etc/05-x.conf", "nm/etc/50-y.conf" };
  g_autoptr (KsTestHost) host = ks_test_host_new ();

  for (guint i = 0; i < G_N_ELEMENTS (files); i++) {
    g_autofree char *text = g_strdup_printf ("[keyfile]\npath=/srv/%u\n", i);
    g_autofree char *expected = g_strdup_printf ("run /srv/%u lib", i);

    ks_test_host_write (host, files[i], text);
    assert_directories (host, expected);
  }
  /* a file without the key leaves it as it is */
  ks_test_host_write (host, "nm/etc/99-z.conf", "[main]\ndns=none\n");
  /* and these are not snippets */
  ks_test_host_write (host, "nm/etc/99-z.conf.bak", "[keyfile]\npath=/srv/bak\n");
  ks_test_host_write (host, "nm/etc/99-z", "[keyfile]\npath=/srv/none\n");
  assert_directories (host, "run /srv/6 lib");
}

static void
nm_config_snippet_is_hidden_by_one_of_the_same_name (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();

  ks_test_host_write (host, "nm/lib/50-x.conf", "[keyfile]\npath=/srv/lib\n");
  assert_directories (host, "run /srv/lib lib");
  ks_test_host_write (host, "nm/run/50-x.conf", "");
  assert_directories (host, "run etc lib");
  ks_test_host_write (host, "nm/run/50-x.conf", "[keyfile]\npath=/srv/run\n");
  assert_directories (host, "run /srv/run lib");
  ks_test_host_write (host, "nm/etc/50-x.conf", "");
  assert_directories (host, "run etc lib");
  ks_test_host_remove (host, "nm/run/50-x.conf");
  assert_directories (host, "run etc lib");
}

static void
nm_config_snippet_can_be_turned_off (void **state G_GNUC_UNUSED)
{
  static const char *const cases[][2] = {
    { "no", "run /srv/a lib" },
    { "False", "run /srv/a lib" },
    { "0", "run /srv/a lib" },
    { "yes", "run /srv/b lib" },
    { " TRUE ", "run /srv/b lib" },
    /* it depends: both */
    { "nm-version-min:1.20", "run /srv/b /srv/a lib" },
    { "except:env:TAG", "run /srv/b /srv/a lib" },
    { "", "run /srv/b /srv/a lib" },
  };
  g_autoptr (KsTestHost) host = ks_test_host_new ();

  ks_test_host_write (host, "nm/lib/50-a.conf", "[keyfile]\npath=/srv/a\n");
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *text = g_strdup_printf ("[.config]\nenable=%s\n[keyfile]\npath=/srv/b\n", cases[i][0]);

    ks_test_host_write (host, "nm/etc/50-b.conf", text);
    assert_directories (host, cases[i][1]);
  }
  /* the main file is always on */
  ks_test_host_remove (host, "nm/etc/50-b.conf");
  ks_test_host_write (host, "nm/main.conf", "[.config]\nenable=no\n[keyfile]\npath=/srv/b\n");
  assert_directories (host, "run /srv/b lib");
}

static void
nm_config_that_is_malformed_is_an_error_and_both_directories_count (void **state G_GNUC_UNUSED)
{
  static const char *const files[] = { "nm/main.conf", "nm/etc/50-b.conf" };

  for (guint i = 0; i < G_N_ELEMENTS (files); i++) {
    g_autoptr (KsTestHost) host = ks_test_host_new ();
    g_autoptr (GPtrArray) errors = ks_test_errors_new ();
    g_autofree char *path = ks_test_path (host->directory, files[i]);
    g_autofree char *directories = NULL;
    const GError *error;

    ks_test_host_write (host, "nm/lib/50-a.conf", "[keyfile]\npath=/srv/a\n");
    ks_test_host_write (host, files[i], "path=/srv/b\n[keyfile\n");
    directories = read_directories (host, errors);
    assert_string_equal (directories, "run etc /srv/a lib");
    assert_int_equal (errors->len, 1);
    error = errors->pdata[0];
    assert_true (g_str_has_prefix (error->message, path));
  }
}

static void
nm_config_main_file_of_old_counts_only_if_it_is_valid (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autoptr (GPtrArray) errors = ks_test_errors_new ();
  g_autofree char *directories = NULL;

  ks_test_host_write (host, "nm/old.conf", "[keyfile]\npath=/srv/old\n");
  ks_test_host_write (host, "nm/main.conf", "[keyfile]\npath=/srv/main\n");
  assert_directories (host, "run /srv/old lib");
  ks_test_host_write (host, "nm/old.conf", "nonsense\n");
  directories = read_directories (host, errors);
  assert_string_equal (directories, "run /srv/main lib");
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (nm_config_without_a_path_has_the_usual_directories),
    cmocka_unit_test (nm_config_path_takes_the_place_of_the_directory_in_etc),
    cmocka_unit_test (nm_config_has_each_directory_once),
    cmocka_unit_test (nm_config_later_files_win),
    cmocka_unit_test (nm_config_snippet_is_hidden_by_one_of_the_same_name),
    cmocka_unit_test (nm_config_snippet_can_be_turned_off),
    cmocka_unit_test (nm_config_that_is_malformed_is_an_error_and_both_directories_count),
    cmocka_unit_test (nm_config_main_file_of_old_counts_only_if_it_is_valid),
  };

  return cmocka_run_group_tests_name ("ks-nm-config", tests, NULL, NULL);
}
