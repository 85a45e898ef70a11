/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test-json.h"
#include "ks-test-nm.h"
#include "ks-test.h"

#include <glib/gstdio.h>
#include <sys/stat.h>

#include "base/ks-error.h"
#include "run/ks-summary.h"

/* A run on @host that leaves @tunnel of KS_TEST_UUID_1 up, if it is not NULL (transfer full). */
static KsReport *
run (const KsTestHost *host, const char *tunnel)
{
  KsReport *report = ks_report_new ();
  KsSnapshot snapshot = {
    .rules = g_array_new (FALSE, FALSE, sizeof (KsRule)),
    .routes = g_array_new (FALSE, FALSE, sizeof (KsRoute)),
  };

  ks_test_no_bus ();
  report->situation = ks_situation_read (&host->paths, NULL, KS_READ_NO_NETWORK);
  if (tunnel) {
    KsTunnel *up = ks_tunnel_new (KS_TEST_UUID_1, tunnel);

    up->ifindex = 7;
    up->has_ipv4 = TRUE;
    g_ptr_array_add (report->situation->tunnels, up);
  }
  report->policy = ks_situation_policy (report->situation, &snapshot);
  ks_summary_update (&host->paths, report);
  g_array_unref (snapshot.rules);
  g_array_unref (snapshot.routes);
  return report;
}

static void
run_and_forget (const KsTestHost *host, const char *tunnel)
{
  g_autoptr (KsReport) report = run (host, tunnel);

  assert_non_null (report->summary);
}

static KsTestHost *
host_with_a_vpn (const char *connection)
{
  KsTestHost *host = ks_test_host_new ();
  g_autofree char *text = ks_test_wireguard (KS_TEST_UUID_1, connection, "");

  ks_test_host_write (host, "etc/wg", text);
  ks_test_host_write (host, "runtime/x", "");
  return host;
}

static char *
file_text (const KsTestHost *host)
{
  g_autofree char *path = ks_paths_runtime (&host->paths, KS_STATUS_NAME);
  char *text = NULL;

  g_file_get_contents (path, &text, NULL, NULL);
  return text;
}

static guint64
file_inode (const KsTestHost *host)
{
  g_autofree char *path = ks_paths_runtime (&host->paths, KS_STATUS_NAME);
  struct stat status = { 0 };

  assert_int_equal (stat (path, &status), 0);
  return status.st_ino;
}

static void
summary_is_readable_by_all_whatever_the_umask (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = host_with_a_vpn ("zone=killswitch\n");
  g_autofree char *path = ks_paths_runtime (&host->paths, KS_STATUS_NAME);
  mode_t before = umask (077);
  g_autoptr (KsReport) report = run (host, NULL);
  g_autofree char *text = file_text (host);
  struct stat status;

  umask (before);
  assert_int_equal (stat (path, &status), 0);
  assert_int_equal (status.st_mode & 0777, 0644);
  assert_true (ks_test_json_is_valid (text));
  assert_null (report->former);
}

static void
summary_tells_names_and_states (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = host_with_a_vpn ("zone=killswitch\n");
  g_autoptr (GError) error = NULL;
  g_autoptr (KsSummary) read = NULL;
  const KsSummaryProfile *profile;

  run_and_forget (host, "wg7");
  read = ks_summary_read (&host->paths, &error);
  assert_null (error);
  assert_string_equal (read->state, "protected");
  assert_true (ks_summary_is_armed (read));
  assert_string_equal (read->lan, "private");
  assert_string_equal (read->dns, "tunnel");
  assert_true (read->guard);
  assert_true (read->since > 0);
  profile = ks_summary_find (read, KS_TEST_UUID_1, NULL);
  assert_non_null (profile);
  assert_string_equal (profile->type, "wireguard");
  assert_string_equal (profile->mode, "strict");
  assert_string_equal (profile->reason, "connection.zone");
  assert_string_equal (profile->tunnel, "wg7");
  assert_null (profile->inside);
  assert_null (ks_summary_find (read, KS_TEST_UUID_2, NULL));
}

static void
summary_reveals_nothing_of_a_profiles_contents (void **state G_GNUC_UNUSED)
{
  static const char *const secrets[] = { "203.0.113.", "51820", "user.example", "s3cret" };
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autofree char *text = NULL;

  ks_test_host_write (host, "etc/wg",
                      "[connection]\nid=home\nuuid=" KS_TEST_UUID_1 "\ntype=wireguard\ninterface-name=wg0\n"
                      "zone=killswitch\n[user]\nnm-killswitch.lan=s3cret\n[wireguard]\nlisten-port=51820\n"
                      "[wireguard-peer.xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=]\nendpoint=203.0.113.10:51820\n");
  ks_test_host_write (host, "etc/ovpn",
                      "[connection]\nid=work\nuuid=" KS_TEST_UUID_2 "\ntype=vpn\nzone=killswitch\n"
                      "[vpn]\nservice-type=org.freedesktop.NetworkManager.openvpn\nremote=user.example\n");
  ks_test_host_write (host, "runtime/x", "");
  run_and_forget (host, NULL);
  text = file_text (host);
  assert_non_null (strstr (text, "\"id\":\"home\""));
  assert_non_null (strstr (text, "\"server_known\":true"));
  assert_non_null (strstr (text, "\"server_known\":false"));
  for (guint i = 0; i < G_N_ELEMENTS (secrets); i++)
    if (strstr (text, secrets[i]))
      fail_msg ("'%s' is in %s", secrets[i], text);
}

static void
summary_is_written_only_when_it_changes (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = host_with_a_vpn ("zone=killswitch\n");
  g_autoptr (KsReport) first = run (host, NULL);
  guint64 inode = file_inode (host);
  g_autoptr (KsReport) second = run (host, NULL);
  g_autoptr (KsReport) third = NULL;

  assert_int_equal (file_inode (host), inode);
  assert_string_equal (second->former->state, "blocking");
  assert_int_equal (second->summary->since, first->summary->since);
  third = run (host, "wg7");
  assert_int_not_equal (file_inode (host), inode);
  assert_string_equal (third->former->state, "blocking");
  assert_string_equal (third->summary->state, "protected");
}

static void
summary_keeps_when_a_state_began (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = host_with_a_vpn ("zone=killswitch\n");
  g_autoptr (KsReport) first = NULL, second = NULL, third = NULL;

  ks_test_host_write (host, "runtime/status.json",
                      "{\"file_version\":1,\"state\":\"blocking\",\"since_boottime\":3,\"armed\":[]}\n");
  first = run (host, NULL);
  assert_int_equal (first->summary->since, 3);
  second = run (host, "wg7");
  assert_int_not_equal (second->summary->since, 3);
  third = run (host, "wg8");
  assert_int_equal (third->summary->since, second->summary->since);
}

static void
summary_of_a_run_that_failed_is_incomplete (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = host_with_a_vpn ("zone=killswitch\n");
  g_autoptr (KsReport) report = run (host, "wg7");

  report->is_incomplete = TRUE;
  ks_summary_update (&host->paths, report);
  assert_string_equal (report->summary->state, "incomplete");
  assert_string_equal (report->former->state, "protected");
}

static void
summary_is_off_or_released_without_armed_profiles (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = host_with_a_vpn ("");
  g_autoptr (KsTestHost) other = host_with_a_vpn ("zone=killswitch\n");
  g_autoptr (KsReport) off = run (host, NULL);
  g_autoptr (KsReport) released = NULL;

  assert_string_equal (off->summary->state, "off");
  assert_false (ks_summary_is_armed (off->summary));
  assert_null (off->summary->lan);
  ks_test_host_write (other, "runtime/released", "");
  released = run (other, NULL);
  assert_string_equal (released->summary->state, "released");
  assert_false (ks_summary_is_armed (released->summary));
}

static void
summary_that_cannot_be_written_is_not_an_error (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = host_with_a_vpn ("zone=killswitch\n");
  g_autofree char *directory = ks_paths_runtime (&host->paths, KS_STATUS_NAME ".new");
  g_autoptr (KsReport) report = NULL;
  g_autoptr (GError) error = NULL;

  g_mkdir (directory, 0700);
  report = run (host, NULL);
  assert_int_equal (report->errors->len, 0);
  assert_string_equal (report->summary->state, "blocking");
  assert_null (ks_summary_read (&host->paths, &error));
  assert_true (g_error_matches (error, KS_ERROR, KS_ERROR_IO));
}

static void
summary_of_any_name_comes_back_as_it_was (void **state G_GNUC_UNUSED)
{
  static const char *const names[] = { "\"},{\"", "a\\nb\n", "\033[2J", "b\303\274ro \360\237\224\222", "{}[],:\t" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autoptr (KsTestHost) host = host_with_a_vpn ("zone=killswitch\n");
    g_autoptr (KsReport) report = run (host, "wg7");
    g_autofree char *text = NULL, *again = NULL;
    g_autoptr (KsSummary) read = NULL;
    KsSummaryProfile *profile = report->summary->profiles->pdata[0];

    g_free (profile->id);
    profile->id = g_strdup (names[i]);
    text = ks_summary_format (report->summary);
    read = ks_summary_parse (text, NULL);
    assert_non_null (read);
    assert_string_equal (((const KsSummaryProfile *) read->profiles->pdata[0])->id, names[i]);
    again = ks_summary_format (read);
    assert_string_equal (text, again);
  }
}

static void
summary_that_is_malformed_is_refused (void **state G_GNUC_UNUSED)
{
  static const char *const texts[] = {
    "",
    "{",
    "[]",
    "\"x\"",
    "{}",
    "{\"file_version\":1,\"state\":\"off\"}",
    "{\"file_version\":2,\"state\":\"off\",\"armed\":[]}",
    "{\"file_version\":\"1\",\"state\":\"off\",\"armed\":[]}",
    "{\"file_version\":1,\"state\":7,\"armed\":[]}",
    "{\"file_version\":1,\"state\":\"off\",\"armed\":{}}",
    "{\"file_version\":1,\"state\":\"off\",\"armed\":[1]}",
    "{\"file_version\":1,\"state\":\"off\",\"armed\":[{\"id\":\"x\"}]}",
    "{\"file_version\":1,\"state\":\"off\",\"armed\":[]} x",
  };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (GError) error = NULL;

    if (ks_summary_parse (texts[i], &error))
      fail_msg ("taken: %s", texts[i]);
    assert_true (g_error_matches (error, KS_ERROR, KS_ERROR_INVALID));
  }
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (summary_is_readable_by_all_whatever_the_umask),
    cmocka_unit_test (summary_tells_names_and_states),
    cmocka_unit_test (summary_reveals_nothing_of_a_profiles_contents),
    cmocka_unit_test (summary_is_written_only_when_it_changes),
    cmocka_unit_test (summary_keeps_when_a_state_began),
    cmocka_unit_test (summary_of_a_run_that_failed_is_incomplete),
    cmocka_unit_test (summary_is_off_or_released_without_armed_profiles),
    cmocka_unit_test (summary_that_cannot_be_written_is_not_an_error),
    cmocka_unit_test (summary_of_any_name_comes_back_as_it_was),
    cmocka_unit_test (summary_that_is_malformed_is_refused),
  };

  return cmocka_run_group_tests_name ("ks-summary", tests, NULL, NULL);
}
