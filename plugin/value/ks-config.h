/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Settings: nm-killswitch.conf(5). Every setting has a safe default. */
#pragma once

#include "value/ks-placement.h"
#include "value/ks-prefix.h"
#include "value/ks-section.h"

typedef enum {
  KS_LAN_UNSET = -1, /* a profile without an opinion */
  KS_LAN_PRIVATE, /* private prefixes by the main table, default route excluded */
  KS_LAN_ROUTES, /* whatever the main table has besides a default route */
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
  guint32 servers_table; /* the same for the servers' addresses alone */
  guint32 management_table; /* first of KS_MANAGEMENT_TABLES: one uplink's routes each, for ManagementFrom= */
  guint8 protocol; /* of our rules and routes */
  guint32 priority; /* first of KS_PRIORITY_WINDOW rule priorities; these seven say what is ours in the kernel */
  guint32 tunnel_metric;
  guint32 blackhole_metric;
  char **zones; /* connection.zone values that arm in mode strict */
  char **session_zones; /* ... in mode session */
  KsLan lan;
  GArray *lan_prefixes; /* of KsPrefix, both families */
  KsDns dns;
  gboolean guard;
  KsPlacement placement; /* for profiles without an opinion */
  GArray *management_prefixes; /* of KsPrefix, both families: who may open connections from outside the LAN */
  GPtrArray *sections; /* of KsSection, in the order of the file */
  gboolean is_unreadable; /* the file is there and could not be read: these are the defaults */
} KsConfig;

/* Rule priorities @priority .. @priority + KS_PRIORITY_WINDOW - 1 are ours. */
#define KS_PRIORITY_WINDOW 100
/* The uplinks that ManagementFrom= serves at once. */
#define KS_MANAGEMENT_TABLES 4
/* The first of their tables: all of them behind the system's, and numbers that a table can have. */
#define KS_MANAGEMENT_TABLE_MIN 256
#define KS_MANAGEMENT_TABLE_MAX (G_MAXUINT32 - KS_MANAGEMENT_TABLES)

KsConfig *ks_config_new (void);
void ks_config_free (KsConfig *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsConfig, ks_config_free)

/* Whether the numbers of @self may be ours: no table and no protocol of the system's, different tables. */
gboolean ks_config_numbers_are_valid (const KsConfig *self);
/* Whether Table, TunnelTable, UplinkTable and ServersTable are four. */
gboolean ks_config_tables_differ (const KsConfig *self);
/* Whether both take the same objects of the kernel for ours. */
gboolean ks_config_has_same_numbers (const KsConfig *a, const KsConfig *b);
/*
 * Whether the kernel can hold what both want at the same time. It takes two
 * rules of one priority, or two routes of one table, that differ in nothing but
 * the protocol for the same one (rule_exists() in net/core/fib_rules.c,
 * fib_table_insert() in net/ipv4/fib_trie.c).
 */
gboolean ks_config_can_stand_beside (const KsConfig *a, const KsConfig *b);
/* Takes the numbers of @from. */
void ks_config_set_numbers (KsConfig *self, const KsConfig *from);

/* The index of a setting's value @text among @words; -1 when it is none of them. */
int ks_config_find_word (const char *const *words, guint n_words, const char *text);
gboolean ks_lan_parse (const char *text, KsLan *out);
const char *ks_lan_format (KsLan lan);
gboolean ks_dns_parse (const char *text, KsDns *out);
const char *ks_dns_format (KsDns dns);
