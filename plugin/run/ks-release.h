/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Release and resume: everything off now, until the person says otherwise or
 * the host reboots.
 */
#pragma once

#include "run/ks-report.h"

/* Nothing is armed from now on, until ks_resume() or a reboot; everything of ours goes (transfer full). */
KsReport *ks_release (const KsPaths *paths);
/* Undoes ks_release() and the kernel command line's nm_killswitch=off, and reconciles (transfer full). */
KsReport *ks_resume (const KsPaths *paths);
