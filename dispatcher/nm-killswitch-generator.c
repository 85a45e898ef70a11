/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The systemd.generator(7): makes nm-killswitch-sync.path watch the directory of
 * profiles that NetworkManager's configuration names. systemd runs it at boot
 * and at each daemon-reload, passes three directories for its output, and logs
 * its messages.
 */
#include <stdio.h>

#include "run/ks-watch.h"

int
main (int argc, char **argv)
{
  g_autoptr (GError) error = NULL;

  if (argc != 4) {
    fprintf (stderr, "usage: nm-killswitch-generator NORMAL-DIR EARLY-DIR LATE-DIR\n");
    return 2;
  }
  if (ks_watch_generate (&ks_paths_default, argv[1], &error))
    return 0;
  fprintf (stderr, "nm-killswitch-generator: %s\n", error->message);
  return 1;
}
