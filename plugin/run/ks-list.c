/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run/ks-list.h"

#include <string.h>

#include "base/ks-error.h"
#include "input/ks-profile-warning.h"

static void
entry_free (gpointer data)
{
  KsListEntry *self = data;

  g_free (self->id);
  g_free (self->uuid);
  g_free (self->type);
  g_free (self->reason);
  g_free (self->device);
  g_free (self);
}

void
ks_list_free (KsList *self)
{
  g_ptr_array_unref (self->entries);
  g_ptr_array_unref (self->mistakes);
  g_free (self);
}

/* What arms it is what the last run found, which may differ from what NetworkManager has loaded. */
static void
set_armed (KsListEntry *entry, const KsSummaryProfile *armed)
{
  entry->is_armed = TRUE;
  if (!ks_mode_parse (armed->mode, &entry->mode))
    entry->mode = KS_MODE_STRICT;
  g_free (entry->reason);
  entry->reason = g_strdup (armed->reason);
  entry->server = armed->has_server ? KS_SERVER_KNOWN : KS_SERVER_UNKNOWN;
  if (armed->tunnel) {
    entry->is_up = TRUE;
    g_free (entry->device);
    entry->device = g_strdup (armed->tunnel);
  }
}

static KsListEntry *
entry_new (const KsProfile *profile, const KsNetwork *network, const KsSummary *summary)
{
  KsListEntry *self = g_new0 (KsListEntry, 1);
  gboolean is_section = profile->vpn_type == KS_VPN_SECTION;
  const char *key = ks_profile_key (profile);
  const KsTunnel *tunnel = network ? ks_tunnel_find (network->tunnels, key) : NULL;
  const KsSummaryProfile *armed = ks_summary_find (summary, is_section ? NULL : profile->uuid, profile->id);

  self->id = g_strdup (profile->id);
  self->uuid = is_section ? NULL : g_strdup (profile->uuid);
  self->type = g_strdup (profile->type);
  self->mode = profile->mode;
  self->reason = profile->reason == KS_REASON_NONE ? NULL : ks_profile_format_reason (profile);
  self->is_up = network && ks_network_active_state (network, key) == KS_ACTIVE_ACTIVATED;
  self->device = g_strdup (tunnel ? tunnel->interface : NULL);
  self->server = KS_SERVER_NOT_ASKED;
  if (armed)
    set_armed (self, armed);
  return self;
}

/* An armed profile that NetworkManager does not show: its file is unreadable, or it belongs to another user. */
static KsListEntry *
entry_new_of_armed (const KsSummaryProfile *armed)
{
  KsListEntry *self = g_new0 (KsListEntry, 1);

  self->id = g_strdup (armed->id);
  self->uuid = g_strdup (armed->uuid);
  self->type = g_strdup (armed->type);
  set_armed (self, armed);
  return self;
}

static void
add_once (GPtrArray *texts, const char *text)
{
  if (!g_ptr_array_find_with_equal_func (texts, text, g_str_equal, NULL))
    g_ptr_array_add (texts, g_strdup (text));
}

/* Likely mistakes in a profile of NetworkManager's. */
static void
find_mistakes (const KsChoice *choice, const KsProfile *profile, const KsPaths *paths, GPtrArray *mistakes)
{
  const KsNmConnection *connection = ks_choice_connection (choice, profile);
  g_autoptr (GPtrArray) found = g_ptr_array_new_with_free_func (g_free);

  if (!connection)
    return;
  if (profile->vpn_type != KS_VPN_NONE)
    ks_profile_warn_of_misspellings (profile, connection->file, choice->config, paths->zones, found);
  else if (ks_profile_wants (profile))
    ks_profile_warn_of_type (profile, connection->file, found);
  if (profile->reason == KS_REASON_INVALID) {
    g_autofree char *text =
      g_strdup_printf ("user data key '" KS_USER_DATA_MODE "' of '%s' is '%s', which is not one of "
                       "strict, session, off: armed as strict",
                       profile->id, connection->mode);

    g_ptr_array_add (found, ks_error_printable (text));
  }
  for (guint i = 0; i < found->len; i++)
    add_once (mistakes, found->pdata[i]);
}

/* A strict profile that is not armed: its file differs from what NetworkManager has, or no run has seen it. */
static void
find_unarmed (const KsListEntry *entry, const KsSummary *summary, GPtrArray *mistakes)
{
  g_autofree char *text = NULL;

  if (entry->mode != KS_MODE_STRICT || entry->is_armed || g_str_equal (summary->state, "released")
      || g_str_equal (summary->state, "unknown"))
    return;
  text = g_strdup_printf (
    "'%s' asks for the kill switch, but is not armed: run `nm-killswitch sync` as root to see why", entry->id);
  g_ptr_array_add (mistakes, ks_error_printable (text));
}

static int
compare_entries (gconstpointer a, gconstpointer b)
{
  const KsListEntry *first = *(const KsListEntry *const *) a, *second = *(const KsListEntry *const *) b;
  int order = g_utf8_collate (first->id, second->id);

  return order ? order : g_strcmp0 (first->uuid, second->uuid);
}

/* The device of a plugin VPN, for example, has such a connection beside the VPN's own profile. */
static gboolean
is_external (const KsChoice *choice, const KsProfile *profile)
{
  const KsNmConnection *connection = ks_choice_connection (choice, profile);

  return connection && connection->is_external;
}

static gboolean
is_listed (const KsChoice *choice, const KsSummaryProfile *armed)
{
  for (guint i = 0; i < choice->profiles->len; i++) {
    const KsProfile *profile = choice->profiles->pdata[i];
    gboolean is_section = profile->vpn_type == KS_VPN_SECTION;

    if (armed->uuid ? !is_section && g_ascii_strcasecmp (profile->uuid, armed->uuid) == 0
                    : is_section && strcmp (profile->id, armed->id) == 0)
      return TRUE;
  }
  return FALSE;
}

KsList *
ks_list_new (const KsChoice *choice, const KsNetwork *network, const KsSummary *summary, const GPtrArray *more,
             const KsPaths *paths)
{
  KsList *self = g_new0 (KsList, 1);

  self->entries = g_ptr_array_new_with_free_func (entry_free);
  self->mistakes = g_ptr_array_new_with_free_func (g_free);
  self->networkmanager = choice->silence == NULL;
  for (guint i = 0; i < choice->profiles->len; i++) {
    const KsProfile *profile = choice->profiles->pdata[i];

    if (is_external (choice, profile))
      continue;
    find_mistakes (choice, profile, paths, self->mistakes);
    if (profile->vpn_type != KS_VPN_NONE)
      g_ptr_array_add (self->entries, entry_new (profile, network, summary));
  }
  for (guint i = 0; i < summary->profiles->len; i++)
    if (!is_listed (choice, summary->profiles->pdata[i]))
      g_ptr_array_add (self->entries, entry_new_of_armed (summary->profiles->pdata[i]));
  for (guint i = 0; i < choice->errors->len; i++)
    add_once (self->mistakes, ((const GError *) choice->errors->pdata[i])->message);
  for (guint i = 0; more && i < more->len; i++)
    add_once (self->mistakes, more->pdata[i]);
  for (guint i = 0; i < self->entries->len; i++)
    find_unarmed (self->entries->pdata[i], summary, self->mistakes);
  g_ptr_array_sort (self->entries, compare_entries);
  return self;
}
