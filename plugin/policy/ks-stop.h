/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What keeps a transport from its server: which rules apply to its packets, and
 * which route the kernel takes for them. Pure; for messages to people.
 */
#pragma once

#include "policy/ks-route.h"
#include "policy/ks-rule.h"
#include "policy/ks-transport.h"

/*
 * Whether @rule applies to the packets of @transport when the kernel looks up
 * their route. What is not known of them (the source address, a source port or
 * server that is not fixed) matches no selector.
 */
gboolean ks_stop_has_rule (const KsRule *rule, const KsTransport *transport);
/* Whether packets that take @route are discarded by this host. A throw route leads on to the next rule. */
gboolean ks_stop_has_route (const KsRoute *route);
/* The route of @table for the single address @to, by prefix and metric; NULL if there is none. @routes: of KsRoute. */
const KsRoute *ks_stop_find_route (const GArray *routes, guint32 table, const KsPrefix *to);
