/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "input/ks-profile-connection.h"

#include "base/ks-error.h"
#include "input/ks-profile-libnm.h"
#include "value/ks-interface.h"
#include "vpn/ks-vpn.h"

/* Set before anything here is called. */
static const KsLibnm *libnm;

static void
add_prefix (GArray *prefixes, int family, const char *address, guint length)
{
  KsPrefix prefix;

  if (!ks_prefix_parse (address, &prefix, NULL) || prefix.family != family || length > prefix.length || length == 0)
    return;
  prefix.length = length;
  prefix = ks_prefix_network (&prefix);
  ks_prefix_array_add (prefixes, &prefix);
}

static void
read_ip_config (KsProfile *profile, NMSettingIPConfig *config, int family)
{
  if (!config)
    return;
  if (family == AF_INET)
    profile->never_default4 = libnm->nm_setting_ip_config_get_never_default (config);
  else
    profile->never_default6 = libnm->nm_setting_ip_config_get_never_default (config);
  for (guint i = 0; i < libnm->nm_setting_ip_config_get_num_addresses (config); i++) {
    NMIPAddress *address = libnm->nm_setting_ip_config_get_address (config, i);

    add_prefix (profile->prefixes, family, libnm->nm_ip_address_get_address (address),
                libnm->nm_ip_address_get_prefix (address));
  }
  for (guint i = 0; i < libnm->nm_setting_ip_config_get_num_routes (config); i++) {
    NMIPRoute *route = libnm->nm_setting_ip_config_get_route (config, i);

    add_prefix (profile->prefixes, family, libnm->nm_ip_route_get_dest (route), libnm->nm_ip_route_get_prefix (route));
  }
  for (guint i = 0; i < libnm->nm_setting_ip_config_get_num_dns (config); i++) {
    KsPrefix server;

    if (ks_prefix_parse (libnm->nm_setting_ip_config_get_dns (config, i), &server, NULL))
      ks_prefix_array_add (profile->nameservers, &server);
  }
}

/*
 * Whether WireGuard's allowed IPs amount to a default route: one, or more than
 * half of the addresses (0.0.0.0/1 and 128.0.0.0/1; everything but private
 * networks). For IPv6, half of 2000::/3, which contains all public addresses.
 */
static gboolean
are_default (const GArray *allowed, int family, gboolean *in_pieces)
{
  KsPrefix public6;
  guint64 sum = 0;
  guint whole = family == AF_INET6 ? 3 : 0;

  ks_prefix_parse ("2000::/3", &public6, NULL);
  for (guint i = 0; i < allowed->len; i++) {
    const KsPrefix *prefix = &g_array_index (allowed, KsPrefix, i);

    if (prefix->family != family)
      continue;
    if (prefix->length == 0)
      return TRUE;
    if (family == AF_INET6 && !ks_prefix_overlaps (&public6, prefix))
      continue;
    if (prefix->length <= whole + 32)
      sum += G_GUINT64_CONSTANT (1) << (32 + whole - MAX (prefix->length, whole));
  }
  *in_pieces |= sum > G_MAXUINT32 / 2;
  return sum > G_MAXUINT32 / 2;
}

static void
read_peer (KsProfile *profile, NMWireGuardPeer *peer, gboolean routed, GArray *allowed, GPtrArray *errors)
{
  const char *endpoint = libnm->nm_wireguard_peer_get_endpoint (peer);

  if (endpoint) {
    g_autoptr (GError) error = NULL;
    KsEndpoint *parsed = ks_vpn_wireguard_endpoint (endpoint, &error);

    if (parsed)
      g_ptr_array_add (profile->endpoints, parsed);
    else
      ks_error_add (errors, "%s: [wireguard-peer.%s] %s", profile->path, libnm->nm_wireguard_peer_get_public_key (peer),
                    error->message);
  }
  for (guint i = 0; i < libnm->nm_wireguard_peer_get_allowed_ips_len (peer); i++) {
    gboolean is_valid = FALSE;
    const char *text = libnm->nm_wireguard_peer_get_allowed_ip (peer, i, &is_valid);
    KsPrefix prefix;

    if (!is_valid || !ks_prefix_parse (text, &prefix, NULL))
      continue;
    prefix = ks_prefix_network (&prefix);
    ks_prefix_array_add (allowed, &prefix);
    if (routed && prefix.length > 0)
      ks_prefix_array_add (profile->prefixes, &prefix);
  }
}

static void
read_wireguard (KsProfile *profile, NMSettingWireGuard *setting, GPtrArray *errors)
{
  g_autoptr (GArray) allowed = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  gboolean routed;

  if (!setting)
    return;
  routed = libnm->nm_setting_wireguard_get_peer_routes (setting);
  profile->listen_port = libnm->nm_setting_wireguard_get_listen_port (setting);
  profile->fwmark = libnm->nm_setting_wireguard_get_fwmark (setting);
  for (guint i = 0; i < libnm->nm_setting_wireguard_get_peers_len (setting); i++)
    read_peer (profile, libnm->nm_setting_wireguard_get_peer (setting, i), routed, allowed, errors);
  if (!are_default (allowed, AF_INET, &profile->in_pieces))
    profile->never_default4 = TRUE;
  if (!are_default (allowed, AF_INET6, &profile->in_pieces))
    profile->never_default6 = TRUE;
}

static const char *
lookup_vpn_data (gconstpointer setting, const char *key)
{
  return libnm->nm_setting_vpn_get_data_item ((NMSettingVpn *) (gpointer) setting, key);
}

static const char *
lookup_vpn_secret (gconstpointer setting, const char *key)
{
  return libnm->nm_setting_vpn_get_secret ((NMSettingVpn *) (gpointer) setting, key);
}

static void
read_vpn (KsProfile *profile, NMSettingVpn *setting, GPtrArray *errors)
{
  KsVpnSettings settings = { .data = lookup_vpn_data, .secret = lookup_vpn_secret, .profile = setting };
  g_autoptr (GPtrArray) malformed = NULL;

  if (!setting)
    return;
  malformed = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);
  profile->service = g_strdup (libnm->nm_setting_vpn_get_service_type (setting));
  profile->fwmark = ks_vpn_mark (profile->service);
  g_ptr_array_unref (profile->endpoints);
  profile->endpoints = ks_vpn_endpoints (profile->service, &settings, malformed);
  for (guint i = 0; i < malformed->len; i++)
    ks_error_add (errors, "%s: [vpn] %s", profile->path, ((const GError *) malformed->pdata[i])->message);
}

/* The protocol number of an IP tunnel's packets (linux/in.h), by its mode. */
static guint8
ip_tunnel_protocol (NMIPTunnelMode mode)
{
  switch (mode) {
  case NM_IP_TUNNEL_MODE_GRE:
  case NM_IP_TUNNEL_MODE_IP6GRE:
  case NM_IP_TUNNEL_MODE_GRETAP:
  case NM_IP_TUNNEL_MODE_IP6GRETAP:
    return IPPROTO_GRE;
  case NM_IP_TUNNEL_MODE_SIT:
  case NM_IP_TUNNEL_MODE_ISATAP:
  case NM_IP_TUNNEL_MODE_IP6IP6:
    return IPPROTO_IPV6;
  case NM_IP_TUNNEL_MODE_VTI: /* a device for IPsec */
  case NM_IP_TUNNEL_MODE_VTI6:
    return IPPROTO_ESP;
  default:
    return IPPROTO_IPIP;
  }
}

static void
read_ip_tunnel (KsProfile *profile, NMSettingIPTunnel *setting)
{
  const char *remote = setting ? libnm->nm_setting_ip_tunnel_get_remote (setting) : NULL;
  KsPrefix address;

  if (remote && ks_prefix_parse (remote, &address, NULL))
    g_ptr_array_add (profile->endpoints,
                     ks_endpoint_new (remote, 0, ip_tunnel_protocol (libnm->nm_setting_ip_tunnel_get_mode (setting))));
}

typedef struct {
  GPtrArray *errors;
  const char *path;
} Warning;

/* A value that libnm warns about and ignores counts as a malformed value of an armed profile. */
static gboolean
on_keyfile_warning (GKeyFile *file, NMConnection *connection G_GNUC_UNUSED, NMKeyfileHandlerType type,
                    NMKeyfileHandlerData *data, void *user_data)
{
  Warning *warning = user_data;
  const char *group = NULL, *key = NULL, *message = NULL;
  NMKeyfileWarnSeverity severity;
  g_autofree char *value = NULL;

  if (type != NM_KEYFILE_HANDLER_TYPE_WARN)
    return FALSE;
  libnm->nm_keyfile_handler_data_get_context (data, &group, &key, NULL, NULL);
  libnm->nm_keyfile_handler_data_warn_get (data, &message, &severity);
  if (severity < NM_KEYFILE_WARN_SEVERITY_WARN)
    return TRUE;
  if (group && key)
    value = g_key_file_get_value (file, group, key, NULL);
  ks_error_add (warning->errors, "%s: [%s] %s: '%s': %s", warning->path, group ? group : "", key ? key : "",
                value ? value : "", message);
  return TRUE;
}

static void
read_connection (KsProfile *profile, NMConnection *connection, GPtrArray *errors)
{
  const char *interface = libnm->nm_connection_get_interface_name (connection);

  g_free (profile->id);
  profile->id = g_strdup (libnm->nm_connection_get_id (connection));
  g_free (profile->interface);
  profile->interface = interface && ks_interface_name_is_valid (interface) ? g_strdup (interface) : NULL;
  read_ip_config (profile, libnm->nm_connection_get_setting_ip4_config (connection), AF_INET);
  read_ip_config (profile, libnm->nm_connection_get_setting_ip6_config (connection), AF_INET6);
  if (profile->vpn_type == KS_VPN_WIREGUARD)
    read_wireguard (
      profile,
      (NMSettingWireGuard *) libnm->nm_connection_get_setting (connection, libnm->nm_setting_wireguard_get_type ()),
      errors);
  else if (profile->vpn_type == KS_VPN_PLUGIN)
    read_vpn (profile, libnm->nm_connection_get_setting_vpn (connection), errors);
  else if (profile->vpn_type == KS_VPN_IP_TUNNEL)
    read_ip_tunnel (profile, libnm->nm_connection_get_setting_ip_tunnel (connection));
}

/* The groups that this file reads, and those that libnm needs to create a connection. */
static gboolean
is_used (const char *group)
{
  static const char *const used[] = { "connection",  "user",      "ipv4", "ipv6",      "vpn",
                                      "vpn-secrets", "wireguard", "tun",  "ip-tunnel", NULL };

  return g_strv_contains (used, group) || g_str_has_prefix (group, "wireguard-peer.");
}

/*
 * No other group goes to libnm: it looks for the certificates of [802-1x] on disk
 * (access(2), libnm 1.42), wherever they are, and an unreachable file server
 * would keep us from arming.
 */
static void
remove_unused (GKeyFile *file)
{
  g_auto (GStrv) groups = g_key_file_get_groups (file, NULL);

  for (char **group = groups; *group; group++)
    if (!is_used (*group))
      g_key_file_remove_group (file, *group, NULL);
}

void
ks_profile_read_connection (KsProfile *profile, GKeyFile *file, GPtrArray *errors)
{
  g_autofree char *directory = g_path_get_dirname (profile->path);
  g_autoptr (GError) error = NULL;
  NMConnection *connection;
  Warning warning = { .errors = errors, .path = profile->path };

  libnm = ks_profile_libnm (&error);
  if (!libnm) {
    ks_error_add (errors, "%s: %s", profile->path, error->message);
    return;
  }
  remove_unused (file);
  connection =
    libnm->nm_keyfile_read (file, directory, NM_KEYFILE_HANDLER_FLAGS_NONE, on_keyfile_warning, &warning, &error);
  if (!connection) {
    ks_error_add (errors, "%s: %s", profile->path, error->message);
    return;
  }
  /* NetworkManager makes these up if the file does not set them */
  if (!libnm->nm_connection_get_id (connection))
    libnm->g_object_set (libnm->nm_connection_get_setting_connection (connection), NM_SETTING_CONNECTION_ID,
                         profile->id, NULL);
  if (!libnm->nm_connection_get_uuid (connection)) {
    g_autofree char *uuid = g_uuid_string_random ();

    libnm->g_object_set (libnm->nm_connection_get_setting_connection (connection), NM_SETTING_CONNECTION_UUID, uuid,
                         NULL);
  }
  if (!libnm->nm_connection_normalize (connection, NULL, NULL, &error))
    ks_error_add (errors, "%s: %s", profile->path, error->message);
  read_connection (profile, connection, errors);
  libnm->g_object_unref (connection);
}
