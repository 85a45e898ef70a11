/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/ks-owner.h"

gboolean
ks_owner_has_rule (const KsConfig *config, const KsRule *rule)
{
  gboolean in_window = rule->priority >= config->priority && rule->priority - config->priority < KS_PRIORITY_WINDOW;
  gboolean is_jump =
    rule->action == FR_ACT_GOTO && rule->goto_target == config->priority && rule->priority < config->priority;
  /* also where table local itself is looked up after our rules */
  gboolean is_local =
    rule->action == FR_ACT_TO_TBL && rule->table == RT_TABLE_LOCAL && rule->priority < config->priority;

  return rule->protocol == config->protocol && (in_window || is_jump || is_local);
}

gboolean
ks_owner_has_any_rule (const KsConfig *config, const GArray *rules)
{
  for (guint i = 0; i < rules->len; i++)
    if (ks_owner_has_rule (config, &g_array_index (rules, KsRule, i)))
      return TRUE;
  return FALSE;
}

gboolean
ks_owner_is_management_table (const KsConfig *config, guint32 table)
{
  return table >= config->management_table && table - config->management_table < KS_MANAGEMENT_TABLES;
}

gboolean
ks_owner_has_table (const KsConfig *config, guint32 table)
{
  return table == config->table || table == config->tunnel_table || table == config->uplink_table
         || table == config->servers_table || ks_owner_is_management_table (config, table);
}

gboolean
ks_owner_has_bypass (const KsConfig *config, const KsRoute *route)
{
  return route->table == RT_TABLE_MAIN && route->protocol == config->protocol && route->type == RTN_UNICAST
         && ks_prefix_is_host (&route->dst);
}

gboolean
ks_owner_has_route (const KsConfig *config, const KsRoute *route)
{
  return route->protocol == config->protocol
         && (ks_owner_has_table (config, route->table) || ks_owner_has_bypass (config, route));
}

gboolean
ks_owner_has_any_route (const KsConfig *config, const GArray *routes)
{
  for (guint i = 0; i < routes->len; i++)
    if (ks_owner_has_route (config, &g_array_index (routes, KsRoute, i)))
      return TRUE;
  return FALSE;
}
