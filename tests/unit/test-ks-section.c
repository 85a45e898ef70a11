/* SPDX-License-Identifier: GPL-2.0-or-later */
/* [vpn NAME] sections: what a configuration says, and what is left of one that is malformed. */
#include "ks-test.h"

#include <netinet/in.h>

#include "input/ks-config-read.h"
#include "value/ks-profile.h"

#define GOOD "Interface=staex0\nPort=1234\n"

/* Reads @text; messages go to *@messages, with "conf" for the file's path. */
static KsConfig *
read_text (const char *text, char **messages)
{
  g_autoptr (KsTestDirectory) directory = ks_test_directory_new ();
  g_autoptr (GPtrArray) errors = ks_test_errors_new ();
  g_autofree char *path = ks_test_write (directory, "conf", text);
  g_autofree char *all = NULL;
  g_auto (GStrv) parts = NULL;
  KsConfig *config = ks_config_read (path, errors);

  all = ks_test_format_errors (errors);
  parts = g_strsplit (all, path, -1);
  *messages = g_strjoinv ("conf", parts);
  return config;
}

/* A section, in one line. */
static char *
describe (const KsSection *section)
{
  g_autoptr (GString) servers = g_string_new (NULL);

  for (guint i = 0; i < section->servers->len; i++)
    g_string_append_printf (servers, "%s%s", i ? " " : "", (const char *) section->servers->pdata[i]);
  return g_strdup_printf ("%s on %s, %s, protocol %u from %u to %u, servers [%s], mark 0x%x, %s%u%s%s", section->name,
                          section->interface ? section->interface : "nothing",
                          section->is_session ? "session" : "strict", section->ip_protocol, section->port,
                          section->server_port, servers->str, section->mark, section->kernel ? "kernel " : "",
                          section->uid, section->is_malformed ? ", malformed" : "",
                          section->exempts_nothing ? ", exempts nothing" : "");
}

static void
assert_sections (const char *text, const char *expected, const char *expected_messages)
{
  g_autofree char *messages = NULL;
  g_autoptr (KsConfig) config = read_text (text, &messages);
  g_autoptr (GString) out = g_string_new (NULL);

  for (guint i = 0; i < config->sections->len; i++) {
    g_autofree char *one = describe (config->sections->pdata[i]);

    g_string_append_printf (out, "%s\n", one);
  }
  assert_string_equal (messages, expected_messages);
  assert_string_equal (out->str, expected);
}

static void
section_says_what_its_keys_say (void **state G_GNUC_UNUSED)
{
  assert_sections ("# a comment\n[vpn staex]\nInterface=staex0\nMode=session\nProtocol=udp\nPort=1234\n"
                   "ServerPort = 443\nTo=203.0.113.9/24; vpn.example.com,[2001:db8::1]\nMark=0x5342\nUser=root\n"
                   "[main]\nLan=off\n[ vpn]\n[vpn  my work ]\r\nInterface=wg*\r\nMark=51820\r\nUser=kernel\r\n",
                   "staex on staex0, session, protocol 17 from 1234 to 443, "
                   "servers [203.0.113.0/24 vpn.example.com 2001:db8::1], mark 0x5342, 0\n"
                   "my work on wg*, strict, protocol 0 from 0 to 0, servers [], mark 0xca6c, kernel 0\n",
                   "conf: section: ' vpn' is not known; there are [main] and [vpn NAME]\n");
}

static void
section_knows_protocols_by_name_and_number (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *word;
    guint8 number;
  } words[] = { { "udp", IPPROTO_UDP }, { "tcp", IPPROTO_TCP }, { "esp", IPPROTO_ESP },
                { "gre", IPPROTO_GRE }, { "4", IPPROTO_IPIP },  { "255", 255 } };

  for (guint i = 0; i < G_N_ELEMENTS (words); i++) {
    g_autofree char *text = g_strdup_printf ("[vpn a]\nInterface=a0\nTo=203.0.113.1\nProtocol=%s\n", words[i].word);
    g_autofree char *messages = NULL;
    g_autoptr (KsConfig) config = read_text (text, &messages);

    assert_string_equal (messages, "");
    assert_int_equal (((const KsSection *) config->sections->pdata[0])->ip_protocol, words[i].number);
  }
}

/* Whatever is wrong is named with file, section, key and value, and widens nothing. */
static void
section_that_is_malformed_names_the_value_and_exempts_nothing (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *line;
    const char *message;
  } wrong[] = {
    { "Protocol=upd", "Protocol: 'upd' is not one of udp, tcp, esp, gre, or a number from 1 to 255" },
    { "Protocol=0", "Protocol: '0' is not one of udp, tcp, esp, gre, or a number from 1 to 255" },
    { "Protocol=256", "Protocol: '256' is not one of udp, tcp, esp, gre, or a number from 1 to 255" },
    { "ServerPort=0", "ServerPort: '0' is not a port from 1 to 65535" },
    { "ServerPort=65536", "ServerPort: '65536' is not a port from 1 to 65535" },
    { "ServerPort=", "ServerPort: '' is not a port from 1 to 65535" },
    { "ServerPort=443 # https", "ServerPort: '443 # https' is not a port from 1 to 65535" },
    { "To=203.0.113.0/33",
      "To: '203.0.113.0/33' is not a list of addresses, networks such as 203.0.113.0/24, and host names" },
    { "To=0.0.0.0/0", "To: '0.0.0.0/0' is not a list of addresses, networks such as 203.0.113.0/24, and host names" },
    { "To=;", "To: ';' is not a list of addresses, networks such as 203.0.113.0/24, and host names" },
    { "To=good.example;b@d",
      "To: 'good.example;b@d' is not a list of addresses, networks such as 203.0.113.0/24, and host names" },
    { "Mark=0", "Mark: '0' is not a firewall mark from 1 to 0xffffffff" },
    { "Mark=0x100000000", "Mark: '0x100000000' is not a firewall mark from 1 to 0xffffffff" },
    { "Mark=-1", "Mark: '-1' is not a firewall mark from 1 to 0xffffffff" },
    { "Mark=0x", "Mark: '0x' is not a firewall mark from 1 to 0xffffffff" },
    { "User=no such user", "User: 'no such user' is not a user in /etc/passwd, or kernel" },
    { "User=", "User: '' is not a user in /etc/passwd, or kernel" },
    { "Port=1", "Port: '1' is not allowed: the key is already set" },
    { "Prot=17", "key: 'Prot' is not known" },
    { "port=17", "key: 'port' is not known" },
    { "Port 17", "line: 'Port 17' is not of the form Key=value" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++) {
    g_autofree char *text = g_strdup_printf ("[vpn staex]\n" GOOD "Mode=session\n%s\n", wrong[i].line);
    g_autofree char *expected = g_strdup_printf ("conf: [vpn staex] %s\n", wrong[i].message);
    g_autofree char *messages = NULL;
    g_autoptr (KsConfig) config = read_text (text, &messages);
    g_autoptr (KsProfile) profile = NULL;

    assert_string_equal (messages, expected);
    assert_false (config->is_unreadable);
    assert_int_equal (config->sections->len, 1);
    profile = ks_profile_new_of_section (config->sections->pdata[0], "conf");
    assert_int_equal (profile->mode, KS_MODE_STRICT);
    assert_int_equal (profile->reason, KS_REASON_INVALID);
    assert_int_equal (profile->endpoints->len, 0);
    assert_string_equal (profile->interface, "staex0");
  }
}

/* Its transport is known all the same; a tunnel is not. */
static void
section_without_a_sound_device_or_mode_is_strict (void **state G_GNUC_UNUSED)
{
  assert_sections ("[vpn a]\n" GOOD "Mode=on\n",
                   "a on staex0, strict, protocol 0 from 1234 to 0, servers [], mark 0x0, 0, malformed\n",
                   "conf: [vpn a] Mode: 'on' is not one of strict, session\n");
  assert_sections ("[vpn a]\nPort=1\nInterface=*\nMode=session\n",
                   "a on nothing, strict, protocol 0 from 1 to 0, servers [], mark 0x0, 0, malformed\n",
                   "conf: [vpn a] Interface: '*' is not the name of a network device, or a pattern such as tun*\n");
  assert_sections ("[vpn a]\nPort=1\nInterface=a/b\n",
                   "a on nothing, strict, protocol 0 from 1 to 0, servers [], mark 0x0, 0, malformed\n",
                   "conf: [vpn a] Interface: 'a/b' is not the name of a network device, or a pattern such as tun*\n");
  assert_sections ("[vpn a]\nPort=1\nMode=session\n",
                   "a on nothing, strict, protocol 0 from 1 to 0, servers [], mark 0x0, 0, malformed\n",
                   "conf: [vpn a]: Interface is missing: the name of the VPN's network device\n");
}

static void
section_needs_something_to_tell_its_packets_by (void **state G_GNUC_UNUSED)
{
  assert_sections (
    "[vpn a]\nInterface=a0\nProtocol=udp\nUser=root\n",
    "a on a0, strict, protocol 17 from 0 to 0, servers [], mark 0x0, 0, malformed, exempts nothing\n",
    "conf: [vpn a]: at least one of Port, ServerPort, To, Mark is needed to recognise the VPN's packets\n");
  assert_sections ("[vpn a]\nInterface=a0\nProtocol=esp\nPort=7\n",
                   "a on a0, strict, protocol 50 from 7 to 0, servers [], mark 0x0, 0, malformed, exempts nothing\n",
                   "conf: [vpn a] Protocol: protocol 50 has no ports\n");
}

static void
section_whose_name_is_used_twice_exempts_nothing (void **state G_GNUC_UNUSED)
{
  assert_sections (
    "[vpn a]\n" GOOD "Mode=session\n[vpn a]\nInterface=b0\nTo=203.0.113.1\n",
    "a on staex0, strict, protocol 0 from 1234 to 0, servers [], mark 0x0, 0, malformed, exempts nothing\n",
    "conf: there are two sections [vpn a]\n");
}

static void
section_without_a_name_or_a_closing_bracket_is_still_armed (void **state G_GNUC_UNUSED)
{
  assert_sections (
    "[vpn]\n" GOOD,
    " on staex0, strict, protocol 0 from 1234 to 0, servers [], mark 0x0, 0, malformed, exempts nothing\n",
    "conf: section '[vpn]' is not of the form [vpn NAME]\n");
  assert_sections (
    "[vpn staex\n" GOOD,
    "staex on staex0, strict, protocol 0 from 1234 to 0, servers [], mark 0x0, 0, malformed, exempts nothing\n",
    "conf: section '[vpn staex' is not of the form [vpn NAME]\n");
  assert_sections (
    "[vpn \xff]\n" GOOD,
    "\xef\xbf\xbd on staex0, strict, protocol 0 from 1234 to 0, servers [], mark 0x0, 0, malformed, exempts nothing\n",
    "conf: section '[vpn \xef\xbf\xbd]' is not of the form [vpn NAME]\n");
  assert_sections ("[vpnx a]\n" GOOD, "", "conf: section: 'vpnx a' is not known; there are [main] and [vpn NAME]\n");
}

/* What is wrong in [main] leaves the sections alone, and the other way round. */
static void
section_and_the_rest_of_the_file_do_not_harm_each_other (void **state G_GNUC_UNUSED)
{
  g_autofree char *messages = NULL;
  g_autoptr (KsConfig) config =
    read_text ("[vpn a]\nno key\n[main]\nLan=off\n[vpn b]\n" GOOD "[main]\nDns=lan\n", &messages);

  assert_string_equal (messages, "conf: [vpn a] line: 'no key' is not of the form Key=value\n"
                                 "conf: [vpn a]: Interface is missing: the name of the VPN's network device\n");
  assert_int_equal (config->lan, KS_LAN_OFF);
  assert_int_equal (config->dns, KS_DNS_LAN);
  assert_int_equal (config->sections->len, 2);
  assert_non_null (ks_section_find (config->sections, "b"));
  assert_null (ks_section_find (config->sections, "c"));
}

static void
section_is_kept_when_the_rest_cannot_be_read (void **state G_GNUC_UNUSED)
{
  g_autofree char *messages = NULL;
  g_autoptr (KsConfig) config = read_text ("no section\n[vpn b]\n" GOOD, &messages);

  assert_true (config->is_unreadable);
  assert_int_equal (config->sections->len, 1);
}

static void
section_matches_devices_by_name_and_pattern (void **state G_GNUC_UNUSED)
{
  assert_true (ks_section_is_device ("tun0", "tun0"));
  assert_false (ks_section_is_device ("tun0", "tun01"));
  assert_true (ks_section_is_device ("tun*", "tun01"));
  assert_true (ks_section_is_device ("tun*", "tun"));
  assert_true (ks_section_is_device ("tun?", "tun7"));
  assert_false (ks_section_is_device ("tun?", "tun77"));
  assert_false (ks_section_is_device ("tun*", "xtun0"));
}

static void
section_places_its_transport (void **state G_GNUC_UNUSED)
{
  g_autofree char *messages = NULL;
  g_autoptr (KsConfig) config =
    read_text ("[vpn a]\n" GOOD "[vpn b]\n" GOOD "Transport=inside\n[vpn c]\n" GOOD "Transport=in\n", &messages);
  static const KsPlacement expected[] = { KS_PLACEMENT_UNSET, KS_PLACEMENT_INSIDE, KS_PLACEMENT_UNSET };

  assert_int_equal (config->sections->len, G_N_ELEMENTS (expected));
  for (guint i = 0; i < G_N_ELEMENTS (expected); i++) {
    g_autoptr (KsProfile) profile = ks_profile_new_of_section (config->sections->pdata[i], "conf");

    assert_int_equal (profile->placement, expected[i]);
  }
  assert_string_equal (messages, "conf: [vpn c] Transport: 'in' is not one of auto, inside, beside\n");
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (section_says_what_its_keys_say),
    cmocka_unit_test (section_knows_protocols_by_name_and_number),
    cmocka_unit_test (section_that_is_malformed_names_the_value_and_exempts_nothing),
    cmocka_unit_test (section_without_a_sound_device_or_mode_is_strict),
    cmocka_unit_test (section_needs_something_to_tell_its_packets_by),
    cmocka_unit_test (section_whose_name_is_used_twice_exempts_nothing),
    cmocka_unit_test (section_without_a_name_or_a_closing_bracket_is_still_armed),
    cmocka_unit_test (section_and_the_rest_of_the_file_do_not_harm_each_other),
    cmocka_unit_test (section_is_kept_when_the_rest_cannot_be_read),
    cmocka_unit_test (section_matches_devices_by_name_and_pattern),
    cmocka_unit_test (section_places_its_transport),
  };

  return cmocka_run_group_tests_name ("ks-section", tests, NULL, NULL);
}
