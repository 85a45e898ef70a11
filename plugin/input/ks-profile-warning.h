/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a profile says that has no effect, though the person who wrote it
 * expects one: a misspelt zone, a misspelt key of user data, or the setting on
 * a connection that is not a VPN.
 */
#pragma once

#include "value/ks-profile.h"

/* User data keys that mean something to us. */
#define KS_USER_DATA_MODE "nm-killswitch.mode"
#define KS_USER_DATA_LAN "nm-killswitch.lan"
#define KS_USER_DATA_DNS "nm-killswitch.dns"
#define KS_USER_DATA_TRANSPORT "nm-killswitch.transport"

/*
 * Appends to @warnings (of char*) what is wrong with a VPN @profile that was
 * read from @file: one sentence each, with the command that mends it.
 * @zone_directories are firewalld's, NULL at the end: a zone that has a file
 * there is no misspelling.
 */
void ks_profile_warn_of_misspellings (const KsProfile *profile, GKeyFile *file, const KsConfig *config,
                                      const char *const *zone_directories, GPtrArray *warnings);

/*
 * The zone that arms and was probably meant by @zone, which does not arm; NULL
 * when it is just another zone (transfer none, @config's).
 */
const char *ks_profile_find_meant_zone (const KsConfig *config, const char *zone, const char *const *zone_directories);

/* Appends the warning about @profile, which asks for the kill switch and is not a VPN. */
void ks_profile_warn_of_type (const KsProfile *profile, GKeyFile *file, GPtrArray *warnings);

/* Appends a warning if @profile, of a plugin, does not say where its VPN is: nothing can be exempted for it. */
void ks_profile_warn_of_server (const KsProfile *profile, GPtrArray *warnings);
