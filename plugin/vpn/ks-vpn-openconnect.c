/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NetworkManager-openconnect. "gateway" in vpn.data is what the user typed,
 * HOST[:PORT][/GROUP] or a URL. The connection goes to the "gateway" among the
 * secrets, the URL of the server that the login was redirected to, and to
 * "resolve", its HOST:ADDRESS (oc_server_url() and oc_server_resolve() in
 * auth-dialog/main.c; nm_openconnect_start_openconnect_binary() in
 * src/nm-openconnect-service.c). The dialog's secrets are not saved unless
 * someone writes them into the profile; only then is a redirection known.
 *
 * The tunnel runs over TCP, and over UDP where that works. Every protocol lets
 * the server choose the UDP port. Its default is exempted; with any other port,
 * the tunnel stays on TCP.
 */
#include <netinet/in.h>
#include <string.h>

#include "vpn/ks-vpn-type.h"

#define HTTPS_PORT 443

/* The UDP port that servers of each protocol use by default; for protocols not listed, the same as the TCP port. */
static const struct {
  const char *protocol;
  guint16 port;
} udp_ports[] = {
  { "gp", 4501 }, /* GlobalProtect */
  { "nc", 4500 }, /* Juniper Network Connect */
  { "juniper", 4500 }, /* the same, as openconnect 7.06 called it */
  { "pulse", 4500 },   { "f5", 4433 },
};

static guint16
udp_port (const KsVpnParser *p, guint16 tcp_port)
{
  const char *protocol = ks_vpn_parser_get (p, "protocol");

  for (guint i = 0; i < G_N_ELEMENTS (udp_ports); i++)
    if (g_strcmp0 (protocol, udp_ports[i].protocol) == 0)
      return udp_ports[i].port;
  return tcp_port;
}

static void
add_gateway (KsVpnParser *p, const char *host, guint16 port)
{
  ks_vpn_parser_add (p, host, port, IPPROTO_TCP);
  if (!ks_vpn_parser_is_yes (p, "disable_udp"))
    ks_vpn_parser_add (p, host, udp_port (p, port), IPPROTO_UDP);
}

/* The address after the name in "resolve": "HOST:ADDRESS[,ADDRESS...]", IPv6 without brackets. */
static void
parse_resolve (KsVpnParser *p, const char *text, const char *host, guint16 port)
{
  const char *colon = strchr (text, ':');
  g_auto (GStrv) addresses = g_strsplit (colon ? colon + 1 : "", ",", -1);

  if (!colon || strncmp (text, host, colon - text) != 0 || host[colon - text] != '\0')
    return;
  for (char **address = addresses; *address; address++) {
    g_autofree char *bare = ks_vpn_strip_brackets (*address);

    if (ks_prefix_parse (bare, &(KsPrefix){ 0 }, NULL) && !strchr (bare, '/'))
      add_gateway (p, bare, port);
    else
      ks_vpn_parser_fail (p, "resolve", text, "HOST:ADDRESS");
  }
}

static void
parse_gateway (KsVpnParser *p, const char *text, const char *resolve)
{
  guint16 port = HTTPS_PORT;
  g_autofree char *host = text && *text ? ks_vpn_parser_split_server (p, "gateway", text, &port) : NULL;

  if (!host)
    return;
  add_gateway (p, host, port);
  if (resolve && *resolve)
    parse_resolve (p, resolve, host, port);
}

/* `--proxy URL`, http:// or socks5://. No UDP: the tunnel then stays on TCP. */
static gboolean
parse_proxy (KsVpnParser *p)
{
  const char *proxy = ks_vpn_parser_get (p, "proxy");
  guint16 port;
  g_autofree char *host = NULL;

  if (!proxy)
    return FALSE;
  /* libopenconnect's http.c, internal_parse_url() */
  port = g_str_has_prefix (proxy, "socks") ? 1080 : 80;
  host = ks_vpn_parser_split_server (p, "proxy", proxy, &port);
  if (host)
    ks_vpn_parser_add (p, host, port, IPPROTO_TCP);
  return TRUE;
}

void
ks_vpn_parse_openconnect (KsVpnParser *p)
{
  const KsVpnSettings *settings = p->settings;

  if (parse_proxy (p))
    return;
  parse_gateway (p, ks_vpn_parser_get (p, "gateway"), NULL);
  parse_gateway (p, settings->secret (settings->profile, "gateway"), settings->secret (settings->profile, "resolve"));
}
