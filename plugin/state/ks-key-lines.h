/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Groups of "key=value" lines, spelt as GKeyFile spells them. GKeyFile takes
 * five times as long: it keeps every line as an object of its own, for comments
 * to survive, and looks up each key anew.
 */
#pragma once

#include <glib.h>

typedef struct {
  char *name;
  GArray *lines; /* of KsKeyLine, in order */
} KsKeyGroup;

typedef struct {
  const char *key, *value; /* in the text that was read; the value is still escaped */
} KsKeyLine;

typedef struct {
  char *text;
  GPtrArray *groups; /* of KsKeyGroup, in order */
} KsKeyLines;

/* Takes @text (transfer full) apart. NULL when it is malformed (KS_ERROR_INVALID). */
KsKeyLines *ks_key_lines_parse (char *text, gsize length, GError **error);
void ks_key_lines_free (KsKeyLines *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsKeyLines, ks_key_lines_free)
/* The first group of that name; NULL for none. */
const KsKeyGroup *ks_key_lines_find (const KsKeyLines *self, const char *name);

gboolean ks_key_group_has (const KsKeyGroup *self, const char *key);
/* NULL when it is not there or is malformed (transfer full). */
char *ks_key_group_string (const KsKeyGroup *self, const char *key);
/* Its parts, an empty list when it is not there or is malformed (transfer full). */
char **ks_key_group_list (const KsKeyGroup *self, const char *key);
/* 0 when it is not there, malformed, or larger than @max. */
guint32 ks_key_group_number (const KsKeyGroup *self, const char *key, guint32 max);
gboolean ks_key_group_boolean (const KsKeyGroup *self, const char *key);

/* Appends the line that begins a group. */
void ks_key_put_group (GString *out, const char *name);
/* Appends a line. */
void ks_key_put_string (GString *out, const char *key, const char *value);
void ks_key_put_number (GString *out, const char *key, guint32 value);
/* A list: first the key, then each of its parts, then its end. */
void ks_key_put_list (GString *out, const char *key);
void ks_key_put_part (GString *out, const char *part);
void ks_key_put_end (GString *out);
