/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From keyfiles to profiles.
 *
 * Which of several files with one UUID counts follows NetworkManager
 * (nms-keyfile-storage.c, cmp_fcn()): /run before /etc before /usr/lib; in one
 * directory a tombstone, then the newer file. Every file is loaded, for its
 * UUID; only those that ask for the kill switch go through libnm.
 */
#include <NetworkManager.h>
#include <errno.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "input/ks-event.h"
#include "input/ks-profile.h"
#include "ks-error.h"

#define MODE_KEY "nm-killswitch.mode"
#define LAN_KEY "nm-killswitch.lan"
#define DNS_KEY "nm-killswitch.dns"

const KsProfileDirectory ks_profile_directories[] = {
  { "/run/NetworkManager/system-connections", FALSE, TRUE },
  { KS_SYSCONFDIR "/NetworkManager/system-connections", TRUE, TRUE },
  { "/usr/lib/NetworkManager/system-connections", FALSE, FALSE },
  { NULL, FALSE, FALSE },
};

typedef struct {
  char *path;
  char *uuid; /* nullable */
  guint directory; /* index: lower wins */
  gboolean is_tombstone;
  struct timespec mtime;
  GKeyFile *file; /* NULL for a tombstone */
} Candidate;

typedef struct {
  const KsConfig *config;
  KsProfileSet *set;
  GPtrArray *errors;
  GPtrArray *candidates; /* of Candidate */
} Reader;

static void
candidate_free (gpointer data)
{
  Candidate *candidate = data;

  g_free (candidate->path);
  g_free (candidate->uuid);
  if (candidate->file)
    g_key_file_unref (candidate->file);
  g_free (candidate);
}

static void G_GNUC_PRINTF (2, 3) report (Reader *r, const char *format, ...)
{
  va_list arguments;
  g_autofree char *text = NULL;
  g_autofree char *printable = NULL;

  va_start (arguments, format);
  text = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  printable = ks_error_printable (text);
  g_ptr_array_add (r->errors, g_error_new_literal (KS_ERROR, KS_ERROR_INVALID, printable));
}

/* --- which files there are --- */

/* Six letters or digits after the last dot: the temporary file of a writer (mkstemp). */
static gboolean
has_temporary_suffix (const char *name)
{
  const char *dot = strrchr (name, '.');

  if (!dot || strlen (dot + 1) != 6)
    return FALSE;
  for (const char *p = dot + 1; *p; p++)
    if (!g_ascii_isalnum (*p))
      return FALSE;
  return TRUE;
}

static gboolean
has_suffix_ignoring_case (const char *name, const char *suffix)
{
  gsize length = strlen (name), suffix_length = strlen (suffix);

  return length > suffix_length && g_ascii_strcasecmp (name + length - suffix_length, suffix) == 0;
}

/* nm_keyfile_utils_ignore_filename() */
static gboolean
is_profile_name (const char *name, gboolean any_name)
{
  if (*name == '.' || *name == '\0')
    return FALSE;
  if (!any_name)
    return g_str_has_suffix (name, ".nmconnection") && strlen (name) > strlen (".nmconnection");
  return !g_str_has_suffix (name, "~") && !has_temporary_suffix (name) && !has_suffix_ignoring_case (name, ".pem")
         && !has_suffix_ignoring_case (name, ".der");
}

/* UUID.nmmeta: the UUID (transfer full), or NULL for another name. */
static char *
tombstone_uuid (const char *name)
{
  g_autofree char *uuid = NULL;

  if (strlen (name) != 36 + strlen (".nmmeta") || !g_str_has_suffix (name, ".nmmeta"))
    return NULL;
  uuid = g_strndup (name, 36);
  return g_uuid_string_is_valid (uuid) ? g_steal_pointer (&uuid) : NULL;
}

/* A link to /dev/null, or a file that says so. */
static gboolean
is_tombstone (const char *path)
{
  g_autofree char *target = g_file_read_link (path, NULL);
  g_autoptr (GKeyFile) file = NULL;
  g_autofree char *loaded_path = NULL;

  if (target)
    return strcmp (target, "/dev/null") == 0;
  file = g_key_file_new ();
  if (!g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, NULL))
    return FALSE;
  loaded_path = g_key_file_get_string (file, "nmmeta", "loaded-path", NULL);
  return g_strcmp0 (loaded_path, "/dev/null") == 0;
}

static void
add_unreadable (Reader *r, const char *path)
{
  g_ptr_array_add (r->set->unreadable, g_strdup (path));
}

/*
 * Why NetworkManager would not read the file: it is not root's, or others may
 * read it. NULL when it would. Tests run as an ordinary user own theirs.
 */
static const char *
insecurity (const struct stat *status)
{
  if (!S_ISREG (status->st_mode))
    return "is not a regular file";
  if (status->st_uid != 0 && status->st_uid != geteuid ())
    return "is not owned by root";
  if (status->st_mode & 0077)
    return "may be read by others (mode 0600 is right): NetworkManager ignores it";
  return NULL;
}

static char *
lower_uuid (GKeyFile *file)
{
  g_autofree char *uuid = g_key_file_get_string (file, "connection", "uuid", NULL);

  return uuid && *uuid ? g_ascii_strdown (uuid, -1) : NULL;
}

static void
add_profile_file (Reader *r, const char *path, guint directory)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) error = NULL;
  const char *insecure;
  struct stat status;
  Candidate *candidate;

  if (stat (path, &status) < 0) {
    if (errno != ENOENT) { /* gone since it was listed, or a link to nothing */
      report (r, "%s: %s", path, g_strerror (errno));
      add_unreadable (r, path);
    }
    return;
  }
  if (S_ISDIR (status.st_mode))
    return;
  insecure = insecurity (&status);
  if (insecure) {
    report (r, "%s: %s", path, insecure);
    add_unreadable (r, path);
    return;
  }
  if (!g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, &error)) {
    if (!g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
      report (r, "%s: %s", path, error->message);
      add_unreadable (r, path);
    }
    return;
  }
  /* empty after a crash, or cut short: no profile that was taken away */
  if (!g_key_file_has_group (file, "connection")) {
    report (r, "%s: there is no [connection] section", path);
    add_unreadable (r, path);
    return;
  }
  candidate = g_new0 (Candidate, 1);
  candidate->path = g_strdup (path);
  candidate->uuid = lower_uuid (file);
  candidate->directory = directory;
  candidate->mtime = status.st_mtim;
  candidate->file = g_steal_pointer (&file);
  g_ptr_array_add (r->candidates, candidate);
}

static void
add_tombstone (Reader *r, const char *path, const char *uuid, guint directory)
{
  Candidate *candidate;

  if (!is_tombstone (path))
    return;
  candidate = g_new0 (Candidate, 1);
  candidate->path = g_strdup (path);
  candidate->uuid = g_ascii_strdown (uuid, -1);
  candidate->directory = directory;
  candidate->is_tombstone = TRUE;
  g_ptr_array_add (r->candidates, candidate);
}

static void
list_directory (Reader *r, const KsProfileDirectory *directory, guint index)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GDir) dir = g_dir_open (directory->path, 0, &error);
  const char *name;

  if (!dir) {
    if (!g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
      report (r, "%s", error->message);
      add_unreadable (r, directory->path);
    }
    return;
  }
  while ((errno = 0, name = g_dir_read_name (dir))) {
    g_autofree char *path = g_build_filename (directory->path, name, NULL);
    g_autofree char *uuid = directory->tombstones ? tombstone_uuid (name) : NULL;

    if (uuid)
      add_tombstone (r, path, uuid, index);
    else if (is_profile_name (name, directory->any_name))
      add_profile_file (r, path, index);
  }
  if (errno) {
    report (r, "%s: %s", directory->path, g_strerror (errno));
    add_unreadable (r, directory->path);
  }
}

/* Less than 0 when @a counts and @b does not. */
static int
compare_precedence (const Candidate *a, const Candidate *b)
{
  if (a->directory != b->directory)
    return a->directory < b->directory ? -1 : 1;
  if (a->is_tombstone != b->is_tombstone)
    return a->is_tombstone ? -1 : 1;
  if (a->mtime.tv_sec != b->mtime.tv_sec)
    return a->mtime.tv_sec > b->mtime.tv_sec ? -1 : 1;
  if (a->mtime.tv_nsec != b->mtime.tv_nsec)
    return a->mtime.tv_nsec > b->mtime.tv_nsec ? -1 : 1;
  return -strcmp (a->path, b->path);
}

/* UUID -> the Candidate that counts. Files without a UUID are profiles of their own. */
static GHashTable *
find_winners (const GPtrArray *candidates)
{
  GHashTable *winners = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < candidates->len; i++) {
    Candidate *candidate = candidates->pdata[i];
    const char *key = candidate->uuid ? candidate->uuid : candidate->path;
    Candidate *other = g_hash_table_lookup (winners, key);

    if (!other || compare_precedence (candidate, other) < 0)
      g_hash_table_insert (winners, (gpointer) key, candidate);
  }
  return winners;
}

/* --- what one profile says --- */

static gboolean
strv_has (char **words, const char *word)
{
  return g_strv_contains ((const char *const *) words, word);
}

static char *
get_string (GKeyFile *file, const char *group, const char *key)
{
  return g_key_file_get_string (file, group, key, NULL);
}

static KsVpnType
vpn_type (const char *type)
{
  if (g_strcmp0 (type, "wireguard") == 0)
    return KS_VPN_WIREGUARD;
  if (g_strcmp0 (type, "vpn") == 0)
    return KS_VPN_PLUGIN;
  if (g_strcmp0 (type, "tun") == 0)
    return KS_VPN_TUN;
  if (g_strcmp0 (type, "ip-tunnel") == 0)
    return KS_VPN_IP_TUNNEL;
  return KS_VPN_NONE;
}

/* A setting of ours; as it stands in the file when it is no valid text: a value that is none, but not unset. */
static char *
get_setting (GKeyFile *file, const char *key)
{
  char *value = get_string (file, "user", key);

  return value ? value : g_key_file_get_value (file, "user", key, NULL);
}

/* User data wins over the zone; an unknown value arms strict. */
static void
decide_mode (Reader *r, GKeyFile *file, KsProfile *profile)
{
  g_autofree char *zone = get_string (file, "connection", "zone");
  g_autofree char *mode = get_setting (file, MODE_KEY);

  if (mode) {
    profile->reason = KS_REASON_USER_DATA;
    if (!ks_mode_parse (mode, &profile->mode)) {
      report (r, "%s: [user] " MODE_KEY ": '%s' is not one of strict, session, off: armed as strict", profile->path,
              mode);
      profile->mode = KS_MODE_STRICT;
      profile->reason = KS_REASON_INVALID;
    }
  } else if (zone && strv_has (r->config->zones, zone)) {
    profile->mode = KS_MODE_STRICT;
    profile->reason = KS_REASON_ZONE;
  } else if (zone && strv_has (r->config->session_zones, zone)) {
    profile->mode = KS_MODE_SESSION;
    profile->reason = KS_REASON_ZONE;
  }
}

static void
read_overrides (Reader *r, GKeyFile *file, KsProfile *profile)
{
  g_autofree char *lan = get_setting (file, LAN_KEY);
  g_autofree char *dns = get_setting (file, DNS_KEY);

  if (lan && !ks_lan_parse (lan, &profile->lan)) {
    report (r, "%s: [user] " LAN_KEY ": '%s' is not one of private, routes, off: taken as off", profile->path, lan);
    profile->lan = KS_LAN_OFF;
  }
  if (dns && !ks_dns_parse (dns, &profile->dns)) {
    report (r, "%s: [user] " DNS_KEY ": '%s' is not one of tunnel, lan: taken as tunnel", profile->path, dns);
    profile->dns = KS_DNS_TUNNEL;
  }
}

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
    profile->never_default4 = nm_setting_ip_config_get_never_default (config);
  else
    profile->never_default6 = nm_setting_ip_config_get_never_default (config);
  for (guint i = 0; i < nm_setting_ip_config_get_num_addresses (config); i++) {
    NMIPAddress *address = nm_setting_ip_config_get_address (config, i);

    add_prefix (profile->prefixes, family, nm_ip_address_get_address (address), nm_ip_address_get_prefix (address));
  }
  for (guint i = 0; i < nm_setting_ip_config_get_num_routes (config); i++) {
    NMIPRoute *route = nm_setting_ip_config_get_route (config, i);

    add_prefix (profile->prefixes, family, nm_ip_route_get_dest (route), nm_ip_route_get_prefix (route));
  }
  for (guint i = 0; i < nm_setting_ip_config_get_num_dns (config); i++) {
    KsPrefix server;

    if (ks_prefix_parse (nm_setting_ip_config_get_dns (config, i), &server, NULL))
      ks_prefix_array_add (profile->nameservers, &server);
  }
}

static void
read_peer (Reader *r, KsProfile *profile, NMWireGuardPeer *peer, gboolean routed)
{
  const char *endpoint = nm_wireguard_peer_get_endpoint (peer);

  if (endpoint) {
    g_autoptr (GError) error = NULL;
    KsEndpoint *parsed = ks_endpoint_parse_wireguard (endpoint, &error);

    if (parsed)
      g_ptr_array_add (profile->endpoints, parsed);
    else
      report (r, "%s: [wireguard-peer.%s] %s", profile->path, nm_wireguard_peer_get_public_key (peer), error->message);
  }
  for (guint i = 0; routed && i < nm_wireguard_peer_get_allowed_ips_len (peer); i++) {
    gboolean is_valid = FALSE;
    const char *allowed = nm_wireguard_peer_get_allowed_ip (peer, i, &is_valid);
    KsPrefix prefix;

    if (is_valid && ks_prefix_parse (allowed, &prefix, NULL) && prefix.length > 0) {
      prefix = ks_prefix_network (&prefix);
      ks_prefix_array_add (profile->prefixes, &prefix);
    }
  }
}

static void
read_wireguard (Reader *r, KsProfile *profile, NMSettingWireGuard *setting)
{
  gboolean routed;

  if (!setting)
    return;
  routed = nm_setting_wireguard_get_peer_routes (setting);
  profile->listen_port = nm_setting_wireguard_get_listen_port (setting);
  profile->fwmark = nm_setting_wireguard_get_fwmark (setting);
  for (guint i = 0; i < nm_setting_wireguard_get_peers_len (setting); i++)
    read_peer (r, profile, nm_setting_wireguard_get_peer (setting, i), routed);
}

static const char *
lookup_vpn_data (gconstpointer data, const char *key)
{
  return nm_setting_vpn_get_data_item ((NMSettingVpn *) (gpointer) data, key);
}

static void
add_service_user (KsProfile *profile)
{
  const char *user = ks_endpoint_service_user (profile->service);
  const struct passwd *entry = user ? getpwnam (user) : NULL;

  if (entry && entry->pw_uid != 0) {
    guint32 uid = entry->pw_uid;

    g_array_append_val (profile->uids, uid);
  }
}

static void
read_vpn (Reader *r, KsProfile *profile, NMSettingVpn *setting)
{
  g_autoptr (GPtrArray) errors = NULL;

  if (!setting)
    return;
  errors = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);
  profile->service = g_strdup (nm_setting_vpn_get_service_type (setting));
  g_ptr_array_unref (profile->endpoints);
  profile->endpoints = ks_endpoint_parse_vpn (profile->service, lookup_vpn_data, setting, errors);
  for (guint i = 0; i < errors->len; i++)
    report (r, "%s: [vpn] %s", profile->path, ((const GError *) errors->pdata[i])->message);
  add_service_user (profile);
}

/* The protocol number that an IP tunnel's packets carry (linux/in.h), by its mode. */
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
  default:
    return IPPROTO_IPIP;
  }
}

static void
read_ip_tunnel (KsProfile *profile, NMSettingIPTunnel *setting)
{
  const char *remote = setting ? nm_setting_ip_tunnel_get_remote (setting) : NULL;
  KsPrefix address;

  if (remote && ks_prefix_parse (remote, &address, NULL))
    g_ptr_array_add (profile->endpoints,
                     ks_endpoint_new (remote, 0, ip_tunnel_protocol (nm_setting_ip_tunnel_get_mode (setting))));
}

typedef struct {
  Reader *reader;
  const char *path;
} Warning;

/* What libnm takes as a reason to ignore a value is a malformed value of an armed profile. */
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
  nm_keyfile_handler_data_get_context (data, &group, &key, NULL, NULL);
  nm_keyfile_handler_data_warn_get (data, &message, &severity);
  if (severity < NM_KEYFILE_WARN_SEVERITY_WARN)
    return TRUE;
  if (group && key)
    value = g_key_file_get_value (file, group, key, NULL);
  report (warning->reader, "%s: [%s] %s: '%s': %s", warning->path, group ? group : "", key ? key : "",
          value ? value : "", message);
  return TRUE;
}

static void
read_connection (Reader *r, KsProfile *profile, NMConnection *connection)
{
  const char *interface = nm_connection_get_interface_name (connection);

  g_free (profile->id);
  profile->id = g_strdup (nm_connection_get_id (connection));
  g_free (profile->interface);
  profile->interface = interface && ks_interface_name_is_valid (interface) ? g_strdup (interface) : NULL;
  read_ip_config (profile, nm_connection_get_setting_ip4_config (connection), AF_INET);
  read_ip_config (profile, nm_connection_get_setting_ip6_config (connection), AF_INET6);
  if (profile->vpn_type == KS_VPN_WIREGUARD)
    read_wireguard (r, profile,
                    (NMSettingWireGuard *) nm_connection_get_setting (connection, NM_TYPE_SETTING_WIREGUARD));
  else if (profile->vpn_type == KS_VPN_PLUGIN)
    read_vpn (r, profile, nm_connection_get_setting_vpn (connection));
  else if (profile->vpn_type == KS_VPN_IP_TUNNEL)
    read_ip_tunnel (profile, nm_connection_get_setting_ip_tunnel (connection));
}

/* A profile that libnm refuses is armed all the same if it says so: what was blocked stays blocked. */
static void
read_details (Reader *r, GKeyFile *file, KsProfile *profile)
{
  g_autofree char *directory = g_path_get_dirname (profile->path);
  g_autoptr (GError) error = NULL;
  g_autoptr (NMConnection) connection = NULL;
  Warning warning = { .reader = r, .path = profile->path };

  connection = nm_keyfile_read (file, directory, NM_KEYFILE_HANDLER_FLAGS_NONE, on_keyfile_warning, &warning, &error);
  if (!connection) {
    report (r, "%s: %s", profile->path, error->message);
    return;
  }
  /* NetworkManager makes these up for a file without */
  if (!nm_connection_get_id (connection))
    g_object_set (nm_connection_get_setting_connection (connection), NM_SETTING_CONNECTION_ID, profile->id, NULL);
  if (!nm_connection_get_uuid (connection)) {
    g_autofree char *uuid = g_uuid_string_random ();

    g_object_set (nm_connection_get_setting_connection (connection), NM_SETTING_CONNECTION_UUID, uuid, NULL);
  }
  if (!nm_connection_normalize (connection, NULL, NULL, &error))
    report (r, "%s: %s", profile->path, error->message);
  read_connection (r, profile, connection);
}

/* Without an id NetworkManager takes the file's name, less its suffix. */
static char *
fallback_id (const char *path)
{
  g_autofree char *name = g_path_get_basename (path);

  if (g_str_has_suffix (name, ".nmconnection"))
    name[strlen (name) - strlen (".nmconnection")] = '\0';
  return g_utf8_make_valid (name, -1);
}

static void
add_profile (Reader *r, const Candidate *candidate)
{
  g_autoptr (KsProfile) profile = ks_profile_new ();
  g_autofree char *id = get_string (candidate->file, "connection", "id");
  g_autofree char *zone = get_string (candidate->file, "connection", "zone");
  g_autofree char *interface = get_string (candidate->file, "connection", "interface-name");
  guint32 root = 0;

  profile->path = g_strdup (candidate->path);
  decide_mode (r, candidate->file, profile);
  if (profile->reason == KS_REASON_NONE) {
    if (r->config->is_unreadable && zone && *zone)
      g_ptr_array_add (r->set->unclear, g_strdup (candidate->path));
    return;
  }
  profile->uuid = g_strdup (candidate->uuid);
  profile->id = id && *id ? g_steal_pointer (&id) : fallback_id (candidate->path);
  profile->type = get_string (candidate->file, "connection", "type");
  profile->vpn_type = vpn_type (profile->type);
  if (interface && ks_interface_name_is_valid (interface))
    profile->interface = g_steal_pointer (&interface);
  g_array_append_val (profile->uids, root);
  if (profile->vpn_type == KS_VPN_NONE) {
    if (ks_profile_wants (profile)) {
      g_autofree char *name = ks_error_printable (profile->id);
      g_autofree char *type = ks_error_printable (profile->type ? profile->type : "no type");

      g_ptr_array_add (
        r->set->warnings,
        g_strdup_printf ("profile '%s' asks for the kill switch, but is no VPN (%s): not armed", name, type));
    }
    return;
  }
  read_overrides (r, candidate->file, profile);
  read_details (r, candidate->file, profile);
  g_ptr_array_add (r->set->profiles, g_steal_pointer (&profile));
}

static int
compare_paths (gconstpointer a, gconstpointer b)
{
  return strcmp ((*(const KsProfile *const *) a)->path, (*(const KsProfile *const *) b)->path);
}

KsProfileSet *
ks_profile_set_read (const KsProfileDirectory *directories, const KsConfig *config, GPtrArray *errors)
{
  g_autoptr (GPtrArray) candidates = g_ptr_array_new_with_free_func (candidate_free);
  g_autoptr (GHashTable) winners = NULL;
  KsProfileSet *set = g_new0 (KsProfileSet, 1);
  Reader r = { .config = config, .set = set, .errors = errors, .candidates = candidates };

  set->profiles = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_profile_free);
  set->unreadable = g_ptr_array_new_with_free_func (g_free);
  set->unclear = g_ptr_array_new_with_free_func (g_free);
  set->warnings = g_ptr_array_new_with_free_func (g_free);
  for (guint i = 0; directories[i].path; i++)
    list_directory (&r, &directories[i], i);

  winners = find_winners (candidates);
  for (guint i = 0; i < candidates->len; i++) {
    const Candidate *candidate = candidates->pdata[i];
    const char *key = candidate->uuid ? candidate->uuid : candidate->path;

    if (!candidate->is_tombstone && g_hash_table_lookup (winners, key) == candidate)
      add_profile (&r, candidate);
  }
  g_ptr_array_sort (set->profiles, compare_paths);
  return set;
}
