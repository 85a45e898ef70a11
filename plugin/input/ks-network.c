/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The object model (NetworkManager 1.42, run): Devices of an active connection
 * lists its device. For a plugin VPN it lists the *parent*; the VPN's own tunnel
 * is the device that shares the active connection's Ip4Config or Ip6Config
 * object. Both exist from vpn-pre-up on; at vpn-down the active connection is
 * already gone.
 */
#include "input/ks-network.h"

#include <string.h>

#include "base/ks-bytes.h"
#include "base/ks-error.h"
#include "input/ks-bus.h"
#include "value/ks-interface.h"

#define PATH "/org/freedesktop/NetworkManager"
#define MAIN_INTERFACE "org.freedesktop.NetworkManager"
#define ACTIVE_INTERFACE MAIN_INTERFACE ".Connection.Active"
#define DEVICE_INTERFACE MAIN_INTERFACE ".Device"
#define WIREGUARD_INTERFACE MAIN_INTERFACE ".Device.WireGuard"
#define SETTINGS_INTERFACE MAIN_INTERFACE ".Settings.Connection"
#define IP4_INTERFACE MAIN_INTERFACE ".IP4Config"
#define IP6_INTERFACE MAIN_INTERFACE ".IP6Config"

/* NMState (nm-dbus-interface.h). */
enum { STATE_ASLEEP = 10, STATE_DISCONNECTING = 30 };

typedef struct {
  KsBus *bus;
  const GPtrArray *profiles;
  KsNetwork *network;
  GPtrArray *devices; /* of Device, loaded for the first plugin VPN; NULL before */
} Reader;

typedef struct {
  char *path;
  char *interface;
  char *ip4_config;
  char *ip6_config;
} Device;

static void
device_free (gpointer data)
{
  Device *device = data;

  g_free (device->path);
  g_free (device->interface);
  g_free (device->ip4_config);
  g_free (device->ip6_config);
  g_free (device);
}

void
ks_network_free (KsNetwork *self)
{
  g_ptr_array_unref (self->tunnels);
  g_hash_table_unref (self->active);
  g_ptr_array_unref (self->without_device);
  g_array_unref (self->resolvers);
  g_clear_pointer (&self->conversation, g_byte_array_unref);
  g_free (self);
}

KsActiveState
ks_network_active_state (const KsNetwork *self, const char *key)
{
  return (KsActiveState) GPOINTER_TO_UINT (g_hash_table_lookup (self->active, key));
}

/* --- the record of the conversation --- */

/* An object that vanished has no properties; NetworkManager's main object does not vanish. */
static GVariant *
get_properties (KsBus *bus, const char *path, const char *interface, GError **error)
{
  return strcmp (interface, MAIN_INTERFACE) == 0 ? ks_bus_get (bus, path, interface, error)
                                                 : ks_bus_get_or_empty (bus, path, interface, error);
}

/* Asks, and records the question and the answer. */
static GVariant *
ask (Reader *r, const char *path, const char *interface, GError **error)
{
  GVariant *properties = get_properties (r->bus, path, interface, error);
  GByteArray *out = r->network->conversation;

  if (properties && strcmp (path, "/") != 0) {
    ks_bytes_put_string (out, path);
    ks_bytes_put_string (out, interface);
    ks_bytes_put_u32 (out, (guint32) g_variant_get_size (properties));
    ks_bytes_put (out, g_variant_get_data (properties), g_variant_get_size (properties));
  }
  return properties;
}

/* Whether the next question of @then is answered as before. */
static gboolean
repeats_one (KsBus *bus, KsBytes *then)
{
  const char *path = ks_bytes_take_string (then), *interface = ks_bytes_take_string (then);
  gsize length = ks_bytes_take_u32 (then);
  const guint8 *answer = then->next;
  g_autoptr (GVariant) now = NULL;

  if (then->failed || !path || !interface || length > (gsize) (then->end - then->next))
    return FALSE;
  then->next += length;
  now = get_properties (bus, path, interface, NULL);
  return now && g_variant_get_size (now) == length
         && (length == 0 || memcmp (g_variant_get_data (now), answer, length) == 0);
}

gboolean
ks_network_repeats (const guint8 *conversation, gsize length, guint timeout_ms)
{
  KsBytes then = { .next = conversation, .end = conversation + length };
  g_autoptr (KsBus) bus = length > 0 ? ks_bus_new (timeout_ms, NULL) : NULL;

  if (!bus)
    return FALSE;
  while (then.next < then.end)
    if (!repeats_one (bus, &then))
      return FALSE;
  return TRUE;
}

/* "dest"/"prefix" or "address"/"prefix" of one element of RouteData or AddressData. */
static gboolean
lookup_prefix (GVariant *dict, const char *key, KsPrefix *out)
{
  KsPrefix prefix;
  guint32 length;

  if (!ks_prefix_parse (ks_bus_string (dict, key), &prefix, NULL))
    return FALSE;
  if (g_variant_lookup (dict, "prefix", "u", &length)) {
    if (length > prefix.length)
      return FALSE;
    prefix.length = length;
  }
  *out = prefix;
  return TRUE;
}

/* --- one IP configuration --- */

static void
read_nameservers (GVariant *config, GArray *out)
{
  g_autoptr (GVariant) data = g_variant_lookup_value (config, "NameserverData", G_VARIANT_TYPE ("aa{sv}"));
  g_autoptr (GVariant) raw = g_variant_lookup_value (config, "Nameservers", G_VARIANT_TYPE ("aay"));
  GVariantIter iter;
  GVariant *item;

  if (data) {
    g_variant_iter_init (&iter, data);
    while (g_variant_iter_loop (&iter, "@a{sv}", &item)) {
      KsPrefix server;

      if (lookup_prefix (item, "address", &server))
        ks_prefix_array_add (out, &server);
    }
  }
  if (raw) { /* IPv6 has no NameserverData */
    g_variant_iter_init (&iter, raw);
    while (g_variant_iter_loop (&iter, "@ay", &item)) {
      gsize length;
      gconstpointer bytes = g_variant_get_fixed_array (item, &length, 1);

      if (length == 16) {
        KsPrefix server = ks_prefix_from_bytes (AF_INET6, bytes, 128);

        ks_prefix_array_add (out, &server);
      }
    }
  }
}

static void
read_addresses (GVariant *config, KsTunnel *tunnel, gboolean *carries)
{
  g_autoptr (GVariant) data = g_variant_lookup_value (config, "AddressData", G_VARIANT_TYPE ("aa{sv}"));
  GVariantIter iter;
  GVariant *item;

  if (!data)
    return;
  g_variant_iter_init (&iter, data);
  while (g_variant_iter_loop (&iter, "@a{sv}", &item)) {
    KsPrefix address;

    if (!lookup_prefix (item, "address", &address) || ks_prefix_is_link_local (&address))
      continue;
    *carries = TRUE;
    ks_prefix_array_add (tunnel->addresses, &address);
    if (!ks_prefix_is_host (&address))
      ks_tunnel_add_prefix (tunnel, &address, NULL);
  }
}

static void
read_routes (GVariant *config, KsTunnel *tunnel)
{
  g_autoptr (GVariant) data = g_variant_lookup_value (config, "RouteData", G_VARIANT_TYPE ("aa{sv}"));
  GVariantIter iter;
  GVariant *item;

  if (!data)
    return;
  g_variant_iter_init (&iter, data);
  while (g_variant_iter_loop (&iter, "@a{sv}", &item)) {
    KsPrefix dst, gateway = KS_PREFIX_UNSET;

    if (!lookup_prefix (item, "dest", &dst) || ks_prefix_is_link_local (&dst) || ks_prefix_is_multicast (&dst))
      continue;
    if (dst.length == 0)
      g_variant_lookup (item, "metric", "u", &tunnel->metric);
    if (!ks_prefix_parse (ks_bus_string (item, "next-hop"), &gateway, NULL) || gateway.family != dst.family)
      gateway = KS_PREFIX_UNSET;
    ks_tunnel_add_prefix (tunnel, &dst, &gateway);
  }
}

static gboolean
read_tunnel_config (Reader *r, KsTunnel *tunnel, const char *path, int family, GError **error)
{
  const char *interface = family == AF_INET ? IP4_INTERFACE : IP6_INTERFACE;
  g_autoptr (GVariant) config = ask (r, path, interface, error);
  KsPrefix gateway;

  if (!config)
    return FALSE;
  read_addresses (config, tunnel, family == AF_INET ? &tunnel->has_ipv4 : &tunnel->has_ipv6);
  read_routes (config, tunnel);
  read_nameservers (config, tunnel->nameservers);
  if (ks_prefix_parse (ks_bus_string (config, "Gateway"), &gateway, NULL) && gateway.family == family) {
    static const guint8 any[16];

    if (memcmp (gateway.bytes, any, sizeof any) != 0)
      *(family == AF_INET ? &tunnel->gateway4 : &tunnel->gateway6) = gateway;
  }
  return TRUE;
}

/* --- devices --- */

static Device *
read_device (Reader *r, const char *path, GError **error)
{
  g_autoptr (GVariant) properties = ask (r, path, DEVICE_INTERFACE, error);
  const char *ip_interface;
  Device *device;

  if (!properties)
    return NULL;
  device = g_new0 (Device, 1);
  device->path = g_strdup (path);
  ip_interface = ks_bus_string (properties, "IpInterface");
  device->interface = g_strdup (*ip_interface ? ip_interface : ks_bus_string (properties, "Interface"));
  device->ip4_config = g_strdup (ks_bus_path (properties, "Ip4Config"));
  device->ip6_config = g_strdup (ks_bus_path (properties, "Ip6Config"));
  return device;
}

static gboolean
load_devices (Reader *r, GError **error)
{
  g_autoptr (GVariant) properties = NULL;
  g_autofree const char **paths = NULL;

  if (r->devices)
    return TRUE;
  properties = ask (r, PATH, MAIN_INTERFACE, error);
  if (!properties)
    return FALSE;
  r->devices = g_ptr_array_new_with_free_func (device_free);
  g_variant_lookup (properties, "Devices", "^a&o", &paths);
  for (guint i = 0; paths && paths[i]; i++) {
    Device *device = read_device (r, paths[i], error);

    if (!device)
      return FALSE;
    g_ptr_array_add (r->devices, device);
  }
  return TRUE;
}

static gboolean
is_same_config (const char *a, const char *b)
{
  return strcmp (a, "/") != 0 && strcmp (a, b) == 0;
}

/*
 * The device that shares a plugin VPN's IP configuration: with @is_parent the one
 * among @parents that it uses, otherwise its own tunnel. NULL if there is none.
 */
static const Device *
find_vpn_device (const Reader *r, const char *const *parents, gboolean is_parent, const char *ip4_config,
                 const char *ip6_config)
{
  for (guint i = 0; i < r->devices->len; i++) {
    const Device *device = r->devices->pdata[i];

    if ((parents && g_strv_contains (parents, device->path)) != is_parent)
      continue;
    if (is_same_config (device->ip4_config, ip4_config) || is_same_config (device->ip6_config, ip6_config))
      return device;
  }
  return NULL;
}

static gboolean
read_wireguard (Reader *r, KsTunnel *tunnel, const char *device_path, GError **error)
{
  g_autoptr (GVariant) properties = ask (r, device_path, WIREGUARD_INTERFACE, error);

  if (!properties)
    return FALSE;
  g_variant_lookup (properties, "ListenPort", "q", &tunnel->listen_port);
  tunnel->fwmark = ks_bus_u32 (properties, "FwMark");
  return TRUE;
}

/* --- active connections --- */

static const KsProfile *
find_profile (const Reader *r, const char *uuid, const char *filename)
{
  for (guint i = 0; i < r->profiles->len; i++) {
    const KsProfile *profile = r->profiles->pdata[i];

    if (profile->uuid ? g_strcmp0 (profile->uuid, uuid) == 0 : g_strcmp0 (profile->path, filename) == 0)
      return profile;
  }
  return NULL;
}

/* Whether some profile can be recognised only by its file. */
static gboolean
needs_filename (const Reader *r)
{
  for (guint i = 0; i < r->profiles->len; i++)
    if (!((const KsProfile *) r->profiles->pdata[i])->uuid)
      return TRUE;
  return FALSE;
}

static gboolean
wants_resolvers (const Reader *r)
{
  for (guint i = 0; i < r->profiles->len; i++) {
    const GPtrArray *endpoints = ((const KsProfile *) r->profiles->pdata[i])->endpoints;

    if (ks_endpoint_has_name (endpoints) || ks_endpoint_has_resolvers (endpoints))
      return TRUE;
  }
  return FALSE;
}

static gboolean
add_tunnel (Reader *r, const KsProfile *profile, GVariant *active, gboolean is_leaving, GError **error)
{
  const char *ip4_config = ks_bus_path (active, "Ip4Config");
  const char *ip6_config = ks_bus_path (active, "Ip6Config");
  g_autofree char *ip4_of_device = NULL, *ip6_of_device = NULL;
  g_autofree const char **devices = NULL;
  g_autoptr (KsTunnel) tunnel = NULL;

  if (profile->vpn_type == KS_VPN_PLUGIN) {
    const Device *device;

    if (!load_devices (r, error))
      return FALSE;
    g_variant_lookup (active, "Devices", "^a&o", &devices);
    device = find_vpn_device (r, devices, FALSE, ip4_config, ip6_config);
    if (!device && find_vpn_device (r, devices, TRUE, ip4_config, ip6_config))
      g_ptr_array_add (r->network->without_device, g_strdup (ks_profile_key (profile)));
    if (!device || !ks_interface_name_is_valid (device->interface))
      return TRUE;
    tunnel = ks_tunnel_new (ks_profile_key (profile), device->interface);
  } else {
    Device *device;

    if (!g_variant_lookup (active, "Devices", "^a&o", &devices) || !devices[0])
      return TRUE;
    device = read_device (r, devices[0], error);
    if (!device)
      return FALSE;
    tunnel = ks_tunnel_new (ks_profile_key (profile), device->interface);
    /* at pre-up the device has its configuration, but its active connection does not show it yet */
    if (strcmp (ip4_config, "/") == 0)
      ip4_config = ip4_of_device = g_strdup (device->ip4_config);
    if (strcmp (ip6_config, "/") == 0)
      ip6_config = ip6_of_device = g_strdup (device->ip6_config);
    device_free (device);
    if (!ks_interface_name_is_valid (tunnel->interface))
      return TRUE;
    if (profile->vpn_type == KS_VPN_WIREGUARD && !read_wireguard (r, tunnel, devices[0], error))
      return FALSE;
  }
  if (!read_tunnel_config (r, tunnel, ip4_config, AF_INET, error)
      || !read_tunnel_config (r, tunnel, ip6_config, AF_INET6, error))
    return FALSE;
  tunnel->is_leaving = is_leaving;
  tunnel->never_default = profile->never_default4 && profile->never_default6;
  g_ptr_array_add (r->network->tunnels, g_steal_pointer (&tunnel));
  return TRUE;
}

/* The device of a connection that is no plugin VPN; NULL, without an error, when it has none (transfer full). */
static Device *
read_own_device (Reader *r, GVariant *active, GError **error)
{
  g_autofree const char **devices = NULL;

  if (!g_variant_lookup (active, "Devices", "^a&o", &devices) || !devices[0])
    return NULL;
  return read_device (r, devices[0], error);
}

/*
 * Until it is activated, a connection does not show the configuration that its
 * device already has. An uplink whose profile brings up a VPN
 * (connection.secondaries) is activated only when that VPN is, so the name of
 * the VPN's server has to be looked up before that.
 */
static gboolean
add_resolvers (Reader *r, GVariant *active, GError **error)
{
  const char *configs[] = { ks_bus_path (active, "Ip4Config"), ks_bus_path (active, "Ip6Config") };
  static const char *const interfaces[] = { IP4_INTERFACE, IP6_INTERFACE };
  g_autoptr (GError) local = NULL;
  Device *device = NULL;
  gboolean is_read = TRUE;

  if (ks_bus_u32 (active, "State") == KS_ACTIVE_ACTIVATING) {
    device = read_own_device (r, active, &local);
    if (local) {
      g_propagate_error (error, g_steal_pointer (&local));
      return FALSE;
    }
  }
  if (device) {
    configs[0] = device->ip4_config;
    configs[1] = device->ip6_config;
  }
  for (guint i = 0; i < G_N_ELEMENTS (configs) && is_read; i++) {
    g_autoptr (GVariant) config = ask (r, configs[i], interfaces[i], error);

    is_read = config != NULL;
    if (config)
      read_nameservers (config, r->network->resolvers);
  }
  g_clear_pointer (&device, device_free);
  return is_read;
}

/* The file of an active connection's profile (transfer full); "" if it has none, NULL on error. */
static char *
read_filename (Reader *r, GVariant *active, GError **error)
{
  g_autoptr (GVariant) settings = ask (r, ks_bus_path (active, "Connection"), SETTINGS_INTERFACE, error);

  return settings ? g_strdup (ks_bus_string (settings, "Filename")) : NULL;
}

static gboolean
read_active (Reader *r, const char *path, gboolean want_filename, gboolean want_resolvers, GError **error)
{
  g_autoptr (GVariant) active = ask (r, path, ACTIVE_INTERFACE, error);
  g_autofree char *filename = NULL;
  const KsProfile *profile;
  guint32 state;

  if (!active)
    return FALSE;
  state = ks_bus_u32 (active, "State");
  if (state != KS_ACTIVE_ACTIVATING && state != KS_ACTIVE_ACTIVATED && state != KS_ACTIVE_DEACTIVATING)
    return TRUE;
  if (want_filename && !(filename = read_filename (r, active, error)))
    return FALSE;

  profile = find_profile (r, ks_bus_string (active, "Uuid"), filename);
  if (profile) {
    g_hash_table_insert (r->network->active, g_strdup (ks_profile_key (profile)), GUINT_TO_POINTER (state));
    return add_tunnel (r, profile, active, state == KS_ACTIVE_DEACTIVATING, error);
  }
  if (want_resolvers && !ks_bus_boolean (active, "Vpn"))
    return add_resolvers (r, active, error);
  return TRUE;
}

/*
 * Tunnels that are being taken down come last, so that another one takes over
 * before they lose their addresses. They stay tunnels until they are gone, since
 * file systems may be unmounted, or users logged off, through them. Before them
 * come those that want no default route. Next, the metric decides; with equal
 * metrics, NetworkManager's order is kept, in which the latest comes first.
 */
static int
compare_tunnels (gconstpointer a, gconstpointer b)
{
  const KsTunnel *first = *(const KsTunnel *const *) a;
  const KsTunnel *second = *(const KsTunnel *const *) b;

  if (first->is_leaving != second->is_leaving)
    return first->is_leaving - second->is_leaving;
  if (first->never_default != second->never_default)
    return first->never_default - second->never_default;
  return first->metric < second->metric ? -1 : first->metric > second->metric;
}

static gboolean
read_network (Reader *r, GError **error)
{
  g_autoptr (GVariant) properties = ask (r, PATH, MAIN_INTERFACE, error);
  g_autofree const char **paths = NULL;
  gboolean want_filename = needs_filename (r);
  gboolean want_resolvers = wants_resolvers (r);
  guint32 state;

  if (!properties)
    return FALSE;
  state = ks_bus_u32 (properties, "State");
  r->network->leaving = state == STATE_ASLEEP || state == STATE_DISCONNECTING;
  g_variant_lookup (properties, "ActiveConnections", "^a&o", &paths);
  for (guint i = 0; paths && paths[i]; i++)
    if (!read_active (r, paths[i], want_filename, want_resolvers, error))
      return FALSE;
  g_ptr_array_sort (r->network->tunnels, compare_tunnels);
  return TRUE;
}

KsNetwork *
ks_network_read (const GPtrArray *profiles, guint timeout_ms, GError **error)
{
  g_autoptr (KsNetwork) network = g_new0 (KsNetwork, 1);
  g_autoptr (KsBus) bus = NULL;
  g_autoptr (GError) local = NULL;
  Reader r = { .profiles = profiles, .network = network };
  gboolean is_read;

  network->tunnels = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_tunnel_free);
  network->active = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);
  network->without_device = g_ptr_array_new_with_free_func (g_free);
  network->resolvers = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  network->conversation = g_byte_array_new ();
  r.bus = bus = ks_bus_new (timeout_ms, &local);
  is_read = bus && read_network (&r, &local);
  if (r.devices)
    g_ptr_array_unref (r.devices);
  if (!is_read) {
    g_set_error (error, KS_ERROR, KS_ERROR_SILENT, "NetworkManager does not answer: %s", local->message);
    return NULL;
  }
  return g_steal_pointer (&network);
}
