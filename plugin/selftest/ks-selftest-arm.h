/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Arming and disarming, for two profiles that exist only here: a plugin VPN
 * whose tunnel comes and goes, and a WireGuard VPN that is down. The policy,
 * the difference and what applies them are the product's own, as for any
 * event; only what they start from is made up.
 */
#pragma once

#include "kernel/ks-kernel.h"
#include "selftest/ks-selftest.h"

/* The WireGuard profile's port: what a program may try to send from. */
#define KS_SELFTEST_WIREGUARD_PORT 51820

typedef struct _KsSelftestArm KsSelftestArm;

/* Opens the kernel of the network namespace the process is in. @options outlives it. */
KsSelftestArm *ks_selftest_arm_new (const KsSelftestOptions *options, GError **error);
void ks_selftest_arm_free (KsSelftestArm *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsSelftestArm, ks_selftest_arm_free)

/*
 * Armed with the device @tunnel, or with none (NULL). May be called again at
 * any time, as an event would. Goes on after an error, and returns the first.
 */
gboolean ks_selftest_arm_apply (KsSelftestArm *self, const char *tunnel, GError **error);
/* Takes every rule away and leaves the rest: one layer gone. */
gboolean ks_selftest_arm_drop_rules (KsSelftestArm *self, GError **error);
/* Takes the guard away and leaves the rest. */
gboolean ks_selftest_arm_drop_guard (KsSelftestArm *self, GError **error);
/* As when the setting is taken away. */
gboolean ks_selftest_arm_disarm (KsSelftestArm *self, GError **error);

/* What the kernel holds (transfer full). */
KsSnapshot *ks_selftest_arm_dump (KsSelftestArm *self, GError **error);
/* Whether two such are the same, and no guard is there: KS_ERROR_KERNEL names the first rule or route that differs. */
gboolean ks_selftest_arm_compare (const KsSnapshot *before, const KsSnapshot *after, GError **error);
