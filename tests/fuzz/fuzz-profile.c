/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Input: a keyfile of NetworkManager. */
#include "fuzz.h"

#include "input/ks-event.h"
#include "input/ks-profile-read.h"
#include "value/ks-interface.h"

static void
check (const KsProfile *profile)
{
  g_assert (profile->path && profile->id && ks_profile_key (profile));
  g_assert (profile->vpn_type != KS_VPN_NONE && profile->reason != KS_REASON_NONE);
  g_assert (!profile->interface || ks_interface_name_is_valid (profile->interface));
  g_assert (profile->uids->len > 0 && g_array_index (profile->uids, guint32, 0) == 0);
  for (guint i = 0; i < profile->prefixes->len; i++)
    g_assert (g_array_index (profile->prefixes, KsPrefix, i).length > 0);
}

void
fuzz_profile (const uint8_t *data, size_t size)
{
  const KsProfileDirectory directories[] = { { fuzz_directory (), FALSE, TRUE }, { NULL, FALSE, FALSE } };
  const char *const zone_directories[] = { NULL };
  g_autoptr (GPtrArray) errors = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);
  g_autoptr (KsConfig) config = ks_config_new ();
  g_autoptr (KsProfileSet) set = NULL;

  fuzz_file ("profile.nmconnection", data, size);
  set = ks_profile_set_read (directories, zone_directories, config, NULL, errors);
  fuzz_check_messages (errors);
  g_assert (set->profiles->len + set->unreadable->len <= 1);
  for (guint i = 0; i < set->profiles->len; i++)
    check (set->profiles->pdata[i]);
  for (guint i = 0; i < set->warnings->len; i++)
    g_assert (g_utf8_validate (set->warnings->pdata[i], -1, NULL));
}

KS_FUZZ_ENTRY (fuzz_profile)
