/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "value/ks-clock.h"

const gint64 ks_clock_built = KS_BUILD_TIME;

/* "2026-11-25", in UTC; years outside the calendar are "out of range" (transfer full). */
static char *
format_day (gint64 seconds)
{
  g_autoptr (GDateTime) time = g_date_time_new_from_unix_utc (seconds);

  return time ? g_date_time_format (time, "%Y-%m-%d") : g_strdup ("out of range");
}

char *
ks_clock_warning (gint64 now, gint64 built)
{
  g_autofree char *day = NULL, *built_day = NULL;

  if (now >= built)
    return NULL;
  day = format_day (now);
  built_day = format_day (built);
  return g_strdup_printf ("the clock is wrong: it says %s, but this program was built on %s. A VPN that checks "
                          "certificates cannot connect until the clock is set, and time servers outside the local "
                          "network are blocked while armed: see TROUBLESHOOTING in nm-killswitch(8)",
                          day, built_day);
}
