/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "value/ks-interface.h"

#include <net/if.h>
#include <string.h>

gboolean
ks_interface_name_is_valid (const char *name)
{
  gsize length = strlen (name);

  if (length == 0 || length >= IFNAMSIZ || strcmp (name, ".") == 0 || strcmp (name, "..") == 0)
    return FALSE;
  for (const char *p = name; *p; p++)
    if (*p == '/' || *p == ':' || g_ascii_isspace (*p) || g_ascii_iscntrl (*p))
      return FALSE;
  return TRUE;
}
