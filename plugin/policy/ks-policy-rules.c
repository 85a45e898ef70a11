/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The policy's rules of one family, in order of priority. The head of ks-policy.c says what each is for. */
#include "policy/ks-policy-builder.h"

static void
add_rule (KsPolicyBuilder *b, const KsRule *rule)
{
  g_array_append_val (b->policy->rules, *rule);
}

static KsRule
lookup (const KsPolicyBuilder *b, int family, guint32 offset, guint32 table)
{
  return ks_rule_lookup (family, b->config->priority + offset, b->config->protocol, table);
}

/* The route back to the source of a packet that the guard has marked, as reverse-path filters look it up. */
static KsRule
answers_rule (const KsPolicyBuilder *b, int family, guint32 offset, guint32 table)
{
  KsRule rule = lookup (b, family, offset, table);

  rule.fwmark = ks_policy_answers_mark (b->policy);
  rule.fwmask = G_MAXUINT32;
  rule.has_uid_range = TRUE;
  return rule;
}

static gboolean
has_server (const GArray *transports, int family)
{
  for (guint i = 0; i < transports->len; i++) {
    const KsTransport *transport = &g_array_index (transports, KsTransport, i);

    if (transport->family == family && ks_transport_has_server (transport))
      return TRUE;
  }
  return FALSE;
}

/* One rule for each selector: servers with the same selector share it, and so may two profiles with one port. */
static void
add_transport_rules (KsPolicyBuilder *b, int family)
{
  g_autoptr (GArray) rules = g_array_new (FALSE, FALSE, sizeof (KsRule));
  const GArray *transports = b->policy->transports;

  if (b->policy->guard && !b->in->no_guard && has_server (transports, family)) {
    KsRule answers = answers_rule (b, family, KS_PRIORITY_TRANSPORT, b->config->servers_table);

    g_array_append_val (rules, answers);
  }

  for (guint i = 0; i < transports->len; i++) {
    const KsTransport *transport = &g_array_index (transports, KsTransport, i);
    KsRule rule = ks_transport_rule (transport, b->config, b->config->priority + KS_PRIORITY_TRANSPORT);

    if (transport->family == family)
      g_array_append_val (rules, rule);
  }
  g_array_sort (rules, ks_rule_compare);
  for (guint i = 0; i < rules->len; i++) {
    const KsRule *rule = &g_array_index (rules, KsRule, i);

    if (i == 0 || !ks_rule_equal (&g_array_index (rules, KsRule, i - 1), rule))
      add_rule (b, rule);
  }
}

/* The uplinks' resolvers are not servers: each has a rule of its own, to its address. */
static void
add_bootstrap_rules (KsPolicyBuilder *b, int family)
{
  for (guint i = 0; i < b->policy->bootstrap->len; i++) {
    const KsTransport *transport = &g_array_index (b->policy->bootstrap, KsTransport, i);
    KsRule rule = ks_transport_rule (transport, b->config, b->config->priority + KS_PRIORITY_BOOTSTRAP);

    rule.to = transport->to;
    rule.table = b->config->uplink_table;
    if (transport->family != family)
      continue;
    add_rule (b, &rule);
    if (transport->uid == 0 && ks_policy_marks_resolver (b->policy, transport)) {
      rule = answers_rule (b, family, KS_PRIORITY_BOOTSTRAP, b->config->uplink_table);
      rule.to = transport->to;
      add_rule (b, &rule);
    }
  }
}

/* Renewals are unicast, and the server may be outside the LAN (a relay). */
static void
add_dhcp_rule (KsPolicyBuilder *b, int family)
{
  KsRule rule = lookup (b, family, KS_PRIORITY_DHCP, b->config->uplink_table);
  guint16 client = family == AF_INET ? 68 : 546;
  guint16 server = family == AF_INET ? 67 : 547;

  rule.ip_protocol = IPPROTO_UDP;
  rule.sport = (KsPortRange){ client, client };
  rule.dport = (KsPortRange){ server, server };
  rule.has_uid_range = TRUE;
  add_rule (b, &rule);
}

/* The replies from each address to each prefix. ks_policy_add_management() has found the addresses. */
static void
add_management_rules (KsPolicyBuilder *b, int family)
{
  for (guint i = 0; i < b->policy->management->len; i++) {
    const KsManagement *entry = &g_array_index (b->policy->management, KsManagement, i);
    KsRule rule = lookup (b, family, KS_PRIORITY_MANAGEMENT, entry->table);

    rule.from = entry->address;
    for (guint j = 0; j < b->policy->management_prefixes->len; j++) {
      rule.to = g_array_index (b->policy->management_prefixes, KsPrefix, j);
      if (rule.from.family == family && rule.to.family == family)
        add_rule (b, &rule);
    }
  }
}

static void
add_dns_rules (KsPolicyBuilder *b, int family)
{
  static const guint16 ports[] = { 53, 853 };

  for (guint i = 0; i < G_N_ELEMENTS (ports); i++) {
    KsRule rule = lookup (b, family, KS_PRIORITY_DNS, b->config->table);

    rule.dport = (KsPortRange){ ports[i], ports[i] };
    add_rule (b, &rule);
  }
}

static void
add_lan_rules (KsPolicyBuilder *b, int family)
{
  KsRule rule = lookup (b, family, KS_PRIORITY_LAN, RT_TABLE_MAIN);

  rule.suppress_prefixlength = 0;
  if (b->policy->lan == KS_LAN_ROUTES) {
    add_rule (b, &rule);
    return;
  }
  for (guint i = 0; i < b->policy->lan_prefixes->len; i++) {
    rule.to = g_array_index (b->policy->lan_prefixes, KsPrefix, i);
    if (rule.to.family == family)
      add_rule (b, &rule);
  }
}

const char *const ks_policy_multicast_groups[] = { "224.0.0.0/24", "239.255.0.0/16", "255.255.255.255", NULL };

/*
 * Multicast that routers do not forward beyond the site, from a socket that
 * names no device (one that does skips the lookup). IPv6 has ff00::/8 in table
 * local.
 */
static void
add_multicast_rules (KsPolicyBuilder *b)
{
  for (guint i = 0; ks_policy_multicast_groups[i]; i++) {
    KsRule rule = lookup (b, AF_INET, KS_PRIORITY_MULTICAST, b->config->uplink_table);

    ks_prefix_parse (ks_policy_multicast_groups[i], &rule.to, NULL);
    add_rule (b, &rule);
  }
}

/* IPv4's check of a new route's gateway, and nothing else that a program could send. */
static void
add_gateway_rules (KsPolicyBuilder *b)
{
  /* the most frequent lookup first: each packet of an unconnected socket */
  static const guint8 protocols[] = { IPPROTO_UDP, IPPROTO_TCP, IPPROTO_ICMP };
  KsRule rule;

  for (guint i = 0; i < G_N_ELEMENTS (protocols); i++) {
    rule = lookup (b, AF_INET, KS_PRIORITY_PROGRAMS + i, b->config->table);
    rule.ip_protocol = protocols[i];
    add_rule (b, &rule);
  }
  rule = lookup (b, AF_INET, KS_PRIORITY_GATEWAY, RT_TABLE_MAIN);
  ks_prefix_parse ("0.0.0.0/32", &rule.from, NULL);
  rule.has_uid_range = TRUE;
  /* no host is in a subnet wider than a /8: this leaves out option 121's 0.0.0.0/1 */
  rule.suppress_prefixlength = 7;
  add_rule (b, &rule);
}

/* Whether every packet matches. */
static gboolean
is_for_all (const KsRule *rule)
{
  KsRule plain = ks_rule_init (rule->family, rule->priority, rule->protocol);

  plain.action = rule->action;
  plain.table = rule->table;
  return ks_rule_equal (rule, &plain);
}

/* Whether @rule is a foreign rule before ours that can route a packet anywhere. */
static gboolean
is_in_front (const KsPolicyBuilder *b, const KsRule *rule, int family)
{
  return rule->family == family && rule->priority < b->config->priority && !ks_owner_has_rule (b->config, rule)
         && !ks_rule_is_local_lookup (rule) && (rule->action == FR_ACT_TO_TBL || rule->action == FR_ACT_GOTO);
}

/*
 * The jump goes after table local, and before the first rule that could open
 * something. A rule before table local, or with its priority, cannot be jumped
 * over; the guard and the proof still see what it does.
 *
 * With VRFs, table local is often moved behind everything else (pref 32765: the
 * kernel's vrf.rst, ifupdown2). Our rules would then decide for packets to the
 * host itself as well, loopback included, so one more rule of ours looks up
 * table local first.
 */
static void
add_rules_in_front (KsPolicyBuilder *b, int family)
{
  guint32 floor = G_MAXUINT32; /* the jump must not come before this priority */
  guint32 first = G_MAXUINT32;
  guint32 front = b->config->priority; /* where our rules begin to decide */
  gboolean is_behind;

  for (guint i = 0; b->in->rules && i < b->in->rules->len; i++) {
    const KsRule *rule = &g_array_index (b->in->rules, KsRule, i);

    /* the first one that matches every packet; a later one, or one with a selector, need not be waited for */
    if (rule->family == family && ks_rule_is_local_lookup (rule) && !ks_owner_has_rule (b->config, rule)
        && is_for_all (rule))
      floor = MIN (floor, rule->priority);
  }
  is_behind = floor != G_MAXUINT32 && floor >= b->config->priority;
  if (is_behind || floor == G_MAXUINT32)
    floor = 0;
  for (guint i = 0; b->in->rules && i < b->in->rules->len; i++) {
    const KsRule *rule = &g_array_index (b->in->rules, KsRule, i);

    if (is_in_front (b, rule, family) && rule->priority > floor)
      first = MIN (first, rule->priority);
  }
  if (first != G_MAXUINT32)
    front = first - 1;
  if (is_behind && front > 0) {
    KsRule local = ks_rule_lookup (family, front - 1, b->config->protocol, RT_TABLE_LOCAL);

    add_rule (b, &local);
  }
  if (first != G_MAXUINT32) {
    KsRule jump = ks_rule_init (family, front, b->config->protocol);

    jump.action = FR_ACT_GOTO;
    jump.goto_target = b->config->priority;
    add_rule (b, &jump);
  }
}

void
ks_policy_add_rules (KsPolicyBuilder *b, int family)
{
  KsRule terminal = ks_rule_init (family, b->config->priority + KS_PRIORITY_TERMINAL, b->config->protocol);
  KsRule anchor = ks_rule_init (family, b->config->priority, b->config->protocol);
  KsRule rule;

  add_rules_in_front (b, family);
  add_rule (b, &anchor);
  add_transport_rules (b, family);
  add_bootstrap_rules (b, family);
  add_dhcp_rule (b, family);
  add_management_rules (b, family);
  rule = lookup (b, family, KS_PRIORITY_TUNNEL, b->config->tunnel_table);
  add_rule (b, &rule);
  if (b->policy->dns == KS_DNS_TUNNEL)
    add_dns_rules (b, family);
  if (b->policy->lan != KS_LAN_OFF) {
    add_lan_rules (b, family);
    if (family == AF_INET)
      add_multicast_rules (b);
  }
  if (family == AF_INET)
    add_gateway_rules (b);
  rule = lookup (b, family, KS_PRIORITY_DEFAULT, b->config->table);
  add_rule (b, &rule);
  terminal.action = FR_ACT_UNREACHABLE;
  add_rule (b, &terminal);
}
