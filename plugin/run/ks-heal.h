/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Healing: somebody else changed our rules, routes or guard, or put a rule in
 * front of ours. Put things back, then end.
 */
#pragma once

#include "run/ks-reconcile.h"

/*
 * Reads the notifications that wait on @sockets and reconciles until nothing
 * relevant waits any more. Another program that keeps undoing it is met more
 * and more slowly, and named in *@insists. Returns the report of the run that
 * changed something, or else of the last; NULL when nothing was relevant
 * (transfer full).
 */
KsReport *ks_heal (const KsPaths *paths, const int *sockets, guint count, gboolean *insists);
