/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Arms and disarms two profiles that exist only here: a plugin VPN whose tunnel
 * comes and goes, and a WireGuard VPN that is down. The policy, the difference
 * and its application are the product's own, as for any event; only their inputs
 * are made up.
 */
#pragma once

#include "kernel/ks-kernel.h"
#include "selftest/ks-selftest.h"

typedef struct _KsSelftestArm KsSelftestArm;

/* Opens the kernel of this process's network namespace. @options must outlive the result. */
KsSelftestArm *ks_selftest_arm_new (const KsSelftestOptions *options, GError **error);
void ks_selftest_arm_free (KsSelftestArm *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsSelftestArm, ks_selftest_arm_free)

/*
 * Arms with the tunnel device @tunnel, or without one (NULL). May be called again
 * at any time, as an event may come. Continues after an error, and returns the
 * first one.
 */
gboolean ks_selftest_arm_apply (KsSelftestArm *self, const char *tunnel, GError **error);
/* Removes every rule and leaves the rest: one layer is gone. */
gboolean ks_selftest_arm_drop_rules (KsSelftestArm *self, GError **error);
/* Removes the guard and leaves the rest. */
gboolean ks_selftest_arm_drop_guard (KsSelftestArm *self, GError **error);
/* Disarms, as when the setting is removed. */
gboolean ks_selftest_arm_disarm (KsSelftestArm *self, GError **error);

/* What the kernel holds (transfer full). */
KsSnapshot *ks_selftest_arm_dump (KsSelftestArm *self, GError **error);
/* Whether both are the same, and there is no guard: KS_ERROR_KERNEL names the first rule or route that differs. */
gboolean ks_selftest_arm_compare (const KsSnapshot *before, const KsSnapshot *after, GError **error);
