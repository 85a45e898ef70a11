/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-situation.h"

#include <pwd.h>

#include "input/ks-config-read.h"
#include "input/ks-profile-read.h"

/* For the whole conversation with NetworkManager, which may be stopping and waiting for us. */
#define NETWORK_TIMEOUT_MS 2000

static char *
read_line (const char *path)
{
  g_autofree char *text = NULL;

  return g_file_get_contents (path, &text, NULL, NULL) ? g_strdup (g_strstrip (text)) : NULL;
}

static gboolean
exists (const KsPaths *paths, const char *name)
{
  g_autofree char *path = ks_paths_runtime (paths, name);

  return g_file_test (path, G_FILE_TEST_EXISTS);
}

/* By the person, or by the kernel command line until the person says otherwise. */
static gboolean
is_released (const KsPaths *paths)
{
  g_autofree char *line = NULL;
  g_auto (GStrv) words = NULL;

  if (exists (paths, KS_RELEASED_NAME))
    return TRUE;
  if (exists (paths, KS_RESUMED_NAME))
    return FALSE;
  line = read_line (paths->command_line);
  words = g_strsplit (line ? line : "", " ", -1);
  return g_strv_contains ((const char *const *) words, "nm_killswitch=off");
}

static gboolean
is_event_of (const KsEvent *event, const KsProfile *profile)
{
  if (!event)
    return FALSE;
  return profile->uuid ? g_strcmp0 (event->uuid, profile->uuid) == 0 : g_strcmp0 (event->path, profile->path) == 0;
}

static gboolean
is_pre_down (const KsEvent *event)
{
  return event->action == KS_ACTION_PRE_DOWN || event->action == KS_ACTION_VPN_PRE_DOWN;
}

static gboolean
has_tunnel (const GPtrArray *tunnels, const char *key)
{
  for (guint i = 0; i < tunnels->len; i++)
    if (g_strcmp0 (((const KsTunnel *) tunnels->pdata[i])->key, key) == 0)
      return TRUE;
  return FALSE;
}

/*
 * Mode session: on from activation; off only by a disconnect the person asked
 * for, which NetworkManager announces with (vpn-)pre-down and nothing else
 * does. A suspend or NetworkManager's own end is no such wish.
 */
static void
update_session (KsSituation *self, KsRemembered *remembered, const KsEvent *event, const char *boot)
{
  const KsProfile *profile = remembered->profile;
  const char *key = ks_profile_key (profile);
  KsActiveState active;

  if (remembered->session && g_strcmp0 (remembered->session, boot) != 0) {
    g_clear_pointer (&remembered->session, g_free); /* of an earlier boot */
    remembered->leaving = FALSE;
  }
  if (!self->network)
    return;
  active = ks_network_active_state (self->network, key);
  if (is_event_of (event, profile) && is_pre_down (event) && !self->network->leaving) {
    remembered->leaving = TRUE;
  } else if (active == KS_ACTIVE_ACTIVATED
             || (active == KS_ACTIVE_ACTIVATING && has_tunnel (self->network->tunnels, key))) {
    remembered->leaving = FALSE;
    g_free (remembered->session);
    remembered->session = g_strdup (boot);
  } else if (active == KS_ACTIVE_NO && remembered->leaving) {
    remembered->leaving = FALSE;
    g_clear_pointer (&remembered->session, g_free);
  }
}

static void
arm_profiles (KsSituation *self, const KsEvent *event, const char *boot)
{
  for (guint i = 0; i < self->set->profiles->len; i++) {
    KsProfile *profile = self->set->profiles->pdata[i];
    KsRemembered *remembered;

    if (!ks_profile_wants (profile))
      continue;
    remembered = ks_state_remember (self->state, profile);
    if (profile->mode == KS_MODE_SESSION)
      update_session (self, remembered, event, boot);
    if (profile->mode == KS_MODE_STRICT || remembered->session)
      g_ptr_array_add (self->armed, profile);
  }
}

/* Whether @path, or its directory, is among @paths. */
static gboolean
is_among (const GPtrArray *paths, const char *path)
{
  g_autofree char *directory = g_path_get_dirname (path);

  return g_ptr_array_find_with_equal_func ((GPtrArray *) paths, path, g_str_equal, NULL)
         || g_ptr_array_find_with_equal_func ((GPtrArray *) paths, directory, g_str_equal, NULL);
}

/* A file that cannot be read any more, or not be understood, was armed if it was when it could. */
static void
arm_remembered (KsSituation *self, const GPtrArray *paths, const char *boot)
{
  if (paths->len > 0 && !self->state->is_known)
    self->is_unclear = TRUE;
  for (guint i = 0; i < self->state->remembered->len; i++) {
    KsRemembered *remembered = self->state->remembered->pdata[i];

    if (!is_among (paths, remembered->profile->path)
        || ks_profile_set_find (self->set, ks_profile_key (remembered->profile)))
      continue; /* the file is gone, or another one has this profile now */
    if (remembered->profile->mode == KS_MODE_STRICT || g_strcmp0 (remembered->session, boot) == 0)
      g_ptr_array_add (self->armed, remembered->profile);
  }
}

static GPtrArray *
candidates (const KsSituation *self)
{
  GPtrArray *profiles = g_ptr_array_new ();

  for (guint i = 0; i < self->set->profiles->len; i++)
    if (ks_profile_wants (self->set->profiles->pdata[i]))
      g_ptr_array_add (profiles, self->set->profiles->pdata[i]);
  for (guint i = 0; i < self->state->remembered->len; i++) {
    KsRemembered *remembered = self->state->remembered->pdata[i];

    if (!ks_profile_set_find (self->set, ks_profile_key (remembered->profile)))
      g_ptr_array_add (profiles, remembered->profile);
  }
  return profiles;
}

/* What is remembered of profiles that are neither there nor unreadable is over. */
static void
forget_gone (KsSituation *self)
{
  g_autoptr (GHashTable) keys = g_hash_table_new (g_str_hash, g_str_equal);
  const GPtrArray *lists[] = { self->set->unreadable, self->set->unclear };

  for (guint i = 0; i < self->set->profiles->len; i++) {
    const KsProfile *profile = self->set->profiles->pdata[i];

    if (ks_profile_wants (profile))
      g_hash_table_add (keys, (gpointer) ks_profile_key (profile));
  }
  for (guint i = 0; i < self->state->remembered->len; i++) {
    const KsProfile *profile = ((const KsRemembered *) self->state->remembered->pdata[i])->profile;

    for (guint j = 0; j < G_N_ELEMENTS (lists); j++)
      if (is_among (lists[j], profile->path) && !ks_profile_set_find (self->set, ks_profile_key (profile)))
        g_hash_table_add (keys, (gpointer) ks_profile_key (profile));
  }
  ks_state_keep_only (self->state, keys);
}

static void
read_network (KsSituation *self)
{
  g_autoptr (GPtrArray) profiles = candidates (self);
  g_autoptr (GError) error = NULL;

  if (profiles->len == 0)
    return;
  /* its silence is no error: it may not run yet, or wait for us */
  self->network = ks_network_read (profiles, NETWORK_TIMEOUT_MS, &error);
  if (!self->network)
    g_debug ("%s", error->message);
}

KsSituation *
ks_situation_read (const KsPaths *paths, const KsEvent *event, KsReadFlags flags)
{
  KsSituation *self = g_new0 (KsSituation, 1);
  g_autofree char *line = read_line (paths->boot_id);
  const char *boot = line && *line ? line : "unknown";

  self->errors = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);
  self->armed = g_ptr_array_new ();
  self->tunnels = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_tunnel_free);
  self->config = ks_config_read (paths->config, self->errors);
  self->set = ks_profile_set_read (paths->profiles, self->config, self->errors);
  self->state = ks_state_read (paths->state, self->errors);
  forget_gone (self);
  self->is_released = is_released (paths);
  if (self->is_released)
    return self;

  if (!(flags & KS_READ_NO_NETWORK))
    read_network (self);
  arm_profiles (self, event, boot);
  arm_remembered (self, self->set->unreadable, boot);
  arm_remembered (self, self->set->unclear, boot);
  return self;
}

void
ks_situation_free (KsSituation *self)
{
  g_ptr_array_unref (self->armed);
  g_ptr_array_unref (self->tunnels);
  g_clear_pointer (&self->network, ks_network_free);
  ks_profile_set_free (self->set);
  ks_state_free (self->state);
  ks_config_free (self->config);
  g_ptr_array_unref (self->errors);
  g_free (self);
}

/* --- tunnels --- */

static gboolean
is_armed (const KsSituation *self, const char *key)
{
  for (guint i = 0; i < self->armed->len; i++)
    if (g_strcmp0 (ks_profile_key (self->armed->pdata[i]), key) == 0)
      return TRUE;
  return FALSE;
}

static void
take_network_tunnels (KsSituation *self, KsKernel *kernel)
{
  for (guint i = 0; i < self->network->tunnels->len;) {
    KsTunnel *tunnel = self->network->tunnels->pdata[i];

    tunnel->ifindex = is_armed (self, tunnel->key) ? ks_kernel_link_index (kernel, tunnel->interface) : 0;
    if (tunnel->ifindex)
      g_ptr_array_add (self->tunnels, g_ptr_array_steal_index (self->network->tunnels, i));
    else
      i++;
  }
}

/* Whether @event says that the device @interface is going away, or coming. */
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

/* Whether the event is about a plugin VPN: its interface may be the one the VPN runs over. */
static gboolean
is_vpn_action (const KsEvent *event)
{
  return event->action == KS_ACTION_VPN_PRE_UP || event->action == KS_ACTION_VPN_UP;
}

/* What our own routes by a device tell of it. */
static gboolean
describe_from_routes (const KsConfig *config, const KsSnapshot *snapshot, KsTunnel *tunnel)
{
  gboolean found = FALSE;

  for (guint i = 0; i < snapshot->routes->len; i++) {
    const KsRoute *route = &g_array_index (snapshot->routes, KsRoute, i);

    if (!ks_policy_owns_route (config, route) || route->table == config->uplink_table
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
 * Without NetworkManager's answer: a device that our own routes use already
 * (its index is unique until the next boot), or that the event brings up for
 * an armed profile. A name alone is not enough: another program's tun0 is no
 * tunnel of ours.
 */
static void
guess_tunnel (KsSituation *self, KsKernel *kernel, const KsSnapshot *snapshot, const KsEvent *event,
              const KsProfile *profile)
{
  const KsRemembered *remembered = ks_state_find (self->state, ks_profile_key (profile));
  gboolean is_ours = is_event_of (event, profile);
  const char *interface = remembered ? remembered->tunnel : NULL;
  g_autoptr (KsTunnel) tunnel = NULL;
  gboolean is_known;

  /* of a plugin VPN without a device of its own the event names the uplink: that is no tunnel */
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
remember_tunnels (KsSituation *self)
{
  for (guint i = 0; i < self->tunnels->len; i++) {
    const KsTunnel *tunnel = self->tunnels->pdata[i];
    KsRemembered *remembered = ks_state_find (self->state, tunnel->key);

    if (!remembered)
      continue;
    g_free (remembered->tunnel);
    remembered->tunnel = g_strdup (tunnel->interface);
    remembered->listen_port = tunnel->listen_port;
    remembered->fwmark = tunnel->fwmark;
    g_array_set_size (remembered->addresses, 0);
    g_array_append_vals (remembered->addresses, tunnel->addresses->data, tunnel->addresses->len);
    if (tunnel->prefixes->len == 0 && tunnel->nameservers->len == 0)
      continue;
    g_array_set_size (remembered->prefixes, 0);
    for (guint j = 0; j < tunnel->prefixes->len; j++)
      ks_prefix_array_add (remembered->prefixes, &g_array_index (tunnel->prefixes, KsPrefix, j));
    for (guint j = 0; j < tunnel->nameservers->len; j++)
      ks_prefix_array_add (remembered->prefixes, &g_array_index (tunnel->nameservers, KsPrefix, j));
  }
}

void
ks_situation_find_tunnels (KsSituation *self, KsKernel *kernel, const KsSnapshot *snapshot, const KsEvent *event)
{
  g_ptr_array_set_size (self->tunnels, 0);
  if (self->network) {
    take_network_tunnels (self, kernel);
  } else {
    for (guint i = 0; i < self->armed->len; i++)
      guess_tunnel (self, kernel, snapshot, event, self->armed->pdata[i]);
  }
  remember_tunnels (self);
}

/* --- the policy --- */

static void
add_uid_of (GArray *uids, const char *user)
{
  const struct passwd *entry = getpwnam (user);

  if (entry && entry->pw_uid != 0) {
    guint32 uid = entry->pw_uid;

    g_array_append_val (uids, uid);
  }
}

KsPolicy *
ks_situation_policy (const KsSituation *self, const KsSnapshot *snapshot)
{
  g_autoptr (GHashTable) prefixes = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GArray) resolver_uids = g_array_new (FALSE, FALSE, sizeof (guint32));
  KsPolicyInput input = {
    .config = self->config,
    .armed = self->armed,
    .tunnels = self->tunnels,
    .resolved = self->state->answers,
    .remembered = prefixes,
    .main_routes = snapshot->routes,
    .rules = snapshot->rules,
    .no_ipv6 = snapshot->no_ipv6,
    .resolvers = self->network ? self->network->resolvers : NULL,
    .resolver_uids = resolver_uids,
  };

  for (guint i = 0; i < self->state->remembered->len; i++) {
    const KsRemembered *remembered = self->state->remembered->pdata[i];

    g_hash_table_insert (prefixes, (gpointer) ks_profile_key (remembered->profile), remembered->prefixes);
  }
  add_uid_of (resolver_uids, "systemd-resolve");
  return ks_policy_compute (&input);
}

KsDiffFlags
ks_situation_diff_flags (const KsSituation *self)
{
  if (self->is_released)
    return KS_DIFF_DEFAULT;
  if (self->is_unclear)
    return KS_DIFF_HOLD;
  return self->armed->len > 0 && !self->network ? KS_DIFF_HOLD_EXEMPTIONS : KS_DIFF_DEFAULT;
}

static gboolean
has_named_server (const KsProfile *profile)
{
  KsPrefix literal;

  for (guint i = 0; i < profile->endpoints->len; i++)
    if (!ks_prefix_parse (((const KsEndpoint *) profile->endpoints->pdata[i])->host, &literal, NULL))
      return TRUE;
  return FALSE;
}

gboolean
ks_situation_awaits_names (const KsSituation *self)
{
  if (!self->network || self->network->resolvers->len == 0)
    return FALSE;
  for (guint i = 0; i < self->armed->len; i++) {
    const KsProfile *profile = self->armed->pdata[i];

    if (profile->vpn_type != KS_VPN_WIREGUARD && has_named_server (profile)
        && !has_tunnel (self->tunnels, ks_profile_key (profile)))
      return TRUE;
  }
  return FALSE;
}

GPtrArray *
ks_situation_hosts (const KsSituation *self)
{
  GPtrArray *hosts = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < self->armed->len; i++) {
    const KsProfile *profile = self->armed->pdata[i];

    for (guint j = 0; j < profile->endpoints->len; j++) {
      const KsEndpoint *endpoint = profile->endpoints->pdata[j];
      KsPrefix literal;

      if (!ks_prefix_parse (endpoint->host, &literal, NULL)
          && !g_ptr_array_find_with_equal_func (hosts, endpoint->host, g_str_equal, NULL))
        g_ptr_array_add (hosts, g_strdup (endpoint->host));
    }
  }
  return hosts;
}

gboolean
ks_situation_save (const KsSituation *self, const KsPaths *paths, GError **error)
{
  return ks_state_write (self->state, paths->state, error);
}
