/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "report/ks-log.h"

#include <unistd.h>

static const char *program_name = "nm-killswitch";

void
ks_log_init (const char *program)
{
  program_name = program;
}

/*
 * To the journal when there is one and no person watches; otherwise to standard
 * error (of a dispatcher script, NetworkManager's dispatcher logs it).
 */
static void
send_message (GLogLevelFlags level, const char *id, const char *text, const char *armed, const char *changes)
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

  if (!isatty (STDERR_FILENO) && access ("/run/systemd/journal/socket", W_OK) == 0
      && g_log_writer_journald (level, fields, G_N_ELEMENTS (fields), NULL) == G_LOG_WRITER_HANDLED)
    return;
  if (level == G_LOG_LEVEL_WARNING)
    g_printerr ("%s: %s\n", program_name, text);
}

void
ks_log_error (const GError *error)
{
  send_message (G_LOG_LEVEL_WARNING, KS_MESSAGE_ERROR, error->message, "", "");
}

void
ks_log_report (const KsReport *report, const char *what)
{
  gboolean is_armed = report->policy && report->policy->armed;
  g_autofree char *changes = g_strdup_printf ("%u", report->changes);
  g_autofree char *text = NULL;

  for (guint i = 0; i < report->errors->len; i++)
    ks_log_error (report->errors->pdata[i]);
  if (report->situation)
    for (guint i = 0; i < report->situation->set->warnings->len; i++)
      send_message (G_LOG_LEVEL_WARNING, KS_MESSAGE_ERROR, report->situation->set->warnings->pdata[i], "", "");
  if (report->changes == 0)
    return;
  text = g_strdup_printf ("%s: %s, %s change%s", what, is_armed ? "armed" : "not armed", changes,
                          report->changes == 1 ? "" : "s");
  send_message (G_LOG_LEVEL_INFO, is_armed ? KS_MESSAGE_CHANGED : KS_MESSAGE_RELEASED, text, is_armed ? "1" : "0",
                changes);
}

void
ks_log_healed (const KsReport *report, gboolean insists)
{
  g_autoptr (GString) text = g_string_new ("repaired what somebody else had changed:");
  g_autofree char *changes = g_strdup_printf ("%u", report->changes);

  for (guint i = 0; i < report->errors->len; i++)
    ks_log_error (report->errors->pdata[i]);
  if (report->repairs == 0)
    return; /* a route of the uplink, followed: nothing to say */
  for (guint i = 0; i < report->done->len && i < KS_REPORT_MAX_STEPS; i++)
    g_string_append_printf (text, "%s %s", i ? ";" : "", (const char *) report->done->pdata[i]);
  if (report->done->len > KS_REPORT_MAX_STEPS)
    g_string_append_printf (text, "; and %u more", report->done->len - KS_REPORT_MAX_STEPS);
  if (insists)
    g_string_append (text, "; it keeps happening: the next repairs will wait");
  send_message (G_LOG_LEVEL_WARNING, KS_MESSAGE_HEALED, text->str, "1", changes);
}
