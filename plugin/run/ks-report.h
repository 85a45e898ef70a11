/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The report of a run: what was found, what was done, and what went wrong.
 */
#pragma once

#include "run/ks-conflict.h"
#include "run/ks-proof.h"
#include "run/ks-situation.h"
#include "run/ks-unprotected.h"

/* The longest list of steps that a person would read. */
#define KS_REPORT_MAX_STEPS 12

typedef struct _KsSummary KsSummary; /* state/ks-summary-file.h */

typedef struct {
  KsSituation *situation;
  KsPolicy *policy;
  guint changes; /* messages the kernel accepted, the guard's transactions included */
  guint repairs; /* those of objects that only we should change: rules, routes without a device, the guard */
  GArray *added; /* of KsStep: the rules and routes that the kernel did not have */
  GPtrArray *done; /* of char*: the steps, for messages */
  KsGuardState guard; /* set by ks_reconcile_preview(): the guard's state */
  KsGuardCounters counters; /* set by ks_reconcile_preview() */
  GPtrArray *conflicts; /* of KsConflict: set by ks_reconcile_preview(), and by a run whose proof found an escape */
  GPtrArray *unprotected; /* of char*: set by ks_reconcile_preview() (ks-unprotected.h) */
  gboolean has_suspects; /* a foreign rule or route is where it could do harm (ks-conflict.h) */
  KsProof *proof; /* NULL: not taken */
  GPtrArray *cut_off; /* of char*: warnings about connections that arming has cut off (ks-cut-off.h) */
  gboolean adds_only; /* there was no lock: nothing was deleted, and nothing remembered */
  gboolean is_unchanged; /* nothing has changed since a run that had nothing to do: all other fields are empty */
  gboolean is_saved; /* what the next run has to know is on disk */
  gboolean is_guard_refused; /* the kernel has nf_tables but did not accept the guard */
  gboolean is_unfinished; /* a step has failed, or the kernel could not be read: another run may succeed */
  gboolean is_incomplete; /* what the run has left in the kernel is not what it should be */
  KsSummary *summary; /* nullable: what this run publishes */
  KsSummary *former; /* nullable: what the run before published; NULL if unknown */
  GPtrArray *errors; /* of GError, in order; the situation's come first */
} KsReport;

KsReport *ks_report_new (void);
void ks_report_free (KsReport *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsReport, ks_report_free)

/* True if @step adds a rule, or a route that does not disappear with a device. */
gboolean ks_report_is_lasting (const KsStep *step);
/* Moves @errors (of GError) to the end of the report's. */
void ks_report_take_errors (KsReport *self, GPtrArray *errors);
/* Appends *@error and clears it; nothing when it is NULL. */
void ks_report_take_error (KsReport *self, GError **error);

/*
 * Joins the reports of two runs on the same occasion, the later of which looked
 * at everything again: what both did, and what the later one found and reports
 * as wrong. @earlier may be NULL (transfer full of both; returns @later).
 */
KsReport *ks_report_join (KsReport *earlier, KsReport *later);
