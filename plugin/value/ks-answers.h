/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Answers: the addresses that the names of VPN servers were resolved to.
 */
#pragma once

#include <glib.h>

/* Addresses kept for one name: as many as one answer of usual size can hold (1232 bytes). */
#define KS_ANSWERS_MAX 64
/* Aliases kept for one name: no resolver follows a longer chain for long. */
#define KS_ANSWERS_MAX_ALIASES 8

typedef struct {
  GHashTable *addresses; /* host name (char*) -> GArray of KsPrefix, hosts, the newest first */
  GHashTable *aliases; /* host name (char*) -> GPtrArray of char*: the CNAME of the name, its CNAME, and so on */
} KsAnswers;

KsAnswers *ks_answers_new (void);
void ks_answers_free (KsAnswers *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsAnswers, ks_answers_free)
/* Puts @addresses (KsPrefix) before those known for @host. Returns whether any of them is new. */
gboolean ks_answers_add (KsAnswers *self, const char *host, const GArray *addresses);
/* Replaces the aliases of @host by the first ones of @aliases (of char*). Returns whether they differ. */
gboolean ks_answers_set_aliases (KsAnswers *self, const char *host, const GPtrArray *aliases);
/*
 * Adds every answer of @other. Those already known for a name in @kept (of char*) all stay, and there is only room for
 * new ones if they are few. Returns whether anything has changed.
 */
gboolean ks_answers_merge (KsAnswers *self, const KsAnswers *other, const GPtrArray *kept);
