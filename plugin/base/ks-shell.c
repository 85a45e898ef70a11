/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/ks-shell.h"

#include <string.h>

#include "base/ks-error.h"

static gboolean
needs_quotes (const char *word)
{
  static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-";

  return !*word || word[strspn (word, plain)] != '\0';
}

char *
ks_shell_word (const char *word)
{
  return needs_quotes (word) ? g_shell_quote (word) : g_strdup (word);
}

/* Whether nmcli would take the argument @id for an option or a keyword ("h" is short for "help"), or a terminal would
 * not show it as it is. */
static gboolean
is_awkward (const char *id)
{
  static const char *const words[] = { "id", "uuid", "path", NULL };
  g_autofree char *printable = ks_error_printable (id);

  return *id == '-' || g_str_has_prefix ("help", id) || g_strv_contains (words, id) || strcmp (printable, id) != 0;
}

char *
ks_shell_profile (const char *id, const char *uuid)
{
  g_autofree char *name = ks_shell_word (uuid && is_awkward (id) ? uuid : id);

  if (!is_awkward (id))
    return g_steal_pointer (&name);
  return g_strdup_printf ("%s %s", uuid ? "uuid" : "id", name);
}
