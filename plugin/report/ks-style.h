/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Text for a terminal: colours, lines of limited width, and times.
 */
#pragma once

#include <glib.h>

typedef struct {
  gboolean has_colour;
  guint columns; /* the width that lines are wrapped to; 0 for no wrapping: a program reads the output */
} KsStyle;

/* For standard output. On a terminal: wrapped, with colours unless NO_COLOR is set (no-color.org) or TERM is "dumb". */
KsStyle ks_style_of_stdout (void);

typedef enum {
  KS_COLOUR_GOOD,
  KS_COLOUR_WAIT,
  KS_COLOUR_BAD,
  KS_COLOUR_HEADING,
} KsColour;

/* Appends @text in @colour, or plain. */
void ks_style_append (const KsStyle *self, GString *out, KsColour colour, const char *text);

/* Appends @text, made printable, padded to @columns, and a blank. */
void ks_style_append_cell (GString *out, const char *text, guint columns);

/*
 * @text with long lines wrapped at blanks, and continuation lines indented by two
 * more than the first (transfer full). A word that is too long is not split.
 */
char *ks_style_wrap (const KsStyle *self, const char *text);

/* "5 s", "3 min", "2 h 5 min", "4 d 3 h" (transfer full). */
char *ks_style_format_duration (gint64 seconds);
/* The local time, without the date if it is the same day as @now; both in seconds since 1970 (transfer full). */
char *ks_style_format_time (gint64 time, gint64 now);
/* UTC, in the format of RFC 3339 (transfer full). */
char *ks_style_format_timestamp (gint64 time);
