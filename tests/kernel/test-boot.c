/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The real programs at boot and at `release`, and what they must not wait for. /etc, /run and
 * /var/lib are the test's own, with an armed profile and a name service that
 * writes down what it is asked.
 */
#include "netns.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "kernel/ks-kernel.h"
#include "ks-test.h"
#include "policy/ks-owner.h"

#define PROFILES "/etc/NetworkManager/system-connections"
#define CONFIG "/etc/nm-killswitch.conf"
#define STATE "/var/lib/nm-killswitch/state"
#define JOURNAL "/run/systemd/journal/socket"
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

static gboolean
asks_for_hosts (const char *command)
{
  g_autofree char *text = NULL;

  g_unlink (ASKED);
  g_setenv ("CONNECTION_UUID", KS_TEST_UUID_1, TRUE);
  netns_run ("%s", command);
  text = asked ();
  return strstr (text, "gethostbyname") != NULL;
}

/* NetworkManager waits until the program ends; the servers' names are asked for at another event. */
static void
events_that_networkmanager_waits_for_ask_for_no_name (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *action;
    gboolean is_awaited;
  } events[] = { { "pre-up", TRUE },  { "vpn-pre-up", TRUE }, { "pre-down", TRUE },     { "vpn-pre-down", TRUE },
                 { "vpn-up", FALSE }, { "vpn-down", FALSE },  { "dhcp4-change", FALSE } };

  BOOT_OR_SKIP ();
  for (guint i = 0; i < G_N_ELEMENTS (events); i++) {
    g_autofree char *command = g_strdup_printf (KS_BUILD "/10-killswitch tun0 %s", events[i].action);

    if (asks_for_hosts (command) == events[i].is_awaited)
      fail_msg ("%s %s the servers' names", events[i].action, events[i].is_awaited ? "asks for" : "does not ask for");
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

/* --- what hangs --- */

static void
wait_a_little (void)
{
  g_usleep (20000);
}
#define TRIES 1000

static void
end_with_test (gpointer user_data G_GNUC_UNUSED)
{
  prctl (PR_SET_PDEATHSIG, SIGKILL);
}

/* Starts a command that may never end. */
static pid_t
start (const char *command)
{
  g_auto (GStrv) argv = g_strsplit (command, " ", -1);
  g_autoptr (GError) error = NULL;
  GPid pid = 0;

  if (!g_spawn_async (NULL, argv, NULL,
                      G_SPAWN_DO_NOT_REAP_CHILD | G_SPAWN_STDOUT_TO_DEV_NULL | G_SPAWN_STDERR_TO_DEV_NULL,
                      end_with_test, NULL, &pid, &error))
    fail_msg ("%s", error->message);
  return pid;
}

/* Ends it; whether it was still running. */
static gboolean
end (pid_t pid)
{
  gboolean is_running = waitpid (pid, NULL, WNOHANG) == 0;

  if (is_running) {
    kill (pid, SIGKILL);
    waitpid (pid, NULL, 0);
  }
  return is_running;
}

/*
 * Waits until @pid opens @fifo for reading, and keeps it waiting there, as a
 * file system that hangs would. A FIFO can be opened for writing, without
 * waiting, only while somebody has it open for reading.
 */
static void
wait_until_it_hangs_at (const char *fifo, pid_t pid)
{
  for (int i = 0; i < TRIES; i++) {
    int file = open (fifo, O_WRONLY | O_NONBLOCK | O_CLOEXEC);

    if (file >= 0)
      return; /* left open: the reader would see an empty file otherwise */
    if (waitpid (pid, NULL, WNOHANG) != 0)
      fail_msg ("the program ended and did not read %s", fifo);
    wait_a_little ();
  }
  end (pid);
  fail_msg ("the program does not read %s", fifo);
}

static void
make_state_hang (void)
{
  g_autofree char *directory = g_path_get_dirname (STATE);

  assert_int_equal (g_mkdir_with_parents (directory, 0700), 0);
  assert_int_equal (mkfifo (STATE, 0600), 0);
}

static void
boot_blocks_before_it_reads_what_is_remembered (void **state G_GNUC_UNUSED)
{
  static const char *const configs[] = { "[main]\nGuard=on\n", "[main]\nGuard=off\n" };

  for (guint i = 0; i < G_N_ELEMENTS (configs); i++) {
    pid_t pid;

    BOOT_OR_SKIP ();
    write_file (CONFIG, configs[i]);
    make_state_hang ();
    pid = start (BOOT);
    wait_until_it_hangs_at (STATE, pid);
    assert_true (has_rules ());
    assert_int_equal (has_guard (), i == 0);
    assert_true (end (pid));
  }
}

static void
boot_blocks_nothing_while_nothing_is_armed (void **state G_GNUC_UNUSED)
{
  pid_t pid;

  BOOT_OR_SKIP ();
  write_profile ("");
  make_state_hang ();
  pid = start (BOOT);
  wait_until_it_hangs_at (STATE, pid);
  assert_false (has_guard ());
  assert_false (has_rules ());
  assert_true (end (pid));
}

/* The kernel may hold more than the profiles ask for: a session, for example, is known from the state alone. */
static void
boot_removes_nothing_before_it_reads_what_is_remembered (void **state G_GNUC_UNUSED)
{
  for (int with_rules = 0; with_rules < 2; with_rules++) {
    g_autofree char *before = NULL;
    g_autofree char *after = NULL;
    pid_t pid;

    BOOT_OR_SKIP ();
    netns_run (BOOT);
    write_profile ("");
    assert_int_equal (g_unlink (STATE), 0);
    if (!with_rules) {
      netns_run ("ip -4 rule flush protocol 83");
      netns_run ("ip -6 rule flush protocol 83");
    }
    before = netns_everything ();
    make_state_hang ();
    pid = start (BOOT);
    wait_until_it_hangs_at (STATE, pid);
    after = netns_everything ();
    assert_string_equal (before, after);
    assert_true (has_guard ());
    assert_true (end (pid));
  }
}

/* /var may be what hangs, and being off-line what keeps it so. */
static void
release_removes_everything_before_it_reads_what_is_remembered (void **state G_GNUC_UNUSED)
{
  g_autofree char *before = NULL;
  g_autofree char *after = NULL;
  pid_t pid;

  BOOT_OR_SKIP ();
  before = netns_everything ();
  netns_run (BOOT);
  assert_true (has_rules ());
  assert_true (has_guard ());
  assert_int_equal (g_unlink (STATE), 0);
  make_state_hang ();
  pid = start (KS_BUILD "/nm-killswitch release");
  wait_until_it_hangs_at (STATE, pid);
  after = netns_everything ();
  assert_string_equal (before, after);
  assert_true (end (pid));
}

/* A journal whose socket is full, as if journald were stopped or waiting for its disk. */
static int
make_journal_hang (void)
{
  const struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = JOURNAL };
  g_autofree char *directory = g_path_get_dirname (JOURNAL);
  int journal = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  int sender = socket (AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

  assert_int_equal (g_mkdir_with_parents (directory, 0755), 0);
  assert_int_equal (bind (journal, (const struct sockaddr *) &address, sizeof address), 0);
  while (sendto (sender, "", 1, 0, (const struct sockaddr *) &address, sizeof address) == 1)
    ;
  assert_int_equal (errno, EAGAIN);
  close (sender);
  return journal;
}

static void
boot_blocks_although_the_journal_hangs (void **state G_GNUC_UNUSED)
{
  /* the second one's event is malformed */
  static const char *const commands[] = { BOOT, KS_BUILD "/10-killswitch" };

  for (guint i = 0; i < G_N_ELEMENTS (commands); i++) {
    int journal, tries = 0;
    pid_t pid;

    BOOT_OR_SKIP ();
    write_file (CONFIG, "[main]\nLan=sometimes\n");
    journal = make_journal_hang ();
    pid = start (commands[i]);
    while ((!has_rules () || !has_guard ()) && tries++ < TRIES)
      wait_a_little ();
    if (tries >= TRIES)
      fail_msg ("%s waits for the journal and has not blocked", commands[i]);
    assert_true (end (pid));
    close (journal);
  }
}

/* --- libraries that are loaded when they are needed --- */

#define LIBRARIES "/run/libraries"

/* The dynamic linker finds an empty file in place of the library. */
static void
boot_blocks_without_a_library (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *soname;
    gboolean has_guard;
  } cases[] = { { "libnm.so.0", TRUE }, { "libnftables.so.1", FALSE } };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *path = g_build_filename (LIBRARIES, cases[i].soname, NULL);
    g_autofree char *output = NULL;

    BOOT_OR_SKIP ();
    write_file (path, "");
    output = netns_output ("sh -c 'LD_LIBRARY_PATH=" LIBRARIES " " BOOT " 2>&1; echo status $?'");
    assert_non_null (strstr (output, "status 1"));
    assert_non_null (strstr (output, cases[i].soname));
    assert_true (has_rules ());
    assert_int_equal (has_guard (), cases[i].has_guard);
    /* the same program, with the library */
    assert_int_equal (netns_try (BOOT), 0);
    assert_true (has_guard ());
  }
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (name_service_is_asked_by_other_programs),
    cmocka_unit_test (boot_asks_no_name_service),
    cmocka_unit_test (events_that_networkmanager_waits_for_ask_for_no_name),
    cmocka_unit_test (boot_exempts_the_service_user_of_etc_passwd),
    cmocka_unit_test (boot_exempts_the_service_user_of_usr_lib_passwd),
    cmocka_unit_test (boot_blocks_before_it_reads_what_is_remembered),
    cmocka_unit_test (boot_blocks_nothing_while_nothing_is_armed),
    cmocka_unit_test (boot_removes_nothing_before_it_reads_what_is_remembered),
    cmocka_unit_test (release_removes_everything_before_it_reads_what_is_remembered),
    cmocka_unit_test (boot_blocks_although_the_journal_hangs),
    cmocka_unit_test (boot_blocks_without_a_library),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
