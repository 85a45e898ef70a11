/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run/ks-reconcile.h"

#include <unistd.h>

#include "base/ks-error.h"
#include "base/ks-lock.h"
#include "input/ks-resolve.h"
#include "kernel/ks-connections.h"
#include "kernel/ks-flows.h"
#include "kernel/ks-guard-readback.h"
#include "run/ks-apply.h"
#include "run/ks-cut-off.h"
#include "run/ks-former.h"
#include "run/ks-summary.h"
#include "run/ks-unchanged.h"
#include "state/ks-marker.h"

/* Runs are short; one that holds the lock for this long is stuck. */
#define LOCK_TIMEOUT_MS 15000
#define RESOLVE_TIMEOUT_MS 4000

static gboolean
take_proof (KsReport *report, const KsSnapshot *snapshot, KsGuardState guard)
{
  g_autoptr (GError) error = NULL;

  report->proof = ks_proof_take (report->policy, snapshot, guard, &error);
  ks_report_take_error (report, &error);
  return report->proof != NULL;
}

/* Whether the proof shows packets getting out that should not. */
static gboolean
is_refuted (const KsReport *report)
{
  return report->proof && ks_proof_count_unwanted (report->proof, report->policy) > 0;
}

static void
find_conflicts (KsReport *report, KsKernel *kernel, const KsSnapshot *snapshot, KsGuardState guard)
{
  g_ptr_array_unref (report->conflicts);
  report->conflicts =
    ks_conflict_read (kernel, report->situation->config, report->policy, snapshot, guard == KS_GUARD_IN_PLACE);
}

/* The first conflict with another program that lets packets out; NULL for none. */
static const KsConflict *
first_leak (const KsReport *report)
{
  const KsConflict *first = report->conflicts->len > 0 ? report->conflicts->pdata[0] : NULL;

  return first && first->effect == KS_CONFLICT_LEAKS ? first : NULL;
}

/* Sets the error: what gets out, and why. */
static void
set_refuted (const KsReport *report, GError **error)
{
  const KsConflict *leak = first_leak (report);

  g_set_error (error, KS_ERROR, KS_ERROR_KERNEL,
               "%u of %u probes would get out past the kill switch: `nm-killswitch check` shows which%s%s",
               ks_proof_count_unwanted (report->proof, report->policy), report->proof->probes->len, leak ? "; " : "",
               leak ? leak->text : "");
}

/* Warns of conflicts, except for the one that the run's error already names. */
static void
warn_of_conflicts (KsReport *report)
{
  for (guint i = is_refuted (report) && first_leak (report) ? 1 : 0; i < report->conflicts->len; i++)
    g_ptr_array_add (report->situation->warnings, g_strdup (((KsConflict *) report->conflicts->pdata[i])->text));
}

/* Checks the result after a run that changed something, on a second look, and while another program may interfere. */
static void
prove (KsReport *report, const KsPaths *paths, KsKernel *kernel, gboolean is_second_look)
{
  g_autofree char *state = ks_paths_runtime (paths, KS_GUARD_NAME);
  g_autoptr (KsSnapshot) snapshot = NULL;
  g_autoptr (GError) error = NULL;
  KsGuardState guard;

  if (!report->policy || !report->policy->armed || (report->changes == 0 && !is_second_look && !report->has_suspects))
    return;
  guard = ks_guard_inspect (report->policy, ks_apply_holds_guard (report), state, NULL, NULL);
  snapshot = ks_kernel_dump (kernel, report->situation->config, &error);
  if (snapshot && take_proof (report, snapshot, guard) && (is_refuted (report) || report->has_suspects))
    find_conflicts (report, kernel, snapshot, guard);
  if (snapshot && is_refuted (report))
    set_refuted (report, &error);
  if (report->has_suspects)
    warn_of_conflicts (report);
  ks_report_take_error (report, &error);
}

static gboolean
has_guard (void)
{
  g_auto (KsGuardReadback) guard = { 0 };
  g_autoptr (GError) error = NULL;

  if (!ks_guard_readback (&guard, &error))
    return !g_error_matches (error, KS_ERROR, KS_ERROR_UNSUPPORTED);
  return guard.present;
}

/* After a first pass: inputs that it knew too little of are read again, and its errors occur again. */
static void
forget_first_pass (KsReport *report)
{
  g_clear_pointer (&report->policy, ks_policy_free);
  g_clear_pointer (&report->situation, ks_situation_free);
  g_ptr_array_set_size (report->errors, 0);
}

/*
 * At boot the network waits for this program, but not for ever: when the unit's
 * time is up, the network comes up without us. So this blocks first, with as
 * little knowledge as possible; the full run then adds what is remembered,
 * mostly exemptions. Until this returns, nothing may wait for long:
 *
 *   - Only files in /etc, /run, /usr/lib and /proc are read. If those hang,
 *     NetworkManager cannot read its profiles either. /var, which may hang or
 *     need the network (x-systemd.automount), comes later; a profile that is
 *     armed only because it was before it became unreadable has to wait for it.
 *   - No name is looked up (ks-user.h), and libnm opens no file of its own
 *     (ks-profile-connection.c).
 *   - Random numbers come from getrandom(2) with GRND_NONBLOCK, in libnm and
 *     GnuTLS alike (seen with strace).
 *   - Nothing is logged: the journal may hang.
 *   - Waiting for the lock is limited to 15 s, for each of the kernel's answers
 *     to 5 s.
 *
 * If rules of ours exist, there is no hurry. Errors are dropped here: the full
 * run meets them again and reports them.
 *
 * Returns TRUE if the kernel held nothing of ours before.
 */
static gboolean
block_first (KsReport *report, const KsPaths *paths)
{
  g_autoptr (KsKernel) kernel = NULL;
  g_autoptr (KsSnapshot) snapshot = NULL;
  gboolean found_nothing = FALSE;

  report->situation = ks_situation_read (paths, NULL, KS_READ_NO_NETWORK | KS_READ_NO_STATE | KS_READ_ANEW);
  if (report->situation->armed->len > 0) {
    kernel = ks_kernel_new (NULL);
    snapshot = kernel ? ks_kernel_dump (kernel, report->situation->config, NULL) : NULL;
    if (!snapshot)
      ks_apply_guard_alone (report, paths);
    else if (!ks_owner_has_any_rule (report->situation->config, snapshot->rules)) {
      found_nothing = !has_guard ();
      ks_apply (report, paths, kernel, g_steal_pointer (&snapshot));
    }
  }
  forget_first_pass (report);
  return found_nothing;
}

/* --- unreadable profiles that may or may not have been armed --- */

/* Whether the kernel holds anything that such a profile may have asked for. */
static gboolean
is_anything_held (const KsSituation *situation, KsKernel *kernel, const KsSnapshot *snapshot)
{
  const KsConfig *former = situation->state->numbers;
  g_autoptr (KsSnapshot) old = NULL;

  if (ks_owner_has_any_rule (situation->config, snapshot->rules) || has_guard ())
    return TRUE;
  if (!former || ks_config_has_same_numbers (former, situation->config))
    return FALSE;
  old = ks_kernel_dump (kernel, former, NULL);
  return !old || ks_owner_has_any_rule (former, old->rules);
}

/* Holding what exists makes sense only if it may come from such a profile. */
static void
settle_unclear (KsReport *report, KsKernel *kernel, const KsSnapshot *snapshot, gboolean found_nothing)
{
  KsSituation *situation = report->situation;
  const GPtrArray *unclear = situation->state->unclear;

  if (!situation->is_unclear || situation->is_released)
    return;
  if (found_nothing || !is_anything_held (situation, kernel, snapshot)) {
    ks_situation_forget_unclear (situation);
    return;
  }
  for (guint i = 0; i < unclear->len; i++) {
    g_autofree char *path = ks_error_printable (unclear->pdata[i]);

    g_ptr_array_add (situation->warnings,
                     g_strdup_printf ("cannot tell whether %s was armed: what is blocked stays blocked until the file "
                                      "can be read or is deleted, or until `nm-killswitch release`",
                                      path));
  }
}

/* --- a run --- */

/* Has nm-killswitch-names.path look names up repeatedly. If that fails, it only takes longer. */
static void
update_names_marker (const KsSituation *situation, const KsPaths *paths)
{
  if (ks_situation_awaits_names (situation))
    ks_marker_make (paths, KS_MARKER_NAMES, NULL);
  else
    ks_marker_remove (paths, KS_MARKER_NAMES, NULL);
}

/* Warns of connections that this run has cut off by arming. Comes after blocking, since the list of connections may be
 * long; if it cannot be read, there is no warning. */
static void
warn_cut_off (KsReport *report, const GArray *addresses)
{
  g_autoptr (GArray) connections = ks_connections_read (NULL);

  if (!connections)
    return;
  g_ptr_array_unref (report->cut_off);
  report->cut_off = ks_cut_off_compute (report->policy, addresses, connections);
}

/* Records what the next run has to know. */
static void
save (KsReport *report, const KsPaths *paths)
{
  g_autoptr (GError) error = NULL;

  report->is_saved = ks_situation_save (report->situation, paths, &error);
  ks_report_take_error (report, &error);
}

/* What one look at everything needs. */
typedef struct {
  const KsPaths *paths;
  const KsEvent *event;
  KsReconcileFlags flags;
  const KsAnswers *answers; /* nullable: the addresses that the servers' names have meanwhile been resolved to */
  const GError *lock_error; /* nullable: why there is no lock */
  KsUnchanged *unchanged; /* nullable: to be written if there was nothing to do */
  gboolean is_second;
} Look;

static KsReadFlags
read_flags (KsReconcileFlags flags)
{
  return (flags & KS_RECONCILE_BOOT ? KS_READ_NO_NETWORK : KS_READ_DEFAULT)
         | (flags & KS_RECONCILE_RELEASE ? KS_READ_RELEASED : KS_READ_DEFAULT)
         | (flags & KS_RECONCILE_RESUME ? KS_READ_RESUMED : KS_READ_DEFAULT)
         | (flags & (KS_RECONCILE_ANEW | KS_RECONCILE_BOOT) ? KS_READ_ANEW : KS_READ_DEFAULT);
}

/*
 * `release` must get a person back online even if /var hangs, so it first
 * removes everything that /etc, /run and the kernel tell of. The full run then
 * adds what needs the state: numbers of an earlier configuration, and the record
 * for the next run.
 *
 * Without a marker, only the record keeps other runs from arming again. If there
 * is no lock either, another run could arm before the record is written: then
 * nothing is done here.
 */
static void
release_first (KsReport *report, const Look *look)
{
  g_autoptr (KsKernel) kernel = NULL;
  g_autoptr (KsSnapshot) snapshot = NULL;

  report->situation = ks_situation_read (look->paths, NULL, KS_READ_NO_STATE | KS_READ_RELEASED);
  if (!look->lock_error || !report->situation->state->released) {
    kernel = ks_kernel_new (NULL);
    snapshot = kernel ? ks_kernel_dump (kernel, report->situation->config, NULL) : NULL;
    if (snapshot)
      ks_apply (report, look->paths, kernel, g_steal_pointer (&snapshot));
  }
  forget_first_pass (report);
}

/* @found_nothing: block_first() found nothing of ours, so all there is comes from it. */
static void
reconcile_once (KsReport *report, const Look *look, gboolean found_nothing)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KsKernel) kernel = NULL;
  g_autoptr (GArray) addresses = NULL;
  KsSnapshot *snapshot;
  gboolean is_new, is_applied;

  report->situation = ks_situation_read (look->paths, look->event, read_flags (look->flags));
  if (look->answers)
    ks_situation_take_answers (report->situation, look->answers);
  ks_report_take_errors (report, report->situation->errors);
  /* a run started by our own changes (nm-killswitch-heal.service) must not arm again */
  if (report->situation->state->released && !ks_situation_save (report->situation, look->paths, &error))
    g_clear_error (&error); /* tried again at the end */
  kernel = ks_kernel_new (&error);
  if (kernel)
    ks_former_settle (report->situation, kernel);
  snapshot = kernel ? ks_kernel_dump (kernel, report->situation->config, &error) : NULL;
  if (!snapshot) {
    ks_report_take_error (report, &error);
    ks_apply_guard_alone (report, look->paths);
    report->is_unfinished = report->is_incomplete = TRUE;
    if (!report->adds_only)
      ks_summary_update (look->paths, report);
    return;
  }
  if (look->unchanged)
    ks_unchanged_take_snapshot (look->unchanged, snapshot);
  settle_unclear (report, kernel, snapshot, found_nothing);
  ks_situation_find_tunnels (report->situation, kernel, snapshot, look->event);
  is_new = !ks_owner_has_any_rule (report->situation->config, snapshot->rules);
  report->has_suspects = ks_conflict_is_possible (report->situation->config, snapshot->rules, snapshot->routes);
  addresses = g_array_ref (snapshot->addresses);
  is_applied = ks_apply (report, look->paths, kernel, snapshot);
  ks_report_take_errors (report, report->situation->errors); /* those of finding devices */
  if (report->situation->appeared)
    report->repairs = 0; /* rules and routes of a section's new device did not exist before */
  ks_flows_end (report->policy); /* now that the ordinary way, which they go on by, is blocked */
  if (is_new && report->policy->armed)
    warn_cut_off (report, addresses);
  if (!report->adds_only)
    ks_former_replace (report, look->paths, kernel, is_applied);
  prove (report, look->paths, kernel, look->is_second);
  report->is_unfinished = !is_applied || report->is_guard_refused;
  report->is_incomplete = report->is_unfinished || is_refuted (report);
  if (report->adds_only)
    return;
  save (report, look->paths);
  update_names_marker (report->situation, look->paths);
  ks_summary_update (look->paths, report);
  if (look->unchanged)
    ks_unchanged_write (look->unchanged, report);
}

static gboolean
check_privileges (KsReport *report)
{
  g_autoptr (GError) error = NULL;

  if (geteuid () == 0)
    return TRUE;
  g_set_error (&error, KS_ERROR, KS_ERROR_PERMISSION, "this needs root: run the command with sudo");
  ks_report_take_error (report, &error);
  return FALSE;
}

static KsReport *
take_look (const Look *look)
{
  KsReport *report = ks_report_new ();
  gboolean found_nothing = FALSE;

  report->adds_only = look->lock_error && !(look->flags & KS_RECONCILE_RELEASE);
  if ((look->flags & KS_RECONCILE_BOOT) && !look->is_second)
    found_nothing = block_first (report, look->paths);
  if ((look->flags & KS_RECONCILE_RELEASE) && !look->is_second)
    release_first (report, look);
  if (look->lock_error)
    g_ptr_array_add (report->errors, g_error_copy (look->lock_error));
  reconcile_once (report, look, found_nothing);
  return report;
}

/*
 * One run under the lock. Without the lock (another run is stuck, or the file
 * system does not support locks) another run may be in progress that knows
 * better: nothing is deleted and nothing remembered. `release` goes ahead
 * anyway.
 *
 * A proof taken between a change by NetworkManager or another program and our
 * reaction to it says nothing: it is an error only if a second look has the same
 * result.
 */
static KsReport *
run (const KsPaths *paths, const KsEvent *event, KsReconcileFlags flags, const KsAnswers *answers)
{
  g_autoptr (GError) error = NULL;
  int lock = ks_lock_take (paths, LOCK_TIMEOUT_MS, &error);
  Look look = { .paths = paths, .event = event, .flags = flags, .answers = answers, .lock_error = error };
  g_autoptr (KsUnchanged) unchanged = NULL;
  KsReport *report;

  if (error && !(flags & KS_RECONCILE_RELEASE))
    g_prefix_error (&error, "only added what was missing, and removed nothing: ");
  if ((flags & KS_RECONCILE_GLANCE) && !error && !answers) {
    look.unchanged = unchanged = ks_unchanged_new (paths);
    if (ks_unchanged_holds (unchanged)) {
      ks_lock_release (lock);
      report = ks_report_new ();
      report->is_unchanged = TRUE;
      return report;
    }
  }
  report = take_look (&look);
  if (is_refuted (report)) {
    look.is_second = TRUE;
    look.unchanged = NULL;
    report = ks_report_join (report, take_look (&look));
  }
  ks_lock_release (lock);
  return report;
}

/*
 * The servers' names are looked up without holding the lock: an answer may take
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
  if ((flags & (KS_RECONCILE_BOOT | KS_RECONCILE_QUICK)) || report->is_unchanged)
    return g_steal_pointer (&report);

  hosts = ks_situation_hosts (report->situation);
  answers = ks_answers_new ();
  if (!ks_resolve_hosts (hosts, ks_alias_ask, RESOLVE_TIMEOUT_MS, answers)
      || !ks_situation_take_answers (report->situation, answers))
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
  if (kernel)
    ks_former_settle (report->situation, kernel);
  held = kernel ? ks_kernel_dump (kernel, report->situation->config, &error) : NULL;
  ks_report_take_error (report, &error);
  if (!held)
    return report;
  settle_unclear (report, kernel, held, FALSE);
  ks_situation_find_tunnels (report->situation, kernel, held, NULL);
  ks_report_take_errors (report, report->situation->errors);
  report->policy = ks_situation_policy (report->situation, held);
  report->guard = ks_guard_inspect (report->policy, ks_apply_holds_guard (report), state, &report->counters, &error);
  ks_report_take_error (report, &error);
  if (report->guard == KS_GUARD_UNSUPPORTED) { /* then a run leaves out whatever relies on it */
    report->situation->no_guard = TRUE;
    ks_policy_free (report->policy);
    report->policy = ks_situation_policy (report->situation, held);
  }
  find_conflicts (report, kernel, held, report->guard);
  g_ptr_array_unref (report->unprotected);
  report->unprotected = ks_unprotected_read (kernel, report->policy, held->routes);
  *snapshot = g_steal_pointer (&held);
  return report;
}

gboolean
ks_reconcile_prove (KsReport *report, const KsSnapshot *snapshot)
{
  return take_proof (report, snapshot, report->guard);
}
