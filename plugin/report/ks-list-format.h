/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `nm-killswitch list` shows.
 */
#pragma once

#include "report/ks-style.h"
#include "run/ks-list.h"

/* A table for people, and what looks like a mistake (transfer full). */
char *ks_list_format (const KsList *self, const KsStyle *style);
/* The names alone, one a line, for the shells' completions; those that a line cannot hold are left out (transfer full).
 */
char *ks_list_format_names (const KsList *self);
