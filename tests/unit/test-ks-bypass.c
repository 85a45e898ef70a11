/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Devices: 2 is the uplink, 8 the tunnel of a plugin VPN that is up. */
#include "ks-test.h"

#include "policy/ks-bypass.h"
#include "policy/ks-owner.h"
#include "policy/ks-route-index.h"

#define SERVER "203.0.113.10"

typedef struct {
  KsConfig *config;
  GArray *routes;
} Kernel;

static Kernel *
kernel_new (void)
{
  Kernel *self = g_new0 (Kernel, 1);

  self->config = ks_config_new ();
  self->routes = g_array_new (FALSE, FALSE, sizeof (KsRoute));
  return self;
}

static void
kernel_free (Kernel *self)
{
  ks_config_free (self->config);
  g_array_unref (self->routes);
  g_free (self);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Kernel, kernel_free)

static void
add_route (Kernel *self, guint32 table, guint8 protocol, const char *dst, const char *gateway, guint ifindex,
           guint32 metric)
{
  KsPrefix to = ks_test_prefix (dst), via = *gateway ? ks_test_prefix (gateway) : KS_PREFIX_UNSET;
  KsRoute route = ks_route_via (table, protocol, &to, metric, ifindex, &via);

  g_array_append_val (self->routes, route);
}

/* A server that is exempted: table 86 has the route to it that table 85, filled before, answers with. */
static void
add_server (Kernel *self, const char *server)
{
  g_autoptr (KsRouteIndex) index = ks_route_index_new (self->routes, 85);
  KsPrefix host = ks_test_prefix (server);
  const GPtrArray *answers = ks_route_index_match (index, &host);
  KsRoute route = ks_route_init (86, 83, &host, G_MAXUINT32);

  if (answers)
    route = *(const KsRoute *) answers->pdata[0];
  else
    route.type = RTN_UNREACHABLE;
  route.table = 86;
  route.dst = host;
  g_array_append_val (self->routes, route);
}

/* As after OpenVPN came up while armed: main has the tunnel's default first, table 85 only the uplink's. */
static void
add_tunnel_up (Kernel *self)
{
  add_route (self, RT_TABLE_MAIN, RTPROT_STATIC, "0.0.0.0/0", "10.8.0.1", 8, 50);
  add_route (self, RT_TABLE_MAIN, RTPROT_DHCP, "0.0.0.0/0", "192.168.1.1", 2, 100);
  add_route (self, 85, 83, "0.0.0.0/0", "192.168.1.1", 2, 100);
}

static void
assert_bypass (const Kernel *self, const char *expected)
{
  g_autoptr (GArray) routes = g_array_new (FALSE, FALSE, sizeof (KsRoute));
  g_autoptr (GString) out = g_string_new (NULL);

  ks_bypass_compute (self->config, self->routes, routes);
  for (guint i = 0; i < routes->len; i++) {
    g_autofree char *text = ks_route_format (&g_array_index (routes, KsRoute, i));

    assert_true (ks_owner_has_bypass (self->config, &g_array_index (routes, KsRoute, i)));
    g_string_append_printf (out, "%s\n", text);
  }
  assert_string_equal (out->str, expected);
}

#define ROUTE SERVER " via 192.168.1.1 dev if2 onlink table 254 protocol 83 metric 1\n"

static void
bypass_keeps_a_transport_out_of_its_own_tunnel (void **state G_GNUC_UNUSED)
{
  g_autoptr (Kernel) kernel = kernel_new ();

  add_tunnel_up (kernel);
  add_server (kernel, SERVER);
  assert_bypass (kernel, ROUTE);
}

static void
bypass_is_not_needed_where_main_has_the_way (void **state G_GNUC_UNUSED)
{
  g_autoptr (Kernel) down = kernel_new (), routed = kernel_new (), split = kernel_new ();

  /* no tunnel is up */
  add_route (down, RT_TABLE_MAIN, RTPROT_DHCP, "0.0.0.0/0", "192.168.1.1", 2, 100);
  add_route (down, 85, 83, "0.0.0.0/0", "192.168.1.1", 2, 100);
  add_server (down, SERVER);
  assert_bypass (down, "");
  /* NetworkManager added its own route */
  add_tunnel_up (routed);
  add_route (routed, RT_TABLE_MAIN, RTPROT_STATIC, SERVER, "192.168.1.1", 2, 50);
  add_server (routed, SERVER);
  assert_bypass (routed, "");
  /* the tunnel's default is not preferred */
  add_route (split, RT_TABLE_MAIN, RTPROT_STATIC, "0.0.0.0/0", "10.8.0.1", 8, 500);
  add_route (split, RT_TABLE_MAIN, RTPROT_DHCP, "0.0.0.0/0", "192.168.1.1", 2, 100);
  add_route (split, 85, 83, "0.0.0.0/0", "192.168.1.1", 2, 100);
  add_server (split, SERVER);
  assert_bypass (split, "");
}

static void
bypass_needs_an_uplink_and_an_exemption_of_ours (void **state G_GNUC_UNUSED)
{
  g_autoptr (Kernel) none = kernel_new (), blocked = kernel_new (), others = kernel_new ();

  add_tunnel_up (none);
  assert_bypass (none, "");
  add_route (blocked, RT_TABLE_MAIN, RTPROT_STATIC, "0.0.0.0/0", "10.8.0.1", 8, 50);
  add_server (blocked, SERVER);
  assert_bypass (blocked, "");
  add_tunnel_up (others);
  add_server (others, SERVER);
  g_array_index (others->routes, KsRoute, others->routes->len - 1).protocol = RTPROT_STATIC;
  assert_bypass (others, "");
}

static void
bypass_stays_while_it_is_needed_and_no_longer (void **state G_GNUC_UNUSED)
{
  g_autoptr (Kernel) up = kernel_new (), over = kernel_new ();

  /* disarmed: the exemptions are gone, the route is there */
  add_tunnel_up (up);
  add_route (up, RT_TABLE_MAIN, 83, SERVER, "192.168.1.1", 2, 1);
  assert_bypass (up, ROUTE);
  add_route (over, RT_TABLE_MAIN, RTPROT_DHCP, "0.0.0.0/0", "192.168.1.1", 2, 100);
  add_route (over, RT_TABLE_MAIN, 83, SERVER, "192.168.1.1", 2, 1);
  assert_bypass (over, "");
}

#define PRIVATE "10.200.0.10"
#define PRIVATE_ROUTE PRIVATE " via 192.168.1.1 dev if2 onlink table 254 protocol 83 metric 1\n"

/* NetworkManager believes that a private server is a neighbour if it connects while armed. */
static void
bypass_corrects_networkmanagers_route_to_a_private_server (void **state G_GNUC_UNUSED)
{
  g_autoptr (Kernel) kernel = kernel_new (), disarmed = kernel_new (), over = kernel_new (), onlink = kernel_new ();

  add_tunnel_up (kernel);
  add_route (kernel, RT_TABLE_MAIN, RTPROT_STATIC, PRIVATE, "", 2, 50);
  add_server (kernel, PRIVATE);
  assert_bypass (kernel, PRIVATE_ROUTE);
  add_tunnel_up (disarmed);
  add_route (disarmed, RT_TABLE_MAIN, RTPROT_STATIC, PRIVATE, "", 2, 50);
  add_route (disarmed, RT_TABLE_MAIN, 83, PRIVATE, "192.168.1.1", 2, 1);
  assert_bypass (disarmed, PRIVATE_ROUTE);
  add_route (over, RT_TABLE_MAIN, RTPROT_DHCP, "0.0.0.0/0", "192.168.1.1", 2, 100);
  add_route (over, RT_TABLE_MAIN, 83, PRIVATE, "192.168.1.1", 2, 1);
  assert_bypass (over, "");
  /* a server that is a neighbour */
  add_tunnel_up (onlink);
  add_route (onlink, RT_TABLE_MAIN, RTPROT_KERNEL, "10.200.0.0/24", "", 2, 100);
  add_route (onlink, 85, 83, "10.200.0.0/24", "", 2, 100);
  add_route (onlink, RT_TABLE_MAIN, RTPROT_STATIC, PRIVATE, "", 2, 50);
  add_server (onlink, PRIVATE);
  assert_bypass (onlink, "");
}

static void
assert_mistaken (const char *dst, guint8 protocol, const char *gateway, guint ifindex, gboolean expected)
{
  g_autoptr (Kernel) kernel = kernel_new ();

  add_tunnel_up (kernel);
  add_route (kernel, RT_TABLE_MAIN, RTPROT_KERNEL, "192.168.1.0/24", "", 2, 100);
  add_route (kernel, RT_TABLE_MAIN, protocol, dst, gateway, ifindex, 50);
  assert_int_equal (ks_bypass_is_mistaken (kernel->config,
                                           &g_array_index (kernel->routes, KsRoute, kernel->routes->len - 1),
                                           kernel->routes),
                    expected);
}

static void
bypass_knows_the_mistake (void **state G_GNUC_UNUSED)
{
  assert_mistaken (PRIVATE, RTPROT_STATIC, "", 2, TRUE);
  assert_mistaken (PRIVATE, RTPROT_STATIC, "192.168.1.1", 2, FALSE);
  assert_mistaken (PRIVATE, RTPROT_DHCP, "", 2, FALSE);
  assert_mistaken ("10.200.0.0/24", RTPROT_STATIC, "", 2, FALSE);
  assert_mistaken ("192.168.1.77", RTPROT_STATIC, "", 2, FALSE); /* really a neighbour */
  assert_mistaken (PRIVATE, RTPROT_STATIC, "", 3, FALSE); /* a device without a better route */
}

static void
bypass_for_ipv6 (void **state G_GNUC_UNUSED)
{
  g_autoptr (Kernel) kernel = kernel_new ();

  add_route (kernel, RT_TABLE_MAIN, RTPROT_STATIC, "::/0", "", 8, 50);
  add_route (kernel, RT_TABLE_MAIN, RTPROT_RA, "::/0", "fe80::1", 2, 100);
  add_route (kernel, 85, 83, "::/0", "fe80::1", 2, 100);
  add_server (kernel, "2001:db8:ffff::10");
  assert_bypass (kernel, "2001:db8:ffff::10 via fe80::1 dev if2 onlink table 254 protocol 83 metric 1\n");
}

static void
bypass_routes_are_hosts_of_our_protocol_in_main (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsConfig) config = ks_config_new ();
  KsPrefix host = ks_test_prefix (SERVER), network = ks_test_prefix ("203.0.113.0/24"), none = KS_PREFIX_UNSET;
  KsRoute route = ks_route_via (RT_TABLE_MAIN, 83, &host, 100, 2, &none);

  assert_true (ks_owner_has_bypass (config, &route));
  route.protocol = RTPROT_STATIC;
  assert_false (ks_owner_has_bypass (config, &route));
  route = ks_route_via (RT_TABLE_MAIN, 83, &network, 100, 2, &none);
  assert_false (ks_owner_has_bypass (config, &route));
  route = ks_route_via (85, 83, &host, 100, 2, &none);
  assert_false (ks_owner_has_bypass (config, &route));
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (bypass_keeps_a_transport_out_of_its_own_tunnel),
    cmocka_unit_test (bypass_is_not_needed_where_main_has_the_way),
    cmocka_unit_test (bypass_needs_an_uplink_and_an_exemption_of_ours),
    cmocka_unit_test (bypass_stays_while_it_is_needed_and_no_longer),
    cmocka_unit_test (bypass_corrects_networkmanagers_route_to_a_private_server),
    cmocka_unit_test (bypass_knows_the_mistake),
    cmocka_unit_test (bypass_for_ipv6),
    cmocka_unit_test (bypass_routes_are_hosts_of_our_protocol_in_main),
  };

  return cmocka_run_group_tests_name ("ks-bypass", tests, NULL, NULL);
}
