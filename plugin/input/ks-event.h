/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What NetworkManager's dispatcher tells: two arguments and an environment.
 * A hint that something may have changed, never the only source of a fact:
 * events get lost, delayed and reordered.
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
  KS_ACTION_ENABLE, /* not the dispatcher's: a person begins, or ends, the session of a section */
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
  KsPrefix gateway4; /* of the tunnel; unset without */
  KsPrefix gateway6;
  GArray *addresses; /* KsPrefix, of the tunnel (VPN_*) or the device */
  GArray *nameservers; /* KsPrefix */
} KsEvent;

/*
 * Parses the dispatcher's arguments and environment (@envp: NAME=value, NULL
 * at the end). An unknown action gives an event with KS_ACTION_UNKNOWN.
 * Fails with KS_ERROR_INVALID, naming the variable and the value, when an
 * argument is missing, an interface name is not one, or a variable this
 * program relies on is malformed.
 */
KsEvent *ks_event_parse (int argc, char *const *argv, char *const *envp, GError **error);
/* KS_ACTION_ENABLE or KS_ACTION_DISABLE for the section [vpn NAME] (transfer full). */
KsEvent *ks_event_new_of_section (KsAction action, const char *name);
void ks_event_free (KsEvent *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsEvent, ks_event_free)

/* The dispatcher's word for @action, or "unknown". */
const char *ks_action_format (KsAction action);
/* Whether the connection of the event is on its way out: down, vpn-down. */
gboolean ks_event_is_down (const KsEvent *self);
/* Whether it is about @profile; FALSE without an event. */
gboolean ks_event_is_of (const KsEvent *self, const KsProfile *profile);
/*
 * Whether it says nothing but that something may have changed: while
 * NetworkManager answers, a run goes by its answers, and by this event not at
 * all. The others begin or end a session (ks-session.c), or tell of a VPN what
 * NetworkManager does not yet (ks-situation-tunnels.c).
 */
gboolean ks_event_is_hint (const KsEvent *self);
/* pre-down, vpn-pre-down: somebody asked to disconnect, and NetworkManager waits for us. */
gboolean ks_event_is_pre_down (const KsEvent *self);
