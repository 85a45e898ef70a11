/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "input/ks-profile-warning.h"

#include <string.h>

#include "base/ks-error.h"
#include "base/ks-shell.h"
#include "value/ks-spelling.h"

static const char *const keys[] = { KS_USER_DATA_MODE, KS_USER_DATA_LAN, KS_USER_DATA_DNS, KS_USER_DATA_TRANSPORT,
                                    NULL };

/* The command that sets the profile's zone to @zone, to be pasted into a shell (transfer full). */
static char *
format_command (const KsProfile *profile, const char *zone)
{
  g_autofree char *name = ks_shell_profile (profile->id, profile->uuid);
  g_autofree char *value = ks_shell_word (zone);

  return g_strdup_printf ("nmcli connection modify %s connection.zone %s", name, value);
}

static void add_warning (GPtrArray *warnings, const char *format, ...) G_GNUC_PRINTF (2, 3);

static void
add_warning (GPtrArray *warnings, const char *format, ...)
{
  g_autofree char *text = NULL;
  va_list arguments;

  va_start (arguments, format);
  text = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_ptr_array_add (warnings, ks_error_printable (text));
}

/* --- the zone --- */

static gboolean
is_zone_of_firewalld (const char *zone, const char *const *directories)
{
  g_autofree char *name = g_strconcat (zone, ".xml", NULL);

  if (strchr (zone, '/'))
    return FALSE;
  for (guint i = 0; directories[i]; i++) {
    g_autofree char *path = g_build_filename (directories[i], name, NULL);

    if (g_file_test (path, G_FILE_TEST_EXISTS))
      return TRUE;
  }
  return FALSE;
}

static const char *
find_close (char **names, const char *text)
{
  for (char **name = names; *name; name++)
    if (ks_spelling_is_close (text, *name))
      return *name;
  return NULL;
}

const char *
ks_profile_find_meant_zone (const KsConfig *config, const char *zone, const char *const *directories)
{
  g_autoptr (KsConfig) defaults = NULL;
  const char *meant = NULL;

  if (!is_zone_of_firewalld (zone, directories)) {
    meant = find_close (config->zones, zone);
    if (!meant)
      meant = find_close (config->session_zones, zone);
    if (meant)
      return meant;
  }
  /* the names in the manual, on a host that configures other zones; the package installs files for these two */
  defaults = ks_config_new ();
  if (g_strv_contains ((const char *const *) defaults->zones, zone))
    return config->zones[0];
  if (g_strv_contains ((const char *const *) defaults->session_zones, zone))
    return config->session_zones[0];
  return NULL;
}

static void
check_zone (const KsProfile *profile, GKeyFile *file, const KsConfig *config, const char *const *directories,
            GPtrArray *warnings)
{
  g_autofree char *zone = g_key_file_get_string (file, "connection", "zone", NULL);
  const char *meant = zone && *zone ? ks_profile_find_meant_zone (config, zone, directories) : NULL;
  g_autofree char *command = meant ? format_command (profile, meant) : NULL;

  if (meant)
    add_warning (warnings, "zone '%s' of '%s' does not arm the kill switch; did you mean '%s'? Run: %s", zone,
                 profile->id, meant, command);
}

/* --- user data --- */

/* Which of our keys @key was probably meant to be; NULL if it is a foreign one. */
static const char *
find_meant_key (const char *key)
{
  static const char prefix[] = "nm-";

  for (guint i = 0; keys[i]; i++)
    if (ks_spelling_is_close (key, keys[i]) || g_str_equal (key, keys[i] + strlen (prefix))
        || ks_spelling_is_close (key, keys[i] + strlen (prefix)))
      return keys[i];
  return NULL;
}

/* The zone equivalent to a misspelt mode key; NULL if that does not arm. */
static const char *
zone_for_mode (const KsConfig *config, const char *value)
{
  KsMode mode = KS_MODE_STRICT;

  ks_mode_parse (value, &mode);
  if (mode == KS_MODE_OFF)
    return NULL;
  return mode == KS_MODE_SESSION ? config->session_zones[0] : config->zones[0];
}

static void
check_key (const KsProfile *profile, GKeyFile *file, const char *key, const KsConfig *config, GPtrArray *warnings)
{
  const char *meant = find_meant_key (key);
  g_autofree char *value = g_key_file_get_value (file, "user", key, NULL);
  g_autofree char *path = ks_shell_word (profile->path);
  g_autoptr (GString) text = g_string_new (NULL);
  const char *zone = NULL;

  if (!meant && !g_str_has_prefix (key, "nm-killswitch."))
    return;
  g_string_append_printf (text, "user data key '%s' of '%s' has no effect", key, profile->id);
  if (meant)
    g_string_append_printf (text, "; did you mean '%s'?", meant);
  else
    g_string_append (text, ": there is no such key.");
  g_string_append_printf (text, " Edit %s, then run: nmcli connection reload", path);
  if (g_strcmp0 (meant, KS_USER_DATA_MODE) == 0 && !ks_profile_wants (profile))
    zone = zone_for_mode (config, value ? value : "");
  if (zone) {
    g_autofree char *command = format_command (profile, zone);

    g_string_append_printf (text, "; or set the zone instead: %s", command);
  }
  add_warning (warnings, "%s", text->str);
}

void
ks_profile_warn_of_misspellings (const KsProfile *profile, GKeyFile *file, const KsConfig *config,
                                 const char *const *zone_directories, GPtrArray *warnings)
{
  g_auto (GStrv) names = g_key_file_get_keys (file, "user", NULL, NULL);

  if (profile->reason == KS_REASON_NONE)
    check_zone (profile, file, config, zone_directories, warnings);
  for (char **name = names; name && *name; name++)
    if (!g_strv_contains (keys, *name))
      check_key (profile, file, *name, config, warnings);
}

/* --- connections that are not VPNs --- */

void
ks_profile_warn_of_type (const KsProfile *profile, GKeyFile *file, GPtrArray *warnings)
{
  static const struct {
    const char *type, *name;
  } names[] = { { "802-3-ethernet", "ethernet" }, { "802-11-wireless", "wifi" } };
  g_autofree char *zone = g_key_file_get_string (file, "connection", "zone", NULL);
  g_autofree char *setting = profile->reason == KS_REASON_ZONE ? g_strdup_printf ("zone '%s'", zone)
                                                               : g_strdup ("user data key '" KS_USER_DATA_MODE "'");
  const char *type = profile->type;

  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    if (g_strcmp0 (type, names[i].type) == 0)
      type = names[i].name;
  if (!type || !*type)
    add_warning (warnings, "%s has no effect on '%s': the profile does not say what type of connection it is", setting,
                 profile->id);
  else
    add_warning (warnings, "%s has no effect on '%s': it is %s %s connection, not a VPN", setting, profile->id,
                 strchr ("aeiou", g_ascii_tolower (*type)) ? "an" : "a", type);
}

void
ks_profile_warn_of_server (const KsProfile *profile, GPtrArray *warnings)
{
  g_autofree char *name = NULL, *service = NULL;

  if (!ks_profile_wants (profile) || profile->vpn_type != KS_VPN_PLUGIN || profile->endpoints->len > 0)
    return;
  name = ks_error_printable (profile->id);
  service = ks_error_printable (profile->service ? profile->service : "no service-type");
  g_ptr_array_add (warnings, g_strdup_printf ("profile '%s' (%s) has no setting that names its server: this VPN cannot "
                                              "connect while the kill switch blocks. Add a section to " KS_SYSCONFDIR
                                              "/nm-killswitch.conf that names its device and its server, in three "
                                              "lines: [vpn %s], Interface=tun*, To=vpn.example.com",
                                              name, service, name));
}
