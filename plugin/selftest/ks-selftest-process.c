/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "selftest/ks-selftest-process.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

void
ks_selftest_process_die_with_parent (void)
{
  prctl (PR_SET_PDEATHSIG, SIGKILL);
}

pid_t
ks_selftest_process_start (KsSelftestChildFunc func, gpointer user_data)
{
  pid_t parent = getpid ();
  pid_t pid;

  /* buffered output belongs to the parent */
  fflush (NULL);
  pid = fork ();
  if (pid != 0)
    return pid;
  ks_selftest_process_die_with_parent ();
  /* the parent may already have died */
  if (getppid () != parent)
    _exit (255);
  _exit (func (user_data));
}

int
ks_selftest_process_wait (pid_t pid)
{
  int status = 0;
  pid_t result;

  do
    result = waitpid (pid, &status, 0);
  while (result < 0 && errno == EINTR);
  return result == pid && WIFEXITED (status) ? WEXITSTATUS (status) : -1;
}

int
ks_selftest_process_run (KsSelftestChildFunc func, gpointer user_data)
{
  pid_t pid = ks_selftest_process_start (func, user_data);

  return pid < 0 ? -1 : ks_selftest_process_wait (pid);
}
