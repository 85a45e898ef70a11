/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "vpn/ks-vpn-parser.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/ks-error.h"

gboolean
ks_vpn_is_ipv6 (const char *text)
{
  guint8 bytes[16];

  return inet_pton (AF_INET6, text, bytes) == 1;
}

gboolean
ks_vpn_is_host (const char *text)
{
  if (ks_vpn_is_ipv6 (text))
    return TRUE;
  if (!*text || strlen (text) > 253 || *text == '-' || *text == '.')
    return FALSE;
  for (const char *p = text; *p; p++)
    /* bytes above ASCII: names in UTF-8, which the resolver turns into punycode */
    if (!g_ascii_isalnum (*p) && !strchr (".-_", *p) && (guchar) *p < 0x80)
      return FALSE;
  return g_utf8_validate (text, -1, NULL);
}

gboolean
ks_vpn_parse_port (const char *text, guint16 *out)
{
  guint64 port;

  if (!g_ascii_string_to_unsigned (text, 10, 1, 65535, &port, NULL))
    return FALSE;
  *out = (guint16) port;
  return TRUE;
}

char *
ks_vpn_strip_brackets (const char *text)
{
  gsize length = strlen (text);

  if (length > 2 && text[0] == '[' && text[length - 1] == ']')
    return g_strndup (text + 1, length - 2);
  return g_strdup (text);
}

GError *
ks_vpn_invalid (const char *key, const char *value, const char *what)
{
  g_autofree char *printable = ks_error_printable (value);

  return g_error_new (KS_ERROR, KS_ERROR_INVALID, "%s: '%s' is not %s", key, printable, what);
}

const char *
ks_vpn_parser_get (const KsVpnParser *self, const char *key)
{
  const char *value = self->settings->data (self->settings->profile, key);

  return value && *value ? value : NULL;
}

gboolean
ks_vpn_parser_is_yes (const KsVpnParser *self, const char *key)
{
  return g_strcmp0 (ks_vpn_parser_get (self, key), "yes") == 0;
}

void
ks_vpn_parser_fail (KsVpnParser *self, const char *key, const char *value, const char *what)
{
  g_ptr_array_add (self->errors, ks_vpn_invalid (key, value, what));
}

guint16
ks_vpn_parser_get_port (KsVpnParser *self, const char *key, guint16 fallback)
{
  const char *value = ks_vpn_parser_get (self, key);
  guint16 port = fallback;

  if (value && !ks_vpn_parse_port (value, &port))
    ks_vpn_parser_fail (self, key, value, "a port");
  return port;
}

char *
ks_vpn_parser_get_host (KsVpnParser *self, const char *key)
{
  const char *value = ks_vpn_parser_get (self, key);
  g_autofree char *host = value ? ks_vpn_strip_brackets (value) : NULL;

  if (host && !ks_vpn_is_host (host)) {
    ks_vpn_parser_fail (self, key, value, "an address or a host name");
    return NULL;
  }
  return g_steal_pointer (&host);
}

char *
ks_vpn_parser_split_server (KsVpnParser *self, const char *key, const char *text, guint16 *port)
{
  const char *scheme = strstr (text, "://");
  const char *start = scheme ? scheme + strlen ("://") : text;
  g_autofree char *rest = g_strndup (start, strcspn (start, "/"));
  char *at = strrchr (rest, '@');
  char *server = at ? at + 1 : rest;
  char *colon = ks_vpn_is_ipv6 (server) ? NULL : strrchr (server, ':');
  g_autofree char *host = NULL;
  guint16 found = *port;
  gboolean is_valid = TRUE;

  /* not a port, but the inside of a bracketed address */
  if (colon && server[strlen (server) - 1] == ']')
    colon = NULL;
  if (colon) {
    *colon = '\0';
    is_valid = ks_vpn_parse_port (colon + 1, &found);
  }
  host = ks_vpn_strip_brackets (server);
  if (!is_valid || !ks_vpn_is_host (host)) {
    ks_vpn_parser_fail (self, key, text, "HOST[:PORT]");
    return NULL;
  }
  *port = found;
  return g_steal_pointer (&host);
}

void
ks_vpn_parser_add_carried (KsVpnParser *self, const char *host, guint16 port, guint8 ip_protocol, KsCarriage carriage)
{
  g_autoptr (KsEndpoint) endpoint = ks_endpoint_new (host, port, ip_protocol);

  endpoint->carriage = carriage;
  for (guint i = 0; i < self->endpoints->len; i++)
    if (ks_endpoint_equal (self->endpoints->pdata[i], endpoint))
      return;
  g_ptr_array_add (self->endpoints, g_steal_pointer (&endpoint));
}

void
ks_vpn_parser_add (KsVpnParser *self, const char *host, guint16 port, guint8 ip_protocol)
{
  ks_vpn_parser_add_carried (self, host, port, ip_protocol, KS_CARRIAGE_PLAIN);
}
