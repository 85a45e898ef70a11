/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Host routes in table main to the servers of plugin VPNs, for after disarming;
 * and which host routes of NetworkManager's are wrong while armed.
 *
 * NetworkManager gives a plugin VPN's server a host route through the uplink,
 * and first asks the kernel for the gateway. While our rules are in place, the
 * kernel answers "on link" (IPv4: ip_route_output_key_hash_rcu(),
 * net/ipv4/route.c). If the server has a private address, NetworkManager
 * believes the answer; otherwise it adds no route
 * (_parent_device_l3cd_add_gateway_route(), nm-vpn-connection.c).
 *
 * While armed, a route that treats the server as a neighbour is ignored: tables
 * 85 and 86 leave it out. Otherwise the VPN could not reach its server.
 *
 * After disarming, a VPN that connected while armed can no longer rely on table
 * 86. Its transport would follow main's default route into its own tunnel, or
 * look for the server on the LAN, and the host would be offline. So we add the
 * route that NetworkManager would have added, with our protocol number, and
 * remove it as soon as main no longer needs it.
 */
#pragma once

#include "policy/ks-route.h"
#include "value/ks-config.h"

/*
 * Appends to @out (KsRoute) the host routes that main needs for the servers in
 * the servers' table, including existing ones that are still needed. @routes is
 * what the kernel holds.
 */
void ks_bypass_compute (const KsConfig *config, const GArray *routes, GArray *out);
/*
 * Whether @route, one of @routes, is NetworkManager's mistake: a host route in
 * main that treats the host as a neighbour, although the other routes through
 * that device reach it by a gateway. Does not check that the host is a VPN's
 * server.
 */
gboolean ks_bypass_is_mistaken (const KsConfig *config, const KsRoute *route, const GArray *routes);
