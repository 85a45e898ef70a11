/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The plan, and what a packet would do between any two of its steps: a model
 * of the kernel's lookup is asked after each. Devices: 2 is the uplink, 7 and
 * 8 are tunnels.
 */
#include "ks-test.h"

#include "policy/ks-diff.h"

#define UPLINK 2
#define BLOCKED 0

/* --- two policies to switch between --- */

typedef struct {
  KsConfig *config;
  GPtrArray *armed;
  GPtrArray *tunnels;
  GArray *main_routes;
} Scene;

static Scene *
scene_new (void)
{
  Scene *self = g_new0 (Scene, 1);
  KsPrefix all = ks_prefix_default (AF_INET), lan = ks_test_prefix ("192.168.1.0/24");
  KsPrefix router = ks_test_prefix ("192.168.1.1"), none = KS_PREFIX_UNSET;
  KsRoute route = ks_route_via (RT_TABLE_MAIN, RTPROT_DHCP, &all, 100, UPLINK, &router);

  self->config = ks_config_new ();
  self->armed = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_profile_free);
  self->tunnels = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_tunnel_free);
  self->main_routes = g_array_new (FALSE, FALSE, sizeof (KsRoute));
  g_array_append_val (self->main_routes, route);
  route = ks_route_via (RT_TABLE_MAIN, RTPROT_KERNEL, &lan, 100, UPLINK, &none);
  g_array_append_val (self->main_routes, route);
  return self;
}

static void
scene_free (Scene *self)
{
  ks_config_free (self->config);
  g_ptr_array_unref (self->armed);
  g_ptr_array_unref (self->tunnels);
  g_array_unref (self->main_routes);
  g_free (self);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Scene, scene_free)

static KsProfile *
add_profile (Scene *self, const char *key, const char *server)
{
  KsProfile *profile = ks_profile_new ();
  guint32 root = 0;

  profile->uuid = g_strdup (key);
  profile->path = g_strdup (key);
  profile->id = g_strdup (key);
  profile->vpn_type = KS_VPN_PLUGIN;
  profile->mode = KS_MODE_STRICT;
  g_array_append_val (profile->uids, root);
  g_ptr_array_add (profile->endpoints, ks_endpoint_new (server, 1194, IPPROTO_UDP));
  g_ptr_array_add (self->armed, profile);
  return profile;
}

static void
add_tunnel (Scene *self, const char *key, guint ifindex, const char *subnet)
{
  KsTunnel *tunnel = ks_tunnel_new (key, "tun0");
  KsPrefix prefix = ks_test_prefix (subnet);

  tunnel->ifindex = ifindex;
  tunnel->has_ipv4 = tunnel->has_ipv6 = TRUE;
  ks_prefix_array_add (tunnel->addresses, &prefix);
  ks_tunnel_add_prefix (tunnel, &prefix, NULL);
  g_ptr_array_add (self->tunnels, tunnel);
}

static KsPolicy *
policy_of (const Scene *self)
{
  KsPolicyInput input = {
    .config = self->config, .armed = self->armed, .tunnels = self->tunnels, .main_routes = self->main_routes
  };

  return ks_policy_compute (&input);
}

/* --- a model of the kernel --- */

typedef struct {
  GArray *rules; /* KsRule, by priority */
  GArray *routes; /* KsRoute */
} Model;

static int
compare_priorities (gconstpointer a, gconstpointer b)
{
  const KsRule *first = a, *second = b;

  return first->priority < second->priority ? -1 : first->priority > second->priority;
}

static Model *
model_new (const Scene *scene)
{
  Model *self = g_new0 (Model, 1);
  static const int families[] = { AF_INET, AF_INET6 };

  self->rules = g_array_new (FALSE, FALSE, sizeof (KsRule));
  self->routes = g_array_new (FALSE, FALSE, sizeof (KsRoute));
  for (guint i = 0; i < G_N_ELEMENTS (families); i++) {
    KsRule rule = ks_rule_lookup (families[i], 32766, RTPROT_KERNEL, RT_TABLE_MAIN);

    g_array_append_val (self->rules, rule);
  }
  g_array_append_vals (self->routes, scene->main_routes->data, scene->main_routes->len);
  return self;
}

static void
model_free (Model *self)
{
  g_array_unref (self->rules);
  g_array_unref (self->routes);
  g_free (self);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Model, model_free)

static void
model_step (Model *self, const KsStep *step)
{
  guint found = G_MAXUINT;

  switch (step->kind) {
  case KS_STEP_ADD_RULE:
    g_array_append_val (self->rules, step->rule);
    g_array_sort (self->rules, compare_priorities);
    return;
  case KS_STEP_ADD_ROUTE:
    g_array_append_val (self->routes, step->route);
    return;
  case KS_STEP_DELETE_RULE:
    for (guint i = 0; i < self->rules->len; i++)
      if (ks_rule_equal (&g_array_index (self->rules, KsRule, i), &step->rule))
        found = i;
    assert_true (found < self->rules->len);
    g_array_remove_index (self->rules, found);
    return;
  case KS_STEP_DELETE_ROUTE:
    for (guint i = 0; i < self->routes->len; i++)
      if (ks_route_equal (&g_array_index (self->routes, KsRoute, i), &step->route))
        found = i;
    assert_true (found < self->routes->len);
    g_array_remove_index (self->routes, found);
    return;
  }
}

static GArray *
model_diff (const Scene *scene, const Model *model, const KsPolicy *policy, KsDiffFlags flags)
{
  return ks_diff_compute (scene->config, model->rules, model->routes, policy, flags);
}

static void
model_apply (const Scene *scene, Model *model, const KsPolicy *policy)
{
  g_autoptr (GArray) plan = model_diff (scene, model, policy, KS_DIFF_DEFAULT);

  for (guint i = 0; i < plan->len; i++)
    model_step (model, &g_array_index (plan, KsStep, i));
}

typedef struct {
  const char *to;
  guint8 ip_protocol;
  guint16 dport;
  guint32 uid;
} Packet;

static gboolean
rule_matches (const KsRule *rule, const Packet *packet, const KsPrefix *to)
{
  return rule->family == to->family && (!ks_prefix_is_set (&rule->to) || ks_prefix_contains (&rule->to, to))
         && (!rule->ip_protocol || rule->ip_protocol == packet->ip_protocol) && !rule->sport.first
         && (!rule->dport.first || rule->dport.first == packet->dport)
         && (!rule->has_uid_range || (packet->uid >= rule->uid_first && packet->uid <= rule->uid_last));
}

static const KsRoute *
table_lookup (const Model *self, guint32 table, const KsPrefix *to)
{
  const KsRoute *best = NULL;

  for (guint i = 0; i < self->routes->len; i++) {
    const KsRoute *route = &g_array_index (self->routes, KsRoute, i);

    if (route->table == table && ks_prefix_contains (&route->dst, to)
        && (!best || route->dst.length > best->dst.length
            || (route->dst.length == best->dst.length && route->metric < best->metric)))
      best = route;
  }
  return best;
}

/* The device a packet leaves by, or BLOCKED. */
static guint
model_lookup (const Model *self, const Packet *packet)
{
  KsPrefix to = ks_test_prefix (packet->to);

  for (guint i = 0; i < self->rules->len; i++) {
    const KsRule *rule = &g_array_index (self->rules, KsRule, i);
    const KsRoute *route;

    if (!rule_matches (rule, packet, &to))
      continue;
    if (rule->action != FR_ACT_TO_TBL)
      return BLOCKED;
    route = table_lookup (self, rule->table, &to);
    if (!route)
      continue;
    /* the kernel does not suppress a blackhole: it ends the lookup */
    if (route->n_nexthops == 0)
      return BLOCKED;
    if (rule->suppress_prefixlength >= (int) route->dst.length)
      continue;
    return route->nexthops[0].ifindex;
  }
  return BLOCKED;
}

static const Packet packets[] = {
  { "198.51.100.1", IPPROTO_TCP, 443, 1000 }, { "198.51.100.1", IPPROTO_UDP, 53, 1000 },
  { "192.168.1.1", IPPROTO_UDP, 53, 1000 },   { "192.168.1.1", IPPROTO_TCP, 80, 1000 },
  { "203.0.113.10", IPPROTO_UDP, 1194, 0 },   { "203.0.113.10", IPPROTO_UDP, 1194, 1000 },
  { "203.0.113.10", IPPROTO_TCP, 1194, 0 },   { "203.0.113.11", IPPROTO_UDP, 1194, 0 },
  { "10.8.0.1", IPPROTO_TCP, 80, 1000 },      { "10.9.0.1", IPPROTO_TCP, 80, 1000 },
  { "10.77.0.1", IPPROTO_TCP, 80, 1000 },     { "2001:db8::1", IPPROTO_TCP, 443, 1000 },
  { "fd00::1", IPPROTO_TCP, 443, 1000 },      { "224.0.0.251", IPPROTO_UDP, 5353, 1000 },
};

/*
 * Goes from what the model holds to @policy and asks after each step: a packet
 * leaves by the uplink only if it did before or will at the end; a transport
 * that does both does so all the time.
 */
static void
assert_no_step_opens (const Scene *scene, Model *model, const KsPolicy *policy)
{
  g_autoptr (GArray) plan = model_diff (scene, model, policy, KS_DIFF_DEFAULT);
  guint before[G_N_ELEMENTS (packets)], after[G_N_ELEMENTS (packets)];
  g_autoptr (Model) end = g_new0 (Model, 1);

  end->rules = g_array_copy (model->rules);
  end->routes = g_array_copy (model->routes);
  model_apply (scene, end, policy);
  for (guint i = 0; i < G_N_ELEMENTS (packets); i++) {
    before[i] = model_lookup (model, &packets[i]);
    after[i] = model_lookup (end, &packets[i]);
  }
  for (guint i = 0; i < plan->len; i++) {
    g_autofree char *text = ks_step_format (&g_array_index (plan, KsStep, i));

    model_step (model, &g_array_index (plan, KsStep, i));
    for (guint j = 0; j < G_N_ELEMENTS (packets); j++) {
      guint now = model_lookup (model, &packets[j]);
      gboolean is_transport = packets[j].dport == 1194 && packets[j].uid == 0 && packets[j].ip_protocol == IPPROTO_UDP;

      if (now == UPLINK && before[j] != UPLINK && after[j] != UPLINK)
        fail_msg ("after step %u (%s) uid %u to %s port %u gets out", i, text, packets[j].uid, packets[j].to,
                  packets[j].dport);
      if (is_transport && before[j] == UPLINK && after[j] == UPLINK && now != UPLINK)
        fail_msg ("after step %u (%s) the transport to %s does not leave by the uplink", i, text, packets[j].to);
    }
  }
}

/* --- claims --- */

static void
diff_plans_nothing_when_nothing_is_armed_and_nothing_is_ours (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (Model) model = model_new (scene);
  g_autoptr (KsPolicy) policy = policy_of (scene);
  g_autoptr (GArray) plan = model_diff (scene, model, policy, KS_DIFF_DEFAULT);

  assert_int_equal (plan->len, 0);
}

static void
diff_is_empty_after_its_plan_was_applied (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (Model) model = model_new (scene);
  g_autoptr (KsPolicy) armed = NULL, up = NULL, off = NULL;
  const KsPolicy *policies[3];

  add_profile (scene, "a", "203.0.113.10");
  armed = policy_of (scene);
  add_tunnel (scene, "a", 7, "10.8.0.0/24");
  up = policy_of (scene);
  g_ptr_array_set_size (scene->armed, 0);
  g_ptr_array_set_size (scene->tunnels, 0);
  off = policy_of (scene);
  policies[0] = armed;
  policies[1] = up;
  policies[2] = off;
  for (guint i = 0; i < 3; i++)
    for (guint j = 0; j < 3; j++) {
      g_autoptr (GArray) first = NULL, second = NULL;

      model_apply (scene, model, policies[i]);
      first = model_diff (scene, model, policies[j], KS_DIFF_DEFAULT);
      assert_int_equal (first->len == 0, i == j);
      model_apply (scene, model, policies[j]);
      second = model_diff (scene, model, policies[j], KS_DIFF_DEFAULT);
      assert_int_equal (second->len, 0);
    }
  /* nothing of ours is left, and everything foreign is */
  assert_int_equal (model->rules->len, 2);
  assert_int_equal (model->routes->len, 2);
}

/* What the plan does for IPv4, in a few words. */
static char *
phases_of (const GArray *plan)
{
  GString *out = g_string_new (NULL);
  g_autofree char *last = NULL;

  for (guint i = 0; i < plan->len; i++) {
    const KsStep *step = &g_array_index (plan, KsStep, i);
    gboolean is_rule = step->kind == KS_STEP_ADD_RULE || step->kind == KS_STEP_DELETE_RULE;
    g_autofree char *word = NULL;

    if ((is_rule ? step->rule.family : step->route.family) != AF_INET)
      continue;
    switch (step->kind) {
    case KS_STEP_ADD_ROUTE:
      word = g_strdup (step->route.table == 86                             ? "add servers"
                       : step->route.n_nexthops || step->route.table == 85 ? "add carrying routes"
                                                                           : "add blackholes");
      break;
    case KS_STEP_DELETE_ROUTE:
      word = g_strdup (step->route.table == 86                             ? "delete servers"
                       : step->route.n_nexthops && step->route.table != 85 ? "delete carrying routes"
                                                                           : "delete blackholes and uplink routes");
      break;
    case KS_STEP_ADD_RULE:
      word = g_strdup_printf ("add %u", step->rule.priority);
      break;
    case KS_STEP_DELETE_RULE:
      word = g_strdup_printf ("delete %u", step->rule.priority);
      break;
    }
    if (g_strcmp0 (word, last) != 0)
      g_string_append_printf (out, "%s%s", last ? ", " : "", word);
    g_free (last);
    last = g_steal_pointer (&word);
  }
  return g_string_free (out, FALSE);
}

/* Where it comes after ours, blocking rules would cut the host off from itself: it is added before them, and removed
 * after. */
static void
diff_looks_table_local_up_before_anything_blocks (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (Model) model = model_new (scene);
  g_autoptr (KsPolicy) on = NULL, off = NULL;
  g_autoptr (GArray) arming = NULL, disarming = NULL;
  const KsStep *last;
  guint blocking = 0;

  off = policy_of (scene);
  add_profile (scene, "a", "203.0.113.10");
  on = policy_of (scene);
  for (guint i = 0; i < 2; i++) {
    KsRule local = ks_rule_lookup (i ? AF_INET6 : AF_INET, 8299, 83, RT_TABLE_LOCAL);

    g_array_append_val (on->rules, local);
  }
  arming = model_diff (scene, model, on, KS_DIFF_DEFAULT);
  for (guint i = 0; i < arming->len; i++) {
    const KsStep *step = &g_array_index (arming, KsStep, i);

    if (step->kind == KS_STEP_ADD_RULE && step->rule.priority == 8299)
      assert_int_equal (blocking, 0);
    else if (step->kind == KS_STEP_ADD_RULE && step->rule.priority >= 8309)
      blocking++;
  }
  assert_int_not_equal (blocking, 0);

  model_apply (scene, model, on);
  disarming = model_diff (scene, model, off, KS_DIFF_DEFAULT);
  last = NULL;
  for (guint i = 0; i < disarming->len; i++)
    if (g_array_index (disarming, KsStep, i).kind == KS_STEP_DELETE_RULE)
      last = &g_array_index (disarming, KsStep, i);
  assert_non_null (last);
  assert_int_equal (last->rule.priority, 8299);
}

static void
diff_arms_in_order (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (Model) model = model_new (scene);
  g_autoptr (KsPolicy) policy = NULL;
  g_autoptr (GArray) plan = NULL;
  g_autofree char *text = NULL;

  add_profile (scene, "a", "203.0.113.10");
  add_tunnel (scene, "a", 7, "10.8.0.0/24");
  policy = policy_of (scene);
  plan = model_diff (scene, model, policy, KS_DIFF_DEFAULT);
  text = phases_of (plan);
  assert_string_equal (
    text, "add blackholes, add carrying routes, add 8300, add 8307, add 8300, add servers, "
          "add 8390, add 8380, add 8372, add 8371, add 8370, add 8310, add 8309, "
          "add blackholes, add carrying routes, " /* what leads the LAN past the shortcut, and that itself */
          "add 8330, add 8335, add 8375");
  for (guint i = 0; i < plan->len; i++) {
    const KsStep *step = &g_array_index (plan, KsStep, i);
    gboolean blocks = step->kind == KS_STEP_ADD_RULE
                        ? step->rule.priority >= 8309 && step->rule.priority != 8330 && step->rule.priority != 8335
                            && step->rule.priority != 8307 && step->rule.priority != 8375
                        : (step->route.table == 84 && !ks_route_is_default (&step->route))
                            || (step->route.type != RTN_UNICAST && step->route.table < 85);

    assert_int_equal (step->closes, blocks ? KS_CONCERN_BLOCK : KS_CONCERN_NONE);
  }
}

/* The shortcut comes after the routes that lead the local network past it, and goes before them. */
static void
diff_leads_the_lan_past_the_shortcut_at_all_times (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) up = scene_new (), down = scene_new ();
  g_autoptr (Model) model = model_new (up);
  g_autoptr (KsPolicy) with = NULL, without = NULL;

  add_profile (up, "a", "203.0.113.10");
  add_profile (down, "a", "203.0.113.10");
  add_tunnel (up, "a", 7, "10.8.0.0/24");
  with = policy_of (up);
  without = policy_of (down);
  for (guint i = 0; i < 2; i++) {
    g_autoptr (GArray) plan = model_diff (up, model, i ? without : with, KS_DIFF_DEFAULT);
    guint shortcuts = 0, passes = 0;

    for (guint j = 0; j < plan->len; j++) {
      const KsStep *step = &g_array_index (plan, KsStep, j);

      if (step->kind == KS_STEP_ADD_RULE || step->kind == KS_STEP_DELETE_RULE || step->route.table != 84
          || step->route.family != AF_INET)
        continue;
      shortcuts += ks_route_is_default (&step->route);
      if (!ks_policy_is_pass (up->config, &step->route))
        continue;
      passes++;
      assert_int_equal (shortcuts, i);
    }
    assert_int_equal (shortcuts, 1);
    assert_int_equal (passes, 7);
    model_apply (up, model, i ? without : with);
  }
}

/* See ks-order.c: no old server may meet a new rule, nor a new server an old rule. */
static void
diff_replaces_servers_without_mixing_old_and_new (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) before = scene_new (), after = scene_new ();
  g_autoptr (Model) model = model_new (before);
  g_autoptr (KsPolicy) old = NULL, new = NULL;
  g_autoptr (GArray) plan = NULL;
  g_autofree char *text = NULL;
  KsConcern closes = KS_CONCERN_BLOCK | KS_CONCERN_SERVERS;

  add_profile (before, "a", "203.0.113.10");
  old = policy_of (before);
  model_apply (before, model, old);
  add_profile (after, "b", "203.0.113.11");
  ((KsEndpoint *) ((KsProfile *) after->armed->pdata[0])->endpoints->pdata[0])->port = 443;
  new = policy_of (after);
  plan = model_diff (after, model, new, KS_DIFF_DEFAULT);
  text = phases_of (plan);
  assert_string_equal (text, "delete servers, add 8300, delete 8300, add servers");
  for (guint i = 0; i < plan->len; i++) {
    const KsStep *step = &g_array_index (plan, KsStep, i);
    gboolean is_addition = step->kind == KS_STEP_ADD_RULE || step->kind == KS_STEP_ADD_ROUTE;

    assert_int_equal (step->closes, is_addition ? KS_CONCERN_NONE : closes);
    assert_int_equal (step->opens, is_addition ? KS_CONCERN_SERVERS : KS_CONCERN_NONE);
  }
}

/* The uplink's gateway has changed: the server is the same, and has a route at every moment. */
static void
diff_moves_a_server_to_another_gateway_without_a_gap (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (Model) model = model_new (scene);
  g_autoptr (KsPolicy) old = NULL, new = NULL;
  g_autoptr (GArray) plan = NULL;
  int servers = 0, least = G_MAXINT;

  add_profile (scene, "a", "203.0.113.10");
  old = policy_of (scene);
  for (guint i = 0; i < old->routes->len; i++) {
    KsRoute *route = &g_array_index (old->routes, KsRoute, i);

    if (route->table == 86 && route->type == RTN_UNICAST)
      route->nexthops[0].gateway = ks_test_prefix ("192.168.1.77");
  }
  model_apply (scene, model, old);
  new = policy_of (scene);
  plan = model_diff (scene, model, new, KS_DIFF_DEFAULT);
  assert_int_equal (plan->len, 2);
  for (guint i = 0; i < model->routes->len; i++)
    servers += g_array_index (model->routes, KsRoute, i).table == 86
               && g_array_index (model->routes, KsRoute, i).type == RTN_UNICAST;
  for (guint i = 0; i < plan->len; i++) {
    servers += g_array_index (plan, KsStep, i).kind == KS_STEP_ADD_ROUTE ? 1 : -1;
    least = MIN (least, servers);
  }
  assert_true (least >= 1);
}

/* A run that was killed may have left one: the transport must not meet it. */
static void
diff_deletes_a_stale_uplink_route_before_an_exemption_looks_it_up (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (Model) model = model_new (scene);
  KsPrefix subnet = ks_test_prefix ("203.0.113.0/24");
  KsRoute stale = ks_route_init (scene->config->uplink_table, scene->config->protocol, &subnet, 100);
  g_autoptr (KsPolicy) policy = NULL;
  g_autoptr (GArray) plan = NULL;
  gboolean is_deleted = FALSE;
  guint exemptions = 0;

  stale.type = RTN_UNREACHABLE;
  g_array_append_val (model->routes, stale);
  add_profile (scene, "a", "203.0.113.10")->vpn_type = KS_VPN_WIREGUARD;
  add_tunnel (scene, "a", 7, "10.8.0.0/24");
  ((KsTunnel *) scene->tunnels->pdata[0])->listen_port = 51820;
  policy = policy_of (scene);
  plan = model_diff (scene, model, policy, KS_DIFF_DEFAULT);
  for (guint i = 0; i < plan->len; i++) {
    const KsStep *step = &g_array_index (plan, KsStep, i);

    is_deleted = is_deleted || (step->kind == KS_STEP_DELETE_ROUTE && ks_route_equal (&step->route, &stale));
    if (step->kind == KS_STEP_ADD_RULE && step->rule.sport.first == 51820) {
      assert_true (is_deleted);
      exemptions++;
    }
  }
  assert_int_equal (exemptions, 2); /* IPv4 and IPv6 */
}

/* Of a table of ManagementFrom=, which may serve another device now: no reply may meet what is left there. */
static void
diff_deletes_a_stale_management_route_before_a_rule_looks_it_up (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (Model) model = model_new (scene);
  const KsConfig *config = scene->config;
  KsPrefix all = ks_prefix_default (AF_INET), router = ks_test_prefix ("203.0.113.1");
  KsRoute stale = ks_route_via (config->management_table, config->protocol, &all, 100, 9, &router);
  KsRule rule =
    ks_rule_lookup (AF_INET, config->priority + KS_PRIORITY_MANAGEMENT, config->protocol, config->management_table);
  g_autoptr (KsPolicy) policy = NULL;
  g_autoptr (GArray) plan = NULL;
  gboolean is_deleted = FALSE, is_added = FALSE;

  g_array_append_val (model->routes, stale);
  add_profile (scene, "a", "203.0.113.10");
  policy = policy_of (scene);
  g_array_append_val (policy->rules, rule);
  plan = model_diff (scene, model, policy, KS_DIFF_DEFAULT);
  for (guint i = 0; i < plan->len; i++) {
    const KsStep *step = &g_array_index (plan, KsStep, i);

    is_deleted = is_deleted || (step->kind == KS_STEP_DELETE_ROUTE && ks_route_equal (&step->route, &stale));
    if (step->kind == KS_STEP_ADD_RULE && ks_rule_equal (&step->rule, &rule)) {
      assert_true (is_deleted);
      is_added = TRUE;
    }
  }
  assert_true (is_added);
}

static void
diff_disarms_from_the_last_rule_to_the_first (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (Model) model = model_new (scene);
  g_autoptr (KsPolicy) on = NULL, off = NULL;
  g_autoptr (GArray) plan = NULL;
  g_autofree char *text = NULL;
  guint i = 0;

  add_profile (scene, "a", "203.0.113.10");
  add_tunnel (scene, "a", 7, "10.8.0.0/24");
  on = policy_of (scene);
  g_ptr_array_set_size (scene->armed, 0);
  off = policy_of (scene);
  model_apply (scene, model, on);
  plan = model_diff (scene, model, off, KS_DIFF_DEFAULT);
  text = phases_of (plan);
  assert_true (g_str_has_prefix (text, "delete 8390, delete 8380, delete 8375, delete 8372, delete 8371, delete 8370, "
                                       "delete 8335, delete 8330, delete 8310, delete 8309, "
                                       "delete 8307, delete 8300, "));
  /* every rule before every route */
  while (i < plan->len && g_array_index (plan, KsStep, i).kind == KS_STEP_DELETE_RULE)
    i++;
  for (; i < plan->len; i++)
    assert_int_equal (g_array_index (plan, KsStep, i).kind, KS_STEP_DELETE_ROUTE);
}

static void
diff_no_step_opens_anything (void **state G_GNUC_UNUSED)
{
  g_autoptr (GPtrArray) policies = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_policy_free);
  g_autoptr (Scene) scene = scene_new ();
  KsProfile *second;

  g_ptr_array_add (policies, policy_of (scene)); /* off */
  add_profile (scene, "a", "203.0.113.10");
  g_ptr_array_add (policies, policy_of (scene)); /* armed, down */
  add_tunnel (scene, "a", 7, "10.8.0.0/24");
  g_ptr_array_add (policies, policy_of (scene)); /* up */
  second = add_profile (scene, "b", "203.0.113.11");
  add_tunnel (scene, "b", 8, "10.9.0.0/16");
  g_ptr_array_add (policies, policy_of (scene)); /* two up */
  g_ptr_array_remove_index (scene->tunnels, 0);
  second->lan = KS_LAN_OFF;
  g_ptr_array_add (policies, policy_of (scene)); /* the second up, no LAN */
  second->lan = KS_LAN_UNSET;
  second->dns = KS_DNS_LAN;
  ((KsProfile *) scene->armed->pdata[0])->dns = KS_DNS_LAN;
  g_ptr_array_add (policies, policy_of (scene)); /* DNS through the LAN */

  for (guint i = 0; i < policies->len; i++)
    for (guint j = 0; j < policies->len; j++) {
      g_autoptr (Model) model = model_new (scene);

      model_apply (scene, model, policies->pdata[i]);
      assert_no_step_opens (scene, model, policies->pdata[j]);
    }
}

static void
diff_puts_back_what_was_removed (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (Model) model = model_new (scene);
  g_autoptr (KsPolicy) policy = NULL;
  guint rules, routes;

  add_profile (scene, "a", "203.0.113.10");
  add_tunnel (scene, "a", 7, "10.8.0.0/24");
  policy = policy_of (scene);
  model_apply (scene, model, policy);
  rules = model->rules->len;
  routes = model->routes->len;
  for (guint i = 0; i < rules + routes; i++) {
    g_autoptr (Model) broken = g_new0 (Model, 1);
    g_autoptr (GArray) plan = NULL;

    broken->rules = g_array_copy (model->rules);
    broken->routes = g_array_copy (model->routes);
    if (i < rules)
      g_array_remove_index (broken->rules, i);
    else
      g_array_remove_index (broken->routes, i - rules);
    plan = model_diff (scene, broken, policy, KS_DIFF_DEFAULT);
    assert_true (plan->len <= 1); /* 0: it was not ours */
    if (plan->len == 1)
      assert_true (g_array_index (plan, KsStep, 0).kind == KS_STEP_ADD_RULE
                   || g_array_index (plan, KsStep, 0).kind == KS_STEP_ADD_ROUTE);
  }
}

static void
diff_ignores_what_is_not_ours (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (Model) model = model_new (scene);
  g_autoptr (KsPolicy) off = policy_of (scene);
  g_autoptr (GArray) plan = NULL;
  KsPrefix all = ks_prefix_default (AF_INET);
  KsRule rule;
  KsRoute route;

  rule = ks_rule_lookup (AF_INET, 8380, RTPROT_STATIC, 83); /* our priority, a foreign protocol */
  g_array_append_val (model->rules, rule);
  rule = ks_rule_lookup (AF_INET, 1, 83, 83); /* our protocol, another priority */
  g_array_append_val (model->rules, rule);
  route = ks_route_blackhole (83, RTPROT_STATIC, &all, 200); /* our table, a foreign protocol */
  g_array_append_val (model->routes, route);
  route = ks_route_blackhole (RT_TABLE_MAIN, 83, &all, 200); /* our protocol in main */
  g_array_append_val (model->routes, route);
  plan = model_diff (scene, model, off, KS_DIFF_DEFAULT);
  assert_int_equal (plan->len, 0);
}

static void
diff_replaces_an_own_rule_that_was_tampered_with (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (Model) model = model_new (scene);
  g_autoptr (KsPolicy) policy = NULL;
  g_autoptr (GArray) plan = NULL;

  add_profile (scene, "a", "203.0.113.10");
  policy = policy_of (scene);
  model_apply (scene, model, policy);
  for (guint i = 0; i < model->rules->len; i++) {
    KsRule *rule = &g_array_index (model->rules, KsRule, i);

    if (rule->family == AF_INET && rule->priority == 8380)
      rule->invert = TRUE;
  }
  plan = model_diff (scene, model, policy, KS_DIFF_DEFAULT);
  assert_int_equal (plan->len, 2);
  assert_int_equal (g_array_index (plan, KsStep, 0).kind, KS_STEP_ADD_RULE);
  assert_int_equal (g_array_index (plan, KsStep, 1).kind, KS_STEP_DELETE_RULE);
}

static void
diff_on_hold_deletes_nothing_that_blocks_and_no_exemption (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (Model) model = model_new (scene);
  g_autoptr (KsPolicy) up = NULL, other = NULL;
  g_autoptr (GArray) plan = NULL;
  KsProfile *profile = add_profile (scene, "a", "203.0.113.10");
  guint deleted = 0;

  add_tunnel (scene, "a", 7, "10.8.0.0/24");
  up = policy_of (scene);
  g_ptr_array_set_size (scene->tunnels, 0);
  g_ptr_array_set_size (profile->endpoints, 0);
  profile->lan = KS_LAN_OFF;
  profile->dns = KS_DNS_LAN;
  other = policy_of (scene);
  model_apply (scene, model, up);
  plan = model_diff (scene, model, other, KS_DIFF_HOLD);
  for (guint i = 0; i < plan->len; i++) {
    const KsStep *step = &g_array_index (plan, KsStep, i);

    assert_int_not_equal (step->kind, KS_STEP_DELETE_RULE);
    if (step->kind == KS_STEP_DELETE_ROUTE) {
      assert_int_equal (step->route.type, RTN_UNICAST);
      deleted++;
    }
  }
  assert_true (deleted > 0); /* routes through a tunnel that is gone are still deleted: they block nothing */
}

static void
diff_without_networkmanager_deletes_no_exemption_but_the_rest (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (Model) model = model_new (scene);
  g_autoptr (KsPolicy) up = NULL, other = NULL;
  g_autoptr (GArray) plan = NULL;
  KsProfile *profile = add_profile (scene, "a", "203.0.113.10");
  guint lan = 0, dns = 0;

  up = policy_of (scene);
  g_ptr_array_set_size (profile->endpoints, 0);
  profile->lan = KS_LAN_OFF;
  profile->dns = KS_DNS_LAN;
  other = policy_of (scene);
  model_apply (scene, model, up);
  plan = model_diff (scene, model, other, KS_DIFF_HOLD_EXEMPTIONS);
  for (guint i = 0; i < plan->len; i++) {
    const KsStep *step = &g_array_index (plan, KsStep, i);

    assert_int_equal (step->kind, KS_STEP_DELETE_RULE);
    assert_int_not_equal (step->rule.priority, 8300);
    lan += step->rule.priority == 8330;
    dns += step->rule.priority == 8310;
  }
  assert_int_equal (lan, 6);
  assert_int_equal (dns, 4);
}

/* The guard, which checks what is looked up, may be gone as well. */
static void
diff_on_hold_deletes_the_rules_for_bootstrap_dns (void **state G_GNUC_UNUSED)
{
  static const KsDiffFlags flags[] = { KS_DIFF_HOLD, KS_DIFF_HOLD_EXEMPTIONS };
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (Model) model = model_new (scene);
  g_autoptr (KsPolicy) policy = NULL;
  KsRule rule = ks_rule_lookup (AF_INET, 8305, 83, 85);

  add_profile (scene, "a", "203.0.113.10");
  policy = policy_of (scene);
  model_apply (scene, model, policy);
  rule.to = ks_test_prefix ("192.168.1.1");
  g_array_append_val (model->rules, rule);
  for (guint i = 0; i < G_N_ELEMENTS (flags); i++) {
    g_autoptr (GArray) plan = model_diff (scene, model, policy, flags[i]);

    assert_int_equal (plan->len, 1);
    assert_int_equal (g_array_index (plan, KsStep, 0).rule.priority, 8305);
  }
}

static void
diff_on_hold_does_not_disarm (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (Model) model = model_new (scene);
  g_autoptr (KsPolicy) on = NULL, off = NULL;
  g_autoptr (GArray) plan = NULL;

  off = policy_of (scene);
  add_profile (scene, "a", "203.0.113.10");
  on = policy_of (scene);
  model_apply (scene, model, on);
  plan = model_diff (scene, model, off, KS_DIFF_HOLD);
  assert_int_equal (plan->len, 0);
}

static void
diff_on_hold_still_adds (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (Model) model = model_new (scene);
  g_autoptr (KsPolicy) on = NULL;
  g_autoptr (GArray) plan = NULL;

  add_profile (scene, "a", "203.0.113.10");
  on = policy_of (scene);
  plan = model_diff (scene, model, on, KS_DIFF_HOLD);
  assert_int_equal (plan->len, on->rules->len + on->routes->len);
}

static void
diff_without_the_lock_adds_what_is_missing_and_deletes_nothing (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (Model) model = model_new (scene);
  g_autoptr (KsPolicy) off = policy_of (scene), up = NULL, other = NULL;
  g_autoptr (GArray) disarm = NULL, whole = NULL, plan = NULL;
  KsProfile *profile = add_profile (scene, "a", "203.0.113.10");
  guint added = 0;

  add_tunnel (scene, "a", 7, "10.8.0.0/24");
  up = policy_of (scene);
  model_apply (scene, model, up);
  disarm = model_diff (scene, model, off, KS_DIFF_ADD_ONLY);
  assert_int_equal (disarm->len, 0);

  g_ptr_array_set_size (scene->tunnels, 0);
  add_tunnel (scene, "a", 8, "10.9.0.0/24");
  profile->lan = KS_LAN_OFF;
  other = policy_of (scene);
  whole = model_diff (scene, model, other, KS_DIFF_DEFAULT);
  for (guint i = 0; i < whole->len; i++) {
    KsStepKind kind = g_array_index (whole, KsStep, i).kind;

    added += kind == KS_STEP_ADD_RULE || kind == KS_STEP_ADD_ROUTE;
  }
  plan = model_diff (scene, model, other, KS_DIFF_ADD_ONLY);
  assert_true (added > 0 && added < whole->len);
  assert_int_equal (plan->len, added);
}

static void
diff_treats_an_unknown_rule_of_ours_as_a_blocker (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (Model) model = model_new (scene);
  g_autoptr (KsPolicy) on = NULL;
  g_autoptr (GArray) plan = NULL, held = NULL;
  KsRule rule = ks_rule_lookup (AF_INET, 8399, 83, 83);

  add_profile (scene, "a", "203.0.113.10");
  on = policy_of (scene);
  model_apply (scene, model, on);
  g_array_append_val (model->rules, rule);
  plan = model_diff (scene, model, on, KS_DIFF_DEFAULT);
  held = model_diff (scene, model, on, KS_DIFF_HOLD);
  assert_int_equal (plan->len, 1);
  assert_int_equal (held->len, 0);
}

static void
diff_steps_read_well (void **state G_GNUC_UNUSED)
{
  KsPrefix all = ks_prefix_default (AF_INET6);
  const KsStep rule = { .kind = KS_STEP_ADD_RULE, .rule = ks_rule_lookup (AF_INET, 8380, 83, 83) };
  const KsStep route = { .kind = KS_STEP_DELETE_ROUTE, .route = ks_route_blackhole (83, 83, &all, 200) };
  g_autofree char *first = ks_step_format (&rule), *second = ks_step_format (&route);

  assert_string_equal (first, "add IPv4 rule: priority 8380 from all lookup 83 protocol 83");
  assert_string_equal (second, "delete IPv6 route: blackhole default table 83 protocol 83 metric 200");
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (diff_plans_nothing_when_nothing_is_armed_and_nothing_is_ours),
    cmocka_unit_test (diff_is_empty_after_its_plan_was_applied),
    cmocka_unit_test (diff_arms_in_order),
    cmocka_unit_test (diff_leads_the_lan_past_the_shortcut_at_all_times),
    cmocka_unit_test (diff_looks_table_local_up_before_anything_blocks),
    cmocka_unit_test (diff_replaces_servers_without_mixing_old_and_new),
    cmocka_unit_test (diff_moves_a_server_to_another_gateway_without_a_gap),
    cmocka_unit_test (diff_deletes_a_stale_uplink_route_before_an_exemption_looks_it_up),
    cmocka_unit_test (diff_deletes_a_stale_management_route_before_a_rule_looks_it_up),
    cmocka_unit_test (diff_disarms_from_the_last_rule_to_the_first),
    cmocka_unit_test (diff_no_step_opens_anything),
    cmocka_unit_test (diff_puts_back_what_was_removed),
    cmocka_unit_test (diff_ignores_what_is_not_ours),
    cmocka_unit_test (diff_replaces_an_own_rule_that_was_tampered_with),
    cmocka_unit_test (diff_on_hold_deletes_nothing_that_blocks_and_no_exemption),
    cmocka_unit_test (diff_without_networkmanager_deletes_no_exemption_but_the_rest),
    cmocka_unit_test (diff_on_hold_deletes_the_rules_for_bootstrap_dns),
    cmocka_unit_test (diff_on_hold_does_not_disarm),
    cmocka_unit_test (diff_on_hold_still_adds),
    cmocka_unit_test (diff_without_the_lock_adds_what_is_missing_and_deletes_nothing),
    cmocka_unit_test (diff_treats_an_unknown_rule_of_ours_as_a_blocker),
    cmocka_unit_test (diff_steps_read_well),
  };

  return cmocka_run_group_tests_name ("ks-diff", tests, NULL, NULL);
}
