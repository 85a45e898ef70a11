/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Finds the tunnels: NetworkManager's answer, checked against the kernel's
 * devices. Without an answer: what our own routes, the event and the state tell.
 */
#include "run/ks-situation.h"

#include <string.h>

#include "base/ks-error.h"

static const KsProfile *
find_armed (const KsSituation *self, const char *key)
{
  for (guint i = 0; i < self->armed->len; i++)
    if (g_strcmp0 (ks_profile_key (self->armed->pdata[i]), key) == 0)
      return self->armed->pdata[i];
  return NULL;
}

static void
take_network_tunnels (KsSituation *self, KsKernel *kernel)
{
  for (guint i = 0; i < self->network->tunnels->len;) {
    KsTunnel *tunnel = self->network->tunnels->pdata[i];

    tunnel->ifindex = find_armed (self, tunnel->key) ? ks_kernel_link_index (kernel, tunnel->interface) : 0;
    if (tunnel->ifindex)
      g_ptr_array_add (self->tunnels, g_ptr_array_steal_index (self->network->tunnels, i));
    else
      i++;
  }
}

/* Whether @event says that the device @interface is going away or coming up. */
static gboolean
names_interface (const KsEvent *event, const char *interface)
{
  return event && (g_strcmp0 (event->interface, interface) == 0 || g_strcmp0 (event->vpn_interface, interface) == 0);
}

static gboolean
is_coming (const KsEvent *event)
{
  switch (event ? event->action : KS_ACTION_UNKNOWN) {
  case KS_ACTION_PRE_UP:
  case KS_ACTION_UP:
  case KS_ACTION_VPN_PRE_UP:
  case KS_ACTION_VPN_UP:
    return TRUE;
  default:
    return FALSE;
  }
}

/* Whether the event is about a plugin VPN, in which case its interface may be the one the VPN runs over. */
static gboolean
is_vpn_action (const KsEvent *event)
{
  return event->action == KS_ACTION_VPN_PRE_UP || event->action == KS_ACTION_VPN_UP;
}

/* Describes a tunnel by our own routes through its device. */
static gboolean
describe_from_routes (const KsConfig *config, const KsSnapshot *snapshot, KsTunnel *tunnel)
{
  gboolean found = FALSE;

  for (guint i = 0; i < snapshot->routes->len; i++) {
    const KsRoute *route = &g_array_index (snapshot->routes, KsRoute, i);

    if (!ks_owner_has_route (config, route) || (route->table != config->table && route->table != config->tunnel_table)
        || !ks_route_uses (route, tunnel->ifindex))
      continue;
    if (!ks_route_is_default (route)) {
      ks_tunnel_add_prefix (tunnel, &route->dst, &route->nexthops[0].gateway);
      continue;
    }
    found = TRUE;
    if (route->family == AF_INET) {
      tunnel->has_ipv4 = TRUE;
      tunnel->gateway4 = route->nexthops[0].gateway;
    } else {
      tunnel->has_ipv6 = TRUE;
      tunnel->gateway6 = route->nexthops[0].gateway;
    }
  }
  return found;
}

static void
describe_from_event (KsTunnel *tunnel, const KsEvent *event)
{
  for (guint i = 0; i < event->addresses->len; i++) {
    const KsPrefix *address = &g_array_index (event->addresses, KsPrefix, i);

    if (ks_prefix_is_link_local (address))
      continue;
    if (address->family == AF_INET)
      tunnel->has_ipv4 = TRUE;
    else
      tunnel->has_ipv6 = TRUE;
    ks_prefix_array_add (tunnel->addresses, address);
    if (!ks_prefix_is_host (address))
      ks_tunnel_add_prefix (tunnel, address, NULL);
  }
  if (ks_prefix_is_set (&event->gateway4))
    tunnel->gateway4 = event->gateway4;
  if (ks_prefix_is_set (&event->gateway6))
    tunnel->gateway6 = event->gateway6;
  for (guint i = 0; i < event->nameservers->len; i++)
    ks_prefix_array_add (tunnel->nameservers, &g_array_index (event->nameservers, KsPrefix, i));
}

/*
 * NetworkManager 1.52 lists the IPv6 addresses of a plugin VPN only some time after its event has named them (run, with
 * OpenVPN), and the kernel may get them in between. add_what_the_kernel_knows() handles the time after this event.
 */
static void
add_what_the_event_knows (KsSituation *self, const KsEvent *event)
{
  const KsProfile *profile = NULL;

  for (guint i = 0; event && is_vpn_action (event) && event->vpn_interface && !profile && i < self->armed->len; i++)
    if (ks_event_is_of (event, self->armed->pdata[i]))
      profile = self->armed->pdata[i];
  for (guint i = 0; profile && i < self->tunnels->len; i++) {
    KsTunnel *tunnel = self->tunnels->pdata[i];

    if (strcmp (tunnel->key, ks_profile_key (profile)) == 0 && strcmp (tunnel->interface, event->vpn_interface) == 0
        && (!tunnel->has_ipv4 || !tunnel->has_ipv6))
      describe_from_event (tunnel, event);
  }
}

/*
 * Without NetworkManager's answer: a device that our own routes already use (an
 * index is unique until the next boot), or that the event brings up for an armed
 * profile. A name alone is not enough: another program's tun0 is not our
 * tunnel.
 */
static void
guess_tunnel (KsSituation *self, KsKernel *kernel, const KsSnapshot *snapshot, const KsEvent *event,
              const KsProfile *profile)
{
  const KsRemembered *remembered = ks_state_find (self->state, ks_profile_key (profile));
  gboolean is_ours = ks_event_is_of (event, profile);
  const char *interface = remembered ? remembered->tunnel : NULL;
  g_autoptr (KsTunnel) tunnel = NULL;
  gboolean is_known;

  /* for a plugin VPN without a device of its own, the event names the uplink, which is no tunnel */
  if (is_ours && is_coming (event))
    interface = is_vpn_action (event) ? event->vpn_interface : event->interface;
  if (!interface || (event && ks_event_is_down (event) && names_interface (event, interface)))
    return;
  tunnel = ks_tunnel_new (ks_profile_key (profile), interface);
  tunnel->ifindex = ks_kernel_link_index (kernel, interface);
  if (!tunnel->ifindex)
    return;
  is_known = describe_from_routes (self->config, snapshot, tunnel);
  if (remembered && g_strcmp0 (remembered->tunnel, interface) == 0) {
    tunnel->listen_port = remembered->listen_port;
    tunnel->fwmark = remembered->fwmark;
    g_array_append_vals (tunnel->addresses, remembered->addresses->data, remembered->addresses->len);
  }
  if (is_ours && is_coming (event)) {
    describe_from_event (tunnel, event);
    is_known = TRUE;
  }
  if (is_known)
    g_ptr_array_add (self->tunnels, g_steal_pointer (&tunnel));
}

static void
remember_prefixes (KsRemembered *remembered, const KsTunnel *tunnel)
{
  for (guint i = 0; i < tunnel->prefixes->len; i++)
    ks_prefix_array_add (remembered->prefixes, &g_array_index (tunnel->prefixes, KsPrefix, i));
  for (guint i = 0; i < tunnel->nameservers->len; i++)
    ks_prefix_array_add (remembered->prefixes, &g_array_index (tunnel->nameservers, KsPrefix, i));
}

/* True if @tunnel was unknown so far, or has new subnets. */
static gboolean
is_new (const KsRemembered *remembered, const KsTunnel *tunnel, gboolean is_first)
{
  if (is_first && g_strcmp0 (remembered->tunnel, tunnel->interface) != 0)
    return TRUE;
  for (guint i = 0; i < tunnel->prefixes->len; i++)
    if (!ks_prefix_array_contains (remembered->prefixes, &g_array_index (tunnel->prefixes, KsPrefix, i)))
      return TRUE;
  return FALSE;
}

/* A section may have several tunnels: the first one is remembered, with the subnets of all of them. */
static void
remember_tunnels (KsSituation *self)
{
  for (guint i = 0; i < self->tunnels->len; i++) {
    const KsTunnel *tunnel = self->tunnels->pdata[i];
    KsRemembered *remembered = ks_state_find (self->state, tunnel->key);
    gboolean is_first = ks_tunnel_find (self->tunnels, tunnel->key) == tunnel;

    if (!remembered)
      continue;
    if (remembered->profile->vpn_type == KS_VPN_SECTION && !self->appeared && is_new (remembered, tunnel, is_first))
      self->appeared = g_strdup (remembered->profile->id);
    if (is_first) {
      g_free (remembered->tunnel);
      remembered->tunnel = g_strdup (tunnel->interface);
      remembered->listen_port = tunnel->listen_port;
      remembered->fwmark = tunnel->fwmark;
      g_array_set_size (remembered->addresses, 0);
      g_array_append_vals (remembered->addresses, tunnel->addresses->data, tunnel->addresses->len);
    }
    if (is_first && (tunnel->prefixes->len > 0 || tunnel->nameservers->len > 0))
      g_array_set_size (remembered->prefixes, 0);
    remember_prefixes (remembered, tunnel);
  }
}

/* --- what the kernel knows about a tunnel --- */

static gboolean
is_of_family (int wanted, int family)
{
  return wanted == AF_UNSPEC || wanted == family;
}

/* @family: AF_UNSPEC for both. */
static void
describe_from_addresses (KsTunnel *tunnel, const GArray *addresses, int family)
{
  for (guint i = 0; i < addresses->len; i++) {
    const KsAddress *address = &g_array_index (addresses, KsAddress, i);

    if (address->ifindex != tunnel->ifindex || !is_of_family (family, address->prefix.family)
        || ks_prefix_is_link_local (&address->prefix))
      continue;
    if (address->prefix.family == AF_INET)
      tunnel->has_ipv4 = TRUE;
    else
      tunnel->has_ipv6 = TRUE;
    ks_prefix_array_add (tunnel->addresses, &address->prefix);
    if (!ks_prefix_is_host (&address->prefix))
      ks_tunnel_add_prefix (tunnel, &address->prefix, NULL);
  }
}

/* Uses @routes of any table and any program: a program may use a table of its own for its tunnel. */
static void
describe_from_routes_of_others (KsTunnel *tunnel, const KsConfig *config, const GArray *routes, int family)
{
  for (guint i = 0; i < routes->len; i++) {
    const KsRoute *route = &g_array_index (routes, KsRoute, i);
    const KsPrefix *gateway;
    KsPrefix *to;

    if (ks_owner_has_route (config, route) || !is_of_family (family, route->family) || route->type != RTN_UNICAST
        || !ks_route_uses (route, tunnel->ifindex) || ks_prefix_is_link_local (&route->dst)
        || ks_prefix_is_multicast (&route->dst))
      continue;
    gateway = &route->nexthops[0].gateway;
    to = route->family == AF_INET ? &tunnel->gateway4 : &tunnel->gateway6;
    if (!ks_route_is_default (route))
      ks_tunnel_add_prefix (tunnel, &route->dst, gateway->family == route->family ? gateway : NULL);
    else if (!ks_prefix_is_set (to) && gateway->family == route->family)
      *to = *gateway;
  }
}

/*
 * For a family in which NetworkManager lists no address yet although its plugin VPN's device has one. Otherwise, IPv6
 * would stay blocked after any event until NetworkManager 1.52 has caught up, and then until one more event. The device
 * is the VPN's own, so whatever the kernel says about it leads into the tunnel.
 */
static void
add_what_the_kernel_knows (KsSituation *self, const KsSnapshot *snapshot)
{
  for (guint i = 0; i < self->tunnels->len; i++) {
    KsTunnel *tunnel = self->tunnels->pdata[i];
    const KsProfile *profile = find_armed (self, tunnel->key);
    int missing = !tunnel->has_ipv6 ? AF_INET6 : !tunnel->has_ipv4 ? AF_INET : 0;

    if (!missing || !snapshot->addresses || !profile || profile->vpn_type != KS_VPN_PLUGIN)
      continue;
    describe_from_addresses (tunnel, snapshot->addresses, missing);
    if (missing == AF_INET6 ? tunnel->has_ipv6 : tunnel->has_ipv4)
      describe_from_routes_of_others (tunnel, self->config, snapshot->routes, missing);
  }
}

/* --- the tunnels of sections --- */

static gboolean
is_tunnel (const KsSituation *self, guint ifindex)
{
  for (guint i = 0; i < self->tunnels->len; i++)
    if (((const KsTunnel *) self->tunnels->pdata[i])->ifindex == ifindex)
      return TRUE;
  return FALSE;
}

static void
warn_of_hardware (KsSituation *self, const KsProfile *profile, const KsLink *link)
{
  g_autofree char *name = ks_error_printable (profile->id);
  g_autofree char *text =
    g_strdup_printf ("[vpn %s] Interface: %s is a network card, a bridge or the loopback device, not a "
                     "tunnel; it is ignored, because all traffic would leave through it",
                     name, link->name);

  if (!g_ptr_array_find_with_equal_func (self->warnings, text, g_str_equal, NULL))
    g_ptr_array_add (self->warnings, g_steal_pointer (&text));
}

/* Adds those devices of @profile that are up. Hardware is never a tunnel, whatever the section says: it would leak. */
static void
add_devices (KsSituation *self, const KsProfile *profile, const GArray *links, const GArray *routes,
             const GArray *addresses)
{
  for (guint i = 0; i < links->len; i++) {
    const KsLink *link = &g_array_index (links, KsLink, i);
    KsTunnel *tunnel;

    if (!link->is_up || !ks_section_is_device (profile->interface, link->name) || is_tunnel (self, link->ifindex))
      continue;
    if (link->is_hardware) {
      warn_of_hardware (self, profile, link);
      continue;
    }
    tunnel = ks_tunnel_new (ks_profile_key (profile), link->name);
    tunnel->ifindex = link->ifindex;
    describe_from_addresses (tunnel, addresses, AF_UNSPEC);
    describe_from_routes_of_others (tunnel, self->config, routes, AF_UNSPEC);
    g_ptr_array_add (self->tunnels, tunnel);
  }
}

static gboolean
is_section_with_device (const KsProfile *profile)
{
  return profile->vpn_type == KS_VPN_SECTION && profile->interface;
}

/* Goes by the kernel alone: a device that it does not have is no tunnel. */
static void
find_section_tunnels (KsSituation *self, KsKernel *kernel, const KsSnapshot *snapshot)
{
  g_autoptr (GArray) links = NULL, routes = NULL;
  g_autoptr (GError) error = NULL;

  for (guint i = 0; i < self->armed->len; i++) {
    const KsProfile *profile = self->armed->pdata[i];

    if (!is_section_with_device (profile))
      continue;
    if (!links)
      links = ks_kernel_dump_links (kernel, &error);
    if (links && !routes)
      routes = ks_kernel_dump_all_routes (kernel, &error);
    if (!routes) {
      g_ptr_array_add (self->errors, g_steal_pointer (&error));
      return;
    }
    add_devices (self, profile, links, routes, snapshot->addresses);
  }
}

static gboolean
is_of_section (const KsSituation *self, const KsTunnel *tunnel)
{
  for (guint i = 0; i < self->armed->len; i++)
    if (((const KsProfile *) self->armed->pdata[i])->vpn_type == KS_VPN_SECTION
        && strcmp (ks_profile_key (self->armed->pdata[i]), tunnel->key) == 0)
      return TRUE;
  return FALSE;
}

/* Removes the tunnels of sections from the list; returns their indices (of guint; transfer full). */
static GArray *
remove_section_tunnels (KsSituation *self)
{
  GArray *indices = g_array_new (FALSE, FALSE, sizeof (guint));

  for (guint i = 0; i < self->tunnels->len;) {
    const KsTunnel *tunnel = self->tunnels->pdata[i];

    if (is_of_section (self, tunnel)) {
      g_array_append_val (indices, tunnel->ifindex);
      g_ptr_array_remove_index (self->tunnels, i);
    } else {
      i++;
    }
  }
  return indices;
}

static gboolean
refresh_section_tunnels (KsSituation *self, KsKernel *kernel, const KsSnapshot *snapshot)
{
  g_autoptr (GArray) before = remove_section_tunnels (self);
  guint others = self->tunnels->len;

  find_section_tunnels (self, kernel, snapshot);
  if (self->tunnels->len - others != before->len)
    return TRUE;
  for (guint i = 0; i < before->len; i++)
    if (((const KsTunnel *) self->tunnels->pdata[others + i])->ifindex != g_array_index (before, guint, i))
      return TRUE;
  return FALSE;
}

gboolean
ks_situation_refresh_tunnels (KsSituation *self, KsKernel *kernel, const KsSnapshot *snapshot)
{
  gboolean changed = FALSE;

  for (guint i = self->tunnels->len; i-- > 0;) {
    KsTunnel *tunnel = self->tunnels->pdata[i];
    guint index = ks_kernel_link_index (kernel, tunnel->interface);

    if (index == tunnel->ifindex || is_of_section (self, tunnel))
      continue;
    changed = TRUE;
    /* a guess was based on the index: by now, the same name may be another program's device */
    if (index && self->network)
      tunnel->ifindex = index;
    else
      g_ptr_array_remove_index (self->tunnels, i);
  }
  return refresh_section_tunnels (self, kernel, snapshot) || changed;
}

void
ks_situation_find_tunnels (KsSituation *self, KsKernel *kernel, const KsSnapshot *snapshot, const KsEvent *event)
{
  g_ptr_array_set_size (self->tunnels, 0);
  if (self->network) {
    take_network_tunnels (self, kernel);
    add_what_the_event_knows (self, event);
    add_what_the_kernel_knows (self, snapshot);
  } else {
    for (guint i = 0; i < self->armed->len; i++)
      if (((const KsProfile *) self->armed->pdata[i])->vpn_type != KS_VPN_SECTION)
        guess_tunnel (self, kernel, snapshot, event, self->armed->pdata[i]);
  }
  find_section_tunnels (self, kernel, snapshot);
  remember_tunnels (self);
}
