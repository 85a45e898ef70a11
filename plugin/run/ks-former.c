/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run/ks-former.h"

#include "run/ks-apply.h"

void
ks_former_settle (KsSituation *situation, KsKernel *kernel)
{
  const KsConfig *former = situation->state->numbers;
  g_autoptr (KsSnapshot) snapshot = NULL;

  if (!former || ks_config_can_stand_beside (former, situation->config))
    return;
  snapshot = ks_kernel_dump (kernel, former, NULL);
  if (!snapshot || ks_owner_has_any_rule (former, snapshot->rules) || ks_owner_has_any_route (former, snapshot->routes))
    ks_situation_keep_numbers (situation);
}

/*
 * Removes what an earlier run put into the kernel under other numbers, once its
 * replacement is in place (@is_applied). Until then the old rules stay first and
 * decide, so nothing but a missing replacement may keep them. Returns whether
 * nothing of them is left.
 */
static gboolean
remove_former (KsReport *report, KsKernel *kernel, gboolean is_applied)
{
  const KsSituation *situation = report->situation;
  const KsConfig *former = situation->state->numbers;
  g_autoptr (GError) error = NULL;
  g_autoptr (KsSnapshot) snapshot = NULL;
  g_autoptr (GArray) plan = NULL;
  KsPolicyInput nothing = { .config = former };
  g_autoptr (KsPolicy) none = NULL;

  if (!former || ks_config_has_same_numbers (former, situation->config))
    return TRUE;
  if (report->policy->armed ? !is_applied : (ks_apply_flags (report) & KS_DIFF_HOLD) != 0)
    return FALSE; /* in all other cases, turning the kill switch off has to work */
  snapshot = ks_kernel_dump (kernel, former, &error);
  if (!snapshot) {
    ks_report_take_error (report, &error);
    return FALSE;
  }
  nothing.armed = g_ptr_array_new ();
  none = ks_policy_compute (&nothing);
  g_ptr_array_unref ((GPtrArray *) nothing.armed);
  plan = ks_diff_compute (former, snapshot->rules, snapshot->routes, none, KS_DIFF_DEFAULT);
  for (guint i = plan->len; i-- > 0;) {
    const KsStep *step = &g_array_index (plan, KsStep, i);
    gboolean is_rule = step->kind == KS_STEP_DELETE_RULE;

    if (is_rule ? ks_owner_has_rule (situation->config, &step->rule)
                : ks_owner_has_route (situation->config, &step->route))
      g_array_remove_index (plan, i); /* ours under the new numbers too, and dealt with by the other difference */
  }
  if (ks_kernel_apply (kernel, plan, &report->changes, &error))
    return TRUE;
  ks_report_take_error (report, &error);
  return FALSE;
}

void
ks_former_replace (KsReport *report, const KsPaths *paths, KsKernel *kernel, gboolean is_applied)
{
  KsState *state = report->situation->state;
  guint changes = report->changes;
  g_autoptr (GError) error = NULL;
  KsSnapshot *snapshot;

  if (!remove_former (report, kernel, is_applied))
    return;
  ks_state_set_numbers (state, report->situation->config);
  if (report->changes == changes)
    return;
  snapshot = ks_kernel_dump (kernel, report->situation->config, &error);
  ks_report_take_error (report, &error);
  if (snapshot)
    ks_apply (report, paths, kernel, snapshot);
}
