/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/ks-summary-file.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/ks-error.h"
#include "base/ks-json-read.h"
#include "base/ks-json.h"

/* Only root writes the file, but anything longer than this was not written by us. */
#define MAX_SIZE (8 << 20)

static void
summary_profile_free (gpointer data)
{
  KsSummaryProfile *self = data;

  g_free (self->id);
  g_free (self->uuid);
  g_free (self->type);
  g_free (self->mode);
  g_free (self->reason);
  g_free (self->tunnel);
  g_ptr_array_unref (self->more_tunnels);
  g_free (self->inside);
  g_free (self);
}

KsSummary *
ks_summary_new_empty (void)
{
  KsSummary *self = g_new0 (KsSummary, 1);

  self->since = -1;
  self->profiles = g_ptr_array_new_with_free_func (summary_profile_free);
  return self;
}

void
ks_summary_free (KsSummary *self)
{
  g_free (self->state);
  g_free (self->lan);
  g_free (self->dns);
  g_ptr_array_unref (self->profiles);
  g_free (self);
}

gint64
ks_summary_now (void)
{
  struct timespec now;

  clock_gettime (CLOCK_BOOTTIME, &now);
  return now.tv_sec;
}

KsSummaryProfile *
ks_summary_add_profile (KsSummary *self)
{
  KsSummaryProfile *profile = g_new0 (KsSummaryProfile, 1);

  profile->more_tunnels = g_ptr_array_new_with_free_func (g_free);
  g_ptr_array_add (self->profiles, profile);
  return profile;
}

const KsSummaryProfile *
ks_summary_find (const KsSummary *self, const char *uuid, const char *id)
{
  for (guint i = 0; i < self->profiles->len; i++) {
    const KsSummaryProfile *profile = self->profiles->pdata[i];

    if (uuid ? profile->uuid && g_ascii_strcasecmp (profile->uuid, uuid) == 0
             : !profile->uuid && g_strcmp0 (profile->id, id) == 0)
      return profile;
  }
  return NULL;
}

gboolean
ks_summary_is_armed (const KsSummary *self)
{
  return self->profiles->len > 0 && strcmp (self->state, "released") != 0;
}

/* --- the text --- */

char *
ks_summary_format (const KsSummary *self)
{
  KsJson json = { .text = g_string_new (NULL) };

  ks_json_open (&json, NULL, '{');
  ks_json_number (&json, "file_version", KS_SUMMARY_VERSION);
  ks_json_string (&json, "state", self->state);
  if (self->since >= 0)
    ks_json_number (&json, "since_boottime", (guint64) self->since);
  ks_json_boolean (&json, "networkmanager", self->networkmanager);
  ks_json_string (&json, "lan", self->lan);
  ks_json_string (&json, "dns", self->dns);
  ks_json_boolean (&json, "guard", self->guard);
  ks_json_number (&json, "warnings", self->warnings);
  ks_json_number (&json, "errors", self->errors);
  ks_json_open (&json, "armed", '[');
  for (guint i = 0; i < self->profiles->len; i++) {
    const KsSummaryProfile *profile = self->profiles->pdata[i];

    ks_json_open (&json, NULL, '{');
    ks_json_string (&json, "id", profile->id);
    ks_json_string (&json, "uuid", profile->uuid);
    ks_json_string (&json, "type", profile->type);
    ks_json_string (&json, "mode", profile->mode);
    ks_json_string (&json, "reason", profile->reason);
    ks_json_string (&json, "tunnel", profile->tunnel);
    ks_json_open (&json, "more_tunnels", '[');
    for (guint j = 0; j < profile->more_tunnels->len; j++)
      ks_json_string (&json, NULL, profile->more_tunnels->pdata[j]);
    ks_json_close (&json, ']');
    ks_json_string (&json, "inside", profile->inside);
    ks_json_boolean (&json, "server_known", profile->has_server);
    ks_json_close (&json, '}');
  }
  ks_json_close (&json, ']');
  ks_json_close (&json, '}');
  g_string_append_c (json.text, '\n');
  return g_string_free (json.text, FALSE);
}

static char *
get_string (GVariant *members, const char *key)
{
  const char *value = NULL;

  g_variant_lookup (members, key, "&s", &value);
  return g_strdup (value);
}

/* Adds the strings of an array, which may be missing, to @strings (of char*). */
static void
get_strings (GVariant *members, const char *key, GPtrArray *strings)
{
  g_autoptr (GVariant) array = g_variant_lookup_value (members, key, G_VARIANT_TYPE ("av"));

  for (gsize i = 0; array && i < g_variant_n_children (array); i++) {
    g_autoptr (GVariant) boxed = g_variant_get_child_value (array, i);
    g_autoptr (GVariant) value = g_variant_get_variant (boxed);

    if (g_variant_is_of_type (value, G_VARIANT_TYPE_STRING))
      g_ptr_array_add (strings, g_variant_dup_string (value, NULL));
  }
}

static gint64
get_number (GVariant *members, const char *key)
{
  gint64 value = -1;

  g_variant_lookup (members, key, "x", &value);
  return value;
}

static gboolean
get_boolean (GVariant *members, const char *key)
{
  gboolean value = FALSE;

  g_variant_lookup (members, key, "b", &value);
  return value;
}

/* FALSE if a required member is missing. */
static gboolean
parse_profile (GVariant *members, KsSummary *self)
{
  KsSummaryProfile *profile = ks_summary_add_profile (self);

  profile->id = get_string (members, "id");
  profile->uuid = get_string (members, "uuid");
  profile->type = get_string (members, "type");
  profile->mode = get_string (members, "mode");
  profile->reason = get_string (members, "reason");
  profile->tunnel = get_string (members, "tunnel");
  get_strings (members, "more_tunnels", profile->more_tunnels);
  profile->inside = get_string (members, "inside");
  profile->has_server = get_boolean (members, "server_known");
  return profile->id && profile->type && profile->mode && profile->reason;
}

static gboolean
parse_profiles (GVariant *list, KsSummary *self)
{
  for (gsize i = 0; i < g_variant_n_children (list); i++) {
    g_autoptr (GVariant) boxed = g_variant_get_child_value (list, i);
    g_autoptr (GVariant) members = g_variant_get_variant (boxed);

    if (!g_variant_is_of_type (members, G_VARIANT_TYPE_VARDICT) || !parse_profile (members, self))
      return FALSE;
  }
  return TRUE;
}

static gboolean
parse_members (GVariant *members, KsSummary *self)
{
  g_autoptr (GVariant) armed = g_variant_lookup_value (members, "armed", G_VARIANT_TYPE ("av"));
  gint64 warnings = get_number (members, "warnings"), errors = get_number (members, "errors");

  self->state = get_string (members, "state");
  self->since = get_number (members, "since_boottime");
  self->networkmanager = get_boolean (members, "networkmanager");
  self->lan = get_string (members, "lan");
  self->dns = get_string (members, "dns");
  self->guard = get_boolean (members, "guard");
  self->warnings = (guint) CLAMP (warnings, 0, G_MAXINT);
  self->errors = (guint) CLAMP (errors, 0, G_MAXINT);
  return self->state && armed && parse_profiles (armed, self);
}

KsSummary *
ks_summary_parse (const char *text, GError **error)
{
  g_autoptr (GVariant) members = ks_json_read (text, error);
  g_autoptr (KsSummary) self = NULL;

  if (!members)
    return NULL;
  self = ks_summary_new_empty ();
  if (g_variant_is_of_type (members, G_VARIANT_TYPE_VARDICT)
      && get_number (members, "file_version") == KS_SUMMARY_VERSION && parse_members (members, self))
    return g_steal_pointer (&self);
  g_set_error (error, KS_ERROR, KS_ERROR_INVALID, "not a status file of version %d", KS_SUMMARY_VERSION);
  return NULL;
}

gint64
ks_summary_find_since (const char *text)
{
  const char *found = strstr (text, "\"since_boottime\"");
  const char *digits = found ? strpbrk (found, "0123456789,}") : NULL;
  gint64 value = digits ? g_ascii_strtoll (digits, NULL, 10) : 0;

  return digits && g_ascii_isdigit (*digits) && value >= 0 ? value : -1;
}

/* --- the file --- */

char *
ks_summary_read_text (const KsPaths *paths)
{
  g_autofree char *path = ks_paths_runtime (paths, KS_STATUS_NAME);
  g_autofree char *text = NULL;
  GStatBuf status;

  if (g_stat (path, &status) < 0 || status.st_size > MAX_SIZE)
    return NULL;
  return g_file_get_contents (path, &text, NULL, NULL) ? g_steal_pointer (&text) : NULL;
}

KsSummary *
ks_summary_read (const KsPaths *paths, GError **error)
{
  g_autofree char *path = ks_paths_runtime (paths, KS_STATUS_NAME);
  g_autofree char *text = ks_summary_read_text (paths);
  KsSummary *self;

  if (!text) {
    g_set_error (error, KS_ERROR, KS_ERROR_IO, "cannot read %s: %s", path, g_strerror (errno));
    return NULL;
  }
  self = ks_summary_parse (text, error);
  if (!self)
    g_prefix_error (error, "%s: ", path);
  return self;
}
