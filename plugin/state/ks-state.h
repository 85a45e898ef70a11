/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What is remembered between runs, in /var/lib/nm-killswitch/state: which
 * profiles were armed and how (so that a file that has become unreadable disarms
 * nothing), the addresses of their servers' names, the subnets of their tunnels,
 * and which sessions are on. It is a hint, like an event: everything works
 * without it, only less comfortably.
 */
#pragma once

#include "value/ks-answers.h"
#include "value/ks-profile.h"

/* One profile as it was when it was last armed. */
typedef struct {
  KsProfile *profile;
  GPtrArray *former; /* of KsEndpoint: servers that the profile had before it was edited with its VPN up */
  char *tunnel; /* nullable: the interface of its tunnel at the last activation */
  GArray *prefixes; /* KsPrefix: the tunnel's subnets and DNS servers at the last activation */
  GArray *addresses; /* KsPrefix: the tunnel's own */
  guint16 listen_port; /* WireGuard's, of that tunnel */
  guint32 fwmark;
  char *session; /* nullable: the boot in which the session is on (mode session) */
  char *disabled; /* nullable: the boot in which a user ended the session of a section */
  GArray *disabled_devices; /* guint32: the indices of its devices at that time; a new device begins a new session */
  gboolean leaving; /* a disconnect was requested (pre-down seen); the session ends with the connection */
} KsRemembered;

typedef struct {
  gboolean is_known; /* a state file existed and could be read */
  GPtrArray *remembered; /* of KsRemembered */
  GHashTable *index; /* key -> its element of remembered */
  KsConfig *numbers; /* nullable: the numbers (and nothing else) in use when the kernel was last changed */
  KsAnswers *answers;
  GPtrArray *unclear; /* of char*: paths of unreadable files that may or may not have been armed before */
  char *released; /* nullable: the boot in which `release` was used, if its marker cannot be created */
} KsState;

KsState *ks_state_new (void);
void ks_state_free (KsState *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsState, ks_state_free)

/* Records the numbers of @config. */
void ks_state_set_numbers (KsState *self, const KsConfig *config);
/* The record of a profile (transfer none); NULL if there is none. */
KsRemembered *ks_state_find (const KsState *self, const char *key);
/* Adds a record of @profile (transfer full), which must not have one yet (transfer none). */
KsRemembered *ks_state_add (KsState *self, KsProfile *profile);
/*
 * The record of @profile, created if necessary, with the profile's current contents. Endpoints that the profile no
 * longer has are added to those in @former, except for a section.
 */
KsRemembered *ks_state_remember (KsState *self, const KsProfile *profile);
/* Forgets every record whose key is not in @keys (a set of char*), and the addresses of names no longer in use. */
void ks_state_keep_only (KsState *self, GHashTable *keys);
