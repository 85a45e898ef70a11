/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The list of all VPNs: NetworkManager's profiles and the [vpn NAME] sections,
 * armed or not, and likely mistakes in them.
 */
#pragma once

#include "run/ks-choice.h"
#include "run/ks-summary.h"

typedef enum {
  KS_SERVER_KNOWN,
  KS_SERVER_UNKNOWN, /* no address yet: it cannot connect while everything is blocked */
  KS_SERVER_NOT_ASKED, /* not looked up: the profile is not armed */
} KsServerState;

typedef struct {
  char *id;
  char *uuid; /* nullable: a section */
  char *type;
  KsMode mode;
  char *reason; /* nullable: nothing arms it */
  gboolean is_armed; /* now */
  gboolean is_up; /* NetworkManager has it activated, or the section's device is up */
  char *device; /* nullable: the device of a VPN that is up, if known */
  KsServerState server;
} KsListEntry;

typedef struct {
  GPtrArray *entries; /* of KsListEntry: by name */
  GPtrArray *mistakes; /* of char*: one sentence each, with the remedy */
  gboolean networkmanager; /* it answered */
} KsList;

void ks_list_free (KsList *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsList, ks_list_free)

/*
 * The list of what NetworkManager shows (@choice; @network nullable) and what is
 * armed (@summary). @more (of char*) are further known warnings. Pure except for
 * reading @paths' zone files (transfer full).
 */
KsList *ks_list_new (const KsChoice *choice, const KsNetwork *network, const KsSummary *summary, const GPtrArray *more,
                     const KsPaths *paths);
