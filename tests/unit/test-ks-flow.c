/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which of the connections that a flowtable forwards are ended, and how the kernel's entries are read. */
#include "ks-test-policy.h"
#include "ks-test.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netlink/attr.h>

#include "kernel/ks-flows.h"

#define ENTRY ((NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_NEW)

static KsFlow
flow_of (const char *initiator, const char *asked, const char *responder, const char *answered, guint16 port)
{
  return (KsFlow){ .initiator = ks_test_prefix (initiator),
                   .asked = ks_test_prefix (asked),
                   .responder = ks_test_prefix (responder),
                   .answered = ks_test_prefix (answered),
                   .port = port };
}

static void
flow_to_the_internet_may_not_stay (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = ks_test_policy_new ("10.0.0.0/8 192.168.0.0/16 fc00::/7");
  const KsFlow flows[] = {
    flow_of ("10.0.3.2", "198.51.100.1", "198.51.100.1", "192.168.1.5", 443), /* hidden behind the uplink's address */
    flow_of ("198.51.100.1", "192.168.1.5", "10.0.3.2", "198.51.100.1", 80), /* a published port */
    flow_of ("fd00::2", "2001:db8::1", "2001:db8::1", "fd00::2", 443), /* as it is */
  };

  for (guint i = 0; i < G_N_ELEMENTS (flows); i++) {
    assert_false (ks_flow_may_stay (&flows[i], policy));
    assert_true (ks_flow_leaks (&flows[i], policy));
  }
  ks_test_policy_add_tunnel (policy, "tun0", 7, "10.8.0.2");
  for (guint i = 0; i < G_N_ELEMENTS (flows); i++)
    assert_false (ks_flow_may_stay (&flows[i], policy));
  assert_true (ks_flow_leaks (&flows[0], policy) && ks_flow_leaks (&flows[1], policy));
  assert_false (ks_flow_leaks (&flows[2], policy)); /* it may go through the tunnel */
  policy->armed = FALSE;
  assert_true (ks_flow_may_stay (&flows[0], policy));
}

static void
flow_through_the_tunnel_may_stay (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = ks_test_policy_new ("10.0.0.0/8");
  KsFlow out = flow_of ("10.0.3.2", "198.51.100.1", "198.51.100.1", "10.8.0.2", 443);
  KsFlow in = flow_of ("198.51.100.1", "10.8.0.2", "10.0.3.2", "198.51.100.1", 80);

  assert_false (ks_flow_may_stay (&out, policy) || ks_flow_may_stay (&in, policy));
  ks_test_policy_add_tunnel (policy, "tun0", 7, "10.8.0.2");
  assert_true (ks_flow_may_stay (&out, policy) && ks_flow_may_stay (&in, policy));
}

static void
flow_in_the_lan_may_stay_unless_it_is_dns (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = ks_test_policy_new ("10.0.0.0/8 192.168.0.0/16");
  KsFlow web = flow_of ("10.0.3.2", "192.168.1.9", "192.168.1.9", "192.168.1.5", 80);
  KsFlow dns = flow_of ("10.0.3.2", "192.168.1.1", "192.168.1.1", "192.168.1.5", 53);

  assert_true (ks_flow_may_stay (&web, policy));
  assert_false (ks_flow_may_stay (&dns, policy));
  policy->dns = KS_DNS_LAN;
  assert_true (ks_flow_may_stay (&dns, policy));
  policy->lan = KS_LAN_OFF;
  assert_false (ks_flow_may_stay (&web, policy));
}

static void
add_tuple (KsNlMessage *message, int type, int family, const char *from, const char *to, guint16 sport)
{
  gboolean is_ipv6 = family == AF_INET6;
  KsPrefix src = ks_test_prefix (from), dst = ks_test_prefix (to);
  struct nlattr *tuple = nla_nest_start (message, type), *part = nla_nest_start (message, CTA_TUPLE_IP);

  nla_put (message, is_ipv6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC, is_ipv6 ? 16 : 4, src.bytes);
  nla_put (message, is_ipv6 ? CTA_IP_V6_DST : CTA_IP_V4_DST, is_ipv6 ? 16 : 4, dst.bytes);
  nla_nest_end (message, part);
  part = nla_nest_start (message, CTA_TUPLE_PROTO);
  nla_put_u8 (message, CTA_PROTO_NUM, IPPROTO_TCP);
  nla_put_u16 (message, CTA_PROTO_SRC_PORT, htons (sport));
  nla_nest_end (message, part);
  nla_nest_end (message, tuple);
}

/* The kernel's entry (transfer full). */
static KsNlMessage *
entry_of (int type, int family, const char *guest, const char *server, const char *host, guint32 status)
{
  struct nfgenmsg body = { .nfgen_family = family };
  KsNlMessage *message = nlmsg_alloc_simple (type, 0);

  nlmsg_append (message, &body, sizeof body, NLMSG_ALIGNTO);
  add_tuple (message, CTA_TUPLE_ORIG, family, guest, server, 40000);
  add_tuple (message, CTA_TUPLE_REPLY, family, server, host, 443);
  nla_put_u32 (message, CTA_STATUS, htonl (status));
  return message;
}

static void
flow_is_parsed_if_a_flowtable_has_it (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsNlMessage) ipv4 = entry_of (ENTRY, AF_INET, "10.0.3.2", "198.51.100.1", "192.168.1.5", IPS_OFFLOAD);
  g_autoptr (KsNlMessage) ipv6 = entry_of (ENTRY, AF_INET6, "fd00::2", "2001:db8::1", "fd01::5", IPS_HW_OFFLOAD);
  g_autoptr (KsNlMessage) plain = entry_of (ENTRY, AF_INET, "10.0.3.2", "198.51.100.1", "192.168.1.5", IPS_ASSURED);
  KsFlow flow, expected = flow_of ("10.0.3.2", "198.51.100.1", "198.51.100.1", "192.168.1.5", 443);

  assert_false (ks_flow_parse (nlmsg_hdr (plain), &flow));
  assert_true (ks_flow_parse (nlmsg_hdr (ipv4), &flow));
  assert_true (ks_prefix_equal (&flow.initiator, &expected.initiator)
               && ks_prefix_equal (&flow.asked, &expected.asked));
  assert_true (ks_prefix_equal (&flow.responder, &expected.responder)
               && ks_prefix_equal (&flow.answered, &expected.answered));
  assert_int_equal (flow.port, 443);
  assert_true (ks_flow_parse (nlmsg_hdr (ipv6), &flow));
  expected.answered = ks_test_prefix ("fd01::5");
  assert_true (ks_prefix_equal (&flow.answered, &expected.answered));
}

static void
flow_messages_that_are_malformed_are_refused (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsNlMessage) good = entry_of (ENTRY, AF_INET, "10.0.3.2", "198.51.100.1", "192.168.1.5", IPS_OFFLOAD);
  g_autoptr (KsNlMessage) other = entry_of (ENTRY + 1, AF_INET, "10.0.3.2", "198.51.100.1", "192.168.1.5", IPS_OFFLOAD);
  g_autoptr (KsNlMessage) unix_family =
    entry_of (ENTRY, AF_UNIX, "10.0.3.2", "198.51.100.1", "192.168.1.5", IPS_OFFLOAD);
  guint32 length = nlmsg_hdr (good)->nlmsg_len;
  KsFlow flow;

  assert_false (ks_flow_parse (nlmsg_hdr (other), &flow));
  assert_false (ks_flow_parse (nlmsg_hdr (unix_family), &flow));
  for (guint32 cut = 0; cut < length; cut++) {
    nlmsg_hdr (good)->nlmsg_len = cut;
    assert_false (ks_flow_parse (nlmsg_hdr (good), &flow));
  }
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (flow_to_the_internet_may_not_stay),
    cmocka_unit_test (flow_through_the_tunnel_may_stay),
    cmocka_unit_test (flow_in_the_lan_may_stay_unless_it_is_dns),
    cmocka_unit_test (flow_is_parsed_if_a_flowtable_has_it),
    cmocka_unit_test (flow_messages_that_are_malformed_are_refused),
  };

  return cmocka_run_group_tests_name ("ks-flow", tests, NULL, NULL);
}
