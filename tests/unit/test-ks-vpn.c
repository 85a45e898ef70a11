/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test.h"

#include "base/ks-error.h"
#include "vpn/ks-vpn.h"

#define OPENVPN "org.freedesktop.NetworkManager.openvpn"

static const char *
lookup (gconstpointer profile, const char *key)
{
  return g_hash_table_lookup ((GHashTable *) (gpointer) profile, key);
}

static const char *
no_secret (gconstpointer profile G_GNUC_UNUSED, const char *key G_GNUC_UNUSED)
{
  return NULL;
}

/* "PROTOCOL HOST PORT [CARRIAGE]; ..." (transfer full) */
static char *
format_endpoints (const GPtrArray *endpoints)
{
  static const char *const carriages[] = { "", " wrapped", " made-by-ipsec", " inside-ipsec" };
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < endpoints->len; i++) {
    const KsEndpoint *endpoint = endpoints->pdata[i];

    g_string_append_printf (out, "%s%u %s %u%s", i ? "; " : "", endpoint->ip_protocol, endpoint->host, endpoint->port,
                            carriages[endpoint->carriage]);
  }
  return g_string_free (out, FALSE);
}

/* @data is key, value, key, value, ..., NULL. */
static char *
parse (const char *service, const char *const *data, char **errors_text)
{
  g_autoptr (GHashTable) table = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GPtrArray) errors = ks_test_errors_new ();
  g_autoptr (GPtrArray) endpoints = NULL;
  KsVpnSettings settings = { .data = lookup, .secret = no_secret, .profile = table };

  for (; *data; data += 2)
    g_hash_table_insert (table, (gpointer) data[0], (gpointer) data[1]);
  endpoints = ks_vpn_endpoints (service, &settings, errors);
  for (guint i = 0; i < errors->len; i++)
    assert_true (g_error_matches (errors->pdata[i], KS_ERROR, KS_ERROR_INVALID));
  if (errors_text)
    *errors_text = ks_test_format_errors (errors);
  else
    assert_int_equal (errors->len, 0);
  return format_endpoints (endpoints);
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

/* OpenVPN never asks for the name given: with twelve random digits in front, a wildcard record may lead elsewhere. */
static void
endpoint_of_a_random_host_name_is_below_the_one_given (void **state G_GNUC_UNUSED)
{
  static const char *const data[] = { "remote", "a.example,203.0.113.10,[2001:db8::1]:443:tcp",
                                      "remote-random-hostname", "yes", NULL };
  static const char *const off[] = { "remote", "a.example", "remote-random-hostname", "no", NULL };
  g_autofree char *text = parse (OPENVPN, data, NULL);
  g_autofree char *plain = parse (OPENVPN, off, NULL);

  assert_string_equal (text, "17 000000000000.a.example 1194; 17 203.0.113.10 1194; 6 2001:db8::1 443");
  assert_string_equal (plain, "17 a.example 1194");
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
    /* one of the servers by UDP */
    { { "remote", "a.example b.example:1:udp", "proxy-type", "socks", "proxy-server", "192.0.2.8", "proto-tcp", "yes",
        NULL },
      "6 192.0.2.8 1080; 17 192.0.2.8 0" },
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
vpn_of_an_unknown_type_is_its_server_by_any_protocol (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *service;
    const char *data[3];
    const char *expected;
  } cases[] = {
    { "org.example.unheard-of", { "remote", "203.0.113.10:1", NULL }, "0 203.0.113.10 0" },
    { "org.example.unheard-of", { "gateway", "https://vpn.example.org:8443/path", NULL }, "0 vpn.example.org 0" },
    { "org.example.unheard-of", { "gateway", "vpn.example.org/group", NULL }, "0 vpn.example.org 0" },
    { "org.example.unheard-of", { "address", "[2001:db8::1]:443", NULL }, "0 2001:db8::1 0" },
    { "org.example.unheard-of", { "IPSec gateway", "[2001:db8::1]", NULL }, "0 2001:db8::1 0" },
    { "org.example.unheard-of", { "right", "2001:db8::1", NULL }, "0 2001:db8::1 0" },
    /* not the plugin of NetworkManager's that it is named like */
    { "org.example.openvpn", { "server", "203.0.113.10", NULL }, "0 203.0.113.10 0" },
    { NULL, { "server", "203.0.113.10", NULL }, "0 203.0.113.10 0" },
    { "org.freedesktop.NetworkManager.f5vpn", { "hostname", "vpn.example.org", NULL }, "0 vpn.example.org 0" },
    { "org.freedesktop.NetworkManager.softethervpn", { "server-endpoint", "203.0.113.10", NULL }, "0 203.0.113.10 0" },
    { "org.freedesktop.NetworkManager.snx", { "server-name", "vpn.example.org", NULL }, "0 vpn.example.org 0" },
    { "org.freedesktop.NetworkManager.gpclient", { "portal", "vpn.example.org", NULL }, "0 vpn.example.org 0" },
    { "org.example.unheard-of", { "nothing", "we know", NULL }, "" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *text = parse (cases[i].service, cases[i].data, NULL);

    assert_string_equal (text, cases[i].expected);
  }
}

/* A host name beside a server may be this host's. */
static void
vpn_of_an_unknown_type_is_not_what_else_it_names (void **state G_GNUC_UNUSED)
{
  static const char *const data[] = { "gateway", "203.0.113.10", "hostname", "laptop.example.org", NULL };
  static const char *const malformed[] = { "gateway", "a;b", "hostname", "laptop.example.org", NULL };
  g_autofree char *text = parse ("org.example.unheard-of", data, NULL);
  g_autofree char *errors = NULL;
  g_autofree char *none = parse ("org.example.unheard-of", malformed, &errors);

  assert_string_equal (text, "0 203.0.113.10 0");
  assert_string_equal (none, "");
  assert_string_equal (errors, "gateway: 'a;b' is not HOST[:PORT]\n");
}

#define IPSEC(host) "17 " host " 500; 17 " host " 4500 made-by-ipsec; 50 " host " 0 made-by-ipsec"

/* By its former name, NetworkManager-libreswan's profiles are no narrower than IPsec, and no wider. */
static void
vpn_of_openswan_is_libreswans (void **state G_GNUC_UNUSED)
{
  static const char *const data[] = { "right", "203.0.113.10", NULL };
  g_autofree char *text = parse ("org.freedesktop.NetworkManager.openswan", data, NULL);

  assert_string_equal (text, IPSEC ("203.0.113.10"));
}

static void
vpn_of_strongswan_is_all_addresses_of_a_list (void **state G_GNUC_UNUSED)
{
  static const char *const data[] = { "address", "a.example, 203.0.113.10,", NULL };
  static const char *const port[] = { "address", "a.example,[2001:db8::1]", "server-port", "10500", NULL };
  static const char *const malformed[] = { "address", "a.example,b c", NULL };
  g_autofree char *text = parse ("org.freedesktop.NetworkManager.strongswan", data, NULL);
  g_autofree char *with_port = parse ("org.freedesktop.NetworkManager.strongswan", port, NULL);
  g_autofree char *errors = NULL;
  g_autofree char *good = parse ("org.freedesktop.NetworkManager.strongswan", malformed, &errors);

  assert_string_equal (text, IPSEC ("a.example") "; " IPSEC ("203.0.113.10"));
  assert_string_equal (with_port, "17 a.example 10500 made-by-ipsec; 50 a.example 0 made-by-ipsec; "
                                  "17 2001:db8::1 10500 made-by-ipsec; 50 2001:db8::1 0 made-by-ipsec");
  assert_string_equal (good, IPSEC ("a.example"));
  assert_string_equal (errors, "address: 'a.example,b c' is not an address or a host name\n");
}

/* Whatever the type, a server that is none yields no exemption, and an error that names the key. */
static void
vpn_with_a_malformed_server_has_no_endpoint (void **state G_GNUC_UNUSED)
{
  static const char *const types[][2] = {
    { "openvpn", "remote" },      { "openconnect", "gateway" }, { "strongswan", "address" }, { "libreswan", "right" },
    { "l2tp", "gateway" },        { "vpnc", "IPSec gateway" },  { "pptp", "gateway" },       { "sstp", "gateway" },
    { "fortisslvpn", "gateway" }, { "iodine", "nameserver" },   { "ssh", "remote" },         { "unheard-of", "server" },
  };
  static const char *const values[] = {
    "https://", "/", "[", "[]", ":1", "-x", "a b/", "a;b", "$(reboot)", "*", "%any"
  };

  for (guint i = 0; i < G_N_ELEMENTS (types); i++)
    for (guint j = 0; j < G_N_ELEMENTS (values); j++) {
      const char *const data[] = { types[i][1], values[j], NULL };
      g_autofree char *service = g_strconcat ("org.freedesktop.NetworkManager.", types[i][0], NULL);
      g_autofree char *prefix = g_strconcat (types[i][1], ": '", NULL);
      g_autofree char *errors = NULL;
      g_autofree char *text = NULL;

      if (i == 0 && strchr (values[j], ' '))
        continue; /* OpenVPN's list of servers */
      text = parse (service, data, &errors);
      assert_string_equal (text, "");
      assert_true (g_str_has_prefix (errors, prefix));
    }
}

static void
vpn_with_a_malformed_port_keeps_the_default (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *service, *data[7], *expected, *error;
  } cases[] = {
    { "strongswan",
      { "address", "203.0.113.10", "server-port", "ike" },
      "17 203.0.113.10 500; 17 203.0.113.10 4500 made-by-ipsec; 50 203.0.113.10 0 made-by-ipsec",
      "server-port: 'ike' is not a port\n" },
    { "ssh", { "remote", "203.0.113.10", "port", "0" }, "6 203.0.113.10 22", "port: '0' is not a port\n" },
    { "sstp",
      { "gateway", "203.0.113.10", "proxy-server", "198.51.100.8", "proxy-port", "x" },
      "",
      "proxy-port: 'x' is not a port\n" },
    { "fortisslvpn", { "gateway", "203.0.113.10:x" }, "", "gateway: '203.0.113.10:x' is not HOST[:PORT]\n" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *service = g_strconcat ("org.freedesktop.NetworkManager.", cases[i].service, NULL);
    g_autofree char *errors = NULL;
    g_autofree char *text = parse (service, cases[i].data, &errors);

    assert_string_equal (text, cases[i].expected);
    assert_string_equal (errors, cases[i].error);
  }
}

static void
vpn_of_openconnect_has_the_udp_port_of_its_protocol (void **state G_GNUC_UNUSED)
{
  static const char *const cases[][2] = {
    { "anyconnect", "6 a.example 8443; 17 a.example 8443" }, { "fortinet", "6 a.example 8443; 17 a.example 8443" },
    { "array", "6 a.example 8443; 17 a.example 8443" },      { "gp", "6 a.example 8443; 17 a.example 4501" },
    { "nc", "6 a.example 8443; 17 a.example 4500" },         { "juniper", "6 a.example 8443; 17 a.example 4500" },
    { "pulse", "6 a.example 8443; 17 a.example 4500" },      { "f5", "6 a.example 8443; 17 a.example 4433" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    const char *const data[] = { "gateway", "a.example:8443", "protocol", cases[i][0], NULL };
    g_autofree char *text = parse ("org.freedesktop.NetworkManager.openconnect", data, NULL);

    assert_string_equal (text, cases[i][1]);
  }
}

static void
vpn_of_openconnect_by_a_socks_proxy_is_the_proxy (void **state G_GNUC_UNUSED)
{
  static const char *const data[] = { "gateway", "a.example", "proxy", "socks5://198.51.100.8", NULL };
  g_autofree char *text = parse ("org.freedesktop.NetworkManager.openconnect", data, NULL);

  assert_string_equal (text, "6 198.51.100.8 1080");
}

/* --- the data that each plugin really writes: tests/unit/vpn/, as its editor leaves it --- */

static const struct {
  const char *file, *expected;
} profiles[] = {
  { "fortisslvpn", "6 vpn.example.com 10443" },
  { "iodine", "17 * 53" },
  { "iodine-nameserver", "17 198.51.100.53 53" },
  { "l2tp-ipsec", IPSEC ("vpn.example.com") "; 17 vpn.example.com 1701 inside-ipsec" },
  { "l2tp-plain", "17 2001:db8::10 1701 wrapped" },
  { "libreswan", IPSEC ("203.0.113.10") },
  { "openconnect-anyconnect", "6 vpn.example.com 8443; 17 vpn.example.com 8443" },
  { "openconnect-globalprotect", "6 203.0.113.10 443; 17 203.0.113.10 4501" },
  { "openconnect-no-udp", "6 2001:db8::10 8443" },
  { "openconnect-proxy", "6 proxy.example.com 3128" },
  { "openconnect-redirected", "6 vpn.example.com 443; 17 vpn.example.com 443; "
                              "6 node7.example.com 8443; 17 node7.example.com 8443; "
                              "6 203.0.113.27 8443; 17 203.0.113.27 8443" },
  { "openvpn-http-proxy", "6 proxy.example.com 3128" },
  { "openvpn-several-remotes", "17 203.0.113.10 1194; 6 203.0.113.11 443; 6 vpn.example.com 443; "
                               "17 2001:db8::10 1195" },
  { "openvpn-socks-proxy", "6 198.51.100.8 1080; 17 198.51.100.8 0" },
  { "openvpn-udp", "17 vpn.example.com 1194" },
  { "pptp", "6 vpn.example.com 1723; 47 vpn.example.com 0" },
  { "ssh", "6 vpn.example.com 2222" },
  { "sstp", "6 vpn.example.com 4443" },
  { "sstp-proxy", "6 198.51.100.8 3128" },
  { "strongswan", IPSEC ("vpn.example.com") },
  { "strongswan-server-port", "17 203.0.113.10 10500 made-by-ipsec; 50 203.0.113.10 0 made-by-ipsec" },
  { "unknown", "0 vpn.example.net 0" },
  { "vpnc-cisco-udp", "17 203.0.113.10 0; 50 203.0.113.10 0" },
  { "vpnc-natt", "17 vpn.example.com 500; 17 vpn.example.com 4500; 50 vpn.example.com 0" },
  { "vpnc-without-nat-traversal", "17 203.0.113.10 500; 50 203.0.113.10 0" },
};

static void
vpn_is_read_from_what_its_editor_writes (void **state G_GNUC_UNUSED)
{
  for (guint i = 0; i < G_N_ELEMENTS (profiles); i++) {
    g_autoptr (KsTestHost) host = ks_test_host_new ();
    g_autoptr (KsConfig) config = ks_config_new ();
    g_autoptr (GPtrArray) errors = ks_test_errors_new ();
    g_autofree char *source = g_strconcat (KS_TESTS "/unit/vpn/", profiles[i].file, ".nmconnection", NULL);
    g_autofree char *name = g_strconcat ("etc/", profiles[i].file, ".nmconnection", NULL);
    g_autofree char *keyfile = NULL, *text = NULL;
    g_autoptr (KsProfileSet) set = NULL;

    assert_true (g_file_get_contents (source, &keyfile, NULL, NULL));
    ks_test_host_write (host, name, keyfile);
    set = ks_profile_set_read (host->paths.profiles, host->paths.zones, config, NULL, errors);
    assert_int_equal (errors->len, 0);
    assert_int_equal (set->warnings->len, 0);
    assert_int_equal (set->profiles->len, 1);
    assert_int_equal (((const KsProfile *) set->profiles->pdata[0])->fwmark,
                      g_str_has_prefix (profiles[i].file, "strongswan") ? 210 : 0);
    text = format_endpoints (((const KsProfile *) set->profiles->pdata[0])->endpoints);
    if (strcmp (text, profiles[i].expected) != 0)
      fail_msg ("%s: %s", profiles[i].file, text);
  }
}

static void
vpn_tests_know_every_profile_in_their_directory (void **state G_GNUC_UNUSED)
{
  g_autoptr (GDir) directory = g_dir_open (KS_TESTS "/unit/vpn", 0, NULL);
  guint count = 0;

  assert_non_null (directory);
  while (g_dir_read_name (directory))
    count++;
  assert_int_equal (count, G_N_ELEMENTS (profiles));
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
    g_autoptr (KsEndpoint) endpoint = ks_vpn_wireguard_endpoint (cases[i].text, &error);

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

    if (ks_vpn_wireguard_endpoint (cases[i], &error))
      fail_msg ("'%s' was taken as an endpoint", cases[i]);
    assert_true (g_error_matches (error, KS_ERROR, KS_ERROR_INVALID));
    assert_true (g_utf8_validate (error->message, -1, NULL));
    assert_null (strchr (error->message, '\n'));
  }
}

static void
endpoint_knows_who_sends_a_plugins_transport (void **state G_GNUC_UNUSED)
{
  assert_string_equal (ks_vpn_user (OPENVPN), "nm-openvpn");
  assert_string_equal (ks_vpn_user ("org.freedesktop.NetworkManager.openconnect"), "nm-openconnect");
  assert_string_equal (ks_vpn_user ("org.freedesktop.NetworkManager.iodine"), "nm-iodine");
  assert_null (ks_vpn_user ("org.freedesktop.NetworkManager.l2tp"));
  assert_null (ks_vpn_user ("org.example.openvpn"));
  assert_null (ks_vpn_user (NULL));
  assert_int_equal (ks_vpn_mark ("org.freedesktop.NetworkManager.strongswan"), 210);
  assert_int_equal (ks_vpn_mark (OPENVPN), 0);
  assert_int_equal (ks_vpn_mark (NULL), 0);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (endpoint_reads_openvpn_remotes_as_networkmanager_does),
    cmocka_unit_test (endpoint_takes_port_and_protocol_of_keys_of_their_own),
    cmocka_unit_test (endpoint_of_a_random_host_name_is_below_the_one_given),
    cmocka_unit_test (endpoint_names_key_and_value_of_what_is_malformed),
    cmocka_unit_test (endpoint_keeps_the_good_ones_beside_a_bad_one),
    cmocka_unit_test (endpoint_by_a_proxy_is_the_proxy),
    cmocka_unit_test (endpoint_by_a_malformed_proxy_is_none),
    cmocka_unit_test (vpn_of_an_unknown_type_is_its_server_by_any_protocol),
    cmocka_unit_test (vpn_of_an_unknown_type_is_not_what_else_it_names),
    cmocka_unit_test (vpn_of_openswan_is_libreswans),
    cmocka_unit_test (vpn_of_strongswan_is_all_addresses_of_a_list),
    cmocka_unit_test (vpn_with_a_malformed_server_has_no_endpoint),
    cmocka_unit_test (vpn_with_a_malformed_port_keeps_the_default),
    cmocka_unit_test (vpn_of_openconnect_has_the_udp_port_of_its_protocol),
    cmocka_unit_test (vpn_of_openconnect_by_a_socks_proxy_is_the_proxy),
    cmocka_unit_test (vpn_is_read_from_what_its_editor_writes),
    cmocka_unit_test (vpn_tests_know_every_profile_in_their_directory),
    cmocka_unit_test (endpoint_reads_wireguard_peers),
    cmocka_unit_test (endpoint_refuses_malformed_wireguard_peers),
    cmocka_unit_test (endpoint_knows_who_sends_a_plugins_transport),
  };

  return cmocka_run_group_tests_name ("ks-vpn", tests, NULL, NULL);
}
