/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Policies applied to a real kernel: from dump to difference to plan and back,
 * with `ip route get` to say where packets go then.
 *
 *      the wire              host (this namespace)
 *   +------------+       +-------------------------------------------+
 *   |  wire      |-------| uplink   192.168.50.2/24  fd50::2/64      |
 *   +------------+       |          default via 192.168.50.1, fe80::1|
 *                        | tun0     10.8.0.2/24      fd08::2/64      |
 *                        | tun1     10.9.0.2/24                      |
 *                        +-------------------------------------------+
 *
 * The VPN's server is 203.0.113.10 port 51820; its WireGuard listens on 51820.
 */
#include "netns.h"

#include <linux/capability.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/ks-error.h"
#include "kernel/ks-kernel.h"
#include "kernel/ks-lookup.h"
#include "kernel/ks-netlink.h"
#include "kernel/ks-rule-message.h"
#include "ks-test.h"
#include "policy/ks-route-index.h"

#define SERVER "203.0.113.10"
#define PUBLIC "198.51.100.1"
#define PUBLIC6 "2001:db8:1::1"

/* --- the network --- */

static void
make_network (void)
{
  netns_run ("ip link add uplink type veth peer name wire");
  netns_run ("ip link set uplink addrgenmode none up");
  netns_run ("ip link set wire addrgenmode none up");
  netns_run ("ip addr add 192.168.50.2/24 dev uplink");
  netns_run ("ip addr add fd50::2/64 dev uplink nodad");
  netns_run ("ip route add default via 192.168.50.1 dev uplink proto dhcp metric 100");
  netns_run ("ip -6 route add default via fe80::1 dev uplink proto ra metric 100");
}

static void
make_tunnel (const char *name, const char *address4, const char *address6)
{
  netns_run ("ip tuntap add mode tun name %s", name);
  netns_run ("ip link set %s addrgenmode none up", name);
  netns_run ("ip addr add %s dev %s", address4, name);
  if (address6)
    netns_run ("ip addr add %s dev %s nodad", address6, name);
}

/* --- situations --- */

typedef struct {
  KsConfig *config;
  GPtrArray *armed; /* of KsProfile */
  GPtrArray *tunnels; /* of KsTunnel */
  KsDiffFlags flags;
} Scene;

static Scene *
scene_new (void)
{
  Scene *scene = g_new0 (Scene, 1);

  scene->config = ks_config_new ();
  scene->armed = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_profile_free);
  scene->tunnels = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_tunnel_free);
  return scene;
}

static void
scene_free (Scene *scene)
{
  ks_config_free (scene->config);
  g_ptr_array_unref (scene->armed);
  g_ptr_array_unref (scene->tunnels);
  g_free (scene);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Scene, scene_free)

static KsProfile *
arm (Scene *scene, const char *name, const char *server, guint16 port)
{
  KsProfile *profile = ks_profile_new ();
  guint32 root = 0;

  profile->path = g_strdup (name);
  profile->id = g_strdup (name);
  profile->mode = KS_MODE_STRICT;
  profile->vpn_type = KS_VPN_WIREGUARD;
  profile->listen_port = port;
  g_array_append_val (profile->uids, root);
  g_ptr_array_add (profile->endpoints, ks_endpoint_new (server, port, IPPROTO_UDP));
  g_ptr_array_add (scene->armed, profile);
  return profile;
}

static KsTunnel *
add_tunnel (Scene *scene, const char *name, const char *interface, const char *subnet4, const char *subnet6)
{
  KsTunnel *tunnel = ks_tunnel_new (name, interface);
  KsPrefix subnet = ks_test_prefix (subnet4);

  tunnel->ifindex = if_nametoindex (interface);
  assert_true (tunnel->ifindex > 0);
  tunnel->has_ipv4 = TRUE;
  ks_prefix_array_add (tunnel->addresses, &subnet);
  ks_tunnel_add_prefix (tunnel, &subnet, NULL);
  if (subnet6) {
    subnet = ks_test_prefix (subnet6);
    tunnel->has_ipv6 = TRUE;
    ks_tunnel_add_prefix (tunnel, &subnet, NULL);
  }
  g_ptr_array_add (scene->tunnels, tunnel);
  return tunnel;
}

/* --- apply --- */

static KsSnapshot *
dump (KsKernel *kernel, const Scene *scene)
{
  g_autoptr (GError) error = NULL;
  KsSnapshot *snapshot = ks_kernel_dump (kernel, scene->config, &error);

  if (!snapshot)
    fail_msg ("%s", error->message);
  return snapshot;
}

static GArray *
plan_of (const Scene *scene, const KsSnapshot *snapshot)
{
  KsPolicyInput input = {
    .config = scene->config,
    .armed = scene->armed,
    .tunnels = scene->tunnels,
    .main_routes = snapshot->routes,
    .rules = snapshot->rules,
    .no_ipv6 = snapshot->no_ipv6,
  };
  g_autoptr (KsPolicy) policy = ks_policy_compute (&input);

  return ks_diff_compute (scene->config, snapshot->rules, snapshot->routes, policy, scene->flags);
}

static void
print_plan (const GArray *plan)
{
  for (guint i = 0; i < plan->len; i++) {
    g_autofree char *text = ks_step_format (&g_array_index (plan, KsStep, i));

    print_message ("  %s\n", text);
  }
}

/* One pass, which has to succeed; returns the changes the kernel accepted. */
static guint
apply_once (const Scene *scene)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KsKernel) kernel = ks_kernel_new (&error);
  g_autoptr (KsSnapshot) snapshot = NULL;
  g_autoptr (GArray) plan = NULL;
  guint changes = 0;

  assert_non_null (kernel);
  snapshot = dump (kernel, scene);
  plan = plan_of (scene, snapshot);
  if (!ks_kernel_apply (kernel, plan, &changes, &error)) {
    print_plan (plan);
    fail_msg ("%s", error->message);
  }
  return changes;
}

/* A socket that hears of every change to rules and routes. */
static int
open_monitor (void)
{
  static const guint groups[] = { RTNLGRP_IPV4_RULE, RTNLGRP_IPV6_RULE, RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE };
  struct sockaddr_nl address = { .nl_family = AF_NETLINK };
  int monitor = socket (AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);

  assert_true (monitor >= 0);
  assert_int_equal (bind (monitor, (struct sockaddr *) &address, sizeof address), 0);
  for (guint i = 0; i < G_N_ELEMENTS (groups); i++)
    assert_int_equal (setsockopt (monitor, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &groups[i], sizeof groups[i]), 0);
  return monitor;
}

static guint
close_monitor (int monitor)
{
  char buffer[8192];
  guint messages = 0;

  while (recv (monitor, buffer, sizeof buffer, 0) > 0)
    messages++;
  close (monitor);
  return messages;
}

/* A run, and another one: the first reaches what is wanted, the second changes nothing and nobody hears of it. */
static guint
apply (const Scene *scene)
{
  guint changes = apply_once (scene);
  int monitor;

  netns_settle (); /* carriers and addresses make messages of their own */
  monitor = open_monitor ();
  if (apply_once (scene) != 0) {
    g_autoptr (KsKernel) kernel = ks_kernel_new (NULL);
    g_autoptr (KsSnapshot) snapshot = dump (kernel, scene);
    g_autoptr (GArray) plan = plan_of (scene, snapshot);

    print_plan (plan);
    close (monitor);
    fail_msg ("a second run changes something");
  }
  assert_int_equal (close_monitor (monitor), 0);
  return changes;
}

/* --- where packets go --- */

/* `ip route get WORDS`, as "DEVICE table TABLE" or "blocked" (transfer full). */
static char *
look_up (const char *words)
{
  g_autofree char *line = g_strdup_printf ("ip -N route get %s", words);
  g_autofree char *out = NULL, *messages = NULL;
  g_auto (GStrv) argv = NULL, found = NULL;
  const char *device = NULL, *table = "254";

  assert_true (g_shell_parse_argv (line, NULL, &argv, NULL));
  if (netns_spawn (argv, &out, &messages) != 0)
    return g_strdup ("blocked");
  found = g_strsplit (out, " ", -1);
  for (char **word = found; *word; word++)
    if (word[1] && strcmp (*word, "dev") == 0)
      device = word[1];
    else if (word[1] && strcmp (*word, "table") == 0)
      table = word[1];
  /* IPv6 shows routes that carry nothing as routes by the loopback device */
  if (!device || strcmp (device, "lo") == 0)
    return g_strdup ("blocked");
  return g_strdup_printf ("%s table %s", device, table);
}

static void
expect_at (const char *words, const char *expected, int line)
{
  g_autofree char *found = NULL;

  if (strstr (words, "uid 65534") && !netns_has_users ())
    return;
  found = look_up (words);
  if (strcmp (found, expected) != 0)
    fail_msg ("line %d: ip route get %s: %s, expected %s", line, words, found, expected);
}
#define expect(words, expected) expect_at (words, expected, __LINE__)

/* What holds while armed, whatever the tunnels do. */
static void
expect_armed (void)
{
  /* the transport, and nobody else to its server */
  expect (SERVER " uid 0 ipproto udp dport 51820", "uplink table 86");
  /* the LAN */
  expect ("192.168.50.77 uid 0", "uplink table 254");
  expect ("fd50::77 uid 0", "uplink table 254");
  /* IPv6, bound to the uplink */
  expect (PUBLIC6 " oif uplink", "blocked");
}

/* Nothing but LAN and transport gets out. */
static void
expect_blocked (void)
{
  expect_armed ();
  expect (PUBLIC, "blocked");
  expect (PUBLIC " uid 65534", "blocked");
  expect (PUBLIC6, "blocked");
  expect (PUBLIC " uid 65534 ipproto udp sport 51820", "blocked");
  expect (PUBLIC " uid 0 ipproto tcp sport 51820 dport 80", "blocked");
  expect (SERVER " uid 65534 ipproto udp dport 51820", "blocked");
  expect (SERVER " uid 0 ipproto tcp dport 80", "blocked");
  expect ("192.168.50.1 ipproto udp dport 53", "blocked");
  expect ("fd50::1 ipproto tcp dport 853", "blocked");
}

/* There is no device that could send from its port. */
static void
expect_no_port (void)
{
  expect ("198.51.100.7 uid 0 ipproto udp sport 51820 dport 4711", "blocked");
}

static void
expect_tunnel (const char *device, gboolean with_ipv6)
{
  g_autofree char *by_tunnel = g_strdup_printf ("%s table 84", device);
  g_autofree char *dns = g_strdup_printf ("%s table 83", device);

  expect_armed ();
  /* wherever its peers have roamed to */
  expect ("198.51.100.7 uid 0 ipproto udp sport 51820 dport 4711", "uplink table 85");
  expect (PUBLIC, by_tunnel);
  expect (PUBLIC " uid 65534 ipproto udp sport 51820", by_tunnel);
  expect (SERVER " uid 0 ipproto tcp dport 80", by_tunnel);
  expect ("192.168.50.1 ipproto udp dport 53", dns);
  expect ("192.168.50.77", "uplink table 254");
  expect (PUBLIC6, with_ipv6 ? by_tunnel : "blocked");
}

/* --- tests --- */

static void
armed_without_a_tunnel_only_lan_and_transport_get_out (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  expect (PUBLIC, "uplink table 254");
  expect (PUBLIC6, "uplink table 254");
  arm (scene, "wg", SERVER, 51820);
  assert_true (apply (scene) > 0);
  expect_blocked ();
  expect_no_port ();

  scene->config->dns = KS_DNS_LAN;
  assert_true (apply (scene) > 0);
  expect ("192.168.50.1 ipproto udp dport 53", "uplink table 254");
  expect (PUBLIC " ipproto udp dport 53", "blocked");

  scene->config->lan = KS_LAN_OFF;
  assert_true (apply (scene) > 0);
  expect ("192.168.50.77", "blocked");
  expect (SERVER " uid 0 ipproto udp dport 51820", "uplink table 86");
}

static void
tunnel_carries_everything_while_it_is_there (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  arm (scene, "wg", SERVER, 51820);
  apply (scene);

  make_tunnel ("tun0", "10.8.0.2/24", "fd08::2/64");
  add_tunnel (scene, "wg", "tun0", "10.8.0.0/24", "fd08::/64");
  apply (scene);
  expect_tunnel ("tun0", TRUE);
  expect ("10.8.0.5", "tun0 table 84");

  /* down: the kernel takes its routes, the blackholes stay */
  netns_run ("ip link set tun0 down");
  expect_blocked ();
  expect ("10.8.0.5", "blocked");
  g_ptr_array_set_size (scene->tunnels, 0);
  apply (scene);
  expect_blocked ();
  expect_no_port ();

  netns_run ("ip link set tun0 up");
  netns_run ("ip addr replace fd08::2/64 dev tun0 nodad");
  add_tunnel (scene, "wg", "tun0", "10.8.0.0/24", "fd08::/64");
  apply (scene);
  expect_tunnel ("tun0", TRUE);

  /* deleted, with nobody told */
  netns_run ("ip link del tun0");
  expect_blocked ();
  expect ("10.8.0.5", "blocked");
  g_ptr_array_set_size (scene->tunnels, 0);
  apply (scene);
  expect_blocked ();
}

/* Where no device is named, the kernel looks for the gateway's: it must not be the tunnel. */
static void
gateway_outside_the_lan_is_found_while_the_tunnel_is_up (void **state G_GNUC_UNUSED)
{
  static const char *const gateways[] = { NULL, "10.8.0.1" };

  for (guint i = 0; i < G_N_ELEMENTS (gateways); i++) {
    g_autoptr (Scene) scene = scene_new ();
    g_autofree char *routes = NULL;
    KsTunnel *tunnel;

    NETNS_ENTER_OR_SKIP ();
    make_network ();
    netns_run ("ip address add 100.64.3.2/24 dev uplink");
    make_tunnel ("tun0", "10.8.0.2/24", NULL);
    arm (scene, "wg", SERVER, 51820);
    tunnel = add_tunnel (scene, "wg", "tun0", "10.8.0.0/24", NULL);
    if (gateways[i])
      tunnel->gateway4 = ks_test_prefix (gateways[i]);
    apply (scene);
    expect (PUBLIC, "tun0 table 84");
    netns_run ("ip route add 198.18.0.0/15 via 100.64.3.1");
    routes = netns_output ("ip route show 198.18.0.0/15");
    assert_non_null (strstr (routes, "via 100.64.3.1 dev uplink"));
  }
}

/* What the policy leaves out, or somebody takes away, costs time and nothing else. */
static void
without_the_shortcut_all_is_the_same (void **state G_GNUC_UNUSED)
{
  static const char *const losses[] = { "ip route delete default dev tun0 table 84",
                                        "ip -6 route delete default dev tun0 table 84" };
  g_autoptr (Scene) scene = scene_new ();

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  make_tunnel ("tun0", "10.8.0.2/24", "fd08::2/64");
  arm (scene, "wg", SERVER, 51820);
  add_tunnel (scene, "wg", "tun0", "10.8.0.0/24", "fd08::/64");
  apply (scene);
  expect_tunnel ("tun0", TRUE);
  for (guint i = 0; i < G_N_ELEMENTS (losses); i++)
    netns_run ("%s", losses[i]);
  expect (PUBLIC, "tun0 table 83");
  expect (PUBLIC6, "tun0 table 83");
  expect ("192.168.50.77", "uplink table 254");
  expect ("fd50::77", "uplink table 254");
  assert_int_equal (apply (scene), G_N_ELEMENTS (losses));
  /* with Lan=routes the LAN has no prefixes to lead past it */
  scene->config->lan = KS_LAN_ROUTES;
  apply (scene);
  expect (PUBLIC, "tun0 table 83");
  expect ("192.168.50.77", "uplink table 254");
}

static void
vpn_without_ipv6_leaves_ipv6_blocked (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsTunnel *tunnel;

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  make_tunnel ("tun0", "10.8.0.2/24", NULL);
  arm (scene, "wg", SERVER, 51820);
  tunnel = add_tunnel (scene, "wg", "tun0", "10.8.0.0/24", NULL);
  tunnel->gateway4 = ks_test_prefix ("10.8.0.1");
  apply (scene);
  expect_tunnel ("tun0", FALSE);
}

static void
tunnels_switch_without_a_gap_for_the_transport (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  make_tunnel ("tun0", "10.8.0.2/24", "fd08::2/64");
  make_tunnel ("tun1", "10.9.0.2/24", NULL);
  arm (scene, "wg", SERVER, 51820);
  arm (scene, "second", "203.0.113.11", 51821);
  add_tunnel (scene, "wg", "tun0", "10.8.0.0/24", "fd08::/64");
  apply (scene);
  expect_tunnel ("tun0", TRUE);

  add_tunnel (scene, "second", "tun1", "10.9.0.0/24", NULL);
  apply (scene);
  expect_tunnel ("tun0", TRUE);
  expect ("10.9.0.5", "tun1 table 84");
  expect ("203.0.113.11 uid 0 ipproto udp dport 51821", "uplink table 86");

  /* the second is preferred now */
  g_ptr_array_add (scene->tunnels, g_ptr_array_steal_index (scene->tunnels, 0));
  apply (scene);
  expect (PUBLIC, "tun1 table 84");
  expect (PUBLIC6, "tun0 table 84");

  g_ptr_array_set_size (scene->tunnels, 1);
  apply (scene);
  expect (PUBLIC, "tun1 table 84");
  expect (PUBLIC6, "blocked");
  /* the device is still there, with its subnet: a LAN like any other now */
  expect ("10.8.0.5", "tun0 table 254");
}

static void
uplink_table_follows_main (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  static const char transport[] = SERVER " uid 0 ipproto udp dport 51820";
  static const char transport6[] = "2001:db8:5::10 uid 0 ipproto udp dport 51820";

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  arm (scene, "wg", SERVER, 51820);
  g_ptr_array_add (((KsProfile *) scene->armed->pdata[0])->endpoints,
                   ks_endpoint_new ("2001:db8:5::10", 51820, IPPROTO_UDP));
  apply (scene);
  expect (transport6, "uplink table 86");

  /* another gateway at the same metric, of both families */
  netns_run ("ip route replace default via 192.168.50.254 dev uplink proto dhcp metric 100");
  netns_run ("ip -6 route replace default via fe80::2 dev uplink proto ra metric 100");
  apply (scene);
  expect_blocked ();
  {
    g_autofree char *v4 = netns_output ("ip -N -4 route show table 85 default");
    g_autofree char *v6 = netns_output ("ip -N -6 route show table 85 default");

    assert_non_null (strstr (v4, "via 192.168.50.254 "));
    assert_null (strstr (v4, "192.168.50.1 "));
    assert_non_null (strstr (v6, "via fe80::2 "));
    assert_null (strstr (v6, "fe80::1 "));
  }

  /* a second uplink that is preferred, and goes */
  netns_run ("ip link add wireless type veth peer name air");
  netns_run ("ip link set air addrgenmode none up");
  netns_run ("ip link set wireless addrgenmode none up");
  netns_run ("ip addr add 192.168.60.2/24 dev wireless");
  netns_run ("ip route add default via 192.168.60.1 dev wireless proto dhcp metric 50");
  apply (scene);
  expect (transport, "wireless table 86");
  expect (PUBLIC, "blocked");
  expect ("192.168.60.9", "wireless table 254");
  netns_run ("ip link del wireless");
  expect (transport, "uplink table 86");
  apply (scene);
  expect_blocked ();

  /* no uplink at all: the transport ends, and is not sent elsewhere */
  netns_run ("ip route del default");
  netns_run ("ip -6 route del default");
  apply (scene);
  expect (transport, "blocked");
  expect (transport6, "blocked");
  expect (PUBLIC, "blocked");
}

/* IPv6 next hops of one destination and metric are one route, or several, as they came. */
/* Where @host goes by table main, and by the policy's index over it: the same device, or none. */
static void
expect_same_answer (KsNlSocket *socket, const KsRouteIndex *index, const char *host)
{
  KsLookup lookup = { .to = ks_test_prefix (host), .ip_protocol = IPPROTO_UDP, .sport = 1, .dport = 2 };
  const GPtrArray *routes = ks_route_index_match (index, &lookup.to);
  const KsRoute *first = routes ? routes->pdata[0] : NULL;
  KsLookupResult result;

  assert_true (ks_lookup (socket, &lookup, &result, NULL));
  if (!first || first->type != RTN_UNICAST)
    assert_true (result.error != 0 || result.type != RTN_UNICAST);
  else if (result.error || result.ifindex != first->nexthops[0].ifindex)
    fail_msg ("%s: the kernel says device %u, error %d; the index device %u", host, result.ifindex, result.error,
              first->nexthops[0].ifindex);
}

/* A disconnect deletes devices while a run asks: nothing can leave by such a device. */
static void
lookup_by_a_device_that_is_gone_finds_no_route (void **state G_GNUC_UNUSED)
{
  static const char *const targets[] = { "203.0.113.1", "2001:db8::1" };
  g_autoptr (KsNlSocket) socket = NULL;

  NETNS_ENTER_OR_SKIP ();
  socket = ks_netlink_open (NULL);
  assert_non_null (socket);
  for (guint i = 0; i < G_N_ELEMENTS (targets); i++) {
    KsLookup lookup = { .to = ks_test_prefix (targets[i]), .oif = 4711, .ip_protocol = IPPROTO_UDP };
    KsLookupResult result = { 0 };
    g_autoptr (GError) error = NULL;

    assert_true (ks_lookup (socket, &lookup, &result, &error));
    assert_null (error);
    assert_int_not_equal (result.error, 0);
  }
}

static void
longest_match_is_the_kernels_answer (void **state G_GNUC_UNUSED)
{
  static const char *const lengths4[] = { "0.0.0.0/1",       "128.0.0.0/1",     "203.0.0.0/8",     "203.0.113.0/24",
                                          "203.0.113.64/26", "203.0.113.65/32", "198.51.100.0/22", "0.0.0.0/0" };
  static const char *const lengths6[] = { "2001:db8::/32",      "2001:db8:5::/48", "2001:db8:5::40/122",
                                          "2001:db8:5::41/128", "2000::/3",        "::/0" };
  g_autoptr (GRand) random = g_rand_new_with_seed (86);
  g_autoptr (KsNlSocket) socket = NULL;
  g_autoptr (KsKernel) kernel = NULL;
  g_autoptr (Scene) scene = scene_new ();

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  netns_run ("ip link add other type veth peer name far");
  netns_run ("ip link set other addrgenmode none up");
  netns_run ("ip link set far addrgenmode none up");
  netns_settle ();
  socket = ks_netlink_open (NULL);
  kernel = ks_kernel_new (NULL);
  for (int round = 0; round < 12; round++) {
    g_autoptr (KsSnapshot) snapshot = NULL;
    g_autoptr (KsRouteIndex) index = NULL;

    netns_run ("ip -4 route flush table main");
    netns_run ("ip -6 route flush table main");
    for (guint i = 0; i < G_N_ELEMENTS (lengths4) + G_N_ELEMENTS (lengths6); i++)
      for (int j = 0; j < 2; j++)
        if (g_rand_boolean (random))
          netns_run ("ip route replace %s dev %s metric %d",
                     i < G_N_ELEMENTS (lengths4) ? lengths4[i] : lengths6[i - G_N_ELEMENTS (lengths4)],
                     g_rand_boolean (random) ? "uplink" : "other", g_rand_int_range (random, 1, 1000));
    netns_run ("ip route replace unreachable 203.0.113.128/25 metric 5");
    snapshot = dump (kernel, scene);
    index = ks_route_index_new (snapshot->routes, RT_TABLE_MAIN);
    for (int i = 0; i < 60; i++) {
      g_autofree char *v4 = g_strdup_printf ("203.0.113.%d", g_rand_int_range (random, 1, 255));
      g_autofree char *v6 =
        g_strdup_printf ("2001:db8:%d::%x", g_rand_int_range (random, 4, 7), g_rand_int_range (random, 0x38, 0x50));
      g_autofree char *far = g_strdup_printf ("%d.51.100.7", g_rand_int_range (random, 1, 223));

      expect_same_answer (socket, index, v4);
      expect_same_answer (socket, index, v6);
      if (!g_str_has_prefix (far, "127."))
        expect_same_answer (socket, index, far);
    }
    expect_same_answer (socket, index, "203.0.113.65");
    expect_same_answer (socket, index, "2001:db8:5::41");
  }
}

/* "DEVICE" or "blocked" of `ip route get WORDS` (transfer full). */
static char *
device_for (const char *words)
{
  g_autofree char *found = look_up (words);
  char *end = strstr (found, " table ");

  if (end)
    *end = '\0';
  return g_steal_pointer (&found);
}

/*
 * Of a [vpn NAME] section's networks: whatever main has inside a network, and
 * around it, the exempted packet goes where main alone sends it; any other
 * packet, and the same of another user, does not.
 */
static void
networks_of_a_section_are_routed_as_main_routes_them (void **state G_GNUC_UNUSED)
{
  static const char *const routes[] = {
    "203.0.113.64/26 via 192.168.60.1 dev wireless",       "203.0.113.66 via 192.168.50.9 dev uplink",
    "203.0.112.0/22 via 192.168.60.9 dev wireless",        "unreachable 203.0.113.128/25",
    "2001:db8:5:1::/64 via fe80::9 dev wireless",          "unreachable 2001:db8:5:2::/64",
    "203.0.113.0/25 via 192.168.50.8 dev uplink metric 7",
  };
  static const char *const addresses[] = { "203.0.113.1",   "203.0.113.65",  "203.0.113.66",    "203.0.113.200",
                                           "203.0.112.1",   "2001:db8:5::1", "2001:db8:5:1::1", "2001:db8:5:2::1",
                                           "198.51.100.77", "2001:db8:6::1" };
  g_autoptr (KsSection) section = ks_section_new ("company");
  g_autoptr (GPtrArray) answers = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (Scene) scene = scene_new ();

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  netns_run ("ip link add wireless type veth peer name air");
  netns_run ("ip link set wireless addrgenmode none up");
  netns_run ("ip link set air addrgenmode none up");
  netns_run ("ip addr add 192.168.60.2/24 dev wireless");
  for (guint i = 0; i < G_N_ELEMENTS (routes); i++)
    netns_run ("ip route add %s", routes[i]);
  netns_settle ();
  for (guint i = 0; i < G_N_ELEMENTS (addresses); i++)
    g_ptr_array_add (answers, device_for (addresses[i]));
  assert_string_equal (answers->pdata[1], "wireless");
  assert_string_equal (answers->pdata[3], "blocked");

  section->ip_protocol = IPPROTO_UDP;
  section->server_port = 443;
  g_ptr_array_add (section->servers, g_strdup ("203.0.113.0/24"));
  g_ptr_array_add (section->servers, g_strdup ("2001:db8:5::/48"));
  g_ptr_array_add (scene->armed, ks_profile_new_of_section (section, "conf"));
  apply (scene);
  for (guint i = 0; i < G_N_ELEMENTS (addresses); i++) {
    gboolean is_server =
      g_str_has_prefix (addresses[i], "203.0.113.") || g_str_has_prefix (addresses[i], "2001:db8:5:");
    g_autofree char *exempt = g_strdup_printf ("%s uid 0 ipproto udp dport 443", addresses[i]);
    g_autofree char *user = g_strdup_printf ("%s uid 65534 ipproto udp dport 443", addresses[i]);
    g_autofree char *port = g_strdup_printf ("%s uid 0 ipproto udp dport 444", addresses[i]);
    g_autofree char *found = device_for (exempt);

    assert_string_equal (found, is_server ? answers->pdata[i] : "blocked");
    expect (user, "blocked");
    expect (port, "blocked");
  }
}

static void
siblings_of_ipv6_routes_come_and_go_one_by_one (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  static const char transport6[] = "2001:db8:5::10 uid 0 ipproto udp dport 51820";
  static const char *const changes[] = {
    /* static ones: siblings */
    "route add default metric 100 nexthop via fe80::1 dev uplink nexthop via fe80::2 dev uplink weight 3",
    "route append default via fe80::3 dev uplink metric 100",
    "route del default via fe80::1 dev uplink metric 100",
    "route del default via fe80::2 dev uplink metric 100",
    "route del default via fe80::3 dev uplink metric 100",
    /* with an end to their life, as router advertisements make them: not */
    "route add default via fe80::1 dev uplink metric 1024 expires 1000",
    "route append default via fe80::2 dev uplink metric 1024 expires 1000",
    "route append default via fe80::3 dev uplink metric 1024",
    "route del default via fe80::1 dev uplink metric 1024",
    "route del default via fe80::3 dev uplink metric 1024",
  };

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  netns_run ("ip -6 route del default");
  arm (scene, "wg", "2001:db8:5::10", 51820);
  apply (scene);
  expect (transport6, "blocked");
  for (guint i = 0; i < G_N_ELEMENTS (changes); i++) {
    g_autofree char *left = NULL;

    netns_run ("ip -6 %s", changes[i]);
    apply (scene);
    left = netns_output ("ip -6 route show default");
    expect (transport6, *left ? "uplink table 86" : "blocked");
    expect (PUBLIC6, "blocked");
  }
}

static void
disarming_restores_the_host_exactly (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autofree char *before = NULL;
  g_autofree char *after = NULL;

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  make_tunnel ("tun0", "10.8.0.2/24", "fd08::2/64");
  /* other people's, some of which look like ours */
  netns_run ("ip rule add priority 8300 uidrange 0-0 ipproto udp sport 51820 lookup 85");
  netns_run ("ip rule add not priority 8380 lookup 83 protocol 4");
  netns_run ("ip -6 rule add priority 8390 unreachable protocol 186");
  netns_run ("ip rule add priority 9000 lookup 83 protocol 83");
  netns_run ("ip route add 10.77.0.0/16 dev uplink table 83 metric 150");
  netns_run ("ip route add blackhole default table 84 metric 200 proto 4");
  netns_run ("ip -6 route add 2001:db8:77::/48 dev uplink table 85");
  netns_run ("ip route add 10.78.0.0/16 dev uplink table 87 proto 83");
  netns_settle ();
  before = netns_everything ();

  arm (scene, "wg", SERVER, 51820);
  add_tunnel (scene, "wg", "tun0", "10.8.0.0/24", "fd08::/64");
  apply (scene);
  g_ptr_array_set_size (scene->tunnels, 0);
  apply (scene);
  g_ptr_array_set_size (scene->armed, 0);
  apply (scene);
  after = netns_everything ();
  assert_string_equal (after, before);
}

static void
rule_placed_before_ours_is_jumped_over (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  arm (scene, "wg", SERVER, 51820);
  apply (scene);
  netns_run ("ip rule add priority 100 lookup main");
  netns_run ("ip -6 rule add priority 5000 lookup main");
  expect (PUBLIC, "uplink table 254");
  apply (scene);
  expect_blocked ();
  netns_run ("ip rule add priority 50 lookup main");
  apply (scene);
  expect_blocked ();
  netns_run ("ip rule del priority 50");
  netns_run ("ip rule del priority 100");
  netns_run ("ip -6 rule del priority 5000");
  apply (scene);
  expect_blocked ();
}

static void
what_was_removed_is_put_back (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  static const char *const changes[] = {
    "ip rule flush",           "ip -6 rule flush",        "ip route flush table 83",   "ip -6 route flush table 83",
    "ip route flush table 84", "ip route flush table 85", "ip rule del priority 8380", "ip rule del priority 8330",
  };

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  make_tunnel ("tun0", "10.8.0.2/24", "fd08::2/64");
  arm (scene, "wg", SERVER, 51820);
  add_tunnel (scene, "wg", "tun0", "10.8.0.0/24", "fd08::/64");
  apply (scene);
  for (guint i = 0; i < G_N_ELEMENTS (changes); i++) {
    netns_run ("%s", changes[i]);
    assert_true (apply (scene) > 0);
    expect_tunnel ("tun0", TRUE);
  }
}

/* The kernel deletes the first rule that has what the key sets. */
static void
broad_rule_is_removed_and_the_narrow_ones_before_it_stay (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (KsNlSocket) socket = NULL;
  g_autoptr (KsNlMessage) message = NULL;
  g_autofree char *before = NULL;
  g_autofree char *after = NULL;
  KsRule broad;

  NETNS_ENTER_OR_SKIP ();
  socket = ks_netlink_open (NULL);
  make_network ();
  netns_run ("ip route add 203.0.113.0/24 via 192.168.50.66 dev uplink"); /* option 121 */
  arm (scene, "wg", SERVER, 51820);
  apply (scene);
  before = netns_output ("ip rule show priority 8330");
  /* a run that changed to Lan=routes and was killed after this (`ip` would say "File exists") */
  broad = ks_rule_lookup (AF_INET, 8330, 83, RT_TABLE_MAIN);
  broad.suppress_prefixlength = 0;
  message = ks_rule_message_add (&broad);
  assert_int_equal (ks_netlink_request (socket, message), 0);
  expect ("203.0.113.99", "uplink table 254");
  apply_once (scene);
  expect ("203.0.113.99", "blocked");
  after = netns_output ("ip rule show priority 8330");
  assert_string_equal (after, before);
}

static void
plan_applied_twice_ends_with_one_of_each (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (KsKernel) kernel = NULL;
  g_autoptr (KsSnapshot) snapshot = NULL;
  g_autoptr (GArray) plan = NULL;
  g_autofree char *once = NULL;
  g_autofree char *twice = NULL;
  guint changes = 0;

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  arm (scene, "wg", SERVER, 51820);
  kernel = ks_kernel_new (NULL);
  snapshot = dump (kernel, scene);
  plan = plan_of (scene, snapshot);
  assert_true (ks_kernel_apply (kernel, plan, &changes, NULL));
  netns_settle ();
  once = netns_everything ();
  /* as if another run had been at it with the same dump: nothing is an error */
  assert_true (ks_kernel_apply (kernel, plan, &changes, NULL));
  apply (scene);
  twice = netns_everything ();
  assert_string_equal (twice, once);
}

static void
device_that_vanishes_between_dump_and_apply_is_an_error_and_blocked (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (KsKernel) kernel = NULL;
  g_autoptr (KsSnapshot) snapshot = NULL;
  g_autoptr (GArray) plan = NULL;
  g_autoptr (GError) error = NULL;
  guint changes = 0;

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  make_tunnel ("tun0", "10.8.0.2/24", "fd08::2/64");
  arm (scene, "wg", SERVER, 51820);
  add_tunnel (scene, "wg", "tun0", "10.8.0.0/24", "fd08::/64");
  kernel = ks_kernel_new (NULL);
  snapshot = dump (kernel, scene);
  plan = plan_of (scene, snapshot);
  netns_run ("ip link del tun0");
  assert_false (ks_kernel_apply (kernel, plan, &changes, &error));
  assert_true (g_error_matches (error, KS_ERROR, KS_ERROR_KERNEL));
  assert_non_null (strstr (error->message, "add IPv"));
  assert_non_null (strstr (error->message, "No such device"));
  expect (PUBLIC, "blocked");
  expect (PUBLIC6, "blocked");
  expect ("10.8.0.5", "blocked");
  expect (SERVER " uid 0 ipproto udp dport 51820", "uplink table 86");

  g_ptr_array_set_size (scene->tunnels, 0);
  apply (scene);
  expect_blocked ();
}

/* The same for what the plan deletes: gone already is as good as deleted. */
static void
what_vanishes_between_dump_and_apply_need_not_be_deleted (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (KsKernel) kernel = NULL;
  g_autoptr (KsSnapshot) snapshot = NULL;
  g_autoptr (GArray) plan = NULL;
  g_autoptr (GError) error = NULL;
  guint changes = 0;

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  make_tunnel ("tun0", "10.8.0.2/24", "fd08::2/64");
  arm (scene, "wg", SERVER, 51820);
  add_tunnel (scene, "wg", "tun0", "10.8.0.0/24", "fd08::/64");
  apply (scene);
  kernel = ks_kernel_new (NULL);
  snapshot = dump (kernel, scene);
  g_ptr_array_set_size (scene->tunnels, 0);
  g_ptr_array_set_size (scene->armed, 0);
  plan = plan_of (scene, snapshot);
  netns_run ("ip link del tun0");
  netns_run ("ip link del uplink");
  netns_run ("ip rule flush");
  netns_run ("ip -6 route flush table 83");
  if (!ks_kernel_apply (kernel, plan, &changes, &error))
    fail_msg ("%s", error->message);
  apply (scene);
}

static void
thousands_of_foreign_routes_and_a_hundred_tunnels_are_handled (void **state G_GNUC_UNUSED)
{
  enum { ROUTES = 2000, TUNNELS = 120 };
  g_autoptr (Scene) scene = scene_new ();
  g_autofree char *path = NULL;
  g_autofree char *before = NULL;
  g_autofree char *after = NULL;
  GString *batch = g_string_new (NULL);
  gint64 start;
  int file;

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  for (guint i = 0; i < ROUTES; i++)
    g_string_append_printf (batch, "route add 100.%u.%u.0/24 via 192.168.50.%u dev uplink\n", 64 + i / 256, i % 256,
                            10 + i % 200);
  for (guint i = 0; i < TUNNELS; i++)
    g_string_append_printf (batch, "tuntap add mode tun name t%u\nlink set t%u addrgenmode none up\n", i, i);
  file = g_file_open_tmp (NULL, &path, NULL);
  assert_true (file >= 0);
  close (file);
  assert_true (g_file_set_contents (path, batch->str, -1, NULL));
  g_string_free (batch, TRUE);
  netns_run ("ip -batch %s", path);
  unlink (path);
  netns_settle ();
  before = netns_everything ();

  for (guint i = 0; i < TUNNELS; i++) {
    g_autofree char *name = g_strdup_printf ("t%u", i);
    g_autofree char *server = g_strdup_printf ("203.0.113.%u", 10 + i);
    g_autofree char *subnet4 = g_strdup_printf ("10.%u.0.0/16", i);
    g_autofree char *subnet6 = g_strdup_printf ("fd99:%x::/32", i);

    arm (scene, name, server, 51820 + i);
    add_tunnel (scene, name, name, subnet4, subnet6);
  }
  start = g_get_monotonic_time ();
  assert_true (apply_once (scene) > ROUTES);
  print_message ("armed with %d tunnels over %d routes in %d ms\n", TUNNELS, ROUTES,
                 (int) ((g_get_monotonic_time () - start) / 1000));
  apply (scene);
  expect (PUBLIC, "t0 table 84");
  expect (PUBLIC6, "t0 table 84");
  expect ("10.119.3.3", "t119 table 84");
  expect ("203.0.113.129 uid 0 ipproto udp dport 51939", "uplink table 86");
  expect ("100.64.7.1", "t0 table 84"); /* a public route of main is no LAN */

  g_ptr_array_set_size (scene->armed, 0);
  g_ptr_array_set_size (scene->tunnels, 0);
  start = g_get_monotonic_time ();
  apply_once (scene);
  print_message ("disarmed in %d ms\n", (int) ((g_get_monotonic_time () - start) / 1000));
  apply (scene);
  after = netns_everything ();
  assert_string_equal (after, before);
}

/* Whether this process now lacks CAP_NET_ADMIN. */
static gboolean
drop_net_admin (void)
{
  struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
  struct __user_cap_data_struct data[2];

  if (syscall (SYS_capget, &header, data) < 0)
    return FALSE;
  data[0].effective &= ~(1u << CAP_NET_ADMIN);
  data[0].permitted &= ~(1u << CAP_NET_ADMIN);
  return syscall (SYS_capset, &header, data) == 0;
}

static void
without_privilege_it_says_so_and_changes_nothing (void **state G_GNUC_UNUSED)
{
  enum { FINE, NOT_DROPPED, SUCCEEDED, WRONG_ERROR, CHANGED };
  g_autoptr (Scene) scene = scene_new ();
  g_autofree char *before = NULL;
  g_autofree char *after = NULL;
  pid_t child;
  int status = 0;

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  arm (scene, "wg", SERVER, 51820);
  netns_settle ();
  before = netns_everything ();
  child = fork ();
  if (child == 0) {
    g_autoptr (GError) error = NULL;
    KsKernel *kernel = ks_kernel_new (NULL);
    KsSnapshot *snapshot = ks_kernel_dump (kernel, scene->config, NULL);
    GArray *plan = plan_of (scene, snapshot);
    guint changes = 0;

    if (!drop_net_admin ())
      _exit (NOT_DROPPED);
    /* the kernel asks for the capability of who opened the socket, too: a new one */
    kernel = ks_kernel_new (NULL);
    if (ks_kernel_apply (kernel, plan, &changes, &error))
      _exit (SUCCEEDED);
    if (!g_error_matches (error, KS_ERROR, KS_ERROR_PERMISSION) || !strstr (error->message, "CAP_NET_ADMIN"))
      _exit (WRONG_ERROR);
    _exit (changes ? CHANGED : FINE);
  }
  assert_int_equal (waitpid (child, &status, 0), child);
  assert_true (WIFEXITED (status));
  assert_int_equal (WEXITSTATUS (status), FINE);
  after = netns_everything ();
  assert_string_equal (after, before);
}

static void
links_are_found_by_name_and_only_when_up (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsKernel) kernel = NULL;

  NETNS_ENTER_OR_SKIP ();
  netns_run ("ip link add abcdefghijklmno type veth peer name other");
  kernel = ks_kernel_new (NULL);
  assert_int_equal (ks_kernel_link_index (kernel, "abcdefghijklmno"), 0); /* down */
  netns_run ("ip link set abcdefghijklmno up");
  assert_int_equal (ks_kernel_link_index (kernel, "abcdefghijklmno"), if_nametoindex ("abcdefghijklmno"));
  assert_int_equal (ks_kernel_link_index (kernel, "none"), 0);
  assert_int_equal (ks_kernel_link_index (kernel, ""), 0);
  assert_int_equal (ks_kernel_link_index (kernel, "a-name-that-is-far-too-long-for-a-device"), 0);
  /* and the socket is good for a dump afterwards */
  {
    g_autoptr (Scene) scene = scene_new ();
    g_autoptr (KsSnapshot) snapshot = dump (kernel, scene);

    assert_true (snapshot->rules->len >= 5);
  }
}

static const KsLink *
find_link (const GArray *links, const char *name)
{
  for (guint i = 0; i < links->len; i++)
    if (strcmp (g_array_index (links, KsLink, i).name, name) == 0)
      return &g_array_index (links, KsLink, i);
  fail_msg ("no link %s", name);
  return NULL;
}

/* By the loopback device, which thus receives something. */
static void
send_to_itself (void)
{
  struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons (9), .sin_addr.s_addr = htonl (INADDR_LOOPBACK) };
  int fd = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

  assert_int_equal (sendto (fd, "x", 1, 0, (struct sockaddr *) &to, sizeof to), 1);
  close (fd);
}

static void
links_are_listed_with_what_they_are (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsKernel) kernel = NULL;
  g_autoptr (GArray) links = NULL;

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  netns_run ("ip tuntap add mode tap name tap0");
  netns_run ("ip link add br0 type bridge");
  make_tunnel ("tun0", "10.8.0.2/24", NULL);
  send_to_itself ();
  kernel = ks_kernel_new (NULL);
  links = ks_kernel_dump_links (kernel, NULL);
  assert_non_null (links);
  assert_true (find_link (links, "tun0")->is_mute && !find_link (links, "lo")->is_mute);
  assert_int_equal (find_link (links, "tun0")->ifindex, if_nametoindex ("tun0"));
  assert_true (find_link (links, "tun0")->is_up);
  assert_false (find_link (links, "tap0")->is_up);
  assert_false (find_link (links, "tun0")->is_hardware || find_link (links, "tap0")->is_hardware);
  assert_true (find_link (links, "lo")->is_hardware && find_link (links, "br0")->is_hardware);
  for (guint i = 1; i < links->len; i++)
    assert_true (g_array_index (links, KsLink, i - 1).ifindex < g_array_index (links, KsLink, i).ifindex);
}

static void
routes_of_all_tables_are_listed (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsKernel) kernel = NULL;
  g_autoptr (GArray) routes = NULL;
  guint found = 0;

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  make_tunnel ("tun0", "10.8.0.2/24", "fd08::2/64");
  netns_run ("ip route add default dev tun0 table 51820");
  netns_run ("ip route add 2001:db8:7::/48 dev tun0 table 1000");
  kernel = ks_kernel_new (NULL);
  routes = ks_kernel_dump_all_routes (kernel, NULL);
  assert_non_null (routes);
  for (guint i = 0; i < routes->len; i++) {
    const KsRoute *route = &g_array_index (routes, KsRoute, i);

    found += (route->table == 51820 || route->table == 1000) && ks_route_uses (route, if_nametoindex ("tun0"));
  }
  assert_int_equal (found, 2);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (armed_without_a_tunnel_only_lan_and_transport_get_out),
    cmocka_unit_test (tunnel_carries_everything_while_it_is_there),
    cmocka_unit_test (gateway_outside_the_lan_is_found_while_the_tunnel_is_up),
    cmocka_unit_test (without_the_shortcut_all_is_the_same),
    cmocka_unit_test (vpn_without_ipv6_leaves_ipv6_blocked),
    cmocka_unit_test (tunnels_switch_without_a_gap_for_the_transport),
    cmocka_unit_test (uplink_table_follows_main),
    cmocka_unit_test (lookup_by_a_device_that_is_gone_finds_no_route),
    cmocka_unit_test (longest_match_is_the_kernels_answer),
    cmocka_unit_test (networks_of_a_section_are_routed_as_main_routes_them),
    cmocka_unit_test (siblings_of_ipv6_routes_come_and_go_one_by_one),
    cmocka_unit_test (disarming_restores_the_host_exactly),
    cmocka_unit_test (rule_placed_before_ours_is_jumped_over),
    cmocka_unit_test (what_was_removed_is_put_back),
    cmocka_unit_test (broad_rule_is_removed_and_the_narrow_ones_before_it_stay),
    cmocka_unit_test (plan_applied_twice_ends_with_one_of_each),
    cmocka_unit_test (device_that_vanishes_between_dump_and_apply_is_an_error_and_blocked),
    cmocka_unit_test (what_vanishes_between_dump_and_apply_need_not_be_deleted),
    cmocka_unit_test (thousands_of_foreign_routes_and_a_hundred_tunnels_are_handled),
    cmocka_unit_test (without_privilege_it_says_so_and_changes_nothing),
    cmocka_unit_test (links_are_found_by_name_and_only_when_up),
    cmocka_unit_test (links_are_listed_with_what_they_are),
    cmocka_unit_test (routes_of_all_tables_are_listed),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
