/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * IPsec. The IKE daemon uses UDP port 500, and 4500 behind NAT, as root. After
 * that, packets travel in ESP, or in ESP inside UDP to port 4500: the kernel
 * makes them, and looks up their route as root, with protocol 50, or with UDP
 * and that port (run, Linux 6.1 and 6.12).
 */
#include <netinet/in.h>
#include <string.h>

#include "vpn/ks-vpn-type.h"

#define IKE_PORT 500
#define NAT_T_PORT 4500
#define L2TP_PORT 1701

static void
add_ipsec (KsVpnParser *p, const char *host)
{
  ks_vpn_parser_add (p, host, IKE_PORT, IPPROTO_UDP);
  ks_vpn_parser_add_carried (p, host, NAT_T_PORT, IPPROTO_UDP, KS_CARRIAGE_IPSEC);
  ks_vpn_parser_add_carried (p, host, 0, IPPROTO_ESP, KS_CARRIAGE_IPSEC);
}

/*
 * strongSwan's charon-nm, connect_() in src/charon-nm/nm/nm_service.c: "address",
 * and "server-port" instead of 500. With a custom port, IKE does not move to
 * 4500, and ESP in UDP uses the custom port as well. charon-nm resolves the name
 * itself, once for each attempt. "address" may be a comma-separated list, of
 * which it uses the first name that resolves (resolve() in libcharon's
 * config/ike_cfg.c).
 */
void
ks_vpn_parse_strongswan (KsVpnParser *p)
{
  const char *text = ks_vpn_parser_get (p, "address");
  g_auto (GStrv) words = g_strsplit (text ? text : "", ",", -1);
  guint16 port = ks_vpn_parser_get_port (p, "server-port", IKE_PORT);

  for (char **word = words; *word; word++) {
    g_autofree char *host = ks_vpn_strip_brackets (g_strstrip (*word));

    if (!*host)
      continue;
    if (!ks_vpn_is_host (host)) {
      ks_vpn_parser_fail (p, "address", text, "an address or a host name");
    } else if (port == IKE_PORT) {
      add_ipsec (p, host);
    } else {
      ks_vpn_parser_add_carried (p, host, port, IPPROTO_UDP, KS_CARRIAGE_IPSEC);
      ks_vpn_parser_add_carried (p, host, 0, IPPROTO_ESP, KS_CARRIAGE_IPSEC);
    }
  }
}

/* NetworkManager-libreswan, shared/utils.c, params[]: "right". Pluto runs as root. */
void
ks_vpn_parse_libreswan (KsVpnParser *p)
{
  g_autofree char *host = ks_vpn_parser_get_host (p, "right");

  if (host)
    add_ipsec (p, host);
}

/*
 * NetworkManager-l2tp, src/nm-l2tp-service.c: "gateway", a name or an address,
 * IPv6 with or without brackets (real_connect()). xl2tpd or kl2tpd connects to
 * its UDP port 1701 as root, and the kernel sends the data with the tunnel's
 * socket: routed as root's, owned by the sender of the inner packet (run, Linux
 * 6.1). With "ipsec-enabled", strongSwan or libreswan, whichever /usr/sbin/ipsec
 * is, encrypts that in transport mode ("type=transport",
 * "rightprotoport=udp/l2tp", nm_l2tp_config_write()). Such packets are routed as
 * they are before encryption; without IPsec they must not leave, since they would
 * carry the login.
 */
void
ks_vpn_parse_l2tp (KsVpnParser *p)
{
  g_autofree char *host = ks_vpn_parser_get_host (p, "gateway");

  if (!host)
    return;
  if (ks_vpn_parser_is_yes (p, "ipsec-enabled")) {
    add_ipsec (p, host);
    ks_vpn_parser_add_carried (p, host, L2TP_PORT, IPPROTO_UDP, KS_CARRIAGE_INSIDE_IPSEC);
  } else {
    ks_vpn_parser_add_carried (p, host, L2TP_PORT, IPPROTO_UDP, KS_CARRIAGE_WRAPPED);
  }
}

/*
 * NetworkManager-vpnc, nm_vpnc_config_write() in src/nm-vpnc-service.c: vpnc does
 * IKE and ESP itself, as root, with UDP and raw sockets. "NAT Traversal Mode"
 * is "cisco-udp" unless set. "Local Port" and "Cisco UDP Encapsulation Port" are
 * ports on this side; the server announces its port for Cisco's UDP
 * encapsulation (vpnc(8), --udp-port), so in that mode all its UDP ports are
 * exempted.
 */
void
ks_vpn_parse_vpnc (KsVpnParser *p)
{
  g_autofree char *host = ks_vpn_parser_get_host (p, "IPSec gateway");
  const char *mode = ks_vpn_parser_get (p, "NAT Traversal Mode");

  if (!host)
    return;
  if (!mode || strcmp (mode, "cisco-udp") == 0) {
    ks_vpn_parser_add (p, host, 0, IPPROTO_UDP);
  } else {
    ks_vpn_parser_add (p, host, IKE_PORT, IPPROTO_UDP);
    if (strcmp (mode, "none") != 0)
      ks_vpn_parser_add (p, host, NAT_T_PORT, IPPROTO_UDP);
  }
  ks_vpn_parser_add (p, host, 0, IPPROTO_ESP);
}
