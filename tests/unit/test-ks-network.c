/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Against a NetworkManager that is made up after a real one (1.42.4 with
 * NetworkManager-openvpn): "eth0" is device 2 with active connection 2, its IP
 * configurations are number 2; the VPN has active connection 3 whose Devices is
 * eth0, "tun0" is device 3, and they share the IP configurations number 3;
 * active connection 4 is the one NetworkManager makes for tun0 itself.
 */
#include "ks-test-nm.h"
#include "ks-test.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/ks-error.h"
#include "input/ks-network.h"

#define LAN_UUID "aaaaaaaa-1111-4111-8111-111111111111"
#define TUN_UUID "bbbbbbbb-1111-4111-8111-111111111111"

enum { ASLEEP = 10, DISCONNECTING = 30, CONNECTED = 70 };
enum { ACTIVATING = 1, ACTIVATED = 2, DEACTIVATING = 3, DEACTIVATED = 4 };

static KsProfile *
add_profile (GPtrArray *profiles, const char *uuid, KsVpnType type, const char *host)
{
  KsProfile *profile = ks_profile_new ();

  profile->uuid = g_strdup (uuid);
  profile->path = g_strdup_printf ("/etc/%s", uuid ? uuid : "no-uuid");
  profile->id = g_strdup ("vpn");
  profile->vpn_type = type;
  profile->mode = KS_MODE_STRICT;
  g_ptr_array_add (profile->endpoints, ks_endpoint_new (host, 1194, IPPROTO_UDP));
  g_ptr_array_add (profiles, profile);
  return profile;
}

static GPtrArray *
profiles_new (void)
{
  return g_ptr_array_new_with_free_func ((GDestroyNotify) ks_profile_free);
}

static void
set_lan (KsTestNm *nm)
{
  ks_test_nm_device (nm, 2, "eth0", 2, 2);
  ks_test_nm_active (nm, 2, LAN_UUID, FALSE, ACTIVATED, "2", 2, 2);
  ks_test_nm_ip4 (nm, 2, "192.168.50.2/24", "192.168.50.1", "192.168.50.0/24 0.0.0.0/0>192.168.50.1", "192.168.50.1");
  ks_test_nm_ip6 (nm, 2, "fe80::2/64 fd50::2/64", "fe80::1", "fe80::/64", "fd50::53");
}

/* A plugin VPN over eth0, in @state. */
static void
set_openvpn (KsTestNm *nm, guint state)
{
  set_lan (nm);
  ks_test_nm_main (nm, CONNECTED, "2 3 4", "2 3");
  ks_test_nm_active (nm, 3, KS_TEST_UUID_1, TRUE, state, "2", 3, 3);
  ks_test_nm_device (nm, 3, "tun0", 3, 3);
  ks_test_nm_active (nm, 4, TUN_UUID, FALSE, ACTIVATED, "3", 3, 3);
  ks_test_nm_ip4 (nm, 3, "10.8.0.2/24", "10.8.0.1", "10.8.0.0/24 10.99.0.0/16>10.8.0.1 0.0.0.0/0>10.8.0.1 224.0.0.0/4",
                  "10.8.0.1");
  ks_test_nm_ip6 (nm, 3, "fe80::8/64 fd08::1000/64", "", "fd08::/64 fe80::/64 ff00::/8", "");
}

static KsNetwork *
read_network (const GPtrArray *profiles)
{
  g_autoptr (GError) error = NULL;
  KsNetwork *network = ks_network_read (profiles, 2000, &error);

  if (!network)
    fail_msg ("%s", error->message);
  return network;
}

/* Reads with a time limit and expects no answer within it. */
static void
assert_silent (const GPtrArray *profiles, guint timeout_ms)
{
  gint64 start = g_get_monotonic_time ();
  g_autoptr (GError) error = NULL;
  KsNetwork *network = ks_network_read (profiles, timeout_ms, &error);
  gint64 took_ms = (g_get_monotonic_time () - start) / 1000;

  assert_null (network);
  assert_true (g_error_matches (error, KS_ERROR, KS_ERROR_SILENT));
  assert_true (g_str_has_prefix (error->message, "NetworkManager does not answer: "));
  /* slow machines, sanitizers and valgrind; the default limit of a call would be 25 s */
  ks_test_assert_in_time (took_ms, timeout_ms + 5000);
}

/* --- no answer --- */

static void
network_without_a_bus_is_silent (void **state G_GNUC_UNUSED)
{
  g_autoptr (GPtrArray) profiles = profiles_new ();

  add_profile (profiles, KS_TEST_UUID_1, KS_VPN_PLUGIN, "203.0.113.10");
  ks_test_no_bus ();
  assert_silent (profiles, 2000);
  g_setenv ("DBUS_SYSTEM_BUS_ADDRESS", "this is no address", TRUE);
  assert_silent (profiles, 2000);
  ks_test_no_bus ();
}

static void
network_without_networkmanager_is_silent (void **state G_GNUC_UNUSED)
{
  g_autoptr (GPtrArray) profiles = profiles_new ();
  g_autoptr (KsTestBus) bus = ks_test_bus_new ();

  assert_non_null (bus);
  add_profile (profiles, KS_TEST_UUID_1, KS_VPN_PLUGIN, "203.0.113.10");
  assert_silent (profiles, 2000);
}

static void
network_that_never_answers_is_silent_within_the_limit (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();
  g_autoptr (GPtrArray) profiles = profiles_new ();

  add_profile (profiles, KS_TEST_UUID_1, KS_VPN_PLUGIN, "203.0.113.10");
  set_openvpn (nm, ACTIVATED);
  ks_test_nm_silence_after (nm, 0);
  assert_silent (profiles, 200);
}

static void
network_that_stops_answering_at_any_question_is_silent (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();
  g_autoptr (GPtrArray) profiles = profiles_new ();
  guint questions;

  add_profile (profiles, KS_TEST_UUID_1, KS_VPN_PLUGIN, "vpn.example.org");
  set_openvpn (nm, ACTIVATED);
  ks_network_free (read_network (profiles));
  questions = ks_test_nm_questions (nm);
  assert_in_range (questions, 5, 30);
  for (guint i = 0; i < questions; i++) {
    ks_test_nm_silence_after (nm, i);
    assert_silent (profiles, 100);
  }
}

static void
network_of_a_hung_bus_is_silent_within_the_limit (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestDirectory) directory = ks_test_directory_new ();
  g_autoptr (GPtrArray) profiles = profiles_new ();
  g_autofree char *path = ks_test_path (directory, "bus"), *address = g_strconcat ("unix:path=", path, NULL);
  struct sockaddr_un name = { .sun_family = AF_UNIX };
  int listener = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

  add_profile (profiles, KS_TEST_UUID_1, KS_VPN_PLUGIN, "203.0.113.10");
  g_strlcpy (name.sun_path, path, sizeof name.sun_path);
  assert_true (listener >= 0);
  assert_int_equal (bind (listener, (struct sockaddr *) &name, sizeof name), 0);
  assert_int_equal (listen (listener, 5), 0); /* connections are made, but never answered */
  g_setenv ("DBUS_SYSTEM_BUS_ADDRESS", address, TRUE);
  assert_silent (profiles, 200);
  ks_test_no_bus ();
  close (listener);
}

static GDBusMessage *
drop_hello (GDBusConnection *connection G_GNUC_UNUSED, GDBusMessage *message, gboolean incoming,
            gpointer user_data G_GNUC_UNUSED)
{
  if (!incoming)
    return message;
  g_object_unref (message);
  return NULL;
}

static gboolean
on_connection (GDBusServer *server G_GNUC_UNUSED, GDBusConnection *connection, gpointer user_data)
{
  g_dbus_connection_add_filter (connection, drop_hello, NULL, NULL);
  g_ptr_array_add (user_data, g_object_ref (connection));
  return TRUE;
}

static void
network_of_a_bus_that_hangs_after_authentication_is_silent_within_the_limit (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestDirectory) directory = ks_test_directory_new ();
  g_autoptr (GPtrArray) profiles = profiles_new (), connections = g_ptr_array_new_with_free_func (g_object_unref);
  g_autofree char *address = g_strdup_printf ("unix:path=%s/bus", directory->path), *guid = g_dbus_generate_guid ();
  g_autoptr (GDBusServer) server =
    g_dbus_server_new_sync (address, G_DBUS_SERVER_FLAGS_RUN_IN_THREAD, guid, NULL, NULL, NULL);

  add_profile (profiles, KS_TEST_UUID_1, KS_VPN_PLUGIN, "203.0.113.10");
  assert_non_null (server);
  g_signal_connect (server, "new-connection", G_CALLBACK (on_connection), connections);
  g_dbus_server_start (server);
  g_setenv ("DBUS_SYSTEM_BUS_ADDRESS", address, TRUE);
  assert_silent (profiles, 200);
  ks_test_no_bus ();
  g_dbus_server_stop (server);
}

/* --- answers --- */

static void
network_finds_the_device_of_a_plugin_vpn_by_its_ip_configuration (void **state G_GNUC_UNUSED)
{
  static const guint states[] = { ACTIVATING, ACTIVATED };
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();
  g_autoptr (GPtrArray) profiles = profiles_new ();

  add_profile (profiles, KS_TEST_UUID_1, KS_VPN_PLUGIN, "203.0.113.10");
  for (guint i = 0; i < G_N_ELEMENTS (states); i++) {
    g_autoptr (KsNetwork) network = NULL;
    const KsTunnel *tunnel;
    g_autofree char *addresses = NULL, *prefixes = NULL, *gateways = NULL, *nameservers = NULL, *gateway = NULL;

    set_openvpn (nm, states[i]);
    network = read_network (profiles);
    assert_int_equal (ks_network_active_state (network, KS_TEST_UUID_1), states[i]);
    assert_int_equal (network->tunnels->len, 1);
    assert_int_equal (network->without_device->len, 0);
    tunnel = network->tunnels->pdata[0];
    addresses = ks_test_format_prefixes (tunnel->addresses);
    prefixes = ks_test_format_prefixes (tunnel->prefixes);
    nameservers = ks_test_format_prefixes (tunnel->nameservers);
    gateway = ks_prefix_format_address (&tunnel->gateway4);
    assert_string_equal (tunnel->interface, "tun0");
    assert_string_equal (tunnel->key, KS_TEST_UUID_1);
    assert_true (tunnel->has_ipv4);
    assert_true (tunnel->has_ipv6);
    assert_string_equal (addresses, "10.8.0.2/24 fd08::1000/64");
    assert_string_equal (prefixes, "10.8.0.0/24 10.99.0.0/16 fd08::/64");
    assert_int_equal (tunnel->gateways->len, tunnel->prefixes->len);
    gateways = ks_prefix_format_address (&g_array_index (tunnel->gateways, KsPrefix, 1));
    assert_string_equal (gateways, "10.8.0.1");
    assert_string_equal (nameservers, "10.8.0.1");
    assert_string_equal (gateway, "10.8.0.1");
    assert_false (ks_prefix_is_set (&tunnel->gateway6));
    assert_false (network->leaving);
  }
}

static void
network_vpn_without_an_ip_configuration_yet_has_no_tunnel (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();
  g_autoptr (GPtrArray) profiles = profiles_new ();
  g_autoptr (KsNetwork) network = NULL;

  add_profile (profiles, KS_TEST_UUID_1, KS_VPN_PLUGIN, "203.0.113.10");
  set_openvpn (nm, ACTIVATING);
  ks_test_nm_active (nm, 3, KS_TEST_UUID_1, TRUE, ACTIVATING, "2", 0, 0);
  ks_test_nm_device (nm, 3, "tun0", 0, 0); /* two objects without one share nothing */
  network = read_network (profiles);
  assert_int_equal (network->tunnels->len, 0);
  assert_int_equal (ks_network_active_state (network, KS_TEST_UUID_1), KS_ACTIVE_ACTIVATING);
}

static void
network_vpn_whose_device_is_gone_has_no_tunnel (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();
  g_autoptr (GPtrArray) profiles = profiles_new ();
  g_autoptr (KsNetwork) network = NULL;

  /* `ip link del tun0`: the active connection stays, with an empty configuration that no device has */
  add_profile (profiles, KS_TEST_UUID_1, KS_VPN_PLUGIN, "203.0.113.10");
  set_openvpn (nm, ACTIVATED);
  ks_test_nm_main (nm, CONNECTED, "2 3", "2");
  ks_test_nm_ip4 (nm, 3, "", "", "", "10.8.0.1");
  network = read_network (profiles);
  assert_int_equal (network->tunnels->len, 0);
  assert_int_equal (network->without_device->len, 0);
  assert_int_equal (ks_network_active_state (network, KS_TEST_UUID_1), KS_ACTIVE_ACTIVATED);
}

static void
network_never_takes_the_device_a_vpn_goes_by_for_its_tunnel (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();
  g_autoptr (GPtrArray) profiles = profiles_new ();
  g_autoptr (KsNetwork) network = NULL;

  add_profile (profiles, KS_TEST_UUID_1, KS_VPN_PLUGIN, "203.0.113.10");
  set_lan (nm);
  ks_test_nm_main (nm, CONNECTED, "2 3", "2");
  ks_test_nm_active (nm, 3, KS_TEST_UUID_1, TRUE, ACTIVATED, "2", 2, 2); /* a VPN without a device of its own */
  network = read_network (profiles);
  assert_int_equal (network->tunnels->len, 0);
  assert_int_equal (network->without_device->len, 1);
  assert_string_equal (network->without_device->pdata[0], ks_profile_key (profiles->pdata[0]));
}

static void
network_vpn_has_a_tunnel_until_it_is_down (void **state G_GNUC_UNUSED)
{
  static const struct {
    guint state;
    KsActiveState expected;
  } cases[] = { { DEACTIVATING, KS_ACTIVE_DEACTIVATING }, { DEACTIVATED, KS_ACTIVE_NO }, { 0, KS_ACTIVE_NO } };
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();
  g_autoptr (GPtrArray) profiles = profiles_new ();

  add_profile (profiles, KS_TEST_UUID_1, KS_VPN_PLUGIN, "203.0.113.10");
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (KsNetwork) network = NULL;

    set_openvpn (nm, cases[i].state);
    network = read_network (profiles);
    assert_int_equal (network->tunnels->len, cases[i].state == DEACTIVATING ? 1 : 0);
    if (cases[i].state == DEACTIVATING)
      assert_true (((const KsTunnel *) network->tunnels->pdata[0])->is_leaving);
    assert_int_equal (ks_network_active_state (network, KS_TEST_UUID_1), cases[i].expected);
  }
}

static void
network_reads_port_and_mark_of_wireguard (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();
  g_autoptr (GPtrArray) profiles = profiles_new ();
  g_autoptr (KsNetwork) network = NULL;
  const KsTunnel *tunnel;

  add_profile (profiles, KS_TEST_UUID_1, KS_VPN_WIREGUARD, "203.0.113.10");
  set_lan (nm);
  ks_test_nm_main (nm, CONNECTED, "2 5", "2 5");
  ks_test_nm_active (nm, 5, KS_TEST_UUID_1, FALSE, ACTIVATED, "5", 5, 0);
  ks_test_nm_device (nm, 5, "wg0", 5, 0);
  ks_test_nm_ip4 (nm, 5, "10.8.0.2/32", "", "10.99.0.0/16 0.0.0.0/0", "10.64.0.1");
  ks_test_nm_wireguard (nm, 5, 51820, 0xca6c);
  network = read_network (profiles);
  assert_int_equal (network->tunnels->len, 1);
  tunnel = network->tunnels->pdata[0];
  assert_string_equal (tunnel->interface, "wg0");
  assert_int_equal (tunnel->listen_port, 51820);
  assert_int_equal (tunnel->fwmark, 0xca6c);
  assert_true (tunnel->has_ipv4);
  assert_false (tunnel->has_ipv6);
  assert_int_equal (tunnel->prefixes->len, 1);
}

static void
network_survives_objects_that_vanish (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();
  g_autoptr (GPtrArray) profiles = profiles_new ();
  g_autoptr (KsNetwork) network = NULL;

  add_profile (profiles, KS_TEST_UUID_1, KS_VPN_PLUGIN, "vpn.example.org");
  add_profile (profiles, KS_TEST_UUID_2, KS_VPN_WIREGUARD, "vpn.example.org");
  set_openvpn (nm, ACTIVATED);
  /* listed, but gone: active connections, devices, configurations, WireGuard's interface */
  ks_test_nm_main (nm, CONNECTED, "9 2 3 4 5 6", "8 2 3 5 7");
  ks_test_nm_active (nm, 2, LAN_UUID, FALSE, ACTIVATED, "2", 77, 78);
  ks_test_nm_active (nm, 5, KS_TEST_UUID_2, FALSE, ACTIVATED, "5", 79, 80);
  ks_test_nm_device (nm, 5, "wg0", 79, 80);
  network = read_network (profiles);
  assert_int_equal (network->tunnels->len, 2);
}

static void
network_without_properties_is_empty (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();
  g_autoptr (GPtrArray) profiles = profiles_new ();
  g_autoptr (KsNetwork) network = NULL;

  add_profile (profiles, KS_TEST_UUID_1, KS_VPN_PLUGIN, "203.0.113.10");
  ks_test_nm_set (nm, "", "", "{}");
  network = read_network (profiles);
  assert_int_equal (network->tunnels->len, 0);
  assert_int_equal (network->resolvers->len, 0);
}

static void
network_ignores_senseless_values (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();
  g_autoptr (GPtrArray) profiles = profiles_new ();
  g_autoptr (KsNetwork) network = NULL;
  const KsTunnel *tunnel;

  add_profile (profiles, KS_TEST_UUID_1, KS_VPN_WIREGUARD, "203.0.113.10");
  ks_test_nm_set (nm, "", "",
                  "{'State': <'not a number'>, 'ActiveConnections': <[objectpath '/', "
                  "'/org/freedesktop/NetworkManager/ActiveConnection/5']>, 'Devices': <7>}");
  ks_test_nm_active (nm, 5, KS_TEST_UUID_1, FALSE, ACTIVATED, "5", 5, 5);
  ks_test_nm_device (nm, 5, "wg0", 5, 5);
  ks_test_nm_ip4 (nm, 5, "10.8.0.2/99 nonsense/8 10.8.0.3/24", "nobody", "x/8 10.0.0.0/33 fd00::/8>10.8.0.1", "nobody");
  ks_test_nm_set (nm, "/IP6Config/5", ".IP6Config",
                  "{'Nameservers': <[[byte 1, 2, 3], @ay []]>, 'AddressData': <'x'>, 'Gateway': <'10.0.0.1'>, "
                  "'RouteData': <[{'dest': <7>}]>}");
  ks_test_nm_set (nm, "/Devices/5", ".Device.WireGuard", "{'ListenPort': <'x'>, 'FwMark': <'y'>}");
  network = read_network (profiles);
  assert_int_equal (network->tunnels->len, 1);
  tunnel = network->tunnels->pdata[0];
  assert_int_equal (tunnel->addresses->len, 1);
  assert_int_equal (tunnel->nameservers->len, 0);
  assert_int_equal (tunnel->listen_port, 0);
  assert_false (tunnel->has_ipv6);
  assert_false (ks_prefix_is_set (&tunnel->gateway4));
  assert_false (ks_prefix_is_set (&tunnel->gateway6));
}

static void
network_refuses_invalid_interface_names (void **state G_GNUC_UNUSED)
{
  static const char *const names[] = { "", "a name with spaces", "../etc", "0123456789abcdefgh" };
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();
  g_autoptr (GPtrArray) profiles = profiles_new ();

  add_profile (profiles, KS_TEST_UUID_1, KS_VPN_WIREGUARD, "203.0.113.10");
  add_profile (profiles, KS_TEST_UUID_2, KS_VPN_PLUGIN, "203.0.113.10");
  ks_test_nm_main (nm, CONNECTED, "5 6", "5 6");
  ks_test_nm_active (nm, 5, KS_TEST_UUID_1, FALSE, ACTIVATED, "5", 5, 0);
  ks_test_nm_active (nm, 6, KS_TEST_UUID_2, TRUE, ACTIVATED, "2", 6, 0);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    g_autoptr (KsNetwork) network = NULL;

    ks_test_nm_device (nm, 5, names[i], 5, 0);
    ks_test_nm_device (nm, 6, names[i], 6, 0);
    network = read_network (profiles);
    assert_int_equal (network->tunnels->len, 0);
  }
}

static void
network_lists_the_uplinks_resolvers_for_a_dns_tunnel (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();
  g_autoptr (GPtrArray) profiles = profiles_new ();
  g_autoptr (KsNetwork) network = NULL;
  g_autofree char *resolvers = NULL;

  set_openvpn (nm, ACTIVATED);
  ks_test_nm_main (nm, CONNECTED, "2 3", "2 3");
  add_profile (profiles, KS_TEST_UUID_1, KS_VPN_PLUGIN, KS_ENDPOINT_RESOLVERS);
  network = read_network (profiles);
  resolvers = ks_test_format_prefixes (network->resolvers);
  assert_string_equal (resolvers, "192.168.50.1 fd50::53");
}

static void
network_lists_the_uplinks_resolvers_for_servers_with_names (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();
  g_autoptr (GPtrArray) profiles = profiles_new ();
  g_autoptr (KsNetwork) by_address = NULL, by_name = NULL;
  g_autofree char *resolvers = NULL;

  set_openvpn (nm, ACTIVATED);
  ks_test_nm_main (nm, CONNECTED, "2 3", "2 3");
  add_profile (profiles, KS_TEST_UUID_1, KS_VPN_PLUGIN, "203.0.113.10");
  by_address = read_network (profiles);
  assert_int_equal (by_address->resolvers->len, 0);
  add_profile (profiles, KS_TEST_UUID_2, KS_VPN_PLUGIN, "vpn.example.org");
  by_name = read_network (profiles);
  resolvers = ks_test_format_prefixes (by_name->resolvers);
  assert_string_equal (resolvers, "192.168.50.1 fd50::53");
}

/* One that brings up a VPN (connection.secondaries) is not activated before that VPN is, and shows no configuration. */
static void
network_lists_the_resolvers_of_an_uplink_that_is_not_activated_yet (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();
  g_autoptr (GPtrArray) profiles = profiles_new ();
  g_autoptr (KsNetwork) network = NULL, without_device = NULL;
  g_autofree char *resolvers = NULL;

  set_lan (nm);
  ks_test_nm_active (nm, 2, LAN_UUID, FALSE, ACTIVATING, "2", 0, 0);
  ks_test_nm_main (nm, CONNECTED, "2", "2");
  add_profile (profiles, KS_TEST_UUID_1, KS_VPN_PLUGIN, "vpn.example.org");
  network = read_network (profiles);
  resolvers = ks_test_format_prefixes (network->resolvers);
  assert_string_equal (resolvers, "192.168.50.1 fd50::53");
  ks_test_nm_active (nm, 2, LAN_UUID, FALSE, ACTIVATING, "", 0, 0);
  without_device = read_network (profiles);
  assert_int_equal (without_device->resolvers->len, 0);
}

static void
network_knows_when_networkmanager_itself_is_leaving (void **state G_GNUC_UNUSED)
{
  static const struct {
    guint state;
    gboolean leaving;
  } cases[] = { { ASLEEP, TRUE }, { DISCONNECTING, TRUE }, { CONNECTED, FALSE }, { 20, FALSE }, { 0, FALSE } };
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();
  g_autoptr (GPtrArray) profiles = profiles_new ();

  add_profile (profiles, KS_TEST_UUID_1, KS_VPN_PLUGIN, "203.0.113.10");
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (KsNetwork) network = NULL;

    ks_test_nm_main (nm, cases[i].state, "", "");
    network = read_network (profiles);
    assert_int_equal (network->leaving, cases[i].leaving);
  }
}

static void
network_puts_tunnels_without_a_default_route_last (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();
  g_autoptr (GPtrArray) profiles = profiles_new ();
  g_autoptr (KsNetwork) network = NULL;
  KsProfile *split = add_profile (profiles, KS_TEST_UUID_1, KS_VPN_WIREGUARD, "203.0.113.10");

  split->never_default4 = split->never_default6 = TRUE;
  add_profile (profiles, KS_TEST_UUID_2, KS_VPN_WIREGUARD, "203.0.113.11");
  add_profile (profiles, KS_TEST_UUID_3, KS_VPN_WIREGUARD, "203.0.113.12");
  ks_test_nm_main (nm, CONNECTED, "5 6 7", "5 6 7");
  for (guint i = 5; i <= 7; i++) {
    static const char *const uuids[] = { KS_TEST_UUID_1, KS_TEST_UUID_2, KS_TEST_UUID_3 };
    g_autofree char *name = g_strdup_printf ("wg%u", i), *number = g_strdup_printf ("%u", i);

    ks_test_nm_active (nm, i, uuids[i - 5], FALSE, ACTIVATED, number, i, 0);
    ks_test_nm_device (nm, i, name, i, 0);
  }
  network = read_network (profiles);
  assert_int_equal (network->tunnels->len, 3);
  assert_string_equal (((const KsTunnel *) network->tunnels->pdata[0])->interface, "wg6");
  assert_string_equal (((const KsTunnel *) network->tunnels->pdata[1])->interface, "wg7");
  assert_string_equal (((const KsTunnel *) network->tunnels->pdata[2])->interface, "wg5");
}

static void
network_puts_a_tunnel_that_is_being_taken_down_last (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();
  g_autoptr (GPtrArray) profiles = profiles_new ();
  g_autoptr (KsNetwork) network = NULL;

  add_profile (profiles, KS_TEST_UUID_1, KS_VPN_WIREGUARD, "203.0.113.10");
  add_profile (profiles, KS_TEST_UUID_2, KS_VPN_WIREGUARD, "203.0.113.11");
  ks_test_nm_main (nm, CONNECTED, "5 6", "5 6");
  ks_test_nm_active (nm, 5, KS_TEST_UUID_1, FALSE, DEACTIVATING, "5", 5, 0);
  ks_test_nm_device (nm, 5, "wg5", 5, 0);
  ks_test_nm_active (nm, 6, KS_TEST_UUID_2, FALSE, ACTIVATED, "6", 6, 0);
  ks_test_nm_device (nm, 6, "wg6", 6, 0);
  network = read_network (profiles);
  assert_int_equal (network->tunnels->len, 2);
  assert_string_equal (((const KsTunnel *) network->tunnels->pdata[0])->interface, "wg6");
  assert_string_equal (((const KsTunnel *) network->tunnels->pdata[1])->interface, "wg5");
}

static void
network_knows_a_profile_without_a_uuid_by_its_file (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestNm) nm = ks_test_nm_new ();
  g_autoptr (GPtrArray) profiles = profiles_new ();
  g_autoptr (KsNetwork) network = NULL;

  add_profile (profiles, NULL, KS_VPN_WIREGUARD, "203.0.113.10");
  set_lan (nm);
  ks_test_nm_main (nm, CONNECTED, "2 5", "2 5");
  ks_test_nm_active (nm, 5, "made-up-by-networkmanager", FALSE, ACTIVATED, "5", 5, 0);
  ks_test_nm_device (nm, 5, "wg0", 5, 0);
  ks_test_nm_set (nm, "/Settings/5", ".Settings.Connection", "{'Filename': <'/etc/no-uuid'>}");
  network = read_network (profiles);
  assert_int_equal (network->tunnels->len, 1);
  assert_int_equal (ks_network_active_state (network, "/etc/no-uuid"), KS_ACTIVE_ACTIVATED);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (network_without_a_bus_is_silent),
    cmocka_unit_test (network_without_networkmanager_is_silent),
    cmocka_unit_test (network_that_never_answers_is_silent_within_the_limit),
    cmocka_unit_test (network_that_stops_answering_at_any_question_is_silent),
    cmocka_unit_test (network_of_a_hung_bus_is_silent_within_the_limit),
    cmocka_unit_test (network_of_a_bus_that_hangs_after_authentication_is_silent_within_the_limit),
    cmocka_unit_test (network_finds_the_device_of_a_plugin_vpn_by_its_ip_configuration),
    cmocka_unit_test (network_vpn_without_an_ip_configuration_yet_has_no_tunnel),
    cmocka_unit_test (network_vpn_whose_device_is_gone_has_no_tunnel),
    cmocka_unit_test (network_never_takes_the_device_a_vpn_goes_by_for_its_tunnel),
    cmocka_unit_test (network_vpn_has_a_tunnel_until_it_is_down),
    cmocka_unit_test (network_reads_port_and_mark_of_wireguard),
    cmocka_unit_test (network_survives_objects_that_vanish),
    cmocka_unit_test (network_without_properties_is_empty),
    cmocka_unit_test (network_ignores_senseless_values),
    cmocka_unit_test (network_refuses_invalid_interface_names),
    cmocka_unit_test (network_lists_the_uplinks_resolvers_for_servers_with_names),
    cmocka_unit_test (network_lists_the_uplinks_resolvers_for_a_dns_tunnel),
    cmocka_unit_test (network_lists_the_resolvers_of_an_uplink_that_is_not_activated_yet),
    cmocka_unit_test (network_knows_when_networkmanager_itself_is_leaving),
    cmocka_unit_test (network_puts_tunnels_without_a_default_route_last),
    cmocka_unit_test (network_puts_a_tunnel_that_is_being_taken_down_last),
    cmocka_unit_test (network_knows_a_profile_without_a_uuid_by_its_file),
  };

  return cmocka_run_group_tests_name ("ks-network", tests, NULL, NULL);
}
