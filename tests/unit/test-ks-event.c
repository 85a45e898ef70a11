/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Events are data: tests/unit/events/NAME.env was recorded from a real
 * NetworkManager, "argv: INTERFACE ACTION" and then the environment. One more
 * file, events/expected, says what comes out of each.
 */
#include "ks-test.h"

#include "base/ks-error.h"
#include "input/ks-event.h"
#include "value/ks-interface.h"

#define FIXTURES KS_TESTS "/unit/events"

/* --- fixtures --- */

typedef struct {
  char *argv[4];
  char **envp;
} Recording;

static void
recording_free (Recording *self)
{
  for (guint i = 0; i < G_N_ELEMENTS (self->argv); i++)
    g_free (self->argv[i]);
  g_strfreev (self->envp);
  g_free (self);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Recording, recording_free)

static Recording *
recording_read (const char *path)
{
  Recording *self = g_new0 (Recording, 1);
  g_autofree char *text = NULL;
  char *end, *action;

  assert_true (g_file_get_contents (path, &text, NULL, NULL));
  assert_true (g_str_has_prefix (text, "argv: "));
  end = strchr (text, '\n');
  *end = '\0';
  action = strchr (text + 6, ' '); /* the interface may be empty */
  assert_non_null (action);
  self->argv[0] = g_strdup ("10-killswitch");
  self->argv[1] = g_strndup (text + 6, action - text - 6);
  self->argv[2] = g_strdup (action + 1);
  self->envp = g_strsplit (g_strchomp (end + 1), "\n", -1);
  return self;
}

/* What was read from an event, in one line. */
static char *
describe (const KsEvent *event)
{
  g_autofree char *addresses = ks_test_format_prefixes (event->addresses);
  g_autofree char *nameservers = ks_test_format_prefixes (event->nameservers);
  g_autofree char *gateway4 = ks_prefix_format_address (&event->gateway4);
  g_autofree char *gateway6 = ks_prefix_format_address (&event->gateway6);

  return g_strdup_printf ("%s of %s, %s%s%s%s; addresses %s; via %s %s; dns %s", ks_action_format (event->action),
                          event->interface ? event->interface : "nothing", event->id ? event->id : "no profile",
                          event->vpn_interface ? " on " : "", event->vpn_interface ? event->vpn_interface : "",
                          event->external ? " (external)" : "", *addresses ? addresses : "none",
                          *gateway4 ? gateway4 : "-", *gateway6 ? gateway6 : "-", *nameservers ? nameservers : "none");
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

static GPtrArray *
list_fixtures (void)
{
  GPtrArray *names = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GDir) dir = g_dir_open (FIXTURES, 0, NULL);
  const char *name;

  assert_non_null (dir);
  while ((name = g_dir_read_name (dir)))
    if (g_str_has_suffix (name, ".env"))
      g_ptr_array_add (names, g_strdup (name));
  g_ptr_array_sort (names, compare_names);
  return names;
}

static void
event_reads_every_recorded_event (void **state G_GNUC_UNUSED)
{
  g_autoptr (GPtrArray) names = list_fixtures ();

  assert_true (names->len >= 40);
  for (guint i = 0; i < names->len; i++) {
    g_autofree char *path = g_build_filename (FIXTURES, names->pdata[i], NULL);
    g_autoptr (Recording) recording = recording_read (path);
    g_autoptr (GError) error = NULL;
    g_autoptr (KsEvent) event = ks_event_parse (3, recording->argv, recording->envp, &error);

    if (!event)
      fail_msg ("%s: %s", (const char *) names->pdata[i], error->message);
    if (event->action == KS_ACTION_UNKNOWN)
      assert_string_equal (recording->argv[2], "hostname");
    else
      assert_string_equal (ks_action_format (event->action), recording->argv[2]);
  }
}

/* Every recorded line of events/expected, "FILE: DESCRIPTION". */
static void
event_reads_recorded_events_as_expected (void **state G_GNUC_UNUSED)
{
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;
  guint count = 0;

  assert_true (g_file_get_contents (FIXTURES "/expected", &text, NULL, NULL));
  lines = g_strsplit (text, "\n", -1);
  for (char **line = lines; *line; line++) {
    g_auto (GStrv) parts = g_strsplit (*line, ": ", 2);
    g_autofree char *path = NULL, *description = NULL;
    g_autoptr (Recording) recording = NULL;
    g_autoptr (KsEvent) event = NULL;

    if (**line == '\0' || **line == '#')
      continue;
    path = g_strdup_printf (FIXTURES "/%s.env", parts[0]);
    recording = recording_read (path);
    event = ks_event_parse (3, recording->argv, recording->envp, NULL);
    assert_non_null (event);
    description = describe (event);
    assert_string_equal (description, parts[1]);
    count++;
  }
  assert_true (count >= 10);
}

/* --- by hand --- */

static KsEvent *
parse (const char *interface, const char *action, const char *const *envp, GError **error)
{
  const char *const argv[] = { "10-killswitch", interface, action, NULL };

  return ks_event_parse (3, (char *const *) (gpointer) argv, (char *const *) (gpointer) envp, error);
}

static void
event_needs_two_arguments (void **state G_GNUC_UNUSED)
{
  const char *const argv[] = { "10-killswitch", "eth0", "up", "more", NULL };

  for (int argc = 0; argc <= 4; argc++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (KsEvent) event = NULL;

    if (argc == 3)
      continue;
    event = ks_event_parse (argc, (char *const *) (gpointer) argv, NULL, &error);
    assert_null (event);
    assert_true (g_error_matches (error, KS_ERROR, KS_ERROR_INVALID));
  }
}

static void
event_with_an_unknown_action_is_not_an_error (void **state G_GNUC_UNUSED)
{
  static const char *const actions[] = { "hostname", "device-add", "device-delete", "UP", "up ", "", "vpn-pre-up2" };

  for (guint i = 0; i < G_N_ELEMENTS (actions); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (KsEvent) event = parse ("not/an interface", actions[i], NULL, &error);

    assert_non_null (event);
    assert_int_equal (event->action, KS_ACTION_UNKNOWN);
    assert_string_equal (ks_action_format (event->action), "unknown");
  }
}

static void
event_needs_no_environment (void **state G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KsEvent) event = parse ("", "connectivity-change", NULL, &error);

  assert_non_null (event);
  assert_null (event->interface);
  assert_null (event->uuid);
}

static void
event_refuses_hostile_interface_names (void **state G_GNUC_UNUSED)
{
  static const char *const names[] = { "eth0/../x",        "a b", "a\nb",    "a\tb",  "..", ".",
                                       "0123456789abcdef", "a:b", "\033[2J", "a\x7f", "/",  "a\vb" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autofree char *variable = g_strconcat ("VPN_IP_IFACE=", names[i], NULL);
    const char *const envp[] = { variable, NULL };
    g_autoptr (GError) first = NULL, second = NULL;

    assert_false (ks_interface_name_is_valid (names[i]));
    assert_null (parse (names[i], "up", NULL, &first));
    assert_true (g_error_matches (first, KS_ERROR, KS_ERROR_INVALID));
    assert_non_null (strstr (first->message, "first argument"));
    assert_null (parse ("eth0", "vpn-up", envp, &second));
    assert_true (g_error_matches (second, KS_ERROR, KS_ERROR_INVALID));
    assert_non_null (strstr (second->message, "VPN_IP_IFACE"));
    assert_null (strchr (second->message, '\033'));
    assert_null (strchr (second->message, '\n'));
  }
}

static void
event_accepts_interface_names_that_the_kernel_accepts (void **state G_GNUC_UNUSED)
{
  static const char *const names[] = { "eth0",      "wg-home", "a",       "0123456789abcde", "br.10",
                                       "$(reboot)", "-x",      "tun0;ls", "b\303\274ro" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autoptr (KsEvent) event = parse (names[i], "up", NULL, NULL);

    assert_non_null (event);
    assert_string_equal (event->interface, names[i]);
  }
}

static void
event_names_the_malformed_variable_and_its_value (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *variable, *error;
  } cases[] = {
    { "IP4_GATEWAY=router", "IP4_GATEWAY: 'router' is not an address" },
    { "IP4_GATEWAY=10.0.0.1/24", "IP4_GATEWAY: '10.0.0.1/24' is not an address" },
    { "IP6_GATEWAY=fe80::1%eth0", "IP6_GATEWAY: 'fe80::1%eth0' is not an address" },
    { "IP4_ADDRESS_0=10.0.0.2/33 10.0.0.1",
      "IP4_ADDRESS_0: '10.0.0.2/33 10.0.0.1' is not an address with a prefix length" },
    { "IP6_ADDRESS_0= ", "IP6_ADDRESS_0: ' ' is not an address with a prefix length" },
    { "IP4_NAMESERVERS=10.0.0.1,10.0.0.2", "IP4_NAMESERVERS: '10.0.0.1,10.0.0.2' is not a list of addresses" },
    { "IP6_NAMESERVERS=::1 \n::2", "IP6_NAMESERVERS: '::1 \\u000a::2' is not a list of addresses" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    const char *const envp[] = { cases[i].variable, NULL };
    g_autoptr (GError) error = NULL;

    assert_null (parse ("eth0", "up", envp, &error));
    assert_true (g_error_matches (error, KS_ERROR, KS_ERROR_INVALID));
    assert_string_equal (error->message, cases[i].error);
  }
}

static void
event_treats_an_unset_address_as_no_gateway (void **state G_GNUC_UNUSED)
{
  static const char *const envp[] = { "VPN_IP_IFACE=tun0", "VPN_IP4_GATEWAY=0.0.0.0", "VPN_IP6_GATEWAY=0.0.0.0",
                                      "IP4_GATEWAY=192.168.1.1", NULL };
  g_autoptr (KsEvent) event = parse ("tun0", "vpn-up", envp, NULL);

  assert_non_null (event);
  assert_false (ks_prefix_is_set (&event->gateway4));
  assert_false (ks_prefix_is_set (&event->gateway6));
}

static void
event_of_a_vpn_ignores_its_parents_addresses (void **state G_GNUC_UNUSED)
{
  static const char *const envp[] = { "VPN_IP_IFACE=tun0",
                                      "IP4_ADDRESS_0=192.168.1.2/24 192.168.1.1",
                                      "IP4_NAMESERVERS=192.168.1.1",
                                      "VPN_IP4_ADDRESS_0=10.8.0.2/24 10.8.0.1",
                                      "VPN_IP4_NAMESERVERS=10.8.0.1",
                                      NULL };
  g_autoptr (KsEvent) event = parse ("tun0", "vpn-up", envp, NULL);
  g_autofree char *text = describe (event);

  assert_string_equal (text, "vpn-up of tun0, no profile on tun0; addresses 10.8.0.2/24; via - -; dns 10.8.0.1");
}

static void
event_does_not_confuse_variables (void **state G_GNUC_UNUSED)
{
  static const char *const envp[] = {
    "IP4_GATEWAYS=x",         "XIP4_GATEWAY=x",    "IP4_GATEWAY", "CONNECTION_UUID=", "=", "",
    "IP4_ADDRESS_1=nonsense", "CONNECTION_ID=a=b", NULL
  };
  g_autoptr (KsEvent) event = parse ("eth0", "up", envp, NULL);

  assert_non_null (event);
  assert_false (ks_prefix_is_set (&event->gateway4));
  assert_null (event->uuid);
  assert_string_equal (event->id, "a=b");
}

static void
event_limits_what_it_reads (void **state G_GNUC_UNUSED)
{
  g_autoptr (GPtrArray) envp = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (KsEvent) event = NULL;

  for (guint i = 0; i < 2000; i++)
    g_ptr_array_add (envp, g_strdup_printf ("IP4_ADDRESS_%u=10.%u.%u.1/24", i, i / 256, i % 256));
  g_ptr_array_add (envp, NULL);
  event = parse ("eth0", "up", (const char *const *) envp->pdata, NULL);
  assert_non_null (event);
  assert_true (event->addresses->len <= 256);
}

static void
event_is_down_only_when_the_connection_is_gone (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *action;
    gboolean is_down;
  } cases[] = { { "down", TRUE },          { "vpn-down", TRUE }, { "pre-down", FALSE },
                { "vpn-pre-down", FALSE }, { "up", FALSE },      { "connectivity-change", FALSE } };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (KsEvent) event = parse ("eth0", cases[i].action, NULL, NULL);

    assert_int_equal (ks_event_is_down (event), cases[i].is_down);
  }
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (event_reads_every_recorded_event),
    cmocka_unit_test (event_reads_recorded_events_as_expected),
    cmocka_unit_test (event_needs_two_arguments),
    cmocka_unit_test (event_with_an_unknown_action_is_not_an_error),
    cmocka_unit_test (event_needs_no_environment),
    cmocka_unit_test (event_refuses_hostile_interface_names),
    cmocka_unit_test (event_accepts_interface_names_that_the_kernel_accepts),
    cmocka_unit_test (event_names_the_malformed_variable_and_its_value),
    cmocka_unit_test (event_treats_an_unset_address_as_no_gateway),
    cmocka_unit_test (event_of_a_vpn_ignores_its_parents_addresses),
    cmocka_unit_test (event_does_not_confuse_variables),
    cmocka_unit_test (event_limits_what_it_reads),
    cmocka_unit_test (event_is_down_only_when_the_connection_is_gone),
  };

  return cmocka_run_group_tests_name ("ks-event", tests, NULL, NULL);
}
