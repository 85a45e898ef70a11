/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "report/ks-log.h"

#include <string.h>
#include <unistd.h>

#include "base/ks-error.h"

static const char *program_name = "nm-killswitch";

void
ks_log_init (const char *program)
{
  program_name = program;
}

/* Returns whether the journal took it. */
static gboolean
send_to_journal (GLogLevelFlags level, const char *id, const char *text, const char *armed, const char *changes)
{
  const GLogField fields[] = {
    { "MESSAGE", text, -1 },
    { "PRIORITY", level == G_LOG_LEVEL_WARNING ? "4" : "6", -1 },
    { "MESSAGE_ID", id, -1 },
    { "SYSLOG_IDENTIFIER", "nm-killswitch", -1 },
    { "KILLSWITCH_PROGRAM", program_name, -1 },
    { "KILLSWITCH_ARMED", armed, -1 },
    { "KILLSWITCH_CHANGES", changes, -1 },
  };

  return access ("/run/systemd/journal/socket", W_OK) == 0
         && g_log_writer_journald (level, fields, G_N_ELEMENTS (fields), NULL) == G_LOG_WRITER_HANDLED;
}

/*
 * Whether standard error is a stream of the journal, as for a unit. The same
 * for what NetworkManager's dispatcher runs: it takes JOURNAL_STREAM out of the
 * environment, so the stream itself is asked.
 */
static gboolean
is_stderr_journal (void)
{
  return g_log_writer_is_journald (STDERR_FILENO);
}

/*
 * To the journal, if there is one; and warnings to standard error as well, where
 * a person, a script, cron or ssh sees them, unless that is the journal and has
 * the message already. First, since a journal that does not read makes us wait.
 */
static void
send_message (GLogLevelFlags level, const char *id, const char *text, const char *armed, const char *changes)
{
  gboolean is_warning = level == G_LOG_LEVEL_WARNING;
  gboolean is_shown = is_warning && !is_stderr_journal ();

  if (is_shown)
    g_printerr ("%s: %s\n", program_name, text);
  if (!send_to_journal (level, id, text, armed, changes) && is_warning && !is_shown)
    g_printerr ("%s: %s\n", program_name, text);
}

void
ks_log_error (const GError *error)
{
  send_message (G_LOG_LEVEL_WARNING, KS_MESSAGE_ERROR, error->message, "", "");
}

/* Whether @warnings are others than those that were logged last; remembers them. */
static gboolean
are_news (const GPtrArray *warnings, const KsPaths *paths)
{
  g_autofree char *path = ks_paths_runtime (paths, KS_WARNED_NAME);
  g_autofree char *before = ks_paths_read_line (path);
  g_autoptr (GChecksum) checksum = g_checksum_new (G_CHECKSUM_SHA256);
  const char *now = "";

  for (guint i = 0; i < warnings->len; i++)
    g_checksum_update (checksum, warnings->pdata[i], strlen (warnings->pdata[i]) + 1);
  if (warnings->len > 0)
    now = g_checksum_get_string (checksum);
  if (g_strcmp0 (before ? before : "", now) == 0)
    return FALSE;
  /* when that fails, the next run logs them once more */
  g_file_set_contents_full (path, now, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL);
  return TRUE;
}

/* To the journal when they are @news, and to a person who watches. */
static void
send_warnings (const GPtrArray *warnings, gboolean news, gboolean show)
{
  for (guint i = 0; i < warnings->len; i++) {
    const char *text = warnings->pdata[i];
    gboolean is_logged = news && send_to_journal (G_LOG_LEVEL_WARNING, KS_MESSAGE_WARNING, text, "", "");

    if ((show && !is_stderr_journal ()) || (news && !is_logged))
      g_printerr ("%s: warning: %s\n", program_name, text);
  }
}

void
ks_log_report (const KsReport *report, const KsPaths *paths, const char *what, gboolean show)
{
  gboolean is_armed = report->policy && report->policy->armed;
  g_autofree char *changes = g_strdup_printf ("%u", report->changes);
  g_autofree char *text = NULL;

  for (guint i = 0; i < report->errors->len; i++)
    ks_log_error (report->errors->pdata[i]);
  if (report->situation)
    send_warnings (report->situation->warnings, are_news (report->situation->warnings, paths), show);
  send_warnings (report->cut_off, TRUE, show);
  if (report->changes == 0)
    return;
  text = g_strdup_printf ("%s: %s, %s change%s", what, is_armed ? "armed" : "not armed", changes,
                          report->changes == 1 ? "" : "s");
  send_message (G_LOG_LEVEL_INFO, is_armed ? KS_MESSAGE_CHANGED : KS_MESSAGE_RELEASED, text, is_armed ? "1" : "0",
                changes);
}

/* A device of the section @id has come. */
static void
log_appeared (const char *id, const KsReport *report)
{
  g_autofree char *name = ks_error_printable (id);
  g_autofree char *changes = g_strdup_printf ("%u", report->changes);
  g_autofree char *text = g_strdup_printf ("the device of [vpn %s] has appeared: armed, %s change%s", name, changes,
                                           report->changes == 1 ? "" : "s");

  send_message (G_LOG_LEVEL_INFO, KS_MESSAGE_CHANGED, text, "1", changes);
}

void
ks_log_healed (const KsReport *report, gboolean insists)
{
  g_autoptr (GString) text = g_string_new ("repaired what somebody else had changed:");
  g_autofree char *changes = g_strdup_printf ("%u", report->changes);

  for (guint i = 0; i < report->errors->len; i++)
    ks_log_error (report->errors->pdata[i]);
  if (report->situation && report->situation->appeared && report->changes > 0)
    log_appeared (report->situation->appeared, report);
  if (report->repairs == 0)
    return; /* a route of the uplink, followed: nothing to say */
  for (guint i = 0; i < report->done->len && i < KS_REPORT_MAX_STEPS; i++)
    g_string_append_printf (text, "%s %s", i ? ";" : "", (const char *) report->done->pdata[i]);
  if (report->done->len > KS_REPORT_MAX_STEPS)
    g_string_append_printf (text, "; and %u more", report->done->len - KS_REPORT_MAX_STEPS);
  if (insists)
    g_string_append (text, "; this keeps happening: the delay between repairs grows");
  send_message (G_LOG_LEVEL_WARNING, KS_MESSAGE_HEALED, text->str, "1", changes);
}
