/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run/ks-release.h"

#include <unistd.h>

#include "run/ks-reconcile.h"
#include "state/ks-marker.h"

KsReport *
ks_release (const KsPaths *paths)
{
  g_autoptr (GError) error = NULL;
  KsReport *report;

  ks_marker_remove (paths, KS_MARKER_RESUMED, NULL);
  /* a full /run must not keep anyone offline: without the marker, the state remembers the release */
  ks_marker_make (paths, KS_MARKER_RELEASED, &error);
  report = ks_reconcile (paths, NULL, KS_RECONCILE_QUICK | KS_RECONCILE_RELEASE);
  if (error && report->situation && !report->is_saved) {
    g_prefix_error (&error, "released, but this cannot be remembered, and the next event arms again; make room in /run "
                            "and run `nm-killswitch release` once more: ");
    ks_report_take_error (report, &error);
  }
  return report;
}

KsReport *
ks_resume (const KsPaths *paths)
{
  g_autoptr (GError) error = NULL;
  KsReport *report;

  /* for other users, the run itself reports that it needs root */
  if (geteuid () == 0 && ks_marker_remove (paths, KS_MARKER_RELEASED, &error))
    ks_marker_make (paths, KS_MARKER_RESUMED, &error);
  report = ks_reconcile (paths, NULL, KS_RECONCILE_RESUME);
  ks_report_take_error (report, &error);
  return report;
}
