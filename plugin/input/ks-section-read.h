/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The [vpn NAME] sections of the configuration file: nm-killswitch.conf(5).
 *
 * Not left to GKeyFile, which rejects the whole file for one line that is not
 * Key=value, and merges two sections of the same name. A malformed section has
 * to block, and must affect only itself.
 */
#pragma once

#include "value/ks-section.h"

/*
 * Takes the [vpn NAME] sections out of @text, the contents of the file @path.
 * Returns the rest (transfer full). The sections are appended to @sections (of
 * KsSection). For each error, a GError* (KS_ERROR_INVALID) that names file,
 * section, key and value is appended to @errors.
 */
char *ks_section_read (const char *path, const char *text, GPtrArray *sections, GPtrArray *errors);
