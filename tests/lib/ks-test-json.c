/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test-json.h"

#include <string.h>

static gboolean read_value (const char **p);

static void
skip_space (const char **p)
{
  while (**p && strchr (" \t\r\n", **p))
    (*p)++;
}

static gboolean
read_char (const char **p, char c)
{
  skip_space (p);
  if (**p != c)
    return FALSE;
  (*p)++;
  return TRUE;
}

static gboolean
read_string (const char **p)
{
  if (!read_char (p, '"'))
    return FALSE;
  for (; **p != '"'; (*p)++) {
    if ((guchar) * *p < 0x20)
      return FALSE; /* the end of the text, too */
    if (**p != '\\')
      continue;
    (*p)++;
    if (**p == 'u') {
      for (int i = 1; i <= 4; i++)
        if (!g_ascii_isxdigit ((*p)[i]))
          return FALSE;
      *p += 4;
    } else if (**p == '\0' || !strchr ("\"\\/bfnrt", **p)) {
      return FALSE;
    }
  }
  (*p)++;
  return TRUE;
}

static gboolean
read_number (const char **p)
{
  const char *start = *p;

  if (**p == '0' && g_ascii_isdigit ((*p)[1]))
    return FALSE;
  while (g_ascii_isdigit (**p))
    (*p)++;
  return *p > start;
}

static gboolean
read_members (const char **p, gboolean has_keys, char end)
{
  if (read_char (p, end))
    return TRUE;
  do {
    if (has_keys && (!read_string (p) || !read_char (p, ':')))
      return FALSE;
    if (!read_value (p))
      return FALSE;
  } while (read_char (p, ','));
  return read_char (p, end);
}

static gboolean
read_word (const char **p, const char *word)
{
  if (!g_str_has_prefix (*p, word))
    return FALSE;
  *p += strlen (word);
  return TRUE;
}

static gboolean
read_value (const char **p)
{
  skip_space (p);
  if (read_char (p, '{'))
    return read_members (p, TRUE, '}');
  if (read_char (p, '['))
    return read_members (p, FALSE, ']');
  if (**p == '"')
    return read_string (p);
  if (g_ascii_isdigit (**p))
    return read_number (p);
  return read_word (p, "true") || read_word (p, "false") || read_word (p, "null");
}

gboolean
ks_test_json_is_valid (const char *text)
{
  const char *p = text;

  if (!g_utf8_validate (text, -1, NULL) || !read_value (&p))
    return FALSE;
  skip_space (&p);
  return *p == '\0';
}
