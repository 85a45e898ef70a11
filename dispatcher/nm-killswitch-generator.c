/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The systemd.generator(7): has nm-killswitch-sync.path watch the directory
 * that NetworkManager's configuration names for profiles. systemd runs it at
 * boot and at each daemon-reload, with three directories for what it makes, and
 * logs what it says.
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
