/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test.h"

#include <glib/gstdio.h>
#include <unistd.h>

#include "base/ks-error.h"
#include "input/ks-config-read.h"

/* Reads @text as the file "conf"; messages go to *@errors_text without the file's directory. */
static KsConfig *
read_text (const char *text, char **errors_text)
{
  g_autoptr (KsTestDirectory) directory = ks_test_directory_new ();
  g_autoptr (GPtrArray) errors = ks_test_errors_new ();
  g_autofree char *path = ks_test_write (directory, "conf", text);
  g_autofree char *prefix = g_strconcat (directory->path, "/", NULL);
  KsConfig *config = ks_config_read (path, errors);
  g_autofree char *messages = ks_test_format_errors (errors);
  g_auto (GStrv) parts = g_strsplit (messages, prefix, -1);

  *errors_text = g_strjoinv ("", parts);
  return config;
}

static void
assert_same (const KsConfig *a, const KsConfig *b)
{
  g_autofree char *zones_a = g_strjoinv (";", a->zones), *zones_b = g_strjoinv (";", b->zones);
  g_autofree char *sessions_a = g_strjoinv (";", a->session_zones), *sessions_b = g_strjoinv (";", b->session_zones);
  g_autofree char *lan_a = ks_test_format_prefixes (a->lan_prefixes);
  g_autofree char *lan_b = ks_test_format_prefixes (b->lan_prefixes);

  assert_int_equal (a->table, b->table);
  assert_int_equal (a->tunnel_table, b->tunnel_table);
  assert_int_equal (a->uplink_table, b->uplink_table);
  assert_int_equal (a->protocol, b->protocol);
  assert_int_equal (a->priority, b->priority);
  assert_int_equal (a->tunnel_metric, b->tunnel_metric);
  assert_int_equal (a->blackhole_metric, b->blackhole_metric);
  assert_string_equal (zones_a, zones_b);
  assert_string_equal (sessions_a, sessions_b);
  assert_int_equal (a->lan, b->lan);
  assert_string_equal (lan_a, lan_b);
  assert_int_equal (a->dns, b->dns);
  assert_int_equal (a->guard, b->guard);
}

static void
config_defaults_are_the_documented_ones (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsConfig) config = ks_config_new ();
  g_autofree char *lan = ks_test_format_prefixes (config->lan_prefixes);

  assert_int_equal (config->table, 83);
  assert_int_equal (config->tunnel_table, 84);
  assert_int_equal (config->uplink_table, 85);
  assert_int_equal (config->protocol, 83);
  assert_int_equal (config->priority, 8300);
  assert_int_equal (config->tunnel_metric, 100);
  assert_int_equal (config->blackhole_metric, 200);
  assert_string_equal (config->zones[0], "killswitch");
  assert_string_equal (config->session_zones[0], "killswitch-auto");
  assert_int_equal (config->lan, KS_LAN_PRIVATE);
  assert_string_equal (lan, "10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 169.254.0.0/16 fc00::/7 fe80::/10");
  assert_int_equal (config->dns, KS_DNS_TUNNEL);
  assert_true (config->guard);
}

static void
config_without_a_file_has_the_defaults_and_no_error (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestDirectory) directory = ks_test_directory_new ();
  g_autoptr (GPtrArray) errors = ks_test_errors_new ();
  g_autofree char *path = ks_test_path (directory, "conf");
  g_autoptr (KsConfig) config = ks_config_read (path, errors), defaults = ks_config_new ();

  assert_same (config, defaults);
  assert_int_equal (errors->len, 0);
  assert_false (config->is_unreadable);
}

static void
config_reads_every_setting (void **state G_GNUC_UNUSED)
{
  g_autofree char *errors = NULL;
  g_autoptr (KsConfig) config =
    read_text ("# a comment\n[main]\nZones=vpn; killswitch ,home;\nSessionZones = auto\n"
               "Lan=routes\nLanPrefixes=192.168.1.5/16;fc00::/7, 10.0.0.0/8\nDns=lan\nGuard=off\n"
               "Table=1083\nTunnelTable=1084\nUplinkTable=1085\nProtocol=99\nPriority=100\n"
               "TunnelMetric=10\nBlackholeMetric=20\n",
               &errors);
  g_autofree char *zones = g_strjoinv (";", config->zones);
  g_autofree char *lan = ks_test_format_prefixes (config->lan_prefixes);

  assert_string_equal (errors, "");
  assert_string_equal (zones, "vpn;killswitch;home");
  assert_string_equal (config->session_zones[0], "auto");
  assert_null (config->session_zones[1]);
  assert_int_equal (config->lan, KS_LAN_ROUTES);
  assert_string_equal (lan, "192.168.0.0/16 fc00::/7 10.0.0.0/8");
  assert_int_equal (config->dns, KS_DNS_LAN);
  assert_false (config->guard);
  assert_int_equal (config->table, 1083);
  assert_int_equal (config->tunnel_table, 1084);
  assert_int_equal (config->uplink_table, 1085);
  assert_int_equal (config->protocol, 99);
  assert_int_equal (config->priority, 100);
  assert_int_equal (config->tunnel_metric, 10);
  assert_int_equal (config->blackhole_metric, 20);
}

static void
config_lists_may_be_empty (void **state G_GNUC_UNUSED)
{
  g_autofree char *errors = NULL;
  g_autoptr (KsConfig) config = read_text ("[main]\nZones=\nSessionZones= ; \nLanPrefixes=\n", &errors);

  assert_string_equal (errors, "");
  assert_null (config->zones[0]);
  assert_null (config->session_zones[0]);
  assert_int_equal (config->lan_prefixes->len, 0);
}

static void
config_names_file_key_and_value_and_keeps_the_safe_one (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *line, *error;
  } cases[] = {
    { "Dns=router", "conf: Dns: 'router' is not one of tunnel, lan\n" },
    { "Dns=", "conf: Dns: '' is not one of tunnel, lan\n" },
    { "Dns=LAN", "conf: Dns: 'LAN' is not one of tunnel, lan\n" },
    { "Guard=no", "conf: Guard: 'no' is not one of on, off\n" },
    { "Guard=", "conf: Guard: '' is not one of on, off\n" },
    { "Table=0", "conf: Table: '0' is not a number from 1 to 4294967295\n" },
    { "Table=main", "conf: Table: 'main' is not a number from 1 to 4294967295\n" },
    { "Table=254", "conf: Table: '254' is not a table of our own: 253 to 255 are the system's\n" },
    { "TunnelTable=253", "conf: TunnelTable: '253' is not a table of our own: 253 to 255 are the system's\n" },
    { "UplinkTable=255", "conf: UplinkTable: '255' is not a table of our own: 253 to 255 are the system's\n" },
    { "UplinkTable=4294967296", "conf: UplinkTable: '4294967296' is not a number from 1 to 4294967295\n" },
    { "TunnelTable=-1", "conf: TunnelTable: '-1' is not a number from 1 to 4294967295\n" },
    { "Table=84",
      "conf: Table, TunnelTable, UplinkTable, ServersTable: '84, 84, 85, 86' is not four different tables\n" },
    { "UplinkTable=83",
      "conf: Table, TunnelTable, UplinkTable, ServersTable: '83, 84, 83, 86' is not four different tables\n" },
    { "TunnelTable=8301",
      "conf: ManagementTable: '8300' is not the first of four tables that no other setting uses\n" },
    { "ManagementTable=80", "conf: ManagementTable: '80' is not a number from 256 to 4294967291\n" },
    { "ManagementTable=4294967295", "conf: ManagementTable: '4294967295' is not a number from 256 to 4294967291\n" },
    { "ManagementFrom=0.0.0.0/0",
      "conf: ManagementFrom: '0.0.0.0/0' is not a prefix such as 192.168.0.0/16 or fc00::/7\n" },
    { "ManagementFrom=::/0", "conf: ManagementFrom: '::/0' is not a prefix such as 192.168.0.0/16 or fc00::/7\n" },
    { "ManagementFrom=office.example",
      "conf: ManagementFrom: 'office.example' is not a prefix such as 192.168.0.0/16 or fc00::/7\n" },
    { "Protocol=4", "conf: Protocol: '4' is not a number from 5 to 255\n" },
    { "Protocol=256", "conf: Protocol: '256' is not a number from 5 to 255\n" },
    { "Priority=0", "conf: Priority: '0' is not a number from 1 to 32666\n" },
    { "Priority=32667", "conf: Priority: '32667' is not a number from 1 to 32666\n" },
    { "Priority=0x10", "conf: Priority: '0x10' is not a number from 1 to 32666\n" },
    { "TunnelMetric=0", "conf: TunnelMetric: '0' is not a number from 1 to 1000000\n" },
    { "BlackholeMetric=1", "conf: BlackholeMetric: '1' is not a number from 2 to 1000000\n" },
    { "TunnelMetric=200", "conf: TunnelMetric, BlackholeMetric: '200, 200' is not in this order\n" },
    { "BlackholeMetric=50", "conf: TunnelMetric, BlackholeMetric: '100, 50' is not in this order\n" },
    { "Table=\xff", "conf: Table: '\xef\xbf\xbd' is not text in UTF-8 with valid escapes\n" },
    { "Guard=\\q", "conf: Guard: '\\q' is not text in UTF-8 with valid escapes\n" },
    { "Zones=a\\q", "conf: Zones: 'a\\q' is not text in UTF-8 with valid escapes\n" },
    { "Zone=killswitch", "conf: [main]: 'Zone' is not a setting\n" },
    { "lan=off", "conf: [main]: 'lan' is not a setting\n" },
    { "Guard=\033]0;x", "conf: Guard: '\\u001b]0;x' is not one of on, off\n" },
  };
  g_autoptr (KsConfig) defaults = ks_config_new ();

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *text = g_strconcat ("[main]\n", cases[i].line, "\n", NULL);
    g_autofree char *errors = NULL;
    g_autoptr (KsConfig) config = read_text (text, &errors);

    assert_string_equal (errors, cases[i].error);
    assert_same (config, defaults);
    assert_false (config->is_unreadable);
  }
}

static void
config_with_a_malformed_lan_lets_nothing_into_it (void **state G_GNUC_UNUSED)
{
  static const char *const cases[][2] = {
    { "[main]\nLan=yes\n", "conf: Lan: 'yes' is not one of private, routes, off\n" },
    { "[main]\nLan=\n", "conf: Lan: '' is not one of private, routes, off\n" },
    { "[main]\nLan=\xff\n", "conf: Lan: '\xef\xbf\xbd' is not text in UTF-8 with valid escapes\n" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *errors = NULL;
    g_autoptr (KsConfig) config = read_text (cases[i][0], &errors);

    assert_string_equal (errors, cases[i][1]);
    assert_int_equal (config->lan, KS_LAN_OFF);
  }
}

static void
config_reads_who_may_manage_the_host (void **state G_GNUC_UNUSED)
{
  g_autofree char *errors = NULL;
  g_autoptr (KsConfig) config =
    read_text ("[main]\nManagementFrom=198.51.100.7; 2001:db8:9::1/64,198.51.100.7\n", &errors);
  g_autofree char *from = ks_test_format_prefixes (config->management_prefixes);

  assert_string_equal (errors, "");
  assert_string_equal (from, "198.51.100.7 2001:db8:9::/64");
}

static void
config_refuses_management_without_the_guard (void **state G_GNUC_UNUSED)
{
  g_autofree char *errors = NULL;
  g_autoptr (KsConfig) config = read_text ("[main]\nManagementFrom=198.51.100.7\nGuard=off\n", &errors);

  assert_string_equal (errors,
                       "conf: ManagementFrom has no effect with Guard=off: only the guard can tell a reply from "
                       "other traffic\n");
  assert_int_equal (config->management_prefixes->len, 0);
  assert_false (config->guard);
}

static void
config_leaves_out_lan_prefixes_that_are_invalid_or_too_wide (void **state G_GNUC_UNUSED)
{
  g_autofree char *errors = NULL;
  g_autoptr (KsConfig) config = read_text ("[main]\nLanPrefixes=0.0.0.0/0;10.0.0.0/8;::/0;lan;10.0.0.1/8\n", &errors);
  g_autofree char *lan = ks_test_format_prefixes (config->lan_prefixes);

  assert_string_equal (lan, "10.0.0.0/8");
  assert_string_equal (errors, "conf: LanPrefixes: '0.0.0.0/0' is not a prefix such as 192.168.0.0/16 or fc00::/7\n"
                               "conf: LanPrefixes: '::/0' is not a prefix such as 192.168.0.0/16 or fc00::/7\n"
                               "conf: LanPrefixes: 'lan' is not a prefix such as 192.168.0.0/16 or fc00::/7\n");
}

static void
config_reports_sections_it_does_not_know (void **state G_GNUC_UNUSED)
{
  g_autofree char *errors = NULL;
  g_autoptr (KsConfig) config = read_text ("[Main]\nGuard=off\n", &errors);

  assert_string_equal (errors, "conf: section: 'Main' is not known; there are [main] and [vpn NAME]\n");
  assert_true (config->guard);
}

static void
config_that_is_not_a_key_file_is_unreadable_and_has_the_defaults (void **state G_GNUC_UNUSED)
{
  static const char *const cases[] = { "Guard=off\n", "[main\nGuard=off\n", "[main]\nGuard\n", "\xff\xfe\n",
                                       "\033[2J\n" };
  g_autoptr (KsConfig) defaults = ks_config_new ();

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *errors = NULL;
    g_autoptr (KsConfig) config = read_text (cases[i], &errors);

    assert_true (g_str_has_prefix (errors, "conf: "));
    assert_null (strchr (errors, '\033'));
    assert_true (config->is_unreadable);
    assert_same (config, defaults);
  }
}

static void
config_that_cannot_be_opened_is_unreadable (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestDirectory) directory = ks_test_directory_new ();
  g_autoptr (GPtrArray) errors = ks_test_errors_new ();
  g_autoptr (KsConfig) config = ks_config_read (directory->path, errors); /* a directory */

  assert_true (config->is_unreadable);
  assert_int_equal (errors->len, 1);
  assert_true (g_error_matches (errors->pdata[0], KS_ERROR, KS_ERROR_INVALID)
               || g_error_matches (errors->pdata[0], KS_ERROR, KS_ERROR_IO));
}

static void
config_words_parse_as_they_are_formatted (void **state G_GNUC_UNUSED)
{
  for (KsLan lan = KS_LAN_PRIVATE; lan <= KS_LAN_OFF; lan++) {
    KsLan parsed;

    assert_true (ks_lan_parse (ks_lan_format (lan), &parsed));
    assert_int_equal (parsed, lan);
  }
  for (KsDns dns = KS_DNS_TUNNEL; dns <= KS_DNS_LAN; dns++) {
    KsDns parsed;

    assert_true (ks_dns_parse (ks_dns_format (dns), &parsed));
    assert_int_equal (parsed, dns);
  }
  assert_string_equal (ks_lan_format (KS_LAN_UNSET), "unset");
  assert_string_equal (ks_dns_format (KS_DNS_UNSET), "unset");
}

static void
config_numbers_can_stand_beside_others_unless_only_the_protocol_tells_them_apart (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsConfig) a = ks_config_new ();
  g_autoptr (KsConfig) b = ks_config_new ();

  assert_true (ks_config_can_stand_beside (a, b));
  b->priority = a->priority + 10;
  assert_true (ks_config_can_stand_beside (a, b)); /* with the same protocol, both share what is the same */
  b->protocol = 93;
  assert_false (ks_config_can_stand_beside (a, b));
  b->priority = a->priority + KS_PRIORITY_WINDOW;
  assert_false (ks_config_can_stand_beside (a, b)); /* the tables are the same */
  b->table = 183;
  b->tunnel_table = 184;
  b->uplink_table = 185;
  b->servers_table = a->table;
  assert_false (ks_config_can_stand_beside (a, b));
  b->servers_table = 186;
  assert_false (ks_config_can_stand_beside (a, b));
  b->management_table = a->management_table + KS_MANAGEMENT_TABLES;
  assert_true (ks_config_can_stand_beside (a, b));
  assert_true (ks_config_can_stand_beside (b, a));
  b->priority--;
  assert_false (ks_config_can_stand_beside (b, a));

  ks_config_set_numbers (a, b);
  assert_true (ks_config_has_same_numbers (a, b));
}

static void
config_places_transports (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *text;
    KsPlacement expected;
    const char *errors;
  } cases[] = {
    { "", KS_PLACEMENT_AUTO, "" },
    { "Transport=auto\n", KS_PLACEMENT_AUTO, "" },
    { "Transport=inside\n", KS_PLACEMENT_INSIDE, "" },
    { "Transport=beside\n", KS_PLACEMENT_BESIDE, "" },
    { "Transport=outside\n", KS_PLACEMENT_AUTO, "conf: Transport: 'outside' is not one of auto, inside, beside\n" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *text = g_strconcat ("[main]\n", cases[i].text, NULL);
    g_autofree char *errors = NULL;
    g_autoptr (KsConfig) config = read_text (text, &errors);

    assert_int_equal (config->placement, cases[i].expected);
    assert_string_equal (errors, cases[i].errors);
  }
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (config_defaults_are_the_documented_ones),
    cmocka_unit_test (config_without_a_file_has_the_defaults_and_no_error),
    cmocka_unit_test (config_reads_every_setting),
    cmocka_unit_test (config_lists_may_be_empty),
    cmocka_unit_test (config_names_file_key_and_value_and_keeps_the_safe_one),
    cmocka_unit_test (config_with_a_malformed_lan_lets_nothing_into_it),
    cmocka_unit_test (config_reads_who_may_manage_the_host),
    cmocka_unit_test (config_refuses_management_without_the_guard),
    cmocka_unit_test (config_leaves_out_lan_prefixes_that_are_invalid_or_too_wide),
    cmocka_unit_test (config_reports_sections_it_does_not_know),
    cmocka_unit_test (config_that_is_not_a_key_file_is_unreadable_and_has_the_defaults),
    cmocka_unit_test (config_that_cannot_be_opened_is_unreadable),
    cmocka_unit_test (config_words_parse_as_they_are_formatted),
    cmocka_unit_test (config_numbers_can_stand_beside_others_unless_only_the_protocol_tells_them_apart),
    cmocka_unit_test (config_places_transports),
  };

  return cmocka_run_group_tests_name ("ks-config", tests, NULL, NULL);
}
