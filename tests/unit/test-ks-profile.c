/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test.h"

#include <NetworkManager.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ks-error.h"
#include "input/ks-profile-read.h"

#define STRICT "zone=killswitch\n"
#define SESSION "zone=killswitch-auto\n"

typedef struct {
  KsTestHost *host;
  KsConfig *config;
  GPtrArray *errors;
  KsProfileSet *set;
} Fixture;

/* How often a file below this directory was looked for. */
#define FAR_AWAY "/net/nowhere/"
static guint looks_far_away;

/* In place of the C library's, also for libraries: it notes where they look. */
int
access (const char *path, int mode)
{
  looks_far_away += g_str_has_prefix (path, FAR_AWAY);
  return faccessat (AT_FDCWD, path, mode, 0);
}

static Fixture *
fixture_new (void)
{
  Fixture *self = g_new0 (Fixture, 1);

  self->host = ks_test_host_new ();
  self->config = ks_config_new ();
  self->errors = ks_test_errors_new ();
  return self;
}

static void
fixture_free (Fixture *self)
{
  ks_test_host_free (self->host);
  ks_config_free (self->config);
  g_ptr_array_unref (self->errors);
  g_clear_pointer (&self->set, ks_profile_set_free);
  g_free (self);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Fixture, fixture_free)

static void
write_file (Fixture *self, const char *name, const char *text)
{
  ks_test_host_write (self->host, name, text);
}

static void
write_wireguard (Fixture *self, const char *name, const char *uuid, const char *connection, const char *more)
{
  g_autofree char *text = ks_test_wireguard (uuid, connection, more);

  write_file (self, name, text);
}

static void
write_openvpn (Fixture *self, const char *name, const char *uuid, const char *connection, const char *data)
{
  g_autofree char *text = ks_test_openvpn (uuid, connection, data);

  write_file (self, name, text);
}

static const KsProfileSet *
read_set (Fixture *self)
{
  g_clear_pointer (&self->set, ks_profile_set_free);
  g_ptr_array_set_size (self->errors, 0);
  self->set = ks_profile_set_read (self->host->profiles, self->host->zones, self->config, NULL, self->errors);
  return self->set;
}

/* "FILE MODE (REASON)" of each profile, less the host's directory. */
static void
assert_profiles (Fixture *self, const char *expected)
{
  const KsProfileSet *set = read_set (self);
  g_autoptr (GString) out = g_string_new (NULL);

  for (guint i = 0; i < set->profiles->len; i++) {
    const KsProfile *profile = set->profiles->pdata[i];
    g_autofree char *reason = ks_profile_format_reason (profile);

    assert_true (g_str_has_prefix (profile->path, self->host->directory->path));
    g_string_append_printf (out, "%s%s %s (%s)", i ? "; " : "",
                            profile->path + strlen (self->host->directory->path) + 1, ks_mode_format (profile->mode),
                            reason);
  }
  assert_string_equal (out->str, expected);
}

/* The messages, less the host's directory. */
static void
assert_errors (Fixture *self, const char *expected)
{
  g_autofree char *prefix = g_strconcat (self->host->directory->path, "/", NULL);
  g_autofree char *text = ks_test_format_errors (self->errors);
  g_auto (GStrv) parts = g_strsplit (text, prefix, -1);
  g_autofree char *shortened = g_strjoinv ("", parts);

  assert_string_equal (shortened, expected);
}

static void
assert_unreadable (const Fixture *self, const char *name)
{
  g_autofree char *path = ks_test_path (self->host->directory, name);

  assert_int_equal (self->set->unreadable->len, 1);
  assert_string_equal (self->set->unreadable->pdata[0], path);
}

static const KsProfile *
only_profile (Fixture *self)
{
  const KsProfileSet *set = read_set (self);

  assert_int_equal (set->profiles->len, 1);
  return set->profiles->pdata[0];
}

static char *
format_endpoints (const KsProfile *profile)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < profile->endpoints->len; i++) {
    const KsEndpoint *endpoint = profile->endpoints->pdata[i];

    g_string_append_printf (out, "%s%u %s %u", i ? "; " : "", endpoint->ip_protocol, endpoint->host, endpoint->port);
  }
  return g_string_free (out, FALSE);
}

/* --- which mode, and why --- */

static void
profile_is_armed_by_its_zone (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();

  write_wireguard (f, "etc/a.nmconnection", KS_TEST_UUID_1, STRICT, "");
  write_wireguard (f, "etc/b.nmconnection", KS_TEST_UUID_2, SESSION, "");
  write_wireguard (f, "etc/c.nmconnection", KS_TEST_UUID_3, "zone=home\n", "");
  write_wireguard (f, "etc/d.nmconnection", "44444444-4444-4444-8444-444444444444", "", "");
  assert_profiles (f, "etc/a.nmconnection strict (connection.zone); etc/b.nmconnection session (connection.zone)");
  assert_errors (f, "");
}

static void
profile_is_armed_by_zones_of_the_configuration (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();

  g_strfreev (f->config->zones);
  f->config->zones = g_strsplit ("office;vpn", ";", -1);
  write_wireguard (f, "etc/a.nmconnection", KS_TEST_UUID_1, "zone=vpn\n", "");
  write_wireguard (f, "etc/b.nmconnection", KS_TEST_UUID_2, STRICT, "");
  assert_profiles (f, "etc/a.nmconnection strict (connection.zone)");
}

static void
profile_user_data_takes_precedence_over_the_zone (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();

  write_wireguard (f, "etc/a.nmconnection", KS_TEST_UUID_1, STRICT, "[user]\nnm-killswitch.mode=off\n");
  write_wireguard (f, "etc/b.nmconnection", KS_TEST_UUID_2, STRICT, "[user]\nnm-killswitch.mode=session\n");
  write_wireguard (f, "etc/c.nmconnection", KS_TEST_UUID_3, "", "[user]\nnm-killswitch.mode=strict\n");
  assert_profiles (f, "etc/a.nmconnection off (user.data nm-killswitch.mode); "
                      "etc/b.nmconnection session (user.data nm-killswitch.mode); "
                      "etc/c.nmconnection strict (user.data nm-killswitch.mode)");
  assert_false (ks_profile_wants (f->set->profiles->pdata[0]));
  assert_true (ks_profile_wants (f->set->profiles->pdata[1]));
}

static void
profile_with_an_invalid_mode_is_armed_strict (void **state G_GNUC_UNUSED)
{
  static const char *const cases[][2] = {
    { "Strict", "Strict" },
    { "", "" },
    { "on", "on" },
    { "off ", "off " },
    { "o\xff", "o\xef\xbf\xbd" },
    { "a\\qb", "ab" },
    { "\033[2J", "\\u001b[2J" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Fixture) f = fixture_new ();
    g_autofree char *more = g_strdup_printf ("[user]\nnm-killswitch.mode=%s\n", cases[i][0]);
    g_autofree char *text = NULL;

    write_wireguard (f, "etc/a.nmconnection", KS_TEST_UUID_1, "", more);
    assert_profiles (f, "etc/a.nmconnection strict (an invalid setting: fail closed)");
    text = ks_test_format_errors (f->errors);
    assert_non_null (strstr (text, "/etc/a.nmconnection: [user] nm-killswitch.mode: '"));
    assert_non_null (strstr (text, "is not one of strict, session, off: armed as strict"));
    assert_true (g_utf8_validate (text, -1, NULL));
    assert_null (strchr (text, '\033'));
  }
}

static void
profile_reads_its_overrides (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();
  const KsProfile *profile;

  write_wireguard (f, "etc/a.nmconnection", KS_TEST_UUID_1, STRICT, "");
  profile = only_profile (f);
  assert_int_equal (profile->lan, KS_LAN_UNSET);
  assert_int_equal (profile->dns, KS_DNS_UNSET);
  write_wireguard (f, "etc/a.nmconnection", KS_TEST_UUID_1, STRICT,
                   "[user]\nnm-killswitch.lan=routes\nnm-killswitch.dns=lan\n");
  profile = only_profile (f);
  assert_int_equal (profile->lan, KS_LAN_ROUTES);
  assert_int_equal (profile->dns, KS_DNS_LAN);
  assert_errors (f, "");
}

static void
profile_with_invalid_overrides_has_the_safest (void **state G_GNUC_UNUSED)
{
  static const char *const values[] = { "yes", "", "\xff" };

  for (guint i = 0; i < G_N_ELEMENTS (values); i++) {
    g_autoptr (Fixture) f = fixture_new ();
    g_autofree char *more =
      g_strdup_printf ("[user]\nnm-killswitch.lan=%s\nnm-killswitch.dns=%s\n", values[i], values[i]);
    const KsProfile *profile;

    write_wireguard (f, "etc/a.nmconnection", KS_TEST_UUID_1, STRICT, more);
    f->config->dns = KS_DNS_LAN;
    profile = only_profile (f);
    assert_int_equal (profile->lan, KS_LAN_OFF);
    assert_int_equal (profile->dns, KS_DNS_TUNNEL);
    assert_true (f->errors->len >= 2);
  }
}

static void
profile_that_is_not_a_vpn_warns_and_is_not_armed (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();

  write_file (f, "etc/lan", "[connection]\nid=Wired\033[1m\nuuid=" KS_TEST_UUID_1 "\ntype=ethernet\n" STRICT);
  assert_profiles (f, "");
  assert_int_equal (f->set->warnings->len, 1);
  assert_string_equal (f->set->warnings->pdata[0],
                       "zone 'killswitch' has no effect on 'Wired\\u001b[1m': it is an ethernet connection, not a VPN");
  write_file (f, "etc/lan", "[connection]\nid=Wired\nuuid=" KS_TEST_UUID_1 "\n" STRICT);
  assert_profiles (f, "");
  assert_string_equal (
    f->set->warnings->pdata[0],
    "zone 'killswitch' has no effect on 'Wired': the profile does not say what type of connection it is");
}

/* The only warning there is about a profile with @id and @lines of [connection]; "" when there is none. */
static const char *
warning_about (Fixture *self, const char *id, const char *lines)
{
  g_autofree char *text = g_strdup_printf ("[connection]\nid=%s\nuuid=" KS_TEST_UUID_1 "\ntype=vpn\n%s", id, lines);

  write_file (self, "etc/vpn", text);
  read_set (self);
  assert_true (self->set->warnings->len <= 1);
  return self->set->warnings->len ? self->set->warnings->pdata[0] : "";
}

static void
profile_with_a_misspelt_zone_warns_with_the_command_to_type (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *line, *shown, *meant;
  } zones[] = {
    { "zone=kill-switch\n", "kill-switch", "killswitch" },
    { "zone=Killswitch\n", "Killswitch", "killswitch" },
    { "zone=killswitch\\s\n", "killswitch ", "killswitch" },
    { "zone=killswtich\n", "killswtich", "killswitch" },
    { "zone=killswitch\\t\n", "killswitch\\u0009", "killswitch" },
    { "zone=killswitch_auto\n", "killswitch_auto", "killswitch-auto" },
    { "zone=killswitchauto\n", "killswitchauto", "killswitch-auto" },
  };
  g_autoptr (Fixture) f = fixture_new ();

  for (guint i = 0; i < G_N_ELEMENTS (zones); i++) {
    g_autofree char *expected =
      g_strdup_printf ("zone '%s' of 'my-vpn' does not arm the kill switch; did you mean '%s'? "
                       "Run: nmcli connection modify my-vpn connection.zone %s",
                       zones[i].shown, zones[i].meant, zones[i].meant);

    assert_string_equal (warning_about (f, "my-vpn", zones[i].line), expected);
    assert_profiles (f, "");
    assert_int_equal (f->errors->len, 0);
  }
}

static void
profile_zones_that_are_not_misspelt_do_not_warn (void **state G_GNUC_UNUSED)
{
  static const char *const lines[] = {
    "", "zone=\n", "zone=killswitch\n", "zone=killswitch-auto\n", "zone=public\n", "zone=home\n"
  };
  g_autoptr (Fixture) f = fixture_new ();

  for (guint i = 0; i < G_N_ELEMENTS (lines); i++)
    assert_string_equal (warning_about (f, "my-vpn", lines[i]), "");
}

static void
profile_zone_of_firewalld_is_not_a_misspelling (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();

  assert_string_not_equal (warning_about (f, "my-vpn", "zone=kill-switch\n"), "");
  ks_test_host_write (f->host, "zones/kill-switch.xml", "<zone/>");
  assert_string_equal (warning_about (f, "my-vpn", "zone=kill-switch\n"), "");
  assert_string_not_equal (warning_about (f, "my-vpn", "zone=/kill-switch\n"), "");
  assert_string_not_equal (warning_about (f, "my-vpn", "zone=Kill-switch\n"), "");
}

static void
profile_zone_is_compared_with_the_configured_names (void **state G_GNUC_UNUSED)
{
  static const char *const names[] = { "company", "my zone", NULL };
  g_autoptr (Fixture) f = fixture_new ();

  g_strfreev (f->config->zones);
  f->config->zones = g_strdupv ((char **) (gpointer) names);
  assert_non_null (strstr (warning_about (f, "v", "zone=Company\n"), "did you mean 'company'? Run: "));
  assert_non_null (strstr (warning_about (f, "v", "zone=my-zone\n"), " connection.zone 'my zone'"));
  /* what the manual says, but not this configuration; the package's own zone file does not make it right */
  ks_test_host_write (f->host, "zones/killswitch.xml", "<zone/>");
  assert_non_null (strstr (warning_about (f, "v", "zone=killswitch\n"), "did you mean 'company'?"));
  assert_string_equal (warning_about (f, "v", "zone=killswitch-auto\n"), "");
}

static void
profile_warnings_quote_names_for_a_shell (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *id, *words;
  } names[] = {
    { "my-vpn", "modify my-vpn connection.zone" },
    { "My VPN", "modify 'My VPN' connection.zone" },
    { "Bob's", "modify 'Bob'\\''s' connection.zone" },
    { "$(reboot)", "modify '$(reboot)' connection.zone" },
    { "b\303\274ro", "modify 'b\303\274ro' connection.zone" },
    { "help", "modify uuid " KS_TEST_UUID_1 " connection.zone" },
    { "h", "modify uuid " KS_TEST_UUID_1 " connection.zone" },
    { "uuid", "modify uuid " KS_TEST_UUID_1 " connection.zone" },
    { "--temporary", "modify uuid " KS_TEST_UUID_1 " connection.zone" },
    { "a\033[1mb", "modify uuid " KS_TEST_UUID_1 " connection.zone" },
    { "a\342\200\256b", "modify uuid " KS_TEST_UUID_1 " connection.zone" },
  };
  g_autoptr (Fixture) f = fixture_new ();

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    const char *warning = warning_about (f, names[i].id, "zone=Killswitch\n");

    if (!strstr (warning, names[i].words))
      fail_msg ("%s: %s", names[i].id, warning);
  }
}

static void
profile_with_a_misspelt_user_data_key_warns (void **state G_GNUC_UNUSED)
{
  static const char *const keys[] = { "nm-killswitch.mod", "nm-killswitch.Mode", "killswitch.mode",
                                      "kill-switch.mode",  "nm-killswtich.mode", "nmkillswitch.mode",
                                      "nm_killswitch.mode" };
  g_autoptr (Fixture) f = fixture_new ();

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++) {
    g_autofree char *lines = g_strdup_printf ("[user]\n%s=session\n", keys[i]);
    g_autofree char *expected =
      g_strdup_printf ("user data key '%s' of 'my-vpn' has no effect; did you mean 'nm-killswitch.mode'? "
                       "Edit %s/etc/vpn, then run: nmcli connection reload; or set the zone instead: "
                       "nmcli connection modify my-vpn connection.zone killswitch-auto",
                       keys[i], f->host->directory->path);

    assert_string_equal (warning_about (f, "my-vpn", lines), expected);
  }
  /* one that is armed needs no other command, and one that is meant to be off none at all */
  assert_null (strstr (warning_about (f, "v", STRICT "[user]\nnm-killswitch.mod=strict\n"), "instead"));
  assert_null (strstr (warning_about (f, "v", "[user]\nnm-killswitch.mod=off\n"), "instead"));
  assert_non_null (
    strstr (warning_about (f, "v", "[user]\nnm-killswitch.lam=off\n"), "did you mean 'nm-killswitch.lan'?"));
  assert_non_null (strstr (warning_about (f, "v", "[user]\nnm-killswitch.colour=red\n"), "there is no such key"));
  assert_string_equal (warning_about (f, "v", "[user]\nsomebody.else=1\nnm-killswitch.dns=lan\n"), "");
}

static void
profile_without_a_server_warns_and_is_armed (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();
#define VENDOR(setting, data) \
  "[connection]\nid=vendor\nuuid=" KS_TEST_UUID_1 "\ntype=vpn\n" setting "[vpn]\nservice-type=org.example." \
  "vendor\n" data

  write_file (f, "etc/vendor", VENDOR (STRICT, "token=1\n"));
  assert_profiles (f, "etc/vendor strict (connection.zone)");
  assert_int_equal (f->set->warnings->len, 1);
  assert_string_equal (f->set->warnings->pdata[0],
                       "profile 'vendor' (org.example.vendor) has no setting that names its server: this VPN cannot "
                       "connect while the kill switch blocks. Add a section to " KS_SYSCONFDIR
                       "/nm-killswitch.conf that names its device and its server, in three lines: [vpn vendor], "
                       "Interface=tun*, To=vpn.example.com");
  write_file (f, "etc/vendor", VENDOR (STRICT, "server=203.0.113.10\n"));
  assert_int_equal (read_set (f)->warnings->len, 0);
  /* an error has said it */
  write_file (f, "etc/vendor", VENDOR (STRICT, "server=a b\n"));
  assert_int_equal (read_set (f)->warnings->len, 0);
  assert_int_equal (f->errors->len, 1);
  write_file (f, "etc/vendor", VENDOR ("[user]\nnm-killswitch.mode=off\n", "token=1\n"));
  assert_int_equal (read_set (f)->warnings->len, 0);
#undef VENDOR
}

static void
profile_of_every_vpn_type_can_be_armed (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();

  write_wireguard (f, "etc/1", KS_TEST_UUID_1, STRICT, "");
  write_openvpn (f, "etc/2", KS_TEST_UUID_2, STRICT, "remote=203.0.113.10\n");
  write_file (f, "etc/3",
              "[connection]\nid=t\nuuid=" KS_TEST_UUID_3 "\ntype=tun\ninterface-name=tun5\n" STRICT "[tun]\nmode=1\n");
  write_file (
    f, "etc/4",
    "[connection]\nid=gre\nuuid=44444444-4444-4444-8444-444444444444\ntype=ip-tunnel\ninterface-name=gre1\n" STRICT
    "[ip-tunnel]\nmode=2\nremote=203.0.113.20\n");
  assert_profiles (f, "etc/1 strict (connection.zone); etc/2 strict (connection.zone); etc/3 strict (connection.zone); "
                      "etc/4 strict (connection.zone)");
  assert_errors (f, "");
  assert_int_equal (((const KsProfile *) f->set->profiles->pdata[0])->vpn_type, KS_VPN_WIREGUARD);
  assert_int_equal (((const KsProfile *) f->set->profiles->pdata[1])->vpn_type, KS_VPN_PLUGIN);
  assert_int_equal (((const KsProfile *) f->set->profiles->pdata[2])->vpn_type, KS_VPN_TUN);
  assert_int_equal (((const KsProfile *) f->set->profiles->pdata[3])->vpn_type, KS_VPN_IP_TUNNEL);
  {
    g_autofree char *endpoints = format_endpoints (f->set->profiles->pdata[3]);

    assert_string_equal (endpoints, "47 203.0.113.20 0");
  }
}

/* An exemption for another protocol would let none of the tunnel's packets out, and others instead. */
static void
profile_of_an_ip_tunnel_is_exempted_by_its_protocol (void **state G_GNUC_UNUSED)
{
  /* the numbers of NMIPTunnelMode, as they stand in the file */
  static const struct {
    guint mode;
    const char *remote, *expected;
  } cases[] = {
    { 1, "203.0.113.20", "4 203.0.113.20 0" }, /* ipip */
    { 2, "203.0.113.20", "47 203.0.113.20 0" }, /* gre */
    { 3, "203.0.113.20", "41 203.0.113.20 0" }, /* sit */
    { 4, "203.0.113.20", "41 203.0.113.20 0" }, /* isatap */
    { 5, "203.0.113.20", "50 203.0.113.20 0" }, /* vti */
    { 6, "2001:db8::20", "41 2001:db8::20 0" }, /* ip6ip6 */
    { 7, "2001:db8::20", "4 2001:db8::20 0" }, /* ipip6 */
    { 8, "2001:db8::20", "47 2001:db8::20 0" }, /* ip6gre */
    { 9, "2001:db8::20", "50 2001:db8::20 0" }, /* vti6 */
    { 10, "203.0.113.20", "47 203.0.113.20 0" }, /* gretap */
    { 11, "2001:db8::20", "47 2001:db8::20 0" }, /* ip6gretap */
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Fixture) f = fixture_new ();
    g_autofree char *text =
      g_strdup_printf ("[connection]\nid=t\nuuid=" KS_TEST_UUID_1 "\ntype=ip-tunnel\n"
                       "interface-name=t0\n" STRICT "[ip-tunnel]\nmode=%u\nlocal=%s\nremote=%s\n",
                       cases[i].mode, strchr (cases[i].remote, ':') ? "2001:db8::1" : "192.0.2.1", cases[i].remote);
    g_autofree char *endpoints = NULL;

    write_file (f, "etc/t", text);
    read_set (f);
    assert_errors (f, "");
    endpoints = format_endpoints (f->set->profiles->pdata[0]);
    assert_string_equal (endpoints, cases[i].expected);
  }
}

/* --- which file counts --- */

static void
profile_precedence_is_run_then_etc_then_lib (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();

  write_wireguard (f, "lib/a.nmconnection", KS_TEST_UUID_1, STRICT, "");
  assert_profiles (f, "lib/a.nmconnection strict (connection.zone)");
  write_wireguard (f, "etc/b.nmconnection", KS_TEST_UUID_1, SESSION, "");
  assert_profiles (f, "etc/b.nmconnection session (connection.zone)");
  write_wireguard (f, "run/c.nmconnection", KS_TEST_UUID_1, "", "");
  ks_test_set_time (f->host->directory, "run/c.nmconnection", 1);
  assert_profiles (f, "");
}

static void
profile_newer_file_wins_in_one_directory (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();

  write_wireguard (f, "etc/a.nmconnection", KS_TEST_UUID_1, STRICT, "");
  write_wireguard (f, "etc/b.nmconnection", KS_TEST_UUID_1, SESSION, "");
  ks_test_set_time (f->host->directory, "etc/a.nmconnection", 2000);
  ks_test_set_time (f->host->directory, "etc/b.nmconnection", 1000);
  assert_profiles (f, "etc/a.nmconnection strict (connection.zone)");
  ks_test_set_time (f->host->directory, "etc/b.nmconnection", 3000);
  assert_profiles (f, "etc/b.nmconnection session (connection.zone)");
}

static void
profile_uuids_in_other_case_are_the_same (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();

  write_wireguard (f, "etc/a.nmconnection", "abcdefab-1111-4111-8111-111111111111", STRICT, "");
  write_wireguard (f, "run/a.nmconnection", "ABCDEFAB-1111-4111-8111-111111111111", "", "");
  assert_profiles (f, "");
}

static void
profile_behind_a_tombstone_is_not_there (void **state G_GNUC_UNUSED)
{
  static const char *const names[] = { "run/" KS_TEST_UUID_1 ".nmmeta", "etc/" KS_TEST_UUID_1 ".nmmeta" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autoptr (Fixture) f = fixture_new ();
    g_autofree char *path = ks_test_path (f->host->directory, names[i]);

    write_wireguard (f, "etc/a.nmconnection", KS_TEST_UUID_1, STRICT, "");
    write_wireguard (f, "lib/a.nmconnection", KS_TEST_UUID_1, STRICT, "");
    write_file (f, "run/x", "");
    assert_int_equal (symlink ("/dev/null", path), 0);
    assert_profiles (f, "");
    assert_errors (f, "");
  }
}

static void
profile_above_a_tombstone_is_there (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();
  g_autofree char *path = ks_test_path (f->host->directory, "etc/" KS_TEST_UUID_1 ".nmmeta");

  write_wireguard (f, "run/a.nmconnection", KS_TEST_UUID_1, STRICT, "");
  write_wireguard (f, "etc/a.nmconnection", KS_TEST_UUID_1, SESSION, "");
  assert_int_equal (symlink ("/dev/null", path), 0);
  assert_profiles (f, "run/a.nmconnection strict (connection.zone)");
}

static void
profile_is_hidden_only_by_a_tombstone (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();
  g_autofree char *elsewhere = ks_test_path (f->host->directory, "etc/" KS_TEST_UUID_1 ".nmmeta");
  g_autofree char *lib = NULL;

  write_wireguard (f, "etc/a.nmconnection", KS_TEST_UUID_1, STRICT, "");
  write_wireguard (f, "lib/b.nmconnection", KS_TEST_UUID_2, STRICT, "");
  /* a link to something else, a name that is no UUID, a file without the word, one where none counts */
  assert_int_equal (symlink ("/etc/hostname", elsewhere), 0);
  write_file (f, "run/not-a-uuid.nmmeta", "[nmmeta]\nloaded-path=/dev/null\n");
  write_file (f, "run/" KS_TEST_UUID_1 ".nmmeta", "[nmmeta]\nuuid=" KS_TEST_UUID_1 "\n");
  lib = ks_test_path (f->host->directory, "lib/" KS_TEST_UUID_2 ".nmmeta");
  assert_int_equal (symlink ("/dev/null", lib), 0);
  assert_profiles (f, "etc/a.nmconnection strict (connection.zone); lib/b.nmconnection strict (connection.zone)");
  assert_errors (f, "");
}

static void
profile_tombstone_may_be_a_file (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();

  write_wireguard (f, "etc/a.nmconnection", KS_TEST_UUID_1, STRICT, "");
  write_file (f, "run/" KS_TEST_UUID_1 ".nmmeta", "[nmmeta]\nloaded-path=/dev/null\n");
  assert_profiles (f, "");
}

static void
profile_names_that_networkmanager_ignores_are_ignored (void **state G_GNUC_UNUSED)
{
  static const char *const names[] = { "etc/.hidden",
                                       "etc/backup~",
                                       "etc/a.nmconnection.1A2b3C",
                                       "etc/ca.pem",
                                       "etc/CA.PEM",
                                       "etc/ca.der",
                                       "run/no-suffix",
                                       "lib/no-suffix",
                                       "run/.nmconnection",
                                       "lib/a.nmconnection.bak" };
  g_autoptr (Fixture) f = fixture_new ();

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *uuid = g_strdup_printf ("%08u-1111-4111-8111-111111111111", i);

    write_wireguard (f, names[i], uuid, STRICT, "");
  }
  write_wireguard (f, "etc/an odd name.with.dots", KS_TEST_UUID_1, STRICT, "");
  write_wireguard (f, "etc/directory/inside", KS_TEST_UUID_2, STRICT, "");
  assert_profiles (f, "etc/an odd name.with.dots strict (connection.zone)");
  assert_errors (f, "");
}

static void
profile_without_a_uuid_is_known_by_its_path (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();
  const KsProfile *profile;
  g_autofree char *path = NULL;

  write_file (f, "etc/Home VPN.nmconnection",
              "[connection]\ntype=vpn\n" STRICT
              "[vpn]\nservice-type=org.freedesktop.NetworkManager.openvpn\nremote=a.example\n");
  profile = only_profile (f);
  path = ks_test_path (f->host->directory, "etc/Home VPN.nmconnection");
  assert_null (profile->uuid);
  assert_string_equal (ks_profile_key (profile), path);
  assert_string_equal (profile->id, "Home VPN");
  assert_ptr_equal (ks_profile_set_find (f->set, path), profile);
}

/* --- files as netplan writes them, on Ubuntu --- */

/*
 * tests/unit/netplan/ has what netplan 0.106 wrote: two profiles as NetworkManager hands them over, which come back by
 * their UUID (netplan_parser_load_keyfile(), then `generate`), and two from YAML that somebody wrote, without UUIDs.
 */
static void
write_netplan (Fixture *self, const char *name)
{
  g_autofree char *source = g_strconcat (KS_TESTS "/unit/netplan/", name, NULL);
  g_autofree char *target = g_strconcat ("run/", name, NULL);
  g_autofree char *text = NULL;

  assert_true (g_file_get_contents (source, &text, NULL, NULL));
  write_file (self, target, text);
}

static void
profile_of_netplan_is_armed_by_its_zone (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();
  const KsProfile *profile;
  g_autofree char *endpoints = NULL;

  write_netplan (f, "netplan-NM-19f501f7-9984-429e-b8b6-1ade9ecc25ba.nmconnection");
  write_netplan (f, "netplan-eth0.nmconnection");
  assert_profiles (f, "run/netplan-NM-19f501f7-9984-429e-b8b6-1ade9ecc25ba.nmconnection session (connection.zone)");
  assert_errors (f, "");
  assert_int_equal (f->set->warnings->len, 0);
  profile = f->set->profiles->pdata[0];
  assert_string_equal (ks_profile_key (profile), "19f501f7-9984-429e-b8b6-1ade9ecc25ba");
  assert_string_equal (profile->id, "home");
  assert_string_equal (profile->interface, "wg-home");
  endpoints = format_endpoints (profile);
  assert_string_equal (endpoints, "17 198.51.100.7 51820");
}

static void
profile_of_netplan_without_a_uuid_is_armed_by_its_zone (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();
  const KsProfile *profile;
  g_autofree char *endpoints = NULL;

  write_netplan (f, "netplan-wg0.nmconnection");
  assert_profiles (f, "run/netplan-wg0.nmconnection strict (connection.zone)");
  assert_errors (f, "");
  profile = f->set->profiles->pdata[0];
  assert_null (profile->uuid);
  assert_string_equal (profile->id, "netplan-wg0");
  assert_string_equal (profile->interface, "wg0");
  assert_int_equal (profile->listen_port, 51821);
  assert_int_equal (profile->fwmark, 51820);
  endpoints = format_endpoints (profile);
  assert_string_equal (endpoints, "17 203.0.113.10 51820");
}

static void
profile_of_netplan_keeps_its_user_data (void **state G_GNUC_UNUSED)
{
  static const char name[] = "netplan-NM-26ff0357-3bb7-4ccf-8b08-3d5b0b2b7b3b.nmconnection";
  g_autoptr (Fixture) f = fixture_new ();
  const KsProfile *profile;

  write_netplan (f, name);
  assert_profiles (
    f, "run/netplan-NM-26ff0357-3bb7-4ccf-8b08-3d5b0b2b7b3b.nmconnection session (user.data nm-killswitch.mode)");
  assert_errors (f, "");
  assert_int_equal (f->set->warnings->len, 0);
  profile = f->set->profiles->pdata[0];
  assert_int_equal (profile->lan, KS_LAN_OFF);
  assert_int_equal (profile->endpoints->len, 2);
}

static void
profile_of_netplan_is_checked_like_any_other (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();

  write_wireguard (f, "run/a.nmconnection", KS_TEST_UUID_1, "", "[user.nm-killswitch]\nmode=strickt\n");
  assert_profiles (f, "run/a.nmconnection strict (an invalid setting: fail closed)");
  assert_errors (
    f,
    "run/a.nmconnection: [user] nm-killswitch.mode: 'strickt' is not one of strict, session, off: armed as strict\n");
  write_wireguard (f, "run/a.nmconnection", KS_TEST_UUID_1, "", "[user.nm-killswitch]\nmoed=strict\n");
  assert_profiles (f, "");
  assert_int_equal (f->set->warnings->len, 1);
  assert_non_null (strstr (f->set->warnings->pdata[0], "did you mean 'nm-killswitch.mode'?"));
  /* NetworkManager's own spelling is the one that it has read */
  write_wireguard (f, "run/a.nmconnection", KS_TEST_UUID_1, "",
                   "[user]\nnm-killswitch.mode=off\n[user.nm-killswitch]\nmode=strict\n");
  assert_profiles (f, "run/a.nmconnection off (user.data nm-killswitch.mode)");
}

/* --- files that are no profiles --- */

static void
profile_files_others_may_read_are_unreadable (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();
  g_autofree char *path = ks_test_path (f->host->directory, "etc/a");

  write_wireguard (f, "etc/a", KS_TEST_UUID_1, STRICT, "");
  assert_int_equal (chmod (path, 0644), 0);
  assert_profiles (f, "");
  assert_errors (f, "etc/a: may be read by others (mode 0600 is right): NetworkManager ignores it\n");
  assert_unreadable (f, "etc/a");
  assert_int_equal (chmod (path, 0620), 0);
  assert_profiles (f, "");
  assert_int_equal (chmod (path, 0400), 0);
  assert_profiles (f, "etc/a strict (connection.zone)");
}

static void
profile_files_that_are_not_key_files_are_unreadable (void **state G_GNUC_UNUSED)
{
  static const char *const cases[] = {
    "[connection\nid=x\n",          "zone=killswitch\n", "[connection]\nid\n", "\xff\xfe\n", "", "\n\n",
    "[wireguard]\nlisten-port=1\n",
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Fixture) f = fixture_new ();

    write_file (f, "etc/a", cases[i]);
    assert_profiles (f, "");
    assert_unreadable (f, "etc/a");
    assert_int_equal (f->errors->len, 1);
    assert_true (g_error_matches (f->errors->pdata[0], KS_ERROR, KS_ERROR_INVALID));
  }
}

static void
profile_links_count_as_what_they_point_to (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();
  g_autofree char *target = ks_test_path (f->host->directory, "elsewhere");
  g_autofree char *link = ks_test_path (f->host->directory, "etc/link"),
                  *loop = ks_test_path (f->host->directory, "etc/loop");
  g_autofree char *dangling = ks_test_path (f->host->directory, "etc/dangling");

  write_wireguard (f, "elsewhere", KS_TEST_UUID_1, STRICT, "");
  write_wireguard (f, "etc/a", KS_TEST_UUID_2, "", "");
  assert_int_equal (symlink (target, link), 0);
  assert_int_equal (symlink ("nowhere", dangling), 0);
  assert_profiles (f, "etc/link strict (connection.zone)");
  assert_errors (f, "");
  assert_int_equal (symlink ("loop", loop), 0);
  assert_profiles (f, "etc/link strict (connection.zone)");
  assert_errors (f, "etc/loop: Too many levels of symbolic links\n");
  assert_unreadable (f, "etc/loop");
}

static void
profile_directory_that_cannot_be_read_is_unreadable (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();

  write_file (f, "etc", "a file, not a directory");
  assert_profiles (f, "");
  assert_unreadable (f, "etc");
  assert_int_equal (f->errors->len, 1);
}

static void
profile_directories_may_be_missing (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();

  assert_profiles (f, "");
  assert_errors (f, "");
  assert_int_equal (f->set->unreadable->len, 0);
}

static void
profile_with_a_zone_is_unclear_while_the_configuration_is_unreadable (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();
  g_autofree char *path = ks_test_path (f->host->directory, "etc/a");

  f->config->is_unreadable = TRUE;
  write_wireguard (f, "etc/a", KS_TEST_UUID_1, "zone=perhaps-ours\n", "");
  write_wireguard (f, "etc/b", KS_TEST_UUID_2, "", "");
  write_wireguard (f, "etc/c", KS_TEST_UUID_3, STRICT, "");
  assert_profiles (f, "etc/c strict (connection.zone)");
  assert_int_equal (f->set->unclear->len, 1);
  assert_string_equal (f->set->unclear->pdata[0], path);
}

/* --- what a profile says --- */

static void
profile_of_wireguard_says_endpoints_port_mark_and_subnets (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();
  const KsProfile *profile;
  g_autofree char *endpoints = NULL, *prefixes = NULL, *nameservers = NULL;

  write_file (
    f, "etc/wg",
    "[connection]\nid=wg\nuuid=" KS_TEST_UUID_1 "\ntype=wireguard\ninterface-name=wg-home\n" STRICT
    "[wireguard]\nprivate-key=yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\nlisten-port=51821\nfwmark=51820\n"
    "[wireguard-peer.xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=]\nendpoint=203.0.113.10:51820\n"
    "allowed-ips=0.0.0.0/0;::/0;10.99.1.2/16;\n"
    "[wireguard-peer.TrMvSoP4jYQlY6RIzBgbssQqY3vxI2Pi+y71lOWWXX0=]\nendpoint=[2001:db8::10]:443\n"
    "allowed-ips=192.168.7.0/24;\n"
    "[wireguard-peer.gN65BkIKy1eCE9pP1wdc8ROUtkHLF2PfAqYdyYBz6EA=]\nallowed-ips=10.77.0.1/32;\n"
    "[ipv4]\nmethod=manual\naddress1=10.8.0.2/24\ndns=10.64.0.1;\nroute1=172.20.0.0/16,10.8.0.1\nnever-default=true\n"
    "[ipv6]\nmethod=manual\naddress1=fd08::2/64\ndns=fd08::53;\n");
  profile = only_profile (f);
  assert_errors (f, "");
  endpoints = format_endpoints (profile);
  prefixes = ks_test_format_prefixes (profile->prefixes);
  nameservers = ks_test_format_prefixes (profile->nameservers);
  assert_string_equal (profile->uuid, KS_TEST_UUID_1);
  assert_string_equal (profile->interface, "wg-home");
  assert_string_equal (endpoints, "17 203.0.113.10 51820; 17 2001:db8::10 443");
  assert_int_equal (profile->listen_port, 51821);
  assert_int_equal (profile->fwmark, 51820);
  assert_string_equal (prefixes, "10.8.0.0/24 172.20.0.0/16 fd08::/64 10.99.0.0/16 192.168.7.0/24 10.77.0.1");
  assert_string_equal (nameservers, "10.64.0.1 fd08::53");
  assert_true (profile->never_default4);
  assert_false (profile->never_default6);
  assert_int_equal (profile->uids->len, 1);
  assert_int_equal (g_array_index (profile->uids, guint32, 0), 0);
}

static void
profile_of_wireguard_without_peer_routes_has_no_subnets_of_them (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();
  const KsProfile *profile;

  write_file (f, "etc/wg",
              "[connection]\nid=wg\nuuid=" KS_TEST_UUID_1 "\ntype=wireguard\ninterface-name=wg0\n" STRICT
              "[wireguard]\npeer-routes=false\n"
              "[wireguard-peer.xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=]\nendpoint=vpn.example.org:51820\n"
              "allowed-ips=10.99.0.0/16;\n[ipv4]\nmethod=disabled\n[ipv6]\nmethod=disabled\n");
  profile = only_profile (f);
  assert_int_equal (profile->prefixes->len, 0);
  assert_int_equal (profile->endpoints->len, 1);
}

static void
profile_of_a_plugin_says_its_servers_and_who_sends (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();
  const struct passwd *user = getpwnam ("nm-openvpn");
  const KsProfile *profile;
  g_autofree char *endpoints = NULL;

  write_openvpn (f, "etc/ovpn", KS_TEST_UUID_1, STRICT, "remote=203.0.113.10:443:tcp, vpn.example.org\nport=1195\n");
  profile = only_profile (f);
  assert_errors (f, "");
  endpoints = format_endpoints (profile);
  assert_string_equal (endpoints, "6 203.0.113.10 443; 17 vpn.example.org 1195");
  assert_string_equal (profile->service, "org.freedesktop.NetworkManager.openvpn");
  assert_int_equal (profile->uids->len, user ? 2 : 1);
  if (user)
    assert_int_equal (g_array_index (profile->uids, guint32, 1), user->pw_uid);
}

static void
profile_reports_malformed_vpn_data_with_file_key_and_value (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();

  write_openvpn (f, "etc/ovpn", KS_TEST_UUID_1, STRICT, "remote=a b:x\nport=0\n");
  assert_profiles (f, "etc/ovpn strict (connection.zone)");
  assert_errors (f, "etc/ovpn: [vpn] port: '0' is not a port\n"
                    "etc/ovpn: [vpn] remote: 'b:x' is not HOST[:PORT[:PROTOCOL]]\n");
}

/* They may be on a file server that is out of reach at boot. */
static void
profile_is_read_without_its_certificates (void **state G_GNUC_UNUSED)
{
  static const char text[] = "[connection]\nid=x\nuuid=" KS_TEST_UUID_1 "\ntype=vpn\n" STRICT
                             "[vpn]\nservice-type=org.freedesktop.NetworkManager.openvpn\nremote=203.0.113.10\n"
                             "ca=" FAR_AWAY "ca.pem\ncert=" FAR_AWAY "cert.pem\nkey=" FAR_AWAY "key.pem\n"
                             "[802-1x]\neap=tls;\nidentity=x\nca-cert=" FAR_AWAY "ca.pem\n"
                             "client-cert=file://" FAR_AWAY "cert.pem\nprivate-key=" FAR_AWAY "key.pem\n";
  g_autoptr (Fixture) f = fixture_new ();
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (NMConnection) connection = NULL;

  assert_true (g_key_file_load_from_data (file, text, sizeof text - 1, G_KEY_FILE_NONE, NULL));
  connection = nm_keyfile_read (file, "/etc", NM_KEYFILE_HANDLER_FLAGS_NONE, NULL, NULL, NULL);
  assert_non_null (connection);
  assert_true (looks_far_away > 0); /* libnm does look */

  looks_far_away = 0;
  write_file (f, "etc/x", text);
  assert_int_equal (only_profile (f)->endpoints->len, 1);
  assert_errors (f, "");
  assert_int_equal (looks_far_away, 0);
}

static void
profile_that_libnm_refuses_is_still_armed (void **state G_GNUC_UNUSED)
{
  static const char *const texts[] = {
    /* no [vpn] at all */
    "[connection]\nid=x\nuuid=" KS_TEST_UUID_1 "\ntype=vpn\n" STRICT,
    /* no service */
    "[connection]\nid=x\nuuid=" KS_TEST_UUID_1 "\ntype=vpn\n" STRICT "[vpn]\nremote=a\n",
    /* values that are none */
    "[connection]\nid=x\nuuid=nonsense\ntype=wireguard\ninterface-name=wg0\n" STRICT
    "[wireguard]\nlisten-port=99999\nprivate-key=short\n[wireguard-peer.bad]\nendpoint=x\n"
    "[ipv4]\nmethod=manual\naddress1=10.8.0.2/99\ndns=nobody;\nroute1=x\n",
    "[connection]\nid=x\nuuid=" KS_TEST_UUID_1 "\ntype=wireguard\ninterface-name=a name/with everything\n" STRICT,
    "[connection]\nid=\xff\xfe\nuuid=" KS_TEST_UUID_1 "\ntype=wireguard\ninterface-name=wg0\n" STRICT
    "[ipv4]\nmethod=\xff\n",
  };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (Fixture) f = fixture_new ();
    const KsProfile *profile;

    write_file (f, "etc/x", texts[i]);
    profile = only_profile (f);
    assert_int_equal (profile->mode, KS_MODE_STRICT);
    assert_non_null (profile->id);
    for (guint j = 0; j < f->errors->len; j++)
      assert_true (g_utf8_validate (((GError *) f->errors->pdata[j])->message, -1, NULL));
  }
}

static void
profile_names_libnms_malformed_values (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();
  g_autofree char *text = NULL;

  write_wireguard (f, "etc/x", KS_TEST_UUID_1, STRICT "autoconnect=maybe\n", "");
  assert_profiles (f, "etc/x strict (connection.zone)");
  text = ks_test_format_errors (f->errors);
  assert_non_null (strstr (text, "/etc/x: [connection] autoconnect: 'maybe'"));
}

static void
profile_interface_names_are_checked (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();

  write_file (f, "etc/x",
              "[connection]\nid=x\nuuid=" KS_TEST_UUID_1 "\ntype=wireguard\ninterface-name=../../etc\n" STRICT);
  assert_null (only_profile (f)->interface);
}

static void
profile_ids_come_out_as_written (void **state G_GNUC_UNUSED)
{
  static const char *const cases[][2] = {
    { "plain", "plain" },
    { "two words", "two words" },
    { "a\\sb\\tc", "a b\tc" },
    { "$(reboot) `x` \"y\" 'z' ; & | <b>", "$(reboot) `x` \"y\" 'z' ; & | <b>" },
    { "b\303\274ro", "b\303\274ro" },
    { "a\\nb", "a\nb" },
    { "..", ".." },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Fixture) f = fixture_new ();
    g_autofree char *text = g_strdup_printf (
      "[connection]\nid=%s\nuuid=" KS_TEST_UUID_1 "\ntype=wireguard\ninterface-name=wg0\n" STRICT, cases[i][0]);

    write_file (f, "etc/x", text);
    assert_string_equal (only_profile (f)->id, cases[i][1]);
  }
}

static void
profile_set_is_in_order_of_paths (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();

  write_wireguard (f, "run/z.nmconnection", KS_TEST_UUID_1, STRICT, "");
  write_wireguard (f, "etc/b", KS_TEST_UUID_2, STRICT, "");
  write_wireguard (f, "etc/a", KS_TEST_UUID_3, STRICT, "");
  assert_profiles (f, "etc/a strict (connection.zone); etc/b strict (connection.zone); "
                      "run/z.nmconnection strict (connection.zone)");
  assert_null (ks_profile_set_find (f->set, "nobody"));
}

static void
profile_of_wireguard_carries_everything_by_its_allowed_ips (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *allowed;
    gboolean never_default4, never_default6, in_pieces;
  } cases[] = {
    { "0.0.0.0/0;::/0;", FALSE, FALSE, FALSE },
    { "0.0.0.0/0;", FALSE, TRUE, FALSE },
    { "10.99.0.0/16;fd99::/64;", TRUE, TRUE, FALSE },
    { "0.0.0.0/1;128.0.0.0/1;::/1;8000::/1;", FALSE, FALSE, TRUE },
    { "2000::/3;", TRUE, FALSE, TRUE },
    { "0.0.0.0/1;10.99.0.0/16;", FALSE, TRUE, TRUE },
    { "64.0.0.0/2;2001:db8::/32;", TRUE, TRUE, FALSE },
    /* everything but private networks */
    { "0.0.0.0/5;8.0.0.0/7;11.0.0.0/8;12.0.0.0/6;16.0.0.0/4;32.0.0.0/3;64.0.0.0/2;128.0.0.0/3;160.0.0.0/5;"
      "168.0.0.0/6;172.0.0.0/12;172.32.0.0/11;172.64.0.0/10;172.128.0.0/9;173.0.0.0/8;174.0.0.0/7;176.0.0.0/4;"
      "192.0.0.0/9;192.128.0.0/11;192.160.0.0/13;192.169.0.0/16;193.0.0.0/8;194.0.0.0/7;196.0.0.0/6;200.0.0.0/5;"
      "208.0.0.0/4;",
      FALSE, TRUE, TRUE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Fixture) f = fixture_new ();
    const KsProfile *profile;
    g_autofree char *text =
      g_strdup_printf ("[connection]\nid=wg\nuuid=" KS_TEST_UUID_1 "\ntype=wireguard\ninterface-name=wg0\n" STRICT
                       "[wireguard]\n[wireguard-peer.xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=]\n"
                       "endpoint=203.0.113.10:51820\nallowed-ips=%s\n[ipv4]\nmethod=disabled\n[ipv6]\n"
                       "method=disabled\n",
                       cases[i].allowed);

    write_file (f, "etc/wg", text);
    profile = only_profile (f);
    assert_int_equal (profile->never_default4, cases[i].never_default4);
    assert_int_equal (profile->never_default6, cases[i].never_default6);
    assert_int_equal (profile->in_pieces, cases[i].in_pieces);
  }
}

static void
profile_places_its_transport (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *setting;
    KsPlacement expected;
    gboolean is_error;
  } cases[] = {
    { "", KS_PLACEMENT_UNSET, FALSE },
    { "nm-killswitch.transport=inside\n", KS_PLACEMENT_INSIDE, FALSE },
    { "nm-killswitch.transport=beside\n", KS_PLACEMENT_BESIDE, FALSE },
    { "nm-killswitch.transport=auto\n", KS_PLACEMENT_AUTO, FALSE },
    { "nm-killswitch.transport=under\n", KS_PLACEMENT_UNSET, TRUE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (Fixture) f = fixture_new ();
    g_autofree char *user = g_strdup_printf ("[user]\n%s", cases[i].setting);
    g_autofree char *text = ks_test_wireguard (KS_TEST_UUID_1, STRICT, user);

    write_file (f, "etc/wg", text);
    assert_int_equal (only_profile (f)->placement, cases[i].expected);
    assert_int_equal (f->errors->len, cases[i].is_error);
  }
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (profile_is_armed_by_its_zone),
    cmocka_unit_test (profile_is_armed_by_zones_of_the_configuration),
    cmocka_unit_test (profile_user_data_takes_precedence_over_the_zone),
    cmocka_unit_test (profile_with_an_invalid_mode_is_armed_strict),
    cmocka_unit_test (profile_reads_its_overrides),
    cmocka_unit_test (profile_with_invalid_overrides_has_the_safest),
    cmocka_unit_test (profile_that_is_not_a_vpn_warns_and_is_not_armed),
    cmocka_unit_test (profile_with_a_misspelt_zone_warns_with_the_command_to_type),
    cmocka_unit_test (profile_zones_that_are_not_misspelt_do_not_warn),
    cmocka_unit_test (profile_zone_of_firewalld_is_not_a_misspelling),
    cmocka_unit_test (profile_zone_is_compared_with_the_configured_names),
    cmocka_unit_test (profile_warnings_quote_names_for_a_shell),
    cmocka_unit_test (profile_with_a_misspelt_user_data_key_warns),
    cmocka_unit_test (profile_without_a_server_warns_and_is_armed),
    cmocka_unit_test (profile_of_every_vpn_type_can_be_armed),
    cmocka_unit_test (profile_of_an_ip_tunnel_is_exempted_by_its_protocol),
    cmocka_unit_test (profile_precedence_is_run_then_etc_then_lib),
    cmocka_unit_test (profile_newer_file_wins_in_one_directory),
    cmocka_unit_test (profile_uuids_in_other_case_are_the_same),
    cmocka_unit_test (profile_behind_a_tombstone_is_not_there),
    cmocka_unit_test (profile_above_a_tombstone_is_there),
    cmocka_unit_test (profile_is_hidden_only_by_a_tombstone),
    cmocka_unit_test (profile_tombstone_may_be_a_file),
    cmocka_unit_test (profile_names_that_networkmanager_ignores_are_ignored),
    cmocka_unit_test (profile_without_a_uuid_is_known_by_its_path),
    cmocka_unit_test (profile_of_netplan_is_armed_by_its_zone),
    cmocka_unit_test (profile_of_netplan_without_a_uuid_is_armed_by_its_zone),
    cmocka_unit_test (profile_of_netplan_keeps_its_user_data),
    cmocka_unit_test (profile_of_netplan_is_checked_like_any_other),
    cmocka_unit_test (profile_files_others_may_read_are_unreadable),
    cmocka_unit_test (profile_files_that_are_not_key_files_are_unreadable),
    cmocka_unit_test (profile_links_count_as_what_they_point_to),
    cmocka_unit_test (profile_directory_that_cannot_be_read_is_unreadable),
    cmocka_unit_test (profile_directories_may_be_missing),
    cmocka_unit_test (profile_with_a_zone_is_unclear_while_the_configuration_is_unreadable),
    cmocka_unit_test (profile_of_wireguard_says_endpoints_port_mark_and_subnets),
    cmocka_unit_test (profile_of_wireguard_without_peer_routes_has_no_subnets_of_them),
    cmocka_unit_test (profile_of_a_plugin_says_its_servers_and_who_sends),
    cmocka_unit_test (profile_reports_malformed_vpn_data_with_file_key_and_value),
    cmocka_unit_test (profile_is_read_without_its_certificates),
    cmocka_unit_test (profile_that_libnm_refuses_is_still_armed),
    cmocka_unit_test (profile_names_libnms_malformed_values),
    cmocka_unit_test (profile_interface_names_are_checked),
    cmocka_unit_test (profile_ids_come_out_as_written),
    cmocka_unit_test (profile_set_is_in_order_of_paths),
    cmocka_unit_test (profile_of_wireguard_carries_everything_by_its_allowed_ips),
    cmocka_unit_test (profile_places_its_transport),
  };

  return cmocka_run_group_tests_name ("ks-profile", tests, NULL, NULL);
}
