/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A tunnel is full if it carries a default route, and split if it carries only
 * subnets of its own (never-default; WireGuard without a default among its
 * allowed IPs). A VPN's packets to its server may go inside the tunnel of
 * another armed VPN that is up, the outer one:
 *
 *   Transport=inside  any full tunnel, or one with a route to the server
 *   Transport=beside  none
 *   Transport=auto    one with a route to the server, other than a default; for a split
 *                     VPN with a public server, any full one. Otherwise none: of two
 *                     full VPNs side by side, one carries on when the other is lost.
 *
 * With auto, a full VPN never goes inside a split one: otherwise its server, or
 * whoever runs the other VPN, would only have to announce a route to capture it.
 *
 * NetworkManager's base connection of a VPN (SpecificObject) says nothing about
 * this: it is the primary connection of the moment, which is another VPN
 * whenever one is up, while the host route to the server still goes through the
 * uplink (run, 1.42).
 *
 * An address has one route, so all VPNs with a server at the same address are
 * decided together: inside only if each of them may go inside the same tunnel.
 * The server of the outer VPN itself is therefore always beside.
 *
 * No VPN goes inside one that is, even indirectly, inside it: each chain ends at
 * a VPN beside all others. Explicit settings come first, then the tunnels in
 * NetworkManager's order: of two that could each go inside the other, the
 * preferred one becomes the inner one. When several tunnels could be the outer
 * one, one with a route to the server is preferred, then the same order applies.
 */
#include "policy/ks-nesting.h"

typedef struct {
  KsPrefix address;
  GPtrArray *users; /* of KsProfile */
  gboolean is_near;
  const KsTunnel *outer;
} Server;

struct KsNesting {
  const KsConfig *config;
  const GPtrArray *tunnels;
  GHashTable *owners; /* KsTunnel -> KsProfile */
  GHashTable *by_address; /* KsPrefix -> Server, of servers */
  GPtrArray *servers; /* of Server, in the order in which they are decided */
  GHashTable *outers; /* KsProfile -> GPtrArray of KsTunnel: the tunnels that its servers are inside of */
};

/* A prefix of this length, or shorter, is a piece of a default route. */
#define WIDE4 7
#define WIDE6 15

static void
server_free (gpointer data)
{
  Server *server = data;

  g_ptr_array_unref (server->users);
  g_free (server);
}

KsNesting *
ks_nesting_new (const KsConfig *config, const GPtrArray *armed, const GPtrArray *tunnels)
{
  KsNesting *self = g_new0 (KsNesting, 1);
  g_autoptr (GHashTable) profiles = g_hash_table_new (g_str_hash, g_str_equal);

  self->config = config;
  self->tunnels = tunnels;
  self->owners = g_hash_table_new (NULL, NULL);
  for (guint i = 0; i < armed->len; i++)
    g_hash_table_insert (profiles, (gpointer) ks_profile_key (armed->pdata[i]), armed->pdata[i]);
  for (guint i = 0; i < tunnels->len; i++)
    g_hash_table_insert (self->owners, tunnels->pdata[i],
                         g_hash_table_lookup (profiles, ((const KsTunnel *) tunnels->pdata[i])->key));
  self->by_address = g_hash_table_new (ks_prefix_hash, ks_prefix_equal_func);
  self->servers = g_ptr_array_new_with_free_func (server_free);
  self->outers = g_hash_table_new_full (NULL, NULL, NULL, (GDestroyNotify) g_ptr_array_unref);
  return self;
}

void
ks_nesting_free (KsNesting *self)
{
  g_hash_table_unref (self->outers);
  g_hash_table_unref (self->owners);
  g_hash_table_unref (self->by_address);
  g_ptr_array_unref (self->servers);
  g_free (self);
}

void
ks_nesting_add (KsNesting *self, const KsProfile *profile, const KsPrefix *address, gboolean is_near)
{
  Server *server = g_hash_table_lookup (self->by_address, address);

  if (!server) {
    server = g_new0 (Server, 1);
    server->address = *address;
    server->users = g_ptr_array_new ();
    g_ptr_array_add (self->servers, server);
    g_hash_table_insert (self->by_address, &server->address, server);
  }
  server->is_near |= is_near;
  if (!g_ptr_array_find (server->users, profile, NULL))
    g_ptr_array_add (server->users, (gpointer) profile);
}

/* --- what a tunnel carries --- */

static const KsProfile *
profile_of (const KsNesting *self, const KsTunnel *tunnel)
{
  return g_hash_table_lookup (self->owners, tunnel);
}

static gboolean
has_family (const KsTunnel *tunnel, int family)
{
  return tunnel->ifindex && (family == AF_INET6 ? tunnel->has_ipv6 : tunnel->has_ipv4);
}

/* A profile does not say that its VPN has no IPv6. */
gboolean
ks_nesting_is_split (const KsProfile *profile, const KsTunnel *tunnel)
{
  gboolean has_ipv6 = profile->vpn_type == KS_VPN_WIREGUARD || (tunnel && tunnel->has_ipv6);

  return profile->never_default4 && (profile->never_default6 || !has_ipv6);
}

static gboolean
is_full (const KsNesting *self, const KsTunnel *tunnel, int family)
{
  const KsProfile *profile = profile_of (self, tunnel);

  return profile && has_family (tunnel, family)
         && !(family == AF_INET6 ? profile->never_default6 : profile->never_default4);
}

static gboolean
has_route (const KsNesting *self, const KsTunnel *tunnel, const KsPrefix *address)
{
  const KsProfile *profile = profile_of (self, tunnel);

  if (!profile || profile->in_pieces || !has_family (tunnel, address->family))
    return FALSE;
  for (guint i = 0; i < tunnel->prefixes->len; i++) {
    const KsPrefix *prefix = &g_array_index (tunnel->prefixes, KsPrefix, i);

    if (prefix->length > (prefix->family == AF_INET6 ? WIDE6 : WIDE4) && ks_prefix_contains (prefix, address))
      return TRUE;
  }
  return FALSE;
}

/* --- what a VPN asks for --- */

static KsPlacement
placement_of (const KsNesting *self, const KsProfile *profile)
{
  return profile->placement == KS_PLACEMENT_UNSET ? self->config->placement : profile->placement;
}

/* Whether @profile may reach its server @address through @outer. */
static gboolean
may_go_inside (const KsNesting *self, const KsProfile *profile, const KsPrefix *address, const KsTunnel *outer)
{
  const KsProfile *other = profile_of (self, outer);
  gboolean is_split = ks_nesting_is_split (profile, ks_tunnel_find (self->tunnels, ks_profile_key (profile)));

  if (!other || other == profile)
    return FALSE;
  switch (placement_of (self, profile)) {
  case KS_PLACEMENT_INSIDE:
    return is_full (self, outer, address->family) || has_route (self, outer, address);
  case KS_PLACEMENT_BESIDE:
    return FALSE;
  default:
    if (has_route (self, outer, address))
      return is_split || !ks_nesting_is_split (other, outer);
    /* a private server without a route cannot be assumed to be at the other end of a tunnel */
    return is_split && is_full (self, outer, address->family)
           && !ks_prefix_array_covers (self->config->lan_prefixes, address);
  }
}

/* Whether @profile is @target, or inside a tunnel of it, even indirectly. */
static gboolean
reaches (const KsNesting *self, const KsProfile *profile, const KsProfile *target)
{
  const GPtrArray *outers = g_hash_table_lookup (self->outers, profile);

  if (profile == target)
    return TRUE;
  for (guint i = 0; outers && i < outers->len; i++)
    if (reaches (self, profile_of (self, outers->pdata[i]), target))
      return TRUE;
  return FALSE;
}

static gboolean
may_all_go_inside (const KsNesting *self, const Server *server, const KsTunnel *outer)
{
  for (guint i = 0; i < server->users->len; i++)
    if (!may_go_inside (self, server->users->pdata[i], &server->address, outer)
        || reaches (self, profile_of (self, outer), server->users->pdata[i]))
      return FALSE;
  return TRUE;
}

static const KsTunnel *
find_outer (const KsNesting *self, const Server *server)
{
  for (int needs_route = 1; needs_route >= 0; needs_route--)
    for (guint i = 0; i < self->tunnels->len; i++) {
      const KsTunnel *outer = self->tunnels->pdata[i];

      if ((!needs_route || has_route (self, outer, &server->address)) && may_all_go_inside (self, server, outer))
        return outer;
    }
  return NULL;
}

static void
put_inside (KsNesting *self, const KsProfile *profile, const KsTunnel *outer)
{
  GPtrArray *outers = g_hash_table_lookup (self->outers, profile);

  if (!outers) {
    outers = g_ptr_array_new ();
    g_hash_table_insert (self->outers, (gpointer) profile, outers);
  }
  if (!g_ptr_array_find (outers, outer, NULL))
    g_ptr_array_add (outers, (gpointer) outer);
}

/* --- the order of decisions --- */

/* 0 if a profile sets it explicitly, 1 otherwise. */
static guint
explicit_rank (const KsNesting *self, const Server *server)
{
  for (guint i = 0; i < server->users->len; i++) {
    const KsProfile *profile = server->users->pdata[i];

    if (profile->placement == KS_PLACEMENT_INSIDE)
      return 0;
  }
  return self->config->placement == KS_PLACEMENT_INSIDE ? 0 : 1;
}

/* The position of the first of its users' tunnels; those that are down come last, since they carry nobody. */
static guint
tunnel_rank (const KsNesting *self, const Server *server)
{
  guint rank = self->tunnels->len;

  for (guint i = 0; i < server->users->len; i++)
    for (guint j = 0; j < rank; j++)
      if (g_strcmp0 (((const KsTunnel *) self->tunnels->pdata[j])->key, ks_profile_key (server->users->pdata[i])) == 0)
        rank = j;
  return rank;
}

static int
compare_servers (gconstpointer first, gconstpointer second, gpointer user_data)
{
  const Server *a = *(const Server *const *) first, *b = *(const Server *const *) second;
  const KsNesting *self = user_data;
  guint x = explicit_rank (self, a), y = explicit_rank (self, b);

  if (x == y) {
    x = tunnel_rank (self, a);
    y = tunnel_rank (self, b);
  }
  return x == y ? ks_prefix_compare (&a->address, &b->address) : x < y ? -1 : 1;
}

void
ks_nesting_decide (KsNesting *self)
{
  if (self->tunnels->len == 0)
    return;
  g_ptr_array_sort_with_data (self->servers, compare_servers, self);
  for (guint i = 0; i < self->servers->len; i++) {
    Server *server = self->servers->pdata[i];

    if (!server->is_near)
      server->outer = find_outer (self, server);
    for (guint j = 0; server->outer && j < server->users->len; j++)
      put_inside (self, server->users->pdata[j], server->outer);
  }
}

const KsTunnel *
ks_nesting_find (const KsNesting *self, const KsPrefix *address)
{
  const Server *server = g_hash_table_lookup (self->by_address, address);

  return server ? server->outer : NULL;
}

const KsTunnel *
ks_nesting_find_outer (const KsNesting *self, const KsProfile *profile)
{
  const GPtrArray *outers = g_hash_table_lookup (self->outers, profile);

  return outers ? outers->pdata[0] : NULL;
}
