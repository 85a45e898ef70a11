/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the policy exempts: each VPN's own packets to its servers, and the queries for the servers' names. */
#include "policy/ks-policy-builder.h"
#include "policy/ks-query.h"

static void
add_transport (GArray *transports, const KsTransport *transport)
{
  for (guint i = 0; i < transports->len; i++)
    if (ks_transport_compare (&g_array_index (transports, KsTransport, i), transport) == 0)
      return;
  g_array_append_val (transports, *transport);
}

/* Sorts @transports and removes duplicates at the end rather than while adding: there may be many. */
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

/* A resolver at a loopback address is the system's own, not an uplink's. */
static void
add_uplink_resolvers (const KsPolicyBuilder *b, GArray *addresses)
{
  for (guint i = 0; b->in->resolvers && i < b->in->resolvers->len; i++) {
    const KsPrefix *resolver = &g_array_index (b->in->resolvers, KsPrefix, i);

    if (!ks_prefix_is_loopback (resolver))
      g_array_append_val (addresses, *resolver);
  }
}

/* The addresses of @endpoint: its own, those of its name, or those of the uplinks' resolvers (transfer full). */
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

/* The uplinks' own resolvers must not be looked for through a tunnel. */
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

/*
 * charon-nm asks the kernel for the route to its server as root and with its
 * mark, without the protocol and port of what it is about to send. If there is
 * no route, or one through its own tunnel, charon-nm concludes that the host is
 * behind a NAT and gives up the SAs of a connection that it has just
 * established (run, strongSwan 6.0). The guard lets nothing out for this rule.
 */
static void
add_lookup (KsPolicyBuilder *b, const KsProfile *profile, const KsTransport *esp)
{
  KsTransport lookup = *esp;

  lookup.ip_protocol = 0;
  lookup.fwmark = profile->fwmark;
  lookup.carriage = KS_CARRIAGE_LOOKUP;
  memset (lookup.device, 0, sizeof lookup.device);
  g_array_append_val (b->policy->transports, lookup);
}

static gboolean
is_offloaded (const KsPolicyBuilder *b, const KsTunnel *tunnel)
{
  for (guint i = 0; b->in->offload_links && i < b->in->offload_links->len; i++)
    if (tunnel->ifindex && g_array_index (b->in->offload_links, guint, i) == tunnel->ifindex)
      return TRUE;
  return FALSE;
}

/*
 * What the kernel sends in place of the program that @sent is of, while @tunnel
 * is up. Over UDP only: over TCP it writes to the program's own socket.
 */
static void
add_offloaded (KsPolicyBuilder *b, const KsTransport *sent, const KsTunnel *tunnel)
{
  KsTransport transport = *sent;

  if (transport.ip_protocol && transport.ip_protocol != IPPROTO_UDP)
    return;
  transport.ip_protocol = IPPROTO_UDP;
  transport.uid = 0;
  transport.kernel = TRUE;
  g_strlcpy (transport.device, tunnel->interface, sizeof transport.device);
  g_array_append_val (b->policy->transports, transport);
}

/* To the profile's servers, from whoever sends the transport. All selectors of a section apply together. */
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
        if (profile->vpn_type == KS_VPN_PLUGIN && profile->fwmark && endpoint->ip_protocol == IPPROTO_ESP)
          add_lookup (b, profile, &transport);
        if (tunnel && !kernel && endpoint->carriage == KS_CARRIAGE_PLAIN && is_offloaded (b, tunnel))
          add_offloaded (b, &transport, tunnel);
      }
  }
}

/*
 * From WireGuard's port and with its mark, to wherever its peers have roamed.
 * Kernel WireGuard routes as uid 0. The mark does not replace the port: with
 * strict reverse-path filtering, a mark alone loses the answers (run, Linux 6.1).
 *
 * Only while the device exists: until then nobody sends from that port, and a
 * handshake goes to an endpoint that the profile names. NetworkManager waits for
 * us at pre-up.
 *
 * Not while the VPN is inside another one: port and mark would lead beside that
 * one. Only the servers' routes lead inside, and peers do not roam in there.
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
  /* a device whose port is known has reported its mark too: a changed profile does not count yet */
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

/* Whether packets have a way out through a tunnel: a query for a name can go there, like everything else. */
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

/* The servers' names, and their known aliases. */
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

/* Who may ask: root, and the system's resolver if a guard checks what it asks for. */
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

void
ks_policy_add_transports (KsPolicyBuilder *b)
{
  nest_servers (b);
  for (guint i = 0; i < b->connecting->len; i++) {
    const KsProfile *profile = b->connecting->pdata[i];

    add_endpoint_transports (b, profile);
    if (profile->vpn_type == KS_VPN_WIREGUARD)
      add_wireguard_transports (b, profile);
  }
  add_bootstrap (b);
  sort_transports (b->policy->transports);
}
