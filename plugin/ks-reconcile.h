/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reconcile: the one thing every entry point does. Read the situation, compute
 * the policy, take the difference to the kernel, apply it in order.
 */
#pragma once

#include "ks-proof.h"
#include "ks-situation.h"

typedef enum {
  KS_RECONCILE_DEFAULT = 0,
  KS_RECONCILE_BOOT = 1 << 0, /* NetworkManager does not run yet: do not ask it */
  KS_RECONCILE_QUICK = 1 << 1, /* NetworkManager waits for us: do not resolve host names */
} KsReconcileFlags;

/* Of a list of steps: as many as a person reads. */
#define KS_REPORT_MAX_STEPS 12

typedef struct {
  KsSituation *situation;
  KsPolicy *policy;
  guint changes; /* messages the kernel accepted, the guard's transactions included */
  guint repairs; /* of them, what nobody but us should change: rules, routes without a device, the guard */
  GArray *followed; /* of KsRoute: those added by a device, which comes and goes with a tunnel or an uplink */
  GPtrArray *done; /* of char*: the steps, for messages */
  KsGuardState guard; /* of ks_reconcile_preview(): what is in place */
  KsGuardCounters counters; /* of ks_reconcile_preview() */
  KsProof *proof; /* NULL: not taken */
  GPtrArray *errors; /* of GError, in order; the situation's come first */
} KsReport;

void ks_report_free (KsReport *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsReport, ks_report_free)

/*
 * Brings the kernel to what the situation asks for. @event may be NULL. Takes
 * the lock. The report's errors say what went wrong; whatever it was, nothing
 * that blocked was opened because of it (transfer full).
 */
KsReport *ks_reconcile (const KsPaths *paths, const KsEvent *event, KsReconcileFlags flags);

/*
 * The situation as it is and the policy that follows, without touching
 * anything: for `status`. @snapshot, if not NULL, is filled with what the
 * kernel holds (transfer full), or NULL when that failed.
 */
KsReport *ks_reconcile_preview (const KsPaths *paths, KsSnapshot **snapshot);

/* Takes the proof of a preview: for `check`. FALSE when the kernel could not be asked; the report has the error. */
gboolean ks_reconcile_prove (KsReport *report, const KsSnapshot *snapshot);

/* Nothing is armed from now on, until ks_resume() or a reboot; everything of ours goes (transfer full). */
KsReport *ks_release (const KsPaths *paths);
/* Undoes ks_release() and the kernel command line's nm_killswitch=off, and reconciles (transfer full). */
KsReport *ks_resume (const KsPaths *paths);
