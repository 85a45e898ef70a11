/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a test machine's kernel may lack, and the wording of messages; the rest is in tests/kernel. */
#include "ks-test-policy.h"
#include "ks-test.h"

#include <linux/netfilter.h>

#include "run/ks-conflict.h"

enum { ETH0 = 2, TUN0 = 7 };

typedef struct {
  KsConfig *config;
  KsPolicy *policy;
  GArray *rules, *routes, *links, *redirections;
  GPtrArray *objects;
  guint flows;
  gboolean has_guard;
} Scene;

static Scene *
scene_new (void)
{
  static const KsLink links[] = { { .ifindex = ETH0, .name = "eth0" }, { .ifindex = TUN0, .name = "tun0" } };
  Scene *self = g_new0 (Scene, 1);

  self->config = ks_config_new ();
  self->policy = ks_test_policy_new ("10.0.0.0/8 192.168.0.0/16 fe80::/10");
  self->rules = g_array_new (FALSE, FALSE, sizeof (KsRule));
  self->routes = g_array_new (FALSE, FALSE, sizeof (KsRoute));
  self->links = g_array_new (FALSE, FALSE, sizeof (KsLink));
  g_array_append_vals (self->links, links, G_N_ELEMENTS (links));
  self->redirections = g_array_new (FALSE, FALSE, sizeof (KsTcRedirection));
  self->objects = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_nft_object_free);
  self->has_guard = TRUE;
  return self;
}

static void
scene_free (Scene *self)
{
  ks_config_free (self->config);
  ks_policy_free (self->policy);
  g_array_unref (self->rules);
  g_array_unref (self->routes);
  g_array_unref (self->links);
  g_array_unref (self->redirections);
  g_ptr_array_unref (self->objects);
  g_free (self);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Scene, scene_free)

static void
add_route (Scene *self, const char *to, guint32 table, guint8 protocol, guint ifindex)
{
  KsPrefix dst = ks_test_prefix (to), none = KS_PREFIX_UNSET;
  KsRoute route = ks_route_via (table, protocol, &dst, 0, ifindex, &none);

  g_array_append_val (self->routes, route);
}

static void
add_object (Scene *self, KsNftKind kind, guint8 family, const char *table, const char *name)
{
  KsNftObject *object = g_new0 (KsNftObject, 1);

  object->kind = kind;
  object->family = family;
  object->table = g_strdup (table);
  object->name = g_strdup (name);
  object->is_base = object->drops = kind == KS_NFT_CHAIN;
  object->hook = NF_INET_LOCAL_OUT;
  g_ptr_array_add (self->objects, object);
}

static void
add_main_rule (Scene *self, int family, guint32 priority)
{
  KsRule rule = ks_rule_lookup (family, priority, RTPROT_BOOT, RT_TABLE_MAIN);

  g_array_append_val (self->rules, rule);
}

/* The texts, one a line (transfer full). */
static char *
find (const Scene *self)
{
  KsConflictInput input = { .config = self->config,
                            .policy = self->policy,
                            .rules = self->rules,
                            .routes = self->routes,
                            .links = self->links,
                            .objects = self->objects,
                            .redirections = self->redirections,
                            .flows = self->flows,
                            .has_guard = self->has_guard };
  g_autoptr (GPtrArray) conflicts = ks_conflict_find (&input);
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < conflicts->len; i++)
    g_string_append_printf (out, "%s\n", ((const KsConflict *) conflicts->pdata[i])->text);
  return g_string_free (out, FALSE);
}

static void
assert_found (const Scene *self, const char *expected)
{
  g_autofree char *found = find (self);

  assert_string_equal (found, expected);
}

static void
conflict_says_what_is_left_between_a_rule_and_the_wire (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_main_rule (scene, AF_INET6, 0);
  assert_found (scene, ""); /* main has no route out */
  add_route (scene, "2000::/3", RT_TABLE_MAIN, RTPROT_RA, ETH0);
  assert_found (scene, "IPv6 rule '0: from all lookup main' (set by another program) takes effect before the kill "
                       "switch's rules and can send packets past the VPN; only the guard still stops them. Stop "
                       "whatever sets it, or run: ip -6 rule del priority 0 from all lookup main\n");
  scene->has_guard = FALSE;
  assert_found (scene, "IPv6 rule '0: from all lookup main' (set by another program) takes effect before the kill "
                       "switch's rules and can send packets past the VPN; nothing stops them. Stop whatever sets "
                       "it, or run: ip -6 rule del priority 0 from all lookup main\n");
  scene->policy->armed = FALSE;
  assert_found (scene, "");
}

/* Lan=off, or DNS queries to the LAN's resolver, which nothing but the guard stops. */
static void
conflict_is_a_rule_to_a_lan_that_may_not_be_reached (void **state G_GNUC_UNUSED)
{
  static const char text[] =
    "IPv4 rule '%u: from all to 192.168.0.0/16 lookup main' (set by another program) takes effect %s the kill switch's "
    "rules and can send packets past the VPN; %s. Stop whatever sets it, or run: ip -4 rule del priority %u from all "
    "to 192.168.0.0/16 lookup main\n";
  g_autofree char *guarded = g_strdup_printf (text, 0, "before", "only the guard still stops them", 0);
  g_autofree char *open = g_strdup_printf (text, 0, "before", "nothing stops them", 0);
  g_autoptr (Scene) scene = scene_new ();
  KsRule *rule;

  add_main_rule (scene, AF_INET, 0);
  rule = &g_array_index (scene->rules, KsRule, 0);
  rule->to = ks_test_prefix ("192.168.0.0/16");
  add_route (scene, "192.168.1.0/24", RT_TABLE_MAIN, RTPROT_KERNEL, ETH0);
  assert_found (scene, "");
  scene->policy->lan = KS_LAN_OFF;
  assert_found (scene, guarded);
  scene->policy->lan = KS_LAN_PRIVATE;
  scene->has_guard = FALSE;
  assert_found (scene, open);
  rule->priority = 8331; /* DNS goes elsewhere at 8310 */
  assert_found (scene, "");
  rule->priority = 0;
  scene->policy->dns = KS_DNS_LAN;
  assert_found (scene, "");
}

static void
conflict_is_a_route_past_the_vpn_and_not_through_it (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  ks_test_policy_add_tunnel (scene->policy, "tun0", TUN0, "10.8.0.2");
  add_main_rule (scene, AF_INET, 0);
  add_route (scene, "0.0.0.0/0", RT_TABLE_MAIN, RTPROT_STATIC, TUN0);
  add_route (scene, "192.168.1.0/24", RT_TABLE_MAIN, RTPROT_KERNEL, ETH0);
  add_route (scene, "0.0.0.0/0", 83, RTPROT_STATIC, TUN0);
  assert_found (scene, "");
}

static void
conflict_with_lan_routes_is_a_route_that_no_lan_has (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_route (scene, "128.0.0.0/1", RT_TABLE_MAIN, RTPROT_DHCP, ETH0);
  add_route (scene, "203.0.113.0/24", RT_TABLE_MAIN, RTPROT_KERNEL, ETH0);
  add_route (scene, "0.0.0.0/0", RT_TABLE_MAIN, RTPROT_DHCP, ETH0);
  assert_found (scene, "");
  scene->policy->lan = KS_LAN_ROUTES;
  assert_found (
    scene, "IPv4 route '128.0.0.0/1 dev eth0' (probably set by a DHCP server on the network) counts as "
           "local network because of Lan=routes, so packets leave through it, past the VPN. Stop whatever sets it, "
           "or run: ip -4 route del 128.0.0.0/1 dev eth0\n");
}

static void
conflict_of_a_route_from_some_addresses_only_says_so (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autofree char *found = NULL;

  add_route (scene, "::/0", 83, RTPROT_STATIC, ETH0);
  g_array_index (scene->routes, KsRoute, 0).src = ks_test_prefix ("2001:db8:6::/64");
  found = find (scene);
  assert_non_null (strstr (found, "IPv6 route 'default from 2001:db8:6::/64 dev eth0 table 83' "));
  assert_non_null (strstr (found, "run: ip -6 route del default from 2001:db8:6::/64 dev eth0 table 83\n"));
}

static void
conflict_names_flowtables_that_leak_and_chains_while_no_tunnel_is_up (void **state G_GNUC_UNUSED)
{
  static const char flowtable[] =
    "nftables flowtable 'inet fw4 ft' (probably set by OpenWrt's firewall4) keeps forwarding connections past the VPN "
    "that were open before arming (3 in all), and the kernel refuses to end them. Turn off flow offloading there\n";
  static const char chain[] =
    "nftables chain 'inet mine out' (set by another program) drops whatever it does not expect and may keep the "
    "VPN from connecting. Allow the VPN's server in that firewall, or turn it off\n";
  g_autoptr (Scene) scene = scene_new ();
  g_autofree char *both = g_strconcat (flowtable, chain, NULL);

  add_object (scene, KS_NFT_CHAIN, NFPROTO_INET, "nm_killswitch", "output");
  add_object (scene, KS_NFT_CHAIN, NFPROTO_INET, "mine", "out");
  add_object (scene, KS_NFT_CHAIN, NFPROTO_BRIDGE, "mine", "out");
  add_object (scene, KS_NFT_FLOWTABLE, NFPROTO_INET, "fw4", "ft");
  add_object (scene, KS_NFT_CHAIN, NFPROTO_NETDEV, "mine", "in");
  ((KsNftObject *) scene->objects->pdata[scene->objects->len - 1])->hook = 0; /* NF_NETDEV_INGRESS */
  assert_found (scene, chain);
  scene->flows = 3;
  assert_found (scene, both); /* leaks come first */
  ks_test_policy_add_tunnel (scene->policy, "tun0", TUN0, "10.8.0.2");
  assert_found (scene, flowtable);
  g_array_index (scene->links, KsLink, 1).is_mute = TRUE; /* a WireGuard device is up before anything answers */
  assert_found (scene, both);
}

/* Of an encapsulated route, or one by a nexthop object that is not shown, ks-route-message.c reads no next hop. */
static void
conflict_is_a_default_route_that_cannot_be_copied (void **state G_GNUC_UNUSED)
{
  static const char text[] =
    "IPv4 route 'default' (probably set by FRR) has an encapsulation, or a nexthop object that the kernel does not "
    "show, "
    "so the VPN cannot connect through it. Add a plain default route, or, for a nexthop object, run: "
    "sysctl -w net.ipv4.nexthop_compat_mode=1, and then nm-killswitch sync\n";
  KsTransport server = { .family = AF_INET };
  g_autoptr (Scene) scene = scene_new ();

  add_route (scene, "0.0.0.0/0", RT_TABLE_MAIN, RTPROT_ZEBRA, ETH0);
  g_array_index (scene->routes, KsRoute, 0).n_nexthops = 0;
  assert_found (scene, ""); /* no server is to be reached by it */
  g_array_append_val (scene->policy->transports, server);
  assert_found (scene, text);
  add_route (scene, "0.0.0.0/0", RT_TABLE_MAIN, RTPROT_STATIC, ETH0);
  assert_found (scene, ""); /* another one can be copied */
  g_array_set_size (scene->routes, 1);
  ks_test_policy_add_tunnel (scene->policy, "tun0", TUN0, "10.8.0.2");
  assert_found (scene, "");
}

static void
conflict_is_a_foreign_rule_to_a_route_that_leads_nobody_knows_where (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autofree char *found = NULL;

  add_main_rule (scene, AF_INET, 0);
  add_route (scene, "0.0.0.0/0", RT_TABLE_MAIN, RTPROT_ZEBRA, ETH0);
  g_array_index (scene->routes, KsRoute, 0).n_nexthops = 0;
  found = find (scene);
  assert_true (g_str_has_prefix (found, "IPv4 rule '0: from all lookup main' "));
}

static void
conflict_is_what_drops_on_the_way_to_a_device (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_object (scene, KS_NFT_CHAIN, NFPROTO_NETDEV, "mine", "out");
  ((KsNftObject *) scene->objects->pdata[0])->hook = 1; /* NF_NETDEV_EGRESS */
  assert_found (scene,
                "nftables chain 'netdev mine out' (set by another program) drops whatever it does not expect and "
                "may keep the VPN from connecting. Allow the VPN's server in that firewall, or turn it off\n");
}

/* By a network card, by a device with a default route, by one that depends on the packet; not inside the host. */
static void
conflict_is_what_sends_packets_past_all_hooks (void **state G_GNUC_UNUSED)
{
  static const char nft[] =
    "nftables chain 'netdev mine in' (set by another program) sends packets, or copies of them, to %s by `fwd` or "
    "`dup`, past the VPN and the guard. Stop whatever sets it, or run: nft flush chain netdev mine in\n";
  static const char tc[] =
    "traffic control action 'mirred %s to eth0 index 7' (set by another program) sends %s to eth0, past the VPN and "
    "the guard. Stop whatever sets it, or delete its filter, which `tc filter show dev DEVICE ingress` and `egress` "
    "list for each device\n";
  KsTcRedirection redirection = { .index = 7, .ifindex = ETH0 };
  g_autoptr (Scene) scene = scene_new ();
  g_autofree char *to_tun0 = g_strdup_printf (nft, "tun0"), *to_eth0 = g_strdup_printf (nft, "eth0");
  g_autofree char *to_any = g_strdup_printf (nft, "any device");
  g_autofree char *redirected = g_strdup_printf (tc, "redirect", "packets");
  g_autofree char *copied = g_strdup_printf (tc, "mirror", "copies of packets");
  KsNftObject *object;

  add_object (scene, KS_NFT_REDIRECTION, NFPROTO_NETDEV, "mine", "in");
  object = scene->objects->pdata[0];
  assert_found (scene, to_any);
  object->ifindex = TUN0;
  assert_found (scene, "");
  add_route (scene, "0.0.0.0/0", RT_TABLE_MAIN, RTPROT_STATIC, TUN0);
  assert_found (scene, to_tun0);
  ks_test_policy_add_tunnel (scene->policy, "tun0", TUN0, "10.8.0.2");
  assert_found (scene, "");
  object->ifindex = ETH0;
  assert_found (scene, "");
  g_array_index (scene->links, KsLink, 0).is_hardware = TRUE;
  assert_found (scene, to_eth0);
  g_strlcpy (g_array_index (scene->links, KsLink, 0).kind, "bridge", IFNAMSIZ);
  assert_found (scene, "");
  g_strlcpy (g_array_index (scene->links, KsLink, 0).kind, "", IFNAMSIZ);
  g_ptr_array_set_size (scene->objects, 0);
  g_array_append_val (scene->redirections, redirection);
  assert_found (scene, redirected);
  g_array_index (scene->redirections, KsTcRedirection, 0).copies = TRUE;
  assert_found (scene, copied);
  g_array_index (scene->redirections, KsTcRedirection, 0).ifindex = TUN0;
  assert_found (scene, "");
}

static void
conflict_list_is_limited (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autofree char *found = NULL;
  g_auto (GStrv) lines = NULL;

  for (guint i = 0; i < 100; i++)
    add_object (scene, KS_NFT_CHAIN, NFPROTO_INET, "mine", "out");
  add_object (scene, KS_NFT_FLOWTABLE, NFPROTO_INET, "fw4", "ft");
  scene->flows = 1;
  found = find (scene);
  lines = g_strsplit (found, "\n", -1);
  assert_int_equal (g_strv_length (lines), 8 + 1 + 1);
}

/* However many routes get in the VPN's way. */
static void
conflict_that_leaks_is_never_left_out (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autofree char *found = NULL;

  for (guint i = 0; i < 100; i++) {
    add_route (scene, "10.0.0.0/8", 83, RTPROT_BOOT, 0);
    g_array_index (scene->routes, KsRoute, i).type = RTN_THROW;
  }
  add_route (scene, "0.0.0.0/0", 83, RTPROT_BOOT, ETH0);
  found = find (scene);
  assert_true (g_str_has_prefix (found, "IPv4 route 'default dev eth0 table 83' "));
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (conflict_says_what_is_left_between_a_rule_and_the_wire),
    cmocka_unit_test (conflict_is_a_rule_to_a_lan_that_may_not_be_reached),
    cmocka_unit_test (conflict_is_a_route_past_the_vpn_and_not_through_it),
    cmocka_unit_test (conflict_with_lan_routes_is_a_route_that_no_lan_has),
    cmocka_unit_test (conflict_of_a_route_from_some_addresses_only_says_so),
    cmocka_unit_test (conflict_names_flowtables_that_leak_and_chains_while_no_tunnel_is_up),
    cmocka_unit_test (conflict_is_a_default_route_that_cannot_be_copied),
    cmocka_unit_test (conflict_is_a_foreign_rule_to_a_route_that_leads_nobody_knows_where),
    cmocka_unit_test (conflict_is_what_drops_on_the_way_to_a_device),
    cmocka_unit_test (conflict_is_what_sends_packets_past_all_hooks),
    cmocka_unit_test (conflict_list_is_limited),
    cmocka_unit_test (conflict_that_leaks_is_never_left_out),
  };

  return cmocka_run_group_tests_name ("ks-conflict", tests, NULL, NULL);
}
