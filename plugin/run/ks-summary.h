/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The summary of a run (state/ks-summary-file.h): made from its report, and
 * published for `nm-killswitch status` without root, for the desktop's
 * notifications, and for the next run, which compares its result with it.
 */
#pragma once

#include "run/ks-report.h"
#include "state/ks-summary-file.h"

/* From a report with a situation; @state is the word for the overall state. "since" is unknown (transfer full). */
KsSummary *ks_summary_new (const KsReport *report, const char *state);

/*
 * Sets the report's summary, and that of the run before, if it can be read;
 * writes the new one to the file if its text differs. Call under the lock, at
 * the end of a run. A failure to write changes nothing: the next run tries
 * again.
 */
void ks_summary_update (const KsPaths *paths, KsReport *report);
