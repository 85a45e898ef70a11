/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "input/ks-nm-connection.h"

#include <string.h>

#include "base/ks-error.h"
#include "input/ks-profile-warning.h"

#define SETTINGS_PATH "/org/freedesktop/NetworkManager/Settings"
#define SETTINGS_INTERFACE "org.freedesktop.NetworkManager.Settings"
#define CONNECTION_INTERFACE "org.freedesktop.NetworkManager.Settings.Connection"

/* A user may have to type a password. */
#define UPDATE_TIMEOUT_MS 120000
/* NMSettingsUpdate2Flags (nm-dbus-interface.h) */
#define UPDATE2_KEEP 0x0
#define UPDATE2_TO_DISK 0x1
/* NMSettingsConnectionFlags: NM_GENERATED and EXTERNAL (nm-dbus-interface.h) */
#define FLAGS_EXTERNAL (0x2 | 0x8)

void
ks_nm_connection_free (KsNmConnection *self)
{
  g_free (self->object);
  g_free (self->id);
  g_free (self->uuid);
  g_free (self->type);
  g_free (self->filename);
  g_clear_pointer (&self->file, g_key_file_unref);
  g_free (self->zone);
  g_free (self->mode);
  g_free (self->lan);
  g_free (self);
}

/* --- reading --- */

/* One setting, as a{sv}; empty if it does not exist. */
static GVariant *
get_group (GVariant *settings, const char *name)
{
  GVariant *group = g_variant_lookup_value (settings, name, G_VARIANT_TYPE_VARDICT);

  return group ? group : g_variant_ref_sink (g_variant_new_array (G_VARIANT_TYPE ("{sv}"), NULL, 0));
}

static GVariant *
get_user_data (GVariant *settings)
{
  g_autoptr (GVariant) user = get_group (settings, "user");
  GVariant *data = g_variant_lookup_value (user, "data", G_VARIANT_TYPE ("a{ss}"));

  return data ? data : g_variant_ref_sink (g_variant_new_array (G_VARIANT_TYPE ("{ss}"), NULL, 0));
}

static char *
get_text (GVariant *dictionary, const char *key)
{
  const char *text = NULL;

  g_variant_lookup (dictionary, key, "&s", &text);
  return g_strdup (text);
}

/* What a keyfile would contain, as far as the warnings need it. */
static GKeyFile *
make_file (const KsNmConnection *self, GVariant *data)
{
  GKeyFile *file = g_key_file_new ();
  GVariantIter iter;
  const char *key, *value;

  g_key_file_set_string (file, "connection", "id", self->id);
  g_key_file_set_string (file, "connection", "uuid", self->uuid);
  g_key_file_set_string (file, "connection", "type", self->type);
  if (self->zone)
    g_key_file_set_string (file, "connection", "zone", self->zone);
  g_variant_iter_init (&iter, data);
  while (g_variant_iter_next (&iter, "{&s&s}", &key, &value))
    g_key_file_set_string (file, "user", key, value);
  return file;
}

static GVariant *
get_settings (KsBus *bus, const char *object, guint timeout_ms, GError **error)
{
  g_autoptr (GVariant) reply =
    ks_bus_call (bus, object, CONNECTION_INTERFACE, "GetSettings", NULL, "(a{sa{sv}})", timeout_ms, error);

  return reply ? g_variant_get_child_value (reply, 0) : NULL;
}

/* NULL without an error for a connection that is gone, or that this user may not see. */
static KsNmConnection *
read_connection (KsBus *bus, const char *object, GError **error)
{
  g_autoptr (KsNmConnection) self = g_new0 (KsNmConnection, 1);
  g_autoptr (GError) local = NULL;
  g_autoptr (GVariant) settings = get_settings (bus, object, 0, &local);
  g_autoptr (GVariant) properties = NULL, connection = NULL, data = NULL;

  if (!settings) {
    if (g_error_matches (local, KS_ERROR, KS_ERROR_SILENT))
      g_propagate_error (error, g_steal_pointer (&local));
    return NULL;
  }
  properties = ks_bus_get_or_empty (bus, object, CONNECTION_INTERFACE, error);
  if (!properties)
    return NULL;
  connection = get_group (settings, "connection");
  data = get_user_data (settings);
  self->object = g_strdup (object);
  self->id = get_text (connection, "id");
  self->uuid = get_text (connection, "uuid");
  self->type = get_text (connection, "type");
  self->zone = get_text (connection, "zone");
  self->mode = get_text (data, KS_USER_DATA_MODE);
  self->lan = get_text (data, KS_USER_DATA_LAN);
  self->filename = g_strdup (ks_bus_string (properties, "Filename"));
  self->is_unsaved = ks_bus_boolean (properties, "Unsaved");
  self->is_external = (ks_bus_u32 (properties, "Flags") & FLAGS_EXTERNAL) != 0;
  if (!self->id || !self->uuid || !self->type)
    return NULL;
  self->file = make_file (self, data);
  return g_steal_pointer (&self);
}

GPtrArray *
ks_nm_connection_list (KsBus *bus, GError **error)
{
  g_autoptr (GPtrArray) connections = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_nm_connection_free);
  g_autoptr (GVariant) reply =
    ks_bus_call (bus, SETTINGS_PATH, SETTINGS_INTERFACE, "ListConnections", NULL, "(ao)", 0, error);
  g_autofree const char **objects = NULL;

  if (!reply)
    return NULL;
  g_variant_get (reply, "(^a&o)", &objects);
  for (guint i = 0; objects[i]; i++) {
    g_autoptr (GError) local = NULL;
    KsNmConnection *connection = read_connection (bus, objects[i], &local);

    if (local) {
      g_propagate_error (error, g_steal_pointer (&local));
      return NULL;
    }
    if (connection)
      g_ptr_array_add (connections, connection);
  }
  return g_steal_pointer (&connections);
}

KsProfile *
ks_nm_connection_profile (const KsNmConnection *self, const KsConfig *config)
{
  const KsSetting setting = { .zone = self->zone, .mode = self->mode };
  KsProfile *profile = ks_profile_new ();

  profile->id = g_strdup (self->id);
  profile->uuid = g_ascii_strdown (self->uuid, -1);
  profile->path = g_strdup (self->filename && *self->filename ? self->filename : self->uuid);
  profile->type = g_strdup (self->type);
  profile->vpn_type = ks_vpn_type_of (self->type);
  if (self->lan && !ks_lan_parse (self->lan, &profile->lan))
    profile->lan = KS_LAN_OFF; /* as in a run: ks-profile-read.c */
  ks_setting_apply (&setting, config, profile);
  return profile;
}

/* --- changing --- */

static const struct {
  const char *group, *old, *new;
} old_forms[] = {
  { "ipv4", "addresses", "address-data" }, { "ipv4", "routes", "route-data" }, { "ipv4", "dns", "dns-data" },
  { "ipv6", "addresses", "address-data" }, { "ipv6", "routes", "route-data" }, { "ipv6", "dns", "dns-data" },
};

static void
remove_old_forms (const char *group, GVariantDict *members)
{
  for (guint i = 0; i < G_N_ELEMENTS (old_forms); i++)
    if (g_str_equal (group, old_forms[i].group) && g_variant_dict_contains (members, old_forms[i].new))
      g_variant_dict_remove (members, old_forms[i].old);
}

/* User data @data (a{ss}) with @mode, or without a mode if that is NULL (floating). */
static GVariant *
edit_user_data (GVariant *data, const char *mode)
{
  GVariantBuilder builder;
  GVariantIter iter;
  const char *key, *value;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a{ss}"));
  g_variant_iter_init (&iter, data);
  while (g_variant_iter_next (&iter, "{&s&s}", &key, &value))
    if (!g_str_equal (key, KS_USER_DATA_MODE))
      g_variant_builder_add (&builder, "{ss}", key, value);
  if (mode)
    g_variant_builder_add (&builder, "{ss}", KS_USER_DATA_MODE, mode);
  return g_variant_builder_end (&builder);
}

static void
edit_group (GVariantBuilder *out, const char *group, GVariant *members, GVariant *data, const KsSetting *setting)
{
  GVariantDict dict;

  g_variant_dict_init (&dict, members);
  remove_old_forms (group, &dict);
  if (g_str_equal (group, "connection")) {
    g_variant_dict_remove (&dict, "zone");
    if (setting->zone && *setting->zone)
      g_variant_dict_insert (&dict, "zone", "s", setting->zone);
  }
  if (g_str_equal (group, "user"))
    g_variant_dict_insert_value (&dict, "data", edit_user_data (data, setting->mode));
  g_variant_builder_add (out, "{s@a{sv}}", group, g_variant_dict_end (&dict));
}

GVariant *
ks_nm_connection_edit (GVariant *settings, const KsSetting *setting)
{
  g_autoptr (GVariant) data = get_user_data (settings);
  GVariantBuilder builder;
  GVariantIter iter;
  const char *group;
  GVariant *members;
  gboolean has_user = FALSE;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("a{sa{sv}}"));
  g_variant_iter_init (&iter, settings);
  while (g_variant_iter_next (&iter, "{&s@a{sv}}", &group, &members)) {
    edit_group (&builder, group, members, data, setting);
    has_user |= g_str_equal (group, "user");
    g_variant_unref (members);
  }
  if (setting->mode && !has_user) {
    g_autoptr (GVariant) empty = g_variant_ref_sink (g_variant_new_array (G_VARIANT_TYPE ("{sv}"), NULL, 0));

    edit_group (&builder, "user", empty, data, setting);
  }
  return g_variant_builder_end (&builder);
}

gboolean
ks_nm_connection_set (KsBus *bus, const KsNmConnection *self, const KsSetting *setting, GError **error)
{
  g_autoptr (GVariant) settings = get_settings (bus, self->object, 0, error);
  g_autoptr (GVariant) reply = NULL;
  guint32 flags = self->is_unsaved ? UPDATE2_KEEP : UPDATE2_TO_DISK;
  GVariantBuilder none;

  if (!settings)
    return FALSE;
  g_variant_builder_init (&none, G_VARIANT_TYPE_VARDICT);
  /* NetworkManager keeps the secrets, none of which it has shown us (update_auth_cb() in nm-settings-connection.c) */
  reply = ks_bus_call (bus, self->object, CONNECTION_INTERFACE, "Update2",
                       g_variant_new ("(@a{sa{sv}}ua{sv})", ks_nm_connection_edit (settings, setting), flags, &none),
                       "(a{sv})", UPDATE_TIMEOUT_MS, error);
  return reply != NULL;
}
