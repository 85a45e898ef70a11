/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is remembered between runs, in /var/lib/nm-killswitch/state: which
 * profiles were armed and how (so that a file that cannot be read any more
 * disarms nothing), the answers to their servers' names, the subnets of their
 * tunnels, and which session is on. A hint, like an event: everything works
 * without it, only less comfortably.
 */
#pragma once

#include "value/ks-profile.h"

/* Answers kept for one host name, the newest first. */
#define KS_STATE_MAX_ANSWERS 32

/* One profile as it was when it was last armed. */
typedef struct {
  KsProfile *profile;
  char *tunnel; /* nullable: the interface of its tunnel at the last activation */
  GArray *prefixes; /* KsPrefix: the tunnel's subnets and DNS servers at the last activation */
  GArray *addresses; /* KsPrefix: the tunnel's own */
  guint16 listen_port; /* WireGuard's, of that tunnel */
  guint32 fwmark;
  char *session; /* nullable: the boot in which the session is on (mode session) */
  gboolean leaving; /* the person has asked to disconnect (pre-down seen); the session ends with the connection */
} KsRemembered;

typedef struct {
  gboolean is_known; /* a state file was there and could be read */
  GPtrArray *remembered; /* of KsRemembered */
  KsConfig *numbers; /* nullable: the numbers (and nothing else) in use when the kernel was last changed */
  GHashTable *answers; /* host name -> GArray of KsPrefix, newest first */
} KsState;

KsState *ks_state_new (void);
void ks_state_free (KsState *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsState, ks_state_free)

/* Reads @path. Never fails: without a file, or with a corrupt one, an empty state with is_known FALSE; a corrupt one
 * also appends a GError* to @errors. */
KsState *ks_state_read (const char *path, GPtrArray *errors);
/* Writes @path, if that changes it, by way of a temporary file in the same directory, which is made. KS_ERROR_IO. */
gboolean ks_state_write (const KsState *self, const char *path, GError **error);

/* Notes the numbers of @config. */
void ks_state_set_numbers (KsState *self, const KsConfig *config);
/* The record of a profile (transfer none): NULL when there is none. */
KsRemembered *ks_state_find (const KsState *self, const char *key);
/* The record of @profile, made when there is none, with the profile's current contents. */
KsRemembered *ks_state_remember (KsState *self, const KsProfile *profile);
/* Forgets every record whose key is not in @keys (a set of char*), and answers no profile asks for any more. */
void ks_state_keep_only (KsState *self, GHashTable *keys);
/* Puts @addresses (KsPrefix) in front of what is known of @host. Returns whether that is news. */
gboolean ks_state_add_answers (KsState *self, const char *host, const GArray *addresses);
/* Adds every answer of @other. Returns whether any is news. */
gboolean ks_state_merge_answers (KsState *self, const KsState *other);
