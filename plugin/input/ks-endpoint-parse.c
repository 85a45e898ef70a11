/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "input/ks-endpoint-parse.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/ks-error.h"

#define SERVICE_PREFIX "org.freedesktop.NetworkManager."
#define OPENVPN_PORT 1194

static gboolean
is_ipv6 (const char *text)
{
  guint8 bytes[16];

  return inet_pton (AF_INET6, text, bytes) == 1;
}

/* An address, or a name that a resolver may be asked for. */
static gboolean
is_host (const char *text)
{
  if (is_ipv6 (text))
    return TRUE;
  if (!*text || strlen (text) > 253 || *text == '-' || *text == '.')
    return FALSE;
  for (const char *p = text; *p; p++)
    /* bytes above ASCII: names in UTF-8, which the resolver turns into punycode */
    if (!g_ascii_isalnum (*p) && !strchr (".-_", *p) && (guchar) *p < 0x80)
      return FALSE;
  return g_utf8_validate (text, -1, NULL);
}

static gboolean
parse_port (const char *text, guint16 *out)
{
  guint64 port;

  if (!g_ascii_string_to_unsigned (text, 10, 1, 65535, &port, NULL))
    return FALSE;
  *out = (guint16) port;
  return TRUE;
}

static GError *
invalid (const char *key, const char *value, const char *what)
{
  g_autofree char *printable = ks_error_printable (value);

  return g_error_new (KS_ERROR, KS_ERROR_INVALID, "%s: '%s' is not %s", key, printable, what);
}

/* "[ADDRESS]" becomes "ADDRESS" (transfer full). */
static char *
strip_brackets (const char *text)
{
  gsize length = strlen (text);

  if (length > 2 && text[0] == '[' && text[length - 1] == ']')
    return g_strndup (text + 1, length - 2);
  return g_strdup (text);
}

KsEndpoint *
ks_endpoint_parse_wireguard (const char *text, GError **error)
{
  const char *colon = strrchr (text, ':');
  g_autofree char *left = colon ? g_strndup (text, colon - text) : NULL;
  g_autofree char *host = left ? strip_brackets (left) : NULL;
  guint16 port;

  if (!host || !is_host (host) || !parse_port (colon + 1, &port)) {
    g_propagate_error (error, invalid ("endpoint", text, "HOST:PORT"));
    return NULL;
  }
  return ks_endpoint_new (host, port, IPPROTO_UDP);
}

/* --- plugins --- */

typedef struct {
  KsVpnDataFunc lookup;
  gconstpointer data;
  GPtrArray *endpoints;
  GPtrArray *errors;
} Parser;

static const char *
get (const Parser *p, const char *key)
{
  const char *value = p->lookup (p->data, key);

  return value && *value ? value : NULL;
}

static void
add (Parser *p, const char *host, guint16 port, guint8 ip_protocol)
{
  g_autoptr (KsEndpoint) endpoint = ks_endpoint_new (host, port, ip_protocol);

  for (guint i = 0; i < p->endpoints->len; i++)
    if (ks_endpoint_equal (p->endpoints->pdata[i], endpoint))
      return;
  g_ptr_array_add (p->endpoints, g_steal_pointer (&endpoint));
}

/* A port in a key of its own; @fallback when it is not set or malformed. */
static guint16
get_port (Parser *p, const char *key, guint16 fallback)
{
  const char *value = get (p, key);
  guint16 port = fallback;

  if (value && !parse_port (value, &port))
    g_ptr_array_add (p->errors, invalid (key, value, "a port"));
  return port;
}

/* The protocol that one of OpenVPN's words means: udp, udp4, tcp-client, tcp6, ...; 0 for another word. */
static guint8
openvpn_protocol (const char *word)
{
  if (g_str_has_prefix (word, "udp"))
    return IPPROTO_UDP;
  if (g_str_has_prefix (word, "tcp"))
    return IPPROTO_TCP;
  return 0;
}

/* Cuts the field after the last colon off @text; NULL when there is none, or @text is an IPv6 address as it is. */
static char *
cut_field (char *text)
{
  g_autofree char *bare = strip_brackets (text);
  char *colon = is_ipv6 (bare) ? NULL : strrchr (text, ':');

  if (!colon)
    return NULL;
  *colon = '\0';
  return colon + 1;
}

/*
 * HOST[:PORT[:PROTOCOL]], with an IPv6 host in brackets or bare, and PORT or
 * PROTOCOL left empty or not: taken apart from the right, as nm-openvpn does
 * (nmovpn_remote_parse()).
 */
static void
parse_openvpn_remote (Parser *p, const char *text, guint16 port, guint8 ip_protocol)
{
  g_autofree char *rest = g_strdup (text);
  g_autofree char *host = NULL;
  char *last = cut_field (rest);
  char *before = last ? cut_field (rest) : NULL;
  const char *port_text = before ? before : last;
  const char *protocol_text = before ? last : NULL;

  host = strip_brackets (rest);
  if (protocol_text && *protocol_text)
    ip_protocol = openvpn_protocol (protocol_text);
  if (!is_host (host) || ip_protocol == 0 || (port_text && *port_text && !parse_port (port_text, &port)))
    g_ptr_array_add (p->errors, invalid ("remote", text, "HOST[:PORT[:PROTOCOL]]"));
  else
    add (p, host, port, ip_protocol);
}

/* By a proxy the transport goes to the proxy, over TCP; a SOCKS proxy may relay UDP from any port. */
static gboolean
parse_openvpn_proxy (Parser *p)
{
  const char *type = get (p, "proxy-type");
  const char *server = get (p, "proxy-server");

  if (!type || !server || strcmp (type, "none") == 0)
    return FALSE;
  if (!is_host (server)) {
    g_ptr_array_add (p->errors, invalid ("proxy-server", server, "an address or a host name"));
    return TRUE;
  }
  add (p, server, get_port (p, "proxy-port", strcmp (type, "socks") == 0 ? 1080 : 8080), IPPROTO_TCP);
  if (strcmp (type, "socks") == 0 && g_strcmp0 (get (p, "proto-tcp"), "yes") != 0)
    add (p, server, 0, IPPROTO_UDP);
  return TRUE;
}

static void
parse_openvpn (Parser *p)
{
  const char *remotes = get (p, "remote");
  guint16 port = get_port (p, "port", OPENVPN_PORT);
  guint8 ip_protocol = g_strcmp0 (get (p, "proto-tcp"), "yes") == 0 ? IPPROTO_TCP : IPPROTO_UDP;
  g_auto (GStrv) words = NULL;

  if (parse_openvpn_proxy (p))
    return;
  words = g_strsplit_set (remotes ? remotes : "", " \t,", -1);
  for (char **word = words; *word; word++)
    if (**word)
      parse_openvpn_remote (p, *word, port, ip_protocol);
}

/* A plugin without a parser of its own: its server, whatever the protocol. */
static void
parse_other (Parser *p)
{
  static const char *const keys[] = { "gateway", "address", "remote", "IPSec gateway", "server" };

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++) {
    const char *value = get (p, keys[i]);
    g_autofree char *host = NULL;
    char *colon;

    if (!value)
      continue;
    /* openconnect, sstp and fortisslvpn: HOST:PORT, also as a URL */
    if (g_str_has_prefix (value, "https://"))
      value += strlen ("https://");
    host = g_strndup (value, strcspn (value, "/"));
    colon = strrchr (host, ':');
    if (colon && !is_ipv6 (host) && host[strlen (host) - 1] != ']')
      *colon = '\0';
    if (host[0] == '[') {
      char *bare = strip_brackets (host);

      g_free (host);
      host = bare;
    }
    if (is_host (host))
      add (p, host, 0, 0);
    else
      g_ptr_array_add (p->errors, invalid (keys[i], value, "an address or a host name"));
  }
}

static const struct {
  const char *service;
  void (*parse) (Parser *p);
  const char *user; /* besides root */
} plugins[] = {
  /* OpenVPN opens its first socket as root and later ones as its service user (run) */
  { SERVICE_PREFIX "openvpn", parse_openvpn, "nm-openvpn" },
  /* drops root before it opens any socket (nm-openconnect-service.c, openconnect_drop_child_privs()) */
  { SERVICE_PREFIX "openconnect", parse_other, "nm-openconnect" },
};

GPtrArray *
ks_endpoint_parse_vpn (const char *service, KsVpnDataFunc lookup, gconstpointer data, GPtrArray *errors)
{
  Parser p = { .lookup = lookup, .data = data, .errors = errors };

  p.endpoints = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_endpoint_free);
  for (guint i = 0; i < G_N_ELEMENTS (plugins); i++)
    if (g_strcmp0 (plugins[i].service, service) == 0) {
      plugins[i].parse (&p);
      return p.endpoints;
    }
  parse_other (&p);
  return p.endpoints;
}

const char *
ks_endpoint_service_user (const char *service)
{
  for (guint i = 0; i < G_N_ELEMENTS (plugins); i++)
    if (g_strcmp0 (plugins[i].service, service) == 0)
      return plugins[i].user;
  return NULL;
}
