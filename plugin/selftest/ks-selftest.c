/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "selftest/ks-selftest.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "base/ks-error.h"
#include "selftest/ks-selftest-play.h"
#include "selftest/ks-selftest-process.h"
#include "selftest/ks-selftest-record.h"

#define TIMEOUT_MS 60000

/*
 * The child reports through a pipe, one line for each outcome, with its escaped
 * parts separated by tabs: "RESULT", "NAME", "TEXT". An error is a line of its
 * own: "error", "CODE", "MESSAGE".
 */

/* --- the child --- */

typedef struct {
  const KsSelftestOptions *options;
  int pipe;
} Child;

static void
add_line (GString *out, const char *first, const char *second, const char *third)
{
  g_autofree char *name = g_strescape (second, NULL);
  g_autofree char *text = g_strescape (third, NULL);

  g_string_append_printf (out, "%s\t%s\t%s\n", first, name, text);
}

static gboolean
write_all (int fd, const char *bytes, gsize length)
{
  while (length > 0) {
    gssize written = write (fd, bytes, length);

    if (written < 0 && errno != EINTR)
      return FALSE;
    if (written > 0) {
      bytes += written;
      length -= (gsize) written;
    }
  }
  return TRUE;
}

static int
run_child (gpointer user_data)
{
  const Child *child = user_data;
  g_autoptr (GError) error = NULL;
  g_autoptr (GPtrArray) outcomes = ks_selftest_play (child->options, &error);
  g_autoptr (GString) out = g_string_new (NULL);

  for (guint i = 0; outcomes && i < outcomes->len; i++) {
    const KsSelftestOutcome *outcome = outcomes->pdata[i];
    char result[] = { (char) ('0' + outcome->result), '\0' };

    add_line (out, result, outcome->name, outcome->text);
  }
  if (error) {
    char code[] = { (char) ('0' + error->code), '\0' };

    add_line (out, "error", code, error->message);
  }
  return write_all (child->pipe, out->str, out->len) ? 0 : 1;
}

/* --- the parent --- */

/* Reads until the child has closed the pipe. FALSE if that takes too long. */
static gboolean
read_all (int fd, GString *out)
{
  gint64 deadline = g_get_monotonic_time () / 1000 + TIMEOUT_MS;
  struct pollfd waiting = { .fd = fd, .events = POLLIN };
  char bytes[4096];

  for (;;) {
    gint64 left = deadline - g_get_monotonic_time () / 1000;
    gssize length;

    if (left <= 0)
      return FALSE;
    if (poll (&waiting, 1, (int) left) <= 0)
      continue;
    length = read (fd, bytes, sizeof bytes);
    if (length > 0)
      g_string_append_len (out, bytes, length);
    else if (length == 0 || errno != EINTR)
      return TRUE;
  }
}

static void
take_outcome (KsSelftestReport *report, KsSelftestResult result, const char *name, const char *text)
{
  report->passed += result == KS_SELFTEST_PASSED;
  report->failed += result == KS_SELFTEST_FAILED;
  report->skipped += result == KS_SELFTEST_SKIPPED;
  g_ptr_array_add (report->outcomes, ks_selftest_outcome_new (result, name, g_strdup (text)));
}

static gboolean
parse_line (KsSelftestReport *report, const char *line, GError **error)
{
  g_auto (GStrv) parts = g_strsplit (line, "\t", 3);
  g_autofree char *second = NULL;
  g_autofree char *third = NULL;

  if (g_strv_length (parts) != 3) {
    g_set_error (error, KS_ERROR, KS_ERROR_IO, "the self-test's child process wrote nonsense");
    return FALSE;
  }
  second = g_strcompress (parts[1]);
  third = g_strcompress (parts[2]);
  if (strcmp (parts[0], "error") == 0) {
    g_set_error (error, KS_ERROR, second[0] - '0', "%s", third);
    return FALSE;
  }
  take_outcome (report, parts[0][0] - '0', second, third);
  return TRUE;
}

static gboolean
parse (KsSelftestReport *report, const char *text, GError **error)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);

  for (char **line = lines; *line; line++)
    if (**line && !parse_line (report, *line, error))
      return FALSE;
  return TRUE;
}

static KsSelftestReport *
report_new (void)
{
  KsSelftestReport *report = g_new0 (KsSelftestReport, 1);
  struct utsname kernel;

  report->outcomes = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_selftest_outcome_free);
  report->kernel = g_strdup (uname (&kernel) == 0 ? kernel.release : "?");
  return report;
}

void
ks_selftest_report_free (KsSelftestReport *self)
{
  g_ptr_array_unref (self->outcomes);
  g_free (self->kernel);
  g_free (self);
}

/* Waits for the child, and kills it if it takes too long. */
static gboolean
follow (pid_t pid, int fd, GString *out, GError **error)
{
  gboolean is_over = read_all (fd, out);
  int status;

  if (!is_over)
    kill (pid, SIGKILL);
  status = ks_selftest_process_wait (pid);
  if (!is_over)
    g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "the self-test took longer than %d seconds", TIMEOUT_MS / 1000);
  else if (status != 0)
    g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "the self-test's child process broke down");
  return is_over && status == 0;
}

KsSelftestReport *
ks_selftest_run (const KsSelftestOptions *options, GError **error)
{
  g_autoptr (KsSelftestReport) report = report_new ();
  g_autoptr (GString) out = g_string_new (NULL);
  Child child = { .options = options };
  int ends[2];
  gboolean is_done = FALSE;
  pid_t pid;

  if (pipe2 (ends, O_CLOEXEC) < 0) {
    g_set_error (error, KS_ERROR, KS_ERROR_IO, "cannot make a pipe: %s", g_strerror (errno));
    return NULL;
  }
  child.pipe = ends[1];
  pid = ks_selftest_process_start (run_child, &child);
  if (pid < 0)
    g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "cannot start a process: %s", g_strerror (errno));
  close (ends[1]);
  if (pid >= 0)
    is_done = follow (pid, ends[0], out, error) && parse (report, out->str, error);
  close (ends[0]);
  return is_done ? g_steal_pointer (&report) : NULL;
}

gboolean
ks_selftest_is_good (const KsSelftestReport *self)
{
  return self->failed == 0 && self->passed > 0 && (self->skipped == 0 || geteuid () != 0);
}

char *
ks_selftest_format (const KsSelftestReport *self)
{
  static const char *const words[] = { "ok     ", "FAILED ", "SKIPPED" };
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < self->outcomes->len; i++) {
    const KsSelftestOutcome *outcome = self->outcomes->pdata[i];

    g_string_append_printf (out, "%s %s: %s\n", words[outcome->result], outcome->name, outcome->text);
  }
  g_string_append_printf (out, "selftest: %u passed, %u failed, %u skipped, on Linux %s\n", self->passed, self->failed,
                          self->skipped, self->kernel);
  return g_string_free (out, FALSE);
}
