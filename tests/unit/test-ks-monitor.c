/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What wakes the repair: messages as the kernel multicasts them, sent through
 * a pair of ordinary sockets, which keep datagrams apart as netlink does.
 */
#include "ks-test.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/ks-guard.h"
#include "kernel/ks-monitor.h"
#include "kernel/ks-netlink.h"
#include "kernel/ks-route-message.h"
#include "kernel/ks-rule-message.h"

/* The two sockets that systemd passes, and the kernel's end of each. */
typedef struct {
  int ours[2];
  int kernel[2];
} Sockets;

/* If set, the errno value that the next recv() fails with: only a netlink socket reports lost messages. */
static int receive_error;

ssize_t
recv (int socket, void *buffer, size_t size, int flags)
{
  if (receive_error) {
    errno = receive_error;
    receive_error = 0;
    return -1;
  }
  return syscall (SYS_recvfrom, socket, buffer, size, flags, NULL, NULL);
}

static void
sockets_open (Sockets *self)
{
  for (int i = 0; i < 2; i++) {
    int pair[2];

    assert_int_equal (socketpair (AF_UNIX, SOCK_DGRAM, 0, pair), 0);
    self->ours[i] = pair[0];
    self->kernel[i] = pair[1];
  }
}

static void
sockets_close (Sockets *self)
{
  for (int i = 0; i < 2; i++) {
    close (self->ours[i]);
    close (self->kernel[i]);
  }
}

static void
send_route (int socket, int type, guint8 table)
{
  struct nl_msg *message = nlmsg_alloc_simple (type, 0);
  struct rtmsg route = { .rtm_family = AF_INET, .rtm_table = table };

  nlmsg_append (message, &route, sizeof route, NLMSG_ALIGNTO);
  nla_put_u32 (message, RTA_TABLE, table);
  assert_true (send (socket, nlmsg_hdr (message), nlmsg_hdr (message)->nlmsg_len, 0) > 0);
  nlmsg_free (message);
}

static void
send_rule (int socket, int type, guint32 priority, guint8 protocol)
{
  KsRule rule = ks_rule_lookup (AF_INET, priority, protocol, 83);
  g_autoptr (KsNlMessage) message = ks_rule_message_add (&rule);

  nlmsg_hdr (message)->nlmsg_type = type;
  assert_true (send (socket, nlmsg_hdr (message), nlmsg_hdr (message)->nlmsg_len, 0) > 0);
}

static void
send_nftables (int socket, int type, const char *table)
{
  struct nl_msg *message = nlmsg_alloc_simple (NFNL_SUBSYS_NFTABLES << 8 | type, 0);
  struct nfgenmsg body = { .nfgen_family = 1 };

  nlmsg_append (message, &body, sizeof body, NLMSG_ALIGNTO);
  nla_put_string (message, NFTA_TABLE_NAME, table);
  assert_true (send (socket, nlmsg_hdr (message), nlmsg_hdr (message)->nlmsg_len, 0) > 0);
  nlmsg_free (message);
}

static void
send_link (int socket, int type, const char *name, guint32 change, gboolean wireless)
{
  struct nl_msg *message = nlmsg_alloc_simple (type, 0);
  struct ifinfomsg link = { .ifi_index = 5, .ifi_change = change };

  nlmsg_append (message, &link, sizeof link, NLMSG_ALIGNTO);
  nla_put_string (message, IFLA_IFNAME, name);
  if (wireless)
    nla_put_u32 (message, IFLA_WIRELESS, 0);
  assert_true (send (socket, nlmsg_hdr (message), nlmsg_hdr (message)->nlmsg_len, 0) > 0);
  nlmsg_free (message);
}

static void
send_address (int socket, int type, guint ifindex)
{
  struct nl_msg *message = nlmsg_alloc_simple (type, 0);
  struct ifaddrmsg address = { .ifa_family = AF_INET, .ifa_index = ifindex };

  nlmsg_append (message, &address, sizeof address, NLMSG_ALIGNTO);
  assert_true (send (socket, nlmsg_hdr (message), nlmsg_hdr (message)->nlmsg_len, 0) > 0);
  nlmsg_free (message);
}

/* With a section for the devices that @pattern matches; NULL for no section. */
static KsNotice
drain_with_section (const Sockets *sockets, const char *pattern)
{
  g_autoptr (KsConfig) config = ks_config_new ();

  if (pattern) {
    KsSection *section = ks_section_new ("vpn");

    section->interface = g_strdup (pattern);
    g_ptr_array_add (config->sections, section);
  }
  return ks_monitor_drain (sockets->ours, 2, config, NULL);
}

static KsNotice
drain (const Sockets *sockets)
{
  g_autoptr (KsConfig) config = ks_config_new ();

  return ks_monitor_drain (sockets->ours, 2, config, NULL);
}

static void
monitor_reports_nothing_when_nothing_happens (void **state G_GNUC_UNUSED)
{
  Sockets sockets;

  sockets_open (&sockets);
  assert_int_equal (drain (&sockets), KS_NOTICE_NONE);
  sockets_close (&sockets);
}

static void
monitor_notices_devices_for_sections_only (void **state G_GNUC_UNUSED)
{
  guint loopback = if_nametoindex ("lo");
  Sockets sockets;

  sockets_open (&sockets);
  send_link (sockets.kernel[0], RTM_NEWLINK, "tun0", G_MAXUINT32, FALSE);
  send_address (sockets.kernel[0], RTM_NEWADDR, loopback);
  assert_int_equal (drain_with_section (&sockets, NULL), KS_NOTICE_OTHER);
  send_link (sockets.kernel[0], RTM_NEWLINK, "tun0", G_MAXUINT32, FALSE);
  assert_int_equal (drain_with_section (&sockets, "tun*"), KS_NOTICE_URGENT);
  send_link (sockets.kernel[0], RTM_DELLINK, "tun0", G_MAXUINT32, FALSE);
  assert_int_equal (drain_with_section (&sockets, "tun*"), KS_NOTICE_URGENT);
  send_address (sockets.kernel[0], RTM_NEWADDR, loopback);
  assert_int_equal (drain_with_section (&sockets, "tun*"), KS_NOTICE_OTHER);
  send_address (sockets.kernel[0], RTM_DELADDR, loopback);
  assert_int_equal (drain_with_section (&sockets, "lo"), KS_NOTICE_URGENT);
  sockets_close (&sockets);
}

/* The new name says nothing of the old one. Of another device's carrier and of a scan nothing follows. */
static void
monitor_notices_that_a_device_may_have_been_renamed (void **state G_GNUC_UNUSED)
{
  Sockets sockets;

  sockets_open (&sockets);
  send_link (sockets.kernel[0], RTM_NEWLINK, "other0", 0, FALSE);
  assert_int_equal (drain_with_section (&sockets, "tun*"), KS_NOTICE_URGENT);
  send_link (sockets.kernel[0], RTM_NEWLINK, "wlan0", 0, TRUE);
  send_link (sockets.kernel[0], RTM_NEWLINK, "eth0", IFF_UP, FALSE);
  send_link (sockets.kernel[0], RTM_DELLINK, "eth0", 0, FALSE);
  assert_int_equal (drain_with_section (&sockets, "tun*"), KS_NOTICE_OTHER);
  sockets_close (&sockets);
}

/* Deleting a single rule causes only a single message. */
static void
monitor_notices_a_single_message_of_each_kind (void **state G_GNUC_UNUSED)
{
  Sockets sockets;

  sockets_open (&sockets);
  send_rule (sockets.kernel[0], RTM_DELRULE, 8390, 83);
  assert_int_equal (drain (&sockets), KS_NOTICE_URGENT);
  assert_int_equal (drain (&sockets), KS_NOTICE_NONE);
  send_route (sockets.kernel[0], RTM_DELROUTE, 83);
  assert_int_equal (drain (&sockets), KS_NOTICE_URGENT);
  send_route (sockets.kernel[0], RTM_NEWROUTE, RT_TABLE_MAIN); /* table 85 has to follow */
  assert_int_equal (drain (&sockets), KS_NOTICE_RELEVANT);
  send_nftables (sockets.kernel[1], NFT_MSG_DELTABLE, KS_GUARD_TABLE);
  assert_int_equal (drain (&sockets), KS_NOTICE_URGENT);
  sockets_close (&sockets);
}

static void
monitor_ignores_what_others_do (void **state G_GNUC_UNUSED)
{
  Sockets sockets;

  sockets_open (&sockets);
  send_route (sockets.kernel[0], RTM_NEWROUTE, 200);
  send_nftables (sockets.kernel[1], NFT_MSG_NEWTABLE, "theirs");
  assert_int_equal (drain (&sockets), KS_NOTICE_OTHER);
  sockets_close (&sockets);
}

static void
monitor_finds_the_one_that_matters_among_many (void **state G_GNUC_UNUSED)
{
  Sockets sockets;

  sockets_open (&sockets);
  send_route (sockets.kernel[0], RTM_NEWROUTE, 200);
  send_rule (sockets.kernel[0], RTM_DELRULE, 8390, 83);
  send_route (sockets.kernel[0], RTM_NEWROUTE, 200);
  send_nftables (sockets.kernel[1], NFT_MSG_NEWTABLE, "theirs");
  assert_int_equal (drain (&sockets), KS_NOTICE_URGENT);
  assert_int_equal (drain (&sockets), KS_NOTICE_NONE);
  sockets_close (&sockets);
}

static void
monitor_takes_a_cut_off_message_seriously (void **state G_GNUC_UNUSED)
{
  struct nlmsghdr header = { .nlmsg_len = sizeof header, .nlmsg_type = RTM_DELROUTE };
  Sockets sockets;

  sockets_open (&sockets);
  assert_true (send (sockets.kernel[0], &header, sizeof header, 0) > 0);
  assert_int_equal (drain (&sockets), KS_NOTICE_URGENT);
  sockets_close (&sockets);
}

static void
monitor_treats_lost_messages_as_urgent (void **state G_GNUC_UNUSED)
{
  Sockets sockets;

  sockets_open (&sockets);
  receive_error = ENOBUFS;
  assert_int_equal (drain (&sockets), KS_NOTICE_URGENT);
  receive_error = ENOBUFS;
  send_route (sockets.kernel[0], RTM_NEWROUTE, 200);
  assert_int_equal (drain (&sockets), KS_NOTICE_URGENT);
  assert_int_equal (drain (&sockets), KS_NOTICE_NONE);
  sockets_close (&sockets);
}

static void
monitor_goes_on_after_a_signal (void **state G_GNUC_UNUSED)
{
  Sockets sockets;

  sockets_open (&sockets);
  receive_error = EINTR;
  send_rule (sockets.kernel[0], RTM_DELRULE, 8390, 83);
  assert_int_equal (drain (&sockets), KS_NOTICE_URGENT);
  sockets_close (&sockets);
}

static void
send_message (int socket, struct nlmsghdr *header, int type)
{
  header->nlmsg_type = type;
  assert_true (send (socket, header, header->nlmsg_len, 0) > 0);
}

/* What was deleted, so that it can be told from what was never there. */
static void
monitor_remembers_what_other_programs_deleted (void **state G_GNUC_UNUSED)
{
  static const guint32 tables[] = { 83, 84, 85, RT_TABLE_MAIN };
  g_autoptr (KsConfig) config = ks_config_new ();
  g_autoptr (KsLosses) losses = ks_losses_new ();
  KsPrefix all = { .family = AF_INET };
  KsRoute end = ks_route_blackhole (86, config->protocol, &all, 200);
  g_autoptr (KsNlMessage) blackhole = ks_route_message_add (&end);
  Sockets sockets;

  sockets_open (&sockets);
  for (guint i = 0; i < G_N_ELEMENTS (tables); i++) {
    KsPrefix none = { 0 };
    KsRoute route = ks_route_via (tables[i], config->protocol, &all, 100, 7, &none);
    g_autoptr (KsNlMessage) message = ks_route_message_add (&route);

    nlmsg_hdr (message)->nlmsg_flags = 0;
    send_message (sockets.kernel[0], nlmsg_hdr (message), RTM_DELROUTE);
    send_message (sockets.kernel[0], nlmsg_hdr (message), RTM_NEWROUTE);
  }
  send_message (sockets.kernel[0], nlmsg_hdr (blackhole), RTM_DELROUTE);
  send_rule (sockets.kernel[0], RTM_DELRULE, 8390, 83);
  send_rule (sockets.kernel[0], RTM_DELRULE, 8000, 4);
  assert_int_equal (ks_monitor_drain (sockets.ours, 2, config, losses), KS_NOTICE_URGENT);
  assert_false (losses->is_vague);
  assert_int_equal (losses->routes->len, 3);
  assert_int_equal (g_array_index (losses->routes, KsRoute, 0).table, 83);
  assert_int_equal (g_array_index (losses->routes, KsRoute, 0).nexthops[0].ifindex, 7);
  assert_int_equal (g_array_index (losses->routes, KsRoute, 1).table, 84);
  assert_int_equal (g_array_index (losses->routes, KsRoute, 2).table, 86);
  assert_int_equal (losses->rules->len, 1);
  assert_int_equal (g_array_index (losses->rules, KsRule, 0).priority, 8390);
  sockets_close (&sockets);
}

static void
monitor_knows_that_it_has_not_seen_everything (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsConfig) config = ks_config_new ();
  g_autoptr (KsLosses) losses = ks_losses_new ();
  KsPrefix all = { .family = AF_INET };
  KsRoute end = ks_route_blackhole (83, config->protocol, &all, 200);
  g_autoptr (KsNlMessage) message = ks_route_message_add (&end);
  Sockets sockets;

  sockets_open (&sockets);
  nlmsg_hdr (message)->nlmsg_flags = NLM_F_REPLACE; /* of what, nobody tells */
  send_message (sockets.kernel[0], nlmsg_hdr (message), RTM_NEWROUTE);
  ks_monitor_drain (sockets.ours, 2, config, losses);
  assert_true (losses->is_vague);
  ks_losses_clear (losses);
  receive_error = ENOBUFS;
  ks_monitor_drain (sockets.ours, 2, config, losses);
  assert_true (losses->is_vague);
  sockets_close (&sockets);
}

/* A rule before ours decides first, one after them never. */
static void
monitor_tells_foreign_rules_by_their_place (void **state G_GNUC_UNUSED)
{
  Sockets sockets;

  sockets_open (&sockets);
  send_rule (sockets.kernel[0], RTM_NEWRULE, 100, 4);
  assert_int_equal (drain (&sockets), KS_NOTICE_URGENT);
  send_rule (sockets.kernel[0], RTM_DELRULE, 100, 4);
  assert_int_equal (drain (&sockets), KS_NOTICE_RELEVANT);
  send_rule (sockets.kernel[0], RTM_NEWRULE, 8399, 4);
  assert_int_equal (drain (&sockets), KS_NOTICE_URGENT);
  send_rule (sockets.kernel[0], RTM_NEWRULE, 8400, 4);
  send_rule (sockets.kernel[0], RTM_DELRULE, 30000, 4);
  assert_int_equal (drain (&sockets), KS_NOTICE_OTHER);
  sockets_close (&sockets);
}

static void
monitor_ignores_what_this_process_has_changed (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsNlSocket) socket = ks_netlink_open (NULL);
  g_autoptr (KsConfig) config = ks_config_new ();
  KsPrefix all = { .family = AF_INET };
  KsRoute end = ks_route_blackhole (83, config->protocol, &all, 200);
  g_autoptr (KsNlMessage) message = ks_route_message_add (&end);
  Sockets sockets;

  assert_non_null (socket);
  sockets_open (&sockets);
  nlmsg_hdr (message)->nlmsg_pid = ks_netlink_last_port ();
  send_message (sockets.kernel[0], nlmsg_hdr (message), RTM_DELROUTE);
  assert_int_equal (drain (&sockets), KS_NOTICE_OTHER);
  nlmsg_hdr (message)->nlmsg_pid++;
  send_message (sockets.kernel[0], nlmsg_hdr (message), RTM_DELROUTE);
  assert_int_equal (drain (&sockets), KS_NOTICE_URGENT);
  sockets_close (&sockets);
}

/* As systemd passes it: both ends open, and reading blocks. */
static void
monitor_takes_a_nudge (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsConfig) config = ks_config_new ();
  g_autofree char *directory = g_dir_make_tmp ("ks-XXXXXX", NULL);
  g_autofree char *path = g_build_filename (directory, "fifo", NULL);
  int fifo;

  assert_int_equal (mkfifo (path, 0600), 0);
  fifo = open (path, O_RDWR);
  assert_int_equal (ks_monitor_drain (&fifo, 1, config, NULL), KS_NOTICE_NONE);
  assert_int_equal (write (fifo, "!!", 2), 2);
  assert_int_equal (ks_monitor_drain (&fifo, 1, config, NULL), KS_NOTICE_URGENT);
  assert_int_equal (ks_monitor_drain (&fifo, 1, config, NULL), KS_NOTICE_NONE);
  close (fifo);
  unlink (path);
  rmdir (directory);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (monitor_reports_nothing_when_nothing_happens),
    cmocka_unit_test (monitor_notices_devices_for_sections_only),
    cmocka_unit_test (monitor_notices_that_a_device_may_have_been_renamed),
    cmocka_unit_test (monitor_notices_a_single_message_of_each_kind),
    cmocka_unit_test (monitor_ignores_what_others_do),
    cmocka_unit_test (monitor_finds_the_one_that_matters_among_many),
    cmocka_unit_test (monitor_remembers_what_other_programs_deleted),
    cmocka_unit_test (monitor_knows_that_it_has_not_seen_everything),
    cmocka_unit_test (monitor_tells_foreign_rules_by_their_place),
    cmocka_unit_test (monitor_ignores_what_this_process_has_changed),
    cmocka_unit_test (monitor_takes_a_nudge),
    cmocka_unit_test (monitor_takes_a_cut_off_message_seriously),
    cmocka_unit_test (monitor_treats_lost_messages_as_urgent),
    cmocka_unit_test (monitor_goes_on_after_a_signal),
  };

  return cmocka_run_group_tests_name ("ks-monitor", tests, NULL, NULL);
}
