/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "desktop/ks-told.h"

#define TOLD_NAME "told"

char *
ks_told_directory (const char *runtime)
{
  return g_build_filename (runtime, "nm-killswitch", NULL);
}

void
ks_told_clear (KsTold *self)
{
  g_clear_pointer (&self->state, g_free);
  g_clear_pointer (&self->owner, g_free);
  self->id = 0;
}

void
ks_told_set (KsTold *self, const char *state, guint32 id, const char *owner)
{
  KsTold new = { .state = g_strdup (state), .id = id, .owner = g_strdup (owner) };

  ks_told_clear (self);
  *self = new;
}

/* The file is one line: the state, the notification's number and the service, separated by a blank. */
void
ks_told_read (KsTold *self, const KsPaths *own)
{
  g_autofree char *path = ks_paths_runtime (own, TOLD_NAME);
  g_autofree char *line = ks_paths_read_line (path);
  g_auto (GStrv) words = g_strsplit (line ? line : "", " ", 3);
  guint64 id;

  ks_told_clear (self);
  if (g_strv_length (words) == 3 && g_ascii_string_to_unsigned (words[1], 10, 0, G_MAXUINT32, &id, NULL))
    ks_told_set (self, words[0], (guint32) id, words[2]);
}

void
ks_told_write (const KsTold *self, const KsPaths *own)
{
  g_autofree char *path = ks_paths_runtime (own, TOLD_NAME);
  g_autofree char *line =
    g_strdup_printf ("%s %u %s\n", self->state ? self->state : "", self->id, self->owner ? self->owner : "-");

  g_file_set_contents (path, line, -1, NULL);
}
