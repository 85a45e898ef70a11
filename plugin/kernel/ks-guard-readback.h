/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel holds of the guard, as one digest: of the netlink messages
 * that describe the table, byte for byte, without the counters' values. It tells
 * whether the guard is the same, which is all that is needed, without a second
 * description of the guard that could disagree with the first.
 */
#pragma once

#include "kernel/ks-guard.h"

struct nlmsghdr;

typedef struct {
  gboolean present; /* whether the table exists */
  char *digest; /* hexadecimal; NULL without a table */
  KsGuardCounters counters;
  guint32 generation; /* of the whole ruleset: every transaction on the host, on any table, increments it */
} KsGuardReadback;

void ks_guard_readback_clear (KsGuardReadback *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (KsGuardReadback, ks_guard_readback_clear)

/* Reads into @out, zeroed by the caller. KS_ERROR_UNSUPPORTED (no nf_tables), KS_ERROR_PERMISSION, KS_ERROR_KERNEL. */
gboolean ks_guard_readback (KsGuardReadback *out, GError **error);

/*
 * The ruleset's generation number, and a number for the network namespace that no other namespace ever has. FALSE if
 * either cannot be told (SO_NETNS_COOKIE: Linux 5.14).
 */
gboolean ks_guard_readback_present (guint32 *generation, guint64 *namespace);

/* Whether an nf_tables message is about our table. */
gboolean ks_guard_readback_is_ours (struct nlmsghdr *header);
/* The number in an NFT_MSG_NEWGEN. FALSE if there is none. */
gboolean ks_guard_readback_generation (struct nlmsghdr *header, guint32 *out);
