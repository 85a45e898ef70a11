/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Settings: nm-killswitch.conf(5). Every setting has a safe default. */
#pragma once

#include "value/ks-placement.h"
#include "value/ks-prefix.h"
#include "value/ks-section.h"

typedef enum {
  KS_LAN_UNSET = -1, /* not set in a profile */
  KS_LAN_PRIVATE, /* private prefixes, by table main without its default route */
  KS_LAN_ROUTES, /* all of table main without its default route */
  KS_LAN_OFF,
} KsLan;

typedef enum {
  KS_DNS_UNSET = -1,
  KS_DNS_TUNNEL, /* queries leave through the tunnel only */
  KS_DNS_LAN, /* a resolver on the local network may be asked */
} KsDns;

typedef struct {
  guint32 table; /* the tunnel's default, and the blackhole */
  guint32 tunnel_table; /* the tunnel's own subnets */
  guint32 uplink_table; /* main without the tunnels */
  guint32 servers_table; /* the same, only for the servers' addresses */
  guint32 management_table; /* first of KS_MANAGEMENT_TABLES: one uplink's routes each, for ManagementFrom= */
  guint8 protocol; /* of our rules and routes */
  guint32 priority; /* first of KS_PRIORITY_WINDOW rule priorities; these seven numbers identify what is ours */
  guint32 tunnel_metric;
  guint32 blackhole_metric;
  char **zones; /* connection.zone values that arm in mode strict */
  char **session_zones; /* ... in mode session */
  KsLan lan;
  GArray *lan_prefixes; /* of KsPrefix, both families */
  KsDns dns;
  gboolean guard;
  KsPlacement placement; /* for profiles that do not set it */
  GArray *management_prefixes; /* of KsPrefix, both families: who may open connections from outside the LAN */
  GPtrArray *sections; /* of KsSection, in the order of the file */
  gboolean is_unreadable; /* the file exists but could not be read: these are the defaults */
} KsConfig;

/* Rule priorities @priority .. @priority + KS_PRIORITY_WINDOW - 1 are ours. */
#define KS_PRIORITY_WINDOW 100
/* The number of uplinks that ManagementFrom= serves at once. */
#define KS_MANAGEMENT_TABLES 4
/* The range for the first of their tables: all of them above the system's, and valid. */
#define KS_MANAGEMENT_TABLE_MIN 256
#define KS_MANAGEMENT_TABLE_MAX (G_MAXUINT32 - KS_MANAGEMENT_TABLES)

KsConfig *ks_config_new (void);
void ks_config_free (KsConfig *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsConfig, ks_config_free)

/* Whether the numbers of @self can be ours: none of the system's tables or protocols, different tables. */
gboolean ks_config_numbers_are_valid (const KsConfig *self);
/* Whether Table, TunnelTable, UplinkTable and ServersTable are four different tables. */
gboolean ks_config_tables_differ (const KsConfig *self);
/* Whether both regard the same kernel objects as ours. */
gboolean ks_config_has_same_numbers (const KsConfig *a, const KsConfig *b);
/*
 * Whether the kernel can hold what both want at the same time. It considers two
 * rules of one priority, or two routes of one table, the same if they differ only
 * in their protocol (rule_exists() in net/core/fib_rules.c, fib_table_insert()
 * in net/ipv4/fib_trie.c).
 */
gboolean ks_config_can_stand_beside (const KsConfig *a, const KsConfig *b);
/* Copies the numbers of @from. */
void ks_config_set_numbers (KsConfig *self, const KsConfig *from);

/* The index of the setting's value @text among @words; -1 if it is not one of them. */
int ks_config_find_word (const char *const *words, guint n_words, const char *text);
gboolean ks_lan_parse (const char *text, KsLan *out);
const char *ks_lan_format (KsLan lan);
gboolean ks_dns_parse (const char *text, KsDns *out);
const char *ks_dns_format (KsDns dns);
