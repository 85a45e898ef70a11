/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "value/ks-interface.h"

#include <net/if.h>
#include <string.h>

gboolean
ks_interface_name_is_valid (const char *name)
{
  gsize length = strlen (name);

  if (length == 0 || length >= IFNAMSIZ || strcmp (name, ".") == 0 || strcmp (name, "..") == 0)
    return FALSE;
  for (const char *p = name; *p; p++)
    if (*p == '/' || *p == ':' || g_ascii_isspace (*p) || g_ascii_iscntrl (*p))
      return FALSE;
  return TRUE;
}

/* "tun" includes tap; "ovpn" and "ovpn-dco" are OpenVPN's in the kernel. A raw modem (wwan) is not among them. */
const char *const ks_interface_tunnel_kinds[] = {
  "tun", "wireguard", "amneziawg", "ovpn", "ovpn-dco", "xfrm",      "vti", "vti6", "ipip",
  "gre", "gretap",    "ip6gre",    "sit",  "ip6tnl",   "ip6gretap", "ppp", NULL,
};

gboolean
ks_interface_kind_is_tunnel (const char *kind)
{
  return g_strv_contains (ks_interface_tunnel_kinds, kind);
}

gboolean
ks_interface_kind_is_offload (const char *kind)
{
  return strcmp (kind, "ovpn") == 0 || strcmp (kind, "ovpn-dco") == 0;
}

gboolean
ks_interface_kind_is_stacked (const char *kind)
{
  static const char *const kinds[] = {
    "bridge", "bond", "team", "hsr", "vlan", "macvlan", "macvtap", "ipvlan", "ipvtap", "vrf", NULL,
  };

  return g_strv_contains (kinds, kind);
}
