/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run/ks-choice.h"

#include <string.h>

#include "base/ks-error.h"
#include "input/ks-config-read.h"

/* A person is waiting; a thousand profiles take less than a second. */
#define TIMEOUT_MS 10000

KsChoice *
ks_choice_read (const KsPaths *paths)
{
  KsChoice *self = g_new0 (KsChoice, 1);

  self->errors = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);
  self->profiles = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_profile_free);
  self->config = ks_config_read (paths->config, self->errors);
  self->bus = ks_bus_new (TIMEOUT_MS, &self->silence);
  self->connections = self->bus ? ks_nm_connection_list (self->bus, &self->silence) : NULL;
  if (!self->connections)
    self->connections = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_nm_connection_free);
  for (guint i = 0; i < self->connections->len; i++)
    g_ptr_array_add (self->profiles, ks_nm_connection_profile (self->connections->pdata[i], self->config));
  for (guint i = 0; i < self->config->sections->len; i++)
    g_ptr_array_add (self->profiles, ks_profile_new_of_section (self->config->sections->pdata[i], paths->config));
  return self;
}

void
ks_choice_free (KsChoice *self)
{
  g_ptr_array_unref (self->profiles);
  g_ptr_array_unref (self->connections);
  g_clear_pointer (&self->bus, ks_bus_free);
  g_clear_error (&self->silence);
  g_ptr_array_unref (self->errors);
  ks_config_free (self->config);
  g_free (self);
}

const KsNmConnection *
ks_choice_connection (const KsChoice *self, const KsProfile *profile)
{
  guint index;

  if (!g_ptr_array_find (self->profiles, profile, &index) || index >= self->connections->len)
    return NULL;
  return self->connections->pdata[index];
}

static gboolean
is_meant (const KsProfile *profile, const KsNmConnection *connection, const char *name)
{
  if (strcmp (profile->id, name) == 0 || g_ascii_strcasecmp (profile->uuid, name) == 0)
    return TRUE;
  return connection && (g_strcmp0 (connection->filename, name) == 0 || strcmp (connection->object, name) == 0);
}

GPtrArray *
ks_choice_find (const KsChoice *self, const char *name)
{
  GPtrArray *matches = g_ptr_array_new ();

  for (guint i = 0; i < self->profiles->len; i++) {
    KsProfile *profile = self->profiles->pdata[i];

    if (is_meant (profile, ks_choice_connection (self, profile), name))
      g_ptr_array_add (matches, profile);
  }
  return matches;
}

char *
ks_choice_format (const GPtrArray *matches)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < matches->len; i++) {
    const KsProfile *profile = matches->pdata[i];
    g_autofree char *line = g_strdup_printf ("%s  %s  %s", profile->uuid, profile->type, profile->path);
    g_autofree char *printable = ks_error_printable (line);

    g_string_append_printf (out, "  %s\n", printable);
  }
  return g_string_free (out, FALSE);
}

KsNetwork *
ks_choice_network (const KsChoice *self)
{
  g_autoptr (GPtrArray) vpns = g_ptr_array_new ();

  for (guint i = 0; i < self->connections->len; i++) {
    KsProfile *profile = self->profiles->pdata[i];

    if (profile->vpn_type != KS_VPN_NONE)
      g_ptr_array_add (vpns, profile);
  }
  return self->bus ? ks_network_read (vpns, TIMEOUT_MS, NULL) : NULL;
}
