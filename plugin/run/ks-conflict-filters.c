/* SPDX-License-Identifier: GPL-2.0-or-later */
/* nftables and traffic control. */
#include "run/ks-conflict-search.h"

#include <linux/netfilter.h>
#include <string.h>

#include "kernel/ks-guard.h"

/* NF_NETDEV_EGRESS of linux/netfilter.h: Linux 5.16 */
#define NETDEV_EGRESS 1u

/* Whether packets leave the host by the device: a network card, or one with a default route. 0: nobody can tell. */
static gboolean
is_way_out (const KsConflictSearch *s, guint ifindex)
{
  const KsLink *link = ks_conflict_find_link (s, ifindex);

  if (!link || ks_policy_has_tunnel (s->in->policy, ifindex) || ifindex == KS_CONFLICT_LOOPBACK)
    return ifindex == 0;
  if (link->is_hardware && strcmp (link->kind, "bridge") != 0)
    return TRUE;
  for (guint i = 0; i < s->in->routes->len; i++) {
    const KsRoute *route = &g_array_index (s->in->routes, KsRoute, i);

    if (route->table == RT_TABLE_MAIN && ks_route_is_default (route) && ks_route_uses (route, ifindex))
      return TRUE;
  }
  return FALSE;
}

/* As add(), for what no hook of the guard sees. */
static void
add_past_guard (KsConflictSearch *s, const char *kind, char *object, const char *program, char *text)
{
  const guint before = s->out->len;

  ks_conflict_add (s, kind, KS_CONFLICT_LEAKS, object, program, text);
  if (s->out->len > before)
    ((KsConflict *) s->out->pdata[before])->passes_guard = TRUE;
}

static gboolean
is_ours (const KsNftObject *object)
{
  return object->family == NFPROTO_INET && strcmp (object->table, KS_GUARD_TABLE) == 0;
}

static gboolean
may_stop_transports (const KsNftObject *object)
{
  if (!object->is_base || !object->drops)
    return FALSE;
  switch (object->family) {
  case NFPROTO_INET:
  case NFPROTO_IPV4:
  case NFPROTO_IPV6:
    return object->hook == NF_INET_LOCAL_OUT || object->hook == NF_INET_POST_ROUTING;
  case NFPROTO_NETDEV:
    return object->hook == NETDEV_EGRESS;
  default:
    return FALSE;
  }
}

static void
add_flowtable (KsConflictSearch *s, const KsNftObject *object, const char *program)
{
  g_autofree char *by = ks_conflict_by (program);
  char *name = ks_nft_object_format (object);

  add_past_guard (
    s, "flowtable", name, program,
    g_strdup_printf ("nftables flowtable '%s'%s keeps forwarding connections past the VPN that were open before "
                     "arming (%u in all), and the kernel refuses to end them. Turn off flow offloading there",
                     name, by, s->in->flows));
}

static void
add_nft_redirection (KsConflictSearch *s, const KsNftObject *object, const char *program)
{
  g_autofree char *by = ks_conflict_by (program);
  g_autofree char *to =
    ks_conflict_printable (g_strdup (object->ifindex ? ks_conflict_interface (s, object->ifindex) : "any device"));
  char *name = ks_nft_object_format (object);

  add_past_guard (s, "chain", name, program,
                  g_strdup_printf ("nftables chain '%s'%s sends packets, or copies of them, to %s by `fwd` or `dup`, "
                                   "past the VPN and the guard. Stop whatever sets it, or run: nft flush chain %s",
                                   name, by, to, name));
}

static void
add_dropping_chain (KsConflictSearch *s, const KsNftObject *object, const char *program)
{
  g_autofree char *by = ks_conflict_by (program);
  char *name = ks_nft_object_format (object);

  ks_conflict_add (
    s, "chain", KS_CONFLICT_BLOCKS, name, program,
    g_strdup_printf (
      "nftables chain '%s'%s drops whatever it does not expect and may keep the VPN from connecting. Allow the VPN's "
      "server in that firewall, or turn it off",
      name, by));
}

/*
 * Whether a VPN has connected, as far as can be told: its tunnel has received something. A WireGuard device, or that of
 * a section, may be up without.
 */
static gboolean
is_connected (const KsConflictSearch *s)
{
  for (guint i = 0; i < s->in->policy->tunnels->len; i++) {
    const KsLink *link =
      ks_conflict_find_link (s, ((const KsPolicyTunnel *) s->in->policy->tunnels->pdata[i])->ifindex);

    if (!link || !link->is_mute)
      return TRUE;
  }
  return FALSE;
}

void
ks_conflict_consider_nft (KsConflictSearch *s, const KsNftObject *object)
{
  const char *program = is_ours (object) ? NULL : ks_neighbour_of_nft (object, s->in->objects);

  if (is_ours (object))
    return;
  switch (object->kind) {
  case KS_NFT_FLOWTABLE:
    if (s->in->flows > 0)
      add_flowtable (s, object, program);
    break;
  case KS_NFT_REDIRECTION:
    if (is_way_out (s, object->ifindex))
      add_nft_redirection (s, object, program);
    break;
  default:
    if (may_stop_transports (object) && !is_connected (s))
      add_dropping_chain (s, object, program);
    break;
  }
}

void
ks_conflict_consider_redirection (KsConflictSearch *s, const KsTcRedirection *redirection)
{
  g_autofree char *device = NULL;
  char *object;

  if (!is_way_out (s, redirection->ifindex))
    return;
  device = ks_conflict_printable (g_strdup (ks_conflict_interface (s, redirection->ifindex)));
  object = g_strdup_printf ("mirred %s to %s index %u", redirection->copies ? "mirror" : "redirect", device,
                            redirection->index);
  add_past_guard (s, "action", object, NULL,
                  g_strdup_printf ("traffic control action '%s' (set by another program) sends %s to %s, past the VPN "
                                   "and the guard. Stop whatever sets it, or delete its filter, which `tc filter show "
                                   "dev DEVICE ingress` and `egress` list for each device",
                                   object, redirection->copies ? "copies of packets" : "packets", device));
}
