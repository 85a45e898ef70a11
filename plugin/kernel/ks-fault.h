/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Fault injection, only in builds made with FAULTS=1: the N-th call to the
 * kernel fails, or the process is killed or stopped there. In other builds it
 * compiles to nothing.
 */
#pragma once

#include <glib.h>

#ifdef KS_FAULTS
/*
 * Counts calls. Returns 0, or the errno value to fail with if the environment
 * variable KS_FAULT is "fail:N" and this is the N-th call. Does not return if it
 * is "kill:N", and not before SIGCONT if it is "stop:N".
 */
int ks_fault_point (void);
/* Whether KS_FAULT is "refuse:WORD" and @text, for nftables, contains the word: like a kernel that lacks a feature. */
gboolean ks_fault_refuses (const char *text);
#else
static inline int
ks_fault_point (void)
{
  return 0;
}

static inline gboolean
ks_fault_refuses (const char *text G_GNUC_UNUSED)
{
  return FALSE;
}
#endif
