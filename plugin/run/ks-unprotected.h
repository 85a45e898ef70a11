/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The unprotected: virtual machines and containers of this host that share its
 * network card. On the network, each is a host of its own: its packets never
 * pass this host's rules, routes and nftables chains for IP. Nothing here can
 * stop them, so `status` names them. Signs of such a guest are
 *
 *   - a macvtap device: a virtual machine holds its other end
 *   - a tap or veth device that is a port of the same bridge as a network card,
 *     unless br_netfilter shows bridged packets to nftables; or of Open vSwitch,
 *     whose bridges are all one device (ovs-system) to the kernel
 *   - a link-layer address that a network card accepts packets for and that no
 *     device here has: it belongs to a macvlan device that was moved into a
 *     container and so is not among the devices here
 *
 * An ipvlan device in a container, and a card that was handed to a virtual
 * machine, leave no such trace.
 */
#pragma once

#include "kernel/ks-kernel.h"
#include "policy/ks-policy.h"

/* The input; nothing is owned. */
typedef struct {
  const KsPolicy *policy;
  const GArray *links; /* KsLink */
  const GArray *stations; /* KsStation */
  const GArray *routes; /* KsRoute, those of table main among them */
  gboolean filters_bridges; /* bridged packets of both families pass nftables */
} KsUnprotectedInput;

/* One line for each, as `status` shows it; none while nothing is armed. Pure (transfer full; of char*). */
GPtrArray *ks_unprotected_find (const KsUnprotectedInput *input);

/* As ks_unprotected_find(), for the kernel as it is now; what cannot be read is left out. @routes: of KsRoute. */
GPtrArray *ks_unprotected_read (KsKernel *kernel, const KsPolicy *policy, const GArray *routes);
