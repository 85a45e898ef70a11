/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Neighbours: which program a rule, a route or an nftables table probably
 * belongs to. The kernel does not tell who made it; numbers and names do, since
 * each program has its own. Pure, and only ever used in what is said to people.
 */
#pragma once

#include "policy/ks-route.h"
#include "policy/ks-rule.h"

typedef enum {
  KS_NFT_CHAIN,
  KS_NFT_FLOWTABLE,
} KsNftKind;

/* A chain or a flowtable of nftables, as far as it matters here; also of iptables-nft. */
typedef struct {
  KsNftKind kind;
  guint8 family; /* NFPROTO_* */
  char *table;
  char *name;
  gboolean is_base; /* a chain that packets come to by themselves, at @hook */
  guint32 hook; /* NF_INET_* */
  gboolean drops; /* a base chain whose policy is drop */
} KsNftObject;

void ks_nft_object_free (KsNftObject *self);
/* "inet mullvad output", as `nft list chain` wants it, safe to show (transfer full). */
char *ks_nft_object_format (const KsNftObject *self);

/* The program that has probably made it, as it is called in a sentence; NULL when nothing tells. */
const char *ks_neighbour_of_rule (const KsRule *rule);
const char *ks_neighbour_of_route (const KsRoute *route);
/* @objects (of KsNftObject): all there are, since the other chains of a table tell who fills it. */
const char *ks_neighbour_of_nft (const KsNftObject *object, const GPtrArray *objects);
/* The program whose device @interface is one that swallows packets, a kill switch of its own; NULL for any other. */
const char *ks_neighbour_of_sink (const char *interface);
