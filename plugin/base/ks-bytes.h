/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Values in a sequence of bytes, in this machine's byte order: for files that
 * are read back on the same machine.
 */
#pragma once

#include <glib.h>

/* What is still to be read. After a failure, everything read is zero or NULL. */
typedef struct {
  const guint8 *next, *end;
  gboolean failed;
} KsBytes;

void ks_bytes_take (KsBytes *self, void *out, gsize length);
guint32 ks_bytes_take_u32 (KsBytes *self);
/* A number from @min to @max; for any other number, fails and returns @min. */
gint32 ks_bytes_take_range (KsBytes *self, gint32 min, gint32 max);
/* A string inside the bytes themselves; NULL for none. */
const char *ks_bytes_take_string (KsBytes *self);

void ks_bytes_put (GByteArray *out, const void *bytes, gsize length);
void ks_bytes_put_u32 (GByteArray *out, guint32 value);
/* @text may be NULL. */
void ks_bytes_put_string (GByteArray *out, const char *text);
