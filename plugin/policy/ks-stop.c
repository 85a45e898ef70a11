/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/ks-stop.h"

#include <string.h>

static gboolean
has_port (const KsPortRange *range, guint16 port)
{
  return range->first == 0 || (port >= range->first && port <= range->last);
}

static gboolean
has_address (const KsPrefix *selector, const KsPrefix *address)
{
  return !ks_prefix_is_set (selector) || selector->length == 0
         || (ks_prefix_is_set (address) && ks_prefix_contains (selector, address));
}

gboolean
ks_stop_has_rule (const KsRule *rule, const KsTransport *transport)
{
  static const KsPrefix unknown = KS_PREFIX_UNSET;
  gboolean matches =
    has_address (&rule->from, &unknown) && has_address (&rule->to, &transport->to)
    && (!rule->ip_protocol || rule->ip_protocol == transport->ip_protocol) && has_port (&rule->sport, transport->sport)
    && has_port (&rule->dport, transport->dport)
    && (!rule->has_uid_range
        || (transport->uid != KS_UID_ANY && transport->uid >= rule->uid_first && transport->uid <= rule->uid_last))
    && (transport->fwmark & rule->fwmask) == rule->fwmark && (!*rule->iifname || strcmp (rule->iifname, "lo") == 0)
    && !*rule->oifname && !rule->tos && !rule->tun_id && !rule->l3mdev;

  return rule->family == transport->family && !rule->has_unknown && matches == !rule->invert;
}

gboolean
ks_stop_has_route (const KsRoute *route)
{
  return route->type == RTN_BLACKHOLE || route->type == RTN_UNREACHABLE || route->type == RTN_PROHIBIT;
}

const KsRoute *
ks_stop_find_route (const GArray *routes, guint32 table, const KsPrefix *to)
{
  const KsRoute *best = NULL;

  for (guint i = 0; i < routes->len; i++) {
    const KsRoute *route = &g_array_index (routes, KsRoute, i);

    if (route->table == table && route->tos == 0 && ks_prefix_contains (&route->dst, to)
        && (!best || route->dst.length > best->dst.length
            || (route->dst.length == best->dst.length && route->metric < best->metric)))
      best = route;
  }
  return best;
}
