/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NetworkManager-openvpn, nm_openvpn_start_openvpn_binary() in
 * src/nm-openvpn-service.c: `--remote` for each word of "remote", with the port
 * in "port" and the protocol from "proto-tcp" unless the word has its own;
 * `--http-proxy` or `--socks-proxy` for all of them. "remote-random" only
 * changes their order, and TLS runs over the same socket. `--nobind` is always
 * set, so there is no fixed source port.
 *
 * With "remote-random-hostname", OpenVPN never queries the given name, but names
 * below it that begin with twelve random digits (hostname_randomize() in
 * openvpn's socket.c). The provider gives the same answer for all of these names
 * (a wildcard record), so one of them stands for the others.
 */
#include <netinet/in.h>
#include <string.h>

#include "vpn/ks-vpn-type.h"

#define OPENVPN_PORT 1194
#define SOCKS_PORT 1080
#define HTTP_PROXY_PORT 8080
#define RANDOM_LABEL "000000000000."

/* The protocol that an OpenVPN word stands for: udp, udp4, tcp-client, tcp6, ...; 0 for any other word. */
static guint8
protocol_of (const char *word)
{
  if (g_str_has_prefix (word, "udp"))
    return IPPROTO_UDP;
  if (g_str_has_prefix (word, "tcp"))
    return IPPROTO_TCP;
  return 0;
}

/* Cuts off and returns the field after @text's last colon; NULL if there is none, or @text is a bare IPv6 address. */
static char *
cut_field (char *text)
{
  g_autofree char *bare = ks_vpn_strip_brackets (text);
  char *colon = ks_vpn_is_ipv6 (bare) ? NULL : strrchr (text, ':');

  if (!colon)
    return NULL;
  *colon = '\0';
  return colon + 1;
}

/*
 * HOST[:PORT[:PROTOCOL]], with an IPv6 host in brackets or bare; PORT and
 * PROTOCOL may be empty. Parsed from the right, as nm-openvpn does
 * (nmovpn_remote_parse(), shared/utils.c). NULL if malformed.
 */
static KsEndpoint *
parse_remote (const char *text, guint16 port, guint8 ip_protocol)
{
  g_autofree char *rest = g_strdup (text);
  g_autofree char *host = NULL;
  char *last = cut_field (rest);
  char *before = last ? cut_field (rest) : NULL;
  const char *port_text = before ? before : last;
  const char *protocol_text = before ? last : NULL;

  host = ks_vpn_strip_brackets (rest);
  if (protocol_text && *protocol_text)
    ip_protocol = protocol_of (protocol_text);
  if (!ks_vpn_is_host (host) || ip_protocol == 0 || (port_text && *port_text && !ks_vpn_parse_port (port_text, &port)))
    return NULL;
  return ks_endpoint_new (host, port, ip_protocol);
}

static void
randomize_name (KsEndpoint *endpoint)
{
  char *name;

  if (ks_endpoint_get_address (endpoint, NULL))
    return;
  name = g_strconcat (RANDOM_LABEL, endpoint->host, NULL);
  g_free (endpoint->host);
  endpoint->host = name;
}

/* The remotes, whether reached directly or through a proxy (transfer full; of KsEndpoint). */
static GPtrArray *
parse_remotes (KsVpnParser *p)
{
  gboolean is_random = ks_vpn_parser_is_yes (p, "remote-random-hostname");
  const char *remotes = ks_vpn_parser_get (p, "remote");
  guint16 port = ks_vpn_parser_get_port (p, "port", OPENVPN_PORT);
  guint8 ip_protocol = ks_vpn_parser_is_yes (p, "proto-tcp") ? IPPROTO_TCP : IPPROTO_UDP;
  GPtrArray *parsed = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_endpoint_free);
  g_auto (GStrv) words = g_strsplit_set (remotes ? remotes : "", " \t,", -1);

  for (char **word = words; *word; word++) {
    KsEndpoint *endpoint = **word ? parse_remote (*word, port, ip_protocol) : NULL;

    if (endpoint && is_random)
      randomize_name (endpoint);
    if (endpoint)
      g_ptr_array_add (parsed, endpoint);
    else if (**word)
      ks_vpn_parser_fail (p, "remote", *word, "HOST[:PORT[:PROTOCOL]]");
  }
  return parsed;
}

static gboolean
has_udp (const GPtrArray *remotes)
{
  for (guint i = 0; i < remotes->len; i++)
    if (((const KsEndpoint *) remotes->pdata[i])->ip_protocol == IPPROTO_UDP)
      return TRUE;
  return FALSE;
}

/* With a proxy, the transport goes to the proxy, over TCP; a SOCKS proxy relays UDP on a port that it chooses. */
static gboolean
parse_proxy (KsVpnParser *p, const GPtrArray *remotes)
{
  const char *type = ks_vpn_parser_get (p, "proxy-type");
  gboolean is_socks = g_strcmp0 (type, "socks") == 0;
  g_autofree char *host = NULL;

  if (!type || strcmp (type, "none") == 0 || !ks_vpn_parser_get (p, "proxy-server"))
    return FALSE;
  host = ks_vpn_parser_get_host (p, "proxy-server");
  if (!host)
    return TRUE;
  ks_vpn_parser_add (p, host, ks_vpn_parser_get_port (p, "proxy-port", is_socks ? SOCKS_PORT : HTTP_PROXY_PORT),
                     IPPROTO_TCP);
  if (is_socks && has_udp (remotes))
    ks_vpn_parser_add (p, host, 0, IPPROTO_UDP);
  return TRUE;
}

void
ks_vpn_parse_openvpn (KsVpnParser *p)
{
  g_autoptr (GPtrArray) remotes = parse_remotes (p);

  if (parse_proxy (p, remotes))
    return;
  for (guint i = 0; i < remotes->len; i++) {
    const KsEndpoint *remote = remotes->pdata[i];

    ks_vpn_parser_add (p, remote->host, remote->port, remote->ip_protocol);
  }
}
