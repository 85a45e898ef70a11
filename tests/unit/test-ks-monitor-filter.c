/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The filters, run by the kernel: messages as it multicasts them are sent
 * through a pair of ordinary sockets, the receiving one with the filter.
 */
#include "ks-test.h"

#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/filter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/ks-guard.h"
#include "kernel/ks-monitor-filter.h"
#include "kernel/ks-netlink.h"
#include "kernel/ks-rule-message.h"

#define EVERYTHING (KS_INTEREST_DEVICES | KS_INTEREST_OWN | KS_INTEREST_MAIN)

/* Whether the message that is sent gets past @program. */
static gboolean
passes (const GArray *program, const void *data, gsize size)
{
  struct sock_fprog filter = { (unsigned short) program->len, (struct sock_filter *) (gpointer) program->data };
  int pair[2];
  char buffer[8192];
  gboolean result;

  assert_int_equal (socketpair (AF_UNIX, SOCK_DGRAM, 0, pair), 0);
  assert_int_equal (setsockopt (pair[0], SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter), 0);
  if (send (pair[1], data, size, 0) < 0)
    assert_int_equal (errno, EPERM); /* what a filter of an ordinary socket's drops */
  result = recv (pair[0], buffer, sizeof buffer, MSG_DONTWAIT) == (ssize_t) size;
  close (pair[0]);
  close (pair[1]);
  return result;
}

static gboolean
message_passes (const GArray *program, KsNlMessage *message)
{
  return passes (program, nlmsg_hdr (message), nlmsg_hdr (message)->nlmsg_len);
}

static gboolean
rule_passes (KsInterest interest, int type, int family, guint32 priority, guint8 protocol)
{
  g_autoptr (KsConfig) config = ks_config_new ();
  g_autoptr (GArray) program = ks_monitor_filter_routing (config, interest);
  KsRule rule = ks_rule_lookup (family, priority, protocol, 83);
  g_autoptr (KsNlMessage) message = ks_rule_message_add (&rule);

  nlmsg_hdr (message)->nlmsg_type = type;
  return message_passes (program, message);
}

/* As the kernel announces it: other attributes before the table's, and a number of eight bits for those who know no
 * more. */
static gboolean
route_passes (KsInterest interest, int type, int family, guint32 table)
{
  g_autoptr (KsConfig) config = ks_config_new ();
  g_autoptr (GArray) program = ks_monitor_filter_routing (config, interest);
  g_autoptr (KsNlMessage) message = nlmsg_alloc_simple (type, 0);
  struct rtmsg route = { .rtm_family = family, .rtm_table = table < 256 ? table : RT_TABLE_COMPAT };

  nlmsg_append (message, &route, sizeof route, NLMSG_ALIGNTO);
  nla_put_u32 (message, RTA_DST, 0x01020304);
  nla_put_u32 (message, RTA_TABLE, table);
  nla_put_u32 (message, RTA_OIF, 3);
  return message_passes (program, message);
}

static gboolean
device_passes (KsInterest interest, int type)
{
  g_autoptr (KsConfig) config = ks_config_new ();
  g_autoptr (GArray) program = ks_monitor_filter_routing (config, interest);
  g_autoptr (KsNlMessage) message = nlmsg_alloc_simple (type, 0);
  struct ifinfomsg link = { .ifi_index = 5 };

  nlmsg_append (message, &link, sizeof link, NLMSG_ALIGNTO);
  return message_passes (program, message);
}

static const int families[] = { AF_INET, AF_INET6 };

/* tests/arch: QEMU's user mode has the host's kernel look for attributes, which reads their numbers in its own order.
 */
#define SKIP_IF_THE_KERNEL_HAS_ANOTHER_ORDER() \
  do { \
    if (g_getenv ("KS_EMULATED") && G_BYTE_ORDER == G_BIG_ENDIAN) \
      skip (); \
  } while (0)

static void
filter_of_an_idle_host_passes_new_rules_and_nothing_else (void **state G_GNUC_UNUSED)
{
  for (guint i = 0; i < G_N_ELEMENTS (families); i++) {
    assert_true (rule_passes (KS_INTEREST_NONE, RTM_NEWRULE, families[i], 8390, 83));
    /* of other numbers: the configuration may have them by now */
    assert_true (rule_passes (KS_INTEREST_NONE, RTM_NEWRULE, families[i], 20000, 99));
    assert_false (rule_passes (KS_INTEREST_NONE, RTM_DELRULE, families[i], 100, 4));
    assert_false (route_passes (KS_INTEREST_NONE, RTM_NEWROUTE, families[i], RT_TABLE_MAIN));
    assert_false (route_passes (KS_INTEREST_NONE, RTM_DELROUTE, families[i], 83));
  }
  assert_false (device_passes (KS_INTEREST_NONE, RTM_NEWLINK));
  assert_false (device_passes (KS_INTEREST_NONE, RTM_NEWADDR));
}

static void
filter_passes_devices_if_asked_to (void **state G_GNUC_UNUSED)
{
  static const int types[] = { RTM_NEWLINK, RTM_DELLINK, RTM_NEWADDR, RTM_DELADDR };

  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    assert_true (device_passes (KS_INTEREST_DEVICES, types[i]));
    assert_false (device_passes (EVERYTHING & ~KS_INTEREST_DEVICES, types[i]));
    assert_int_equal (device_passes (KS_INTEREST_ADDRESSES, types[i]),
                      types[i] == RTM_NEWADDR || types[i] == RTM_DELADDR);
  }
}

static void
filter_passes_what_decides_before_the_last_of_our_rules (void **state G_GNUC_UNUSED)
{
  static const int types[] = { RTM_NEWRULE, RTM_DELRULE };

  SKIP_IF_THE_KERNEL_HAS_ANOTHER_ORDER ();
  for (guint i = 0; i < G_N_ELEMENTS (types); i++)
    for (guint j = 0; j < G_N_ELEMENTS (families); j++) {
      assert_true (rule_passes (KS_INTEREST_OWN, types[i], families[j], 0, 2));
      assert_true (rule_passes (KS_INTEREST_OWN, types[i], families[j], 255, 2)); /* one byte of four */
      assert_true (rule_passes (KS_INTEREST_OWN, types[i], families[j], 8300, 83));
      assert_true (rule_passes (KS_INTEREST_OWN, types[i], families[j], 8399, 4));
      assert_false (rule_passes (KS_INTEREST_OWN, types[i], families[j], 8400, 4));
      assert_false (rule_passes (KS_INTEREST_OWN, types[i], families[j], 32766, 2));
      assert_false (rule_passes (KS_INTEREST_OWN, types[i], families[j], G_MAXUINT32, 2));
    }
}

static void
filter_passes_routes_of_our_tables_and_of_main (void **state G_GNUC_UNUSED)
{
  static const guint32 own[] = { 83, 84, 85, 86, 8300, 8303 };
  static const guint32 foreign[] = { RT_TABLE_LOCAL, RT_TABLE_DEFAULT, 82, 87, 8304, 51820, 83 << 8, 83 << 24 };

  SKIP_IF_THE_KERNEL_HAS_ANOTHER_ORDER ();
  for (guint i = 0; i < G_N_ELEMENTS (families); i++) {
    for (guint j = 0; j < G_N_ELEMENTS (own); j++) {
      assert_true (route_passes (KS_INTEREST_OWN, RTM_DELROUTE, families[i], own[j]));
      assert_true (route_passes (KS_INTEREST_OWN, RTM_NEWROUTE, families[i], own[j]));
      assert_false (route_passes (KS_INTEREST_MAIN, RTM_NEWROUTE, families[i], own[j]));
    }
    for (guint j = 0; j < G_N_ELEMENTS (foreign); j++)
      assert_false (route_passes (EVERYTHING, RTM_NEWROUTE, families[i], foreign[j]));
    assert_true (route_passes (KS_INTEREST_MAIN, RTM_NEWROUTE, families[i], RT_TABLE_MAIN));
    assert_false (route_passes (KS_INTEREST_OWN, RTM_NEWROUTE, families[i], RT_TABLE_MAIN));
  }
  assert_true (device_passes (KS_INTEREST_MAIN, RTM_DELNEXTHOP));
  assert_false (device_passes (KS_INTEREST_NONE, RTM_DELNEXTHOP));
  assert_false (device_passes (EVERYTHING, RTM_NEWNEXTHOP));
}

static void
filter_passes_what_it_does_not_understand (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsConfig) config = ks_config_new ();
  g_autoptr (GArray) routing = ks_monitor_filter_routing (config, EVERYTHING);
  g_autoptr (GArray) nftables = ks_monitor_filter_nftables ();
  struct nlmsghdr header = { .nlmsg_len = sizeof header };
  static const int types[] = { RTM_NEWRULE, RTM_NEWROUTE, RTM_NEWNEIGH, NLMSG_ERROR };

  assert_true (passes (routing, "x", 1));
  assert_true (passes (nftables, "x", 1));
  for (guint i = 0; i < G_N_ELEMENTS (types); i++) {
    header.nlmsg_type = types[i]; /* no more than a header */
    assert_true (passes (routing, &header, sizeof header));
  }
  assert_true (passes (nftables, &header, sizeof header));
}

/* Messages about objects of @tables, in one packet, as a transaction is announced (transfer full). */
static GByteArray *
transaction (const char *const *tables)
{
  GByteArray *packet = g_byte_array_new ();

  for (guint i = 0; tables[i]; i++) {
    g_autoptr (KsNlMessage) message = nlmsg_alloc_simple (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE, 0);
    struct nfgenmsg body = { .nfgen_family = 1 };

    nlmsg_append (message, &body, sizeof body, NLMSG_ALIGNTO);
    nla_put_string (message, NFTA_RULE_TABLE, tables[i]);
    nla_put_string (message, NFTA_RULE_CHAIN, "output");
    g_byte_array_append (packet, (const guint8 *) nlmsg_hdr (message), NLMSG_ALIGN (nlmsg_hdr (message)->nlmsg_len));
  }
  return packet;
}

static gboolean
transaction_passes (const char *const *tables)
{
  g_autoptr (GArray) program = ks_monitor_filter_nftables ();
  g_autoptr (GByteArray) packet = transaction (tables);

  return passes (program, packet->data, packet->len);
}

#define TRANSACTION_PASSES(...) transaction_passes ((const char *const[]){ __VA_ARGS__, NULL })

static void
filter_finds_the_guard_among_what_a_transaction_changes (void **state G_GNUC_UNUSED)
{
  assert_true (TRANSACTION_PASSES (KS_GUARD_TABLE));
  assert_true (TRANSACTION_PASSES ("filter", "nat", KS_GUARD_TABLE));
  assert_true (TRANSACTION_PASSES ("1", "22", "333", "4444", "55555", "6", "7", KS_GUARD_TABLE));
  assert_false (TRANSACTION_PASSES ("filter"));
  assert_false (TRANSACTION_PASSES ("1", "22", "333", "4444", "55555", "6", "7", "8"));
  assert_false (TRANSACTION_PASSES ("nm_killswitcx", "nm_killswitc", "nm_killswitch2", "mm_killswitch"));
  /* more than it looks at */
  assert_true (TRANSACTION_PASSES ("1", "2", "3", "4", "5", "6", "7", "8", "9"));
}

static void
filter_ignores_the_number_of_a_transaction (void **state G_GNUC_UNUSED)
{
  g_autoptr (GArray) program = ks_monitor_filter_nftables ();
  g_autoptr (KsNlMessage) message = nlmsg_alloc_simple (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN, 0);
  struct nfgenmsg body = { .nfgen_family = 0 };

  nlmsg_append (message, &body, sizeof body, NLMSG_ALIGNTO);
  nla_put_u32 (message, NFTA_GEN_ID, 7);
  nla_put_u32 (message, NFTA_GEN_PROC_PID, 8);
  assert_false (message_passes (program, message));
}

static void
digest_is_that_of_the_filters (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsConfig) config = ks_config_new ();
  g_autofree char *one = ks_monitor_filter_digest (config, KS_INTEREST_OWN);
  g_autofree char *same = ks_monitor_filter_digest (config, KS_INTEREST_OWN);
  g_autofree char *wider = ks_monitor_filter_digest (config, EVERYTHING);
  g_autofree char *elsewhere = NULL;

  config->servers_table = 4711;
  elsewhere = ks_monitor_filter_digest (config, KS_INTEREST_OWN);
  assert_string_equal (one, same);
  assert_string_not_equal (one, wider);
  assert_string_not_equal (one, elsewhere);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (filter_of_an_idle_host_passes_new_rules_and_nothing_else),
    cmocka_unit_test (filter_passes_devices_if_asked_to),
    cmocka_unit_test (filter_passes_what_decides_before_the_last_of_our_rules),
    cmocka_unit_test (filter_passes_routes_of_our_tables_and_of_main),
    cmocka_unit_test (filter_passes_what_it_does_not_understand),
    cmocka_unit_test (filter_finds_the_guard_among_what_a_transaction_changes),
    cmocka_unit_test (filter_ignores_the_number_of_a_transaction),
    cmocka_unit_test (digest_is_that_of_the_filters),
  };

  return cmocka_run_group_tests_name ("ks-monitor-filter", tests, NULL, NULL);
}
