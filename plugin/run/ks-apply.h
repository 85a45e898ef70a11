/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The step of a run that changes the kernel: the guard, the rules and the routes
 * of the report's situation, in an order that opens nothing.
 */
#pragma once

#include "run/ks-report.h"

/* What the difference may delete, from the situation and the report. */
KsDiffFlags ks_apply_flags (const KsReport *report);
/* Whether the policy may lack something in use, so that the guard installed last counts and not the policy. */
gboolean ks_apply_holds_guard (const KsReport *report);

/*
 * Makes the kernel hold the policy of the report's situation and @first, what
 * it holds now (transfer full), and sets the report's policy. Returns whether
 * its rules and routes are what they should be; if not, the report has the
 * error. Errors of the guard are in the report either way.
 */
gboolean ks_apply (KsReport *report, const KsPaths *paths, KsKernel *kernel, KsSnapshot *first);

/* Rules and routes cannot be read: the guard blocks without them. A guard installed earlier is based on more. */
void ks_apply_guard_alone (KsReport *report, const KsPaths *paths);
