/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each round that repaired something leaves a time stamp in the runtime
 * directory. Many recent stamps mean that another program keeps undoing the
 * repairs: the next repair waits, twice as long each time, so that the two do
 * not chase each other at full speed. The stamps outlive the process, so that a
 * service started again continues with the same delay.
 */
#include "run/ks-heal.h"

#include <fcntl.h>
#include <linux/fib_rules.h>
#include <string.h>
#include <unistd.h>

#include "base/ks-lock.h"
#include "input/ks-config-read.h"
#include "kernel/ks-monitor-filter.h"
#include "kernel/ks-monitor.h"
#include "run/ks-effort.h"

#define HISTORY_NAME "healed"
#define INTEREST_NAME "interest" /* the filters, or "all" without one; an older version's may still be attached */
#define NUDGE_NAME "nudge" /* the FIFO of nm-killswitch-heal.socket */
#define WINDOW_SECONDS 30 /* repairs older than this are forgotten */
#define PATIENCE 5 /* this many repairs within the window cause no delay */
#define FIRST_WAIT_MS 200
#define MAX_WAIT_MS 5000
#define MAX_HISTORY 16 /* more would not lengthen the delay */
/*
 * No further round begins after this. The last one may wait 5 seconds and then
 * take 20, most of them for the lock; nm-killswitch-heal.service is stopped
 * after 60.
 */
#define BUDGET_SECONDS 20
#define LOCK_TIMEOUT_MS 5000
/* After a run in which something failed: nobody will announce that it would succeed by now. */
#define MAX_RETRIES 3
#define RETRY_MS 1000
/* How often it checks for urgent notifications while it waits. */
#define GLANCE_MS 20
/* The longest that an urgent notification waits after a round that had nothing to repair. */
#define MAX_BREATH_MS 200

/* Keeps only entries within the window up to @now, and of those the latest. */
static void
forget_old (GArray *history, gint64 now)
{
  for (guint i = history->len; i-- > 0;) {
    gint64 time = g_array_index (history, gint64, i);

    /* an entry from before a reboot may be in the future */
    if (time > now || now - time >= WINDOW_SECONDS * G_USEC_PER_SEC)
      g_array_remove_index (history, i);
  }
  if (history->len > MAX_HISTORY)
    g_array_remove_range (history, 0, history->len - MAX_HISTORY);
}

/* The times of repairs, in microseconds of the monotonic clock, oldest first (of gint64). */
static GArray *
read_history (const char *path)
{
  GArray *history = g_array_new (FALSE, FALSE, sizeof (gint64));
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return history;
  lines = g_strsplit (text, "\n", -1);
  for (char **line = lines; *line; line++) {
    gint64 time;

    if (g_ascii_string_to_signed (*line, 10, 0, G_MAXINT64, &time, NULL))
      g_array_append_val (history, time);
  }
  return history;
}

static void
write_history (const char *path, const GArray *history)
{
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < history->len; i++)
    g_string_append_printf (text, "%" G_GINT64_FORMAT "\n", g_array_index (history, gint64, i));
  /* if that fails (a full /run), there is merely no backing off */
  g_file_set_contents_full (path, text->str, text->len, G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL);
}

static guint
wait_ms (guint repairs)
{
  guint excess = repairs > PATIENCE ? repairs - PATIENCE : 0;

  if (excess == 0)
    return 0;
  return excess > 5 ? MAX_WAIT_MS : MIN (FIRST_WAIT_MS << (excess - 1), MAX_WAIT_MS);
}

static gboolean
is_lost (const KsStep *step, const KsLosses *losses)
{
  if (step->kind == KS_STEP_ADD_RULE) {
    for (guint i = 0; i < losses->rules->len; i++)
      if (ks_rule_equal (&step->rule, &g_array_index (losses->rules, KsRule, i)))
        return TRUE;
    return FALSE;
  }
  for (guint i = 0; i < losses->routes->len; i++)
    if (ks_route_equal (&step->route, &g_array_index (losses->routes, KsRoute, i)))
      return TRUE;
  return FALSE;
}

/*
 * Corrects the report's count of repairs by what was seen to be deleted. A route
 * through a device that is back as before is a repair. A rule or a blackhole
 * that did not exist before is not: the situation has changed and now asks for
 * it (a new tunnel, which NetworkManager announces a moment later). A jump over
 * a foreign rule is a repair. If not everything was seen, whatever should have
 * been there counts as a repair.
 */
static void
correct_repairs (KsReport *report, const KsLosses *losses)
{
  gboolean is_certain = !losses->is_vague && report->repairs > 0;

  for (guint i = 0; i < report->added->len; i++) {
    const KsStep *step = &g_array_index (report->added, KsStep, i);
    gboolean is_jump = step->kind == KS_STEP_ADD_RULE && step->rule.action == FR_ACT_GOTO;

    if (!ks_report_is_lasting (step))
      report->repairs += is_lost (step, losses);
    else if (is_certain && report->repairs > 0 && !is_jump && !is_lost (step, losses))
      report->repairs--;
  }
}

/* --- what wakes it up --- */

/* Which messages can matter in @report's situation; FALSE if that cannot be told. */
static gboolean
find_interest (const KsReport *report, const KsConfig *config, KsInterest *interest)
{
  if (report->errors->len > 0 || !report->situation || !report->policy || report->situation->is_unclear
      || report->adds_only)
    return FALSE;
  *interest = KS_INTEREST_NONE;
  if (config->sections->len > 0 || config->is_unreadable)
    *interest |= KS_INTEREST_DEVICES;
  if (report->policy->armed && config->management_prefixes->len > 0)
    *interest |= KS_INTEREST_ADDRESSES;
  if (report->policy->armed)
    *interest |= KS_INTEREST_OWN | KS_INTEREST_MAIN;
  else if (report->policy->routes->len > 0)
    *interest |= KS_INTEREST_MAIN; /* ks-bypass.h */
  return TRUE;
}

/* @digest: of the filters; NULL for none. */
static void
write_interest (const KsPaths *paths, const char *digest)
{
  g_autofree char *path = ks_paths_runtime (paths, INTEREST_NAME);

  if (!g_file_set_contents_full (path, digest ? digest : "all", -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL))
    unlink (path); /* then every run nudges the unit */
}

/*
 * Has the kernel drop the messages that cannot matter as long as the situation
 * is that of @report. A change of the situation is always noticed: arming adds a
 * rule, disarming deletes one, and what the kernel does not see (sections) is in
 * the configuration, after a change of which ks_heal_nudge() compares. That
 * comparison and the reading of the configuration here each happen under the
 * lock or after it, so one sees the other.
 *
 * Returns that configuration, by which to judge messages from now on (transfer full).
 */
static KsConfig *
choose_filter (const int *sockets, guint count, const KsReport *report, const KsPaths *paths)
{
  int lock = ks_lock_take (paths, LOCK_TIMEOUT_MS, NULL);
  g_autoptr (GPtrArray) errors = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);
  g_autoptr (KsConfig) config = ks_config_read (paths->config, errors);
  g_autofree char *digest = NULL;
  KsInterest interest = KS_INTEREST_NONE;
  gboolean is_filtered;

  is_filtered = lock >= 0 && find_interest (report, config, &interest)
                && ks_monitor_filter_attach (sockets, count, report->situation->config, interest);
  if (is_filtered)
    digest = ks_monitor_filter_digest (report->situation->config, interest);
  write_interest (paths, digest);
  ks_lock_release (lock);
  return g_steal_pointer (&config);
}

void
ks_heal_nudge (const KsPaths *paths, const KsReport *report)
{
  g_autofree char *record = ks_paths_runtime (paths, INTEREST_NAME);
  g_autofree char *before = ks_paths_read_line (record);
  g_autofree char *fifo = ks_paths_runtime (paths, NUDGE_NAME);
  g_autofree char *now = NULL;
  KsInterest interest;
  int fd;

  if (g_strcmp0 (before, "all") == 0)
    return;
  if (report->situation && find_interest (report, report->situation->config, &interest))
    now = ks_monitor_filter_digest (report->situation->config, interest);
  if (before && g_strcmp0 (before, now) == 0)
    return;
  /* nobody listens (no systemd, or the unit is stopped): then there is no filter either */
  fd = open (fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0)
    return;
  if (write (fd, "!", 1) < 0)
    g_debug ("nm-killswitch: the FIFO is full, so it will be read soon");
  close (fd);
}

/* Records a repair now. */
static void
add_repair (GArray *history, const char *path)
{
  gint64 now = g_get_monotonic_time ();

  g_array_append_val (history, now);
  forget_old (history, now);
  write_history (path, history);
}

/* Waits as long as recent repairs call for; returns whether it waited. */
static gboolean
back_off (GArray *history)
{
  guint ms;

  forget_old (history, g_get_monotonic_time ());
  ms = wait_ms (history->len);
  if (ms > 0)
    g_usleep (ms * 1000);
  return ms > 0;
}

typedef struct {
  const int *sockets;
  guint count;
  const KsConfig *config; /* as it was when the filters were chosen */
  KsLosses *losses;
  KsEffort *effort;
} Watch;

/*
 * Messages that are read are gone. So if they ask for a run, and this process is
 * killed before that (back_off() may wait for 5 s), the missing filter asks the
 * next process for it.
 */
static KsNotice
look (Watch *watch)
{
  KsNotice notice = ks_monitor_drain (watch->sockets, watch->count, watch->config, watch->losses);

  if (notice >= KS_NOTICE_RELEVANT)
    ks_monitor_filter_detach (watch->sockets, watch->count);
  return notice;
}

/*
 * Waits until the debt is paid off, or something urgent comes. Messages that are
 * read meanwhile are gone: returns the most important of them and @notice.
 */
static KsNotice
rest (Watch *watch, KsNotice notice, gint64 end)
{
  while (notice < KS_NOTICE_URGENT && g_get_monotonic_time () < end && ks_effort_is_exceeded (watch->effort)) {
    KsNotice next;

    g_usleep (GLANCE_MS * 1000);
    next = look (watch);
    notice = MAX (notice, next);
  }
  return notice;
}

gboolean
ks_heal (const KsPaths *paths, const int *sockets, guint count, KsHealFunc func, gpointer user_data)
{
  gint64 end = g_get_monotonic_time () + BUDGET_SECONDS * G_USEC_PER_SEC;
  g_autoptr (GPtrArray) errors = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);
  g_autoptr (KsConfig) config = ks_config_read (paths->config, errors);
  g_autofree char *path = ks_paths_runtime (paths, HISTORY_NAME);
  g_autoptr (GArray) history = read_history (path);
  g_autoptr (KsLosses) losses = ks_losses_new ();
  g_autoptr (KsEffort) effort = ks_effort_new (paths);
  Watch watch = { .sockets = sockets, .count = count, .config = config, .losses = losses, .effort = effort };
  gboolean is_asked = count == 0 || !ks_monitor_filter_is_attached (sockets, count);
  gboolean ok = TRUE, is_idle = FALSE;
  guint retries = 0;
  gint64 cost = 0;

  while (g_get_monotonic_time () < end) {
    g_autoptr (KsReport) report = NULL;
    KsNotice notice = look (&watch);
    gboolean insists;

    if (!is_asked)
      notice = rest (&watch, notice, end);
    if (notice < KS_NOTICE_RELEVANT && !is_asked)
      break;
    if (is_asked)
      losses->is_vague = TRUE;
    is_asked = FALSE;
    if (is_idle && ks_effort_is_exceeded (effort))
      g_usleep ((gulong) MIN (cost * 10, MAX_BREATH_MS * 1000));
    insists = back_off (history);
    /* from here on every message arrives, so that no change during the run goes unnoticed */
    ks_monitor_filter_detach (sockets, count);
    look (&watch);
    report = ks_reconcile (paths, NULL, KS_RECONCILE_QUICK);
    correct_repairs (report, losses);
    ks_losses_clear (losses);
    if (count > 0) {
      KsConfig *now = choose_filter (sockets, count, report, paths);

      ks_config_free (config);
      watch.config = config = now;
    }
    is_idle = report->repairs == 0;
    if (!is_idle)
      add_repair (history, path);
    ok = report->errors->len == 0;
    func (report, insists, user_data);
    cost = ks_effort_add (effort);
    if (report->is_unfinished && retries < MAX_RETRIES) {
      retries++;
      is_asked = TRUE;
      g_usleep (RETRY_MS * 1000);
    }
  }
  ks_effort_add (effort);
  return ok;
}
