/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run/ks-ssh.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define VARIABLE "SSH_CONNECTION"
/* No chain of parent processes is longer; it may change while it is read. */
#define MAX_PARENTS 64

static gboolean
parse_address (const char *text, KsPrefix *out)
{
  g_autofree char *address = g_strndup (text, strcspn (text, "%")); /* fe80::1%eth0 */

  return ks_prefix_parse (address, out, NULL) && ks_prefix_is_host (out);
}

gboolean
ks_ssh_parse (const char *text, KsConnection *out)
{
  g_auto (GStrv) words = g_strsplit (text, " ", -1);
  KsConnection connection = { 0 };
  guint64 port;

  if (g_strv_length (words) != 4 || !parse_address (words[0], &connection.peer)
      || !parse_address (words[2], &connection.local)
      || !g_ascii_string_to_unsigned (words[3], 10, 1, G_MAXUINT16, &port, NULL))
    return FALSE;
  connection.port = (guint16) port;
  *out = connection;
  return TRUE;
}

/* The parent of a process; 0 if that cannot be told. */
static guint64
parent_of (guint64 pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%" PRIu64 "/stat", pid);
  g_autofree char *text = NULL;
  const char *end;
  guint64 parent = 0;

  if (!g_file_get_contents (path, &text, NULL, NULL))
    return 0;
  end = strrchr (text, ')'); /* the name before it may contain anything */
  return end && sscanf (end + 1, " %*c %" SCNu64, &parent) == 1 ? parent : 0;
}

/* The variable in the environment that a process was started with; NULL if unset (transfer full). */
static char *
variable_of (guint64 pid)
{
  g_autofree char *path = g_strdup_printf ("/proc/%" PRIu64 "/environ", pid);
  g_autofree char *text = NULL;
  gsize length;

  if (!g_file_get_contents (path, &text, &length, NULL))
    return NULL;
  for (const char *p = text; p < text + length; p += strlen (p) + 1)
    if (g_str_has_prefix (p, VARIABLE "="))
      return g_strdup (p + strlen (VARIABLE "="));
  return NULL;
}

gboolean
ks_ssh_find (KsConnection *out)
{
  const char *own = g_getenv (VARIABLE);
  guint64 pid = (guint64) getppid ();

  if (own)
    return ks_ssh_parse (own, out);
  for (guint i = 0; pid > 1 && i < MAX_PARENTS; i++) {
    g_autofree char *inherited = variable_of (pid);

    if (inherited)
      return ks_ssh_parse (inherited, out);
    pid = parent_of (pid);
  }
  return FALSE;
}
