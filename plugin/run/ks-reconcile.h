/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reconcile: the one thing every entry point does. Read the situation, compute
 * the policy, take the difference to the kernel, apply it in order.
 */
#pragma once

#include "run/ks-report.h"

typedef enum {
  KS_RECONCILE_DEFAULT = 0,
  KS_RECONCILE_BOOT = 1 << 0, /* NetworkManager does not run yet: do not ask it */
  KS_RECONCILE_QUICK = 1 << 1, /* NetworkManager waits for us: do not resolve host names */
  KS_RECONCILE_RELEASE = 1 << 2, /* a person releases: arm nothing, whatever the markers say, also without the lock */
  KS_RECONCILE_RESUME = 1 << 3, /* a person takes that back */
  KS_RECONCILE_ANEW = 1 << 4, /* read every keyfile, whatever is remembered of it */
  KS_RECONCILE_GLANCE = 1 << 5, /* end at once if nothing has changed since a run that had nothing to do */
} KsReconcileFlags;

/*
 * Brings the kernel to what the situation asks for. @event may be NULL; with
 * KS_RECONCILE_GLANCE it must be a hint (ks_event_is_hint()). Takes the lock. The report's errors say what went wrong;
 * whatever it was, nothing that blocked was opened because of it (transfer full).
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
