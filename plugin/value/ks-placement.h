/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Transport=: whether what a VPN sends to its server goes through another armed
 * VPN's tunnel. ks-nesting.h decides.
 */
#pragma once

#include <glib.h>

typedef enum {
  KS_PLACEMENT_UNSET = -1, /* a profile without an opinion */
  KS_PLACEMENT_AUTO, /* inside where it has to be or is expected to be, else beside */
  KS_PLACEMENT_INSIDE, /* inside whenever another full tunnel is up */
  KS_PLACEMENT_BESIDE, /* never inside */
} KsPlacement;

gboolean ks_placement_parse (const char *text, KsPlacement *out);
