/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Transport=: whether a VPN's packets to its server go through another armed
 * VPN's tunnel. ks-nesting.h decides.
 */
#pragma once

#include <glib.h>

typedef enum {
  KS_PLACEMENT_UNSET = -1, /* not set in a profile */
  KS_PLACEMENT_AUTO, /* inside where that is necessary or expected, otherwise beside */
  KS_PLACEMENT_INSIDE, /* inside whenever another full tunnel is up */
  KS_PLACEMENT_BESIDE, /* never inside */
} KsPlacement;

gboolean ks_placement_parse (const char *text, KsPlacement *out);
