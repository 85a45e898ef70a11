/* SPDX-License-Identifier: GPL-2.0-or-later */
/* clang-format off */
/*
 * The table of VPN types. Each entry was taken from the source of its plugin;
 * the parsers say where.
 *
 *   TYPE         SERVER IN        TRANSPORT                             SENT BY                TUNNEL
 *   wireguard    peer's endpoint  udp, the port given                   kernel (root)          the profile's device
 *   openvpn      remote           udp or tcp, port 1194                 root, then nm-openvpn  tun, tap
 *   openconnect  gateway          tcp 443, and udp (DTLS, ESP in UDP)   nm-openconnect, root   tun
 *   strongswan   address          udp 500, 4500, ESP; or server-port    root, kernel           XFRM interface, none
 *   libreswan    right            udp 500, 4500, ESP                    root, kernel           XFRM interface, none
 *   l2tp         gateway          udp 1701; with IPsec udp 500, 4500,   root, kernel           ppp
 *                                 ESP, and udp 1701 inside it only
 *   vpnc         IPSec gateway    udp 500, 4500, ESP; Cisco UDP: any    root                   tun
 *   pptp         gateway          tcp 1723 and GRE                      root                   ppp
 *   sstp         gateway          tcp 443                               root                   ppp
 *   fortisslvpn  gateway          tcp 443                               root                   ppp
 *   iodine       nameserver       udp 53                                root, then nm-iodine   dns (tun)
 *   ssh          remote           tcp 22                                root                   tun, tap
 *
 * NetworkManager shows the device of each as the active connection's device,
 * except for IPsec without a device.
 */
/* clang-format on */
#include "vpn/ks-vpn.h"

#include <netinet/in.h>
#include <string.h>

#include "vpn/ks-vpn-type.h"

#define SERVICE_PREFIX "org.freedesktop.NetworkManager."

typedef struct {
  const char *service; /* what follows SERVICE_PREFIX */
  void (*parse) (KsVpnParser *p);
  const char *user; /* the user that sends it besides root */
  guint32 mark; /* the mark on its route lookups, or 0 */
} KsVpnType;

static const KsVpnType types[] = {
  /* opens its first socket as root and later ones as its service user (run) */
  { "openvpn", ks_vpn_parse_openvpn, "nm-openvpn" },
  /* drops root before it opens any socket, if a tun device could be created for that user
     (nm-openconnect-service.c, openconnect_drop_child_privs()) */
  { "openconnect", ks_vpn_parse_openconnect, "nm-openconnect" },
  /* since 5.9.10 (charon-nm.c, "plugins.kernel-netlink.fwmark"; kernel_netlink_net.c, get_route()) */
  { "strongswan", ks_vpn_parse_strongswan, .mark = 210 },
  { "libreswan", ks_vpn_parse_libreswan },
  /* its former name, which it still accepts (nm-libreswan-service.name, "aliases=") */
  { "openswan", ks_vpn_parse_libreswan },
  { "l2tp", ks_vpn_parse_l2tp },
  { "vpnc", ks_vpn_parse_vpnc },
  { "pptp", ks_vpn_parse_pptp },
  { "sstp", ks_vpn_parse_sstp },
  { "fortisslvpn", ks_vpn_parse_fortisslvpn },
  /* `iodine -u nm-iodine` (nm-iodine-service.c, nm_iodine_start_iodine_binary()) */
  { "iodine", ks_vpn_parse_iodine, "nm-iodine" },
  { "ssh", ks_vpn_parse_ssh },
};

static const KsVpnType *
find (const char *service)
{
  if (!service || !g_str_has_prefix (service, SERVICE_PREFIX))
    return NULL;
  for (guint i = 0; i < G_N_ELEMENTS (types); i++)
    if (strcmp (service + strlen (SERVICE_PREFIX), types[i].service) == 0)
      return &types[i];
  return NULL;
}

GPtrArray *
ks_vpn_endpoints (const char *service, const KsVpnSettings *settings, GPtrArray *errors)
{
  const KsVpnType *type = find (service);
  KsVpnParser parser = { .settings = settings, .errors = errors };

  parser.endpoints = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_endpoint_free);
  if (type)
    type->parse (&parser);
  else
    ks_vpn_parse_unknown (&parser);
  return parser.endpoints;
}

const char *
ks_vpn_user (const char *service)
{
  const KsVpnType *type = find (service);

  return type ? type->user : NULL;
}

guint32
ks_vpn_mark (const char *service)
{
  const KsVpnType *type = find (service);

  return type ? type->mark : 0;
}

KsEndpoint *
ks_vpn_wireguard_endpoint (const char *text, GError **error)
{
  const char *colon = strrchr (text, ':');
  g_autofree char *left = colon ? g_strndup (text, colon - text) : NULL;
  g_autofree char *host = left ? ks_vpn_strip_brackets (left) : NULL;
  guint16 port;

  if (!host || !ks_vpn_is_host (host) || !ks_vpn_parse_port (colon + 1, &port)) {
    g_propagate_error (error, ks_vpn_invalid ("endpoint", text, "HOST:PORT"));
    return NULL;
  }
  return ks_endpoint_new (host, port, IPPROTO_UDP);
}
