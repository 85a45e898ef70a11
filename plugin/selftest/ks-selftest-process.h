/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Child processes that go when their parent does. They run our own code, never
 * another program.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

/* Returns the exit status, 0 to 254. */
typedef int (*KsSelftestChildFunc) (gpointer user_data);

/* Starts a child that runs @func and ends without any clean-up. -1 with errno set when there can be none. */
pid_t ks_selftest_process_start (KsSelftestChildFunc func, gpointer user_data);
/* To be called again in a child that has changed its user: that takes the signal away. */
void ks_selftest_process_die_with_parent (void);
/* Waits; the exit status, or -1 when a signal ended it. */
int ks_selftest_process_wait (pid_t pid);
/* The two together; -1 also when there is no child. */
int ks_selftest_process_run (KsSelftestChildFunc func, gpointer user_data);
