/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test.h"

#include "policy/ks-transport.h"

static const KsTransport plain = { .family = AF_INET, .ip_protocol = IPPROTO_UDP };

static void
assert_rule (const KsTransport *transport, const char *expected)
{
  g_autoptr (KsConfig) config = ks_config_new ();
  KsRule rule = ks_transport_rule (transport, config, 8300);
  g_autofree char *text = ks_rule_format (&rule);

  assert_string_equal (text, expected);
}

static void
transport_rule_has_exactly_its_selectors (void **state G_GNUC_UNUSED)
{
  KsTransport transport = plain;

  transport.sport = 51820;
  assert_rule (&transport, "priority 8300 from all uidrange 0-0 ipproto udp sport 51820 lookup 85 protocol 83");

  transport = plain;
  transport.to = ks_test_prefix ("203.0.113.10");
  transport.dport = 1194;
  transport.uid = 117;
  assert_rule (&transport, "priority 8300 from all uidrange 117-117 ipproto udp dport 1194 lookup 86 protocol 83");

  transport.to = ks_test_prefix ("203.0.113.0/24");
  assert_rule (&transport, "priority 8300 from all to 203.0.113.0/24 uidrange 117-117 ipproto udp dport 1194 lookup 85 "
                           "protocol 83");

  transport = plain;
  transport.fwmark = 0xca6c;
  transport.uid = KS_UID_ANY;
  assert_rule (&transport, "priority 8300 from all fwmark 0xca6c ipproto udp lookup 85 protocol 83");

  transport = plain;
  transport.ip_protocol = 0;
  assert_rule (&transport, "priority 8300 from all uidrange 0-0 lookup 85 protocol 83");
}

static void
transport_of_uid_0_is_not_one_of_any_uid (void **state G_GNUC_UNUSED)
{
  KsTransport root = plain, any = plain;

  any.uid = KS_UID_ANY;
  assert_true (ks_transport_compare (&root, &any) != 0);
  assert_rule (&any, "priority 8300 from all ipproto udp lookup 85 protocol 83");
}

static void
transport_reads_well (void **state G_GNUC_UNUSED)
{
  KsTransport transport = plain;
  g_autofree char *first = NULL, *second = NULL, *third = NULL, *fourth = NULL, *fifth = NULL, *sixth = NULL,
                  *seventh = NULL;

  transport.to = ks_test_prefix ("203.0.113.10");
  transport.dport = 51820;
  first = ks_transport_format (&transport);
  assert_string_equal (first, "udp to 203.0.113.10 port 51820, uid 0");

  transport = (KsTransport){ .family = AF_INET6, .sport = 51820, .ip_protocol = IPPROTO_UDP, .uid = KS_UID_ANY };
  second = ks_transport_format (&transport);
  assert_string_equal (second, "udp from port 51820 to any IPv6 address");

  transport = (KsTransport){ .family = AF_INET, .fwmark = 0xca6c, .ip_protocol = IPPROTO_TCP, .uid = KS_UID_ANY };
  third = ks_transport_format (&transport);
  assert_string_equal (third, "tcp to any IPv4 address, mark 0xca6c");

  transport = (KsTransport){ .family = AF_INET, .ip_protocol = IPPROTO_ESP, .to = ks_test_prefix ("192.0.2.1") };
  fourth = ks_transport_format (&transport);
  assert_string_equal (fourth, "esp to 192.0.2.1, uid 0");

  transport.ip_protocol = IPPROTO_GRE;
  fifth = ks_transport_format (&transport);
  assert_string_equal (fifth, "gre to 192.0.2.1, uid 0");

  transport = (KsTransport){ .family = AF_INET, .ip_protocol = IPPROTO_UDP, .dport = 1701 };
  transport.to = ks_test_prefix ("192.0.2.1");
  transport.carriage = KS_CARRIAGE_INSIDE_IPSEC;
  sixth = ks_transport_format (&transport);
  assert_string_equal (sixth, "udp to 192.0.2.1 port 1701, uid 0, only inside IPsec");

  transport = (KsTransport){ .family = AF_INET, .fwmark = 210, .carriage = KS_CARRIAGE_LOOKUP };
  transport.to = ks_test_prefix ("192.0.2.1");
  seventh = ks_transport_format (&transport);
  assert_string_equal (seventh, "any protocol to 192.0.2.1, mark 0xd2, uid 0, for route lookups only");
}

static void
assert_two_are_shown (const GArray *transports, const char *first, const char *second)
{
  g_autoptr (GPtrArray) texts = ks_transport_format_all (transports);

  assert_int_equal (texts->len, 2);
  assert_string_equal (texts->pdata[0], first);
  assert_string_equal (texts->pdata[1], second);
}

/* WireGuard's: routing has a rule for its port and one for its mark, and the guard asks for both. */
static void
port_and_mark_of_a_device_are_shown_together (void **state G_GNUC_UNUSED)
{
  g_autoptr (GArray) transports = g_array_new (FALSE, FALSE, sizeof (KsTransport));
  KsTransport port = { .family = AF_INET, .ip_protocol = IPPROTO_UDP, .sport = 51820, .kernel = TRUE, .device = "wg0" };
  KsTransport mark = port, other = port;

  mark.sport = 0;
  mark.fwmark = 0xca6c;
  mark.uid = KS_UID_ANY;
  g_strlcpy (other.device, "wg1", sizeof other.device);
  other.sport = 51821;
  g_array_append_val (transports, port);
  g_array_append_val (transports, other);
  assert_two_are_shown (transports, "udp from port 51820 to any IPv4 address, uid 0",
                        "udp from port 51821 to any IPv4 address, uid 0");

  g_array_append_val (transports, mark);
  assert_two_are_shown (transports, "udp from port 51821 to any IPv4 address, uid 0",
                        "udp from port 51820 to any IPv4 address, mark 0xca6c");
}

static void
transport_comparison_uses_every_field (void **state G_GNUC_UNUSED)
{
  g_autoptr (GArray) transports = g_array_new (FALSE, FALSE, sizeof (KsTransport));
  KsTransport transport;

#define VARIANT(change) \
  transport = plain; \
  change; \
  g_array_append_val (transports, transport)

  VARIANT ((void) 0);
  VARIANT (transport.family = AF_INET6);
  VARIANT (transport.to = ks_test_prefix ("192.0.2.1"));
  VARIANT (transport.ip_protocol = IPPROTO_TCP);
  VARIANT (transport.sport = 1);
  VARIANT (transport.dport = 1);
  VARIANT (transport.fwmark = 1);
  VARIANT (transport.uid = 1);
  VARIANT (transport.kernel = TRUE);
  VARIANT (transport.carriage = KS_CARRIAGE_IPSEC);
  VARIANT (transport.device[0] = 'w');
#undef VARIANT

  for (guint i = 0; i < transports->len; i++)
    for (guint j = 0; j < transports->len; j++)
      assert_int_equal (
        ks_transport_compare (&g_array_index (transports, KsTransport, i), &g_array_index (transports, KsTransport, j))
          == 0,
        i == j);
}

static void
transports_that_read_the_same_are_listed_once (void **state G_GNUC_UNUSED)
{
  g_autoptr (GArray) transports = g_array_new (FALSE, FALSE, sizeof (KsTransport));
  KsTransport program = plain, kernel, other = plain;

  program.to = other.to = ks_test_prefix ("203.0.113.10");
  kernel = program;
  kernel.kernel = TRUE;
  other.uid = 117;
  g_array_append_val (transports, program);
  g_array_append_val (transports, kernel);
  g_array_append_val (transports, other);
  assert_two_are_shown (transports, "udp to 203.0.113.10, uid 0", "udp to 203.0.113.10, uid 117");
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (transport_rule_has_exactly_its_selectors),
    cmocka_unit_test (transport_of_uid_0_is_not_one_of_any_uid),
    cmocka_unit_test (transport_reads_well),
    cmocka_unit_test (port_and_mark_of_a_device_are_shown_together),
    cmocka_unit_test (transport_comparison_uses_every_field),
    cmocka_unit_test (transports_that_read_the_same_are_listed_once),
  };

  return cmocka_run_group_tests_name ("ks-transport", tests, NULL, NULL);
}
