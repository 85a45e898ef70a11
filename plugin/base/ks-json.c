/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/ks-json.h"

/* A string according to RFC 8259: valid UTF-8, with quotes, backslashes and control characters escaped. */
static void
append_quoted (GString *text, const char *value)
{
  g_autofree char *valid = g_utf8_make_valid (value, -1);

  g_string_append_c (text, '"');
  for (const char *p = valid; *p; p++) {
    if (*p == '"' || *p == '\\')
      g_string_append_printf (text, "\\%c", *p);
    else if ((guchar) *p < 0x20)
      g_string_append_printf (text, "\\u%04x", *p);
    else
      g_string_append_c (text, *p);
  }
  g_string_append_c (text, '"');
}

static void
begin (KsJson *self, const char *key)
{
  if (self->needs_comma)
    g_string_append_c (self->text, ',');
  if (key) {
    append_quoted (self->text, key);
    g_string_append_c (self->text, ':');
  }
  self->needs_comma = TRUE;
}

void
ks_json_open (KsJson *self, const char *key, char bracket)
{
  begin (self, key);
  g_string_append_c (self->text, bracket);
  self->needs_comma = FALSE;
}

void
ks_json_close (KsJson *self, char bracket)
{
  g_string_append_c (self->text, bracket);
  self->needs_comma = TRUE;
}

void
ks_json_string (KsJson *self, const char *key, const char *value)
{
  begin (self, key);
  if (value)
    append_quoted (self->text, value);
  else
    g_string_append (self->text, "null");
}

void
ks_json_number (KsJson *self, const char *key, guint64 value)
{
  begin (self, key);
  g_string_append_printf (self->text, "%" G_GUINT64_FORMAT, value);
}

void
ks_json_boolean (KsJson *self, const char *key, gboolean value)
{
  begin (self, key);
  g_string_append (self->text, value ? "true" : "false");
}
