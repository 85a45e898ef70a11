/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Healing: another program changed our rules, routes or guard, or put a rule
 * before ours. Put things back, then end.
 */
#pragma once

#include "run/ks-reconcile.h"

/* Called with the report of each round; @insists if another program keeps undoing the repairs. */
typedef void (*KsHealFunc) (const KsReport *report, gboolean insists, gpointer user_data);

/*
 * Reads the notifications that wait on @sockets and reconciles until no relevant
 * ones are left, or half a minute has passed: those still waiting on the sockets
 * then start the unit again. Without sockets, reconciles once. If another
 * program keeps undoing the repair, the delay between repairs grows. Returns
 * FALSE if the last round had an error.
 *
 * The sockets keep a filter (ks-monitor-filter.h), so that messages that cannot
 * matter in the present situation do not start the unit again. Constant changes
 * by other programs are followed more slowly: once about a third of a second of
 * processor time was used within a few seconds, at a rate that costs less than a
 * tenth of a processor. Changes to our own rules, routes and guard do not wait
 * for that.
 */
gboolean ks_heal (const KsPaths *paths, const int *sockets, guint count, KsHealFunc func, gpointer user_data);

/*
 * To be called after a run other than those of ks_heal(), which may have read
 * another configuration: starts the unit if the filters of its sockets may be
 * for another situation.
 */
void ks_heal_nudge (const KsPaths *paths, const KsReport *report);
