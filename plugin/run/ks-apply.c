/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run/ks-apply.h"

#include "base/ks-error.h"

/* A device may vanish, or main change, between the dump and a step: then try again. */
#define MAX_PASSES 4

KsDiffFlags
ks_apply_flags (const KsReport *report)
{
  return ks_situation_diff_flags (report->situation) | (report->adds_only ? KS_DIFF_ADD_ONLY : KS_DIFF_DEFAULT);
}

gboolean
ks_apply_holds_guard (const KsReport *report)
{
  return ks_apply_flags (report) != KS_DIFF_DEFAULT;
}

/* Installs or removes the guard. A guard that was tampered with is replaced in any case. */
static void
apply_guard (KsReport *report, const KsPaths *paths, gboolean hold)
{
  g_autofree char *state = ks_paths_runtime (paths, KS_GUARD_NAME);
  gboolean is_wanted = hold || (report->policy->armed && report->policy->guard);
  g_autoptr (GError) error = NULL;
  KsGuardState found;
  guint transactions = 0;

  report->is_guard_refused = FALSE;
  if (!ks_guard_apply (report->policy, hold, state, &found, &transactions, &error)) {
    /* no exemption may rely on a missing guard; KS_ERROR_IO: the guard is there and merely not recorded */
    report->situation->no_guard = !g_error_matches (error, KS_ERROR, KS_ERROR_IO);
    report->is_guard_refused = report->situation->no_guard && !g_error_matches (error, KS_ERROR, KS_ERROR_UNSUPPORTED);
    ks_report_take_error (report, &error);
  }
  report->changes += transactions;
  /* replacing the guard for a new policy is no repair, and a guard that is not recorded may be unchanged */
  if (found == KS_GUARD_ABSENT || found == KS_GUARD_TAMPERED)
    report->repairs += transactions;
  if (transactions > 0)
    g_ptr_array_add (report->done, g_strdup (is_wanted ? "install the guard" : "remove the guard"));
}

/* Sets @without, and tries a guard without the feature it stands for. */
static void
retry_guard (KsReport *report, const KsPaths *paths, const KsSnapshot *snapshot, gboolean *without, const char *lost)
{
  g_autoptr (GError) error = NULL;

  g_set_error (&error, KS_ERROR, KS_ERROR_KERNEL, "%s: the guard that it needs could not be installed", lost);
  ks_report_take_error (report, &error);
  *without = TRUE;
  report->situation->no_guard = FALSE;
  g_clear_pointer (&report->policy, ks_policy_free);
  report->policy = ks_situation_policy (report->situation, snapshot);
  apply_guard (report, paths, ks_apply_holds_guard (report));
}

/*
 * Arms the guard. A guard that cannot recognise replies (a kernel without
 * connection tracking) or cannot limit queries (one without nft_limit) is better
 * than none. Without the feature, no rule that relies on it may exist: every
 * program could use it.
 */
static void
arm_guard (KsReport *report, const KsPaths *paths, const KsSnapshot *snapshot)
{
  KsSituation *situation = report->situation;

  apply_guard (report, paths, ks_apply_holds_guard (report));
  if (report->is_guard_refused && report->policy->management->len > 0)
    retry_guard (report, paths, snapshot, &situation->no_management, "ManagementFrom has no effect");
  if (report->is_guard_refused && report->policy->bootstrap->len > 0)
    retry_guard (report, paths, snapshot, &situation->no_names, "no server name can be looked up");
}

/*
 * One dump, difference and application. With @is_current, the report's policy is already that of the situation and
 * @snapshot. Returns whether nothing is left to do.
 */
static gboolean
apply_once (KsReport *report, KsKernel *kernel, KsSnapshot *snapshot, gboolean is_current, GError **error)
{
  const KsSituation *situation = report->situation;
  g_autoptr (GArray) plan = NULL;

  if (!is_current) {
    g_clear_pointer (&report->policy, ks_policy_free);
    report->policy = ks_situation_policy (situation, snapshot);
  }
  plan =
    ks_diff_compute (situation->config, snapshot->rules, snapshot->routes, report->policy, ks_apply_flags (report));
  if (plan->len == 0)
    return TRUE;
  ks_kernel_apply (kernel, plan, &report->changes, error);
  for (guint i = 0; i < plan->len; i++) {
    const KsStep *step = &g_array_index (plan, KsStep, i);

    if (step->kind == KS_STEP_ADD_RULE || step->kind == KS_STEP_ADD_ROUTE)
      g_array_append_vals (report->added, step, 1);
    report->repairs += ks_report_is_lasting (step);
    g_ptr_array_add (report->done, ks_step_format (step));
  }
  return FALSE;
}

/* Updates the tunnels' devices and the guard, which names them; a device may have been replaced since it was found. */
static void
refresh_tunnels (KsReport *report, const KsPaths *paths, KsKernel *kernel, const KsSnapshot *snapshot)
{
  if (!ks_situation_refresh_tunnels (report->situation, kernel, snapshot))
    return;
  g_clear_pointer (&report->policy, ks_policy_free);
  report->policy = ks_situation_policy (report->situation, snapshot);
  if (report->policy->armed && (report->policy->guard || ks_apply_holds_guard (report)))
    arm_guard (report, paths, snapshot);
}

/*
 * Repeats until the kernel holds what it should; only what is still wrong at
 * the end is an error. @is_current is as for apply_once(), for the first pass.
 * Returns whether the kernel holds what it should.
 */
static gboolean
apply_routing (KsReport *report, const KsPaths *paths, KsKernel *kernel, KsSnapshot **snapshot, gboolean is_current)
{
  for (int pass = 1;; pass++) {
    g_autoptr (GError) error = NULL;

    if (apply_once (report, kernel, *snapshot, is_current && pass == 1, &error))
      return TRUE;
    if (pass == MAX_PASSES) {
      if (!error)
        g_set_error (&error, KS_ERROR, KS_ERROR_KERNEL,
                     "another program keeps changing the kill switch's rules or routes");
      ks_report_take_error (report, &error);
      return FALSE;
    }
    g_clear_pointer (snapshot, ks_snapshot_free);
    *snapshot = ks_kernel_dump (kernel, report->situation->config, error ? NULL : &error);
    if (!*snapshot) {
      ks_report_take_error (report, &error);
      return FALSE;
    }
    refresh_tunnels (report, paths, kernel, *snapshot);
  }
}

/* What the policy does without because the guard could not be installed with it. */
static guint
find_limits (const KsSituation *situation)
{
  return (situation->no_guard ? 1 : 0) | (situation->no_names ? 2 : 0) | (situation->no_management ? 4 : 0);
}

gboolean
ks_apply (KsReport *report, const KsPaths *paths, KsKernel *kernel, KsSnapshot *first)
{
  g_autoptr (KsSnapshot) snapshot = first;
  gboolean is_first, is_applied;
  guint limits = find_limits (report->situation);

  g_clear_pointer (&report->policy, ks_policy_free);
  report->policy = ks_situation_policy (report->situation, snapshot);
  is_first = report->policy->armed && (report->policy->guard || ks_apply_holds_guard (report));
  /* a single transaction that blocks at once: first when arming, last when disarming, since some rules rely on it */
  if (is_first)
    arm_guard (report, paths, snapshot);
  is_applied = apply_routing (report, paths, kernel, &snapshot, find_limits (report->situation) == limits);
  if (!is_first && !report->adds_only)
    apply_guard (report, paths, ks_apply_holds_guard (report));
  return is_applied;
}

void
ks_apply_guard_alone (KsReport *report, const KsPaths *paths)
{
  KsSnapshot nothing = {
    .rules = g_array_new (FALSE, FALSE, sizeof (KsRule)),
    .routes = g_array_new (FALSE, FALSE, sizeof (KsRoute)),
  };

  report->policy = ks_situation_policy (report->situation, &nothing);
  if (report->policy->armed)
    apply_guard (report, paths, TRUE);
  g_array_unref (nothing.rules);
  g_array_unref (nothing.routes);
}
