/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run/ks-conflict.h"

#include <string.h>

#include "base/ks-error.h"
#include "kernel/ks-flows.h"
#include "kernel/ks-nft-objects.h"
#include "policy/ks-owner.h"
#include "run/ks-conflict-search.h"

/* Of each kind and effect: nobody reads more. */
#define MAX_CONFLICTS 8

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

char *
ks_conflict_printable (char *text)
{
  char *out = ks_error_printable (text);

  g_free (text);
  return out;
}

const char *
ks_conflict_family_option (int family)
{
  return family == AF_INET6 ? "-6" : "-4";
}

const KsLink *
ks_conflict_find_link (const KsConflictSearch *s, guint ifindex)
{
  for (guint i = 0; i < s->in->links->len; i++)
    if (g_array_index (s->in->links, KsLink, i).ifindex == ifindex)
      return &g_array_index (s->in->links, KsLink, i);
  return NULL;
}

const char *
ks_conflict_interface (const KsConflictSearch *s, guint ifindex)
{
  const KsLink *link = ks_conflict_find_link (s, ifindex);

  return link ? link->name : "?";
}

void
ks_conflict_add (KsConflictSearch *s, const char *kind, KsConflictEffect effect, char *object, const char *program,
                 char *text)
{
  KsConflict *conflict;
  guint count = 0;

  for (guint i = 0; i < s->out->len; i++)
    count += strcmp (((const KsConflict *) s->out->pdata[i])->kind, kind) == 0
             && ((const KsConflict *) s->out->pdata[i])->effect == effect;
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

char *
ks_conflict_by (const char *program)
{
  return program ? g_strdup_printf (" (probably set by %s)", program) : g_strdup (" (set by another program)");
}

const char *
ks_conflict_last_defence (const KsConflictSearch *s)
{
  return s->in->has_guard ? "only the guard still stops them" : "nothing stops them";
}

/* --- routes that lead out --- */

gboolean
ks_conflict_is_private (const KsConflictSearch *s, const KsPrefix *prefix)
{
  return ks_prefix_array_covers (s->in->config->lan_prefixes, prefix) || ks_prefix_is_loopback (prefix)
         || ks_prefix_is_link_local (prefix) || ks_prefix_is_multicast (prefix);
}

/* The LAN's resolvers may not be asked, which the guard sees to if there is one. */
gboolean
ks_conflict_is_lan (const KsConflictSearch *s, const KsPrefix *prefix)
{
  const KsPolicy *policy = s->in->policy;
  gboolean is_open = policy->lan != KS_LAN_OFF && (s->in->has_guard || policy->dns != KS_DNS_TUNNEL || s->is_after_dns);

  return ks_conflict_is_private (s, prefix)
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

gboolean
ks_conflict_route_leaves (const KsConflictSearch *s, const KsRoute *route)
{
  if (route->family != s->family || !sends (route) || ks_conflict_is_lan (s, &route->dst))
    return FALSE;
  if (route->n_nexthops == 0) /* nobody can tell where it leads */
    return TRUE;
  for (guint i = 0; i < route->n_nexthops; i++)
    if (route->nexthops[i].ifindex != KS_CONFLICT_LOOPBACK
        && !ks_policy_has_tunnel (s->in->policy, route->nexthops[i].ifindex))
      return TRUE;
  return FALSE;
}

gboolean
ks_conflict_is_possible (const KsConfig *config, const GArray *rules, const GArray *routes)
{
  const KsConflictPlaces ipv4 = ks_conflict_find_places (config, rules, AF_INET),
                         ipv6 = ks_conflict_find_places (config, rules, AF_INET6);

  for (guint i = 0; i < rules->len; i++) {
    const KsRule *rule = &g_array_index (rules, KsRule, i);

    if (ks_conflict_takes_effect (config, rule, rule->family == AF_INET6 ? &ipv6 : &ipv4))
      return TRUE;
  }
  for (guint i = 0; i < routes->len; i++) {
    const KsRoute *route = &g_array_index (routes, KsRoute, i);

    if (ks_owner_has_table (config, route->table) && !ks_owner_has_route (config, route))
      return TRUE;
  }
  return FALSE;
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
  KsConflictSearch s = { .in = input, .out = found };

  if (!input->policy->armed)
    return found;
  for (guint f = 0; f < G_N_ELEMENTS (families); f++) {
    s.family = families[f];
    s.places = ks_conflict_find_places (input->config, input->rules, s.family);
    for (guint i = 0; i < input->rules->len; i++)
      if (g_array_index (input->rules, KsRule, i).family == s.family)
        ks_conflict_consider_rule (&s, &g_array_index (input->rules, KsRule, i));
    s.is_after_dns = FALSE;
    for (guint i = 0; i < input->routes->len; i++)
      ks_conflict_consider_route (&s, &g_array_index (input->routes, KsRoute, i));
    ks_conflict_consider_default (&s);
  }
  for (guint i = 0; i < input->objects->len; i++)
    ks_conflict_consider_nft (&s, input->objects->pdata[i]);
  for (guint i = 0; i < input->redirections->len; i++)
    ks_conflict_consider_redirection (&s, &g_array_index (input->redirections, KsTcRedirection, i));
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
