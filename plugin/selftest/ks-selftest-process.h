/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Child processes that end when their parent does. They run our own code, never
 * another program.
 */
#pragma once

#include <glib.h>
#include <sys/types.h>

/* What a child runs; returns the exit status, 0 to 254. */
typedef int (*KsSelftestChildFunc) (gpointer user_data);

/* Starts a child that runs @func and ends without any clean-up. -1 with errno set if that is not possible. */
pid_t ks_selftest_process_start (KsSelftestChildFunc func, gpointer user_data);
/* To be called again in a child that has changed its user, which cancels the signal. */
void ks_selftest_process_die_with_parent (void);
/* Waits for the child; returns its exit status, or -1 if a signal ended it. */
int ks_selftest_process_wait (pid_t pid);
/* Both together; -1 also if there is no child. */
int ks_selftest_process_run (KsSelftestChildFunc func, gpointer user_data);
