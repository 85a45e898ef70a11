/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The situation: everything read from outside that the policy depends on, and
 * what follows from it: which profiles are armed now, by which tunnels.
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
  KS_READ_RELEASED = 1 << 1, /* a person releases: arm nothing, whatever the markers say */
  KS_READ_RESUMED = 1 << 2, /* a person takes that back */
  KS_READ_NO_STATE = 1 << 3, /* what is remembered is left alone: it may be on a file system that hangs */
  KS_READ_ANEW = 1 << 4, /* every keyfile, whatever is remembered of it */
} KsReadFlags;

typedef struct {
  KsConfig *config;
  KsProfileSet *set;
  KsProfileMemory *memory;
  KsState *state;
  KsNetwork *network; /* NULL: NetworkManager is absent or silent */
  GArray *resolvers; /* KsPrefix, nullable: the DNS servers of the uplinks */
  GPtrArray *armed; /* of KsProfile, owned by set or state: armed now */
  GPtrArray
    *standby; /* of KsProfile, owned by set: not armed now, and will be once activated; empty while none is armed */
  GPtrArray *tunnels; /* of KsTunnel: devices of armed profiles that are up */
  char *appeared; /* nullable: the section a device of which was found that the last run did not know, or its subnets */
  gboolean is_released; /* by `release` or the kernel command line: nothing is armed */
  gboolean no_guard; /* the guard is wanted and could not be put in place: set by whoever tries */
  gboolean is_unclear; /* a profile cannot be read, and nothing tells whether it was armed; or there is no state */
  gboolean no_names; /* the guard that compares names could not be installed: none may be asked for */
  gboolean no_management; /* the guard for ManagementFrom= could not be installed: no reply may leave by it */
  GPtrArray *errors; /* of GError: what could not be read; none of it disarms anything */
  GPtrArray *warnings; /* of char*: what has no effect or will not work, and what to do about it; no error */
} KsSituation;

/*
 * Reads profiles, configuration, state and NetworkManager; @event may be NULL. Never fails. Whatever it reads, or a run
 * after it, has to be among what ks-unchanged.c compares.
 */
KsSituation *ks_situation_read (const KsPaths *paths, const KsEvent *event, KsReadFlags flags);
void ks_situation_free (KsSituation *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsSituation, ks_situation_free)

/*
 * Finds the tunnels: NetworkManager's answer checked against the kernel's
 * devices; without one, what @snapshot and @event tell. Also remembers them. To be
 * called once.
 */
void ks_situation_find_tunnels (KsSituation *self, KsKernel *kernel, const KsSnapshot *snapshot, const KsEvent *event);
/*
 * Looks the tunnels' devices up again: one that is gone is no tunnel any more,
 * and one that came back has a new index. Returns whether anything changed.
 */
gboolean ks_situation_refresh_tunnels (KsSituation *self, KsKernel *kernel, const KsSnapshot *snapshot);
/* The policy for the situation over @snapshot's main table (transfer full). */
KsPolicy *ks_situation_policy (const KsSituation *self, const KsSnapshot *snapshot);
/* True if NetworkManager does not answer and should: of a section nothing depends on it. */
gboolean ks_situation_lacks_network (const KsSituation *self);
/* How the difference has to be taken. */
KsDiffFlags ks_situation_diff_flags (const KsSituation *self);
/* Host names among the armed profiles' endpoints (transfer full; of char*). */
GPtrArray *ks_situation_hosts (const KsSituation *self);
/*
 * Whether an armed VPN that is down can only come up once the present address
 * of its server's name is exempted, and nothing will tell when it tries. A
 * WireGuard of NetworkManager's is exempted by its port and mark instead.
 */
gboolean ks_situation_awaits_names (const KsSituation *self);
/* The kernel holds nothing that an unreadable profile could have asked for: there is nothing to wait for. */
void ks_situation_forget_unclear (KsSituation *self);
/* Goes on with the numbers of the last run: those of the configuration cannot stand beside them. */
void ks_situation_keep_numbers (KsSituation *self);
/*
 * The record of what is remembered, for the profiles that are there now, and
 * what was read from them. While the record's file cannot be written
 * (KS_ERROR_IO), a substitute in the runtime directory keeps it until the next
 * boot.
 */
gboolean ks_situation_save (const KsSituation *self, const KsPaths *paths, GError **error);
