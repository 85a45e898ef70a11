/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Flows: forwarded connections that the kernel has taken out of the ordinary
 * way, as a flowtable of another program asked. Pure.
 */
#pragma once

#include "policy/ks-policy.h"

/* The four addresses that connection tracking knows of it; with NAT they differ. All are hosts. */
typedef struct {
  KsPrefix initiator; /* where the first packet came from */
  KsPrefix asked; /* where it was sent to: an address of this host if that is forwarded to another one */
  KsPrefix responder; /* who answers */
  KsPrefix answered; /* where the answers are sent to: an address of this host if the initiator is hidden behind it */
  guint16 port; /* the responder's */
} KsFlow;

/*
 * Whether it may go on while @policy is in force: it stays in the local
 * network and is not DNS, or it goes through a tunnel, which is known by this
 * host's address there. FALSE when in doubt, as without NAT: a flow that is
 * ended needlessly goes on by the ordinary way.
 */
gboolean ks_flow_may_stay (const KsFlow *self, const KsPolicy *policy);
/*
 * Whether it certainly goes past the VPN: no tunnel is up, or NAT gives it an
 * address that no tunnel has. FALSE when in doubt.
 */
gboolean ks_flow_leaks (const KsFlow *self, const KsPolicy *policy);
