/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run/ks-situation.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <net/if.h>
#include <string.h>

#include "base/ks-error.h"
#include "base/ks-user.h"
#include "input/ks-config-read.h"
#include "input/ks-nm-config.h"
#include "input/ks-profile-read.h"
#include "input/ks-resolv-conf.h"
#include "input/ks-selinux.h"
#include "run/ks-session.h"
#include "state/ks-marker.h"
#include "state/ks-state-file.h"
#include "value/ks-clock.h"

/* For the whole conversation with NetworkManager, which may be stopping and waiting for us. */
#define NETWORK_TIMEOUT_MS 2000

/* The indices of the devices that match @pattern (guint32; transfer full). */
static GArray *
find_devices (const char *pattern)
{
  GArray *devices = g_array_new (FALSE, FALSE, sizeof (guint32));
  struct if_nameindex *list = if_nameindex ();

  for (struct if_nameindex *entry = list; entry && entry->if_index; entry++) {
    guint32 index = entry->if_index;

    if (ks_section_is_device (pattern, entry->if_name))
      g_array_append_val (devices, index);
  }
  if (list)
    if_freenameindex (list);
  return devices;
}

static void
follow_section (KsSituation *self, KsRemembered *remembered, const KsEvent *event, const char *boot)
{
  g_autoptr (GArray) devices = find_devices (remembered->profile->interface);
  gboolean was_on = remembered->session != NULL;

  ks_session_update_section (remembered, devices, event, boot);
  if (!was_on && remembered->session && !self->appeared)
    self->appeared = g_strdup (remembered->profile->id);
}

/* Whether the VPN of @remembered may be up. While NetworkManager is silent, the device tells. */
static gboolean
may_be_up (const KsSituation *self, const KsRemembered *remembered)
{
  if (self->network)
    return ks_network_active_state (self->network, ks_profile_key (remembered->profile)) != KS_ACTIVE_NO;
  return remembered->tunnel && if_nametoindex (remembered->tunnel) != 0;
}

/*
 * NetworkManager goes by an edited profile only when it is activated again.
 * Until then the VPN sends to the servers that the profile had, and would be
 * cut off from them.
 */
static void
keep_former_servers (const KsSituation *self, KsRemembered *remembered, KsProfile *profile)
{
  if (remembered->former->len == 0)
    return;
  if (may_be_up (self, remembered))
    for (guint i = 0; i < remembered->former->len; i++)
      ks_endpoint_array_add (profile->endpoints, remembered->former->pdata[i]);
  else if (self->network)
    g_ptr_array_set_size (remembered->former, 0);
}

/* Remembers the profiles and follows their sessions, even while released: `resume` goes by the state at that time. */
static void
follow_profiles (KsSituation *self, const KsEvent *event, const char *boot)
{
  for (guint i = 0; i < self->set->profiles->len; i++) {
    KsProfile *profile = self->set->profiles->pdata[i];
    KsRemembered *remembered;

    if (!ks_profile_wants (profile))
      continue;
    remembered = ks_state_remember (self->state, profile);
    keep_former_servers (self, remembered, profile);
    if (profile->mode == KS_MODE_SESSION && profile->vpn_type == KS_VPN_SECTION)
      follow_section (self, remembered, event, boot);
    else if (profile->mode == KS_MODE_SESSION)
      ks_session_update (remembered, self->network, event, boot);
  }
}

static void
arm_profiles (KsSituation *self)
{
  for (guint i = 0; i < self->set->profiles->len; i++) {
    KsProfile *profile = self->set->profiles->pdata[i];

    if (profile->mode == KS_MODE_STRICT
        || (profile->mode == KS_MODE_SESSION && ks_state_find (self->state, ks_profile_key (profile))->session))
      g_ptr_array_add (self->armed, profile);
  }
}

static void
find_standby (KsSituation *self)
{
  for (guint i = 0; self->armed->len > 0 && i < self->set->profiles->len; i++) {
    KsProfile *profile = self->set->profiles->pdata[i];

    if (profile->mode == KS_MODE_SESSION && !g_ptr_array_find (self->armed, profile, NULL))
      g_ptr_array_add (self->standby, profile);
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

/* A file that can no longer be read or understood counts as armed if it was when it last could be. */
static void
arm_remembered (KsSituation *self, const GPtrArray *paths, const char *boot)
{
  for (guint i = 0; i < self->state->remembered->len; i++) {
    KsRemembered *remembered = self->state->remembered->pdata[i];

    if (!is_among (paths, remembered->profile->path)
        || ks_profile_set_find (self->set, ks_profile_key (remembered->profile)))
      continue; /* the file is gone, or another one has this profile now */
    if (remembered->profile->mode == KS_MODE_STRICT || g_strcmp0 (remembered->session, boot) == 0)
      g_ptr_array_add (self->armed, remembered->profile);
  }
}

static void
add_path (GPtrArray *paths, const char *path)
{
  if (!g_ptr_array_find_with_equal_func (paths, path, g_str_equal, NULL))
    g_ptr_array_add (paths, g_strdup (path));
}

static int
compare_strings (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/*
 * Finds files that cannot be read and may have been armed, since nothing was
 * remembered about them when they were first found unreadable. The state keeps
 * their paths; otherwise the next run would take its record for complete. A path
 * is dropped when the file can be read, or is gone.
 */
static void
find_unclear (KsSituation *self)
{
  const GPtrArray *lists[] = { self->set->unreadable, self->set->unclear };
  GPtrArray *known = self->state->unclear;
  GPtrArray *paths = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < G_N_ELEMENTS (lists); i++) {
    for (guint j = 0; j < known->len; j++)
      if (is_among (lists[i], known->pdata[j]))
        add_path (paths, known->pdata[j]);
    for (guint j = 0; j < lists[i]->len; j++)
      if (!self->state->is_known || is_among (known, lists[i]->pdata[j]))
        add_path (paths, lists[i]->pdata[j]);
  }
  g_ptr_array_sort (paths, compare_strings);
  g_ptr_array_unref (known);
  self->state->unclear = paths;
  self->is_unclear = paths->len > 0;
}

void
ks_situation_forget_unclear (KsSituation *self)
{
  g_ptr_array_set_size (self->state->unclear, 0);
  self->is_unclear = FALSE;
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

/* Forgets profiles that neither exist nor are unreadable. */
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

static gboolean
is_section (const KsProfile *profile)
{
  return profile->vpn_type == KS_VPN_SECTION;
}

static gboolean
has_profile_of_networkmanager (const GPtrArray *profiles)
{
  for (guint i = 0; i < profiles->len; i++)
    if (!is_section (profiles->pdata[i]))
      return TRUE;
  return FALSE;
}

/* For a section, NetworkManager knows only the resolvers that can be asked for its server's name. */
static gboolean
is_network_of_use (const GPtrArray *profiles)
{
  for (guint i = 0; i < profiles->len; i++) {
    const KsProfile *profile = profiles->pdata[i];

    if (!is_section (profile) || ks_endpoint_has_name (profile->endpoints))
      return TRUE;
  }
  return FALSE;
}

static void
read_network (KsSituation *self)
{
  g_autoptr (GPtrArray) profiles = candidates (self);
  g_autoptr (GError) error = NULL;

  if (!is_network_of_use (profiles))
    return;
  /* silence is no error: it may not be running yet, or be waiting for us */
  self->network = ks_network_read (profiles, NETWORK_TIMEOUT_MS, &error);
  if (!self->network)
    g_debug ("%s", error->message);
}

/*
 * The resolvers of the uplinks, from NetworkManager. A host that has only
 * sections may not run it; then they come from /etc/resolv.conf, unless that
 * names a resolver on the host itself.
 */
static void
find_resolvers (KsSituation *self, const KsPaths *paths)
{
  g_autoptr (GPtrArray) profiles = candidates (self);

  if (self->network)
    self->resolvers = g_array_ref (self->network->resolvers);
  else if (profiles->len > 0 && !has_profile_of_networkmanager (profiles))
    self->resolvers = ks_resolv_conf_read (paths->resolv_conf);
}

/* A section whose server is known only by name, while there is no resolver to ask. */
static void
warn_of_names (KsSituation *self)
{
  for (guint i = 0; i < self->armed->len && !self->network; i++) {
    const KsProfile *profile = self->armed->pdata[i];
    g_autofree char *id = ks_error_printable (profile->id);

    if (is_section (profile) && ks_endpoint_has_name (profile->endpoints)
        && (!self->resolvers || self->resolvers->len == 0))
      g_ptr_array_add (
        self->warnings,
        g_strdup_printf ("[vpn %s] names its server by a host name, which cannot be looked up while no VPN "
                         "is up: NetworkManager is not running, and /etc/resolv.conf lists no resolver "
                         "other than one on this host. Use the server's address in To=",
                         id));
  }
}

/* What a user should know about the profiles and the host. */
static GPtrArray *
collect_warnings (const KsProfileSet *set, const KsPaths *paths)
{
  GPtrArray *warnings = g_ptr_array_ref (set->warnings);
  char *clock = ks_clock_warning (g_get_real_time () / G_USEC_PER_SEC, ks_clock_built);
  char *selinux =
    ks_selinux_warning (paths->selinux_enforce, paths->dispatcher, paths->nm_dispatcher, paths->selinux_module);

  if (clock)
    g_ptr_array_add (warnings, clock);
  if (selinux)
    g_ptr_array_add (warnings, selinux);
  return warnings;
}

/*
 * Policy-based IPsec: programs' packets would have to be routed to the uplink as
 * if they were to leave in plain text, and only the IPsec policy, which another
 * program may remove at any time, would have them encrypted.
 */
static void
warn_of_missing_devices (KsSituation *self)
{
  for (guint i = 0; self->network && i < self->armed->len; i++) {
    const KsProfile *profile = self->armed->pdata[i];
    g_autofree char *text = NULL;

    if (!g_ptr_array_find_with_equal_func (self->network->without_device, ks_profile_key (profile), g_str_equal, NULL))
      continue;
    text = g_strdup_printf (
      "'%s' is connected, but has no network device of its own (it is an IPsec policy): traffic cannot "
      "be sent through it while the kill switch is armed, and stays blocked. Have it make an "
      "interface (Libreswan: ipsec-interface), or use another type of VPN",
      profile->id);
    g_ptr_array_add (self->warnings, ks_error_printable (text));
  }
}

/* The substitute exists because the file could not be written: it is the newer one. */
static KsState *
read_state (const KsPaths *paths, GPtrArray *errors)
{
  g_autofree char *substitute = ks_paths_runtime (paths, KS_STATE_NAME);
  g_autoptr (KsState) state = NULL;

  if (!g_file_test (substitute, G_FILE_TEST_EXISTS))
    return ks_state_file_read (paths->state, errors);
  state = ks_state_file_read (substitute, errors);
  if (!state->is_known) {
    g_clear_pointer (&state, ks_state_free);
    state = ks_state_file_read (paths->state, errors);
    state->is_known = FALSE; /* it is out of date */
  }
  return g_steal_pointer (&state);
}

/* Whether nothing may be armed: according to the markers or, if none could be created, to the state. */
static gboolean
decide_release (KsState *state, const KsPaths *paths, KsReadFlags flags, const char *boot)
{
  gboolean is_marked = ks_marker_is_released (paths);

  if (flags & KS_READ_RESUMED || g_strcmp0 (state->released, boot) != 0)
    g_clear_pointer (&state->released, g_free);
  if (flags & KS_READ_RELEASED && !is_marked && !state->released)
    state->released = g_strdup (boot);
  return is_marked || state->released;
}

/* The configuration's sections are profiles too, as far as it can be read. */
static void
add_sections (KsSituation *self, const KsPaths *paths)
{
  for (guint i = 0; i < self->config->sections->len; i++)
    g_ptr_array_add (self->set->profiles, ks_profile_new_of_section (self->config->sections->pdata[i], paths->config));
  if (self->config->is_unreadable)
    g_ptr_array_add (self->set->unreadable, g_strdup (paths->config));
}

/* Unchanged profiles come from memory. */
static void
read_profiles (KsSituation *self, const KsPaths *paths, const KsProfileDirectory *directories, KsReadFlags flags)
{
  g_autofree char *path = ks_paths_runtime (paths, KS_PROFILES_NAME);

  self->memory =
    ks_profile_memory_new (path, self->config, g_get_real_time () / G_USEC_PER_SEC, (flags & KS_READ_ANEW) != 0);
  self->set = ks_profile_set_read (directories, paths->zones, self->config, self->memory, self->errors);
}

KsSituation *
ks_situation_read (const KsPaths *paths, const KsEvent *event, KsReadFlags flags)
{
  KsSituation *self = g_new0 (KsSituation, 1);
  g_autofree char *line = ks_paths_read_line (paths->boot_id);
  const char *boot = line && *line ? line : "unknown";
  g_autoptr (GArray) directories = NULL;

  self->errors = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);
  self->armed = g_ptr_array_new ();
  self->standby = g_ptr_array_new ();
  self->tunnels = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_tunnel_free);
  self->config = ks_config_read (paths->config, self->errors);
  directories = ks_nm_config_directories (paths, self->errors);
  read_profiles (self, paths, (const KsProfileDirectory *) directories->data, flags);
  add_sections (self, paths);
  self->warnings = collect_warnings (self->set, paths);
  self->state = flags & KS_READ_NO_STATE ? ks_state_new () : read_state (paths, self->errors);
  forget_gone (self);
  find_unclear (self);
  self->is_unclear |= (flags & KS_READ_NO_STATE) != 0;
  self->is_released = decide_release (self->state, paths, flags, boot);
  if (!(flags & (KS_READ_NO_NETWORK | KS_READ_RELEASED)))
    read_network (self);
  find_resolvers (self, paths);
  follow_profiles (self, event, boot);
  if (self->is_released)
    return self;

  arm_profiles (self);
  arm_remembered (self, self->set->unreadable, boot);
  arm_remembered (self, self->set->unclear, boot);
  find_standby (self);
  if (!(flags & KS_READ_NO_NETWORK))
    warn_of_names (self);
  warn_of_missing_devices (self);
  return self;
}

void
ks_situation_free (KsSituation *self)
{
  g_ptr_array_unref (self->armed);
  g_ptr_array_unref (self->standby);
  g_ptr_array_unref (self->tunnels);
  g_clear_pointer (&self->network, ks_network_free);
  g_clear_pointer (&self->resolvers, g_array_unref);
  g_free (self->appeared);
  ks_profile_set_free (self->set);
  ks_profile_memory_free (self->memory);
  ks_state_free (self->state);
  ks_config_free (self->config);
  g_ptr_array_unref (self->errors);
  g_ptr_array_unref (self->warnings);
  g_free (self);
}

/* --- the policy --- */

/* NetworkManager starts dnsmasq without naming a user, so it runs as its build's default: nobody on Debian, dnsmasq on
 * Fedora. */
static const char *const resolver_users[] = { "systemd-resolve", "dnsmasq", "nobody" };

static void
add_uid_of (GArray *uids, const char *user)
{
  guint32 uid;

  if (ks_user_find_uid (user, &uid) && uid != 0)
    g_array_append_val (uids, uid);
}

KsPolicy *
ks_situation_policy (const KsSituation *self, const KsSnapshot *snapshot)
{
  g_autoptr (GHashTable) prefixes = g_hash_table_new (g_str_hash, g_str_equal);
  g_autoptr (GArray) resolver_uids = g_array_new (FALSE, FALSE, sizeof (guint32));
  KsPolicyInput input = {
    .config = self->config,
    .armed = self->armed,
    .standby = self->standby,
    .tunnels = self->tunnels,
    .resolved = self->state->answers->addresses,
    .aliases = self->state->answers->aliases,
    .remembered = prefixes,
    .main_routes = snapshot->routes,
    .rules = snapshot->rules,
    .tunnel_links = snapshot->tunnel_links,
    .offload_links = snapshot->offload_links,
    .addresses = self->no_management ? NULL : snapshot->addresses,
    .no_ipv6 = snapshot->no_ipv6,
    .resolvers = self->resolvers,
    .resolver_uids = resolver_uids,
    .no_guard = self->no_guard,
    .no_names = self->no_names,
  };

  for (guint i = 0; i < self->state->remembered->len; i++) {
    const KsRemembered *remembered = self->state->remembered->pdata[i];

    g_hash_table_insert (prefixes, (gpointer) ks_profile_key (remembered->profile), remembered->prefixes);
  }
  for (guint i = 0; i < G_N_ELEMENTS (resolver_users); i++)
    add_uid_of (resolver_uids, resolver_users[i]);
  return ks_policy_compute (&input);
}

KsDiffFlags
ks_situation_diff_flags (const KsSituation *self)
{
  if (self->is_released)
    return KS_DIFF_DEFAULT;
  if (self->is_unclear)
    return KS_DIFF_HOLD;
  return ks_situation_lacks_network (self) ? KS_DIFF_HOLD_EXEMPTIONS : KS_DIFF_DEFAULT;
}

gboolean
ks_situation_lacks_network (const KsSituation *self)
{
  return !self->network && has_profile_of_networkmanager (self->armed);
}

gboolean
ks_situation_awaits_names (const KsSituation *self)
{
  if (!self->resolvers || self->resolvers->len == 0)
    return FALSE;
  for (guint i = 0; i < self->armed->len; i++) {
    const KsProfile *profile = self->armed->pdata[i];

    if (profile->vpn_type != KS_VPN_WIREGUARD && ks_endpoint_has_name (profile->endpoints)
        && !ks_tunnel_find (self->tunnels, ks_profile_key (profile)))
      return TRUE;
  }
  return FALSE;
}

/* Whether the VPN of @remembered is up. For a section, and while NetworkManager is silent, the device tells. */
static gboolean
is_up (const KsSituation *self, const KsRemembered *remembered)
{
  KsActiveState active;

  if (!self->network || is_section (remembered->profile))
    return remembered->tunnel && if_nametoindex (remembered->tunnel) != 0;
  active = ks_network_active_state (self->network, ks_profile_key (remembered->profile));
  return active == KS_ACTIVE_ACTIVATED || active == KS_ACTIVE_DEACTIVATING;
}

/*
 * A name may stand for hundreds of servers, with others in every answer. Which
 * of them a VPN is connected to is not known, but it was known when it
 * connected, or it could not have.
 */
gboolean
ks_situation_take_answers (KsSituation *self, const KsAnswers *answers)
{
  g_autoptr (GPtrArray) kept = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < self->state->remembered->len; i++) {
    const KsRemembered *remembered = self->state->remembered->pdata[i];

    if (!is_up (self, remembered))
      continue;
    ks_endpoint_collect_names (remembered->profile->endpoints, kept);
    ks_endpoint_collect_names (remembered->former, kept);
  }
  return ks_answers_merge (self->state->answers, answers, kept);
}

GPtrArray *
ks_situation_hosts (const KsSituation *self)
{
  GPtrArray *hosts = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < self->armed->len; i++)
    ks_endpoint_collect_names (((const KsProfile *) self->armed->pdata[i])->endpoints, hosts);
  for (guint i = 0; i < self->standby->len; i++)
    ks_endpoint_collect_names (((const KsProfile *) self->standby->pdata[i])->endpoints, hosts);
  return hosts;
}

void
ks_situation_keep_numbers (KsSituation *self)
{
  ks_config_set_numbers (self->config, self->state->numbers);
  if (self->armed->len > 0)
    g_ptr_array_add (self->warnings,
                     g_strdup ("the new numbers in nm-killswitch.conf cannot replace the old ones while armed, since "
                               "Protocol changes and others do not: they take effect at the next boot, or after "
                               "`nm-killswitch release` and `nm-killswitch resume`"));
}

gboolean
ks_situation_save (const KsSituation *self, const KsPaths *paths, GError **error)
{
  g_autofree char *substitute = ks_paths_runtime (paths, KS_STATE_NAME);

  ks_profile_memory_write (self->memory);
  if (!ks_state_file_write (self->state, paths->state, error)) {
    if (ks_state_file_write (self->state, substitute, NULL))
      g_prefix_error (error, "will be forgotten at the next boot: ");
    return FALSE;
  }
  if (!g_file_test (substitute, G_FILE_TEST_EXISTS) || g_unlink (substitute) == 0)
    return TRUE;
  g_set_error (error, KS_ERROR, KS_ERROR_IO, "cannot remove %s: %s", substitute, g_strerror (errno));
  return FALSE;
}
