/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What can be armed: the profiles that NetworkManager shows to this user, and
 * the [vpn NAME] sections. Also finds the one that a user names.
 */
#pragma once

#include "base/ks-paths.h"
#include "input/ks-network.h"
#include "input/ks-nm-connection.h"

typedef struct {
  KsConfig *config;
  KsBus *bus; /* nullable */
  GPtrArray *connections; /* of KsNmConnection; empty without NetworkManager */
  GPtrArray *profiles; /* of KsProfile: one for each connection, in the same order, then one for each section */
  GError *silence; /* nullable: why NetworkManager does not answer */
  GPtrArray *errors; /* of GError: errors in the configuration */
} KsChoice;

/* Asks NetworkManager. Never fails (transfer full). */
KsChoice *ks_choice_read (const KsPaths *paths);
void ks_choice_free (KsChoice *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsChoice, ks_choice_free)

/* The connection of @profile, which is one of @self's; NULL for a section. */
const KsNmConnection *ks_choice_connection (const KsChoice *self, const KsProfile *profile);

/*
 * The profiles that @name matches (transfer container; of KsProfile): by name,
 * UUID, path of the file, D-Bus path, or "vpn:NAME" for a section. Pure.
 */
GPtrArray *ks_choice_find (const KsChoice *self, const char *name);
/* @matches, one a line with what distinguishes them, for the user to choose from (transfer full). */
char *ks_choice_format (const GPtrArray *matches);

/* What NetworkManager knows about the devices of the VPNs among @self's profiles; NULL if it does not answer. */
KsNetwork *ks_choice_network (const KsChoice *self);
