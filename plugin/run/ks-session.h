/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mode session: armed from activation until a disconnect that the user asked
 * for. Only such a disconnect is announced with (vpn-)pre-down; a suspend or
 * NetworkManager's own shutdown is not.
 */
#pragma once

#include "input/ks-event.h"
#include "input/ks-network.h"
#include "state/ks-state.h"

/*
 * Updates whether the session of @remembered is on, after @event (nullable).
 * Without @network (NULL: NetworkManager does not answer), nothing changes,
 * except that a session of a boot earlier than @boot ends.
 */
void ks_session_update (KsRemembered *remembered, const KsNetwork *network, const KsEvent *event, const char *boot);

/*
 * The same for a [vpn NAME] section: on from the appearance of one of its
 * devices, whose indices are @devices (guint32), until a user disables it, and
 * then off until a new device appears.
 */
void
ks_session_update_section (KsRemembered *remembered, const GArray *devices, const KsEvent *event, const char *boot);
