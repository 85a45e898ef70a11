/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test-json.h"
#include "ks-test-nm.h"
#include "ks-test.h"

#include "base/ks-error.h"
#include "report/ks-status.h"

#define STRICT "zone=killswitch\n"

/* What `status` would be given, with a kernel that holds what it should. */
typedef struct {
  KsTestHost *host;
  KsReport report;
  KsSnapshot snapshot;
  KsStatus status;
} Fixture;

static Fixture *
fixture_new (void)
{
  Fixture *self = g_new0 (Fixture, 1);

  self->host = ks_test_host_new ();
  self->report.errors = ks_test_errors_new ();
  self->report.done = g_ptr_array_new_with_free_func (g_free);
  self->snapshot.rules = g_array_new (FALSE, FALSE, sizeof (KsRule));
  self->snapshot.routes = g_array_new (FALSE, FALSE, sizeof (KsRoute));
  return self;
}

static void
fixture_free (Fixture *self)
{
  ks_test_host_free (self->host);
  ks_status_clear (&self->status);
  g_clear_pointer (&self->report.situation, ks_situation_free);
  g_clear_pointer (&self->report.policy, ks_policy_free);
  g_clear_pointer (&self->report.proof, ks_proof_free);
  g_ptr_array_unref (self->report.errors);
  g_ptr_array_unref (self->report.done);
  g_array_unref (self->snapshot.rules);
  g_array_unref (self->snapshot.routes);
  g_free (self);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Fixture, fixture_free)

/* Takes the status of what is there now. */
static void
take_status (Fixture *self)
{
  ks_status_clear (&self->status);
  ks_status_init (&self->status, &self->report, &self->snapshot);
}

/* Reads the host, and lets the kernel hold what follows. */
static void
look (Fixture *self)
{
  ks_test_no_bus ();
  self->report.situation = ks_situation_read (&self->host->paths, NULL, KS_READ_NO_NETWORK);
  self->report.policy = ks_situation_policy (self->report.situation, &self->snapshot);
  self->report.guard = self->report.policy->guard ? KS_GUARD_IN_PLACE : KS_GUARD_ABSENT;
  g_array_append_vals (self->snapshot.rules, self->report.policy->rules->data, self->report.policy->rules->len);
  g_array_append_vals (self->snapshot.routes, self->report.policy->routes->data, self->report.policy->routes->len);
  take_status (self);
}

static void
write_wireguard (Fixture *self, const char *id)
{
  g_autofree char *text =
    g_strdup_printf ("[connection]\nid=%s\nuuid=" KS_TEST_UUID_1 "\ntype=wireguard\ninterface-name=wg0\n" STRICT
                     "[wireguard]\nlisten-port=51820\n"
                     "[wireguard-peer.xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=]\nendpoint=203.0.113.10:51820\n",
                     id);

  ks_test_host_write (self->host, "etc/wg", text);
}

static void
assert_json_has (const Fixture *self, const char *part)
{
  g_autofree char *text = ks_status_format_json (&self->status);

  assert_true (ks_test_json_is_valid (text));
  assert_true (g_str_has_suffix (text, "}\n"));
  if (!strstr (text, part))
    fail_msg ("%s is not in %s", part, text);
}

static void
assert_text_has (const Fixture *self, const char *part)
{
  g_autofree char *text = ks_status_format (&self->status);

  if (!strstr (text, part))
    fail_msg ("'%s' is not in: %s", part, text);
}

static void
status_is_off_when_no_profile_asks_for_it (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();

  look (f);
  assert_string_equal (ks_status_word (&f->status), "off");
  assert_json_has (f, "\"state\":\"off\"");
  assert_text_has (f, "Kill switch: off (no profile asks for it)\n");
}

static void
status_is_blocking_while_no_tunnel_is_up (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();

  write_wireguard (f, "home");
  look (f);
  assert_string_equal (ks_status_word (&f->status), "blocking");
  assert_json_has (f, "\"tunnel\":null");
  assert_json_has (f, "\"reason\":\"connection.zone\"");
  assert_json_has (f, "\"differences\":0");
  assert_json_has (f, "\"networkmanager\":false");
  assert_text_has (f, "  home                 wireguard  strict   by connection.zone; down\n");
  assert_text_has (f, "  udp to 203.0.113.10 port 51820, uid 0\n");
  assert_text_has (f, "Local network: 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 169.254.0.0/16 fc00::/7 fe80::/10\n");
  assert_text_has (f, "DNS: through the tunnel only\n");
}

static void
status_is_protected_while_a_tunnel_is_up (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();
  KsTunnel *tunnel = ks_tunnel_new (KS_TEST_UUID_1, "wg0");

  write_wireguard (f, "home");
  tunnel->ifindex = 7;
  tunnel->has_ipv4 = TRUE;
  f->report.situation = ks_situation_read (&f->host->paths, NULL, KS_READ_NO_NETWORK);
  g_ptr_array_add (f->report.situation->tunnels, tunnel);
  f->report.policy = ks_situation_policy (f->report.situation, &f->snapshot);
  f->report.guard = KS_GUARD_IN_PLACE;
  g_array_append_vals (f->snapshot.rules, f->report.policy->rules->data, f->report.policy->rules->len);
  g_array_append_vals (f->snapshot.routes, f->report.policy->routes->data, f->report.policy->routes->len);
  take_status (f);
  assert_string_equal (ks_status_word (&f->status), "protected");
  assert_json_has (f, "\"tunnel\":\"wg0\"");
  assert_text_has (f, "up on wg0\n");
}

static void
status_is_incomplete_when_the_kernel_lacks_something (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();

  write_wireguard (f, "home");
  look (f);
  g_array_remove_index (f->snapshot.rules, 0);
  take_status (f);
  assert_string_equal (ks_status_word (&f->status), "incomplete");
  assert_json_has (f, "\"differences\":1");
  assert_text_has (f, "incomplete (not as they should be: rules or routes; ");
}

static void
status_is_incomplete_without_its_guard (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();

  write_wireguard (f, "home");
  look (f);
  f->report.guard = KS_GUARD_ABSENT;
  assert_string_equal (ks_status_word (&f->status), "incomplete");
  assert_text_has (f, "Guard: missing");
  assert_text_has (f, "incomplete (not as they should be: the guard; ");
  f->report.guard = KS_GUARD_UNSUPPORTED;
  assert_string_equal (ks_status_word (&f->status), "blocking");
  assert_text_has (f, "Guard: not possible: this kernel has no nf_tables");
}

static void
status_is_incomplete_when_the_guard_is_not_as_wanted (void **state G_GNUC_UNUSED)
{
  static const struct {
    KsGuardState guard;
    const char *text, *json;
  } cases[] = {
    { KS_GUARD_OUTDATED, "Guard: not as it should be", "\"state\":\"outdated\"" },
    { KS_GUARD_TAMPERED, "Guard: changed by another program", "\"state\":\"tampered\"" },
    { KS_GUARD_UNVERIFIED, "Guard: there, but with no record", "\"state\":\"unverified\"" },
  };
  g_autoptr (Fixture) f = fixture_new ();

  write_wireguard (f, "home");
  look (f);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    f->report.guard = cases[i].guard;
    assert_string_equal (ks_status_word (&f->status), "incomplete");
    assert_text_has (f, cases[i].text);
    assert_text_has (f, ", 0 packets stopped");
    assert_json_has (f, cases[i].json);
  }
}

static void
status_is_released_by_the_marker (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();

  write_wireguard (f, "home");
  ks_test_host_write (f->host, "runtime/released", "");
  look (f);
  assert_string_equal (ks_status_word (&f->status), "released");
  assert_json_has (f, "\"state\":\"released\"");
}

static void
status_is_unknown_without_the_kernel (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();

  ks_status_init (&f->status, &f->report, NULL);
  g_ptr_array_add (f->report.errors, g_error_new (KS_ERROR, KS_ERROR_PERMISSION, "this \"needs\"\nroot"));
  assert_string_equal (ks_status_word (&f->status), "unknown");
  assert_json_has (f, "\"errors\":[\"this \\\"needs\\\"\\u000aroot\"]");
  assert_text_has (f, "Kill switch: unknown");
}

static void
status_of_hostile_names_is_valid_and_quiet (void **state G_GNUC_UNUSED)
{
  static const char *const ids[] = { "\"},{\"",   "a\\nb",    "\033[2J\007",
                                     "\\s\\s\\t", "<script>", "b\303\274ro \342\200\256",
                                     "\xff\xfe" };

  for (guint i = 0; i < G_N_ELEMENTS (ids); i++) {
    g_autoptr (Fixture) f = fixture_new ();
    g_autofree char *text = NULL;

    write_wireguard (f, ids[i]);
    look (f);
    assert_json_has (f, "\"armed\":[{\"id\":\"");
    text = ks_status_format (&f->status);
    assert_true (g_utf8_validate (text, -1, NULL));
    assert_null (strchr (text, '\033'));
    assert_null (strstr (text, "\342\200\256")); /* a right-to-left override */
  }
}

static void
status_shows_errors_and_warnings_in_json (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();

  ks_test_host_write (f->host, "etc/lan", "[connection]\nid=Wi\"red\ntype=ethernet\nuuid=" KS_TEST_UUID_1 "\n" STRICT);
  look (f);
  assert_json_has (f, "\"warnings\":[\"zone 'killswitch' has no effect on 'Wi\\\"red': it is an ethernet ");
}

static void
status_that_is_off_says_which_zone_is_misspelt (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();

  ks_test_host_write (f->host, "etc/wg",
                      "[connection]\nid=my-vpn\ntype=wireguard\nuuid=" KS_TEST_UUID_1
                      "\ninterface-name=wg0\nzone=kill-switch\n");
  look (f);
  assert_text_has (f, "Kill switch: off (no profile asks for it)\n"
                      "Warnings:\n"
                      "  zone 'kill-switch' of 'my-vpn' does not arm the kill switch; did you mean 'killswitch'? "
                      "Run: nmcli connection modify my-vpn connection.zone killswitch\n");
  assert_json_has (f, "\"warnings\":[\"zone 'kill-switch' of 'my-vpn' does not arm the kill switch; ");
}

static void
status_says_when_no_transport_is_known (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();

  ks_test_host_write (f->host, "etc/wg",
                      "[connection]\nid=x\ntype=wireguard\nuuid=" KS_TEST_UUID_1 "\ninterface-name=wg0\n" STRICT);
  look (f);
  assert_text_has (f, "no server address known yet: the VPN cannot connect\n");
}

static void
status_says_which_names_may_be_asked_for (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();
  KsTransport query = { .family = AF_INET, .to = ks_test_prefix ("192.168.1.1"), .ip_protocol = IPPROTO_UDP };

  write_wireguard (f, "home");
  look (f);
  assert_json_has (f, "\"may_be_asked_for\":[]");
  g_array_append_val (f->report.policy->bootstrap, query);
  g_ptr_array_add (f->report.policy->names, g_strdup ("vpn.example.org"));
  g_ptr_array_add (f->report.policy->names, g_strdup ("a.example"));
  assert_text_has (f, "\nNames that may be asked for: vpn.example.org a.example\n");
  assert_json_has (f, "\"may_be_asked_for\":[\"vpn.example.org\",\"a.example\"],\"any_name\":false");
  f->report.policy->any_name = TRUE;
  assert_text_has (
    f, "\nNames that may be asked for: any, by root and from behind this host (there is no guard to compare them)\n");
  assert_json_has (f, "\"any_name\":true");
}

static void
status_shows_a_section_its_mode_and_why_it_is_down (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) fixture = fixture_new ();
  g_autofree char *text = NULL, *json = NULL;

  ks_test_host_write (fixture->host, "config",
                      "[vpn staex]\nInterface=no-such-dev*\nProtocol=udp\nPort=1234\nTo=203.0.113.0/24\n");
  look (fixture);
  text = ks_status_format (&fixture->status);
  assert_non_null (strstr (text, "  staex                section    strict   by [vpn staex]; down (no device "
                                 "no-such-dev* is up)\n"));
  assert_non_null (strstr (text, "  udp from port 1234 to 203.0.113.0/24, uid 0\n"));
  json = ks_status_format_json (&fixture->status);
  assert_non_null (strstr (json, "\"[vpn staex]\""));
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (status_is_off_when_no_profile_asks_for_it),
    cmocka_unit_test (status_is_blocking_while_no_tunnel_is_up),
    cmocka_unit_test (status_is_protected_while_a_tunnel_is_up),
    cmocka_unit_test (status_is_incomplete_when_the_kernel_lacks_something),
    cmocka_unit_test (status_is_incomplete_without_its_guard),
    cmocka_unit_test (status_is_incomplete_when_the_guard_is_not_as_wanted),
    cmocka_unit_test (status_is_released_by_the_marker),
    cmocka_unit_test (status_is_unknown_without_the_kernel),
    cmocka_unit_test (status_of_hostile_names_is_valid_and_quiet),
    cmocka_unit_test (status_shows_errors_and_warnings_in_json),
    cmocka_unit_test (status_that_is_off_says_which_zone_is_misspelt),
    cmocka_unit_test (status_says_when_no_transport_is_known),
    cmocka_unit_test (status_says_which_names_may_be_asked_for),
    cmocka_unit_test (status_shows_a_section_its_mode_and_why_it_is_down),
  };

  return cmocka_run_group_tests_name ("ks-status", tests, NULL, NULL);
}
