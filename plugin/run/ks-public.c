/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run/ks-public.h"

#include <string.h>

#include "input/ks-config-read.h"
#include "policy/ks-owner.h"

void
ks_public_free (KsPublic *self)
{
  g_clear_pointer (&self->summary, ks_summary_free);
  g_ptr_array_unref (self->problems);
  g_free (self);
}

/* Whether the two rules exist that end every lookup. */
static gboolean
has_last_rules (const KsConfig *config, const KsSnapshot *snapshot, int family)
{
  gboolean has_default = FALSE, has_terminal = FALSE;

  for (guint i = 0; i < snapshot->rules->len; i++) {
    const KsRule *rule = &g_array_index (snapshot->rules, KsRule, i);

    if (rule->family != family || !ks_owner_has_rule (config, rule))
      continue;
    has_default |= rule->priority == config->priority + KS_PRIORITY_DEFAULT && rule->action == FR_ACT_TO_TBL
                   && rule->table == config->table;
    has_terminal |= rule->priority == config->priority + KS_PRIORITY_TERMINAL && rule->action == FR_ACT_UNREACHABLE;
  }
  return has_default && has_terminal;
}

static gboolean
has_blackhole (const KsConfig *config, const KsSnapshot *snapshot, int family)
{
  for (guint i = 0; i < snapshot->routes->len; i++) {
    const KsRoute *route = &g_array_index (snapshot->routes, KsRoute, i);

    if (route->family == family && route->table == config->table && route->type == RTN_BLACKHOLE
        && ks_route_is_default (route))
      return TRUE;
  }
  return FALSE;
}

static gboolean
blocks (const KsConfig *config, const KsSnapshot *snapshot, int family)
{
  return has_last_rules (config, snapshot, family) && has_blackhole (config, snapshot, family);
}

static gboolean
is_link_up (const GArray *links, const char *name)
{
  for (guint i = 0; i < links->len; i++) {
    const KsLink *link = &g_array_index (links, KsLink, i);

    if (link->is_up && strcmp (link->name, name) == 0)
      return TRUE;
  }
  return FALSE;
}

static void
set_state (KsSummary *summary, const char *state)
{
  if (g_str_equal (summary->state, state))
    return;
  g_free (summary->state);
  summary->state = g_strdup (state);
  summary->since = -1;
}

static void
add_problem (GPtrArray *problems, const char *text)
{
  g_ptr_array_add (problems, g_strdup (text));
}

/* A tunnel lost a moment ago: the kernel knows before the next run does. */
static void
forget_lost_tunnels (KsSummary *summary, const GArray *links)
{
  guint left = 0;

  for (guint i = 0; i < summary->profiles->len; i++) {
    KsSummaryProfile *profile = summary->profiles->pdata[i];

    for (guint j = profile->more_tunnels->len; j-- > 0;)
      if (!is_link_up (links, profile->more_tunnels->pdata[j]))
        g_ptr_array_remove_index (profile->more_tunnels, j);
    if (profile->tunnel && !is_link_up (links, profile->tunnel)) {
      g_free (profile->tunnel);
      profile->tunnel = profile->more_tunnels->len > 0 ? g_ptr_array_steal_index (profile->more_tunnels, 0) : NULL;
    }
    left += profile->tunnel != NULL;
  }
  if (left == 0 && g_str_equal (summary->state, "protected"))
    set_state (summary, "blocking");
}

static KsSummary *
summary_of_nothing (const char *state)
{
  g_autofree char *text = g_strdup_printf (
    "{\"file_version\":%d,\"state\":\"%s\",\"networkmanager\":true,\"armed\":[]}", KS_SUMMARY_VERSION, state);

  return ks_summary_parse (text, NULL);
}

KsSummary *
ks_public_judge (KsSummary *summary, const KsConfig *config, const KsSnapshot *snapshot, const GArray *links,
                 GPtrArray *problems)
{
  gboolean is_held = ks_owner_has_any_rule (config, snapshot->rules);

  if (!summary) {
    if (is_held)
      add_problem (problems, "the kernel holds rules of the kill switch, but no run has left a status file");
    return summary_of_nothing (is_held ? "unknown" : "off");
  }
  if (ks_summary_is_armed (summary)) {
    forget_lost_tunnels (summary, links);
    if (!blocks (config, snapshot, AF_INET) || (!snapshot->no_ipv6 && !blocks (config, snapshot, AF_INET6))) {
      set_state (summary, "incomplete");
      add_problem (problems, "rules or routes of the kill switch are missing from the kernel");
    }
  } else if (is_held && !g_str_equal (summary->state, "held") && !g_str_equal (summary->state, "incomplete")) {
    set_state (summary, "incomplete");
    add_problem (problems, "the kernel holds rules of the kill switch, although no profile is armed");
  }
  return summary;
}

KsPublic *
ks_public_read (const KsPaths *paths)
{
  KsPublic *self = g_new0 (KsPublic, 1);
  g_autoptr (GPtrArray) errors = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);
  g_autoptr (KsConfig) config = ks_config_read (paths->config, errors);
  g_autoptr (GError) error = NULL;
  g_autoptr (KsKernel) kernel = ks_kernel_new (&error);
  g_autoptr (KsSnapshot) snapshot = kernel ? ks_kernel_dump (kernel, config, &error) : NULL;
  g_autoptr (GArray) links = snapshot ? ks_kernel_dump_links (kernel, &error) : NULL;

  self->problems = g_ptr_array_new_with_free_func (g_free);
  self->summary = ks_summary_read (paths, NULL);
  if (links) {
    self->summary = ks_public_judge (self->summary, config, snapshot, links, self->problems);
    return self;
  }
  g_ptr_array_add (self->problems, g_strdup (error->message));
  if (!self->summary)
    self->summary = summary_of_nothing ("unknown");
  set_state (self->summary, "unknown");
  return self;
}
