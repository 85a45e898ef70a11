/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KsRule against the kernel and against iproute2, an implementation of the
 * same messages that is not ours: what we add `ip -j rule` shows, what
 * `ip rule add` adds we read.
 */
#include "netns.h"

#include <linux/if_addr.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/prctl.h>

#include "base/ks-error.h"
#include "kernel/ks-kernel.h"
#include "kernel/ks-netlink.h"
#include "kernel/ks-rule-message.h"

#define PROTOCOL 83

/* Newer than the headers this is built with may be. */
#define TEST_FRA_DSCP 25 /* Linux 6.13 */
#define TEST_FRA_DPORT_MASK 29 /* Linux 6.15 */

#define RULE(FAMILY, PRIORITY) .family = FAMILY, .priority = PRIORITY, .protocol = PROTOCOL, .suppress_prefixlength = -1
#define LOOKUP(TABLE) .action = FR_ACT_TO_TBL, .table = TABLE, .suppress_ifgroup = -1
#define ACTION(ACTION_) .action = ACTION_, .suppress_ifgroup = -1

typedef struct {
  KsRule rule;
  const char *from; /* goes into the rule; NULL for "all" */
  const char *to;
  int suppress_prefixlength; /* plus 1: 0 is "not set" */
  int suppress_ifgroup; /* likewise */
  const char *words; /* after `ip rule add` */
  const char *json; /* what `ip -N -j rule show` prints of it */
} Case;

static const Case cases[] = {
  { { RULE (AF_INET, 100), LOOKUP (77), .invert = TRUE },
    .from = "10.0.0.0/8",
    .to = "192.0.2.0/24",
    .words = "not from 10.0.0.0/8 to 192.0.2.0/24 priority 100 lookup 77 protocol 83",
    .json = "{\"priority\":100,\"not\":null,\"src\":\"10.0.0.0\",\"srclen\":8,\"dst\":\"192.0.2.0\",\"dstlen\":24,"
            "\"table\":\"77\",\"protocol\":\"83\"}" },
  { { RULE (AF_INET, 101), LOOKUP (RT_TABLE_MAIN) },
    .suppress_prefixlength = 1 + 0,
    .words = "priority 101 lookup main suppress_prefixlength 0 protocol 83",
    .json = "{\"priority\":101,\"src\":\"all\",\"table\":\"254\",\"suppress_prefixlen\":0,\"protocol\":\"83\"}" },
  { { RULE (AF_INET, 102), LOOKUP (RT_TABLE_MAIN) },
    .to = "192.168.0.0/16",
    .suppress_prefixlength = 1 + 24,
    .suppress_ifgroup = 1 + 3,
    .words = "to 192.168.0.0/16 priority 102 lookup main suppress_prefixlength 24 suppress_ifgroup 3 protocol 83",
    .json = "{\"priority\":102,\"src\":\"all\",\"dst\":\"192.168.0.0\",\"dstlen\":16,\"table\":\"254\","
            "\"suppress_prefixlen\":24,\"suppress_ifgroup\":\"3\",\"protocol\":\"83\"}" },
  { { RULE (AF_INET, 103), LOOKUP (85), .has_uid_range = TRUE, .ip_protocol = IPPROTO_UDP, .sport = { 51820, 51820 } },
    .words = "priority 103 uidrange 0-0 ipproto udp sport 51820 lookup 85 protocol 83",
    .json = "{\"priority\":103,\"src\":\"all\",\"uid_start\":0,\"uid_end\":0,\"ipproto\":\"ipproto-17\","
            "\"sport\":51820,\"table\":\"85\",\"protocol\":\"83\"}" },
  { { RULE (AF_INET, 104), LOOKUP (85), .has_uid_range = TRUE, .uid_first = 1000, .uid_last = 4294967294,
      .ip_protocol = IPPROTO_TCP, .sport = { 1024, 65534 }, .dport = { 53, 54 } },
    .to = "203.0.113.10",
    .words = "to 203.0.113.10 priority 104 uidrange 1000-4294967294 ipproto tcp sport 1024-65534 dport 53-54 "
             "lookup 85 protocol 83",
    .json = "{\"priority\":104,\"src\":\"all\",\"dst\":\"203.0.113.10\",\"uid_start\":1000,\"uid_end\":4294967294,"
            "\"ipproto\":\"ipproto-6\",\"sport_start\":1024,\"sport_end\":65534,\"dport_start\":53,\"dport_end\":54,"
            "\"table\":\"85\",\"protocol\":\"83\"}" },
  { { RULE (AF_INET, 105), LOOKUP (85), .fwmark = 0xca6c, .fwmask = G_MAXUINT32 },
    .words = "priority 105 fwmark 0xca6c lookup 85 protocol 83",
    .json = "{\"priority\":105,\"src\":\"all\",\"fwmark\":\"0xca6c\",\"table\":\"85\",\"protocol\":\"83\"}" },
  { { RULE (AF_INET, 106), LOOKUP (100000), .fwmark = 0x10, .fwmask = 0xf0 },
    .words = "priority 106 fwmark 0x10/0xf0 lookup 100000 protocol 83",
    .json = "{\"priority\":106,\"src\":\"all\",\"fwmark\":\"0x10\",\"fwmask\":\"0xf0\",\"table\":\"100000\","
            "\"protocol\":\"83\"}" },
  { { RULE (AF_INET, 107), LOOKUP (4294967295), .fwmark = 0, .fwmask = 0xf0 },
    .words = "priority 107 fwmark 0/0xf0 lookup 4294967295 protocol 83",
    .json = "{\"priority\":107,\"src\":\"all\",\"fwmark\":\"0\",\"fwmask\":\"0xf0\",\"table\":\"4294967295\","
            "\"protocol\":\"83\"}" },
  { { RULE (AF_INET, 108), LOOKUP (85), .iifname = "lo", .oifname = "abcdefghijklmno" },
    .words = "priority 108 iif lo oif abcdefghijklmno lookup 85 protocol 83",
    .json = "{\"priority\":108,\"src\":\"all\",\"iif\":\"lo\",\"oif\":\"abcdefghijklmno\",\"oif_detached\":null,"
            "\"table\":\"85\",\"protocol\":\"83\"}" },
  { { RULE (AF_INET, 109), LOOKUP (85), .tos = 0x10 },
    .words = "priority 109 tos 0x10 lookup 85 protocol 83",
    .json = "{\"priority\":109,\"src\":\"all\",\"tos\":\"0x10\",\"table\":\"85\",\"protocol\":\"83\"}" },
  { { RULE (AF_INET, 110), ACTION (FR_ACT_GOTO), .goto_target = 32766 },
    .words = "priority 110 goto 32766 protocol 83",
    .json = "{\"priority\":110,\"src\":\"all\",\"goto\":32766,\"protocol\":\"83\"}" },
  { { RULE (AF_INET, 111), LOOKUP (85), .flow = 3 << 16 | 7 },
    .words = "priority 111 realms 3/7 lookup 85 protocol 83",
    .json = "{\"priority\":111,\"src\":\"all\",\"table\":\"85\",\"flow_from\":\"3\",\"flow_to\":\"7\","
            "\"protocol\":\"83\"}" },
  { { RULE (AF_INET, 112), LOOKUP (85), .tun_id = 4711 },
    .words = "priority 112 tun_id 4711 lookup 85 protocol 83",
    .json = "{\"priority\":112,\"src\":\"all\",\"tun_id\":4711,\"table\":\"85\",\"protocol\":\"83\"}" },
  { { RULE (AF_INET, 113), LOOKUP (0), .l3mdev = TRUE },
    .words = "priority 113 l3mdev protocol 83",
    .json = "{\"priority\":113,\"src\":\"all\",\"l3mdev\":null,\"protocol\":\"83\"}" },
  { { RULE (AF_INET, 114), ACTION (FR_ACT_UNREACHABLE) },
    .words = "priority 114 unreachable protocol 83",
    .json = "{\"priority\":114,\"src\":\"all\",\"action\":\"7\",\"protocol\":\"83\"}" },
  { { RULE (AF_INET, 115), ACTION (FR_ACT_BLACKHOLE) },
    .words = "priority 115 blackhole protocol 83",
    .json = "{\"priority\":115,\"src\":\"all\",\"action\":\"6\",\"protocol\":\"83\"}" },
  { { RULE (AF_INET, 116), ACTION (FR_ACT_PROHIBIT) },
    .words = "priority 116 prohibit protocol 83",
    .json = "{\"priority\":116,\"src\":\"all\",\"action\":\"8\",\"protocol\":\"83\"}" },
  { { RULE (AF_INET, 117), ACTION (FR_ACT_NOP) },
    .words = "priority 117 nop protocol 83",
    .json = "{\"priority\":117,\"src\":\"all\",\"nop\":null,\"protocol\":\"83\"}" },
  { { RULE (AF_INET, 118), LOOKUP (85), .ip_protocol = IPPROTO_ESP },
    .to = "203.0.113.11",
    .words = "to 203.0.113.11 priority 118 ipproto 50 lookup 85 protocol 83",
    .json = "{\"priority\":118,\"src\":\"all\",\"dst\":\"203.0.113.11\",\"ipproto\":\"ipproto-50\",\"table\":\"85\","
            "\"protocol\":\"83\"}" },
  { { RULE (AF_INET6, 100), LOOKUP (77), .invert = TRUE },
    .from = "2001:db8::/32",
    .to = "fc00::/7",
    .words = "not from 2001:db8::/32 to fc00::/7 priority 100 lookup 77 protocol 83",
    .json = "{\"priority\":100,\"not\":null,\"src\":\"2001:db8::\",\"srclen\":32,\"dst\":\"fc00::\",\"dstlen\":7,"
            "\"table\":\"77\",\"protocol\":\"83\"}" },
  { { RULE (AF_INET6, 101), LOOKUP (RT_TABLE_MAIN) },
    .to = "fe80::/10",
    .suppress_prefixlength = 1 + 0,
    .words = "to fe80::/10 priority 101 lookup main suppress_prefixlength 0 protocol 83",
    .json = "{\"priority\":101,\"src\":\"all\",\"dst\":\"fe80::\",\"dstlen\":10,\"table\":\"254\","
            "\"suppress_prefixlen\":0,\"protocol\":\"83\"}" },
  { { RULE (AF_INET6, 102), LOOKUP (300), .has_uid_range = TRUE, .uid_last = 7, .ip_protocol = IPPROTO_UDP,
      .dport = { 853, 853 }, .fwmark = 1, .fwmask = 3, .iifname = "lo" },
    .from = "2001:db8::1",
    .to = "2001:db8::2",
    .words = "from 2001:db8::1 to 2001:db8::2 priority 102 fwmark 1/3 iif lo uidrange 0-7 ipproto udp dport 853 "
             "lookup 300 protocol 83",
    .json = "{\"priority\":102,\"src\":\"2001:db8::1\",\"dst\":\"2001:db8::2\",\"fwmark\":\"0x1\",\"fwmask\":\"0x3\","
            "\"iif\":\"lo\",\"uid_start\":0,\"uid_end\":7,\"ipproto\":\"ipproto-17\",\"dport\":853,\"table\":\"300\","
            "\"protocol\":\"83\"}" },
  { { RULE (AF_INET6, 103), ACTION (FR_ACT_UNREACHABLE) },
    .words = "priority 103 unreachable protocol 83",
    .json = "{\"priority\":103,\"src\":\"all\",\"action\":\"7\",\"protocol\":\"83\"}" },
  { { RULE (AF_INET6, 104), ACTION (FR_ACT_GOTO), .goto_target = 30000, .tos = 0x10 },
    .words = "priority 104 tos 0x10 goto 30000 protocol 83",
    .json = "{\"priority\":104,\"src\":\"all\",\"tos\":\"0x10\",\"goto\":30000,\"unresolved\":null,"
            "\"protocol\":\"83\"}" },
};

static KsRule
rule_of (const Case *c)
{
  KsRule rule = c->rule;

  rule.suppress_prefixlength = c->suppress_prefixlength - 1;
  rule.suppress_ifgroup = c->suppress_ifgroup - 1;
  if (c->from)
    assert_true (ks_prefix_parse (c->from, &rule.from, NULL));
  if (c->to)
    assert_true (ks_prefix_parse (c->to, &rule.to, NULL));
  return rule;
}

/* Where only root exists, in an ordinary user's namespace, rules can name nobody else. */
static gboolean
is_possible (const Case *c)
{
  return c->rule.uid_last == 0 || netns_has_users ();
}

/* --- the kernel --- */

static int
change (KsNlMessage *message)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KsNlSocket) socket = ks_netlink_open (&error);
  int result;

  assert_non_null (socket);
  assert_non_null (message);
  result = ks_netlink_request (socket, message);
  nlmsg_free (message);
  return result;
}

static int
add (const KsRule *rule)
{
  return change (ks_rule_message_add (rule));
}

static int delete (const KsRule *rule)
{
  return change (ks_rule_message_delete (rule));
}

static GArray *
dump (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KsKernel) kernel = ks_kernel_new (&error);
  g_autoptr (KsConfig) config = ks_config_new ();
  g_autoptr (KsSnapshot) snapshot = NULL;

  assert_non_null (kernel);
  snapshot = ks_kernel_dump (kernel, config, &error);
  if (!snapshot)
    fail_msg ("%s", error->message);
  return g_array_ref (snapshot->rules);
}

/* The dumped rules of @family and @priority (transfer full). */
static GArray *
dump_at (int family, guint32 priority)
{
  g_autoptr (GArray) all = dump ();
  GArray *found = g_array_new (FALSE, FALSE, sizeof (KsRule));

  for (guint i = 0; i < all->len; i++) {
    const KsRule *rule = &g_array_index (all, KsRule, i);

    if (rule->family == family && rule->priority == priority)
      g_array_append_val (found, *rule);
  }
  return found;
}

static char *
show (int family)
{
  return netns_output ("ip -N -j %s rule show", family == AF_INET6 ? "-6" : "-4");
}

/* Everything `ip` knows of both families. */
static char *
show_all (void)
{
  g_autofree char *v4 = show (AF_INET), *v6 = show (AF_INET6);

  return g_strconcat (v4, v6, NULL);
}

/* What `ip -j rule` shows at @priority: the objects, one after the other (transfer full). */
static char *
show_at (int family, guint32 priority)
{
  g_autofree char *json = show (family);
  g_autoptr (GPtrArray) objects = netns_json_objects (json);
  g_autofree char *start = g_strdup_printf ("{\"priority\":%u,", priority);
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < objects->len; i++)
    if (g_str_has_prefix (objects->pdata[i], start))
      g_string_append (out, objects->pdata[i]);
  return g_string_free (out, FALSE);
}

static void
assert_dumped (const KsRule *expected)
{
  g_autoptr (GArray) found = dump_at (expected->family, expected->priority);
  g_autofree char *want = ks_rule_format (expected);
  g_autofree char *have = NULL;

  if (found->len != 1)
    fail_msg ("%s: %u rules dumped", want, found->len);
  have = ks_rule_format (&g_array_index (found, KsRule, 0));
  assert_string_equal (have, want);
  if (!ks_rule_equal (&g_array_index (found, KsRule, 0), expected))
    fail_msg ("%s: dumped rule differs in a field that has no word", want);
}

/* --- tests --- */

static void
rule_that_is_added_is_what_ip_shows_and_what_is_dumped (void **state G_GNUC_UNUSED)
{
  NETNS_ENTER_OR_SKIP ();
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    KsRule rule = rule_of (&cases[i]);
    g_autofree char *shown = NULL;

    if (!is_possible (&cases[i]))
      continue;
    assert_int_equal (add (&rule), 0);
    shown = show_at (rule.family, rule.priority);
    assert_string_equal (shown, cases[i].json);
    assert_dumped (&rule);
  }
}

static void
rule_that_ip_adds_is_dumped_field_by_field (void **state G_GNUC_UNUSED)
{
  NETNS_ENTER_OR_SKIP ();
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    KsRule rule = rule_of (&cases[i]);

    if (!is_possible (&cases[i]))
      continue;
    netns_run ("ip %s rule add %s", rule.family == AF_INET6 ? "-6" : "-4", cases[i].words);
    assert_dumped (&rule);
  }
}

static void
rule_formatted_for_people_is_what_ip_takes (void **state G_GNUC_UNUSED)
{
  NETNS_ENTER_OR_SKIP ();
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    KsRule rule = rule_of (&cases[i]);
    g_autofree char *words = ks_rule_format (&rule);

    /* `ip` has the word l3mdev stand for the action */
    if (rule.l3mdev || !is_possible (&cases[i]))
      continue;
    netns_run ("ip %s rule add %s", rule.family == AF_INET6 ? "-6" : "-4", words);
    assert_dumped (&rule);
  }
}

static void
the_systems_own_rules_are_dumped (void **state G_GNUC_UNUSED)
{
  KsRule local, main4, default4, main6;

  NETNS_ENTER_OR_SKIP ();
  local = ks_rule_lookup (AF_INET, 0, RTPROT_KERNEL, RT_TABLE_LOCAL);
  main4 = ks_rule_lookup (AF_INET, 32766, RTPROT_KERNEL, RT_TABLE_MAIN);
  default4 = ks_rule_lookup (AF_INET, 32767, RTPROT_KERNEL, RT_TABLE_DEFAULT);
  main6 = ks_rule_lookup (AF_INET6, 32766, RTPROT_KERNEL, RT_TABLE_MAIN);
  assert_dumped (&local);
  assert_dumped (&main4);
  assert_dumped (&default4);
  assert_dumped (&main6);
}

static void
deletion_removes_exactly_that_rule (void **state G_GNUC_UNUSED)
{
  g_autofree char *empty = NULL;

  NETNS_ENTER_OR_SKIP ();
  empty = show_all ();
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    KsRule rule = rule_of (&cases[i]);

    if (is_possible (&cases[i]))
      assert_int_equal (add (&rule), 0);
  }
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    KsRule rule = rule_of (&cases[i]);
    g_autoptr (GArray) before = dump ();
    g_autoptr (GArray) after = NULL;
    guint missing = 0;

    if (!is_possible (&cases[i]))
      continue;
    assert_int_equal (delete (&rule), 0);
    after = dump ();
    assert_int_equal (after->len, before->len - 1);
    for (guint j = 0; j < before->len; j++) {
      const KsRule *old = &g_array_index (before, KsRule, j);

      if (missing == 0 && ks_rule_equal (old, &rule))
        missing = 1;
      else
        assert_true (ks_rule_equal (old, &g_array_index (after, KsRule, j - missing)));
    }
    assert_int_equal (missing, 1);
    assert_int_equal (delete (&rule), ENOENT);
  }
  {
    g_autofree char *end = show_all ();

    assert_string_equal (end, empty);
  }
}

/* What ks-diff.c predicts of a deletion, for every rule and every key of one priority. */
static void
key_matches_what_the_kernel_deletes (void **state G_GNUC_UNUSED)
{
  guint hits = 0, misses = 0;

  NETNS_ENTER_OR_SKIP ();
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    for (guint j = 0; j < G_N_ELEMENTS (cases) + 2; j++) {
      KsRule rule = rule_of (&cases[i]);
      KsRule key = j < G_N_ELEMENTS (cases) ? rule_of (&cases[j]) : rule;
      gboolean is_hit;

      if (!is_possible (&cases[i]) || (j < G_N_ELEMENTS (cases) && !is_possible (&cases[j])))
        continue;
      if (j >= G_N_ELEMENTS (cases)) { /* the broadest key that may still do it: the action, and where it leads */
        key = ks_rule_init (rule.family, rule.priority, j == G_N_ELEMENTS (cases) ? PROTOCOL : RTPROT_STATIC);
        key.action = rule.action;
        key.table = rule.table;
        key.goto_target = rule.goto_target;
      }
      rule.priority = key.priority = 200;
      assert_int_equal (add (&rule), 0);
      is_hit = delete (&key) == 0;
      if (is_hit != ks_rule_matches_key (&rule, &key)) {
        g_autofree char *rule_text = ks_rule_format (&rule);
        g_autofree char *key_text = ks_rule_format (&key);

        fail_msg ("the kernel %s '%s' by '%s'", is_hit ? "deletes" : "does not delete", rule_text, key_text);
      }
      if (!is_hit)
        assert_int_equal (delete (&rule), 0);
      hits += is_hit;
      misses += !is_hit;
    }
  print_message ("%u hits, %u misses\n", hits, misses);
  assert_true (hits > G_N_ELEMENTS (cases) && misses > G_N_ELEMENTS (cases));
}

/* Ours, and every rule that somebody might have beside it: added before and after ours, which comes and goes. */
static void
foreign_rules_that_look_like_ours_survive (void **state G_GNUC_UNUSED)
{
  static const char *const changes[] = { "protocol 3", "protocol 4", "protocol 186", "inverted", "less" };

  NETNS_ENTER_OR_SKIP ();
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    for (guint j = 0; j < G_N_ELEMENTS (changes); j++) {
      KsRule ours = rule_of (&cases[i]);
      KsRule foreign = ours;
      g_autofree char *alone = NULL;

      if (!is_possible (&cases[i]))
        continue;
      foreign.protocol = RTPROT_STATIC;
      if (g_str_equal (changes[j], "inverted")) {
        foreign.invert = !foreign.invert;
      } else if (g_str_equal (changes[j], "less")) {
        /* the same place and action with no selector at all */
        foreign = ks_rule_init (ours.family, ours.priority, RTPROT_STATIC);
        foreign.action = ours.action;
        foreign.table = ours.table;
        foreign.goto_target = ours.goto_target;
        foreign.l3mdev = ours.l3mdev;
      } else {
        foreign.protocol = (guint8) g_ascii_strtoull (changes[j] + strlen ("protocol "), NULL, 10);
      }

      assert_int_equal (add (&foreign), 0);
      alone = show_all ();
      for (int round = 0; round < 2; round++) {
        g_autofree char *after = NULL;

        assert_int_equal (add (&ours), 0);
        assert_int_equal (delete (&ours), 0);
        after = show_all ();
        assert_string_equal (after, alone);
        assert_int_equal (delete (&ours), ENOENT);
      }

      /* ours first in the kernel's list, theirs behind it */
      assert_int_equal (delete (&foreign), 0);
      assert_int_equal (add (&ours), 0);
      assert_int_equal (add (&foreign), 0);
      assert_int_equal (delete (&ours), 0);
      {
        g_autofree char *after = show_all ();

        assert_string_equal (after, alone);
      }
      assert_int_equal (delete (&foreign), 0);
    }
}

/*
 * A rule message with one attribute more. A kernel without the attribute
 * refuses the message or, before strict checking, ignores it.
 */
static int
add_with (KsRule *rule, int attribute, int length, const void *data)
{
  KsNlMessage *message = ks_rule_message_add (rule);

  assert_int_equal (nla_put (message, attribute, length, data), 0);
  return change (message);
}

static void
unknown_attribute_is_noticed (void **state G_GNUC_UNUSED)
{
  KsRule rule = ks_rule_lookup (AF_INET, 100, PROTOCOL, 77);
  guint8 dscp = 8;
  g_autoptr (GArray) found = NULL;

  NETNS_ENTER_OR_SKIP ();
  if (add_with (&rule, TEST_FRA_DSCP, sizeof dscp, &dscp) != 0) {
    print_message ("skipped: this kernel has no dscp selector (Linux 6.13 has)\n");
    skip ();
  }
  found = dump_at (AF_INET, 100);
  assert_int_equal (found->len, 1);
  assert_true (g_array_index (found, KsRule, 0).has_unknown);
  assert_false (ks_rule_equal (&g_array_index (found, KsRule, 0), &rule));
}

static void
port_mask_of_all_ones_is_a_plain_port_and_another_is_not (void **state G_GNUC_UNUSED)
{
  guint16 part = 0xff00, whole = 0xffff;
  KsRule rule = ks_rule_lookup (AF_INET, 100, PROTOCOL, 77);
  g_autoptr (GArray) found = NULL;

  NETNS_ENTER_OR_SKIP ();
  rule.ip_protocol = IPPROTO_UDP;
  rule.dport = (KsPortRange){ 0x3500, 0x3500 };
  if (add_with (&rule, TEST_FRA_DPORT_MASK, sizeof part, &part) != 0) {
    print_message ("skipped: this kernel has no port masks (Linux 6.15 has)\n");
    skip ();
  }
  found = dump_at (AF_INET, 100);
  assert_int_equal (found->len, 1);
  assert_true (g_array_index (found, KsRule, 0).has_unknown);

  rule.priority = 101;
  assert_int_equal (add_with (&rule, TEST_FRA_DPORT_MASK, sizeof whole, &whole), 0);
  assert_dumped (&rule);
}

/* --- dumps while somebody else changes things --- */

/* Runs @change again and again in a child until end_disturbance(). */
static pid_t
disturb (void (*change_something) (KsNlSocket *))
{
  pid_t parent = getpid (), child = fork ();

  if (child == 0) {
    KsNlSocket *socket = ks_netlink_open (NULL);

    prctl (PR_SET_PDEATHSIG, SIGKILL);
    while (socket && getppid () == parent)
      change_something (socket);
    _exit (0);
  }
  assert_true (child > 0);
  return child;
}

static void
end_disturbance (pid_t child)
{
  kill (child, SIGKILL);
  waitpid (child, NULL, 0);
}

/* In front of everybody else's. */
static void
add_and_delete_rule (KsNlSocket *socket)
{
  KsRule rule = ks_rule_lookup (AF_INET, 500, RTPROT_STATIC, 77);
  g_autoptr (KsNlMessage) in = ks_rule_message_add (&rule);
  g_autoptr (KsNlMessage) out = ks_rule_message_delete (&rule);

  ks_netlink_request (socket, in);
  ks_netlink_request (socket, out);
}

/* 127.0.0.N/8, by libnl-free means: the kernel flags interrupted dumps of addresses, and not of rules. */
static KsNlMessage *
address_message (int type, int flags, guint32 address)
{
  KsNlMessage *message = nlmsg_alloc_simple (type, flags);
  struct ifaddrmsg header = { .ifa_family = AF_INET, .ifa_prefixlen = 32, .ifa_index = 1, .ifa_scope = RT_SCOPE_HOST };
  guint32 bytes = GUINT32_TO_BE (0x7f010000 + address);

  assert_int_equal (nlmsg_append (message, &header, sizeof header, NLMSG_ALIGNTO), 0);
  assert_int_equal (nla_put_u32 (message, IFA_LOCAL, bytes), 0);
  return message;
}

static void
add_and_delete_address (KsNlSocket *socket)
{
  g_autoptr (KsNlMessage) in = address_message (RTM_NEWADDR, NLM_F_CREATE, 60000);
  g_autoptr (KsNlMessage) out = address_message (RTM_DELADDR, 0, 60000);

  ks_netlink_request (socket, in);
  ks_netlink_request (socket, out);
}

static gboolean
count_message (struct nlmsghdr *header G_GNUC_UNUSED, gpointer user_data)
{
  (*(guint *) user_data)++;
  return TRUE;
}

static void
interrupted_dump_is_reported (void **state G_GNUC_UNUSED)
{
  enum { ADDRESSES = 1500, SECONDS = 5, LONGER = 30 };
  g_autoptr (KsNlSocket) socket = NULL;
  guint complete = 0, interrupted = 0;
  gint64 deadline;
  pid_t child;

  NETNS_ENTER_OR_SKIP ();
  socket = ks_netlink_open (NULL);
  for (guint i = 0; i < ADDRESSES; i++) {
    g_autoptr (KsNlMessage) message = address_message (RTM_NEWADDR, NLM_F_CREATE, i);

    assert_int_equal (ks_netlink_request (socket, message), 0);
  }

  child = disturb (add_and_delete_address);
  deadline = g_get_monotonic_time () + SECONDS * G_USEC_PER_SEC;
  /* on a busy machine longer, until the other process had its turn */
  while (interrupted < 20 && g_get_monotonic_time () < deadline + (interrupted ? 0 : LONGER * G_USEC_PER_SEC)) {
    g_autoptr (KsNlMessage) message = nlmsg_alloc_simple (RTM_GETADDR, 0);
    struct ifaddrmsg header = { .ifa_family = AF_INET };
    guint count = 0;
    int result;

    nlmsg_append (message, &header, sizeof header, NLMSG_ALIGNTO);
    result = ks_netlink_dump (socket, message, count_message, &count);
    if (result != 0)
      assert_int_equal (result, EINTR);
    else
      assert_in_range (count, ADDRESSES + 1, ADDRESSES + 2);
    interrupted += result == EINTR;
    complete += result == 0;
  }
  end_disturbance (child);
  print_message ("%u dumps interrupted, %u complete\n", interrupted, complete);
  assert_true (interrupted > 0);
}

/*
 * A rule that a dump shows twice would be deleted once too often, one that it
 * leaves out added once more: a snapshot is whole or an error.
 */
static void
snapshot_under_changes_is_whole_or_an_error (void **state G_GNUC_UNUSED)
{
  enum { RULES = 250, SECONDS = 1, LONGER = 30 };
  g_autoptr (KsKernel) kernel = NULL;
  g_autoptr (KsConfig) config = ks_config_new ();
  guint whole = 0, errors = 0;
  gint64 deadline;
  pid_t child;

  NETNS_ENTER_OR_SKIP ();
  for (guint i = 0; i < RULES; i++) {
    KsRule rule = ks_rule_lookup (AF_INET, 1000 + i, RTPROT_STATIC, 77);

    assert_int_equal (add (&rule), 0);
  }
  kernel = ks_kernel_new (NULL);
  child = disturb (add_and_delete_rule);
  deadline = g_get_monotonic_time () + SECONDS * G_USEC_PER_SEC;
  while (g_get_monotonic_time () < deadline + (whole ? 0 : LONGER * G_USEC_PER_SEC)) {
    g_autoptr (GError) error = NULL;
    g_autoptr (KsSnapshot) snapshot = ks_kernel_dump (kernel, config, &error);
    guint next = 1000;

    if (!snapshot) {
      assert_true (g_error_matches (error, KS_ERROR, KS_ERROR_KERNEL));
      assert_non_null (strstr (error->message, "cannot dump IPv4 rules"));
      errors++;
      continue;
    }
    for (guint j = 0; j < snapshot->rules->len; j++) {
      const KsRule *rule = &g_array_index (snapshot->rules, KsRule, j);

      if (rule->family == AF_INET && rule->priority >= 1000 && rule->priority < 1000 + RULES)
        assert_int_equal (rule->priority, next++);
    }
    assert_int_equal (next, 1000 + RULES);
    whole++;
  }
  end_disturbance (child);
  print_message ("%u snapshots whole, %u refused\n", whole, errors);
  assert_true (whole > 0);
}

/* --- no kernel: these run on other architectures too (tests/arch) --- */

static void
message_of_a_rule_comes_back_as_that_rule (void **state G_GNUC_UNUSED)
{
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    KsRule rule = rule_of (&cases[i]), back;
    g_autoptr (KsNlMessage) message = ks_rule_message_add (&rule);
    struct nlmsghdr *header = nlmsg_hdr (message);

    assert_int_equal (header->nlmsg_type, RTM_NEWRULE);
    assert_true (ks_rule_message_parse (header, &back));
    if (!ks_rule_equal (&back, &rule))
      fail_msg ("%s comes back as another rule", cases[i].words);
  }
}

/* The value of the attribute @type of @message, which has to have @size: a u64 as the machine stores numbers. */
static guint64
get_number (KsNlMessage *message, int type, int size)
{
  const struct nlattr *attribute = nlmsg_find_attr (nlmsg_hdr (message), sizeof (struct fib_rule_hdr), type);
  guint8 u8;
  guint16 u16;
  guint32 u32;

  if (!attribute || nla_len (attribute) != size)
    fail_msg ("attribute %d: %d bytes, the kernel wants %d", type, attribute ? nla_len (attribute) : 0, size);
  switch (size) {
  case sizeof u8:
    memcpy (&u8, nla_data (attribute), sizeof u8);
    return u8;
  case sizeof u16:
    memcpy (&u16, nla_data (attribute), sizeof u16);
    return u16;
  default:
    memcpy (&u32, nla_data (attribute), sizeof u32);
    return u32;
  }
}

/* A number of the wrong size happens to be right where the low byte comes first, and is 0 where the high byte does. */
static void
message_of_a_rule_has_numbers_of_the_kernels_sizes (void **state G_GNUC_UNUSED)
{
  KsRule rule = ks_rule_lookup (AF_INET, 8300, PROTOCOL, 0x01020304);
  g_autoptr (KsNlMessage) message = NULL;
  const struct nlattr *attribute;
  guint32 uids[2];
  guint16 ports[2];
  const guint8 address[] = { 203, 0, 113, 10 };

  assert_true (ks_prefix_parse ("203.0.113.10", &rule.to, NULL));
  rule.fwmark = 0x0a0b0c0d;
  rule.fwmask = 0xf0f1f2f3;
  rule.ip_protocol = IPPROTO_UDP;
  rule.suppress_prefixlength = 7;
  rule.dport = (KsPortRange){ 0x1234, 0x5678 };
  rule.has_uid_range = TRUE;
  rule.uid_first = 0x00010203;
  rule.uid_last = 0x04050607;
  message = ks_rule_message_add (&rule);
  /* fib_rule_policy, net/core/fib_rules.c */
  assert_int_equal (get_number (message, FRA_PRIORITY, 4), 8300);
  assert_int_equal (get_number (message, FRA_TABLE, 4), 0x01020304);
  assert_int_equal (get_number (message, FRA_FWMARK, 4), 0x0a0b0c0d);
  assert_int_equal (get_number (message, FRA_FWMASK, 4), 0xf0f1f2f3);
  assert_int_equal (get_number (message, FRA_SUPPRESS_PREFIXLEN, 4), 7);
  assert_int_equal (get_number (message, FRA_PROTOCOL, 1), PROTOCOL);
  assert_int_equal (get_number (message, FRA_IP_PROTO, 1), IPPROTO_UDP);
  attribute = nlmsg_find_attr (nlmsg_hdr (message), sizeof (struct fib_rule_hdr), FRA_UID_RANGE);
  assert_int_equal (nla_len (attribute), sizeof uids);
  memcpy (uids, nla_data (attribute), sizeof uids);
  assert_int_equal (uids[0], 0x00010203);
  assert_int_equal (uids[1], 0x04050607);
  attribute = nlmsg_find_attr (nlmsg_hdr (message), sizeof (struct fib_rule_hdr), FRA_DPORT_RANGE);
  assert_int_equal (nla_len (attribute), sizeof ports);
  memcpy (ports, nla_data (attribute), sizeof ports);
  assert_int_equal (ports[0], 0x1234);
  assert_int_equal (ports[1], 0x5678);
  /* addresses are in the network's order everywhere */
  attribute = nlmsg_find_attr (nlmsg_hdr (message), sizeof (struct fib_rule_hdr), FRA_DST);
  assert_int_equal (nla_len (attribute), sizeof address);
  assert_memory_equal (nla_data (attribute), address, sizeof address);
}

static void
malformed_message_is_refused_and_leaves_the_rule_alone (void **state G_GNUC_UNUSED)
{
  KsRule rule = rule_of (&cases[4]);
  g_autoptr (KsNlMessage) message = ks_rule_message_add (&rule);
  struct nlmsghdr *header = nlmsg_hdr (message);
  g_autofree struct nlmsghdr *copy = g_malloc0 (header->nlmsg_len);

  /* cut anywhere, or with any attribute's length changed, it parses or it does not, and reads nothing beyond its end */
  for (guint32 length = sizeof *header; length <= header->nlmsg_len; length++) {
    g_autofree struct nlmsghdr *cut = g_memdup2 (header, length);
    KsRule out, untouched;

    cut->nlmsg_len = length;
    cut->nlmsg_type = RTM_NEWRULE;
    memset (&out, 0x5a, sizeof out);
    untouched = out;
    if (!ks_rule_message_parse (cut, &out))
      assert_memory_equal (&out, &untouched, sizeof out);
    else
      assert_true (length >= sizeof *header + sizeof (struct fib_rule_hdr));
  }
  memcpy (copy, header, header->nlmsg_len);
  for (guint32 i = sizeof *header + sizeof (struct fib_rule_hdr); i < header->nlmsg_len; i++) {
    guint8 *bytes = (guint8 *) copy;
    guint8 saved = bytes[i];
    KsRule out;

    for (int value = 0; value < 256; value += 5) {
      bytes[i] = (guint8) value;
      ks_rule_message_parse (copy, &out);
    }
    bytes[i] = saved;
  }
  copy->nlmsg_type = RTM_NEWROUTE;
  assert_false (ks_rule_message_parse (copy, &rule));
  copy->nlmsg_type = RTM_NEWRULE;
  ((struct fib_rule_hdr *) nlmsg_data (copy))->family = 128; /* RTNL_FAMILY_IPMR */
  assert_false (ks_rule_message_parse (copy, &rule));
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (rule_that_is_added_is_what_ip_shows_and_what_is_dumped),
    cmocka_unit_test (rule_that_ip_adds_is_dumped_field_by_field),
    cmocka_unit_test (rule_formatted_for_people_is_what_ip_takes),
    cmocka_unit_test (the_systems_own_rules_are_dumped),
    cmocka_unit_test (deletion_removes_exactly_that_rule),
    cmocka_unit_test (key_matches_what_the_kernel_deletes),
    cmocka_unit_test (foreign_rules_that_look_like_ours_survive),
    cmocka_unit_test (unknown_attribute_is_noticed),
    cmocka_unit_test (port_mask_of_all_ones_is_a_plain_port_and_another_is_not),
    cmocka_unit_test (interrupted_dump_is_reported),
    cmocka_unit_test (snapshot_under_changes_is_whole_or_an_error),
    cmocka_unit_test (message_of_a_rule_comes_back_as_that_rule),
    cmocka_unit_test (message_of_a_rule_has_numbers_of_the_kernels_sizes),
    cmocka_unit_test (malformed_message_is_refused_and_leaves_the_rule_alone),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
