/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The self-test: the attack cases that need no NetworkManager, tried on this
 * kernel, in network namespaces of its own. Nothing of the host's network is
 * touched, nothing is written to disk. Everything happens in a child process,
 * and ends with it.
 */
#pragma once

#include "policy/ks-policy.h"

typedef enum {
  KS_SELFTEST_PASSED,
  KS_SELFTEST_FAILED, /* something leaked, something that should work does not, or the case could not be tried */
  KS_SELFTEST_SKIPPED, /* needs another user, which an ordinary user's namespace has not */
} KsSelftestResult;

typedef struct {
  KsSelftestResult result;
  char *name;
  char *text; /* what was seen, or what is wrong */
} KsSelftestOutcome;

typedef struct {
  GPtrArray *outcomes; /* of KsSelftestOutcome, in the order of the table of cases */
  guint passed;
  guint failed;
  guint skipped;
  char *kernel; /* its release, as `uname -r` says */
} KsSelftestReport;

/* Changes @policy after it was computed and before it is applied. */
typedef void (*KsSelftestPolicyFunc) (KsPolicy *policy, gpointer user_data);

typedef struct {
  gboolean verbose; /* an outcome's text has a further line for each probe in each state */
  gboolean without_tun; /* as if there were no /dev/net/tun: the tunnel is one end of a veth pair */
  KsSelftestPolicyFunc spoil; /* for tests of the self-test: a broken policy has to be noticed; nullable */
  gpointer user_data;
} KsSelftestOptions;

void ks_selftest_report_free (KsSelftestReport *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsSelftestReport, ks_selftest_report_free)

/*
 * Runs every case; takes a few seconds at most, and gives up after 60. NULL
 * when there cannot be such namespaces (KS_ERROR_PERMISSION), or the self-test
 * itself broke (KS_ERROR_KERNEL, KS_ERROR_IO).
 */
KsSelftestReport *ks_selftest_run (const KsSelftestOptions *options, GError **error);

/* Whether no case failed, and none was skipped that this user could have run. */
gboolean ks_selftest_is_good (const KsSelftestReport *self);
/* A line for each case, and a summary (transfer full). */
char *ks_selftest_format (const KsSelftestReport *self);
