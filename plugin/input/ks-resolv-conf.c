/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "input/ks-resolv-conf.h"

#include <string.h>

#define KEYWORD "nameserver"

static void
read_line (char *line, GArray *out)
{
  KsPrefix server;

  if (!g_str_has_prefix (line, KEYWORD) || !g_ascii_isspace (line[strlen (KEYWORD)]))
    return;
  if (ks_prefix_parse (g_strstrip (line + strlen (KEYWORD)), &server, NULL) && ks_prefix_is_host (&server)
      && !ks_prefix_is_loopback (&server))
    ks_prefix_array_add (out, &server);
}

GArray *
ks_resolv_conf_read (const char *path)
{
  GArray *servers = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  g_autofree char *text = NULL;
  g_auto (GStrv) lines = NULL;

  if (!path || !g_file_get_contents (path, &text, NULL, NULL))
    return servers;
  lines = g_strsplit (text, "\n", -1);
  for (char **line = lines; *line; line++)
    read_line (*line, servers);
  return servers;
}
