/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What NetworkManager does not know of a plugin VPN's server while armed, and
 * what follows from it.
 *
 * NetworkManager gives a plugin VPN's server a host route by the uplink, and
 * asks the kernel for the gateway first. While our rules are there the kernel
 * says "on link" (IPv4: ip_route_output_key_hash_rcu(), net/ipv4/route.c).
 * NetworkManager takes that for true when the server has a private address, and
 * makes no route otherwise (_parent_device_l3cd_add_gateway_route(),
 * nm-vpn-connection.c).
 *
 * While armed: a route that takes the server for a neighbour is not followed
 * (tables 85 and 86 are without it), or the VPN would be cut off from its server.
 *
 * After disarming: a VPN that connected while armed relied on table 86; with
 * that gone, its transport would follow main's default route into the tunnel,
 * or ask the LAN for the server, and the host would be off-line. So the route
 * NetworkManager would have made is made, with our protocol number, and taken
 * away once main needs it no more.
 */
#pragma once

#include "policy/ks-route.h"
#include "value/ks-config.h"

/*
 * Appends to @out (KsRoute) the host routes that main needs for the servers in
 * the servers' table, and those there already that it still needs. @routes is
 * what the kernel holds.
 */
void ks_bypass_compute (const KsConfig *config, const GArray *routes, GArray *out);
/*
 * Whether @route, one of @routes, is NetworkManager's mistake: a host of main
 * taken for a neighbour although the other routes by that device know a gateway
 * to it. Says nothing of whether the host is a VPN's server.
 */
gboolean ks_bypass_is_mistaken (const KsConfig *config, const KsRoute *route, const GArray *routes);
