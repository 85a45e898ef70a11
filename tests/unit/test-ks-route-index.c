/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test.h"

#include "policy/ks-route-index.h"

static void
add (GArray *routes, guint32 table, const char *dst, guint32 metric, guint ifindex)
{
  KsPrefix to = ks_test_prefix (dst), none = KS_PREFIX_UNSET;
  KsRoute route = ks_route_via (table, RTPROT_STATIC, &to, metric, ifindex, &none);

  g_array_append_val (routes, route);
}

/* The devices that packets to @host leave by, the preferred one first: "2 3"; "" for no route. */
static void
assert_match (const GArray *routes, const char *host, const char *expected)
{
  g_autoptr (KsRouteIndex) index = ks_route_index_new (routes, RT_TABLE_MAIN);
  g_autoptr (GString) out = g_string_new (NULL);
  KsPrefix prefix = ks_test_prefix (host);
  const GPtrArray *found = ks_route_index_match (index, &prefix);

  for (guint i = 0; found && i < found->len; i++)
    g_string_append_printf (out, "%s%u", i ? " " : "", ((const KsRoute *) found->pdata[i])->nexthops[0].ifindex);
  assert_string_equal (out->str, expected);
}

static void
index_without_routes_answers_nothing (void **state G_GNUC_UNUSED)
{
  g_autoptr (GArray) routes = g_array_new (FALSE, FALSE, sizeof (KsRoute));

  assert_match (routes, "203.0.113.10", "");
  assert_match (routes, "2001:db8::1", "");
}

static void
index_answers_with_the_longest_prefix (void **state G_GNUC_UNUSED)
{
  g_autoptr (GArray) routes = g_array_new (FALSE, FALSE, sizeof (KsRoute));

  add (routes, RT_TABLE_MAIN, "0.0.0.0/0", 1, 2);
  add (routes, RT_TABLE_MAIN, "203.0.113.0/24", 900, 3);
  add (routes, RT_TABLE_MAIN, "203.0.113.128/25", 900, 4);
  add (routes, RT_TABLE_MAIN, "203.0.113.200/32", 900, 5);
  assert_match (routes, "198.51.100.1", "2");
  assert_match (routes, "203.0.113.10", "3");
  assert_match (routes, "203.0.113.129", "4");
  assert_match (routes, "203.0.113.200", "5");
  assert_match (routes, "2001:db8::1", "");
}

static void
index_answers_with_every_metric_the_lowest_first (void **state G_GNUC_UNUSED)
{
  g_autoptr (GArray) routes = g_array_new (FALSE, FALSE, sizeof (KsRoute));

  add (routes, RT_TABLE_MAIN, "::/0", 600, 3);
  add (routes, RT_TABLE_MAIN, "::/0", 100, 2);
  add (routes, RT_TABLE_MAIN, "::/0", 600, 4); /* of one metric, the first stays first */
  assert_match (routes, "2001:db8::1", "2 3 4");
  add (routes, RT_TABLE_MAIN, "2001:db8::/32", 4000, 5);
  assert_match (routes, "2001:db8::1", "5");
  assert_match (routes, "2001:db9::1", "2 3 4");
}

static void
index_knows_one_table_and_no_type_of_service (void **state G_GNUC_UNUSED)
{
  g_autoptr (GArray) routes = g_array_new (FALSE, FALSE, sizeof (KsRoute));

  add (routes, RT_TABLE_MAIN, "0.0.0.0/0", 1, 2);
  add (routes, 85, "203.0.113.0/24", 1, 3);
  add (routes, RT_TABLE_MAIN, "203.0.113.0/24", 1, 4);
  g_array_index (routes, KsRoute, 2).tos = 0x10;
  assert_match (routes, "203.0.113.10", "2");
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (index_without_routes_answers_nothing),
    cmocka_unit_test (index_answers_with_the_longest_prefix),
    cmocka_unit_test (index_answers_with_every_metric_the_lowest_first),
    cmocka_unit_test (index_knows_one_table_and_no_type_of_service),
  };

  return cmocka_run_group_tests_name ("ks-route-index", tests, NULL, NULL);
}
