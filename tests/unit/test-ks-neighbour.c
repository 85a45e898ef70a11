/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test.h"

#include <linux/netfilter.h>

#include "policy/ks-neighbour.h"

static KsRule
rule_with (guint32 priority, guint32 table, guint32 mark, guint32 mask, guint8 protocol)
{
  KsRule rule = ks_rule_lookup (AF_INET, priority, protocol, table);

  rule.fwmark = mark;
  rule.fwmask = mask;
  return rule;
}

static void
assert_rule (const KsRule *rule, const char *program)
{
  const char *found = ks_neighbour_of_rule (rule);

  if (g_strcmp0 (found, program) != 0) {
    g_autofree char *text = ks_rule_format (rule);

    fail_msg ("%s is of %s, not of %s", text, found ? found : "nobody", program ? program : "nobody");
  }
}

/* As in tests/nm/test_neighbours.py, and as the other programs' source says. */
static void
neighbour_knows_rules_by_table_mark_priority_and_protocol (void **state G_GNUC_UNUSED)
{
  static const struct {
    guint32 priority, table, mark, mask;
    guint8 protocol;
    const char *program;
  } cases[] = {
    { 5210, RT_TABLE_MAIN, 0x80000, 0xff0000, RTPROT_BOOT, "Tailscale" },
    { 5270, 52, 0, 0, RTPROT_BOOT, "Tailscale" },
    { 32764, 0x6d6f6c65, 0x6d6f6c65, G_MAXUINT32, RTPROT_BOOT, "Mullvad's app" },
    { 32765, 205, 0xe1f1, G_MAXUINT32, RTPROT_BOOT, "NordVPN" },
    { 32765, RT_TABLE_MAIN, 0xe1f1, G_MAXUINT32, RTPROT_BOOT, "NordVPN" },
    { 110, 0x1bd0, 0, 0, RTPROT_BOOT, "NetBird" },
    { 220, 220, 0, 0, RTPROT_STATIC, "strongSwan" },
    { 32764, 51820, 51820, G_MAXUINT32, RTPROT_BOOT, "wg-quick" },
    { 31000, 51820, 51820, G_MAXUINT32, RTPROT_STATIC, "NetworkManager" },
    { 9, 2004, 0x200, 0xf00, RTPROT_KERNEL, "Cilium" },
    { 100, RT_TABLE_LOCAL, 0, 0, RTPROT_KERNEL, "Cilium" },
    { 50, 100, 0, 0, RTPROT_BIRD, "BIRD" },
    { 50, 100, 0, 0, RTPROT_ZEBRA, "FRR" },
    { 50, 100, 0, 0, RTPROT_KEEPALIVED, "keepalived" },
    { 0, RT_TABLE_LOCAL, 0, 0, RTPROT_KERNEL, NULL },
    { 32766, RT_TABLE_MAIN, 0, 0, RTPROT_KERNEL, NULL },
    { 0, RT_TABLE_MAIN, 0, 0, RTPROT_BOOT, NULL },
    { 100, 100, 0x1, G_MAXUINT32, RTPROT_STATIC, NULL },
  };
  KsRule suppressor = ks_rule_lookup (AF_INET, 32763, RTPROT_BOOT, RT_TABLE_MAIN);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    KsRule rule = rule_with (cases[i].priority, cases[i].table, cases[i].mark, cases[i].mask, cases[i].protocol);

    assert_rule (&rule, cases[i].program);
  }
  suppressor.suppress_prefixlength = 0;
  assert_rule (&suppressor, "wg-quick or Mullvad's app");
  suppressor.priority = 30800;
  assert_rule (&suppressor, "NetworkManager");
}

static void
neighbour_knows_routes_by_protocol (void **state G_GNUC_UNUSED)
{
  static const struct {
    guint8 protocol;
    const char *program;
  } cases[] = {
    { RTPROT_BIRD, "BIRD" },
    { RTPROT_BGP, "FRR" },
    { RTPROT_DHCP, "a DHCP server on the network" },
    { RTPROT_RA, "a router on the network (router advertisements)" },
    { RTPROT_BABEL, "babeld" },
    { 80, "Calico" },
    { RTPROT_STATIC, NULL },
    { RTPROT_BOOT, NULL },
    { RTPROT_KERNEL, NULL },
  };
  KsPrefix any = ks_test_prefix ("0.0.0.0/0");

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    KsRoute route = ks_route_init (RT_TABLE_MAIN, cases[i].protocol, &any, 0);
    const char *found = ks_neighbour_of_route (&route);

    if (g_strcmp0 (found, cases[i].program) != 0)
      fail_msg ("protocol %u is of %s", cases[i].protocol, found ? found : "nobody");
  }
}

static void
add_chain (GPtrArray *objects, guint8 family, const char *table, const char *name, gboolean is_base, guint32 hook)
{
  KsNftObject *object = g_new0 (KsNftObject, 1);

  object->family = family;
  object->table = g_strdup (table);
  object->name = g_strdup (name);
  object->is_base = is_base;
  object->hook = hook;
  g_ptr_array_add (objects, object);
}

static void
neighbour_knows_nftables_by_table_and_by_the_chains_beside (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *table, *program;
  } cases[] = {
    { "mullvad", "Mullvad's app" },
    { "nordvpn", "NordVPN" },
    { "firewalld", "firewalld" },
    { "wg-quick-wg0", "wg-quick" },
    { "netavark", "Podman" },
    { "docker-bridges", "Docker" },
    { "fw4", "OpenWrt's firewall4" },
    { "nm-shared-eth0", "NetworkManager (a shared connection)" },
    { "wg-quick", NULL },
    { "filter", NULL },
    { "my-own", NULL },
    { "firewalld2", NULL },
  };
  g_autoptr (GPtrArray) objects = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_nft_object_free);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    add_chain (objects, NFPROTO_INET, cases[i].table, "output", TRUE, NF_INET_LOCAL_OUT);
    if (g_strcmp0 (ks_neighbour_of_nft (objects->pdata[i], objects), cases[i].program) != 0)
      fail_msg ("%s is not of %s", cases[i].table, cases[i].program ? cases[i].program : "nobody");
  }

  /* iptables' tables are everybody's: Docker sets the policy of forward alone, ufw that of all */
  g_ptr_array_set_size (objects, 0);
  add_chain (objects, NFPROTO_IPV4, "filter", "OUTPUT", TRUE, NF_INET_LOCAL_OUT);
  add_chain (objects, NFPROTO_IPV4, "filter", "FORWARD", TRUE, NF_INET_FORWARD);
  add_chain (objects, NFPROTO_IPV4, "filter", "DOCKER-USER", FALSE, 0);
  assert_null (ks_neighbour_of_nft (objects->pdata[0], objects));
  assert_string_equal (ks_neighbour_of_nft (objects->pdata[1], objects), "Docker");
  add_chain (objects, NFPROTO_IPV6, "filter", "ufw-before-output", FALSE, 0);
  assert_null (ks_neighbour_of_nft (objects->pdata[0], objects));
  add_chain (objects, NFPROTO_IPV4, "filter", "ufw-before-output", FALSE, 0);
  assert_string_equal (ks_neighbour_of_nft (objects->pdata[0], objects), "ufw");
}

static void
neighbour_shows_nftables_as_nft_does_and_safely (void **state G_GNUC_UNUSED)
{
  KsNftObject object = { .family = NFPROTO_IPV6, .table = (char *) "filter", .name = (char *) "a\033[2J" };
  g_autofree char *text = ks_nft_object_format (&object);

  assert_true (g_str_has_prefix (text, "ip6 filter a"));
  assert_null (strchr (text, '\033'));
}

static void
neighbour_knows_devices_that_drop_everything (void **state G_GNUC_UNUSED)
{
  assert_string_equal (ks_neighbour_of_sink ("pvpnksintrf0"), "Proton VPN's app");
  assert_string_equal (ks_neighbour_of_sink ("ipv6leakintrf0"), "Proton VPN's app");
  assert_null (ks_neighbour_of_sink ("proton0"));
  assert_null (ks_neighbour_of_sink ("eth0"));
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (neighbour_knows_rules_by_table_mark_priority_and_protocol),
    cmocka_unit_test (neighbour_knows_routes_by_protocol),
    cmocka_unit_test (neighbour_knows_nftables_by_table_and_by_the_chains_beside),
    cmocka_unit_test (neighbour_shows_nftables_as_nft_does_and_safely),
    cmocka_unit_test (neighbour_knows_devices_that_drop_everything),
  };

  return cmocka_run_group_tests_name ("ks-neighbour", tests, NULL, NULL);
}
