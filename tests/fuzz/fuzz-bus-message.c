/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Input: a message of D-Bus. */
#include "fuzz.h"

#include "input/ks-bus-message.h"

void
fuzz_bus_message (const uint8_t *data, size_t size)
{
  g_auto (KsBusMessage) message = { 0 };
  g_autofree char *text = NULL;

  if (!ks_bus_message_parse (data, size, &message))
    return;
  g_assert (ks_bus_message_length (data) == size);
  g_assert (g_variant_is_of_type (message.body, G_VARIANT_TYPE_TUPLE));
  text = g_variant_print (message.body, TRUE);
  g_assert (g_utf8_validate (text, -1, NULL));
}

KS_FUZZ_ENTRY (fuzz_bus_message)
