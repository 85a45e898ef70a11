/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test.h"

#include "policy/ks-stop.h"

/* An OpenVPN to a server, by a service's user; its port is not fixed. */
static KsTransport
openvpn (void)
{
  return (KsTransport){
    .family = AF_INET, .to = ks_test_prefix ("203.0.113.10"), .ip_protocol = IPPROTO_UDP, .dport = 1194, .uid = 104
  };
}

static KsRule
prohibit (void)
{
  KsRule rule = ks_rule_init (AF_INET, 10, RTPROT_BOOT);

  rule.action = FR_ACT_PROHIBIT;
  return rule;
}

/* Each selector that the packets have, and then one that they do not have; inverted, it is the other way round. */
static void
assert_selector (KsRule rule, const KsTransport *transport, gboolean expected)
{
  assert_int_equal (ks_stop_has_rule (&rule, transport), expected);
  rule.invert = TRUE;
  assert_int_equal (ks_stop_has_rule (&rule, transport), !expected);
  rule.invert = FALSE;
  rule.family = AF_INET6;
  assert_false (ks_stop_has_rule (&rule, transport));
  rule.family = AF_INET;
  rule.has_unknown = TRUE;
  assert_false (ks_stop_has_rule (&rule, transport));
}

static void
stop_knows_which_rules_apply_to_a_transport (void **state G_GNUC_UNUSED)
{
  KsTransport transport = openvpn ();
  const struct {
    KsRule rule;
    gboolean applies;
  } cases[] = {
#define CASE(applies, ...) \
  { { .family = AF_INET, \
      .action = FR_ACT_PROHIBIT, \
      .suppress_prefixlength = -1, \
      .suppress_ifgroup = -1, \
      __VA_ARGS__ }, \
    applies }
    CASE (TRUE, .priority = 0),
    CASE (TRUE, .to = ks_test_prefix ("203.0.113.0/24")),
    CASE (FALSE, .to = ks_test_prefix ("198.51.100.0/24")),
    CASE (TRUE, .from = ks_test_prefix ("0.0.0.0/0")),
    CASE (FALSE, .from = ks_test_prefix ("192.168.50.2")),
    CASE (TRUE, .ip_protocol = IPPROTO_UDP),
    CASE (FALSE, .ip_protocol = IPPROTO_TCP),
    CASE (TRUE, .dport = { 1000, 2000 }),
    CASE (FALSE, .dport = { 1000, 1193 }),
    CASE (FALSE, .sport = { 1, 65535 }),
    CASE (TRUE, .has_uid_range = TRUE, .uid_first = 100, .uid_last = 104),
    CASE (FALSE, .has_uid_range = TRUE, .uid_first = 0, .uid_last = 0),
    CASE (TRUE, .fwmark = 0, .fwmask = 0xff),
    CASE (FALSE, .fwmark = 1, .fwmask = 0xff),
    CASE (TRUE, .iifname = "lo"),
    CASE (FALSE, .iifname = "docker0"),
    CASE (FALSE, .oifname = "eth0"),
    CASE (FALSE, .tos = 0x10),
    CASE (FALSE, .tun_id = 7),
    CASE (FALSE, .l3mdev = TRUE),
#undef CASE
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++)
    assert_selector (cases[i].rule, &transport, cases[i].applies);
}

static void
stop_does_not_guess_what_is_not_known_of_a_transport (void **state G_GNUC_UNUSED)
{
  KsTransport transport = openvpn ();
  KsRule by_user = prohibit (), by_server = prohibit (), by_port = prohibit (), by_mark = prohibit ();

  by_user.has_uid_range = TRUE;
  by_user.uid_last = 1000;
  by_server.to = ks_test_prefix ("203.0.113.0/24");
  by_port.sport = (KsPortRange){ 51820, 51820 };
  by_mark.fwmark = 0x42;
  by_mark.fwmask = 0xff;
  transport.uid = KS_UID_ANY;
  transport.to = (KsPrefix) KS_PREFIX_UNSET;
  assert_false (ks_stop_has_rule (&by_user, &transport));
  assert_false (ks_stop_has_rule (&by_server, &transport));
  assert_false (ks_stop_has_rule (&by_port, &transport));
  transport.sport = 51820;
  transport.fwmark = 0x1042;
  assert_true (ks_stop_has_rule (&by_port, &transport));
  assert_true (ks_stop_has_rule (&by_mark, &transport));
}

static void
stop_finds_the_route_that_the_kernel_takes (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *dst;
    guint32 table, metric;
  } routes[] = {
    { "0.0.0.0/0", 77, 0 },       { "203.0.113.0/24", 77, 100 }, { "203.0.113.0/24", 77, 50 },
    { "203.0.113.10/32", 78, 0 }, { "198.51.100.0/24", 77, 0 },
  };
  g_autoptr (GArray) all = g_array_new (FALSE, FALSE, sizeof (KsRoute));
  KsPrefix server = ks_test_prefix ("203.0.113.10"), elsewhere = ks_test_prefix ("192.0.2.1");
  const KsRoute *found;

  assert_null (ks_stop_find_route (all, 77, &server));
  for (guint i = 0; i < G_N_ELEMENTS (routes); i++) {
    KsPrefix dst = ks_test_prefix (routes[i].dst);
    KsRoute route = ks_route_blackhole (routes[i].table, RTPROT_BOOT, &dst, routes[i].metric);

    g_array_append_val (all, route);
  }
  found = ks_stop_find_route (all, 77, &server);
  assert_int_equal (found->metric, 50);
  assert_true (ks_stop_has_route (found));
  assert_true (ks_route_is_default (ks_stop_find_route (all, 77, &elsewhere)));
  assert_null (ks_stop_find_route (all, 79, &server));
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (stop_knows_which_rules_apply_to_a_transport),
    cmocka_unit_test (stop_does_not_guess_what_is_not_known_of_a_transport),
    cmocka_unit_test (stop_finds_the_route_that_the_kernel_takes),
  };

  return cmocka_run_group_tests_name ("ks-stop", tests, NULL, NULL);
}
