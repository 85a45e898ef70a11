/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the guard lets out, and why.
 *
 * Routing does not see a socket bound to a device (IPv4 takes a failed lookup
 * with a device as "on link"), rules that somebody else put first, and rules
 * that somebody flushed. The guard judges the packet instead:
 *
 *   postrouting   the tunnels; lo; transports; queries for the servers' names;
 *                 replies to ManagementFrom=; DHCP; neighbour discovery; the
 *                 LAN. Everything else is counted and dropped.
 *   forward       the tunnels; the LAN. Everything else is counted and dropped.
 *   prerouting    drops what is for a tunnel's address and arrives elsewhere
 *                 (CVE-2019-14899), before connection tracking.
 *
 * Postrouting, not output: a mangle chain (`type route hook output`) or
 * destination NAT may send a packet elsewhere after it was routed, and the
 * other chains at output still see the old device. In postrouting device and
 * destination are final, and the source is the program's own, since source NAT
 * comes later (priority 100). It is before neighbour resolution: a packet that
 * is dropped causes no ARP request either. Forwarded packets pass there too,
 * so a chain at forward keeps from them what only the host itself may do. The
 * priority decides nothing: an accept holds for this table only, a drop is
 * final. Connection state counts for nothing, but for ManagementFrom=: a
 * connection opened before arming is no exception.
 *
 * The tunnel of a VPN that is not armed is known by its kind, before a run of
 * ours has seen it: it is not the LAN, whatever its addresses are. A transport may
 * leave by it, as by any uplink. What is inside another VPN's tunnel leaves by
 * that, and has no line.
 *
 * A tunnel is its index, not its name: a device that was deleted and made
 * again, by whomever, is another one until the policy says so.
 *
 * Who sends a transport:
 *
 *   - a program: `meta skuid`, its uid. By TCP to a server also the kernel, once
 *     that program is gone: what was left to send, the end of the connection,
 *     resets. Such packets have no owner (run, 6.18), and without them the server
 *     keeps the session and may refuse the next one. Not a SYN, so no program can
 *     begin a connection like that; and with the next hop of the server's route
 *     (see below), which a connection of another user from before arming does not
 *     have: its route is looked up with that user's uid. IPv6 may keep the route
 *     that such a connection had, so its end may pass here;
 *   - the kernel, to a server it is told (a WireGuard handshake): a packet
 *     without an owner, which no program can send (chain `unowned`). Where a
 *     section tells nothing but the server, its data too: while the tunnel is up
 *     any owner, with the next hop of the server's route (see below);
 *   - the kernel, for a tunnel that is up (WireGuard's data): its packets
 *     have the owner of the packet inside, so any owner is accepted, from the
 *     port that the tunnel holds and nobody else can bind. Where the mark of
 *     the device is known, its packets are known by it, and the port, which is
 *     free for all once the device is gone, opens nothing;
 *   - a program and the kernel, by UDP (L2TP, ESP in UDP): while the tunnel is
 *     up any owner, that of the packet inside, if it has the next hop of the
 *     server's route in table 86; before, the program's uid, and packets without
 *     an owner, such as PPP's own. The next hop tells the kernel's packets, which
 *     are routed as root's, from a program's that is bound to the uplink: that
 *     one finds no route, is taken as on link, and its next hop is the server
 *     itself. It cannot where the route has no gateway (a server in the uplink's
 *     own subnet, a point-to-point uplink): there any program may send to that
 *     port of the server while the VPN is up. IPv6 has no such fallback;
 *   - a protocol that takes CAP_NET_RAW to send (ESP, GRE): any owner.
 *
 * Servers stand in sets, of address, protocol, port and uid together: each
 * packet costs the same with one profile and with a thousand. The networks of
 * a section stand in an interval set of its line.
 *
 * While no tunnel is up, root and the users that the system's resolver may run
 * as send queries for the names of the servers to the uplink's resolvers (chain
 * `names`): UDP to port 53, and each byte of the message, and its length, as
 * ks-query.c has it, which says what is free. A longer name, a shorter one,
 * another type, a second question, an option or bytes at the end do not match.
 * What a program could still write into such queries is bounded by their
 * number: 10 a second after a first burst (chain `asked`), enough for resolvers
 * that repeat every name several times.
 *
 * ManagementFrom=: a reply, by connection tracking, in a connection whose first
 * packet came from one of the prefixes, from the address of the device that it
 * leaves by. "Established" is a connection that has been answered, or is being
 * answered: not a new one that belongs to it ("related"). What the host sends
 * first is never a reply, and since it is dropped here, before connection
 * tracking confirms it, it leaves no entry that would make it one later: in a
 * connection from before arming, which nobody has tracked, the peer has to
 * speak first (run, 6.18). A packet that forges its source gets the answer sent
 * to the prefix, and nothing else. A program that was asked from there can
 * answer; none can ask.
 *
 * A packet that IPsec is about to encrypt passes postrouting twice, plain
 * first: it is accepted when IPsec makes one of the transports, and what comes
 * out is judged. What is a transport only inside IPsec has no line of its own:
 * plain, it is dropped.
 *
 * Indices and addresses are written as numbers, protocols too: /etc/protocols
 * may be missing. A server's name is written as the number its bytes make: no
 * name comes into the text as it is, so none can be made to break it.
 */
#include "policy/ks-guard-format.h"

#include <stdarg.h>
#include <string.h>

#include "policy/ks-query.h"
#include "value/ks-interface.h"

/* (uid_t) -1: nobody can have it */
#define NO_UID G_MAXUINT32

/* The index of lo in every network namespace: LOOPBACK_IFINDEX of the kernel's include/net/flow.h. */
#define LOOPBACK 1u
/* As many tunnels have a line each; more are in a set. */
#define TUNNEL_LINES 2

#define DNS_PORTS "53, 853, 5355"

/* In front of what a KsQuery holds: the UDP header, and the message's ID. */
#define QUERY_OFFSET (8 + 2)
/* The most that nftables compares at once, in bytes. */
#define PIECE 16
/* Two types, and two resolvers that repeat each twice. */
#define BURST_PER_NAME 8
#define MIN_BURST 50

/* What an unprivileged program can send; anything else takes a raw socket. 115 is L2TP, which has a datagram socket. */
static const guint8 program_protocols[] = { IPPROTO_ICMP,   IPPROTO_TCP, IPPROTO_UDP,  IPPROTO_DCCP,
                                            IPPROTO_ICMPV6, 115,         IPPROTO_SCTP, IPPROTO_UDPLITE };
#define PROGRAM_PROTOCOLS "{ 1, 6, 17, 33, 58, 115, 132, 136 }"
#define PORT_PROTOCOLS "{ 6, 17, 33, 132, 136 }"

/*
 * Multicast that stays in the link or the site, and broadcast. IPv6: scopes
 * interface, link and site, well-known and transient.
 */
static const char *const lan_groups[] = {
  "224.0.0.0/24", "239.255.0.0/16", "255.255.255.255", "ff01::/16", "ff02::/16",
  "ff05::/16",    "ff11::/16",      "ff12::/16",       "ff15::/16",
};

/* Who must have sent a transport. */
typedef enum {
  SENDER_NONE, /* nobody may now */
  SENDER_ANY,
  SENDER_ROUTED, /* anyone, by the next hop that the server's route has */
  SENDER_UID, /* a program of the transport's uid */
  SENDER_UID_OR_KERNEL, /* such a program, or nobody */
  SENDER_KERNEL, /* nobody owns the packet */
} Sender;

static void add_line (GString *out, const char *format, ...) G_GNUC_PRINTF (2, 3);

static void
add_line (GString *out, const char *format, ...)
{
  va_list arguments;

  va_start (arguments, format);
  g_string_append (out, "    ");
  g_string_append_vprintf (out, format, arguments);
  g_string_append_c (out, '\n');
  va_end (arguments);
}

/* "ADDRESS" or "ADDRESS/LENGTH", also for length 0 (transfer full). */
static char *
format_prefix (const KsPrefix *prefix)
{
  KsPrefix network = ks_prefix_network (prefix);
  g_autofree char *address = ks_prefix_format_address (&network);

  if (ks_prefix_is_host (prefix))
    return g_steal_pointer (&address);
  return g_strdup_printf ("%s/%u", address, prefix->length);
}

/* --- sets of prefixes --- */

/* A prefix before what it contains. */
static int
compare_by_address (gconstpointer a, gconstpointer b)
{
  const KsPrefix *left = a, *right = b;

  if (left->family != right->family)
    return left->family < right->family ? -1 : 1;
  if (memcmp (left->bytes, right->bytes, sizeof left->bytes) != 0)
    return memcmp (left->bytes, right->bytes, sizeof left->bytes);
  return (int) left->length - (int) right->length;
}

/*
 * Those of @prefixes, which this sorts, as the elements of an interval set: "{ ... }" (transfer full); NULL for none.
 * nftables refuses intervals that overlap, so a prefix inside another one is left out.
 */
static char *
format_elements (int family, GArray *prefixes)
{
  GString *out = g_string_new (NULL);
  const KsPrefix *last = NULL;

  g_array_sort (prefixes, compare_by_address);
  for (guint i = 0; i < prefixes->len; i++) {
    const KsPrefix *prefix = &g_array_index (prefixes, KsPrefix, i);
    g_autofree char *text = NULL;

    if (prefix->family != family || (last && ks_prefix_contains (last, prefix)))
      continue;
    text = format_prefix (prefix);
    g_string_append_printf (out, "%s%s", last ? ", " : "{ ", text);
    last = prefix;
  }
  if (last)
    g_string_append (out, " }");
  return g_string_free (out, !last);
}

static void
add_set (GString *out, const char *name, int family, GArray *prefixes)
{
  g_autofree char *elements = format_elements (family, prefixes);

  g_string_append_printf (out, "  set %s {\n    type %s\n    flags interval\n", name,
                          family == AF_INET6 ? "ipv6_addr" : "ipv4_addr");
  if (elements)
    g_string_append_printf (out, "    elements = %s\n", elements);
  g_string_append (out, "  }\n");
}

static void
collect (GArray *prefixes, const KsPrefix *prefix)
{
  KsPrefix network = ks_prefix_network (prefix);

  g_array_append_val (prefixes, network);
}

static gboolean
is_tunnel_route (const KsPolicy *policy, const KsRoute *route)
{
  for (guint i = 0; i < policy->tunnels->len; i++)
    if (ks_route_uses (route, ((const KsPolicyTunnel *) policy->tunnels->pdata[i])->ifindex))
      return TRUE;
  return FALSE;
}

/* Where the LAN is: with Lan=routes also wherever table 85, the copy of main, has a route other than the default. */
static GArray *
lan_prefixes (const KsPolicy *policy)
{
  GArray *prefixes = g_array_new (FALSE, FALSE, sizeof (KsPrefix));

  if (policy->lan == KS_LAN_OFF)
    return prefixes;
  for (guint i = 0; i < policy->lan_prefixes->len; i++)
    collect (prefixes, &g_array_index (policy->lan_prefixes, KsPrefix, i));
  for (guint i = 0; i < G_N_ELEMENTS (lan_groups); i++) {
    KsPrefix group;

    if (ks_prefix_parse (lan_groups[i], &group, NULL))
      collect (prefixes, &group);
  }
  for (guint i = 0; policy->lan == KS_LAN_ROUTES && i < policy->routes->len; i++) {
    const KsRoute *route = &g_array_index (policy->routes, KsRoute, i);

    if (route->table == policy->uplink_table && route->type == RTN_UNICAST && route->dst.length > 0
        && !is_tunnel_route (policy, route))
      collect (prefixes, &route->dst);
  }
  return prefixes;
}

/* What belongs into the tunnel although it looks like the LAN: the prefixes that routing has a blackhole behind. */
static GArray *
shadowed_prefixes (const KsPolicy *policy)
{
  GArray *prefixes = g_array_new (FALSE, FALSE, sizeof (KsPrefix));

  for (guint i = 0; i < policy->routes->len; i++) {
    const KsRoute *route = &g_array_index (policy->routes, KsRoute, i);

    if (route->type == RTN_BLACKHOLE && route->dst.length > 0)
      collect (prefixes, &route->dst);
  }
  return prefixes;
}

/* The indices of the tunnels; with @address, of those that have it: "{ 5, 7 }" (transfer full; NULL for none). */
static char *
format_tunnels (const KsPolicy *policy, const KsPrefix *address)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < policy->tunnels->len; i++) {
    const KsPolicyTunnel *tunnel = policy->tunnels->pdata[i];

    if (!address || ks_prefix_array_contains (tunnel->addresses, address))
      g_string_append_printf (out, "%s%u", out->len ? ", " : "{ ", tunnel->ifindex);
  }
  if (out->len)
    g_string_append (out, " }");
  return g_string_free (out, out->len == 0);
}

static void
add_sets (GString *out, const KsPolicy *policy)
{
  g_autoptr (GArray) lan = lan_prefixes (policy);
  g_autoptr (GArray) shadowed = shadowed_prefixes (policy);
  g_autofree char *tunnels = format_tunnels (policy, NULL);

  if (policy->tunnels->len > TUNNEL_LINES)
    g_string_append_printf (out, "  set tunnels {\n    type iface_index\n    elements = %s\n  }\n", tunnels);
  add_set (out, "lan4", AF_INET, lan);
  add_set (out, "lan6", AF_INET6, lan);
  add_set (out, "shadowed4", AF_INET, shadowed);
  add_set (out, "shadowed6", AF_INET6, shadowed);
  if (policy->management->len > 0) {
    g_autoptr (GArray) prefixes = g_array_copy (policy->management_prefixes);

    add_set (out, "management4", AF_INET, prefixes);
    add_set (out, "management6", AF_INET6, prefixes);
  }
}

/* --- transports --- */

static gboolean
has_tunnel (const KsPolicy *policy, const char *interface)
{
  for (guint i = 0; i < policy->tunnels->len; i++)
    if (strcmp (((const KsPolicyTunnel *) policy->tunnels->pdata[i])->interface, interface) == 0)
      return TRUE;
  return FALSE;
}

/* Whether the packets of @transport's device are known by their mark. */
static gboolean
has_mark (const KsPolicy *policy, const KsTransport *transport)
{
  for (guint i = 0; i < policy->transports->len; i++) {
    const KsTransport *other = &g_array_index (policy->transports, KsTransport, i);

    if (other->fwmark && other->family == transport->family && strcmp (other->device, transport->device) == 0)
      return TRUE;
  }
  return FALSE;
}

/* True if the kernel's IPsec makes one of the transports. */
static gboolean
has_ipsec (const KsPolicy *policy)
{
  for (guint i = 0; i < policy->transports->len; i++)
    if (g_array_index (policy->transports, KsTransport, i).carriage == KS_CARRIAGE_IPSEC)
      return TRUE;
  return FALSE;
}

/* True if the tunnel whose packets @transport carries is up. */
static gboolean
is_up (const KsPolicy *policy, const KsTransport *transport)
{
  return transport->device[0] && has_tunnel (policy, transport->device);
}

static gboolean
is_in_server_set (const KsTransport *transport)
{
  return ks_transport_has_server (transport) && !transport->sport && !transport->fwmark;
}

static Sender
kernel_sender (const KsPolicy *policy, const KsTransport *transport)
{
  gboolean up = is_up (policy, transport);

  if (is_in_server_set (transport))
    return up ? SENDER_ROUTED : SENDER_KERNEL;
  if (ks_prefix_is_set (&transport->to))
    return up ? SENDER_ANY : SENDER_KERNEL;
  if (!transport->device[0]) /* of a section whose device is not there */
    return SENDER_KERNEL;
  return up && !has_mark (policy, transport) ? SENDER_ANY : SENDER_NONE;
}

static Sender
sender_of (const KsPolicy *policy, const KsTransport *transport)
{
  if (transport->carriage == KS_CARRIAGE_INSIDE_IPSEC || transport->outer[0])
    return SENDER_NONE; /* what is inside another VPN leaves by its tunnel, like everything else */
  if (transport->ip_protocol && !memchr (program_protocols, transport->ip_protocol, sizeof program_protocols))
    return SENDER_ANY;
  if (transport->kernel)
    return transport->fwmark ? SENDER_ANY : kernel_sender (policy, transport);
  if (transport->carriage != KS_CARRIAGE_PLAIN)
    return is_up (policy, transport) ? SENDER_ROUTED : SENDER_UID_OR_KERNEL;
  return transport->uid == KS_UID_ANY ? SENDER_ANY : SENDER_UID;
}

/* True if both have lines of their own, and differ in where they go alone. */
static gboolean
is_alike (const KsTransport *a, const KsTransport *b)
{
  KsTransport same_destination = *b;

  same_destination.to = a->to;
  return ks_prefix_is_set (&b->to) && !is_in_server_set (b) && ks_transport_compare (a, &same_destination) == 0;
}

/* Where @transport and those alike go, as an interval set: lines that differ in that alone are one. NULL for anywhere
 * (transfer full). */
static char *
format_destination (const KsPolicy *policy, const KsTransport *transport)
{
  g_autoptr (GArray) prefixes = g_array_new (FALSE, FALSE, sizeof (KsPrefix));

  if (!ks_prefix_is_set (&transport->to) || transport->to.length == 0)
    return NULL;
  for (guint i = 0; i < policy->transports->len; i++) {
    const KsTransport *other = &g_array_index (policy->transports, KsTransport, i);

    if (is_alike (transport, other))
      collect (prefixes, &other->to);
  }
  return prefixes->len > 1 ? format_elements (transport->family, prefixes) : format_prefix (&transport->to);
}

/*
 * What the packet looks like, without who sent it: "meta nfproto ipv4 ip daddr DESTINATION ... " (transfer full).
 * @destination is an address, a prefix or a set of them; NULL for any.
 */
static char *
format_selector (const KsTransport *transport, const char *destination)
{
  GString *out = g_string_new (NULL);

  g_string_append_printf (out, "meta nfproto %s ", transport->family == AF_INET6 ? "ipv6" : "ipv4");
  if (destination)
    g_string_append_printf (out, "%s daddr %s ", transport->family == AF_INET6 ? "ip6" : "ip", destination);
  if (transport->ip_protocol)
    g_string_append_printf (out, "meta l4proto %u ", transport->ip_protocol);
  else if (transport->sport || transport->dport)
    g_string_append (out, "meta l4proto " PORT_PROTOCOLS " ");
  if (transport->sport)
    g_string_append_printf (out, "th sport %u ", transport->sport);
  if (transport->dport)
    g_string_append_printf (out, "th dport %u ", transport->dport);
  if (transport->fwmark)
    g_string_append_printf (out, "meta mark %u ", transport->fwmark);
  return g_string_free (out, FALSE);
}

/* The lines of a transport that is not to one server (transfer full); NULL for none. */
static char *
format_transport (const KsPolicy *policy, const KsTransport *transport)
{
  g_autofree char *destination = format_destination (policy, transport);
  g_autofree char *selector = format_selector (transport, destination);

  switch (sender_of (policy, transport)) {
  case SENDER_ANY:
    return g_strdup_printf ("    %saccept\n", selector);
  case SENDER_UID:
    return g_strdup_printf ("    %smeta skuid %u accept\n", selector, transport->uid);
  case SENDER_UID_OR_KERNEL:
    return g_strdup_printf ("    %smeta skuid %u accept\n    %sjump unowned\n", selector, transport->uid, selector);
  case SENDER_KERNEL:
    /* an IP tunnel whose protocol is not known: what no program can send may have any owner */
    if (!transport->ip_protocol)
      return g_strdup_printf ("    %smeta l4proto != " PROGRAM_PROTOCOLS " accept\n    %sjump unowned\n", selector,
                              selector);
    return g_strdup_printf ("    %sjump unowned\n", selector);
  default:
    return NULL;
  }
}

/* Lines that differ in the server alone are one line, with a set: its look-up costs the same for one and for thousands.
 */
typedef struct {
  char *selector; /* such as "ip daddr . meta l4proto . th dport" */
  const char *verdict;
  GString *elements; /* "203.0.113.10 . 17 . 1194, ..." */
  GHashTable *seen; /* of them: without the uid two transports may be the same */
} ServerSet;

static void
server_set_free (gpointer data)
{
  ServerSet *set = data;

  g_free (set->selector);
  g_string_free (set->elements, TRUE);
  g_hash_table_unref (set->seen);
  g_free (set);
}

/* The set of @sets for @selector and @verdict, made when there is none. */
static ServerSet *
find_server_set (GPtrArray *sets, const char *selector, const char *verdict)
{
  ServerSet *set;

  for (guint i = 0; i < sets->len; i++) {
    set = sets->pdata[i];
    if (strcmp (set->selector, selector) == 0 && strcmp (set->verdict, verdict) == 0)
      return set;
  }
  set = g_new0 (ServerSet, 1);
  set->selector = g_strdup (selector);
  set->verdict = verdict;
  set->elements = g_string_new (NULL);
  set->seen = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  g_ptr_array_add (sets, set);
  return set;
}

/*
 * Adds the server of @transport to the set that compares what the transport has, and the IPv4 address @next_hop unless
 * that is NULL; @restriction comes first there.
 */
static void
add_to_server_set (GPtrArray *sets, const KsTransport *transport, gboolean with_uid, const char *next_hop,
                   const char *restriction, const char *verdict)
{
  g_autoptr (GString) selector = g_string_new (restriction);
  g_autofree char *address = ks_prefix_format_address (&transport->to);
  g_autoptr (GString) element = g_string_new (address);
  ServerSet *set;

  if (transport->dport && !transport->ip_protocol)
    g_string_append (selector, "meta l4proto " PORT_PROTOCOLS " ");
  g_string_append (selector, transport->family == AF_INET6 ? "ip6 daddr" : "ip daddr");
  if (transport->ip_protocol) {
    g_string_append (selector, " . meta l4proto");
    g_string_append_printf (element, " . %u", transport->ip_protocol);
  }
  if (transport->dport) {
    g_string_append (selector, " . th dport");
    g_string_append_printf (element, " . %u", transport->dport);
  }
  if (with_uid) {
    g_string_append (selector, " . meta skuid");
    g_string_append_printf (element, " . %u", transport->uid);
  }
  if (next_hop) {
    g_string_append (selector, " . rt ip nexthop");
    g_string_append_printf (element, " . %s", next_hop);
  }
  set = find_server_set (sets, selector->str, verdict);
  if (g_hash_table_add (set->seen, g_strdup (element->str)))
    g_string_append_printf (set->elements, "%s%s", set->elements->len ? ", " : "", element->str);
}

/* As add_to_server_set(), without the uid, and by each next hop of the server's routes. */
static void
add_routed (GPtrArray *sets, const KsPolicy *policy, const KsTransport *transport, const char *restriction,
            const char *verdict)
{
  if (transport->family != AF_INET) {
    add_to_server_set (sets, transport, FALSE, NULL, restriction, verdict);
    return;
  }
  for (guint i = 0; i < policy->routes->len; i++) {
    const KsRoute *route = &g_array_index (policy->routes, KsRoute, i);

    if (route->table != policy->servers_table || !ks_prefix_equal (&route->dst, &transport->to))
      continue;
    for (guint j = 0; j < route->n_nexthops; j++) {
      const KsPrefix *gateway = &route->nexthops[j].gateway;
      /* to the kernel a gateway of the other family is none either (rt_nexthop()) */
      g_autofree char *next_hop = ks_prefix_format_address (gateway->family == AF_INET ? gateway : &transport->to);

      add_to_server_set (sets, transport, FALSE, next_hop, restriction, verdict);
    }
  }
}

static void
add_server (GPtrArray *sets, const KsPolicy *policy, const KsTransport *transport)
{
  switch (sender_of (policy, transport)) {
  case SENDER_ANY:
    add_to_server_set (sets, transport, FALSE, NULL, "", "accept");
    break;
  case SENDER_ROUTED:
    add_routed (sets, policy, transport, "", "accept");
    break;
  case SENDER_UID:
    add_to_server_set (sets, transport, TRUE, NULL, "", "accept");
    if (transport->ip_protocol == IPPROTO_TCP)
      add_routed (sets, policy, transport, "tcp flags & syn == 0 ", "jump unowned");
    break;
  case SENDER_UID_OR_KERNEL:
    add_to_server_set (sets, transport, TRUE, NULL, "", "accept");
    add_to_server_set (sets, transport, FALSE, NULL, "", "jump unowned");
    break;
  case SENDER_KERNEL:
    if (!transport->ip_protocol) /* as in format_transport() */
      add_to_server_set (sets, transport, FALSE, NULL, "meta l4proto != " PROGRAM_PROTOCOLS " ", "accept");
    add_to_server_set (sets, transport, FALSE, NULL, "", "jump unowned");
    break;
  default:
    break;
  }
}

static void
add_servers (GString *out, const KsPolicy *policy)
{
  g_autoptr (GPtrArray) sets = g_ptr_array_new_with_free_func (server_set_free);

  for (guint i = 0; i < policy->transports->len; i++) {
    const KsTransport *transport = &g_array_index (policy->transports, KsTransport, i);

    if (is_in_server_set (transport))
      add_server (sets, policy, transport);
  }
  for (guint i = 0; i < sets->len; i++) {
    const ServerSet *set = sets->pdata[i];

    g_string_append_printf (out, "    %s { %s } %s\n", set->selector, set->elements->str, set->verdict);
  }
}

static void
add_transports (GString *out, const KsPolicy *policy)
{
  add_servers (out, policy);
  for (guint i = 0; i < policy->transports->len; i++) {
    const KsTransport *transport = &g_array_index (policy->transports, KsTransport, i);
    g_autofree char *text = is_in_server_set (transport) ? NULL : format_transport (policy, transport);

    /* without the uid two of them may be the same */
    if (text && !strstr (out->str, text))
      g_string_append (out, text);
  }
}

/* --- queries for names --- */

static void
append_number (GString *out, const guint8 *bytes, guint length)
{
  g_string_append (out, "0x");
  for (guint i = 0; i < length; i++)
    g_string_append_printf (out, "%02x", bytes[i]);
}

static gboolean
is_whole (const guint8 *mask, guint length)
{
  for (guint i = 0; i < length; i++)
    if (mask[i] != 0xff)
      return FALSE;
  return TRUE;
}

/* "udp length 41 @th,80,128 & 0x... == 0x... @th,208,64 0x... goto asked" */
static void
add_query (GString *out, const KsQuery *query)
{
  g_string_append_printf (out, "    udp length %u ", QUERY_OFFSET + query->length);
  for (guint i = 0; i < query->length; i += PIECE) {
    guint length = MIN (PIECE, query->length - i);

    g_string_append_printf (out, "@th,%u,%u ", (QUERY_OFFSET + i) * 8, length * 8);
    if (!is_whole (query->mask + i, length)) {
      g_string_append (out, "& ");
      append_number (out, query->mask + i, length);
      g_string_append (out, " == ");
    }
    append_number (out, query->bytes + i, length);
    g_string_append_c (out, ' ');
  }
  g_string_append (out, "goto asked\n");
}

static void
add_bootstrap (GString *out, const KsPolicy *policy)
{
  for (guint i = 0; i < policy->bootstrap->len; i++) {
    const KsTransport *transport = &g_array_index (policy->bootstrap, KsTransport, i);
    g_autofree char *resolver = ks_prefix_format_address (&transport->to);
    g_autofree char *selector = format_selector (transport, resolver);

    add_line (out, "%smeta skuid %u jump names", selector, transport->uid);
  }
}

/* --- chains --- */

static void
begin_chain (GString *out, const char *name)
{
  g_string_append_printf (out, "  chain %s {\n", name);
}

static void
begin_base_chain (GString *out, const char *hook, const char *priority, const char *verdict)
{
  begin_chain (out, hook);
  add_line (out, "type filter hook %s priority %s; policy %s;", hook, priority, verdict);
}

static void
end_chain (GString *out)
{
  g_string_append (out, "  }\n");
}

/* Accepts what no program sent. A packet without an owner does not match any `skuid`, not even a negated one. */
static void
add_unowned_chain (GString *out)
{
  begin_chain (out, "unowned");
  add_line (out, "meta skuid != %u return", NO_UID);
  add_line (out, "accept");
  end_chain (out);
}

/* Accepts queries for the servers' names, returns with the rest. */
static void
add_names_chains (GString *out, const KsPolicy *policy)
{
  static const KsQueryType types[] = { KS_QUERY_A, KS_QUERY_AAAA };

  if (policy->bootstrap->len == 0)
    return;
  begin_chain (out, "asked");
  add_line (out, "limit rate 10/second burst %u packets accept", MAX (MIN_BURST, policy->names->len * BURST_PER_NAME));
  end_chain (out);
  begin_chain (out, "names");
  for (guint i = 0; i < policy->names->len; i++)
    for (guint j = 0; j < G_N_ELEMENTS (types); j++)
      for (int edns = 0; edns < 2; edns++) {
        KsQuery query;

        ks_query_init (&query, policy->names->pdata[i], types[j], edns);
        add_query (out, &query);
      }
  end_chain (out);
}

/* An unarmed VPN's tunnel is not the LAN, whatever its addresses are. The armed ones' have been accepted before. */
static void
add_tunnel_kinds (GString *out)
{
  g_string_append (out, "    meta oifkind { ");
  for (guint i = 0; ks_interface_tunnel_kinds[i]; i++)
    g_string_append_printf (out, "%s\"%s\"", i ? ", " : "", ks_interface_tunnel_kinds[i]);
  g_string_append (out, " } return\n");
}

/* Accepts what is for the LAN, returns with the rest. LLMNR asks for the names that DNS does; mDNS for the LAN's own.
 */
static void
add_lan_chain (GString *out, const KsPolicy *policy)
{
  begin_chain (out, "lan");
  if (policy->dns == KS_DNS_TUNNEL)
    add_line (out, "meta l4proto { 6, 17 } th dport { " DNS_PORTS " } return");
  if (policy->lan != KS_LAN_OFF)
    add_tunnel_kinds (out);
  add_line (out, "ip daddr @shadowed4 return");
  add_line (out, "ip6 daddr @shadowed6 return");
  add_line (out, "ip daddr @lan4 accept");
  add_line (out, "ip6 daddr @lan6 accept");
  end_chain (out);
}

/* What a link needs before it carries anything; whatever Lan= says. */
static void
add_link_rules (GString *out)
{
  /* a renewal, whose server may be outside the LAN; the rest uses packet sockets, which no hook sees */
  add_line (out, "meta nfproto ipv4 udp sport 68 udp dport 67 meta skuid 0 accept");
  add_line (out, "meta nfproto ipv6 udp sport 546 udp dport 547 meta skuid 0 accept");
  /* router solicitation, neighbour solicitation and advertisement; no router forwards them */
  add_line (out, "ip6 hoplimit 255 icmpv6 type { 133, 135, 136 } accept");
  /* multicast listener reports: switches forward neighbour discovery by them */
  add_line (out, "ip6 daddr ff02::/16 icmpv6 type { 131, 132, 143 } accept");
}

/*
 * What leaves by a tunnel, which is nearly everything: first, and by the
 * device's index alone. The set costs a packet some 20 ns more than a line of its own.
 */
static void
add_tunnel_rules (GString *out, const KsPolicy *policy)
{
  if (policy->tunnels->len > TUNNEL_LINES)
    add_line (out, "oif @tunnels accept");
  else
    for (guint i = 0; i < policy->tunnels->len; i++)
      add_line (out, "oif %u accept", ((const KsPolicyTunnel *) policy->tunnels->pdata[i])->ifindex);
}

/* The replies that ManagementFrom= lets out. */
static void
add_management_rules (GString *out, const KsPolicy *policy)
{
  for (guint i = 0; i < policy->management->len; i++) {
    const KsManagement *entry = &g_array_index (policy->management, KsManagement, i);
    gboolean is_ipv6 = entry->address.family == AF_INET6;
    g_autofree char *address = ks_prefix_format_address (&entry->address);

    add_line (out,
              "oif %u %s saddr %s ct state established ct direction reply ct original %s saddr @management%c accept",
              entry->ifindex, is_ipv6 ? "ip6" : "ip", address, is_ipv6 ? "ip6" : "ip", is_ipv6 ? '6' : '4');
  }
}

static void
add_postrouting_chain (GString *out, const KsPolicy *policy)
{
  begin_base_chain (out, "postrouting", "filter", "drop");
  add_tunnel_rules (out, policy);
  add_line (out, "oif %u accept", LOOPBACK);
  if (has_ipsec (policy))
    add_line (out, "rt ipsec exists accept");
  add_transports (out, policy);
  add_bootstrap (out, policy);
  add_management_rules (out, policy);
  add_link_rules (out);
  add_line (out, "jump lan");
  add_line (out, "counter name \"dropped_output\" drop");
  end_chain (out);
}

static void
add_forward_chain (GString *out, const KsPolicy *policy)
{
  begin_base_chain (out, "forward", "filter", "drop");
  add_tunnel_rules (out, policy);
  if (has_ipsec (policy))
    add_line (out, "rt ipsec exists accept");
  add_line (out, "jump lan");
  add_line (out, "counter name \"dropped_forward\" drop");
  end_chain (out);
}

/* A link-local IPv6 address belongs to its link: another device may have the same one. */
static void
add_prerouting_chain (GString *out, const KsPolicy *policy)
{
  g_autoptr (GArray) done = g_array_new (FALSE, FALSE, sizeof (KsPrefix));

  begin_base_chain (out, "prerouting", "raw", "accept");
  add_line (out, "iif %u accept", LOOPBACK);
  if (has_ipsec (policy))
    add_line (out, "meta secpath exists accept");
  for (guint i = 0; i < policy->tunnels->len; i++) {
    const KsPolicyTunnel *tunnel = policy->tunnels->pdata[i];

    for (guint j = 0; j < tunnel->addresses->len; j++) {
      const KsPrefix *address = &g_array_index (tunnel->addresses, KsPrefix, j);
      g_autofree char *holders = format_tunnels (policy, address);
      g_autofree char *text = ks_prefix_format_address (address);

      if (ks_prefix_array_contains (done, address)
          || (address->family == AF_INET6 && ks_prefix_is_link_local (address)))
        continue;
      ks_prefix_array_add (done, address);
      add_line (out, "iif != %s %s daddr %s counter name \"dropped_input\" drop", holders,
                address->family == AF_INET6 ? "ip6" : "ip", text);
    }
  }
  end_chain (out);
}

static void
add_counter (GString *out, const char *name, const KsGuardCounter *counter)
{
  g_string_append_printf (out, "  counter %s {\n    packets %" G_GUINT64_FORMAT " bytes %" G_GUINT64_FORMAT "\n  }\n",
                          name, counter->packets, counter->bytes);
}

char *
ks_guard_format (const KsPolicy *policy, const KsGuardCounters *counters)
{
  static const KsGuardCounters zero;
  GString *out;

  if (!policy->armed || !policy->guard)
    return NULL;
  if (!counters)
    counters = &zero;

  /* The first line makes the second one valid whether the table was there or not; it is one transaction. */
  out = g_string_new ("table inet " KS_GUARD_TABLE "\ndelete table inet " KS_GUARD_TABLE "\n"
                      "table inet " KS_GUARD_TABLE " {\n");
  add_counter (out, "dropped_output", &counters->output);
  add_counter (out, "dropped_forward", &counters->forward);
  add_counter (out, "dropped_input", &counters->input);
  add_sets (out, policy);
  add_unowned_chain (out);
  add_names_chains (out, policy);
  add_lan_chain (out, policy);
  add_postrouting_chain (out, policy);
  add_forward_chain (out, policy);
  add_prerouting_chain (out, policy);
  g_string_append (out, "}\n");
  return g_string_free (out, FALSE);
}
