/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "report/ks-style.h"

#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/ks-error.h"

#define MIN_COLUMNS 40
#define MAX_COLUMNS 120

static const char reset[] = "\033[0m";

KsStyle
ks_style_of_stdout (void)
{
  const char *no_colour = g_getenv ("NO_COLOR"), *term = g_getenv ("TERM");
  struct winsize size = { 0 };
  KsStyle self = { 0 };

  if (!isatty (STDOUT_FILENO))
    return self;
  self.has_colour = (!no_colour || !*no_colour) && term && strcmp (term, "dumb") != 0;
  self.columns = 80;
  if (ioctl (STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
    self.columns = CLAMP (size.ws_col, MIN_COLUMNS, MAX_COLUMNS);
  return self;
}

void
ks_style_append (const KsStyle *self, GString *out, KsColour colour, const char *text)
{
  static const char *const codes[] = { "\033[1;32m", "\033[1;33m", "\033[1;31m", "\033[1m" };

  if (self->has_colour)
    g_string_append_printf (out, "%s%s%s", codes[colour], text, reset);
  else
    g_string_append (out, text);
}

/* --- width --- */

/* How many columns @text takes up to @end. Colour codes take none. */
static guint
measure (const char *text, const char *end)
{
  guint columns = 0;

  for (const char *p = text; p < end; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);

    if (c == '\033')
      p = memchr (p, 'm', (gsize) (end - p)) ? memchr (p, 'm', (gsize) (end - p)) : p;
    else if (!g_unichar_iszerowidth (c))
      columns += g_unichar_iswide (c) ? 2 : 1;
  }
  return columns;
}

/* Appends the line from @start to @end, wrapped if it is too long. */
static void
wrap_line (const char *start, const char *end, guint limit, GString *out)
{
  guint indent = (guint) strspn (start, " "), column = 0;
  const char *p = start;

  while (p < end) {
    const char *word = p + MIN ((gsize) (end - p), strspn (p, " "));
    const char *after = memchr (word, ' ', (gsize) (end - word));
    guint width;

    after = after ? after : end;
    width = measure (p, after);
    if (column > indent && column + width > limit) {
      g_string_append_printf (out, "\n%*s", (int) indent + 2, "");
      column = indent + 2;
      p = word;
      width = measure (p, after);
    }
    g_string_append_len (out, p, after - p);
    column += width;
    p = after;
  }
}

void
ks_style_append_cell (GString *out, const char *text, guint columns)
{
  g_autofree char *printable = ks_error_printable (text);
  guint taken = measure (printable, printable + strlen (printable));

  g_string_append_printf (out, "%s%*s ", printable, taken < columns ? (int) (columns - taken) : 0, "");
}

char *
ks_style_wrap (const KsStyle *self, const char *text)
{
  GString *out;

  if (self->columns == 0)
    return g_strdup (text);
  out = g_string_new (NULL);
  while (*text) {
    const char *end = strchr (text, '\n');

    wrap_line (text, end ? end : text + strlen (text), self->columns, out);
    if (!end)
      break;
    g_string_append_c (out, '\n');
    text = end + 1;
  }
  return g_string_free (out, FALSE);
}

/* --- time --- */

char *
ks_style_format_duration (gint64 seconds)
{
  gint64 minutes = seconds / 60, hours = minutes / 60, days = hours / 24;

  if (minutes < 1)
    return g_strdup_printf ("%" G_GINT64_FORMAT " s", MAX (seconds, 0));
  if (hours < 1)
    return g_strdup_printf ("%" G_GINT64_FORMAT " min", minutes);
  if (days < 1)
    return g_strdup_printf ("%" G_GINT64_FORMAT " h %" G_GINT64_FORMAT " min", hours, minutes % 60);
  return g_strdup_printf ("%" G_GINT64_FORMAT " d %" G_GINT64_FORMAT " h", days, hours % 24);
}

char *
ks_style_format_time (gint64 time, gint64 now)
{
  g_autoptr (GDateTime) then = g_date_time_new_from_unix_local (time);
  g_autoptr (GDateTime) present = g_date_time_new_from_unix_local (now);

  if (!then || !present)
    return g_strdup ("?");
  if (g_date_time_get_year (then) == g_date_time_get_year (present)
      && g_date_time_get_day_of_year (then) == g_date_time_get_day_of_year (present))
    return g_date_time_format (then, "%H:%M");
  return g_date_time_format (then, "%Y-%m-%d %H:%M");
}

char *
ks_style_format_timestamp (gint64 time)
{
  g_autoptr (GDateTime) then = g_date_time_new_from_unix_utc (time);

  return then ? g_date_time_format (then, "%Y-%m-%dT%H:%M:%SZ") : g_strdup ("?");
}
