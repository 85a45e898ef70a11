/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guard in the kernel: the nftables table `inet nm_killswitch`, which stops
 * what routing cannot see. policy/ks-guard-format.c opens with its
 * specification. The only module that uses libnftables.
 */
#pragma once

#include "policy/ks-guard-format.h"

typedef enum {
  KS_GUARD_UNKNOWN, /* could not tell; the error says why */
  KS_GUARD_ABSENT, /* there is no table; what a policy without a guard wants */
  KS_GUARD_IN_PLACE, /* as it was installed, and as the policy wants it */
  KS_GUARD_OUTDATED, /* as it was installed, but the policy wants another one, or none */
  KS_GUARD_TAMPERED, /* not as it was installed: another program changed it */
  KS_GUARD_UNVERIFIED, /* there is a table, but no record of what was installed */
  KS_GUARD_UNSUPPORTED, /* the kernel has no nf_tables */
} KsGuardState;

/*
 * The wanted guard is that of @policy, or none if the policy has none. With
 * @hold it is the guard installed last, if that is known: for a policy that may
 * lack something in use. When an earlier guard has to be installed again, its
 * counters start at zero.
 *
 * @state_path is a file in /run that records what was installed. Without it
 * (lost, not writable), a guard installed by an earlier process cannot be told
 * from a tampered one, and is replaced. NULL records nothing.
 */

/*
 * Installs or removes the guard; does nothing if that is already done. *@found,
 * nullable, is what was there before; *@changes counts transactions.
 * KS_ERROR_UNSUPPORTED without nf_tables, KS_ERROR_PERMISSION, KS_ERROR_KERNEL:
 * what was there stays. KS_ERROR_IO: the guard is in place, but only this
 * process knows.
 */
gboolean ks_guard_apply (const KsPolicy *policy, gboolean hold, const char *state_path, KsGuardState *found,
                         guint *changes, GError **error);

/*
 * Whether the kernel holds the guard installed last, if that can be told without
 * reading it. It is still the wanted one if the record is the same file as when
 * a policy was found to want it. FALSE in case of doubt.
 */
gboolean ks_guard_is_as_installed (const char *state_path);

/* Removes the guard. It is no error if there is none, or no nf_tables. */
gboolean ks_guard_remove (const char *state_path, guint *changes, GError **error);

/* Compares the kernel's guard with the wanted one. @counters, nullable, is zero if there is no table. */
KsGuardState ks_guard_inspect (const KsPolicy *policy, gboolean hold, const char *state_path, KsGuardCounters *counters,
                               GError **error);
