/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Desktop notifications. A path unit of the user's own systemd starts this
 * program when the status file changes. It waits until the state has settled,
 * shows a notification if that state is not the one shown last, and ends. A
 * notification with actions keeps it running while it is on the screen, for ten
 * minutes at most.
 *
 * It runs as the user, without privileges, and reads a world-readable file;
 * nothing that blocks depends on it. Without a session or a notification service
 * it ends silently.
 */
#include <gio/gio.h>
#include <stdlib.h>

#include "base/ks-error.h"
#include "base/ks-lock.h"
#include "desktop/ks-notice.h"
#include "desktop/ks-notifications.h"
#include "desktop/ks-request.h"
#include "desktop/ks-told.h"
#include "state/ks-summary-file.h"

/* A run that changes a lot leaves "incomplete" for some 100 ms, and a VPN that roams is back within seconds. */
#define SETTLE_MS 3000
/* A state that never settles is shown as it is after this many times SETTLE_MS. */
#define SETTLE_PATIENCE 5
/* How long the actions of a notification work. */
#define STAY_SECONDS 600
/* After an action was accepted, the state should change within this time. */
#define PATIENCE_SECONDS 60

/* For the user's own choice, below $XDG_CONFIG_HOME: if it exists, nothing is shown. */
#define OFF_NAME "nm-killswitch/no-notifications"

typedef struct {
  GMainLoop *loop;
  KsPaths own; /* runtime: the user's own directory */
  gint settle_ms, stay_s, patience_s;

  KsNotifications *notifications; /* nullable: not needed yet */
  GFileMonitor *monitor;
  KsTold told;
  char *before; /* nullable: the state before that, which the notice on the screen compares with */
  gboolean was_up_before; /* likewise */
  KsNotice *notice; /* nullable: on the screen, with actions */
  char *seen; /* nullable: the state that has to settle */
  guint settle, stay, patience; /* timers */
  gint64 settle_end; /* monotonic */
  gboolean is_asking; /* a request has no answer yet */
} Life;

static void look (Life *self);

static void
clear_timer (guint *timer)
{
  if (*timer != 0)
    g_source_remove (*timer);
  *timer = 0;
}

/* Whether there is something to wait for. */
static gboolean
is_needed (const Life *self)
{
  return self->notice || self->is_asking || self->patience || self->settle;
}

/* --- what is on the screen --- */

static void
forget_notice (Life *self)
{
  clear_timer (&self->stay);
  g_clear_pointer (&self->notice, ks_notice_free);
}

static void
remember (Life *self, const char *state, guint32 id)
{
  g_autofree char *owner = id ? ks_notifications_read_owner (self->notifications) : NULL;

  ks_told_set (&self->told, state, id, owner);
  ks_told_write (&self->told, &self->own);
}

/* The actions no longer work, so they are removed; the text stays. */
static gboolean
on_stayed (gpointer user_data)
{
  Life *self = user_data;
  gboolean has_actions = FALSE;
  guint32 id = ks_notifications_show (self->notifications, self->notice, self->told.id, &has_actions, NULL);

  self->stay = 0;
  remember (self, self->told.state, id);
  forget_notice (self);
  g_main_loop_quit (self->loop);
  return G_SOURCE_REMOVE;
}

/* Shows @notice, which is taken over. FALSE if there is no service to show it. */
static gboolean
show (Life *self, KsNotice *notice, const char *state)
{
  g_autoptr (GError) error = NULL;
  gboolean has_actions = TRUE;
  guint32 id = ks_notifications_show (self->notifications, notice, self->told.id, &has_actions, &error);

  forget_notice (self);
  if (id == 0) {
    g_debug ("no notification is shown: %s", error->message);
    ks_notice_free (notice);
    return FALSE;
  }
  remember (self, state, id);
  self->notice = notice;
  if (has_actions)
    self->stay = g_timeout_add_seconds ((guint) self->stay_s, on_stayed, self);
  else
    forget_notice (self);
  return TRUE;
}

/* --- the user's actions --- */

/* The action failed: shows the notification again, beginning with @reason, which is plain text. */
static void
show_again (Life *self, const char *reason)
{
  g_autoptr (KsSummary) summary = ks_summary_read (&ks_paths_default, NULL);
  KsNotice *notice = NULL;

  if (summary && g_strcmp0 (summary->state, self->told.state) == 0)
    notice = ks_notice_new (self->before, self->was_up_before, summary);
  if (notice) {
    g_autofree char *body = notice->body;

    notice->body = g_strdup_printf ("%s %s", reason, body);
    show (self, notice, summary->state);
  }
  if (!is_needed (self))
    g_main_loop_quit (self->loop);
}

static gboolean
on_impatient (gpointer user_data)
{
  Life *self = user_data;

  self->patience = 0;
  show_again (self, "Nothing has changed yet.");
  return G_SOURCE_REMOVE;
}

static void
on_answer (const GError *error, gpointer user_data)
{
  Life *self = user_data;

  self->is_asking = FALSE;
  if (error) {
    g_autofree char *message = ks_error_printable (error->message);
    /* some services end their messages with a full stop, others do not */
    gboolean is_sentence = g_str_has_suffix (message, ".");
    g_autofree char *reason = g_strdup_printf ("That did not work: %s%s", message, is_sentence ? "" : ".");

    show_again (self, reason);
  } else {
    self->patience = g_timeout_add_seconds ((guint) self->patience_s, on_impatient, self);
  }
}

static void
on_event (const char *key, gpointer user_data)
{
  Life *self = user_data;
  const char *uuid = key ? ks_notice_get_uuid (key) : NULL;

  if (!key) {
    forget_notice (self);
    remember (self, self->told.state, 0);
    if (!is_needed (self))
      g_main_loop_quit (self->loop);
  } else if (!self->is_asking && (uuid || g_str_equal (key, KS_NOTICE_RELEASE))) {
    self->is_asking = TRUE;
    clear_timer (&self->patience);
    if (uuid)
      ks_request_connect (uuid, on_answer, self);
    else
      ks_request_release (on_answer, self);
  }
}

/* --- the state --- */

static gboolean
begin_to_show (Life *self, GError **error)
{
  g_autofree char *owner = NULL;

  self->notifications = ks_notifications_new (on_event, self, error);
  if (!self->notifications)
    return FALSE;
  owner = ks_notifications_read_owner (self->notifications);
  if (g_strcmp0 (owner, self->told.owner) != 0)
    self->told.id = 0; /* another process of the service, where that number may mean another notification */
  return TRUE;
}

/* FALSE if the notification cannot be shown. */
static gboolean
tell (Life *self, const KsSummary *now)
{
  g_autoptr (GError) error = NULL;
  KsNotice *notice = ks_notice_new (self->told.state, self->told.was_up, now);

  g_free (self->before);
  self->before = g_strdup (self->told.state);
  self->was_up_before = self->told.was_up;
  clear_timer (&self->patience);
  if (!notice && self->told.id == 0) {
    forget_notice (self);
    remember (self, now->state, 0);
    return TRUE;
  }
  if (!self->notifications && !begin_to_show (self, &error)) {
    g_debug ("no notification is shown: %s", error->message);
    g_clear_pointer (&notice, ks_notice_free);
    return FALSE;
  }
  if (notice)
    return show (self, notice, now->state);
  forget_notice (self);
  ks_notifications_close (self->notifications, self->told.id); /* what it says is no longer true */
  remember (self, now->state, 0);
  return TRUE;
}

static gboolean
on_settled (gpointer user_data)
{
  Life *self = user_data;
  g_autoptr (KsSummary) now = ks_summary_read (&ks_paths_default, NULL);
  gboolean is_same = now && g_strcmp0 (now->state, self->seen) == 0;

  self->settle = 0;
  if (now && !is_same && g_get_monotonic_time () < self->settle_end) {
    look (self);
    return G_SOURCE_REMOVE;
  }
  self->settle_end = 0;
  if (!now || (g_strcmp0 (now->state, self->told.state) != 0 && !tell (self, now)) || !is_needed (self))
    g_main_loop_quit (self->loop);
  return G_SOURCE_REMOVE;
}

/* A new state has to stay the same for a while before it is shown. */
static void
look (Life *self)
{
  g_autoptr (KsSummary) now = ks_summary_read (&ks_paths_default, NULL);
  gint64 time = g_get_monotonic_time ();

  if (!now || g_strcmp0 (now->state, self->told.state) == 0) {
    clear_timer (&self->settle);
    self->settle_end = 0;
  } else if (!self->settle || g_strcmp0 (now->state, self->seen) != 0) {
    if (!self->settle_end)
      self->settle_end = time + (gint64) self->settle_ms * SETTLE_PATIENCE * 1000;
    if (!self->settle || time < self->settle_end) {
      clear_timer (&self->settle);
      self->settle = g_timeout_add ((guint) self->settle_ms, on_settled, self);
    }
    g_free (self->seen);
    self->seen = g_strdup (now->state);
  }
  if (!is_needed (self))
    g_main_loop_quit (self->loop);
}

static void
on_changed (GFileMonitor *monitor G_GNUC_UNUSED, GFile *file G_GNUC_UNUSED, GFile *other G_GNUC_UNUSED,
            GFileMonitorEvent event G_GNUC_UNUSED, gpointer user_data)
{
  look (user_data);
}

static gboolean
on_begin (gpointer user_data)
{
  look (user_data);
  return G_SOURCE_REMOVE;
}

/* --- the process --- */

/* Whether the user has turned notifications off. */
static gboolean
is_off (void)
{
  const char *config = g_getenv ("XDG_CONFIG_HOME"), *home = g_getenv ("HOME");
  g_autofree char *fallback = g_build_filename (home ? home : "/", ".config", NULL);
  g_autofree char *path = g_build_filename (config && *config ? config : fallback, OFF_NAME, NULL);

  return g_file_test (path, G_FILE_TEST_EXISTS);
}

/* Whether the state differs from the one shown last. */
static gboolean
is_new (const KsTold *told)
{
  g_autoptr (KsSummary) now = ks_summary_read (&ks_paths_default, NULL);

  return now && g_strcmp0 (now->state, told->state) != 0;
}

/* From the first look to the end. TRUE if the state has changed meanwhile: begin again. */
static gboolean
live (Life *self)
{
  g_autofree char *status = ks_paths_runtime (&ks_paths_default, KS_STATUS_NAME);
  g_autoptr (GFile) file = g_file_new_for_path (status);
  int lock = ks_lock_take (&self->own, 0, NULL);
  gboolean was_told;

  if (lock < 0)
    return FALSE; /* the process that holds the lock watches the file, and looks once more after releasing it */
  ks_told_read (&self->told, &self->own);
  self->loop = g_main_loop_new (NULL, FALSE);
  self->monitor = g_file_monitor_file (file, G_FILE_MONITOR_NONE, NULL, NULL);
  if (self->monitor)
    g_signal_connect (self->monitor, "changed", G_CALLBACK (on_changed), self);
  g_idle_add (on_begin, self);
  g_main_loop_run (self->loop);

  g_clear_object (&self->monitor);
  clear_timer (&self->settle);
  clear_timer (&self->patience);
  forget_notice (self);
  was_told = !is_new (&self->told);
  g_clear_pointer (&self->notifications, ks_notifications_free);
  g_clear_pointer (&self->seen, g_free);
  g_clear_pointer (&self->before, g_free);
  g_main_loop_unref (self->loop);
  ks_lock_release (lock);
  return was_told && is_new (&self->told);
}

int
main (int argc, char **argv)
{
  Life life = { .settle_ms = SETTLE_MS, .stay_s = STAY_SECONDS, .patience_s = PATIENCE_SECONDS };
  GOptionEntry options[] = {
    { "settle", 0, 0, G_OPTION_ARG_INT, &life.settle_ms, "How long a state has to last before it is shown", "MS" },
    { "stay", 0, 0, G_OPTION_ARG_INT, &life.stay_s, "How long the actions of a notification work", "SECONDS" },
    { "patience", 0, 0, G_OPTION_ARG_INT, &life.patience_s, "How long an action may take to have an effect",
      "SECONDS" },
    { NULL },
  };
  g_autoptr (GOptionContext) context = g_option_context_new (NULL);
  g_autoptr (GError) error = NULL;
  g_autofree char *directory = NULL;
  const char *runtime;

  g_setenv ("GIO_USE_VFS", "local", TRUE); /* before GIO is used: otherwise it loads modules that use the session bus */
  g_option_context_add_main_entries (context, options, NULL);
  if (!g_option_context_parse (context, &argc, &argv, &error)) {
    g_printerr ("nm-killswitch-notify: %s\n", error->message);
    return 2;
  }
  runtime = g_getenv ("XDG_RUNTIME_DIR");
  if (!runtime || is_off ())
    return EXIT_SUCCESS;
  directory = ks_told_directory (runtime);
  life.own.runtime = directory;
  while (live (&life))
    ;
  ks_told_clear (&life.told);
  return EXIT_SUCCESS;
}
