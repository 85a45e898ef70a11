/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What NetworkManager knows about the running network, over D-Bus: which
 * profiles are active, through which tunnel devices, and the uplinks' resolvers.
 *
 * Its properties are read one object at a time rather than by an NMClient, which
 * loads every profile first (500 ms with 800 of them).
 */
#pragma once

#include "value/ks-profile.h"
#include "value/ks-tunnel.h"

/* NMActiveConnectionState (nm-dbus-interface.h), as far as it matters here. */
typedef enum {
  KS_ACTIVE_NO = 0,
  KS_ACTIVE_ACTIVATING = 1,
  KS_ACTIVE_ACTIVATED = 2,
  KS_ACTIVE_DEACTIVATING = 3,
} KsActiveState;

typedef struct {
  GPtrArray *tunnels; /* of KsTunnel: those of the given profiles, in order of preference; ifindex not filled in */
  GHashTable *active; /* profile key (char*) -> KsActiveState, of the given profiles that are active in any state */
  GPtrArray
    *without_device; /* of char*: keys of profiles that are up but have only their parent's device (IPsec policies) */
  GArray *resolvers; /* KsPrefix: DNS servers of the devices that are no tunnels */
  GByteArray *conversation; /* nullable: the questions and answers, for ks_network_repeats() */
  gboolean leaving; /* NetworkManager is asleep or disconnecting: no loss now is the user's wish */
} KsNetwork;

/*
 * Asks NetworkManager on the system bus about @profiles (of KsProfile). All of it
 * takes at most @timeout_ms milliseconds. NULL with KS_ERROR_SILENT if
 * NetworkManager or the bus is absent or does not answer in time.
 */
KsNetwork *ks_network_read (const GPtrArray *profiles, guint timeout_ms, GError **error);
void ks_network_free (KsNetwork *self);
/*
 * Whether NetworkManager now gives the same answers as in the @conversation of
 * an earlier ks_network_read(). The profiles and the earlier answers determine
 * each question. So if this is TRUE, reading with the same profiles gives the
 * same network. FALSE also if it does not answer, or for an empty conversation.
 */
gboolean ks_network_repeats (const guint8 *conversation, gsize length, guint timeout_ms);
/* How far the profile with @key is activated. */
KsActiveState ks_network_active_state (const KsNetwork *self, const char *key);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsNetwork, ks_network_free)
