/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Input: JSON, such as the status file. A value that was read and is written reads the same again. */
#include "fuzz.h"

#include <string.h>

#include "base/ks-error.h"
#include "base/ks-json-read.h"
#include "base/ks-json.h"
#include "state/ks-summary-file.h"

#define MAX_DEPTH 16

static void write_value (KsJson *json, const char *key, GVariant *value, guint depth);

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* By name: a dictionary has no order of its own. */
static void
write_object (KsJson *json, const char *key, GVariant *object, guint depth)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new ();
  GVariantIter iter;
  const char *name;

  g_variant_iter_init (&iter, object);
  while (g_variant_iter_next (&iter, "{&sv}", &name, NULL))
    g_ptr_array_add (names, (gpointer) name);
  g_ptr_array_sort (names, compare_names);
  ks_json_open (json, key, '{');
  for (guint i = 0; i < names->len; i++) {
    g_autoptr (GVariant) member = g_variant_lookup_value (object, names->pdata[i], NULL);

    write_value (json, names->pdata[i], member, depth + 1);
  }
  ks_json_close (json, '}');
}

static void
write_array (KsJson *json, const char *key, GVariant *array, guint depth)
{
  ks_json_open (json, key, '[');
  for (gsize i = 0; i < g_variant_n_children (array); i++) {
    g_autoptr (GVariant) boxed = g_variant_get_child_value (array, i);
    g_autoptr (GVariant) element = g_variant_get_variant (boxed);

    write_value (json, NULL, element, depth + 1);
  }
  ks_json_close (json, ']');
}

/* The writer has no negative numbers: those go as text. */
static void
write_number (KsJson *json, const char *key, gint64 number)
{
  g_autofree char *text = g_strdup_printf ("%" G_GINT64_FORMAT, number);

  if (number < 0)
    ks_json_string (json, key, text);
  else
    ks_json_number (json, key, (guint64) number);
}

static void
write_value (KsJson *json, const char *key, GVariant *value, guint depth)
{
  g_assert (depth < MAX_DEPTH);
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_VARDICT))
    write_object (json, key, value, depth);
  else if (g_variant_is_of_type (value, G_VARIANT_TYPE ("av")))
    write_array (json, key, value, depth);
  else if (g_variant_is_of_type (value, G_VARIANT_TYPE_STRING))
    ks_json_string (json, key, g_variant_get_string (value, NULL));
  else if (g_variant_is_of_type (value, G_VARIANT_TYPE_INT64))
    write_number (json, key, g_variant_get_int64 (value));
  else if (g_variant_is_of_type (value, G_VARIANT_TYPE_BOOLEAN))
    ks_json_boolean (json, key, g_variant_get_boolean (value));
  else {
    g_assert (g_variant_is_of_type (value, G_VARIANT_TYPE_UNIT));
    ks_json_string (json, key, NULL);
  }
}

static char *
format (GVariant *value)
{
  KsJson json = { .text = g_string_new (NULL) };

  write_value (&json, NULL, value, 0);
  return g_string_free (json.text, FALSE);
}

static void
read_as_status (const char *text)
{
  g_autoptr (GError) error = NULL;
  KsSummary *summary = ks_summary_parse (text, &error);
  g_autofree char *again = NULL;
  KsSummary *same;

  g_assert (!summary == !!error);
  if (!summary)
    return;
  again = ks_summary_format (summary);
  same = ks_summary_parse (again, &error);
  g_assert_no_error (error);
  g_assert_cmpstr (same->state, ==, summary->state);
  g_assert (same->profiles->len == summary->profiles->len);
  ks_summary_free (same);
  ks_summary_free (summary);
}

void
fuzz_json_read (const uint8_t *data, size_t size)
{
  g_autofree char *text = g_strndup ((const char *) data, size);
  g_autoptr (GError) error = NULL;
  g_autoptr (GVariant) value = ks_json_read (text, &error), value_again = NULL;
  g_autofree char *once = NULL, *twice = NULL;

  read_as_status (text);
  if (!value) {
    g_assert (g_error_matches (error, KS_ERROR, KS_ERROR_INVALID));
    return;
  }
  once = format (value);
  value_again = ks_json_read (once, &error);
  g_assert_no_error (error);
  twice = format (value_again);
  g_assert_cmpstr (once, ==, twice);
}

KS_FUZZ_ENTRY (fuzz_json_read)
