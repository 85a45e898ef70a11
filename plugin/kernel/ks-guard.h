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
  KS_GUARD_IN_PLACE, /* exactly what the policy wants */
  KS_GUARD_DIFFERS, /* there is a table, and it is another one */
  KS_GUARD_UNSUPPORTED, /* the kernel has no nf_tables */
} KsGuardState;

/*
 * Puts the guard of @policy in place, or removes it when @policy wants none;
 * nothing is done when it is there already. @state_path is a file in /run that
 * remembers what was installed: without it the guard is replaced. *@changes
 * counts transactions. KS_ERROR_UNSUPPORTED without nf_tables,
 * KS_ERROR_PERMISSION, KS_ERROR_KERNEL; what was there then stays.
 */
gboolean ks_guard_apply (const KsPolicy *policy, const char *state_path, guint *changes, GError **error);

/* Removes the guard. No error when there is none, or no nf_tables. */
gboolean ks_guard_remove (const char *state_path, guint *changes, GError **error);

/* Compares the kernel with @policy. @counters, nullable, is zero when there is no table. */
KsGuardState
ks_guard_inspect (const KsPolicy *policy, const char *state_path, KsGuardCounters *counters, GError **error);
