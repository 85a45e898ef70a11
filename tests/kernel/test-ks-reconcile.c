/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Whole runs against the real kernel, on a host with files, a network and a
 * NetworkManager of the test's own.
 *
 *   uplink 192.168.50.2/24, default via 192.168.50.1     tun0 10.8.0.2/24, the VPN's device
 *
 * What stays blocked is asked of the kernel, as a program's packet would: by
 * which device, if any, a public address is reached.
 */
#include "ks-test-nm.h"
#include "ks-test.h"
#include "netns.h"

#include <glib/gstdio.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>

#include "base/ks-lock.h"
#include "run/ks-reconcile.h"
#include "run/ks-release.h"

#define STRICT "zone=killswitch\n"
#define SESSION "zone=killswitch-auto\n"
#define PUBLIC "198.51.100.1"

enum { CONNECTED = 70 };
enum { ACTIVATED = 2, DEACTIVATING = 3 };

typedef struct {
  KsTestHost *host;
  KsTestNm *nm; /* NULL: silent */
} Machine;

static void
write_vpn (const Machine *machine, const char *connection)
{
  g_autofree char *text = ks_test_wireguard (KS_TEST_UUID_1, connection, "");
  g_autoptr (GString) named = g_string_new (text);

  g_string_replace (named, "wg0", "tun0", 0);
  ks_test_host_write (machine->host, "etc/vpn", named->str);
}

/* A profile that NetworkManager ignores: it is no VPN, and never asked for anything. */
static void
write_stray (const Machine *machine)
{
  g_autofree char *path = ks_test_path (machine->host->directory, "etc/stray");

  ks_test_host_write (machine->host, "etc/stray", "[connection]\nid=eth\nuuid=" KS_TEST_UUID_3 "\ntype=ethernet\n");
  assert_int_equal (chmod (path, 0644), 0);
}

static void
set_mode (const Machine *machine, const char *name, mode_t mode)
{
  g_autofree char *path = ks_test_path (machine->host->directory, name);

  assert_int_equal (chmod (path, mode), 0);
}

/* What NetworkManager says of the VPN: @state is an NMActiveConnectionState, 0 for none. */
static void
set_vpn (const Machine *machine, guint state)
{
  ks_test_nm_main (machine->nm, CONNECTED, state ? "5" : "", state ? "5" : "");
  ks_test_nm_active (machine->nm, 5, KS_TEST_UUID_1, FALSE, state, "5", 5, 0);
  ks_test_nm_device (machine->nm, 5, "tun0", 5, 0);
  ks_test_nm_ip4 (machine->nm, 5, "10.8.0.2/24", "", "10.8.0.0/24", "");
  ks_test_nm_wireguard (machine->nm, 5, 51820, 0);
}

static void
add_tunnel_device (void)
{
  netns_run ("ip tuntap add mode tun name tun0");
  netns_run ("ip link set tun0 up");
  netns_run ("ip addr add 10.8.0.2/24 dev tun0");
}

static Machine *
machine_new (gboolean with_nm)
{
  Machine *machine;

  if (!netns_enter ())
    return NULL;
  netns_run ("ip tuntap add mode tap name uplink");
  netns_run ("ip link set uplink up");
  netns_run ("ip addr add 192.168.50.2/24 dev uplink");
  netns_run ("ip route add default via 192.168.50.1 dev uplink");
  add_tunnel_device ();
  netns_settle ();
  machine = g_new0 (Machine, 1);
  machine->host = ks_test_host_new ();
  ks_test_no_bus ();
  if (with_nm) {
    machine->nm = ks_test_nm_new ();
    set_vpn (machine, 0);
  }
  write_vpn (machine, "");
  return machine;
}

static void
machine_free (Machine *machine)
{
  g_autofree char *runtime = NULL;

  if (!machine)
    return;
  g_clear_pointer (&machine->nm, ks_test_nm_free);
  runtime = g_strdup (machine->host->paths.runtime);
  umount2 (runtime, MNT_DETACH);
  ks_test_host_free (machine->host);
  g_free (machine);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Machine, machine_free)

/* Declares @machine, or skips. */
#define MACHINE_OR_SKIP(with_nm) \
  g_autoptr (Machine) machine = machine_new (with_nm); \
  if (!machine) \
  skip ()

static char *
errors_of (const KsReport *report)
{
  return ks_test_format_errors (report->errors);
}

/* A run that has to go well. */
static void
sync_well (const Machine *machine, const KsEvent *event)
{
  g_autoptr (KsReport) report = ks_reconcile (&machine->host->paths, event, KS_RECONCILE_QUICK);

  if (report->errors->len > 0) {
    g_autofree char *errors = errors_of (report);

    fail_msg ("%s", errors);
  }
}

/* A run that has to say each of @words, between '|'. */
static void
sync_with_error (const Machine *machine, const char *words)
{
  g_autoptr (KsReport) report = ks_reconcile (&machine->host->paths, NULL, KS_RECONCILE_QUICK);
  g_autofree char *errors = errors_of (report);
  g_auto (GStrv) list = g_strsplit (words, "|", -1);

  for (char **word = list; *word; word++)
    if (!strstr (errors, *word))
      fail_msg ("no word of '%s' in: %s", *word, errors);
}

/* Where a packet to a public address goes: "uplink", "tun0", or "" for nowhere (transfer full). */
static char *
way_out (void)
{
  g_autofree char *messages = NULL;
  g_autofree char *out = NULL;
  char *argv[] = { (char *) "ip",
                   (char *) "route",
                   (char *) "get",
                   (char *) PUBLIC,
                   (char *) "uid",
                   (char *) "0",
                   (char *) "ipproto",
                   (char *) "udp",
                   (char *) "sport",
                   (char *) "4000",
                   (char *) "dport",
                   (char *) "443",
                   NULL };
  g_auto (GStrv) words = NULL;

  if (netns_spawn (argv, &out, &messages) != 0)
    return g_strdup ("");
  words = g_strsplit (out, " ", -1);
  for (char **word = words; word[0] && word[1]; word++)
    if (strcmp (word[0], "dev") == 0)
      return g_strdup (word[1]);
  return g_strdup ("");
}

static gboolean
has_guard (void)
{
  return netns_try ("nft list table inet nm_killswitch") == 0;
}

static void
assert_blocked (void)
{
  g_autofree char *way = way_out ();

  assert_string_equal (way, "");
  assert_true (has_guard ());
}

static void
assert_open (void)
{
  g_autofree char *way = way_out ();

  assert_string_equal (way, "uplink");
  assert_false (has_guard ());
}

static void
assert_protected (void)
{
  g_autofree char *way = way_out ();

  assert_string_equal (way, "tun0");
  assert_true (has_guard ());
}

/* Whether nothing of ours is in the kernel under these numbers. */
static void
assert_no_trace (guint protocol)
{
  g_autofree char *routes = netns_everything ();
  g_autofree char *rules = netns_output ("ip -N -details rule show");
  g_autofree char *rules6 = netns_output ("ip -N -6 -details rule show");
  g_autofree char *all = g_strconcat (rules, rules6, routes, NULL);
  g_autofree char *pattern = g_strdup_printf ("proto %u\\b", protocol);

  if (g_regex_match_simple (pattern, all, G_REGEX_MULTILINE, 0))
    fail_msg ("of protocol %u is left:\n%s", protocol, all);
}

/* Our rules, as `ip` prints them (transfer full). */
static char *
own_rules (void)
{
  g_autofree char *all = netns_output ("ip -N -details rule show");
  g_auto (GStrv) lines = g_strsplit (all, "\n", -1);
  GString *out = g_string_new (NULL);

  for (char **line = lines; *line; line++)
    if (g_regex_match_simple ("proto (83|93)\\b", *line, 0, 0))
      g_string_append_printf (out, "%s\n", *line);
  return g_string_free (out, FALSE);
}

static char *
read_state (const Machine *machine)
{
  char *text = NULL;

  return g_file_get_contents (machine->host->paths.state, &text, NULL, NULL) ? text : g_strdup ("");
}

static gboolean
has_marker (const Machine *machine, const char *name)
{
  g_autofree char *path = ks_paths_runtime (&machine->host->paths, name);

  return g_file_test (path, G_FILE_TEST_EXISTS);
}

/* --- arming --- */

static void
reconcile_arms_follows_the_tunnel_and_leaves_no_trace (void **state G_GNUC_UNUSED)
{
  MACHINE_OR_SKIP (TRUE);
  g_autofree char *before = netns_everything ();
  g_autofree char *after = NULL;

  assert_open (); /* the positive control */
  write_vpn (machine, STRICT);
  sync_well (machine, NULL);
  assert_blocked ();
  set_vpn (machine, ACTIVATED);
  sync_well (machine, NULL);
  assert_protected ();
  set_vpn (machine, 0);
  sync_well (machine, NULL);
  assert_blocked ();
  write_vpn (machine, "");
  sync_well (machine, NULL);
  assert_open ();
  after = netns_everything ();
  assert_string_equal (before, after);
}

/* --- the lock --- */

/* A process that has the lock for @ms, then writes @text to the VPN's profile and ends; 0: until it is killed. */
static pid_t
hold_lock (const Machine *machine, guint ms, const char *connection)
{
  int ready[2];
  char byte;
  pid_t holder;

  assert_int_equal (pipe (ready), 0);
  holder = fork ();
  assert_true (holder >= 0);
  if (holder == 0) {
    prctl (PR_SET_PDEATHSIG, SIGKILL);
    if (ks_lock_take (&machine->host->paths, 1000, NULL) < 0 || write (ready[1], "x", 1) != 1)
      _exit (1);
    if (ms == 0)
      for (;;)
        pause ();
    g_usleep (ms * 1000);
    write_vpn (machine, connection);
    _exit (0);
  }
  close (ready[1]);
  assert_int_equal (read (ready[0], &byte, 1), 1);
  close (ready[0]);
  return holder;
}

static void
end_holder (pid_t holder)
{
  kill (holder, SIGKILL);
  waitpid (holder, NULL, 0);
}

/* Nobody can take a lock: no waiting. */
static void
spoil_lock (const Machine *machine)
{
  g_autofree char *path = ks_paths_runtime (&machine->host->paths, KS_LOCK_NAME);

  g_unlink (path);
  assert_true (ks_paths_make_runtime (&machine->host->paths, NULL));
  assert_int_equal (symlink ("/nonexistent/lock", path), 0);
}

static void
mend_lock (const Machine *machine)
{
  g_autofree char *path = ks_paths_runtime (&machine->host->paths, KS_LOCK_NAME);

  assert_int_equal (g_unlink (path), 0);
}

/* A default route by @device, whose gateway is in a subnet that another card may be in as well. */
static void
add_ipv6_uplink (const char *device, guint metric)
{
  netns_run ("ip addr add 2001:db8:50::%u/64 dev %s nodad noprefixroute", metric, device);
  netns_run ("ip route add 2001:db8:50::/64 dev %s metric %u", device, metric);
  netns_run ("ip route add default via 2001:db8:50::1 dev %s metric %u", device, metric);
}

static void
reconcile_takes_two_cards_in_one_ipv6_subnet (void **state G_GNUC_UNUSED)
{
  g_autofree char *first = NULL, *second = NULL;
  MACHINE_OR_SKIP (TRUE);

  netns_run ("ip tuntap add mode tap name second");
  netns_run ("ip link set second up");
  add_ipv6_uplink ("uplink", 100);
  add_ipv6_uplink ("second", 101);
  write_vpn (machine, STRICT);
  sync_well (machine, NULL);
  first = netns_output ("ip -6 route show table 85 type unicast default");
  assert_non_null (strstr (first, "via 2001:db8:50::1 dev uplink"));
  assert_null (strstr (first, "dev second"));
  netns_run ("ip link delete uplink");
  sync_well (machine, NULL);
  second = netns_output ("ip -6 route show table 85 type unicast default");
  assert_non_null (strstr (second, "via 2001:db8:50::1 dev second"));
}

static void
reconcile_waits_for_the_lock_and_reads_everything_after_it (void **state G_GNUC_UNUSED)
{
  enum { HELD_MS = 300 };
  gint64 start;
  pid_t holder;
  MACHINE_OR_SKIP (TRUE);

  /* before it is held: on a busy machine the holder may be ahead of us */
  start = g_get_monotonic_time ();
  holder = hold_lock (machine, HELD_MS, STRICT);
  sync_well (machine, NULL);
  assert_true (g_get_monotonic_time () - start >= HELD_MS * 1000 / 2);
  assert_blocked (); /* by the profile as it was when the other run ended */
  waitpid (holder, NULL, 0);
}

static void
reconcile_without_the_lock_blocks_but_takes_nothing_away_and_remembers_nothing (void **state G_GNUC_UNUSED)
{
  g_autofree char *before = NULL, *after = NULL, *kernel = NULL, *kernel_after = NULL;
  MACHINE_OR_SKIP (TRUE);

  sync_well (machine, NULL);
  before = read_state (machine);
  spoil_lock (machine);
  write_vpn (machine, STRICT);
  sync_with_error (machine, "removed nothing|lock");
  assert_blocked ();
  after = read_state (machine);
  assert_string_equal (before, after);

  kernel = netns_everything ();
  write_vpn (machine, ""); /* what a stale run might still believe */
  sync_with_error (machine, "removed nothing");
  assert_blocked ();
  kernel_after = netns_everything ();
  assert_string_equal (kernel, kernel_after);

  mend_lock (machine);
  sync_well (machine, NULL);
  assert_open ();
}

static void
reconcile_without_the_lock_lets_the_vpn_come_up (void **state G_GNUC_UNUSED)
{
  MACHINE_OR_SKIP (TRUE);

  spoil_lock (machine);
  write_vpn (machine, STRICT);
  set_vpn (machine, ACTIVATED);
  sync_with_error (machine, "removed nothing");
  assert_protected ();
}

/* --- release and resume --- */

static void
release_well (const Machine *machine)
{
  g_autoptr (KsReport) report = ks_release (&machine->host->paths);

  if (report->errors->len > 0) {
    g_autofree char *errors = errors_of (report);

    fail_msg ("%s", errors);
  }
  assert_open ();
}

static void
resume_well (const Machine *machine)
{
  g_autoptr (KsReport) report = ks_resume (&machine->host->paths);

  if (report->errors->len > 0) {
    g_autofree char *errors = errors_of (report);

    fail_msg ("%s", errors);
  }
}

static void
arm (const Machine *machine)
{
  write_vpn (machine, STRICT);
  sync_well (machine, NULL);
  assert_blocked ();
}

static void
release_lasts_until_resume (void **state G_GNUC_UNUSED)
{
  MACHINE_OR_SKIP (TRUE);

  arm (machine);
  release_well (machine);
  sync_well (machine, NULL);
  assert_open ();
  resume_well (machine);
  assert_blocked ();
  sync_well (machine, NULL);
  assert_blocked ();
}

/* What the kernel command line says is over, too, and not for one run only. */
static void
resume_outlasts_the_kernel_command_line (void **state G_GNUC_UNUSED)
{
  MACHINE_OR_SKIP (TRUE);

  write_vpn (machine, STRICT);
  ks_test_host_write (machine->host, "cmdline", "quiet nm_killswitch=off\n");
  sync_well (machine, NULL);
  assert_open ();
  resume_well (machine);
  assert_blocked ();
  sync_well (machine, NULL);
  assert_blocked ();
  release_well (machine);
  sync_well (machine, NULL);
  assert_open ();
}

/* A stuck run keeps the lock for ever: 15 seconds later it is released all the same. */
static void
release_works_while_another_run_keeps_the_lock (void **state G_GNUC_UNUSED)
{
  pid_t holder;
  MACHINE_OR_SKIP (TRUE);

  arm (machine);
  holder = hold_lock (machine, 0, NULL);
  {
    g_autoptr (KsReport) report = ks_release (&machine->host->paths);
    g_autofree char *errors = errors_of (report);

    assert_non_null (strstr (errors, "another run holds it"));
    assert_null (strstr (errors, "cannot be remembered"));
  }
  assert_open ();
  end_holder (holder);
  sync_well (machine, NULL);
  assert_open ();
}

/* A file system of the runtime directory's own. */
static gboolean
mount_runtime (const Machine *machine, const char *options)
{
  static gboolean has_namespace = FALSE;

  assert_true (ks_paths_make_runtime (&machine->host->paths, NULL));
  if (!has_namespace && (unshare (CLONE_NEWNS) < 0 || mount (NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)) {
    print_message ("skipped: no mount namespace: %s\n", g_strerror (errno));
    return FALSE;
  }
  has_namespace = TRUE;
  return mount ("tmpfs", machine->host->paths.runtime, "tmpfs", 0, options) == 0;
}

static void
make_runtime_read_only (const Machine *machine)
{
  assert_int_equal (mount (NULL, machine->host->paths.runtime, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
}

static void
make_runtime_writable (const Machine *machine)
{
  assert_int_equal (mount (NULL, machine->host->paths.runtime, NULL, MS_REMOUNT, NULL), 0);
}

/* Neither bytes nor files are left. */
static void
fill_runtime (const Machine *machine)
{
  for (guint i = 0;; i++) {
    g_autofree char *name = g_strdup_printf ("junk%u", i);
    g_autofree char *path = ks_paths_runtime (&machine->host->paths, name);
    int file = open (path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    char block[4096] = { 0 };

    if (file < 0)
      return;
    while (write (file, block, sizeof block) > 0)
      ;
    close (file);
  }
}

static void
release_works_and_lasts_with_a_runtime_directory_that_cannot_be_written (void **state G_GNUC_UNUSED)
{
  for (int is_full = 0; is_full < 2; is_full++) {
    MACHINE_OR_SKIP (TRUE);

    if (!mount_runtime (machine, "size=64k,nr_inodes=12"))
      skip ();
    arm (machine);
    if (is_full)
      fill_runtime (machine);
    else
      make_runtime_read_only (machine);
    release_well (machine);
    sync_well (machine, NULL);
    assert_open ();
    if (!is_full)
      make_runtime_writable (machine);
    if (!is_full) {
      resume_well (machine);
      assert_blocked ();
      sync_well (machine, NULL);
      assert_blocked ();
    }
  }
}

static void
release_without_any_memory_works_and_says_that_it_will_not_last (void **state G_GNUC_UNUSED)
{
  g_autofree char *errors = NULL;
  g_autofree char *directory = NULL;
  MACHINE_OR_SKIP (TRUE);

  if (!mount_runtime (machine, "size=64k"))
    skip ();
  arm (machine);
  make_runtime_read_only (machine);
  directory = g_path_get_dirname (machine->host->paths.state);
  assert_int_equal (mount ("tmpfs", directory, "tmpfs", MS_RDONLY, NULL), 0);
  {
    g_autoptr (KsReport) report = ks_release (&machine->host->paths);

    errors = errors_of (report);
  }
  assert_open ();
  assert_non_null (strstr (errors, "cannot be remembered"));
  assert_int_equal (umount2 (directory, MNT_DETACH), 0);
}

static void
release_works_whatever_cannot_be_read (void **state G_GNUC_UNUSED)
{
  MACHINE_OR_SKIP (FALSE); /* NetworkManager is silent */

  write_vpn (machine, STRICT);
  sync_well (machine, NULL);
  assert_blocked ();
  ks_test_host_write (machine->host, "config", "no key file");
  ks_test_host_write (machine->host, "state/state", "\xff\xfe no key file");
  ks_test_host_write (machine->host, "etc/vpn", "no key file");
  {
    g_autoptr (KsReport) report = ks_release (&machine->host->paths);

    assert_true (report->errors->len > 0);
  }
  assert_open ();
}

static void
release_of_one_boot_is_over_in_the_next (void **state G_GNUC_UNUSED)
{
  MACHINE_OR_SKIP (TRUE);

  if (!mount_runtime (machine, "size=64k"))
    skip ();
  arm (machine);
  make_runtime_read_only (machine);
  release_well (machine);
  make_runtime_writable (machine);
  ks_test_host_write (machine->host, "boot_id", "bbbbbbbb-0000-4000-8000-000000000002\n");
  sync_well (machine, NULL);
  assert_blocked ();
}

/* --- mode session, while released --- */

static KsEvent *
vpn_event (const char *action)
{
  static const char *const envp[] = { "CONNECTION_UUID=" KS_TEST_UUID_1, NULL };
  const char *const argv[] = { "10-killswitch", "tun0", action, NULL };

  return ks_event_parse (3, (char *const *) (gpointer) argv, (char *const *) (gpointer) envp, NULL);
}

static void
resume_does_not_block_a_session_that_was_ended_on_purpose_meanwhile (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsEvent) pre_down = vpn_event ("pre-down"), down = vpn_event ("down");
  MACHINE_OR_SKIP (TRUE);

  write_vpn (machine, SESSION);
  set_vpn (machine, ACTIVATED);
  sync_well (machine, NULL);
  assert_protected ();
  release_well (machine);
  set_vpn (machine, DEACTIVATING);
  sync_well (machine, pre_down);
  set_vpn (machine, 0);
  sync_well (machine, down);
  assert_open ();
  resume_well (machine);
  assert_open ();
}

static void
resume_blocks_a_session_that_was_lost_or_begun_meanwhile (void **state G_GNUC_UNUSED)
{
  for (int begun = 0; begun < 2; begun++) {
    MACHINE_OR_SKIP (TRUE);

    write_vpn (machine, SESSION);
    set_vpn (machine, begun ? 0 : ACTIVATED);
    sync_well (machine, NULL);
    release_well (machine);
    set_vpn (machine, ACTIVATED);
    sync_well (machine, NULL);
    set_vpn (machine, 0); /* nobody asked for that */
    sync_well (machine, NULL);
    resume_well (machine);
    assert_blocked ();
  }
}

/* --- other numbers --- */

static void
write_numbers (const Machine *machine, const char *numbers)
{
  g_autofree char *text = g_strdup_printf ("[main]\n%s", numbers);

  ks_test_host_write (machine->host, "config", text);
}

static const char *const all_numbers = "Table=183\nTunnelTable=184\nUplinkTable=185\nServersTable=186\n"
                                       "ManagementTable=9300\nProtocol=93\nPriority=9000\n";

static void
reconcile_moves_to_other_numbers_and_leaves_nothing_of_the_former (void **state G_GNUC_UNUSED)
{
  MACHINE_OR_SKIP (TRUE);

  write_vpn (machine, STRICT);
  set_vpn (machine, ACTIVATED);
  sync_well (machine, NULL);
  write_numbers (machine, all_numbers);
  sync_well (machine, NULL);
  assert_protected ();
  assert_no_trace (83);
  set_vpn (machine, 0);
  sync_well (machine, NULL);
  assert_blocked ();
  write_vpn (machine, "");
  sync_well (machine, NULL);
  assert_open ();
  assert_no_trace (93);
}

static void
reconcile_moves_to_another_priority_or_other_tables_alone (void **state G_GNUC_UNUSED)
{
  static const char *const numbers[] = { "Priority=9000\n", "Priority=8310\n", "Priority=8200\n", "Table=183\n",
                                         "Table=84\nTunnelTable=83\n" };

  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++) {
    g_autofree char *moved = NULL, *fresh = NULL;
    MACHINE_OR_SKIP (TRUE);

    write_vpn (machine, STRICT);
    set_vpn (machine, ACTIVATED);
    sync_well (machine, NULL);
    write_numbers (machine, numbers[i]);
    sync_well (machine, NULL);
    assert_protected ();
    moved = own_rules ();
    release_well (machine);
    assert_no_trace (83);
    resume_well (machine);
    fresh = own_rules ();
    assert_string_equal (moved, fresh);
  }
}

/* A profile that cannot be read says nothing about what has replaced the former rules. */
static void
reconcile_removes_the_former_numbers_although_a_stray_file_cannot_be_read (void **state G_GNUC_UNUSED)
{
  g_autofree char *rules = NULL;
  MACHINE_OR_SKIP (TRUE);

  arm (machine);
  write_stray (machine);
  write_numbers (machine, "Priority=9000\n");
  sync_with_error (machine, "stray");
  assert_blocked ();
  rules = own_rules ();
  if (g_regex_match_simple ("^8[0-9]{3}:", rules, G_REGEX_MULTILINE, 0))
    fail_msg ("the former rules are still there:\n%s", rules);
  set_vpn (machine, ACTIVATED); /* a new tunnel is not locked out by them */
  sync_with_error (machine, "stray");
  assert_protected ();
}

/* Of the kernel's rules and routes, two that differ in the protocol alone are one: the former have to go first. */
static void
reconcile_keeps_the_former_protocol_while_armed (void **state G_GNUC_UNUSED)
{
  static const char *const numbers[] = { "Protocol=93\n", "Protocol=93\nPriority=9000\n", "Protocol=93\nTable=183\n" };

  for (guint i = 0; i < G_N_ELEMENTS (numbers); i++) {
    MACHINE_OR_SKIP (TRUE);

    arm (machine);
    write_numbers (machine, numbers[i]);
    sync_well (machine, NULL);
    assert_blocked ();
    assert_no_trace (93);
    set_vpn (machine, ACTIVATED);
    sync_well (machine, NULL);
    assert_protected ();
    {
      KsSnapshot *snapshot = NULL;
      g_autoptr (KsReport) report = ks_reconcile_preview (&machine->host->paths, &snapshot);
      g_autofree char *warnings = NULL;

      g_ptr_array_add (report->situation->warnings, NULL);
      warnings = g_strjoinv ("\n", (char **) report->situation->warnings->pdata);
      assert_non_null (strstr (warnings, "new numbers"));
      ks_snapshot_free (snapshot);
    }
    release_well (machine);
    assert_no_trace (83);
    resume_well (machine);
    assert_protected ();
    assert_no_trace (83);
  }
}

/* The command that ends everything finds what was put there under other numbers. */
static void
release_takes_away_what_the_former_numbers_hold (void **state G_GNUC_UNUSED)
{
  MACHINE_OR_SKIP (TRUE);

  arm (machine);
  write_numbers (machine, all_numbers);
  release_well (machine);
  assert_no_trace (83);
  assert_no_trace (93);
}

/* --- profiles of which nothing tells what they were --- */

static void
lose_state (const Machine *machine)
{
  ks_test_host_write (machine->host, "state/state", "");
}

static void
sync_times_with_error (const Machine *machine, guint times, const char *words)
{
  for (guint i = 0; i < times; i++)
    sync_with_error (machine, words);
}

static void
reconcile_holds_as_long_as_a_profile_is_unclear (void **state G_GNUC_UNUSED)
{
  MACHINE_OR_SKIP (TRUE);

  arm (machine);
  set_mode (machine, "etc/vpn", 0644);
  lose_state (machine);
  sync_times_with_error (machine, 3, "etc/vpn");
  assert_blocked ();
  /* the state may be deleted once more, and numbers may change: nothing is known better for that */
  ks_test_host_remove (machine->host, "state/state");
  sync_times_with_error (machine, 2, "etc/vpn");
  assert_blocked ();
  write_numbers (machine, "Priority=9000\n");
  sync_times_with_error (machine, 2, "etc/vpn");
  assert_blocked ();
}

static void
reconcile_ends_the_hold_when_the_file_tells_again (void **state G_GNUC_UNUSED)
{
  static const char *const connections[] = { STRICT, "", NULL };

  for (guint i = 0; i < G_N_ELEMENTS (connections); i++) {
    MACHINE_OR_SKIP (TRUE);

    arm (machine);
    set_mode (machine, "etc/vpn", 0644);
    lose_state (machine);
    sync_times_with_error (machine, 2, "etc/vpn");
    if (connections[i])
      write_vpn (machine, connections[i]);
    else
      ks_test_host_remove (machine->host, "etc/vpn");
    sync_well (machine, NULL);
    if (i == 0)
      assert_blocked ();
    else
      assert_open ();
  }
}

static void
reconcile_holds_through_an_unreadable_directory (void **state G_GNUC_UNUSED)
{
  g_autofree char *etc = NULL, *away = NULL;
  MACHINE_OR_SKIP (TRUE);

  arm (machine);
  etc = ks_test_path (machine->host->directory, "etc");
  away = ks_test_path (machine->host->directory, "away");
  assert_int_equal (g_rename (etc, away), 0);
  ks_test_host_write (machine->host, "etc", "a file, no directory");
  lose_state (machine);
  sync_times_with_error (machine, 2, "etc");
  assert_blocked ();
  /* the directory can be read again, its file cannot */
  ks_test_host_remove (machine->host, "etc");
  assert_int_equal (g_rename (away, etc), 0);
  set_mode (machine, "etc/vpn", 0644);
  sync_times_with_error (machine, 2, "etc/vpn");
  assert_blocked ();
  write_vpn (machine, "");
  sync_well (machine, NULL);
  assert_open ();
}

static void
release_ends_the_hold_for_good (void **state G_GNUC_UNUSED)
{
  MACHINE_OR_SKIP (TRUE);

  arm (machine);
  set_mode (machine, "etc/vpn", 0644);
  lose_state (machine);
  sync_times_with_error (machine, 2, "etc/vpn");
  {
    g_autoptr (KsReport) report = ks_release (&machine->host->paths);

    assert_true (report->errors->len > 0); /* the file still cannot be read */
  }
  assert_open ();
  ks_report_free (ks_resume (&machine->host->paths));
  assert_open ();
  sync_times_with_error (machine, 1, "etc/vpn");
  assert_open ();
}

/* A stray file from the beginning cannot be what the rules are for: the setting can be turned off. */
static void
reconcile_does_not_hold_for_a_file_that_was_unreadable_before_anything_was_armed (void **state G_GNUC_UNUSED)
{
  static const KsReconcileFlags flags[] = { KS_RECONCILE_QUICK, KS_RECONCILE_BOOT };

  for (guint i = 0; i < G_N_ELEMENTS (flags); i++) {
    g_autoptr (KsReport) report = NULL;
    MACHINE_OR_SKIP (TRUE);

    write_stray (machine);
    if (flags[i] == KS_RECONCILE_BOOT)
      write_vpn (machine, STRICT);
    report = ks_reconcile (&machine->host->paths, NULL, flags[i]);
    write_vpn (machine, STRICT);
    sync_with_error (machine, "stray");
    assert_blocked ();
    write_vpn (machine, "");
    sync_with_error (machine, "stray");
    assert_open ();
  }
}

static void
reconcile_remembers_in_the_runtime_directory_what_its_file_cannot_take (void **state G_GNUC_UNUSED)
{
  g_autofree char *directory = NULL;
  MACHINE_OR_SKIP (TRUE);

  if (!mount_runtime (machine, "size=256k"))
    skip ();
  sync_well (machine, NULL);
  directory = g_path_get_dirname (machine->host->paths.state);
  assert_int_equal (mount (directory, directory, NULL, MS_BIND, NULL), 0);
  assert_int_equal (mount (NULL, directory, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL), 0);
  write_vpn (machine, STRICT);
  sync_with_error (machine, "will be forgotten at the next boot");
  assert_blocked ();
  set_mode (machine, "etc/vpn", 0644); /* the file on disk knows nothing of it */
  sync_times_with_error (machine, 2, "etc/vpn");
  assert_blocked ();

  assert_int_equal (umount2 (directory, MNT_DETACH), 0);
  sync_times_with_error (machine, 1, "etc/vpn");
  assert_false (has_marker (machine, KS_STATE_NAME));
  sync_times_with_error (machine, 1, "etc/vpn");
  assert_blocked ();
}

/* --- a full file system --- */

/* What was installed just now is known, though it cannot be recorded. */
static void
reconcile_raises_no_false_alarm_with_a_full_runtime_directory (void **state G_GNUC_UNUSED)
{
  MACHINE_OR_SKIP (TRUE);

  if (!mount_runtime (machine, "size=64k,nr_inodes=12"))
    skip ();
  sync_well (machine, NULL);
  fill_runtime (machine);
  write_vpn (machine, STRICT);
  {
    g_autoptr (KsReport) report = ks_reconcile (&machine->host->paths, NULL, KS_RECONCILE_QUICK);
    g_autofree char *errors = errors_of (report);

    assert_non_null (report->proof);
    assert_null (strstr (errors, "get out past"));
    assert_non_null (strstr (errors, "cannot be recorded"));
  }
  assert_blocked ();
}

/* --- names --- */

static void
write_named_vpn (const Machine *machine, const char *connection)
{
  /* no resolver is asked for this name (RFC 6761) */
  g_autofree char *text = ks_test_openvpn (KS_TEST_UUID_1, connection, "remote=vpn.localhost\n");

  ks_test_host_write (machine->host, "etc/vpn", text);
}

/* The uplink, with a resolver. */
static void
set_uplink (const Machine *machine)
{
  ks_test_nm_main (machine->nm, CONNECTED, "2", "2");
  ks_test_nm_device (machine->nm, 2, "uplink", 2, 0);
  ks_test_nm_active (machine->nm, 2, KS_TEST_UUID_2, FALSE, ACTIVATED, "2", 2, 0);
  ks_test_nm_ip4 (machine->nm, 2, "192.168.50.2/24", "192.168.50.1", "0.0.0.0/0>192.168.50.1", "192.168.50.1");
}

static void
reconcile_marks_that_names_are_awaited_and_no_longer (void **state G_GNUC_UNUSED)
{
  MACHINE_OR_SKIP (TRUE);

  set_uplink (machine);
  write_named_vpn (machine, STRICT);
  sync_well (machine, NULL);
  assert_true (has_marker (machine, "names"));
  write_named_vpn (machine, "");
  sync_well (machine, NULL);
  assert_false (has_marker (machine, "names"));
}

/* NetworkManager may be waiting for it, and an answer may take seconds. */
static void
reconcile_asks_for_names_unless_it_has_to_be_quick (void **state G_GNUC_UNUSED)
{
  g_autofree char *quick = NULL, *whole = NULL;
  MACHINE_OR_SKIP (TRUE);

  set_uplink (machine);
  write_named_vpn (machine, STRICT);
  sync_well (machine, NULL);
  quick = read_state (machine);
  assert_null (strstr (quick, "127.0.0.1"));
  {
    g_autoptr (KsReport) report = ks_reconcile (&machine->host->paths, NULL, KS_RECONCILE_DEFAULT);

    assert_int_equal (report->errors->len, 0);
  }
  whole = read_state (machine);
  assert_non_null (strstr (whole, "127.0.0.1"));
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (reconcile_arms_follows_the_tunnel_and_leaves_no_trace),
    cmocka_unit_test (reconcile_takes_two_cards_in_one_ipv6_subnet),
    cmocka_unit_test (reconcile_waits_for_the_lock_and_reads_everything_after_it),
    cmocka_unit_test (reconcile_without_the_lock_blocks_but_takes_nothing_away_and_remembers_nothing),
    cmocka_unit_test (reconcile_without_the_lock_lets_the_vpn_come_up),
    cmocka_unit_test (release_lasts_until_resume),
    cmocka_unit_test (resume_outlasts_the_kernel_command_line),
    cmocka_unit_test (release_works_while_another_run_keeps_the_lock),
    cmocka_unit_test (release_works_and_lasts_with_a_runtime_directory_that_cannot_be_written),
    cmocka_unit_test (release_without_any_memory_works_and_says_that_it_will_not_last),
    cmocka_unit_test (release_works_whatever_cannot_be_read),
    cmocka_unit_test (release_of_one_boot_is_over_in_the_next),
    cmocka_unit_test (resume_does_not_block_a_session_that_was_ended_on_purpose_meanwhile),
    cmocka_unit_test (resume_blocks_a_session_that_was_lost_or_begun_meanwhile),
    cmocka_unit_test (reconcile_moves_to_other_numbers_and_leaves_nothing_of_the_former),
    cmocka_unit_test (reconcile_moves_to_another_priority_or_other_tables_alone),
    cmocka_unit_test (reconcile_removes_the_former_numbers_although_a_stray_file_cannot_be_read),
    cmocka_unit_test (reconcile_keeps_the_former_protocol_while_armed),
    cmocka_unit_test (release_takes_away_what_the_former_numbers_hold),
    cmocka_unit_test (reconcile_holds_as_long_as_a_profile_is_unclear),
    cmocka_unit_test (reconcile_ends_the_hold_when_the_file_tells_again),
    cmocka_unit_test (reconcile_holds_through_an_unreadable_directory),
    cmocka_unit_test (release_ends_the_hold_for_good),
    cmocka_unit_test (reconcile_does_not_hold_for_a_file_that_was_unreadable_before_anything_was_armed),
    cmocka_unit_test (reconcile_remembers_in_the_runtime_directory_what_its_file_cannot_take),
    cmocka_unit_test (reconcile_raises_no_false_alarm_with_a_full_runtime_directory),
    cmocka_unit_test (reconcile_marks_that_names_are_awaited_and_no_longer),
    cmocka_unit_test (reconcile_asks_for_names_unless_it_has_to_be_quick),
  };

  return cmocka_run_group_tests_name ("ks-reconcile", tests, NULL, NULL);
}
