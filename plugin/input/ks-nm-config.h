/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where NetworkManager keeps its profiles: [keyfile] path= of its
 * configuration, resolved as it does (src/core/nm-config.c,
 * read_entire_config(); nms-keyfile-plugin.c, nms_keyfile_plugin_init()).
 */
#pragma once

#include "base/ks-paths.h"

/*
 * The directories of profiles (transfer full; of KsProfileDirectory, highest
 * precedence first, with an entry without a path at the end; its strings live
 * as long as the program). They are @paths->profiles, with the configured
 * directory in place of the one in /etc.
 *
 * Where the configuration cannot be read, or one of its files applies only to
 * some versions of NetworkManager, both directories that may be meant are
 * there. Never fails: each malformed file appends a GError* to @errors,
 * nullable.
 */
GArray *ks_nm_config_directories (const KsPaths *paths, GPtrArray *errors);

/* The files and directories that say so (transfer full; of char*, not owned). */
GPtrArray *ks_nm_config_sources (const KsPaths *paths);
