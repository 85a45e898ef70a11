/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "desktop/ks-told.h"

#include <string.h>

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
  self->was_up = FALSE;
  self->id = 0;
}

/* Whether a VPN has been up since the kill switch was turned on, once @state was told: @before says it of the time
 * before. */
static gboolean
is_known_up (gboolean before, const char *state)
{
  if (!state || strcmp (state, "off") == 0 || strcmp (state, "released") == 0)
    return FALSE;
  return before || strcmp (state, "protected") == 0;
}

void
ks_told_set (KsTold *self, const char *state, guint32 id, const char *owner)
{
  KsTold new = {
    .state = g_strdup (state), .was_up = is_known_up (self->was_up, state), .id = id, .owner = g_strdup (owner)
  };

  ks_told_clear (self);
  *self = new;
}

/* The file is one line: the state, the notification's number, the service, and "up" or "-", separated by a blank. */
void
ks_told_read (KsTold *self, const KsPaths *own)
{
  g_autofree char *path = ks_paths_runtime (own, TOLD_NAME);
  g_autofree char *line = ks_paths_read_line (path);
  g_auto (GStrv) words = g_strsplit (line ? line : "", " ", 4);
  guint64 id;

  ks_told_clear (self);
  if (g_strv_length (words) == 4 && g_ascii_string_to_unsigned (words[1], 10, 0, G_MAXUINT32, &id, NULL)) {
    self->was_up = strcmp (words[3], "up") == 0;
    ks_told_set (self, words[0], (guint32) id, words[2]);
  }
}

void
ks_told_write (const KsTold *self, const KsPaths *own)
{
  g_autofree char *path = ks_paths_runtime (own, TOLD_NAME);
  g_autofree char *line = g_strdup_printf ("%s %u %s %s\n", self->state ? self->state : "", self->id,
                                           self->owner ? self->owner : "-", self->was_up ? "up" : "-");

  g_file_set_contents (path, line, -1, NULL);
}
