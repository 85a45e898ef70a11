/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test-json.h"
#include "ks-test-nm.h"
#include "ks-test.h"

#include "base/ks-error.h"
#include "base/ks-json-read.h"
#include "report/ks-status.h"
#include "run/ks-reconcile.h"

static const KsStyle plain;

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
  self->report.unprotected = g_ptr_array_new_with_free_func (g_free);
  self->report.conflicts = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_conflict_free);
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
  g_ptr_array_unref (self->report.conflicts);
  g_ptr_array_unref (self->report.unprotected);
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
  g_autofree char *text = ks_status_format (&self->status, &plain);

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
  assert_text_has (f, "Kill switch: off\n  No profile asks for it: nothing is blocked.\n");
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
  assert_text_has (f, "  Local network: 10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 169.254.0.0/16 fc00::/7 fe80::/10\n");
  assert_text_has (f, "  DNS: through the tunnel only\n");
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
  assert_text_has (f, "  Rules or routes are not as they should be.\n");
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
  assert_text_has (f, "Kill switch: incomplete\n");
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
    text = ks_status_format (&f->status, &plain);
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
  assert_text_has (f, "Kill switch: off\n  No profile asks for it: nothing is blocked.\n"
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
  assert_text_has (f, "  no server address known yet: the VPN cannot connect\n");
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
  assert_text_has (f, "\n  Names that may be asked for: vpn.example.org a.example\n");
  assert_json_has (f, "\"may_be_asked_for\":[\"vpn.example.org\",\"a.example\"],\"any_name\":false");
  f->report.policy->any_name = TRUE;
  assert_text_has (
    f, "\n  Names that may be asked for: any, by root and from behind this host (there is no guard to check them)\n");
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
  text = ks_status_format (&fixture->status, &plain);
  assert_non_null (strstr (text, "  staex                section    strict   by [vpn staex]; down (no device "
                                 "no-such-dev* is up)\n"));
  assert_non_null (strstr (text, "  udp from port 1234 to 203.0.113.0/24, uid 0\n"));
  json = ks_status_format_json (&fixture->status);
  assert_non_null (strstr (json, "\"[vpn staex]\""));
}

/* --- without root --- */

/* What a user without root is shown of @f's host, whose kernel holds what it should, with @links. */
static KsPublic *
public_of (Fixture *f, const GArray *links)
{
  KsPublic *public = g_new0 (KsPublic, 1);
  g_autoptr (KsConfig) config = ks_config_new ();
  g_autoptr (KsSummary) summary = ks_status_summarise (&f->status);
  g_autofree char *text = ks_summary_format (summary);

  public->problems = g_ptr_array_new_with_free_func (g_free);
  public->summary = ks_public_judge (ks_summary_parse (text, NULL), config, &f->snapshot, links, public->problems);
  return public;
}

/* Links of which one is @name. */
static GArray *
links_with (const char *name)
{
  GArray *links = g_array_new (FALSE, TRUE, sizeof (KsLink));
  KsLink link = { .ifindex = 7, .is_up = TRUE };

  g_strlcpy (link.name, name, sizeof link.name);
  g_array_append_val (links, link);
  return links;
}

/* Protected by wg0, whose index is 7. */
static void
protect (Fixture *f)
{
  KsTunnel *tunnel = ks_tunnel_new (KS_TEST_UUID_1, "wg0");

  write_wireguard (f, "home");
  tunnel->ifindex = 7;
  tunnel->has_ipv4 = TRUE;
  ks_test_no_bus ();
  f->report.situation = ks_situation_read (&f->host->paths, NULL, KS_READ_NO_NETWORK);
  g_ptr_array_add (f->report.situation->tunnels, tunnel);
  f->report.policy = ks_situation_policy (f->report.situation, &f->snapshot);
  f->report.guard = KS_GUARD_IN_PLACE;
  g_array_append_vals (f->snapshot.rules, f->report.policy->rules->data, f->report.policy->rules->len);
  g_array_append_vals (f->snapshot.routes, f->report.policy->routes->data, f->report.policy->routes->len);
  take_status (f);
}

static void
add_conflict (Fixture *f, const char *program)
{
  KsConflict *conflict = g_new0 (KsConflict, 1);

  conflict->kind = "rule";
  conflict->object = g_strdup ("0: from all lookup main");
  conflict->program = program;
  conflict->effect = KS_CONFLICT_LEAKS;
  conflict->text = g_strdup ("IPv4 rule '0: from all lookup main' does harm");
  g_ptr_array_add (f->report.conflicts, conflict);
}

static void
status_names_what_other_programs_do_to_it (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();
  g_autofree char *before = NULL;

  protect (f);
  before = ks_status_format (&f->status, &plain);
  assert_null (strstr (before, "Other programs"));
  assert_json_has (f, "\"conflicts\":[]");
  add_conflict (f, NULL);
  add_conflict (f, "BIRD");
  assert_text_has (f, "Other programs in the way:\n  IPv4 rule '0: from all lookup main' does harm\n");
  assert_json_has (f, "\"conflicts\":[{\"kind\":\"rule\",\"object\":\"0: from all lookup main\",\"program\":null,"
                      "\"effect\":\"leak\",\"text\":\"IPv4 rule '0: from all lookup main' does harm\"},");
  assert_json_has (f, "\"program\":\"BIRD\"");
  assert_text_has (f, "What to do:\n  Remove what other programs have put in the way; see above.\n");
}

/* The probes ask the kernel's routing, which does not know of it either. */
static void
check_fails_if_another_program_sends_packets_past_the_guard (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();
  g_autofree char *before = NULL, *after = NULL;

  protect (f);
  add_conflict (f, NULL);
  assert_true (ks_reconcile_prove (&f->report, &f->snapshot));
  f->report.proof->escapes = 0;
  before = ks_status_format_check (&f->status);
  assert_true (ks_status_is_tight (&f->status));
  assert_non_null (strstr (before, "Nothing escapes\n"));
  assert_string_equal (ks_status_word (&f->status), "protected");
  ((KsConflict *) f->report.conflicts->pdata[0])->passes_guard = TRUE;
  assert_text_has (f, "\n  Another program sends packets past the kill switch; see below.\n");
  assert_text_has (f, "What to do:\n  Remove what other programs have put in the way; see above.\n"
                      "  Or let everything out: nm-killswitch release\n");
  assert_json_has (f, "\"state\":\"incomplete\"");
  after = ks_status_format_check (&f->status);
  assert_false (ks_status_is_tight (&f->status));
  assert_null (strstr (after, "Nothing escapes"));
}

static void
status_names_whom_it_cannot_protect (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();
  g_autofree char *before = NULL, *check = NULL;

  protect (f);
  before = ks_status_format (&f->status, &plain);
  assert_null (strstr (before, "Not protected"));
  assert_json_has (f, "\"unprotected\":[]");
  g_ptr_array_add (f->report.unprotected, g_strdup ("the virtual machine on macvtap0"));
  assert_text_has (f, "Not protected:\n  the virtual machine on macvtap0\n");
  assert_json_has (f, "\"state\":\"protected\"");
  assert_json_has (f, "\"unprotected\":[\"the virtual machine on macvtap0\"]");
  assert_true (ks_reconcile_prove (&f->report, &f->snapshot));
  check = ks_status_format_check (&f->status);
  assert_non_null (strstr (check, "Not protected:\n  the virtual machine on macvtap0\n"));
}

static void
without_root_the_state_is_shown_and_what_was_left_out (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();
  g_autoptr (GArray) links = links_with ("wg0");
  g_autoptr (KsPublic) public = NULL;
  g_auto (KsStatus) status = { 0 };
  g_autofree char *text = NULL, *json = NULL;

  protect (f);
  public = public_of (f, links);
  assert_int_equal (public->problems->len, 0);
  ks_status_init_public (&status, public);
  text = ks_status_format (&status, &plain);
  json = ks_status_format_json (&status);
  assert_string_equal (ks_status_word (&status), "protected");
  assert_non_null (strstr (text, "  home                 wireguard  strict   by connection.zone; up on wg0\n"));
  assert_non_null (strstr (text, "Not shown, since only root may see it: "));
  assert_non_null (strstr (json, "\"complete\":false,\"state\":\"protected\""));
  assert_null (strstr (text, "203.0.113.10"));
  assert_null (strstr (json, "203.0.113.10"));
  assert_null (strstr (json, "\"guard\""));
}

static void
without_root_a_tunnel_that_was_just_lost_is_not_shown (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();
  g_autoptr (GArray) links = links_with ("eth0");
  g_autoptr (KsPublic) public = NULL;

  protect (f);
  public = public_of (f, links);
  assert_string_equal (public->summary->state, "blocking");
  assert_null (((const KsSummaryProfile *) public->summary->profiles->pdata[0])->tunnel);
}

static void
status_shows_all_devices_of_a_section (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();
  g_autoptr (GArray) links = links_with ("staex1");
  g_autoptr (KsPublic) public = NULL;
  const KsSummaryProfile *profile;

  ks_test_host_write (f->host, "config", "[vpn staex]\nInterface=staex*\nProtocol=udp\nPort=1234\n");
  ks_test_no_bus ();
  f->report.situation = ks_situation_read (&f->host->paths, NULL, KS_READ_NO_NETWORK);
  for (guint i = 0; i < 2; i++) {
    g_autofree char *name = g_strdup_printf ("staex%u", i);
    KsTunnel *tunnel = ks_tunnel_new (KS_SECTION_KEY "staex", name);

    tunnel->ifindex = 7 + i;
    tunnel->has_ipv4 = TRUE;
    g_ptr_array_add (f->report.situation->tunnels, tunnel);
  }
  f->report.policy = ks_situation_policy (f->report.situation, &f->snapshot);
  f->report.guard = KS_GUARD_IN_PLACE;
  g_array_append_vals (f->snapshot.rules, f->report.policy->rules->data, f->report.policy->rules->len);
  g_array_append_vals (f->snapshot.routes, f->report.policy->routes->data, f->report.policy->routes->len);
  take_status (f);
  assert_text_has (f, "up on staex0, staex1\n");
  assert_json_has (f, "\"tunnel\":\"staex0\",\"more_tunnels\":[\"staex1\"]");

  /* the first is lost, and the kernel already goes by the second */
  public = public_of (f, links);
  profile = public->summary->profiles->pdata[0];
  assert_string_equal (public->summary->state, "protected");
  assert_string_equal (profile->tunnel, "staex1");
  assert_int_equal (profile->more_tunnels->len, 0);
}

static void
without_root_what_the_kernel_lacks_is_seen (void **state G_GNUC_UNUSED)
{
  static const char *const lacking[] = { "the blackhole", "the terminal rule", "the rule before it" };

  for (guint i = 0; i < G_N_ELEMENTS (lacking); i++) {
    g_autoptr (Fixture) f = fixture_new ();
    g_autoptr (GArray) links = links_with ("wg0");
    g_autoptr (KsPublic) public = NULL;
    guint removed = 0;

    protect (f);
    for (guint j = f->snapshot.routes->len; i == 0 && j-- > 0;) {
      const KsRoute *route = &g_array_index (f->snapshot.routes, KsRoute, j);

      if (route->family == AF_INET6 && route->table == 83 && route->type == RTN_BLACKHOLE && route->dst.length == 0) {
        g_array_remove_index (f->snapshot.routes, j);
        removed++;
      }
    }
    for (guint j = f->snapshot.rules->len; i > 0 && j-- > 0;)
      if (g_array_index (f->snapshot.rules, KsRule, j).priority == (i == 1 ? 8390u : 8380u)
          && g_array_index (f->snapshot.rules, KsRule, j).family == AF_INET6) {
        g_array_remove_index (f->snapshot.rules, j);
        removed++;
      }
    assert_int_equal (removed, 1);
    public = public_of (f, links);
    if (strcmp (public->summary->state, "incomplete") != 0 || public->problems->len != 1)
      fail_msg ("without %s it is %s", lacking[i], public->summary->state);
  }
}

static void
without_root_and_without_a_file_the_kernel_alone_tells (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();
  g_autoptr (GArray) links = links_with ("wg0");
  g_autoptr (GPtrArray) problems = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (KsConfig) config = ks_config_new ();
  g_autoptr (KsSummary) off = NULL, unknown = NULL;

  off = ks_public_judge (NULL, config, &f->snapshot, links, problems);
  assert_string_equal (off->state, "off");
  assert_int_equal (problems->len, 0);
  protect (f);
  unknown = ks_public_judge (NULL, config, &f->snapshot, links, problems);
  assert_string_equal (unknown->state, "unknown");
  assert_int_equal (problems->len, 1);
}

static void
without_root_rules_that_nothing_asks_for_are_seen (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();
  g_autoptr (GArray) links = links_with ("wg0");
  g_autoptr (GPtrArray) problems = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (KsConfig) config = ks_config_new ();
  KsSummary *left = ks_summary_parse ("{\"file_version\":1,\"state\":\"off\",\"armed\":[]}", NULL);
  g_autoptr (KsSummary) judged = NULL;

  protect (f);
  judged = ks_public_judge (left, config, &f->snapshot, links, problems);
  assert_string_equal (judged->state, "incomplete");
  assert_int_equal (problems->len, 1);
}

/* --- one screen --- */

static void
status_says_since_when (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();
  g_autoptr (KsSummary) former = NULL;

  write_wireguard (f, "home");
  look (f);
  former = ks_summary_parse ("{\"file_version\":1,\"state\":\"blocking\",\"since_boottime\":100,\"armed\":[]}", NULL);
  f->status.former = former;
  f->status.now = 1764324000; /* 2025-11-28 10:00 UTC */
  f->status.boottime = 100 + 7500;
  assert_text_has (f, " (2 h 5 min)\n");
  assert_json_has (f, "\"since\":\"2025-11-28T07:55:00Z\"");
  g_free (former->state);
  former->state = g_strdup ("protected"); /* another state's time is not this one's */
  assert_json_has (f, "\"since\":null");
}

/* The longest line of @text, in characters. */
static guint
longest_line (const char *text)
{
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  guint longest = 0;

  for (char **line = lines; *line; line++)
    longest = MAX (longest, (guint) g_utf8_strlen (*line, -1));
  return longest;
}

static void
status_fits_a_screen_and_has_colours_only_there (void **state G_GNUC_UNUSED)
{
  const KsStyle screen = { .columns = 80 }, coloured = { .has_colour = TRUE, .columns = 80 };
  g_autoptr (Fixture) f = fixture_new ();
  g_autofree char *text = NULL, *colours = NULL;

  for (guint i = 0; i < 40; i++) {
    g_autofree char *name = g_strdup_printf ("etc/vpn%u", i);
    g_autofree char *profile = g_strdup_printf ("[connection]\nid=a-vpn-with-a-long-name-%u\n"
                                                "uuid=11111111-1111-4111-8111-1111111111%02u\ntype=vpn\n" STRICT
                                                "[vpn]\nservice-type=org.freedesktop.NetworkManager.openvpn\n"
                                                "remote=203.0.113.%u\n",
                                                i, i, i + 1);

    ks_test_host_write (f->host, name, profile);
  }
  look (f);
  text = ks_status_format (&f->status, &screen);
  assert_in_range (longest_line (text), 40, 80);
  assert_non_null (strstr (text, "  and 28 more: see `nm-killswitch list`\n"));
  assert_null (strchr (text, '\033'));
  colours = ks_status_format (&f->status, &coloured);
  assert_non_null (strstr (colours, "Kill switch: \033[1;33mblocking\033[0m\n"));
}

static void
status_says_what_to_do (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new (), odd = fixture_new (), hostile = fixture_new (), off = fixture_new ();

  write_wireguard (f, "home");
  look (f);
  assert_text_has (f, "  Start NetworkManager, then connect the VPN: nmcli connection up home\n");
  write_wireguard (odd, "$(reboot)");
  look (odd);
  assert_text_has (odd, "  Start NetworkManager, then connect the VPN: nmcli connection up '$(reboot)'\n");
  write_wireguard (hostile, "a\\nb");
  look (hostile);
  assert_text_has (hostile,
                   "  Start NetworkManager, then connect the VPN: nmcli connection up uuid " KS_TEST_UUID_1 "\n");
  look (off);
  assert_text_has (off, "  Arm a VPN: nm-killswitch enable PROFILE ");
}

/* --- the schema --- */

static void
collect_members (GVariant *value, const char *prefix, GHashTable *members)
{
  if (g_variant_is_of_type (value, G_VARIANT_TYPE_VARDICT)) {
    GVariantIter iter;
    const char *key;
    GVariant *member;

    g_variant_iter_init (&iter, value);
    while (g_variant_iter_next (&iter, "{&sv}", &key, &member)) {
      g_autofree char *path = *prefix ? g_strdup_printf ("%s.%s", prefix, key) : g_strdup (key);

      collect_members (member, path, members);
      g_hash_table_add (members, g_steal_pointer (&path));
      g_variant_unref (member);
    }
  } else if (g_variant_is_of_type (value, G_VARIANT_TYPE ("av"))) {
    g_autofree char *path = g_strdup_printf ("%s[]", prefix);

    for (gsize i = 0; i < g_variant_n_children (value); i++) {
      g_autoptr (GVariant) boxed = g_variant_get_child_value (value, i);
      g_autoptr (GVariant) element = g_variant_get_variant (boxed);

      collect_members (element, path, members);
    }
  }
}

static GHashTable *
members_of (const KsStatus *status)
{
  GHashTable *members = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_autofree char *text = ks_status_format_json (status);
  g_autoptr (GVariant) value = ks_json_read (text, NULL);

  assert_non_null (value);
  collect_members (value, "", members);
  return members;
}

/* The members that the page documents, with what it says of when they are there (transfer full). */
static GHashTable *
documented (void)
{
  GHashTable *members = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  assert_true (g_file_get_contents (KS_TESTS "/../docs/status-json.md", &text, NULL, NULL));
  lines = g_strsplit (text, "\n", -1);
  for (char **line = lines; *line; line++) {
    g_auto (GStrv) cells = g_strsplit (*line, " | ", 4);

    if (g_str_has_prefix (*line, "| `") && g_strv_length (cells) == 4) {
      g_autofree char *name = g_strdup (cells[0] + strlen ("| `"));

      name[strcspn (name, "`")] = '\0';
      g_hash_table_insert (members, g_steal_pointer (&name), g_strdup (cells[2]));
    }
  }
  return members;
}

/* What is in @members and not in @others fails. */
static void
assert_all_in (GHashTable *members, GHashTable *others, const char *what)
{
  GHashTableIter iter;
  gpointer name;

  g_hash_table_iter_init (&iter, members);
  while (g_hash_table_iter_next (&iter, &name, NULL))
    if (!g_hash_table_contains (others, name))
      fail_msg ("%s: %s", what, (const char *) name);
}

static void
status_json_matches_its_documentation (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) f = fixture_new ();
  g_autoptr (GArray) links = links_with ("wg0");
  g_autoptr (KsPublic) public = NULL;
  g_auto (KsStatus) status = { 0 };
  g_autoptr (GHashTable) page = documented (), root = NULL, others = NULL;
  g_autofree char *json = NULL;
  GHashTableIter iter;
  gpointer name, when;

  protect (f);
  add_conflict (f, "BIRD");
  root = members_of (&f->status);
  assert_all_in (root, page, "a member that docs/status-json.md does not describe");
  assert_all_in (page, root, "a member that docs/status-json.md describes and root is not shown");
  public = public_of (f, links);
  ks_status_init_public (&status, public);
  others = members_of (&status);
  assert_all_in (others, page, "a member for other users that docs/status-json.md does not describe");
  g_hash_table_iter_init (&iter, page);
  while (g_hash_table_iter_next (&iter, &name, &when))
    if (g_hash_table_contains (others, name) == g_str_has_prefix (when, "root"))
      fail_msg ("%s is for '%s', says docs/status-json.md", (const char *) name, (const char *) when);
  json = ks_status_format_json (&f->status);
  assert_true (g_str_has_prefix (json, "{\"schema\":1,"));
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
    cmocka_unit_test (status_names_what_other_programs_do_to_it),
    cmocka_unit_test (check_fails_if_another_program_sends_packets_past_the_guard),
    cmocka_unit_test (status_names_whom_it_cannot_protect),
    cmocka_unit_test (without_root_the_state_is_shown_and_what_was_left_out),
    cmocka_unit_test (without_root_a_tunnel_that_was_just_lost_is_not_shown),
    cmocka_unit_test (status_shows_all_devices_of_a_section),
    cmocka_unit_test (without_root_what_the_kernel_lacks_is_seen),
    cmocka_unit_test (without_root_and_without_a_file_the_kernel_alone_tells),
    cmocka_unit_test (without_root_rules_that_nothing_asks_for_are_seen),
    cmocka_unit_test (status_says_since_when),
    cmocka_unit_test (status_fits_a_screen_and_has_colours_only_there),
    cmocka_unit_test (status_says_what_to_do),
    cmocka_unit_test (status_json_matches_its_documentation),
  };

  return cmocka_run_group_tests_name ("ks-status", tests, NULL, NULL);
}
