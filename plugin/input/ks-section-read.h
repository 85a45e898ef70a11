/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The [vpn NAME] sections of the configuration file: nm-killswitch.conf(5).
 *
 * They are not left to GKeyFile: that refuses the whole file for one line that
 * is no Key=value, and takes two sections of one name for one. A malformed
 * section has to block, and only itself.
 */
#pragma once

#include "value/ks-section.h"

/*
 * Takes the [vpn NAME] sections out of @text, the contents of the file @path.
 * Returns the rest (transfer full). The sections are appended to @sections (of
 * KsSection). What is malformed appends a GError* (KS_ERROR_INVALID) that names
 * file, section, key and value to @errors.
 */
char *ks_section_read (const char *path, const char *text, GPtrArray *sections, GPtrArray *errors);
