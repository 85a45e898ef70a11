/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Writing JSON: objects and arrays, opened and closed in order.
 */
#pragma once

#include <glib.h>

typedef struct {
  GString *text;
  gboolean needs_comma;
} KsJson;

/* @key is NULL inside an array. */
void ks_json_open (KsJson *self, const char *key, char bracket);
void ks_json_close (KsJson *self, char bracket);
/* @value may be NULL, which is written as null. */
void ks_json_string (KsJson *self, const char *key, const char *value);
void ks_json_number (KsJson *self, const char *key, guint64 value);
void ks_json_boolean (KsJson *self, const char *key, gboolean value);
