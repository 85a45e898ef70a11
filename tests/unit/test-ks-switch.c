/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What `list`, `enable` and `disable` make of what they were told: no kernel and no NetworkManager. */
#include "ks-test.h"

#include <stdlib.h>

#include "report/ks-list-format.h"
#include "run/ks-ssh.h"
#include "run/ks-switch.h"

static const KsStyle plain;

static KsSummary *
summary_of (const char *text)
{
  g_autofree char *file = g_strdup_printf ("{\"file_version\":1,%s}", text);
  KsSummary *summary = ks_summary_parse (file, NULL);

  assert_non_null (summary);
  return summary;
}

#define ARMED(mode, tunnel) \
  "{\"id\":\"home\",\"uuid\":\"" KS_TEST_UUID_1 "\",\"type\":\"wireguard\",\"mode\":\"" mode "\"," \
  "\"reason\":\"connection.zone\",\"tunnel\":" tunnel ",\"inside\":null,\"server_known\":true}"
#define OTHER \
  "{\"id\":\"work\",\"uuid\":\"44444444-4444-4444-8444-444444444444\",\"type\":\"vpn\",\"mode\":\"strict\"," \
  "\"reason\":\"connection.zone\",\"tunnel\":null,\"inside\":null,\"server_known\":false}"

static KsProfile *
profile_new (const char *id, const char *uuid, const char *type)
{
  KsProfile *profile = ks_profile_new ();

  profile->id = g_strdup (id);
  profile->uuid = g_strdup (uuid);
  profile->path = g_strdup_printf ("/etc/%s", id);
  profile->type = g_strdup (type);
  profile->vpn_type = ks_vpn_type_of (type);
  return profile;
}

/* --- the connection that a command is typed in --- */

static void
ssh_connection_is_parsed_and_nothing_else (void **state G_GNUC_UNUSED)
{
  static const char *const malformed[] = { "",
                                           "1.2.3.4",
                                           "1.2.3.4 1 5.6.7.8",
                                           "1.2.3.4 1 5.6.7.8 22 9",
                                           "x 1 5.6.7.8 22",
                                           "1.2.3.4 1 y 22",
                                           "1.2.3.0/24 1 5.6.7.8 22",
                                           "1.2.3.4 1 5.6.7.8 0",
                                           "1.2.3.4 1 5.6.7.8 65536" };
  KsConnection connection;
  KsPrefix peer = ks_test_prefix ("203.0.113.9"), local = ks_test_prefix ("fe80::1");

  assert_true (ks_ssh_parse ("203.0.113.9 51234 192.168.1.5 2222", &connection));
  assert_true (ks_prefix_equal (&connection.peer, &peer));
  assert_int_equal (connection.port, 2222);
  assert_true (ks_ssh_parse ("fe80::2%eth0 51234 fe80::1%eth0 22", &connection));
  assert_true (ks_prefix_equal (&connection.local, &local));
  for (guint i = 0; i < G_N_ELEMENTS (malformed); i++)
    if (ks_ssh_parse (malformed[i], &connection))
      fail_msg ("taken: %s", malformed[i]);
}

static void
ssh_connection_of_the_environment_counts_first (void **state G_GNUC_UNUSED)
{
  KsConnection connection;

  setenv ("SSH_CONNECTION", "203.0.113.9 51234 192.168.1.5 22", 1);
  assert_true (ks_ssh_find (&connection));
  setenv ("SSH_CONNECTION", "nonsense", 1);
  assert_false (ks_ssh_find (&connection));
  unsetenv ("SSH_CONNECTION");
}

/* --- whether it is in force, and how that is said --- */

static void
switch_is_done_when_the_summary_shows_it (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *summary;
    KsSwitch action;
    gboolean is_up, is_done;
  } cases[] = {
    { "\"state\":\"blocking\",\"armed\":[" ARMED ("strict", "null") "]", KS_SWITCH_STRICT, FALSE, TRUE },
    { "\"state\":\"blocking\",\"armed\":[" OTHER "]", KS_SWITCH_STRICT, FALSE, FALSE },
    { "\"state\":\"protected\",\"armed\":[" ARMED ("session", "\"wg0\"") "]", KS_SWITCH_STRICT, TRUE, FALSE },
    { "\"state\":\"protected\",\"armed\":[" ARMED ("session", "\"wg0\"") "]", KS_SWITCH_SESSION, TRUE, TRUE },
    { "\"state\":\"off\",\"armed\":[]", KS_SWITCH_SESSION, FALSE, TRUE },
    { "\"state\":\"off\",\"armed\":[]", KS_SWITCH_SESSION, TRUE, FALSE },
    { "\"state\":\"off\",\"armed\":[]", KS_SWITCH_STRICT, FALSE, FALSE },
    { "\"state\":\"off\",\"armed\":[]", KS_SWITCH_OFF, FALSE, TRUE },
    { "\"state\":\"blocking\",\"armed\":[" OTHER "]", KS_SWITCH_OFF, FALSE, TRUE },
    { "\"state\":\"blocking\",\"armed\":[" ARMED ("strict", "null") "]", KS_SWITCH_OFF, FALSE, FALSE },
    { "\"state\":\"incomplete\",\"armed\":[" ARMED ("strict", "null") "]", KS_SWITCH_STRICT, FALSE, FALSE },
    { "\"state\":\"unknown\",\"armed\":[]", KS_SWITCH_OFF, FALSE, FALSE },
    { "\"state\":\"released\",\"armed\":[]", KS_SWITCH_STRICT, FALSE, TRUE },
  };
  g_autoptr (KsProfile) profile = profile_new ("home", KS_TEST_UUID_1, "wireguard");

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (KsSummary) summary = summary_of (cases[i].summary);

    if (ks_switch_is_done (summary, profile, cases[i].action, cases[i].is_up) != cases[i].is_done)
      fail_msg ("case %u is %s", i, cases[i].is_done ? "not done" : "done");
  }
}

static void
switch_says_in_one_line_what_is_in_force (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *summary;
    KsSwitch action;
    const char *text;
  } cases[] = {
    { "\"state\":\"blocking\",\"armed\":[" ARMED ("strict", "null") "]", KS_SWITCH_STRICT,
      "'home' is armed (strict) and down: only the local network and the VPN's own transport get out" },
    { "\"state\":\"protected\",\"armed\":[" ARMED ("strict", "\"wg0\"") "]", KS_SWITCH_STRICT,
      "'home' is armed (strict) and up on wg0: only the VPN, the local network and the VPN's own transport get out" },
    { "\"state\":\"protected\",\"armed\":[" ARMED ("strict", "null") "]", KS_SWITCH_STRICT,
      "'home' is armed (strict) and down; another VPN is up, and nothing gets out around it" },
    { "\"state\":\"off\",\"armed\":[]", KS_SWITCH_SESSION,
      "'home' is armed (session) from the moment it connects until you disconnect it" },
    { "\"state\":\"off\",\"armed\":[]", KS_SWITCH_OFF, "'home' is no longer armed; nothing is blocked" },
    { "\"state\":\"blocking\",\"armed\":[" OTHER "]", KS_SWITCH_OFF,
      "'home' is no longer armed, but the host still is, by 'work'" },
    { "\"state\":\"released\",\"armed\":[]", KS_SWITCH_STRICT,
      "'home' is set to be armed, but the kill switch is released: nothing is blocked until `nm-killswitch resume` or "
      "a "
      "reboot" },
  };
  g_autoptr (KsProfile) profile = profile_new ("home", KS_TEST_UUID_1, "wireguard");

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (KsSummary) summary = summary_of (cases[i].summary);
    g_autofree char *text = ks_switch_format (summary, profile, cases[i].action);

    assert_string_equal (text, cases[i].text);
  }
}

/* --- which one is meant, and all of them --- */

static KsNmConnection *
connection_new (const char *id, const char *uuid, const char *type, const char *zone)
{
  KsNmConnection *connection = g_new0 (KsNmConnection, 1);

  connection->object = g_strdup_printf ("/org/freedesktop/NetworkManager/Settings/%.1s", uuid);
  connection->id = g_strdup (id);
  connection->uuid = g_strdup (uuid);
  connection->type = g_strdup (type);
  connection->filename = g_strdup_printf ("/etc/NetworkManager/system-connections/%.1s.nmconnection", uuid);
  connection->zone = g_strdup (zone);
  connection->file = g_key_file_new ();
  g_key_file_set_string (connection->file, "connection", "id", id);
  if (zone)
    g_key_file_set_string (connection->file, "connection", "zone", zone);
  return connection;
}

/* A host with home (armed), twice twin, an ethernet with the zone, and a section that is also called twin. */
static KsChoice *
choice_new (void)
{
  KsChoice *choice = g_new0 (KsChoice, 1);
  KsSection *section = ks_section_new ("twin");

  choice->config = ks_config_new ();
  section->interface = g_strdup ("none0");
  g_ptr_array_add (choice->config->sections, section);
  choice->errors = ks_test_errors_new ();
  choice->connections = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_nm_connection_free);
  choice->profiles = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_profile_free);
  g_ptr_array_add (choice->connections, connection_new ("home", KS_TEST_UUID_1, "wireguard", "killswitch"));
  g_ptr_array_add (choice->connections, connection_new ("twin", KS_TEST_UUID_2, "vpn", "kilswitch"));
  g_ptr_array_add (choice->connections, connection_new ("wired", KS_TEST_UUID_3, "802-3-ethernet", "killswitch"));
  for (guint i = 0; i < choice->connections->len; i++)
    g_ptr_array_add (choice->profiles, ks_nm_connection_profile (choice->connections->pdata[i], choice->config));
  g_ptr_array_add (choice->profiles, ks_profile_new_of_section (section, "/etc/nm-killswitch.conf"));
  return choice;
}

static void
choice_is_by_name_uuid_or_path_and_says_when_it_is_ambiguous (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *name;
    guint count;
  } cases[] = {
    { "home", 1 },
    { KS_TEST_UUID_1, 1 },
    { "/etc/NetworkManager/system-connections/1.nmconnection", 1 },
    { "/org/freedesktop/NetworkManager/Settings/1", 1 },
    { "twin", 2 },
    { "vpn:twin", 1 },
    { KS_TEST_UUID_2, 1 },
    { "Home", 0 },
    { "hom", 0 },
    { "", 0 },
  };
  g_autoptr (KsChoice) choice = choice_new ();
  g_autoptr (GPtrArray) twins = ks_choice_find (choice, "twin");
  g_autofree char *list = ks_choice_format (twins);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GPtrArray) matches = ks_choice_find (choice, cases[i].name);

    if (matches->len != cases[i].count)
      fail_msg ("'%s' means %u", cases[i].name, matches->len);
  }
  assert_string_equal (list, "  " KS_TEST_UUID_2 "  vpn  /etc/NetworkManager/system-connections/2.nmconnection\n"
                             "  vpn:twin  section  /etc/nm-killswitch.conf\n");
}

static void
list_is_a_table_with_mistakes_and_fits_80_columns (void **state G_GNUC_UNUSED)
{
  static const char *const zones[] = { NULL };
  const KsPaths paths = { .zones = zones };
  g_autoptr (KsChoice) choice = choice_new ();
  g_autoptr (KsSummary) summary =
    summary_of ("\"state\":\"protected\",\"armed\":[" ARMED ("strict", "\"wg0\"") "," OTHER "]");
  g_autoptr (KsList) list = ks_list_new (choice, NULL, summary, NULL, &paths);
  g_autofree char *text = ks_list_format (list, &plain);
  g_autofree char *names = ks_list_format_names (list);

  assert_true (g_str_has_prefix (text, "PROFILE               TYPE      MODE    ARMED VPN        SERVER  WHY\n"
                                       "home                  wireguard strict  yes   up wg0     known   zone\n"
                                       "twin                  section   strict  no    down       -       section\n"
                                       "twin                  vpn       -       no    down       -\n"
                                       "work                  vpn       strict  yes   down       unknown zone\n"
                                       "Mistakes?\n"));
  assert_non_null (strstr (text, "  zone 'kilswitch' of 'twin' does not arm the kill switch; did you mean"));
  assert_non_null (strstr (text, "  zone 'killswitch' has no effect on 'wired': it is an ethernet connection"));
  assert_non_null (strstr (text, "  'twin' asks for the kill switch, but is not armed"));
  assert_string_equal (names, "home\ntwin\ntwin\nwork\n");
}

static void
list_makes_hostile_names_printable (void **state G_GNUC_UNUSED)
{
  static const char *const zones[] = { NULL };
  const KsPaths paths = { .zones = zones };
  g_autoptr (KsChoice) choice = choice_new ();
  g_autoptr (KsSummary) summary = summary_of ("\"state\":\"off\",\"armed\":[]");
  g_autoptr (KsList) list = NULL;
  g_autofree char *text = NULL, *names = NULL;
  KsProfile *profile = choice->profiles->pdata[0];

  g_free (profile->id);
  profile->id = g_strdup ("\033[2Ja\nb");
  list = ks_list_new (choice, NULL, summary, NULL, &paths);
  text = ks_list_format (list, &plain);
  names = ks_list_format_names (list);
  assert_null (strchr (text, '\033'));
  assert_non_null (strstr (text, "\\u001b[2Ja\\u000ab"));
  assert_string_equal (names, "twin\ntwin\n");
}

/* --- the change itself --- */

static void
edited_settings_keep_everything_but_the_setting_and_old_forms (void **state G_GNUC_UNUSED)
{
  const KsSetting setting = { .zone = "home", .mode = "strict" }, none = { .zone = "" };
  g_autoptr (GVariant) settings = g_variant_ref_sink (g_variant_new_parsed (
    "{'connection': {'id': <'x'>, 'zone': <'killswitch'>},"
    " 'user': {'data': <{'a.b': 'c', 'nm-killswitch.mode': 'off', 'nm-killswitch.lan': 'off'}>},"
    " 'ipv4': {'addresses': <[[uint32 1, 2, 3]]>, 'address-data': <[{'address': <'10.0.0.1'>}]>, 'dns': <[uint32 1]>,"
    "          'routes': <[[uint32 1, 2, 3, 4]]>},"
    " 'odd': {'new': <uint64 7>}}"));
  g_autoptr (GVariant) edited = g_variant_ref_sink (ks_nm_connection_edit (settings, &setting));
  g_autoptr (GVariant) cleared = g_variant_ref_sink (ks_nm_connection_edit (settings, &none));
  g_autoptr (GVariant) connection = g_variant_lookup_value (edited, "connection", NULL);
  g_autoptr (GVariant) user = g_variant_lookup_value (edited, "user", NULL);
  g_autoptr (GVariant) data = g_variant_lookup_value (user, "data", NULL);
  g_autoptr (GVariant) ipv4 = g_variant_lookup_value (edited, "ipv4", NULL);
  g_autoptr (GVariant) odd = g_variant_lookup_value (edited, "odd", NULL);
  g_autoptr (GVariant) cleared_connection = g_variant_lookup_value (cleared, "connection", NULL);
  g_autoptr (GVariant) cleared_user = g_variant_lookup_value (cleared, "user", NULL);
  g_autofree char *odd_text = g_variant_print (odd, FALSE);
  g_autofree char *cleared_text = g_variant_print (cleared_connection, FALSE);
  g_autofree char *user_text = g_variant_print (cleared_user, FALSE);
  const char *text;

  assert_true (g_variant_lookup (connection, "zone", "&s", &text));
  assert_string_equal (text, "home");
  assert_true (g_variant_lookup (data, "nm-killswitch.mode", "&s", &text));
  assert_string_equal (text, "strict");
  assert_int_equal (g_variant_n_children (data), 3);
  assert_int_equal (g_variant_n_children (ipv4), 3); /* of which nothing new says what `routes` and `dns` do */
  assert_false (g_variant_lookup (ipv4, "addresses", "aau", NULL));
  assert_string_equal (odd_text, "{'new': <uint64 7>}");
  assert_string_equal (cleared_text, "{'id': <'x'>}");
  assert_string_equal (user_text, "{'data': <{'a.b': 'c', 'nm-killswitch.lan': 'off'}>}");
}

static void
edited_settings_get_user_data_where_there_was_none (void **state G_GNUC_UNUSED)
{
  const KsSetting setting = { .zone = "home", .mode = "session" };
  g_autoptr (GVariant) settings =
    g_variant_ref_sink (g_variant_new_parsed ("{'connection': {'id': <'x'>, 'zone': <'home'>}}"));
  g_autoptr (GVariant) edited = g_variant_ref_sink (ks_nm_connection_edit (settings, &setting));
  g_autoptr (GVariant) user = g_variant_lookup_value (edited, "user", NULL);
  g_autofree char *text = user ? g_variant_print (user, FALSE) : NULL;

  assert_non_null (text);
  assert_string_equal (text, "{'data': <{'nm-killswitch.mode': 'session'}>}");
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (ssh_connection_is_parsed_and_nothing_else),
    cmocka_unit_test (ssh_connection_of_the_environment_counts_first),
    cmocka_unit_test (switch_is_done_when_the_summary_shows_it),
    cmocka_unit_test (switch_says_in_one_line_what_is_in_force),
    cmocka_unit_test (choice_is_by_name_uuid_or_path_and_says_when_it_is_ambiguous),
    cmocka_unit_test (list_is_a_table_with_mistakes_and_fits_80_columns),
    cmocka_unit_test (list_makes_hostile_names_printable),
    cmocka_unit_test (edited_settings_keep_everything_but_the_setting_and_old_forms),
    cmocka_unit_test (edited_settings_get_user_data_where_there_was_none),
  };

  return cmocka_run_group_tests_name ("ks-switch", tests, NULL, NULL);
}
