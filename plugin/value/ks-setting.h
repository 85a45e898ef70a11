/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The setting in a profile: its zone and the user data key nm-killswitch.mode.
 * What they arm, and how they have to change to arm or to disarm.
 */
#pragma once

#include "value/ks-profile.h"

typedef struct {
  const char *zone; /* connection.zone; "" or NULL for none */
  const char *mode; /* user data nm-killswitch.mode; NULL for none */
} KsSetting;

/*
 * Sets @profile's mode and reason from @self: user data takes precedence over
 * the zone. Returns FALSE for user data that is not a mode, which arms strict.
 */
gboolean ks_setting_apply (const KsSetting *self, const KsConfig *config, KsProfile *profile);

/*
 * The setting that arms in @mode, strict or session. Uses the zone, unless the
 * profile has a zone that means something to other programs (@is_zone_free is
 * FALSE). Such a zone is left alone, and user data is used. Pure; the strings are
 * @self's, @config's or constant.
 */
KsSetting ks_setting_enable (const KsSetting *self, const KsConfig *config, KsMode mode, gboolean is_zone_free);
/*
 * The setting that does not arm. The zones `killswitch` and `killswitch-auto`
 * are removed; a zone that an administrator has named in Zones= or SessionZones=
 * stays, since it may be a zone of their firewall.
 */
KsSetting ks_setting_disable (const KsSetting *self, const KsConfig *config);
gboolean ks_setting_equal (const KsSetting *a, const KsSetting *b);
