/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Groups of "key=value" lines, in GKeyFile's syntax. GKeyFile takes five times
 * as long: it keeps every line as an object of its own, in order to preserve
 * comments, and looks up each key anew.
 */
#pragma once

#include <glib.h>

typedef struct {
  char *name;
  GArray *lines; /* of KsKeyLine, in order */
} KsKeyGroup;

typedef struct {
  const char *key, *value; /* pointers into the text that was read; the value is still escaped */
} KsKeyLine;

typedef struct {
  char *text;
  GPtrArray *groups; /* of KsKeyGroup, in order */
} KsKeyLines;

/* Parses @text (transfer full). NULL if it is malformed (KS_ERROR_INVALID). */
KsKeyLines *ks_key_lines_parse (char *text, gsize length, GError **error);
void ks_key_lines_free (KsKeyLines *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsKeyLines, ks_key_lines_free)
/* The first group with that name; NULL for none. */
const KsKeyGroup *ks_key_lines_find (const KsKeyLines *self, const char *name);

gboolean ks_key_group_has (const KsKeyGroup *self, const char *key);
/* NULL if it is missing or malformed (transfer full). */
char *ks_key_group_string (const KsKeyGroup *self, const char *key);
/* Its elements; an empty list if it is missing or malformed (transfer full). */
char **ks_key_group_list (const KsKeyGroup *self, const char *key);
/* 0 if it is missing, malformed, or larger than @max. */
guint32 ks_key_group_number (const KsKeyGroup *self, const char *key, guint32 max);
gboolean ks_key_group_boolean (const KsKeyGroup *self, const char *key);

/* Appends the line that begins a group. */
void ks_key_put_group (GString *out, const char *name);
/* Appends a line. */
void ks_key_put_string (GString *out, const char *key, const char *value);
void ks_key_put_number (GString *out, const char *key, guint32 value);
/* A list is written in three steps: the key, each element, the end. */
void ks_key_put_list (GString *out, const char *key);
void ks_key_put_part (GString *out, const char *part);
void ks_key_put_end (GString *out);
