/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run/ks-reconcile.h"

#include <unistd.h>

#include "base/ks-error.h"
#include "base/ks-lock.h"
#include "input/ks-resolve.h"
#include "kernel/ks-connections.h"
#include "run/ks-cut-off.h"
#include "state/ks-marker.h"

/* A device may vanish, or main change, between the dump and a step: then look again. */
#define MAX_PASSES 4
/* Runs are short; one that holds the lock for this long is stuck. */
#define LOCK_TIMEOUT_MS 15000
#define RESOLVE_TIMEOUT_MS 4000

/* Whether the policy may lack something in use, so that the guard that was installed last counts and not the policy. */
static gboolean
holds_guard (const KsReport *report)
{
  return ks_situation_diff_flags (report->situation) != KS_DIFF_DEFAULT;
}

/* Puts the guard in place or takes it away. One that was tampered with is replaced in any case. */
static void
apply_guard (KsReport *report, const KsPaths *paths, gboolean hold)
{
  g_autofree char *state = ks_paths_runtime (paths, KS_GUARD_NAME);
  gboolean is_wanted = hold || (report->policy->armed && report->policy->guard);
  g_autoptr (GError) error = NULL;
  KsGuardState found;
  guint transactions = 0;

  if (!ks_guard_apply (report->policy, hold, state, &found, &transactions, &error)) {
    /* what is exempted because the guard narrows it is not exempted then; one that is only not recorded is there */
    report->situation->no_guard = !g_error_matches (error, KS_ERROR, KS_ERROR_IO);
    ks_report_take_error (report, &error);
  }
  report->changes += transactions;
  /* another guard for another policy is no repair, and what is not recorded may be as it was */
  if (found == KS_GUARD_ABSENT || found == KS_GUARD_TAMPERED)
    report->repairs += transactions;
  if (transactions > 0)
    g_ptr_array_add (report->done, g_strdup (is_wanted ? "install the guard" : "remove the guard"));
}

/* Whether the kernel has nftables and could not do what the guard wants of it. */
static gboolean
is_guard_refused (const KsReport *report)
{
  const GError *last = report->errors->len > 0 ? report->errors->pdata[report->errors->len - 1] : NULL;

  return report->situation->no_guard && !g_error_matches (last, KS_ERROR, KS_ERROR_UNSUPPORTED);
}

/* Sets @without, and tries a guard that lacks what it stands for. */
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
  apply_guard (report, paths, holds_guard (report));
}

/*
 * Arms the guard. One that cannot tell replies (a kernel without connection
 * tracking), or cannot count queries (one without nft_limit), is better than
 * none, and without it no rule that relies on it may be there: every program
 * could use it.
 */
static void
arm_guard (KsReport *report, const KsPaths *paths, const KsSnapshot *snapshot)
{
  KsSituation *situation = report->situation;

  apply_guard (report, paths, holds_guard (report));
  if (is_guard_refused (report) && report->policy->management->len > 0)
    retry_guard (report, paths, snapshot, &situation->no_management, "ManagementFrom has no effect");
  if (is_guard_refused (report) && report->policy->bootstrap->len > 0)
    retry_guard (report, paths, snapshot, &situation->no_names, "no server's name can be asked for");
}

static gboolean
take_proof (KsReport *report, const KsSnapshot *snapshot, KsGuardState guard)
{
  g_autoptr (GError) error = NULL;

  report->proof = ks_proof_take (report->policy, snapshot, guard, &error);
  ks_report_take_error (report, &error);
  return report->proof != NULL;
}

/* Whether the proof that was taken shows what gets out and should not. */
static gboolean
is_refuted (const KsReport *report)
{
  return report->proof && ks_proof_count_unwanted (report->proof, report->policy) > 0;
}

/* After a run that changed something, and when looking again: is it true now? */
static void
prove (KsReport *report, const KsPaths *paths, KsKernel *kernel, gboolean is_second_look)
{
  g_autofree char *state = ks_paths_runtime (paths, KS_GUARD_NAME);
  g_autoptr (KsSnapshot) snapshot = NULL;
  g_autoptr (GError) error = NULL;
  KsGuardState guard;

  if (!report->policy || !report->policy->armed || (report->changes == 0 && !is_second_look))
    return;
  guard = ks_guard_inspect (report->policy, holds_guard (report), state, NULL, NULL);
  snapshot = ks_kernel_dump (kernel, report->situation->config, &error);
  if (snapshot && take_proof (report, snapshot, guard) && is_refuted (report))
    g_set_error (&error, KS_ERROR, KS_ERROR_KERNEL,
                 "%u of %u probes would get out past the kill switch: `nm-killswitch check` shows which",
                 ks_proof_count_unwanted (report->proof, report->policy), report->proof->probes->len);
  ks_report_take_error (report, &error);
}

/* One dump, difference and application. Returns whether there is nothing left to do. */
static gboolean
apply_once (KsReport *report, KsKernel *kernel, KsSnapshot *snapshot, GError **error)
{
  const KsSituation *situation = report->situation;
  g_autoptr (GArray) plan = NULL;

  g_clear_pointer (&report->policy, ks_policy_free);
  report->policy = ks_situation_policy (situation, snapshot);
  plan = ks_diff_compute (situation->config, snapshot->rules, snapshot->routes, report->policy,
                          ks_situation_diff_flags (situation));
  if (plan->len == 0)
    return TRUE;
  ks_kernel_apply (kernel, plan, &report->changes, error);
  for (guint i = 0; i < plan->len; i++) {
    const KsStep *step = &g_array_index (plan, KsStep, i);

    if (step->kind == KS_STEP_ADD_ROUTE && step->route.type == RTN_UNICAST)
      g_array_append_val (report->followed, step->route);
    else
      report->repairs += step->kind == KS_STEP_ADD_RULE || step->kind == KS_STEP_ADD_ROUTE;
    g_ptr_array_add (report->done, ks_step_format (step));
  }
  return FALSE;
}

/* Repeats until the kernel holds what it should; only what is still wrong at the end is an error. */
static void
apply_routing (KsReport *report, KsKernel *kernel, KsSnapshot **snapshot)
{
  for (int pass = 1;; pass++) {
    g_autoptr (GError) error = NULL;

    if (apply_once (report, kernel, *snapshot, &error))
      return;
    if (pass == MAX_PASSES) {
      if (!error)
        g_set_error (&error, KS_ERROR, KS_ERROR_KERNEL, "somebody else keeps changing our rules or routes");
      ks_report_take_error (report, &error);
      return;
    }
    g_clear_pointer (snapshot, ks_snapshot_free);
    *snapshot = ks_kernel_dump (kernel, report->situation->config, error ? NULL : &error);
    if (!*snapshot) {
      ks_report_take_error (report, &error);
      return;
    }
  }
}

static void
apply (KsReport *report, const KsPaths *paths, KsKernel *kernel, KsSnapshot *first)
{
  g_autoptr (KsSnapshot) snapshot = first;
  gboolean is_first;

  g_clear_pointer (&report->policy, ks_policy_free);
  report->policy = ks_situation_policy (report->situation, snapshot);
  is_first = report->policy->armed && (report->policy->guard || holds_guard (report));
  /* one transaction that blocks at once: first when it comes, last when it goes, since some rules rely on it */
  if (is_first)
    arm_guard (report, paths, snapshot);
  apply_routing (report, kernel, &snapshot);
  if (!is_first)
    apply_guard (report, paths, holds_guard (report));
}

/* Rules and routes cannot be read: the guard needs none of them to block. One that was installed before knows more. */
static void
guard_alone (KsReport *report, const KsPaths *paths)
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

static gboolean
has_own_rule (const KsSituation *situation, const KsSnapshot *snapshot)
{
  for (guint i = 0; i < snapshot->rules->len; i++)
    if (ks_owner_has_rule (situation->config, &g_array_index (snapshot->rules, KsRule, i)))
      return TRUE;
  return FALSE;
}

/*
 * At boot the network waits for this program, but not for ever: when the unit's
 * time is up, the network comes up without us. So first of all this blocks with
 * as little knowledge as possible; the full run then adds what is remembered,
 * mostly exemptions. Until this returns, nothing can wait for long:
 *
 *   - only files in /etc, /run, /usr/lib and /proc are read. If those hang,
 *     NetworkManager does not get at its profiles either. /var, which may hang
 *     or need the network (x-systemd.automount), comes later; a profile that is
 *     armed only because it was before it became unreadable has to wait for it.
 *   - no name is looked up (ks-user.h), and libnm opens no file of its own
 *     (ks-profile-connection.c).
 *   - random numbers come from getrandom(2) with GRND_NONBLOCK, in libnm and
 *     GnuTLS alike (seen with strace).
 *   - nothing is logged: the journal may hang.
 *   - the lock is waited for 15 s, each of the kernel's answers 5 s.
 *
 * If rules of ours exist, there is no hurry. Errors are dropped here: the full
 * run meets them again and reports them.
 */
static void
block_first (KsReport *report, const KsPaths *paths)
{
  g_autoptr (KsKernel) kernel = NULL;
  g_autoptr (KsSnapshot) snapshot = NULL;

  report->situation = ks_situation_read (paths, NULL, KS_READ_NO_NETWORK | KS_READ_NO_STATE);
  if (report->situation->armed->len > 0) {
    kernel = ks_kernel_new (NULL);
    snapshot = kernel ? ks_kernel_dump (kernel, report->situation->config, NULL) : NULL;
    if (!snapshot)
      guard_alone (report, paths);
    else if (!has_own_rule (report->situation, snapshot))
      apply (report, paths, kernel, g_steal_pointer (&snapshot));
  }
  g_clear_pointer (&report->policy, ks_policy_free);
  g_clear_pointer (&report->situation, ks_situation_free);
  g_ptr_array_set_size (report->errors, 0);
}

/*
 * What an earlier run put into the kernel under other numbers, now that the
 * configuration has new ones: it goes when what replaces it is in place.
 */
static void
remove_former (KsReport *report, KsKernel *kernel)
{
  const KsSituation *situation = report->situation;
  const KsConfig *former = situation->state->numbers;
  g_autoptr (GError) error = NULL;
  g_autoptr (KsSnapshot) snapshot = NULL;
  g_autoptr (GArray) plan = NULL;
  KsPolicyInput nothing = { .config = former };
  g_autoptr (KsPolicy) none = NULL;

  if (!former || ks_config_has_same_numbers (former, situation->config))
    return;
  if (report->policy->armed && report->errors->len > 0)
    return; /* what replaces it may be incomplete; nobody is kept from turning it off */
  snapshot = ks_kernel_dump (kernel, former, &error);
  if (!snapshot) {
    ks_report_take_error (report, &error);
    return;
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
      g_array_remove_index (plan, i); /* ours under the new numbers too: the other difference has dealt with it */
  }
  if (!ks_kernel_apply (kernel, plan, &report->changes, &error))
    ks_report_take_error (report, &error);
}

/* Has nm-killswitch-names.path ask again and again. Nothing but time is lost when that fails. */
static void
update_names_marker (const KsSituation *situation, const KsPaths *paths)
{
  if (ks_situation_awaits_names (situation))
    ks_marker_make (paths, KS_MARKER_NAMES, NULL);
  else
    ks_marker_remove (paths, KS_MARKER_NAMES, NULL);
}

/* Of a run that has armed the host, after it blocks: a list of connections may be long. Without one nobody is warned.
 */
static void
warn_cut_off (KsReport *report, const GArray *addresses)
{
  g_autoptr (GArray) connections = ks_connections_read (NULL);

  if (!connections)
    return;
  g_ptr_array_unref (report->cut_off);
  report->cut_off = ks_cut_off_compute (report->policy, addresses, connections);
}

/* @answers, nullable, is what the servers' names were resolved to meanwhile. */
static void
reconcile_locked (KsReport *report, const KsPaths *paths, const KsEvent *event, KsReconcileFlags flags,
                  const KsAnswers *answers, gboolean is_second_look)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KsKernel) kernel = NULL;
  g_autoptr (GArray) addresses = NULL;
  KsSnapshot *snapshot;
  gboolean is_new;

  report->situation = ks_situation_read (paths, event,
                                         (flags & KS_RECONCILE_BOOT ? KS_READ_NO_NETWORK : 0)
                                           | (flags & KS_RECONCILE_RELEASE ? KS_READ_RELEASED : 0));
  if (answers)
    ks_answers_merge (report->situation->state->answers, answers);
  ks_report_take_errors (report, report->situation->errors);
  kernel = ks_kernel_new (&error);
  snapshot = kernel ? ks_kernel_dump (kernel, report->situation->config, &error) : NULL;
  if (!snapshot) {
    ks_report_take_error (report, &error);
    guard_alone (report, paths);
    return;
  }
  ks_situation_find_tunnels (report->situation, kernel, snapshot, event);
  is_new = !has_own_rule (report->situation, snapshot);
  addresses = g_array_ref (snapshot->addresses);
  apply (report, paths, kernel, snapshot);
  if (is_new && report->policy->armed)
    warn_cut_off (report, addresses);
  remove_former (report, kernel);
  if (report->errors->len == 0 || !report->policy->armed || !report->situation->state->numbers)
    ks_state_set_numbers (report->situation->state, report->situation->config);
  prove (report, paths, kernel, is_second_look);
  if (!ks_situation_save (report->situation, paths, &error))
    ks_report_take_error (report, &error);
  update_names_marker (report->situation, paths);
}

static gboolean
check_privileges (KsReport *report)
{
  g_autoptr (GError) error = NULL;

  if (geteuid () == 0)
    return TRUE;
  g_set_error (&error, KS_ERROR, KS_ERROR_PERMISSION, "this needs root: profiles and routing rules are root's");
  ks_report_take_error (report, &error);
  return FALSE;
}

/* One look at everything, with the lock, or without it because of @lock_error. */
static KsReport *
look (const KsPaths *paths, const KsEvent *event, KsReconcileFlags flags, const KsAnswers *answers,
      const GError *lock_error, gboolean is_second_look)
{
  KsReport *report = ks_report_new ();

  if ((flags & KS_RECONCILE_BOOT) && !is_second_look)
    block_first (report, paths);
  if (lock_error)
    g_ptr_array_add (report->errors, g_error_copy (lock_error));
  reconcile_locked (report, paths, event, flags, answers, is_second_look);
  return report;
}

/*
 * One run under the lock. A proof that was taken between a change of
 * NetworkManager's, or of another program's, and what has to follow from it
 * says nothing: it is an error only if a second look comes to the same.
 */
static KsReport *
run (const KsPaths *paths, const KsEvent *event, KsReconcileFlags flags, const KsAnswers *answers)
{
  g_autoptr (GError) error = NULL;
  /* without a lock (a full disk, say) two runs may undo each other's steps, but neither opens anything: go on */
  int lock = ks_lock_take (paths, LOCK_TIMEOUT_MS, &error);
  KsReport *report = look (paths, event, flags, answers, error, FALSE);

  if (is_refuted (report))
    report = ks_report_join (report, look (paths, event, flags, answers, error, TRUE));
  ks_lock_release (lock);
  return report;
}

/*
 * The servers' names are asked for without the lock: an answer may take
 * seconds, and NetworkManager may be waiting for the next event's run.
 */
KsReport *
ks_reconcile (const KsPaths *paths, const KsEvent *event, KsReconcileFlags flags)
{
  g_autoptr (KsReport) report = ks_report_new ();
  g_autoptr (GPtrArray) hosts = NULL;
  g_autoptr (KsAnswers) answers = NULL;

  if (!check_privileges (report))
    return g_steal_pointer (&report);
  ks_report_free (report);
  report = run (paths, event, flags, NULL);
  if (flags & (KS_RECONCILE_BOOT | KS_RECONCILE_QUICK))
    return g_steal_pointer (&report);

  hosts = ks_situation_hosts (report->situation);
  answers = ks_answers_new ();
  if (!ks_resolve_hosts (hosts, ks_alias_ask, RESOLVE_TIMEOUT_MS, answers)
      || !ks_answers_merge (report->situation->state->answers, answers))
    return g_steal_pointer (&report);
  /* the event is over by now: what NetworkManager says counts */
  return ks_report_join (g_steal_pointer (&report), run (paths, NULL, flags, answers));
}

KsReport *
ks_reconcile_preview (const KsPaths *paths, KsSnapshot **snapshot)
{
  KsReport *report = ks_report_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (KsKernel) kernel = NULL;
  g_autoptr (KsSnapshot) held = NULL;
  g_autofree char *state = ks_paths_runtime (paths, KS_GUARD_NAME);

  *snapshot = NULL;
  if (!check_privileges (report))
    return report;
  report->situation = ks_situation_read (paths, NULL, KS_READ_DEFAULT);
  ks_report_take_errors (report, report->situation->errors);
  kernel = ks_kernel_new (&error);
  held = kernel ? ks_kernel_dump (kernel, report->situation->config, &error) : NULL;
  ks_report_take_error (report, &error);
  if (!held)
    return report;
  ks_situation_find_tunnels (report->situation, kernel, held, NULL);
  report->policy = ks_situation_policy (report->situation, held);
  report->guard = ks_guard_inspect (report->policy, holds_guard (report), state, &report->counters, &error);
  ks_report_take_error (report, &error);
  if (report->guard == KS_GUARD_UNSUPPORTED) { /* then a run leaves out what relies on it */
    report->situation->no_guard = TRUE;
    ks_policy_free (report->policy);
    report->policy = ks_situation_policy (report->situation, held);
  }
  *snapshot = g_steal_pointer (&held);
  return report;
}

gboolean
ks_reconcile_prove (KsReport *report, const KsSnapshot *snapshot)
{
  return take_proof (report, snapshot, report->guard);
}
