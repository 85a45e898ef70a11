/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From what libnm makes of a keyfile (an NMConnection) to a profile: its
 * addresses and routes, and where its transport goes: of WireGuard, a plugin
 * VPN or an IP tunnel.
 */
#pragma once

#include "value/ks-profile.h"

/*
 * Fills in @profile, whose path, id and vpn_type are known, from its @file,
 * which loses the groups that say nothing about it. Looks at no other file.
 * Each malformed value appends a GError* to @errors. A profile that libnm
 * refuses stays as it is, armed if it says so: what was blocked stays blocked.
 */
void ks_profile_read_connection (KsProfile *profile, GKeyFile *file, GPtrArray *errors);
