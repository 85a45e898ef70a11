/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where NetworkManager keeps its profiles: [keyfile] path= in its configuration,
 * resolved as NetworkManager does (read_entire_config(), src/core/nm-config.c;
 * nms_keyfile_plugin_init(), nms-keyfile-plugin.c).
 */
#pragma once

#include "base/ks-paths.h"

/*
 * The directories of profiles (transfer full; of KsProfileDirectory, highest
 * precedence first, ended by an entry without a path; its strings live as long
 * as the program). They are @paths->profiles, with the configured directory in
 * place of the one in /etc.
 *
 * If the configuration cannot be read, or one of its files applies only to some
 * versions of NetworkManager, both possible directories are included. Never
 * fails: for each malformed file, a GError* is appended to @errors, nullable.
 */
GArray *ks_nm_config_directories (const KsPaths *paths, GPtrArray *errors);

/* The files and directories that the result depends on (transfer full; of char*, not owned). */
GPtrArray *ks_nm_config_sources (const KsPaths *paths);
