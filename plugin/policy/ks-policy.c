/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is blocked, what is not, and why.
 *
 * While at least one profile is armed, each family has these rules, numbered
 * from KsConfig.priority (8300):
 *
 *   +0   anchor              nop
 *   +0   servers             ipproto P dport N uidrange U-U lookup 86                    (one for each P, N, U)
 *        WireGuard devices   ipproto udp sport N uidrange 0-0|fwmark M lookup 85         (while they exist)
 *        sections            [to NETWORK] [fwmark M] uidrange U-U [ipproto P] [sport N] [dport N] lookup 85
 *                            the same without `to`, lookup 86                                (to their servers)
 *   +5   bootstrap DNS       to RESOLVER ipproto udp dport 53 uidrange U-U lookup 85       (no tunnel is up)
 *   +7   DHCP renewal        ipproto udp sport 68 dport 67 uidrange 0-0 lookup 85   (IPv6: 546, 547)
 *   +8   management          from ADDRESS to PREFIX lookup 8300|8301|...   (ManagementFrom=)
 *   +10  DNS                 dport 53|853 lookup 83                            (of any protocol that has ports)
 *   +20  the tunnel's own    lookup 84
 *   +30  LAN                 to PREFIX lookup main suppress_prefixlength 0
 *   +35  LAN multicast       to 224.0.0.0/24|239.255.0.0/16|255.255.255.255 lookup 85
 *   +70  what programs send  ipproto udp lookup 83                                       (IPv4; +71 tcp, +72 icmp)
 *   +75  gateway check       from 0.0.0.0/32 uidrange 0-0 lookup main suppress_prefixlength 7   (IPv4)
 *   +80  everything          lookup 83
 *   +90  terminal            unreachable
 *
 * Transports come first: a VPN may use port 53, or push a route that covers
 * its own server. They look up table 86 or 85, not main: for a plugin VPN
 * NetworkManager puts the tunnel's default route into main, and the transport
 * would be sent into its own tunnel.
 *
 * A [vpn NAME] section is exempted by all that it says at once, whether its
 * device is there or not: nothing tells when its program wants to connect. Each
 * network of a section has a rule of its own, to table 85, so what main has
 * inside and around the network counts as it does without us. Routes of table 86
 * would have to be computed from main, and every rule that looks that table up
 * would reach the network. There are few such networks.
 *
 * IPsec: the kernel looks the way of what it has encrypted up as root's, whoever
 * sent the packet inside; ESP as protocol 50, ESP in UDP by its port. In
 * transport mode (L2TP) it keeps the way that the packet inside had, so that
 * packet is exempted here, and the guard lets it pass only if it is about to be
 * encrypted (run, 6.1 and 6.12).
 *
 * The servers' addresses are the routes of table 86, so that the number of
 * rules does not grow with the number of profiles: the kernel walks rules one
 * after the other, and finds a route in a tree. A packet to another address
 * finds none there and goes on. Routing alone lets one server be reached by
 * another one's protocol and port as well, if the user is the same; the guard
 * does not.
 *
 * Bootstrap DNS is how a server that is known by name is found while everything
 * is blocked: root, and the users that the system's resolver may run as, may
 * ask the resolvers of the uplinks. The rule only gives such a packet a route.
 * Any program can have the system's resolver ask for any name, so the guard
 * lets pass only queries for the names in KsPolicy.names: those of the armed
 * profiles' servers, and the aliases (CNAME) these were found to have, which
 * systemd-resolved asks for by themselves when it still knows the alias but no
 * longer its address. UDP only: in a stream no packet can be told by what is
 * asked for. Where no guard stands (Guard=off, no nf_tables, an error) there is
 * no rule for the resolver's users; root may then ask for any name, or no VPN
 * could be found by its name, and so may whoever is behind this host: to a rule
 * a forwarded packet is root's (run, 6.18). With a tunnel up nobody has to ask
 * beside it.
 *
 * The tunnel's own subnets come before the LAN, so that neither a LAN nor a
 * DHCP route (option 121) can shadow them. Table 84 never holds a default
 * route, nor one so wide that it holds a whole LAN prefix (0.0.0.0/1).
 *
 * Each packet of an unconnected socket, and each that is forwarded, meets the
 * rules one after the other until one has an answer: some 4 ns each (docs/
 * performance.md). Of the rules without a selector of their own to distinguish
 * them there are as few as keep every promise:
 *
 *   - DNS has one rule for each port, of whatever protocol has ports: one
 *     without `ipproto` is for all of these, and what is sent into the tunnel
 *     for it by mistake (SCTP to port 53) is not opened. Where the kernel keeps
 *     ports it keeps the type and code of ICMP, and no type has these numbers.
 *   - the LAN's prefixes and groups have nothing in common but what is public
 *     as well, and as routes they would have to follow main.
 *   - what programs send cannot be told from the gateway check but by protocol.
 *
 * The LAN is limited to private prefixes: no DHCP route, router advertisement
 * or oddly numbered LAN can pull public traffic out (CVE-2024-3661,
 * CVE-2023-36672, CVE-2023-35838).
 *
 * The gateway check: before the kernel takes an IPv4 route into table main, it
 * looks its gateway up through all rules (fib_check_nh_v4_gw(), net/ipv4/
 * fib_semantics.c). On a network whose gateway is not in a LAN prefix - public
 * addresses, 100.64.0.0/10, Lan=off - it would be told that there is no way to
 * it, NetworkManager could not set the default route, and no transport could
 * leave: a lock-out (run, 6.18). That lookup has no source and no protocol, and
 * is root's; a program's has a protocol, and has ended one rule earlier. What
 * is left are raw sockets of root's with other protocols, to subnets that main
 * knows; the guard does not let them pass.
 *
 * ManagementFrom=: a person who manages the host from outside the LAN keeps the
 * way back. The rule is for packets that already have the address of an uplink
 * as their source, one rule for each address and prefix: what answers a
 * connection has it from the start, and so has the kernel's own reverse lookup
 * of what comes in (rp_filter=1), which swaps source and destination. What a
 * program starts by itself has no source when it is routed, and goes into the
 * tunnel as anything else; one that binds the address is stopped by the guard,
 * which lets nothing by these rules but the replies of connections that the
 * prefix has opened. Hence no such rule without a guard. A mark set by the
 * guard would not do instead: while no tunnel is up, the answer has no route
 * when it is made, and never gets as far as a chain at output.
 *
 * The terminal rule is for IPv6, where a lookup bound to a device skips a
 * blackhole route, and for whoever flushes table 83.
 *
 * Somebody else's rule in front of ours would decide first. It is theirs, and
 * stays; while it is there, one more rule of ours jumps over it, to a rule that
 * does nothing and is always there:
 *
 *   P-1  jump                goto 8300      P is the lowest priority of such a rule
 *   +0   anchor              nop
 *
 * The anchor also keeps rules that are added without a priority out of the
 * middle of ours: the kernel gives them one less than that of the second rule
 * there is (fib_default_rule_pref(), net/core/fib_rules.c).
 *
 * Table local is never jumped over.
 *
 * Routes:
 *
 *   83   default dev TUNNEL [via GATEWAY] metric 100+n   for each tunnel, in order of preference; one that wants no
 *                                                        default route only if no armed VPN wants one
 *        blackhole default metric 200                    always: the kill switch itself
 *        SERVER dev TUNNEL [via GATEWAY] metric 100+n    with several VPNs armed: each one's own DNS servers, since DNS
 *        blackhole SERVER metric 200                     looks up nothing else
 *   84   PREFIX dev TUNNEL [via GATEWAY] metric 100+n    the tunnel's subnets and its DNS servers
 *        blackhole PREFIX metric 200                     also while the tunnel is down, unless an uplink
 *                                                        is directly in a subnet that overlaps
 *        PREFIX dev TUNNEL ..., unreachable, throw       ks-policy-shield.c: unarmed VPNs' tunnels are not the LAN
 *   85   every route of main that does not leave by a tunnel, but for what ks-bypass.h tells
 *        unreachable default metric 4294967295           a transport without an uplink ends here, and is
 *                                                        not sent into its own tunnel
 *   86   SERVER [via GATEWAY] dev UPLINK metric N        what 85 answers for it: the routes of the longest prefix
 *        SERVER [via GATEWAY] dev TUNNEL                 instead, for a VPN inside another one (ks-nesting.h)
 *          metric 4294967294
 *        unreachable SERVER metric 4294967295            as in 85; what was inside does not get beside when the outer
 *                                                        tunnel vanishes
 *   8300, 8301 ... those of 85 by one uplink that have to do with a prefix of ManagementFrom=, for the replies
 *                                                        from its addresses; ended likewise
 *
 * While none is armed there is nothing of ours, but for what ks-bypass.h tells.
 */
#include "policy/ks-policy.h"

#include <string.h>

#include "policy/ks-bypass.h"
#include "policy/ks-policy-builder.h"
#include "policy/ks-query.h"

static void
policy_tunnel_free (gpointer data)
{
  KsPolicyTunnel *tunnel = data;

  g_array_unref (tunnel->addresses);
  g_free (tunnel);
}

static KsPolicy *
policy_new (void)
{
  KsPolicy *policy = g_new0 (KsPolicy, 1);

  policy->rules = g_array_new (FALSE, FALSE, sizeof (KsRule));
  policy->routes = g_array_new (FALSE, FALSE, sizeof (KsRoute));
  policy->transports = g_array_new (FALSE, FALSE, sizeof (KsTransport));
  policy->bootstrap = g_array_new (FALSE, FALSE, sizeof (KsTransport));
  policy->outers = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, g_free);
  policy->names = g_ptr_array_new_with_free_func (g_free);
  policy->management = g_array_new (FALSE, FALSE, sizeof (KsManagement));
  policy->management_prefixes = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  policy->lan_prefixes = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  policy->tunnels = g_ptr_array_new_with_free_func (policy_tunnel_free);
  return policy;
}

void
ks_policy_free (KsPolicy *self)
{
  g_array_unref (self->rules);
  g_array_unref (self->routes);
  g_array_unref (self->transports);
  g_array_unref (self->bootstrap);
  g_hash_table_unref (self->outers);
  g_ptr_array_unref (self->names);
  g_array_unref (self->management);
  g_array_unref (self->management_prefixes);
  g_array_unref (self->lan_prefixes);
  g_ptr_array_unref (self->tunnels);
  g_free (self);
}

gboolean
ks_policy_has_tunnel (const KsPolicy *self, guint ifindex)
{
  for (guint i = 0; i < self->tunnels->len; i++)
    if (((const KsPolicyTunnel *) self->tunnels->pdata[i])->ifindex == ifindex)
      return TRUE;
  return FALSE;
}

/* --- what the armed profiles ask for, together: the strictest wins --- */

/* Higher is stricter. */
static int
lan_strictness (KsLan lan)
{
  switch (lan) {
  case KS_LAN_OFF:
    return 2;
  case KS_LAN_PRIVATE:
    return 1;
  default:
    return 0;
  }
}

static KsLan
effective_lan (const KsPolicyBuilder *b)
{
  KsLan result = KS_LAN_ROUTES;

  for (guint i = 0; i < b->in->armed->len; i++) {
    const KsProfile *profile = b->in->armed->pdata[i];
    KsLan lan = profile->lan == KS_LAN_UNSET ? b->config->lan : profile->lan;

    if (lan_strictness (lan) > lan_strictness (result))
      result = lan;
  }
  return result;
}

static KsDns
effective_dns (const KsPolicyBuilder *b)
{
  for (guint i = 0; i < b->in->armed->len; i++) {
    const KsProfile *profile = b->in->armed->pdata[i];

    if ((profile->dns == KS_DNS_UNSET ? b->config->dns : profile->dns) == KS_DNS_TUNNEL)
      return KS_DNS_TUNNEL;
  }
  return KS_DNS_LAN;
}

/* --- transports --- */

static void
add_transport (GArray *transports, const KsTransport *transport)
{
  for (guint i = 0; i < transports->len; i++)
    if (ks_transport_compare (&g_array_index (transports, KsTransport, i), transport) == 0)
      return;
  g_array_append_val (transports, *transport);
}

/* Puts @transports in order, each once: they may be many, so not while adding. */
static void
sort_transports (GArray *transports)
{
  guint kept = 0;

  g_array_sort (transports, ks_transport_compare);
  for (guint i = 0; i < transports->len; i++) {
    const KsTransport *transport = &g_array_index (transports, KsTransport, i);

    if (kept == 0 || ks_transport_compare (&g_array_index (transports, KsTransport, kept - 1), transport) != 0)
      g_array_index (transports, KsTransport, kept++) = *transport;
  }
  g_array_set_size (transports, kept);
}

/* A resolver at a loopback address is the system's own, not the uplinks'. */
static void
add_uplink_resolvers (const KsPolicyBuilder *b, GArray *addresses)
{
  for (guint i = 0; b->in->resolvers && i < b->in->resolvers->len; i++) {
    const KsPrefix *resolver = &g_array_index (b->in->resolvers, KsPrefix, i);

    if (!ks_prefix_is_loopback (resolver))
      g_array_append_val (addresses, *resolver);
  }
}

/* The addresses of @endpoint: itself, what its name was resolved to, or the uplinks' resolvers (transfer full). */
static GArray *
endpoint_addresses (const KsPolicyBuilder *b, const KsEndpoint *endpoint)
{
  GArray *addresses = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  const GArray *answers = b->in->resolved ? g_hash_table_lookup (b->in->resolved, endpoint->host) : NULL;
  KsPrefix literal;

  if (ks_endpoint_is_resolvers (endpoint))
    add_uplink_resolvers (b, addresses);
  else if (ks_endpoint_get_address (endpoint, &literal))
    g_array_append_val (addresses, literal);
  else if (answers)
    g_array_append_vals (addresses, answers->data, answers->len);
  return addresses;
}

/* The uplinks' own resolvers are not to be found through a tunnel. */
static void
nest_servers (const KsPolicyBuilder *b)
{
  for (guint i = 0; i < b->connecting->len; i++) {
    const KsProfile *profile = b->connecting->pdata[i];

    for (guint j = 0; j < profile->endpoints->len; j++) {
      const KsEndpoint *endpoint = profile->endpoints->pdata[j];
      g_autoptr (GArray) addresses = endpoint_addresses (b, endpoint);

      for (guint k = 0; k < addresses->len; k++)
        if (ks_prefix_is_host (&g_array_index (addresses, KsPrefix, k)))
          ks_nesting_add (b->nesting, profile, &g_array_index (addresses, KsPrefix, k),
                          ks_endpoint_is_resolvers (endpoint));
    }
  }
  ks_nesting_decide (b->nesting);
  for (guint i = 0; i < b->connecting->len; i++) {
    const KsTunnel *outer = ks_nesting_find_outer (b->nesting, b->connecting->pdata[i]);

    if (outer)
      g_hash_table_insert (b->policy->outers, g_strdup (ks_profile_key (b->connecting->pdata[i])),
                           g_strdup (outer->key));
  }
}

/* To the profile's servers, by whoever sends the transport. What a section says holds all at once. */
static void
add_endpoint_transports (KsPolicyBuilder *b, const KsProfile *profile)
{
  gboolean is_section = profile->vpn_type == KS_VPN_SECTION;
  gboolean kernel = profile->kernel || profile->vpn_type == KS_VPN_WIREGUARD || profile->vpn_type == KS_VPN_IP_TUNNEL;
  const KsTunnel *tunnel = ks_tunnel_find (b->in->tunnels, ks_profile_key (profile));

  for (guint i = 0; i < profile->endpoints->len; i++) {
    const KsEndpoint *endpoint = profile->endpoints->pdata[i];
    g_autoptr (GArray) addresses = endpoint_addresses (b, endpoint);

    for (guint j = 0; j < addresses->len; j++)
      for (guint k = 0; k < profile->uids->len; k++) {
        KsPrefix to = g_array_index (addresses, KsPrefix, j);
        const KsTunnel *outer = ks_nesting_find (b->nesting, &to);
        KsTransport transport = {
          .family = to.family,
          .to = to.length > 0 ? to : KS_PREFIX_UNSET, /* a section without servers */
          .ip_protocol = endpoint->ip_protocol,
          .sport = is_section ? profile->listen_port : 0,
          .dport = endpoint->port,
          .fwmark = is_section ? profile->fwmark : 0,
          .uid = g_array_index (profile->uids, guint32, k),
          .kernel = kernel,
          .carriage = endpoint->carriage,
        };

        if (tunnel && (endpoint->carriage != KS_CARRIAGE_PLAIN || profile->kernel))
          g_strlcpy (transport.device, tunnel->interface, sizeof transport.device);
        if (outer)
          g_strlcpy (transport.outer, outer->interface, sizeof transport.outer);
        g_array_append_val (b->policy->transports, transport);
      }
  }
}

/*
 * From WireGuard's port and with its mark, to wherever its peers have roamed.
 * Kernel WireGuard routes as uid 0. The mark does not replace the port: with
 * strict reverse-path filtering a mark alone loses the answers (run, Linux 6.1).
 *
 * Only while the device exists: until then nobody sends from that port, and a
 * handshake goes to an endpoint the profile names. NetworkManager waits for us
 * at pre-up.
 *
 * Not while it is inside another VPN: port and mark would lead beside it. Its
 * servers' routes alone lead inside, and no peer roams in there.
 */
static void
add_wireguard_transports (KsPolicyBuilder *b, const KsProfile *profile)
{
  const KsTunnel *tunnel = ks_tunnel_find (b->in->tunnels, ks_profile_key (profile));
  guint16 port;
  guint32 mark;

  if (!tunnel || ks_nesting_find_outer (b->nesting, profile))
    return;
  port = tunnel->listen_port ? tunnel->listen_port : profile->listen_port;
  /* a device whose port is known has told its mark too: a profile changed meanwhile does not count yet */
  mark = tunnel->listen_port || tunnel->fwmark ? tunnel->fwmark : profile->fwmark;
  for (guint i = 0; i < ks_policy_family_count (b); i++) {
    KsTransport transport = { .family = ks_policy_families[i], .ip_protocol = IPPROTO_UDP, .kernel = TRUE };

    g_strlcpy (transport.device, tunnel->interface, sizeof transport.device);
    if (port) {
      transport.sport = port;
      g_array_append_val (b->policy->transports, transport);
      transport.sport = 0;
    }
    if (mark) {
      transport.fwmark = mark;
      transport.uid = KS_UID_ANY;
      g_array_append_val (b->policy->transports, transport);
    }
  }
}

/* Whether packets have a way out: a query for a name can go there, like all else. */
static gboolean
is_any_tunnel_up (const KsPolicyBuilder *b)
{
  for (guint i = 0; i < b->in->tunnels->len; i++)
    if (((const KsTunnel *) b->in->tunnels->pdata[i])->ifindex)
      return TRUE;
  return FALSE;
}

static void
add_name (KsPolicyBuilder *b, const char *spelling)
{
  g_autofree char *name = ks_query_name (spelling);

  if (name && !g_ptr_array_find_with_equal_func (b->policy->names, name, g_str_equal, NULL))
    g_ptr_array_add (b->policy->names, g_steal_pointer (&name));
}

/* The servers' names, and what else these names are known to be. */
static void
add_names (KsPolicyBuilder *b)
{
  g_autoptr (GPtrArray) hosts = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < b->connecting->len; i++)
    ks_endpoint_collect_names (((const KsProfile *) b->connecting->pdata[i])->endpoints, hosts);
  for (guint i = 0; i < hosts->len; i++)
    add_name (b, hosts->pdata[i]);
  for (guint i = 0; b->in->aliases && i < hosts->len; i++) {
    const GPtrArray *aliases = g_hash_table_lookup (b->in->aliases, hosts->pdata[i]);

    for (guint j = 0; aliases && j < aliases->len; j++)
      add_name (b, aliases->pdata[j]);
  }
}

/* Who may ask: root, and the system's resolver where a guard sees what it asks for. */
static GArray *
asking_uids (const KsPolicyBuilder *b)
{
  GArray *uids = g_array_new (FALSE, FALSE, sizeof (guint32));
  guint32 root = 0;

  g_array_append_val (uids, root);
  if (b->in->resolver_uids && !b->policy->any_name)
    g_array_append_vals (uids, b->in->resolver_uids->data, b->in->resolver_uids->len);
  return uids;
}

static void
add_bootstrap (KsPolicyBuilder *b)
{
  g_autoptr (GArray) uids = NULL;

  if (b->in->no_names || is_any_tunnel_up (b) || !b->in->resolvers || b->in->resolvers->len == 0)
    return;
  add_names (b);
  if (b->policy->names->len == 0)
    return;

  b->policy->any_name = !b->policy->guard || b->in->no_guard;
  uids = asking_uids (b);
  for (guint i = 0; i < b->in->resolvers->len; i++)
    for (guint j = 0; j < uids->len; j++) {
      KsPrefix to = g_array_index (b->in->resolvers, KsPrefix, i);
      KsTransport transport = {
        .family = to.family,
        .to = to,
        .ip_protocol = IPPROTO_UDP,
        .dport = 53,
        .uid = g_array_index (uids, guint32, j),
      };

      if (!ks_prefix_is_loopback (&to))
        add_transport (b->policy->bootstrap, &transport);
    }
}

/* --- rules --- */

static void
add_rule (KsPolicyBuilder *b, const KsRule *rule)
{
  g_array_append_val (b->policy->rules, *rule);
}

static KsRule
lookup (const KsPolicyBuilder *b, int family, guint32 offset, guint32 table)
{
  return ks_rule_lookup (family, b->config->priority + offset, b->config->protocol, table);
}

/* One rule for each selector: servers with the same one share it, and so may two profiles with one port. */
static void
add_transport_rules (KsPolicyBuilder *b, int family)
{
  g_autoptr (GArray) rules = g_array_new (FALSE, FALSE, sizeof (KsRule));
  const GArray *transports = b->policy->transports;

  for (guint i = 0; i < transports->len; i++) {
    const KsTransport *transport = &g_array_index (transports, KsTransport, i);
    KsRule rule = ks_transport_rule (transport, b->config, b->config->priority + KS_PRIORITY_TRANSPORT);

    if (transport->family == family)
      g_array_append_val (rules, rule);
  }
  g_array_sort (rules, ks_rule_compare);
  for (guint i = 0; i < rules->len; i++) {
    const KsRule *rule = &g_array_index (rules, KsRule, i);

    if (i == 0 || !ks_rule_equal (&g_array_index (rules, KsRule, i - 1), rule))
      add_rule (b, rule);
  }
}

/* The uplinks' resolvers are no servers: each has a rule of its own, to its address. */
static void
add_bootstrap_rules (KsPolicyBuilder *b, int family)
{
  for (guint i = 0; i < b->policy->bootstrap->len; i++) {
    const KsTransport *transport = &g_array_index (b->policy->bootstrap, KsTransport, i);
    KsRule rule = ks_transport_rule (transport, b->config, b->config->priority + KS_PRIORITY_BOOTSTRAP);

    rule.to = transport->to;
    rule.table = b->config->uplink_table;
    if (transport->family == family)
      add_rule (b, &rule);
  }
}

/* A renewal is unicast, and its server may be outside the LAN (a relay). */
static void
add_dhcp_rule (KsPolicyBuilder *b, int family)
{
  KsRule rule = lookup (b, family, KS_PRIORITY_DHCP, b->config->uplink_table);
  guint16 client = family == AF_INET ? 68 : 546;
  guint16 server = family == AF_INET ? 67 : 547;

  rule.ip_protocol = IPPROTO_UDP;
  rule.sport = (KsPortRange){ client, client };
  rule.dport = (KsPortRange){ server, server };
  rule.has_uid_range = TRUE;
  add_rule (b, &rule);
}

/* The replies from each address to each prefix; ks_policy_add_management() has found the addresses. */
static void
add_management_rules (KsPolicyBuilder *b, int family)
{
  for (guint i = 0; i < b->policy->management->len; i++) {
    const KsManagement *entry = &g_array_index (b->policy->management, KsManagement, i);
    KsRule rule = lookup (b, family, KS_PRIORITY_MANAGEMENT, entry->table);

    rule.from = entry->address;
    for (guint j = 0; j < b->policy->management_prefixes->len; j++) {
      rule.to = g_array_index (b->policy->management_prefixes, KsPrefix, j);
      if (rule.from.family == family && rule.to.family == family)
        add_rule (b, &rule);
    }
  }
}

static void
add_dns_rules (KsPolicyBuilder *b, int family)
{
  static const guint16 ports[] = { 53, 853 };

  for (guint i = 0; i < G_N_ELEMENTS (ports); i++) {
    KsRule rule = lookup (b, family, KS_PRIORITY_DNS, b->config->table);

    rule.dport = (KsPortRange){ ports[i], ports[i] };
    add_rule (b, &rule);
  }
}

static void
add_lan_rules (KsPolicyBuilder *b, int family)
{
  KsRule rule = lookup (b, family, KS_PRIORITY_LAN, RT_TABLE_MAIN);

  rule.suppress_prefixlength = 0;
  if (b->policy->lan == KS_LAN_ROUTES) {
    add_rule (b, &rule);
    return;
  }
  for (guint i = 0; i < b->policy->lan_prefixes->len; i++) {
    rule.to = g_array_index (b->policy->lan_prefixes, KsPrefix, i);
    if (rule.to.family == family)
      add_rule (b, &rule);
  }
}

const char *const ks_policy_multicast_groups[] = { "224.0.0.0/24", "239.255.0.0/16", "255.255.255.255", NULL };

/*
 * Multicast that no router forwards beyond the site, from a socket that names
 * no device (one that does skips the lookup). IPv6 has ff00::/8 in table local.
 */
static void
add_multicast_rules (KsPolicyBuilder *b)
{
  for (guint i = 0; ks_policy_multicast_groups[i]; i++) {
    KsRule rule = lookup (b, AF_INET, KS_PRIORITY_MULTICAST, b->config->uplink_table);

    ks_prefix_parse (ks_policy_multicast_groups[i], &rule.to, NULL);
    add_rule (b, &rule);
  }
}

/* IPv4's check of a new route's gateway, and nothing else that a program could send. */
static void
add_gateway_rules (KsPolicyBuilder *b)
{
  /* what is looked up most often first: each packet of an unconnected socket */
  static const guint8 protocols[] = { IPPROTO_UDP, IPPROTO_TCP, IPPROTO_ICMP };
  KsRule rule;

  for (guint i = 0; i < G_N_ELEMENTS (protocols); i++) {
    rule = lookup (b, AF_INET, KS_PRIORITY_PROGRAMS + i, b->config->table);
    rule.ip_protocol = protocols[i];
    add_rule (b, &rule);
  }
  rule = lookup (b, AF_INET, KS_PRIORITY_GATEWAY, RT_TABLE_MAIN);
  ks_prefix_parse ("0.0.0.0/32", &rule.from, NULL);
  rule.has_uid_range = TRUE;
  /* no subnet a host is in is wider than a /8: this leaves out option 121's 0.0.0.0/1 */
  rule.suppress_prefixlength = 7;
  add_rule (b, &rule);
}

static gboolean
is_local_lookup (const KsRule *rule)
{
  return rule->action == FR_ACT_TO_TBL && rule->table == RT_TABLE_LOCAL;
}

/* Whether every packet matches. */
static gboolean
is_for_all (const KsRule *rule)
{
  KsRule plain = ks_rule_init (rule->family, rule->priority, rule->protocol);

  plain.action = rule->action;
  plain.table = rule->table;
  return ks_rule_equal (rule, &plain);
}

/* Whether a rule of somebody else's, in front of ours, could send a packet anywhere. */
static gboolean
is_in_front (const KsPolicyBuilder *b, const KsRule *rule, int family)
{
  return rule->family == family && rule->priority < b->config->priority && !ks_owner_has_rule (b->config, rule)
         && !is_local_lookup (rule) && (rule->action == FR_ACT_TO_TBL || rule->action == FR_ACT_GOTO);
}

/*
 * Behind table local, before the first rule that could open something. One
 * that stands before table local, or shares its priority, cannot be jumped
 * over; the guard and the proof still see what it does.
 */
static void
add_jump (KsPolicyBuilder *b, int family)
{
  guint32 floor = G_MAXUINT32; /* the jump must not come before this priority */
  guint32 first = G_MAXUINT32;
  KsRule jump;

  for (guint i = 0; b->in->rules && i < b->in->rules->len; i++) {
    const KsRule *rule = &g_array_index (b->in->rules, KsRule, i);

    /* the first one that every packet meets; a later one, or one with a selector, is nothing to wait for */
    if (rule->family == family && is_local_lookup (rule) && is_for_all (rule))
      floor = MIN (floor, rule->priority);
  }
  if (floor == G_MAXUINT32)
    floor = 0;
  for (guint i = 0; b->in->rules && i < b->in->rules->len; i++) {
    const KsRule *rule = &g_array_index (b->in->rules, KsRule, i);

    if (is_in_front (b, rule, family) && rule->priority > floor)
      first = MIN (first, rule->priority);
  }
  if (first == G_MAXUINT32)
    return;
  jump = ks_rule_init (family, first - 1, b->config->protocol);
  jump.action = FR_ACT_GOTO;
  jump.goto_target = b->config->priority;
  add_rule (b, &jump);
}

static void
add_rules (KsPolicyBuilder *b, int family)
{
  KsRule terminal = ks_rule_init (family, b->config->priority + KS_PRIORITY_TERMINAL, b->config->protocol);
  KsRule anchor = ks_rule_init (family, b->config->priority, b->config->protocol);
  KsRule rule;

  add_jump (b, family);
  add_rule (b, &anchor);
  add_transport_rules (b, family);
  add_bootstrap_rules (b, family);
  add_dhcp_rule (b, family);
  add_management_rules (b, family);
  if (b->policy->dns == KS_DNS_TUNNEL)
    add_dns_rules (b, family);
  rule = lookup (b, family, KS_PRIORITY_TUNNEL, b->config->tunnel_table);
  add_rule (b, &rule);
  if (b->policy->lan != KS_LAN_OFF) {
    add_lan_rules (b, family);
    if (family == AF_INET)
      add_multicast_rules (b);
  }
  if (family == AF_INET)
    add_gateway_rules (b);
  rule = lookup (b, family, KS_PRIORITY_DEFAULT, b->config->table);
  add_rule (b, &rule);
  terminal.action = FR_ACT_UNREACHABLE;
  add_rule (b, &terminal);
}

/* --- together --- */

static void
add_policy_tunnels (KsPolicyBuilder *b)
{
  for (guint i = 0; i < b->in->tunnels->len; i++) {
    const KsTunnel *tunnel = b->in->tunnels->pdata[i];
    KsPolicyTunnel *copy;

    if (!tunnel->ifindex)
      continue;
    copy = g_new0 (KsPolicyTunnel, 1);
    g_strlcpy (copy->interface, tunnel->interface, sizeof copy->interface);
    copy->ifindex = tunnel->ifindex;
    copy->addresses = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
    for (guint j = 0; j < tunnel->addresses->len; j++) {
      KsPrefix host = ks_prefix_host (&g_array_index (tunnel->addresses, KsPrefix, j));

      ks_prefix_array_add (copy->addresses, &host);
    }
    g_ptr_array_add (b->policy->tunnels, copy);
  }
}

/* A session begins only once the VPN is up: until then it has to get past what another profile blocks. */
static GPtrArray *
connecting_profiles (const KsPolicyInput *input)
{
  GPtrArray *profiles = g_ptr_array_new ();

  g_ptr_array_extend (profiles, (GPtrArray *) input->armed, NULL, NULL);
  if (input->standby)
    g_ptr_array_extend (profiles, (GPtrArray *) input->standby, NULL, NULL);
  return profiles;
}

KsPolicy *
ks_policy_compute (const KsPolicyInput *input)
{
  KsPolicy *policy = policy_new ();
  KsPolicyBuilder b = { .in = input, .config = input->config, .policy = policy };
  g_autoptr (KsNesting) nesting = NULL;
  g_autoptr (GPtrArray) connecting = NULL;

  if (input->armed->len == 0) {
    ks_bypass_compute (input->config, input->main_routes, policy->routes);
    ks_policy_sort_routes (policy->routes);
    return policy;
  }

  policy->armed = TRUE;
  policy->servers_table = input->config->servers_table;
  policy->uplink_table = input->config->uplink_table;
  policy->guard = input->config->guard;
  policy->lan = effective_lan (&b);
  policy->dns = effective_dns (&b);
  if (policy->lan != KS_LAN_OFF)
    g_array_append_vals (policy->lan_prefixes, input->config->lan_prefixes->data, input->config->lan_prefixes->len);
  b.connecting = connecting = connecting_profiles (input);
  b.nesting = nesting = ks_nesting_new (input->config, input->armed, input->tunnels);
  nest_servers (&b);
  for (guint i = 0; i < connecting->len; i++) {
    const KsProfile *profile = connecting->pdata[i];

    add_endpoint_transports (&b, profile);
    if (profile->vpn_type == KS_VPN_WIREGUARD)
      add_wireguard_transports (&b, profile);
  }
  add_bootstrap (&b);
  sort_transports (policy->transports);
  add_policy_tunnels (&b);

  ks_policy_add_routes (&b);
  for (guint i = 0; i < ks_policy_family_count (&b); i++)
    add_rules (&b, ks_policy_families[i]);
  return policy;
}
