/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The order of the steps, and why.
 *
 * While the host stays armed, or becomes so, a packet that gets out between
 * two steps must be one that the old or the new policy lets out:
 *
 *   1  routes that block         blackholes: nothing can fall through behind a rule that is about to appear
 *   2  routes that carry         tunnel defaults, the tunnel's subnets, uplink routes
 *   3  stale uplink routes       table 85 is now what the new exemptions rely on
 *   4  exemptions                so that a transport both policies allow never meets a blocker first
 *   5  rules that block          the terminal rule, then the default, the tunnel's own subnets, DNS
 *   6  LAN rules                 after the tunnel's own subnets, which they must not shadow
 *   7  stale LAN rules, stale exemptions
 *   8  stale routes that carry   tunnels that are gone: before that, the LAN rule behind a tunnel's subnet would
 *                                have taken over what the tunnel carried
 *   9  stale rules that block    once nothing old is left that they would have stopped
 *  10  stale routes that block
 *
 * When a step fails on which others rely, these are left out: after an
 * addition of what blocks, or of a tunnel's subnet (an uplink's own may be
 * numbered alike, and then nothing blocks behind it), and after the deletion of
 * a LAN rule or an exemption, no LAN rule is added and neither what blocks nor
 * what carries is deleted. tests/unit/test-order.c tries it all.
 *
 * To disarm, rules go from the last to the first, then routes: at no time is
 * anything but the old policy or main asked, and a run killed half way leaves
 * no transport cut off by half a policy.
 */
#include "policy/ks-diff.h"

enum {
  PHASE_ADD_BLOCKING_ROUTE,
  PHASE_ADD_ROUTE,
  PHASE_DELETE_UPLINK_ROUTE,
  PHASE_ADD_EXEMPTION,
  PHASE_ADD_BLOCKING_RULE,
  PHASE_ADD_LAN,
  PHASE_DELETE_LAN,
  PHASE_DELETE_EXEMPTION,
  PHASE_DELETE_ROUTE,
  PHASE_DELETE_BLOCKING_RULE,
  PHASE_DELETE_BLOCKING_ROUTE,
};

typedef enum {
  ROLE_EXEMPTION,
  ROLE_LAN,
  ROLE_BLOCKER,
} Role;

/* What a rule of ours does, by its priority; another version's unknown one is treated as a blocker. */
static Role
rule_role (const KsConfig *config, const KsRule *rule)
{
  guint32 offset;

  if (rule->priority < config->priority)
    return ROLE_BLOCKER; /* the jump over somebody else's rules */
  offset = rule->priority - config->priority;
  if (offset < KS_PRIORITY_DNS)
    return ROLE_EXEMPTION;
  if ((offset >= KS_PRIORITY_LAN && offset < KS_PRIORITY_PROGRAMS) || offset == KS_PRIORITY_GATEWAY)
    return ROLE_LAN;
  return ROLE_BLOCKER;
}

/* Whether a route stops packets, or carries them. Routes in table 85 only ever serve exemptions. */
static gboolean
route_blocks (const KsConfig *config, const KsRoute *route)
{
  return route->type != RTN_UNICAST && route->table != config->uplink_table;
}

static guint
add_rule_phase (const KsConfig *config, const KsRule *rule)
{
  switch (rule_role (config, rule)) {
  case ROLE_EXEMPTION:
    return PHASE_ADD_EXEMPTION;
  case ROLE_LAN:
    return PHASE_ADD_LAN;
  default:
    return PHASE_ADD_BLOCKING_RULE;
  }
}

static guint
delete_rule_phase (const KsConfig *config, const KsRule *rule)
{
  switch (rule_role (config, rule)) {
  case ROLE_EXEMPTION:
    return PHASE_DELETE_EXEMPTION;
  case ROLE_LAN:
    return PHASE_DELETE_LAN;
  default:
    return PHASE_DELETE_BLOCKING_RULE;
  }
}

static guint
add_route_phase (const KsConfig *config, const KsRoute *route)
{
  return route_blocks (config, route) ? PHASE_ADD_BLOCKING_ROUTE : PHASE_ADD_ROUTE;
}

static guint
delete_route_phase (const KsConfig *config, const KsRoute *route)
{
  if (route->table == config->uplink_table)
    return PHASE_DELETE_UPLINK_ROUTE;
  return route->type == RTN_UNICAST ? PHASE_DELETE_ROUTE : PHASE_DELETE_BLOCKING_ROUTE;
}

/* Which route of a table wins comes first: the longer destination, then the lower metric. */
static int
compare_precedence (const KsRoute *a, const KsRoute *b)
{
  if (a->dst.length != b->dst.length)
    return a->dst.length > b->dst.length ? -1 : 1;
  if (a->metric != b->metric)
    return a->metric < b->metric ? -1 : 1;
  return 0;
}

/*
 * Of two rules of one priority the narrower one is deleted first: a key that
 * leaves something out would hit the narrower one as well (rule_find(),
 * net/core/fib_rules.c).
 */
static int
compare_deletions (const KsRule *a, const KsRule *b)
{
  return ks_rule_compare (b, a); /* "not set" sorts before every value */
}

/*
 * By phase; within one, rules that block from the last priority to the first;
 * of routes the winner comes first and goes last, so that none that leads
 * elsewhere stands in for it; other things as they came.
 */
static int
compare_steps (gconstpointer first, gconstpointer second)
{
  const KsStep *a = first, *b = second;

  if (a->phase != b->phase)
    return a->phase < b->phase ? -1 : 1;
  switch (a->phase) {
  case PHASE_ADD_BLOCKING_RULE:
    return a->rule.priority > b->rule.priority ? -1 : a->rule.priority < b->rule.priority;
  case PHASE_ADD_ROUTE:
    return compare_precedence (&a->route, &b->route);
  case PHASE_DELETE_ROUTE:
  case PHASE_DELETE_UPLINK_ROUTE:
  case PHASE_DELETE_BLOCKING_ROUTE:
    return compare_precedence (&b->route, &a->route);
  case PHASE_DELETE_LAN:
  case PHASE_DELETE_EXEMPTION:
  case PHASE_DELETE_BLOCKING_RULE:
    return compare_deletions (&a->rule, &b->rule);
  default:
    return 0;
  }
}

/* Bypass routes, before a transport loses its exemption; rules; routes. */
static int
disarming_rank (const KsStep *step)
{
  switch (step->kind) {
  case KS_STEP_ADD_ROUTE:
    return 0;
  case KS_STEP_DELETE_RULE:
    return 1;
  default:
    return 2;
  }
}

/*
 * The same when nothing of ours is wanted any more: rules from the last to the
 * first, so that what is left is the beginning of the old policy, and behind it
 * main, which is the new one. Exemptions stay until nothing is left to be
 * exempted from.
 */
static int
compare_disarming_steps (gconstpointer first, gconstpointer second)
{
  const KsStep *a = first, *b = second;

  if (disarming_rank (a) != disarming_rank (b))
    return disarming_rank (a) < disarming_rank (b) ? -1 : 1;
  if (a->kind != KS_STEP_DELETE_RULE)
    return 0;
  if (a->rule.priority != b->rule.priority)
    return a->rule.priority > b->rule.priority ? -1 : 1;
  return compare_deletions (&a->rule, &b->rule);
}

/* Whether something could get out where the step is not taken, and others after it are. */
static gboolean
does_close (const KsConfig *config, const KsStep *step)
{
  switch (step->phase) {
  case PHASE_ADD_BLOCKING_ROUTE:
  case PHASE_ADD_BLOCKING_RULE:
  case PHASE_DELETE_LAN:
  case PHASE_DELETE_EXEMPTION:
    return TRUE;
  case PHASE_ADD_ROUTE:
    return step->route.table == config->tunnel_table;
  default:
    return FALSE;
  }
}

/* Whether the step takes away, or goes before, what stops something that a step before it has to stop. */
static gboolean
does_open (const KsStep *step)
{
  switch (step->phase) {
  case PHASE_ADD_LAN:
  case PHASE_DELETE_ROUTE:
  case PHASE_DELETE_BLOCKING_RULE:
  case PHASE_DELETE_BLOCKING_ROUTE:
    return TRUE;
  default:
    return FALSE;
  }
}

static void
push (GArray *plan, const KsConfig *config, const KsPolicy *policy, KsStep step)
{
  /* to disarm is to open */
  step.closes = policy->armed && does_close (config, &step);
  step.opens = policy->armed && does_open (&step);
  g_array_append_val (plan, step);
}

static GArray *
own_rules (const KsConfig *config, const GArray *rules)
{
  GArray *own = g_array_new (FALSE, FALSE, sizeof (KsRule));

  for (guint i = 0; i < rules->len; i++)
    if (ks_owner_has_rule (config, &g_array_index (rules, KsRule, i)))
      g_array_append_val (own, g_array_index (rules, KsRule, i));
  g_array_sort (own, ks_rule_compare);
  return own;
}

static GArray *
own_routes (const KsConfig *config, const GArray *routes)
{
  GArray *own = g_array_new (FALSE, FALSE, sizeof (KsRoute));

  for (guint i = 0; i < routes->len; i++)
    if (ks_owner_has_route (config, &g_array_index (routes, KsRoute, i)))
      g_array_append_val (own, g_array_index (routes, KsRoute, i));
  g_array_sort (own, ks_route_compare);
  /* the kernel has each once; a dump of IPv6 routes that somebody changes meanwhile may show one twice */
  for (guint i = own->len; i-- > 1;)
    if (ks_route_equal (&g_array_index (own, KsRoute, i), &g_array_index (own, KsRoute, i - 1)))
      g_array_remove_index (own, i);
  return own;
}

static GArray *
sorted_copy (const GArray *array, guint size, GCompareFunc compare)
{
  GArray *copy = g_array_new (FALSE, FALSE, size);

  g_array_append_vals (copy, array->data, array->len);
  g_array_sort (copy, compare);
  return copy;
}

/* The step that adds or deletes the object at @item. */
typedef KsStep (*StepFunc) (const KsConfig *config, const void *item, gboolean is_addition);

static KsStep
rule_step (const KsConfig *config, const void *item, gboolean is_addition)
{
  const KsRule *rule = item;

  return (KsStep){ .kind = is_addition ? KS_STEP_ADD_RULE : KS_STEP_DELETE_RULE,
                   .phase = is_addition ? add_rule_phase (config, rule) : delete_rule_phase (config, rule),
                   .rule = *rule };
}

static KsStep
route_step (const KsConfig *config, const void *item, gboolean is_addition)
{
  const KsRoute *route = item;

  return (KsStep){ .kind = is_addition ? KS_STEP_ADD_ROUTE : KS_STEP_DELETE_ROUTE,
                   .phase = is_addition ? add_route_phase (config, route) : delete_route_phase (config, route),
                   .route = *route };
}

/* Adds to @plan what turns @have into @want, arrays of objects of @size that @compare has sorted. */
static void
diff_sorted (GArray *plan, const KsConfig *config, const KsPolicy *policy, const GArray *have, const GArray *want,
             gsize size, GCompareFunc compare, StepFunc step)
{
  guint i = 0, j = 0;

  while (i < have->len || j < want->len) {
    const void *old = i < have->len ? have->data + i * size : NULL;
    const void *new = j < want->len ? want->data + j *size : NULL;
    int order = !old ? 1 : !new ? -1 : compare (old, new);

    if (order < 0)
      push (plan, config, policy, step (config, old, FALSE));
    if (order > 0)
      push (plan, config, policy, step (config, new, TRUE));
    i += order <= 0;
    j += order >= 0;
  }
}

/* Whether a step has to wait until the inputs can be read again: it would open or cut off on a guess. */
static gboolean
is_held (const KsConfig *config, const KsStep *step, KsDiffFlags flags)
{
  if (step->phase == PHASE_DELETE_EXEMPTION)
    return (flags & (KS_DIFF_HOLD | KS_DIFF_HOLD_EXEMPTIONS)) != 0;
  if (!(flags & KS_DIFF_HOLD))
    return FALSE;
  switch (step->phase) {
  case PHASE_DELETE_LAN:
  case PHASE_DELETE_BLOCKING_RULE:
    return TRUE;
  case PHASE_DELETE_ROUTE:
    /* the LAN rule that is held would take over what the tunnel carried */
    return step->route.table == config->tunnel_table;
  case PHASE_DELETE_BLOCKING_ROUTE:
    return TRUE;
  default:
    return FALSE;
  }
}

/* The first rule of @list that a deletion of @key hits; -1 for none. */
static int
find_hit (const GArray *list, const KsRule *key)
{
  for (guint i = 0; i < list->len; i++)
    if (ks_rule_matches_key (&g_array_index (list, KsRule, i), key))
      return (int) i;
  return -1;
}

/*
 * The plan with deletions made exact. The kernel deletes the first rule that
 * has what the key sets, which may be a narrower one that is to stay, when that
 * came first. Such a one is added once more, at the end, and the deletion
 * repeated: nothing is missing at any time. @rules is in the kernel's order.
 */
static GArray *
make_exact (const KsConfig *config, const GArray *rules, const GArray *plan)
{
  GArray *exact = g_array_new (FALSE, FALSE, sizeof (KsStep));
  g_autoptr (GArray) list = g_array_new (FALSE, FALSE, sizeof (KsRule));

  for (guint i = 0; i < rules->len; i++)
    if (ks_owner_has_rule (config, &g_array_index (rules, KsRule, i)))
      g_array_append_val (list, g_array_index (rules, KsRule, i));

  for (guint i = 0; i < plan->len; i++) {
    const KsStep *step = &g_array_index (plan, KsStep, i);
    int hit;

    if (step->kind == KS_STEP_ADD_RULE)
      g_array_append_val (list, step->rule);
    while (step->kind == KS_STEP_DELETE_RULE && (hit = find_hit (list, &step->rule)) >= 0) {
      KsStep again = *step;

      again.kind = KS_STEP_ADD_RULE;
      again.rule = g_array_index (list, KsRule, hit);
      again.closes = step->opens;
      again.opens = FALSE;
      g_array_remove_index (list, hit);
      if (ks_rule_equal (&again.rule, &step->rule))
        break;
      g_array_append_val (exact, again);
      g_array_append_val (exact, *step);
      g_array_append_val (list, again.rule);
    }
    g_array_append_val (exact, *step);
  }
  return exact;
}

GArray *
ks_diff_compute (const KsConfig *config, const GArray *rules, const GArray *routes, const KsPolicy *policy,
                 KsDiffFlags flags)
{
  g_autoptr (GArray) plan = g_array_new (FALSE, FALSE, sizeof (KsStep));
  g_autoptr (GArray) have_rules = NULL, want_rules = NULL;
  g_autoptr (GArray) have_routes = NULL, want_routes = NULL;

  if (!policy->armed && (flags & KS_DIFF_HOLD))
    return g_steal_pointer (&plan);

  have_rules = own_rules (config, rules);
  want_rules = sorted_copy (policy->rules, sizeof (KsRule), ks_rule_compare);
  diff_sorted (plan, config, policy, have_rules, want_rules, sizeof (KsRule), ks_rule_compare, rule_step);
  have_routes = own_routes (config, routes);
  want_routes = sorted_copy (policy->routes, sizeof (KsRoute), ks_route_compare);
  diff_sorted (plan, config, policy, have_routes, want_routes, sizeof (KsRoute), ks_route_compare, route_step);
  for (guint i = plan->len; policy->armed && i-- > 0;)
    if (is_held (config, &g_array_index (plan, KsStep, i), flags))
      g_array_remove_index (plan, i);

  /* g_array_sort() is stable */
  g_array_sort (plan, policy->armed ? compare_steps : compare_disarming_steps);
  return make_exact (config, rules, plan);
}

gboolean
ks_plan_take (const GArray *plan, KsStepFunc take, gpointer user_data)
{
  gboolean is_whole = TRUE;
  gboolean is_closed = TRUE;

  for (guint i = 0; i < plan->len; i++) {
    const KsStep *step = &g_array_index (plan, KsStep, i);

    if (step->opens && !is_closed)
      continue;
    if (!take (step, user_data)) {
      is_whole = FALSE;
      is_closed = is_closed && !step->closes;
    }
  }
  return is_whole;
}

char *
ks_step_format (const KsStep *self)
{
  gboolean is_rule = self->kind == KS_STEP_ADD_RULE || self->kind == KS_STEP_DELETE_RULE;
  gboolean is_add = self->kind == KS_STEP_ADD_RULE || self->kind == KS_STEP_ADD_ROUTE;
  int family = is_rule ? self->rule.family : self->route.family;
  g_autofree char *object = is_rule ? ks_rule_format (&self->rule) : ks_route_format (&self->route);

  return g_strdup_printf ("%s %s %s: %s", is_add ? "add" : "delete", family == AF_INET6 ? "IPv6" : "IPv4",
                          is_rule ? "rule" : "route", object);
}
