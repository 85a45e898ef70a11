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
 * Answers: before a packet that comes in is let in, another program's filter of
 * reverse paths may look up the way back to its source (`fib saddr . mark . iif
 * oif missing` of firewalld for IPv6, -m rpfilter --validmark of NixOS). Unlike
 * the kernel's own rp_filter that lookup has no ports (nft_fib4_eval() and
 * nft_fib6_flowi_init(), net/ipv{4,6}/netfilter/nft_fib_ipv{4,6}.c), so none of
 * the rules for transports would match, the way to the server would be the
 * tunnel, or none, and its answers would be dropped: no VPN could come up (run,
 * 6.18). So the guard marks what comes from a server before any such filter sees
 * it, as wg-quick does, and that mark, which only root may set, leads to the
 * servers' routes and nowhere else.
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
 * Table local is never jumped over. Where it was moved behind ours (pref 32765,
 * as the kernel's documentation of VRFs has it), our rules would decide for
 * packets to the host itself as well, loopback included. Then one more rule
 * of ours stands before the jump, or before ours if there is none:
 *
 *   P-2  table local         lookup local   or 8299
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
  ks_policy_add_transports (&b);
  add_policy_tunnels (&b);

  ks_policy_add_routes (&b);
  for (guint i = 0; i < ks_policy_family_count (&b); i++)
    ks_policy_add_rules (&b, ks_policy_families[i]);
  return policy;
}
