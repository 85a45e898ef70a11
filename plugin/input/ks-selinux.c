/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "input/ks-selinux.h"

#include <string.h>
#include <sys/xattr.h>

#include "base/ks-error.h"
#include "base/ks-paths.h"

#define CONTEXT_MAX 4096

/* The type that a policy gives to unknown files in /usr/lib. */
static const char *const unknown[] = { "lib_t", NULL };
/* The type that the reference policy and Debian 13's give to the dispatcher's programs, which stay in its domain. */
static const char *const confined[] = { "NetworkManager_initrc_exec_t", NULL };
/* The type of a dispatcher that runs in NetworkManager_t. With the type above, it would run as an init script. */
static const char *const nm_program[] = { "NetworkManager_exec_t", NULL };
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

/* The security context of the file at @path; NULL: none, or it cannot be read (transfer full). */
static char *
read_context (const char *path)
{
  char context[CONTEXT_MAX];
  ssize_t length = path ? getxattr (path, "security.selinux", context, sizeof context) : -1;

  return length > 0 ? g_strndup (context, (gsize) length) : NULL; /* the kernel counts the final zero */
}

static gboolean
stays_in_networkmanagers_domain (const char *context, const char *nm_dispatcher)
{
  g_autofree char *runs_it = has_type (context, confined) ? read_context (nm_dispatcher) : NULL;

  return runs_it && has_type (runs_it, nm_program);
}

/* Only a policy that does not know the program gets the module: in Fedora's it would take away the label that works. */
static char *
format_remedy (const char *context, const char *program, const char *module)
{
  if (!has_type (context, mislabelled))
    return g_strdup_printf ("'semodule -i %s' and 'restorecon %s'", module, program);
  return g_strdup_printf ("'restorecon %s'", program);
}

char *
ks_selinux_warning (const char *enforce, const char *program, const char *nm_dispatcher, const char *module)
{
  g_autofree char *enforced = enforce ? ks_paths_read_line (enforce) : NULL;
  g_autofree char *context = g_strcmp0 (enforced, "1") == 0 ? read_context (program) : NULL;
  g_autofree char *consequence = NULL, *remedy = NULL, *text = NULL;

  if (context && ks_selinux_is_no_program (context))
    consequence = g_strdup_printf (
      "SELinux keeps NetworkManager from running %s, which has the label %s: a VPN carries traffic only "
      "some time after it has connected, and one in mode session is not armed when it connects",
      program, context);
  else if (context && stays_in_networkmanagers_domain (context, nm_dispatcher))
    consequence = g_strdup_printf (
      "SELinux keeps nftables and the kill switch's files from %s, which has the label %s, when NetworkManager runs "
      "it: "
      "the guard is in place only some time after a VPN in mode session has connected, and such a VPN stays armed when "
      "it is disconnected",
      program, context);
  else
    return NULL;
  remedy = format_remedy (context, program, module);
  text = g_strdup_printf ("%s. To allow it, run %s. See SELinux in nm-killswitch(8)", consequence, remedy);
  return ks_error_printable (text);
}
