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
 *
 * The sockets keep a filter (ks-monitor-filter.h), so that what cannot matter
 * in the situation that was found does not start the unit again. What others
 * change all the time is followed more slowly: once about a third of a second of
 * the processor was used within a few seconds, only as fast as costs less than a
 * tenth of it. What concerns our own rules, routes and guard does not wait for that.
 */
gboolean ks_heal (const KsPaths *paths, const int *sockets, guint count, KsHealFunc func, gpointer user_data);

/*
 * After a run other than of ks_heal(), which may have read another configuration: has the
 * unit started if the filters of its sockets may be for another situation.
 */
void ks_heal_nudge (const KsPaths *paths, const KsReport *report);
