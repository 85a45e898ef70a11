/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Release and resume: everything off now, until `resume` or a reboot.
 */
#pragma once

#include "run/ks-report.h"

/* Disarms everything until ks_resume() or a reboot, and removes everything of ours (transfer full). */
KsReport *ks_release (const KsPaths *paths);
/* Undoes ks_release() and the kernel command line's nm_killswitch=off, and reconciles (transfer full). */
KsReport *ks_resume (const KsPaths *paths);
