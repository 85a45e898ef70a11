/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "value/ks-section.h"

#include <string.h>

KsSection *
ks_section_new (const char *name)
{
  KsSection *self = g_new0 (KsSection, 1);

  self->placement = KS_PLACEMENT_UNSET;
  self->name = g_strdup (name);
  self->servers = g_ptr_array_new_with_free_func (g_free);
  return self;
}

void
ks_section_free (KsSection *self)
{
  g_free (self->name);
  g_free (self->interface);
  g_ptr_array_unref (self->servers);
  g_free (self);
}

const KsSection *
ks_section_find (const GPtrArray *sections, const char *name)
{
  for (guint i = 0; i < sections->len; i++)
    if (strcmp (((const KsSection *) sections->pdata[i])->name, name) == 0)
      return sections->pdata[i];
  return NULL;
}

gboolean
ks_section_is_device (const char *pattern, const char *name)
{
  return g_pattern_match_simple (pattern, name);
}
