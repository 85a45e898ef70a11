/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/ks-bytes.h"

#include <string.h>

#define NO_STRING G_MAXUINT32

static gsize
left (const KsBytes *self)
{
  return (gsize) (self->end - self->next);
}

void
ks_bytes_take (KsBytes *self, void *out, gsize length)
{
  if (self->failed || left (self) < length) {
    self->failed = TRUE;
    memset (out, 0, length);
    return;
  }
  memcpy (out, self->next, length);
  self->next += length;
}

guint32
ks_bytes_take_u32 (KsBytes *self)
{
  guint32 value;

  ks_bytes_take (self, &value, sizeof value);
  return value;
}

gint32
ks_bytes_take_range (KsBytes *self, gint32 min, gint32 max)
{
  gint32 value = (gint32) ks_bytes_take_u32 (self);

  if (self->failed || value < min || value > max) {
    self->failed = TRUE;
    return min;
  }
  return value;
}

/* A string is preceded by its length and followed by a NUL. */
const char *
ks_bytes_take_string (KsBytes *self)
{
  guint32 length = ks_bytes_take_u32 (self);
  const char *text = (const char *) self->next;

  if (self->failed || length == NO_STRING)
    return NULL;
  if (left (self) <= length || memchr (text, '\0', (gsize) length + 1) != text + length) {
    self->failed = TRUE;
    return NULL;
  }
  self->next += (gsize) length + 1;
  return text;
}

void
ks_bytes_put (GByteArray *out, const void *bytes, gsize length)
{
  if (length > 0)
    g_byte_array_append (out, bytes, (guint) length);
}

void
ks_bytes_put_u32 (GByteArray *out, guint32 value)
{
  ks_bytes_put (out, &value, sizeof value);
}

void
ks_bytes_put_string (GByteArray *out, const char *text)
{
  gsize length = text ? strlen (text) : 0;

  ks_bytes_put_u32 (out, text ? (guint32) length : NO_STRING);
  if (text)
    ks_bytes_put (out, text, length + 1);
}
