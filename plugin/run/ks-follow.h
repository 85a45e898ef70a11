/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Follow: reconcile until nothing changes on disk any more. For the path unit,
 * which misses changes that happen while its service runs.
 */
#pragma once

#include "run/ks-reconcile.h"

/*
 * Like ks_reconcile() without an event, repeated for as long as profiles or
 * configuration changed on disk meanwhile, with a joint report of all these runs
 * (transfer full). Ends within the time limit of the unit.
 */
KsReport *ks_follow (const KsPaths *paths);
