/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/ks-fault.h"

#ifdef KS_FAULTS
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int
ks_fault_point (void)
{
  static long calls;
  const char *setting = getenv ("KS_FAULT");

  calls++;
  if (!setting)
    return 0;
  if (strncmp (setting, "kill:", 5) == 0 && atol (setting + 5) == calls)
    kill (getpid (), SIGKILL);
  if (strncmp (setting, "stop:", 5) == 0 && atol (setting + 5) == calls)
    kill (getpid (), SIGSTOP);
  if (strncmp (setting, "fail:", 5) == 0 && atol (setting + 5) == calls)
    return ENOBUFS;
  return 0;
}

gboolean
ks_fault_refuses (const char *text)
{
  const char *setting = getenv ("KS_FAULT");

  return setting && strncmp (setting, "refuse:", 7) == 0 && strstr (text, setting + 7);
}
#endif
