/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `nm-killswitch selftest`: tries the attacks on this kernel.
 */
#include <stdio.h>
#include <string.h>

#include "base/ks-user.h"
#include "selftest/ks-selftest.h"

enum { EXIT_OK = 0, EXIT_ERROR = 1, EXIT_USAGE = 2 };

int
main (int argc, char **argv)
{
  KsSelftestOptions options = { 0 };
  g_autoptr (KsSelftestReport) report = NULL;
  g_autoptr (GError) error = NULL;
  g_autofree char *text = NULL;

  ks_user_use_files ();
  options.verbose = argc == 2 && strcmp (argv[1], "--verbose") == 0;
  if (argc > 2 || (argc == 2 && !options.verbose)) {
    fprintf (stderr, "nm-killswitch: selftest takes only --verbose\n");
    return EXIT_USAGE;
  }
  report = ks_selftest_run (&options, &error);
  if (!report) {
    fprintf (stderr, "nm-killswitch: %s\n", error->message);
    return EXIT_ERROR;
  }
  text = ks_selftest_format (report);
  fputs (text, stdout);
  return ks_selftest_is_good (report) ? EXIT_OK : EXIT_ERROR;
}
