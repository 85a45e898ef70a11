/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a user without root can find out: what the last run published
 * (ks-summary.h), checked against the rules, routes and devices, which the
 * kernel shows to everyone. Only root sees the guard, the counters and the
 * contents of profiles.
 */
#pragma once

#include "kernel/ks-kernel.h"
#include "run/ks-summary.h"

typedef struct {
  KsSummary *summary; /* the present state; "unknown" if that cannot be told */
  GPtrArray *problems; /* of char*: what is wrong, one sentence each */
} KsPublic;

/* Never fails (transfer full). */
KsPublic *ks_public_read (const KsPaths *paths);
void ks_public_free (KsPublic *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsPublic, ks_public_free)

/*
 * Corrects @summary (nullable: there is no file) by what the kernel holds:
 * @snapshot with the numbers of @config, and @links (of KsLink). Discrepancies
 * are appended to @problems. Pure; returns @summary, or a new one (transfer full
 * of both).
 */
KsSummary *ks_public_judge (KsSummary *summary, const KsConfig *config, const KsSnapshot *snapshot, const GArray *links,
                            GPtrArray *problems);
