/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which transactions have changed the guard: to tell, after one of our own,
 * whether another program's came in between.
 */
#pragma once

#include <glib.h>

/* Starts watching. Returns a file descriptor to close, or -1 if that is not possible. */
int ks_guard_watch_open (void);

/*
 * How many transactions have changed the guard since ks_guard_watch_open(), up
 * to the ruleset's @generation, which must already be reached; -1 if it cannot
 * be told. Call once.
 */
int ks_guard_watch_count (int watch, guint32 generation);
