/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "state/ks-state.h"

#include <string.h>

static void
remembered_free (gpointer data)
{
  KsRemembered *self = data;

  ks_profile_free (self->profile);
  g_ptr_array_unref (self->former);
  g_free (self->tunnel);
  g_array_unref (self->prefixes);
  g_array_unref (self->addresses);
  g_free (self->session);
  g_free (self->disabled);
  g_array_unref (self->disabled_devices);
  g_free (self);
}

KsRemembered *
ks_state_add (KsState *state, KsProfile *profile)
{
  KsRemembered *self = g_new0 (KsRemembered, 1);

  self->profile = profile;
  self->former = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_endpoint_free);
  self->prefixes = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  self->addresses = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  self->disabled_devices = g_array_new (FALSE, FALSE, sizeof (guint32));
  g_ptr_array_add (state->remembered, self);
  g_hash_table_insert (state->index, g_strdup (ks_profile_key (profile)), self);
  return self;
}

KsState *
ks_state_new (void)
{
  KsState *self = g_new0 (KsState, 1);

  self->remembered = g_ptr_array_new_with_free_func (remembered_free);
  self->index = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  self->answers = ks_answers_new ();
  self->unclear = g_ptr_array_new_with_free_func (g_free);
  return self;
}

void
ks_state_free (KsState *self)
{
  g_hash_table_unref (self->index);
  g_ptr_array_unref (self->remembered);
  ks_answers_free (self->answers);
  g_clear_pointer (&self->numbers, ks_config_free);
  g_ptr_array_unref (self->unclear);
  g_free (self->released);
  g_free (self);
}

void
ks_state_set_numbers (KsState *self, const KsConfig *config)
{
  g_clear_pointer (&self->numbers, ks_config_free);
  self->numbers = ks_config_new ();
  ks_config_set_numbers (self->numbers, config);
}

KsRemembered *
ks_state_find (const KsState *self, const char *key)
{
  return g_hash_table_lookup (self->index, key);
}

static GArray *
copy_array (const GArray *array, guint size)
{
  GArray *copy = g_array_new (FALSE, FALSE, size);

  g_array_append_vals (copy, array->data, array->len);
  return copy;
}

static KsProfile *
copy_profile (const KsProfile *profile)
{
  KsProfile *copy = g_memdup2 (profile, sizeof *profile);

  copy->path = g_strdup (profile->path);
  copy->uuid = g_strdup (profile->uuid);
  copy->id = g_strdup (profile->id);
  copy->type = g_strdup (profile->type);
  copy->interface = g_strdup (profile->interface);
  copy->service = g_strdup (profile->service);
  copy->endpoints = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_endpoint_free);
  for (guint i = 0; i < profile->endpoints->len; i++)
    g_ptr_array_add (copy->endpoints, ks_endpoint_copy (profile->endpoints->pdata[i]));
  copy->prefixes = copy_array (profile->prefixes, sizeof (KsPrefix));
  copy->nameservers = copy_array (profile->nameservers, sizeof (KsPrefix));
  copy->uids = copy_array (profile->uids, sizeof (guint32));
  return copy;
}

/* Keeps servers that @profile no longer names, since its VPN may still send there. A section takes effect at once. */
static void
keep_former (KsRemembered *self, const KsProfile *profile)
{
  const GPtrArray *before = self->profile->endpoints;

  for (guint i = 0; profile->vpn_type != KS_VPN_SECTION && i < before->len; i++)
    if (!ks_endpoint_array_contains (profile->endpoints, before->pdata[i]))
      ks_endpoint_array_add (self->former, before->pdata[i]);
}

KsRemembered *
ks_state_remember (KsState *self, const KsProfile *profile)
{
  KsRemembered *remembered = ks_state_find (self, ks_profile_key (profile));

  if (!remembered) {
    remembered = ks_state_add (self, copy_profile (profile));
  } else if (remembered->profile != profile) {
    keep_former (remembered, profile);
    ks_profile_free (remembered->profile);
    remembered->profile = copy_profile (profile);
  }
  return remembered;
}

/* The host names in use (set of char*, transfer full). */
static GHashTable *
find_hosts (const KsState *self)
{
  GHashTable *hosts = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < self->remembered->len; i++) {
    const KsRemembered *remembered = self->remembered->pdata[i];
    const GPtrArray *lists[] = { remembered->profile->endpoints, remembered->former };

    for (guint j = 0; j < G_N_ELEMENTS (lists); j++)
      for (guint k = 0; k < lists[j]->len; k++)
        g_hash_table_add (hosts, ((const KsEndpoint *) lists[j]->pdata[k])->host);
  }
  return hosts;
}

/* Removes the names that are not among @asked from @hosts, a table indexed by name. */
static void
forget_hosts (GHashTable *hosts, GHashTable *asked)
{
  GHashTableIter iter;
  gpointer host;

  g_hash_table_iter_init (&iter, hosts);
  while (g_hash_table_iter_next (&iter, &host, NULL))
    if (!g_hash_table_contains (asked, host))
      g_hash_table_iter_remove (&iter);
}

void
ks_state_keep_only (KsState *self, GHashTable *keys)
{
  g_autoptr (GHashTable) asked = NULL;
  guint kept = 0;

  for (guint i = 0; i < self->remembered->len; i++) {
    KsRemembered *remembered = self->remembered->pdata[i];
    const char *key = ks_profile_key (remembered->profile);

    if (g_hash_table_contains (keys, key)) {
      self->remembered->pdata[kept++] = remembered;
    } else {
      g_hash_table_remove (self->index, key);
      remembered_free (remembered);
    }
  }
  /* the entries behind were moved or freed */
  g_ptr_array_set_free_func (self->remembered, NULL);
  g_ptr_array_set_size (self->remembered, (int) kept);
  g_ptr_array_set_free_func (self->remembered, remembered_free);
  asked = find_hosts (self);
  forget_hosts (self->answers->addresses, asked);
  forget_hosts (self->answers->aliases, asked);
}
