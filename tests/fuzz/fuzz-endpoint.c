/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Input: the last word of a plugin's service in the first line, then vpn.data, KEY=VALUE a line. The secrets are the
 * same. */
#include "fuzz.h"

#include <string.h>

#include "vpn/ks-vpn.h"

static const char *
lookup (gconstpointer profile, const char *key)
{
  return g_hash_table_lookup ((GHashTable *) (gpointer) profile, key);
}

static void
check (const KsEndpoint *endpoint)
{
  if (ks_endpoint_is_resolvers (endpoint))
    return;
  g_assert (*endpoint->host && g_utf8_validate (endpoint->host, -1, NULL));
  g_assert (strlen (endpoint->host) <= 253);
  for (const char *p = endpoint->host; *p; p++)
    g_assert (!g_ascii_isspace (*p) && !g_ascii_iscntrl (*p) && !strchr ("/;,'\"`$&|<>()[]{}\\", *p));
}

void
fuzz_endpoint (const uint8_t *data, size_t size)
{
  g_autofree char *text = g_strndup ((const char *) data, size);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  g_autofree char *service = g_strconcat ("org.freedesktop.NetworkManager.", lines[0], NULL);
  g_autoptr (GHashTable) table = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GPtrArray) errors = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);
  KsVpnSettings settings = { .data = lookup, .secret = lookup, .profile = table };
  g_autoptr (GPtrArray) endpoints = NULL;

  for (char **line = lines + (lines[0] != NULL); *line; line++) {
    char *equals = strchr (*line, '=');
    GError *error = NULL;
    g_autoptr (KsEndpoint) peer = ks_vpn_wireguard_endpoint (equals ? equals + 1 : *line, &error);

    if (peer)
      check (peer);
    else
      g_ptr_array_add (errors, error);
    if (equals) {
      *equals = '\0';
      g_hash_table_insert (table, *line, equals + 1);
    }
  }
  endpoints = ks_vpn_endpoints (service, &settings, errors);
  for (guint i = 0; i < endpoints->len; i++)
    check (endpoints->pdata[i]);
  fuzz_check_messages (errors);
}

KS_FUZZ_ENTRY (fuzz_endpoint)
