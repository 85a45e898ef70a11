/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run/ks-release.h"

#include "run/ks-reconcile.h"
#include "state/ks-marker.h"

KsReport *
ks_release (const KsPaths *paths)
{
  g_autoptr (GError) error = NULL;
  KsReport *report;

  ks_marker_remove (paths, KS_MARKER_RESUMED, NULL);
  /* a full /run must not keep the person off-line: release now, even if an event will arm again */
  ks_marker_make (paths, KS_MARKER_RELEASED, &error);
  report = ks_reconcile (paths, NULL, KS_RECONCILE_QUICK | KS_RECONCILE_RELEASE);
  ks_report_take_error (report, &error);
  return report;
}

KsReport *
ks_resume (const KsPaths *paths)
{
  g_autoptr (GError) error = NULL;
  KsReport *report;

  if (ks_marker_remove (paths, KS_MARKER_RELEASED, &error))
    ks_marker_make (paths, KS_MARKER_RESUMED, &error);
  report = ks_reconcile (paths, NULL, KS_RECONCILE_DEFAULT);
  ks_report_take_error (report, &error);
  return report;
}
