/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Detects a clock that cannot be right. A board without a battery starts with a
 * time long past; a VPN that checks certificates then finds them not valid yet,
 * and the time servers that would set the clock are blocked.
 */
#pragma once

#include <glib.h>

/* When this program was built, in seconds since 1970 (SOURCE_DATE_EPOCH, or when NEWS.md was last changed). */
extern const gint64 ks_clock_built;

/*
 * A warning if the clock says @now although the program was built at @built,
 * both in seconds since 1970; NULL if the clock may be right (transfer full). It
 * names only days, so that it stays the same from one run to the next.
 */
char *ks_clock_warning (gint64 now, gint64 built);
