/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/ks-listen-fds.h"

/* Two descriptors as systemd would pass them, without FD_CLOEXEC. */
static int
open_both (void **state G_GNUC_UNUSED)
{
  int null = open ("/dev/null", O_RDONLY);

  for (int fd = KS_LISTEN_FDS_START; fd < KS_LISTEN_FDS_START + 2; fd++)
    if (null < 0 || dup2 (null, fd) != fd || fcntl (fd, F_SETFD, 0) < 0)
      return -1;
  return 0;
}

static void
set_environment (const char *pid, const char *count)
{
  g_autofree char *own = g_strdup_printf ("%d", getpid ());

  if (count)
    g_setenv ("LISTEN_FDS", count, TRUE);
  else
    g_unsetenv ("LISTEN_FDS");
  if (g_strcmp0 (pid, "own") == 0)
    g_setenv ("LISTEN_PID", own, TRUE);
  else if (pid)
    g_setenv ("LISTEN_PID", pid, TRUE);
  else
    g_unsetenv ("LISTEN_PID");
}

static gboolean
is_closed_on_exec (int fd)
{
  return fcntl (fd, F_GETFD) & FD_CLOEXEC;
}

static void
takes_what_is_passed_to_this_process_and_closes_it_on_exec (void **state G_GNUC_UNUSED)
{
  set_environment ("own", "2");
  assert_int_equal (ks_listen_fds (8), 2);
  assert_true (is_closed_on_exec (KS_LISTEN_FDS_START));
  assert_true (is_closed_on_exec (KS_LISTEN_FDS_START + 1));
}

static void
takes_no_more_than_there_is_room_for (void **state G_GNUC_UNUSED)
{
  set_environment ("own", "2");
  assert_int_equal (ks_listen_fds (1), 1);
  assert_true (is_closed_on_exec (KS_LISTEN_FDS_START));
  assert_false (is_closed_on_exec (KS_LISTEN_FDS_START + 1));
}

static void
takes_nothing_that_systemd_did_not_pass (void **state G_GNUC_UNUSED)
{
  static const char *const environments[][2] = {
    { NULL, NULL }, { "own", NULL },         { NULL, "2" },           { "1", "2" },
    { "own", "0" }, { "own", "-1" },         { "own", "2x" },         { "own", "" },
    { "", "2" },    { "own", "2147483647" }, { "own", "4294967298" }, { "own x", "2" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (environments); i++) {
    set_environment (environments[i][0], environments[i][1]);
    if (ks_listen_fds (8) != 0)
      fail_msg ("LISTEN_PID=%s LISTEN_FDS=%s was taken", environments[i][0], environments[i][1]);
  }
  assert_false (is_closed_on_exec (KS_LISTEN_FDS_START));
}

static void
a_descriptor_that_is_not_open_is_an_error (void **state G_GNUC_UNUSED)
{
  close (KS_LISTEN_FDS_START + 1);
  set_environment ("own", "2");
  assert_int_equal (ks_listen_fds (8), 0);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup (takes_what_is_passed_to_this_process_and_closes_it_on_exec, open_both),
    cmocka_unit_test_setup (takes_no_more_than_there_is_room_for, open_both),
    cmocka_unit_test_setup (takes_nothing_that_systemd_did_not_pass, open_both),
    cmocka_unit_test_setup (a_descriptor_that_is_not_open_is_an_error, open_both),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
