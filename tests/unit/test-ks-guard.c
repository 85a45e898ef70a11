/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guard's text for each policy. tests/kernel/test-ks-guard.c tests what it does. */
#include "kernel/ks-guard.h"
#include "ks-test-policy.h"
#include "ks-test.h"

#define SERVER "203.0.113.10"

/* Armed, with a private LAN and DNS in the tunnel, and nothing else. */
static KsPolicy *
new_policy (void)
{
  return ks_test_policy_new ("10.0.0.0/8 192.168.0.0/16 fc00::/7 fe80::/10");
}

static void
add_route (KsPolicy *policy, guint8 type, const char *dst, guint ifindex)
{
  KsPrefix to = ks_test_prefix (dst);
  KsRoute route = ks_route_init (85, 83, &to, 0);

  route.type = type;
  if (ifindex) {
    route.n_nexthops = 1;
    route.nexthops[0].ifindex = ifindex;
  }
  g_array_append_val (policy->routes, route);
}

/* The route to a server; without @gateway, it is in the uplink's own subnet. */
static void
add_server_route_to (KsPolicy *policy, const char *server, const char *gateway)
{
  KsPrefix to = ks_test_prefix (server);
  KsPrefix next = gateway ? ks_test_prefix (gateway) : KS_PREFIX_UNSET;
  KsRoute route = ks_route_via (86, 83, &to, 0, 2, &next);

  g_array_append_val (policy->routes, route);
}

static void
add_server_route (KsPolicy *policy, const char *gateway)
{
  add_server_route_to (policy, SERVER, gateway);
}

static KsTransport
server_transport (guint8 ip_protocol, guint16 dport, guint32 uid)
{
  return (KsTransport){
    .family = AF_INET, .to = ks_test_prefix (SERVER), .ip_protocol = ip_protocol, .dport = dport, .uid = uid
  };
}

static KsTransport
wireguard_transport (guint16 sport, guint32 mark)
{
  return (KsTransport){ .family = AF_INET,
                        .ip_protocol = IPPROTO_UDP,
                        .sport = sport,
                        .fwmark = mark,
                        .uid = mark ? KS_UID_ANY : 0,
                        .device = "wg0",
                        .kernel = TRUE };
}

static void
add_transport (KsPolicy *policy, KsTransport transport)
{
  g_array_append_val (policy->transports, transport);
}

/* The position of @line in @text, or NULL; it is a whole line, apart from its indentation. */
static const char *
find_line (const char *text, const char *line)
{
  g_autofree char *whole = g_strdup_printf (" %s\n", line);

  return strstr (text, whole);
}

static void
assert_line (const char *text, const char *line)
{
  if (!find_line (text, line))
    fail_msg ("no line '%s' in:\n%s", line, text);
}

static void
assert_no_text (const char *text, const char *part)
{
  if (strstr (text, part))
    fail_msg ("'%s' in:\n%s", part, text);
}

static void
assert_before (const char *text, const char *first, const char *second)
{
  assert_line (text, first);
  assert_line (text, second);
  assert_true (find_line (text, first) < find_line (text, second));
}

static void
guard_is_absent_when_not_armed_or_turned_off (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();

  policy->guard = FALSE;
  assert_null (ks_guard_format (policy, NULL));
  policy->guard = TRUE;
  policy->armed = FALSE;
  assert_null (ks_guard_format (policy, NULL));
}

static void
guard_has_the_same_bytes_for_the_same_policy (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) first = new_policy ();
  g_autoptr (KsPolicy) second = new_policy ();
  g_autofree char *a = NULL, *b = NULL;

  ks_test_policy_add_tunnel (first, "tun0", 7, "10.8.0.2");
  ks_test_policy_add_tunnel (second, "tun0", 7, "10.8.0.2");
  a = ks_guard_format (first, NULL);
  b = ks_guard_format (second, NULL);
  assert_string_equal (a, b);
}

static void
guard_replaces_the_table_in_one_transaction (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  g_autofree char *text = ks_guard_format (policy, NULL);

  assert_true (g_str_has_prefix (text, "table inet nm_killswitch\ndelete table inet nm_killswitch\n"
                                       "table inet nm_killswitch {\n"));
}

static void
guard_drops_what_no_rule_accepts_even_without_its_rules (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  g_autofree char *text = ks_guard_format (policy, NULL);

  assert_line (text, "type filter hook postrouting priority filter; policy drop;");
  assert_line (text, "type filter hook forward priority filter; policy drop;");
  assert_before (text, "jump lan", "counter name \"dropped_output\" drop");
  assert_before (text, "counter name \"dropped_output\" drop", "counter name \"dropped_forward\" drop");
}

static void
guard_identifies_tunnels_by_index_and_never_by_name (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  g_autofree char *text = NULL;

  ks_test_policy_add_tunnel (policy, "a\" accept", 7, "10.8.0.2");
  ks_test_policy_add_tunnel (policy, "wg0", 9, "10.9.0.2");
  text = ks_guard_format (policy, NULL);
  assert_before (text, "oif 7 accept", "oif 1 accept");
  assert_line (text, "oif 9 accept");
  assert_no_text (text, "a\"");
  assert_no_text (text, "wg0");
}

/* Each line costs every packet some time; a set costs the same whatever its size. */
static void
guard_puts_more_than_two_tunnels_into_a_set (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  g_autofree char *text = NULL;

  ks_test_policy_add_tunnel (policy, "tun0", 7, "10.8.0.2");
  ks_test_policy_add_tunnel (policy, "tun1", 9, "10.9.0.2");
  ks_test_policy_add_tunnel (policy, "tun2", 11, "10.10.0.2");
  text = ks_guard_format (policy, NULL);
  assert_line (text, "elements = { 7, 9, 11 }");
  assert_line (text, "oif @tunnels accept");
  assert_no_text (text, "oif 7 accept");
}

static void
guard_keeps_its_counters (void **state G_GNUC_UNUSED)
{
  const KsGuardCounters counters = { .output = { 3, 300 }, .forward = { 4, 400 }, .input = { 5, G_MAXUINT64 } };
  g_autoptr (KsPolicy) policy = new_policy ();
  g_autofree char *text = ks_guard_format (policy, &counters);

  assert_line (text, "packets 3 bytes 300");
  assert_line (text, "packets 4 bytes 400");
  assert_line (text, "packets 5 bytes 18446744073709551615");
}

static void
guard_drops_lan_dns_when_dns_is_tunnel (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  g_autofree char *tunnel = ks_guard_format (policy, NULL);
  g_autofree char *lan = NULL;

  assert_before (tunnel, "meta l4proto { 6, 17 } th dport { 53, 853, 5355 } return", "ip daddr @lan4 accept");
  policy->dns = KS_DNS_LAN;
  lan = ks_guard_format (policy, NULL);
  assert_no_text (lan, "dport { 53");
}

static void
guard_asks_bootstrap_resolvers_before_it_drops_lan_dns (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  KsTransport resolver = server_transport (IPPROTO_UDP, 53, 0);
  g_autofree char *text = NULL;

  resolver.to = ks_test_prefix ("192.168.1.1");
  g_array_append_val (policy->bootstrap, resolver);
  text = ks_guard_format (policy, NULL);
  assert_before (text, "meta nfproto ipv4 ip daddr 192.168.1.1 meta l4proto 17 th dport 53 meta skuid 0 jump names",
                 "jump lan");
}

static void
guard_compares_a_query_for_a_name_from_the_first_byte_to_the_last (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  KsTransport resolver = server_transport (IPPROTO_UDP, 53, 0);
  g_autofree char *text = NULL;

  g_array_append_val (policy->bootstrap, resolver);
  g_ptr_array_add (policy->names, g_strdup ("vpn1.example"));
  text = ks_guard_format (policy, NULL);
  assert_line (text, "udp length 38 "
                     "@th,80,128 & 0xffdfffffffffffffffffffdfdfdfffff == 0x0100000100000000000004"
                     "56504e3107 "
                     "@th,208,96 & 0xdfdfdfdfdfdfdfffffffffff == 0x4558414d504c450000010001 goto asked");
  assert_line (text, "udp length 49 "
                     "@th,80,128 & 0xffdfffffffffffffffffffdfdfdfffff == 0x0100000100000000000104"
                     "56504e3107 "
                     "@th,208,128 & 0xdfdfdfdfdfdfdfffffffffffffffff00 == 0x4558414d504c4500001c000100002900 "
                     "@th,336,56 & 0x00ffffffffffff == 0x00000000000000 goto asked");
  assert_line (text, "limit rate 10/second burst 50 packets accept");
}

static void
guard_has_no_chain_for_names_when_nobody_may_ask (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  g_autofree char *text = ks_guard_format (policy, NULL);

  assert_no_text (text, "names");
  assert_no_text (text, "asked");
}

static void
guard_has_no_lan_when_lan_is_off (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  g_autofree char *text = NULL;

  policy->lan = KS_LAN_OFF;
  g_array_set_size (policy->lan_prefixes, 0);
  text = ks_guard_format (policy, NULL);
  assert_no_text (text, "elements");
  assert_line (text, "ip6 hoplimit 255 icmpv6 type { 133, 135, 136 } accept");
  assert_line (text, "meta nfproto ipv4 udp sport 68 udp dport 67 meta skuid 0 accept");
}

static void
guard_takes_lan_routes_from_main_but_not_the_tunnels (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  g_autofree char *private = NULL, *routes = NULL;

  ks_test_policy_add_tunnel (policy, "tun0", 7, "10.8.0.2");
  add_route (policy, RTN_UNICAST, "198.51.100.0/24", 2);
  add_route (policy, RTN_UNICAST, "203.0.113.0/24", 7);
  add_route (policy, RTN_UNICAST, "0.0.0.0/0", 2);
  private = ks_guard_format (policy, NULL);
  assert_no_text (private, "198.51.100.0");
  policy->lan = KS_LAN_ROUTES;
  routes = ks_guard_format (policy, NULL);
  assert_non_null (strstr (routes, "198.51.100.0/24"));
  assert_no_text (routes, "203.0.113.0");
  assert_no_text (routes, "0.0.0.0/0");
}

/* Tables 86 and 8300 have routes to servers, and to the prefixes of ManagementFrom=: no program may send there. */
static void
guard_takes_no_server_for_the_lan (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  g_autofree char *text = NULL;

  policy->lan = KS_LAN_ROUTES;
  add_route (policy, RTN_UNICAST, "172.20.0.0/16", 2);
  add_route (policy, RTN_UNICAST, SERVER, 2);
  g_array_index (policy->routes, KsRoute, 1).table = 86;
  text = ks_guard_format (policy, NULL);
  assert_non_null (strstr (text, "172.20.0.0/16"));
  assert_null (strstr (strstr (text, "set lan4"), ", " SERVER));
}

static void
guard_leaves_out_prefixes_inside_another_one (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  KsPrefix inner = ks_test_prefix ("10.1.2.3/16");
  g_autofree char *text = NULL;

  g_array_append_val (policy->lan_prefixes, inner);
  g_array_append_val (policy->lan_prefixes, inner);
  text = ks_guard_format (policy, NULL);
  assert_line (text, "elements = { 10.0.0.0/8, 192.168.0.0/16, 224.0.0.0/24, 239.255.0.0/16, 255.255.255.255 }");
}

static void
guard_keeps_the_tunnels_private_subnets_off_the_lan (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  g_autofree char *text = NULL;

  add_route (policy, RTN_BLACKHOLE, "10.20.0.0/16", 0);
  add_route (policy, RTN_BLACKHOLE, "fd20::/48", 0);
  add_route (policy, RTN_BLACKHOLE, "0.0.0.0/0", 0);
  add_route (policy, RTN_BLACKHOLE, "::/0", 0);
  text = ks_guard_format (policy, NULL);
  assert_non_null (
    strstr (text, "  set shadowed4 {\n    type ipv4_addr\n    flags interval\n    elements = { 10.20.0.0/16 }\n"));
  assert_non_null (
    strstr (text, "  set shadowed6 {\n    type ipv6_addr\n    flags interval\n    elements = { fd20::/48 }\n"));
  assert_before (text, "ip daddr @shadowed4 return", "ip daddr @lan4 accept");
  assert_before (text, "ip6 daddr @shadowed6 return", "ip6 daddr @lan6 accept");
}

static void
guard_lets_only_its_uid_send_a_programs_transport (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  g_autofree char *text = NULL;

  add_transport (policy, server_transport (IPPROTO_TCP, 1194, 998));
  add_transport (policy, (KsTransport){ .family = AF_INET, .ip_protocol = IPPROTO_UDP, .sport = 1234, .uid = 997 });
  text = ks_guard_format (policy, NULL);
  assert_line (text, "meta nfproto ipv4 meta l4proto 17 th sport 1234 meta skuid 997 accept");
  assert_line (text, "ip daddr . meta l4proto . th dport . meta skuid { " SERVER " . 6 . 1194 . 998 } accept");
}

/* For other programs' filters of reverse paths: servers, and resolvers that are not in the local network anyway. */
static void
guard_marks_what_servers_and_resolvers_answer (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  g_autofree char *none = NULL, *server = NULL, *all = NULL, *several = NULL;
  KsTransport near = { .family = AF_INET, .to = ks_test_prefix ("192.168.50.1"), .ip_protocol = IPPROTO_UDP };
  KsTransport far = { .family = AF_INET6, .to = ks_test_prefix ("2001:db8::53"), .ip_protocol = IPPROTO_UDP };
  KsPrefix lan = ks_test_prefix ("192.168.0.0/16");

  none = ks_guard_format (policy, NULL);
  assert_no_text (none, "answering");
  add_server_route (policy, "192.168.50.1");
  server = ks_guard_format (policy, NULL);
  assert_non_null (strstr (server, "    ip saddr { " SERVER " } meta mark 0 meta mark set 86\n"));
  assert_no_text (server, "answering");
  assert_no_text (server, "ip6 saddr");

  if (!ks_prefix_array_covers (policy->lan_prefixes, &lan))
    g_array_append_val (policy->lan_prefixes, lan);
  g_array_append_val (policy->bootstrap, near);
  g_array_append_val (policy->bootstrap, far);
  all = ks_guard_format (policy, NULL);
  assert_non_null (strstr (all, "    ip saddr { " SERVER " } meta mark 0 meta mark set 86\n"));
  assert_non_null (strstr (all, "    ip6 saddr { 2001:db8::53 } meta mark 0 meta mark set 86\n"));

  add_server_route_to (policy, "203.0.113.99", "192.168.50.1");
  several = ks_guard_format (policy, NULL);
  assert_non_null (
    strstr (several, "  set answering4 {\n    type ipv4_addr\n    elements = { " SERVER ", 203.0.113.99 }\n  }\n"));
  assert_non_null (strstr (several, "    ip saddr @answering4 meta mark 0 meta mark set 86\n"));
}

/* One line with a set, however many servers there are, so that the cost for a packet stays the same. */
static void
guard_has_as_many_lines_with_a_thousand_servers_as_with_one (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  g_autofree char *one = NULL, *many = NULL;
  g_auto (GStrv) few_lines = NULL, many_lines = NULL;

  for (guint i = 0; i < 1000; i++) {
    KsTransport transport = server_transport (i % 2 ? IPPROTO_TCP : IPPROTO_UDP, 1194 + i % 3, 998);
    g_autofree char *server = g_strdup_printf ("198.18.%u.%u", i / 250, i % 250 + 1);

    transport.to = ks_test_prefix (server);
    add_transport (policy, transport);
    if (i == 0)
      one = ks_guard_format (policy, NULL);
  }
  many = ks_guard_format (policy, NULL);
  few_lines = g_strsplit (one, "\n", -1);
  many_lines = g_strsplit (many, "\n", -1);
  assert_int_equal (g_strv_length (few_lines), g_strv_length (many_lines));
  assert_non_null (strstr (many, "198.18.3.250 . 6 . 1194 . 998"));
}

static void
guard_lets_the_kernel_end_the_connection_of_a_program_that_is_gone (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  g_autofree char *text = NULL;

  add_transport (policy, server_transport (IPPROTO_TCP, 443, 0));
  add_transport (policy, server_transport (IPPROTO_TCP, 443, 998));
  add_transport (policy, server_transport (IPPROTO_UDP, 443, 0));
  add_server_route (policy, "192.168.50.1");
  text = ks_guard_format (policy, NULL);
  assert_line (text, "tcp flags & syn == 0 ip daddr . meta l4proto . th dport . rt ip nexthop { " SERVER
                     " . 6 . 443 . 192.168.50.1 } jump unowned");
  assert_no_text (text, SERVER " . 17 . 443 . 192.168.50.1");
}

static void
guard_lets_no_program_send_a_handshake (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  KsTransport transport = server_transport (IPPROTO_UDP, 51820, 0);
  g_autofree char *text = NULL;

  transport.kernel = TRUE;
  add_transport (policy, transport);
  text = ks_guard_format (policy, NULL);
  assert_line (text, "ip daddr . meta l4proto . th dport { " SERVER " . 17 . 51820 } jump unowned");
  assert_before (text, "meta skuid != 4294967295 return", "accept");
}

static void
guard_opens_a_wireguard_port_only_while_its_device_holds_it (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  g_autofree char *down = NULL, *up = NULL;

  add_transport (policy, wireguard_transport (51820, 0));
  down = ks_guard_format (policy, NULL);
  assert_no_text (down, "51820");
  ks_test_policy_add_tunnel (policy, "wg0", 7, "10.8.0.2");
  up = ks_guard_format (policy, NULL);
  assert_line (up, "meta nfproto ipv4 meta l4proto 17 th sport 51820 accept");
}

static void
guard_wants_both_the_port_and_the_mark_of_a_wireguard_device (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  g_autofree char *text = NULL, *unknown_port = NULL;

  ks_test_policy_add_tunnel (policy, "wg0", 7, "10.8.0.2");
  add_transport (policy, wireguard_transport (0, 51821));
  unknown_port = ks_guard_format (policy, NULL);
  assert_line (unknown_port, "meta nfproto ipv4 meta l4proto 17 meta mark 51821 accept");
  add_transport (policy, wireguard_transport (51820, 0));
  text = ks_guard_format (policy, NULL);
  assert_line (text, "meta nfproto ipv4 meta l4proto 17 th sport 51820 meta mark 51821 accept");
  assert_no_text (text, "meta l4proto 17 meta mark");
  assert_no_text (text, "th sport 51820 accept");
}

static void
guard_lets_ipsec_through_before_and_after_it_encapsulates (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  g_autofree char *without = NULL, *down = NULL, *with = NULL;
  KsTransport esp = server_transport (IPPROTO_ESP, 0, 0), nat_t = server_transport (IPPROTO_UDP, 4500, 0);

  /* vpnc's: a program sends all of it */
  add_transport (policy, server_transport (IPPROTO_UDP, 500, 0));
  add_transport (policy, nat_t);
  add_transport (policy, esp);
  without = ks_guard_format (policy, NULL);
  assert_no_text (without, "ipsec");
  assert_no_text (without, "secpath");
  assert_line (without, "ip daddr . meta l4proto . th dport . meta skuid { " SERVER " . 17 . 500 . 0, " SERVER
                        " . 17 . 4500 . 0 } accept");
  assert_line (without, "ip daddr . meta l4proto { " SERVER " . 50 } accept");
  g_array_set_size (policy->transports, 1);
  esp.carriage = nat_t.carriage = KS_CARRIAGE_IPSEC;
  g_strlcpy (nat_t.device, "nm-xfrm-1", sizeof nat_t.device);
  add_transport (policy, nat_t);
  add_transport (policy, esp);
  down = ks_guard_format (policy, NULL);
  assert_line (down, "rt ipsec exists accept");
  assert_line (down, "ip daddr . meta l4proto { " SERVER " . 50 } accept");
  assert_line (down, "ip daddr . meta l4proto . th dport . meta skuid { " SERVER " . 17 . 500 . 0, " SERVER
                     " . 17 . 4500 . 0 } accept");
  assert_line (down, "ip daddr . meta l4proto . th dport { " SERVER " . 17 . 4500 } jump unowned");
  ks_test_policy_add_tunnel (policy, "nm-xfrm-1", 7, "10.8.0.2");
  add_server_route (policy, "192.168.50.1");
  with = ks_guard_format (policy, NULL);
  assert_line (with, "rt ipsec exists accept");
  assert_line (with, "ip daddr . meta l4proto { " SERVER " . 50 } accept");
  assert_line (with,
               "ip daddr . meta l4proto . th dport . rt ip nexthop { " SERVER " . 17 . 4500 . 192.168.50.1 } accept");
  assert_line (with, "ip daddr . meta l4proto . th dport . meta skuid { " SERVER " . 17 . 500 . 0 } accept");
  assert_line (with, "meta secpath exists accept");
}

/* A section's: its program's by uid, also while the device is not there; of the kernel's what nobody owns, until then.
 */
static void
guard_lets_out_what_a_section_says_from_its_user_only (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  KsTransport network = server_transport (IPPROTO_UDP, 443, 998);
  KsTransport port = { .family = AF_INET, .ip_protocol = IPPROTO_UDP, .sport = 1234 };
  KsTransport mark = { .family = AF_INET6, .fwmark = 0x5342 };
  KsTransport kernel = { .family = AF_INET, .ip_protocol = IPPROTO_UDP, .sport = 51820, .kernel = TRUE };
  g_autofree char *down = NULL, *up = NULL;

  network.to = ks_test_prefix ("198.51.100.0/24");
  add_transport (policy, network);
  add_transport (policy, port);
  add_transport (policy, mark);
  add_transport (policy, kernel);
  down = ks_guard_format (policy, NULL);
  assert_line (down, "meta nfproto ipv4 ip daddr 198.51.100.0/24 meta l4proto 17 th dport 443 meta skuid 998 accept");
  assert_line (down, "meta nfproto ipv4 meta l4proto 17 th sport 1234 meta skuid 0 accept");
  assert_line (down, "meta nfproto ipv6 meta mark 21314 meta skuid 0 accept");
  assert_line (down, "meta nfproto ipv4 meta l4proto 17 th sport 51820 jump unowned");
  g_strlcpy (g_array_index (policy->transports, KsTransport, 3).device, "wg0", IFNAMSIZ);
  ks_test_policy_add_tunnel (policy, "wg0", 7, "10.8.0.2");
  up = ks_guard_format (policy, NULL);
  assert_line (up, "meta nfproto ipv4 meta l4proto 17 th sport 51820 accept");
}

/* wg-quick's, by nothing but its server: data has the owner of the packet inside. */
static void
guard_knows_the_data_of_a_sections_kernel_by_its_next_hop (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  KsTransport wireguard = server_transport (IPPROTO_UDP, 51820, 0);
  g_autofree char *down = NULL, *up = NULL;

  wireguard.kernel = TRUE;
  add_transport (policy, wireguard);
  add_server_route (policy, "192.168.50.1");
  down = ks_guard_format (policy, NULL);
  assert_line (down, "ip daddr . meta l4proto . th dport { " SERVER " . 17 . 51820 } jump unowned");
  g_strlcpy (g_array_index (policy->transports, KsTransport, 0).device, "wg0", IFNAMSIZ);
  ks_test_policy_add_tunnel (policy, "wg0", 7, "10.8.0.2");
  up = ks_guard_format (policy, NULL);
  assert_line (up,
               "ip daddr . meta l4proto . th dport . rt ip nexthop { " SERVER " . 17 . 51820 . 192.168.50.1 } accept");
}

/* nftables does not accept intervals that overlap. */
static void
guard_has_one_line_for_the_networks_of_a_section (void **state G_GNUC_UNUSED)
{
  static const char *const networks[] = { "203.0.113.0/24", "198.51.100.0/25", "198.51.100.64/26" };
  g_autoptr (KsPolicy) policy = new_policy ();
  g_autofree char *text = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (networks); i++) {
    KsTransport network = server_transport (IPPROTO_TCP, 443, 0);

    network.to = ks_test_prefix (networks[i]);
    add_transport (policy, network);
  }
  add_transport (policy, server_transport (IPPROTO_TCP, 443, 0));
  text = ks_guard_format (policy, NULL);
  assert_line (text, "meta nfproto ipv4 ip daddr { 198.51.100.0/25, 203.0.113.0/24 } meta l4proto 6 th dport 443 "
                     "meta skuid 0 accept");
  assert_line (text, "ip daddr . meta l4proto . th dport . meta skuid { " SERVER " . 6 . 443 . 0 } accept");
}

static void
guard_knows_what_the_kernel_wraps_by_its_next_hop (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  KsTransport l2tp = server_transport (IPPROTO_UDP, 1701, 0);
  g_autofree char *none = NULL, *several = NULL;

  l2tp.carriage = KS_CARRIAGE_WRAPPED;
  g_strlcpy (l2tp.device, "ppp0", sizeof l2tp.device);
  add_transport (policy, l2tp);
  ks_test_policy_add_tunnel (policy, "ppp0", 7, "10.8.0.2");
  none = ks_guard_format (policy, NULL);
  assert_no_text (none, "1701");
  add_server_route (policy, "192.168.50.1");
  add_server_route (policy, "fe80::1");
  add_server_route (policy, NULL);
  add_route (policy, RTN_UNICAST, "0.0.0.0/0", 2);
  several = ks_guard_format (policy, NULL);
  assert_line (several, "ip daddr . meta l4proto . th dport . rt ip nexthop { " SERVER
                        " . 17 . 1701 . 192.168.50.1, " SERVER " . 17 . 1701 . " SERVER " } accept");
}

static void
guard_lets_l2tp_with_ipsec_out_only_encrypted (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  KsTransport l2tp = server_transport (IPPROTO_UDP, 1701, 0), esp = server_transport (IPPROTO_ESP, 0, 0), lookup;
  g_autofree char *plain = NULL, *up = NULL, *inside = NULL, *asked = NULL;

  l2tp.carriage = KS_CARRIAGE_WRAPPED;
  add_transport (policy, l2tp);
  plain = ks_guard_format (policy, NULL);
  assert_line (plain, "ip daddr . meta l4proto . th dport . meta skuid { " SERVER " . 17 . 1701 . 0 } accept");
  assert_line (plain, "ip daddr . meta l4proto . th dport { " SERVER " . 17 . 1701 } jump unowned");
  g_array_set_size (policy->transports, 0);
  l2tp.carriage = KS_CARRIAGE_WRAPPED;
  g_strlcpy (l2tp.device, "ppp0", sizeof l2tp.device);
  add_transport (policy, l2tp);
  ks_test_policy_add_tunnel (policy, "ppp0", 7, "10.8.0.2");
  add_server_route (policy, "192.168.50.1");
  up = ks_guard_format (policy, NULL);
  assert_line (up,
               "ip daddr . meta l4proto . th dport . rt ip nexthop { " SERVER " . 17 . 1701 . 192.168.50.1 } accept");
  assert_no_text (up, "ipsec");
  g_array_set_size (policy->transports, 0);
  l2tp.carriage = KS_CARRIAGE_INSIDE_IPSEC;
  esp.carriage = KS_CARRIAGE_IPSEC;
  add_transport (policy, l2tp);
  add_transport (policy, esp);
  inside = ks_guard_format (policy, NULL);
  assert_no_text (inside, "1701");
  /* a rule that only looks up a route lets nothing out */
  lookup = esp;
  lookup.ip_protocol = 0;
  lookup.fwmark = 210;
  lookup.carriage = KS_CARRIAGE_LOOKUP;
  add_transport (policy, lookup);
  asked = ks_guard_format (policy, NULL);
  assert_string_equal (asked, inside);
  assert_line (inside, "rt ipsec exists accept");
}

static void
guard_lets_out_replies_to_management_by_their_own_device (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  g_autofree char *without = ks_guard_format (policy, NULL);
  g_autofree char *text = NULL;
  KsManagement entries[] = { { .address = ks_test_prefix ("192.0.2.5"), .ifindex = 2, .table = 8300 },
                             { .address = ks_test_prefix ("2001:db8:1::5"), .ifindex = 3, .table = 8301 } };

  /* without the setting, nothing starts connection tracking */
  assert_no_text (without, "ct ");
  assert_no_text (without, "management");
  g_array_append_vals (policy->management, entries, 2);
  g_array_unref (policy->management_prefixes);
  policy->management_prefixes = ks_test_prefixes ("198.51.100.0/24 198.51.100.7 2001:db8:9::/64");
  text = ks_guard_format (policy, NULL);
  assert_line (text, "elements = { 198.51.100.0/24 }");
  assert_line (text, "elements = { 2001:db8:9::/64 }");
  assert_line (text, "oif 2 ip saddr 192.0.2.5 ct state established ct direction reply ct original ip saddr "
                     "@management4 accept");
  assert_line (text, "oif 3 ip6 saddr 2001:db8:1::5 ct state established ct direction reply ct original ip6 saddr "
                     "@management6 accept");
  /* a packet that another host sends through this one is not this host's reply */
  assert_no_text (strstr (text, "chain forward"), "management");
}

static void
guard_forwards_no_transport (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  g_autofree char *text = NULL;
  const char *forward;

  add_transport (policy, server_transport (IPPROTO_UDP, 1194, KS_UID_ANY));
  text = ks_guard_format (policy, NULL);
  forward = strstr (text, "chain forward");
  assert_non_null (forward);
  assert_null (strstr (forward, SERVER));
}

static void
guard_drops_what_arrives_elsewhere_for_a_tunnels_address (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  g_autofree char *text = NULL;

  ks_test_policy_add_tunnel (policy, "tun0", 7, "10.8.0.2");
  ks_test_policy_add_tunnel (policy, "tun1", 8, "10.8.0.2");
  ks_test_policy_add_tunnel (policy, "tun2", 9, "fd08::2");
  ks_test_policy_add_tunnel (policy, "tun3", 10, "fe80::2");
  text = ks_guard_format (policy, NULL);
  assert_line (text, "type filter hook prerouting priority raw; policy accept;"); /* before connection tracking */
  assert_line (text, "ip daddr 10.8.0.2 iif != { 7, 8 } counter name \"dropped_input\" drop");
  assert_line (text, "ip6 daddr fd08::2 iif != { 9 } counter name \"dropped_input\" drop");
  assert_no_text (text, "fe80::2 ");
}

static void
guard_does_not_take_an_unarmed_vpns_tunnel_for_the_lan (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  g_autofree char *text = ks_guard_format (policy, NULL);
  const char *kinds = strstr (text, "meta oifkind { \"tun\", \"wireguard\", ");

  assert_non_null (kinds);
  assert_true (kinds < find_line (text, "ip daddr @lan4 accept"));
  assert_true (kinds < find_line (text, "ip6 daddr @lan6 accept"));
}

static void
guard_lets_no_transport_out_beside_the_vpn_it_is_inside_of (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  KsTransport transport = server_transport (IPPROTO_UDP, 1194, 117);
  KsTransport kernel = server_transport (IPPROTO_UDP, 51820, 0);
  g_autofree char *text = NULL;

  g_strlcpy (transport.outer, "tun0", sizeof transport.outer);
  g_strlcpy (kernel.outer, "tun0", sizeof kernel.outer);
  kernel.kernel = TRUE;
  add_transport (policy, transport);
  add_transport (policy, kernel);
  text = ks_guard_format (policy, NULL);
  assert_no_text (text, SERVER);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (guard_is_absent_when_not_armed_or_turned_off),
    cmocka_unit_test (guard_has_the_same_bytes_for_the_same_policy),
    cmocka_unit_test (guard_replaces_the_table_in_one_transaction),
    cmocka_unit_test (guard_drops_what_no_rule_accepts_even_without_its_rules),
    cmocka_unit_test (guard_identifies_tunnels_by_index_and_never_by_name),
    cmocka_unit_test (guard_puts_more_than_two_tunnels_into_a_set),
    cmocka_unit_test (guard_keeps_its_counters),
    cmocka_unit_test (guard_drops_lan_dns_when_dns_is_tunnel),
    cmocka_unit_test (guard_asks_bootstrap_resolvers_before_it_drops_lan_dns),
    cmocka_unit_test (guard_compares_a_query_for_a_name_from_the_first_byte_to_the_last),
    cmocka_unit_test (guard_has_no_chain_for_names_when_nobody_may_ask),
    cmocka_unit_test (guard_has_no_lan_when_lan_is_off),
    cmocka_unit_test (guard_takes_lan_routes_from_main_but_not_the_tunnels),
    cmocka_unit_test (guard_takes_no_server_for_the_lan),
    cmocka_unit_test (guard_leaves_out_prefixes_inside_another_one),
    cmocka_unit_test (guard_keeps_the_tunnels_private_subnets_off_the_lan),
    cmocka_unit_test (guard_lets_only_its_uid_send_a_programs_transport),
    cmocka_unit_test (guard_marks_what_servers_and_resolvers_answer),
    cmocka_unit_test (guard_has_as_many_lines_with_a_thousand_servers_as_with_one),
    cmocka_unit_test (guard_lets_the_kernel_end_the_connection_of_a_program_that_is_gone),
    cmocka_unit_test (guard_lets_no_program_send_a_handshake),
    cmocka_unit_test (guard_opens_a_wireguard_port_only_while_its_device_holds_it),
    cmocka_unit_test (guard_wants_both_the_port_and_the_mark_of_a_wireguard_device),
    cmocka_unit_test (guard_lets_ipsec_through_before_and_after_it_encapsulates),
    cmocka_unit_test (guard_lets_out_what_a_section_says_from_its_user_only),
    cmocka_unit_test (guard_knows_the_data_of_a_sections_kernel_by_its_next_hop),
    cmocka_unit_test (guard_has_one_line_for_the_networks_of_a_section),
    cmocka_unit_test (guard_knows_what_the_kernel_wraps_by_its_next_hop),
    cmocka_unit_test (guard_lets_l2tp_with_ipsec_out_only_encrypted),
    cmocka_unit_test (guard_lets_out_replies_to_management_by_their_own_device),
    cmocka_unit_test (guard_forwards_no_transport),
    cmocka_unit_test (guard_drops_what_arrives_elsewhere_for_a_tunnels_address),
    cmocka_unit_test (guard_does_not_take_an_unarmed_vpns_tunnel_for_the_lan),
    cmocka_unit_test (guard_lets_no_transport_out_beside_the_vpn_it_is_inside_of),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
