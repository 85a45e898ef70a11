/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Notifications of changes to rules, routes, nftables and devices, read from sockets
 * that systemd listens on (ListenNetlink=).
 */
#pragma once

#include "value/ks-config.h"

typedef enum {
  KS_NOTICE_NONE, /* nothing was waiting */
  KS_NOTICE_OTHER, /* only what does not matter: other tables and devices, foreign nftables, rules after ours */
  KS_NOTICE_RELEVANT, /* what we follow and others may change all the time: a route of main, a deleted foreign rule or
                         next hop, with ManagementFrom= an address */
  /* our rules, routes and guard, or a rule before ours; lost messages; a section's device, which may have to be armed,
     or be no tunnel any more; a nudge */
  KS_NOTICE_URGENT,
} KsNotice;

/* What other programs did to our objects. */
typedef struct {
  GArray *rules; /* of KsRule: deleted */
  GArray *routes; /* of KsRoute: deleted; of routes through a device, only those through tunnels */
  gboolean is_vague; /* there may be more: messages were lost, or another program wrote into our tables */
} KsLosses;

KsLosses *ks_losses_new (void);
void ks_losses_free (KsLosses *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsLosses, ks_losses_free)
/* Empties it. */
void ks_losses_clear (KsLosses *self);

/*
 * Reads everything that waits on the @count @sockets, without blocking, and
 * returns the most important notice. A FIFO among them is a nudge. Changes that
 * this process has made by netlink are ignored. Objects that others deleted from
 * ours are added to @losses, which may be NULL.
 */
KsNotice ks_monitor_drain (const int *sockets, guint count, const KsConfig *config, KsLosses *losses);
