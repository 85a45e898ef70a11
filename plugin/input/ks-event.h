/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An event of NetworkManager's dispatcher: two arguments and an environment.
 * It is a hint that something may have changed, never the only source of a
 * fact: events get lost, delayed and reordered. dispatcher/10-killswitch.c parses
 * it and hands it to ks_reconcile().
 */
#pragma once

#include "value/ks-prefix.h"
#include "value/ks-profile.h"

typedef enum {
  KS_ACTION_UNKNOWN, /* not an error: newer versions of NetworkManager have more */
  KS_ACTION_PRE_UP,
  KS_ACTION_UP,
  KS_ACTION_PRE_DOWN,
  KS_ACTION_DOWN,
  KS_ACTION_VPN_PRE_UP,
  KS_ACTION_VPN_UP,
  KS_ACTION_VPN_PRE_DOWN,
  KS_ACTION_VPN_DOWN,
  KS_ACTION_DHCP4_CHANGE,
  KS_ACTION_DHCP6_CHANGE,
  KS_ACTION_CONNECTIVITY_CHANGE,
  KS_ACTION_REAPPLY,
  KS_ACTION_DNS_CHANGE,
  KS_ACTION_ENABLE, /* not from the dispatcher: a user begins, or ends, the session of a section */
  KS_ACTION_DISABLE,
} KsAction;

typedef struct {
  KsAction action;
  char *interface; /* nullable: connectivity-change and dns-change have none */
  char *uuid; /* nullable: CONNECTION_UUID */
  char *id; /* nullable: CONNECTION_ID */
  char *path; /* nullable: CONNECTION_FILENAME */
  char *vpn_interface; /* nullable: VPN_IP_IFACE */
  gboolean external; /* CONNECTION_EXTERNAL=1 */
  KsPrefix gateway4; /* of the tunnel; unset for none */
  KsPrefix gateway6;
  GArray *addresses; /* KsPrefix, of the tunnel (VPN_*) or the device */
  GArray *nameservers; /* KsPrefix */
} KsEvent;

/*
 * Parses the dispatcher's arguments and environment (@envp: NAME=value, ended by
 * NULL). An unknown action gives an event with KS_ACTION_UNKNOWN. Fails with
 * KS_ERROR_INVALID, naming the variable and the value, if an argument is
 * missing, an interface name is invalid, or a variable this program relies on is
 * malformed.
 */
KsEvent *ks_event_parse (int argc, char *const *argv, char *const *envp, GError **error);
/* KS_ACTION_ENABLE or KS_ACTION_DISABLE for the section [vpn NAME] (transfer full). */
KsEvent *ks_event_new_of_section (KsAction action, const char *name);
void ks_event_free (KsEvent *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsEvent, ks_event_free)

/* The dispatcher's word for @action, or "unknown". */
const char *ks_action_format (KsAction action);
/* Whether the event's connection is going down: down, vpn-down. */
gboolean ks_event_is_down (const KsEvent *self);
/* Whether the event is about @profile; FALSE without an event. */
gboolean ks_event_is_of (const KsEvent *self, const KsProfile *profile);
/*
 * Whether the event says no more than that something may have changed: as long
 * as NetworkManager answers, a run depends on its answers and not on this event.
 * The other events begin or end a session (ks-session.c), or say something about
 * a VPN that NetworkManager does not know yet (ks-situation-tunnels.c).
 */
gboolean ks_event_is_hint (const KsEvent *self);
/* pre-down, vpn-pre-down: a disconnect was requested, and NetworkManager waits for us. */
gboolean ks_event_is_pre_down (const KsEvent *self);
