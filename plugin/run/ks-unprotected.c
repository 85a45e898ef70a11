/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run/ks-unprotected.h"

#include <string.h>

#include "base/ks-error.h"

/* Nobody reads more. */
#define MAX_LINES 8
/* The index of lo in every network namespace: LOOPBACK_IFINDEX of the kernel's include/net/flow.h. */
#define LOOPBACK 1u
/* net/bridge/br_netfilter_hooks.c; absent without that module */
#define BRIDGE_SYSCTL "/proc/sys/net/bridge/bridge-nf-call-%s"

static const KsLink *
find_link (const KsUnprotectedInput *in, guint ifindex)
{
  for (guint i = 0; i < in->links->len; i++)
    if (g_array_index (in->links, KsLink, i).ifindex == ifindex)
      return &g_array_index (in->links, KsLink, i);
  return NULL;
}

static gboolean
is_of_kind (const KsLink *link, const char *kind)
{
  return strcmp (link->kind, kind) == 0;
}

/* Whether @link is a network card, or a device on top of some. */
static gboolean
is_card (const KsLink *link)
{
  return link->is_hardware && link->ifindex != LOOPBACK && !is_of_kind (link, "bridge");
}

/* A bridge of @kind between a network card and whatever else is a port of it. */
static gboolean
connects_card (const KsUnprotectedInput *in, const KsLink *bridge, const char *kind)
{
  if (!bridge || !is_of_kind (bridge, kind))
    return FALSE;
  for (guint i = 0; i < in->links->len; i++) {
    const KsLink *port = &g_array_index (in->links, KsLink, i);

    if (port->master == bridge->ifindex && is_card (port))
      return TRUE;
  }
  return FALSE;
}

static gboolean
is_bridge_of_card (const KsUnprotectedInput *in, const KsLink *bridge)
{
  return connects_card (in, bridge, "bridge");
}

static gboolean
has_default_route (const KsUnprotectedInput *in, guint ifindex)
{
  for (guint i = 0; i < in->routes->len; i++) {
    const KsRoute *route = &g_array_index (in->routes, KsRoute, i);

    if (route->table == RT_TABLE_MAIN && ks_route_is_default (route) && ks_route_uses (route, ifindex))
      return TRUE;
  }
  return FALSE;
}

/* Whether this host reaches the network through the device. */
static gboolean
is_uplink (const KsUnprotectedInput *in, const KsLink *link)
{
  return link && !ks_policy_has_tunnel (in->policy, link->ifindex)
         && (is_card (link) || is_bridge_of_card (in, link) || has_default_route (in, link->ifindex));
}

/* @text is taken. */
static void
add (GPtrArray *out, char *text)
{
  if (out->len < MAX_LINES)
    g_ptr_array_add (out, ks_error_printable (text)); /* a device's name may be anything */
  g_free (text);
}

static void
consider_link (const KsUnprotectedInput *in, const KsLink *link, GPtrArray *out)
{
  const KsLink *master = find_link (in, link->master), *lower = find_link (in, link->lower);

  if (!link->is_up)
    return;
  if (is_of_kind (link, "macvtap") && is_uplink (in, lower))
    add (out,
         g_strdup_printf ("the virtual machine on %s (macvtap on %s): it is a host of its own on that network, and "
                          "what it sends bypasses the kill switch",
                          link->name, lower->name));
  else if ((is_of_kind (link, "tun") || is_of_kind (link, "veth")) && connects_card (in, master, "openvswitch"))
    add (out, g_strdup_printf ("the virtual machine or container on %s (a port of Open vSwitch, as the network card "
                               "is): what the switch passes on bypasses the kill switch",
                               link->name));
  else if ((is_of_kind (link, "tun") || is_of_kind (link, "veth")) && !in->filters_bridges
           && is_bridge_of_card (in, master))
    add (out, g_strdup_printf ("the virtual machine or container on %s (a port of %s): it is a host of its own on that "
                               "network, and what it sends bypasses the kill switch",
                               link->name, master->name));
}

static gboolean
is_address_of_link (const KsUnprotectedInput *in, const guint8 *address)
{
  for (guint i = 0; i < in->links->len; i++)
    if (memcmp (g_array_index (in->links, KsLink, i).address, address, KS_LINK_ADDRESS) == 0)
      return TRUE;
  return FALSE;
}

static void
consider_station (const KsUnprotectedInput *in, const KsStation *station, GPtrArray *out)
{
  const KsLink *link = find_link (in, station->ifindex);
  const guint8 *a = station->address;

  if (is_uplink (in, link) && !is_address_of_link (in, a))
    add (out,
         g_strdup_printf ("%02x:%02x:%02x:%02x:%02x:%02x on %s, probably a container (macvlan): it is a host of its "
                          "own on that network, and what it sends bypasses the kill switch",
                          a[0], a[1], a[2], a[3], a[4], a[5], link->name));
}

GPtrArray *
ks_unprotected_find (const KsUnprotectedInput *input)
{
  GPtrArray *out = g_ptr_array_new_with_free_func (g_free);

  if (!input->policy->armed)
    return out;
  for (guint i = 0; i < input->links->len; i++)
    consider_link (input, &g_array_index (input->links, KsLink, i), out);
  for (guint i = 0; i < input->stations->len; i++)
    consider_station (input, &g_array_index (input->stations, KsStation, i), out);
  return out;
}

/* --- reading --- */

static gboolean
is_on (const char *name)
{
  g_autofree char *path = g_strdup_printf (BRIDGE_SYSCTL, name), *value = NULL;

  return g_file_get_contents (path, &value, NULL, NULL) && *value == '1';
}

GPtrArray *
ks_unprotected_read (KsKernel *kernel, const KsPolicy *policy, const GArray *routes)
{
  g_autoptr (GArray) links = policy->armed ? ks_kernel_dump_links (kernel, NULL) : NULL;
  g_autoptr (GArray) stations = links ? ks_kernel_dump_stations (kernel, NULL) : NULL;
  KsUnprotectedInput input = { .policy = policy,
                               .routes = routes,
                               .filters_bridges = is_on ("iptables") && is_on ("ip6tables") };

  if (!links)
    links = g_array_new (FALSE, FALSE, sizeof (KsLink));
  if (!stations)
    stations = g_array_new (FALSE, FALSE, sizeof (KsStation));
  input.links = links;
  input.stations = stations;
  return ks_unprotected_find (&input);
}
