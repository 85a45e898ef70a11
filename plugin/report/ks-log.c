/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "report/ks-log.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/ks-error.h"
#include "report/ks-transition.h"
#include "run/ks-summary.h"

static const char *program_name = "nm-killswitch";

static void
print_as_it_is (const char *text)
{
  fputs (text, stderr);
}

/* Without a locale, which this program does not set, g_printerr() would print a question mark for every letter that is
 * not ASCII. Standard output is UTF-8, too. */
void
ks_log_init (const char *program)
{
  program_name = program;
  g_set_printerr_handler (print_as_it_is);
}

typedef struct {
  GLogLevelFlags level; /* G_LOG_LEVEL_WARNING: shown to the user as well */
  const char *id;
  const char *text;
  const KsReport *report; /* nullable: the run that it is about */
  const KsTransition *transition; /* nullable */
} Message;

static void
add_field (GArray *fields, const char *key, const char *value)
{
  const GLogField field = { key, value, -1 };

  if (value)
    g_array_append_val (fields, field);
}

/* A field is repeated for each profile (journald allows that): first all UUIDs, then all interfaces. */
static void
add_profiles (GArray *fields, const GPtrArray *profiles)
{
  for (guint i = 0; i < profiles->len; i++) {
    const KsSummaryProfile *profile = profiles->pdata[i];

    add_field (fields, "KILLSWITCH_PROFILE", profile->uuid ? profile->uuid : profile->id);
  }
  for (guint i = 0; i < profiles->len; i++)
    add_field (fields, "KILLSWITCH_INTERFACE", ((const KsSummaryProfile *) profiles->pdata[i])->tunnel);
}

static const char *
priority_of (const Message *message)
{
  if (message->level == G_LOG_LEVEL_WARNING)
    return "4";
  return message->level == G_LOG_LEVEL_MESSAGE ? "5" : "6";
}

/* Returns whether the journal accepted it. */
static gboolean
send_to_journal (const Message *message)
{
  const KsReport *report = message->report;
  g_autoptr (GArray) fields = g_array_new (FALSE, FALSE, sizeof (GLogField));
  g_autofree char *changes = report ? g_strdup_printf ("%u", report->changes) : NULL;

  if (access ("/run/systemd/journal/socket", W_OK) != 0)
    return FALSE;
  add_field (fields, "MESSAGE", message->text);
  add_field (fields, "PRIORITY", priority_of (message));
  add_field (fields, "MESSAGE_ID", message->id);
  add_field (fields, "SYSLOG_IDENTIFIER", "nm-killswitch");
  add_field (fields, "KILLSWITCH_PROGRAM", program_name);
  if (report && report->policy)
    add_field (fields, "KILLSWITCH_ARMED", report->policy->armed ? "1" : "0");
  add_field (fields, "KILLSWITCH_CHANGES", changes);
  if (report && report->summary)
    add_field (fields, "KILLSWITCH_STATE", report->summary->state);
  if (message->transition)
    add_profiles (fields, message->transition->profiles);
  return g_log_writer_journald (message->level, (const GLogField *) (gpointer) fields->data, fields->len, NULL)
         == G_LOG_WRITER_HANDLED;
}

/*
 * Whether standard error is a journal stream, as in a unit. The same is true for
 * programs run by NetworkManager's dispatcher, but that removes JOURNAL_STREAM
 * from the environment, so the stream itself is examined.
 */
static gboolean
is_stderr_journal (void)
{
  return g_log_writer_is_journald (STDERR_FILENO);
}

/*
 * Sends the message to the journal, if there is one. Warnings also go to
 * standard error, where a person, a script, cron or ssh sees them, unless that
 * is the journal, which has them already. Standard error comes first, since a
 * journal that does not read makes us wait.
 */
static void
send_message (const Message *message)
{
  gboolean is_warning = message->level == G_LOG_LEVEL_WARNING;
  gboolean is_shown = is_warning && !is_stderr_journal ();

  if (is_shown)
    g_printerr ("%s: %s\n", program_name, message->text);
  if (!send_to_journal (message) && is_warning && !is_shown)
    g_printerr ("%s: %s\n", program_name, message->text);
}

static void
log_error_of (const GError *error, const KsReport *report)
{
  const Message message = {
    .level = G_LOG_LEVEL_WARNING, .id = KS_MESSAGE_ERROR, .text = error->message, .report = report
  };

  send_message (&message);
}

void
ks_log_error (const GError *error)
{
  log_error_of (error, NULL);
}

/* Whether @warnings differ from those logged last; remembers them. */
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
  /* if that fails, the next run logs them again */
  g_file_set_contents_full (path, now, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL);
  return TRUE;
}

/* Sends warnings to the journal if they are @news, and to a user who is watching. */
static void
send_warnings (const GPtrArray *warnings, gboolean news, gboolean show)
{
  for (guint i = 0; i < warnings->len; i++) {
    const char *text = warnings->pdata[i];
    const Message message = { .level = G_LOG_LEVEL_WARNING, .id = KS_MESSAGE_WARNING, .text = text };
    gboolean is_logged = news && send_to_journal (&message);

    if ((show && !is_stderr_journal ()) || (news && !is_logged))
      g_printerr ("%s: warning: %s\n", program_name, text);
  }
}

static const char *
id_of (KsTransitionKind kind)
{
  static const char *const ids[] = {
    [KS_TRANSITION_NONE] = KS_MESSAGE_CHANGED,      [KS_TRANSITION_INCOMPLETE] = KS_MESSAGE_INCOMPLETE,
    [KS_TRANSITION_RELEASED] = KS_MESSAGE_RELEASED, [KS_TRANSITION_ARMED] = KS_MESSAGE_ARMED,
    [KS_TRANSITION_DISARMED] = KS_MESSAGE_DISARMED, [KS_TRANSITION_PROTECTED] = KS_MESSAGE_PROTECTED,
    [KS_TRANSITION_BLOCKED] = KS_MESSAGE_BLOCKED,
  };

  return ids[kind];
}

/*
 * One message about what the run has changed, if anything. A change for people
 * without a change in the kernel (a lost status file) is not reported: if that
 * file cannot be written, every run would report it.
 */
static void
log_changes (const KsReport *report, const char *what)
{
  g_auto (KsTransition) transition = { 0 };
  g_autofree char *happened = NULL;
  g_autofree char *text = NULL;
  Message message = { .level = G_LOG_LEVEL_INFO, .report = report, .transition = &transition };

  ks_transition_init (&transition, report->former, report->summary);
  if (report->changes == 0 && (transition.kind == KS_TRANSITION_NONE || !report->former))
    return;
  if (report->summary)
    happened = ks_transition_format (&transition, report->summary);
  else
    happened = g_strdup (report->policy && report->policy->armed ? "armed" : "not armed");
  text = g_strdup_printf ("%s: %s, %u change%s", what, happened, report->changes, report->changes == 1 ? "" : "s");
  message.id = id_of (transition.kind);
  message.text = text;
  if (transition.kind == KS_TRANSITION_BLOCKED || transition.kind == KS_TRANSITION_INCOMPLETE)
    message.level = G_LOG_LEVEL_MESSAGE; /* an error message says what is wrong */
  send_message (&message);
}

void
ks_log_report (const KsReport *report, const KsPaths *paths, const char *what, gboolean show)
{
  for (guint i = 0; i < report->errors->len; i++)
    log_error_of (report->errors->pdata[i], report);
  if (report->situation)
    send_warnings (report->situation->warnings, are_news (report->situation->warnings, paths), show);
  send_warnings (report->cut_off, TRUE, show);
  log_changes (report, what);
}

static gboolean
has_transition (const KsReport *report)
{
  g_auto (KsTransition) transition = { 0 };

  ks_transition_init (&transition, report->former, report->summary);
  return transition.kind != KS_TRANSITION_NONE;
}

void
ks_log_healed (const KsReport *report, gboolean insists)
{
  g_autoptr (GString) text = g_string_new ("repaired what another program had changed:");
  Message message = { .level = G_LOG_LEVEL_WARNING, .id = KS_MESSAGE_HEALED, .report = report };

  for (guint i = 0; i < report->errors->len; i++)
    log_error_of (report->errors->pdata[i], report);
  if (report->situation && report->situation->appeared && report->changes > 0) {
    g_autofree char *name = ks_error_printable (report->situation->appeared);
    g_autofree char *what = g_strdup_printf ("the device of [vpn %s] has appeared", name);

    log_changes (report, what);
  } else if (has_transition (report)) {
    log_changes (report, "the network has changed");
  }
  if (report->repairs == 0)
    return; /* following a route of the uplink is not worth a message */
  for (guint i = 0; i < report->done->len && i < KS_REPORT_MAX_STEPS; i++)
    g_string_append_printf (text, "%s %s", i ? ";" : "", (const char *) report->done->pdata[i]);
  if (report->done->len > KS_REPORT_MAX_STEPS)
    g_string_append_printf (text, "; and %u more", report->done->len - KS_REPORT_MAX_STEPS);
  if (insists)
    g_string_append (text, "; this keeps happening: the delay between repairs grows");
  message.text = text->str;
  send_message (&message);
}
