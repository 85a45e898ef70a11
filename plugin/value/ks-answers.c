/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "value/ks-answers.h"

#include "value/ks-prefix.h"

GHashTable *
ks_answers_new (void)
{
  return g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_array_unref);
}

gboolean
ks_answers_add (GHashTable *self, const char *host, const GArray *addresses)
{
  GArray *known = g_hash_table_lookup (self, host);
  GArray *merged;
  gboolean is_news = FALSE;

  for (guint i = 0; i < addresses->len && !is_news; i++)
    is_news = !known || !ks_prefix_array_contains (known, &g_array_index (addresses, KsPrefix, i));
  if (!is_news)
    return FALSE;
  merged = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  for (guint i = 0; i < addresses->len; i++)
    ks_prefix_array_add (merged, &g_array_index (addresses, KsPrefix, i));
  for (guint i = 0; known && i < known->len; i++)
    ks_prefix_array_add (merged, &g_array_index (known, KsPrefix, i));
  if (merged->len > KS_ANSWERS_MAX)
    g_array_set_size (merged, KS_ANSWERS_MAX);
  g_hash_table_insert (self, g_strdup (host), merged);
  return TRUE;
}

gboolean
ks_answers_merge (GHashTable *self, GHashTable *other)
{
  GHashTableIter iter;
  gpointer host, addresses;
  gboolean is_news = FALSE;

  g_hash_table_iter_init (&iter, other);
  while (g_hash_table_iter_next (&iter, &host, &addresses))
    if (ks_answers_add (self, host, addresses))
      is_news = TRUE;
  return is_news;
}
