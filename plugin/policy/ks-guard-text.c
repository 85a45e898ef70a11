/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nftables syntax for lines, chains, and sets of prefixes. */
#include "policy/ks-guard-builder.h"

#include <stdarg.h>
#include <string.h>

void
ks_guard_add_line (GString *out, const char *format, ...)
{
  va_list arguments;

  va_start (arguments, format);
  g_string_append (out, "    ");
  g_string_append_vprintf (out, format, arguments);
  g_string_append_c (out, '\n');
  va_end (arguments);
}

char *
ks_guard_format_prefix (const KsPrefix *prefix)
{
  KsPrefix network = ks_prefix_network (prefix);
  g_autofree char *address = ks_prefix_format_address (&network);

  if (ks_prefix_is_host (prefix))
    return g_steal_pointer (&address);
  return g_strdup_printf ("%s/%u", address, prefix->length);
}

void
ks_guard_begin_chain (GString *out, const char *name)
{
  g_string_append_printf (out, "  chain %s {\n", name);
}

void
ks_guard_end_chain (GString *out)
{
  g_string_append (out, "  }\n");
}

void
ks_guard_collect (GArray *prefixes, const KsPrefix *prefix)
{
  KsPrefix network = ks_prefix_network (prefix);

  g_array_append_val (prefixes, network);
}

/* Sorts a prefix before those it contains. */
static int
compare_by_address (gconstpointer a, gconstpointer b)
{
  const KsPrefix *left = a, *right = b;

  if (left->family != right->family)
    return left->family < right->family ? -1 : 1;
  if (memcmp (left->bytes, right->bytes, sizeof left->bytes) != 0)
    return memcmp (left->bytes, right->bytes, sizeof left->bytes);
  return (int) left->length - (int) right->length;
}

char *
ks_guard_format_elements (int family, GArray *prefixes)
{
  GString *out = g_string_new (NULL);
  const KsPrefix *last = NULL;

  g_array_sort (prefixes, compare_by_address);
  for (guint i = 0; i < prefixes->len; i++) {
    const KsPrefix *prefix = &g_array_index (prefixes, KsPrefix, i);
    g_autofree char *text = NULL;

    if (prefix->family != family || (last && ks_prefix_contains (last, prefix)))
      continue;
    text = ks_guard_format_prefix (prefix);
    g_string_append_printf (out, "%s%s", last ? ", " : "{ ", text);
    last = prefix;
  }
  if (last)
    g_string_append (out, " }");
  return g_string_free (out, !last);
}
