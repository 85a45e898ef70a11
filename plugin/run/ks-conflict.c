/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run/ks-conflict.h"

#include <linux/netfilter.h>
#include <string.h>

#include "base/ks-error.h"
#include "kernel/ks-flows.h"
#include "kernel/ks-guard.h"
#include "kernel/ks-nft-objects.h"
#include "policy/ks-stop.h"

/* The index of lo in every network namespace: LOOPBACK_IFINDEX of the kernel's include/net/flow.h. */
#define LOOPBACK 1u
/* NF_NETDEV_EGRESS of linux/netfilter.h: Linux 5.16 */
#define NETDEV_EGRESS 1u
/* With Lan=routes: a route of this length or shorter is too wide to be a LAN. */
#define WIDE_IPV4 8
#define WIDE_IPV6 16
/* Of each kind: nobody reads more. */
#define MAX_CONFLICTS 8

/* Which rules take effect before ours. */
typedef struct {
  guint32 floor; /* rules up to this priority cannot be jumped over */
  guint32 jump; /* the priority of our jump; G_MAXUINT32 if there is none */
} Places;

typedef struct {
  const KsConflictInput *in;
  int family;
  Places places;
  gboolean is_after_dns; /* the rule under consideration does not get DNS queries: ours for them comes first */
  GPtrArray *out; /* of KsConflict */
} Search;

void
ks_conflict_free (KsConflict *self)
{
  g_free (self->object);
  g_free (self->text);
  g_free (self);
}

const char *
ks_conflict_effect_format (KsConflictEffect effect)
{
  return effect == KS_CONFLICT_LEAKS ? "leak" : "block";
}

/* --- formatting --- */

/* A device's name may contain anything (@text is taken; transfer full). */
static char *
printable (char *text)
{
  char *out = ks_error_printable (text);

  g_free (text);
  return out;
}

static const char *
family_option (int family)
{
  return family == AF_INET6 ? "-6" : "-4";
}

static const KsLink *
find_link (const Search *s, guint ifindex)
{
  for (guint i = 0; i < s->in->links->len; i++)
    if (g_array_index (s->in->links, KsLink, i).ifindex == ifindex)
      return &g_array_index (s->in->links, KsLink, i);
  return NULL;
}

static const char *
interface_name (const Search *s, guint ifindex)
{
  const KsLink *link = find_link (s, ifindex);

  return link ? link->name : "?";
}

/* What follows "priority N " in the arguments of `ip rule add`, without the protocol: enough to find the rule again. */
static char *
rule_selector (const KsRule *rule)
{
  g_autofree char *words = ks_rule_format (rule);
  char *end = strstr (words, " protocol ");
  const char *begin = strchr (words, ' ');

  if (end)
    *end = '\0';
  begin = begin ? strchr (begin + 1, ' ') : NULL;
  return ks_error_printable (begin ? begin + 1 : words);
}

static const char *
type_word (guint8 type)
{
  switch (type) {
  case RTN_LOCAL:
    return "local ";
  case RTN_BROADCAST:
    return "broadcast ";
  case RTN_ANYCAST:
    return "anycast ";
  case RTN_MULTICAST:
    return "multicast ";
  case RTN_BLACKHOLE:
    return "blackhole ";
  case RTN_UNREACHABLE:
    return "unreachable ";
  case RTN_PROHIBIT:
    return "prohibit ";
  case RTN_THROW:
    return "throw ";
  default:
    return "";
  }
}

/* " via 192.168.50.1 dev eth0" */
static void
format_nexthop (const Search *s, const KsRoute *route, const KsNexthop *hop, GString *out)
{
  if (ks_prefix_is_set (&hop->gateway)) {
    g_autofree char *gateway = ks_prefix_format_address (&hop->gateway);

    g_string_append_printf (out, " via %s%s", hop->gateway.family == route->family ? "" : "inet6 ", gateway);
  }
  g_string_append_printf (out, " dev %s", interface_name (s, hop->ifindex));
}

/* "default via 192.168.50.1 dev eth0 metric 5", with " table 83" unless it is main. */
static char *
format_route (const Search *s, const KsRoute *route)
{
  g_autofree char *dst = ks_prefix_format (&route->dst);
  GString *out = g_string_new (type_word (route->type));

  g_string_append (out, dst);
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
  return printable (g_string_free (out, FALSE));
}

/* @object and @text are taken. */
static void
add (Search *s, const char *kind, KsConflictEffect effect, char *object, const char *program, char *text)
{
  KsConflict *conflict;
  guint count = 0;

  for (guint i = 0; i < s->out->len; i++)
    count += strcmp (((const KsConflict *) s->out->pdata[i])->kind, kind) == 0;
  if (count >= MAX_CONFLICTS) {
    g_free (object);
    g_free (text);
    return;
  }
  conflict = g_new0 (KsConflict, 1);
  conflict->kind = kind;
  conflict->effect = effect;
  conflict->object = object;
  conflict->program = program;
  conflict->text = text;
  g_ptr_array_add (s->out, conflict);
}

/* " (probably BIRD)" (transfer full). */
static char *
format_program (const char *program)
{
  return program ? g_strdup_printf (" (probably set by %s)", program) : g_strdup (" (set by another program)");
}

/* What stops packets that a leaking rule or route lets through. */
static const char *
last_defence (const Search *s)
{
  return s->in->has_guard ? "only the guard still stops them" : "nothing stops them";
}

/* --- routes that lead out --- */

static gboolean
is_private (const Search *s, const KsPrefix *prefix)
{
  return ks_prefix_array_covers (s->in->config->lan_prefixes, prefix) || ks_prefix_is_loopback (prefix)
         || ks_prefix_is_link_local (prefix) || ks_prefix_is_multicast (prefix);
}

/* Whether anything may be sent to @prefix. The LAN's resolvers may not be asked, which the guard sees to if there is
 * one. */
static gboolean
is_lan (const Search *s, const KsPrefix *prefix)
{
  const KsPolicy *policy = s->in->policy;
  gboolean is_open = policy->lan != KS_LAN_OFF && (s->in->has_guard || policy->dns != KS_DNS_TUNNEL || s->is_after_dns);

  return is_private (s, prefix)
         && (is_open || !ks_prefix_array_covers (s->in->config->lan_prefixes, prefix)
             || ks_prefix_is_link_local (prefix));
}

/* Whether a packet that takes @route is sent: IPv4 sends to a unicast address by a route of type broadcast as well. */
static gboolean
sends (const KsRoute *route)
{
  return route->type == RTN_UNICAST || route->type == RTN_BROADCAST || route->type == RTN_MULTICAST
         || (route->type == RTN_ANYCAST && route->family == AF_INET);
}

/* Whether @route sends public packets through a device that is no tunnel. */
static gboolean
leaves (const Search *s, const KsRoute *route)
{
  if (route->family != s->family || !sends (route) || is_lan (s, &route->dst))
    return FALSE;
  if (route->n_nexthops == 0) /* nobody can tell where it leads */
    return TRUE;
  for (guint i = 0; i < route->n_nexthops; i++)
    if (route->nexthops[i].ifindex != LOOPBACK && !ks_policy_has_tunnel (s->in->policy, route->nexthops[i].ifindex))
      return TRUE;
  return FALSE;
}

/* Tables 83 and 84 lead into tunnels; foreign routes in them are reported on their own. The others lead to uplinks. */
static gboolean
is_tunnels (const Search *s, guint32 table)
{
  return table == s->in->config->table || table == s->in->config->tunnel_table;
}

static gboolean
is_looked_up (const KsRule *rule, const KsRoute *route)
{
  if (rule->l3mdev) /* the table of any VRF */
    return route->table != RT_TABLE_MAIN && route->table != RT_TABLE_LOCAL;
  return route->table == rule->table;
}

/* Whether the table that @rule looks up has such a route, and @rule does not suppress it. */
static gboolean
leads_out (const Search *s, const KsRule *rule)
{
  for (guint i = 0; i < s->in->routes->len; i++) {
    const KsRoute *route = &g_array_index (s->in->routes, KsRoute, i);

    if (is_looked_up (rule, route) && !is_tunnels (s, route->table) && leaves (s, route)
        && (int) route->dst.length > rule->suppress_prefixlength
        && (!ks_prefix_is_set (&rule->to) || rule->invert || ks_prefix_overlaps (&rule->to, &route->dst)))
      return TRUE;
  }
  return FALSE;
}

/* --- rules --- */

/* Whether the rule matches all packets without a mark, whatever they are. */
static gboolean
is_for_the_unmarked (const KsRule *rule)
{
  KsRule plain = ks_rule_init (rule->family, rule->priority, rule->protocol);

  plain.action = rule->action;
  plain.table = rule->table;
  plain.goto_target = rule->goto_target;
  plain.suppress_prefixlength = rule->suppress_prefixlength;
  plain.suppress_ifgroup = rule->suppress_ifgroup;
  if (rule->invert && rule->fwmask) {
    plain.invert = TRUE;
    plain.fwmark = rule->fwmark;
    plain.fwmask = rule->fwmask;
  }
  return ks_rule_equal (rule, &plain);
}

static Places
find_places (const KsConfig *config, const GArray *rules, int family)
{
  Places places = { .floor = G_MAXUINT32, .jump = G_MAXUINT32 };

  for (guint i = 0; i < rules->len; i++) {
    const KsRule *rule = &g_array_index (rules, KsRule, i);

    if (rule->family != family)
      continue;
    if (ks_rule_is_local_lookup (rule) && is_for_the_unmarked (rule))
      places.floor = MIN (places.floor, rule->priority);
    if (ks_owner_has_rule (config, rule) && rule->action == FR_ACT_GOTO)
      places.jump = MIN (places.jump, rule->priority);
  }
  if (places.floor == G_MAXUINT32)
    places.floor = 0;
  return places;
}

/*
 * Whether @rule, a foreign one, takes effect before the last of ours. A rule before ours that leads somewhere is jumped
 * over, now or after `sync`; a rule that stops packets only if the jump exists, for another rule, and comes before it.
 */
static gboolean
takes_effect (const KsConfig *config, const KsRule *rule, const Places *places)
{
  if (ks_owner_has_rule (config, rule) || ks_rule_is_local_lookup (rule)
      || rule->priority > config->priority + KS_PRIORITY_TERMINAL)
    return FALSE;
  switch (rule->action) {
  case FR_ACT_TO_TBL:
  case FR_ACT_GOTO:
    return rule->priority >= config->priority || rule->priority <= places->floor;
  case FR_ACT_BLACKHOLE:
  case FR_ACT_UNREACHABLE:
  case FR_ACT_PROHIBIT:
    return rule->priority >= config->priority || rule->priority <= places->jump;
  default:
    return FALSE;
  }
}

static void
add_rule (Search *s, const KsRule *rule, KsConflictEffect effect, const char *where)
{
  const char *program = ks_neighbour_of_rule (rule);
  g_autofree char *by = format_program (program);
  g_autofree char *selector = rule_selector (rule);
  char *object = g_strdup_printf ("%u: %s", rule->priority, selector);
  g_autofree char *harm = effect == KS_CONFLICT_LEAKS
                            ? g_strdup_printf ("can send packets past the VPN; %s", last_defence (s))
                            : g_strdup ("can keep the VPN from connecting");

  add (s, "rule", effect, object, program,
       g_strdup_printf ("%s rule '%s'%s %s and %s. Stop whatever sets it, or run: ip %s rule del priority %u %s",
                        s->family == AF_INET6 ? "IPv6" : "IPv4", object, by, where, harm, family_option (s->family),
                        rule->priority, selector));
}

/* Whether our jump, or a rule of ours, is skipped: @rule leads to a foreign rule behind the jump, or past our first. */
static gboolean
skips_ours (const Search *s, const KsRule *rule)
{
  const guint32 ours = s->in->config->priority;

  if (rule->goto_target > ours)
    return TRUE;
  for (guint i = 0; rule->goto_target > s->places.jump && i < s->in->rules->len; i++) {
    const KsRule *other = &g_array_index (s->in->rules, KsRule, i);

    if (other->family == s->family && other->priority >= rule->goto_target && other->priority < ours
        && !ks_owner_has_rule (s->in->config, other)
        && ((other->action == FR_ACT_TO_TBL && leads_out (s, other))
            || (other->action == FR_ACT_GOTO && other->goto_target > ours)))
      return TRUE;
  }
  return FALSE;
}

/* Whether a packet that takes @route is discarded, or sent into a tunnel. */
static gboolean
swallows (const Search *s, const KsRoute *route)
{
  if (ks_stop_has_route (route))
    return TRUE;
  for (guint i = 0; i < route->n_nexthops; i++)
    if (!ks_policy_has_tunnel (s->in->policy, route->nexthops[i].ifindex))
      return FALSE;
  return route->type == RTN_UNICAST && route->n_nexthops > 0;
}

/* Whether @rule decides for a transport, which comes to it before our rules, and keeps it from its server. */
static gboolean
stops_transport (const Search *s, const KsRule *rule)
{
  if (rule->priority >= s->in->config->priority)
    return FALSE;
  for (guint i = 0; i < s->in->policy->transports->len; i++) {
    const KsTransport *transport = &g_array_index (s->in->policy->transports, KsTransport, i);
    const KsRoute *route;

    if (transport->outer[0] || !ks_stop_has_rule (rule, transport))
      continue;
    if (rule->action != FR_ACT_TO_TBL)
      return TRUE;
    route = ks_prefix_is_set (&transport->to) ? ks_stop_find_route (s->in->routes, rule->table, &transport->to) : NULL;
    if (route && (int) route->dst.length > rule->suppress_prefixlength && swallows (s, route))
      return TRUE;
  }
  return FALSE;
}

static void
consider_rule (Search *s, const KsRule *rule)
{
  const KsConfig *config = s->in->config;
  const char *where = rule->priority < config->priority ? "takes effect before the kill switch's rules"
                                                        : "takes effect between the kill switch's rules";

  if (!takes_effect (config, rule, &s->places))
    return;
  s->is_after_dns = rule->priority > config->priority + KS_PRIORITY_DNS;
  switch (rule->action) {
  case FR_ACT_TO_TBL:
    if (!(ks_prefix_is_set (&rule->to) && !rule->invert && is_lan (s, &rule->to)) && leads_out (s, rule))
      add_rule (s, rule, KS_CONFLICT_LEAKS, where);
    else if (stops_transport (s, rule))
      add_rule (s, rule, KS_CONFLICT_BLOCKS, where);
    break;
  case FR_ACT_GOTO:
    if (skips_ours (s, rule))
      add_rule (s, rule, KS_CONFLICT_LEAKS, where);
    break;
  default:
    if (is_for_the_unmarked (rule) || stops_transport (s, rule))
      add_rule (s, rule, KS_CONFLICT_BLOCKS, where);
    break;
  }
}

/* --- routes --- */

static void
add_route (Search *s, const KsRoute *route, KsConflictEffect effect, const char *program, const char *what)
{
  g_autofree char *by = format_program (program);
  char *object = format_route (s, route);

  add (s, "route", effect, object, program,
       g_strdup_printf ("%s route '%s'%s %s. Stop whatever sets it, or run: ip %s route del %s",
                        s->family == AF_INET6 ? "IPv6" : "IPv4", object, by, what, family_option (s->family), object));
}

/* Foreign routes in our tables. Table 85 is for the VPN's own packets alone, and so are the tables for management. */
static void
consider_own_table (Search *s, const KsRoute *route)
{
  const KsConfig *config = s->in->config;
  gboolean is_way_out =
    route->table == config->table || route->table == config->tunnel_table || route->table == config->servers_table;
  g_autofree char *leak =
    g_strdup_printf ("is in a table of the kill switch and can send packets past the VPN; %s", last_defence (s));

  if (is_way_out && leaves (s, route))
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
consider_local_table (Search *s, const KsRoute *route)
{
  g_autofree char *leak = NULL;

  if (route->protocol == RTPROT_KERNEL || !leaves (s, route))
    return;
  leak = g_strdup_printf ("is in table local, which comes before every rule, and can send packets past the VPN; %s",
                          last_defence (s));
  add_route (s, route, KS_CONFLICT_LEAKS, ks_neighbour_of_route (route), leak);
}

/* A server whose packets take @route, and that is not inside of another VPN; NULL if there is none. */
static const KsTransport *
find_server (const Search *s, const KsRoute *route, guint32 table)
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
find_copy (const Search *s, const KsRoute *route)
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
has_way (const Search *s, const KsPrefix *server)
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
consider_server (Search *s, const KsRoute *route)
{
  const KsTransport *transport = NULL;
  const KsRoute *copy;

  if (route->table == RT_TABLE_LOCAL && (ks_stop_has_route (route) || route->type == RTN_LOCAL)) {
    transport = find_server (s, route, RT_TABLE_LOCAL);
    if (transport && is_private (s, &transport->to)) /* a proxy or a server on this host itself */
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

static void
consider_route (Search *s, const KsRoute *route)
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
             && leaves (s, route)) {
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
find_default (const Search *s, guint32 table)
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
has_transport (const Search *s)
{
  for (guint i = 0; i < s->in->policy->transports->len; i++)
    if (g_array_index (s->in->policy->transports, KsTransport, i).family == s->family)
      return TRUE;
  return FALSE;
}

/* Table main has no default route, and another table has one, which @rule leads all packets to. */
static void
consider_other_table (Search *s, const KsRule *rule)
{
  const KsRoute *route;
  g_autofree char *by = NULL, *selector = NULL, *words = NULL;
  const char *program;
  KsRoute copy;

  if (rule->family != s->family || rule->action != FR_ACT_TO_TBL || rule->table == RT_TABLE_MAIN
      || rule->suppress_prefixlength >= 0 || ks_owner_has_rule (s->in->config, rule)
      || ks_owner_has_table (s->in->config, rule->table) || !is_for_the_unmarked (rule))
    return;
  route = find_default (s, rule->table);
  if (!route || route->n_nexthops == 0)
    return;
  program = ks_neighbour_of_rule (rule);
  by = format_program (program);
  selector = rule_selector (rule);
  copy = *route;
  copy.table = RT_TABLE_MAIN;
  words = format_route (s, &copy);
  add (s, "rule", KS_CONFLICT_BLOCKS, g_strdup_printf ("%u: %s", rule->priority, selector), program,
       g_strdup_printf (
         "%s rule '%u: %s'%s leads to the only default route, but the kill switch reaches the VPN's server "
         "and the local network by table main, so the VPN cannot connect. Put the uplink's routes into "
         "table main (NetworkManager: no ipv%u.route-table), or at least run: ip %s route add %s%s",
         s->family == AF_INET6 ? "IPv6" : "IPv4", rule->priority, selector, by, s->family == AF_INET6 ? 6u : 4u,
         family_option (s->family), words, ks_prefix_is_set (&route->nexthops[0].gateway) ? " onlink" : ""));
}

/* The kernel does not say where @route leads, so it cannot be copied to table 85. */
static void
add_opaque (Search *s, const KsRoute *route)
{
  const char *program = ks_neighbour_of_route (route);
  g_autofree char *by = format_program (program);
  char *object = format_route (s, route);

  add (
    s, "route", KS_CONFLICT_BLOCKS, object, program,
    g_strdup_printf ("%s route '%s'%s has an encapsulation, or a nexthop object that the kernel does not show, so the "
                     "VPN cannot connect through it. Add a plain default route, or, for a nexthop object, run: "
                     "sysctl -w net.ipv4.nexthop_compat_mode=1, and then nm-killswitch sync",
                     s->family == AF_INET6 ? "IPv6" : "IPv4", object, by));
}

/* The default route that transports take: another program's kill switch, none that can be copied, or none in main. */
static void
consider_default (Search *s)
{
  const KsRoute *best = find_default (s, RT_TABLE_MAIN);
  const char *program =
    best && best->n_nexthops > 0 ? ks_neighbour_of_sink (interface_name (s, best->nexthops[0].ifindex)) : NULL;

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

/* --- nftables and traffic control --- */

/* Whether packets leave the host by the device: a network card, or one with a default route. 0: nobody can tell. */
static gboolean
is_way_out (const Search *s, guint ifindex)
{
  const KsLink *link = find_link (s, ifindex);

  if (!link || ks_policy_has_tunnel (s->in->policy, ifindex) || ifindex == LOOPBACK)
    return ifindex == 0;
  if (link->is_hardware && strcmp (link->kind, "bridge") != 0)
    return TRUE;
  for (guint i = 0; i < s->in->routes->len; i++) {
    const KsRoute *route = &g_array_index (s->in->routes, KsRoute, i);

    if (route->table == RT_TABLE_MAIN && ks_route_is_default (route) && ks_route_uses (route, ifindex))
      return TRUE;
  }
  return FALSE;
}

/* As add(), for what no hook of the guard sees. */
static void
add_past_guard (Search *s, const char *kind, char *object, const char *program, char *text)
{
  const guint before = s->out->len;

  add (s, kind, KS_CONFLICT_LEAKS, object, program, text);
  if (s->out->len > before)
    ((KsConflict *) s->out->pdata[before])->passes_guard = TRUE;
}

static gboolean
is_ours (const KsNftObject *object)
{
  return object->family == NFPROTO_INET && strcmp (object->table, KS_GUARD_TABLE) == 0;
}

static gboolean
may_stop_transports (const KsNftObject *object)
{
  if (!object->is_base || !object->drops)
    return FALSE;
  switch (object->family) {
  case NFPROTO_INET:
  case NFPROTO_IPV4:
  case NFPROTO_IPV6:
    return object->hook == NF_INET_LOCAL_OUT || object->hook == NF_INET_POST_ROUTING;
  case NFPROTO_NETDEV:
    return object->hook == NETDEV_EGRESS;
  default:
    return FALSE;
  }
}

static void
add_flowtable (Search *s, const KsNftObject *object, const char *program)
{
  g_autofree char *by = format_program (program);
  char *name = ks_nft_object_format (object);

  add_past_guard (
    s, "flowtable", name, program,
    g_strdup_printf ("nftables flowtable '%s'%s keeps forwarding connections past the VPN that were open before "
                     "arming (%u in all), and the kernel refuses to end them. Turn off flow offloading there",
                     name, by, s->in->flows));
}

static void
add_nft_redirection (Search *s, const KsNftObject *object, const char *program)
{
  g_autofree char *by = format_program (program);
  g_autofree char *to = printable (g_strdup (object->ifindex ? interface_name (s, object->ifindex) : "any device"));
  char *name = ks_nft_object_format (object);

  add_past_guard (s, "chain", name, program,
                  g_strdup_printf ("nftables chain '%s'%s sends packets, or copies of them, to %s by `fwd` or `dup`, "
                                   "past the VPN and the guard. Stop whatever sets it, or run: nft flush chain %s",
                                   name, by, to, name));
}

static void
add_dropping_chain (Search *s, const KsNftObject *object, const char *program)
{
  g_autofree char *by = format_program (program);
  char *name = ks_nft_object_format (object);

  add (
    s, "chain", KS_CONFLICT_BLOCKS, name, program,
    g_strdup_printf (
      "nftables chain '%s'%s drops whatever it does not expect and may keep the VPN from connecting. Allow the VPN's "
      "server in that firewall, or turn it off",
      name, by));
}

/*
 * Whether a VPN has connected, as far as can be told: its tunnel has received something. A WireGuard device, or that of
 * a section, may be up without.
 */
static gboolean
is_connected (const Search *s)
{
  for (guint i = 0; i < s->in->policy->tunnels->len; i++) {
    const KsLink *link = find_link (s, ((const KsPolicyTunnel *) s->in->policy->tunnels->pdata[i])->ifindex);

    if (!link || !link->is_mute)
      return TRUE;
  }
  return FALSE;
}

static void
consider_nft (Search *s, const KsNftObject *object)
{
  const char *program = is_ours (object) ? NULL : ks_neighbour_of_nft (object, s->in->objects);

  if (is_ours (object))
    return;
  switch (object->kind) {
  case KS_NFT_FLOWTABLE:
    if (s->in->flows > 0)
      add_flowtable (s, object, program);
    break;
  case KS_NFT_REDIRECTION:
    if (is_way_out (s, object->ifindex))
      add_nft_redirection (s, object, program);
    break;
  default:
    if (may_stop_transports (object) && !is_connected (s))
      add_dropping_chain (s, object, program);
    break;
  }
}

static void
consider_redirection (Search *s, const KsTcRedirection *redirection)
{
  g_autofree char *device = NULL;
  char *object;

  if (!is_way_out (s, redirection->ifindex))
    return;
  device = printable (g_strdup (interface_name (s, redirection->ifindex)));
  object = g_strdup_printf ("mirred %s to %s index %u", redirection->copies ? "mirror" : "redirect", device,
                            redirection->index);
  add_past_guard (s, "action", object, NULL,
                  g_strdup_printf ("traffic control action '%s' (set by another program) sends %s to %s, past the VPN "
                                   "and the guard. Stop whatever sets it, or delete its filter, which `tc filter show "
                                   "dev DEVICE ingress` and `egress` list for each device",
                                   object, redirection->copies ? "copies of packets" : "packets", device));
}

/* --- together --- */

static int
compare_effects (gconstpointer a, gconstpointer b)
{
  const KsConflict *first = *(const KsConflict *const *) a, *second = *(const KsConflict *const *) b;

  return (int) first->effect - (int) second->effect; /* g_ptr_array_sort() is stable */
}

GPtrArray *
ks_conflict_find (const KsConflictInput *input)
{
  static const int families[] = { AF_INET, AF_INET6 };
  GPtrArray *found = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_conflict_free);
  Search s = { .in = input, .out = found };

  if (!input->policy->armed)
    return found;
  for (guint f = 0; f < G_N_ELEMENTS (families); f++) {
    s.family = families[f];
    s.places = find_places (input->config, input->rules, s.family);
    for (guint i = 0; i < input->rules->len; i++)
      if (g_array_index (input->rules, KsRule, i).family == s.family)
        consider_rule (&s, &g_array_index (input->rules, KsRule, i));
    s.is_after_dns = FALSE;
    for (guint i = 0; i < input->routes->len; i++)
      consider_route (&s, &g_array_index (input->routes, KsRoute, i));
    consider_default (&s);
  }
  for (guint i = 0; i < input->objects->len; i++)
    consider_nft (&s, input->objects->pdata[i]);
  for (guint i = 0; i < input->redirections->len; i++)
    consider_redirection (&s, &g_array_index (input->redirections, KsTcRedirection, i));
  g_ptr_array_sort (found, compare_effects);
  return found;
}

gboolean
ks_conflict_any_passes_guard (const GPtrArray *conflicts)
{
  for (guint i = 0; i < conflicts->len; i++)
    if (((const KsConflict *) conflicts->pdata[i])->passes_guard)
      return TRUE;
  return FALSE;
}

gboolean
ks_conflict_is_possible (const KsConfig *config, const GArray *rules, const GArray *routes)
{
  const Places ipv4 = find_places (config, rules, AF_INET), ipv6 = find_places (config, rules, AF_INET6);

  for (guint i = 0; i < rules->len; i++) {
    const KsRule *rule = &g_array_index (rules, KsRule, i);

    if (takes_effect (config, rule, rule->family == AF_INET6 ? &ipv6 : &ipv4))
      return TRUE;
  }
  for (guint i = 0; i < routes->len; i++) {
    const KsRoute *route = &g_array_index (routes, KsRoute, i);

    if (ks_owner_has_table (config, route->table) && !ks_owner_has_route (config, route))
      return TRUE;
  }
  return FALSE;
}

GPtrArray *
ks_conflict_read (KsKernel *kernel, const KsConfig *config, const KsPolicy *policy, const KsSnapshot *snapshot,
                  gboolean has_guard)
{
  g_autoptr (GArray) routes = policy->armed ? ks_kernel_dump_all_routes (kernel, NULL) : NULL;
  g_autoptr (GArray) links = policy->armed ? ks_kernel_dump_links (kernel, NULL) : NULL;
  g_autoptr (GPtrArray) objects = policy->armed ? ks_nft_objects_read (NULL) : NULL;
  g_autoptr (GArray) redirections = policy->armed ? ks_tc_read_redirections (NULL) : NULL;
  KsConflictInput input = { .config = config,
                            .policy = policy,
                            .rules = snapshot->rules,
                            .routes = routes,
                            .links = links,
                            .objects = objects,
                            .redirections = redirections,
                            .flows = policy->armed ? ks_flows_count (policy) : 0,
                            .has_guard = has_guard };

  if (!routes)
    input.routes = snapshot->routes;
  if (!links)
    input.links = links = g_array_new (FALSE, FALSE, sizeof (KsLink));
  if (!objects)
    input.objects = objects = g_ptr_array_new ();
  if (!redirections)
    input.redirections = redirections = g_array_new (FALSE, FALSE, sizeof (KsTcRedirection));
  return ks_conflict_find (&input);
}
