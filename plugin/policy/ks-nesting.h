/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One VPN inside another: which servers are reached through the tunnel of
 * another armed VPN, and which beside it, through an uplink. A pure value.
 * ks-nesting.c opens with the rules.
 */
#pragma once

#include "value/ks-config.h"
#include "value/ks-profile.h"
#include "value/ks-tunnel.h"

typedef struct KsNesting KsNesting;

/*
 * For the profiles @armed (of KsProfile) and @tunnels (of KsTunnel, in order of
 * preference), both of which must outlive the result (transfer full).
 */
KsNesting *ks_nesting_new (const KsConfig *config, const GPtrArray *armed, const GPtrArray *tunnels);
void ks_nesting_free (KsNesting *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsNesting, ks_nesting_free)

/* Adds the server at @address of the armed @profile; with @is_near, one that no tunnel leads to. */
void ks_nesting_add (KsNesting *self, const KsProfile *profile, const KsPrefix *address, gboolean is_near);
/* Decides for all servers that were added. Call once, before ks_nesting_find(). */
void ks_nesting_decide (KsNesting *self);
/* The tunnel that carries packets to the server @address; NULL if they go through an uplink (transfer none). */
const KsTunnel *ks_nesting_find (const KsNesting *self, const KsPrefix *address);
/* The same for the transport of @profile: the tunnel of its first server that has one. */
const KsTunnel *ks_nesting_find_outer (const KsNesting *self, const KsProfile *profile);
/* Whether @profile, whose tunnel @tunnel is up (nullable), carries only subnets of its own. */
gboolean ks_nesting_is_split (const KsProfile *profile, const KsTunnel *tunnel);
