/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One policy routing rule, as `ip rule` shows it: a pure value.
 *
 * libnl-route-3's rule objects support neither inverted rules nor
 * suppress_prefixlength nor uid ranges, and comparing or deleting by such an
 * object can hit a foreign rule (libnl 3.7). Hence a type of our own.
 */
#pragma once

#include <linux/fib_rules.h>
#include <net/if.h>

#include "value/ks-prefix.h"

typedef struct {
  guint16 first; /* 0 for "not set" */
  guint16 last;
} KsPortRange;

typedef struct {
  int family; /* AF_INET or AF_INET6 */
  guint32 priority;
  guint8 action; /* FR_ACT_* of linux/fib_rules.h */
  guint32 table; /* of FR_ACT_TO_TBL; else 0 */
  guint32 goto_target; /* of FR_ACT_GOTO; else 0 */
  gboolean invert;
  KsPrefix from;
  KsPrefix to;
  int suppress_prefixlength; /* -1 for "not set" */
  int suppress_ifgroup; /* -1 for "not set" */
  guint8 ip_protocol; /* IPPROTO_*, 0 for "not set" */
  KsPortRange sport;
  KsPortRange dport;
  gboolean has_uid_range;
  guint32 uid_first;
  guint32 uid_last;
  guint32 fwmark;
  guint32 fwmask; /* 0 for "no mark in the selector" */
  char iifname[IFNAMSIZ];
  char oifname[IFNAMSIZ];
  guint8 tos;
  guint32 flow; /* realms */
  guint64 tun_id;
  gboolean l3mdev;
  guint8 protocol; /* who installed it: RTPROT_* or our own number */
  gboolean has_unknown; /* read from the kernel with an attribute that is not in this struct: never ours */
} KsRule;

/* A rule that matches every packet of @family and looks up nothing yet; all other fields are "not set". */
KsRule ks_rule_init (int family, guint32 priority, guint8 protocol);
/* The same, looking up @table. */
KsRule ks_rule_lookup (int family, guint32 priority, guint8 protocol, guint32 table);

/* Whether it looks up table local, whatever its selector is. */
gboolean ks_rule_is_local_lookup (const KsRule *self);

gboolean ks_rule_equal (const KsRule *a, const KsRule *b);
/* A GCompareFunc of KsRule. A total order: family, priority, then every other field. */
int ks_rule_compare (gconstpointer a, gconstpointer b);

/*
 * Whether the kernel, asked to delete @key, may delete @self: it ignores fields
 * that @key does not set, and deletes the first rule that matches (rule_find(),
 * net/core/fib_rules.c).
 */
gboolean ks_rule_matches_key (const KsRule *self, const KsRule *key);

/* The words after `ip [-6] rule add` (transfer full): for messages, `status` and tests, never to be executed. */
char *ks_rule_format (const KsRule *self);
