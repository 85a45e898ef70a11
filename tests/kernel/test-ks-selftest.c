/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The self-test against policies that are right, and ones that are broken on
 * purpose: a case that cannot fail proves nothing.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/ks-error.h"
#include "ks-test.h"
#include "netns.h"
#include "selftest/ks-selftest.h"

#define NOBODY 65534

static const char *skip_reason;

/* --- running it --- */

static KsSelftestReport *
run (KsSelftestPolicyFunc spoil, gpointer user_data)
{
  const KsSelftestOptions options = { .spoil = spoil, .user_data = user_data };
  g_autoptr (GError) error = NULL;
  KsSelftestReport *report = ks_selftest_run (&options, &error);

  if (!report)
    fail_msg ("%s", error->message);
  return report;
}

static int
set_up_group (void **state G_GNUC_UNUSED)
{
  const KsSelftestOptions options = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (KsSelftestReport) report = ks_selftest_run (&options, &error);

  if (!report && g_error_matches (error, KS_ERROR, KS_ERROR_PERMISSION)) {
    print_message ("%s\n", error->message);
    skip_reason = "no network namespaces for this user";
  }
  return 0;
}

#define NEED_NAMESPACES() \
  if (skip_reason) { \
    print_message ("skipped: %s\n", skip_reason); \
    skip (); \
  }

#define NEED_ROOT() \
  if (geteuid () != 0) { \
    print_message ("skipped: needs root\n"); \
    skip (); \
  }

/* The outcome of the case whose name begins with @name. */
static const KsSelftestOutcome *
find (const KsSelftestReport *report, const char *name)
{
  for (guint i = 0; i < report->outcomes->len; i++) {
    const KsSelftestOutcome *outcome = report->outcomes->pdata[i];

    if (g_str_has_prefix (outcome->name, name))
      return outcome;
  }
  fail_msg ("no case '%s'", name);
  return NULL;
}

static void
expect (const KsSelftestReport *report, const char *name, KsSelftestResult result, const char *text)
{
  const KsSelftestOutcome *outcome = find (report, name);

  if (outcome->result != result || !strstr (outcome->text, text))
    fail_msg ("%s: result %d, not %d with '%s': %s", outcome->name, outcome->result, result, text, outcome->text);
}

#define EXPECT_PASS(report, name) expect (report, name, KS_SELFTEST_PASSED, "")
#define EXPECT_FAIL(report, name, text) expect (report, name, KS_SELFTEST_FAILED, text)

/* cmocka cuts a message off after 1,024 bytes: the report is printed beside it, and the message names what failed. */
static void
assert_good (const KsSelftestReport *report)
{
  g_autofree char *text = ks_selftest_format (report);
  g_autoptr (GString) failed = g_string_new (NULL);

  if (ks_selftest_is_good (report))
    return;
  fputs (text, stdout);
  for (guint i = 0; i < report->outcomes->len; i++) {
    const KsSelftestOutcome *outcome = report->outcomes->pdata[i];

    if (outcome->result == KS_SELFTEST_FAILED)
      g_string_append_printf (failed, " '%s'", outcome->name);
  }
  fail_msg ("%u of %u cases failed:%s", report->failed, report->outcomes->len, failed->str);
}

/* --- policies that are wrong --- */

/* Not armed at all. */
static void
let_all_out (KsPolicy *policy, gpointer user_data G_GNUC_UNUSED)
{
  policy->armed = policy->guard = FALSE;
  g_array_set_size (policy->rules, 0);
  g_array_set_size (policy->routes, 0);
}

/* Nothing but an end, in both layers. */
static void
let_nothing_out (KsPolicy *policy, gpointer user_data G_GNUC_UNUSED)
{
  static const int families[] = { AF_INET, AF_INET6 };

  g_array_set_size (policy->rules, 0);
  g_array_set_size (policy->lan_prefixes, 0);
  g_array_set_size (policy->transports, 0);
  g_ptr_array_set_size (policy->tunnels, 0);
  policy->lan = KS_LAN_OFF;
  for (guint i = 0; i < G_N_ELEMENTS (families); i++) {
    KsRule rule = ks_rule_init (families[i], 8300, 83);

    rule.action = FR_ACT_UNREACHABLE;
    g_array_append_val (policy->rules, rule);
  }
}

/* A rule that disarming does not know as ours. */
static void
leave_a_rule_behind (KsPolicy *policy, gpointer user_data G_GNUC_UNUSED)
{
  KsRule rule = ks_rule_lookup (AF_INET, 9000, 83, RT_TABLE_MAIN);

  g_array_append_val (policy->rules, rule);
}

static void
leave_the_guard_out (KsPolicy *policy, gpointer user_data G_GNUC_UNUSED)
{
  policy->guard = FALSE;
}

static void
leave_the_rules_out (KsPolicy *policy, gpointer user_data G_GNUC_UNUSED)
{
  g_array_set_size (policy->rules, 0);
}

/* Removes table 84's default routes, which most packets get no further than. */
static void
leave_the_shortcut_out (KsPolicy *policy, gpointer user_data G_GNUC_UNUSED)
{
  for (guint i = policy->routes->len; i-- > 0;) {
    const KsRoute *route = &g_array_index (policy->routes, KsRoute, i);

    if (route->table == 84 && ks_route_is_default (route))
      g_array_remove_index (policy->routes, i);
  }
}

/* Removes the rules with the priority that @user_data points to; without the shortcut past them, which would stand in.
 */
static void
leave_a_priority_out (KsPolicy *policy, gpointer user_data)
{
  for (guint i = policy->rules->len; i-- > 0;)
    if (g_array_index (policy->rules, KsRule, i).priority == *(const guint32 *) user_data)
      g_array_remove_index (policy->rules, i);
  leave_the_shortcut_out (policy, NULL);
}

/* Whoever sends a transport. */
static void
forget_who_sends (KsPolicy *policy, gpointer user_data G_GNUC_UNUSED)
{
  for (guint i = 0; i < policy->transports->len; i++) {
    g_array_index (policy->transports, KsTransport, i).uid = KS_UID_ANY;
    g_array_index (policy->transports, KsTransport, i).kernel = FALSE;
  }
  for (guint i = 0; i < policy->rules->len; i++)
    if (g_array_index (policy->rules, KsRule, i).priority == 8300)
      g_array_index (policy->rules, KsRule, i).has_uid_range = FALSE;
}

/* --- tests --- */

static void
selftest_passes_on_this_kernel (void **state G_GNUC_UNUSED)
{
  gint64 begin = g_get_monotonic_time ();
  g_autoptr (KsSelftestReport) report = NULL;

  NEED_NAMESPACES ();
  report = run (NULL, NULL);
  print_message ("%u passed, %u skipped, in %d ms\n", report->passed, report->skipped,
                 (int) ((g_get_monotonic_time () - begin) / 1000));
  assert_good (report);
  assert_true (report->outcomes->len > 40);
  assert_int_equal (report->passed + report->failed + report->skipped, report->outcomes->len);
}

static void
selftest_needs_no_tun_device (void **state G_GNUC_UNUSED)
{
  const KsSelftestOptions options = { .without_tun = TRUE, .verbose = TRUE };
  g_autoptr (GError) error = NULL;
  g_autoptr (KsSelftestReport) report = NULL;

  NEED_NAMESPACES ();
  report = ks_selftest_run (&options, &error);
  if (!report)
    fail_msg ("%s", error->message);
  assert_good (report);
  assert_non_null (strstr (find (report, "traffic through the tunnel")->text, "1 in the tunnel, answered"));
}

static void
every_case_can_fail (void **state G_GNUC_UNUSED)
{
  static const KsSelftestPolicyFunc policies[] = { let_all_out, let_nothing_out, leave_a_rule_behind };
  g_autoptr (GHashTable) failed = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autoptr (KsSelftestReport) names = NULL;

  NEED_NAMESPACES ();
  for (guint i = 0; i < G_N_ELEMENTS (policies); i++) {
    g_autoptr (KsSelftestReport) report = run (policies[i], NULL);

    assert_false (ks_selftest_is_good (report));
    for (guint j = 0; j < report->outcomes->len; j++) {
      const KsSelftestOutcome *outcome = report->outcomes->pdata[j];

      if (outcome->result == KS_SELFTEST_FAILED)
        g_hash_table_add (failed, g_strdup (outcome->name));
    }
  }
  names = run (NULL, NULL);
  for (guint i = 0; i < names->outcomes->len; i++) {
    const KsSelftestOutcome *outcome = names->outcomes->pdata[i];

    if (outcome->result != KS_SELFTEST_SKIPPED && !g_hash_table_contains (failed, outcome->name))
      fail_msg ("'%s' passes whatever the policy is", outcome->name);
  }
}

static void
without_any_policy_every_attack_is_seen_to_succeed (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsSelftestReport) report = NULL;

  NEED_NAMESPACES ();
  report = run (let_all_out, NULL);
  for (guint i = 0; i < report->outcomes->len; i++) {
    const KsSelftestOutcome *outcome = report->outcomes->pdata[i];
    gboolean is_attack = !g_str_has_prefix (outcome->name, "works: ") && !g_str_equal (outcome->name, "arming")
                         && !g_str_equal (outcome->name, "disarming");

    if (is_attack && outcome->result != KS_SELFTEST_SKIPPED)
      EXPECT_FAIL (report, outcome->name, "got out: ");
  }
  EXPECT_PASS (report, "works: the local network, with an answer");
}

/* As if whatever the system's resolver sends were let out. */
static void
let_the_resolver_ask_anything (KsPolicy *policy, gpointer user_data G_GNUC_UNUSED)
{
  guint count = policy->bootstrap->len;

  for (guint i = 0; i < count; i++)
    g_array_append_val (policy->transports, g_array_index (policy->bootstrap, KsTransport, i));
}

static void
let_nobody_ask (KsPolicy *policy, gpointer user_data G_GNUC_UNUSED)
{
  g_array_set_size (policy->bootstrap, 0);
}

static void
selftest_notices_names_that_may_be_looked_up (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsSelftestReport) anything = NULL, nothing = NULL;

  NEED_NAMESPACES ();
  NEED_ROOT ();
  anything = run (let_the_resolver_ask_anything, NULL);
  EXPECT_FAIL (anything, "a user's name in DNS, as another user (the resolver's)", "got out: ");
  EXPECT_FAIL (anything, "DNS to the router, over UDP", "got out: ");
  EXPECT_PASS (anything, "works: the server's name in DNS");
  nothing = run (let_nobody_ask, NULL);
  EXPECT_FAIL (nothing, "works: the server's name in DNS", "broken");
  EXPECT_PASS (nothing, "a user's name in DNS, as another user (the resolver's)");
}

static void
selftest_notices_that_there_is_no_guard (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsSelftestReport) report = NULL;

  NEED_NAMESPACES ();
  report = run (leave_the_guard_out, NULL);
  EXPECT_FAIL (report, "bound socket (SO_BINDTODEVICE), router", "ARP request for 198.51.100.1");
  EXPECT_FAIL (report, "IP_UNICAST_IF, IPV6_UNICAST_IF", "got out");
  EXPECT_FAIL (report, "IP_PKTINFO, IPV6_PKTINFO", "got out");
  EXPECT_FAIL (report, "multicast beyond the site", "got out");
  EXPECT_FAIL (report, "udp from the VPN's port, as root", "got out");
  EXPECT_FAIL (report, "answers for the tunnel's address to the LAN", "got out");
  EXPECT_FAIL (report, "forwarded traffic to the VPN's port", "got out");
  EXPECT_FAIL (report, "traffic to the Internet, as root", "guard alone: got out");
  EXPECT_PASS (report, "works: the VPN's own transport, with an answer");
}

static void
selftest_notices_that_there_are_no_rules (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsSelftestReport) report = NULL;

  NEED_NAMESPACES ();
  report = run (leave_the_rules_out, NULL);
  EXPECT_FAIL (report, "traffic to the Internet, as root", "rules alone: got out");
  EXPECT_FAIL (report, "connections opened before arming", "rules alone: got out");
  EXPECT_FAIL (report, "LAN routes for half of the Internet", "did not arrive in the tunnel");
  EXPECT_FAIL (report, "private address in the tunnel", "did not arrive in the tunnel");
  /* a plugin VPN's default route is in table main: without table 85 the transport loops */
  EXPECT_FAIL (report, "works: the VPN's own transport, with an answer", "tunnel up: broken");
  EXPECT_PASS (report, "multicast beyond the site");
}

static void
selftest_notices_each_kind_of_rule_that_is_missing (void **state G_GNUC_UNUSED)
{
  static const struct {
    guint32 priority;
    const char *name;
    const char *text;
  } kinds[] = {
    { 8300, "works: the VPN's own transport, with an answer", "broken" },
    { 8307, "works: DHCP renewal", "broken" },
    { 8310, "DNS to the router", "did not arrive in the tunnel" },
    { 8309, "private address in the tunnel", "did not arrive in the tunnel" },
    { 8330, "works: the local network, with an answer", "broken" },
    { 8335, "works: mDNS", "broken" },
    { 8380, "traffic through the tunnel, with an answer", "did not arrive in the tunnel" },
    { 8390, "bound socket (SO_BINDTODEVICE), router", "rules alone: got out" },
  };

  NEED_NAMESPACES ();
  for (guint i = 0; i < G_N_ELEMENTS (kinds); i++) {
    g_autoptr (KsSelftestReport) report = run (leave_a_priority_out, (gpointer) &kinds[i].priority);

    EXPECT_FAIL (report, kinds[i].name, kinds[i].text);
  }
}

static void
selftest_passes_without_the_shortcut (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsSelftestReport) report = NULL;

  NEED_NAMESPACES ();
  report = run (leave_the_shortcut_out, NULL);
  EXPECT_PASS (report, "traffic through the tunnel, with an answer");
  EXPECT_PASS (report, "works: the local network, with an answer");
}

static void
selftest_notices_a_transport_that_anybody_can_use (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsSelftestReport) report = NULL;

  NEED_NAMESPACES ();
  NEED_ROOT ();
  report = run (forget_who_sends, NULL);
  EXPECT_FAIL (report, "udp to the VPN's port of its server, as another user", "got out");
  EXPECT_PASS (report, "tcp from the VPN's port, as root");
}

static void
selftest_notices_what_is_left_behind (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsSelftestReport) report = NULL;

  NEED_NAMESPACES ();
  report = run (leave_a_rule_behind, NULL);
  EXPECT_FAIL (report, "arming", "not what they were set to");
  EXPECT_FAIL (report, "disarming", "left behind: IPv4 rule");
}

/* As an ordinary user would run it. Exits with what is wrong. */
static int
run_as_nobody (void)
{
  const KsSelftestOptions options = { 0 };
  g_autoptr (GError) error = NULL;
  g_autoptr (KsSelftestReport) report = NULL;

  if (setresgid (NOBODY, NOBODY, NOBODY) != 0
      || setresuid (NOBODY, NOBODY, NOBODY) != 0
      /* what exec() does: /proc/self is the user's own again */
      || prctl (PR_SET_DUMPABLE, 1) != 0)
    return 1;
  report = ks_selftest_run (&options, &error);
  if (!report)
    return g_error_matches (error, KS_ERROR, KS_ERROR_PERMISSION) ? 77 : 2;
  for (guint i = 0; i < report->outcomes->len; i++) {
    const KsSelftestOutcome *outcome = report->outcomes->pdata[i];
    gboolean needs_root = strstr (outcome->name, "as another user") != NULL;

    if (needs_root != (outcome->result == KS_SELFTEST_SKIPPED))
      return 3;
  }
  return ks_selftest_is_good (report) ? 0 : 4;
}

static void
selftest_runs_as_an_ordinary_user_except_for_other_users_cases (void **state G_GNUC_UNUSED)
{
  int status = -1;
  pid_t child;

  NEED_NAMESPACES ();
  NEED_ROOT ();
  child = fork ();
  if (child == 0)
    _exit (run_as_nobody ());
  assert_int_equal (waitpid (child, &status, 0), child);
  if (WIFEXITED (status) && WEXITSTATUS (status) == 77) {
    print_message ("skipped: no user namespaces for ordinary users here\n");
    skip ();
  }
  assert_true (WIFEXITED (status));
  assert_int_equal (WEXITSTATUS (status), 0);
}

/* The end of a process that is nobody's child any more comes to us. */
static void
selftest_ends_when_its_parent_is_killed (void **state G_GNUC_UNUSED)
{
  const KsSelftestOptions options = { 0 };
  int status = 0;
  pid_t child;

  NEED_NAMESPACES ();
  assert_int_equal (prctl (PR_SET_CHILD_SUBREAPER, 1), 0);
  child = fork ();
  if (child == 0) {
    ks_selftest_run (&options, NULL);
    _exit (0);
  }
  g_usleep (200 * 1000);
  kill (child, SIGKILL);
  assert_int_equal (waitpid (child, &status, 0), child);
  assert_true (WIFSIGNALED (status));
  /* its child; a child of that one may follow */
  assert_true (waitpid (-1, &status, 0) > 0);
  assert_true (WIFSIGNALED (status));
  while (waitpid (-1, &status, 0) > 0)
    ;
  prctl (PR_SET_CHILD_SUBREAPER, 0);
}

/* Devices, rules, routes and nftables of this namespace, and whether our files are there (transfer full). */
static char *
describe_host (void)
{
  g_autofree char *routing = netns_everything ();
  g_autofree char *links = netns_output ("ip -o link show");
  g_autofree char *addresses = netns_output ("ip -o address show");
  struct stat runtime = { 0 }, state = { 0 };

  stat (KS_RUNSTATEDIR "/nm-killswitch", &runtime);
  stat (KS_LOCALSTATEDIR "/lib/nm-killswitch", &state);
  return g_strdup_printf ("%s%s%s%jd %jd", routing, links, addresses, (intmax_t) runtime.st_mtime,
                          (intmax_t) state.st_mtime);
}

/* In a namespace of the test's own: nobody else changes it meanwhile. The last test, as there is no way back. */
static void
selftest_leaves_the_host_alone (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsSelftestReport) report = NULL;
  g_autofree char *before = NULL;
  g_autofree char *after = NULL;

  NEED_NAMESPACES ();
  NETNS_ENTER_OR_SKIP ();
  /* or an address changes by itself a second later */
  netns_write_file ("/proc/sys/net/ipv6/conf/default/accept_dad", "0");
  netns_run ("ip link add v0 type veth peer name v1");
  netns_run ("ip link set v0 up");
  netns_run ("ip link set v1 up");
  netns_run ("ip address add 192.168.77.9/24 dev v0");
  netns_run ("ip route add default via 192.168.77.1");
  netns_settle ();
  before = describe_host ();
  report = run (NULL, NULL);
  after = describe_host ();
  assert_string_equal (before, after);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (selftest_passes_on_this_kernel),
    cmocka_unit_test (selftest_needs_no_tun_device),
    cmocka_unit_test (every_case_can_fail),
    cmocka_unit_test (without_any_policy_every_attack_is_seen_to_succeed),
    cmocka_unit_test (selftest_notices_names_that_may_be_looked_up),
    cmocka_unit_test (selftest_notices_that_there_is_no_guard),
    cmocka_unit_test (selftest_notices_that_there_are_no_rules),
    cmocka_unit_test (selftest_notices_each_kind_of_rule_that_is_missing),
    cmocka_unit_test (selftest_passes_without_the_shortcut),
    cmocka_unit_test (selftest_notices_a_transport_that_anybody_can_use),
    cmocka_unit_test (selftest_notices_what_is_left_behind),
    cmocka_unit_test (selftest_runs_as_an_ordinary_user_except_for_other_users_cases),
    cmocka_unit_test (selftest_ends_when_its_parent_is_killed),
    cmocka_unit_test (selftest_leaves_the_host_alone),
  };

  return cmocka_run_group_tests (tests, set_up_group, NULL);
}
