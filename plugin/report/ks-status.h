/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `nm-killswitch status` shows: a pure function of a report and of what
 * the kernel holds; for a user without root, of what everyone may know.
 */
#pragma once

#include "report/ks-style.h"
#include "run/ks-public.h"
#include "run/ks-reconcile.h"

/* The schema version of `status --json`; docs/status-json.md says what it promises. */
#define KS_STATUS_SCHEMA 1

typedef struct {
  const KsReport *report; /* of ks_reconcile_preview(); NULL for a user without root */
  const KsSnapshot *snapshot; /* NULL if the kernel could not be read */
  GArray *plan; /* of KsStep: what `sync` would do to rules and routes now; empty if there is nothing to do */
  const KsPublic *public; /* NULL for root */
  const KsSummary *former; /* nullable: what the last run left, which tells when a state began */
  gint64 now; /* seconds since 1970; 0: do not show times */
  gint64 boottime; /* the same moment, as ks_summary_now() */
} KsStatus;

/* Of a report and a snapshot (NULL if the kernel could not be read), both of which must outlive @self. */
void ks_status_init (KsStatus *self, const KsReport *report, const KsSnapshot *snapshot);
/* For a user without root; @public must outlive @self. */
void ks_status_init_public (KsStatus *self, const KsPublic *public);
void ks_status_clear (KsStatus *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (KsStatus, ks_status_clear)

/*
 * One word for the overall state: "off", "released", "protected" (a tunnel is up), "blocking" (none is up), "held",
 * "incomplete", "unknown".
 */
const char *ks_status_word (const KsStatus *self);
/* What everyone may know, with the time at which the state began; NULL if nothing could be read. */
KsSummary *ks_status_summarise (const KsStatus *self);
/* For people, one screen (transfer full). */
char *ks_status_format (const KsStatus *self, const KsStyle *style);
/* One JSON object and a newline (transfer full): ks-status-json.c. */
char *ks_status_format_json (const KsStatus *self);

/* For a report with a proof: whether nothing escapes, and nothing of ours is missing. */
gboolean ks_status_is_tight (const KsStatus *self);
/* The result of the proof, and what is wrong, in a few lines (transfer full). */
char *ks_status_format_check (const KsStatus *self);
