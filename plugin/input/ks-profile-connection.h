/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From libnm's view of a keyfile (an NMConnection) to a profile: its addresses
 * and routes, and the transport's endpoints, for WireGuard, a plugin VPN or an
 * IP tunnel.
 */
#pragma once

#include "value/ks-profile.h"

/*
 * Fills in @profile, whose path, id and vpn_type are known, from its @file, and
 * removes unrelated groups from @file. Reads no other file. For each malformed
 * value, a GError* is appended to @errors. A profile that libnm rejects stays as
 * it is, armed if it says so: what was blocked stays blocked.
 */
void ks_profile_read_connection (KsProfile *profile, GKeyFile *file, GPtrArray *errors);
