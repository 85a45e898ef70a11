/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From keyfiles to profiles: which ask for the kill switch, and how. Only those
 * go through libnm.
 */
#include "input/ks-profile-read.h"

#include <string.h>

#include "base/ks-error.h"
#include "base/ks-user.h"
#include "input/ks-keyfile.h"
#include "input/ks-profile-connection.h"
#include "input/ks-profile-warning.h"
#include "value/ks-interface.h"
#include "value/ks-setting.h"
#include "vpn/ks-vpn.h"

typedef struct {
  const KsConfig *config;
  const char *const *zone_directories;
} Reader;

static char *
get_string (GKeyFile *file, const char *group, const char *key)
{
  return g_key_file_get_string (file, group, key, NULL);
}

/* One of our settings; the raw value if it is not valid UTF-8: an invalid value, but not an unset one. */
static char *
get_setting (GKeyFile *file, const char *key)
{
  char *value = get_string (file, "user", key);

  return value ? value : g_key_file_get_value (file, "user", key, NULL);
}

/*
 * Ubuntu's NetworkManager keeps profiles as netplan's, and netplan writes them out again with the name of a setting
 * split at its last dot (write_fallback_key_value() in its src/nm.c): "nm-killswitch.mode" in [user] comes back as
 * "mode" in [user.nm-killswitch]. NetworkManager ignores that group. We undo the split; otherwise a profile armed by
 * its user data would no longer be.
 */
static void
restore_user_data (GKeyFile *file)
{
  static const char group[] = "user.nm-killswitch";
  g_auto (GStrv) names = g_key_file_get_keys (file, group, NULL, NULL);

  for (char **name = names; name && *name; name++) {
    g_autofree char *key = g_strconcat ("nm-killswitch.", *name, NULL);
    g_autofree char *value = g_key_file_get_value (file, group, *name, NULL);

    if (!g_key_file_has_key (file, "user", key, NULL))
      g_key_file_set_value (file, "user", key, value);
  }
  g_key_file_remove_group (file, group, NULL);
}

/* User data takes precedence over the zone; an unknown value arms strict. */
static void
decide_mode (const Reader *r, GKeyFile *file, KsProfile *profile, GPtrArray *errors)
{
  g_autofree char *zone = get_string (file, "connection", "zone");
  g_autofree char *mode = get_setting (file, KS_USER_DATA_MODE);
  const KsSetting setting = { .zone = zone, .mode = mode };

  if (!ks_setting_apply (&setting, r->config, profile))
    ks_error_add (errors, "%s: [user] " KS_USER_DATA_MODE ": '%s' is not one of strict, session, off: armed as strict",
                  profile->path, mode);
}

static void
read_overrides (GKeyFile *file, KsProfile *profile, GPtrArray *errors)
{
  g_autofree char *lan = get_setting (file, KS_USER_DATA_LAN);
  g_autofree char *dns = get_setting (file, KS_USER_DATA_DNS);
  g_autofree char *placement = get_setting (file, KS_USER_DATA_TRANSPORT);

  if (lan && !ks_lan_parse (lan, &profile->lan)) {
    ks_error_add (errors, "%s: [user] " KS_USER_DATA_LAN ": '%s' is not one of private, routes, off: taken as off",
                  profile->path, lan);
    profile->lan = KS_LAN_OFF;
  }
  if (dns && !ks_dns_parse (dns, &profile->dns)) {
    ks_error_add (errors, "%s: [user] " KS_USER_DATA_DNS ": '%s' is not one of tunnel, lan: taken as tunnel",
                  profile->path, dns);
    profile->dns = KS_DNS_TUNNEL;
  }
  if (placement && !ks_placement_parse (placement, &profile->placement))
    ks_error_add (errors,
                  "%s: [user] " KS_USER_DATA_TRANSPORT ": '%s' is not one of auto, inside, beside: the default is used",
                  profile->path, placement);
}

/* Without an id, NetworkManager uses the file's name without its suffix. */
static char *
fallback_id (const char *path)
{
  g_autofree char *name = g_path_get_basename (path);

  if (g_str_has_suffix (name, ".nmconnection"))
    name[strlen (name) - strlen (".nmconnection")] = '\0';
  return g_utf8_make_valid (name, -1);
}

/*
 * The uid of @user, or 0 if there is no such user. @uids caches the answers (user -> uid): a file of users takes long
 * to read, and a thousand profiles have a service or two.
 */
static guint32
find_uid (GHashTable *uids, const char *user)
{
  guint32 uid = 0;
  gpointer known;

  if (g_hash_table_lookup_extended (uids, user, NULL, &known))
    return GPOINTER_TO_UINT (known);
  if (!ks_user_find_uid (user, &uid))
    uid = 0;
  g_hash_table_insert (uids, (gpointer) user, GUINT_TO_POINTER (uid));
  return uid;
}

/* Who sends the transport: the service's own user, and always root. */
static void
add_uids (KsProfile *profile, GHashTable *uids)
{
  const char *user = profile->service ? ks_vpn_user (profile->service) : NULL;
  guint32 root = 0, uid = user ? find_uid (uids, user) : 0;

  g_array_append_val (profile->uids, root);
  if (uid != 0)
    g_array_append_val (profile->uids, uid);
}

/* Whatever depends only on the keyfile, its path and the configuration, so that it can be remembered. */
static void
read_keyfile (KsKeyfile *keyfile, GKeyFile *file, gpointer user_data)
{
  Reader *r = user_data;
  g_autoptr (KsProfile) profile = ks_profile_new ();
  g_autofree char *id = get_string (file, "connection", "id");
  g_autofree char *zone = get_string (file, "connection", "zone");
  g_autofree char *interface = get_string (file, "connection", "interface-name");
  guint known_errors;

  restore_user_data (file);
  profile->path = g_strdup (keyfile->path);
  profile->uuid = g_strdup (keyfile->uuid);
  profile->id = id && *id ? g_steal_pointer (&id) : fallback_id (keyfile->path);
  profile->type = get_string (file, "connection", "type");
  profile->vpn_type = ks_vpn_type_of (profile->type);
  decide_mode (r, file, profile, keyfile->errors);
  if (profile->vpn_type != KS_VPN_NONE)
    ks_profile_warn_of_misspellings (profile, file, r->config, r->zone_directories, keyfile->warnings);
  if (profile->reason == KS_REASON_NONE) {
    keyfile->is_unclear = r->config->is_unreadable && zone && *zone;
    /* depends on whether firewalld has the zone */
    keyfile->may_warn = profile->vpn_type != KS_VPN_NONE && zone && *zone;
    return;
  }
  if (interface && ks_interface_name_is_valid (interface))
    profile->interface = g_steal_pointer (&interface);
  if (profile->vpn_type == KS_VPN_NONE) {
    if (ks_profile_wants (profile))
      ks_profile_warn_of_type (profile, file, keyfile->warnings);
    return;
  }
  read_overrides (file, profile, keyfile->errors);
  known_errors = keyfile->errors->len;
  ks_profile_read_connection (profile, file, keyfile->errors);
  if (keyfile->errors->len == known_errors)
    ks_profile_warn_of_server (profile, keyfile->warnings);
  keyfile->profile = g_steal_pointer (&profile);
}

static void
add_keyfile (KsProfileSet *set, KsKeyfile *keyfile, GHashTable *uids, GPtrArray *errors)
{
  KsProfile *profile = keyfile->profile;

  g_ptr_array_extend_and_steal (errors, g_steal_pointer (&keyfile->errors));
  g_ptr_array_extend_and_steal (set->warnings, g_steal_pointer (&keyfile->warnings));
  if (keyfile->is_unclear)
    g_ptr_array_add (set->unclear, g_strdup (keyfile->path));
  if (!profile)
    return;
  add_uids (profile, uids);
  g_ptr_array_add (set->profiles, g_steal_pointer (&keyfile->profile));
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
                     KsProfileMemory *memory, GPtrArray *errors)
{
  g_autoptr (GHashTable) uids = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GPtrArray) keyfiles = NULL;
  KsProfileSet *set = g_new0 (KsProfileSet, 1);
  Reader r = { .config = config, .zone_directories = zone_directories };

  set->profiles = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_profile_free);
  set->unreadable = g_ptr_array_new_with_free_func (g_free);
  set->unclear = g_ptr_array_new_with_free_func (g_free);
  set->warnings = g_ptr_array_new_with_free_func (g_free);
  keyfiles = ks_keyfile_find (directories, memory, read_keyfile, &r, set->unreadable, errors);
  for (guint i = 0; i < keyfiles->len; i++)
    add_keyfile (set, keyfiles->pdata[i], uids, errors);
  g_ptr_array_sort (set->profiles, compare_paths);
  g_ptr_array_sort (set->warnings, compare_strings);
  return set;
}
