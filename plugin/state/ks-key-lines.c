/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/ks-key-lines.h"

#include <string.h>

#include "base/ks-error.h"

#define SEPARATOR ';'

static void
group_free (gpointer data)
{
  KsKeyGroup *self = data;

  g_free (self->name);
  g_array_unref (self->lines);
  g_free (self);
}

void
ks_key_lines_free (KsKeyLines *self)
{
  g_ptr_array_unref (self->groups);
  g_free (self->text);
  g_free (self);
}

/* --- reading --- */

static KsKeyGroup *
add_group (KsKeyLines *self, const char *name, gsize length)
{
  KsKeyGroup *group = g_new0 (KsKeyGroup, 1);

  group->name = g_strndup (name, length);
  group->lines = g_array_new (FALSE, FALSE, sizeof (KsKeyLine));
  g_ptr_array_add (self->groups, group);
  return group;
}

/* Parses one line, ended by a NUL, into *@group or into a new group. */
static gboolean
take_line (KsKeyLines *self, char *line, KsKeyGroup **group)
{
  gsize length = strlen (line);
  KsKeyLine entry;
  char *equals;

  if (length == 0 || *line == '#')
    return TRUE;
  if (*line == '[') {
    if (length < 3 || line[length - 1] != ']' || memchr (line, ']', length) != line + length - 1
        || !g_utf8_validate (line, (gssize) length, NULL))
      return FALSE;
    *group = add_group (self, line + 1, length - 2);
    return TRUE;
  }
  equals = strchr (line, '=');
  if (!*group || !equals || equals == line)
    return FALSE;
  *equals = '\0';
  entry = (KsKeyLine){ .key = line, .value = equals + 1 };
  g_array_append_val ((*group)->lines, entry);
  return TRUE;
}

KsKeyLines *
ks_key_lines_parse (char *text, gsize length, GError **error)
{
  g_autoptr (KsKeyLines) self = g_new0 (KsKeyLines, 1);
  KsKeyGroup *group = NULL;
  char *line = text;

  self->text = text;
  self->groups = g_ptr_array_new_with_free_func (group_free);
  if (memchr (text, '\0', length)) {
    g_set_error_literal (error, KS_ERROR, KS_ERROR_INVALID, "not a text file");
    return NULL;
  }
  for (guint number = 1; line < text + length; number++) {
    char *end = strchr (line, '\n');

    if (end)
      *end = '\0';
    if (!take_line (self, line, &group)) {
      g_set_error (error, KS_ERROR, KS_ERROR_INVALID, "line %u is neither a group nor a key with a value", number);
      return NULL;
    }
    line = end ? end + 1 : text + length;
  }
  return g_steal_pointer (&self);
}

const KsKeyGroup *
ks_key_lines_find (const KsKeyLines *self, const char *name)
{
  for (guint i = 0; i < self->groups->len; i++)
    if (strcmp (((const KsKeyGroup *) self->groups->pdata[i])->name, name) == 0)
      return self->groups->pdata[i];
  return NULL;
}

/* The value of @key; of several, the last one counts. */
static const char *
find_value (const KsKeyGroup *self, const char *key)
{
  for (guint i = self ? self->lines->len : 0; i-- > 0;) {
    const KsKeyLine *line = &g_array_index (self->lines, KsKeyLine, i);

    if (strcmp (line->key, key) == 0)
      return line->value;
  }
  return NULL;
}

gboolean
ks_key_group_has (const KsKeyGroup *self, const char *key)
{
  return find_value (self, key) != NULL;
}

/*
 * Undoes the escapes of *@value up to its end or, in a list, up to the end of
 * the element, and moves *@value there (transfer full). NULL for an unknown
 * escape, or text that is not UTF-8.
 */
static char *
unescape (const char **value, gboolean is_list)
{
  g_autofree char *out = g_malloc (strlen (*value) + 1);
  const char *from = *value;
  char *to = out;

  for (; *from && !(is_list && *from == SEPARATOR); from++) {
    if (*from != '\\') {
      *to++ = *from;
      continue;
    }
    switch (*++from) {
    case 's':
      *to++ = ' ';
      break;
    case 'n':
      *to++ = '\n';
      break;
    case 't':
      *to++ = '\t';
      break;
    case 'r':
      *to++ = '\r';
      break;
    case '\\':
      *to++ = '\\';
      break;
    case SEPARATOR:
      if (is_list) {
        *to++ = SEPARATOR;
        break;
      }
      return NULL;
    default:
      return NULL;
    }
  }
  *to = '\0';
  *value = from;
  return g_utf8_validate (out, to - out, NULL) ? g_steal_pointer (&out) : NULL;
}

char *
ks_key_group_string (const KsKeyGroup *self, const char *key)
{
  const char *value = find_value (self, key);

  return value ? unescape (&value, FALSE) : NULL;
}

char **
ks_key_group_list (const KsKeyGroup *self, const char *key)
{
  g_autoptr (GPtrArray) parts = g_ptr_array_new_with_free_func (g_free);
  const char *value = find_value (self, key);

  while (value && *value) {
    char *part = unescape (&value, TRUE);

    if (!part)
      return g_new0 (char *, 1);
    g_ptr_array_add (parts, part);
    if (*value == SEPARATOR)
      value++;
  }
  g_ptr_array_add (parts, NULL);
  g_ptr_array_set_free_func (parts, NULL);
  return (char **) g_ptr_array_free (g_steal_pointer (&parts), FALSE);
}

guint32
ks_key_group_number (const KsKeyGroup *self, const char *key, guint32 max)
{
  const char *value = find_value (self, key);
  guint64 number;

  return value && g_ascii_string_to_unsigned (value, 10, 0, max, &number, NULL) ? (guint32) number : 0;
}

gboolean
ks_key_group_boolean (const KsKeyGroup *self, const char *key)
{
  return g_strcmp0 (find_value (self, key), "true") == 0;
}

/* --- writing --- */

/* Uses the same escapes as g_key_file_set_string() or, in a list, g_key_file_set_string_list(). */
static void
put_escaped (GString *out, const char *text, gboolean is_list)
{
  gboolean is_leading = TRUE;

  for (; *text; text++) {
    switch (*text) {
    case ' ':
      g_string_append (out, is_leading ? "\\s" : " ");
      continue;
    case '\t':
      g_string_append (out, is_leading ? "\\t" : "\t");
      continue;
    case '\n':
      g_string_append (out, "\\n");
      break;
    case '\r':
      g_string_append (out, "\\r");
      break;
    case '\\':
      g_string_append (out, "\\\\");
      break;
    case SEPARATOR:
      g_string_append (out, is_list ? "\\;" : ";");
      break;
    default:
      g_string_append_c (out, *text);
    }
    is_leading = FALSE;
  }
}

void
ks_key_put_group (GString *out, const char *name)
{
  if (out->len > 0)
    g_string_append_c (out, '\n');
  g_string_append_c (out, '[');
  g_string_append (out, name);
  g_string_append (out, "]\n");
}

static void
put_key (GString *out, const char *key)
{
  g_string_append (out, key);
  g_string_append_c (out, '=');
}

void
ks_key_put_string (GString *out, const char *key, const char *value)
{
  put_key (out, key);
  put_escaped (out, value, FALSE);
  ks_key_put_end (out);
}

void
ks_key_put_number (GString *out, const char *key, guint32 value)
{
  char text[16];

  g_snprintf (text, sizeof text, "%u", value);
  ks_key_put_string (out, key, text);
}

void
ks_key_put_list (GString *out, const char *key)
{
  put_key (out, key);
}

void
ks_key_put_part (GString *out, const char *part)
{
  put_escaped (out, part, TRUE);
  g_string_append_c (out, SEPARATOR);
}

void
ks_key_put_end (GString *out)
{
  g_string_append_c (out, '\n');
}
