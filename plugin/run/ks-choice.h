/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What can be armed: the profiles that NetworkManager shows to this user, and
 * the [vpn NAME] sections; and which of them a person means.
 */
#pragma once

#include "base/ks-paths.h"
#include "input/ks-network.h"
#include "input/ks-nm-connection.h"

typedef struct {
  KsConfig *config;
  KsBus *bus; /* nullable */
  GPtrArray *connections; /* of KsNmConnection; empty without NetworkManager */
  GPtrArray *profiles; /* of KsProfile: one for each of them, in that order, then one for each section */
  GError *silence; /* nullable: why NetworkManager does not answer */
  GPtrArray *errors; /* of GError: what is wrong with the configuration */
} KsChoice;

/* Asks NetworkManager. Never fails (transfer full). */
KsChoice *ks_choice_read (const KsPaths *paths);
void ks_choice_free (KsChoice *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsChoice, ks_choice_free)

/* The connection of @profile, one of self's; NULL for a section. */
const KsNmConnection *ks_choice_connection (const KsChoice *self, const KsProfile *profile);

/*
 * The profiles that @name means (transfer container; of KsProfile): by name,
 * UUID, path of the file, path on the bus, or "vpn:NAME" for a section. Pure.
 */
GPtrArray *ks_choice_find (const KsChoice *self, const char *name);
/* @matches, of which a person has to choose one, a line each with what tells them apart (transfer full). */
char *ks_choice_format (const GPtrArray *matches);

/* What NetworkManager knows of the devices of the VPNs among @self's profiles; NULL when it does not answer. */
KsNetwork *ks_choice_network (const KsChoice *self);
