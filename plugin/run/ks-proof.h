/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The proof: the kernel is asked where packets would go that must not get out.
 * Nothing is sent. What routing cannot stop (an IPv4 socket bound to a device)
 * counts as stopped only while the guard is in place, read back from the
 * kernel.
 */
#pragma once

#include "kernel/ks-guard.h"
#include "kernel/ks-kernel.h"
#include "kernel/ks-lookup.h"
#include "policy/ks-policy.h"

typedef enum {
  KS_VERDICT_NO_ROUTE, /* the lookup ends at a blackhole or an unreachable */
  KS_VERDICT_TUNNEL, /* it leaves by a tunnel */
  KS_VERDICT_GUARD, /* routing would let it out; the guard drops it */
  KS_VERDICT_ESCAPES,
} KsVerdict;

typedef struct {
  KsLookup lookup;
  char device[IFNAMSIZ]; /* the device the socket names, or "" */
  gboolean imitates; /* an unprivileged program's imitation of a transport */
  char leaves_by[IFNAMSIZ]; /* where the kernel would send it, or "" */
  guint32 table; /* whose route that is; 0 for none */
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
 * Asks about public addresses of both families (IPv4 alone where @snapshot has
 * no IPv6): by udp, tcp and icmp, uid 0 and 65534, from the port of each
 * transport and another, naming no device and each but the tunnels by which
 * @snapshot's table main has a route. Also about the transports, as an
 * unprivileged program may imitate them. NULL when the kernel cannot be asked, or
 * answers so that nothing follows from it (KS_ERROR_KERNEL).
 */
KsProof *ks_proof_take (const KsPolicy *policy, const KsSnapshot *snapshot, KsGuardState guard, GError **error);

/* What gets out though it was meant not to: with Guard=off, sockets bound to a device were left to the person. */
guint ks_proof_count_unwanted (const KsProof *self, const KsPolicy *policy);

/* A table for people, probes of one kind in one line, and what is wrong (transfer full). */
char *ks_proof_format (const KsProof *self);
const char *ks_verdict_format (KsVerdict verdict);
