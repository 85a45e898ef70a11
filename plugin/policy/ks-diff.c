/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/ks-diff.h"

#include "policy/ks-order.h"

static int
compare_rules (gconstpointer a, gconstpointer b)
{
  return ks_rule_compare (*(gconstpointer const *) a, *(gconstpointer const *) b);
}

static int
compare_routes (gconstpointer a, gconstpointer b)
{
  return ks_route_compare (*(gconstpointer const *) a, *(gconstpointer const *) b);
}

/* Compares pointers: there may be thousands of routes of half a kilobyte each. */
static GPtrArray *
own_rules (const KsConfig *config, const GArray *rules)
{
  GPtrArray *own = g_ptr_array_new ();

  for (guint i = 0; i < rules->len; i++)
    if (ks_owner_has_rule (config, &g_array_index (rules, KsRule, i)))
      g_ptr_array_add (own, &g_array_index (rules, KsRule, i));
  g_ptr_array_sort (own, compare_rules);
  return own;
}

static GPtrArray *
own_routes (const KsConfig *config, const GArray *routes)
{
  GPtrArray *own = g_ptr_array_new ();
  guint kept = 0;

  for (guint i = 0; i < routes->len; i++)
    if (ks_owner_has_route (config, &g_array_index (routes, KsRoute, i)))
      g_ptr_array_add (own, &g_array_index (routes, KsRoute, i));
  g_ptr_array_sort (own, compare_routes);
  /* the kernel has each object once; a dump of IPv6 routes that change meanwhile may show one twice */
  for (guint i = 0; i < own->len; i++)
    if (kept == 0 || !ks_route_equal (own->pdata[kept - 1], own->pdata[i]))
      own->pdata[kept++] = own->pdata[i];
  g_ptr_array_set_size (own, (int) kept);
  return own;
}

/* Pointers to the elements of @array, each of @size bytes, in order. */
static GPtrArray *
sorted (const GArray *array, guint size, GCompareFunc compare_pointers)
{
  GPtrArray *pointers = g_ptr_array_sized_new (array->len);

  for (guint i = 0; i < array->len; i++)
    g_ptr_array_add (pointers, array->data + (gsize) i * size);
  g_ptr_array_sort (pointers, compare_pointers);
  return pointers;
}

/* Two sorted arrays, walked side by side to find what only one of them has. */
typedef struct {
  const GPtrArray *have, *want;
  GCompareFunc compare;
  guint i, j;
} Merge;

/* The next object that only one array has: *@old from @have or *@new from @want, the other NULL. FALSE at the end. */
static gboolean
merge_next (Merge *m, gconstpointer *old, gconstpointer *new)
{
  while (m->i < m->have->len || m->j < m->want->len) {
    gconstpointer a = m->i < m->have->len ? m->have->pdata[m->i] : NULL;
    gconstpointer b = m->j < m->want->len ? m->want->pdata[m->j] : NULL;
    int order = !a ? 1 : !b ? -1 : m->compare (a, b);

    m->i += order <= 0;
    m->j += order >= 0;
    if (order == 0)
      continue;
    *old = order < 0 ? a : NULL;
    *new = order > 0 ? b : NULL;
    return TRUE;
  }
  return FALSE;
}

static void
push (GArray *plan, const KsOrder *order, KsStep step)
{
  ks_order_place (order, &step);
  g_array_append_val (plan, step);
}

static void
diff_rules (GArray *plan, const KsOrder *order, const GPtrArray *have, const GPtrArray *want)
{
  Merge merge = { have, want, ks_rule_compare };
  const KsRule *old, *new;

  while (merge_next (&merge, (gconstpointer *) &old, (gconstpointer *) &new))
    push (plan, order,
          old ? (KsStep){ .kind = KS_STEP_DELETE_RULE, .rule = *old }
              : (KsStep){ .kind = KS_STEP_ADD_RULE, .rule = *new });
}

static void
diff_routes (GArray *plan, const KsOrder *order, const GPtrArray *have, const GPtrArray *want)
{
  Merge merge = { have, want, ks_route_compare };
  const KsRoute *old, *new;

  while (merge_next (&merge, (gconstpointer *) &old, (gconstpointer *) &new))
    push (plan, order,
          old ? (KsStep){ .kind = KS_STEP_DELETE_ROUTE, .route = *old }
              : (KsStep){ .kind = KS_STEP_ADD_ROUTE, .route = *new });
}

/* The index of the first rule of @list that a deletion of @key hits; -1 if there is none. */
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
 * matches the fields set in the key. That may be a narrower rule which has to
 * stay, if it was added first. In that case the narrower rule is added a second
 * time, at the end, and the deletion repeated: nothing is missing at any time.
 * @rules is in the kernel's order.
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
      again.opens = KS_CONCERN_NONE;
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
  g_autoptr (GPtrArray) have_rules = NULL, want_rules = NULL, have_routes = NULL, want_routes = NULL;
  g_auto (KsOrder) order = { 0 };

  if (!policy->armed && (flags & (KS_DIFF_HOLD | KS_DIFF_ADD_ONLY)))
    return g_steal_pointer (&plan);

  have_rules = own_rules (config, rules);
  want_rules = sorted (policy->rules, sizeof (KsRule), compare_rules);
  have_routes = own_routes (config, routes);
  want_routes = sorted (policy->routes, sizeof (KsRoute), compare_routes);
  ks_order_init (&order, config, policy, rules, have_routes, want_routes);
  diff_rules (plan, &order, have_rules, want_rules);
  diff_routes (plan, &order, have_routes, want_routes);
  for (guint i = plan->len; policy->armed && i-- > 0;)
    if (ks_order_is_held (&order, &g_array_index (plan, KsStep, i), flags))
      g_array_remove_index (plan, i);
  ks_order_sort (&order, plan);
  return make_exact (config, rules, plan);
}

gboolean
ks_plan_take (const GArray *plan, KsStepFunc take, gpointer user_data)
{
  gboolean is_whole = TRUE;
  KsConcern failed = KS_CONCERN_NONE;

  for (guint i = 0; i < plan->len; i++) {
    const KsStep *step = &g_array_index (plan, KsStep, i);

    if (step->opens & failed)
      continue;
    if (!take (step, user_data)) {
      is_whole = FALSE;
      failed |= step->closes;
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
