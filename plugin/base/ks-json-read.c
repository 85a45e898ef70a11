/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/ks-json-read.h"

#include <string.h>

#include "base/ks-error.h"

#define MAX_DEPTH 16

typedef struct {
  const char *text;
  const char *p; /* the next character */
  guint depth;
} Reader;

static GVariant *read_value (Reader *r);

static void
skip_blanks (Reader *r)
{
  r->p += strspn (r->p, " \t\r\n");
}

/* Skips blanks; if @c comes next, reads it and returns TRUE. */
static gboolean
take (Reader *r, char c)
{
  skip_blanks (r);
  if (*r->p != c)
    return FALSE;
  r->p++;
  return TRUE;
}

/* The four hexadecimal digits of an escape; -1 if they are missing. */
static int
read_hex (Reader *r)
{
  int value = 0;

  for (int i = 0; i < 4; i++) {
    int digit = g_ascii_xdigit_value (*r->p);

    if (digit < 0)
      return -1;
    value = value * 16 + digit;
    r->p++;
  }
  return value;
}

/* Parses what follows "\u"; for a character beyond U+FFFF, both surrogates. */
static gboolean
read_unicode (Reader *r, GString *out)
{
  int c = read_hex (r);

  if (c >= 0xd800 && c < 0xdc00) {
    int low = -1;

    if (r->p[0] == '\\' && r->p[1] == 'u') {
      r->p += 2;
      low = read_hex (r);
    }
    if (low < 0xdc00 || low > 0xdfff)
      return FALSE;
    c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
  }
  if (c <= 0 || !g_unichar_validate ((gunichar) c))
    return FALSE;
  g_string_append_unichar (out, (gunichar) c);
  return TRUE;
}

static gboolean
read_escape (Reader *r, GString *out)
{
  static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
  const char *name;

  if (*r->p == 'u') {
    r->p++;
    return read_unicode (r, out);
  }
  name = *r->p ? strchr (names, *r->p) : NULL;
  if (!name)
    return FALSE;
  g_string_append_c (out, values[name - names]);
  r->p++;
  return TRUE;
}

/* NULL for none (transfer full). */
static char *
read_string (Reader *r)
{
  g_autoptr (GString) out = g_string_new (NULL);

  if (!take (r, '"'))
    return NULL;
  while (*r->p != '"') {
    if ((guchar) *r->p < 0x20)
      return NULL; /* including the end of the text */
    if (*r->p != '\\') {
      g_string_append_c (out, *r->p++);
      continue;
    }
    r->p++;
    if (!read_escape (r, out))
      return NULL;
  }
  if (!g_utf8_validate (out->str, (gssize) out->len, NULL))
    return NULL;
  r->p++;
  return g_strdup (out->str);
}

static gboolean
read_member (Reader *r, GVariantDict *members)
{
  g_autofree char *key = read_string (r);
  GVariant *value = key && take (r, ':') ? read_value (r) : NULL;

  if (!value)
    return FALSE;
  if (!g_variant_dict_contains (members, key))
    g_variant_dict_insert_value (members, key, value);
  else
    g_variant_unref (g_variant_ref_sink (value));
  return TRUE;
}

static GVariant *
read_object (Reader *r)
{
  GVariantDict members;

  g_variant_dict_init (&members, NULL);
  if (take (r, '}'))
    return g_variant_dict_end (&members);
  do {
    if (!read_member (r, &members)) {
      g_variant_dict_clear (&members);
      return NULL;
    }
  } while (take (r, ','));
  if (take (r, '}'))
    return g_variant_dict_end (&members);
  g_variant_dict_clear (&members);
  return NULL;
}

static GVariant *
read_array (Reader *r)
{
  GVariantBuilder elements;

  g_variant_builder_init (&elements, G_VARIANT_TYPE ("av"));
  if (take (r, ']'))
    return g_variant_builder_end (&elements);
  do {
    GVariant *value = read_value (r);

    if (!value) {
      g_variant_builder_clear (&elements);
      return NULL;
    }
    g_variant_builder_add (&elements, "v", value);
  } while (take (r, ','));
  if (take (r, ']'))
    return g_variant_builder_end (&elements);
  g_variant_builder_clear (&elements);
  return NULL;
}

static GVariant *
read_number (Reader *r)
{
  gsize length = strspn (r->p, "-0123456789.eE+");
  g_autofree char *digits = g_strndup (r->p, length);
  gboolean is_padded = digits[*digits == '-'] == '0' && digits[(*digits == '-') + 1];
  gint64 value;

  if (is_padded || *digits == '+' || !g_ascii_string_to_signed (digits, 10, G_MININT64, G_MAXINT64, &value, NULL))
    return NULL;
  r->p += length;
  return g_variant_new_int64 (value);
}

static gboolean
take_word (Reader *r, const char *word)
{
  if (!g_str_has_prefix (r->p, word))
    return FALSE;
  r->p += strlen (word);
  return TRUE;
}

static GVariant *
read_text (Reader *r)
{
  g_autofree char *text = read_string (r);

  return text ? g_variant_new_string (text) : NULL;
}

/* A floating value; NULL if there is none. */
static GVariant *
read_value (Reader *r)
{
  GVariant *value = NULL;

  skip_blanks (r);
  if (++r->depth > MAX_DEPTH)
    return NULL;
  if (*r->p == '"')
    value = read_text (r);
  else if (take (r, '{'))
    value = read_object (r);
  else if (take (r, '['))
    value = read_array (r);
  else if (take_word (r, "true"))
    value = g_variant_new_boolean (TRUE);
  else if (take_word (r, "false"))
    value = g_variant_new_boolean (FALSE);
  else if (take_word (r, "null"))
    value = g_variant_new_tuple (NULL, 0);
  else
    value = read_number (r);
  r->depth--;
  return value;
}

GVariant *
ks_json_read (const char *text, GError **error)
{
  Reader r = { .text = text, .p = text };
  g_autoptr (GVariant) value = read_value (&r);

  if (value)
    g_variant_ref_sink (value);
  skip_blanks (&r);
  if (value && !*r.p)
    return g_steal_pointer (&value);
  g_set_error (error, KS_ERROR, KS_ERROR_INVALID, "not JSON as it is written here, at byte %zu",
               (gsize) (r.p - r.text));
  return NULL;
}
