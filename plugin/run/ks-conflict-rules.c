/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Rules that take effect before the last of ours. */
#include "run/ks-conflict-search.h"

#include <string.h>

#include "base/ks-error.h"
#include "policy/ks-owner.h"
#include "policy/ks-stop.h"

char *
ks_conflict_selector (const KsRule *rule)
{
  g_autofree char *words = ks_rule_format (rule);
  char *end = strstr (words, " protocol ");
  const char *begin = strchr (words, ' ');

  if (end)
    *end = '\0';
  begin = begin ? strchr (begin + 1, ' ') : NULL;
  return ks_error_printable (begin ? begin + 1 : words);
}

/* Tables 83 and 84 lead into tunnels; foreign routes in them are reported on their own. The others lead to uplinks. */
static gboolean
is_tunnels (const KsConflictSearch *s, guint32 table)
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
leads_out (const KsConflictSearch *s, const KsRule *rule)
{
  for (guint i = 0; i < s->in->routes->len; i++) {
    const KsRoute *route = &g_array_index (s->in->routes, KsRoute, i);

    if (is_looked_up (rule, route) && !is_tunnels (s, route->table) && ks_conflict_route_leaves (s, route)
        && (int) route->dst.length > rule->suppress_prefixlength
        && (!ks_prefix_is_set (&rule->to) || rule->invert || ks_prefix_overlaps (&rule->to, &route->dst)))
      return TRUE;
  }
  return FALSE;
}

gboolean
ks_conflict_is_for_the_unmarked (const KsRule *rule)
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

KsConflictPlaces
ks_conflict_find_places (const KsConfig *config, const GArray *rules, int family)
{
  KsConflictPlaces places = { .floor = G_MAXUINT32, .jump = G_MAXUINT32 };

  for (guint i = 0; i < rules->len; i++) {
    const KsRule *rule = &g_array_index (rules, KsRule, i);

    if (rule->family != family)
      continue;
    if (ks_rule_is_local_lookup (rule) && ks_conflict_is_for_the_unmarked (rule))
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
gboolean
ks_conflict_takes_effect (const KsConfig *config, const KsRule *rule, const KsConflictPlaces *places)
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
add_rule (KsConflictSearch *s, const KsRule *rule, KsConflictEffect effect, const char *where)
{
  const char *program = ks_neighbour_of_rule (rule);
  g_autofree char *by = ks_conflict_by (program);
  g_autofree char *selector = ks_conflict_selector (rule);
  char *object = g_strdup_printf ("%u: %s", rule->priority, selector);
  g_autofree char *harm = effect == KS_CONFLICT_LEAKS
                            ? g_strdup_printf ("can send packets past the VPN; %s", ks_conflict_last_defence (s))
                            : g_strdup ("can keep the VPN from connecting");

  ks_conflict_add (
    s, "rule", effect, object, program,
    g_strdup_printf ("%s rule '%s'%s %s and %s. Stop whatever sets it, or run: ip %s rule del priority %u %s",
                     s->family == AF_INET6 ? "IPv6" : "IPv4", object, by, where, harm,
                     ks_conflict_family_option (s->family), rule->priority, selector));
}

/* Whether our jump, or a rule of ours, is skipped: @rule leads to a foreign rule behind the jump, or past our first. */
static gboolean
skips_ours (const KsConflictSearch *s, const KsRule *rule)
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
swallows (const KsConflictSearch *s, const KsRoute *route)
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
stops_transport (const KsConflictSearch *s, const KsRule *rule)
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

void
ks_conflict_consider_rule (KsConflictSearch *s, const KsRule *rule)
{
  const KsConfig *config = s->in->config;
  const char *where = rule->priority < config->priority ? "takes effect before the kill switch's rules"
                                                        : "takes effect between the kill switch's rules";

  if (!ks_conflict_takes_effect (config, rule, &s->places))
    return;
  s->is_after_dns = rule->priority > config->priority + KS_PRIORITY_DNS;
  switch (rule->action) {
  case FR_ACT_TO_TBL:
    if (!(ks_prefix_is_set (&rule->to) && !rule->invert && ks_conflict_is_lan (s, &rule->to)) && leads_out (s, rule))
      add_rule (s, rule, KS_CONFLICT_LEAKS, where);
    else if (stops_transport (s, rule))
      add_rule (s, rule, KS_CONFLICT_BLOCKS, where);
    break;
  case FR_ACT_GOTO:
    if (skips_ours (s, rule))
      add_rule (s, rule, KS_CONFLICT_LEAKS, where);
    break;
  default:
    if (ks_conflict_is_for_the_unmarked (rule) || stops_transport (s, rule))
      add_rule (s, rule, KS_CONFLICT_BLOCKS, where);
    break;
  }
}
