/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where messages end: standard error is a pipe, a stream of the journal or
 * closed, and the journal is there or not. Its sockets are the test's own, on a
 * /run of its own in a mount namespace; what logs is a child.
 */
#include <sys/socket.h>
#include <sys/un.h>

#include "base/ks-error.h"
#include "ks-test.h"
#include "netns.h"
#include "report/ks-log.h"
#include "run/ks-summary.h"

#define JOURNAL "/run/systemd/journal"
#define TEXT "the kernel refused it"
#define LINE "nm-killswitch: " TEXT "\n"

static gboolean has_own_run;

static int
set_up_group (void **state G_GNUC_UNUSED)
{
  has_own_run = netns_enter () && netns_enter_own_files ();
  return 0;
}

#define NEED_OWN_RUN() \
  if (!has_own_run) { \
    print_message ("skipped: no /run of the test's own\n"); \
    skip (); \
  }

/* A socket at @name in the journal's directory, which is made. */
static int
make_socket (const char *name, int type)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX };
  int fd = socket (AF_UNIX, type | SOCK_CLOEXEC, 0);

  assert_int_equal (g_mkdir_with_parents (JOURNAL, 0755), 0);
  g_snprintf (address.sun_path, sizeof address.sun_path, JOURNAL "/%s", name);
  assert_int_equal (bind (fd, (struct sockaddr *) &address, sizeof address), 0);
  if (type == SOCK_STREAM)
    assert_int_equal (listen (fd, 1), 0);
  return fd;
}

/* What a child writes to where its standard error goes to, which is @ours and @theirs; -1: it has none (transfer full).
 */
static char *
log_in_child (int ours, int theirs)
{
  GString *out = g_string_new (NULL);
  char buffer[4096];
  ssize_t length;
  int status = -1;
  pid_t child = fork ();

  assert_true (child >= 0);
  if (child == 0) {
    g_autoptr (GError) error = g_error_new (KS_ERROR, KS_ERROR_KERNEL, TEXT);

    if (theirs < 0)
      close (STDERR_FILENO);
    else
      dup2 (theirs, STDERR_FILENO);
    ks_log_init ("nm-killswitch");
    ks_log_error (error);
    _exit (0);
  }
  assert_int_equal (waitpid (child, &status, 0), child);
  assert_int_equal (status, 0);
  if (theirs >= 0)
    close (theirs);
  while (ours >= 0 && (length = read (ours, buffer, sizeof buffer)) > 0)
    g_string_append_len (out, buffer, length);
  if (ours >= 0)
    close (ours);
  return g_string_free (out, FALSE);
}

static char *
log_to_pipe (void)
{
  int ends[2];

  assert_int_equal (pipe (ends), 0);
  return log_in_child (ends[0], ends[1]);
}

/* Standard error is a stream that @listener, the journal, accepts. */
static char *
log_to_stream (int listener)
{
  struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = JOURNAL "/stdout" };
  int theirs = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  assert_int_equal (connect (theirs, (struct sockaddr *) &address, sizeof address), 0);
  return log_in_child (accept (listener, NULL, NULL), theirs);
}

/* How many messages wait in the journal, each of which has to be TEXT. */
static guint
count_messages (int journal)
{
  char buffer[4096];
  ssize_t length;
  guint count = 0;

  while ((length = recv (journal, buffer, sizeof buffer - 1, MSG_DONTWAIT)) > 0) {
    buffer[length] = '\0';
    assert_non_null (strstr (buffer, "MESSAGE=" TEXT "\n"));
    assert_non_null (strstr (buffer, "PRIORITY=4\n"));
    count++;
  }
  return count;
}

static int
tear_down (void **state G_GNUC_UNUSED)
{
  if (has_own_run)
    netns_run ("rm -rf " JOURNAL);
  return 0;
}

static void
log_shows_errors_without_a_terminal_and_without_a_journal (void **state G_GNUC_UNUSED)
{
  g_autofree char *shown = NULL;

  NEED_OWN_RUN ();
  shown = log_to_pipe ();
  assert_string_equal (shown, LINE);
}

static void
log_shows_errors_without_a_terminal_with_a_journal_too (void **state G_GNUC_UNUSED)
{
  g_autofree char *shown = NULL;
  int journal;

  NEED_OWN_RUN ();
  journal = make_socket ("socket", SOCK_DGRAM);
  shown = log_to_pipe ();
  assert_string_equal (shown, LINE);
  assert_int_equal (count_messages (journal), 1);
  close (journal);
}

static void
log_shows_errors_when_nothing_listens_on_the_journals_socket (void **state G_GNUC_UNUSED)
{
  g_autofree char *shown = NULL;

  NEED_OWN_RUN ();
  close (make_socket ("socket", SOCK_DGRAM));
  shown = log_to_pipe ();
  assert_string_equal (shown, LINE);
}

static void
log_writes_once_when_standard_error_is_the_journal (void **state G_GNUC_UNUSED)
{
  g_autofree char *streamed = NULL;
  int journal, listener;

  NEED_OWN_RUN ();
  journal = make_socket ("socket", SOCK_DGRAM);
  listener = make_socket ("stdout", SOCK_STREAM);
  streamed = log_to_stream (listener);
  assert_string_equal (streamed, "");
  assert_int_equal (count_messages (journal), 1);
  close (journal);
  close (listener);
}

static void
log_falls_back_to_the_journals_stream (void **state G_GNUC_UNUSED)
{
  g_autofree char *streamed = NULL;
  int listener;

  NEED_OWN_RUN ();
  listener = make_socket ("stdout", SOCK_STREAM);
  streamed = log_to_stream (listener);
  assert_string_equal (streamed, LINE);
  close (listener);
}

static void
log_needs_no_standard_error (void **state G_GNUC_UNUSED)
{
  g_autofree char *nothing = NULL;
  int journal;

  NEED_OWN_RUN ();
  journal = make_socket ("socket", SOCK_DGRAM);
  nothing = log_in_child (-1, -1);
  assert_int_equal (count_messages (journal), 1);
  close (journal);
}

/* In the journal's own format a field is KEY=VALUE in a line of its own. */
static void
log_reports_a_change_of_state_once_with_profile_interface_and_state (void **state G_GNUC_UNUSED)
{
  static const char *const fields[] = { "MESSAGE=test: protected by 'home' on wg7, 1 change\n",
                                        "PRIORITY=6\n",
                                        "MESSAGE_ID=" KS_MESSAGE_PROTECTED "\n",
                                        "KILLSWITCH_STATE=protected\n",
                                        "KILLSWITCH_PROFILE=11111111-1111-4111-8111-111111111111\n",
                                        "KILLSWITCH_INTERFACE=wg7\n",
                                        "KILLSWITCH_CHANGES=1\n" };
  g_autoptr (KsReport) report = ks_report_new ();
  char buffer[4096] = "";
  int journal;

  NEED_OWN_RUN ();
  journal = make_socket ("socket", SOCK_DGRAM);
  report->changes = 1;
  report->former = ks_summary_parse ("{\"file_version\":1,\"state\":\"blocking\",\"armed\":[{\"id\":\"home\","
                                     "\"uuid\":\"11111111-1111-4111-8111-111111111111\",\"type\":\"wireguard\","
                                     "\"mode\":\"strict\",\"reason\":\"connection.zone\",\"tunnel\":null}]}",
                                     NULL);
  report->summary = ks_summary_parse ("{\"file_version\":1,\"state\":\"protected\",\"armed\":[{\"id\":\"home\","
                                      "\"uuid\":\"11111111-1111-4111-8111-111111111111\",\"type\":\"wireguard\","
                                      "\"mode\":\"strict\",\"reason\":\"connection.zone\",\"tunnel\":\"wg7\"}]}",
                                      NULL);
  ks_log_report (report, &ks_paths_default, "test", FALSE);
  assert_true (recv (journal, buffer, sizeof buffer - 1, MSG_DONTWAIT) > 0);
  for (guint i = 0; i < G_N_ELEMENTS (fields); i++)
    if (!strstr (buffer, fields[i]))
      fail_msg ("%s is not in %s", fields[i], buffer);
  assert_int_equal (recv (journal, buffer, sizeof buffer - 1, MSG_DONTWAIT), -1);

  /* a status file that cannot be written: nothing is known of the run before, and nothing has changed */
  report->changes = 0;
  g_clear_pointer (&report->former, ks_summary_free);
  ks_log_report (report, &ks_paths_default, "test", FALSE);
  assert_int_equal (recv (journal, buffer, sizeof buffer - 1, MSG_DONTWAIT), -1);
  close (journal);
}

/* The commands that people run, with an error that needs nothing: no right to do it. */
static void
commands_show_why_they_fail_on_a_pipe_with_a_journal (void **state G_GNUC_UNUSED)
{
  static const char *const words[] = { "sync", "release", "resume", "check", "heal" };
  int journal;

  NEED_OWN_RUN ();
  if (netns_try ("setpriv --reuid 65534 --clear-groups true") != 0) {
    print_message ("skipped: no other user to become\n");
    skip ();
  }
  journal = make_socket ("socket", SOCK_DGRAM);
  netns_run ("chmod 666 " JOURNAL "/socket");
  for (guint i = 0; i < G_N_ELEMENTS (words); i++) {
    g_autofree char *line =
      g_strdup_printf ("setpriv --reuid 65534 --clear-groups %s %s", KS_BUILD "/nm-killswitch", words[i]);
    g_autofree char *messages = NULL;
    g_auto (GStrv) argv = NULL;
    char buffer[4096];

    assert_true (g_shell_parse_argv (line, NULL, &argv, NULL));
    assert_int_equal (netns_spawn (argv, NULL, &messages), 1);
    if (!strstr (messages, "nm-killswitch: this needs root"))
      fail_msg ("%s: %s", words[i], messages);
    while (recv (journal, buffer, sizeof buffer, MSG_DONTWAIT) > 0)
      ;
  }
  close (journal);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown (log_shows_errors_without_a_terminal_and_without_a_journal, tear_down),
    cmocka_unit_test_teardown (log_shows_errors_without_a_terminal_with_a_journal_too, tear_down),
    cmocka_unit_test_teardown (log_shows_errors_when_nothing_listens_on_the_journals_socket, tear_down),
    cmocka_unit_test_teardown (log_writes_once_when_standard_error_is_the_journal, tear_down),
    cmocka_unit_test_teardown (log_falls_back_to_the_journals_stream, tear_down),
    cmocka_unit_test_teardown (log_needs_no_standard_error, tear_down),
    cmocka_unit_test_teardown (log_reports_a_change_of_state_once_with_profile_interface_and_state, tear_down),
    cmocka_unit_test_teardown (commands_show_why_they_fail_on_a_pipe_with_a_journal, tear_down),
  };

  return cmocka_run_group_tests_name ("ks-log", tests, set_up_group, NULL);
}
