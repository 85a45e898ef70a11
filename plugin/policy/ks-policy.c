/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is blocked, what is not, and why.
 *
 * While at least one profile is armed, each family has these rules, numbered
 * from KsConfig.priority (8300):
 *
 *   +0   anchor              nop
 *   +0   servers             ipproto P dport N uidrange U-U lookup 86                    (one for each P, N, U)
 *        IKEv2 by charon-nm  fwmark 210 uidrange 0-0 lookup 86                           (its route lookups)
 *        answers             fwmark 86 uidrange 0-0 lookup 86                            (the guard marks servers')
 *        WireGuard devices   ipproto udp sport N uidrange 0-0|fwmark M lookup 85         (while they exist)
 *        sections            [to NETWORK] [fwmark M] uidrange U-U [ipproto P] [sport N] [dport N] lookup 85
 *                            the same without `to`, lookup 86                                (to their servers)
 *   +5   bootstrap DNS       to RESOLVER ipproto udp dport 53 uidrange U-U lookup 85       (no tunnel is up)
 *                            to RESOLVER fwmark 86 uidrange 0-0 lookup 85                 (their answers)
 *   +7   DHCP renewal        ipproto udp sport 68 dport 67 uidrange 0-0 lookup 85   (IPv6: 546, 547)
 *   +8   management          from ADDRESS to PREFIX lookup 8300|8301|...   (ManagementFrom=)
 *   +9   the tunnel          lookup 84                                         (its own subnets; the shortcut)
 *   +10  DNS                 dport 53|853 lookup 83                            (of any protocol that has ports)
 *   +30  LAN                 to PREFIX lookup main suppress_prefixlength 0
 *   +35  LAN multicast       to 224.0.0.0/24|239.255.0.0/16|255.255.255.255 lookup 85
 *   +70  what programs send  ipproto udp lookup 83                                       (IPv4; +71 tcp, +72 icmp)
 *   +75  gateway check       from 0.0.0.0/32 uidrange 0-0 lookup main suppress_prefixlength 7   (IPv4)
 *   +80  everything          lookup 83
 *   +90  terminal            unreachable
 *
 * Transports come first: a VPN may use port 53, or push a route that covers
 * its own server. They look up table 86 or 85 rather than main: for a plugin
 * VPN, NetworkManager puts the tunnel's default route into main, and the
 * transport would be sent into its own tunnel.
 *
 * A [vpn NAME] section is exempted by all its selectors together, whether or
 * not its device exists: nothing tells when its program wants to connect. Each
 * network of a section has a rule of its own, which looks up table 85, so that
 * main's routes inside and around the network count as they do without us.
 * Routes in table 86 would have to be computed from main, and every rule that
 * looks up that table would reach the network. There are few such networks.
 *
 * IPsec: the kernel looks up the route of a packet it has encrypted as root,
 * whoever sent the inner packet: ESP as protocol 50, ESP in UDP by its port. In
 * transport mode (L2TP) it keeps the route of the inner packet, so the inner
 * packet is exempted here, and the guard lets it pass only if it is about to be
 * encrypted (run, 6.1 and 6.12).
 *
 * The servers' addresses are routes in table 86, so that the number of rules
 * does not grow with the number of profiles: the kernel walks rules one by one,
 * but finds a route in a tree. A packet to another address finds no route there
 * and goes on to the next rule. Routing alone also allows one server to be
 * reached by another server's protocol and port, if the user is the same; the
 * guard does not.
 *
 * Answers: before accepting an incoming packet, another program's reverse-path
 * filter may look up the route back to its source (`fib saddr . mark . iif oif
 * missing` of firewalld for IPv6, -m rpfilter --validmark of NixOS). Unlike the
 * kernel's own rp_filter, that lookup has no ports (nft_fib4_eval() and
 * nft_fib6_flowi_init(), net/ipv{4,6}/netfilter/nft_fib_ipv{4,6}.c), so none of
 * the rules for transports would match. The route to the server would be the
 * tunnel, or none; the server's answers would be dropped, and no VPN could come
 * up (run, 6.18). So the guard marks packets from a server before any such
 * filter sees them, as wg-quick does. Only root may set that mark, and it leads
 * to the servers' routes and nowhere else.
 *
 * Bootstrap DNS resolves the name of a server while everything is blocked: root,
 * and the users that the system's resolver may run as, may query the uplinks'
 * resolvers. The rule only gives such a packet a route. Any program can have the
 * system's resolver ask for any name, so the guard lets only queries for the
 * names in KsPolicy.names pass: those of the armed profiles' servers, and their
 * known aliases (CNAME), which systemd-resolved queries on their own when it
 * still knows the alias but no longer its address. UDP only: in a stream, no
 * single packet shows what is being asked. Without a guard (Guard=off, no
 * nf_tables, an error) there is no rule for the resolver's users. Root may then
 * ask for any name, since otherwise no VPN could be found by name, and so may
 * hosts behind this one: to a rule, a forwarded packet is root's (run, 6.18).
 * With a tunnel up, no query needs to go beside it.
 *
 * The tunnel's own subnets come before the LAN, so that neither a LAN nor a
 * DHCP route (option 121) can shadow them. None of them in table 84 is so wide
 * that it covers a whole LAN prefix (0.0.0.0/1).
 *
 * The shortcut: nearly every packet is for a public address and goes into the
 * tunnel. Table 84 also has the default routes of table 83, so that such a packet
 * finds its route before it walks the rules for DNS and the LAN, nine of them for
 * IPv4. Throw routes lead the LAN rules' destinations past these default routes,
 * so they reach the rules as if there were no shortcut. No blackhole stands behind
 * the shortcut: if the tunnel is gone, or a route is missing, the lookup goes on to
 * table 83. Its scope is universe, because the gateway check (below) looks for a
 * route of scope link and must not find the tunnel.
 *
 * Each packet of an unconnected socket, and each forwarded packet, walks the
 * rules until one of them decides, at some 4 ns a rule (docs/performance.md);
 * most of them decide at the shortcut, after five. So there are as few rules as
 * the promises allow:
 *
 *   - DNS has one rule for each port. Without `ipproto`, a rule applies to every
 *     protocol that has ports, and sending other protocols into the tunnel by
 *     mistake (SCTP to port 53) opens nothing. For ICMP the kernel keeps type
 *     and code where the ports are, and no ICMP type has these numbers. DNS comes
 *     after table 84, which leads only into tunnels: with several VPNs, to each
 *     one's own DNS servers.
 *   - The LAN's prefixes and groups share no selector that excludes public
 *     addresses, and as routes they would have to follow main.
 *   - Only the protocol distinguishes what programs send from the gateway check.
 *
 * The LAN is limited to private prefixes: no DHCP route, router advertisement
 * or oddly numbered LAN can pull public traffic out (CVE-2024-3661,
 * CVE-2023-36672, CVE-2023-35838).
 *
 * The gateway check: before the kernel accepts an IPv4 route into table main, it
 * looks up its gateway through all rules (fib_check_nh_v4_gw(), net/ipv4/
 * fib_semantics.c). On a network whose gateway is not in a LAN prefix - public
 * addresses, 100.64.0.0/10, Lan=off - the lookup would fail, NetworkManager
 * could not set the default route, and no transport could leave: a lock-out
 * (run, 6.18). That lookup has no source and no protocol, and is root's. A
 * program's packet has a protocol, and its lookup ends at the rules before this
 * one. Only root's raw sockets with other protocols get this far, to subnets
 * that main knows; the guard does not let their packets pass.
 *
 * ManagementFrom=: a person who manages the host from outside the LAN stays
 * connected. The rule matches packets that already have the address of an uplink
 * as their source, with one rule for each address and prefix. Packets that
 * answer a connection have it from the start, and so has the kernel's own
 * reverse lookup of incoming packets (rp_filter=1), which swaps source and
 * destination. What a program starts by itself has no source when it is routed,
 * and goes into the tunnel like everything else. A program that binds the
 * address is stopped by the guard, which lets these rules pass nothing but
 * replies in connections that the prefix has opened. Hence there is no such rule
 * without a guard. A mark set by the guard would not work instead: while no
 * tunnel is up, the answer has no route when it is made, and never reaches a
 * chain at output.
 *
 * The terminal rule is for IPv6, where a lookup bound to a device skips a
 * blackhole route, and for the case that someone flushes table 83.
 *
 * A foreign rule before ours would decide first. We leave it alone; while it is
 * there, one more rule of ours jumps over it, to a rule that does nothing and
 * always exists:
 *
 *   P-1  jump                goto 8300      P is the lowest priority of such a rule
 *   +0   anchor              nop
 *
 * The anchor also keeps rules that are added without a priority from ending up
 * among ours: the kernel gives them a priority one lower than that of the second
 * rule in the list (fib_default_rule_pref(), net/core/fib_rules.c).
 *
 * Table local is never jumped over. If it was moved behind our rules (pref 32765,
 * as the kernel's documentation of VRFs has it), they would decide for packets to
 * the host itself as well, loopback included. Then one more rule of ours stands
 * before the jump, or before our first rule if there is no jump:
 *
 *   P-2  table local         lookup local   or 8299
 *
 * Routes:
 *
 *   83   default dev TUNNEL [via GATEWAY] metric 100+n   for each tunnel, in order of preference; one that wants no
 *                                                        default route only if no armed VPN wants one
 *        blackhole default metric 200                    always: the kill switch itself
 *   84   PREFIX dev TUNNEL [via GATEWAY] metric 100+n    the tunnel's subnets and its DNS servers
 *        blackhole PREFIX metric 200                     also while the tunnel is down, unless an uplink's own
 *                                                        subnet overlaps
 *        PREFIX dev TUNNEL ..., unreachable, throw       ks-policy-shield.c: unarmed VPNs' tunnels are not the LAN
 *        default dev TUNNEL [via GATEWAY] metric 100+n   the shortcut: those of table 83, unless Lan=routes
 *        throw PREFIX metric 203                         the LAN rules' destinations pass it by
 *   85   every route of main that does not leave through a tunnel, with the exceptions in ks-bypass.h
 *        unreachable default metric 4294967295           a transport without an uplink ends here, and is
 *                                                        not sent into its own tunnel
 *   86   SERVER [via GATEWAY] dev UPLINK metric N        what 85 answers for it: the routes of the longest prefix
 *        SERVER [via GATEWAY] dev TUNNEL                 instead, for a VPN inside another one (ks-nesting.h)
 *          metric 4294967294
 *        unreachable SERVER metric 4294967295            as in 85; a VPN inside another one does not move beside it
 *                                                        when the outer tunnel vanishes
 *   8300, 8301 ... the routes of 85 through one uplink that cover or are inside a prefix of ManagementFrom=, for the
 *                                                        replies from its addresses; ended likewise
 *
 * While no profile is armed, the kernel holds nothing of ours, with the
 * exceptions in ks-bypass.h.
 */
#include "policy/ks-policy.h"

#include <string.h>

#include "policy/ks-bypass.h"
#include "policy/ks-policy-builder.h"

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

guint32
ks_policy_answers_mark (const KsPolicy *self)
{
  return self->servers_table;
}

gboolean
ks_policy_marks_resolver (const KsPolicy *self, const KsTransport *bootstrap)
{
  return !self->any_name && !ks_prefix_array_covers (self->lan_prefixes, &bootstrap->to);
}

gboolean
ks_policy_has_tunnel (const KsPolicy *self, guint ifindex)
{
  for (guint i = 0; i < self->tunnels->len; i++)
    if (((const KsPolicyTunnel *) self->tunnels->pdata[i])->ifindex == ifindex)
      return TRUE;
  return FALSE;
}

/* --- what the armed profiles ask for together: the strictest setting wins --- */

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

/* A session is armed only once its VPN is up: until then it has to get past what another profile blocks. */
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
  ks_policy_add_transports (&b);
  add_policy_tunnels (&b);

  ks_policy_add_routes (&b);
  for (guint i = 0; i < ks_policy_family_count (&b); i++)
    ks_policy_add_rules (&b, ks_policy_families[i]);
  return policy;
}
