/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "value/ks-answers.h"

#include "value/ks-prefix.h"

KsAnswers *
ks_answers_new (void)
{
  KsAnswers *self = g_new0 (KsAnswers, 1);

  self->addresses = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_array_unref);
  self->aliases = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_ptr_array_unref);
  return self;
}

void
ks_answers_free (KsAnswers *self)
{
  g_hash_table_unref (self->addresses);
  g_hash_table_unref (self->aliases);
  g_free (self);
}

gboolean
ks_answers_add (KsAnswers *self, const char *host, const GArray *addresses)
{
  GArray *known = g_hash_table_lookup (self->addresses, host);
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
  g_hash_table_insert (self->addresses, g_strdup (host), merged);
  return TRUE;
}

/* Adds behind those known for @host what there is room for. Returns whether there is anything new. */
static gboolean
append (KsAnswers *self, const char *host, const GArray *addresses)
{
  GArray *known = g_hash_table_lookup (self->addresses, host);
  guint before;

  if (!known)
    return ks_answers_add (self, host, addresses);
  before = known->len;
  for (guint i = 0; i < addresses->len && known->len < KS_ANSWERS_MAX; i++)
    ks_prefix_array_add (known, &g_array_index (addresses, KsPrefix, i));
  return known->len > before;
}

static gboolean
has_same_strings (const GPtrArray *a, const GPtrArray *b)
{
  if (a->len != b->len)
    return FALSE;
  for (guint i = 0; i < a->len; i++)
    if (!g_str_equal (a->pdata[i], b->pdata[i]))
      return FALSE;
  return TRUE;
}

gboolean
ks_answers_set_aliases (KsAnswers *self, const char *host, const GPtrArray *aliases)
{
  const GPtrArray *known = g_hash_table_lookup (self->aliases, host);
  g_autoptr (GPtrArray) copy = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < aliases->len && i < KS_ANSWERS_MAX_ALIASES; i++)
    g_ptr_array_add (copy, g_strdup (aliases->pdata[i]));
  if (known ? has_same_strings (known, copy) : copy->len == 0)
    return FALSE;
  if (copy->len == 0)
    g_hash_table_remove (self->aliases, host);
  else
    g_hash_table_insert (self->aliases, g_strdup (host), g_steal_pointer (&copy));
  return TRUE;
}

gboolean
ks_answers_merge (KsAnswers *self, const KsAnswers *other, const GPtrArray *kept)
{
  GHashTableIter iter;
  gpointer host, value;
  gboolean is_news = FALSE;

  g_hash_table_iter_init (&iter, other->addresses);
  while (g_hash_table_iter_next (&iter, &host, &value))
    if (g_ptr_array_find_with_equal_func ((GPtrArray *) kept, host, g_str_equal, NULL)
          ? append (self, host, value)
          : ks_answers_add (self, host, value))
      is_news = TRUE;
  g_hash_table_iter_init (&iter, other->aliases);
  while (g_hash_table_iter_next (&iter, &host, &value))
    if (ks_answers_set_aliases (self, host, value))
      is_news = TRUE;
  return is_news;
}
