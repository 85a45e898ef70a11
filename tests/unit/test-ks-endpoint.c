/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test.h"

#include "base/ks-error.h"
#include "input/ks-endpoint-parse.h"

#define OPENVPN "org.freedesktop.NetworkManager.openvpn"

static const char *
lookup (gconstpointer data, const char *key)
{
  return g_hash_table_lookup ((GHashTable *) (gpointer) data, key);
}

/* "PROTOCOL HOST PORT" a line; @data is key, value, key, value, ..., NULL. */
static char *
parse (const char *service, const char *const *data, char **errors_text)
{
  g_autoptr (GHashTable) table = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GPtrArray) errors = ks_test_errors_new ();
  g_autoptr (GPtrArray) endpoints = NULL;
  GString *out = g_string_new (NULL);

  for (; *data; data += 2)
    g_hash_table_insert (table, (gpointer) data[0], (gpointer) data[1]);
  endpoints = ks_endpoint_parse_vpn (service, lookup, table, errors);
  for (guint i = 0; i < endpoints->len; i++) {
    const KsEndpoint *endpoint = endpoints->pdata[i];

    g_string_append_printf (out, "%s%u %s %u", i ? "; " : "", endpoint->ip_protocol, endpoint->host, endpoint->port);
  }
  for (guint i = 0; i < errors->len; i++)
    assert_true (g_error_matches (errors->pdata[i], KS_ERROR, KS_ERROR_INVALID));
  if (errors_text)
    *errors_text = ks_test_format_errors (errors);
  else
    assert_int_equal (errors->len, 0);
  return g_string_free (out, FALSE);
}

static void
endpoint_reads_openvpn_remotes_as_networkmanager_does (void **state G_GNUC_UNUSED)
{
  static const char *const cases[][2] = {
    { "203.0.113.10", "17 203.0.113.10 1194" },
    { "203.0.113.10:443", "17 203.0.113.10 443" },
    { "203.0.113.10:443:tcp", "6 203.0.113.10 443" },
    { "203.0.113.10:443:tcp-client", "6 203.0.113.10 443" },
    { "203.0.113.10:443:tcp4", "6 203.0.113.10 443" },
    { "203.0.113.10:443:udp6", "17 203.0.113.10 443" },
    { "203.0.113.10::tcp", "6 203.0.113.10 1194" },
    { "203.0.113.10:", "17 203.0.113.10 1194" },
    { "203.0.113.10::", "17 203.0.113.10 1194" },
    { "203.0.113.10:443:", "17 203.0.113.10 443" },
    { "vpn.example.org:1195", "17 vpn.example.org 1195" },
    { "2001:db8::1", "17 2001:db8::1 1194" },
    { "[2001:db8::1]", "17 2001:db8::1 1194" },
    { "[2001:db8::1]:443", "17 2001:db8::1 443" },
    { "[2001:db8::1]:443:tcp", "6 2001:db8::1 443" },
    { "[2001:db8::1]::tcp6", "6 2001:db8::1 1194" },
    /* a bare address that a port would extend is an address */
    { "2001:db8::1:443", "17 2001:db8::1:443 1194" },
    /* one that is full is not */
    { "2001:db8:0:0:0:0:0:1:443", "17 2001:db8:0:0:0:0:0:1 443" },
    { "a.example b.example:1 , c.example::tcp,\td.example", "17 a.example 1194; 17 b.example 1; 6 c.example 1194; "
                                                            "17 d.example 1194" },
    { "a.example a.example:1194:udp", "17 a.example 1194" },
    { "", "" },
    { " , ", "" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    const char *const data[] = { "remote", cases[i][0], NULL };
    g_autofree char *text = parse (OPENVPN, data, NULL);

    assert_string_equal (text, cases[i][1]);
  }
}

static void
endpoint_takes_port_and_protocol_of_keys_of_their_own (void **state G_GNUC_UNUSED)
{
  static const char *const data[] = {
    "remote", "a.example b.example:443 c.example:443:udp", "port", "1195", "proto-tcp", "yes", NULL
  };
  g_autofree char *text = parse (OPENVPN, data, NULL);

  assert_string_equal (text, "6 a.example 1195; 6 b.example 443; 17 c.example 443");
}

static void
endpoint_names_key_and_value_of_what_is_malformed (void **state G_GNUC_UNUSED)
{
  static const char *const cases[][3] = {
    { "remote", "203.0.113.10:0", "remote: '203.0.113.10:0' is not HOST[:PORT[:PROTOCOL]]\n" },
    { "remote", "203.0.113.10:65536", "remote: '203.0.113.10:65536' is not HOST[:PORT[:PROTOCOL]]\n" },
    { "remote", "203.0.113.10:+1", "remote: '203.0.113.10:+1' is not HOST[:PORT[:PROTOCOL]]\n" },
    { "remote", "203.0.113.10:443:sctp", "remote: '203.0.113.10:443:sctp' is not HOST[:PORT[:PROTOCOL]]\n" },
    { "remote", ":443", "remote: ':443' is not HOST[:PORT[:PROTOCOL]]\n" },
    { "remote", "[2001:db8::1:443", "remote: '[2001:db8::1:443' is not HOST[:PORT[:PROTOCOL]]\n" },
    { "remote", "a/../b", "remote: 'a/../b' is not HOST[:PORT[:PROTOCOL]]\n" },
    { "remote", "$(reboot)", "remote: '$(reboot)' is not HOST[:PORT[:PROTOCOL]]\n" },
    { "remote", "a;b", "remote: 'a;b' is not HOST[:PORT[:PROTOCOL]]\n" },
    { "remote", "-oProxy", "remote: '-oProxy' is not HOST[:PORT[:PROTOCOL]]\n" },
    { "remote", "a\033[1m", "remote: 'a\\u001b[1m' is not HOST[:PORT[:PROTOCOL]]\n" },
    { "remote", "a\nb", "remote: 'a\\u000ab' is not HOST[:PORT[:PROTOCOL]]\n" },
    { "remote", "fe80::1%eth0", "remote: 'fe80::1%eth0' is not HOST[:PORT[:PROTOCOL]]\n" },
    { "port", "ssh", "port: 'ssh' is not a port\n" },
    { "port", "-1", "port: '-1' is not a port\n" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    const char *const data[] = { cases[i][0], cases[i][1], NULL };
    g_autofree char *errors = NULL;
    g_autofree char *text = parse (OPENVPN, data, &errors);

    assert_string_equal (errors, cases[i][2]);
    assert_string_equal (text, "");
  }
}

static void
endpoint_keeps_the_good_ones_beside_a_bad_one (void **state G_GNUC_UNUSED)
{
  static const char *const data[] = { "remote", "a.example,b.example:nonsense,c.example", NULL };
  g_autofree char *errors = NULL;
  g_autofree char *text = parse (OPENVPN, data, &errors);

  assert_string_equal (text, "17 a.example 1194; 17 c.example 1194");
  assert_string_equal (errors, "remote: 'b.example:nonsense' is not HOST[:PORT[:PROTOCOL]]\n");
}

static void
endpoint_by_a_proxy_is_the_proxy (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *data[12];
    const char *expected;
  } cases[] = {
    { { "remote", "a.example", "proxy-type", "http", "proxy-server", "192.0.2.8", "proxy-port", "3128", NULL },
      "6 192.0.2.8 3128" },
    { { "remote", "a.example", "proxy-type", "http", "proxy-server", "192.0.2.8", NULL }, "6 192.0.2.8 8080" },
    { { "remote", "a.example", "proxy-type", "socks", "proxy-server", "192.0.2.8", NULL },
      "6 192.0.2.8 1080; 17 192.0.2.8 0" },
    { { "remote", "a.example", "proxy-type", "socks", "proxy-server", "192.0.2.8", "proto-tcp", "yes", NULL },
      "6 192.0.2.8 1080" },
    { { "remote", "a.example", "proxy-type", "none", "proxy-server", "192.0.2.8", NULL }, "17 a.example 1194" },
    { { "remote", "a.example", "proxy-type", "http", NULL }, "17 a.example 1194" },
    { { "remote", "a.example", "proxy-type", "http", "proxy-server", "", NULL }, "17 a.example 1194" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *text = parse (OPENVPN, cases[i].data, NULL);

    assert_string_equal (text, cases[i].expected);
  }
}

static void
endpoint_by_a_malformed_proxy_is_none (void **state G_GNUC_UNUSED)
{
  static const char *const data[] = { "remote", "a.example", "proxy-type", "http", "proxy-server", "a b", NULL };
  g_autofree char *errors = NULL;
  g_autofree char *text = parse (OPENVPN, data, &errors);

  assert_string_equal (text, "");
  assert_string_equal (errors, "proxy-server: 'a b' is not an address or a host name\n");
}

static void
endpoint_of_other_plugins_is_their_server_by_any_protocol (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *service;
    const char *data[3];
    const char *expected;
  } cases[] = {
    { "org.freedesktop.NetworkManager.l2tp", { "gateway", "203.0.113.10", NULL }, "0 203.0.113.10 0" },
    { "org.freedesktop.NetworkManager.strongswan", { "address", "vpn.example.org", NULL }, "0 vpn.example.org 0" },
    { "org.freedesktop.NetworkManager.vpnc", { "IPSec gateway", "vpn.example.org", NULL }, "0 vpn.example.org 0" },
    { "org.freedesktop.NetworkManager.openconnect",
      { "gateway", "https://vpn.example.org:8443/path", NULL },
      "0 vpn.example.org 0" },
    { "org.freedesktop.NetworkManager.openconnect",
      { "gateway", "vpn.example.org/group", NULL },
      "0 vpn.example.org 0" },
    { "org.freedesktop.NetworkManager.sstp", { "gateway", "[2001:db8::1]:443", NULL }, "0 2001:db8::1 0" },
    { "org.freedesktop.NetworkManager.sstp", { "gateway", "2001:db8::1", NULL }, "0 2001:db8::1 0" },
    { "org.example.unheard-of", { "remote", "203.0.113.10:1", NULL }, "0 203.0.113.10 0" },
    { NULL, { "server", "203.0.113.10", NULL }, "0 203.0.113.10 0" },
    { "org.example.unheard-of", { "nothing", "we know", NULL }, "" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *text = parse (cases[i].service, cases[i].data, NULL);

    assert_string_equal (text, cases[i].expected);
  }
}

static void
endpoint_of_other_plugins_may_be_malformed (void **state G_GNUC_UNUSED)
{
  static const char *const values[] = { "https://", "/", "[", "[]", ":1", "a b", "-x" };

  for (guint i = 0; i < G_N_ELEMENTS (values); i++) {
    const char *const data[] = { "gateway", values[i], NULL };
    g_autofree char *errors = NULL;
    g_autofree char *text = parse ("org.freedesktop.NetworkManager.l2tp", data, &errors);

    assert_string_equal (text, "");
    assert_non_null (strstr (errors, "gateway: '"));
  }
}

static void
endpoint_reads_wireguard_peers (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *text, *host;
    guint16 port;
  } cases[] = {
    { "203.0.113.10:51820", "203.0.113.10", 51820 },           { "[2001:db8::1]:1", "2001:db8::1", 1 },
    { "vpn.example.org:65535", "vpn.example.org", 65535 },     { "2001:db8::1:51820", "2001:db8::1", 51820 },
    { "b\303\274cher.example:1", "b\303\274cher.example", 1 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    g_autoptr (KsEndpoint) endpoint = ks_endpoint_parse_wireguard (cases[i].text, &error);

    assert_non_null (endpoint);
    assert_string_equal (endpoint->host, cases[i].host);
    assert_int_equal (endpoint->port, cases[i].port);
    assert_int_equal (endpoint->ip_protocol, IPPROTO_UDP);
  }
}

static void
endpoint_refuses_malformed_wireguard_peers (void **state G_GNUC_UNUSED)
{
  g_autofree char *long_name = g_strnfill (300, 'a');
  g_autofree char *long_host = g_strconcat (long_name, ":1", NULL);
  const char *const cases[] = {
    "",      ":",      "host",    "host:",   "host:0",     "host:65536", ":51820", "[]:1",
    "a b:1", "a\nb:1", "host:1x", "host: 1", "\xff\xfe:1", "../x:1",     "a/b:1",  long_host
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;

    if (ks_endpoint_parse_wireguard (cases[i], &error))
      fail_msg ("'%s' was taken as an endpoint", cases[i]);
    assert_true (g_error_matches (error, KS_ERROR, KS_ERROR_INVALID));
    assert_true (g_utf8_validate (error->message, -1, NULL));
    assert_null (strchr (error->message, '\n'));
  }
}

static void
endpoint_knows_who_sends_a_plugins_transport (void **state G_GNUC_UNUSED)
{
  assert_string_equal (ks_endpoint_service_user (OPENVPN), "nm-openvpn");
  assert_string_equal (ks_endpoint_service_user ("org.freedesktop.NetworkManager.openconnect"), "nm-openconnect");
  assert_null (ks_endpoint_service_user ("org.freedesktop.NetworkManager.l2tp"));
  assert_null (ks_endpoint_service_user (NULL));
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (endpoint_reads_openvpn_remotes_as_networkmanager_does),
    cmocka_unit_test (endpoint_takes_port_and_protocol_of_keys_of_their_own),
    cmocka_unit_test (endpoint_names_key_and_value_of_what_is_malformed),
    cmocka_unit_test (endpoint_keeps_the_good_ones_beside_a_bad_one),
    cmocka_unit_test (endpoint_by_a_proxy_is_the_proxy),
    cmocka_unit_test (endpoint_by_a_malformed_proxy_is_none),
    cmocka_unit_test (endpoint_of_other_plugins_is_their_server_by_any_protocol),
    cmocka_unit_test (endpoint_of_other_plugins_may_be_malformed),
    cmocka_unit_test (endpoint_reads_wireguard_peers),
    cmocka_unit_test (endpoint_refuses_malformed_wireguard_peers),
    cmocka_unit_test (endpoint_knows_who_sends_a_plugins_transport),
  };

  return cmocka_run_group_tests_name ("ks-endpoint", tests, NULL, NULL);
}
