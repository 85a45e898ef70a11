/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test.h"

#include "policy/ks-route.h"

static void
assert_formats (const KsRoute *route, const char *expected)
{
  g_autofree char *text = ks_route_format (route);

  assert_string_equal (text, expected);
}

static void
route_by_a_device_has_link_scope_for_ipv4_only (void **state G_GNUC_UNUSED)
{
  KsPrefix all4 = ks_prefix_default (AF_INET), all6 = ks_prefix_default (AF_INET6), none = KS_PREFIX_UNSET;
  KsRoute route4 = ks_route_via (83, 83, &all4, 100, 7, &none), route6 = ks_route_via (83, 83, &all6, 100, 7, &none);

  assert_formats (&route4, "default dev if7 table 83 protocol 83 metric 100");
  assert_int_equal (route4.scope, RT_SCOPE_LINK);
  assert_formats (&route6, "default dev if7 table 83 protocol 83 metric 100");
  assert_int_equal (route6.scope, RT_SCOPE_UNIVERSE);
}

static void
route_by_a_gateway_does_not_look_it_up (void **state G_GNUC_UNUSED)
{
  KsPrefix dst = ks_test_prefix ("10.99.0.0/16"), gateway = ks_test_prefix ("10.8.0.1");
  KsRoute route = ks_route_via (84, 83, &dst, 100, 7, &gateway);

  assert_formats (&route, "10.99.0.0/16 via 10.8.0.1 dev if7 onlink table 84 protocol 83 metric 100");
  assert_int_equal (route.scope, RT_SCOPE_UNIVERSE);
}

static void
route_clears_host_bits_of_its_destination (void **state G_GNUC_UNUSED)
{
  KsPrefix dst = ks_test_prefix ("10.8.0.2/24");
  KsRoute route = ks_route_blackhole (84, 83, &dst, 200);

  assert_formats (&route, "blackhole 10.8.0.0/24 table 84 protocol 83 metric 200");
}

static void
route_formats_types_and_next_hops (void **state G_GNUC_UNUSED)
{
  KsPrefix all = ks_prefix_default (AF_INET6);
  KsRoute route = ks_route_init (85, 83, &all, 5);

  route.type = RTN_UNREACHABLE;
  assert_formats (&route, "unreachable default table 85 protocol 83 metric 5");
  route.type = RTN_PROHIBIT;
  assert_formats (&route, "prohibit default table 85 protocol 83 metric 5");
  route.type = RTN_THROW;
  assert_formats (&route, "throw default table 85 protocol 83 metric 5");
  route.type = RTN_LOCAL;
  assert_formats (&route, "local default table 85 protocol 83 metric 5");
  route.type = RTN_XRESOLVE;
  assert_formats (&route, "other default table 85 protocol 83 metric 5");
  route.type = RTN_UNICAST;
  route.prefsrc = ks_test_prefix ("2001:db8::2");
  route.n_nexthops = 2;
  route.nexthops[0] = (KsNexthop){ .ifindex = 2, .gateway = ks_test_prefix ("fe80::1"), .weight = 0 };
  route.nexthops[1] = (KsNexthop){ .ifindex = 3, .gateway = ks_test_prefix ("fe80::2"), .weight = 4, .onlink = TRUE };
  assert_formats (&route, "default nexthop via fe80::1 dev if2 weight 1 nexthop via fe80::2 dev if3 onlink weight 5 "
                          "table 85 protocol 83 metric 5 src 2001:db8::2");
  route.src = ks_test_prefix ("2001:db8:1::/48");
  route.n_nexthops = 0;
  assert_formats (&route, "default from 2001:db8:1::/48 table 85 protocol 83 metric 5 src 2001:db8::2");
}

static void
route_uses_any_of_its_next_hops (void **state G_GNUC_UNUSED)
{
  KsPrefix all = ks_prefix_default (AF_INET);
  KsRoute route = ks_route_init (85, 83, &all, 5);

  assert_false (ks_route_uses (&route, 0));
  route.n_nexthops = 2;
  route.nexthops[0].ifindex = 2;
  route.nexthops[1].ifindex = 3;
  assert_true (ks_route_uses (&route, 2));
  assert_true (ks_route_uses (&route, 3));
  assert_false (ks_route_uses (&route, 4));
  assert_true (ks_route_is_default (&route));
}

static void
route_comparison_uses_every_field_and_is_a_total_order (void **state G_GNUC_UNUSED)
{
  g_autoptr (GArray) routes = g_array_new (FALSE, FALSE, sizeof (KsRoute));
  KsPrefix dst = ks_test_prefix ("10.0.0.0/8"), gateway = ks_test_prefix ("10.0.0.1");
  const KsRoute plain = ks_route_via (83, 83, &dst, 100, 7, &gateway);
  KsRoute route;

#define VARIANT(change) \
  route = plain; \
  change; \
  g_array_append_val (routes, route)

  VARIANT ((void) 0);
  VARIANT (route.family = AF_INET6);
  VARIANT (route.table = 84);
  VARIANT (route.dst = ks_test_prefix ("10.0.0.0/9"));
  VARIANT (route.src = ks_test_prefix ("2001:db8::/64"));
  VARIANT (route.metric = 101);
  VARIANT (route.tos = 4);
  VARIANT (route.type = RTN_BLACKHOLE);
  VARIANT (route.scope = RT_SCOPE_LINK);
  VARIANT (route.protocol = 4);
  VARIANT (route.prefsrc = ks_test_prefix ("10.0.0.2"));
  VARIANT (route.metrics[RTAX_MTU] = 1400);
  VARIANT (route.n_nexthops = 2);
  VARIANT (route.nexthops[0].ifindex = 8);
  VARIANT (route.nexthops[0].gateway = ks_test_prefix ("10.0.0.3"));
  VARIANT (route.nexthops[0].weight = 1);
  VARIANT (route.nexthops[0].onlink = FALSE);
#undef VARIANT

  for (guint i = 0; i < routes->len; i++)
    for (guint j = 0; j < routes->len; j++) {
      const KsRoute *a = &g_array_index (routes, KsRoute, i), *b = &g_array_index (routes, KsRoute, j);

      assert_int_equal (ks_route_equal (a, b), i == j);
      assert_int_equal (ks_route_compare (a, b) < 0, ks_route_compare (b, a) > 0);
    }
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (route_by_a_device_has_link_scope_for_ipv4_only),
    cmocka_unit_test (route_by_a_gateway_does_not_look_it_up),
    cmocka_unit_test (route_clears_host_bits_of_its_destination),
    cmocka_unit_test (route_formats_types_and_next_hops),
    cmocka_unit_test (route_uses_any_of_its_next_hops),
    cmocka_unit_test (route_comparison_uses_every_field_and_is_a_total_order),
  };

  return cmocka_run_group_tests_name ("ks-route", tests, NULL, NULL);
}
