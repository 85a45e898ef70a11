/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `nm-killswitch status` shows: a pure function of a report and of what
 * the kernel holds.
 */
#pragma once

#include "run/ks-reconcile.h"

typedef struct {
  const KsReport *report; /* of ks_reconcile_preview() */
  const KsSnapshot *snapshot; /* NULL when the kernel could not be read */
  GArray *plan; /* of KsStep: what `sync` would do to rules and routes now; empty when there is nothing to do */
} KsStatus;

/* Of a report and a snapshot, NULL when the kernel could not be read; both have to live as long as @self. */
void ks_status_init (KsStatus *self, const KsReport *report, const KsSnapshot *snapshot);
void ks_status_clear (KsStatus *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (KsStatus, ks_status_clear)

/* One word for the whole: "off", "released", "protected" (a tunnel is up), "blocking" (none is), "incomplete". */
const char *ks_status_word (const KsStatus *self);
/* For people (transfer full). */
char *ks_status_format (const KsStatus *self);
/* One JSON object and a newline (transfer full). */
char *ks_status_format_json (const KsStatus *self);

/* Of a report with a proof: whether nothing escapes, and nothing of ours is missing. */
gboolean ks_status_is_tight (const KsStatus *self);
/* What the proof comes to, and what is wrong, in a few lines (transfer full). */
char *ks_status_format_check (const KsStatus *self);
