/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Connections that arming cuts off: perhaps that of the person who has just
 * armed the host over SSH.
 */
#pragma once

#include "policy/ks-policy.h"

/*
 * A warning for each peer of @connections (of KsConnection) that replies no
 * longer reach under @policy: a peer that is not in the local network, that
 * ManagementFrom= does not name, and that is connected to an address of a device
 * that is no tunnel. @addresses (of KsAddress) are the host's. Each peer is named
 * once; of many peers, only the first few. Pure (transfer full; of char*).
 */
GPtrArray *ks_cut_off_compute (const KsPolicy *policy, const GArray *addresses, const GArray *connections);
