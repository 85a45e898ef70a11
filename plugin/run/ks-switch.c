/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run/ks-switch.h"

#include <net/if.h>
#include <string.h>

#include "base/ks-error.h"
#include "input/ks-profile-warning.h"
#include "kernel/ks-kernel.h"
#include "run/ks-cut-off.h"
#include "run/ks-public.h"
#include "run/ks-ssh.h"

#define POLL_MICROSECONDS 100000

KsSetting
ks_switch_setting (const KsChoice *choice, const KsProfile *profile, KsSwitch action, const KsPaths *paths)
{
  const KsNmConnection *connection = ks_choice_connection (choice, profile);
  const KsSetting now = { .zone = connection->zone, .mode = connection->mode };
  gboolean is_misspelt = now.zone && ks_profile_find_meant_zone (choice->config, now.zone, paths->zones);

  if (action == KS_SWITCH_OFF)
    return ks_setting_disable (&now, choice->config);
  return ks_setting_enable (&now, choice->config, action == KS_SWITCH_SESSION ? KS_MODE_SESSION : KS_MODE_STRICT,
                            is_misspelt);
}

/* --- the connection that the command is run from --- */

static void
add_tunnel (GPtrArray *tunnels, const KsProfile *profile, const char *interface)
{
  KsTunnel *tunnel = ks_tunnel_new (ks_profile_key (profile), interface);

  tunnel->ifindex = if_nametoindex (interface);
  tunnel->has_ipv4 = tunnel->has_ipv6 = TRUE;
  if (tunnel->ifindex)
    g_ptr_array_add (tunnels, tunnel);
  else
    ks_tunnel_free (tunnel);
}

static void
add_tunnels_of_section (GPtrArray *tunnels, const KsProfile *profile, const GArray *links)
{
  for (guint i = 0; i < links->len; i++) {
    const KsLink *link = &g_array_index (links, KsLink, i);

    if (profile->interface && ks_section_is_device (profile->interface, link->name))
      add_tunnel (tunnels, profile, link->name);
  }
}

/* The tunnels of the armed profiles and of @chosen (transfer full; of KsTunnel). */
static GPtrArray *
find_tunnels (const KsChoice *choice, const KsNetwork *network, const KsProfile *chosen, const GArray *links)
{
  GPtrArray *tunnels = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_tunnel_free);

  for (guint i = 0; i < choice->profiles->len; i++) {
    const KsProfile *profile = choice->profiles->pdata[i];
    const KsTunnel *tunnel = network ? ks_tunnel_find (network->tunnels, ks_profile_key (profile)) : NULL;

    if (profile != chosen && !ks_profile_wants (profile))
      continue;
    if (profile->vpn_type == KS_VPN_SECTION)
      add_tunnels_of_section (tunnels, profile, links);
    else if (tunnel)
      add_tunnel (tunnels, profile, tunnel->interface);
  }
  return tunnels;
}

/* Whether a policy that arms @profile alone, applied to what the kernel holds, cuts off @ssh. */
static gboolean
is_cut_off (const KsChoice *choice, const KsProfile *profile, const GPtrArray *tunnels, const KsSnapshot *snapshot,
            const KsConnection *ssh)
{
  g_autoptr (GPtrArray) armed = g_ptr_array_new ();
  g_autoptr (GArray) connections = g_array_new (FALSE, FALSE, sizeof (KsConnection));
  g_autoptr (GPtrArray) warnings = NULL;
  g_autoptr (KsPolicy) policy = NULL;
  KsPolicyInput input = {
    .config = choice->config,
    .armed = armed,
    .tunnels = tunnels,
    .main_routes = snapshot->routes,
    .rules = snapshot->rules,
    .tunnel_links = snapshot->tunnel_links,
    .offload_links = snapshot->offload_links,
    .addresses = snapshot->addresses,
    .no_ipv6 = snapshot->no_ipv6,
  };

  g_ptr_array_add (armed, (gpointer) profile);
  g_array_append_val (connections, *ssh);
  policy = ks_policy_compute (&input);
  warnings = ks_cut_off_compute (policy, snapshot->addresses, connections);
  return warnings->len > 0;
}

gboolean
ks_switch_cuts_off (const KsChoice *choice, const KsProfile *profile, char **peer)
{
  g_autoptr (KsKernel) kernel = NULL;
  g_autoptr (KsSnapshot) snapshot = NULL;
  g_autoptr (GArray) links = NULL;
  g_autoptr (KsNetwork) network = NULL;
  g_autoptr (GPtrArray) tunnels = NULL;
  KsConnection ssh;

  if (!ks_ssh_find (&ssh))
    return FALSE;
  kernel = ks_kernel_new (NULL);
  snapshot = kernel ? ks_kernel_dump (kernel, choice->config, NULL) : NULL;
  links = snapshot ? ks_kernel_dump_links (kernel, NULL) : NULL;
  if (!links)
    return FALSE;
  network = ks_choice_network (choice);
  tunnels = find_tunnels (choice, network, profile, links);
  if (!is_cut_off (choice, profile, tunnels, snapshot, &ssh))
    return FALSE;
  *peer = ks_prefix_format_address (&ssh.peer);
  return TRUE;
}

/* --- whether it is in force --- */

static const KsSummaryProfile *
find (const KsSummary *summary, const KsProfile *profile)
{
  return ks_summary_find (summary, profile->vpn_type == KS_VPN_SECTION ? NULL : profile->uuid, profile->id);
}

static const char *
word_of (KsSwitch action)
{
  return ks_mode_format (action == KS_SWITCH_SESSION ? KS_MODE_SESSION : KS_MODE_STRICT);
}

gboolean
ks_switch_is_done (const KsSummary *summary, const KsProfile *profile, KsSwitch action, gboolean is_up)
{
  const KsSummaryProfile *found = find (summary, profile);

  if (g_str_equal (summary->state, "unknown") || g_str_equal (summary->state, "incomplete"))
    return FALSE;
  if (g_str_equal (summary->state, "released"))
    return TRUE;
  if (action == KS_SWITCH_STRICT || (action == KS_SWITCH_SESSION && is_up))
    return found && g_str_equal (found->mode, word_of (action));
  return !found;
}

KsSummary *
ks_switch_wait (const KsPaths *paths, const KsProfile *profile, KsSwitch action, gboolean is_up, guint timeout_ms)
{
  gint64 end = g_get_monotonic_time () + (gint64) timeout_ms * 1000;

  for (;;) {
    g_autoptr (KsPublic) public = ks_public_read (paths);

    if (ks_switch_is_done (public->summary, profile, action, is_up))
      return g_steal_pointer (&public->summary);
    if (g_get_monotonic_time () > end)
      return NULL;
    g_usleep (POLL_MICROSECONDS);
  }
}

/* --- messages --- */

static char *
format_armed (const KsSummary *summary, const KsSummaryProfile *found)
{
  if (found->tunnel)
    return g_strdup_printf ("armed (%s) and up on %s: only the VPN, the local network and the VPN's own transport get "
                            "out",
                            found->mode, found->tunnel);
  if (g_str_equal (summary->state, "protected"))
    return g_strdup_printf ("armed (%s) and down; another VPN is up, and nothing gets out around it", found->mode);
  return g_strdup_printf ("armed (%s) and down: only the local network and the VPN's own transport get out",
                          found->mode);
}

static char *
format_disarmed (const KsSummary *summary)
{
  const KsSummaryProfile *other = summary->profiles->len > 0 ? summary->profiles->pdata[0] : NULL;

  if (!other)
    return g_strdup ("no longer armed; nothing is blocked");
  return g_strdup_printf ("no longer armed, but the host still is, by '%s'", other->id);
}

static char *
format_state (const KsSummary *summary, const KsProfile *profile, KsSwitch action)
{
  const KsSummaryProfile *found = find (summary, profile);

  if (g_str_equal (summary->state, "released"))
    return g_strdup_printf ("%s, but the kill switch is released: nothing is blocked until `nm-killswitch resume` or a "
                            "reboot",
                            action == KS_SWITCH_OFF ? "no longer armed" : "set to be armed");
  if (action == KS_SWITCH_OFF)
    return format_disarmed (summary);
  if (found)
    return format_armed (summary, found);
  return g_strdup ("armed (session) from the moment it connects until you disconnect it");
}

char *
ks_switch_format (const KsSummary *summary, const KsProfile *profile, KsSwitch action)
{
  g_autofree char *state = format_state (summary, profile, action);
  g_autofree char *line = g_strdup_printf ("'%s' is %s", profile->id, state);

  return ks_error_printable (line);
}
