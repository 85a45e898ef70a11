/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Markers: empty files in the runtime directory whose existence means something.
 * A reboot removes them.
 */
#pragma once

#include "base/ks-paths.h"

#define KS_MARKER_RELEASED "released" /* made by `release`: nothing is armed until `resume` or a reboot */
#define KS_MARKER_RESUMED "resumed" /* made by `resume`: overrides nm_killswitch=off on the kernel command line */
#define KS_MARKER_NAMES "names" /* exists while servers' names have to be looked up repeatedly */

/* Creates the marker @name. KS_ERROR_IO. */
gboolean ks_marker_make (const KsPaths *paths, const char *name, GError **error);
/* Removes it; it is no error if it does not exist. KS_ERROR_IO. */
gboolean ks_marker_remove (const KsPaths *paths, const char *name, GError **error);
/* Whether nothing may be armed: because of `release`, or of the kernel command line until `resume`. */
gboolean ks_marker_is_released (const KsPaths *paths);
