/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Dumps that go wrong. This test has a recvmsg() of its own, which changes the
 * kernel's answers in a way the test chooses. Provoking the same with another
 * program would be a matter of timing.
 */
#include "netns.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/ks-error.h"
#include "kernel/ks-guard-readback.h"
#include "kernel/ks-kernel.h"
#include "kernel/ks-netfilter-socket.h"
#include "kernel/ks-netlink.h"
#include "ks-test.h"

enum {
  NEW_GENERATION = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWGEN,
  NEW_CHAIN = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWCHAIN,
};

#define MANY_TRIES 100 /* nothing is tried this often */
#define RULES 5
#define MANY_RULES 20 /* more than there are tries */
#define FIRST 1000 /* the priority of the first of them */

/* --- changing the kernel's answers --- */

typedef struct {
  guint16 type; /* of the dumps' messages */
  guint interrupted; /* the first this many dumps are flagged as interrupted */
  guint shortened; /* the first this many lack one message, a different one each */
  guint failing; /* the first this many end with ENOBUFS */
  guint renumbered; /* the first this many generations of nftables' ruleset have another number, a different one each */
  guint generations; /* generations that were asked for */
  guint dumps; /* dumps that are over */
  guint messages; /* of the current dump */
} Spoiler;

static Spoiler *spoiler;

/* Changes one message of a dump. Returns whether it is kept. */
static gboolean
spoil_message (struct nlmsghdr *header)
{
  guint number = spoiler->messages++;

  if (spoiler->dumps < spoiler->interrupted)
    header->nlmsg_flags |= NLM_F_DUMP_INTR;
  return spoiler->dumps >= spoiler->shortened || number != spoiler->dumps + 1;
}

static void
spoil_end (struct nlmsghdr *header)
{
  const int error = -ENOBUFS;

  if (spoiler->dumps < spoiler->failing)
    memcpy (NLMSG_DATA (header), &error, sizeof error);
  spoiler->dumps++;
  spoiler->messages = 0;
}

static void
spoil_generation (struct nlmsghdr *header)
{
  struct nlattr *id = nlmsg_find_attr (header, sizeof (struct nfgenmsg), NFTA_GEN_ID);
  guint number = ++spoiler->generations;
  guint32 other = GUINT32_TO_BE (1000000 + number);

  if (id && number <= spoiler->renumbered)
    memcpy (nla_data (id), &other, sizeof other);
}

/* Changes the messages in the @length bytes at @buffer. Returns how many bytes are left. */
static size_t
spoil (char *buffer, size_t length)
{
  size_t kept = 0, size;

  for (size_t at = 0; at < length; at += size) {
    struct nlmsghdr *header = (struct nlmsghdr *) (gpointer) (buffer + at);
    gboolean is_kept = TRUE;

    size = MIN (NLMSG_ALIGN (header->nlmsg_len), length - at);
    if (header->nlmsg_type == spoiler->type)
      is_kept = spoil_message (header);
    else if (header->nlmsg_type == NLMSG_DONE && spoiler->messages > 0)
      spoil_end (header);
    else if (header->nlmsg_type == NEW_GENERATION)
      spoil_generation (header);
    if (is_kept) {
      memmove (buffer + kept, buffer + at, size);
      kept += size;
    }
  }
  return kept;
}

ssize_t
recvmsg (int fd, struct msghdr *message, int flags)
{
  ssize_t length = syscall (SYS_recvmsg, fd, message, flags);

  return length > 0 && spoiler && !(flags & MSG_PEEK) ? (ssize_t) spoil (message->msg_iov->iov_base, (size_t) length)
                                                      : length;
}

/* --- the namespace --- */

static void
make_rules (void)
{
  for (guint i = 0; i < RULES; i++)
    netns_run ("ip -4 rule add priority %u lookup 77", FIRST + i);
}

static KsSnapshot *
dump (Spoiler *with, GError **error)
{
  g_autoptr (KsConfig) config = ks_config_new ();
  g_autoptr (KsKernel) kernel = ks_kernel_new (NULL);
  KsSnapshot *snapshot;

  assert_non_null (kernel);
  spoiler = with;
  snapshot = ks_kernel_dump (kernel, config, error);
  spoiler = NULL;
  return snapshot;
}

/* Each rule of the namespace is there once. */
static void
assert_whole (const KsSnapshot *snapshot)
{
  guint found = 0;

  assert_non_null (snapshot);
  for (guint i = 0; i < snapshot->rules->len; i++) {
    const KsRule *rule = &g_array_index (snapshot->rules, KsRule, i);

    if (rule->family == AF_INET && rule->priority >= FIRST && rule->priority < FIRST + RULES)
      assert_int_equal (rule->priority, FIRST + found++);
  }
  assert_int_equal (found, RULES);
  /* local, main and default of each family */
  assert_in_range (snapshot->rules->len, RULES + 3, RULES + 3 + 2);
}

static void
assert_refused (Spoiler *with, const char *what)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KsSnapshot) snapshot = dump (with, &error);

  assert_null (snapshot);
  assert_true (g_error_matches (error, KS_ERROR, KS_ERROR_KERNEL));
  if (!strstr (error->message, what))
    fail_msg ("'%s' does not say '%s'", error->message, what);
}

/* --- tests --- */

static void
interrupted_dump_is_repeated (void **state G_GNUC_UNUSED)
{
  static const guint interrupted[] = { 0, 1, 3 };

  NETNS_ENTER_OR_SKIP ();
  make_rules ();
  for (guint i = 0; i < G_N_ELEMENTS (interrupted); i++) {
    Spoiler with = { .type = RTM_NEWRULE, .interrupted = interrupted[i] };
    g_autoptr (KsSnapshot) snapshot = dump (&with, NULL);

    assert_whole (snapshot);
    assert_true (with.dumps > interrupted[i]);
  }
}

static void
dump_that_is_always_interrupted_is_an_error (void **state G_GNUC_UNUSED)
{
  Spoiler with = { .type = RTM_NEWRULE, .interrupted = G_MAXUINT };

  NETNS_ENTER_OR_SKIP ();
  make_rules ();
  assert_refused (&with, "cannot dump IPv4 rules of the kernel");
  assert_in_range (with.dumps, 2, MANY_TRIES);
}

static void
interrupted_dump_of_routes_ends_with_each_route_once (void **state G_GNUC_UNUSED)
{
  Spoiler with = { .type = RTM_NEWROUTE, .interrupted = 3 };
  g_autoptr (KsSnapshot) snapshot = NULL;

  NETNS_ENTER_OR_SKIP ();
  netns_run ("ip -4 route add 198.51.100.0/24 dev lo");
  netns_run ("ip -4 route add 203.0.113.0/24 dev lo");
  snapshot = dump (&with, NULL);
  assert_non_null (snapshot);
  assert_true (with.dumps > 3);
  for (guint i = 0; i < snapshot->routes->len; i++)
    for (guint j = 0; j < i; j++)
      assert_false (
        ks_route_equal (&g_array_index (snapshot->routes, KsRoute, i), &g_array_index (snapshot->routes, KsRoute, j)));
}

/* Only the last message of the dump says so. */
static void
dump_that_fails_half_way_is_an_error (void **state G_GNUC_UNUSED)
{
  Spoiler with = { .type = RTM_NEWRULE, .failing = 1 };

  NETNS_ENTER_OR_SKIP ();
  make_rules ();
  assert_refused (&with, g_strerror (ENOBUFS));
}

/* The kernel does not flag an interrupted dump of rules. */
static void
rules_are_dumped_until_two_dumps_agree (void **state G_GNUC_UNUSED)
{
  static const guint shortened[] = { 1, 2, 3 };

  NETNS_ENTER_OR_SKIP ();
  make_rules ();
  for (guint i = 0; i < G_N_ELEMENTS (shortened); i++) {
    Spoiler with = { .type = RTM_NEWRULE, .shortened = shortened[i] };
    g_autoptr (KsSnapshot) snapshot = dump (&with, NULL);

    assert_whole (snapshot);
    assert_true (with.dumps >= shortened[i] + 2);
  }
}

static void
dumps_of_rules_that_never_agree_are_an_error (void **state G_GNUC_UNUSED)
{
  Spoiler with = { .type = RTM_NEWRULE, .shortened = G_MAXUINT };

  NETNS_ENTER_OR_SKIP ();
  for (guint i = 0; i < MANY_RULES; i++)
    netns_run ("ip -4 rule add priority %u lookup 77", FIRST + i);
  assert_refused (&with, "another program keeps changing them");
}

static gboolean
read_guard (Spoiler *with, KsGuardReadback *out, GError **error)
{
  gboolean is_read;

  spoiler = with;
  is_read = ks_guard_readback (out, error);
  spoiler = NULL;
  return is_read;
}

/* A dump that is interrupted says so; between two dumps only the generation tells. */
static void
guard_that_changes_during_a_read_is_read_again (void **state G_GNUC_UNUSED)
{
  Spoiler disturbed[] = { { .type = NEW_CHAIN, .interrupted = 3 }, { .type = NEW_CHAIN, .renumbered = 5 } };
  Spoiler always[] = { { .type = NEW_CHAIN, .interrupted = G_MAXUINT },
                       { .type = NEW_CHAIN, .renumbered = G_MAXUINT } };
  g_auto (KsGuardReadback) plain = { 0 };

  NETNS_ENTER_OR_SKIP ();
  if (netns_try ("nft add table inet nm_killswitch") != 0) {
    print_message ("skipped: no nf_tables, or no nft\n");
    skip ();
  }
  netns_run ("nft add chain inet nm_killswitch one");
  assert_true (ks_guard_readback (&plain, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (disturbed); i++) {
    g_auto (KsGuardReadback) guard = { 0 };

    assert_true (read_guard (&disturbed[i], &guard, NULL));
    assert_int_equal (disturbed[i].dumps, 4);
    assert_string_equal (guard.digest, plain.digest);
    assert_int_equal (guard.generation, plain.generation);
  }
  for (guint i = 0; i < G_N_ELEMENTS (always); i++) {
    g_auto (KsGuardReadback) guard = { 0 };
    g_autoptr (GError) error = NULL;

    assert_false (read_guard (&always[i], &guard, &error));
    assert_in_range (always[i].dumps, 2, MANY_TRIES);
    assert_true (g_error_matches (error, KS_ERROR, KS_ERROR_KERNEL));
  }
}

static guint
count_descriptors (void)
{
  GDir *dir = g_dir_open ("/proc/self/fd", 0, NULL);
  guint count = 0;

  assert_non_null (dir);
  while (g_dir_read_name (dir))
    count++;
  g_dir_close (dir);
  return count;
}

/* Closing one may wait for the kernel; a process with many runs must not run out of descriptors. */
static void
netfilter_sockets_are_closed_late_but_not_never (void **state G_GNUC_UNUSED)
{
  guint before = count_descriptors (), most = before, now = before;
  gboolean has_closed = FALSE;

  NETNS_ENTER_OR_SKIP ();
  for (guint i = 0; i < 200; i++) {
    g_autoptr (KsNetfilterSocket) socket = ks_netlink_open_netfilter (NULL);

    assert_non_null (socket);
    has_closed |= count_descriptors () <= now;
    now = count_descriptors ();
    most = MAX (most, now);
  }
  assert_true (has_closed);
  assert_in_range (most, before + 10, before + 40);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (interrupted_dump_is_repeated),
    cmocka_unit_test (dump_that_is_always_interrupted_is_an_error),
    cmocka_unit_test (interrupted_dump_of_routes_ends_with_each_route_once),
    cmocka_unit_test (dump_that_fails_half_way_is_an_error),
    cmocka_unit_test (rules_are_dumped_until_two_dumps_agree),
    cmocka_unit_test (dumps_of_rules_that_never_agree_are_an_error),
    cmocka_unit_test (guard_that_changes_during_a_read_is_read_again),
    cmocka_unit_test (netfilter_sockets_are_closed_late_but_not_never),
  };

  return cmocka_run_group_tests_name ("ks-netlink", tests, NULL, NULL);
}
