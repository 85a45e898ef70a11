/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Follow: reconcile until nothing changes on disk any more. For the path unit,
 * which sees no change that happens while it runs.
 */
#pragma once

#include "run/ks-reconcile.h"

/*
 * As ks_reconcile() without an event, again for as long as profiles or
 * configuration changed on disk meanwhile, with the report of all these runs
 * (transfer full). Ends within the time limit of the unit.
 */
KsReport *ks_follow (const KsPaths *paths);
