/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Situations, and the resulting rules and routes. Devices: 2 and 3 are uplinks, 7 and 8 tunnels. */
#include "ks-test.h"

#include <stdlib.h>

#include "policy/ks-policy.h"

#define SERVER "203.0.113.10"
#define SERVER6 "2001:db8:ffff::10"

/* --- situations --- */

typedef struct {
  KsPolicyInput input;
  KsConfig *config;
  GPtrArray *armed;
  GPtrArray *tunnels;
  GHashTable *resolved;
  GHashTable *remembered;
  GArray *main_routes;
  GArray *resolvers;
  GArray *resolver_uids;
  GArray *addresses;
  GArray *tunnel_links, *offload_links;
  GPtrArray *standby;
} Scene;

static Scene *
scene_new (void)
{
  Scene *self = g_new0 (Scene, 1);

  self->config = ks_config_new ();
  self->armed = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_profile_free);
  self->tunnels = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_tunnel_free);
  self->resolved = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify) g_array_unref);
  self->remembered = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, (GDestroyNotify) g_array_unref);
  self->main_routes = g_array_new (FALSE, FALSE, sizeof (KsRoute));
  self->resolvers = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  self->resolver_uids = g_array_new (FALSE, FALSE, sizeof (guint32));
  self->addresses = g_array_new (FALSE, FALSE, sizeof (KsAddress));
  self->tunnel_links = g_array_new (FALSE, FALSE, sizeof (guint));
  self->offload_links = g_array_new (FALSE, FALSE, sizeof (guint));
  self->standby = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_profile_free);
  self->input = (KsPolicyInput){
    .config = self->config,
    .armed = self->armed,
    .tunnels = self->tunnels,
    .resolved = self->resolved,
    .remembered = self->remembered,
    .main_routes = self->main_routes,
    .resolvers = self->resolvers,
    .resolver_uids = self->resolver_uids,
    .addresses = self->addresses,
    .tunnel_links = self->tunnel_links,
    .offload_links = self->offload_links,
    .standby = self->standby,
  };
  return self;
}

static void
scene_free (Scene *self)
{
  ks_config_free (self->config);
  g_ptr_array_unref (self->armed);
  g_ptr_array_unref (self->tunnels);
  g_hash_table_unref (self->resolved);
  g_hash_table_unref (self->remembered);
  g_array_unref (self->main_routes);
  g_array_unref (self->resolvers);
  g_array_unref (self->resolver_uids);
  g_array_unref (self->addresses);
  g_array_unref (self->tunnel_links);
  g_array_unref (self->offload_links);
  g_ptr_array_unref (self->standby);
  g_free (self);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Scene, scene_free)

static KsProfile *
add_profile (Scene *self, const char *uuid, KsVpnType type, const char *host, guint16 port, guint8 ip_protocol)
{
  KsProfile *profile = ks_profile_new ();
  guint32 root = 0;

  profile->uuid = g_strdup (uuid);
  profile->path = g_strdup_printf ("/etc/%s", uuid);
  profile->id = g_strdup (uuid);
  profile->vpn_type = type;
  profile->mode = KS_MODE_STRICT;
  g_array_append_val (profile->uids, root);
  if (host)
    g_ptr_array_add (profile->endpoints, ks_endpoint_new (host, port, ip_protocol));
  g_ptr_array_add (self->armed, profile);
  return profile;
}

static KsProfile *
add_wireguard (Scene *self)
{
  KsProfile *profile = add_profile (self, "wg", KS_VPN_WIREGUARD, SERVER, 51820, IPPROTO_UDP);

  profile->interface = g_strdup ("wg0");
  return profile;
}

/* An OpenVPN profile that root and the service's user (117) send. */
static KsProfile *
add_openvpn (Scene *self, const char *host)
{
  KsProfile *profile = add_profile (self, "ovpn", KS_VPN_PLUGIN, host, 1194, IPPROTO_UDP);
  guint32 uid = 117;

  g_array_append_val (profile->uids, uid);
  return profile;
}

/* A tunnel; @addresses decide which families it carries. */
static KsTunnel *
add_tunnel (Scene *self, const char *key, const char *interface, guint ifindex, const char *addresses)
{
  KsTunnel *tunnel = ks_tunnel_new (key, interface);

  tunnel->ifindex = ifindex;
  g_array_unref (tunnel->addresses);
  tunnel->addresses = ks_test_prefixes (addresses);
  for (guint i = 0; i < tunnel->addresses->len; i++) {
    const KsPrefix *address = &g_array_index (tunnel->addresses, KsPrefix, i);

    if (address->family == AF_INET)
      tunnel->has_ipv4 = TRUE;
    else
      tunnel->has_ipv6 = TRUE;
    if (!ks_prefix_is_host (address))
      ks_tunnel_add_prefix (tunnel, address, NULL);
  }
  g_ptr_array_add (self->tunnels, tunnel);
  return tunnel;
}

/* A route of table main; @gateway may be "". */
static KsRoute *
add_main (Scene *self, const char *dst, const char *gateway, guint ifindex)
{
  KsPrefix to = ks_test_prefix (dst), via = *gateway ? ks_test_prefix (gateway) : KS_PREFIX_UNSET;
  KsRoute route = ks_route_init (RT_TABLE_MAIN, *gateway ? RTPROT_DHCP : RTPROT_KERNEL, &to, 100);

  route.n_nexthops = 1;
  route.nexthops[0].ifindex = ifindex;
  route.nexthops[0].gateway = via;
  route.scope = *gateway || to.family == AF_INET6 ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
  g_array_append_val (self->main_routes, route);
  return &g_array_index (self->main_routes, KsRoute, self->main_routes->len - 1);
}

static void
add_home_lan (Scene *self)
{
  add_main (self, "0.0.0.0/0", "192.168.1.1", 2);
  add_main (self, "192.168.1.0/24", "", 2);
}

/* --- results --- */

static char *
format_rules (const KsPolicy *policy, int family)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < policy->rules->len; i++) {
    const KsRule *rule = &g_array_index (policy->rules, KsRule, i);
    g_autofree char *text = ks_rule_format (rule);

    if (family == AF_UNSPEC || rule->family == family)
      g_string_append_printf (out, "%s\n", text);
  }
  return g_string_free (out, FALSE);
}

/* Whether the route is table 84's shortcut, or leads past it. */
static gboolean
is_of_shortcut (const KsRoute *route)
{
  return route->table == 84 && (ks_route_is_default (route) || (route->type == RTN_THROW && route->metric == 203));
}

/* The routes of @table; 0 for all. Of table 84 alone without the shortcut, which has tests of its own. */
static char *
format_routes (const KsPolicy *policy, int family, guint32 table)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < policy->routes->len; i++) {
    const KsRoute *route = &g_array_index (policy->routes, KsRoute, i);
    g_autofree char *text = ks_route_format (route);

    if (table == 84 && is_of_shortcut (route))
      continue;
    if ((family == AF_UNSPEC || route->family == family) && (table == 0 || route->table == table))
      g_string_append_printf (out, "%s\n", text);
  }
  return g_string_free (out, FALSE);
}

/* The rules of the scene with a priority from @first to @last. */
static char *
rules_between (const Scene *scene, int family, guint32 first, guint32 last)
{
  g_autoptr (KsPolicy) policy = ks_policy_compute (&scene->input);
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < policy->rules->len; i++) {
    const KsRule *rule = &g_array_index (policy->rules, KsRule, i);
    g_autofree char *text = ks_rule_format (rule);

    if (rule->family == family && rule->priority >= first && rule->priority <= last)
      g_string_append_printf (out, "%s\n", text);
  }
  return g_string_free (out, FALSE);
}

static void
assert_rules (const Scene *scene, int family, const char *expected)
{
  g_autoptr (KsPolicy) policy = ks_policy_compute (&scene->input);
  g_autofree char *text = format_rules (policy, family);

  assert_string_equal (text, expected);
}

static void
assert_rules_between (const Scene *scene, int family, guint32 first, guint32 last, const char *expected)
{
  g_autofree char *text = rules_between (scene, family, first, last);

  assert_string_equal (text, expected);
}

static void
assert_routes (const Scene *scene, int family, guint32 table, const char *expected)
{
  g_autoptr (KsPolicy) policy = ks_policy_compute (&scene->input);
  g_autofree char *text = format_routes (policy, family, table);

  assert_string_equal (text, expected);
}

static void
assert_shortcut (const Scene *scene, int family, const char *expected)
{
  g_autoptr (KsPolicy) policy = ks_policy_compute (&scene->input);
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < policy->routes->len; i++) {
    const KsRoute *route = &g_array_index (policy->routes, KsRoute, i);
    g_autofree char *line = ks_route_format (route);

    if (route->family == family && is_of_shortcut (route))
      g_string_append_printf (text, "%s\n", line);
  }
  assert_string_equal (text->str, expected);
}

/* --- claims --- */

static void
policy_is_empty_when_nothing_is_armed (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (KsPolicy) policy = NULL;

  add_home_lan (scene);
  add_tunnel (scene, "somebody's", "tun9", 9, "10.9.0.2/24");
  policy = ks_policy_compute (&scene->input);
  assert_false (policy->armed);
  assert_false (policy->guard);
  assert_int_equal (policy->rules->len + policy->routes->len + policy->transports->len + policy->tunnels->len, 0);
}

static void
policy_of_a_wireguard_vpn_that_is_up (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsTunnel *tunnel;

  add_wireguard (scene);
  tunnel = add_tunnel (scene, "wg", "wg0", 7, "10.8.0.2/24 fd08::2/64");
  tunnel->listen_port = 51820;
  add_home_lan (scene);
  assert_rules (scene, AF_INET,
                "priority 8300 from all nop protocol 83\n"
                "priority 8300 from all uidrange 0-0 ipproto udp sport 51820 lookup 85 protocol 83\n"
                "priority 8300 from all fwmark 0x56 uidrange 0-0 lookup 86 protocol 83\n"
                "priority 8300 from all uidrange 0-0 ipproto udp dport 51820 lookup 86 protocol 83\n"
                "priority 8307 from all uidrange 0-0 ipproto udp sport 68 dport 67 lookup 85 protocol 83\n"
                "priority 8309 from all lookup 84 protocol 83\n"
                "priority 8310 from all dport 53 lookup 83 protocol 83\n"
                "priority 8310 from all dport 853 lookup 83 protocol 83\n"
                "priority 8330 from all to 10.0.0.0/8 lookup main suppress_prefixlength 0 protocol 83\n"
                "priority 8330 from all to 172.16.0.0/12 lookup main suppress_prefixlength 0 protocol 83\n"
                "priority 8330 from all to 192.168.0.0/16 lookup main suppress_prefixlength 0 protocol 83\n"
                "priority 8330 from all to 169.254.0.0/16 lookup main suppress_prefixlength 0 protocol 83\n"
                "priority 8335 from all to 224.0.0.0/24 lookup 85 protocol 83\n"
                "priority 8335 from all to 239.255.0.0/16 lookup 85 protocol 83\n"
                "priority 8335 from all to 255.255.255.255 lookup 85 protocol 83\n"
                "priority 8370 from all ipproto udp lookup 83 protocol 83\n"
                "priority 8371 from all ipproto tcp lookup 83 protocol 83\n"
                "priority 8372 from all ipproto 1 lookup 83 protocol 83\n"
                "priority 8375 from 0.0.0.0 uidrange 0-0 lookup main suppress_prefixlength 7 protocol 83\n"
                "priority 8380 from all lookup 83 protocol 83\n"
                "priority 8390 from all unreachable protocol 83\n");
  assert_rules (scene, AF_INET6,
                "priority 8300 from all nop protocol 83\n"
                "priority 8300 from all uidrange 0-0 ipproto udp sport 51820 lookup 85 protocol 83\n"
                "priority 8307 from all uidrange 0-0 ipproto udp sport 546 dport 547 lookup 85 protocol 83\n"
                "priority 8309 from all lookup 84 protocol 83\n"
                "priority 8310 from all dport 53 lookup 83 protocol 83\n"
                "priority 8310 from all dport 853 lookup 83 protocol 83\n"
                "priority 8330 from all to fc00::/7 lookup main suppress_prefixlength 0 protocol 83\n"
                "priority 8330 from all to fe80::/10 lookup main suppress_prefixlength 0 protocol 83\n"
                "priority 8380 from all lookup 83 protocol 83\n"
                "priority 8390 from all unreachable protocol 83\n");
  assert_routes (scene, AF_INET, 0,
                 "default dev if7 table 83 protocol 83 metric 100\n"
                 "blackhole default table 83 protocol 83 metric 200\n"
                 "default dev if7 table 84 protocol 83 metric 100\n"
                 "throw 10.0.0.0/8 table 84 protocol 83 metric 203\n"
                 "throw 172.16.0.0/12 table 84 protocol 83 metric 203\n"
                 "throw 169.254.0.0/16 table 84 protocol 83 metric 203\n"
                 "throw 192.168.0.0/16 table 84 protocol 83 metric 203\n"
                 "throw 239.255.0.0/16 table 84 protocol 83 metric 203\n"
                 "10.8.0.0/24 dev if7 table 84 protocol 83 metric 100\n"
                 "blackhole 10.8.0.0/24 table 84 protocol 83 metric 200\n"
                 "throw 224.0.0.0/24 table 84 protocol 83 metric 203\n"
                 "throw 255.255.255.255 table 84 protocol 83 metric 203\n"
                 "default via 192.168.1.1 dev if2 onlink table 85 protocol 83 metric 100\n"
                 "unreachable default table 85 protocol 83 metric 4294967295\n"
                 "192.168.1.0/24 dev if2 table 85 protocol 83 metric 100\n"
                 "203.0.113.10 via 192.168.1.1 dev if2 onlink table 86 protocol 83 metric 100\n"
                 "unreachable 203.0.113.10 table 86 protocol 83 metric 4294967295\n");
  assert_routes (scene, AF_INET6, 0,
                 "default dev if7 table 83 protocol 83 metric 100\n"
                 "blackhole default table 83 protocol 83 metric 200\n"
                 "default dev if7 table 84 protocol 83 metric 100\n"
                 "throw fc00::/7 table 84 protocol 83 metric 203\n"
                 "throw fe80::/10 table 84 protocol 83 metric 203\n"
                 "fd08::/64 dev if7 table 84 protocol 83 metric 100\n"
                 "blackhole fd08::/64 table 84 protocol 83 metric 200\n"
                 "unreachable default table 85 protocol 83 metric 4294967295\n");
}

static void
policy_of_a_wireguard_vpn_that_is_down_keeps_the_endpoint_open (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_wireguard (scene);
  assert_rules_between (scene, AF_INET, 8300, 8304,
                        "priority 8300 from all nop protocol 83\n"
                        "priority 8300 from all fwmark 0x56 uidrange 0-0 lookup 86 protocol 83\n"
                        "priority 8300 from all uidrange 0-0 ipproto udp dport 51820 lookup 86 protocol 83\n");
  assert_rules_between (scene, AF_INET6, 8300, 8304, "priority 8300 from all nop protocol 83\n");
  assert_routes (scene, AF_INET, 83, "blackhole default table 83 protocol 83 metric 200\n");
  assert_routes (scene, AF_INET6, 83, "blackhole default table 83 protocol 83 metric 200\n");
}

static void
policy_blocks_ipv6_when_vpn_is_ipv4_only (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_wireguard (scene);
  add_tunnel (scene, "wg", "wg0", 7, "10.8.0.2/24");
  add_main (scene, "::/0", "fe80::1", 2);
  assert_routes (scene, AF_INET6, 83, "blackhole default table 83 protocol 83 metric 200\n");
  assert_rules_between (scene, AF_INET6, 8380, 8399,
                        "priority 8380 from all lookup 83 protocol 83\n"
                        "priority 8390 from all unreachable protocol 83\n");
}

static void
policy_blocks_ipv4_when_vpn_is_ipv6_only (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_wireguard (scene);
  add_tunnel (scene, "wg", "wg0", 7, "fd08::2/64");
  assert_routes (scene, AF_INET, 83, "blackhole default table 83 protocol 83 metric 200\n");
  assert_routes (scene, AF_INET6, 83,
                 "default dev if7 table 83 protocol 83 metric 100\n"
                 "blackhole default table 83 protocol 83 metric 200\n");
}

static void
policy_routes_nothing_by_a_device_that_is_not_up (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (KsPolicy) policy = NULL;

  add_wireguard (scene);
  add_tunnel (scene, "wg", "wg0", 0, "10.8.0.2/24");
  assert_routes (scene, AF_INET, 83, "blackhole default table 83 protocol 83 metric 200\n");
  assert_routes (scene, AF_INET, 84, "blackhole 10.8.0.0/24 table 84 protocol 83 metric 200\n");
  policy = ks_policy_compute (&scene->input);
  assert_int_equal (policy->tunnels->len, 0);
}

static void
policy_puts_transports_first (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (KsPolicy) policy = NULL;

  add_profile (scene, "odd", KS_VPN_PLUGIN, SERVER, 53, IPPROTO_UDP); /* a VPN on the port of DNS */
  add_openvpn (scene, SERVER6);
  policy = ks_policy_compute (&scene->input);
  for (guint i = 0; i < policy->rules->len; i++) {
    const KsRule *rule = &g_array_index (policy->rules, KsRule, i);

    if (i > 0 && g_array_index (policy->rules, KsRule, i - 1).family == rule->family)
      assert_true (g_array_index (policy->rules, KsRule, i - 1).priority <= rule->priority);
    if (rule->action == FR_ACT_NOP)
      continue; /* the anchor */
    assert_int_equal (rule->priority == 8300, rule->table == 86);
  }
}

static void
policy_uses_the_port_and_mark_of_the_device (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsProfile *profile = add_wireguard (scene);
  KsTunnel *tunnel = add_tunnel (scene, "wg", "wg0", 7, "10.8.0.2/24");

  profile->listen_port = 1111;
  profile->fwmark = 0x1111;
  tunnel->listen_port = 51821;
  tunnel->fwmark = 0xca6c;
  assert_rules_between (scene, AF_INET, 8300, 8304,
                        "priority 8300 from all nop protocol 83\n"
                        "priority 8300 from all fwmark 0xca6c ipproto udp lookup 85 protocol 83\n"
                        "priority 8300 from all uidrange 0-0 ipproto udp sport 51821 lookup 85 protocol 83\n"
                        "priority 8300 from all fwmark 0x56 uidrange 0-0 lookup 86 protocol 83\n"
                        "priority 8300 from all uidrange 0-0 ipproto udp dport 51820 lookup 86 protocol 83\n");
  assert_rules_between (scene, AF_INET6, 8300, 8304,
                        "priority 8300 from all nop protocol 83\n"
                        "priority 8300 from all fwmark 0xca6c ipproto udp lookup 85 protocol 83\n"
                        "priority 8300 from all uidrange 0-0 ipproto udp sport 51821 lookup 85 protocol 83\n");
}

static void
policy_exempts_no_port_and_no_mark_before_there_is_a_device (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsProfile *profile = add_wireguard (scene);

  profile->listen_port = 1111;
  profile->fwmark = 0x1111;
  assert_rules_between (scene, AF_INET6, 8300, 8304, "priority 8300 from all nop protocol 83\n");
  assert_rules_between (scene, AF_INET, 8300, 8304,
                        "priority 8300 from all nop protocol 83\n"
                        "priority 8300 from all fwmark 0x56 uidrange 0-0 lookup 86 protocol 83\n"
                        "priority 8300 from all uidrange 0-0 ipproto udp dport 51820 lookup 86 protocol 83\n");
  /* NetworkManager has not told the port yet: the profile's is used */
  add_tunnel (scene, "wg", "wg0", 7, "10.8.0.2/24");
  assert_rules_between (scene, AF_INET6, 8300, 8304,
                        "priority 8300 from all nop protocol 83\n"
                        "priority 8300 from all fwmark 0x1111 ipproto udp lookup 85 protocol 83\n"
                        "priority 8300 from all uidrange 0-0 ipproto udp sport 1111 lookup 85 protocol 83\n");
}

static void
policy_tells_the_guard_which_device_holds_a_port (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (KsPolicy) policy = NULL;
  guint found = 0;

  add_wireguard (scene);
  add_tunnel (scene, "wg", "wg0", 7, "10.8.0.2/24")->listen_port = 51820;
  policy = ks_policy_compute (&scene->input);
  assert_int_equal (policy->transports->len, 3);
  for (guint i = 0; i < policy->transports->len; i++) {
    const KsTransport *transport = &g_array_index (policy->transports, KsTransport, i);

    assert_true (transport->kernel);
    if (ks_transport_has_server (transport))
      continue;
    found++;
    assert_int_equal (transport->sport, 51820);
    assert_string_equal (transport->device, "wg0");
  }
  assert_int_equal (found, 2); /* one for each family */
}

/* The transport that the kernel sends in a program's place; NULL for none. */
static const KsTransport *
find_offloaded (const KsPolicy *policy)
{
  const KsTransport *found = NULL;

  for (guint i = 0; i < policy->transports->len; i++) {
    const KsTransport *transport = &g_array_index (policy->transports, KsTransport, i);

    if (transport->kernel) {
      assert_null (found);
      found = transport;
    }
  }
  return found;
}

/* OpenVPN's data channel offload: whoever sends the packet inside owns the one outside, and it is routed as root's. */
static void
policy_exempts_what_the_kernel_sends_in_place_of_a_program (void **state G_GNUC_UNUSED)
{
  static const guint8 protocols[] = { IPPROTO_UDP, IPPROTO_TCP, 0 };
  const guint ifindex = 7, other = 8;

  for (guint i = 0; i < G_N_ELEMENTS (protocols); i++) {
    g_autoptr (Scene) scene = scene_new ();
    g_autoptr (KsPolicy) before = NULL, plain = NULL, offloaded = NULL;
    KsProfile *profile = add_profile (scene, "ovpn", KS_VPN_PLUGIN, SERVER, 1194, protocols[i]);
    const KsTransport *found;

    g_array_index (profile->uids, guint32, 0) = 117;
    g_array_append_val (scene->offload_links, other);
    before = ks_policy_compute (&scene->input);
    add_tunnel (scene, "ovpn", "tun0", ifindex, "10.8.0.2/24");
    plain = ks_policy_compute (&scene->input);
    g_array_append_val (scene->offload_links, ifindex);
    offloaded = ks_policy_compute (&scene->input);
    assert_null (find_offloaded (before));
    assert_null (find_offloaded (plain));
    found = find_offloaded (offloaded);
    if (protocols[i] == IPPROTO_TCP) {
      assert_null (found);
      continue;
    }
    assert_non_null (found);
    assert_int_equal (found->ip_protocol, IPPROTO_UDP);
    assert_int_equal (found->dport, 1194);
    assert_int_equal (found->uid, 0);
    assert_string_equal (found->device, "tun0");
    assert_int_equal (offloaded->transports->len, plain->transports->len + 1);
    assert_int_equal (offloaded->rules->len, plain->rules->len + 1);
  }
}

static void
policy_exempts_a_plugin_vpn_for_root_and_its_service_user (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_openvpn (scene, SERVER);
  assert_rules_between (scene, AF_INET, 8300, 8304,
                        "priority 8300 from all nop protocol 83\n"
                        "priority 8300 from all fwmark 0x56 uidrange 0-0 lookup 86 protocol 83\n"
                        "priority 8300 from all uidrange 0-0 ipproto udp dport 1194 lookup 86 protocol 83\n"
                        "priority 8300 from all uidrange 117-117 ipproto udp dport 1194 lookup 86 protocol 83\n");
}

static void
policy_exempts_every_remote (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsProfile *profile = add_profile (scene, "many", KS_VPN_PLUGIN, SERVER, 1194, IPPROTO_UDP);

  g_ptr_array_add (profile->endpoints, ks_endpoint_new (SERVER, 443, IPPROTO_TCP));
  g_ptr_array_add (profile->endpoints, ks_endpoint_new (SERVER6, 1194, IPPROTO_UDP));
  g_ptr_array_add (profile->endpoints, ks_endpoint_new ("198.51.100.7", 0, 0)); /* a plugin of unknown protocol */
  assert_rules_between (scene, AF_INET, 8300, 8304,
                        "priority 8300 from all nop protocol 83\n"
                        "priority 8300 from all uidrange 0-0 lookup 86 protocol 83\n"
                        "priority 8300 from all fwmark 0x56 uidrange 0-0 lookup 86 protocol 83\n"
                        "priority 8300 from all uidrange 0-0 ipproto tcp dport 443 lookup 86 protocol 83\n"
                        "priority 8300 from all uidrange 0-0 ipproto udp dport 1194 lookup 86 protocol 83\n");
  assert_rules_between (scene, AF_INET6, 8300, 8304,
                        "priority 8300 from all nop protocol 83\n"
                        "priority 8300 from all fwmark 0x56 uidrange 0-0 lookup 86 protocol 83\n"
                        "priority 8300 from all uidrange 0-0 ipproto udp dport 1194 lookup 86 protocol 83\n");
}

static void
policy_exempts_ipsec_by_whatever_the_kernel_routes_it_as (void **state G_GNUC_UNUSED)
{
  static const struct {
    guint16 port;
    guint8 ip_protocol;
    KsCarriage carriage;
  } others[] = { { 4500, IPPROTO_UDP, KS_CARRIAGE_IPSEC },
                 { 0, IPPROTO_ESP, KS_CARRIAGE_IPSEC },
                 { 1701, IPPROTO_UDP, KS_CARRIAGE_INSIDE_IPSEC } };
  g_autoptr (Scene) scene = scene_new ();
  KsProfile *profile = add_profile (scene, "l2tp", KS_VPN_PLUGIN, SERVER, 500, IPPROTO_UDP);
  g_autoptr (KsPolicy) policy = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (others); i++) {
    KsEndpoint *endpoint = ks_endpoint_new (SERVER, others[i].port, others[i].ip_protocol);

    endpoint->carriage = others[i].carriage;
    g_ptr_array_add (profile->endpoints, endpoint);
  }
  assert_rules_between (scene, AF_INET, 8300, 8304,
                        "priority 8300 from all nop protocol 83\n"
                        "priority 8300 from all fwmark 0x56 uidrange 0-0 lookup 86 protocol 83\n"
                        "priority 8300 from all uidrange 0-0 ipproto udp dport 500 lookup 86 protocol 83\n"
                        "priority 8300 from all uidrange 0-0 ipproto udp dport 1701 lookup 86 protocol 83\n"
                        "priority 8300 from all uidrange 0-0 ipproto udp dport 4500 lookup 86 protocol 83\n"
                        "priority 8300 from all uidrange 0-0 ipproto 50 lookup 86 protocol 83\n");
  policy = ks_policy_compute (&scene->input);
  assert_int_equal (policy->transports->len, 1 + G_N_ELEMENTS (others));
  for (guint i = 0; i < policy->transports->len; i++) {
    const KsTransport *transport = &g_array_index (policy->transports, KsTransport, i);
    KsCarriage expected = KS_CARRIAGE_PLAIN;

    for (guint j = 0; j < G_N_ELEMENTS (others); j++)
      if (transport->ip_protocol == others[j].ip_protocol && transport->dport == others[j].port)
        expected = others[j].carriage;
    assert_int_equal (transport->carriage, expected);
  }
}

/* charon-nm takes its server for out of reach unless the kernel tells the way of what has its mark (run,
 * strongSwan 6.0). */
static void
policy_tells_a_plugin_the_way_to_its_server (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsProfile *profile = add_profile (scene, "ikev2", KS_VPN_PLUGIN, SERVER, 0, IPPROTO_ESP);
  g_autoptr (KsPolicy) policy = NULL;

  profile->fwmark = 210;
  ((KsEndpoint *) profile->endpoints->pdata[0])->carriage = KS_CARRIAGE_IPSEC;
  g_ptr_array_add (profile->endpoints, ks_endpoint_new (SERVER, 500, IPPROTO_UDP));
  for (guint i = 0; i < 2; i++) {
    assert_rules_between (scene, AF_INET, 8300, 8304,
                          "priority 8300 from all nop protocol 83\n"
                          "priority 8300 from all fwmark 0x56 uidrange 0-0 lookup 86 protocol 83\n"
                          "priority 8300 from all fwmark 0xd2 uidrange 0-0 lookup 86 protocol 83\n"
                          "priority 8300 from all uidrange 0-0 ipproto udp dport 500 lookup 86 protocol 83\n"
                          "priority 8300 from all uidrange 0-0 ipproto 50 lookup 86 protocol 83\n");
    assert_rules_between (scene, AF_INET6, 8300, 8304, "priority 8300 from all nop protocol 83\n");
    add_tunnel (scene, "ikev2", "nm-xfrm-1", 7, "10.9.0.2/24");
  }
  policy = ks_policy_compute (&scene->input);
  assert_int_equal (policy->transports->len, 3);
}

/* @section is freed. */
static KsProfile *
add_section (Scene *self, KsSection *section)
{
  KsProfile *profile = ks_profile_new_of_section (section, "/etc/nm-killswitch.conf");

  ks_section_free (section);
  g_ptr_array_add (self->armed, profile);
  return profile;
}

static void
policy_exempts_a_section_by_its_source_port_also_without_its_device (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsSection *section = ks_section_new ("staex");

  section->ip_protocol = IPPROTO_UDP;
  section->port = 1234;
  section->uid = 998;
  add_section (scene, section);
  for (guint i = 0; i < 2; i++) {
    for (guint j = 0; j < 2; j++)
      assert_rules_between (scene, j ? AF_INET6 : AF_INET, 8300, 8304,
                            "priority 8300 from all nop protocol 83\n"
                            "priority 8300 from all uidrange 0-0 ipproto udp sport 1234 lookup 85 protocol 83\n"
                            "priority 8300 from all uidrange 998-998 ipproto udp sport 1234 lookup 85 protocol 83\n");
    add_tunnel (scene, "vpn:staex", "staex0", 7, "10.9.0.2/24");
  }
}

static void
policy_joins_all_that_a_section_says_into_one_selector (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsSection *section = ks_section_new ("vendor");

  section->ip_protocol = IPPROTO_UDP;
  section->port = 1234;
  section->server_port = 443;
  section->mark = 0x5342;
  g_ptr_array_add (section->servers, g_strdup (SERVER));
  g_ptr_array_add (section->servers, g_strdup ("198.51.100.0/24"));
  add_section (scene, section);
  assert_rules_between (scene, AF_INET, 8300, 8304,
                        "priority 8300 from all nop protocol 83\n"
                        "priority 8300 from all to 198.51.100.0/24 fwmark 0x5342 uidrange 0-0 ipproto udp sport 1234 "
                        "dport 443 lookup 85 protocol 83\n"
                        "priority 8300 from all fwmark 0x56 uidrange 0-0 lookup 86 protocol 83\n"
                        "priority 8300 from all fwmark 0x5342 uidrange 0-0 ipproto udp sport 1234 dport 443 lookup 86 "
                        "protocol 83\n");
  assert_rules_between (scene, AF_INET6, 8300, 8304, "priority 8300 from all nop protocol 83\n");
}

/* The rule names the network: in the servers' table, every other server's exemption would reach it, too. */
static void
policy_keeps_the_networks_of_a_section_out_of_the_servers_table (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (KsPolicy) policy = NULL;
  KsSection *section = ks_section_new ("company");
  guint in_table = 0;

  g_ptr_array_add (section->servers, g_strdup ("198.51.100.0/24"));
  g_ptr_array_add (section->servers, g_strdup ("2001:db8:5::/48"));
  add_section (scene, section);
  assert_rules_between (scene, AF_INET, 8300, 8304,
                        "priority 8300 from all nop protocol 83\n"
                        "priority 8300 from all to 198.51.100.0/24 uidrange 0-0 lookup 85 protocol 83\n");
  assert_rules_between (scene, AF_INET6, 8300, 8304,
                        "priority 8300 from all nop protocol 83\n"
                        "priority 8300 from all to 2001:db8:5::/48 uidrange 0-0 lookup 85 protocol 83\n");
  policy = ks_policy_compute (&scene->input);
  for (guint i = 0; i < policy->routes->len; i++)
    in_table += g_array_index (policy->routes, KsRoute, i).table == 86;
  assert_int_equal (in_table, 0);
}

static void
policy_has_one_rule_for_sections_with_the_same_selector (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  static const char *const names[] = { "one", "two" };

  for (guint i = 0; i < G_N_ELEMENTS (names); i++) {
    KsSection *section = ks_section_new (names[i]);

    section->mark = 7;
    add_section (scene, section);
  }
  assert_rules_between (scene, AF_INET, 8300, 8304,
                        "priority 8300 from all nop protocol 83\n"
                        "priority 8300 from all fwmark 0x7 uidrange 0-0 lookup 85 protocol 83\n");
}

static void
policy_exempts_nothing_of_a_malformed_section (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsSection *section = ks_section_new ("staex");

  section->port = 1234;
  section->exempts_nothing = TRUE;
  add_section (scene, section);
  assert_rules_between (scene, AF_INET, 8300, 8304, "priority 8300 from all nop protocol 83\n");
}

static void
policy_exempts_a_dns_tunnel_to_the_uplinks_resolvers (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (GArray) resolvers = ks_test_prefixes ("192.168.50.1 127.0.0.53 2001:db8::53");

  add_profile (scene, "iodine", KS_VPN_PLUGIN, KS_ENDPOINT_RESOLVERS, 53, IPPROTO_UDP);
  assert_rules_between (scene, AF_INET, 8300, 8304, "priority 8300 from all nop protocol 83\n");
  g_array_append_vals (scene->resolvers, resolvers->data, resolvers->len);
  assert_rules_between (scene, AF_INET, 8300, 8304,
                        "priority 8300 from all nop protocol 83\n"
                        "priority 8300 from all fwmark 0x56 uidrange 0-0 lookup 86 protocol 83\n"
                        "priority 8300 from all uidrange 0-0 ipproto udp dport 53 lookup 86 protocol 83\n");
  assert_rules_between (scene, AF_INET6, 8300, 8304,
                        "priority 8300 from all nop protocol 83\n"
                        "priority 8300 from all fwmark 0x56 uidrange 0-0 lookup 86 protocol 83\n"
                        "priority 8300 from all uidrange 0-0 ipproto udp dport 53 lookup 86 protocol 83\n");
  /* no name to look up */
  assert_rules_between (scene, AF_INET, 8305, 8306, "");
}

static void
policy_exempts_the_addresses_a_name_was_resolved_to (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_profile (scene, "named", KS_VPN_PLUGIN, "vpn.example.org", 1194, IPPROTO_UDP);
  assert_rules_between (scene, AF_INET, 8300, 8304, "priority 8300 from all nop protocol 83\n");
  g_hash_table_insert (scene->resolved, (gpointer) "vpn.example.org",
                       ks_test_prefixes (SERVER " 203.0.113.11 " SERVER6));
  assert_rules_between (scene, AF_INET, 8300, 8304,
                        "priority 8300 from all nop protocol 83\n"
                        "priority 8300 from all fwmark 0x56 uidrange 0-0 lookup 86 protocol 83\n"
                        "priority 8300 from all uidrange 0-0 ipproto udp dport 1194 lookup 86 protocol 83\n");
  assert_routes (scene, AF_INET, 86,
                 "unreachable 203.0.113.10 table 86 protocol 83 metric 4294967295\n"
                 "unreachable 203.0.113.11 table 86 protocol 83 metric 4294967295\n");
  assert_routes (scene, AF_INET6, 86, "unreachable 2001:db8:ffff::10 table 86 protocol 83 metric 4294967295\n");
  assert_rules_between (scene, AF_INET6, 8300, 8304,
                        "priority 8300 from all nop protocol 83\n"
                        "priority 8300 from all fwmark 0x56 uidrange 0-0 lookup 86 protocol 83\n"
                        "priority 8300 from all uidrange 0-0 ipproto udp dport 1194 lookup 86 protocol 83\n");
}

/* When its own route goes, with the device, the transport must not be sent into its own tunnel. */
static void
policy_ends_at_table_86_also_where_main_has_a_route_to_the_servers_subnet (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_profile (scene, "vpn", KS_VPN_PLUGIN, SERVER, 1194, IPPROTO_UDP);
  add_main (scene, "0.0.0.0/0", "192.168.1.1", 2);
  add_main (scene, "203.0.113.0/24", "192.168.1.9", 2);
  assert_routes (scene, AF_INET, 86,
                 "203.0.113.10 via 192.168.1.9 dev if2 onlink table 86 protocol 83 metric 100\n"
                 "unreachable 203.0.113.10 table 86 protocol 83 metric 4294967295\n");
}

/* Two network cards in one subnet, with a gateway that is not link-local. */
static void
policy_leaves_out_what_the_kernel_refuses_beside_another_route_to_its_gateway (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_profile (scene, "vpn", KS_VPN_PLUGIN, "2001:db8:113::10", 1194, IPPROTO_UDP);
  add_main (scene, "::/0", "2001:db8:50::1", 2);
  add_main (scene, "2001:db8:50::/64", "", 2);
  add_main (scene, "::/0", "2001:db8:50::1", 3)->metric = 101;
  add_main (scene, "2001:db8:50::/64", "", 3)->metric = 101;
  add_main (scene, "::/0", "fe80::1", 3)->metric = 102;
  assert_routes (scene, AF_INET6, 86,
                 "2001:db8:113::10 via 2001:db8:50::1 dev if2 onlink table 86 protocol 83 metric 100\n"
                 "2001:db8:113::10 via fe80::1 dev if3 onlink table 86 protocol 83 metric 102\n"
                 "unreachable 2001:db8:113::10 table 86 protocol 83 metric 4294967295\n");
  g_array_remove_range (scene->main_routes, 0, 2);
  assert_routes (scene, AF_INET6, 86,
                 "2001:db8:113::10 via 2001:db8:50::1 dev if3 onlink table 86 protocol 83 metric 101\n"
                 "2001:db8:113::10 via fe80::1 dev if3 onlink table 86 protocol 83 metric 102\n"
                 "unreachable 2001:db8:113::10 table 86 protocol 83 metric 4294967295\n");
}

static void
policy_has_each_selector_once_when_profiles_share_it (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_wireguard (scene);
  add_profile (scene, "wg-2", KS_VPN_WIREGUARD, SERVER, 51820, IPPROTO_UDP);
  add_tunnel (scene, "wg", "wg0", 7, "10.8.0.2/24")->listen_port = 51820;
  add_tunnel (scene, "wg-2", "wg1", 8, "10.9.0.2/24")->listen_port = 51820;
  assert_rules_between (scene, AF_INET, 8300, 8304,
                        "priority 8300 from all nop protocol 83\n"
                        "priority 8300 from all uidrange 0-0 ipproto udp sport 51820 lookup 85 protocol 83\n"
                        "priority 8300 from all fwmark 0x56 uidrange 0-0 lookup 86 protocol 83\n"
                        "priority 8300 from all uidrange 0-0 ipproto udp dport 51820 lookup 86 protocol 83\n");
}

static void
policy_has_as_many_rules_with_a_thousand_profiles_as_with_ten (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) few = scene_new (), many = scene_new ();
  g_autoptr (KsPolicy) small = NULL, large = NULL;

  for (guint i = 0; i < 1000; i++) {
    g_autofree char *key = g_strdup_printf ("vpn%u", i);
    g_autofree char *server = g_strdup_printf ("198.18.%u.%u", i / 250, i % 250 + 1);
    guint16 port = i % 5 ? 51820 : 443;

    if (i < 10)
      add_profile (few, key, KS_VPN_WIREGUARD, server, port, IPPROTO_UDP);
    add_profile (many, key, KS_VPN_WIREGUARD, server, port, IPPROTO_UDP);
  }
  small = ks_policy_compute (&few->input);
  large = ks_policy_compute (&many->input);
  assert_int_equal (small->transports->len, 10);
  assert_int_equal (large->transports->len, 1000);
  assert_int_equal (small->rules->len, large->rules->len);
}

/* --- LAN and DNS --- */

static void
policy_lan_modes (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_wireguard (scene);
  scene->config->lan = KS_LAN_OFF;
  assert_rules_between (scene, AF_INET, 8330, 8369, "");
  scene->config->lan = KS_LAN_ROUTES;
  assert_rules_between (scene, AF_INET, 8330, 8334,
                        "priority 8330 from all lookup main suppress_prefixlength 0 protocol 83\n");
  scene->config->lan = KS_LAN_PRIVATE;
  g_array_set_size (scene->config->lan_prefixes, 1);
  assert_rules_between (scene, AF_INET, 8330, 8334,
                        "priority 8330 from all to 10.0.0.0/8 lookup main suppress_prefixlength 0 protocol 83\n");
  assert_rules_between (scene, AF_INET6, 8330, 8379, "");
}

static void
policy_dns_modes (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autofree char *tunnel = NULL;

  add_wireguard (scene);
  tunnel = rules_between (scene, AF_INET, 8310, 8319);
  assert_non_null (strstr (tunnel, "from all dport 53 lookup 83"));
  scene->config->dns = KS_DNS_LAN;
  assert_rules_between (scene, AF_INET, 8310, 8319, "");
  assert_rules_between (scene, AF_INET6, 8310, 8319, "");
}

static void
policy_strictest_of_several_profiles_wins (void **state G_GNUC_UNUSED)
{
  static const struct {
    KsLan config, first, second, lan;
  } lans[] = {
    { KS_LAN_PRIVATE, KS_LAN_UNSET, KS_LAN_UNSET, KS_LAN_PRIVATE },
    { KS_LAN_PRIVATE, KS_LAN_ROUTES, KS_LAN_UNSET, KS_LAN_PRIVATE },
    { KS_LAN_PRIVATE, KS_LAN_ROUTES, KS_LAN_ROUTES, KS_LAN_ROUTES },
    { KS_LAN_ROUTES, KS_LAN_UNSET, KS_LAN_OFF, KS_LAN_OFF },
    { KS_LAN_OFF, KS_LAN_PRIVATE, KS_LAN_UNSET, KS_LAN_OFF },
    { KS_LAN_OFF, KS_LAN_PRIVATE, KS_LAN_ROUTES, KS_LAN_PRIVATE },
  };
  static const struct {
    KsDns config, first, second, dns;
  } dnss[] = {
    { KS_DNS_TUNNEL, KS_DNS_UNSET, KS_DNS_UNSET, KS_DNS_TUNNEL },
    { KS_DNS_TUNNEL, KS_DNS_LAN, KS_DNS_UNSET, KS_DNS_TUNNEL },
    { KS_DNS_TUNNEL, KS_DNS_LAN, KS_DNS_LAN, KS_DNS_LAN },
    { KS_DNS_LAN, KS_DNS_UNSET, KS_DNS_TUNNEL, KS_DNS_TUNNEL },
    { KS_DNS_LAN, KS_DNS_UNSET, KS_DNS_UNSET, KS_DNS_LAN },
  };
  g_autoptr (Scene) scene = scene_new ();
  KsProfile *first = add_wireguard (scene), *second = add_openvpn (scene, SERVER);

  for (guint i = 0; i < G_N_ELEMENTS (lans); i++) {
    g_autoptr (KsPolicy) policy = NULL;

    scene->config->lan = lans[i].config;
    first->lan = lans[i].first;
    second->lan = lans[i].second;
    policy = ks_policy_compute (&scene->input);
    assert_int_equal (policy->lan, lans[i].lan);
  }
  for (guint i = 0; i < G_N_ELEMENTS (dnss); i++) {
    g_autoptr (KsPolicy) policy = NULL;

    scene->config->dns = dnss[i].config;
    first->dns = dnss[i].first;
    second->dns = dnss[i].second;
    policy = ks_policy_compute (&scene->input);
    assert_int_equal (policy->dns, dnss[i].dns);
  }
}

static void
policy_without_lan_gives_the_guard_no_lan_either (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (KsPolicy) policy = NULL;

  add_wireguard (scene)->lan = KS_LAN_OFF;
  policy = ks_policy_compute (&scene->input);
  assert_int_equal (policy->lan_prefixes->len, 0);
  assert_true (policy->guard);
}

/* --- bootstrap --- */

/* A profile whose server is a name, resolvers, and the user 101 that the system's resolver runs as. */
static void
add_named (Scene *scene, const char *host)
{
  guint32 resolved = 101;

  add_profile (scene, "named", KS_VPN_PLUGIN, host, 1194, IPPROTO_UDP);
  g_array_append_val (scene->resolver_uids, resolved);
  g_array_unref (scene->resolvers);
  scene->input.resolvers = scene->resolvers = ks_test_prefixes ("192.168.1.1 2001:db8::53 127.0.0.53");
}

/* No user may use TCP: its packets do not show which name is looked up. */
static void
policy_lets_only_root_and_the_resolver_look_up_a_named_server (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_named (scene, "vpn.example.org");
  assert_rules_between (
    scene, AF_INET, 8305, 8306,
    "priority 8305 from all to 192.168.1.1 uidrange 0-0 ipproto udp dport 53 lookup 85 protocol 83\n"
    "priority 8305 from all to 192.168.1.1 uidrange 101-101 ipproto udp dport 53 lookup 85 protocol 83\n");
  assert_rules_between (
    scene, AF_INET6, 8305, 8306,
    "priority 8305 from all to 2001:db8::53 uidrange 0-0 ipproto udp dport 53 lookup 85 protocol 83\n"
    "priority 8305 from all to 2001:db8::53 fwmark 0x56 uidrange 0-0 lookup 85 protocol 83\n"
    "priority 8305 from all to 2001:db8::53 uidrange 101-101 ipproto udp dport 53 lookup 85 protocol 83\n");
}

/* Any program could make it look up any name. */
static void
policy_has_no_bootstrap_for_the_resolver_without_a_guard (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (KsPolicy) with = NULL, off = NULL, failed = NULL;
  static const char root[] =
    "priority 8305 from all to 192.168.1.1 uidrange 0-0 ipproto udp dport 53 lookup 85 protocol 83\n";

  add_named (scene, "vpn.example.org");
  with = ks_policy_compute (&scene->input);
  assert_false (with->any_name);
  scene->config->guard = FALSE;
  assert_rules_between (scene, AF_INET, 8305, 8306, root);
  off = ks_policy_compute (&scene->input);
  assert_true (off->any_name);
  scene->config->guard = TRUE;
  scene->input.no_guard = TRUE;
  assert_rules_between (scene, AF_INET, 8305, 8306, root);
  failed = ks_policy_compute (&scene->input);
  assert_true (failed->any_name);
}

/* The guard sets the mark: without one, nobody but another program would. */
static void
policy_has_a_way_back_to_the_servers_only_with_a_guard (void **state G_GNUC_UNUSED)
{
  static const char answers[] = "priority 8300 from all fwmark 0x56 uidrange 0-0 lookup 86 protocol 83\n";
  g_autoptr (Scene) scene = scene_new ();
  g_autofree char *with = NULL, *off = NULL, *failed = NULL, *other_family = NULL;

  add_wireguard (scene);
  with = rules_between (scene, AF_INET, 8300, 8300);
  other_family = rules_between (scene, AF_INET6, 8300, 8300);
  assert_non_null (strstr (with, answers));
  assert_null (strstr (other_family, answers));
  scene->config->guard = FALSE;
  off = rules_between (scene, AF_INET, 8300, 8300);
  assert_null (strstr (off, answers));
  scene->config->guard = TRUE;
  scene->input.no_guard = TRUE;
  failed = rules_between (scene, AF_INET, 8300, 8300);
  assert_null (strstr (failed, answers));
}

static void
assert_names (const Scene *scene, const char *expected)
{
  g_autoptr (KsPolicy) policy = ks_policy_compute (&scene->input);
  g_autofree char *text = NULL;

  g_ptr_array_add (policy->names, NULL);
  text = g_strjoinv (" ", (char **) policy->names->pdata);
  assert_string_equal (text, expected);
}

static void
policy_lets_the_servers_names_and_their_aliases_be_asked_for (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (GHashTable) aliases = g_hash_table_new (g_str_hash, g_str_equal);
  const char *const words[] = { "Edge.CDN.example", "bad name", "vpn.example.org." };
  g_autoptr (GPtrArray) known = g_ptr_array_new ();
  KsProfile *profile;

  for (guint i = 0; i < G_N_ELEMENTS (words); i++)
    g_ptr_array_add (known, (gpointer) words[i]);
  g_hash_table_insert (aliases, (gpointer) "VPN.example.org", known);
  g_hash_table_insert (aliases, (gpointer) "nobody.example", known);
  add_named (scene, "VPN.example.org");
  profile = add_openvpn (scene, "203.0.113.10");
  g_ptr_array_add (profile->endpoints, ks_endpoint_new ("second.example", 1194, IPPROTO_UDP));
  g_ptr_array_add (profile->endpoints, ks_endpoint_new ("vpn.example.org", 443, IPPROTO_TCP));
  assert_names (scene, "vpn.example.org second.example");
  scene->input.aliases = aliases;
  assert_names (scene, "vpn.example.org second.example edge.cdn.example");
  add_tunnel (scene, "named", "tun0", 8, "10.9.0.2/24");
  assert_names (scene, "");
}

static void
policy_has_no_bootstrap_for_a_name_nobody_could_ask_for (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_named (scene, "a..example");
  assert_names (scene, "");
  assert_rules_between (scene, AF_INET, 8305, 8306, "");
}

static void
policy_has_no_bootstrap_while_up_or_for_addresses (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  g_array_unref (scene->resolvers);
  scene->input.resolvers = scene->resolvers = ks_test_prefixes ("192.168.1.1");
  add_wireguard (scene);
  assert_rules_between (scene, AF_INET, 8305, 8306, "");
  add_profile (scene, "named", KS_VPN_PLUGIN, "vpn.example.org", 1194, IPPROTO_UDP);
  add_tunnel (scene, "named", "tun0", 8, "10.9.0.2/24");
  assert_rules_between (scene, AF_INET, 8305, 8306, "");
}

/* It can be looked up through that one. */
static void
policy_has_no_bootstrap_while_another_vpn_is_up (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsTunnel *tunnel;

  add_wireguard (scene);
  tunnel = add_tunnel (scene, "wg", "wg0", 7, "10.8.0.2/24");
  add_profile (scene, "named", KS_VPN_PLUGIN, "vpn.example.org", 1194, IPPROTO_UDP);
  g_array_unref (scene->resolvers);
  scene->input.resolvers = scene->resolvers = ks_test_prefixes ("192.168.1.1");
  assert_rules_between (scene, AF_INET, 8305, 8306, "");
  tunnel->ifindex = 0; /* its device is gone */
  assert_rules_between (
    scene, AF_INET, 8305, 8306,
    "priority 8305 from all to 192.168.1.1 uidrange 0-0 ipproto udp dport 53 lookup 85 protocol 83\n");
}

/* --- table 84 --- */

#define PASSES_IPV4 \
  "throw 10.0.0.0/8 table 84 protocol 83 metric 203\n" \
  "throw 172.16.0.0/12 table 84 protocol 83 metric 203\n" \
  "throw 169.254.0.0/16 table 84 protocol 83 metric 203\n" \
  "throw 192.168.0.0/16 table 84 protocol 83 metric 203\n" \
  "throw 239.255.0.0/16 table 84 protocol 83 metric 203\n" \
  "throw 224.0.0.0/24 table 84 protocol 83 metric 203\n" \
  "throw 255.255.255.255 table 84 protocol 83 metric 203\n"
#define PASSES_IPV6 \
  "throw fc00::/7 table 84 protocol 83 metric 203\n" \
  "throw fe80::/10 table 84 protocol 83 metric 203\n"

static void
policy_sends_by_the_tunnel_before_the_lan_rules_what_these_are_not_for (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_wireguard (scene);
  assert_shortcut (scene, AF_INET, "");
  add_tunnel (scene, "wg", "wg0", 7, "10.8.0.2/24 fd08::2/64");
  assert_shortcut (scene, AF_INET, "default dev if7 table 84 protocol 83 metric 100\n" PASSES_IPV4);
  assert_shortcut (scene, AF_INET6, "default dev if7 table 84 protocol 83 metric 100\n" PASSES_IPV6);
  scene->config->lan = KS_LAN_OFF; /* there are no such rules */
  assert_shortcut (scene, AF_INET, "default dev if7 table 84 protocol 83 metric 100\n");
  assert_shortcut (scene, AF_INET6, "default dev if7 table 84 protocol 83 metric 100\n");
  scene->config->lan = KS_LAN_ROUTES; /* they are for everything */
  assert_shortcut (scene, AF_INET, "");
  assert_shortcut (scene, AF_INET6, "");
}

static void
policy_has_no_shortcut_past_a_lan_that_is_everything (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsPrefix all = ks_test_prefix ("0.0.0.0/0");

  add_wireguard (scene);
  add_tunnel (scene, "wg", "wg0", 7, "10.8.0.2/24 fd08::2/64");
  g_array_append_val (scene->config->lan_prefixes, all);
  assert_shortcut (scene, AF_INET, "");
  assert_shortcut (scene, AF_INET6, "default dev if7 table 84 protocol 83 metric 100\n" PASSES_IPV6);
}

/* The tunnels of table 83 in its order, or some from the first: one may not be passed over. */
static void
policy_takes_no_shortcut_by_which_the_kernel_would_choose_another_source (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsTunnel *second;

  add_wireguard (scene);
  add_profile (scene, "second", KS_VPN_PLUGIN, "203.0.113.11", 1194, IPPROTO_UDP);
  add_tunnel (scene, "wg", "wg0", 7, "10.8.0.2/24");
  second = add_tunnel (scene, "second", "tun0", 8, "169.254.7.2/30");
  assert_shortcut (scene, AF_INET, "default dev if7 table 84 protocol 83 metric 100\n" PASSES_IPV4);
  second->gateway4 = ks_test_prefix ("169.254.7.1");
  assert_shortcut (scene, AF_INET,
                   "default dev if7 table 84 protocol 83 metric 100\n"
                   "default via 169.254.7.1 dev if8 onlink table 84 protocol 83 metric 101\n" PASSES_IPV4);
  second->gateway4 = (KsPrefix) KS_PREFIX_UNSET;
  g_ptr_array_add (scene->tunnels, g_ptr_array_steal_index (scene->tunnels, 0)); /* the second is preferred now */
  assert_shortcut (scene, AF_INET, "");
}

static void
policy_table_84_holds_nothing_that_takes_the_lan_or_multicast_whole (void **state G_GNUC_UNUSED)
{
  static const char wide[] =
    "0.0.0.0/1 128.0.0.0/1 224.0.0.0/3 224.0.0.0/4 239.0.0.0/8 8.0.0.0/6 127.0.0.0/8 169.254.0.0/17 "
    "::/0 8000::/1 fc00::/6 ff00::/8 ff02::/16 fe80::/64 ::1 0.0.0.0/0";
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (GArray) prefixes = ks_test_prefixes (wide);
  KsProfile *profile = add_wireguard (scene);
  KsTunnel *tunnel = add_tunnel (scene, "wg", "wg0", 7, "10.8.0.2 fd08::2");

  g_hash_table_insert (scene->remembered, (gpointer) "wg", ks_test_prefixes (wide));
  for (guint i = 0; i < prefixes->len; i++) {
    ks_prefix_array_add (profile->prefixes, &g_array_index (prefixes, KsPrefix, i));
    ks_tunnel_add_prefix (tunnel, &g_array_index (prefixes, KsPrefix, i), NULL);
  }
  assert_routes (scene, AF_UNSPEC, 84, "");
}

static void
policy_keeps_the_tunnels_subnets_and_resolvers_from_the_lan (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsTunnel *tunnel;
  KsPrefix inside = ks_test_prefix ("10.64.0.1"), network = ks_test_prefix ("10.99.0.0/16");
  KsPrefix gateway = ks_test_prefix ("10.8.0.1");

  add_openvpn (scene, SERVER);
  tunnel = add_tunnel (scene, "ovpn", "tun0", 8, "10.8.0.2/24");
  tunnel->gateway4 = gateway;
  ks_tunnel_add_prefix (tunnel, &network, &gateway);
  g_array_append_val (tunnel->nameservers, inside);
  assert_routes (scene, AF_INET, 84,
                 "10.99.0.0/16 via 10.8.0.1 dev if8 onlink table 84 protocol 83 metric 100\n"
                 "blackhole 10.99.0.0/16 table 84 protocol 83 metric 200\n"
                 "10.8.0.0/24 dev if8 table 84 protocol 83 metric 100\n"
                 "blackhole 10.8.0.0/24 table 84 protocol 83 metric 200\n"
                 "10.64.0.1 via 10.8.0.1 dev if8 onlink table 84 protocol 83 metric 100\n"
                 "blackhole 10.64.0.1 table 84 protocol 83 metric 200\n");
  assert_routes (scene, AF_INET, 83,
                 "default via 10.8.0.1 dev if8 onlink table 83 protocol 83 metric 100\n"
                 "blackhole default table 83 protocol 83 metric 200\n");
}

static void
policy_blackholes_behind_tunnel_prefixes_stay_while_down (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsProfile *profile = add_wireguard (scene);
  KsPrefix allowed = ks_test_prefix ("10.99.0.0/16"), resolver = ks_test_prefix ("10.64.0.1");

  g_array_append_val (profile->prefixes, allowed);
  g_array_append_val (profile->nameservers, resolver);
  g_hash_table_insert (scene->remembered, (gpointer) "wg", ks_test_prefixes ("10.8.0.0/24 10.64.0.1"));
  assert_routes (scene, AF_INET, 84,
                 "blackhole 10.99.0.0/16 table 84 protocol 83 metric 200\n"
                 "blackhole 10.8.0.0/24 table 84 protocol 83 metric 200\n"
                 "blackhole 10.64.0.1 table 84 protocol 83 metric 200\n");
}

static void
policy_has_no_blackhole_over_a_subnet_the_uplink_is_in (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsProfile *profile = add_wireguard (scene);
  KsPrefix company = ks_test_prefix ("192.168.0.0/16"), part = ks_test_prefix ("192.168.1.128/25"),
           other = ks_test_prefix ("10.99.0.0/16");

  g_array_append_val (profile->prefixes, company);
  g_array_append_val (profile->prefixes, part);
  g_array_append_val (profile->prefixes, other);
  add_home_lan (scene);
  assert_routes (scene, AF_INET, 84, "blackhole 10.99.0.0/16 table 84 protocol 83 metric 200\n");
}

static void
policy_takes_no_dhcp_route_as_a_reason_to_drop_a_blackhole (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsProfile *profile = add_wireguard (scene);
  KsPrefix company = ks_test_prefix ("10.99.0.0/16");

  g_array_append_val (profile->prefixes, company);
  add_home_lan (scene);
  add_main (scene, "10.99.0.0/16", "192.168.1.66", 2);
  add_main (scene, "10.99.0.0/17", "", 2)->protocol = RTPROT_DHCP; /* by DHCP option 121, on link */
  assert_routes (scene, AF_INET, 84, "blackhole 10.99.0.0/16 table 84 protocol 83 metric 200\n");
}

/* --- table 85 --- */

/* Before the kernel has chosen an address to send from, a route `from` some is not found. */
static void
policy_copies_a_route_from_some_addresses_for_all (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_openvpn (scene, SERVER);
  add_main (scene, "::/0", "fe80::1", 2)->src = ks_test_prefix ("2001:db8:6::/64");
  assert_routes (scene, AF_INET6, 85,
                 "default via fe80::1 dev if2 onlink table 85 protocol 83 metric 100\n"
                 "unreachable default table 85 protocol 83 metric 4294967295\n");
}

static void
policy_table_85_is_main_without_tunnels (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsRoute *multipath;

  add_openvpn (scene, SERVER);
  add_tunnel (scene, "ovpn", "tun0", 8, "10.8.0.2/24");
  add_main (scene, "0.0.0.0/0", "10.8.0.1", 8)->metric = 50;
  add_main (scene, "0.0.0.0/0", "192.168.1.1", 2)->metric = 20100;
  add_main (scene, "10.8.0.0/24", "", 8);
  add_main (scene, "192.168.1.0/24", "", 2)->prefsrc = ks_test_prefix ("192.168.1.2");
  multipath = add_main (scene, "198.51.100.0/24", "192.168.1.1", 2);
  multipath->n_nexthops = 3;
  multipath->nexthops[1] = (KsNexthop){ .ifindex = 8, .gateway = ks_test_prefix ("10.8.0.1") };
  multipath->nexthops[2] = (KsNexthop){ .ifindex = 3, .gateway = ks_test_prefix ("10.20.0.1"), .weight = 4 };
  multipath = add_main (scene, "192.0.2.0/24", "10.8.0.1", 8);
  multipath->n_nexthops = 2;
  multipath->nexthops[1] = (KsNexthop){ .ifindex = 3, .gateway = ks_test_prefix ("10.20.0.1"), .weight = 4 };
  multipath = add_main (scene, "192.0.2.128/25", "", 2);
  multipath->type = RTN_BLACKHOLE;
  multipath->n_nexthops = 0;
  add_main (scene, "192.168.1.255", "", 2)->type = RTN_BROADCAST;
  add_main (scene, "172.20.0.0/16", "", 2)->table = 51820; /* a foreign table that a dump may contain */
  assert_routes (scene, AF_INET, 85,
                 "default via 192.168.1.1 dev if2 onlink table 85 protocol 83 metric 20100\n"
                 "unreachable default table 85 protocol 83 metric 4294967295\n"
                 "192.0.2.0/24 via 10.20.0.1 dev if3 onlink table 85 protocol 83 metric 100\n"
                 "192.168.1.0/24 dev if2 table 85 protocol 83 metric 100 src 192.168.1.2\n"
                 "198.51.100.0/24 nexthop via 192.168.1.1 dev if2 onlink weight 1 nexthop via 10.20.0.1 dev if3 onlink "
                 "weight 5 table 85 protocol 83 metric 100\n"
                 "blackhole 192.0.2.128/25 table 85 protocol 83 metric 100\n");
}

static void
policy_table_85_has_no_link_local_or_multicast_of_ipv6 (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_wireguard (scene);
  add_main (scene, "fe80::/64", "", 2);
  add_main (scene, "ff00::/8", "", 2);
  add_main (scene, "2001:db8:1::/64", "", 2);
  add_main (scene, "::/0", "fe80::1", 2);
  assert_routes (scene, AF_INET6, 85,
                 "default via fe80::1 dev if2 onlink table 85 protocol 83 metric 100\n"
                 "unreachable default table 85 protocol 83 metric 4294967295\n"
                 "2001:db8:1::/64 dev if2 table 85 protocol 83 metric 100\n");
}

static void
policy_table_85_leaves_out_routes_whose_next_hops_are_dead (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_wireguard (scene);
  add_main (scene, "0.0.0.0/0", "192.168.1.1", 2)->n_nexthops = 0;
  assert_routes (scene, AF_INET, 85, "unreachable default table 85 protocol 83 metric 4294967295\n");
}

/* --- management from outside --- */

static void
add_address (Scene *self, const char *address, guint ifindex)
{
  KsAddress entry = { .prefix = ks_test_prefix (address), .ifindex = ifindex };

  g_array_append_val (self->addresses, entry);
}

/* A server with two uplinks, of which eth0 (2) is preferred, and one VPN. */
static void
add_server (Scene *self, const char *management)
{
  add_wireguard (self);
  add_main (self, "0.0.0.0/0", "192.0.2.1", 2);
  add_main (self, "192.0.2.0/24", "", 2);
  add_main (self, "0.0.0.0/0", "203.0.113.1", 3)->metric = 600;
  add_main (self, "203.0.113.0/24", "", 3);
  add_main (self, "::/0", "fe80::1", 2);
  add_address (self, "127.0.0.1/8", 1);
  add_address (self, "192.0.2.5/24", 2);
  add_address (self, "2001:db8:1::5/64", 2);
  add_address (self, "fe80::5/64", 2);
  add_address (self, "203.0.113.77/24", 3);
  g_array_unref (self->config->management_prefixes);
  self->config->management_prefixes = ks_test_prefixes (management);
}

static void
policy_sends_replies_to_management_by_the_device_of_their_address (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_server (scene, "198.51.100.7 198.51.100.128/25 2001:db8:9::/64");
  assert_rules_between (scene, AF_INET, 8308, 8308,
                        "priority 8308 from 192.0.2.5 to 198.51.100.7 lookup 8300 protocol 83\n"
                        "priority 8308 from 192.0.2.5 to 198.51.100.128/25 lookup 8300 protocol 83\n"
                        "priority 8308 from 203.0.113.77 to 198.51.100.7 lookup 8301 protocol 83\n"
                        "priority 8308 from 203.0.113.77 to 198.51.100.128/25 lookup 8301 protocol 83\n");
  assert_rules_between (scene, AF_INET6, 8308, 8308,
                        "priority 8308 from 2001:db8:1::5 to 2001:db8:9::/64 lookup 8300 protocol 83\n");
  assert_routes (scene, AF_INET, 8300,
                 "default via 192.0.2.1 dev if2 onlink table 8300 protocol 83 metric 100\n"
                 "unreachable default table 8300 protocol 83 metric 4294967295\n");
  assert_routes (scene, AF_INET, 8301,
                 "default via 203.0.113.1 dev if3 onlink table 8301 protocol 83 metric 600\n"
                 "unreachable default table 8301 protocol 83 metric 4294967295\n");
  assert_routes (scene, AF_INET6, 8300,
                 "default via fe80::1 dev if2 onlink table 8300 protocol 83 metric 100\n"
                 "unreachable default table 8300 protocol 83 metric 4294967295\n");
}

static void
policy_keeps_of_several_next_hops_the_one_by_the_device (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsRoute *route;

  add_server (scene, "198.51.100.7");
  g_array_set_size (scene->main_routes, 0);
  route = add_main (scene, "198.51.100.0/24", "192.0.2.1", 2);
  route->n_nexthops = 2;
  route->nexthops[1].ifindex = 3;
  route->nexthops[1].gateway = ks_test_prefix ("203.0.113.1");
  assert_routes (scene, AF_INET, 8301,
                 "unreachable default table 8301 protocol 83 metric 4294967295\n"
                 "198.51.100.0/24 via 203.0.113.1 dev if3 onlink table 8301 protocol 83 metric 100\n");
}

static void
policy_lets_no_reply_out_without_the_guard_or_the_setting (void **state G_GNUC_UNUSED)
{
  for (int i = 0; i < 4; i++) {
    g_autoptr (Scene) scene = scene_new ();
    g_autoptr (KsPolicy) policy = NULL;

    add_server (scene, i == 0 ? "" : "198.51.100.7 2001:db8:9::/64");
    scene->config->guard = i != 1;
    if (i == 2)
      scene->input.addresses = NULL; /* the guard could not be installed */
    policy = ks_policy_compute (&scene->input);
    assert_int_equal (policy->management->len, i == 3 ? 3 : 0);
    assert_rules_between (scene, AF_INET6, 8308, 8308,
                          i == 3 ? "priority 8308 from 2001:db8:1::5 to 2001:db8:9::/64 lookup 8300 protocol 83\n"
                                 : "");
    if (i != 3)
      assert_routes (scene, AF_INET, 8300, "");
  }
}

static void
policy_does_not_take_a_tunnel_for_an_uplink_of_management (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_server (scene, "198.51.100.7");
  add_tunnel (scene, "wg", "wg0", 7, "10.8.0.2/24");
  add_address (scene, "10.8.0.2/24", 7);
  add_main (scene, "0.0.0.0/0", "10.8.0.1", 7)->metric = 50;
  add_address (scene, "192.168.9.9/24", 4); /* a device without a route to the prefix */
  add_main (scene, "192.168.9.0/24", "", 4);
  assert_rules_between (scene, AF_INET, 8308, 8308,
                        "priority 8308 from 192.0.2.5 to 198.51.100.7 lookup 8300 protocol 83\n"
                        "priority 8308 from 203.0.113.77 to 198.51.100.7 lookup 8301 protocol 83\n");
  assert_routes (scene, AF_INET, 8302, "");
}

static void
policy_serves_only_as_many_uplinks_as_it_has_tables (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (KsPolicy) policy = NULL;

  add_server (scene, "198.51.100.7");
  for (guint i = 0; i < 10; i++) {
    g_autofree char *address = g_strdup_printf ("192.0.2.%u", 100 + i);

    add_main (scene, "0.0.0.0/0", "192.0.2.1", 20 + i);
    add_address (scene, address, 20 + i);
  }
  policy = ks_policy_compute (&scene->input);
  assert_int_equal (policy->management->len, KS_MANAGEMENT_TABLES);
  for (guint i = 0; i < policy->routes->len; i++)
    assert_true (ks_owner_has_route (scene->config, &g_array_index (policy->routes, KsRoute, i)));
}

/* --- several VPNs, numbers, bytes --- */

static void
policy_orders_several_tunnels_as_networkmanager_prefers_them (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_wireguard (scene);
  add_openvpn (scene, SERVER);
  add_tunnel (scene, "ovpn", "tun0", 8, "10.9.0.2/24");
  add_tunnel (scene, "wg", "wg0", 7, "10.8.0.2/24");
  assert_routes (scene, AF_INET, 83,
                 "default dev if8 table 83 protocol 83 metric 100\n"
                 "default dev if7 table 83 protocol 83 metric 101\n"
                 "blackhole default table 83 protocol 83 metric 200\n");
}

static void
policy_never_puts_a_tunnel_behind_the_blackhole (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (KsPolicy) policy = NULL;
  guint tunnels = 0;

  scene->config->tunnel_metric = 198;
  add_wireguard (scene);
  for (guint i = 0; i < 5; i++)
    add_tunnel (scene, "wg", "wg0", 10 + i, "10.8.0.2");
  policy = ks_policy_compute (&scene->input);
  for (guint i = 0; i < policy->routes->len; i++) {
    const KsRoute *route = &g_array_index (policy->routes, KsRoute, i);

    if (route->table != 83 || route->n_nexthops == 0)
      continue;
    tunnels++;
    assert_true (route->metric < 200);
  }
  assert_int_equal (tunnels, 5);
}

static void
policy_uses_the_configured_numbers_and_owns_by_them (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (KsPolicy) policy = NULL;

  scene->config->table = 1083;
  scene->config->tunnel_table = 1084;
  scene->config->uplink_table = 1085;
  scene->config->protocol = 99;
  scene->config->priority = 100;
  add_wireguard (scene)->listen_port = 51820;
  add_tunnel (scene, "wg", "wg0", 7, "10.8.0.2/24");
  add_home_lan (scene);
  policy = ks_policy_compute (&scene->input);
  for (guint i = 0; i < policy->rules->len; i++)
    assert_true (ks_owner_has_rule (scene->config, &g_array_index (policy->rules, KsRule, i)));
  for (guint i = 0; i < policy->routes->len; i++)
    assert_true (ks_owner_has_route (scene->config, &g_array_index (policy->routes, KsRoute, i)));
}

static void
policy_owns_nothing_foreign (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsConfig) config = ks_config_new ();
  KsRule rule = ks_rule_lookup (AF_INET, 8380, 83, 83);
  KsPrefix all = ks_prefix_default (AF_INET);
  KsRoute route = ks_route_blackhole (83, 83, &all, 200);

  assert_true (ks_owner_has_rule (config, &rule));
  rule.protocol = RTPROT_UNSPEC;
  assert_false (ks_owner_has_rule (config, &rule));
  rule.protocol = 83;
  rule.priority = 8299;
  assert_false (ks_owner_has_rule (config, &rule));
  rule.priority = 8400;
  assert_false (ks_owner_has_rule (config, &rule));
  rule.priority = 8399;
  assert_true (ks_owner_has_rule (config, &rule));

  assert_true (ks_owner_has_route (config, &route));
  route.protocol = RTPROT_STATIC;
  assert_false (ks_owner_has_route (config, &route));
  route.protocol = 83;
  route.table = RT_TABLE_MAIN;
  assert_false (ks_owner_has_route (config, &route));
}

static void
policy_same_inputs_give_the_same_bytes (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (KsPolicy) first = NULL, second = NULL;
  KsRoute last;

  add_wireguard (scene)->listen_port = 51820;
  add_openvpn (scene, SERVER6);
  add_tunnel (scene, "wg", "wg0", 7, "10.8.0.2/24 fd08::2/64");
  add_home_lan (scene);
  first = ks_policy_compute (&scene->input);
  /* main in another order, and one of its routes twice */
  last = g_array_index (scene->main_routes, KsRoute, 1);
  g_array_prepend_val (scene->main_routes, last);
  second = ks_policy_compute (&scene->input);
  assert_int_equal (first->rules->len, second->rules->len);
  assert_memory_equal (first->rules->data, second->rules->data, first->rules->len * sizeof (KsRule));
  assert_int_equal (first->routes->len, second->routes->len);
  assert_memory_equal (first->routes->data, second->routes->data, first->routes->len * sizeof (KsRoute));
}

static void
policy_gives_the_guard_tunnels_with_host_addresses (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (KsPolicy) policy = NULL;
  g_autofree char *addresses = NULL;
  const KsPolicyTunnel *tunnel;

  add_wireguard (scene);
  add_tunnel (scene, "wg", "wg0", 7, "10.8.0.2/24 fd08::2/64");
  policy = ks_policy_compute (&scene->input);
  assert_int_equal (policy->tunnels->len, 1);
  tunnel = policy->tunnels->pdata[0];
  addresses = ks_test_format_prefixes (tunnel->addresses);
  assert_string_equal (tunnel->interface, "wg0");
  assert_int_equal (tunnel->ifindex, 7);
  assert_string_equal (addresses, "10.8.0.2 fd08::2");
}

/* --- foreign rules, a kernel without IPv6 --- */

/* The rules before our window that follow from the rules of others in @words: "PRIORITY:TABLE[!]", ! with a mark. */
static char *
jump_over (const char *words)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (GArray) rules = g_array_new (FALSE, FALSE, sizeof (KsRule));
  g_auto (GStrv) list = g_strsplit (words, " ", -1);

  add_wireguard (scene);
  for (char **word = list; *word; word++) {
    char *end;
    guint32 priority = strtoul (*word, &end, 10);
    KsRule rule = ks_rule_lookup (AF_INET, priority, RTPROT_KERNEL, strtoul (end + 1, &end, 10));

    if (*end == '!')
      rule.fwmark = rule.fwmask = 1;
    g_array_append_val (rules, rule);
  }
  scene->input.rules = rules;
  return rules_between (scene, AF_INET, 0, 8299);
}

static void
policy_jumps_over_foreign_rules_in_front (void **state G_GNUC_UNUSED)
{
  static const char *const cases[][2] = {
    { "0:255 32766:254 32767:253", "" },
    { "0:255 8400:51820 32766:254", "" },
    { "0:255 5000:254 32766:254", "priority 4999 from all goto 8300 protocol 83\n" },
    { "0:255 1:254", "priority 0 from all goto 8300 protocol 83\n" },
    { "0:255 5000:254 3000:254!", "priority 2999 from all goto 8300 protocol 83\n" },
    /* table local was moved, or is looked up once more: packets to the host itself come before the jump */
    { "100:255 50:254! 5000:254", "priority 4999 from all goto 8300 protocol 83\n" },
    { "0:255 5000:254 6000:255", "priority 4999 from all goto 8300 protocol 83\n" },
    { "0:255 5000:254 6000:255!", "priority 4999 from all goto 8300 protocol 83\n" },
    /* table local was moved behind ours, as with VRFs: it is looked up before ours, and before the jump */
    { "32765:255 32766:254", "priority 8299 from all lookup local protocol 83\n" },
    { "32765:255 1000:254",
      "priority 998 from all lookup local protocol 83\npriority 999 from all goto 8300 protocol 83\n" },
    { "8350:255 0:255! 32766:254", "priority 8299 from all lookup local protocol 83\n" },
    { "32765:255 1:254", "priority 0 from all goto 8300 protocol 83\n" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *text = jump_over (cases[i][0]);

    assert_string_equal (text, cases[i][1]);
  }
}

static void
policy_owns_its_jump_and_no_other (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsConfig) config = ks_config_new ();
  KsRule jump = ks_rule_init (AF_INET, 4999, 83);
  KsRule local = ks_rule_lookup (AF_INET, 998, 83, RT_TABLE_LOCAL);

  jump.action = FR_ACT_GOTO;
  jump.goto_target = 8300;
  assert_true (ks_owner_has_rule (config, &jump));
  jump.goto_target = 8301;
  assert_false (ks_owner_has_rule (config, &jump));
  jump.goto_target = 8300;
  jump.protocol = RTPROT_STATIC;
  assert_false (ks_owner_has_rule (config, &jump));
  assert_true (ks_owner_has_rule (config, &local));
  local.table = RT_TABLE_MAIN;
  assert_false (ks_owner_has_rule (config, &local));
  local.table = RT_TABLE_LOCAL;
  local.priority = 32765;
  assert_false (ks_owner_has_rule (config, &local));
}

static void
policy_for_a_kernel_without_ipv6_has_no_ipv6 (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  scene->input.no_ipv6 = TRUE;
  add_wireguard (scene);
  add_openvpn (scene, SERVER6);
  add_tunnel (scene, "wg", "wg0", 7, "10.8.0.2/24 fd08::2/64");
  assert_rules (scene, AF_INET6, "");
  assert_routes (scene, AF_INET6, 0, "");
  assert_routes (scene, AF_INET, 83,
                 "default dev if7 table 83 protocol 83 metric 100\n"
                 "blackhole default table 83 protocol 83 metric 200\n");
}

static void
policy_works_without_main_routes_resolvers_and_answers (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  scene->input.main_routes = scene->input.resolvers = scene->input.resolver_uids = NULL;
  scene->input.resolved = scene->input.remembered = NULL;
  add_profile (scene, "named", KS_VPN_PLUGIN, "vpn.example.org", 1194, IPPROTO_UDP);
  assert_routes (scene, AF_INET, 0,
                 "blackhole default table 83 protocol 83 metric 200\n"
                 "unreachable default table 85 protocol 83 metric 4294967295\n");
}

/* --- several VPNs at once --- */

static void
policy_has_the_defaults_of_several_vpns_in_order_of_preference (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_profile (scene, "a", KS_VPN_PLUGIN, "203.0.113.1", 1194, IPPROTO_UDP);
  add_profile (scene, "b", KS_VPN_PLUGIN, "203.0.113.2", 1194, IPPROTO_UDP);
  add_profile (scene, "c", KS_VPN_PLUGIN, "203.0.113.3", 1194, IPPROTO_UDP);
  add_tunnel (scene, "b", "tunb", 8, "10.9.0.2 fd09::2");
  add_tunnel (scene, "a", "tuna", 7, "10.8.0.2");
  assert_routes (scene, AF_INET, 83,
                 "default dev if8 table 83 protocol 83 metric 100\n"
                 "default dev if7 table 83 protocol 83 metric 101\n"
                 "blackhole default table 83 protocol 83 metric 200\n");
  assert_routes (scene, AF_INET6, 83,
                 "default dev if8 table 83 protocol 83 metric 100\n"
                 "blackhole default table 83 protocol 83 metric 200\n");
}

static void
policy_gives_a_split_vpn_no_default_while_a_full_one_is_armed (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsProfile *company = add_profile (scene, "company", KS_VPN_PLUGIN, "203.0.113.2", 1194, IPPROTO_UDP);

  company->never_default4 = company->never_default6 = TRUE;
  add_tunnel (scene, "company", "tunc", 8, "10.9.0.2");
  assert_routes (scene, AF_INET, 83,
                 "default dev if8 table 83 protocol 83 metric 100\n"
                 "blackhole default table 83 protocol 83 metric 200\n");
  /* a full VPN that is down: its traffic must not go to the company */
  add_profile (scene, "home", KS_VPN_PLUGIN, "203.0.113.1", 1194, IPPROTO_UDP);
  assert_routes (scene, AF_INET, 83, "blackhole default table 83 protocol 83 metric 200\n");
}

static void
policy_asks_each_vpns_dns_servers_through_its_tunnel (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsProfile *company = add_profile (scene, "company", KS_VPN_PLUGIN, "203.0.113.2", 1194, IPPROTO_UDP);
  KsPrefix dns = ks_test_prefix ("10.9.0.1");
  KsTunnel *tunnel;

  company->never_default4 = company->never_default6 = TRUE;
  g_array_append_val (company->nameservers, dns);
  add_profile (scene, "home", KS_VPN_PLUGIN, "203.0.113.1", 1194, IPPROTO_UDP);
  add_tunnel (scene, "home", "tunh", 7, "10.8.0.2");
  tunnel = add_tunnel (scene, "company", "tunc", 8, "10.9.0.2");
  g_array_append_val (tunnel->nameservers, dns);
  assert_routes (scene, AF_INET, 84,
                 "10.9.0.1 dev if8 table 84 protocol 83 metric 101\n"
                 "blackhole 10.9.0.1 table 84 protocol 83 metric 200\n");
  /* and through no other one while it is down */
  g_ptr_array_remove_index (scene->tunnels, 1);
  assert_routes (scene, AF_INET, 84, "blackhole 10.9.0.1 table 84 protocol 83 metric 200\n");
}

static void
policy_leads_a_vpn_inside_another_to_its_server_by_the_others_tunnel (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsProfile *inner = add_profile (scene, "inner", KS_VPN_PLUGIN, "203.0.113.2", 1194, IPPROTO_UDP);
  KsTunnel *outer;
  g_autoptr (KsPolicy) policy = NULL;

  inner->placement = KS_PLACEMENT_INSIDE;
  add_profile (scene, "outer", KS_VPN_PLUGIN, "203.0.113.1", 1194, IPPROTO_UDP);
  outer = add_tunnel (scene, "outer", "tuno", 7, "10.8.0.2");
  outer->gateway4 = ks_test_prefix ("10.8.0.1");
  add_home_lan (scene);
  assert_routes (scene, AF_INET, 86,
                 "203.0.113.1 via 192.168.1.1 dev if2 onlink table 86 protocol 83 metric 100\n"
                 "unreachable 203.0.113.1 table 86 protocol 83 metric 4294967295\n"
                 "203.0.113.2 via 10.8.0.1 dev if7 onlink table 86 protocol 83 metric 4294967294\n"
                 "unreachable 203.0.113.2 table 86 protocol 83 metric 4294967295\n");
  policy = ks_policy_compute (&scene->input);
  assert_string_equal (g_hash_table_lookup (policy->outers, "inner"), "outer");
  assert_null (g_hash_table_lookup (policy->outers, "outer"));
  for (guint i = 0; i < policy->transports->len; i++) {
    const KsTransport *transport = &g_array_index (policy->transports, KsTransport, i);
    KsPrefix server = ks_test_prefix ("203.0.113.2");

    assert_string_equal (transport->outer, ks_prefix_equal (&transport->to, &server) ? "tuno" : "");
  }
}

static void
policy_exempts_no_port_of_a_wireguard_inside_another (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsProfile *inner = add_wireguard (scene);
  KsTunnel *tunnel = add_tunnel (scene, "wg", "wg0", 7, "10.8.0.2");

  inner->placement = KS_PLACEMENT_INSIDE;
  tunnel->listen_port = 51820;
  tunnel->fwmark = 0xca6c;
  add_profile (scene, "outer", KS_VPN_PLUGIN, "203.0.113.1", 1194, IPPROTO_UDP);
  assert_rules_between (scene, AF_INET, 8300, 8300,
                        "priority 8300 from all nop protocol 83\n"
                        "priority 8300 from all fwmark 0xca6c ipproto udp lookup 85 protocol 83\n"
                        "priority 8300 from all uidrange 0-0 ipproto udp sport 51820 lookup 85 protocol 83\n"
                        "priority 8300 from all fwmark 0x56 uidrange 0-0 lookup 86 protocol 83\n"
                        "priority 8300 from all uidrange 0-0 ipproto udp dport 1194 lookup 86 protocol 83\n"
                        "priority 8300 from all uidrange 0-0 ipproto udp dport 51820 lookup 86 protocol 83\n");
  add_tunnel (scene, "outer", "tuno", 8, "10.9.0.2");
  assert_rules_between (scene, AF_INET, 8300, 8300,
                        "priority 8300 from all nop protocol 83\n"
                        "priority 8300 from all fwmark 0x56 uidrange 0-0 lookup 86 protocol 83\n"
                        "priority 8300 from all uidrange 0-0 ipproto udp dport 1194 lookup 86 protocol 83\n"
                        "priority 8300 from all uidrange 0-0 ipproto udp dport 51820 lookup 86 protocol 83\n");
}

static void
policy_lets_a_session_begin_while_another_vpn_blocks (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsProfile *session = add_profile (scene, "session", KS_VPN_PLUGIN, "203.0.113.2", 443, IPPROTO_TCP);

  g_ptr_array_add (scene->standby, g_ptr_array_steal_index (scene->armed, 0));
  session->lan = KS_LAN_OFF;
  assert_rules (scene, AF_INET, "");
  add_profile (scene, "strict", KS_VPN_PLUGIN, "203.0.113.1", 1194, IPPROTO_UDP);
  assert_rules_between (scene, AF_INET, 8300, 8300,
                        "priority 8300 from all nop protocol 83\n"
                        "priority 8300 from all fwmark 0x56 uidrange 0-0 lookup 86 protocol 83\n"
                        "priority 8300 from all uidrange 0-0 ipproto tcp dport 443 lookup 86 protocol 83\n"
                        "priority 8300 from all uidrange 0-0 ipproto udp dport 1194 lookup 86 protocol 83\n");
  /* it decides nothing else */
  assert_rules_between (scene, AF_INET, 8335, 8335,
                        "priority 8335 from all to 224.0.0.0/24 lookup 85 protocol 83\n"
                        "priority 8335 from all to 239.255.0.0/16 lookup 85 protocol 83\n"
                        "priority 8335 from all to 255.255.255.255 lookup 85 protocol 83\n");
}

/* A VPN that is not armed, by device 9. */
static void
add_foreign_tunnel (Scene *scene)
{
  guint ifindex = 9;

  g_array_append_val (scene->tunnel_links, ifindex);
}

static void
policy_keeps_the_lan_rules_from_an_unarmed_vpns_tunnel (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  guint own = 7;

  add_profile (scene, "home", KS_VPN_PLUGIN, "203.0.113.1", 1194, IPPROTO_UDP);
  add_tunnel (scene, "home", "tunh", 7, "10.8.0.2");
  g_array_append_val (scene->tunnel_links, own);
  add_foreign_tunnel (scene);
  add_home_lan (scene);
  add_main (scene, "10.20.0.0/16", "", 9);
  add_main (scene, "192.168.0.0/16", "", 9);
  add_main (scene, "203.0.113.0/24", "", 9); /* is not the LAN */
  add_main (scene, "10.8.0.0/24", "", 7);
  assert_routes (scene, AF_INET, 84,
                 "10.20.0.0/16 dev if7 table 84 protocol 83 metric 100\n"
                 "unreachable 10.20.0.0/16 table 84 protocol 83 metric 201\n"
                 "192.168.0.0/16 dev if7 table 84 protocol 83 metric 100\n"
                 "unreachable 192.168.0.0/16 table 84 protocol 83 metric 201\n"
                 "throw 192.168.1.0/24 table 84 protocol 83 metric 202\n");
  /* while no armed VPN is up, nothing carries them; with the LAN off, no rule leads there */
  g_ptr_array_set_size (scene->tunnels, 0);
  g_array_set_size (scene->tunnel_links, 0);
  add_foreign_tunnel (scene);
  assert_routes (scene, AF_INET, 84,
                 "unreachable 10.20.0.0/16 table 84 protocol 83 metric 201\n"
                 "unreachable 192.168.0.0/16 table 84 protocol 83 metric 201\n"
                 "throw 192.168.1.0/24 table 84 protocol 83 metric 202\n");
  scene->config->lan = KS_LAN_OFF;
  assert_routes (scene, AF_INET, 84, "");
}

static void
policy_keeps_all_of_the_lan_from_an_unarmed_vpns_wide_route (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_profile (scene, "home", KS_VPN_PLUGIN, "203.0.113.1", 1194, IPPROTO_UDP);
  add_foreign_tunnel (scene);
  add_home_lan (scene);
  add_main (scene, "0.0.0.0/1", "", 9);
  add_main (scene, "128.0.0.0/1", "", 9);
  assert_routes (scene, AF_INET, 84,
                 "unreachable 10.0.0.0/8 table 84 protocol 83 metric 201\n"
                 "unreachable 172.16.0.0/12 table 84 protocol 83 metric 201\n"
                 "unreachable 169.254.0.0/16 table 84 protocol 83 metric 201\n"
                 "unreachable 192.168.0.0/16 table 84 protocol 83 metric 201\n"
                 "throw 192.168.1.0/24 table 84 protocol 83 metric 202\n");
  /* for a transport, routes to the halves of the internet are no better than the uplink's default */
  assert_routes (scene, AF_INET, 86,
                 "203.0.113.1 via 192.168.1.1 dev if2 onlink table 86 protocol 83 metric 100\n"
                 "unreachable 203.0.113.1 table 86 protocol 83 metric 4294967295\n");
}

static void
policy_keeps_an_armed_vpns_subnets_before_those_of_an_unarmed_one (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_profile (scene, "home", KS_VPN_PLUGIN, "203.0.113.1", 1194, IPPROTO_UDP);
  add_tunnel (scene, "home", "tunh", 7, "10.8.0.2/16");
  add_foreign_tunnel (scene);
  add_main (scene, "10.8.5.0/24", "", 9);
  assert_routes (scene, AF_INET, 84,
                 "10.8.0.0/16 dev if7 table 84 protocol 83 metric 100\n"
                 "blackhole 10.8.0.0/16 table 84 protocol 83 metric 200\n");
}

static void
policy_leaves_a_lan_alone_that_an_unarmed_vpn_has_a_worse_route_to (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_profile (scene, "home", KS_VPN_PLUGIN, "203.0.113.1", 1194, IPPROTO_UDP);
  add_foreign_tunnel (scene);
  add_home_lan (scene);
  add_main (scene, "192.168.1.0/24", "", 9)->metric = 700;
  assert_routes (scene, AF_INET, 84, "");
  g_array_index (scene->main_routes, KsRoute, 2).metric = 50;
  assert_routes (scene, AF_INET, 84, "unreachable 192.168.1.0/24 table 84 protocol 83 metric 201\n");
}

static void
policy_does_not_look_for_a_server_behind_an_unarmed_vpn_in_the_lan (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsRoute *mistake;

  add_profile (scene, "home", KS_VPN_PLUGIN, "10.20.0.1", 1194, IPPROTO_UDP);
  add_foreign_tunnel (scene);
  add_home_lan (scene);
  add_main (scene, "10.20.0.0/16", "", 9)->metric = 50;
  mistake = add_main (scene, "10.20.0.1", "", 2); /* by NetworkManager */
  mistake->protocol = RTPROT_STATIC;
  mistake->metric = 50;
  add_main (scene, "10.20.7.0/24", "", 2)->metric = 50;
  assert_routes (scene, AF_INET, 84,
                 "unreachable 10.20.0.0/16 table 84 protocol 83 metric 201\n"
                 "throw 10.20.7.0/24 table 84 protocol 83 metric 202\n");
  assert_routes (scene, AF_INET, 86,
                 "10.20.0.1 dev if9 table 86 protocol 83 metric 50\n"
                 "unreachable 10.20.0.1 table 86 protocol 83 metric 4294967295\n");
}

static void
policy_sends_transports_by_an_unarmed_vpn_only_without_another_uplink (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_profile (scene, "home", KS_VPN_PLUGIN, "203.0.113.1", 1194, IPPROTO_UDP);
  add_foreign_tunnel (scene);
  add_main (scene, "0.0.0.0/0", "", 9)->metric = 50;
  assert_routes (scene, AF_INET, 86,
                 "203.0.113.1 dev if9 table 86 protocol 83 metric 1000050\n"
                 "unreachable 203.0.113.1 table 86 protocol 83 metric 4294967295\n");
  /* multicast would leave by it */
  assert_routes (scene, AF_INET, 84,
                 "unreachable 239.255.0.0/16 table 84 protocol 83 metric 201\n"
                 "unreachable 224.0.0.0/24 table 84 protocol 83 metric 201\n"
                 "unreachable 255.255.255.255 table 84 protocol 83 metric 201\n");
  add_home_lan (scene);
  assert_routes (scene, AF_INET, 86,
                 "203.0.113.1 via 192.168.1.1 dev if2 onlink table 86 protocol 83 metric 100\n"
                 "203.0.113.1 dev if9 table 86 protocol 83 metric 1000050\n"
                 "unreachable 203.0.113.1 table 86 protocol 83 metric 4294967295\n");
  assert_routes (scene, AF_INET, 84, "");
}

static void
policy_of_a_hundred_vpns_of_which_twenty_are_up (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) few = scene_new (), many = scene_new ();
  g_autoptr (KsPolicy) of_few = NULL, of_many = NULL;
  guint32 last = 0;
  guint defaults = 0;
  gint64 start;

  for (guint i = 0; i < 100; i++) {
    g_autofree char *key = g_strdup_printf ("vpn%u", i), *host = g_strdup_printf ("203.0.113.%u", 1 + i);
    g_autofree char *address = g_strdup_printf ("10.%u.0.2", 1 + i);

    add_profile (many, key, KS_VPN_PLUGIN, host, 1194, IPPROTO_UDP);
    if (i < 20)
      add_tunnel (many, key, key, 20 + i, address);
    if (i < 2)
      add_profile (few, key, KS_VPN_PLUGIN, host, 1194, IPPROTO_UDP);
    if (i < 1)
      add_tunnel (few, key, key, 20 + i, address);
  }
  add_home_lan (few);
  add_home_lan (many);
  of_few = ks_policy_compute (&few->input);
  start = g_get_monotonic_time ();
  of_many = ks_policy_compute (&many->input);
  print_message ("100 profiles, 20 tunnels: %u rules, %u routes, %" G_GINT64_FORMAT " us\n", of_many->rules->len,
                 of_many->routes->len, g_get_monotonic_time () - start);
  assert_int_equal (of_many->rules->len, of_few->rules->len);
  for (guint i = 0; i < of_many->routes->len; i++) {
    const KsRoute *route = &g_array_index (of_many->routes, KsRoute, i);

    if (route->table != 83 || route->family != AF_INET || route->dst.length > 0 || route->type != RTN_UNICAST)
      continue;
    assert_int_equal (route->nexthops[0].ifindex, 20 + defaults++);
    assert_true (route->metric > last && route->metric < 200);
    last = route->metric;
  }
  assert_int_equal (defaults, 20);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (policy_is_empty_when_nothing_is_armed),
    cmocka_unit_test (policy_of_a_wireguard_vpn_that_is_up),
    cmocka_unit_test (policy_of_a_wireguard_vpn_that_is_down_keeps_the_endpoint_open),
    cmocka_unit_test (policy_blocks_ipv6_when_vpn_is_ipv4_only),
    cmocka_unit_test (policy_blocks_ipv4_when_vpn_is_ipv6_only),
    cmocka_unit_test (policy_routes_nothing_by_a_device_that_is_not_up),
    cmocka_unit_test (policy_puts_transports_first),
    cmocka_unit_test (policy_uses_the_port_and_mark_of_the_device),
    cmocka_unit_test (policy_exempts_no_port_and_no_mark_before_there_is_a_device),
    cmocka_unit_test (policy_tells_the_guard_which_device_holds_a_port),
    cmocka_unit_test (policy_exempts_what_the_kernel_sends_in_place_of_a_program),
    cmocka_unit_test (policy_exempts_a_plugin_vpn_for_root_and_its_service_user),
    cmocka_unit_test (policy_exempts_every_remote),
    cmocka_unit_test (policy_exempts_ipsec_by_whatever_the_kernel_routes_it_as),
    cmocka_unit_test (policy_tells_a_plugin_the_way_to_its_server),
    cmocka_unit_test (policy_exempts_a_section_by_its_source_port_also_without_its_device),
    cmocka_unit_test (policy_joins_all_that_a_section_says_into_one_selector),
    cmocka_unit_test (policy_keeps_the_networks_of_a_section_out_of_the_servers_table),
    cmocka_unit_test (policy_has_one_rule_for_sections_with_the_same_selector),
    cmocka_unit_test (policy_exempts_nothing_of_a_malformed_section),
    cmocka_unit_test (policy_exempts_a_dns_tunnel_to_the_uplinks_resolvers),
    cmocka_unit_test (policy_exempts_the_addresses_a_name_was_resolved_to),
    cmocka_unit_test (policy_ends_at_table_86_also_where_main_has_a_route_to_the_servers_subnet),
    cmocka_unit_test (policy_leaves_out_what_the_kernel_refuses_beside_another_route_to_its_gateway),
    cmocka_unit_test (policy_has_each_selector_once_when_profiles_share_it),
    cmocka_unit_test (policy_has_as_many_rules_with_a_thousand_profiles_as_with_ten),
    cmocka_unit_test (policy_lan_modes),
    cmocka_unit_test (policy_dns_modes),
    cmocka_unit_test (policy_strictest_of_several_profiles_wins),
    cmocka_unit_test (policy_without_lan_gives_the_guard_no_lan_either),
    cmocka_unit_test (policy_lets_only_root_and_the_resolver_look_up_a_named_server),
    cmocka_unit_test (policy_has_no_bootstrap_for_the_resolver_without_a_guard),
    cmocka_unit_test (policy_has_a_way_back_to_the_servers_only_with_a_guard),
    cmocka_unit_test (policy_lets_the_servers_names_and_their_aliases_be_asked_for),
    cmocka_unit_test (policy_has_no_bootstrap_for_a_name_nobody_could_ask_for),
    cmocka_unit_test (policy_has_no_bootstrap_while_up_or_for_addresses),
    cmocka_unit_test (policy_has_no_bootstrap_while_another_vpn_is_up),
    cmocka_unit_test (policy_sends_by_the_tunnel_before_the_lan_rules_what_these_are_not_for),
    cmocka_unit_test (policy_has_no_shortcut_past_a_lan_that_is_everything),
    cmocka_unit_test (policy_takes_no_shortcut_by_which_the_kernel_would_choose_another_source),
    cmocka_unit_test (policy_table_84_holds_nothing_that_takes_the_lan_or_multicast_whole),
    cmocka_unit_test (policy_keeps_the_tunnels_subnets_and_resolvers_from_the_lan),
    cmocka_unit_test (policy_blackholes_behind_tunnel_prefixes_stay_while_down),
    cmocka_unit_test (policy_has_no_blackhole_over_a_subnet_the_uplink_is_in),
    cmocka_unit_test (policy_takes_no_dhcp_route_as_a_reason_to_drop_a_blackhole),
    cmocka_unit_test (policy_copies_a_route_from_some_addresses_for_all),
    cmocka_unit_test (policy_table_85_is_main_without_tunnels),
    cmocka_unit_test (policy_table_85_has_no_link_local_or_multicast_of_ipv6),
    cmocka_unit_test (policy_table_85_leaves_out_routes_whose_next_hops_are_dead),
    cmocka_unit_test (policy_sends_replies_to_management_by_the_device_of_their_address),
    cmocka_unit_test (policy_keeps_of_several_next_hops_the_one_by_the_device),
    cmocka_unit_test (policy_lets_no_reply_out_without_the_guard_or_the_setting),
    cmocka_unit_test (policy_does_not_take_a_tunnel_for_an_uplink_of_management),
    cmocka_unit_test (policy_serves_only_as_many_uplinks_as_it_has_tables),
    cmocka_unit_test (policy_orders_several_tunnels_as_networkmanager_prefers_them),
    cmocka_unit_test (policy_never_puts_a_tunnel_behind_the_blackhole),
    cmocka_unit_test (policy_uses_the_configured_numbers_and_owns_by_them),
    cmocka_unit_test (policy_owns_nothing_foreign),
    cmocka_unit_test (policy_same_inputs_give_the_same_bytes),
    cmocka_unit_test (policy_gives_the_guard_tunnels_with_host_addresses),
    cmocka_unit_test (policy_jumps_over_foreign_rules_in_front),
    cmocka_unit_test (policy_owns_its_jump_and_no_other),
    cmocka_unit_test (policy_for_a_kernel_without_ipv6_has_no_ipv6),
    cmocka_unit_test (policy_works_without_main_routes_resolvers_and_answers),
    cmocka_unit_test (policy_has_the_defaults_of_several_vpns_in_order_of_preference),
    cmocka_unit_test (policy_gives_a_split_vpn_no_default_while_a_full_one_is_armed),
    cmocka_unit_test (policy_asks_each_vpns_dns_servers_through_its_tunnel),
    cmocka_unit_test (policy_leads_a_vpn_inside_another_to_its_server_by_the_others_tunnel),
    cmocka_unit_test (policy_exempts_no_port_of_a_wireguard_inside_another),
    cmocka_unit_test (policy_lets_a_session_begin_while_another_vpn_blocks),
    cmocka_unit_test (policy_keeps_the_lan_rules_from_an_unarmed_vpns_tunnel),
    cmocka_unit_test (policy_keeps_all_of_the_lan_from_an_unarmed_vpns_wide_route),
    cmocka_unit_test (policy_keeps_an_armed_vpns_subnets_before_those_of_an_unarmed_one),
    cmocka_unit_test (policy_leaves_a_lan_alone_that_an_unarmed_vpn_has_a_worse_route_to),
    cmocka_unit_test (policy_does_not_look_for_a_server_behind_an_unarmed_vpn_in_the_lan),
    cmocka_unit_test (policy_sends_transports_by_an_unarmed_vpn_only_without_another_uplink),
    cmocka_unit_test (policy_of_a_hundred_vpns_of_which_twenty_are_up),
  };

  return cmocka_run_group_tests_name ("ks-policy", tests, NULL, NULL);
}
