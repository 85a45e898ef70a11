/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is blocked, what is not, and why.
 *
 * While at least one profile is armed, each family has these rules, numbered
 * from KsConfig.priority (8300):
 *
 *   +0   transports          from all [to SERVER] ipproto P [sport|dport N] [fwmark M] uidrange U-U lookup 85
 *   +5   bootstrap DNS       to RESOLVER ipproto udp|tcp dport 53 uidrange U-U lookup 85
 *   +7   DHCP renewal        ipproto udp sport 68 dport 67 uidrange 0-0 lookup 85   (IPv6: 546, 547)
 *   +10  DNS                 ipproto udp|tcp dport 53|853 lookup 83
 *   +20  the tunnel's own    lookup 84
 *   +30  LAN                 to PREFIX lookup main suppress_prefixlength 0
 *   +35  LAN multicast       to 224.0.0.0/24|239.255.0.0/16|255.255.255.255 lookup 85
 *   +80  everything          lookup 83
 *   +90  terminal            unreachable
 *
 * Transports come first: a VPN may use port 53, or push a route that covers
 * its own server. They look up table 85, not main: for a plugin VPN
 * NetworkManager puts the tunnel's default route into main, and the transport
 * would be sent into its own tunnel.
 *
 * The tunnel's own subnets come before the LAN, so that neither a LAN nor a
 * DHCP route (option 121) can shadow them. Table 84 never holds a default
 * route, nor one so wide that it holds a whole LAN prefix (0.0.0.0/1).
 *
 * The LAN is limited to private prefixes: no DHCP route, router advertisement
 * or oddly numbered LAN can pull public traffic out (CVE-2024-3661,
 * CVE-2023-36672, CVE-2023-35838).
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
 * Table local is never jumped over.
 *
 * Routes:
 *
 *   83   default dev TUNNEL [via GATEWAY] metric 100+n   for each tunnel, in order of preference
 *        blackhole default metric 200                    always: the kill switch itself
 *   84   PREFIX dev TUNNEL [via GATEWAY] metric 100+n    the tunnel's subnets and its DNS servers
 *        blackhole PREFIX metric 200                     also while the tunnel is down, unless an uplink
 *                                                        is directly in a subnet that overlaps
 *   85   every route of main that does not leave by a tunnel
 *        unreachable default metric 4294967295           a transport without an uplink ends here, and is
 *                                                        not sent into its own tunnel
 *
 * While none is armed there is nothing of ours, but for what ks-bypass.h tells.
 */
#include "policy/ks-policy.h"

#include <string.h>

#include "policy/ks-bypass.h"

typedef struct {
  const KsPolicyInput *in;
  const KsConfig *config;
  KsPolicy *policy;
} Builder;

static const int families[] = { AF_INET, AF_INET6 };

static guint
count_families (const Builder *b)
{
  return b->in->no_ipv6 ? 1 : G_N_ELEMENTS (families);
}

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
  g_array_unref (self->lan_prefixes);
  g_ptr_array_unref (self->tunnels);
  g_free (self);
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
effective_lan (const Builder *b)
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
effective_dns (const Builder *b)
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

/* The addresses of @host: itself, or what its name was resolved to (transfer full). */
static GArray *
endpoint_addresses (const Builder *b, const char *host)
{
  GArray *addresses = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  const GArray *answers = b->in->resolved ? g_hash_table_lookup (b->in->resolved, host) : NULL;
  KsPrefix literal;

  if (ks_prefix_parse (host, &literal, NULL))
    g_array_append_val (addresses, literal);
  else if (answers)
    g_array_append_vals (addresses, answers->data, answers->len);
  return addresses;
}

static const KsTunnel *
tunnel_of (const Builder *b, const KsProfile *profile)
{
  for (guint i = 0; i < b->in->tunnels->len; i++) {
    const KsTunnel *tunnel = b->in->tunnels->pdata[i];

    if (g_strcmp0 (tunnel->key, ks_profile_key (profile)) == 0)
      return tunnel;
  }
  return NULL;
}

/* To the profile's servers, by whoever sends the transport. */
static void
add_endpoint_transports (Builder *b, const KsProfile *profile)
{
  gboolean kernel = profile->vpn_type == KS_VPN_WIREGUARD || profile->vpn_type == KS_VPN_IP_TUNNEL;

  for (guint i = 0; i < profile->endpoints->len; i++) {
    const KsEndpoint *endpoint = profile->endpoints->pdata[i];
    g_autoptr (GArray) addresses = endpoint_addresses (b, endpoint->host);

    for (guint j = 0; j < addresses->len; j++)
      for (guint k = 0; k < profile->uids->len; k++) {
        KsPrefix to = g_array_index (addresses, KsPrefix, j);
        KsTransport transport = {
          .family = to.family,
          .to = to,
          .ip_protocol = endpoint->ip_protocol,
          .dport = endpoint->port,
          .uid = g_array_index (profile->uids, guint32, k),
          .kernel = kernel,
        };

        add_transport (b->policy->transports, &transport);
      }
  }
}

/*
 * From WireGuard's port and with its mark. Kernel WireGuard routes as uid 0.
 * The mark does not replace the port: with strict reverse-path filtering a
 * mark alone loses the answers (run, Linux 6.1).
 */
static void
add_wireguard_transports (Builder *b, const KsProfile *profile)
{
  const KsTunnel *tunnel = tunnel_of (b, profile);
  guint16 port = tunnel && tunnel->listen_port ? tunnel->listen_port : profile->listen_port;
  guint32 mark = tunnel && tunnel->fwmark ? tunnel->fwmark : profile->fwmark;

  for (guint i = 0; i < count_families (b); i++) {
    KsTransport transport = { .family = families[i], .ip_protocol = IPPROTO_UDP, .kernel = TRUE };

    if (tunnel)
      g_strlcpy (transport.device, tunnel->interface, sizeof transport.device);
    else if (profile->interface)
      g_strlcpy (transport.device, profile->interface, sizeof transport.device);
    if (port) {
      transport.sport = port;
      add_transport (b->policy->transports, &transport);
      transport.sport = 0;
    }
    if (mark) {
      transport.fwmark = mark;
      transport.uid = KS_UID_ANY;
      add_transport (b->policy->transports, &transport);
    }
  }
}

/* A resolver inside another tunnel that is up: asking it by the uplink would show the questions to the LAN. */
static gboolean
is_tunnel_nameserver (const Builder *b, const KsPrefix *address)
{
  for (guint i = 0; i < b->in->tunnels->len; i++)
    if (ks_prefix_array_contains (((const KsTunnel *) b->in->tunnels->pdata[i])->nameservers, address))
      return TRUE;
  return FALSE;
}

/*
 * While an armed profile is down whose server is a name, root and the system's
 * resolver may ask the resolvers that the uplinks were given.
 */
static void
add_bootstrap (Builder *b)
{
  static const guint8 protocols[] = { IPPROTO_UDP, IPPROTO_TCP };
  g_autoptr (GArray) uids = g_array_new (FALSE, FALSE, sizeof (guint32));
  guint32 root = 0;
  gboolean needed = FALSE;

  for (guint i = 0; i < b->in->armed->len; i++) {
    const KsProfile *profile = b->in->armed->pdata[i];

    if (tunnel_of (b, profile))
      continue;
    for (guint j = 0; j < profile->endpoints->len; j++) {
      const KsEndpoint *endpoint = profile->endpoints->pdata[j];
      KsPrefix literal;

      needed = needed || !ks_prefix_parse (endpoint->host, &literal, NULL);
    }
  }
  if (!needed || !b->in->resolvers)
    return;

  g_array_append_val (uids, root);
  if (b->in->resolver_uids)
    g_array_append_vals (uids, b->in->resolver_uids->data, b->in->resolver_uids->len);

  for (guint i = 0; i < b->in->resolvers->len; i++)
    for (guint j = 0; j < G_N_ELEMENTS (protocols); j++)
      for (guint k = 0; k < uids->len; k++) {
        KsPrefix to = g_array_index (b->in->resolvers, KsPrefix, i);
        KsTransport transport = {
          .family = to.family,
          .to = to,
          .ip_protocol = protocols[j],
          .dport = 53,
          .uid = g_array_index (uids, guint32, k),
        };

        if (!ks_prefix_is_loopback (&to) && !is_tunnel_nameserver (b, &to))
          add_transport (b->policy->bootstrap, &transport);
      }
}

/* --- rules --- */

static void
add_rule (Builder *b, const KsRule *rule)
{
  g_array_append_val (b->policy->rules, *rule);
}

static KsRule
lookup (const Builder *b, int family, guint32 offset, guint32 table)
{
  return ks_rule_lookup (family, b->config->priority + offset, b->config->protocol, table);
}

static void
add_transport_rules (Builder *b, int family, const GArray *transports, guint32 offset)
{
  for (guint i = 0; i < transports->len; i++) {
    const KsTransport *transport = &g_array_index (transports, KsTransport, i);
    KsRule rule = ks_transport_rule (transport, b->config->priority + offset, b->config->protocol,
                                     b->config->uplink_table);
    gboolean known = FALSE;

    if (transport->family != family)
      continue;
    /* Two profiles may share a port; the kernel wants each selector once. */
    for (guint j = 0; j < b->policy->rules->len && !known; j++)
      known = ks_rule_equal (&g_array_index (b->policy->rules, KsRule, j), &rule);
    if (!known)
      add_rule (b, &rule);
  }
}

/* A renewal is unicast, and its server may be outside the LAN (a relay). */
static void
add_dhcp_rule (Builder *b, int family)
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

static void
add_dns_rules (Builder *b, int family)
{
  static const struct {
    guint8 ip_protocol;
    guint16 port;
  } dns[] = { { IPPROTO_UDP, 53 }, { IPPROTO_TCP, 53 }, { IPPROTO_TCP, 853 }, { IPPROTO_UDP, 853 } };

  for (guint i = 0; i < G_N_ELEMENTS (dns); i++) {
    KsRule rule = lookup (b, family, KS_PRIORITY_DNS, b->config->table);

    rule.ip_protocol = dns[i].ip_protocol;
    rule.dport = (KsPortRange){ dns[i].port, dns[i].port };
    add_rule (b, &rule);
  }
}

static void
add_lan_rules (Builder *b, int family)
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

/*
 * Multicast that no router forwards beyond the site, from a socket that names
 * no device (one that does skips the lookup). IPv6 has ff00::/8 in table local.
 */
static void
add_multicast_rules (Builder *b)
{
  static const char *const groups[] = { "224.0.0.0/24", "239.255.0.0/16", "255.255.255.255" };

  for (guint i = 0; i < G_N_ELEMENTS (groups); i++) {
    KsRule rule = lookup (b, AF_INET, KS_PRIORITY_MULTICAST, b->config->uplink_table);

    ks_prefix_parse (groups[i], &rule.to, NULL);
    add_rule (b, &rule);
  }
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
is_in_front (const Builder *b, const KsRule *rule, int family)
{
  return rule->family == family && rule->priority < b->config->priority && !ks_policy_owns_rule (b->config, rule)
         && !is_local_lookup (rule) && (rule->action == FR_ACT_TO_TBL || rule->action == FR_ACT_GOTO);
}

/*
 * Behind table local, before the first rule that could open something. One
 * that stands before table local, or shares its priority, cannot be jumped
 * over; the guard and the proof still see what it does.
 */
static void
add_jump (Builder *b, int family)
{
  guint32 floor = G_MAXUINT32; /* the jump must not come before this priority */
  guint32 first = G_MAXUINT32;
  KsRule anchor = ks_rule_init (family, b->config->priority, b->config->protocol);
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
  add_rule (b, &anchor);
}

static void
add_rules (Builder *b, int family)
{
  KsRule terminal = ks_rule_init (family, b->config->priority + KS_PRIORITY_TERMINAL, b->config->protocol);
  KsRule rule;

  add_jump (b, family);
  add_transport_rules (b, family, b->policy->transports, KS_PRIORITY_TRANSPORT);
  add_transport_rules (b, family, b->policy->bootstrap, KS_PRIORITY_BOOTSTRAP);
  add_dhcp_rule (b, family);
  if (b->policy->dns == KS_DNS_TUNNEL)
    add_dns_rules (b, family);
  rule = lookup (b, family, KS_PRIORITY_TUNNEL, b->config->tunnel_table);
  add_rule (b, &rule);
  if (b->policy->lan != KS_LAN_OFF) {
    add_lan_rules (b, family);
    if (family == AF_INET)
      add_multicast_rules (b);
  }
  rule = lookup (b, family, KS_PRIORITY_DEFAULT, b->config->table);
  add_rule (b, &rule);
  terminal.action = FR_ACT_UNREACHABLE;
  add_rule (b, &terminal);
}

/* --- routes --- */

static void
add_route (Builder *b, const KsRoute *route)
{
  g_array_append_val (b->policy->routes, *route);
}

static int
compare_routes (gconstpointer a, gconstpointer b)
{
  return ks_route_compare (a, b);
}

/* Puts the routes in order, each once: main may be long, so not while adding. */
static void
sort_routes (GArray *routes)
{
  guint kept = 0;

  g_array_sort (routes, compare_routes);
  for (guint i = 0; i < routes->len; i++) {
    const KsRoute *route = &g_array_index (routes, KsRoute, i);

    if (kept == 0 || !ks_route_equal (&g_array_index (routes, KsRoute, kept - 1), route))
      g_array_index (routes, KsRoute, kept++) = *route;
  }
  g_array_set_size (routes, kept);
}

/* The metric of the tunnel that is @index-th in preference; always before the blackhole's. */
static guint32
tunnel_metric (const Builder *b, guint index)
{
  return MIN (b->config->tunnel_metric + index, b->config->blackhole_metric - 1);
}

/* A profile may name IPv6 subnets all the same. */
static void
drop_ipv6_routes (GArray *routes)
{
  for (guint i = routes->len; i-- > 0;)
    if (g_array_index (routes, KsRoute, i).family == AF_INET6)
      g_array_remove_index (routes, i);
}

static void
add_default_routes (Builder *b)
{
  for (guint i = 0; i < count_families (b); i++) {
    KsPrefix all = ks_prefix_default (families[i]);
    KsRoute blackhole = ks_route_blackhole (b->config->table, b->config->protocol, &all, b->config->blackhole_metric);

    add_route (b, &blackhole);
  }
  for (guint i = 0; i < b->in->tunnels->len; i++) {
    const KsTunnel *tunnel = b->in->tunnels->pdata[i];

    for (guint j = 0; j < count_families (b); j++) {
      KsPrefix all = ks_prefix_default (families[j]);
      gboolean carries = families[j] == AF_INET ? tunnel->has_ipv4 : tunnel->has_ipv6;
      const KsPrefix *gateway = families[j] == AF_INET ? &tunnel->gateway4 : &tunnel->gateway6;
      KsRoute route = ks_route_via (b->config->table, b->config->protocol, &all, tunnel_metric (b, i),
                                    tunnel->ifindex, gateway);

      if (carries && tunnel->ifindex)
        add_route (b, &route);
    }
  }
}

/*
 * Whether @prefix may stand in table 84: specific, unicast, and not so wide
 * that it takes a LAN prefix whole, or the multicast groups (224.0.0.0/3 is
 * among the allowed IPs of "everything but private addresses").
 */
static gboolean
is_specific (const Builder *b, const KsPrefix *prefix)
{
  KsPrefix multicast;

  ks_prefix_parse (prefix->family == AF_INET6 ? "ff00::/8" : "224.0.0.0/4", &multicast, NULL);
  if (prefix->length == 0 || ks_prefix_overlaps (prefix, &multicast) || ks_prefix_is_link_local (prefix)
      || ks_prefix_is_loopback (prefix))
    return FALSE;
  for (guint i = 0; i < b->config->lan_prefixes->len; i++) {
    const KsPrefix *lan = &g_array_index (b->config->lan_prefixes, KsPrefix, i);

    if (prefix->length < lan->length && ks_prefix_contains (prefix, lan))
      return FALSE;
  }
  return TRUE;
}

static gboolean
is_tunnel_index (const Builder *b, guint ifindex)
{
  for (guint i = 0; i < b->in->tunnels->len; i++) {
    const KsTunnel *tunnel = b->in->tunnels->pdata[i];

    if (tunnel->ifindex && tunnel->ifindex == ifindex)
      return TRUE;
  }
  return FALSE;
}

static gboolean
leaves_by_tunnel_only (const Builder *b, const KsRoute *route)
{
  if (route->n_nexthops == 0)
    return FALSE;
  for (guint i = 0; i < route->n_nexthops; i++)
    if (!is_tunnel_index (b, route->nexthops[i].ifindex))
      return FALSE;
  return TRUE;
}

/* Whether an uplink is directly in a subnet that overlaps @prefix: the home LAN numbered like the company's. */
static gboolean
overlaps_uplink (const Builder *b, const KsPrefix *prefix)
{
  for (guint i = 0; b->in->main_routes && i < b->in->main_routes->len; i++) {
    const KsRoute *route = &g_array_index (b->in->main_routes, KsRoute, i);
    gboolean direct = route->type == RTN_UNICAST && route->protocol == RTPROT_KERNEL && route->n_nexthops > 0
                      && !ks_prefix_is_set (&route->nexthops[0].gateway) && !ks_route_is_default (route);

    if (direct && !leaves_by_tunnel_only (b, route) && ks_prefix_overlaps (&route->dst, prefix))
      return TRUE;
  }
  return FALSE;
}

static void
add_tunnel_blackhole (Builder *b, const KsPrefix *prefix)
{
  KsRoute route = ks_route_blackhole (b->config->tunnel_table, b->config->protocol, prefix,
                                      b->config->blackhole_metric);

  if (is_specific (b, &route.dst) && !overlaps_uplink (b, &route.dst))
    add_route (b, &route);
}

static void
add_tunnel_blackholes (Builder *b, const GArray *prefixes)
{
  for (guint i = 0; prefixes && i < prefixes->len; i++)
    add_tunnel_blackhole (b, &g_array_index (prefixes, KsPrefix, i));
}

static void
add_tunnel_route (Builder *b, guint index, const KsPrefix *prefix, const KsPrefix *gateway)
{
  const KsTunnel *tunnel = b->in->tunnels->pdata[index];
  gboolean carries = prefix->family == AF_INET ? tunnel->has_ipv4 : tunnel->has_ipv6;
  KsRoute route = ks_route_via (b->config->tunnel_table, b->config->protocol, prefix, tunnel_metric (b, index),
                                tunnel->ifindex, gateway);

  if (carries && tunnel->ifindex && is_specific (b, &route.dst))
    add_route (b, &route);
}

static void
add_tunnel_routes (Builder *b)
{
  for (guint i = 0; i < b->in->tunnels->len; i++) {
    const KsTunnel *tunnel = b->in->tunnels->pdata[i];

    for (guint j = 0; j < tunnel->prefixes->len; j++)
      add_tunnel_route (b, i, &g_array_index (tunnel->prefixes, KsPrefix, j),
                        &g_array_index (tunnel->gateways, KsPrefix, j));
    for (guint j = 0; j < tunnel->nameservers->len; j++) {
      const KsPrefix *server = &g_array_index (tunnel->nameservers, KsPrefix, j);

      add_tunnel_route (b, i, server, server->family == AF_INET ? &tunnel->gateway4 : &tunnel->gateway6);
    }
    add_tunnel_blackholes (b, tunnel->prefixes);
    add_tunnel_blackholes (b, tunnel->nameservers);
  }
  for (guint i = 0; i < b->in->armed->len; i++) {
    const KsProfile *profile = b->in->armed->pdata[i];

    add_tunnel_blackholes (b, profile->prefixes);
    add_tunnel_blackholes (b, profile->nameservers);
    if (b->in->remembered)
      add_tunnel_blackholes (b, g_hash_table_lookup (b->in->remembered, ks_profile_key (profile)));
  }
}

/* The route as table 85 has it, without next hops by a tunnel. */
static KsRoute
uplink_route (const Builder *b, const KsRoute *route)
{
  KsRoute copy = *route;

  copy.table = b->config->uplink_table;
  copy.protocol = b->config->protocol;
  copy.n_nexthops = 0;
  memset (copy.nexthops, 0, sizeof copy.nexthops);
  for (guint i = 0; i < route->n_nexthops; i++) {
    KsNexthop hop = route->nexthops[i];

    if (is_tunnel_index (b, hop.ifindex))
      continue;
    /* main has resolved the gateway; here the order of insertion must not matter */
    if (ks_prefix_is_set (&hop.gateway))
      hop.onlink = TRUE;
    copy.nexthops[copy.n_nexthops++] = hop;
  }
  if (copy.n_nexthops == 1)
    copy.nexthops[0].weight = 0;
  return copy;
}

static gboolean
is_uplink_route (const Builder *b, const KsRoute *route)
{
  switch (route->type) {
  case RTN_UNICAST:
  case RTN_BLACKHOLE:
  case RTN_UNREACHABLE:
  case RTN_PROHIBIT:
    break;
  default:
    return FALSE;
  }
  if (route->table != RT_TABLE_MAIN || ks_bypass_is_route (b->config, route) || leaves_by_tunnel_only (b, route))
    return FALSE;
  if (route->type == RTN_UNICAST && route->n_nexthops == 0)
    return FALSE;
  /* Each device has its own fe80::/64 and ff00::/8; no transport is routed by them. */
  return !(route->family == AF_INET6 && (ks_prefix_is_link_local (&route->dst) || ks_prefix_is_multicast (&route->dst)));
}

static void
add_uplink_routes (Builder *b)
{
  for (guint i = 0; b->in->main_routes && i < b->in->main_routes->len; i++) {
    const KsRoute *route = &g_array_index (b->in->main_routes, KsRoute, i);

    if (is_uplink_route (b, route)) {
      KsRoute copy = uplink_route (b, route);

      add_route (b, &copy);
    }
  }
  for (guint i = 0; i < count_families (b); i++) {
    KsPrefix all = ks_prefix_default (families[i]);
    KsRoute end = ks_route_init (b->config->uplink_table, b->config->protocol, &all, G_MAXUINT32);

    end.type = RTN_UNREACHABLE;
    add_route (b, &end);
  }
}

static void
add_policy_tunnels (Builder *b)
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

KsPolicy *
ks_policy_compute (const KsPolicyInput *input)
{
  KsPolicy *policy = policy_new ();
  Builder b = { .in = input, .config = input->config, .policy = policy };

  if (input->armed->len == 0) {
    ks_bypass_compute (input->config, input->rules, input->main_routes, policy->routes);
    sort_routes (policy->routes);
    return policy;
  }

  policy->armed = TRUE;
  policy->guard = input->config->guard;
  policy->lan = effective_lan (&b);
  policy->dns = effective_dns (&b);
  if (policy->lan != KS_LAN_OFF)
    g_array_append_vals (policy->lan_prefixes, input->config->lan_prefixes->data, input->config->lan_prefixes->len);
  for (guint i = 0; i < input->armed->len; i++) {
    const KsProfile *profile = input->armed->pdata[i];

    add_endpoint_transports (&b, profile);
    if (profile->vpn_type == KS_VPN_WIREGUARD)
      add_wireguard_transports (&b, profile);
  }
  add_bootstrap (&b);
  add_policy_tunnels (&b);

  for (guint i = 0; i < count_families (&b); i++)
    add_rules (&b, families[i]);
  add_default_routes (&b);
  add_tunnel_routes (&b);
  add_uplink_routes (&b);
  if (input->no_ipv6)
    drop_ipv6_routes (policy->routes);
  sort_routes (policy->routes);
  return policy;
}

gboolean
ks_policy_owns_rule (const KsConfig *config, const KsRule *rule)
{
  gboolean in_window = rule->priority >= config->priority && rule->priority - config->priority < KS_PRIORITY_WINDOW;
  gboolean is_jump = rule->action == FR_ACT_GOTO && rule->goto_target == config->priority
                     && rule->priority < config->priority;

  return rule->protocol == config->protocol && (in_window || is_jump);
}

gboolean
ks_policy_owns_route (const KsConfig *config, const KsRoute *route)
{
  if (route->protocol != config->protocol)
    return FALSE;
  return route->table == config->table || route->table == config->tunnel_table || route->table == config->uplink_table
         || ks_bypass_is_route (config, route);
}
