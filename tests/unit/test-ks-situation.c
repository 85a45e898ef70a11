/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Which profiles are armed, from files in a directory of the test's own and a made-up NetworkManager. */
#include "ks-test-nm.h"
#include "ks-test.h"

#include <glib/gstdio.h>
#include <net/if.h>
#include <sys/stat.h>

#include "run/ks-session.h"
#include "run/ks-situation.h"

#define STRICT "zone=killswitch\n"
#define SESSION "zone=killswitch-auto\n"

enum { ASLEEP = 10, CONNECTED = 70 };
enum { ACTIVATED = 2, DEACTIVATING = 3 };

static void
write_wireguard (KsTestHost *host, const char *name, const char *connection)
{
  g_autofree char *text = ks_test_wireguard (KS_TEST_UUID_1, connection, "");

  ks_test_host_write (host, name, text);
}

static void
write_openvpn (KsTestHost *host, const char *name, const char *connection, const char *data)
{
  g_autofree char *text = ks_test_openvpn (KS_TEST_UUID_1, connection, data);

  ks_test_host_write (host, name, text);
}

/* Looks, expects @count armed profiles, and remembers. */
static void
assert_armed_at (KsTestHost *host, const KsEvent *event, KsReadFlags flags, guint count)
{
  g_autoptr (KsSituation) situation = ks_situation_read (&host->paths, event, flags);
  g_autoptr (GError) error = NULL;

  assert_int_equal (situation->armed->len, count);
  if (!ks_situation_save (situation, &host->paths, &error))
    fail_msg ("%s", error->message);
}

static void
assert_armed (KsTestHost *host, guint count)
{
  assert_armed_at (host, NULL, KS_READ_DEFAULT, count);
}

static KsEvent *
event_new (const char *interface, const char *action, const char *const *envp)
{
  const char *const argv[] = { "10-killswitch", interface, action, NULL };
  KsEvent *event = ks_event_parse (3, (char *const *) (gpointer) argv, (char *const *) (gpointer) envp, NULL);

  assert_non_null (event);
  return event;
}

static void
set_boot (KsTestHost *host, const char *id)
{
  ks_test_host_write (host, "boot_id", id);
}

/* --- mode strict --- */

static void
situation_without_profiles_arms_nothing (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autoptr (KsSituation) situation = ks_situation_read (&host->paths, NULL, KS_READ_DEFAULT);

  assert_int_equal (situation->armed->len, 0);
  assert_int_equal (situation->errors->len, 0);
  assert_false (situation->is_unclear);
  assert_false (situation->is_released);
  assert_int_equal (ks_situation_diff_flags (situation), KS_DIFF_DEFAULT);
}

static void
situation_strict_is_armed_from_boot_without_networkmanager (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();

  write_wireguard (host, "etc/wg", STRICT);
  assert_armed_at (host, NULL, KS_READ_NO_NETWORK, 1);
  assert_armed (host, 1);
}

static void
situation_strict_ends_when_the_setting_is_taken_away (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autofree char *state_path = ks_test_path (host->directory, "state/state"), *text = NULL;

  write_wireguard (host, "etc/wg", STRICT);
  assert_armed (host, 1);
  write_wireguard (host, "etc/wg", "");
  assert_armed (host, 0);
  assert_true (g_file_get_contents (state_path, &text, NULL, NULL));
  assert_null (strstr (text, KS_TEST_UUID_1));
}

static void
situation_strict_ends_when_the_profile_is_deleted (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();

  write_wireguard (host, "etc/wg", STRICT);
  assert_armed (host, 1);
  ks_test_host_remove (host, "etc/wg");
  assert_armed (host, 0);
}

static void
situation_follows_a_profile_to_another_file (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();

  write_wireguard (host, "etc/wg", STRICT);
  assert_armed (host, 1);
  write_wireguard (host, "run/wg.nmconnection", STRICT);
  ks_test_host_remove (host, "etc/wg");
  assert_armed (host, 1);
  ks_test_host_write (host, "etc/wg", "no profile any more");
  assert_armed (host, 1); /* once, not twice */
}

/* --- sections of the configuration --- */

#define SECTION "[vpn staex]\nInterface=lo\nPort=1234\n"

static void
situation_section_is_armed_without_networkmanager_and_holds_nothing_for_it (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autoptr (KsSituation) situation = NULL, both = NULL;

  ks_test_no_bus ();
  ks_test_host_write (host, "config", SECTION);
  assert_armed_at (host, NULL, KS_READ_NO_NETWORK, 1);
  situation = ks_situation_read (&host->paths, NULL, KS_READ_DEFAULT);
  assert_int_equal (situation->armed->len, 1);
  assert_int_equal (ks_situation_diff_flags (situation), KS_DIFF_DEFAULT);
  write_wireguard (host, "etc/wg", STRICT);
  both = ks_situation_read (&host->paths, NULL, KS_READ_DEFAULT);
  assert_int_equal (both->armed->len, 2);
  assert_int_equal (ks_situation_diff_flags (both), KS_DIFF_HOLD_EXEMPTIONS);
}

static void
situation_section_ends_with_its_text (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();

  ks_test_host_write (host, "config", SECTION);
  assert_armed (host, 1);
  ks_test_host_write (host, "config", "[main]\n");
  assert_armed (host, 0);
}

/* Nothing says that the section has been taken out. */
static void
situation_section_stays_armed_while_the_configuration_cannot_be_read (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autoptr (KsSituation) situation = NULL;
  const KsProfile *profile;

  ks_test_host_write (host, "config", SECTION);
  assert_armed (host, 1);
  ks_test_host_write (host, "config", "no section\n");
  assert_armed (host, 1);
  situation = ks_situation_read (&host->paths, NULL, KS_READ_DEFAULT);
  profile = situation->armed->pdata[0];
  assert_int_equal (profile->vpn_type, KS_VPN_SECTION);
  assert_int_equal (profile->listen_port, 1234);
  assert_string_equal (profile->interface, "lo");
  ks_test_host_remove (host, "config");
  assert_armed (host, 0);
}

/* The device is one that is always there. */
static void
situation_session_of_a_section_is_on_from_its_device_to_disable (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autoptr (KsEvent) disable = ks_event_new_of_section (KS_ACTION_DISABLE, "staex");
  g_autoptr (KsEvent) enable = ks_event_new_of_section (KS_ACTION_ENABLE, "staex");
  g_autoptr (KsEvent) other = ks_event_new_of_section (KS_ACTION_DISABLE, "other");

  ks_test_host_write (host, "config", SECTION "Mode=session\n");
  assert_armed (host, 1);
  assert_armed_at (host, other, KS_READ_DEFAULT, 1);
  assert_armed_at (host, disable, KS_READ_DEFAULT, 0);
  assert_armed (host, 0); /* the device is no new one */
  assert_armed_at (host, enable, KS_READ_DEFAULT, 1);
  assert_armed (host, 1);
  assert_armed_at (host, disable, KS_READ_DEFAULT, 0);
  set_boot (host, "next");
  assert_armed (host, 1); /* and after the boot the device is one */
}

static void
situation_session_of_a_section_waits_for_its_device_and_outlives_it (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autoptr (KsState) remembered_by = ks_state_new ();
  g_autoptr (KsSection) section = ks_section_new ("staex");
  g_autoptr (KsProfile) profile = ks_profile_new_of_section (section, "conf");
  g_autoptr (KsEvent) disable = ks_event_new_of_section (KS_ACTION_DISABLE, "staex");
  g_autoptr (GArray) devices = g_array_new (FALSE, FALSE, sizeof (guint32));
  KsRemembered *remembered = ks_state_remember (remembered_by, profile);
  guint32 first = 7, second = 9;

  ks_test_host_write (host, "config", "[vpn staex]\nInterface=no-such-dev\nPort=1\nMode=session\n");
  assert_armed (host, 0);

  ks_session_update_section (remembered, devices, NULL, "boot");
  assert_null (remembered->session);
  g_array_append_val (devices, first);
  ks_session_update_section (remembered, devices, NULL, "boot");
  assert_string_equal (remembered->session, "boot");
  g_array_set_size (devices, 0);
  ks_session_update_section (remembered, devices, NULL, "boot");
  assert_string_equal (remembered->session, "boot"); /* the device is gone: that is what it is for */
  g_array_append_val (devices, first);
  ks_session_update_section (remembered, devices, disable, "boot");
  assert_null (remembered->session);
  ks_session_update_section (remembered, devices, NULL, "boot");
  assert_null (remembered->session);
  g_array_append_val (devices, second);
  ks_session_update_section (remembered, devices, NULL, "boot");
  assert_string_equal (remembered->session, "boot");
  assert_null (remembered->disabled);
}

/* What a run does then is no repair of what another program has done. */
static void
situation_tells_that_the_device_of_a_session_has_appeared (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autoptr (KsSituation) first = NULL, second = NULL;

  ks_test_host_write (host, "config", SECTION "Mode=session\n");
  first = ks_situation_read (&host->paths, NULL, KS_READ_DEFAULT);
  assert_string_equal (first->appeared, "staex");
  assert_true (ks_situation_save (first, &host->paths, NULL));
  second = ks_situation_read (&host->paths, NULL, KS_READ_DEFAULT);
  assert_null (second->appeared);
}

static void
situation_without_networkmanager_asks_the_resolvers_of_resolv_conf (void **state G_GNUC_UNUSED)
{
  static const char text[] = "[vpn staex]\nInterface=staex0\nTo=vpn.example.org\n";
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autofree char *path = ks_test_path (host->directory, "resolv.conf");
  g_autoptr (KsSituation) known = NULL, local = NULL, mixed = NULL;

  ks_test_no_bus ();
  host->paths.resolv_conf = path;
  ks_test_host_write (host, "config", text);
  ks_test_host_write (host, "resolv.conf", "nameserver 192.168.1.1\n");
  known = ks_situation_read (&host->paths, NULL, KS_READ_DEFAULT);
  assert_int_equal (known->resolvers->len, 1);
  assert_int_equal (known->warnings->len, 0);
  assert_true (ks_situation_awaits_names (known));
  ks_test_host_write (host, "resolv.conf", "nameserver 127.0.0.53\n");
  local = ks_situation_read (&host->paths, NULL, KS_READ_DEFAULT);
  assert_int_equal (local->warnings->len, 1);
  assert_non_null (strstr (local->warnings->pdata[0], "[vpn staex] names its server by a host name"));
  /* beside profiles of NetworkManager, which is silent: it alone knows */
  ks_test_host_write (host, "resolv.conf", "nameserver 192.168.1.1\n");
  write_wireguard (host, "etc/wg", STRICT);
  mixed = ks_situation_read (&host->paths, NULL, KS_READ_DEFAULT);
  assert_null (mixed->resolvers);
}

/* --- release --- */

static void
situation_looks_for_profiles_where_networkmanager_does (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autofree char *config = g_strdup_printf ("[keyfile]\npath=%s/elsewhere\n", host->directory->path);
  g_autoptr (KsSituation) situation = NULL;

  write_wireguard (host, "elsewhere/wg", STRICT);
  assert_armed (host, 0);
  ks_test_host_write (host, "nm/etc/path.conf", config);
  assert_armed (host, 1);
  /* the usual place counts no more */
  ks_test_host_remove (host, "elsewhere/wg");
  write_wireguard (host, "etc/wg", STRICT);
  assert_armed (host, 0);
  /* unless it is not known */
  ks_test_host_write (host, "nm/etc/path.conf", "path=/elsewhere\n");
  situation = ks_situation_read (&host->paths, NULL, KS_READ_DEFAULT);
  assert_int_equal (situation->armed->len, 1);
  assert_int_equal (situation->errors->len, 1);
}

static void
situation_released_by_the_marker_arms_nothing (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autoptr (KsSituation) situation = NULL;

  write_wireguard (host, "etc/wg", STRICT);
  ks_test_host_write (host, "runtime/released", "");
  situation = ks_situation_read (&host->paths, NULL, KS_READ_DEFAULT);
  assert_true (situation->is_released);
  assert_int_equal (situation->armed->len, 0);
  assert_int_equal (ks_situation_diff_flags (situation), KS_DIFF_DEFAULT);
  ks_test_host_remove (host, "runtime/released");
  assert_armed (host, 1);
}

static void
situation_released_lets_go_even_when_everything_is_unclear (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autoptr (KsSituation) situation = NULL;

  ks_test_host_write (host, "etc/wg", "broken");
  ks_test_host_write (host, "state/state", "broken");
  ks_test_host_write (host, "config", "broken");
  ks_test_host_write (host, "runtime/released", "");
  situation = ks_situation_read (&host->paths, NULL, KS_READ_DEFAULT);
  assert_true (situation->is_released);
  assert_int_equal (ks_situation_diff_flags (situation), KS_DIFF_DEFAULT);
}

static void
situation_release_does_not_forget (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();

  write_wireguard (host, "etc/wg", STRICT);
  assert_armed (host, 1);
  ks_test_host_write (host, "etc/wg", "broken");
  ks_test_host_write (host, "runtime/released", "");
  assert_armed (host, 0);
  ks_test_host_remove (host, "runtime/released");
  assert_armed (host, 1);
}

static void
situation_released_by_the_kernel_command_line_until_resumed (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();

  write_wireguard (host, "etc/wg", STRICT);
  ks_test_host_write (host, "cmdline", "root=/dev/vda nm_killswitch=off quiet\n");
  assert_armed (host, 0);
  ks_test_host_write (host, "cmdline", "nm_killswitch=off\n");
  assert_armed (host, 0);
  ks_test_host_write (host, "runtime/resumed", "");
  assert_armed (host, 1);
  ks_test_host_write (host, "runtime/released", ""); /* the person's last word */
  assert_armed (host, 0);
}

static void
situation_is_not_released_by_other_words (void **state G_GNUC_UNUSED)
{
  static const char *const lines[] = { "nm_killswitch=on\n", "xnm_killswitch=off\n", "nm_killswitch=offline\n",
                                       "nm_killswitch\n", "" };
  g_autoptr (KsTestHost) host = ks_test_host_new ();

  write_wireguard (host, "etc/wg", STRICT);
  for (guint i = 0; i < G_N_ELEMENTS (lines); i++) {
    ks_test_host_write (host, "cmdline", lines[i]);
    assert_armed (host, 1);
  }
  ks_test_host_remove (host, "cmdline");
  assert_armed (host, 1);
}

/* --- what cannot be read --- */

static void
situation_unreadable_profile_that_was_armed_stays_armed (void **state G_GNUC_UNUSED)
{
  static const char *const texts[] = { "", "nonsense", "[connection\n", "[wireguard]\nlisten-port=1\n" };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (KsTestHost) host = ks_test_host_new ();
    g_autoptr (KsSituation) situation = NULL;
    const KsProfile *profile;

    write_wireguard (host, "etc/wg", STRICT);
    assert_armed (host, 1);
    ks_test_host_write (host, "etc/wg", texts[i]);
    assert_armed (host, 1);
    situation = ks_situation_read (&host->paths, NULL, KS_READ_DEFAULT); /* and is still remembered */
    assert_int_equal (situation->armed->len, 1);
    assert_int_equal (situation->errors->len, 1);
    profile = situation->armed->pdata[0];
    assert_int_equal (profile->reason, KS_REASON_REMEMBERED);
    assert_int_equal (profile->listen_port, 51820);
    assert_int_equal (profile->endpoints->len, 1);
  }
}

static void
situation_profile_that_others_may_read_stays_armed (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autofree char *path = ks_test_path (host->directory, "etc/wg");

  write_wireguard (host, "etc/wg", STRICT);
  assert_armed (host, 1);
  assert_int_equal (chmod (path, 0644), 0);
  assert_armed (host, 1);
  assert_int_equal (chmod (path, 0600), 0);
  write_wireguard (host, "etc/wg", "");
  assert_armed (host, 0);
}

static void
situation_directory_that_cannot_be_read_disarms_nothing (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autofree char *etc = ks_test_path (host->directory, "etc"), *away = ks_test_path (host->directory, "away");

  write_wireguard (host, "etc/wg", STRICT);
  assert_armed (host, 1);
  assert_int_equal (g_rename (etc, away), 0);
  ks_test_host_write (host, "etc", "a file");
  assert_armed (host, 1);
  assert_armed (host, 1);
  ks_test_host_remove (host, "etc");
  assert_armed (host, 0);
}

static void
situation_unreadable_profile_that_was_not_armed_is_not (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autoptr (KsSituation) situation = NULL;

  write_wireguard (host, "etc/wg", "");
  assert_armed (host, 0);
  ks_test_host_write (host, "etc/wg", "nonsense");
  situation = ks_situation_read (&host->paths, NULL, KS_READ_DEFAULT);
  assert_int_equal (situation->armed->len, 0);
  assert_false (situation->is_unclear);
}

static void
situation_is_unclear_when_nothing_tells_what_an_unreadable_profile_was (void **state G_GNUC_UNUSED)
{
  static const char *const states[] = { NULL, "", "corrupt" };

  for (guint i = 0; i < G_N_ELEMENTS (states); i++) {
    g_autoptr (KsTestHost) host = ks_test_host_new ();
    g_autoptr (KsSituation) situation = NULL;

    ks_test_host_write (host, "etc/wg", "nonsense");
    if (states[i])
      ks_test_host_write (host, "state/state", states[i]);
    situation = ks_situation_read (&host->paths, NULL, KS_READ_DEFAULT);
    assert_true (situation->is_unclear);
    assert_int_equal (ks_situation_diff_flags (situation), KS_DIFF_HOLD);
  }
}

static gboolean
is_unclear (const KsTestHost *host)
{
  g_autoptr (KsSituation) situation = ks_situation_read (&host->paths, NULL, KS_READ_DEFAULT);
  g_autoptr (GError) error = NULL;

  assert_true (ks_situation_save (situation, &host->paths, &error));
  return situation->is_unclear;
}

/* The state that is saved meanwhile knows nothing of it either. */
static void
situation_stays_unclear_until_the_file_tells_or_is_gone (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();

  ks_test_host_write (host, "etc/wg", "nonsense");
  for (int i = 0; i < 3; i++)
    assert_true (is_unclear (host));
  write_wireguard (host, "etc/wg", "");
  assert_false (is_unclear (host));
  ks_test_host_write (host, "etc/wg", "nonsense"); /* now it is known not to have been armed */
  assert_false (is_unclear (host));

  ks_test_host_remove (host, "state/state");
  assert_true (is_unclear (host));
  ks_test_host_remove (host, "etc/wg");
  assert_false (is_unclear (host));
}

static void
situation_malformed_configuration_keeps_a_custom_zone_armed (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();

  ks_test_host_write (host, "config", "[main]\nZones=office\n");
  write_wireguard (host, "etc/wg", "zone=office\n");
  assert_armed (host, 1);
  ks_test_host_write (host, "config", "[main\nZones=office\n");
  assert_armed (host, 1);
  assert_armed (host, 1);
  write_wireguard (host, "etc/wg", ""); /* without a zone there is no doubt */
  assert_armed (host, 0);
}

static void
situation_corrupt_state_does_not_keep_a_profile_from_arming (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();

  write_wireguard (host, "etc/wg", STRICT);
  ks_test_host_write (host, "state/state", "\xff\xfe garbage");
  assert_armed (host, 1);
  assert_armed (host, 1);
}

static void
situation_holds_exemptions_while_networkmanager_is_silent (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autoptr (KsSituation) situation = NULL;

  write_wireguard (host, "etc/wg", STRICT);
  situation = ks_situation_read (&host->paths, NULL, KS_READ_DEFAULT);
  assert_null (situation->network);
  assert_int_equal (ks_situation_diff_flags (situation), KS_DIFF_HOLD_EXEMPTIONS);
  assert_int_equal (situation->errors->len, 0); /* its silence is no error */
}

/* --- mode session --- */

/* wg0 is up in @state, 0 for not there. */
static void
set_wireguard (KsTestNm *nm, guint nm_state, guint active_state)
{
  ks_test_nm_main (nm, nm_state, active_state ? "5" : "", active_state ? "5" : "");
  ks_test_nm_active (nm, 5, KS_TEST_UUID_1, FALSE, active_state, "5", 5, 0);
  ks_test_nm_device (nm, 5, "wg0", 5, 0);
  ks_test_nm_ip4 (nm, 5, "10.8.0.2/24", "", "10.8.0.0/24", "");
}

static void
situation_session_is_armed_by_activation (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();

  write_wireguard (host, "etc/wg", SESSION);
  set_wireguard (nm, CONNECTED, 0);
  assert_armed (host, 0);
  set_wireguard (nm, CONNECTED, ACTIVATED);
  assert_armed (host, 1);
}

static void
situation_session_stays_armed_when_the_tunnel_is_lost (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  KsTestNm *nm = ks_test_nm_new ();

  write_wireguard (host, "etc/wg", SESSION);
  set_wireguard (nm, CONNECTED, ACTIVATED);
  assert_armed (host, 1);
  set_wireguard (nm, CONNECTED, 0); /* gone, and nobody asked for it */
  assert_armed (host, 1);
  ks_test_nm_free (nm); /* NetworkManager crashed */
  assert_armed (host, 1);
  assert_armed_at (host, NULL, KS_READ_NO_NETWORK, 1);
}

static void
situation_session_ends_with_an_orderly_disconnect (void **state G_GNUC_UNUSED)
{
  static const char *const envp[] = { "CONNECTION_UUID=" KS_TEST_UUID_1, NULL };
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();
  g_autoptr (KsEvent) pre_down = event_new ("wg0", "pre-down", envp), down = event_new ("wg0", "down", envp);

  write_wireguard (host, "etc/wg", SESSION);
  set_wireguard (nm, CONNECTED, ACTIVATED);
  assert_armed (host, 1);
  set_wireguard (nm, CONNECTED, DEACTIVATING);
  assert_armed_at (host, pre_down, KS_READ_DEFAULT, 1); /* until it is down */
  assert_armed (host, 1);
  set_wireguard (nm, CONNECTED, 0);
  assert_armed_at (host, down, KS_READ_DEFAULT, 0);
  assert_armed (host, 0);
}

static void
situation_session_does_not_end_when_another_disconnects_or_on_suspend (void **state G_GNUC_UNUSED)
{
  static const char *const own[] = { "CONNECTION_UUID=" KS_TEST_UUID_1, NULL };
  static const char *const other[] = { "CONNECTION_UUID=" KS_TEST_UUID_2, NULL };
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();
  g_autoptr (KsEvent) others = event_new ("eth0", "pre-down", other), suspend = event_new ("wg0", "pre-down", own);

  write_wireguard (host, "etc/wg", SESSION);
  set_wireguard (nm, CONNECTED, ACTIVATED);
  assert_armed (host, 1);
  assert_armed_at (host, others, KS_READ_DEFAULT, 1);
  set_wireguard (nm, ASLEEP, DEACTIVATING);
  assert_armed_at (host, suspend, KS_READ_DEFAULT, 1);
  set_wireguard (nm, ASLEEP, 0);
  assert_armed (host, 1);
}

static void
situation_session_goes_on_when_the_vpn_comes_back_after_all (void **state G_GNUC_UNUSED)
{
  static const char *const envp[] = { "CONNECTION_UUID=" KS_TEST_UUID_1, NULL };
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();
  g_autoptr (KsEvent) pre_down = event_new ("wg0", "pre-down", envp);

  write_wireguard (host, "etc/wg", SESSION);
  set_wireguard (nm, CONNECTED, ACTIVATED);
  assert_armed (host, 1);
  set_wireguard (nm, CONNECTED, DEACTIVATING);
  assert_armed_at (host, pre_down, KS_READ_DEFAULT, 1);
  set_wireguard (nm, CONNECTED, ACTIVATED);
  assert_armed (host, 1);
  set_wireguard (nm, CONNECTED, 0); /* this time nobody asked */
  assert_armed (host, 1);
}

static void
situation_session_is_over_after_a_reboot (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  KsTestNm *nm = ks_test_nm_new ();

  write_wireguard (host, "etc/wg", SESSION);
  set_wireguard (nm, CONNECTED, ACTIVATED);
  assert_armed (host, 1);
  ks_test_nm_free (nm);
  set_boot (host, "bbbbbbbb-0000-4000-8000-000000000002\n");
  assert_armed_at (host, NULL, KS_READ_NO_NETWORK, 0);
  assert_armed (host, 0);
}

static void
situation_unreadable_session_profile_is_armed_only_while_its_session_is_on (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  KsTestNm *nm = ks_test_nm_new ();

  write_wireguard (host, "etc/wg", SESSION);
  set_wireguard (nm, CONNECTED, 0);
  assert_armed (host, 0);
  ks_test_host_write (host, "etc/wg", "nonsense");
  assert_armed (host, 0);
  ks_test_host_remove (host, "boot_id"); /* no boot is not the session's boot */
  assert_armed (host, 0);
  set_boot (host, "aaaaaaaa-0000-4000-8000-000000000001\n");
  write_wireguard (host, "etc/wg", SESSION);
  set_wireguard (nm, CONNECTED, ACTIVATED);
  assert_armed (host, 1);
  ks_test_host_write (host, "etc/wg", "nonsense");
  assert_armed (host, 1);
  ks_test_nm_free (nm);
  set_boot (host, "bbbbbbbb-0000-4000-8000-000000000002\n");
  assert_armed (host, 0);
}

/* --- profiles that are edited while their VPN is up --- */

/* Looks, remembers, and tells the servers of the one armed profile. */
static char *
read_servers (KsTestHost *host, KsReadFlags flags)
{
  g_autoptr (KsSituation) situation = ks_situation_read (&host->paths, NULL, flags);
  g_autoptr (GError) error = NULL;
  GString *out = g_string_new (NULL);
  const GPtrArray *endpoints;

  assert_int_equal (situation->armed->len, 1);
  endpoints = ((const KsProfile *) situation->armed->pdata[0])->endpoints;
  for (guint i = 0; i < endpoints->len; i++)
    g_string_append_printf (out, "%s%s", i ? " " : "", ((const KsEndpoint *) endpoints->pdata[i])->host);
  assert_true (ks_situation_save (situation, &host->paths, &error));
  return g_string_free (out, FALSE);
}

static void
assert_servers (KsTestHost *host, KsReadFlags flags, const char *expected)
{
  g_autofree char *servers = read_servers (host, flags);

  assert_string_equal (servers, expected);
}

/* It sends to the servers that it had until it is activated again. */
static void
situation_keeps_the_servers_of_a_vpn_that_is_up_when_its_profile_is_edited (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  KsTestNm *nm = ks_test_nm_new ();

  write_openvpn (host, "etc/ovpn", STRICT, "remote=a.example 203.0.113.10\n");
  set_wireguard (nm, CONNECTED, ACTIVATED);
  assert_servers (host, KS_READ_DEFAULT, "a.example 203.0.113.10");
  write_openvpn (host, "etc/ovpn", STRICT, "remote=203.0.113.11 203.0.113.10\n");
  for (guint i = 0; i < 2; i++) /* the second time it is remembered */
    assert_servers (host, KS_READ_DEFAULT, "203.0.113.11 203.0.113.10 a.example");
  write_openvpn (host, "etc/ovpn", STRICT, "remote=203.0.113.12\n");
  assert_servers (host, KS_READ_DEFAULT, "203.0.113.12 a.example 203.0.113.11 203.0.113.10");
  set_wireguard (nm, CONNECTED, 0);
  assert_servers (host, KS_READ_DEFAULT, "203.0.113.12");
  set_wireguard (nm, CONNECTED, ACTIVATED);
  assert_servers (host, KS_READ_DEFAULT, "203.0.113.12");
  write_openvpn (host, "etc/ovpn", STRICT, "remote=203.0.113.13\n");
  assert_servers (host, KS_READ_DEFAULT, "203.0.113.13 203.0.113.12");
  ks_test_nm_free (nm); /* no answer, and no device of the VPN's */
  assert_servers (host, KS_READ_DEFAULT, "203.0.113.13");
}

/* Takes as many answers to its server's name as are kept, each of one address, and remembers. */
static void
take_answers (KsTestHost *host, guint network)
{
  g_autoptr (KsSituation) situation = ks_situation_read (&host->paths, NULL, KS_READ_DEFAULT);
  g_autoptr (GError) error = NULL;

  for (guint i = 1; i <= KS_ANSWERS_MAX; i++) {
    g_autofree char *text = g_strdup_printf ("203.0.%u.%u", network, i);
    g_autoptr (GArray) addresses = ks_test_prefixes (text);
    g_autoptr (KsAnswers) answers = ks_answers_new ();

    ks_answers_add (answers, "vpn.example", addresses);
    ks_situation_take_answers (situation, answers);
  }
  assert_true (ks_situation_save (situation, &host->paths, &error));
}

static gboolean
knows_address (KsTestHost *host, const char *text)
{
  g_autoptr (KsSituation) situation = ks_situation_read (&host->paths, NULL, KS_READ_DEFAULT);
  g_autoptr (GArray) addresses = ks_test_prefixes (text);

  return ks_prefix_array_contains (g_hash_table_lookup (situation->state->answers->addresses, "vpn.example"),
                                   &g_array_index (addresses, KsPrefix, 0));
}

/* The provider's name server gives other servers each time: the VPN would be cut off from its own. */
static void
situation_keeps_the_address_that_a_vpn_is_connected_to (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();

  write_openvpn (host, "etc/ovpn", STRICT, "remote=vpn.example\n");
  set_wireguard (nm, CONNECTED, 0);
  assert_armed (host, 1);
  take_answers (host, 113);
  set_wireguard (nm, CONNECTED, ACTIVATED);
  take_answers (host, 114);
  assert_true (knows_address (host, "203.0.113.1"));
  assert_false (knows_address (host, "203.0.114.1"));
  set_wireguard (nm, CONNECTED, 0);
  take_answers (host, 115);
  assert_false (knows_address (host, "203.0.113.1"));
  assert_true (knows_address (host, "203.0.115.1"));
}

static void
situation_takes_a_section_as_it_is_written (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();

  ks_test_no_bus ();
  ks_test_host_write (host, "config", "[vpn staex]\nInterface=lo\nTo=203.0.113.10\n");
  assert_servers (host, KS_READ_DEFAULT, "203.0.113.10");
  ks_test_host_write (host, "config", "[vpn staex]\nInterface=lo\nTo=203.0.113.11\n");
  assert_servers (host, KS_READ_DEFAULT, "203.0.113.11");
}

/* --- tunnels --- */

/* A device of this machine that is up; NULL when there is none. */
static char *
find_device (KsKernel *kernel)
{
  struct if_nameindex *devices = if_nameindex ();
  char *found = NULL;

  for (guint i = 0; devices && devices[i].if_index && !found; i++)
    if (ks_kernel_link_index (kernel, devices[i].if_name))
      found = g_strdup (devices[i].if_name);
  if_freenameindex (devices);
  return found;
}

/* The tunnels that follow from @event, and what is in @routes, over a device that is up. */
static guint
count_tunnels (KsTestHost *host, KsKernel *kernel, const KsEvent *event, const GArray *routes)
{
  g_autoptr (KsSituation) situation = ks_situation_read (&host->paths, event, KS_READ_DEFAULT);
  g_autoptr (KsSnapshot) snapshot = g_new0 (KsSnapshot, 1);
  g_autoptr (GError) error = NULL;
  guint count;

  snapshot->rules = g_array_new (FALSE, FALSE, sizeof (KsRule));
  snapshot->routes = g_array_new (FALSE, FALSE, sizeof (KsRoute));
  if (routes)
    g_array_append_vals (snapshot->routes, routes->data, routes->len);
  ks_situation_find_tunnels (situation, kernel, snapshot, event);
  count = situation->tunnels->len;
  assert_true (ks_situation_save (situation, &host->paths, &error));
  return count;
}

typedef struct {
  KsTestHost *host;
  KsKernel *kernel;
  char *device;
} Machine;

static int
machine_setup (void **state)
{
  Machine *machine = g_new0 (Machine, 1);

  machine->host = ks_test_host_new ();
  machine->kernel = ks_kernel_new (NULL);
  assert_non_null (machine->kernel);
  machine->device = find_device (machine->kernel);
  *state = machine;
  return 0;
}

static int
machine_teardown (void **state)
{
  Machine *machine = *state;

  ks_test_host_free (machine->host);
  ks_kernel_free (machine->kernel);
  g_free (machine->device);
  g_free (machine);
  return 0;
}

static void
situation_takes_networkmanagers_tunnels_whose_devices_are_there (void **state)
{
  Machine *machine = *state;
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();

  if (!machine->device)
    skip ();
  write_wireguard (machine->host, "etc/wg", STRICT);
  set_wireguard (nm, CONNECTED, ACTIVATED);
  ks_test_nm_device (nm, 5, "no-such-device", 5, 0);
  assert_int_equal (count_tunnels (machine->host, machine->kernel, NULL, NULL), 0);
  ks_test_nm_device (nm, 5, machine->device, 5, 0);
  assert_int_equal (count_tunnels (machine->host, machine->kernel, NULL, NULL), 1);
  write_wireguard (machine->host, "etc/wg", "");
  assert_int_equal (count_tunnels (machine->host, machine->kernel, NULL, NULL), 0);
}

/* The loopback device is no tunnel, whatever a section says; no error, but a person should know. */
static void
situation_takes_no_hardware_for_the_tunnel_of_a_section (void **state)
{
  Machine *machine = *state;
  g_autoptr (KsSituation) situation = NULL;
  g_autoptr (KsSnapshot) snapshot = NULL;

  /* tests/arch: QEMU's user mode does not know the messages of routing rules */
  if (g_getenv ("KS_EMULATED"))
    skip ();
  ks_test_host_write (machine->host, "config", SECTION);
  situation = ks_situation_read (&machine->host->paths, NULL, KS_READ_DEFAULT);
  snapshot = ks_kernel_dump (machine->kernel, situation->config, NULL);
  assert_non_null (snapshot);
  ks_situation_find_tunnels (situation, machine->kernel, snapshot, NULL);
  ks_situation_refresh_tunnels (situation, machine->kernel, snapshot);
  assert_int_equal (situation->tunnels->len, 0);
  assert_int_equal (situation->warnings->len, 1);
  assert_non_null (strstr (situation->warnings->pdata[0], "[vpn staex] Interface: lo is a network card"));
}

/* Of a device that was replaced NetworkManager says by its name that it is the tunnel; a guess went by the index. */
static void
situation_looks_up_its_tunnels_again (void **state)
{
  Machine *machine = *state;
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();
  g_autoptr (KsSituation) situation = NULL;
  KsSnapshot snapshot = { .routes = NULL };
  KsTunnel *tunnel;
  guint index;

  if (!machine->device)
    skip ();
  index = if_nametoindex (machine->device);
  write_wireguard (machine->host, "etc/wg", STRICT);
  set_wireguard (nm, CONNECTED, ACTIVATED);
  ks_test_nm_device (nm, 5, machine->device, 5, 0);
  situation = ks_situation_read (&machine->host->paths, NULL, KS_READ_DEFAULT);
  ks_situation_find_tunnels (situation, machine->kernel, &snapshot, NULL);
  assert_int_equal (situation->tunnels->len, 1);
  assert_false (ks_situation_refresh_tunnels (situation, machine->kernel, &snapshot));
  tunnel = situation->tunnels->pdata[0];
  tunnel->ifindex = index + 1000;
  assert_true (ks_situation_refresh_tunnels (situation, machine->kernel, &snapshot));
  assert_int_equal (tunnel->ifindex, index);

  tunnel->ifindex = index + 1000;
  g_clear_pointer (&situation->network, ks_network_free);
  assert_true (ks_situation_refresh_tunnels (situation, machine->kernel, &snapshot));
  assert_int_equal (situation->tunnels->len, 0);
}

static void
situation_takes_the_events_tunnel_while_networkmanager_is_silent (void **state)
{
  Machine *machine = *state;
  g_autofree char *interface = NULL;
  const char *envp[] = { "CONNECTION_UUID=" KS_TEST_UUID_1, NULL, "DEVICE_IP_IFACE=eth0",
                         "VPN_IP4_ADDRESS_0=10.8.0.2/24 0.0.0.0", NULL };
  const char *others[] = { "CONNECTION_UUID=" KS_TEST_UUID_2, NULL, NULL };
  g_autoptr (KsEvent) up = NULL, other = NULL, down = NULL;

  if (!machine->device)
    skip ();
  interface = g_strdup_printf ("VPN_IP_IFACE=%s", machine->device);
  envp[1] = others[1] = interface;
  write_openvpn (machine->host, "etc/ovpn", STRICT, "remote=203.0.113.10\n");
  other = event_new (machine->device, "vpn-up", others);
  assert_int_equal (count_tunnels (machine->host, machine->kernel, other, NULL), 0);
  up = event_new (machine->device, "vpn-pre-up", envp);
  assert_int_equal (count_tunnels (machine->host, machine->kernel, up, NULL), 1);
  down = event_new (machine->device, "vpn-down", envp);
  assert_int_equal (count_tunnels (machine->host, machine->kernel, down, NULL), 0);
}

/* NetworkManager 1.52 has not listed the IPv6 addresses yet when it sends the event. */
static void
situation_adds_to_networkmanagers_tunnel_what_the_event_knows (void **state)
{
  static const struct {
    const char *uuid;
    gboolean has_ipv6;
  } cases[] = { { "CONNECTION_UUID=" KS_TEST_UUID_1, TRUE }, { "CONNECTION_UUID=" KS_TEST_UUID_2, FALSE } };
  Machine *machine = *state;
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();
  g_autofree char *interface = NULL;

  if (!machine->device)
    skip ();
  interface = g_strdup_printf ("VPN_IP_IFACE=%s", machine->device);
  write_openvpn (machine->host, "etc/ovpn", STRICT, "remote=203.0.113.10\n");
  ks_test_nm_main (nm, CONNECTED, "5", "2 5");
  ks_test_nm_device (nm, 2, "eth0", 0, 0);
  ks_test_nm_active (nm, 5, KS_TEST_UUID_1, TRUE, ACTIVATED, "2", 5, 0);
  ks_test_nm_device (nm, 5, machine->device, 5, 0);
  ks_test_nm_ip4 (nm, 5, "10.8.0.2/24", "", "10.8.0.0/24", "");
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    const char *envp[] = { cases[i].uuid,
                           interface,
                           "DEVICE_IP_IFACE=eth0",
                           "VPN_IP4_ADDRESS_0=10.8.0.2/24 0.0.0.0",
                           "VPN_IP6_ADDRESS_0=fd08::2/64 ::",
                           NULL };
    g_autoptr (KsEvent) up = event_new (machine->device, "vpn-up", envp);
    g_autoptr (KsSituation) situation = ks_situation_read (&machine->host->paths, up, KS_READ_DEFAULT);
    g_autoptr (KsSnapshot) snapshot = g_new0 (KsSnapshot, 1);
    const KsTunnel *tunnel;

    snapshot->rules = g_array_new (FALSE, FALSE, sizeof (KsRule));
    snapshot->routes = g_array_new (FALSE, FALSE, sizeof (KsRoute));
    ks_situation_find_tunnels (situation, machine->kernel, snapshot, up);
    assert_int_equal (situation->tunnels->len, 1);
    tunnel = situation->tunnels->pdata[0];
    assert_true (tunnel->has_ipv4);
    assert_int_equal (tunnel->has_ipv6, cases[i].has_ipv6);
  }
}

/*
 * The events that follow do not name the addresses, and NetworkManager 1.52 may still not list them: the kernel has
 * them. A link-local address is on every device and carries nothing.
 */
static void
situation_adds_to_networkmanagers_tunnel_what_the_kernel_knows (void **state)
{
  static const struct {
    const char *address;
    gboolean is_of_tunnel, has_ipv6;
  } cases[] = { { "fd08::2/64", TRUE, TRUE }, { "fe80::2/64", TRUE, FALSE }, { "fd08::2/64", FALSE, FALSE } };
  Machine *machine = *state;
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();

  if (!machine->device)
    skip ();
  write_openvpn (machine->host, "etc/ovpn", STRICT, "remote=203.0.113.10\n");
  ks_test_nm_main (nm, CONNECTED, "5", "2 5");
  ks_test_nm_device (nm, 2, "eth0", 0, 0);
  ks_test_nm_active (nm, 5, KS_TEST_UUID_1, TRUE, ACTIVATED, "2", 5, 0);
  ks_test_nm_device (nm, 5, machine->device, 5, 0);
  ks_test_nm_ip4 (nm, 5, "10.8.0.2/24", "", "10.8.0.0/24", "");
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (KsSituation) situation = ks_situation_read (&machine->host->paths, NULL, KS_READ_DEFAULT);
    g_autoptr (KsSnapshot) snapshot = g_new0 (KsSnapshot, 1);
    KsAddress address = { .ifindex = if_nametoindex (machine->device) + (cases[i].is_of_tunnel ? 0 : 1) };
    KsPrefix any = ks_test_prefix ("::/0"), subnet = ks_test_prefix ("fd09::/48"), none = KS_PREFIX_UNSET;
    KsPrefix gateway = ks_test_prefix ("fd08::1");
    KsRoute routes[] = {
      ks_route_via (RT_TABLE_MAIN, RTPROT_STATIC, &any, 50, address.ifindex, &gateway),
      ks_route_via (RT_TABLE_MAIN, RTPROT_STATIC, &subnet, 50, address.ifindex, &none),
    };
    const KsTunnel *tunnel;

    address.prefix = ks_test_prefix (cases[i].address);
    snapshot->rules = g_array_new (FALSE, FALSE, sizeof (KsRule));
    snapshot->routes = g_array_new (FALSE, FALSE, sizeof (KsRoute));
    snapshot->addresses = g_array_new (FALSE, FALSE, sizeof (KsAddress));
    g_array_append_vals (snapshot->routes, routes, G_N_ELEMENTS (routes));
    g_array_append_val (snapshot->addresses, address);
    ks_situation_find_tunnels (situation, machine->kernel, snapshot, NULL);
    assert_int_equal (situation->tunnels->len, 1);
    tunnel = situation->tunnels->pdata[0];
    assert_true (tunnel->has_ipv4);
    assert_int_equal (tunnel->has_ipv6, cases[i].has_ipv6);
    assert_int_equal (ks_prefix_array_contains (tunnel->prefixes, &subnet), cases[i].has_ipv6);
    assert_int_equal (ks_prefix_equal (&tunnel->gateway6, &gateway), cases[i].has_ipv6);
  }
}

static void
situation_never_takes_the_uplink_of_an_event_for_a_tunnel (void **state)
{
  static const char *const actions[] = { "vpn-pre-up", "vpn-up" };
  Machine *machine = *state;
  g_autofree char *parent = NULL, *interface = NULL;
  const char *without[] = { "CONNECTION_UUID=" KS_TEST_UUID_1, NULL, NULL };
  const char *same[] = { "CONNECTION_UUID=" KS_TEST_UUID_1, NULL, NULL, NULL };

  if (!machine->device)
    skip ();
  /* a VPN without a device of its own: the event names the device it goes by */
  parent = g_strdup_printf ("DEVICE_IP_IFACE=%s", machine->device);
  interface = g_strdup_printf ("VPN_IP_IFACE=%s", machine->device);
  without[1] = same[1] = parent;
  same[2] = interface;
  write_openvpn (machine->host, "etc/ovpn", STRICT, "remote=203.0.113.10\n");
  for (guint i = 0; i < G_N_ELEMENTS (actions); i++) {
    g_autoptr (KsEvent) first = event_new (machine->device, actions[i], without);
    g_autoptr (KsEvent) second = event_new (machine->device, actions[i], same);

    assert_int_equal (count_tunnels (machine->host, machine->kernel, first, NULL), 0);
    assert_int_equal (count_tunnels (machine->host, machine->kernel, second, NULL), 0);
  }
}

static void
situation_keeps_a_remembered_tunnel_that_our_routes_use (void **state)
{
  Machine *machine = *state;
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();
  g_autoptr (GArray) routes = g_array_new (FALSE, FALSE, sizeof (KsRoute));
  KsPrefix all = ks_prefix_default (AF_INET), none = KS_PREFIX_UNSET;
  KsRoute route;

  if (!machine->device)
    skip ();
  write_wireguard (machine->host, "etc/wg", STRICT);
  set_wireguard (nm, CONNECTED, ACTIVATED);
  ks_test_nm_device (nm, 5, machine->device, 5, 0);
  assert_int_equal (count_tunnels (machine->host, machine->kernel, NULL, NULL), 1);
  ks_test_nm_silence_after (nm, 0);
  /* a name alone is not enough: another program's device may have it now */
  assert_int_equal (count_tunnels (machine->host, machine->kernel, NULL, NULL), 0);
  route = ks_route_via (83, 83, &all, 100, if_nametoindex (machine->device), &none);
  g_array_append_val (routes, route);
  assert_int_equal (count_tunnels (machine->host, machine->kernel, NULL, routes), 1);
}

/* --- names --- */

static void
situation_lists_the_names_to_be_resolved_once (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autoptr (KsSituation) situation = NULL;
  g_autoptr (GPtrArray) hosts = NULL;

  write_openvpn (host, "etc/ovpn", STRICT, "remote=a.example:1,b.example,a.example:2,203.0.113.10,2001:db8::1\n");
  situation = ks_situation_read (&host->paths, NULL, KS_READ_NO_NETWORK);
  hosts = ks_situation_hosts (situation);
  assert_int_equal (hosts->len, 2);
  assert_string_equal (hosts->pdata[0], "a.example");
  assert_string_equal (hosts->pdata[1], "b.example");
}

static gboolean
awaits_names (const KsTestHost *host)
{
  g_autoptr (KsSituation) situation = ks_situation_read (&host->paths, NULL, KS_READ_DEFAULT);

  return ks_situation_awaits_names (situation);
}

/* Asking again and again is for who needs it and has somebody to ask. */
static void
situation_awaits_names_of_a_blocked_plugin_vpn_only (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();

  ks_test_nm_main (nm, CONNECTED, "2", "2");
  ks_test_nm_device (nm, 2, "eth0", 2, 0);
  ks_test_nm_active (nm, 2, KS_TEST_UUID_2, FALSE, ACTIVATED, "2", 2, 0);
  ks_test_nm_ip4 (nm, 2, "192.168.50.2/24", "192.168.50.1", "0.0.0.0/0>192.168.50.1", "192.168.50.1");
  write_openvpn (host, "etc/ovpn", STRICT, "remote=a.example\n");
  assert_true (awaits_names (host));
  ks_test_nm_ip4 (nm, 2, "192.168.50.2/24", "192.168.50.1", "0.0.0.0/0>192.168.50.1", "");
  assert_false (awaits_names (host));
  ks_test_nm_ip4 (nm, 2, "192.168.50.2/24", "192.168.50.1", "0.0.0.0/0>192.168.50.1", "192.168.50.1");
  write_openvpn (host, "etc/ovpn", STRICT, "remote=203.0.113.10\n");
  assert_false (awaits_names (host));
  write_openvpn (host, "etc/ovpn", "", "remote=a.example\n");
  assert_false (awaits_names (host));
  write_openvpn (host, "etc/ovpn", STRICT, "remote=a.example\n");
  ks_test_nm_silence_after (nm, 0);
  assert_false (awaits_names (host));
}

static int
no_bus (void **state G_GNUC_UNUSED)
{
  ks_test_no_bus ();
  return 0;
}

#define machine_test(name) cmocka_unit_test_setup_teardown (name, machine_setup, machine_teardown)

static void
situation_says_that_a_vpn_without_a_device_carries_nothing (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();
  g_autoptr (KsSituation) situation = NULL;

  write_openvpn (host, "etc/vpn", STRICT, "remote=203.0.113.10\n");
  ks_test_nm_main (nm, CONNECTED, "2 3", "2");
  ks_test_nm_device (nm, 2, "eth0", 2, 2);
  ks_test_nm_active (nm, 2, KS_TEST_UUID_2, FALSE, ACTIVATED, "2", 2, 2);
  ks_test_nm_active (nm, 3, KS_TEST_UUID_1, TRUE, ACTIVATED, "2", 2, 2);
  ks_test_nm_ip4 (nm, 2, "192.168.50.2/24", "192.168.50.1", "192.168.50.0/24", "");
  situation = ks_situation_read (&host->paths, NULL, KS_READ_DEFAULT);
  assert_int_equal (situation->armed->len, 1);
  assert_int_equal (situation->warnings->len, 1);
  assert_non_null (strstr (situation->warnings->pdata[0], "has no network device of its own"));
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (situation_section_is_armed_without_networkmanager_and_holds_nothing_for_it),
    cmocka_unit_test (situation_section_ends_with_its_text),
    cmocka_unit_test (situation_section_stays_armed_while_the_configuration_cannot_be_read),
    cmocka_unit_test (situation_session_of_a_section_is_on_from_its_device_to_disable),
    cmocka_unit_test (situation_session_of_a_section_waits_for_its_device_and_outlives_it),
    cmocka_unit_test (situation_tells_that_the_device_of_a_session_has_appeared),
    cmocka_unit_test (situation_without_networkmanager_asks_the_resolvers_of_resolv_conf),
    cmocka_unit_test (situation_without_profiles_arms_nothing),
    cmocka_unit_test (situation_strict_is_armed_from_boot_without_networkmanager),
    cmocka_unit_test (situation_strict_ends_when_the_setting_is_taken_away),
    cmocka_unit_test (situation_strict_ends_when_the_profile_is_deleted),
    cmocka_unit_test (situation_follows_a_profile_to_another_file),
    cmocka_unit_test (situation_looks_for_profiles_where_networkmanager_does),
    cmocka_unit_test (situation_released_by_the_marker_arms_nothing),
    cmocka_unit_test (situation_released_lets_go_even_when_everything_is_unclear),
    cmocka_unit_test (situation_release_does_not_forget),
    cmocka_unit_test (situation_released_by_the_kernel_command_line_until_resumed),
    cmocka_unit_test (situation_is_not_released_by_other_words),
    cmocka_unit_test (situation_unreadable_profile_that_was_armed_stays_armed),
    cmocka_unit_test (situation_profile_that_others_may_read_stays_armed),
    cmocka_unit_test (situation_directory_that_cannot_be_read_disarms_nothing),
    cmocka_unit_test (situation_unreadable_profile_that_was_not_armed_is_not),
    cmocka_unit_test (situation_is_unclear_when_nothing_tells_what_an_unreadable_profile_was),
    cmocka_unit_test (situation_stays_unclear_until_the_file_tells_or_is_gone),
    cmocka_unit_test (situation_malformed_configuration_keeps_a_custom_zone_armed),
    cmocka_unit_test (situation_corrupt_state_does_not_keep_a_profile_from_arming),
    cmocka_unit_test (situation_holds_exemptions_while_networkmanager_is_silent),
    cmocka_unit_test (situation_keeps_the_servers_of_a_vpn_that_is_up_when_its_profile_is_edited),
    cmocka_unit_test (situation_keeps_the_address_that_a_vpn_is_connected_to),
    cmocka_unit_test (situation_takes_a_section_as_it_is_written),
    cmocka_unit_test (situation_session_is_armed_by_activation),
    cmocka_unit_test (situation_session_stays_armed_when_the_tunnel_is_lost),
    cmocka_unit_test (situation_session_ends_with_an_orderly_disconnect),
    cmocka_unit_test (situation_session_does_not_end_when_another_disconnects_or_on_suspend),
    cmocka_unit_test (situation_session_goes_on_when_the_vpn_comes_back_after_all),
    cmocka_unit_test (situation_session_is_over_after_a_reboot),
    cmocka_unit_test (situation_unreadable_session_profile_is_armed_only_while_its_session_is_on),
    machine_test (situation_takes_networkmanagers_tunnels_whose_devices_are_there),
    machine_test (situation_looks_up_its_tunnels_again),
    machine_test (situation_takes_no_hardware_for_the_tunnel_of_a_section),
    machine_test (situation_takes_the_events_tunnel_while_networkmanager_is_silent),
    machine_test (situation_adds_to_networkmanagers_tunnel_what_the_event_knows),
    machine_test (situation_adds_to_networkmanagers_tunnel_what_the_kernel_knows),
    machine_test (situation_never_takes_the_uplink_of_an_event_for_a_tunnel),
    machine_test (situation_keeps_a_remembered_tunnel_that_our_routes_use),
    cmocka_unit_test (situation_lists_the_names_to_be_resolved_once),
    cmocka_unit_test (situation_awaits_names_of_a_blocked_plugin_vpn_only),
    cmocka_unit_test (situation_says_that_a_vpn_without_a_device_carries_nothing),
  };

  return cmocka_run_group_tests_name ("ks-situation", tests, no_bus, NULL);
}
