/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The configuration file: nm-killswitch.conf(5). A malformed value is reported
 * with file, key and value, and the default is used.
 */
#pragma once

#include "value/ks-config.h"

/*
 * Reads @path; a missing file means the defaults. Never fails: a malformed value
 * keeps its default, and a GError* (KS_ERROR_INVALID or KS_ERROR_IO) that names
 * file, key and value is appended to @errors.
 */
KsConfig *ks_config_read (const char *path, GPtrArray *errors);
