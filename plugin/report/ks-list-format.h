/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `nm-killswitch list` shows.
 */
#pragma once

#include "report/ks-style.h"
#include "run/ks-list.h"

/* A table for people, and likely mistakes (transfer full). */
char *ks_list_format (const KsList *self, const KsStyle *style);
/* Only the names, one a line, for shell completions; leaves out names with control characters (transfer full). */
char *ks_list_format_names (const KsList *self);
