/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "input/ks-selinux.h"

#include <string.h>
#include <sys/xattr.h>

#include "base/ks-error.h"
#include "base/ks-paths.h"

#define CONTEXT_MAX 4096

/* The types that policies give to unknown files in /usr/lib, and to files never labelled. */
static const char *const no_programs[] = { "lib_t", "usr_t", "unlabeled_t", "file_t", "default_t", NULL };

gboolean
ks_selinux_is_no_program (const char *context)
{
  g_auto (GStrv) fields = g_strsplit (context, ":", 4);

  return g_strv_length (fields) >= 3 && g_strv_contains (no_programs, fields[2]);
}

char *
ks_selinux_warning (const char *enforce, const char *program)
{
  g_autofree char *enforced = enforce ? ks_paths_read_line (enforce) : NULL;
  char context[CONTEXT_MAX + 1];
  g_autofree char *text = NULL;
  ssize_t length;

  if (!program || g_strcmp0 (enforced, "1") != 0)
    return NULL;
  length = getxattr (program, "security.selinux", context, CONTEXT_MAX);
  if (length <= 0)
    return NULL;
  context[length] = '\0';
  if (!ks_selinux_is_no_program (context))
    return NULL;
  text =
    g_strdup_printf ("SELinux keeps NetworkManager from running %s, which has the label %s: a VPN carries traffic only "
                     "some time after it has connected, and one in mode session is not armed when it connects. "
                     "Install the policy module: see TROUBLESHOOTING in nm-killswitch(8)",
                     program, context);
  return ks_error_printable (text);
}
