/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test-policy.h"
#include "ks-test.h"

#include "run/ks-unprotected.h"

enum { LO = 1, ETH0, ETH1, BR0, DOCKER0, VNET0, VETH0, TAP0, WG0 };

#define BYPASSES ": it is a host of its own on that network, and what it sends bypasses the kill switch\n"

typedef struct {
  KsPolicy *policy;
  GArray *links, *stations, *routes;
  gboolean filters_bridges;
} Scene;

static KsLink *
link_of (const Scene *self, guint ifindex)
{
  return &g_array_index (self->links, KsLink, ifindex - 1);
}

static void
add_link (Scene *self, guint ifindex, const char *name, const char *kind)
{
  KsLink link = { .ifindex = ifindex, .is_up = TRUE, .address = { 2, 0, 0, 0, 0, (guint8) ifindex } };

  g_strlcpy (link.name, name, sizeof link.name);
  g_strlcpy (link.kind, kind, sizeof link.kind);
  link.is_hardware = !*kind || strcmp (kind, "bridge") == 0 || strcmp (kind, "macvtap") == 0;
  g_array_append_val (self->links, link);
  assert_int_equal (self->links->len, ifindex);
}

/* A host with two network cards, two bridges, and what virtual machines and containers have. */
static Scene *
scene_new (void)
{
  Scene *self = g_new0 (Scene, 1);

  self->policy = ks_test_policy_new ("192.168.0.0/16");
  self->links = g_array_new (FALSE, FALSE, sizeof (KsLink));
  self->stations = g_array_new (FALSE, FALSE, sizeof (KsStation));
  self->routes = g_array_new (FALSE, FALSE, sizeof (KsRoute));
  add_link (self, LO, "lo", "");
  add_link (self, ETH0, "eth0", "");
  add_link (self, ETH1, "eth1", "");
  add_link (self, BR0, "br0", "bridge");
  add_link (self, DOCKER0, "docker0", "bridge");
  add_link (self, VNET0, "vnet0", "tun");
  add_link (self, VETH0, "veth0", "veth");
  add_link (self, TAP0, "macvtap0", "macvtap");
  add_link (self, WG0, "wg0", "wireguard");
  link_of (self, TAP0)->is_up = FALSE;
  link_of (self, VNET0)->master = DOCKER0;
  link_of (self, VETH0)->master = DOCKER0;
  return self;
}

static void
scene_free (Scene *self)
{
  ks_policy_free (self->policy);
  g_array_unref (self->links);
  g_array_unref (self->stations);
  g_array_unref (self->routes);
  g_free (self);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Scene, scene_free)

static void
add_station (Scene *self, guint ifindex, guint8 last)
{
  KsStation station = { .ifindex = ifindex, .address = { 2, 0, 0, 0, 0, last } };

  g_array_append_val (self->stations, station);
}

static void
assert_found (const Scene *self, const char *expected)
{
  KsUnprotectedInput input = { .policy = self->policy,
                               .links = self->links,
                               .stations = self->stations,
                               .routes = self->routes,
                               .filters_bridges = self->filters_bridges };
  g_autoptr (GPtrArray) found = ks_unprotected_find (&input);
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; i < found->len; i++)
    g_string_append_printf (text, "%s\n", (const char *) found->pdata[i]);
  assert_string_equal (text->str, expected);
}

static void
unprotected_is_nobody_on_a_bridge_without_a_network_card (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  assert_found (scene, "");
}

static void
unprotected_is_who_shares_a_bridge_with_a_network_card (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  link_of (scene, ETH0)->master = BR0;
  assert_found (scene, "");
  link_of (scene, VNET0)->master = BR0;
  link_of (scene, VETH0)->master = BR0;
  assert_found (scene, "the virtual machine or container on vnet0 (a port of br0)" BYPASSES
                       "the virtual machine or container on veth0 (a port of br0)" BYPASSES);
  link_of (scene, VETH0)->is_up = FALSE;
  assert_found (scene, "the virtual machine or container on vnet0 (a port of br0)" BYPASSES);
  scene->filters_bridges = TRUE;
  assert_found (scene, "");
}

static void
unprotected_is_a_virtual_machine_on_macvtap (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  link_of (scene, TAP0)->lower = ETH0;
  assert_found (scene, "");
  link_of (scene, TAP0)->is_up = TRUE;
  assert_found (scene, "the virtual machine on macvtap0 (macvtap on eth0)" BYPASSES);
  scene->filters_bridges = TRUE; /* it passes no bridge */
  assert_found (scene, "the virtual machine on macvtap0 (macvtap on eth0)" BYPASSES);
  link_of (scene, TAP0)->lower = VETH0;
  assert_found (scene, "");
}

static void
unprotected_is_an_address_that_no_device_here_has (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  add_station (scene, ETH0, ETH0);
  add_station (scene, ETH0, TAP0); /* a macvlan of the host's own: its packets pass the host's rules */
  add_station (scene, VETH0, 0x77); /* no network card */
  add_station (scene, LO, 0x77);
  assert_found (scene, "");
  add_station (scene, ETH1, 0x77);
  assert_found (scene, "02:00:00:00:00:77 on eth1, probably a container (macvlan)" BYPASSES);
  scene->policy->armed = FALSE;
  assert_found (scene, "");
}

static void
unprotected_is_a_list_that_a_person_can_read (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (GString) expected = g_string_new (NULL);

  for (guint8 i = 0; i < 20; i++)
    add_station (scene, ETH0, 0x60 + i);
  for (guint8 i = 0; i < 8; i++)
    g_string_append_printf (expected, "02:00:00:00:00:%02x on eth0, probably a container (macvlan)" BYPASSES, 0x60 + i);
  assert_found (scene, expected->str);
}

/* Open vSwitch forwards without netfilter's help, whatever br_netfilter is set to. */
static void
unprotected_is_who_shares_open_vswitch_with_a_network_card (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  g_strlcpy (link_of (scene, BR0)->name, "ovs-system", IFNAMSIZ);
  g_strlcpy (link_of (scene, BR0)->kind, "openvswitch", IFNAMSIZ);
  link_of (scene, BR0)->is_hardware = link_of (scene, BR0)->is_up = FALSE;
  link_of (scene, VNET0)->master = BR0;
  scene->filters_bridges = TRUE;
  assert_found (scene, "");
  link_of (scene, ETH0)->master = BR0;
  assert_found (scene,
                "the virtual machine or container on vnet0 (a port of Open vSwitch, as the network card is): what "
                "the switch passes on bypasses the kill switch\n");
  link_of (scene, VNET0)->is_up = FALSE;
  assert_found (scene, "");
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (unprotected_is_nobody_on_a_bridge_without_a_network_card),
    cmocka_unit_test (unprotected_is_who_shares_a_bridge_with_a_network_card),
    cmocka_unit_test (unprotected_is_who_shares_open_vswitch_with_a_network_card),
    cmocka_unit_test (unprotected_is_a_virtual_machine_on_macvtap),
    cmocka_unit_test (unprotected_is_an_address_that_no_device_here_has),
    cmocka_unit_test (unprotected_is_a_list_that_a_person_can_read),
  };

  return cmocka_run_group_tests_name ("ks-unprotected", tests, NULL, NULL);
}
