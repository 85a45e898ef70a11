/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Settings in a profile that have no effect, contrary to what its author
 * expects: a misspelt zone, a misspelt user data key, or the setting on a
 * connection that is not a VPN.
 */
#pragma once

#include "value/ks-profile.h"

/* The user data keys that we read. */
#define KS_USER_DATA_MODE "nm-killswitch.mode"
#define KS_USER_DATA_LAN "nm-killswitch.lan"
#define KS_USER_DATA_DNS "nm-killswitch.dns"
#define KS_USER_DATA_TRANSPORT "nm-killswitch.transport"

/*
 * Appends to @warnings (of char*) what is wrong with a VPN @profile that was
 * read from @file: one sentence each, with the command that fixes it.
 * @zone_directories are firewalld's, ended by NULL: a zone with a file there is
 * no misspelling.
 */
void ks_profile_warn_of_misspellings (const KsProfile *profile, GKeyFile *file, const KsConfig *config,
                                      const char *const *zone_directories, GPtrArray *warnings);

/*
 * The arming zone that was probably meant by @zone, which does not arm; NULL if
 * it is just another zone (transfer none, @config's).
 */
const char *ks_profile_find_meant_zone (const KsConfig *config, const char *zone, const char *const *zone_directories);

/* Appends the warning about @profile, which asks for the kill switch but is not a VPN. */
void ks_profile_warn_of_type (const KsProfile *profile, GKeyFile *file, GPtrArray *warnings);

/* Appends a warning if @profile, of a plugin, names no server: nothing can be exempted for it. */
void ks_profile_warn_of_server (const KsProfile *profile, GPtrArray *warnings);
