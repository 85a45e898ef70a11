/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Mode session: on from activation; off only by a disconnect the person asked
 * for, which NetworkManager announces with (vpn-)pre-down and nothing else
 * does. A suspend or NetworkManager's own end is no such wish.
 */
#pragma once

#include "input/ks-event.h"
#include "input/ks-network.h"
#include "state/ks-state.h"

/*
 * Whether the session of @remembered is on, now that @event (nullable) came;
 * without @network (NULL: NetworkManager does not answer) nothing changes but
 * that a session of an earlier boot than @boot is over.
 */
void ks_session_update (KsRemembered *remembered, const KsNetwork *network, const KsEvent *event, const char *boot);

/*
 * The same for a [vpn NAME] section: on from the appearance of one of its
 * devices, whose indices are @devices (guint32), until a person disables it;
 * then until a new one appears.
 */
void
ks_session_update_section (KsRemembered *remembered, const GArray *devices, const KsEvent *event, const char *boot);
