/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What nm-killswitch-sync.path has to watch besides the usual places: the
 * profile directory that NetworkManager's configuration names. A unit is static,
 * so a systemd.generator(7) adds a drop-in, at boot and at each daemon-reload.
 */
#pragma once

#include "base/ks-paths.h"

/*
 * Writes the drop-in into @directory, the first one that a generator is given;
 * nothing if the usual places are all there is. KS_ERROR_IO; KS_ERROR_INVALID if
 * a unit cannot express the directory.
 */
gboolean ks_watch_generate (const KsPaths *paths, const char *directory, GError **error);
