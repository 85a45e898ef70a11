/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "selftest/ks-selftest-arm.h"

#include <net/if.h>

#include "base/ks-error.h"
#include "kernel/ks-guard.h"
#include "selftest/ks-selftest-packet.h"
#include "selftest/ks-selftest-probe.h"

/* The kernel's own routes still change for a short while when ours are added; as in ks-apply.c. */
#define MAX_PASSES 5

/*
 * The guard records nothing about its installation, so that nothing is written.
 * It is therefore installed anew each time.
 */
#define NO_STATE NULL

struct _KsSelftestArm {
  const KsSelftestOptions *options;
  gboolean has_other_user;
  KsKernel *kernel;
  KsConfig *config;
  GPtrArray *profiles; /* of KsProfile: the profiles to arm */
  KsPolicy *policy; /* the last one applied; nullable */
};

static void
add_prefix (GArray *prefixes, const char *text)
{
  KsPrefix prefix;

  if (ks_prefix_parse (text, &prefix, NULL))
    g_array_append_val (prefixes, prefix);
}

static KsProfile *
make_profile (const char *uuid, KsVpnType type)
{
  KsProfile *profile = ks_profile_new ();
  guint32 root = 0;

  profile->uuid = g_strdup (uuid);
  profile->id = g_strdup ("selftest");
  profile->vpn_type = type;
  profile->mode = KS_MODE_STRICT;
  g_array_append_val (profile->uids, root);
  return profile;
}

#define PLUGIN_UUID "00000000-0000-4000-8000-000000000001"
#define WIREGUARD_UUID "00000000-0000-4000-8000-000000000002"

static KsProfile *
plugin_profile (void)
{
  KsProfile *profile = make_profile (PLUGIN_UUID, KS_VPN_PLUGIN);

  profile->service = g_strdup ("org.freedesktop.NetworkManager.openvpn");
  g_ptr_array_add (profile->endpoints, ks_endpoint_new (KS_SELFTEST_SERVER, KS_SELFTEST_SERVER_PORT, IPPROTO_UDP));
  g_ptr_array_add (profile->endpoints, ks_endpoint_new (KS_SELFTEST_SERVER6, KS_SELFTEST_SERVER_PORT, IPPROTO_UDP));
  g_ptr_array_add (profile->endpoints, ks_endpoint_new (KS_SELFTEST_SERVER_NAME, KS_SELFTEST_SERVER_PORT, IPPROTO_UDP));
  /* as remembered from the last activation */
  add_prefix (profile->prefixes, KS_SELFTEST_TUNNEL);
  add_prefix (profile->prefixes, KS_SELFTEST_TUNNEL6);
  return profile;
}

static KsProfile *
wireguard_profile (void)
{
  KsProfile *profile = make_profile (WIREGUARD_UUID, KS_VPN_WIREGUARD);

  profile->interface = g_strdup ("wg0");
  profile->listen_port = KS_SELFTEST_WIREGUARD_PORT;
  g_ptr_array_add (profile->endpoints, ks_endpoint_new ("203.0.113.20", KS_SELFTEST_WIREGUARD_PORT, IPPROTO_UDP));
  return profile;
}

KsSelftestArm *
ks_selftest_arm_new (const KsSelftestOptions *options, GError **error)
{
  KsKernel *kernel = ks_kernel_new (error);
  KsSelftestArm *self;

  if (!kernel)
    return NULL;
  self = g_new0 (KsSelftestArm, 1);
  self->options = options;
  self->kernel = kernel;
  self->has_other_user = ks_selftest_probe_has_other_user ();
  self->config = ks_config_new ();
  self->profiles = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_profile_free);
  g_ptr_array_add (self->profiles, plugin_profile ());
  g_ptr_array_add (self->profiles, wireguard_profile ());
  return self;
}

void
ks_selftest_arm_free (KsSelftestArm *self)
{
  ks_kernel_free (self->kernel);
  ks_config_free (self->config);
  g_ptr_array_unref (self->profiles);
  g_clear_pointer (&self->policy, ks_policy_free);
  g_free (self);
}

/* --- the policy --- */

static KsTunnel *
make_tunnel (const char *interface)
{
  KsTunnel *tunnel = ks_tunnel_new (PLUGIN_UUID, interface);

  tunnel->ifindex = if_nametoindex (interface);
  tunnel->has_ipv4 = tunnel->has_ipv6 = TRUE;
  add_prefix (tunnel->addresses, KS_SELFTEST_TUNNEL_ADDRESS);
  add_prefix (tunnel->addresses, KS_SELFTEST_TUNNEL_ADDRESS6);
  for (guint i = 0; i < tunnel->addresses->len; i++)
    ks_tunnel_add_prefix (tunnel, &g_array_index (tunnel->addresses, KsPrefix, i), NULL);
  return tunnel;
}

static KsPolicy *
compute (const KsSelftestArm *self, const KsSnapshot *snapshot, gboolean armed, const char *interface)
{
  g_autoptr (GPtrArray) none = g_ptr_array_new ();
  g_autoptr (GPtrArray) tunnels = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_tunnel_free);
  g_autoptr (GArray) resolvers = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  g_autoptr (GArray) resolver_uids = g_array_new (FALSE, FALSE, sizeof (guint32));
  const guint32 resolver = KS_SELFTEST_NOBODY;
  KsPolicyInput input = {
    .config = self->config,
    .armed = armed ? self->profiles : none,
    .tunnels = tunnels,
    .main_routes = snapshot->routes,
    .rules = snapshot->rules,
    .no_ipv6 = snapshot->no_ipv6,
    .resolvers = resolvers,
    .resolver_uids = resolver_uids,
  };
  KsPolicy *policy;

  add_prefix (resolvers, KS_SELFTEST_ROUTER);
  add_prefix (resolvers, KS_SELFTEST_ROUTER6);
  /* the other user stands for the system's resolver, which sends what others ask for; the kernel rejects a rule for an
   * unknown user */
  if (self->has_other_user)
    g_array_append_val (resolver_uids, resolver);
  if (interface)
    g_ptr_array_add (tunnels, make_tunnel (interface));
  policy = ks_policy_compute (&input);
  if (armed && self->options->spoil)
    self->options->spoil (policy, self->options->user_data);
  return policy;
}

/* --- applying --- */

static gboolean
apply_guard (KsSelftestArm *self, GError **error)
{
  guint changes = 0;

  return ks_guard_apply (self->policy, FALSE, NO_STATE, NULL, &changes, error);
}

/* One dump, difference and application; *@done if there was nothing left to do. */
static gboolean
apply_once (KsSelftestArm *self, gboolean armed, const char *interface, gboolean *done, GError **error)
{
  g_autoptr (KsSnapshot) snapshot = ks_kernel_dump (self->kernel, self->config, error);
  g_autoptr (GArray) plan = NULL;
  guint changes = 0;

  if (!snapshot)
    return FALSE;
  g_clear_pointer (&self->policy, ks_policy_free);
  self->policy = compute (self, snapshot, armed, interface);
  plan = ks_diff_compute (self->config, snapshot->rules, snapshot->routes, self->policy, KS_DIFF_DEFAULT);
  *done = plan->len == 0;
  return ks_kernel_apply (self->kernel, plan, &changes, error);
}

static gboolean
apply_routing (KsSelftestArm *self, gboolean armed, const char *interface, GError **error)
{
  gboolean done = FALSE;

  for (int i = 0; i < MAX_PASSES && !done; i++)
    if (!apply_once (self, armed, interface, &done, error))
      return FALSE;
  if (!done)
    g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "rules and routes are not what they were set to");
  return done;
}

/* The guard goes first when arming, last when disarming: as in ks-apply.c. */
static gboolean
apply (KsSelftestArm *self, gboolean armed, const char *interface, GError **error)
{
  g_autoptr (KsSnapshot) snapshot = ks_kernel_dump (self->kernel, self->config, error);
  gboolean has_guard = TRUE, has_routing;

  if (!snapshot)
    return FALSE;
  g_clear_pointer (&self->policy, ks_policy_free);
  self->policy = compute (self, snapshot, armed, interface);
  if (armed)
    has_guard = apply_guard (self, error);
  has_routing = apply_routing (self, armed, interface, has_guard ? error : NULL);
  if (!armed)
    has_guard = apply_guard (self, has_routing ? error : NULL);
  return has_guard && has_routing;
}

gboolean
ks_selftest_arm_apply (KsSelftestArm *self, const char *tunnel, GError **error)
{
  return apply (self, TRUE, tunnel, error);
}

gboolean
ks_selftest_arm_disarm (KsSelftestArm *self, GError **error)
{
  return apply (self, FALSE, NULL, error);
}

gboolean
ks_selftest_arm_drop_rules (KsSelftestArm *self, GError **error)
{
  g_autoptr (GArray) plan = g_array_new (FALSE, TRUE, sizeof (KsStep));
  guint changes = 0;

  for (guint i = 0; self->policy && i < self->policy->rules->len; i++) {
    KsStep step = { .kind = KS_STEP_DELETE_RULE, .rule = g_array_index (self->policy->rules, KsRule, i) };

    g_array_append_val (plan, step);
  }
  return ks_kernel_apply (self->kernel, plan, &changes, error);
}

gboolean
ks_selftest_arm_drop_guard (KsSelftestArm *self G_GNUC_UNUSED, GError **error)
{
  guint changes = 0;

  return ks_guard_remove (NO_STATE, &changes, error);
}

/* --- comparing --- */

KsSnapshot *
ks_selftest_arm_dump (KsSelftestArm *self, GError **error)
{
  return ks_kernel_dump (self->kernel, self->config, error);
}

/* All of it as text, one line each, sorted (transfer full; of char*). */
static GPtrArray *
format_snapshot (const KsSnapshot *snapshot)
{
  GPtrArray *lines = g_ptr_array_new_with_free_func (g_free);

  g_array_sort (snapshot->rules, ks_rule_compare);
  g_array_sort (snapshot->routes, ks_route_compare);
  for (guint i = 0; i < snapshot->rules->len; i++) {
    const KsRule *rule = &g_array_index (snapshot->rules, KsRule, i);
    g_autofree char *text = ks_rule_format (rule);

    g_ptr_array_add (lines, g_strdup_printf ("%s rule %s", rule->family == AF_INET6 ? "IPv6" : "IPv4", text));
  }
  for (guint i = 0; i < snapshot->routes->len; i++) {
    const KsRoute *route = &g_array_index (snapshot->routes, KsRoute, i);
    g_autofree char *text = ks_route_format (route);

    g_ptr_array_add (lines, g_strdup_printf ("%s route %s", route->family == AF_INET6 ? "IPv6" : "IPv4", text));
  }
  return lines;
}

/* The first line of @lines that is not in @others; NULL if there is none. */
static const char *
find_other (const GPtrArray *lines, const GPtrArray *others)
{
  for (guint i = 0; i < lines->len; i++)
    if (!g_ptr_array_find_with_equal_func ((GPtrArray *) others, lines->pdata[i], g_str_equal, NULL))
      return lines->pdata[i];
  return NULL;
}

gboolean
ks_selftest_arm_compare (const KsSnapshot *before, const KsSnapshot *after, GError **error)
{
  g_autoptr (GPtrArray) was = format_snapshot (before);
  g_autoptr (GPtrArray) is = format_snapshot (after);
  KsPolicy nothing = { 0 };
  const char *line;

  if ((line = find_other (is, was)))
    g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "left behind: %s", line);
  else if ((line = find_other (was, is)))
    g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "gone: %s", line);
  else if (was->len != is->len)
    g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "there were %u rules and routes, there are %u", was->len, is->len);
  else if (ks_guard_inspect (&nothing, FALSE, NO_STATE, NULL, NULL) == KS_GUARD_UNVERIFIED)
    g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "left behind: nftables table inet %s", KS_GUARD_TABLE);
  else
    return TRUE;
  return FALSE;
}
