/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/ks-error.h"

/* clang-format off */
G_DEFINE_QUARK (ks-error-quark, ks_error)
/* clang-format on */

char *
ks_error_printable (const char *text)
{
  g_autofree char *valid = g_utf8_make_valid (text, -1);
  GString *out = g_string_new (NULL);

  for (const char *p = valid; *p; p = g_utf8_next_char (p)) {
    gunichar c = g_utf8_get_char (p);

    if (g_unichar_isprint (c))
      g_string_append_unichar (out, c);
    else
      g_string_append_printf (out, "\\u%04x", c);
  }
  return g_string_free (out, FALSE);
}

void
ks_error_add (GPtrArray *errors, const char *format, ...)
{
  va_list arguments;
  g_autofree char *text = NULL;
  g_autofree char *printable = NULL;

  va_start (arguments, format);
  text = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  printable = ks_error_printable (text);
  g_ptr_array_add (errors, g_error_new_literal (KS_ERROR, KS_ERROR_INVALID, printable));
}
