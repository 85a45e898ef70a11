/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "value/ks-spelling.h"

#include <string.h>

/* Names with fewer letters and digits than this have to have the same ones. */
#define MIN_LENGTH 5

/* The letters and digits of @text, in lower case (transfer full; of gunichar). */
static GArray *
fold (const char *text)
{
  GArray *letters = g_array_new (FALSE, FALSE, sizeof (gunichar));

  for (const char *p = text; *p; p = g_utf8_next_char (p)) {
    gunichar letter = g_unichar_tolower (g_utf8_get_char (p));

    if (g_unichar_isalnum (letter))
      g_array_append_val (letters, letter);
  }
  return letters;
}

static gunichar
letter_at (const GArray *letters, guint index)
{
  return g_array_index (letters, gunichar, index);
}

/* Whether the two are equal but for one letter left out, added or wrong, or two adjacent letters swapped. */
static gboolean
is_one_step (const GArray *a, const GArray *b)
{
  guint shorter = MIN (a->len, b->len);
  guint first = 0, last = 0; /* how many are equal at the beginning, and at the end of the rest */
  guint left_a, left_b;

  while (first < shorter && letter_at (a, first) == letter_at (b, first))
    first++;
  while (last < shorter - first && letter_at (a, a->len - 1 - last) == letter_at (b, b->len - 1 - last))
    last++;
  left_a = a->len - first - last;
  left_b = b->len - first - last;
  if (left_a == 2 && left_b == 2)
    return letter_at (a, first) == letter_at (b, first + 1) && letter_at (a, first + 1) == letter_at (b, first);
  return left_a <= 1 && left_b <= 1;
}

gboolean
ks_spelling_is_close (const char *text, const char *name)
{
  g_autoptr (GArray) typed = NULL, meant = NULL;

  if (strcmp (text, name) == 0 || !g_utf8_validate (text, -1, NULL) || !g_utf8_validate (name, -1, NULL))
    return FALSE;
  typed = fold (text);
  meant = fold (name);
  if (meant->len == 0)
    return FALSE;
  if (typed->len == meant->len && memcmp (typed->data, meant->data, typed->len * sizeof (gunichar)) == 0)
    return TRUE;
  return meant->len >= MIN_LENGTH && is_one_step (typed, meant);
}
