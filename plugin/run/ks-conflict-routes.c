/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Routes that lead past the VPN, or keep it from its server, and the default route that transports take. */
#include "run/ks-conflict-search.h"

#include <string.h>

#include "policy/ks-owner.h"
#include "policy/ks-stop.h"

/* With Lan=routes: a route of this length or shorter is too wide to be a LAN. */
#define WIDE_IPV4 8
#define WIDE_IPV6 16

/* --- formatting --- */

/* " via 192.168.50.1 dev eth0" */
static void
format_nexthop (const KsConflictSearch *s, const KsRoute *route, const KsNexthop *hop, GString *out)
{
  if (ks_prefix_is_set (&hop->gateway)) {
    g_autofree char *gateway = ks_prefix_format_address (&hop->gateway);

    g_string_append_printf (out, " via %s%s", hop->gateway.family == route->family ? "" : "inet6 ", gateway);
  }
  g_string_append_printf (out, " dev %s", ks_conflict_interface (s, hop->ifindex));
}

/* "default via 192.168.50.1 dev eth0 metric 5", with " from 2001:db8::/64", and " table 83" unless it is main. */
static char *
format_route (const KsConflictSearch *s, const KsRoute *route)
{
  g_autofree char *destination = ks_route_format_destination (route);
  GString *out = g_string_new (destination);

  if (route->n_nexthops == 1)
    format_nexthop (s, route, &route->nexthops[0], out);
  if (route->table != RT_TABLE_MAIN)
    g_string_append_printf (out, " table %u", route->table);
  if (route->metric)
    g_string_append_printf (out, " metric %u", route->metric);
  for (guint i = 0; route->n_nexthops > 1 && i < route->n_nexthops; i++) {
    g_string_append (out, " nexthop");
    format_nexthop (s, route, &route->nexthops[i], out);
  }
  return ks_conflict_printable (g_string_free (out, FALSE));
}

/* --- routes --- */

static void
add_route (KsConflictSearch *s, const KsRoute *route, KsConflictEffect effect, const char *program, const char *what)
{
  g_autofree char *by = ks_conflict_by (program);
  char *object = format_route (s, route);

  ks_conflict_add (s, "route", effect, object, program,
                   g_strdup_printf ("%s route '%s'%s %s. Stop whatever sets it, or run: ip %s route del %s",
                                    s->family == AF_INET6 ? "IPv6" : "IPv4", object, by, what,
                                    ks_conflict_family_option (s->family), object));
}

/* Foreign routes in our tables. Table 85 is for the VPN's own packets alone, and so are the tables for management. */
static void
consider_own_table (KsConflictSearch *s, const KsRoute *route)
{
  const KsConfig *config = s->in->config;
  gboolean is_way_out =
    route->table == config->table || route->table == config->tunnel_table || route->table == config->servers_table;
  g_autofree char *leak = g_strdup_printf ("is in a table of the kill switch and can send packets past the VPN; %s",
                                           ks_conflict_last_defence (s));

  if (is_way_out && ks_conflict_route_leaves (s, route))
    add_route (s, route, KS_CONFLICT_LEAKS, ks_neighbour_of_route (route), leak);
  else if (!is_way_out || route->type != RTN_UNICAST)
    add_route (s, route, KS_CONFLICT_BLOCKS, ks_neighbour_of_route (route),
               "is in a table of the kill switch and can keep the VPN from connecting or carrying anything");
}

static gboolean
is_wide (const KsRoute *route)
{
  return route->dst.length > 0 && route->dst.length <= (route->family == AF_INET6 ? WIDE_IPV6 : WIDE_IPV4);
}

/*
 * Table local comes before every rule of ours, so a route that other programs or people put there takes effect. The
 * kernel's own are the host's addresses, and the broadcast addresses of its subnets.
 */
static void
consider_local_table (KsConflictSearch *s, const KsRoute *route)
{
  g_autofree char *leak = NULL;

  if (route->protocol == RTPROT_KERNEL || !ks_conflict_route_leaves (s, route))
    return;
  leak = g_strdup_printf ("is in table local, which comes before every rule, and can send packets past the VPN; %s",
                          ks_conflict_last_defence (s));
  add_route (s, route, KS_CONFLICT_LEAKS, ks_neighbour_of_route (route), leak);
}

/* A server whose packets take @route, and that is not inside of another VPN; NULL if there is none. */
static const KsTransport *
find_server (const KsConflictSearch *s, const KsRoute *route, guint32 table)
{
  for (guint i = 0; i < s->in->policy->transports->len; i++) {
    const KsTransport *transport = &g_array_index (s->in->policy->transports, KsTransport, i);

    if (transport->family == route->family && !transport->outer[0] && ks_prefix_is_set (&transport->to)
        && ks_prefix_contains (&route->dst, &transport->to)
        && ks_stop_find_route (s->in->routes, table, &transport->to) == route)
      return transport;
  }
  return NULL;
}

/* What table 85 has for the route @route of table main; NULL if there is nothing. */
static const KsRoute *
find_copy (const KsConflictSearch *s, const KsRoute *route)
{
  for (guint i = 0; i < s->in->routes->len; i++) {
    const KsRoute *copy = &g_array_index (s->in->routes, KsRoute, i);

    if (copy->table == s->in->config->uplink_table && ks_stop_has_route (copy) && copy->metric == route->metric
        && ks_prefix_equal (&copy->dst, &route->dst))
      return copy;
  }
  return NULL;
}

/* Whether a transport would find a way to @server, but for the routes that stop it. */
static gboolean
has_way (const KsConflictSearch *s, const KsPrefix *server)
{
  for (guint i = 0; i < s->in->routes->len; i++) {
    const KsRoute *route = &g_array_index (s->in->routes, KsRoute, i);

    if (route->table == s->in->config->uplink_table && route->type == RTN_UNICAST
        && ks_prefix_contains (&route->dst, server))
      return TRUE;
  }
  return FALSE;
}

/* A route that discards what is sent to a VPN's server, or takes the server for this host. */
static void
consider_server (KsConflictSearch *s, const KsRoute *route)
{
  const KsTransport *transport = NULL;
  const KsRoute *copy;

  if (route->table == RT_TABLE_LOCAL && (ks_stop_has_route (route) || route->type == RTN_LOCAL)) {
    transport = find_server (s, route, RT_TABLE_LOCAL);
    if (transport && ks_conflict_is_private (s, &transport->to)) /* a proxy or a server on this host itself */
      transport = NULL;
  } else if (route->table == RT_TABLE_MAIN && (ks_stop_has_route (route) || route->type == RTN_THROW)) {
    copy = find_copy (s, route);
    transport = copy ? find_server (s, copy, s->in->config->uplink_table) : NULL;
    if (transport && !has_way (s, &transport->to)) /* there is no network */
      transport = NULL;
  }
  if (transport)
    add_route (s, route, KS_CONFLICT_BLOCKS, ks_neighbour_of_route (route),
               route->type == RTN_LOCAL ? "makes the address of a VPN's server one of this host's own, so that VPN "
                                          "cannot connect"
                                        : "keeps a VPN from its server");
}

void
ks_conflict_consider_route (KsConflictSearch *s, const KsRoute *route)
{
  if (route->family != s->family)
    return;
  consider_server (s, route);
  if (route->table == RT_TABLE_LOCAL)
    consider_local_table (s, route);
  else if (ks_owner_has_table (s->in->config, route->table)) {
    if (!ks_owner_has_route (s->in->config, route))
      consider_own_table (s, route);
  } else if (s->in->policy->lan == KS_LAN_ROUTES && route->table == RT_TABLE_MAIN && is_wide (route)
             && ks_conflict_route_leaves (s, route)) {
    add_route (s, route, KS_CONFLICT_LEAKS, ks_neighbour_of_route (route),
               "counts as local network because of Lan=routes, so packets leave through it, past the VPN");
  }
}

/* --- the default route that transports take --- */

/* Whether the kill switch would rather have @route than @best: one without next hops cannot be copied. */
static gboolean
is_better_default (const KsRoute *route, const KsRoute *best)
{
  if (!best || (route->n_nexthops > 0) != (best->n_nexthops > 0))
    return !best || route->n_nexthops > 0;
  return route->metric < best->metric;
}

/* The best default route of @table that leads to an uplink, or to where nobody can tell; NULL if there is none. */
static const KsRoute *
find_default (const KsConflictSearch *s, guint32 table)
{
  const KsRoute *best = NULL;

  for (guint i = 0; i < s->in->routes->len; i++) {
    const KsRoute *route = &g_array_index (s->in->routes, KsRoute, i);

    if (route->family == s->family && route->table == table && ks_route_is_default (route) && route->type == RTN_UNICAST
        && (route->n_nexthops == 0 || !ks_policy_has_tunnel (s->in->policy, route->nexthops[0].ifindex))
        && is_better_default (route, best))
      best = route;
  }
  return best;
}

/* Whether an armed VPN has a server of the family, which the lookups for transports are about. */
static gboolean
has_transport (const KsConflictSearch *s)
{
  for (guint i = 0; i < s->in->policy->transports->len; i++)
    if (g_array_index (s->in->policy->transports, KsTransport, i).family == s->family)
      return TRUE;
  return FALSE;
}

/* Table main has no default route, and another table has one, which @rule leads all packets to. */
static void
consider_other_table (KsConflictSearch *s, const KsRule *rule)
{
  const KsRoute *route;
  g_autofree char *by = NULL, *selector = NULL, *words = NULL;
  const char *program;
  KsRoute copy;

  if (rule->family != s->family || rule->action != FR_ACT_TO_TBL || rule->table == RT_TABLE_MAIN
      || rule->suppress_prefixlength >= 0 || ks_owner_has_rule (s->in->config, rule)
      || ks_owner_has_table (s->in->config, rule->table) || !ks_conflict_is_for_the_unmarked (rule))
    return;
  route = find_default (s, rule->table);
  if (!route || route->n_nexthops == 0)
    return;
  program = ks_neighbour_of_rule (rule);
  by = ks_conflict_by (program);
  selector = ks_conflict_selector (rule);
  copy = *route;
  copy.table = RT_TABLE_MAIN;
  words = format_route (s, &copy);
  ks_conflict_add (
    s, "rule", KS_CONFLICT_BLOCKS, g_strdup_printf ("%u: %s", rule->priority, selector), program,
    g_strdup_printf ("%s rule '%u: %s'%s leads to the only default route, but the kill switch reaches the VPN's server "
                     "and the local network by table main, so the VPN cannot connect. Put the uplink's routes into "
                     "table main (NetworkManager: no ipv%u.route-table), or at least run: ip %s route add %s%s",
                     s->family == AF_INET6 ? "IPv6" : "IPv4", rule->priority, selector, by,
                     s->family == AF_INET6 ? 6u : 4u, ks_conflict_family_option (s->family), words,
                     ks_prefix_is_set (&route->nexthops[0].gateway) ? " onlink" : ""));
}

/* The kernel does not say where @route leads, so it cannot be copied to table 85. */
static void
add_opaque (KsConflictSearch *s, const KsRoute *route)
{
  const char *program = ks_neighbour_of_route (route);
  g_autofree char *by = ks_conflict_by (program);
  char *object = format_route (s, route);

  ks_conflict_add (
    s, "route", KS_CONFLICT_BLOCKS, object, program,
    g_strdup_printf ("%s route '%s'%s has an encapsulation, or a nexthop object that the kernel does not show, so the "
                     "VPN cannot connect through it. Add a plain default route, or, for a nexthop object, run: "
                     "sysctl -w net.ipv4.nexthop_compat_mode=1, and then nm-killswitch sync",
                     s->family == AF_INET6 ? "IPv6" : "IPv4", object, by));
}

void
ks_conflict_consider_default (KsConflictSearch *s)
{
  const KsRoute *best = find_default (s, RT_TABLE_MAIN);
  const char *program =
    best && best->n_nexthops > 0 ? ks_neighbour_of_sink (ks_conflict_interface (s, best->nexthops[0].ifindex)) : NULL;

  if (program)
    add_route (s, best, KS_CONFLICT_BLOCKS, program,
               "leads into that program's own kill switch, so another VPN cannot connect");
  if (s->in->policy->tunnels->len > 0 || !has_transport (s))
    return;
  if (best && best->n_nexthops == 0)
    add_opaque (s, best);
  for (guint i = 0; !best && i < s->in->rules->len; i++)
    consider_other_table (s, &g_array_index (s->in->rules, KsRule, i));
}
