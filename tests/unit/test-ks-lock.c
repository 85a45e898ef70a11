/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The lock, tried from another process, since the same process would share the file. */
#include "ks-test.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/ks-error.h"
#include "base/ks-lock.h"

#define SHORT_MS 60
#define LONG_MS 20000

/* A process that takes the lock and keeps it until it is killed. */
static pid_t
start_holder (const KsTestHost *host)
{
  int ready[2];
  char byte;
  pid_t holder;

  assert_int_equal (pipe (ready), 0);
  holder = fork ();
  assert_true (holder >= 0);
  if (holder == 0) {
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    if (ks_lock_take (&host->paths, LONG_MS, NULL) < 0 || write (ready[1], "x", 1) != 1)
      _exit (1);
    for (;;)
      pause ();
  }
  close (ready[1]);
  assert_int_equal (read (ready[0], &byte, 1), 1);
  close (ready[0]);
  return holder;
}

static void
end_holder (pid_t holder)
{
  kill (holder, SIGKILL);
  waitpid (holder, NULL, 0);
}

static void
lock_keeps_every_other_process_out_and_says_so (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  pid_t holder = start_holder (host);
  g_autoptr (GError) error = NULL;
  gint64 start = g_get_monotonic_time ();

  assert_int_equal (ks_lock_take (&host->paths, SHORT_MS, &error), -1);
  assert_true (g_get_monotonic_time () - start >= SHORT_MS * 1000);
  assert_true (g_error_matches (error, KS_ERROR, KS_ERROR_IO));
  assert_non_null (strstr (error->message, "another run holds it"));
  end_holder (holder);
}

static void
lock_is_waited_for (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  pid_t holder = start_holder (host);
  /* before the fork: on a busy machine the killer may be ahead of us */
  gint64 start = g_get_monotonic_time ();
  pid_t killer = fork ();
  int lock;

  if (killer == 0) {
    g_usleep (SHORT_MS * 1000);
    kill (holder, SIGKILL);
    _exit (0);
  }
  lock = ks_lock_take (&host->paths, LONG_MS, NULL);
  assert_true (lock >= 0);
  assert_true (g_get_monotonic_time () - start >= SHORT_MS * 1000 / 2);
  ks_lock_release (lock);
  waitpid (holder, NULL, 0);
  waitpid (killer, NULL, 0);
}

static void
lock_of_a_process_that_was_killed_is_free (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  int lock;

  end_holder (start_holder (host));
  lock = ks_lock_take (&host->paths, 0, NULL);
  assert_true (lock >= 0);
  ks_lock_release (lock);
  lock = ks_lock_take (&host->paths, 0, NULL);
  assert_true (lock >= 0);
  ks_lock_release (lock);
}

/* Any program that can open the file can keep us waiting. */
static void
lock_is_a_file_that_only_its_owner_can_open (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autofree char *path = ks_paths_runtime (&host->paths, KS_LOCK_NAME);
  int lock = ks_lock_take (&host->paths, 0, NULL);
  struct stat status;

  assert_true (lock >= 0);
  assert_int_equal (stat (path, &status), 0);
  assert_int_equal (status.st_mode & 07777, 0600);
  ks_lock_release (lock);
}

static void
lock_is_never_a_link_to_another_file (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autofree char *path = ks_paths_runtime (&host->paths, KS_LOCK_NAME);
  g_autoptr (GError) error = NULL;

  ks_test_host_write (host, "elsewhere", "");
  assert_true (ks_paths_make_runtime (&host->paths, NULL));
  assert_int_equal (symlink ("../elsewhere", path), 0);
  assert_int_equal (ks_lock_take (&host->paths, 0, &error), -1);
  assert_true (g_error_matches (error, KS_ERROR, KS_ERROR_IO));
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (lock_keeps_every_other_process_out_and_says_so),
    cmocka_unit_test (lock_is_waited_for),
    cmocka_unit_test (lock_of_a_process_that_was_killed_is_free),
    cmocka_unit_test (lock_is_a_file_that_only_its_owner_can_open),
    cmocka_unit_test (lock_is_never_a_link_to_another_file),
  };

  return cmocka_run_group_tests_name ("ks-lock", tests, NULL, NULL);
}
