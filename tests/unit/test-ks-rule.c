/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test.h"

#include "policy/ks-rule.h"

static void
assert_formats (const KsRule *rule, const char *expected)
{
  g_autofree char *text = ks_rule_format (rule);

  assert_string_equal (text, expected);
}

static void
rule_new_matches_everything (void **state G_GNUC_UNUSED)
{
  KsRule nothing = ks_rule_init (AF_INET6, 8390, 83), lookup = ks_rule_lookup (AF_INET, 8380, 83, 83);

  assert_formats (&nothing, "priority 8390 from all nop protocol 83");
  assert_formats (&lookup, "priority 8380 from all lookup 83 protocol 83");
}

static void
rule_formats_every_selector (void **state G_GNUC_UNUSED)
{
  KsRule rule = ks_rule_lookup (AF_INET, 1, 83, 254);

  rule.invert = TRUE;
  rule.from = ks_test_prefix ("192.0.2.0/24");
  rule.to = ks_test_prefix ("203.0.113.10");
  rule.tos = 0x10;
  rule.fwmark = 0xca6c;
  rule.fwmask = 0xffff;
  g_strlcpy (rule.iifname, "eth0", sizeof rule.iifname);
  g_strlcpy (rule.oifname, "eth1", sizeof rule.oifname);
  rule.l3mdev = TRUE;
  rule.has_uid_range = TRUE;
  rule.uid_last = 65534;
  rule.ip_protocol = IPPROTO_TCP;
  rule.sport = (KsPortRange){ 1000, 2000 };
  rule.dport = (KsPortRange){ 53, 53 };
  rule.tun_id = 7;
  rule.suppress_prefixlength = 0;
  rule.suppress_ifgroup = 3;
  rule.flow = 0x00020001;
  assert_formats (&rule,
                  "priority 1 not from 192.0.2.0/24 to 203.0.113.10 tos 0x10 fwmark 0xca6c/0xffff iif eth0 oif eth1 "
                  "l3mdev uidrange 0-65534 ipproto tcp sport 1000-2000 dport 53 tun_id 7 lookup main "
                  "suppress_prefixlength 0 suppress_ifgroup 3 realms 2/1 protocol 83");
}

static void
rule_formats_every_action (void **state G_GNUC_UNUSED)
{
  static const struct {
    guint8 action;
    guint32 table;
    const char *text;
  } cases[] = {
    { FR_ACT_TO_TBL, 83, "priority 1 from all lookup 83 protocol 83" },
    { FR_ACT_TO_TBL, 254, "priority 1 from all lookup main protocol 83" },
    { FR_ACT_TO_TBL, 255, "priority 1 from all lookup local protocol 83" },
    { FR_ACT_GOTO, 0, "priority 1 from all goto 9 protocol 83" },
    { FR_ACT_BLACKHOLE, 0, "priority 1 from all blackhole protocol 83" },
    { FR_ACT_UNREACHABLE, 0, "priority 1 from all unreachable protocol 83" },
    { FR_ACT_PROHIBIT, 0, "priority 1 from all prohibit protocol 83" },
    { FR_ACT_NOP, 0, "priority 1 from all nop protocol 83" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    KsRule rule = ks_rule_init (AF_INET, 1, 83);

    rule.action = cases[i].action;
    rule.table = cases[i].table;
    rule.goto_target = 9;
    assert_formats (&rule, cases[i].text);
  }
}

static void
rule_mark_of_the_whole_word_has_no_mask (void **state G_GNUC_UNUSED)
{
  KsRule rule = ks_rule_lookup (AF_INET, 1, 83, 85);

  rule.fwmark = 0xca6c;
  rule.fwmask = G_MAXUINT32;
  assert_formats (&rule, "priority 1 from all fwmark 0xca6c lookup 85 protocol 83");
}

/* One variant for each field: all differ from the plain rule and from each other. */
static GArray *
variants (void)
{
  GArray *rules = g_array_new (FALSE, FALSE, sizeof (KsRule));
  const KsRule plain = ks_rule_lookup (AF_INET, 100, 83, 83);
  KsRule rule;

#define VARIANT(change) \
  rule = plain; \
  change; \
  g_array_append_val (rules, rule)

  VARIANT ((void) 0);
  VARIANT (rule.family = AF_INET6);
  VARIANT (rule.priority = 101);
  VARIANT (rule.action = FR_ACT_UNREACHABLE);
  VARIANT (rule.table = 84);
  VARIANT (rule.goto_target = 5);
  VARIANT (rule.invert = TRUE);
  VARIANT (rule.from = ks_test_prefix ("10.0.0.0/8"));
  VARIANT (rule.to = ks_test_prefix ("10.0.0.0/8"));
  VARIANT (rule.suppress_prefixlength = 0);
  VARIANT (rule.suppress_ifgroup = 0);
  VARIANT (rule.ip_protocol = IPPROTO_UDP);
  VARIANT (rule.sport.first = 53);
  VARIANT (rule.sport.last = 53);
  VARIANT (rule.dport.first = 53);
  VARIANT (rule.dport.last = 53);
  VARIANT (rule.has_uid_range = TRUE);
  VARIANT (rule.uid_first = 1);
  VARIANT (rule.uid_last = 1);
  VARIANT (rule.fwmark = 1);
  VARIANT (rule.fwmask = 1);
  VARIANT (rule.iifname[0] = 'a');
  VARIANT (rule.oifname[0] = 'a');
  VARIANT (rule.tos = 4);
  VARIANT (rule.flow = 1);
  VARIANT (rule.tun_id = 1);
  VARIANT (rule.l3mdev = TRUE);
  VARIANT (rule.protocol = 3);
  VARIANT (rule.has_unknown = TRUE);
#undef VARIANT
  return rules;
}

static void
rule_comparison_uses_every_field_and_is_a_total_order (void **state G_GNUC_UNUSED)
{
  g_autoptr (GArray) rules = variants ();

  for (guint i = 0; i < rules->len; i++)
    for (guint j = 0; j < rules->len; j++) {
      const KsRule *a = &g_array_index (rules, KsRule, i), *b = &g_array_index (rules, KsRule, j);
      int order = ks_rule_compare (a, b);

      assert_int_equal (ks_rule_equal (a, b), i == j);
      assert_int_equal (order == 0, i == j);
      assert_int_equal (order<0, ks_rule_compare (b, a)> 0);
    }
}

static void
rule_order_starts_with_family_and_priority (void **state G_GNUC_UNUSED)
{
  KsRule first = ks_rule_lookup (AF_INET, 8300, 83, 85), second = ks_rule_lookup (AF_INET, 8310, 83, 1);
  KsRule other = ks_rule_lookup (AF_INET6, 1, 83, 1);

  assert_true (ks_rule_compare (&first, &second) < 0);
  assert_true (ks_rule_compare (&second, &other) < 0);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (rule_new_matches_everything),
    cmocka_unit_test (rule_formats_every_selector),
    cmocka_unit_test (rule_formats_every_action),
    cmocka_unit_test (rule_mark_of_the_whole_word_has_no_mask),
    cmocka_unit_test (rule_comparison_uses_every_field_and_is_a_total_order),
    cmocka_unit_test (rule_order_starts_with_family_and_priority),
  };

  return cmocka_run_group_tests_name ("ks-rule", tests, NULL, NULL);
}
