/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whom arming cuts off: the person, perhaps, who has armed the host over SSH.
 */
#pragma once

#include "policy/ks-policy.h"

/*
 * A warning for each peer of @connections (of KsConnection) that @policy lets
 * no answer reach: neither in the local network nor one that ManagementFrom=
 * names, and connected to an address of a device that is no tunnel.
 * @addresses (of KsAddress) is the host's. Each peer is named once, and of
 * very many only the first few. Pure (transfer full; of char*).
 */
GPtrArray *ks_cut_off_compute (const KsPolicy *policy, const GArray *addresses, const GArray *connections);
