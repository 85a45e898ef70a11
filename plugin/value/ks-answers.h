/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Answers: what the names of VPN servers were resolved to. A hash table of host
 * name (char*) to addresses (GArray of KsPrefix, hosts), the newest first.
 */
#pragma once

#include <glib.h>

/* Addresses kept for one name. */
#define KS_ANSWERS_MAX 32

GHashTable *ks_answers_new (void);
/* Puts @addresses (KsPrefix) in front of those known for @host. Returns whether any of them is news. */
gboolean ks_answers_add (GHashTable *self, const char *host, const GArray *addresses);
/* Adds every answer of @other. Returns whether any of them is news. */
gboolean ks_answers_merge (GHashTable *self, GHashTable *other);
