/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From keyfiles to profiles: which ask for the kill switch, and how. Only those
 * go through libnm.
 */
#include "input/ks-profile-read.h"

#include <string.h>

#include "base/ks-error.h"
#include "input/ks-keyfile.h"
#include "input/ks-profile-connection.h"
#include "input/ks-profile-warning.h"
#include "value/ks-interface.h"

typedef struct {
  const KsConfig *config;
  const char *const *zone_directories;
  KsProfileSet *set;
  GPtrArray *errors;
} Reader;

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
  g_autofree char *mode = get_setting (file, KS_USER_DATA_MODE);

  if (mode) {
    profile->reason = KS_REASON_USER_DATA;
    if (!ks_mode_parse (mode, &profile->mode)) {
      ks_error_add (r->errors,
                    "%s: [user] " KS_USER_DATA_MODE ": '%s' is not one of strict, session, off: armed as strict",
                    profile->path, mode);
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
  g_autofree char *lan = get_setting (file, KS_USER_DATA_LAN);
  g_autofree char *dns = get_setting (file, KS_USER_DATA_DNS);
  g_autofree char *placement = get_setting (file, KS_USER_DATA_TRANSPORT);

  if (lan && !ks_lan_parse (lan, &profile->lan)) {
    ks_error_add (r->errors, "%s: [user] " KS_USER_DATA_LAN ": '%s' is not one of private, routes, off: taken as off",
                  profile->path, lan);
    profile->lan = KS_LAN_OFF;
  }
  if (dns && !ks_dns_parse (dns, &profile->dns)) {
    ks_error_add (r->errors, "%s: [user] " KS_USER_DATA_DNS ": '%s' is not one of tunnel, lan: taken as tunnel",
                  profile->path, dns);
    profile->dns = KS_DNS_TUNNEL;
  }
  if (placement && !ks_placement_parse (placement, &profile->placement))
    ks_error_add (r->errors,
                  "%s: [user] " KS_USER_DATA_TRANSPORT ": '%s' is not one of auto, inside, beside: the default is used",
                  profile->path, placement);
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
add_profile (Reader *r, const KsKeyfile *keyfile)
{
  g_autoptr (KsProfile) profile = ks_profile_new ();
  g_autofree char *id = get_string (keyfile->file, "connection", "id");
  g_autofree char *zone = get_string (keyfile->file, "connection", "zone");
  g_autofree char *interface = get_string (keyfile->file, "connection", "interface-name");
  guint32 root = 0;
  guint known_errors;

  profile->path = g_strdup (keyfile->path);
  profile->uuid = g_strdup (keyfile->uuid);
  profile->id = id && *id ? g_steal_pointer (&id) : fallback_id (keyfile->path);
  profile->type = get_string (keyfile->file, "connection", "type");
  profile->vpn_type = vpn_type (profile->type);
  decide_mode (r, keyfile->file, profile);
  if (profile->vpn_type != KS_VPN_NONE)
    ks_profile_warn_of_misspellings (profile, keyfile->file, r->config, r->zone_directories, r->set->warnings);
  if (profile->reason == KS_REASON_NONE) {
    if (r->config->is_unreadable && zone && *zone)
      g_ptr_array_add (r->set->unclear, g_strdup (keyfile->path));
    return;
  }
  if (interface && ks_interface_name_is_valid (interface))
    profile->interface = g_steal_pointer (&interface);
  g_array_append_val (profile->uids, root);
  if (profile->vpn_type == KS_VPN_NONE) {
    if (ks_profile_wants (profile))
      ks_profile_warn_of_type (profile, keyfile->file, r->set->warnings);
    return;
  }
  read_overrides (r, keyfile->file, profile);
  known_errors = r->errors->len;
  ks_profile_read_connection (profile, keyfile->file, r->errors);
  if (r->errors->len == known_errors)
    ks_profile_warn_of_server (profile, r->set->warnings);
  g_ptr_array_add (r->set->profiles, g_steal_pointer (&profile));
}

static int
compare_paths (gconstpointer a, gconstpointer b)
{
  return strcmp ((*(const KsProfile *const *) a)->path, (*(const KsProfile *const *) b)->path);
}

static int
compare_strings (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

KsProfileSet *
ks_profile_set_read (const KsProfileDirectory *directories, const char *const *zone_directories, const KsConfig *config,
                     GPtrArray *errors)
{
  g_autoptr (GPtrArray) keyfiles = NULL;
  KsProfileSet *set = g_new0 (KsProfileSet, 1);
  Reader r = { .config = config, .zone_directories = zone_directories, .set = set, .errors = errors };

  set->profiles = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_profile_free);
  set->unreadable = g_ptr_array_new_with_free_func (g_free);
  set->unclear = g_ptr_array_new_with_free_func (g_free);
  set->warnings = g_ptr_array_new_with_free_func (g_free);
  keyfiles = ks_keyfile_find (directories, set->unreadable, errors);
  for (guint i = 0; i < keyfiles->len; i++)
    add_profile (&r, keyfiles->pdata[i]);
  g_ptr_array_sort (set->profiles, compare_paths);
  g_ptr_array_sort (set->warnings, compare_strings);
  return set;
}
