/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Neighbours: which program a rule, a route or an nftables table probably
 * belongs to. The kernel does not record who created it, but numbers and names
 * tell, since each program uses its own. Pure, and only used in messages to
 * people.
 */
#pragma once

#include "policy/ks-route.h"
#include "policy/ks-rule.h"

typedef enum {
  KS_NFT_CHAIN,
  KS_NFT_FLOWTABLE,
  KS_NFT_REDIRECTION, /* a rule with `fwd` or `dup` in a table of family netdev */
} KsNftKind;

/* A chain, a flowtable or a redirection of nftables (iptables-nft included), with the properties that matter here. */
typedef struct {
  KsNftKind kind;
  guint8 family; /* NFPROTO_* */
  char *table;
  char *name; /* of a redirection: the chain that the rule is in */
  gboolean is_base; /* a base chain: attached to @hook */
  guint32 hook; /* NF_INET_*, or NF_NETDEV_* for family netdev */
  gboolean drops; /* a base chain that drops what its rules do not accept, by its policy or a rule */
  guint ifindex; /* where a redirection sends packets; 0: it depends on the packet */
} KsNftObject;

void ks_nft_object_free (KsNftObject *self);
/* "inet mullvad output", as `nft list chain` expects it, safe to show (transfer full). */
char *ks_nft_object_format (const KsNftObject *self);

/* The program that probably created it, as a sentence names it; NULL if nothing tells. */
const char *ks_neighbour_of_rule (const KsRule *rule);
const char *ks_neighbour_of_route (const KsRoute *route);
/* @objects (of KsNftObject): all there are, since the other chains of a table tell which program fills it. */
const char *ks_neighbour_of_nft (const KsNftObject *object, const GPtrArray *objects);
/* The program whose kill switch uses @interface, a device that swallows packets; NULL for any other device. */
const char *ks_neighbour_of_sink (const char *interface);
