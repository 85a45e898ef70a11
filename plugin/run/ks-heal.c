/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Each round that repaired something leaves a time stamp in the runtime
 * directory. When there are many of late, another program insists: the next
 * repair waits, twice as long each time, so that the two do not chase each
 * other at full speed. The stamps outlive the process, so a service that is
 * started again goes on waiting where it was.
 */
#include "run/ks-heal.h"

#include <string.h>

#include "input/ks-config-read.h"
#include "kernel/ks-monitor.h"

#define HISTORY_NAME "healed"
#define WINDOW_SECONDS 30 /* repairs older than this are forgotten */
#define PATIENCE 5 /* repairs within the window that cost nothing */
#define FIRST_WAIT_MS 200
#define MAX_WAIT_MS 5000
#define MAX_HISTORY 16 /* more would not make the wait longer */
/*
 * No further round begins after this. The last one may wait 5 seconds and then
 * take 20, most of them for the lock; nm-killswitch-heal.service ends after 60.
 */
#define BUDGET_SECONDS 20

/* Leaves what is within the window up to @now, of that the latest. */
static void
forget_old (GArray *history, gint64 now)
{
  for (guint i = history->len; i-- > 0;) {
    gint64 time = g_array_index (history, gint64, i);

    /* one of before a reboot may be in the future */
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
  /* without it (a full /run) there is no backing off, and nothing worse */
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

/* Of the routes by a device, those that went just now and are back as they were. */
static guint
count_restored (const GArray *followed, const GArray *deleted)
{
  guint count = 0;

  for (guint i = 0; i < followed->len; i++) {
    gboolean restored = FALSE;

    for (guint j = 0; j < deleted->len && !restored; j++)
      restored = ks_route_equal (&g_array_index (followed, KsRoute, i), &g_array_index (deleted, KsRoute, j));
    count += restored;
  }
  return count;
}

/* Takes note of a repair now. */
static void
add_repair (GArray *history, const char *path)
{
  gint64 now = g_get_monotonic_time ();

  g_array_append_val (history, now);
  forget_old (history, now);
  write_history (path, history);
}

/* The wait that the repairs of late call for: returns whether there was one. */
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

gboolean
ks_heal (const KsPaths *paths, const int *sockets, guint count, KsHealFunc func, gpointer user_data)
{
  gint64 end = g_get_monotonic_time () + BUDGET_SECONDS * G_USEC_PER_SEC;
  g_autoptr (GPtrArray) errors = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);
  g_autoptr (KsConfig) config = ks_config_read (paths->config, errors);
  g_autofree char *path = ks_paths_runtime (paths, HISTORY_NAME);
  g_autoptr (GArray) history = read_history (path);
  g_autoptr (GArray) deleted = g_array_new (FALSE, FALSE, sizeof (KsRoute));
  gboolean ok = TRUE;

  for (gboolean is_first = TRUE; g_get_monotonic_time () < end; is_first = FALSE) {
    g_autoptr (KsReport) report = NULL;
    gboolean insists;

    if (ks_monitor_drain (sockets, count, config, deleted) != KS_NOTICE_RELEVANT && (count > 0 || !is_first))
      break;
    insists = back_off (history);
    if (insists)
      ks_monitor_drain (sockets, count, config, deleted);
    report = ks_reconcile (paths, NULL, KS_RECONCILE_QUICK);
    report->repairs += count_restored (report->followed, deleted);
    g_array_set_size (deleted, 0);
    if (report->repairs > 0)
      add_repair (history, path);
    ok = report->errors->len == 0;
    func (report, insists, user_data);
  }
  return ok;
}
