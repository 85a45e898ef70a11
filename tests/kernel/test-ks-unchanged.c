/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Runs that end at once since nothing has changed, and everything that has to
 * keep a run from doing so. Whole runs against the real kernel, on a host with
 * files, a network and a NetworkManager of the test's own:
 *
 *   uplink 192.168.50.2/24, default via 192.168.50.1     tun0 10.8.0.2/24, the armed VPN's device
 *
 * Each ingredient of what a run goes by is changed once, and the run has to do
 * what follows from that, or at least to look at everything.
 */
#include "ks-test-nm.h"
#include "ks-test.h"
#include "netns.h"

#include <glib/gstdio.h>
#include <sys/stat.h>

#include "base/ks-stamp.h"
#include "run/ks-reconcile.h"

#define STRICT "zone=killswitch\n"
#define SESSION "zone=killswitch-auto\n"
#define MAGIC "nm-killswitch: unchanged 1\n"

enum { CONNECTED = 70 };
enum { ACTIVATED = 2 };
/* The first run writes what later ones read, the second recalls the profiles, the third writes what the fourth finds.
 */
enum { MAX_RUNS = 5 };

typedef struct {
  KsTestHost *host;
  KsTestNm *nm;
} Machine;

static void
write_vpn (const Machine *machine, const char *connection, const char *more)
{
  g_autofree char *text = ks_test_wireguard (KS_TEST_UUID_1, connection, more);
  g_autoptr (GString) named = g_string_new (text);

  g_string_replace (named, "wg0", "tun0", 0);
  ks_test_host_write (machine->host, "etc/vpn", named->str);
}

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
write_users (const char *more)
{
  g_autofree char *text = g_strconcat ("root:x:0:0:root:/root:/bin/sh\n", more, NULL);

  assert_true (g_file_set_contents ("/etc/passwd", text, -1, NULL));
}

static Machine *
machine_new (void)
{
  Machine *machine;

  if (g_getenv ("KS_EMULATED") || !netns_enter ())
    return NULL;
  netns_run ("ip tuntap add mode tap name uplink");
  netns_run ("ip link set uplink up");
  netns_run ("ip addr add 192.168.50.2/24 dev uplink");
  netns_run ("ip route add default via 192.168.50.1 dev uplink");
  netns_run ("ip tuntap add mode tun name tun0");
  netns_run ("ip link set tun0 up");
  netns_run ("ip addr add 10.8.0.2/24 dev tun0");
  netns_settle ();
  ks_stamp_settled_s = 0;
  write_users ("");
  machine = g_new0 (Machine, 1);
  machine->host = ks_test_host_new ();
  machine->nm = ks_test_nm_new ();
  set_vpn (machine, ACTIVATED);
  ks_test_host_write (machine->host, "nm/main.conf", "[main]\n");
  write_vpn (machine, STRICT, "");
  return machine;
}

static void
machine_free (Machine *machine)
{
  if (!machine)
    return;
  ks_test_nm_free (machine->nm);
  ks_test_host_free (machine->host);
  g_free (machine);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Machine, machine_free)

/* Declares @machine, or skips. */
#define MACHINE_OR_SKIP() \
  g_autoptr (Machine) machine = machine_new (); \
  if (!machine) \
  skip ()

static KsReport *
run (const Machine *machine)
{
  return ks_reconcile (&machine->host->paths, NULL, KS_RECONCILE_QUICK | KS_RECONCILE_GLANCE);
}

/* A run that has to go well; TRUE if it ended at once. */
static gboolean
glance (const Machine *machine)
{
  g_autoptr (KsReport) report = run (machine);

  if (report->errors->len > 0) {
    g_autofree char *errors = ks_test_format_errors (report->errors);

    fail_msg ("%s", errors);
  }
  assert_true (!report->is_unchanged || (!report->situation && report->changes == 0));
  return report->is_unchanged;
}

/* Whether runs, one after the other, come to end at once. */
static gboolean
comes_to_rest (const Machine *machine)
{
  for (int i = 0; i < MAX_RUNS; i++)
    if (glance (machine))
      return TRUE;
  return FALSE;
}

static void
rest (const Machine *machine)
{
  assert_true (comes_to_rest (machine));
  assert_true (glance (machine));
}

/* What has just been changed is seen. */
#define assert_seen(machine) assert_false (glance (machine))

static char *
own_path (const Machine *machine, const char *name)
{
  return ks_paths_runtime (&machine->host->paths, name);
}

static char *
read_file (const char *path)
{
  char *text = NULL;

  return g_file_get_contents (path, &text, NULL, NULL) ? text : g_strdup ("");
}

static char *
read_own (const Machine *machine, const char *name)
{
  g_autofree char *path = own_path (machine, name);

  return read_file (path);
}

static void
write_own (const Machine *machine, const char *name, const char *text)
{
  g_autofree char *path = own_path (machine, name);

  assert_true (g_file_set_contents (path, text, -1, NULL));
}

static void
remove_own (const Machine *machine, const char *name)
{
  g_autofree char *path = own_path (machine, name);

  assert_int_equal (g_unlink (path), 0);
}

static gboolean
has_rule (guint priority)
{
  g_autofree char *rules = netns_output ("ip rule show priority %u", priority);

  return *rules != '\0';
}

static gboolean
has_guard (void)
{
  return netns_try ("nft list chain inet nm_killswitch postrouting") == 0;
}

static gboolean
has_tunnel (void)
{
  g_autofree char *routes = netns_output ("ip route show table 83");

  return strstr (routes, "dev tun0") != NULL;
}

/* --- the end at once --- */

static void
unchanged_ends_a_run_at_once_and_leaves_everything_as_it_was (void **state G_GNUC_UNUSED)
{
  g_autofree char *status = NULL, *status_after = NULL, *kernel = NULL, *kernel_after = NULL;
  MACHINE_OR_SKIP ();

  rest (machine);
  assert_true (has_rule (8380) && has_tunnel () && has_guard ());
  status = read_own (machine, KS_STATUS_NAME);
  assert_non_null (strstr (status, "protected"));
  kernel = netns_everything ();
  for (int i = 0; i < 3; i++)
    assert_true (glance (machine));
  status_after = read_own (machine, KS_STATUS_NAME);
  kernel_after = netns_everything ();
  assert_string_equal (status, status_after);
  assert_string_equal (kernel, kernel_after);
}

static void
unchanged_applies_to_hints_only (void **state G_GNUC_UNUSED)
{
  MACHINE_OR_SKIP ();

  rest (machine);
  for (guint i = 0; i < 2; i++) {
    KsReconcileFlags flags = i == 0 ? KS_RECONCILE_QUICK : KS_RECONCILE_ANEW;
    g_autoptr (KsReport) report = ks_reconcile (&machine->host->paths, NULL, flags);

    assert_false (report->is_unchanged);
    assert_non_null (report->summary);
  }
}

/* --- the kernel --- */

static void
unchanged_misses_no_change_of_rules_and_routes (void **state G_GNUC_UNUSED)
{
  static const char *const repaired[] = {
    "ip rule delete priority 8380",
    "ip -6 rule delete priority 8390",
    "ip route delete blackhole default table 83",
    "ip -6 route delete blackhole default table 83 metric 200",
    "ip route delete default dev tun0 table 83",
    "ip route flush table 84",
    "ip route flush table 85",
    "ip rule add priority 100 lookup main",
  };
  static const char *const others[] = {
    "ip route add 192.0.2.0/24 via 192.168.50.1",
    "ip -6 route add 2001:db8::/32 dev uplink",
    "ip addr add 192.168.51.2/24 dev uplink",
    "ip addr add 192.0.2.77/32 dev uplink", /* no route of main comes with it */
    "ip route change default via 192.168.50.254 dev uplink", /* as many as before */
    "ip tuntap add mode tun name tun1",
  };
  MACHINE_OR_SKIP ();

  rest (machine);
  for (guint i = 0; i < G_N_ELEMENTS (repaired); i++) {
    netns_run ("%s", repaired[i]);
    {
      g_autoptr (KsReport) report = run (machine);

      if (report->is_unchanged || report->changes == 0)
        fail_msg ("not seen: %s", repaired[i]);
    }
    rest (machine);
  }
  for (guint i = 0; i < G_N_ELEMENTS (others); i++) {
    netns_run ("%s", others[i]);
    netns_settle ();
    if (glance (machine))
      fail_msg ("not seen: %s", others[i]);
    rest (machine);
  }
}

static void
unchanged_misses_no_change_of_the_tunnel_s_device (void **state G_GNUC_UNUSED)
{
  MACHINE_OR_SKIP ();

  rest (machine);
  netns_run ("ip link set tun0 down");
  assert_seen (machine);
  assert_false (has_tunnel ());
  assert_false (comes_to_rest (machine)); /* NetworkManager says that it is up: in doubt */
  netns_run ("ip link set tun0 up");
  netns_settle ();
  assert_seen (machine);
  assert_true (has_tunnel ());
  rest (machine);
}

/* Nothing else tells of this one: no address, no route. */
static void
unchanged_misses_no_change_of_a_device_without_addresses (void **state G_GNUC_UNUSED)
{
  MACHINE_OR_SKIP ();

  ks_test_nm_ip4 (machine->nm, 5, "", "", "", "");
  netns_run ("ip link set tun0 addrgenmode none");
  netns_run ("ip addr flush dev tun0");
  netns_settle ();
  rest (machine);
  netns_run ("ip link set tun0 down");
  assert_seen (machine);
  assert_false (comes_to_rest (machine));
}

static void
unchanged_misses_no_change_of_the_guard (void **state G_GNUC_UNUSED)
{
  static const char *const changes[] = {
    "nft delete table inet nm_killswitch",
    "nft flush chain inet nm_killswitch postrouting",
    "nft insert rule inet nm_killswitch postrouting accept",
  };
  MACHINE_OR_SKIP ();

  rest (machine);
  for (guint i = 0; i < G_N_ELEMENTS (changes); i++) {
    netns_run ("%s", changes[i]);
    {
      g_autoptr (KsReport) report = run (machine);

      if (report->is_unchanged || report->repairs == 0)
        fail_msg ("not seen: %s", changes[i]);
    }
    assert_true (has_guard ());
    rest (machine);
  }
}

/* --- NetworkManager --- */

static void
unchanged_misses_no_change_of_networkmanager_s_answers (void **state G_GNUC_UNUSED)
{
  MACHINE_OR_SKIP ();

  rest (machine);
  set_vpn (machine, 0);
  assert_seen (machine);
  assert_false (has_tunnel ());
  rest (machine);
  set_vpn (machine, ACTIVATED);
  assert_seen (machine);
  assert_true (has_tunnel ());
  rest (machine);
  ks_test_nm_ip4 (machine->nm, 5, "10.8.0.2/24", "", "10.8.0.0/24 10.9.0.0/24", "");
  assert_seen (machine);
  {
    g_autofree char *routes = netns_output ("ip route show table 84");

    assert_non_null (strstr (routes, "10.9.0.0/24"));
  }
  rest (machine);
  ks_test_nm_wireguard (machine->nm, 5, 51821, 0);
  assert_seen (machine);
  rest (machine);
  ks_test_nm_free (machine->nm); /* there is no bus */
  machine->nm = NULL;
  assert_seen (machine);
  assert_false (comes_to_rest (machine));
  machine->nm = ks_test_nm_new ();
}

static void
unchanged_does_not_wait_for_a_networkmanager_that_hangs (void **state G_GNUC_UNUSED)
{
  gint64 start;
  MACHINE_OR_SKIP ();

  rest (machine);
  ks_test_nm_silence_after (machine->nm, 1);
  start = g_get_monotonic_time ();
  assert_seen (machine);
  ks_test_assert_in_time ((g_get_monotonic_time () - start) / 1000, 4000);
  assert_true (has_rule (8380) && has_guard ());
}

/* --- files --- */

typedef struct {
  const char *name; /* of a file of the host */
  const char *text; /* NULL: it is removed */
} FileChange;

static void
unchanged_misses_no_change_of_a_file (void **state G_GNUC_UNUSED)
{
  g_autofree char *other = ks_test_wireguard (KS_TEST_UUID_2, STRICT, "");
  const FileChange changes[] = {
    { "etc/other", other },
    { "etc/other", NULL },
    { "run/any.nmconnection", "[connection]\nid=eth\nuuid=" KS_TEST_UUID_3 "\ntype=ethernet\n" },
    { "config", "[main]\nLan=off\n" },
    { "config", NULL },
    { "nm/main.conf", "[main]\nplugins=keyfile\n" },
    { "nm/etc/x.conf", "[main]\n" },
    { "nm/etc/x.conf", NULL },
    { "boot_id", "another-boot\n" },
    { "cmdline", "quiet splash\n" },
    { "state/state", NULL },
  };
  MACHINE_OR_SKIP ();

  for (guint i = 0; i < G_N_ELEMENTS (changes); i++) {
    rest (machine);
    if (changes[i].text)
      ks_test_host_write (machine->host, changes[i].name, changes[i].text);
    else
      ks_test_host_remove (machine->host, changes[i].name);
    if (glance (machine))
      fail_msg ("not seen: %s, %s", changes[i].name, changes[i].text ? "written" : "removed");
  }
  rest (machine);
}

static void
unchanged_misses_no_change_of_an_armed_profile (void **state G_GNUC_UNUSED)
{
  g_autofree char *path = NULL;
  MACHINE_OR_SKIP ();

  path = ks_test_path (machine->host->directory, "etc/vpn");
  rest (machine);
  write_vpn (machine, STRICT, "[ipv4]\nmethod=manual\naddress1=10.77.0.2/24\n");
  assert_seen (machine);
  rest (machine);
  {
    g_autofree char *text = read_file (path);
    struct stat status;
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_NOW } };
    FILE *file;
    struct timespec old[2];

    /* in place, of the same length, with the time of modification put back */
    assert_int_equal (stat (path, &status), 0);
    old[0] = times[0];
    old[1] = status.st_mtim;
    g_usleep (20000);
    file = fopen (path, "r+e");
    assert_non_null (file);
    *strstr (text, "zone=killswitch") = 'Z';
    assert_int_equal (fwrite (text, 1, strlen (text), file), strlen (text));
    fclose (file);
    assert_int_equal (utimensat (AT_FDCWD, path, old, 0), 0);
  }
  assert_seen (machine);
  assert_false (has_rule (8380));
  write_vpn (machine, STRICT, "");
  rest (machine);
  assert_int_equal (chmod (path, 0644), 0);
  {
    g_autoptr (KsReport) report = run (machine);

    assert_false (report->is_unchanged);
    assert_int_not_equal (report->errors->len, 0); /* NetworkManager would ignore it */
  }
  assert_true (has_rule (8380));
}

static void
unchanged_misses_no_change_of_the_users (void **state G_GNUC_UNUSED)
{
  MACHINE_OR_SKIP ();

  rest (machine);
  write_users ("systemd-resolve:x:104:104::/:/bin/false\n");
  assert_seen (machine);
  rest (machine);
}

static void
unchanged_misses_nothing_that_earlier_runs_have_left (void **state G_GNUC_UNUSED)
{
  static const char *const made[] = { "resumed", "names", KS_WARNED_NAME };
  g_autofree char *status = NULL, *again = NULL;
  MACHINE_OR_SKIP ();

  rest (machine);
  status = read_own (machine, KS_STATUS_NAME);
  remove_own (machine, KS_STATUS_NAME);
  assert_seen (machine);
  again = read_own (machine, KS_STATUS_NAME);
  assert_true (*again != '\0');
  rest (machine);
  write_own (machine, KS_STATUS_NAME, "{}\n"); /* what a person sees must not go stale */
  assert_seen (machine);
  g_free (again);
  again = read_own (machine, KS_STATUS_NAME);
  assert_non_null (strstr (again, "protected"));
  rest (machine);
  remove_own (machine, KS_GUARD_NAME);
  assert_seen (machine);
  rest (machine);
  for (guint i = 0; i < G_N_ELEMENTS (made); i++) {
    write_own (machine, made[i], "");
    if (glance (machine))
      fail_msg ("not seen: %s", made[i]);
    rest (machine);
  }
  {
    g_autofree char *text = read_file (machine->host->paths.state);

    write_own (machine, KS_STATE_NAME, text);
  }
  assert_seen (machine);
  rest (machine);
  write_own (machine, "released", "");
  assert_seen (machine);
  assert_false (has_rule (8380) || has_guard ());
  assert_false (comes_to_rest (machine));
  remove_own (machine, "released");
  assert_seen (machine);
  assert_true (has_rule (8380) && has_guard ());
}

static void
unchanged_is_void_once_the_clock_is_set (void **state G_GNUC_UNUSED)
{
  g_autofree char *path = NULL, *text = NULL;
  gsize length;
  gint64 clock;
  MACHINE_OR_SKIP ();

  rest (machine);
  path = own_path (machine, KS_UNCHANGED_NAME);
  for (int i = -1; i <= 1; i += 2) {
    assert_true (g_file_get_contents (path, &text, &length, NULL));
    memcpy (&clock, text + strlen (MAGIC), sizeof clock);
    clock += i * 2000;
    memcpy (text + strlen (MAGIC), &clock, sizeof clock);
    assert_true (g_file_set_contents (path, text, (gssize) length, NULL));
    assert_seen (machine);
    rest (machine);
    g_clear_pointer (&text, g_free);
  }
}

/* Of this program, and of the libnm that read the profiles, as of each file. */
static void
unchanged_compares_every_byte (void **state G_GNUC_UNUSED)
{
  enum { STEP = 53, CUT = 331 };
  g_autofree char *path = NULL, *text = NULL;
  gsize length;
  MACHINE_OR_SKIP ();

  rest (machine);
  path = own_path (machine, KS_UNCHANGED_NAME);
  assert_true (g_file_get_contents (path, &text, &length, NULL));
  assert_non_null (memmem (text, length, "/proc/self/exe", strlen ("/proc/self/exe")));
  assert_non_null (memmem (text, length, "libnm.so", strlen ("libnm.so")));
  for (gsize i = 0; i < length; i += i < 64 ? 1 : STEP) {
    g_autofree char *other = NULL;

    if (i >= strlen (MAGIC) && i < strlen (MAGIC) + sizeof (gint64))
      continue; /* the clock, see above */
    other = g_memdup2 (text, length);
    other[i] ^= 0x10;
    assert_true (g_file_set_contents (path, other, (gssize) length, NULL));
    if (glance (machine))
      fail_msg ("byte %zu of %zu makes no difference", i, length);
  }
  for (gsize i = 0; i < length; i += CUT) {
    assert_true (g_file_set_contents (path, text, (gssize) i, NULL));
    if (glance (machine))
      fail_msg ("%zu bytes of %zu are enough", i, length);
  }
  assert_true (g_file_set_contents (path, text, (gssize) length, NULL));
  assert_true (glance (machine));
}

/* --- what is never unchanged --- */

static void
unchanged_is_nothing_that_has_just_changed (void **state G_GNUC_UNUSED)
{
  MACHINE_OR_SKIP ();

  rest (machine); /* so that the profiles are remembered */
  ks_stamp_settled_s = 3;
  assert_false (comes_to_rest (machine));
  ks_stamp_settled_s = 0;
  rest (machine);
}

static void
assert_never_at_rest (const Machine *machine, const char *why)
{
  if (comes_to_rest (machine))
    fail_msg ("a run ends at once, although there is %s", why);
}

static void
unchanged_is_nothing_that_is_in_doubt (void **state G_GNUC_UNUSED)
{
  g_autofree char *named = ks_test_openvpn (KS_TEST_UUID_2, STRICT, "remote=vpn.example.com\n");
  g_autofree char *policy_vpn = ks_test_openvpn (KS_TEST_UUID_2, STRICT, "remote=203.0.113.9\n");
  g_autofree char *target = NULL, *link = NULL;
  MACHINE_OR_SKIP ();

  rest (machine); /* the positive control for what follows */
  ks_test_host_write (machine->host, "config", "[vpn x]\nInterface=x0\nPort=1\n");
  assert_never_at_rest (machine, "a section");
  ks_test_host_write (machine->host, "config", "[main]\nGuard=off\n");
  assert_never_at_rest (machine, "no guard");
  ks_test_host_remove (machine->host, "config");
  rest (machine);
  ks_test_host_write (machine->host, "etc/other", named);
  assert_never_at_rest (machine, "a name to be resolved");
  ks_test_host_write (machine->host, "etc/other",
                      "[connection]\nid=eth\nuuid=" KS_TEST_UUID_3 "\ntype=ethernet\n" STRICT);
  assert_never_at_rest (machine, "a warning");
  ks_test_host_remove (machine->host, "etc/other");
  rest (machine);
  ks_test_host_write (machine->host, "etc/other", policy_vpn);
  rest (machine);
  ks_test_nm_main (machine->nm, CONNECTED, "5 6", "4 5");
  ks_test_nm_active (machine->nm, 6, KS_TEST_UUID_2, TRUE, ACTIVATED, "4", 6, 0);
  ks_test_nm_device (machine->nm, 4, "uplink", 6, 0);
  ks_test_nm_ip4 (machine->nm, 6, "192.168.50.2/24", "", "", "");
  assert_never_at_rest (machine, "a warning of a VPN without a device");
  set_vpn (machine, ACTIVATED);
  ks_test_host_remove (machine->host, "etc/other");
  rest (machine);
  target = ks_test_write (machine->host->directory, "elsewhere", "[connection]\nid=eth\nuuid=" KS_TEST_UUID_3 "\n");
  link = ks_test_path (machine->host->directory, "etc/link");
  assert_int_equal (symlink (target, link), 0);
  assert_never_at_rest (machine, "a symbolic link");
  assert_int_equal (g_unlink (link), 0);
  rest (machine);
  write_vpn (machine, "", "");
  assert_never_at_rest (machine, "nothing armed");
  {
    g_autofree char *path = own_path (machine, KS_UNCHANGED_NAME);

    assert_false (g_file_test (path, G_FILE_TEST_EXISTS)); /* and no run looks at all files for nothing */
  }
}

/* --- hints --- */

static char *
run_for (const Machine *machine, const char *action)
{
  char *const arguments[] = { (char *) "10-killswitch", (char *) "tun0", (char *) action, NULL };
  char *const environment[] = { (char *) "CONNECTION_UUID=" KS_TEST_UUID_1,
                                (char *) "CONNECTION_ID=vpn",
                                (char *) "DEVICE_IFACE=tun0",
                                (char *) "DEVICE_IP_IFACE=tun0",
                                (char *) "VPN_IP_IFACE=tun0",
                                (char *) "IP4_NUM_ADDRESSES=0",
                                NULL };
  g_autoptr (GError) error = NULL;
  g_autoptr (KsEvent) event = action ? ks_event_parse (3, arguments, environment, &error) : NULL;
  g_autoptr (KsReport) report = NULL;
  g_autofree char *text = NULL, *kernel = NULL, *status = NULL;

  assert_true (event || !action);
  report = ks_reconcile (&machine->host->paths, event, KS_RECONCILE_QUICK);
  assert_int_equal (report->errors->len, 0);
  text = read_file (machine->host->paths.state);
  kernel = netns_everything ();
  status = read_own (machine, KS_STATUS_NAME);
  return g_strconcat (text, kernel, status, NULL);
}

/* The table that such a rule looks up is not among what is compared. */
static void
unchanged_is_nothing_while_another_programs_rule_may_do_harm (void **state G_GNUC_UNUSED)
{
  MACHINE_OR_SKIP ();

  assert_true (comes_to_rest (machine));
  netns_run ("ip rule add priority 0 lookup 4711"); /* beside table local: not to be jumped over */
  assert_false (comes_to_rest (machine));
  netns_run ("ip route add default dev uplink table 4711");
  {
    g_autoptr (KsReport) report = run (machine);
    g_autofree char *errors = ks_test_format_errors (report->errors);

    assert_non_null (strstr (errors, "would get out past the kill switch"));
  }
  netns_run ("ip rule del priority 0 lookup 4711");
  assert_true (comes_to_rest (machine));
}

/* Whatever a hint says, a run with NetworkManager's answers comes to the same as one without an event. */
static void
unchanged_result_does_not_depend_on_the_hint (void **state G_GNUC_UNUSED)
{
  static const char *const actions[] = { "up",           "down",         "vpn-down",
                                         "dhcp4-change", "dhcp6-change", "connectivity-change",
                                         "reapply",      "dns-change" };
  MACHINE_OR_SKIP ();

  for (guint i = 0; i < 2; i++) {
    g_autofree char *expected = NULL, *other = NULL;

    write_vpn (machine, SESSION, "");
    set_vpn (machine, ACTIVATED);
    g_free (run_for (machine, NULL));
    set_vpn (machine, i == 0 ? ACTIVATED : 0);
    expected = run_for (machine, NULL);
    for (guint j = 0; j < G_N_ELEMENTS (actions); j++) {
      g_autofree char *result = run_for (machine, actions[j]);

      assert_string_equal (result, expected);
    }
    if (i == 0) { /* the control: this one begins the end of the session */
      other = run_for (machine, "pre-down");
      assert_string_not_equal (other, expected);
    }
  }
}

static int
use_own_files (void **state G_GNUC_UNUSED)
{
  netns_enter_own_files ();
  return 0;
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (unchanged_ends_a_run_at_once_and_leaves_everything_as_it_was),
    cmocka_unit_test (unchanged_applies_to_hints_only),
    cmocka_unit_test (unchanged_misses_no_change_of_rules_and_routes),
    cmocka_unit_test (unchanged_misses_no_change_of_the_tunnel_s_device),
    cmocka_unit_test (unchanged_misses_no_change_of_a_device_without_addresses),
    cmocka_unit_test (unchanged_misses_no_change_of_the_guard),
    cmocka_unit_test (unchanged_misses_no_change_of_networkmanager_s_answers),
    cmocka_unit_test (unchanged_does_not_wait_for_a_networkmanager_that_hangs),
    cmocka_unit_test (unchanged_misses_no_change_of_a_file),
    cmocka_unit_test (unchanged_misses_no_change_of_an_armed_profile),
    cmocka_unit_test (unchanged_misses_no_change_of_the_users),
    cmocka_unit_test (unchanged_misses_nothing_that_earlier_runs_have_left),
    cmocka_unit_test (unchanged_is_void_once_the_clock_is_set),
    cmocka_unit_test (unchanged_compares_every_byte),
    cmocka_unit_test (unchanged_is_nothing_that_has_just_changed),
    cmocka_unit_test (unchanged_is_nothing_that_is_in_doubt),
    cmocka_unit_test (unchanged_is_nothing_while_another_programs_rule_may_do_harm),
    cmocka_unit_test (unchanged_result_does_not_depend_on_the_hint),
  };

  return cmocka_run_group_tests_name ("ks-unchanged", tests, use_own_files, NULL);
}
