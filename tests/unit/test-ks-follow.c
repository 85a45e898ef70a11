/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Follow, with a ks_reconcile() and a clock that the test makes up: no kernel
 * is touched.
 */
#include "ks-test.h"

#include "base/ks-error.h"
#include "run/ks-follow.h"

static KsTestHost *host;
static guint runs;
static guint writes; /* during how many runs another program changes a profile */
static const char *written; /* which file it is */
static gint64 now; /* microseconds */
static gint64 run_takes;

KsReport *
ks_reconcile (const KsPaths *paths, const KsEvent *event, KsReconcileFlags flags)
{
  KsReport *report = ks_report_new ();

  assert_ptr_equal (paths, &host->paths);
  assert_null (event);
  assert_int_equal (flags, KS_RECONCILE_ANEW);
  runs++;
  now += run_takes;
  report->changes = runs;
  report->repairs = 1;
  g_ptr_array_add (report->done, g_strdup_printf ("step %u", runs));
  if (runs == 1)
    g_ptr_array_add (report->errors, g_error_new (KS_ERROR, KS_ERROR_INVALID, "half a file"));
  if (writes > 0) {
    g_autofree char *text = g_strdup_printf ("run %u\n", runs);

    writes--;
    ks_test_host_write (host, written, text);
  }
  return report;
}

/* Used instead of GLib's. */
gint64
g_get_monotonic_time (void)
{
  return now;
}

static int
set_up (void **state G_GNUC_UNUSED)
{
  host = ks_test_host_new ();
  ks_test_host_write (host, "etc/vpn", "run 0\n");
  runs = writes = 0;
  written = "etc/vpn";
  now = run_takes = 1000;
  return 0;
}

static int
tear_down (void **state G_GNUC_UNUSED)
{
  ks_test_host_free (host);
  return 0;
}

static void
follow_runs_once_when_nothing_changes_meanwhile (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsReport) report = ks_follow (&host->paths);

  assert_int_equal (runs, 1);
  assert_int_equal (report->errors->len, 1);
}

static void
follow_runs_again_for_each_change_meanwhile (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsReport) report = NULL;

  writes = 3;
  report = ks_follow (&host->paths);
  assert_int_equal (runs, 4);
}

static void
follow_reports_what_every_run_did_and_what_is_wrong_in_the_end (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsReport) report = NULL;

  writes = 2;
  report = ks_follow (&host->paths);
  assert_int_equal (report->changes, 1 + 2 + 3);
  assert_int_equal (report->repairs, 3);
  assert_int_equal (report->done->len, 3);
  assert_string_equal (report->done->pdata[0], "step 1");
  assert_string_equal (report->done->pdata[2], "step 3");
  assert_int_equal (report->errors->len, 0); /* the first run's error is gone */
}

static void
follow_sees_a_new_file_in_every_directory_and_the_configuration (void **state G_GNUC_UNUSED)
{
  static const char *const names[] = { "etc/new", "run/new", "lib/new", "config" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autoptr (KsReport) report = NULL;

    runs = 0;
    writes = 1;
    written = names[i];
    report = ks_follow (&host->paths);
    assert_int_equal (runs, 2);
  }
}

/* TimeoutStartSec= of @unit, in seconds. */
static gint64
time_limit (const char *unit)
{
  g_autofree char *name = g_strconcat (unit, ".in", NULL);
  g_autofree char *path = g_build_filename (KS_TESTS, "..", "nm-conf", name, NULL);
  g_autofree char *text = NULL;
  const char *line;

  assert_true (g_file_get_contents (path, &text, NULL, NULL));
  line = strstr (text, "\nTimeoutStartSec=");
  assert_non_null (line);
  return g_ascii_strtoll (line + strlen ("\nTimeoutStartSec="), NULL, 10);
}

static void
follow_ends_within_its_units_limit_whoever_keeps_changing_files (void **state G_GNUC_UNUSED)
{
  static const gint64 seconds[] = { 1, 14, 40 };

  for (guint i = 0; i < G_N_ELEMENTS (seconds); i++) {
    g_autoptr (KsReport) report = NULL;

    runs = 0;
    now = 1000;
    writes = 1000;
    run_takes = seconds[i] * G_USEC_PER_SEC;
    report = ks_follow (&host->paths);
    assert_true (runs < 1000);
    assert_true (now < time_limit ("nm-killswitch-sync.service") * G_USEC_PER_SEC);
    assert_true (now < time_limit ("nm-killswitch-settle.service") * G_USEC_PER_SEC);
  }
}

#define TEST(name) cmocka_unit_test_setup_teardown (name, set_up, tear_down)

int
main (void)
{
  const struct CMUnitTest tests[] = {
    TEST (follow_runs_once_when_nothing_changes_meanwhile),
    TEST (follow_runs_again_for_each_change_meanwhile),
    TEST (follow_reports_what_every_run_did_and_what_is_wrong_in_the_end),
    TEST (follow_sees_a_new_file_in_every_directory_and_the_configuration),
    TEST (follow_ends_within_its_units_limit_whoever_keeps_changing_files),
  };

  return cmocka_run_group_tests_name ("ks-follow", tests, NULL, NULL);
}
