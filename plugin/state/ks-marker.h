/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Markers: empty files in the runtime directory. That one is there says
 * something; a reboot takes them away.
 */
#pragma once

#include "base/ks-paths.h"

#define KS_MARKER_RELEASED "released" /* made by `release`: nothing is armed until `resume` or a reboot */
#define KS_MARKER_RESUMED "resumed" /* made by `resume`: nm_killswitch=off on the kernel command line is over */
#define KS_MARKER_NAMES "names" /* there while the names of servers have to be asked for again and again */

/* Makes the marker @name. KS_ERROR_IO. */
gboolean ks_marker_make (const KsPaths *paths, const char *name, GError **error);
/* Removes it; no error when there is none. KS_ERROR_IO. */
gboolean ks_marker_remove (const KsPaths *paths, const char *name, GError **error);
/* Whether nothing is to be armed: by `release`, or by the kernel command line until somebody resumes. */
gboolean ks_marker_is_released (const KsPaths *paths);
