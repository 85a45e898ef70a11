/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "value/ks-config.h"

#include <linux/rtnetlink.h>
#include <string.h>

static const char *const default_lan_prefixes[] = {
  "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7", "fe80::/10",
};

KsConfig *
ks_config_new (void)
{
  static const char *const zones[] = { "killswitch", NULL };
  static const char *const session_zones[] = { "killswitch-auto", NULL };
  KsConfig *self = g_new0 (KsConfig, 1);

  self->table = 83;
  self->tunnel_table = 84;
  self->uplink_table = 85;
  self->servers_table = 86;
  self->management_table = 8300;
  self->protocol = 83;
  self->priority = 8300;
  self->tunnel_metric = 100;
  self->blackhole_metric = 200;
  self->zones = g_strdupv ((char **) (gpointer) zones);
  self->session_zones = g_strdupv ((char **) (gpointer) session_zones);
  self->lan = KS_LAN_PRIVATE;
  self->lan_prefixes = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  for (guint i = 0; i < G_N_ELEMENTS (default_lan_prefixes); i++) {
    KsPrefix prefix;

    ks_prefix_parse (default_lan_prefixes[i], &prefix, NULL);
    g_array_append_val (self->lan_prefixes, prefix);
  }
  self->dns = KS_DNS_TUNNEL;
  self->guard = TRUE;
  self->placement = KS_PLACEMENT_AUTO;
  self->management_prefixes = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  self->sections = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_section_free);
  return self;
}

void
ks_config_free (KsConfig *self)
{
  g_strfreev (self->zones);
  g_strfreev (self->session_zones);
  g_array_unref (self->lan_prefixes);
  g_array_unref (self->management_prefixes);
  g_ptr_array_unref (self->sections);
  g_free (self);
}

static gboolean
is_own_table (guint32 table)
{
  return table != 0 && (table < 253 || table > 255);
}

/* Whether @table is not one of the tables of ManagementFrom=. */
static gboolean
is_apart (const KsConfig *self, guint32 table)
{
  return table < self->management_table || table - self->management_table >= KS_MANAGEMENT_TABLES;
}

gboolean
ks_config_tables_differ (const KsConfig *self)
{
  const guint32 tables[] = { self->table, self->tunnel_table, self->uplink_table, self->servers_table };

  for (guint i = 0; i < G_N_ELEMENTS (tables); i++)
    for (guint j = 0; j < i; j++)
      if (tables[i] == tables[j])
        return FALSE;
  return TRUE;
}

gboolean
ks_config_numbers_are_valid (const KsConfig *self)
{
  const guint32 tables[] = { self->table, self->tunnel_table, self->uplink_table, self->servers_table };

  for (guint i = 0; i < G_N_ELEMENTS (tables); i++)
    if (!is_own_table (tables[i]) || !is_apart (self, tables[i]))
      return FALSE;
  return ks_config_tables_differ (self) && self->management_table >= KS_MANAGEMENT_TABLE_MIN
         && self->management_table <= KS_MANAGEMENT_TABLE_MAX && self->protocol > RTPROT_STATIC && self->priority > 0;
}

gboolean
ks_config_has_same_numbers (const KsConfig *a, const KsConfig *b)
{
  return a->table == b->table && a->tunnel_table == b->tunnel_table && a->uplink_table == b->uplink_table
         && a->servers_table == b->servers_table && a->management_table == b->management_table
         && a->protocol == b->protocol && a->priority == b->priority;
}

static guint32
distance (guint32 a, guint32 b)
{
  return a > b ? a - b : b - a;
}

/* Whether a table of @other, except for those of ManagementFrom=, is also a table of @self. */
static gboolean
shares_table (const KsConfig *self, const KsConfig *other)
{
  const guint32 own[] = { self->table, self->tunnel_table, self->uplink_table, self->servers_table };
  const guint32 tables[] = { other->table, other->tunnel_table, other->uplink_table, other->servers_table };

  for (guint i = 0; i < G_N_ELEMENTS (tables); i++) {
    if (!is_apart (self, tables[i]))
      return TRUE;
    for (guint j = 0; j < G_N_ELEMENTS (own); j++)
      if (tables[i] == own[j])
        return TRUE;
  }
  return FALSE;
}

gboolean
ks_config_can_stand_beside (const KsConfig *a, const KsConfig *b)
{
  return a->protocol == b->protocol
         || (distance (a->priority, b->priority) >= KS_PRIORITY_WINDOW
             && distance (a->management_table, b->management_table) >= KS_MANAGEMENT_TABLES && !shares_table (a, b)
             && !shares_table (b, a));
}

void
ks_config_set_numbers (KsConfig *self, const KsConfig *from)
{
  self->table = from->table;
  self->tunnel_table = from->tunnel_table;
  self->uplink_table = from->uplink_table;
  self->servers_table = from->servers_table;
  self->management_table = from->management_table;
  self->protocol = from->protocol;
  self->priority = from->priority;
}

static const char *const lan_words[] = { "private", "routes", "off" };
static const char *const dns_words[] = { "tunnel", "lan" };

int
ks_config_find_word (const char *const *words, guint n_words, const char *text)
{
  for (guint i = 0; i < n_words; i++)
    if (strcmp (text, words[i]) == 0)
      return (int) i;
  return -1;
}

gboolean
ks_lan_parse (const char *text, KsLan *out)
{
  int word = ks_config_find_word (lan_words, G_N_ELEMENTS (lan_words), text);

  if (word >= 0)
    *out = word;
  return word >= 0;
}

const char *
ks_lan_format (KsLan lan)
{
  return lan >= 0 && lan < (int) G_N_ELEMENTS (lan_words) ? lan_words[lan] : "unset";
}

gboolean
ks_dns_parse (const char *text, KsDns *out)
{
  int word = ks_config_find_word (dns_words, G_N_ELEMENTS (dns_words), text);

  if (word >= 0)
    *out = word;
  return word >= 0;
}

const char *
ks_dns_format (KsDns dns)
{
  return dns >= 0 && dns < (int) G_N_ELEMENTS (dns_words) ? dns_words[dns] : "unset";
}
