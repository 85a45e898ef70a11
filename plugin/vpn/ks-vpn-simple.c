/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VPN types with a single server and few options, and the fallback for a
 * plugin that is not in the table.
 */
#include <netinet/in.h>
#include <string.h>

#include "vpn/ks-vpn-type.h"

#define PPTP_PORT 1723
#define HTTPS_PORT 443
#define SSH_PORT 22
#define DNS_PORT 53

/*
 * NetworkManager-pptp, src/nm-pptp-service.c, real_connect(): "gateway". The
 * program pptp, started by pppd as root, has a TCP connection for control and a
 * raw socket for GRE.
 */
void
ks_vpn_parse_pptp (KsVpnParser *p)
{
  g_autofree char *host = ks_vpn_parser_get_host (p, "gateway");

  if (!host)
    return;
  ks_vpn_parser_add (p, host, PPTP_PORT, IPPROTO_TCP);
  ks_vpn_parser_add (p, host, 0, IPPROTO_GRE);
}

/* "gateway", as HOST[:PORT], over TLS. */
static void
parse_tls_gateway (KsVpnParser *p)
{
  const char *gateway = ks_vpn_parser_get (p, "gateway");
  guint16 port = HTTPS_PORT;
  g_autofree char *host = gateway ? ks_vpn_parser_split_server (p, "gateway", gateway, &port) : NULL;

  if (host)
    ks_vpn_parser_add (p, host, port, IPPROTO_TCP);
}

/*
 * network-manager-sstp, construct_pppd_args() in src/nm-sstp-service.c: `sstpc
 * GATEWAY`, started by pppd as root, with `--proxy http://SERVER:PORT` if both
 * "proxy-server" and "proxy-port" are set. It drops root once it is connected
 * (SSTP_CALL_ESTABLISHED, sstp-client.c).
 */
void
ks_vpn_parse_sstp (KsVpnParser *p)
{
  g_autofree char *proxy = NULL;
  guint16 port;

  if (!ks_vpn_parser_get (p, "proxy-server") || !ks_vpn_parser_get (p, "proxy-port")) {
    parse_tls_gateway (p);
    return;
  }
  proxy = ks_vpn_parser_get_host (p, "proxy-server");
  port = ks_vpn_parser_get_port (p, "proxy-port", 0);
  if (proxy && port)
    ks_vpn_parser_add (p, proxy, port, IPPROTO_TCP);
}

/*
 * NetworkManager-fortisslvpn, src/nm-fortisslvpn-service.c,
 * run_openfortivpn(): `openfortivpn GATEWAY` as root.
 */
void
ks_vpn_parse_fortisslvpn (KsVpnParser *p)
{
  parse_tls_gateway (p);
}

/*
 * NetworkManager-iodine, nm_iodine_start_iodine_binary() in
 * src/nm-iodine-service.c: `iodine [NAMESERVER] TOPDOMAIN`. A tunnel inside DNS
 * queries to a resolver: the given one, or else the first one in
 * /etc/resolv.conf, which is an uplink's. It opens its socket before it drops
 * root (main(), iodine's src/iodine.c).
 */
void
ks_vpn_parse_iodine (KsVpnParser *p)
{
  g_autofree char *host = NULL;

  if (ks_vpn_parser_get (p, "nameserver"))
    host = ks_vpn_parser_get_host (p, "nameserver");
  else
    host = g_strdup (KS_ENDPOINT_RESOLVERS);
  if (host)
    ks_vpn_parser_add (p, host, DNS_PORT, IPPROTO_UDP);
}

/*
 * NetworkManager-ssh, nm_ssh_start_ssh_binary() in src/nm-ssh-service.c: `ssh -o
 * Port=PORT ... REMOTE`, as the plugin's own user, root.
 */
void
ks_vpn_parse_ssh (KsVpnParser *p)
{
  g_autofree char *host = ks_vpn_parser_get_host (p, "remote");
  guint16 port = ks_vpn_parser_get_port (p, "port", SSH_PORT);

  if (host)
    ks_vpn_parser_add (p, host, port, IPPROTO_TCP);
}

/* Adds the hosts in these @keys, with any protocol and port. */
static void
add_any (KsVpnParser *p, const char *const *keys)
{
  for (const char *const *key = keys; *key; key++) {
    const char *value = ks_vpn_parser_get (p, *key);
    guint16 port = 0;
    g_autofree char *host = value ? ks_vpn_parser_split_server (p, *key, value, &port) : NULL;

    if (host)
      ks_vpn_parser_add (p, host, 0, 0);
  }
}

/*
 * The server from the keys that most plugins use, or else from those that some
 * plugins were seen to use (f5vpn, softethervpn, snx, gpclient). The plugin's
 * protocol is not known, so any protocol and port.
 */
void
ks_vpn_parse_unknown (KsVpnParser *p)
{
  static const char *const keys[] = { "gateway", "address", "remote", "IPSec gateway", "server", "right", NULL };
  static const char *const seldom[] = { "server-endpoint", "server-name", "portal", "hostname", NULL };

  add_any (p, keys);
  if (p->endpoints->len == 0 && p->errors->len == 0)
    add_any (p, seldom);
}
