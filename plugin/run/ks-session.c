/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run/ks-session.h"

void
ks_session_update (KsRemembered *remembered, const KsNetwork *network, const KsEvent *event, const char *boot)
{
  const KsProfile *profile = remembered->profile;
  const char *key = ks_profile_key (profile);
  KsActiveState active;

  if (remembered->session && g_strcmp0 (remembered->session, boot) != 0) {
    g_clear_pointer (&remembered->session, g_free); /* of an earlier boot */
    remembered->leaving = FALSE;
  }
  if (!network)
    return;
  active = ks_network_active_state (network, key);
  if (ks_event_is_of (event, profile) && ks_event_is_pre_down (event) && !network->leaving) {
    remembered->leaving = TRUE;
  } else if (active == KS_ACTIVE_ACTIVATED
             || (active == KS_ACTIVE_ACTIVATING && ks_tunnel_find (network->tunnels, key))) {
    remembered->leaving = FALSE;
    g_free (remembered->session);
    remembered->session = g_strdup (boot);
  } else if (active == KS_ACTIVE_NO && remembered->leaving) {
    remembered->leaving = FALSE;
    g_clear_pointer (&remembered->session, g_free);
  }
}
