/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel holds of the guard, as one digest: the netlink messages that
 * describe the table, byte for byte, but for the counters' values. That says
 * "the same" or "not the same", all that is needed, without a second
 * description of the guard that could disagree with the first.
 */
#pragma once

#include "kernel/ks-guard.h"

struct nlmsghdr;

typedef struct {
  gboolean present; /* whether there is a table */
  char *digest; /* hexadecimal; NULL without a table */
  KsGuardCounters counters;
  guint32 generation; /* of the whole ruleset: every transaction on the host, of whatever table, adds one */
} KsGuardReadback;

void ks_guard_readback_clear (KsGuardReadback *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (KsGuardReadback, ks_guard_readback_clear)

/* Reads into @out, zeroed by the caller. KS_ERROR_UNSUPPORTED (no nf_tables), KS_ERROR_PERMISSION, KS_ERROR_KERNEL. */
gboolean ks_guard_readback (KsGuardReadback *out, GError **error);

/*
 * The number of the ruleset's generation, and the network namespace, by a number that no other one ever has. FALSE
 * when either cannot be told (SO_NETNS_COOKIE: Linux 5.14).
 */
gboolean ks_guard_readback_present (guint32 *generation, guint64 *namespace);

/* Whether a message of nf_tables is about our table. */
gboolean ks_guard_readback_is_ours (struct nlmsghdr *header);
/* The number in an NFT_MSG_NEWGEN. FALSE when there is none. */
gboolean ks_guard_readback_generation (struct nlmsghdr *header, guint32 *out);
