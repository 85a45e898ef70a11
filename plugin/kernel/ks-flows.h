/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Ends the connections that a flowtable of another program would go on
 * forwarding past every rule and chain.
 *
 * Packets of such a connection are sent on from the ingress hook of the device
 * they come in by. The kernel gives one back to the ordinary way when its route
 * is no longer valid (nf_flow_dst_check(), net/netfilter/nf_flow_table_ip.c),
 * as any IPv4 route is once a rule changes, and an IPv6 route since Linux 6.9
 * and 6.1.83. A connection that leaves by a bridge is remembered without a
 * route (FLOW_OFFLOAD_XMIT_DIRECT). Every one of them ends when its entry is
 * deleted from connection tracking, within a second (nf_flow_offload_gc_step()),
 * which the kernel allows since Linux 6.4 and 6.1.32; its next packet then goes
 * the ordinary way, past our rules and the guard.
 */
#pragma once

#include "kernel/ks-netlink.h"
#include "policy/ks-flow.h"

/*
 * Ends all that may not stay while @policy is in force (ks_flow_may_stay()).
 * Does nothing where there is no flowtable, or the kernel cannot be asked;
 * what it refuses to end ks_flows_count() still finds.
 */
void ks_flows_end (const KsPolicy *policy);
/* How many go past the VPN (ks_flow_leaks()); 0 where there is no flowtable, or the kernel cannot be asked. */
guint ks_flows_count (const KsPolicy *policy);

/*
 * Parses an entry of connection tracking. FALSE, with @out untouched, for one
 * that no flowtable has taken over, a malformed message and one of another kind.
 */
gboolean ks_flow_parse (struct nlmsghdr *header, KsFlow *out);
