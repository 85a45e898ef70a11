/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who may send a transport:
 *
 *   - A program: its uid (`meta skuid`). By TCP to a server, also the kernel
 *     once that program is gone: remaining data, the end of the connection,
 *     resets. Such packets have no owner (run, 6.18), and without them the server
 *     keeps the session and may refuse the next one. A SYN is excluded, so no
 *     program can open a connection this way. The packet must also have the next
 *     hop of the server's route (see below). Another user's connection from
 *     before arming does not have it, since its route is looked up with that
 *     user's uid; IPv6 may keep the old route of such a connection, so its end
 *     may pass here.
 *   - The kernel, to a known server (a WireGuard handshake): a packet without an
 *     owner, which no program can send (chain `unowned`). If a section gives
 *     only the server, its data too: while the tunnel is up, any owner, with the
 *     next hop of the server's route (see below).
 *   - The kernel, for a tunnel that is up (WireGuard's data): its packets have
 *     the owner of the inner packet, so any owner is accepted, from the port that
 *     the tunnel holds and nobody else can bind. If the device's mark is known,
 *     its packets must have both: the port, which anyone can bind once the device
 *     is gone, opens nothing by itself, and neither does the mark, which other
 *     programs' rules may set (split tunnelling for wg-quick) or a program with
 *     CAP_NET_RAW.
 *   - A program and the kernel, by UDP (L2TP, ESP in UDP, OpenVPN's data channel
 *     offload): while the tunnel is up, any owner, since packets have that of the
 *     inner packet, if they have the next hop of the server's route in table 86;
 *     before that, the program's uid, and, but for OpenVPN, packets without an
 *     owner, such as PPP's own. The next hop distinguishes the kernel's packets,
 *     which are routed as root's, from those of a program bound to the uplink:
 *     the program's lookup fails, the kernel treats the server as on link, and so
 *     the next hop is the server itself. This does not work where the route has
 *     no gateway (a server in the uplink's own subnet, a point-to-point uplink):
 *     there, any program may send to that port of the server while the VPN is
 *     up. IPv6 has no such fallback.
 *   - A protocol that takes CAP_NET_RAW to send (ESP, GRE): any owner.
 *
 * Servers are kept in sets of address, protocol, port and uid together, so a
 * packet costs the same with one profile as with a thousand. The networks of a
 * section are in an interval set of its line.
 */
#include "policy/ks-guard-builder.h"

#include <string.h>

/* (uid_t) -1: no user can have it */
#define NO_UID G_MAXUINT32

/* Protocols that unprivileged programs can send; others take a raw socket. 115 is L2TP, which has a datagram socket. */
static const guint8 program_protocols[] = { IPPROTO_ICMP,   IPPROTO_TCP, IPPROTO_UDP,  IPPROTO_DCCP,
                                            IPPROTO_ICMPV6, 115,         IPPROTO_SCTP, IPPROTO_UDPLITE };
#define PROGRAM_PROTOCOLS "{ 1, 6, 17, 33, 58, 115, 132, 136 }"
#define PORT_PROTOCOLS "{ 6, 17, 33, 132, 136 }"

/* Who has to be the sender of a transport. */
typedef enum {
  SENDER_NONE, /* nobody may send it now */
  SENDER_ANY,
  SENDER_ROUTED, /* anyone, if the packet has the next hop of the server's route */
  SENDER_UID, /* a program with the transport's uid */
  SENDER_UID_OR_KERNEL, /* such a program, or the packet has no owner */
  SENDER_KERNEL, /* the packet has no owner */
} Sender;

static gboolean
has_tunnel (const KsPolicy *policy, const char *interface)
{
  for (guint i = 0; i < policy->tunnels->len; i++)
    if (strcmp (((const KsPolicyTunnel *) policy->tunnels->pdata[i])->interface, interface) == 0)
      return TRUE;
  return FALSE;
}

gboolean
ks_guard_has_ipsec (const KsPolicy *policy)
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
  if (!transport->device[0]) /* of a section whose device does not exist */
    return SENDER_KERNEL;
  return up && !ks_transport_has_mark (transport, policy->transports) ? SENDER_ANY : SENDER_NONE;
}

static Sender
sender_of (const KsPolicy *policy, const KsTransport *transport)
{
  if (transport->carriage == KS_CARRIAGE_LOOKUP)
    return SENDER_NONE; /* no packet can leave like that */
  if (transport->carriage == KS_CARRIAGE_INSIDE_IPSEC || transport->outer[0])
    return SENDER_NONE; /* a transport inside another VPN leaves through its tunnel, like everything else */
  if (transport->ip_protocol && !memchr (program_protocols, transport->ip_protocol, sizeof program_protocols))
    return SENDER_ANY;
  if (transport->kernel)
    return transport->fwmark ? SENDER_ANY : kernel_sender (policy, transport);
  if (transport->carriage != KS_CARRIAGE_PLAIN)
    return is_up (policy, transport) ? SENDER_ROUTED : SENDER_UID_OR_KERNEL;
  return transport->uid == KS_UID_ANY ? SENDER_ANY : SENDER_UID;
}

/* True if both get lines of their own that differ only in the destination. */
static gboolean
is_alike (const KsTransport *a, const KsTransport *b)
{
  KsTransport same_destination = *b;

  same_destination.to = a->to;
  return ks_prefix_is_set (&b->to) && !is_in_server_set (b) && ks_transport_compare (a, &same_destination) == 0;
}

/* The destinations of @transport and of those that differ from it only in the destination, as an interval set, so that
 * they share a line. NULL for any destination (transfer full). */
static char *
format_destination (const KsPolicy *policy, const KsTransport *transport)
{
  g_autoptr (GArray) prefixes = g_array_new (FALSE, FALSE, sizeof (KsPrefix));

  if (!ks_prefix_is_set (&transport->to) || transport->to.length == 0)
    return NULL;
  for (guint i = 0; i < policy->transports->len; i++) {
    const KsTransport *other = &g_array_index (policy->transports, KsTransport, i);

    if (is_alike (transport, other))
      ks_guard_collect (prefixes, &other->to);
  }
  return prefixes->len > 1 ? ks_guard_format_elements (transport->family, prefixes)
                           : ks_guard_format_prefix (&transport->to);
}

char *
ks_guard_format_selector (const KsTransport *transport, const char *destination)
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

/* The lines of a transport to anything but a single server (transfer full); NULL for none. */
static char *
format_transport (const KsPolicy *policy, const KsTransport *transport)
{
  g_autofree char *destination = format_destination (policy, transport);
  const KsTransport narrow = ks_transport_with_port (transport, policy->transports);
  g_autofree char *selector = ks_guard_format_selector (&narrow, destination);

  switch (sender_of (policy, transport)) {
  case SENDER_ANY:
    return g_strdup_printf ("    %saccept\n", selector);
  case SENDER_UID:
    return g_strdup_printf ("    %smeta skuid %u accept\n", selector, transport->uid);
  case SENDER_UID_OR_KERNEL:
    return g_strdup_printf ("    %smeta skuid %u accept\n    %sjump unowned\n", selector, transport->uid, selector);
  case SENDER_KERNEL:
    /* an IP tunnel of unknown protocol: packets that no program can send may have any owner */
    if (!transport->ip_protocol)
      return g_strdup_printf ("    %smeta l4proto != " PROGRAM_PROTOCOLS " accept\n    %sjump unowned\n", selector,
                              selector);
    return g_strdup_printf ("    %sjump unowned\n", selector);
  default:
    return NULL;
  }
}

/* Lines that differ only in the server are one line with a set: its lookup costs the same for one and for thousands. */
typedef struct {
  char *selector; /* such as "ip daddr . meta l4proto . th dport" */
  const char *verdict;
  GString *elements; /* "203.0.113.10 . 17 . 1194, ..." */
  GHashTable *seen; /* the elements: without the uid, two transports may be the same */
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

/* The set of @sets for @selector and @verdict; created if it does not exist. */
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
 * Adds the server of @transport to the set that compares the fields the transport has, and the IPv4 address @next_hop
 * unless that is NULL. @restriction is put first in that line.
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

/* As add_to_server_set(), without the uid, but with each next hop of the server's routes. */
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
      /* to the kernel, a gateway of the other family is also no gateway (rt_nexthop()) */
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

void
ks_guard_add_transports (GString *out, const KsPolicy *policy)
{
  add_servers (out, policy);
  for (guint i = 0; i < policy->transports->len; i++) {
    const KsTransport *transport = &g_array_index (policy->transports, KsTransport, i);
    g_autofree char *text = is_in_server_set (transport) ? NULL : format_transport (policy, transport);

    /* without the uid, two of them may be the same */
    if (text && !strstr (out->str, text))
      g_string_append (out, text);
  }
}

/* Accepts what no program sent. A packet without an owner matches no `skuid`, not even a negated one. */
void
ks_guard_add_unowned_chain (GString *out)
{
  ks_guard_begin_chain (out, "unowned");
  ks_guard_add_line (out, "meta skuid != %u return", NO_UID);
  ks_guard_add_line (out, "accept");
  ks_guard_end_chain (out);
}
