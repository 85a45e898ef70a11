/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "input/ks-selinux.h"

#include <string.h>
#include <sys/xattr.h>

#include "base/ks-error.h"
#include "base/ks-paths.h"

#define CONTEXT_MAX 4096

/* The type that a policy gives to unknown files in /usr/lib. */
static const char *const unknown[] = { "lib_t", NULL };
/* The types of files brought from elsewhere, or never labelled. */
static const char *const mislabelled[] = { "usr_t", "unlabeled_t", "file_t", "default_t", NULL };

static gboolean
has_type (const char *context, const char *const *types)
{
  g_auto (GStrv) fields = g_strsplit (context, ":", 4);

  return g_strv_length (fields) >= 3 && g_strv_contains (types, fields[2]);
}

gboolean
ks_selinux_is_no_program (const char *context)
{
  return has_type (context, unknown) || has_type (context, mislabelled);
}

/* Only a policy that does not know the program gets the module: in Fedora's it would take away the label that works. */
static char *
format_remedy (const char *context, const char *program, const char *module)
{
  if (has_type (context, unknown))
    return g_strdup_printf ("'semodule -i %s' and 'restorecon %s'", module, program);
  return g_strdup_printf ("'restorecon %s'", program);
}

char *
ks_selinux_warning (const char *enforce, const char *program, const char *module)
{
  g_autofree char *enforced = enforce ? ks_paths_read_line (enforce) : NULL;
  char context[CONTEXT_MAX + 1];
  g_autofree char *remedy = NULL, *text = NULL;
  ssize_t length;

  if (!program || g_strcmp0 (enforced, "1") != 0)
    return NULL;
  length = getxattr (program, "security.selinux", context, CONTEXT_MAX);
  if (length <= 0)
    return NULL;
  context[length] = '\0';
  if (!ks_selinux_is_no_program (context))
    return NULL;
  remedy = format_remedy (context, program, module);
  text =
    g_strdup_printf ("SELinux keeps NetworkManager from running %s, which has the label %s: a VPN carries traffic only "
                     "some time after it has connected, and one in mode session is not armed when it connects. "
                     "To allow it, run %s. See SELinux in nm-killswitch(8)",
                     program, context, remedy);
  return ks_error_printable (text);
}
