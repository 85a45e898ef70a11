/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The proof on a real kernel: with the rules of the policy, without any, and
 * with rules that were spoilt in one way each.
 *
 *   +------------+       +-------------------------------------------+
 *   |  wire      |-------| uplink   192.168.50.2/24                  |
 *   +------------+       |          default via 192.168.50.1, fe80::1|
 *                        | tun0     10.8.0.2/24                      |
 *                        +-------------------------------------------+
 *
 * The armed profile is a WireGuard that listens on port 51820; its server is
 * 203.0.113.10, port 51820. Its device is tun0, which carries nothing but where
 * a test says so.
 */
#include "netns.h"

#include <net/if.h>

#include "base/ks-error.h"
#include "ks-test.h"
#include "run/ks-proof.h"

#define PORT 51820
#define RESOLVER "192.168.50.1"
#define LAN_RESOLVER6 "fe80::53"
#define PUBLIC_RESOLVER6 "2001:db8:53::53"
#define TARGET "198.51.100.1" /* one of those that the proof asks about */

typedef struct {
  KsConfig *config;
  GPtrArray *armed; /* of KsProfile */
  GPtrArray *tunnels; /* of KsTunnel */
  GArray *resolvers; /* KsPrefix */
  KsSnapshot *snapshot; /* of the kernel as it is now */
  KsPolicy *policy;
} Host;

static void
host_free (Host *self)
{
  ks_config_free (self->config);
  g_ptr_array_unref (self->armed);
  g_ptr_array_unref (self->tunnels);
  g_array_unref (self->resolvers);
  g_clear_pointer (&self->snapshot, ks_snapshot_free);
  g_clear_pointer (&self->policy, ks_policy_free);
  g_free (self);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Host, host_free)

static KsProfile *
wireguard (void)
{
  KsProfile *profile = ks_profile_new ();
  guint32 root = 0;

  profile->path = g_strdup ("vpn");
  profile->id = g_strdup ("vpn");
  profile->mode = KS_MODE_STRICT;
  profile->vpn_type = KS_VPN_WIREGUARD;
  profile->listen_port = PORT;
  g_array_append_val (profile->uids, root);
  g_ptr_array_add (profile->endpoints, ks_endpoint_new ("203.0.113.10", PORT, IPPROTO_UDP));
  return profile;
}

static KsTunnel *
make_tunnel (void)
{
  KsTunnel *tunnel = ks_tunnel_new ("vpn", "tun0");

  netns_run ("ip tuntap add mode tun name tun0");
  netns_run ("ip link set tun0 addrgenmode none up");
  netns_run ("ip addr add 10.8.0.2/24 dev tun0");
  tunnel->ifindex = if_nametoindex ("tun0");
  return tunnel;
}

/* A host with an uplink and an armed VPN, and no rules yet; NULL if the test has to be skipped. */
static Host *
host_new (void)
{
  Host *self;

  if (!netns_enter ())
    return NULL;
  if (!netns_has_users ()) {
    print_message ("skipped: no other user in this user namespace\n");
    return NULL;
  }
  netns_run ("ip link add uplink type veth peer name wire");
  netns_run ("ip link set uplink addrgenmode none up");
  netns_run ("ip link set wire addrgenmode none up");
  netns_run ("ip addr add 192.168.50.2/24 dev uplink");
  netns_run ("ip route add default via 192.168.50.1 dev uplink");
  netns_run ("ip -6 route add default via fe80::1 dev uplink");
  self = g_new0 (Host, 1);
  self->config = ks_config_new ();
  self->armed = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_profile_free);
  self->tunnels = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_tunnel_free);
  self->resolvers = ks_test_prefixes (RESOLVER);
  g_ptr_array_add (self->armed, wireguard ());
  g_ptr_array_add (self->tunnels, make_tunnel ());
  return self;
}

#define HOST_OR_SKIP(host) \
  do { \
    host = host_new (); \
    if (!host) \
      skip (); \
  } while (0)

/* Reads what the kernel holds, and computes the policy. */
static void
look (Host *self, KsKernel *kernel)
{
  KsPolicyInput input = {
    .config = self->config, .armed = self->armed, .tunnels = self->tunnels, .resolvers = self->resolvers
  };

  g_clear_pointer (&self->snapshot, ks_snapshot_free);
  g_clear_pointer (&self->policy, ks_policy_free);
  self->snapshot = ks_kernel_dump (kernel, self->config, NULL);
  assert_non_null (self->snapshot);
  input.main_routes = self->snapshot->routes;
  self->policy = ks_policy_compute (&input);
}

/* Puts the rules and routes of the policy into the kernel. */
static void
apply (Host *self)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KsKernel) kernel = ks_kernel_new (NULL);
  g_autoptr (GArray) plan = NULL;
  guint changes = 0;

  look (self, kernel);
  plan = ks_diff_compute (self->config, self->snapshot->rules, self->snapshot->routes, self->policy, KS_DIFF_DEFAULT);
  if (!ks_kernel_apply (kernel, plan, &changes, &error))
    fail_msg ("%s", error->message);
}

static KsProof *
take (Host *self, KsGuardState guard)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KsKernel) kernel = ks_kernel_new (NULL);
  KsProof *proof;

  look (self, kernel);
  proof = ks_proof_take (self->policy, self->snapshot, guard, &error);
  if (!proof)
    fail_msg ("%s", error->message);
  return proof;
}

/* --- which probes --- */

typedef gboolean (*Which) (const KsProbe *probe);

static const KsProbe *
probe_at (const KsProof *proof, guint i)
{
  return &g_array_index (proof->probes, KsProbe, i);
}

static gboolean
is_any (const KsProbe *probe G_GNUC_UNUSED)
{
  return TRUE;
}

static gboolean
is_ipv4 (const KsProbe *probe)
{
  return probe->lookup.to.family == AF_INET;
}

/* An IPv4 socket bound to the uplink: only the guard can stop it. */
static gboolean
is_guards (const KsProbe *probe)
{
  return is_ipv4 (probe) && *probe->device;
}

static gboolean
is_unbound_ipv6 (const KsProbe *probe)
{
  return !is_ipv4 (probe) && !*probe->device;
}

static gboolean
is_bound_ipv6 (const KsProbe *probe)
{
  return !is_ipv4 (probe) && *probe->device;
}

static gboolean
is_unbound_to_target (const KsProbe *probe)
{
  KsPrefix target = ks_test_prefix (TARGET);

  return !*probe->device && ks_prefix_equal (&probe->lookup.to, &target);
}

static gboolean
is_unbound_tcp_to_target (const KsProbe *probe)
{
  return is_unbound_to_target (probe) && probe->lookup.ip_protocol == IPPROTO_TCP;
}

static gboolean
is_unbound_of_a_user_to_target (const KsProbe *probe)
{
  return is_unbound_to_target (probe) && probe->lookup.uid != 0;
}

static gboolean
is_dns (const KsProbe *probe)
{
  return probe->lookup.dport == 53;
}

/* A query that the policy lets root send, as long as the guard sees what it asks for. */
static gboolean
is_query_of_root (const KsProbe *probe)
{
  return is_dns (probe) && probe->lookup.ip_protocol == IPPROTO_UDP && probe->lookup.uid == 0;
}

static gboolean
is_unbound_query_of_root (const KsProbe *probe)
{
  return is_query_of_root (probe) && !*probe->device;
}

static gboolean
is_unbound_dns_of_a_user (const KsProbe *probe)
{
  return is_dns (probe) && !*probe->device && probe->lookup.uid != 0;
}

static gboolean
is_to_the_lan (const KsProbe *probe)
{
  KsPrefix resolver = ks_test_prefix (LAN_RESOLVER6);

  return ks_prefix_equal (&probe->lookup.to, &resolver);
}

static gboolean
is_bound_ipv6_and_not_to_the_lan (const KsProbe *probe)
{
  return is_bound_ipv6 (probe) && !is_to_the_lan (probe);
}

static gboolean
is_guards_or_bound_dns_to_the_lan (const KsProbe *probe)
{
  return is_guards (probe) || (*probe->device && is_to_the_lan (probe));
}

/* What gets out by routing alone: also root's queries, which nobody compares then. */
static gboolean
is_what_the_guard_is_for (const KsProbe *probe)
{
  return is_guards_or_bound_dns_to_the_lan (probe) || is_query_of_root (probe);
}

static gboolean
is_unbound_from_the_port (const KsProbe *probe)
{
  return is_ipv4 (probe) && !*probe->device && probe->lookup.sport == PORT && probe->lookup.ip_protocol == IPPROTO_UDP;
}

/* What the policy exempts. */
static gboolean
is_transport (const KsProbe *probe)
{
  return probe->lookup.sport == PORT && probe->lookup.ip_protocol == IPPROTO_UDP && probe->lookup.uid == 0;
}

static guint
count (const KsProof *proof, Which which)
{
  guint found = 0;

  for (guint i = 0; i < proof->probes->len; i++)
    found += which (probe_at (proof, i));
  return found;
}

/* The probes with @verdict are exactly those of kind @which, and there are some. */
static void
assert_exactly (const KsProof *proof, KsVerdict verdict, Which which)
{
  assert_true (count (proof, which) > 0);
  for (guint i = 0; i < proof->probes->len; i++) {
    const KsProbe *probe = probe_at (proof, i);
    g_autofree char *to = ks_prefix_format (&probe->lookup.to);

    if ((probe->verdict == verdict) != which (probe))
      fail_msg ("probe to %s protocol %u port %u uid %u bound to '%s' ends at: %s", to, probe->lookup.ip_protocol,
                probe->lookup.sport, probe->lookup.uid, probe->device, ks_verdict_format (probe->verdict));
  }
}

/* --- tests --- */

static void
without_rules_everything_escapes (void **state G_GNUC_UNUSED)
{
  g_autoptr (Host) host = NULL;
  g_autoptr (KsProof) proof = NULL;

  HOST_OR_SKIP (host);
  proof = take (host, KS_GUARD_ABSENT);
  assert_exactly (proof, KS_VERDICT_ESCAPES, is_any);
  assert_int_equal (proof->escapes, proof->probes->len);
  assert_string_equal (probe_at (proof, 0)->leaves_by, "uplink");
}

static void
without_rules_the_guard_answers_for_bound_ipv4_sockets_only (void **state G_GNUC_UNUSED)
{
  g_autoptr (Host) host = NULL;
  g_autoptr (KsProof) proof = NULL;

  HOST_OR_SKIP (host);
  proof = take (host, KS_GUARD_IN_PLACE);
  assert_exactly (proof, KS_VERDICT_GUARD, is_guards);
  assert_int_equal (proof->escapes, proof->probes->len - count (proof, is_guards));
}

static void
with_rules_and_guard_nothing_escapes (void **state G_GNUC_UNUSED)
{
  g_autoptr (Host) host = NULL;
  g_autoptr (KsProof) proof = NULL;

  HOST_OR_SKIP (host);
  apply (host);
  proof = take (host, KS_GUARD_IN_PLACE);
  assert_exactly (proof, KS_VERDICT_GUARD, is_guards);
  assert_true (count (proof, is_bound_ipv6) > 0);
  assert_int_equal (proof->escapes, 0);
  assert_int_equal (ks_proof_count_unwanted (proof, host->policy), 0);
}

static void
only_a_guard_that_is_in_place_counts (void **state G_GNUC_UNUSED)
{
  static const KsGuardState states[] = { KS_GUARD_ABSENT,     KS_GUARD_OUTDATED,    KS_GUARD_TAMPERED,
                                         KS_GUARD_UNVERIFIED, KS_GUARD_UNSUPPORTED, KS_GUARD_UNKNOWN };
  g_autoptr (Host) host = NULL;

  HOST_OR_SKIP (host);
  apply (host);
  for (guint i = 0; i < G_N_ELEMENTS (states); i++) {
    g_autoptr (KsProof) proof = take (host, states[i]);

    assert_exactly (proof, KS_VERDICT_ESCAPES, is_guards);
    assert_int_equal (proof->escapes, count (proof, is_guards));
    assert_int_equal (ks_proof_count_unwanted (proof, host->policy), proof->escapes);
  }
}

static void
with_the_guard_turned_off_bound_sockets_are_not_unwanted (void **state G_GNUC_UNUSED)
{
  g_autoptr (Host) host = NULL;
  g_autoptr (KsProof) proof = NULL, spoiled = NULL;

  HOST_OR_SKIP (host);
  host->config->guard = FALSE;
  apply (host);
  proof = take (host, KS_GUARD_ABSENT);
  assert_true (proof->escapes > 0);
  assert_int_equal (ks_proof_count_unwanted (proof, host->policy), 0);

  netns_run ("ip rule add priority 100 to " TARGET " lookup main");
  spoiled = take (host, KS_GUARD_ABSENT);
  assert_int_equal (ks_proof_count_unwanted (spoiled, host->policy), count (spoiled, is_unbound_to_target));
}

static void
what_the_tunnel_carries_is_not_an_escape (void **state G_GNUC_UNUSED)
{
  g_autoptr (Host) host = NULL;
  g_autoptr (KsProof) proof = NULL;

  HOST_OR_SKIP (host);
  ((KsTunnel *) host->tunnels->pdata[0])->has_ipv4 = TRUE;
  apply (host);
  proof = take (host, KS_GUARD_IN_PLACE);
  assert_int_equal (proof->escapes, 0);
  for (guint i = 0; i < proof->probes->len; i++) {
    const KsProbe *probe = probe_at (proof, i);

    if (!is_ipv4 (probe))
      assert_int_equal (probe->verdict, KS_VERDICT_NO_ROUTE);
    else if (*probe->device)
      assert_int_equal (probe->verdict, KS_VERDICT_GUARD);
    else
      assert_int_equal (probe->verdict, KS_VERDICT_TUNNEL);
    assert_string_not_equal (probe->device, "tun0");
    if (probe->verdict == KS_VERDICT_TUNNEL)
      assert_string_equal (probe->leaves_by, "tun0");
  }
}

/* Rules spoilt in one way each, and exactly what gets out then. */
static void
each_way_out_is_seen (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *command;
    Which escapes;
  } spoilt[] = {
    { "ip rule add priority 100 to " TARGET " lookup main", is_unbound_to_target },
    { "ip rule add priority 100 to " TARGET " ipproto 6 lookup main", is_unbound_tcp_to_target },
    { "ip rule add priority 100 to " TARGET " uidrange 65534-65534 lookup main", is_unbound_of_a_user_to_target },
    /* the usual recipe's exemption */
    { "ip rule add priority 100 ipproto 17 sport 51820 lookup main", is_unbound_from_the_port },
    { "ip -6 rule add priority 100 lookup main", NULL },
    { "ip route replace default via 192.168.50.1 dev uplink table 83 metric 1 onlink", NULL },
  };

  for (guint i = 0; i < G_N_ELEMENTS (spoilt); i++) {
    g_autoptr (Host) host = NULL;
    g_autoptr (KsProof) proof = NULL;

    HOST_OR_SKIP (host);
    apply (host);
    netns_run ("%s", spoilt[i].command);
    proof = take (host, KS_GUARD_IN_PLACE);
    print_message ("%s: %u of %u get out\n", spoilt[i].command, proof->escapes, proof->probes->len);
    if (spoilt[i].escapes)
      assert_exactly (proof, KS_VERDICT_ESCAPES, spoilt[i].escapes);
    assert_true (proof->escapes > 0 && proof->escapes < proof->probes->len);
    assert_int_equal (ks_proof_count_unwanted (proof, host->policy), proof->escapes);
  }
}

/* Without the terminal rule, an IPv6 lookup bound to a device skips the blackhole. */
static void
bound_ipv6_sockets_escape_although_the_guard_is_in_place (void **state G_GNUC_UNUSED)
{
  g_autoptr (Host) host = NULL;
  g_autoptr (KsProof) proof = NULL;

  HOST_OR_SKIP (host);
  apply (host);
  netns_run ("ip -6 rule delete priority 8390");
  proof = take (host, KS_GUARD_IN_PLACE);
  assert_exactly (proof, KS_VERDICT_ESCAPES, is_bound_ipv6);
}

static void
transport_is_probed_for_other_users_only (void **state G_GNUC_UNUSED)
{
  g_autoptr (Host) host = NULL;
  g_autoptr (KsProof) proof = NULL;

  HOST_OR_SKIP (host);
  apply (host);
  proof = take (host, KS_GUARD_IN_PLACE);
  assert_int_equal (count (proof, is_transport), 0);
  assert_true (count (proof, is_unbound_from_the_port) > 0);
  assert_true (count (proof, is_unbound_ipv6) > 0);
}

static gboolean
is_imitation_to_the_server (const KsProbe *probe)
{
  KsPrefix server = ks_test_prefix ("203.0.113.10");

  return probe->imitates && ks_prefix_equal (&probe->lookup.to, &server) && probe->lookup.dport == PORT
         && probe->lookup.ip_protocol == IPPROTO_UDP;
}

static gboolean
is_imitation_from_the_port (const KsProbe *probe)
{
  return is_ipv4 (probe) && !*probe->device && probe->lookup.sport == 1234 && probe->lookup.uid != 0
         && probe->lookup.ip_protocol == IPPROTO_UDP;
}

/* An exemption for every user: what the transport looks like gets out, and nothing else. */
static void
exemption_that_anybody_can_use_is_seen (void **state G_GNUC_UNUSED)
{
  g_autoptr (Host) host = NULL;
  g_autoptr (KsSection) section = ks_section_new ("staex");
  g_autoptr (KsProof) proof = NULL, server = NULL, port = NULL;

  HOST_OR_SKIP (host);
  section->ip_protocol = IPPROTO_UDP;
  section->port = 1234;
  g_ptr_array_add (host->armed, ks_profile_new_of_section (section, "conf"));
  apply (host);
  proof = take (host, KS_GUARD_IN_PLACE);
  assert_int_equal (proof->escapes, 0);
  netns_run ("ip rule add priority 100 to 203.0.113.10 ipproto 17 dport 51820 lookup main");
  server = take (host, KS_GUARD_IN_PLACE);
  assert_exactly (server, KS_VERDICT_ESCAPES, is_imitation_to_the_server);
  netns_run ("ip rule del priority 100");
  netns_run ("ip rule add priority 100 ipproto 17 sport 1234 uidrange 1-70000 lookup main");
  port = take (host, KS_GUARD_IN_PLACE);
  assert_exactly (port, KS_VERDICT_ESCAPES, is_imitation_from_the_port);
}

/* With a server that is known by name, and no tunnel. */
static void
query_for_a_servers_name_is_an_escape_without_the_guard_that_narrows_it (void **state G_GNUC_UNUSED)
{
  g_autoptr (Host) host = NULL;
  g_autoptr (KsProof) guarded = NULL, alone = NULL, spoilt = NULL;

  HOST_OR_SKIP (host);
  g_ptr_array_set_size (host->tunnels, 0);
  g_ptr_array_add (((KsProfile *) host->armed->pdata[0])->endpoints,
                   ks_endpoint_new ("vpn.example.org", PORT, IPPROTO_UDP));
  apply (host);
  guarded = take (host, KS_GUARD_IN_PLACE);
  assert_int_equal (guarded->escapes, 0);
  assert_true (count (guarded, is_unbound_dns_of_a_user) > 0);
  assert_int_equal (count (guarded, is_unbound_query_of_root), 0);

  alone = take (host, KS_GUARD_ABSENT);
  assert_int_equal (count (alone, is_unbound_query_of_root), 1);
  assert_int_equal (ks_proof_count_unwanted (alone, host->policy), count (alone, is_guards) + 1);

  netns_run ("ip rule add priority 100 to " RESOLVER " uidrange 65534-65534 lookup main");
  spoilt = take (host, KS_GUARD_IN_PLACE);
  assert_exactly (spoilt, KS_VERDICT_ESCAPES, is_unbound_dns_of_a_user);
}

/* The route is the LAN's, and a socket bound to the device skips the blackhole that the DNS rules lead to. */
static void
dns_of_bound_ipv6_sockets_is_stopped_by_the_guard_on_the_lan_only (void **state G_GNUC_UNUSED)
{
  g_autoptr (Host) host = NULL;
  g_autoptr (KsProof) guarded = NULL, alone = NULL, spoilt = NULL;

  HOST_OR_SKIP (host);
  g_ptr_array_set_size (host->tunnels, 0);
  g_array_unref (host->resolvers);
  host->resolvers = ks_test_prefixes (LAN_RESOLVER6 " " PUBLIC_RESOLVER6);
  g_ptr_array_add (((KsProfile *) host->armed->pdata[0])->endpoints,
                   ks_endpoint_new ("vpn.example.org", PORT, IPPROTO_UDP));
  netns_run ("ip link delete tun0");
  netns_run ("ip -6 route add fe80::/64 dev uplink");
  apply (host);
  guarded = take (host, KS_GUARD_IN_PLACE);
  assert_int_equal (guarded->escapes, 0);
  assert_exactly (guarded, KS_VERDICT_GUARD, is_guards_or_bound_dns_to_the_lan);

  alone = take (host, KS_GUARD_ABSENT);
  assert_exactly (alone, KS_VERDICT_ESCAPES, is_what_the_guard_is_for);

  netns_run ("ip -6 rule delete priority 8390");
  spoilt = take (host, KS_GUARD_IN_PLACE);
  assert_exactly (spoilt, KS_VERDICT_ESCAPES, is_bound_ipv6_and_not_to_the_lan);
}

static void
ipv6_is_not_probed_where_there_is_none (void **state G_GNUC_UNUSED)
{
  g_autoptr (Host) host = NULL;
  g_autoptr (KsProof) proof = NULL;

  HOST_OR_SKIP (host);
  apply (host);
  host->snapshot->no_ipv6 = TRUE;
  proof = ks_proof_take (host->policy, host->snapshot, KS_GUARD_IN_PLACE, NULL);
  assert_non_null (proof);
  assert_true (proof->probes->len > 0);
  assert_int_equal (count (proof, is_ipv4), proof->probes->len);
}

/* As net.ipv6.conf.all.disable_ipv6=1 does it: not even ::1 is left. IPv6 may be turned on again for a device. */
static void
ipv6_is_probed_although_it_is_turned_off (void **state G_GNUC_UNUSED)
{
  g_autoptr (Host) host = NULL;
  g_autoptr (KsProof) proof = NULL, spoilt = NULL;

  HOST_OR_SKIP (host);
  apply (host);
  assert_true (netns_write_file ("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1"));
  proof = take (host, KS_GUARD_IN_PLACE);
  assert_int_equal (proof->escapes, 0);
  assert_true (proof->probes->len > count (proof, is_ipv4));

  assert_true (netns_write_file ("/proc/sys/net/ipv6/conf/uplink/disable_ipv6", "0"));
  netns_run ("ip -6 route add default via fe80::1 dev uplink");
  netns_run ("ip -6 rule add priority 1 lookup main");
  spoilt = take (host, KS_GUARD_IN_PLACE);
  assert_int_equal (spoilt->escapes, spoilt->probes->len - count (spoilt, is_ipv4));
}

/* Packets to a server whose address is one of this host's own: table local comes first. */
static void
what_this_host_keeps_is_no_escape (void **state G_GNUC_UNUSED)
{
  g_autoptr (Host) host = NULL;
  g_autoptr (KsProof) proof = NULL;

  HOST_OR_SKIP (host);
  netns_run ("ip addr add 203.0.113.10/32 dev uplink");
  apply (host);
  proof = take (host, KS_GUARD_IN_PLACE);
  assert_int_equal (proof->escapes, 0);
}

/* A kernel that does not understand the question answers as a blackhole does. Without lo, so does 127.0.0.1. */
static void
no_proof_without_an_answer_about_the_host_itself (void **state G_GNUC_UNUSED)
{
  g_autoptr (Host) host = NULL;
  g_autoptr (KsProof) proof = NULL;
  g_autoptr (GError) error = NULL;

  HOST_OR_SKIP (host);
  apply (host);
  netns_run ("ip link set lo down");
  proof = ks_proof_take (host->policy, host->snapshot, KS_GUARD_IN_PLACE, &error);
  assert_null (proof);
  assert_true (g_error_matches (error, KS_ERROR, KS_ERROR_KERNEL));
}

static void
table_shows_the_worst_verdict_of_each_kind (void **state G_GNUC_UNUSED)
{
  g_autoptr (Host) host = NULL;
  g_autoptr (KsProof) proof = NULL;
  g_autofree char *text = NULL;

  HOST_OR_SKIP (host);
  apply (host);
  netns_run ("ip rule add priority 100 to 100.1.2.3 ipproto 6 lookup main"); /* the second target */
  netns_run ("ip -6 rule add priority 100 ipproto 6 lookup 200");
  netns_run ("ip -6 route add default via fe80::1 dev uplink table 200");
  proof = take (host, KS_GUARD_IN_PLACE);
  text = ks_proof_format (proof);
  assert_non_null (
    strstr (text, "IPv4   tcp    65534  40000,51820     -                     4  ESCAPES (uplink by table main)\n"));
  assert_non_null (
    strstr (text, "IPv6   tcp    65534  40000,51820     -                     4  ESCAPES (uplink by table 200)\n"));
  assert_non_null (strstr (text, "IPv4   udp    65534  40000,51820     -                     4  no route\n"));
  assert_non_null (strstr (text, "IPv4   udp    0      40000           -                     2  no route\n"));
  assert_non_null (strstr (text, "IPv4   tcp    0      40000,51820     uplink                4  guard (uplink)\n"));
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (without_rules_everything_escapes),
    cmocka_unit_test (without_rules_the_guard_answers_for_bound_ipv4_sockets_only),
    cmocka_unit_test (with_rules_and_guard_nothing_escapes),
    cmocka_unit_test (only_a_guard_that_is_in_place_counts),
    cmocka_unit_test (with_the_guard_turned_off_bound_sockets_are_not_unwanted),
    cmocka_unit_test (what_the_tunnel_carries_is_not_an_escape),
    cmocka_unit_test (each_way_out_is_seen),
    cmocka_unit_test (bound_ipv6_sockets_escape_although_the_guard_is_in_place),
    cmocka_unit_test (transport_is_probed_for_other_users_only),
    cmocka_unit_test (exemption_that_anybody_can_use_is_seen),
    cmocka_unit_test (query_for_a_servers_name_is_an_escape_without_the_guard_that_narrows_it),
    cmocka_unit_test (dns_of_bound_ipv6_sockets_is_stopped_by_the_guard_on_the_lan_only),
    cmocka_unit_test (ipv6_is_not_probed_where_there_is_none),
    cmocka_unit_test (ipv6_is_probed_although_it_is_turned_off),
    cmocka_unit_test (what_this_host_keeps_is_no_escape),
    cmocka_unit_test (no_proof_without_an_answer_about_the_host_itself),
    cmocka_unit_test (table_shows_the_worst_verdict_of_each_kind),
  };

  return cmocka_run_group_tests_name ("ks-proof", tests, NULL, NULL);
}
