/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What NetworkManager knows of the running network, over D-Bus: which profiles
 * are active, by which tunnel devices, and the resolvers of the uplinks.
 *
 * Its properties are read one object at a time, not by an NMClient: that loads
 * every profile first (500 ms with 800 of them).
 */
#pragma once

#include "value/ks-profile.h"
#include "value/ks-tunnel.h"

/* NMActiveConnectionState (nm-dbus-interface.h), as far as it matters. */
typedef enum {
  KS_ACTIVE_NO = 0,
  KS_ACTIVE_ACTIVATING = 1,
  KS_ACTIVE_ACTIVATED = 2,
  KS_ACTIVE_DEACTIVATING = 3,
} KsActiveState;

typedef struct {
  GPtrArray *tunnels; /* of KsTunnel: of the profiles asked for, in order of preference; ifindex not filled in */
  GHashTable *active; /* profile key (char*) -> KsActiveState, of those asked for that are on in whichever way */
  GPtrArray
    *without_device; /* of char*: keys of the profiles that are up by their parent's device alone (IPsec policies) */
  GArray *resolvers; /* KsPrefix: DNS servers of the devices that are no tunnels */
  GByteArray *conversation; /* nullable: what was asked and answered, for ks_network_repeats() */
  gboolean leaving; /* NetworkManager is asleep or disconnecting: a loss now is not the person's wish */
} KsNetwork;

/*
 * Asks the NetworkManager on the system bus about @profiles (of KsProfile).
 * The whole takes at most @timeout_ms milliseconds. NULL with KS_ERROR_SILENT
 * when NetworkManager or the bus is absent or does not answer in time.
 */
KsNetwork *ks_network_read (const GPtrArray *profiles, guint timeout_ms, GError **error);
void ks_network_free (KsNetwork *self);
/*
 * Whether NetworkManager answers now as it did in the @conversation of an
 * earlier ks_network_read(). What is asked next is decided by the profiles and
 * the answers before it. So if it is TRUE, reading with the same profiles comes
 * to the same network. FALSE also when it does not answer, or for no conversation.
 */
gboolean ks_network_repeats (const guint8 *conversation, gsize length, guint timeout_ms);
/* How far the profile with @key is on. */
KsActiveState ks_network_active_state (const KsNetwork *self, const char *key);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsNetwork, ks_network_free)
