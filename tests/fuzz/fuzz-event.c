/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Input: interface, action and the environment's NAME=value, a line each. */
#include "fuzz.h"

#include <string.h>

#include "input/ks-event.h"
#include "value/ks-interface.h"

void
fuzz_event (const uint8_t *data, size_t size)
{
  g_autofree char *text = g_strndup ((const char *) data, size);
  g_auto (GStrv) lines = g_strsplit (text, "\n", -1);
  guint count = g_strv_length (lines);
  char *argv[] = { (char *) "10-killswitch", lines[0], count > 1 ? lines[1] : NULL, NULL };
  g_autoptr (GPtrArray) errors = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);
  GError *error = NULL;
  g_autoptr (KsEvent) event = ks_event_parse (1 + (int) MIN (count, 2), argv, count > 2 ? lines + 2 : NULL, &error);

  if (error)
    g_ptr_array_add (errors, error);
  fuzz_check_messages (errors);
  g_assert (event || error);
  if (!event)
    return;
  g_assert (!event->interface || ks_interface_name_is_valid (event->interface));
  g_assert (!event->vpn_interface || ks_interface_name_is_valid (event->vpn_interface));
  g_assert (!ks_prefix_is_set (&event->gateway4) || event->gateway4.family == AF_INET);
  g_assert (!ks_prefix_is_set (&event->gateway6) || event->gateway6.family == AF_INET6);
  g_assert (event->action == KS_ACTION_UNKNOWN || strcmp (ks_action_format (event->action), argv[2]) == 0);
}

KS_FUZZ_ENTRY (fuzz_event)
