/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The proof: asks the kernel where packets that must not get out would go. The
 * last step of a run that changed something, and what `check` does. Nothing is
 * sent. What routing cannot stop (an IPv4 socket bound to a device) counts as
 * stopped only while the guard is in place, as read back from the kernel.
 */
#pragma once

#include "kernel/ks-guard.h"
#include "kernel/ks-kernel.h"
#include "kernel/ks-lookup.h"
#include "policy/ks-policy.h"

typedef enum {
  KS_VERDICT_NO_ROUTE, /* the lookup ends at a blackhole or an unreachable route */
  KS_VERDICT_TUNNEL, /* it leaves through a tunnel */
  KS_VERDICT_GUARD, /* routing would let it out; the guard drops it */
  KS_VERDICT_ESCAPES,
} KsVerdict;

typedef struct {
  KsLookup lookup;
  char device[IFNAMSIZ]; /* the device the socket names, or "" */
  gboolean imitates; /* an unprivileged program's imitation of a transport */
  char leaves_by[IFNAMSIZ]; /* where the kernel would send it, or "" */
  guint32 table; /* the table of that route; 0 for none */
  KsVerdict verdict;
} KsProbe;

typedef struct {
  GArray *probes; /* KsProbe */
  guint escapes;
  KsGuardState guard;
} KsProof;

void ks_proof_free (KsProof *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsProof, ks_proof_free)

/*
 * Asks about public addresses of both families (IPv4 alone if @snapshot has no
 * IPv6): by udp, tcp and icmp, as uid 0 and 65534, from the port of each
 * transport and another one, without a device and with each device except the
 * tunnels that has a route in @snapshot's table main. Also asks about imitations
 * of the transports by an unprivileged program. NULL if the kernel cannot be
 * asked, or if its answers prove nothing (KS_ERROR_KERNEL).
 */
KsProof *ks_proof_take (const KsPolicy *policy, const KsSnapshot *snapshot, KsGuardState guard, GError **error);

/* The probes that get out against the user's wish: with Guard=off, sockets bound to a device are left to the user. */
guint ks_proof_count_unwanted (const KsProof *self, const KsPolicy *policy);

/* A table for people, with similar probes in one line, and what is wrong (transfer full). */
char *ks_proof_format (const KsProof *self);
const char *ks_verdict_format (KsVerdict verdict);
