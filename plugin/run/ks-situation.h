/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The situation: everything read from outside that the policy depends on, and
 * what follows from it: which profiles are armed now, and through which tunnels.
 * The first step of a run (ks-reconcile.c), and the input of policy/ks-policy.h.
 */
#pragma once

#include "base/ks-paths.h"
#include "input/ks-event.h"
#include "input/ks-network.h"
#include "input/ks-profile-memory.h"
#include "kernel/ks-kernel.h"
#include "state/ks-state.h"

typedef enum {
  KS_READ_DEFAULT = 0,
  KS_READ_NO_NETWORK = 1 << 0, /* boot: there is no NetworkManager yet */
  KS_READ_RELEASED = 1 << 1, /* `release`: arm nothing, whatever the markers say */
  KS_READ_RESUMED = 1 << 2, /* `resume`: undo that */
  KS_READ_NO_STATE = 1 << 3, /* do not touch the state: it may be on a file system that hangs */
  KS_READ_ANEW = 1 << 4, /* read every keyfile, whatever is remembered of it */
} KsReadFlags;

typedef struct {
  KsConfig *config;
  KsProfileSet *set;
  KsProfileMemory *memory;
  KsState *state;
  KsNetwork *network; /* NULL: NetworkManager is absent or silent */
  GArray *resolvers; /* KsPrefix, nullable: the DNS servers of the uplinks */
  GPtrArray *armed; /* of KsProfile, owned by set or state: armed now */
  GPtrArray *standby; /* of KsProfile, owned by set: armed once activated, but not now; empty while none is armed */
  GPtrArray *tunnels; /* of KsTunnel: devices of armed profiles that are up */
  char *appeared; /* nullable: a section with a device or subnets that the last run did not know */
  gboolean is_released; /* by `release` or the kernel command line: nothing is armed */
  gboolean no_guard; /* the guard is wanted and could not be installed: set by whoever tries */
  gboolean is_unclear; /* an unreadable profile may or may not have been armed; or there is no state */
  gboolean no_names; /* the guard that compares names could not be installed: none may be queried */
  gboolean no_management; /* the guard for ManagementFrom= could not be installed: no reply may leave that way */
  GPtrArray *errors; /* of GError: what could not be read; none of it disarms anything */
  GPtrArray *warnings; /* of char*: what has no effect or will not work, and what to do about it; no error */
} KsSituation;

/*
 * Reads profiles, configuration, state and NetworkManager; @event may be NULL. Never fails. ks-unchanged.c must compare
 * everything that this, or a run after it, reads.
 */
KsSituation *ks_situation_read (const KsPaths *paths, const KsEvent *event, KsReadFlags flags);
void ks_situation_free (KsSituation *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsSituation, ks_situation_free)

/*
 * Finds the tunnels: NetworkManager's answer, checked against the kernel's
 * devices; without an answer, what @snapshot and @event tell. Also remembers
 * them. Call once.
 */
void ks_situation_find_tunnels (KsSituation *self, KsKernel *kernel, const KsSnapshot *snapshot, const KsEvent *event);
/*
 * Looks up the tunnels' devices again: one that is gone is no longer a tunnel,
 * and one that was created again has a new index. Returns whether anything
 * changed.
 */
gboolean ks_situation_refresh_tunnels (KsSituation *self, KsKernel *kernel, const KsSnapshot *snapshot);
/* The policy for the situation over @snapshot's main table (transfer full). */
KsPolicy *ks_situation_policy (const KsSituation *self, const KsSnapshot *snapshot);
/* True if NetworkManager should answer and does not: sections do not depend on it. */
gboolean ks_situation_lacks_network (const KsSituation *self);
/* The flags for computing the difference. */
KsDiffFlags ks_situation_diff_flags (const KsSituation *self);
/* The host names among the armed profiles' endpoints (transfer full; of char*). */
GPtrArray *ks_situation_hosts (const KsSituation *self);
/* Adds what these names were resolved to; the address that a VPN is connected to stays. Returns whether any is new. */
gboolean ks_situation_take_answers (KsSituation *self, const KsAnswers *answers);
/*
 * Whether an armed VPN that is down can come up only once the present address of
 * its server's name is exempted, while nothing will tell when it tries. (A
 * WireGuard device of NetworkManager's is exempted by its port and mark.)
 */
gboolean ks_situation_awaits_names (const KsSituation *self);
/* To be called if the kernel holds nothing that an unreadable profile could have asked for. */
void ks_situation_forget_unclear (KsSituation *self);
/* Continues with the numbers of the last run, because those of the configuration cannot be used beside them. */
void ks_situation_keep_numbers (KsSituation *self);
/*
 * Saves the state: what is remembered about the present profiles, and what was
 * read from them. While its file cannot be written (KS_ERROR_IO), a substitute
 * in the runtime directory keeps it until the next boot.
 */
gboolean ks_situation_save (const KsSituation *self, const KsPaths *paths, GError **error);
