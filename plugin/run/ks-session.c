/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run/ks-session.h"

/* Ends sessions of an earlier boot. */
static void
end_earlier_boot (KsRemembered *remembered, const char *boot)
{
  if (remembered->session && g_strcmp0 (remembered->session, boot) != 0) {
    g_clear_pointer (&remembered->session, g_free);
    remembered->leaving = FALSE;
  }
  if (remembered->disabled && g_strcmp0 (remembered->disabled, boot) != 0)
    g_clear_pointer (&remembered->disabled, g_free);
}

static void
begin_session (KsRemembered *remembered, const char *boot)
{
  g_free (remembered->session);
  remembered->session = g_strdup (boot);
}

void
ks_session_update (KsRemembered *remembered, const KsNetwork *network, const KsEvent *event, const char *boot)
{
  const KsProfile *profile = remembered->profile;
  const char *key = ks_profile_key (profile);
  KsActiveState active;

  end_earlier_boot (remembered, boot);
  if (!network)
    return;
  active = ks_network_active_state (network, key);
  if (ks_event_is_of (event, profile) && ks_event_is_pre_down (event) && !network->leaving) {
    remembered->leaving = TRUE;
  } else if (active == KS_ACTIVE_ACTIVATED
             || (active == KS_ACTIVE_ACTIVATING && ks_tunnel_find (network->tunnels, key))) {
    remembered->leaving = FALSE;
    begin_session (remembered, boot);
  } else if (active == KS_ACTIVE_NO && remembered->leaving) {
    remembered->leaving = FALSE;
    g_clear_pointer (&remembered->session, g_free);
  }
}

/* True if one of @devices did not exist when the user disabled the section. */
static gboolean
has_new_device (const KsRemembered *remembered, const GArray *devices)
{
  for (guint i = 0; i < devices->len; i++) {
    guint32 index = g_array_index (devices, guint32, i);
    gboolean is_known = FALSE;

    for (guint j = 0; j < remembered->disabled_devices->len && !is_known; j++)
      is_known = g_array_index (remembered->disabled_devices, guint32, j) == index;
    if (!is_known)
      return TRUE;
  }
  return FALSE;
}

static void
disable (KsRemembered *remembered, const GArray *devices, const char *boot)
{
  g_clear_pointer (&remembered->session, g_free);
  g_free (remembered->disabled);
  remembered->disabled = g_strdup (boot);
  g_array_set_size (remembered->disabled_devices, 0);
  g_array_append_vals (remembered->disabled_devices, devices->data, devices->len);
}

void
ks_session_update_section (KsRemembered *remembered, const GArray *devices, const KsEvent *event, const char *boot)
{
  gboolean is_ours = ks_event_is_of (event, remembered->profile);

  end_earlier_boot (remembered, boot);
  if (is_ours && event->action == KS_ACTION_DISABLE) {
    disable (remembered, devices, boot);
    return;
  }
  if (!(is_ours && event->action == KS_ACTION_ENABLE)
      && (remembered->disabled ? !has_new_device (remembered, devices) : devices->len == 0))
    return;
  g_clear_pointer (&remembered->disabled, g_free);
  begin_session (remembered, boot);
}
