/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The self-test: tries the attack cases that need no NetworkManager on this
 * kernel, in network namespaces of its own. It does not touch the host's
 * network, and writes nothing to disk. Everything happens in a child process,
 * and ends with it.
 */
#pragma once

#include "policy/ks-policy.h"

typedef enum {
  KS_SELFTEST_PASSED,
  KS_SELFTEST_FAILED, /* something leaked, something that should work does not, or the case could not be tried */
  KS_SELFTEST_SKIPPED, /* needs another user, which does not exist in an ordinary user's namespace */
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
  KsSelftestPolicyFunc spoil; /* for tests of the self-test, which has to notice a broken policy; nullable */
  gpointer user_data;
} KsSelftestOptions;

void ks_selftest_report_free (KsSelftestReport *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsSelftestReport, ks_selftest_report_free)

/*
 * Runs every case; takes a few seconds at most, and gives up after 60. NULL if
 * such namespaces cannot be created (KS_ERROR_PERMISSION), or if the self-test
 * itself failed (KS_ERROR_KERNEL, KS_ERROR_IO).
 */
KsSelftestReport *ks_selftest_run (const KsSelftestOptions *options, GError **error);

/* Whether no case failed, and none was skipped that this user could have run. */
gboolean ks_selftest_is_good (const KsSelftestReport *self);
/* A line for each case, and a summary (transfer full). */
char *ks_selftest_format (const KsSelftestReport *self);
