/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Who is reported as cut off; and the kernel's answers about connections. */
#include "ks-test-policy.h"
#include "ks-test.h"

#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>

#include "kernel/ks-connections.h"
#include "run/ks-cut-off.h"
#include "run/ks-report.h"

typedef struct {
  KsPolicy *policy;
  GArray *addresses;
  GArray *connections;
} Scene;

/* A host with the address 192.0.2.5 and 2001:db8:1::5 on eth0 (2) and a tunnel (7) with 10.8.0.2 and 100.64.0.2. */
static Scene *
scene_new (void)
{
  static const struct {
    const char *address;
    guint ifindex;
  } addresses[] = { { "127.0.0.1/8", 1 },
                    { "192.0.2.5/24", 2 },
                    { "2001:db8:1::5/64", 2 },
                    { "192.168.1.5/24", 3 },
                    { "100.64.0.2/24", 7 } };
  Scene *self = g_new0 (Scene, 1);

  self->policy = ks_test_policy_new ("10.0.0.0/8 192.168.0.0/16 fe80::/10");
  ks_test_policy_add_tunnel (self->policy, "wg0", 7, "100.64.0.2");
  self->addresses = g_array_new (FALSE, FALSE, sizeof (KsAddress));
  for (guint i = 0; i < G_N_ELEMENTS (addresses); i++) {
    KsAddress address = { .prefix = ks_test_prefix (addresses[i].address), .ifindex = addresses[i].ifindex };

    g_array_append_val (self->addresses, address);
  }
  self->connections = g_array_new (FALSE, FALSE, sizeof (KsConnection));
  return self;
}

static void
scene_free (Scene *self)
{
  ks_policy_free (self->policy);
  g_array_unref (self->addresses);
  g_array_unref (self->connections);
  g_free (self);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Scene, scene_free)

static void
connect_from (Scene *self, const char *peer, const char *local)
{
  KsConnection connection = { .local = ks_test_prefix (local), .peer = ks_test_prefix (peer), .port = 22 };

  g_array_append_val (self->connections, connection);
}

/* Expects that the peers @words, and no others, are named, in this order. */
static void
assert_named (const Scene *self, const char *words)
{
  g_autoptr (GPtrArray) warnings = ks_cut_off_compute (self->policy, self->addresses, self->connections);
  g_autoptr (GString) named = g_string_new (NULL);

  for (guint i = 0; i < warnings->len; i++) {
    const char *text = warnings->pdata[i];

    assert_non_null (strstr (text, " is connected to port 22 of this host from outside the local network"));
    g_string_append_len (named, text, strchr (text, ' ') - text);
    g_string_append (named, i + 1 < warnings->len ? " " : "");
  }
  assert_string_equal (named->str, words);
}

static void
cut_off_names_peers_from_outside_the_lan_once (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  assert_named (scene, "");
  connect_from (scene, "198.51.100.7", "192.0.2.5");
  connect_from (scene, "198.51.100.7", "192.0.2.5");
  connect_from (scene, "2001:db8:9::7", "2001:db8:1::5");
  assert_named (scene, "198.51.100.7 2001:db8:9::7");
}

static void
cut_off_says_what_to_do (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (GPtrArray) warnings = NULL;

  connect_from (scene, "198.51.100.7", "192.0.2.5");
  warnings = ks_cut_off_compute (scene->policy, scene->addresses, scene->connections);
  assert_non_null (strstr (warnings->pdata[0], "add ManagementFrom=198.51.100.7 to the [main] section of "));
  assert_non_null (strstr (warnings->pdata[0], "run: nm-killswitch release"));
}

static void
cut_off_names_nobody_who_is_still_answered (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();

  connect_from (scene, "192.168.1.9", "192.168.1.5");
  connect_from (scene, "10.1.2.3", "192.0.2.5");
  connect_from (scene, "127.0.0.1", "127.0.0.1");
  connect_from (scene, "fe80::9", "2001:db8:1::5");
  connect_from (scene, "203.0.113.9", "100.64.0.2"); /* through the tunnel */
  connect_from (scene, "203.0.113.9", "172.31.0.1"); /* an address that no longer exists */
  assert_named (scene, "");
  scene->policy->lan = KS_LAN_OFF;
  g_array_set_size (scene->policy->lan_prefixes, 0);
  assert_named (scene, "192.168.1.9 10.1.2.3 fe80::9");
}

static void
cut_off_knows_who_may_manage_the_host_and_where (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsManagement entry = { .address = ks_test_prefix ("192.0.2.5"), .ifindex = 2, .table = 8300 };

  connect_from (scene, "198.51.100.7", "192.0.2.5");
  connect_from (scene, "198.51.100.8", "192.0.2.5");
  connect_from (scene, "198.51.100.7", "192.168.1.5");
  g_array_unref (scene->policy->management_prefixes);
  scene->policy->management_prefixes = ks_test_prefixes ("198.51.100.7");
  assert_named (scene, "198.51.100.7 198.51.100.8"); /* configured, but without effect on any address */
  g_array_append_val (scene->policy->management, entry);
  assert_named (scene, "198.51.100.8 198.51.100.7"); /* the latter through the other address */
}

static void
cut_off_takes_routes_for_the_lan_where_they_are (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  KsPrefix subnet = ks_test_prefix ("198.51.100.0/24"), all = ks_prefix_default (AF_INET), none = KS_PREFIX_UNSET;
  KsRoute route = ks_route_via (85, 83, &subnet, 100, 2, &none), other = ks_route_via (85, 83, &all, 100, 2, &none);

  connect_from (scene, "198.51.100.7", "192.0.2.5");
  connect_from (scene, "203.0.113.7", "192.0.2.5");
  g_array_append_val (scene->policy->routes, route);
  g_array_append_val (scene->policy->routes, other);
  assert_named (scene, "198.51.100.7 203.0.113.7");
  scene->policy->lan = KS_LAN_ROUTES;
  assert_named (scene, "203.0.113.7");
}

static void
cut_off_of_very_many_names_a_few (void **state G_GNUC_UNUSED)
{
  g_autoptr (Scene) scene = scene_new ();
  g_autoptr (GPtrArray) warnings = NULL;

  for (guint i = 0; i < 200; i++) {
    g_autofree char *peer = g_strdup_printf ("198.51.100.%u", i);

    connect_from (scene, peer, "192.0.2.5");
  }
  warnings = ks_cut_off_compute (scene->policy, scene->addresses, scene->connections);
  assert_int_equal (warnings->len, 8);
}

static void
cut_off_warns_of_peers_from_an_earlier_run_too (void **state G_GNUC_UNUSED)
{
  KsReport *earlier = ks_report_new (), *later = ks_report_new ();

  g_ptr_array_add (earlier->cut_off, g_strdup ("first"));
  g_ptr_array_add (earlier->cut_off, g_strdup ("second"));
  g_ptr_array_add (later->cut_off, g_strdup ("third"));
  later = ks_report_join (earlier, later);
  assert_int_equal (later->cut_off->len, 3);
  assert_string_equal (later->cut_off->pdata[0], "first");
  assert_string_equal (later->cut_off->pdata[1], "second");
  assert_string_equal (later->cut_off->pdata[2], "third");
  ks_report_free (later);
}

/* --- the kernel's answers --- */

typedef struct {
  struct nlmsghdr header;
  struct inet_diag_msg message;
} Answer;

static Answer
answer_of (int family, guint8 socket_state, const guint8 *local, const guint8 *peer)
{
  Answer answer = {
    .header = { .nlmsg_len = sizeof answer, .nlmsg_type = SOCK_DIAG_BY_FAMILY },
    .message = { .idiag_family = (guint8) family, .idiag_state = socket_state },
  };

  answer.message.id.idiag_sport = GUINT16_TO_BE (22);
  memcpy (answer.message.id.idiag_src, local, family == AF_INET6 ? 16 : 4);
  memcpy (answer.message.id.idiag_dst, peer, family == AF_INET6 ? 16 : 4);
  return answer;
}

static void
connection_of_a_mapped_address_is_ipv4 (void **state G_GNUC_UNUSED)
{
  KsPrefix peer4 = ks_test_prefix ("198.51.100.7"), local4 = ks_test_prefix ("192.0.2.5");
  KsPrefix peer6 = ks_test_prefix ("2001:db8:9::7"), mapped_peer = ks_test_prefix ("::ffff:198.51.100.7");
  KsPrefix mapped_local = ks_test_prefix ("::ffff:192.0.2.5");
  Answer plain = answer_of (AF_INET, TCP_ESTABLISHED, local4.bytes, peer4.bytes);
  Answer mapped = answer_of (AF_INET6, TCP_ESTABLISHED, mapped_local.bytes, mapped_peer.bytes);
  Answer six = answer_of (AF_INET6, TCP_LISTEN, peer6.bytes, peer6.bytes);
  KsSocketInfo info;

  assert_true (ks_connection_parse (&plain.header, &info));
  assert_true (ks_prefix_equal (&info.connection.peer, &peer4) && ks_prefix_equal (&info.connection.local, &local4));
  assert_int_equal (info.connection.port, 22);
  assert_false (info.is_listening);
  assert_true (ks_connection_parse (&mapped.header, &info));
  assert_true (ks_prefix_equal (&info.connection.peer, &peer4) && ks_prefix_equal (&info.connection.local, &local4));
  assert_true (ks_connection_parse (&six.header, &info));
  assert_true (ks_prefix_equal (&info.connection.peer, &peer6) && info.is_listening);
}

static void
connection_messages_that_are_malformed_are_refused (void **state G_GNUC_UNUSED)
{
  KsPrefix address = ks_test_prefix ("198.51.100.7");
  Answer good = answer_of (AF_INET, TCP_ESTABLISHED, address.bytes, address.bytes);
  KsSocketInfo info;

  for (guint length = 0; length < sizeof good; length++) {
    Answer cut = good;

    cut.header.nlmsg_len = length;
    assert_false (ks_connection_parse (&cut.header, &info));
  }
  for (guint i = 0; i < 3; i++) {
    Answer wrong = good;

    if (i == 0)
      wrong.header.nlmsg_type = 16;
    else if (i == 1)
      wrong.message.idiag_family = AF_UNIX;
    else
      wrong.message.idiag_state = TCP_TIME_WAIT;
    assert_false (ks_connection_parse (&wrong.header, &info));
  }
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (cut_off_names_peers_from_outside_the_lan_once),
    cmocka_unit_test (cut_off_says_what_to_do),
    cmocka_unit_test (cut_off_names_nobody_who_is_still_answered),
    cmocka_unit_test (cut_off_knows_who_may_manage_the_host_and_where),
    cmocka_unit_test (cut_off_takes_routes_for_the_lan_where_they_are),
    cmocka_unit_test (cut_off_of_very_many_names_a_few),
    cmocka_unit_test (cut_off_warns_of_peers_from_an_earlier_run_too),
    cmocka_unit_test (connection_of_a_mapped_address_is_ipv4),
    cmocka_unit_test (connection_messages_that_are_malformed_are_refused),
  };

  return cmocka_run_group_tests_name ("ks-cut-off", tests, NULL, NULL);
}
