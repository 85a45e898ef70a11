/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * After disarming: host routes that keep a running VPN's transport out of its
 * own tunnel.
 *
 * NetworkManager gives a plugin VPN's server a host route by the uplink, but
 * not while our rules are there (it asks the kernel, which says "on link").
 * A VPN that connected while armed relies on table 85; when that goes, its
 * transport would follow main's default route into the tunnel, and the host
 * would be off-line. So the route NetworkManager would have made is made, with
 * our protocol number, and taken away once main needs it no more.
 */
#pragma once

#include "policy/ks-route.h"
#include "policy/ks-rule.h"
#include "value/ks-config.h"

/*
 * Appends to @out (KsRoute) the host routes that main needs for the servers of
 * the exemptions in @rules, and those there already that it still needs.
 * @rules and @routes are what the kernel holds.
 */
void ks_bypass_compute (const KsConfig *config, const GArray *rules, const GArray *routes, GArray *out);
/* Whether @route is such a route. */
gboolean ks_bypass_is_route (const KsConfig *config, const KsRoute *route);
