/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The order of the steps, and why.
 *
 * While the host stays armed, or is being armed, a packet that gets out between
 * two steps must be one that the old or the new policy lets out:
 *
 *   1  routes that block         blackholes: nothing can fall through behind a rule that is about to appear
 *   2  routes that carry         tunnel defaults, the tunnel's subnets, uplink routes, servers known before
 *   3  stale uplink routes       tables 85 and 86 are now what the new exemptions rely on
 *   4  exemptions by port, mark  so that a transport both policies allow never meets a blocker first
 *   5  servers                   the old ones' routes out, new rules in, old rules out, the new ones' routes in
 *   6  rules that block          the terminal rule, then the default, the tunnel's own subnets, DNS
 *   7  shields                   of unarmed VPNs' tunnels (ks-policy-shield.c): they include routes that pass packets
 *                                on to the LAN rules, which may already exist; DNS must not follow them
 *      LAN rules                 after the tunnel's own subnets, which they must not shadow, and after the bypass
 *                                routes are gone: with Lan=routes, any program could reach the server through them
 *      shortcuts                 after the routes that lead local network traffic past them: before that, they
 *                                would take it into the tunnel
 *   8  stale LAN rules, stale exemptions by port, mark
 *   9  stale routes that carry   tunnels that are gone: any earlier, the LAN rule behind a tunnel's subnet would
 *                                take over what the tunnel carried. Also the routes for ManagementFrom=, whose
 *                                tables may now serve another device: the old rules that led there are gone
 *                                (without any such rule, at 3: a run killed while disarming leaves such routes)
 *  10  stale rules that block    once nothing old is left that they would have stopped
 *  11  stale routes that block
 *
 * Two things exempt a server: its route in table 86, and a rule that looks up
 * that table. Each such rule applies to every server in the table. The order
 * within 5 keeps an old server from meeting a new rule, and a new server from
 * meeting an old rule. With R for routes and Q for rules, what is exempted is
 * first R_old x Q_old, then in turn (R_old and R_new) x Q_old, x (Q_old or
 * Q_new), x Q_new, and finally R_new x Q_new. What both policies allow is
 * exempted throughout. While exemptions are held (KS_DIFF_HOLD,
 * KS_DIFF_HOLD_EXEMPTIONS), nothing of R_old and Q_old is deleted, and an old
 * server may meet a new rule until the hold ends: only for the same user, and
 * only as far as routing is concerned. Leaving the new rule out instead could
 * keep a VPN from coming up for as long as NetworkManager does not answer.
 *
 * The exemptions of step 8, and steps 9 to 11, could come in any order among
 * themselves. Once the stale LAN rules are gone, every rule that lets a packet
 * out through an uplink belongs to the new policy, except for stale exemptions,
 * and these let out what the old policy let out, whatever follows them. Any
 * other stale rule blocks or looks up a tunnel's table, and a stale route there
 * leads into a tunnel or nowhere.
 *
 * When a step fails, the steps that rely on it are skipped. If adding something
 * that blocks fails, or a tunnel's subnet (an uplink's own subnet may have the
 * same addresses, and then nothing blocks behind it), or if deleting a LAN rule
 * or an exemption fails, then no LAN rule is added, and neither what blocks nor
 * what carries is deleted. If deleting a server's route or rule fails, no rule
 * for servers and no server is added. tests/unit/test-order.c tries every case.
 *
 * Disarming deletes rules from the last to the first, then routes. At every
 * moment, packets follow either the old policy or main, and a run that is
 * killed half way leaves no transport cut off by half a policy.
 */
#include "policy/ks-order.h"

enum {
  PHASE_ADD_BLOCKING_ROUTE,
  PHASE_ADD_ROUTE,
  PHASE_DELETE_UPLINK_ROUTE,
  PHASE_ADD_EXEMPTION,
  PHASE_DELETE_SERVER,
  PHASE_ADD_SERVER_RULE,
  PHASE_DELETE_SERVER_RULE,
  PHASE_ADD_SERVER,
  PHASE_ADD_BLOCKING_RULE,
  PHASE_ADD_SHIELD,
  PHASE_ADD_SHORTCUT,
  PHASE_DELETE_BYPASS,
  PHASE_ADD_LAN,
  PHASE_DELETE_LAN,
  PHASE_DELETE_EXEMPTION,
  PHASE_DELETE_ROUTE,
  PHASE_DELETE_BLOCKING_RULE,
  PHASE_DELETE_BLOCKING_ROUTE,
};

typedef enum {
  ROLE_EXEMPTION,
  ROLE_SERVER, /* an exemption that looks up the servers */
  ROLE_LAN,
  ROLE_BLOCKER,
} Role;

/* What one of our rules does, by its priority. An unknown rule, left by another version, is treated as a blocker. */
static Role
rule_role (const KsConfig *config, const KsRule *rule)
{
  guint32 offset;

  /* the jump over foreign rules; and the lookup of table local, without which the blocking rules cut the host off */
  if (rule->priority < config->priority)
    return ks_rule_is_local_lookup (rule) ? ROLE_EXEMPTION : ROLE_BLOCKER;
  offset = rule->priority - config->priority;
  if (offset < KS_PRIORITY_TUNNEL)
    return rule->table == config->servers_table ? ROLE_SERVER : ROLE_EXEMPTION;
  if ((offset >= KS_PRIORITY_LAN && offset < KS_PRIORITY_PROGRAMS) || offset == KS_PRIORITY_GATEWAY)
    return ROLE_LAN;
  return ROLE_BLOCKER;
}

/* Whether only exemptions look up the route: it plays no part in blocking, whatever its type. */
static gboolean
serves_exemptions (const KsConfig *config, const KsRoute *route)
{
  return route->table == config->uplink_table || route->table == config->servers_table
         || ks_owner_is_management_table (config, route->table);
}

/*
 * Whether a route stops packets that nothing else is meant to carry. The
 * routes that keep the LAN rules from leading into an unarmed VPN's tunnel do
 * not count: the routes that lead past that tunnel, to the local network, must
 * exist before them, and must themselves come after the tunnels' subnets
 * (ks-policy-shield.c).
 */
static gboolean
route_blocks (const KsConfig *config, const KsRoute *route)
{
  return route->type == RTN_BLACKHOLE && !serves_exemptions (config, route);
}

static guint
add_rule_phase (const KsConfig *config, const KsRule *rule)
{
  switch (rule_role (config, rule)) {
  case ROLE_EXEMPTION:
    return PHASE_ADD_EXEMPTION;
  case ROLE_SERVER:
    return PHASE_ADD_SERVER_RULE;
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
  case ROLE_SERVER:
    return PHASE_DELETE_SERVER_RULE;
  case ROLE_LAN:
    return PHASE_DELETE_LAN;
  default:
    return PHASE_DELETE_BLOCKING_RULE;
  }
}

/* How a server is reached. */
typedef enum { PLACE_NONE, PLACE_BESIDE, PLACE_INSIDE } Place;

static Place
place_of (GHashTable *servers, const KsRoute *route)
{
  return (Place) GPOINTER_TO_INT (g_hash_table_lookup (servers, &route->dst));
}

/*
 * For a server's route: whether the kernel has and the policy wants the server
 * in the same place. A server inside another VPN and one beside it are two
 * servers that share an address: no rule for one may meet the other.
 */
static gboolean
is_kept_server (const KsOrder *self, const KsRoute *route)
{
  return place_of (self->had_servers, route) == place_of (self->wanted_servers, route);
}

/* The servers that have a route among @routes, and how they are reached (KsPrefix -> Place, transfer full). */
static GHashTable *
servers_of (const KsConfig *config, const GPtrArray *routes)
{
  GHashTable *servers = g_hash_table_new (ks_prefix_hash, ks_prefix_equal_func);

  for (guint i = 0; i < routes->len; i++) {
    KsRoute *route = routes->pdata[i];
    gboolean is_inside = route->metric == KS_NESTED_METRIC || place_of (servers, route) == PLACE_INSIDE;

    if (route->table == config->servers_table)
      g_hash_table_insert (servers, &route->dst, GINT_TO_POINTER (is_inside ? PLACE_INSIDE : PLACE_BESIDE));
  }
  return servers;
}

/* Types of routes that only shields have in table 84, and the passes of the shortcut. */
static gboolean
is_end_of_shield (const KsConfig *config, const KsRoute *route)
{
  return route->table == config->tunnel_table && (route->type == RTN_UNREACHABLE || route->type == RTN_THROW);
}

/* A default route of table 84. */
static gboolean
is_shortcut (const KsConfig *config, const KsRoute *route)
{
  return route->table == config->tunnel_table && ks_route_is_default (route);
}

/* The prefixes of table 84 among @routes that shields are for (set of KsPrefix; transfer full). */
static GHashTable *
shields_of (const KsConfig *config, const GPtrArray *routes)
{
  GHashTable *shields = g_hash_table_new (ks_prefix_hash, ks_prefix_equal_func);

  for (guint i = 0; i < routes->len; i++) {
    KsRoute *route = routes->pdata[i];

    if (is_end_of_shield (config, route) && !ks_policy_is_pass (config, route))
      g_hash_table_add (shields, &route->dst);
  }
  return shields;
}

static gboolean
is_of_shield (const KsOrder *self, const KsRoute *route)
{
  return route->table == self->config->tunnel_table
         && (is_end_of_shield (self->config, route) || g_hash_table_contains (self->wanted_shields, &route->dst));
}

static guint
add_route_phase (const KsOrder *self, const KsRoute *route)
{
  const KsConfig *config = self->config;

  if (route->table == config->servers_table && !is_kept_server (self, route))
    return PHASE_ADD_SERVER;
  if (is_shortcut (config, route))
    return PHASE_ADD_SHORTCUT;
  if (is_of_shield (self, route))
    return PHASE_ADD_SHIELD;
  return route_blocks (config, route) ? PHASE_ADD_BLOCKING_ROUTE : PHASE_ADD_ROUTE;
}

static gboolean
is_looked_up (const KsConfig *config, const GArray *rules, guint32 table)
{
  for (guint i = 0; i < rules->len; i++) {
    const KsRule *rule = &g_array_index (rules, KsRule, i);

    if (rule->table == table && ks_owner_has_rule (config, rule))
      return TRUE;
  }
  return FALSE;
}

static guint
delete_route_phase (const KsOrder *self, const KsRoute *route)
{
  const KsConfig *config = self->config;

  if (route->table == config->servers_table && !is_kept_server (self, route))
    return PHASE_DELETE_SERVER;
  if (ks_owner_is_management_table (config, route->table))
    return is_looked_up (config, self->rules, route->table) ? PHASE_DELETE_ROUTE : PHASE_DELETE_UPLINK_ROUTE;
  if (ks_owner_has_bypass (config, route))
    return PHASE_DELETE_BYPASS;
  if (serves_exemptions (config, route))
    return PHASE_DELETE_UPLINK_ROUTE;
  return route_blocks (config, route) ? PHASE_DELETE_BLOCKING_ROUTE : PHASE_DELETE_ROUTE;
}

/* The route of a table that wins comes first: the longer destination, then the lower metric. */
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
 * Of two rules with the same priority, the narrower one is deleted first: a key
 * that leaves a field out would match the narrower one as well (rule_find(),
 * net/core/fib_rules.c).
 */
static int
compare_deletions (const KsRule *a, const KsRule *b)
{
  return ks_rule_compare (b, a); /* "not set" sorts before every value */
}

/*
 * By phase. Within a phase, blocking rules go from the last priority to the
 * first. Of routes, the one that wins is added first and deleted last, so that
 * no route that leads elsewhere stands in for it. Other steps keep their order.
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
  case PHASE_ADD_SERVER:
  case PHASE_ADD_SHIELD:
  case PHASE_ADD_SHORTCUT:
    return compare_precedence (&a->route, &b->route);
  case PHASE_DELETE_ROUTE:
  case PHASE_DELETE_UPLINK_ROUTE:
  case PHASE_DELETE_SERVER:
  case PHASE_DELETE_BLOCKING_ROUTE:
    return compare_precedence (&b->route, &a->route);
  case PHASE_DELETE_LAN:
  case PHASE_DELETE_EXEMPTION:
  case PHASE_DELETE_SERVER_RULE:
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
 * The order when nothing of ours is wanted any more. Rules go from the last to
 * the first, so that what remains is the beginning of the old policy, followed
 * by main, which is the new one. Exemptions stay until nothing is left to be
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

/* Which packets could get out if this step is skipped and others after it are taken. */
static KsConcern
closed_by (const KsConfig *config, const KsStep *step)
{
  switch (step->phase) {
  case PHASE_ADD_BLOCKING_ROUTE:
  case PHASE_ADD_BLOCKING_RULE:
  case PHASE_ADD_SHIELD:
  case PHASE_DELETE_BYPASS:
  case PHASE_DELETE_LAN:
  case PHASE_DELETE_EXEMPTION:
    return KS_CONCERN_BLOCK;
  case PHASE_DELETE_SERVER:
  case PHASE_DELETE_SERVER_RULE:
    return KS_CONCERN_BLOCK | KS_CONCERN_SERVERS;
  case PHASE_ADD_ROUTE:
    return step->route.table == config->tunnel_table ? KS_CONCERN_BLOCK : KS_CONCERN_NONE;
  default:
    return KS_CONCERN_NONE;
  }
}

/* Which packets this step lets out unless an earlier step that stops them has succeeded. */
static KsConcern
opened_by (const KsStep *step)
{
  switch (step->phase) {
  case PHASE_ADD_SHIELD:
    return step->route.type == RTN_THROW ? KS_CONCERN_BLOCK : KS_CONCERN_NONE;
  case PHASE_ADD_SHORTCUT:
  case PHASE_ADD_LAN:
  case PHASE_DELETE_ROUTE:
  case PHASE_DELETE_BLOCKING_RULE:
  case PHASE_DELETE_BLOCKING_ROUTE:
    return KS_CONCERN_BLOCK;
  case PHASE_ADD_SERVER_RULE:
  case PHASE_ADD_SERVER:
    return KS_CONCERN_SERVERS;
  default:
    return KS_CONCERN_NONE;
  }
}

static guint
phase_of (const KsOrder *self, const KsStep *step)
{
  switch (step->kind) {
  case KS_STEP_ADD_RULE:
    return add_rule_phase (self->config, &step->rule);
  case KS_STEP_DELETE_RULE:
    return delete_rule_phase (self->config, &step->rule);
  case KS_STEP_ADD_ROUTE:
    return add_route_phase (self, &step->route);
  default:
    return delete_route_phase (self, &step->route);
  }
}

void
ks_order_init (KsOrder *self, const KsConfig *config, const KsPolicy *policy, const GArray *rules,
               const GPtrArray *have, const GPtrArray *want)
{
  *self = (KsOrder){
    .config = config,
    .policy = policy,
    .rules = rules,
    .had_servers = servers_of (config, have),
    .wanted_servers = servers_of (config, want),
    .wanted_shields = shields_of (config, want),
  };
}

void
ks_order_clear (KsOrder *self)
{
  g_clear_pointer (&self->had_servers, g_hash_table_unref);
  g_clear_pointer (&self->wanted_servers, g_hash_table_unref);
  g_clear_pointer (&self->wanted_shields, g_hash_table_unref);
}

void
ks_order_place (const KsOrder *self, KsStep *step)
{
  step->phase = phase_of (self, step);
  /* disarming opens everything */
  step->closes = self->policy->armed ? closed_by (self->config, step) : KS_CONCERN_NONE;
  step->opens = self->policy->armed ? opened_by (step) : KS_CONCERN_NONE;
}

static gboolean
deletes_exemption (const KsStep *step)
{
  return step->phase == PHASE_DELETE_EXEMPTION || step->phase == PHASE_DELETE_SERVER
         || step->phase == PHASE_DELETE_SERVER_RULE;
}

/* Bootstrap DNS never waits for the inputs: no VPN uses it once it is up, and the guard that narrows it may be gone. */
gboolean
ks_order_is_held (const KsOrder *self, const KsStep *step, KsDiffFlags flags)
{
  const KsConfig *config = self->config;

  if (flags & KS_DIFF_ADD_ONLY && (step->kind == KS_STEP_DELETE_RULE || step->kind == KS_STEP_DELETE_ROUTE))
    return TRUE;
  if (step->phase == PHASE_DELETE_EXEMPTION && step->rule.priority == config->priority + KS_PRIORITY_BOOTSTRAP)
    return FALSE;
  if (deletes_exemption (step))
    return (flags & (KS_DIFF_HOLD | KS_DIFF_HOLD_EXEMPTIONS)) != 0;
  if (!(flags & KS_DIFF_HOLD))
    return FALSE;
  switch (step->phase) {
  case PHASE_DELETE_LAN:
  case PHASE_DELETE_BLOCKING_RULE:
    return TRUE;
  case PHASE_DELETE_ROUTE:
    /* the LAN rule that stays would take over what the tunnel carried */
    return step->route.table == config->tunnel_table && !is_shortcut (config, &step->route);
  case PHASE_DELETE_BLOCKING_ROUTE:
    return TRUE;
  default:
    return FALSE;
  }
}

void
ks_order_sort (const KsOrder *self, GArray *plan)
{
  /* g_array_sort() is stable */
  g_array_sort (plan, self->policy->armed ? compare_steps : compare_disarming_steps);
}
