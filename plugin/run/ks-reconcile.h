/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reconcile: the one thing every entry point does. Reads the situation, computes
 * the policy, compares it with the kernel, and applies the difference in order.
 */
#pragma once

#include "run/ks-report.h"

typedef enum {
  KS_RECONCILE_DEFAULT = 0,
  KS_RECONCILE_BOOT = 1 << 0, /* NetworkManager does not run yet: do not ask it */
  KS_RECONCILE_QUICK = 1 << 1, /* NetworkManager waits for us: do not resolve host names */
  KS_RECONCILE_RELEASE = 1 << 2, /* `release`: arm nothing, whatever the markers say, even without the lock */
  KS_RECONCILE_RESUME = 1 << 3, /* `resume`: undo that */
  KS_RECONCILE_ANEW = 1 << 4, /* read every keyfile, whatever is remembered of it */
  KS_RECONCILE_GLANCE = 1 << 5, /* end at once if nothing has changed since a run that had nothing to do */
} KsReconcileFlags;

/*
 * Makes the kernel match the situation. @event may be NULL; with
 * KS_RECONCILE_GLANCE it must be a hint (ks_event_is_hint()). Takes the lock.
 * The report's errors say what went wrong; no error opens anything that was
 * blocked (transfer full).
 */
KsReport *ks_reconcile (const KsPaths *paths, const KsEvent *event, KsReconcileFlags flags);

/*
 * The present situation and the resulting policy, without changing anything: for
 * `status`. @snapshot, if not NULL, is set to what the kernel holds (transfer
 * full), or to NULL if reading that failed.
 */
KsReport *ks_reconcile_preview (const KsPaths *paths, KsSnapshot **snapshot);

/* Takes the proof of a preview: for `check`. FALSE if the kernel could not be asked; the report has the error. */
gboolean ks_reconcile_prove (KsReport *report, const KsSnapshot *snapshot);
