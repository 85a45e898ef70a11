/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an earlier run put into the kernel under other numbers: the configuration
 * may have been given other tables, another priority or another protocol since.
 */
#pragma once

#include "kernel/ks-kernel.h"
#include "run/ks-report.h"
#include "run/ks-situation.h"

/* Has the run keep the former numbers if the new ones cannot be used beside them: deleting first would open. */
void ks_former_settle (KsSituation *situation, KsKernel *kernel);

/*
 * After ks_apply(): switches from the former numbers to the present ones. The
 * jump over the former rules goes with them. Errors are the report's.
 */
void ks_former_replace (KsReport *report, const KsPaths *paths, KsKernel *kernel, gboolean is_applied);
