/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guard, the nftables table `inet nm_killswitch`, as text: derived from the
 * policy and nothing else. ks-guard-format.c opens with its specification;
 * kernel/ks-guard.c installs it.
 */
#pragma once

#include "policy/ks-policy.h"

#define KS_GUARD_TABLE "nm_killswitch"

typedef struct {
  guint64 packets;
  guint64 bytes;
} KsGuardCounter;

/* What the guard has dropped; kept when the guard is replaced, lost when it is removed. */
typedef struct {
  KsGuardCounter output; /* outgoing: the host's own packets, and forwarded ones another table let through */
  KsGuardCounter forward; /* forwarded */
  KsGuardCounter input; /* to a tunnel's address, arriving elsewhere */
} KsGuardCounters;

/*
 * The transaction that installs the guard, for libnftables (transfer full);
 * NULL if @policy wants no guard. Pure: the same policy gives the same bytes.
 * @counters, nullable, are the counters' initial values.
 */
char *ks_guard_format (const KsPolicy *policy, const KsGuardCounters *counters);
