/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test-nm.h"
#include "ks-test.h"

#include <unistd.h>

#include "report/ks-log.h"

/* How often the message about the zone "kill-switch" was printed to standard error. */
static guint printed;

static void
count (const char *text)
{
  printed += strstr (text, "zone 'kill-switch'") != NULL;
}

/* A run on @host, whose log messages are counted. */
static void
log_run (const KsTestHost *host, gboolean show)
{
  g_autoptr (KsReport) report = ks_report_new ();

  printed = 0;
  report->situation = ks_situation_read (&host->paths, NULL, KS_READ_NO_NETWORK);
  ks_log_report (report, &host->paths, "test", show);
}

static KsTestHost *
host_with_a_misspelt_zone (void)
{
  KsTestHost *host = ks_test_host_new ();
  g_autofree char *text = ks_test_wireguard (KS_TEST_UUID_1, "zone=kill-switch\n", "");

  ks_test_no_bus ();
  ks_test_host_write (host, "etc/wg", text);
  ks_test_host_write (host, "runtime/x", "");
  return host;
}

static char *
remembered (const KsTestHost *host)
{
  g_autofree char *path = ks_paths_runtime (&host->paths, KS_WARNED_NAME);

  return ks_paths_read_line (path);
}

static void
log_warns_once_until_something_changes (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = host_with_a_misspelt_zone ();
  g_autofree char *first = NULL, *second = NULL, *third = NULL;
  guint once = access ("/run/systemd/journal/socket", W_OK) == 0 ? 0 : 1; /* else it is in the journal */

  log_run (host, FALSE);
  assert_int_equal (printed, once);
  first = remembered (host);
  assert_non_null (first);
  log_run (host, FALSE);
  assert_int_equal (printed, 0);
  second = remembered (host);
  assert_string_equal (first, second);

  ks_test_host_write (host, "etc/wg2", "[connection]\nid=b\ntype=vpn\nuuid=" KS_TEST_UUID_2 "\nzone=Killswitch\n");
  log_run (host, FALSE);
  assert_int_equal (printed, once);
  third = remembered (host);
  assert_string_not_equal (first, third);

  /* corrected, then misspelt again: news both times */
  ks_test_host_remove (host, "etc/wg2");
  ks_test_host_remove (host, "etc/wg");
  log_run (host, FALSE);
  ks_test_host_write (host, "etc/wg", "[connection]\nid=b\ntype=vpn\nuuid=" KS_TEST_UUID_2 "\nzone=kill-switch\n");
  log_run (host, FALSE);
  assert_int_equal (printed, once);
}

static void
log_shows_a_person_the_warnings_each_time (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = host_with_a_misspelt_zone ();

  for (int i = 0; i < 3; i++) {
    log_run (host, TRUE);
    assert_int_equal (printed, 1);
  }
}

static void
log_warns_again_when_it_cannot_remember (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = host_with_a_misspelt_zone ();
  guint once = access ("/run/systemd/journal/socket", W_OK) == 0 ? 0 : 1;

  host->paths.runtime = "/nonexistent";
  for (int i = 0; i < 2; i++) {
    log_run (host, FALSE);
    assert_int_equal (printed, once);
  }
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (log_warns_once_until_something_changes),
    cmocka_unit_test (log_shows_a_person_the_warnings_each_time),
    cmocka_unit_test (log_warns_again_when_it_cannot_remember),
  };

  g_unsetenv ("JOURNAL_STREAM");
  g_set_printerr_handler (count);
  return cmocka_run_group_tests_name ("ks-log", tests, NULL, NULL);
}
