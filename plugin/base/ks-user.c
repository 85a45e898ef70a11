/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/ks-user.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#ifdef __GLIBC__
#include <nss.h>
#endif

const char *const ks_user_files[] = { "/etc/passwd", "/usr/lib/passwd", NULL };

/*
 * In glibc this also turns off nscd for these databases (__nss_database_custom in
 * nss/nss_database.c), and the module "files" is part of the library. Other C
 * libraries have no such modules; musl may ask nscd, but only for unknown users
 * and through a local socket.
 */
void
ks_user_use_files (void)
{
#ifdef __GLIBC__
  static const char *const databases[] = { "passwd", "group", "initgroups", "services", "protocols" };

  for (guint i = 0; i < G_N_ELEMENTS (databases); i++)
    __nss_configure_lookup (databases[i], "files");
#endif
}

static gboolean
find_in_file (const char *path, const char *name, guint32 *uid)
{
  FILE *file = fopen (path, "re");
  const struct passwd *entry = NULL;

  if (!file)
    return FALSE;
  while ((entry = fgetpwent (file)))
    if (strcmp (entry->pw_name, name) == 0) {
      *uid = entry->pw_uid;
      break;
    }
  fclose (file);
  return entry != NULL;
}

gboolean
ks_user_find_uid (const char *name, guint32 *uid)
{
  for (guint i = 0; ks_user_files[i]; i++)
    if (find_in_file (ks_user_files[i], name, uid))
      return TRUE;
  return FALSE;
}
