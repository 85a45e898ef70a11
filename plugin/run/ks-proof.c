/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run/ks-proof.h"

#include "base/ks-error.h"

/* Public to every rule of ours. Two are for documentation (RFC 5737, RFC 3849); IPv4 has one in each half. */
static const char *const targets[] = { "198.51.100.1", "100.1.2.3", "2001:db8::1", "2a00::1" };

#define ORDINARY_PORT 40000
#define TARGET_PORT 443
#define DNS_PORT 53
#define UNPRIVILEGED_UID 65534
/* With how many transports an unprivileged program is tried: there may be thousands, all made alike. */
#define MAX_ABUSED 16

typedef struct {
  guint ifindex;
  char interface[IFNAMSIZ];
} Uplink;

typedef struct {
  KsNlSocket *socket;
  const KsPolicy *policy;
  const GArray *uplinks; /* Uplink */
  gboolean imitates; /* the following probes do */
  KsProof *proof;
} Prover;

void
ks_proof_free (KsProof *self)
{
  g_array_unref (self->probes);
  g_free (self);
}

static gboolean
is_among (const GArray *transports, const KsLookup *lookup)
{
  for (guint i = 0; i < transports->len; i++) {
    const KsTransport *transport = &g_array_index (transports, KsTransport, i);

    if (transport->family == lookup->to.family
        && (!ks_prefix_is_set (&transport->to) || ks_prefix_contains (&transport->to, &lookup->to))
        && (!transport->ip_protocol || transport->ip_protocol == lookup->ip_protocol)
        && (!transport->sport || transport->sport == lookup->sport)
        && (!transport->dport || transport->dport == lookup->dport)
        && (!transport->fwmark || transport->fwmark == lookup->mark)
        && (transport->uid == KS_UID_ANY || transport->uid == lookup->uid))
      return TRUE;
  }
  return FALSE;
}

/*
 * Whether the policy exempts such a packet. A query to an uplink's resolver is
 * exempt while the guard checks the name it asks for, or if there is to be no guard.
 */
static gboolean
is_exempt (const Prover *p, const KsLookup *lookup)
{
  if (is_among (p->policy->transports, lookup))
    return TRUE;
  return (p->proof->guard == KS_GUARD_IN_PLACE || !p->policy->guard) && is_among (p->policy->bootstrap, lookup);
}

/* Whether the guard is in place and drops such a packet from a socket bound to a device. */
static gboolean
is_left_to_guard (const Prover *p, const KsLookup *lookup)
{
  if (p->proof->guard != KS_GUARD_IN_PLACE)
    return FALSE;
  if (lookup->to.family == AF_INET)
    return TRUE;
  /* such a lookup skips the blackhole at the DNS rules and goes on to the LAN rules, which may contain a resolver */
  return lookup->dport == DNS_PORT && ks_prefix_array_covers (p->policy->lan_prefixes, &lookup->to);
}

static KsVerdict
judge (const Prover *p, const KsProbe *probe, const KsLookupResult *result)
{
  /* what is local stays on this host (an address of a VPN's server that this host has, too) */
  gboolean carries = result->type == RTN_UNICAST || result->type == RTN_BROADCAST || result->type == RTN_MULTICAST
                     || result->type == RTN_ANYCAST;

  if (result->error || !carries)
    return KS_VERDICT_NO_ROUTE;
  if (ks_policy_has_tunnel (p->policy, result->ifindex))
    return KS_VERDICT_TUNNEL;
  /* the guard is the answer to bound sockets; for a socket that names no device, routing itself has to hold */
  if (*probe->device && is_left_to_guard (p, &probe->lookup))
    return KS_VERDICT_GUARD;
  return KS_VERDICT_ESCAPES;
}

static gboolean
probe_one (Prover *p, const KsLookup *lookup, const char *device, GError **error)
{
  KsProbe probe = { .lookup = *lookup, .imitates = p->imitates };
  KsLookupResult result;

  if (is_exempt (p, lookup))
    return TRUE;
  if (!ks_lookup (p->socket, lookup, &result, error))
    return FALSE;
  g_strlcpy (probe.device, device, sizeof probe.device);
  if (!result.error && result.ifindex && !if_indextoname (result.ifindex, probe.leaves_by))
    g_snprintf (probe.leaves_by, sizeof probe.leaves_by, "if%u", result.ifindex);
  probe.table = result.error ? 0 : result.table;
  probe.verdict = judge (p, &probe, &result);
  p->proof->escapes += probe.verdict == KS_VERDICT_ESCAPES;
  g_array_append_val (p->proof->probes, probe);
  return TRUE;
}

/* The source ports to try: an ordinary one, and each that exempts a transport. */
static GArray *
source_ports (const KsPolicy *policy, int family)
{
  GArray *ports = g_array_new (FALSE, FALSE, sizeof (guint16));
  guint16 ordinary = ORDINARY_PORT;

  g_array_append_val (ports, ordinary);
  for (guint i = 0; i < policy->transports->len; i++) {
    const KsTransport *transport = &g_array_index (policy->transports, KsTransport, i);

    if (transport->family == family && transport->sport)
      g_array_append_val (ports, transport->sport);
  }
  return ports;
}

static gboolean
probe_target (Prover *p, const KsPrefix *target, guint8 ip_protocol, guint16 port, guint32 uid, guint oif,
              const char *device, GError **error)
{
  g_autoptr (GArray) ports = source_ports (p->policy, target->family);
  gboolean has_ports = ip_protocol == IPPROTO_UDP || ip_protocol == IPPROTO_TCP;

  for (guint i = 0; i < (has_ports ? ports->len : 1); i++) {
    KsLookup lookup = {
      .to = *target,
      .oif = oif,
      .ip_protocol = ip_protocol,
      .sport = has_ports ? g_array_index (ports, guint16, i) : 0,
      .dport = has_ports ? port : 0,
      .uid = uid,
    };

    if (!probe_one (p, &lookup, device, error))
      return FALSE;
  }
  return TRUE;
}

/* With net.ipv6.conf.all.disable_ipv6=1, not even ::1 exists. */
static gboolean
has_ipv6_loopback (void)
{
  g_autofree char *value = NULL;

  return !g_file_get_contents ("/proc/sys/net/ipv6/conf/lo/disable_ipv6", &value, NULL, NULL) || *value != '1';
}

/*
 * The kernel answers EINVAL for a blackhole, but also for a question that it
 * does not understand: the same question about the host itself has to succeed.
 * Where IPv6 is turned off, only IPv4 has such an address. What the question
 * asks is read by the same code for both families
 * (rtm_getroute_parse_ip_proto(), net/ipv4/netlink.c), in which ICMPv6 differs
 * from ICMP by its number.
 */
static gboolean
check_question (Prover *p, int family, guint8 ip_protocol, GError **error)
{
  gboolean asks_ipv6 = family == AF_INET6 && has_ipv6_loopback ();
  KsLookup lookup = {
    .ip_protocol = ip_protocol, .sport = ORDINARY_PORT, .dport = TARGET_PORT, .uid = UNPRIVILEGED_UID
  };
  KsLookupResult result;

  if (!asks_ipv6 && ip_protocol == IPPROTO_ICMPV6)
    lookup.ip_protocol = IPPROTO_ICMP;
  ks_prefix_parse (asks_ipv6 ? "::1" : "127.0.0.1", &lookup.to, NULL);
  if (!ks_lookup (p->socket, &lookup, &result, error))
    return FALSE;
  if (result.error) {
    g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "cannot ask the kernel for %s routes: %s",
                 family == AF_INET6 ? "IPv6" : "IPv4", g_strerror (result.error));
    return FALSE;
  }
  return TRUE;
}

static gboolean
probe_protocol (Prover *p, const KsPrefix *target, guint8 ip_protocol, guint16 port, GError **error)
{
  static const guint32 uids[] = { 0, UNPRIVILEGED_UID };

  if (!check_question (p, target->family, ip_protocol, error))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (uids); i++) {
    if (!probe_target (p, target, ip_protocol, port, uids[i], 0, "", error))
      return FALSE;
    for (guint j = 0; j < p->uplinks->len; j++) {
      const Uplink *uplink = &g_array_index (p->uplinks, Uplink, j);

      if (!probe_target (p, target, ip_protocol, port, uids[i], uplink->ifindex, uplink->interface, error))
        return FALSE;
    }
  }
  return TRUE;
}

/* Where names may be queried: queries of all other users, and by TCP, must still end like all other DNS. */
static gboolean
probe_resolvers (Prover *p, GError **error)
{
  const KsPrefix *last = NULL;

  for (guint i = 0; p->policy->dns == KS_DNS_TUNNEL && i < p->policy->bootstrap->len; i++) {
    const KsPrefix *resolver = &g_array_index (p->policy->bootstrap, KsTransport, i).to;

    if (last && ks_prefix_equal (last, resolver))
      continue; /* the same resolver, for another user */
    last = resolver;
    if (!probe_protocol (p, resolver, IPPROTO_UDP, DNS_PORT, error)
        || !probe_protocol (p, resolver, IPPROTO_TCP, DNS_PORT, error))
      return FALSE;
  }
  return TRUE;
}

/* True if routing lets every program reach @to as part of the local network. */
static gboolean
may_be_lan (const KsPolicy *policy, const KsPrefix *to)
{
  for (guint i = 0; i < policy->lan_prefixes->len; i++)
    if (ks_prefix_overlaps (&g_array_index (policy->lan_prefixes, KsPrefix, i), to))
      return TRUE;
  return policy->lan == KS_LAN_ROUTES;
}

/* A user that sends no transport. */
static guint32
find_stranger (const KsPolicy *policy)
{
  guint32 uid = UNPRIVILEGED_UID;

  for (guint i = 0; i < policy->transports->len;) {
    if (g_array_index (policy->transports, KsTransport, i).uid != uid) {
      i++;
      continue;
    }
    uid--;
    i = 0;
  }
  return uid;
}

/* What @transport looks like when @uid sends it: to its server, or to @target if it has no single server. */
static KsLookup
imitate (const KsTransport *transport, const KsPrefix *target, guint32 uid)
{
  gboolean is_tcp = transport->ip_protocol == IPPROTO_TCP;

  return (KsLookup){
    .to = ks_prefix_is_set (&transport->to) ? ks_prefix_host (&transport->to) : *target,
    .ip_protocol = is_tcp ? IPPROTO_TCP : IPPROTO_UDP, /* no other protocol with ports can be looked up */
    .sport = transport->sport ? transport->sport : ORDINARY_PORT,
    .dport = transport->dport ? transport->dport : TARGET_PORT,
    .mark = transport->fwmark,
    .uid = uid,
  };
}

/* An unprivileged program imitates @transport: all of it, its protocol with another port, its port with another
 * protocol. */
static gboolean
abuse (Prover *p, const KsTransport *transport, GError **error)
{
  KsPrefix target;
  KsLookup as_it_is, other_port, other_protocol;

  ks_prefix_parse (transport->family == AF_INET6 ? "2001:db8::1" : "198.51.100.1", &target, NULL);
  as_it_is = other_port = other_protocol = imitate (transport, &target, find_stranger (p->policy));
  if (may_be_lan (p->policy, &as_it_is.to) || ks_prefix_is_loopback (&as_it_is.to))
    return TRUE;
  other_port.dport ^= 1;
  other_protocol.ip_protocol = as_it_is.ip_protocol == IPPROTO_TCP ? IPPROTO_UDP : IPPROTO_TCP;
  return probe_one (p, &as_it_is, "", error) && probe_one (p, &other_port, "", error)
         && probe_one (p, &other_protocol, "", error);
}

static gboolean
abuse_transports (Prover *p, gboolean no_ipv6, GError **error)
{
  p->imitates = TRUE;
  for (guint i = 0; i < MIN (p->policy->transports->len, MAX_ABUSED); i++) {
    const KsTransport *transport = &g_array_index (p->policy->transports, KsTransport, i);

    if (!(no_ipv6 && transport->family == AF_INET6) && !abuse (p, transport, error))
      return FALSE;
  }
  return TRUE;
}

/* The devices other than tunnels through which packets could leave. */
static GArray *
find_uplinks (const KsPolicy *policy, const KsSnapshot *snapshot)
{
  GArray *uplinks = g_array_new (FALSE, FALSE, sizeof (Uplink));
  g_autoptr (GHashTable) seen = g_hash_table_new (NULL, NULL);

  for (guint i = 0; i < policy->tunnels->len; i++)
    g_hash_table_add (seen, GUINT_TO_POINTER (((const KsPolicyTunnel *) policy->tunnels->pdata[i])->ifindex));
  for (guint i = 0; i < snapshot->routes->len; i++) {
    const KsRoute *route = &g_array_index (snapshot->routes, KsRoute, i);

    for (guint j = 0; route->table == RT_TABLE_MAIN && j < route->n_nexthops; j++) {
      Uplink uplink = { .ifindex = route->nexthops[j].ifindex };

      if (g_hash_table_add (seen, GUINT_TO_POINTER (uplink.ifindex))
          && if_indextoname (uplink.ifindex, uplink.interface))
        g_array_append_val (uplinks, uplink);
    }
  }
  return uplinks;
}

KsProof *
ks_proof_take (const KsPolicy *policy, const KsSnapshot *snapshot, KsGuardState guard, GError **error)
{
  g_autoptr (GArray) uplinks = find_uplinks (policy, snapshot);
  g_autoptr (KsProof) proof = g_new0 (KsProof, 1);
  g_autoptr (KsNlSocket) socket = NULL;
  Prover p = { .policy = policy, .uplinks = uplinks, .proof = proof };

  proof->probes = g_array_new (FALSE, FALSE, sizeof (KsProbe));
  proof->guard = guard;
  p.socket = socket = ks_netlink_open (error);
  if (!socket)
    return NULL;
  for (guint i = 0; i < G_N_ELEMENTS (targets); i++) {
    KsPrefix target;
    guint8 icmp;

    ks_prefix_parse (targets[i], &target, NULL);
    if (target.family == AF_INET6 && snapshot->no_ipv6)
      continue;
    icmp = target.family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
    if (!probe_protocol (&p, &target, IPPROTO_UDP, TARGET_PORT, error)
        || !probe_protocol (&p, &target, IPPROTO_TCP, TARGET_PORT, error)
        || !probe_protocol (&p, &target, icmp, 0, error))
      return NULL;
  }
  if (!probe_resolvers (&p, error) || !abuse_transports (&p, snapshot->no_ipv6, error))
    return NULL;
  return g_steal_pointer (&proof);
}

guint
ks_proof_count_unwanted (const KsProof *self, const KsPolicy *policy)
{
  guint count = 0;

  for (guint i = 0; i < self->probes->len; i++) {
    const KsProbe *probe = &g_array_index (self->probes, KsProbe, i);

    count += probe->verdict == KS_VERDICT_ESCAPES && (policy->guard || !*probe->device);
  }
  return count;
}

const char *
ks_verdict_format (KsVerdict verdict)
{
  switch (verdict) {
  case KS_VERDICT_NO_ROUTE:
    return "no route";
  case KS_VERDICT_TUNNEL:
    return "tunnel";
  case KS_VERDICT_GUARD:
    return "guard";
  default:
    return "ESCAPES";
  }
}

static const char *
protocol_word (guint8 ip_protocol)
{
  switch (ip_protocol) {
  case IPPROTO_UDP:
    return "udp";
  case IPPROTO_TCP:
    return "tcp";
  default:
    return "icmp";
  }
}

/* Whether two probes differ only in their target and source port. */
static gboolean
is_same_kind (const KsProbe *a, const KsProbe *b)
{
  return a->lookup.to.family == b->lookup.to.family && a->lookup.ip_protocol == b->lookup.ip_protocol
         && a->lookup.uid == b->lookup.uid && a->lookup.oif == b->lookup.oif && a->imitates == b->imitates;
}

/* The first probe of a kind stands for all of them, with the worst verdict among them. */
static gboolean
is_first_of_kind (const KsProof *self, guint index)
{
  for (guint i = 0; i < index; i++)
    if (is_same_kind (&g_array_index (self->probes, KsProbe, i), &g_array_index (self->probes, KsProbe, index)))
      return FALSE;
  return TRUE;
}

/* " (eth0 by table main)", for a rule that leads to that table. */
static void
format_escape (const KsProbe *probe, GString *out)
{
  g_string_append_printf (out, " (%s by table ", probe->leaves_by);
  if (probe->table == RT_TABLE_MAIN)
    g_string_append (out, "main)");
  else
    g_string_append_printf (out, "%u)", probe->table);
}

static void
format_kind (const KsProof *self, guint index, GString *out)
{
  const KsProbe *first = &g_array_index (self->probes, KsProbe, index);
  const KsProbe *worst = first;
  g_autoptr (GString) ports = g_string_new (NULL);
  g_autoptr (GHashTable) seen = g_hash_table_new (NULL, NULL);
  guint count = 0;

  for (guint i = index; i < self->probes->len; i++) {
    const KsProbe *probe = &g_array_index (self->probes, KsProbe, i);

    if (!is_same_kind (first, probe))
      continue;
    count++;
    if (probe->verdict > worst->verdict)
      worst = probe;
    if (probe->lookup.sport && g_hash_table_add (seen, GUINT_TO_POINTER ((guint) probe->lookup.sport)))
      g_string_append_printf (ports, "%s%u", ports->len ? "," : "", probe->lookup.sport);
  }
  g_string_append_printf (out, "%-7s%-7s%-7u%-16s%-17s%6u  %s", first->lookup.to.family == AF_INET6 ? "IPv6" : "IPv4",
                          protocol_word (first->lookup.ip_protocol), first->lookup.uid, ports->len ? ports->str : "-",
                          first->imitates  ? "as a transport"
                          : *first->device ? first->device
                                           : "-",
                          count, ks_verdict_format (worst->verdict));
  if (worst->verdict == KS_VERDICT_ESCAPES)
    format_escape (worst, out);
  else if (worst->verdict != KS_VERDICT_NO_ROUTE)
    g_string_append_printf (out, " (%s)", worst->leaves_by);
  g_string_append_c (out, '\n');
}

char *
ks_proof_format (const KsProof *self)
{
  GString *out = g_string_new (NULL);

  g_string_append_printf (out, "%-7s%-7s%-7s%-16s%-17s%6s  %s\n", "FAMILY", "PROTO", "UID", "FROM PORT", "BOUND TO",
                          "PROBES", "END AT");
  for (guint i = 0; i < self->probes->len; i++)
    if (is_first_of_kind (self, i))
      format_kind (self, i, out);
  return g_string_free (out, FALSE);
}
