/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Healing: somebody else changed our rules, routes or guard, or put a rule in
 * front of ours. Put things back, then end.
 */
#pragma once

#include "run/ks-reconcile.h"

/* Called with the report of each round; @insists when another program keeps undoing the repairs. */
typedef void (*KsHealFunc) (const KsReport *report, gboolean insists, gpointer user_data);

/*
 * Reads the notifications that wait on @sockets and reconciles until nothing
 * relevant waits any more, or half a minute has passed: what still waits on the
 * sockets then starts the unit again. Without sockets, reconciles once. If
 * another program keeps undoing the repair, the delay between repairs grows.
 * Returns FALSE when the last round had an error.
 */
gboolean ks_heal (const KsPaths *paths, const int *sockets, guint count, KsHealFunc func, gpointer user_data);
