/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "input/ks-profile-codec.h"

#include "value/ks-interface.h"

static char *
take_required_string (KsBytes *b)
{
  const char *text = ks_bytes_take_string (b);

  b->failed |= !text;
  return g_strdup (text ? text : "");
}

static void
take_prefixes (KsBytes *b, GArray *out)
{
  guint32 count = ks_bytes_take_u32 (b);

  for (guint32 i = 0; i < count && !b->failed; i++) {
    KsPrefix prefix;

    ks_bytes_take (b, &prefix, sizeof prefix);
    if ((prefix.family != AF_INET && prefix.family != AF_INET6)
        || prefix.length > ks_prefix_full_length (prefix.family))
      b->failed = TRUE;
    else
      g_array_append_val (out, prefix);
  }
}

static void
take_endpoints (KsBytes *b, GPtrArray *out)
{
  guint32 count = ks_bytes_take_u32 (b);

  for (guint32 i = 0; i < count && !b->failed; i++) {
    g_autofree char *host = take_required_string (b);
    guint16 port = (guint16) ks_bytes_take_range (b, 0, G_MAXUINT16);
    guint8 ip_protocol = (guint8) ks_bytes_take_range (b, 0, G_MAXUINT8);
    KsEndpoint *endpoint = ks_endpoint_new (host, port, ip_protocol);

    endpoint->carriage = (KsCarriage) ks_bytes_take_range (b, KS_CARRIAGE_PLAIN, KS_CARRIAGE_INSIDE_IPSEC);
    g_ptr_array_add (out, endpoint);
  }
}

static void
put_prefixes (GByteArray *out, const GArray *prefixes)
{
  ks_bytes_put_u32 (out, prefixes->len);
  ks_bytes_put (out, prefixes->data, prefixes->len * sizeof (KsPrefix));
}

static void
put_endpoints (GByteArray *out, const GPtrArray *endpoints)
{
  ks_bytes_put_u32 (out, endpoints->len);
  for (guint i = 0; i < endpoints->len; i++) {
    const KsEndpoint *endpoint = endpoints->pdata[i];

    ks_bytes_put_string (out, endpoint->host);
    ks_bytes_put_u32 (out, endpoint->port);
    ks_bytes_put_u32 (out, endpoint->ip_protocol);
    ks_bytes_put_u32 (out, endpoint->carriage);
  }
}

static void
put_profile (GByteArray *out, const KsProfile *profile)
{
  ks_bytes_put_string (out, profile->id);
  ks_bytes_put_string (out, profile->type);
  ks_bytes_put_string (out, profile->interface);
  ks_bytes_put_string (out, profile->service);
  ks_bytes_put_u32 (out, profile->vpn_type);
  ks_bytes_put_u32 (out, profile->mode);
  ks_bytes_put_u32 (out, profile->reason);
  ks_bytes_put_u32 (out, (guint32) profile->lan);
  ks_bytes_put_u32 (out, (guint32) profile->dns);
  ks_bytes_put_u32 (out, (guint32) profile->placement);
  ks_bytes_put_u32 (out, profile->never_default4);
  ks_bytes_put_u32 (out, profile->never_default6);
  ks_bytes_put_u32 (out, profile->in_pieces);
  ks_bytes_put_u32 (out, profile->listen_port);
  ks_bytes_put_u32 (out, profile->fwmark);
  put_endpoints (out, profile->endpoints);
  put_prefixes (out, profile->prefixes);
  put_prefixes (out, profile->nameservers);
}

static KsProfile *
take_profile (KsBytes *b, const char *path, const char *uuid)
{
  KsProfile *profile = ks_profile_new ();

  profile->path = g_strdup (path);
  profile->uuid = g_strdup (uuid);
  profile->id = take_required_string (b);
  profile->type = g_strdup (ks_bytes_take_string (b));
  profile->interface = g_strdup (ks_bytes_take_string (b));
  b->failed |= profile->interface && !ks_interface_name_is_valid (profile->interface);
  profile->service = g_strdup (ks_bytes_take_string (b));
  profile->vpn_type = (KsVpnType) ks_bytes_take_range (b, KS_VPN_WIREGUARD, KS_VPN_IP_TUNNEL);
  profile->mode = (KsMode) ks_bytes_take_range (b, KS_MODE_OFF, KS_MODE_SESSION);
  profile->reason = (KsReason) ks_bytes_take_range (b, KS_REASON_ZONE, KS_REASON_USER_DATA);
  profile->lan = (KsLan) ks_bytes_take_range (b, KS_LAN_UNSET, KS_LAN_OFF);
  profile->dns = (KsDns) ks_bytes_take_range (b, KS_DNS_UNSET, KS_DNS_LAN);
  profile->placement = (KsPlacement) ks_bytes_take_range (b, KS_PLACEMENT_UNSET, KS_PLACEMENT_BESIDE);
  profile->never_default4 = ks_bytes_take_range (b, FALSE, TRUE);
  profile->never_default6 = ks_bytes_take_range (b, FALSE, TRUE);
  profile->in_pieces = ks_bytes_take_range (b, FALSE, TRUE);
  profile->listen_port = (guint16) ks_bytes_take_range (b, 0, G_MAXUINT16);
  profile->fwmark = ks_bytes_take_u32 (b);
  take_endpoints (b, profile->endpoints);
  take_prefixes (b, profile->prefixes);
  take_prefixes (b, profile->nameservers);
  return profile;
}

void
ks_profile_encode (const KsKeyfile *keyfile, GByteArray *out)
{
  ks_bytes_put_string (out, keyfile->path);
  ks_bytes_put_string (out, keyfile->uuid);
  ks_bytes_put_u32 (out, keyfile->profile != NULL);
  if (keyfile->profile)
    put_profile (out, keyfile->profile);
}

KsKeyfile *
ks_profile_decode (KsBytes *bytes)
{
  const char *path = ks_bytes_take_string (bytes);
  g_autoptr (KsKeyfile) keyfile = ks_keyfile_new (path ? path : "");

  bytes->failed |= !path;
  keyfile->uuid = g_strdup (ks_bytes_take_string (bytes));
  if (ks_bytes_take_range (bytes, FALSE, TRUE))
    keyfile->profile = take_profile (bytes, keyfile->path, keyfile->uuid);
  return bytes->failed ? NULL : g_steal_pointer (&keyfile);
}
