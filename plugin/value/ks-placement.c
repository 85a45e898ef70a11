/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "value/ks-placement.h"

#include "value/ks-config.h"

gboolean
ks_placement_parse (const char *text, KsPlacement *out)
{
  static const char *const words[] = { "auto", "inside", "beside" };
  int word = ks_config_find_word (words, G_N_ELEMENTS (words), text);

  if (word >= 0)
    *out = word;
  return word >= 0;
}
