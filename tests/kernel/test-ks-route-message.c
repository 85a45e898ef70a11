/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KsRoute against the kernel and against iproute2: what we add `ip -j route`
 * shows, what `ip route add` adds we read.
 *
 * The network: a veth pair v0 (192.0.2.2/24, 2001:db8::2/64) and v1, both up.
 */
#include "netns.h"

#include <net/if.h>

#include "kernel/ks-kernel.h"
#include "kernel/ks-netlink.h"
#include "kernel/ks-route-message.h"
#include "ks-test.h"

#define TABLE 77
#define BIG_TABLE 100000
#define PROTOCOL 83

typedef struct {
  const char *device;
  const char *gateway;
  guint8 weight;
  gboolean onlink;
} Hop;

typedef struct {
  int family;
  guint32 table;
  guint8 type;
  guint8 scope;
  guint8 tos;
  const char *dst;
  const char *src;
  guint32 metric;
  const char *prefsrc;
  guint32 mtu, advmss;
  Hop hops[3];
  const char *words; /* after `ip route add` */
  const char *json; /* what `ip -N -j route show table TABLE` prints of it */
} Case;

static const Case cases[] = {
  { AF_INET, TABLE, RTN_BLACKHOLE, .dst = "0.0.0.0/0", .metric = 200,
    .words = "blackhole default table 77 metric 200 proto 83",
    .json = "{\"type\":\"6\",\"dst\":\"default\",\"protocol\":\"83\",\"metric\":200,\"flags\":[]}" },
  { AF_INET, TABLE, RTN_UNREACHABLE, .dst = "0.0.0.0/0", .metric = 4294967295,
    .words = "unreachable default table 77 metric 4294967295 proto 83",
    .json = "{\"type\":\"7\",\"dst\":\"default\",\"protocol\":\"83\",\"metric\":4294967295,\"flags\":[]}" },
  { AF_INET, TABLE, RTN_PROHIBIT, .dst = "198.51.100.0/25", .words = "prohibit 198.51.100.0/25 table 77 proto 83",
    .json = "{\"type\":\"8\",\"dst\":\"198.51.100.0/25\",\"protocol\":\"83\",\"flags\":[]}" },
  { AF_INET, TABLE, RTN_THROW, .dst = "198.51.100.128/25", .words = "throw 198.51.100.128/25 table 77 proto 83",
    .json = "{\"type\":\"9\",\"dst\":\"198.51.100.128/25\",\"protocol\":\"83\",\"flags\":[]}" },
  { AF_INET, TABLE, RTN_UNICAST, .dst = "0.0.0.0/0", .metric = 100, .hops = { { "v0", "10.9.9.9", 0, TRUE } },
    .words = "default via 10.9.9.9 dev v0 onlink table 77 metric 100 proto 83",
    .json = "{\"dst\":\"default\",\"gateway\":\"10.9.9.9\",\"dev\":\"v0\",\"protocol\":\"83\",\"metric\":100,"
            "\"flags\":[\"onlink\"]}" },
  { AF_INET, TABLE, RTN_UNICAST, .dst = "203.0.113.10/32", .metric = 5, .hops = { { "v0", "192.0.2.1" } },
    .words = "203.0.113.10 via 192.0.2.1 dev v0 metric 5 table 77 proto 83",
    .json = "{\"dst\":\"203.0.113.10\",\"gateway\":\"192.0.2.1\",\"dev\":\"v0\",\"protocol\":\"83\",\"metric\":5,"
            "\"flags\":[]}" },
  { AF_INET, TABLE, RTN_UNICAST, .dst = "203.0.113.0/24", .hops = { { "v0", "fe80::1" } },
    .words = "203.0.113.0/24 via inet6 fe80::1 dev v0 table 77 proto 83",
    .json = "{\"dst\":\"203.0.113.0/24\",\"via\":{\"family\":\"inet6\",\"host\":\"fe80::1\"},\"dev\":\"v0\","
            "\"protocol\":\"83\",\"flags\":[]}" },
  { AF_INET, TABLE, RTN_UNICAST, .dst = "203.0.114.0/24", .hops = { { "v0", "2001:db8:99::1", 0, TRUE } },
    .words = "203.0.114.0/24 via inet6 2001:db8:99::1 dev v0 onlink table 77 proto 83",
    .json = "{\"dst\":\"203.0.114.0/24\",\"via\":{\"family\":\"inet6\",\"host\":\"2001:db8:99::1\"},\"dev\":\"v0\","
            "\"protocol\":\"83\",\"flags\":[\"onlink\"]}" },
  { AF_INET, TABLE, RTN_UNICAST, RT_SCOPE_LINK, .tos = 0x10, .dst = "203.0.113.0/25", .prefsrc = "192.0.2.2",
    .mtu = 1400, .advmss = 1300, .hops = { { "v0" } },
    .words = "203.0.113.0/25 dev v0 scope link src 192.0.2.2 mtu 1400 advmss 1300 tos 0x10 table 77 proto 83",
    .json = "{\"dst\":\"203.0.113.0/25\",\"tos\":\"0x10\",\"dev\":\"v0\",\"protocol\":\"83\",\"scope\":\"253\","
            "\"prefsrc\":\"192.0.2.2\",\"flags\":[],\"metrics\":[{\"mtu\":1400,\"advmss\":1300}]}" },
  { AF_INET, TABLE, RTN_UNICAST, .dst = "203.0.113.128/25",
    .hops = { { "v0", "192.0.2.1", 2 }, { "v0", "192.0.2.3" }, { "v1", "10.1.2.3", 7, TRUE } },
    .words = "203.0.113.128/25 table 77 proto 83 nexthop via 192.0.2.1 dev v0 weight 3 "
             "nexthop via 192.0.2.3 dev v0 weight 1 nexthop via 10.1.2.3 dev v1 weight 8 onlink",
    .json = "{\"dst\":\"203.0.113.128/25\",\"protocol\":\"83\",\"flags\":[],\"nexthops\":["
            "{\"gateway\":\"192.0.2.1\",\"dev\":\"v0\",\"weight\":3,\"flags\":[]},"
            "{\"gateway\":\"192.0.2.3\",\"dev\":\"v0\",\"weight\":1,\"flags\":[]},"
            "{\"gateway\":\"10.1.2.3\",\"dev\":\"v1\",\"weight\":8,\"flags\":[\"onlink\"]}]}" },
  { AF_INET, BIG_TABLE, RTN_UNICAST, RT_SCOPE_LINK, .dst = "0.0.0.0/0", .metric = 20100, .hops = { { "v0" } },
    .words = "default dev v0 scope link table 100000 metric 20100 proto 83",
    .json =
      "{\"dst\":\"default\",\"dev\":\"v0\",\"protocol\":\"83\",\"scope\":\"253\",\"metric\":20100,\"flags\":[]}" },
  { AF_INET6, TABLE, RTN_BLACKHOLE, .dst = "::/0", .metric = 200,
    .words = "blackhole default table 77 metric 200 proto 83",
    .json = "{\"type\":\"6\",\"dst\":\"default\",\"dev\":\"lo\",\"protocol\":\"83\",\"metric\":200,\"flags\":[],"
            "\"pref\":\"medium\"}" },
  { AF_INET6, TABLE, RTN_UNREACHABLE, .dst = "::/0", .metric = 4294967295,
    .words = "unreachable default table 77 metric 4294967295 proto 83",
    .json = "{\"type\":\"7\",\"dst\":\"default\",\"dev\":\"lo\",\"protocol\":\"83\",\"metric\":4294967295,"
            "\"flags\":[],\"pref\":\"medium\"}" },
  { AF_INET6, TABLE, RTN_PROHIBIT, .dst = "2001:db8:1::/48", .metric = 1024,
    .words = "prohibit 2001:db8:1::/48 table 77 metric 1024 proto 83",
    .json = "{\"type\":\"8\",\"dst\":\"2001:db8:1::/48\",\"dev\":\"lo\",\"protocol\":\"83\",\"metric\":1024,"
            "\"flags\":[],\"pref\":\"medium\"}" },
  { AF_INET6, TABLE, RTN_THROW, .dst = "2001:db8:2::/48", .metric = 1,
    .words = "throw 2001:db8:2::/48 table 77 metric 1 proto 83",
    .json = "{\"type\":\"9\",\"dst\":\"2001:db8:2::/48\",\"dev\":\"lo\",\"protocol\":\"83\",\"metric\":1,"
            "\"flags\":[],\"pref\":\"medium\"}" },
  { AF_INET6, TABLE, RTN_UNICAST, .dst = "::/0", .metric = 100, .hops = { { "v0", "2001:db8:9::9", 0, TRUE } },
    .words = "default via 2001:db8:9::9 dev v0 onlink table 77 metric 100 proto 83",
    .json = "{\"dst\":\"default\",\"gateway\":\"2001:db8:9::9\",\"dev\":\"v0\",\"protocol\":\"83\",\"metric\":100,"
            "\"flags\":[\"onlink\"],\"pref\":\"medium\"}" },
  { AF_INET6, TABLE, RTN_UNICAST, .dst = "2001:db8:3::/48", .metric = 7, .prefsrc = "2001:db8::2", .mtu = 1300,
    .advmss = 1200, .hops = { { "v0" } },
    .words = "2001:db8:3::/48 dev v0 src 2001:db8::2 mtu 1300 advmss 1200 metric 7 table 77 proto 83",
    .json = "{\"dst\":\"2001:db8:3::/48\",\"dev\":\"v0\",\"protocol\":\"83\",\"prefsrc\":\"2001:db8::2\","
            "\"metric\":7,\"flags\":[],\"metrics\":[{\"mtu\":1300,\"advmss\":1200}],\"pref\":\"medium\"}" },
  { AF_INET6, TABLE, RTN_UNICAST, .dst = "2001:db8:5::/48", .src = "2001:db8:6::/64", .metric = 7,
    .hops = { { "v0", "fe80::1" } },
    .words = "2001:db8:5::/48 from 2001:db8:6::/64 via fe80::1 dev v0 metric 7 table 77 proto 83",
    .json = "{\"dst\":\"2001:db8:5::/48\",\"from\":\"2001:db8:6::/64\",\"gateway\":\"fe80::1\",\"dev\":\"v0\","
            "\"protocol\":\"83\",\"metric\":7,\"flags\":[],\"pref\":\"medium\"}" },
  { AF_INET6, TABLE, RTN_BLACKHOLE, .dst = "::/0", .src = "2001:db8:6::/64", .metric = 200,
    .words = "blackhole default from 2001:db8:6::/64 table 77 metric 200 proto 83",
    .json = "{\"type\":\"6\",\"dst\":\"default\",\"from\":\"2001:db8:6::/64\",\"dev\":\"lo\",\"protocol\":\"83\","
            "\"metric\":200,\"flags\":[],\"pref\":\"medium\"}" },
  { AF_INET6, BIG_TABLE, RTN_UNICAST, .dst = "2001:db8:4::1/128", .metric = 7,
    .hops = { { "v0", "fe80::1", 1 }, { "v0", "fe80::2", 4 }, { "v1", "fe80::3" } },
    .words = "2001:db8:4::1 table 100000 metric 7 proto 83 nexthop via fe80::1 dev v0 weight 2 "
             "nexthop via fe80::2 dev v0 weight 5 nexthop via fe80::3 dev v1 weight 1",
    .json = "{\"dst\":\"2001:db8:4::1\",\"protocol\":\"83\",\"metric\":7,\"flags\":[],\"pref\":\"medium\","
            "\"nexthops\":[{\"gateway\":\"fe80::1\",\"dev\":\"v0\",\"weight\":2,\"flags\":[]},"
            "{\"gateway\":\"fe80::2\",\"dev\":\"v0\",\"weight\":5,\"flags\":[]},"
            "{\"gateway\":\"fe80::3\",\"dev\":\"v1\",\"weight\":1,\"flags\":[]}]}" },
};

static KsRoute
route_by (const Case *c, unsigned (*index_of) (const char *device))
{
  KsPrefix dst = ks_test_prefix (c->dst);
  KsRoute route = ks_route_init (c->table, PROTOCOL, &dst, c->metric);

  route.type = c->type;
  route.scope = c->scope;
  route.tos = c->tos;
  if (c->src)
    route.src = ks_test_prefix (c->src);
  if (c->prefsrc)
    route.prefsrc = ks_test_prefix (c->prefsrc);
  route.metrics[RTAX_MTU] = c->mtu;
  route.metrics[RTAX_ADVMSS] = c->advmss;
  for (guint i = 0; i < G_N_ELEMENTS (c->hops) && c->hops[i].device; i++) {
    KsNexthop *hop = &route.nexthops[route.n_nexthops++];

    hop->ifindex = (int) index_of (c->hops[i].device);
    assert_true (hop->ifindex > 0);
    if (c->hops[i].gateway)
      hop->gateway = ks_test_prefix (c->hops[i].gateway);
    hop->weight = c->hops[i].weight;
    hop->onlink = c->hops[i].onlink;
  }
  return route;
}

static KsRoute
route_of (const Case *c)
{
  return route_by (c, if_nametoindex);
}

/* --- the kernel --- */

static void
make_network (void)
{
  netns_run ("ip link add v0 type veth peer name v1");
  /* no addresses of their own, which would come in while a test runs */
  netns_run ("ip link set v0 addrgenmode none up");
  netns_run ("ip link set v1 addrgenmode none up");
  netns_run ("ip addr add 192.0.2.2/24 dev v0");
  netns_run ("ip addr add 2001:db8::2/64 dev v0 nodad");
  netns_settle ();
}

static int
change (KsNlMessage *message)
{
  g_autoptr (KsNlSocket) socket = ks_netlink_open (NULL);
  int result;

  assert_non_null (socket);
  assert_non_null (message);
  result = ks_netlink_request (socket, message);
  nlmsg_free (message);
  return result;
}

static int
add (const KsRoute *route)
{
  return change (ks_route_message_add (route));
}

static int delete (const KsRoute *route)
{
  return change (ks_route_message_delete (route));
}

static gboolean
collect (struct nlmsghdr *header, gpointer user_data)
{
  KsRoute route;

  if (!ks_route_message_parse (header, &route))
    return FALSE;
  g_array_append_val ((GArray *) user_data, route);
  return TRUE;
}

/* Every route of @table, by our codec (transfer full). */
static GArray *
dump (int family, guint32 table)
{
  g_autoptr (KsNlSocket) socket = ks_netlink_open (NULL);
  g_autoptr (KsNlMessage) message = ks_route_message_dump (family, table);
  GArray *routes = g_array_new (FALSE, FALSE, sizeof (KsRoute));
  int result = ks_netlink_dump (socket, message, collect, routes);

  if (result != ENOENT)
    assert_int_equal (result, 0);
  return routes;
}

static char *
show (int family, guint32 table)
{
  return netns_output ("ip -N -j %s route show table %u", family == AF_INET6 ? "-6" : "-4", table);
}

static char *
show_all (void)
{
  g_autofree char *v4 = netns_output ("ip -N -j -4 route show table all");
  g_autofree char *v6 = netns_output ("ip -N -j -6 route show table all");

  return g_strconcat (v4, v6, NULL);
}

static gboolean
is_shown (const KsRoute *route, const char *json)
{
  g_autofree char *all = show (route->family, route->table);
  g_autoptr (GPtrArray) objects = netns_json_objects (all);

  if (g_ptr_array_find_with_equal_func (objects, json, g_str_equal, NULL))
    return TRUE;
  print_message ("looked for %s in %s\n", json, all);
  return FALSE;
}

static void
assert_dumped (const KsRoute *expected)
{
  g_autoptr (GArray) routes = dump (expected->family, expected->table);
  g_autofree char *want = ks_route_format (expected);
  GString *have = g_string_new (NULL);
  guint found = 0;

  for (guint i = 0; i < routes->len; i++) {
    const KsRoute *route = &g_array_index (routes, KsRoute, i);
    g_autofree char *text = ks_route_format (route);

    found += ks_route_equal (route, expected);
    g_string_append_printf (have, "\n  %s", text);
  }
  if (found != 1)
    fail_msg ("%s: found %u times among%s", want, found, have->str);
  g_string_free (have, TRUE);
}

/* --- tests --- */

static void
route_that_is_added_is_what_ip_shows_and_what_is_dumped (void **state G_GNUC_UNUSED)
{
  NETNS_ENTER_OR_SKIP ();
  make_network ();
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    KsRoute route = route_of (&cases[i]);

    assert_int_equal (add (&route), 0);
    assert_true (is_shown (&route, cases[i].json));
    assert_dumped (&route);
    /* and a second time it is there already */
    assert_int_equal (add (&route), EEXIST);
  }
}

static void
route_that_ip_adds_is_dumped_field_by_field (void **state G_GNUC_UNUSED)
{
  NETNS_ENTER_OR_SKIP ();
  make_network ();
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    KsRoute route = route_of (&cases[i]);

    netns_run ("ip %s route append %s", route.family == AF_INET6 ? "-6" : "-4", cases[i].words);
    assert_true (is_shown (&route, cases[i].json));
    assert_dumped (&route);
  }
}

static void
deletion_removes_exactly_that_route (void **state G_GNUC_UNUSED)
{
  g_autofree char *empty = NULL;
  g_autofree char *end = NULL;

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  empty = show_all ();
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    KsRoute route = route_of (&cases[i]);

    assert_int_equal (add (&route), 0);
  }
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    KsRoute route = route_of (&cases[i]);

    assert_int_equal (delete (&route), 0);
    assert_int_equal (delete (&route), ESRCH);
    for (guint j = 0; j < G_N_ELEMENTS (cases); j++) {
      KsRoute other = route_of (&cases[j]);
      g_autoptr (GArray) routes = dump (other.family, other.table);
      guint found = 0;

      for (guint k = 0; k < routes->len; k++)
        found += ks_route_equal (&g_array_index (routes, KsRoute, k), &other);
      assert_int_equal (found, j > i);
    }
  }
  end = show_all ();
  assert_string_equal (end, empty);
}

/* The same destination, table and next hop by another protocol, before ours and behind it. */
static void
foreign_routes_in_our_tables_survive (void **state G_GNUC_UNUSED)
{
  NETNS_ENTER_OR_SKIP ();
  make_network ();
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    KsRoute ours = route_of (&cases[i]);
    KsRoute foreign = ours;
    g_autofree char *alone = NULL;
    g_autofree char *after = NULL;

    foreign.protocol = RTPROT_STATIC;
    /* to IPv6 one next hop is there once, whoever put it there: theirs has another metric */
    if (foreign.family == AF_INET6)
      foreign.metric = foreign.metric == G_MAXUINT32 ? 12 : foreign.metric + 1;
    assert_int_equal (add (&foreign), 0);
    alone = show_all ();
    assert_int_equal (add (&ours), 0);
    assert_int_equal (delete (&ours), 0);
    assert_int_equal (delete (&ours), ESRCH);
    after = show_all ();
    assert_string_equal (after, alone);

    assert_int_equal (delete (&foreign), 0);
    assert_int_equal (add (&ours), 0);
    assert_int_equal (add (&foreign), 0);
    assert_int_equal (delete (&ours), 0);
    g_free (g_steal_pointer (&after));
    after = show_all ();
    assert_string_equal (after, alone);
    assert_int_equal (delete (&foreign), 0);
  }
}

static void
dump_of_a_table_that_does_not_exist_is_empty (void **state G_GNUC_UNUSED)
{
  g_autoptr (GArray) v4 = NULL;
  g_autoptr (GArray) v6 = NULL;

  NETNS_ENTER_OR_SKIP ();
  v4 = dump (AF_INET, 4711);
  v6 = dump (AF_INET6, 4711);
  assert_int_equal (v4->len, 0);
  assert_int_equal (v6->len, 0);
}

static void
dump_of_one_table_has_no_route_of_another (void **state G_GNUC_UNUSED)
{
  static const guint32 tables[] = { TABLE, BIG_TABLE, RT_TABLE_MAIN, RT_TABLE_LOCAL };
  static const int families[] = { AF_INET, AF_INET6 };

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    KsRoute route = route_of (&cases[i]);

    assert_int_equal (add (&route), 0);
  }
  for (guint i = 0; i < G_N_ELEMENTS (tables); i++)
    for (guint j = 0; j < G_N_ELEMENTS (families); j++) {
      g_autoptr (GArray) routes = dump (families[j], tables[i]);

      assert_true (routes->len > 0);
      for (guint k = 0; k < routes->len; k++) {
        assert_int_equal (g_array_index (routes, KsRoute, k).table, tables[i]);
        assert_int_equal (g_array_index (routes, KsRoute, k).family, families[j]);
      }
    }
}

/* A device that goes down takes its next hop out of a multipath route: IPv4 marks it dead. */
static void
dead_next_hops_are_left_out (void **state G_GNUC_UNUSED)
{
  g_autoptr (GArray) routes = NULL;

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  netns_run ("ip link add v2 type veth peer name v3");
  netns_run ("ip link set v2 up");
  netns_run ("ip link set v3 up");
  netns_run ("ip route add 203.0.113.0/24 table 77 nexthop via 10.1.1.1 dev v2 onlink nexthop via 192.0.2.1 dev v0");
  netns_run ("ip link set v2 down");
  routes = dump (AF_INET, TABLE);
  assert_int_equal (routes->len, 1);
  {
    const KsRoute *route = &g_array_index (routes, KsRoute, 0);

    assert_int_equal (route->n_nexthops, 1);
    assert_int_equal (route->nexthops[0].ifindex, if_nametoindex ("v0"));
  }
}

/* A carrier lost is not a device down: the route stays, and the kernel says "linkdown" of it. */
static void
next_hop_without_carrier_is_kept (void **state G_GNUC_UNUSED)
{
  g_autoptr (GArray) routes = NULL;

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  netns_run ("ip route add 203.0.113.0/24 via 192.0.2.1 dev v0 table 77");
  netns_run ("ip link set v1 down");
  routes = dump (AF_INET, TABLE);
  assert_int_equal (routes->len, 1);
  assert_int_equal (g_array_index (routes, KsRoute, 0).n_nexthops, 1);
  assert_false (g_array_index (routes, KsRoute, 0).nexthops[0].onlink);
}

static void
routes_by_nexthop_objects_are_read_as_their_next_hops (void **state G_GNUC_UNUSED)
{
  g_autoptr (GArray) single = NULL;
  g_autoptr (GArray) group = NULL;
  g_autoptr (GArray) six = NULL;
  const KsRoute *route;

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  if (netns_try ("ip nexthop add id 5 via 192.0.2.5 dev v0") != 0) {
    print_message ("skipped: this kernel has no nexthop objects\n");
    skip ();
  }
  netns_run ("ip nexthop add id 6 via 192.0.2.6 dev v0");
  netns_run ("ip nexthop add id 7 group 5/6,4");
  netns_run ("ip nexthop add id 8 via 2001:db8::8 dev v0");
  netns_run ("ip route add 203.0.113.0/24 nhid 5 table 77 proto 83");
  netns_run ("ip route add 203.0.113.0/24 nhid 7 table 78 proto 83");
  netns_run ("ip -6 route add 2001:db8:5::/48 nhid 8 table 77 proto 83 metric 3");

  single = dump (AF_INET, 77);
  assert_int_equal (single->len, 1);
  route = &g_array_index (single, KsRoute, 0);
  assert_int_equal (route->n_nexthops, 1);
  assert_int_equal (route->nexthops[0].ifindex, if_nametoindex ("v0"));

  group = dump (AF_INET, 78);
  assert_int_equal (group->len, 1);
  route = &g_array_index (group, KsRoute, 0);
  assert_int_equal (route->n_nexthops, 2);
  assert_int_equal (route->nexthops[0].weight, 0);
  assert_int_equal (route->nexthops[1].weight, 3);
  {
    g_autofree char *first = ks_prefix_format (&route->nexthops[0].gateway);
    g_autofree char *second = ks_prefix_format (&route->nexthops[1].gateway);

    assert_string_equal (first, "192.0.2.5");
    assert_string_equal (second, "192.0.2.6");
  }

  six = dump (AF_INET6, 77);
  assert_int_equal (six->len, 1);
  assert_int_equal (g_array_index (six, KsRoute, 0).n_nexthops, 1);
}

/* With net.ipv4.nexthop_compat_mode=0, the kernel shows the object's number alone. */
static void
route_by_a_nexthop_object_that_is_not_shown_has_no_next_hop (void **state G_GNUC_UNUSED)
{
  g_autoptr (GArray) routes = NULL;

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  if (netns_try ("ip nexthop add id 5 via 192.0.2.5 dev v0") != 0
      || netns_try ("sysctl -qw net.ipv4.nexthop_compat_mode=0") != 0) {
    print_message ("skipped: this kernel has no nexthop objects\n");
    skip ();
  }
  netns_run ("ip route add 203.0.113.0/24 nhid 5 table 77");
  routes = dump (AF_INET, 77);
  assert_int_equal (routes->len, 1);
  assert_int_equal (g_array_index (routes, KsRoute, 0).type, RTN_UNICAST);
  assert_int_equal (g_array_index (routes, KsRoute, 0).n_nexthops, 0);
}

/* libnl refuses most encapsulations, and the dump used to fail for one such route of anybody's. */
static void
route_with_an_encapsulation_is_read_without_its_next_hops (void **state G_GNUC_UNUSED)
{
  g_autoptr (GArray) four = NULL;
  g_autoptr (GArray) six = NULL;

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  if (netns_try ("ip -6 route add 2001:db8:5::/48 encap seg6 mode encap segs 2001:db8::9 dev v0 table 77") != 0) {
    print_message ("skipped: this kernel has no segment routing\n");
    skip ();
  }
  netns_run ("ip route add 203.0.113.0/24 encap seg6 mode encap segs 2001:db8::9 dev v0 table 77");
  netns_run ("ip route add 198.51.100.0/24 table 77 nexthop via 192.0.2.1 dev v0 "
             "nexthop encap seg6 mode encap segs 2001:db8::9 via 192.0.2.5 dev v0");
  netns_run ("ip route add 198.18.0.0/24 via 192.0.2.1 dev v0 table 77");

  six = dump (AF_INET6, 77);
  assert_int_equal (six->len, 1);
  assert_int_equal (g_array_index (six, KsRoute, 0).n_nexthops, 0);
  four = dump (AF_INET, 77);
  assert_int_equal (four->len, 3);
  for (guint i = 0; i < four->len; i++) {
    const KsRoute *route = &g_array_index (four, KsRoute, i);
    g_autofree char *dst = ks_prefix_format (&route->dst);

    assert_int_equal (route->type, RTN_UNICAST);
    assert_int_equal (route->n_nexthops, g_str_equal (dst, "198.18.0.0/24") ? 1 : 0);
  }
}

/* libnl reads the name of a congestion control as a number; sent back, the kernel refuses the route. */
static void
copy_of_a_route_with_every_metric_is_accepted (void **state G_GNUC_UNUSED)
{
  g_autoptr (GArray) routes = NULL;
  KsRoute copy;

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  netns_run ("ip route add 203.0.113.0/24 via 192.0.2.1 dev v0 table 77 congctl cubic mtu lock 1280 window 5000 "
             "rtt 100ms rttvar 50ms ssthresh 10 cwnd 11 initcwnd 12 initrwnd 13 features ecn quickack 1 "
             "fastopen_no_cookie 1 rto_min 200ms reordering 3 hoplimit 60");
  routes = dump (AF_INET, 77);
  assert_int_equal (routes->len, 1);
  copy = g_array_index (routes, KsRoute, 0);
  assert_int_equal (copy.metrics[RTAX_CC_ALGO], 0);
  copy.table = 78;
  copy.protocol = PROTOCOL;
  assert_int_equal (add (&copy), 0);
  assert_dumped (&copy);
  assert_int_equal (delete (&copy), 0);
}

static void
more_next_hops_than_are_kept_are_cut_off_and_do_no_harm (void **state G_GNUC_UNUSED)
{
  GString *words = g_string_new ("ip route add 203.0.113.0/24 table 77");
  g_autoptr (GArray) routes = NULL;

  NETNS_ENTER_OR_SKIP ();
  make_network ();
  for (guint i = 0; i < KS_ROUTE_MAX_NEXTHOPS + 5; i++)
    g_string_append_printf (words, " nexthop via 192.0.2.%u dev v0", 10 + i);
  netns_run ("%s", words->str);
  g_string_free (words, TRUE);
  routes = dump (AF_INET, TABLE);
  assert_int_equal (routes->len, 1);
  assert_int_equal (g_array_index (routes, KsRoute, 0).n_nexthops, KS_ROUTE_MAX_NEXTHOPS);
}

static void
malformed_message_is_refused_and_leaves_the_route_alone (void **state G_GNUC_UNUSED)
{
  NETNS_ENTER_OR_SKIP ();
  make_network ();
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    KsRoute route = route_of (&cases[i]);
    g_autoptr (KsNlMessage) message = ks_route_message_add (&route);
    struct nlmsghdr *header = nlmsg_hdr (message);
    struct nlattr *attribute;
    KsRoute untouched;
    int remaining;

    for (guint32 length = sizeof *header; length <= header->nlmsg_len; length++) {
      g_autofree struct nlmsghdr *cut = g_memdup2 (header, length);
      KsRoute out;

      cut->nlmsg_len = length;
      cut->nlmsg_type = RTM_NEWROUTE;
      memset (&out, 0x5a, sizeof out);
      untouched = out;
      if (!ks_route_message_parse (cut, &out))
        assert_memory_equal (&out, &untouched, sizeof out);
      else
        assert_true (length >= sizeof *header + sizeof (struct rtmsg));
    }
    header->nlmsg_type = RTM_NEWROUTE;
    nlmsg_for_each_attr (attribute, header, sizeof (struct rtmsg), remaining) {
      guint8 *bytes = nla_data (attribute);

      /* libnl 3.7 trusts the lengths inside of these; only the kernel can send us one */
      if (nla_type (attribute) == RTA_MULTIPATH || nla_type (attribute) == RTA_METRICS)
        continue;
      for (int j = 0; j < nla_len (attribute); j++) {
        guint8 saved = bytes[j];
        KsRoute out;

        for (int value = 0; value < 256; value += 5) {
          bytes[j] = (guint8) value;
          ks_route_message_parse (header, &out);
        }
        bytes[j] = saved;
      }
    }
  }
}

/* libnl 3.7 would write past its memory or loop forever. */
static void
message_with_a_wrong_length_inside_is_refused (void **state G_GNUC_UNUSED)
{
  static const struct {
    int type;
    int length;
  } wrong[] = {
    { RTA_DST, 3 }, { RTA_DST, 16 },    { RTA_SRC, 5 },       { RTA_GATEWAY, 0 },
    { RTA_VIA, 2 }, { RTA_PREFSRC, 2 }, { RTA_MULTIPATH, 9 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++) {
    g_autoptr (KsNlMessage) message = nlmsg_alloc_simple (RTM_NEWROUTE, 0);
    struct rtmsg header = { .rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_type = RTN_UNICAST };
    const guint8 bytes[16] = { 0 };
    KsRoute route;

    assert_int_equal (nlmsg_append (message, &header, sizeof header, NLMSG_ALIGNTO), 0);
    assert_true (ks_route_message_parse (nlmsg_hdr (message), &route));
    assert_int_equal (nla_put (message, wrong[i].type, wrong[i].length, bytes), 0);
    if (ks_route_message_parse (nlmsg_hdr (message), &route))
      fail_msg ("attribute %d of %d bytes is accepted", wrong[i].type, wrong[i].length);
  }
}

/* One that is not there, and has a byte in each place. */
static unsigned
made_up_index (const char *device)
{
  return 0x01020300u + (guint8) device[1];
}

/* Without the kernel: it runs on other architectures too (tests/arch). */
static void
message_of_a_route_comes_back_as_that_route (void **state G_GNUC_UNUSED)
{
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    KsRoute route = route_by (&cases[i], made_up_index), back;
    g_autoptr (KsNlMessage) message = ks_route_message_add (&route);

    assert_non_null (message);
    assert_int_equal (nlmsg_hdr (message)->nlmsg_type, RTM_NEWROUTE);
    assert_true (ks_route_message_parse (nlmsg_hdr (message), &back));
    if (!ks_route_equal (&back, &route))
      fail_msg ("%s comes back as another route", cases[i].words);
  }
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (route_that_is_added_is_what_ip_shows_and_what_is_dumped),
    cmocka_unit_test (route_that_ip_adds_is_dumped_field_by_field),
    cmocka_unit_test (deletion_removes_exactly_that_route),
    cmocka_unit_test (foreign_routes_in_our_tables_survive),
    cmocka_unit_test (dump_of_a_table_that_does_not_exist_is_empty),
    cmocka_unit_test (dump_of_one_table_has_no_route_of_another),
    cmocka_unit_test (dead_next_hops_are_left_out),
    cmocka_unit_test (next_hop_without_carrier_is_kept),
    cmocka_unit_test (routes_by_nexthop_objects_are_read_as_their_next_hops),
    cmocka_unit_test (route_by_a_nexthop_object_that_is_not_shown_has_no_next_hop),
    cmocka_unit_test (route_with_an_encapsulation_is_read_without_its_next_hops),
    cmocka_unit_test (copy_of_a_route_with_every_metric_is_accepted),
    cmocka_unit_test (more_next_hops_than_are_kept_are_cut_off_and_do_no_harm),
    cmocka_unit_test (malformed_message_is_refused_and_leaves_the_route_alone),
    cmocka_unit_test (message_of_a_route_comes_back_as_that_route),
    cmocka_unit_test (message_with_a_wrong_length_inside_is_refused),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
