/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The least that a program with libnm's client can do: what it costs to know what NetworkManager knows. */
#include <NetworkManager.h>

int
main (void)
{
  g_autoptr (NMClient) client = nm_client_new (NULL, NULL);

  return client && nm_client_get_nm_running (client) ? 0 : 1;
}
