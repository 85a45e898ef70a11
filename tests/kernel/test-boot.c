/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The real programs at boot: what they must not wait for. /etc, /run and
 * /var/lib are file systems of the test's own, with a profile that is armed and
 * a name service that writes down what it is asked.
 */
#include "netns.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <sys/stat.h>

#include "kernel/ks-kernel.h"
#include "ks-test.h"
#include "policy/ks-owner.h"

#define PROFILES "/etc/NetworkManager/system-connections"
#define CONFIG "/etc/nm-killswitch.conf"
#define STATE "/var/lib/nm-killswitch/state"
#define ASKED "/run/asked"
#define BOOT KS_BUILD "/nm-killswitch sync --boot"

static void
write_file (const char *path, const char *text)
{
  g_autoptr (GError) error = NULL;
  g_autofree char *directory = g_path_get_dirname (path);

  assert_int_equal (g_mkdir_with_parents (directory, 0755), 0);
  if (!g_file_set_contents_full (path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &error))
    fail_msg ("%s", error->message);
}

/* OpenVPN, to a server known by address and one known by name; @connection are further lines of [connection]. */
static void
write_profile (const char *connection)
{
  g_autofree char *text =
    ks_test_openvpn (KS_TEST_UUID_1, connection, "remote=203.0.113.10:1194:udp, vpn.example.org:1194:udp\n");

  write_file (PROFILES "/vpn.nmconnection", text);
}

static gboolean
enter_booting_host (void)
{
  if (!netns_enter () || !netns_enter_own_files ())
    return FALSE;
  g_setenv ("LD_LIBRARY_PATH", KS_BUILD "/tests/tools", TRUE);
  write_file ("/etc/nsswitch.conf", "passwd: files asked\ngroup: files asked\ninitgroups: files asked\n"
                                    "services: files asked\nprotocols: files asked\nhosts: files asked\n");
  write_file ("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nnm-openvpn:x:4321:4321::/:/bin/false\n");
  write_profile ("zone=killswitch\n");
  return TRUE;
}

#define BOOT_OR_SKIP() \
  do { \
    if (!enter_booting_host ()) \
      skip (); \
  } while (0)

static gboolean
has_guard (void)
{
  return netns_try ("nft list table inet nm_killswitch") == 0;
}

/* Whether the rule that everything ends at and the blackhole are there, for both families. */
static gboolean
has_rules (void)
{
  g_autoptr (KsConfig) config = ks_config_new ();
  g_autoptr (KsKernel) kernel = ks_kernel_new (NULL);
  g_autoptr (KsSnapshot) snapshot = kernel ? ks_kernel_dump (kernel, config, NULL) : NULL;
  guint found = 0;

  assert_non_null (snapshot);
  for (guint i = 0; i < snapshot->rules->len; i++) {
    const KsRule *rule = &g_array_index (snapshot->rules, KsRule, i);

    found += rule->protocol == config->protocol && rule->priority == config->priority + KS_PRIORITY_TERMINAL;
  }
  for (guint i = 0; i < snapshot->routes->len; i++) {
    const KsRoute *route = &g_array_index (snapshot->routes, KsRoute, i);

    found += route->table == config->table && route->type == RTN_BLACKHOLE && route->dst.length == 0;
  }
  return found == 4;
}

static gboolean
has_rule_for_uid (guint uid)
{
  g_autofree char *rules = netns_output ("ip -4 rule show");
  g_autofree char *words = g_strdup_printf ("uidrange %u-%u ", uid, uid);

  return strstr (rules, words) != NULL;
}

/* --- names --- */

/* What the name service was asked so far (transfer full). */
static char *
asked (void)
{
  char *text = NULL;

  return g_file_get_contents (ASKED, &text, NULL, NULL) ? text : g_strdup ("");
}

static void
assert_nothing_asked (const char *command)
{
  g_autofree char *text = asked ();

  if (*text)
    fail_msg ("%s asked the name service: %s", command, text);
}

static void
name_service_is_asked_by_other_programs (void **state G_GNUC_UNUSED)
{
  static const char *const questions[] = { "passwd stranger", "group stranger", "services stranger",
                                           "protocols stranger", "hosts vpn.example.org" };

  BOOT_OR_SKIP ();
  for (guint i = 0; i < G_N_ELEMENTS (questions); i++) {
    g_autofree char *text = NULL;

    netns_try ("getent %s", questions[i]);
    text = asked ();
    if (!*text)
      fail_msg ("getent %s did not ask", questions[i]);
    g_unlink (ASKED);
  }
}

static void
boot_asks_no_name_service (void **state G_GNUC_UNUSED)
{
  static const char *const commands[] = { BOOT, KS_BUILD "/10-killswitch tun0 vpn-pre-up" };

  for (guint i = 0; i < G_N_ELEMENTS (commands); i++) {
    BOOT_OR_SKIP ();
    g_setenv ("CONNECTION_UUID", KS_TEST_UUID_1, TRUE);
    netns_run ("%s", commands[i]);
    assert_nothing_asked (commands[i]); /* before `ip` and `nft` do */
    assert_true (has_rules ());
    assert_true (has_guard ());
  }
}

static void
boot_exempts_the_service_user_of_etc_passwd (void **state G_GNUC_UNUSED)
{
  BOOT_OR_SKIP ();
  netns_run (BOOT);
  assert_true (has_rule_for_uid (0));
  assert_true (has_rule_for_uid (4321));
}

/* As on Fedora's image-based systems: users of packages are not in /etc. */
static void
boot_exempts_the_service_user_of_usr_lib_passwd (void **state G_GNUC_UNUSED)
{
  BOOT_OR_SKIP ();
  write_file ("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\n");
  write_file ("/run/lib/passwd", "nm-openvpn:x:4322:4322::/:/bin/false\n");
  if (mount ("overlay", "/usr/lib", "overlay", 0, "lowerdir=/run/lib:/usr/lib") < 0) {
    print_message ("skipped: no overlay: %s\n", g_strerror (errno));
    skip ();
  }
  netns_run (BOOT);
  assert_true (has_rule_for_uid (4322));
  assert_false (has_rule_for_uid (4321));
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (name_service_is_asked_by_other_programs),
    cmocka_unit_test (boot_asks_no_name_service),
    cmocka_unit_test (boot_exempts_the_service_user_of_etc_passwd),
    cmocka_unit_test (boot_exempts_the_service_user_of_usr_lib_passwd),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
