/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Notifications of changes to rules, routes, nftables and devices, read from sockets
 * that systemd listens on (ListenNetlink=).
 */
#pragma once

#include "value/ks-config.h"

typedef enum {
  KS_NOTICE_NONE, /* nothing was waiting */
  KS_NOTICE_OTHER, /* only what is of no concern: other tables and devices, foreign nftables, rules after ours */
  KS_NOTICE_RELEVANT, /* what ours follow and others may change all the time: a route of main, a foreign rule that went
                       */
  /* what ours are or decides before them: our rules, routes and guard, a rule in front; or a loss; a section's device,
     which may have to be armed, or be no tunnel any more; a nudge */
  KS_NOTICE_URGENT,
} KsNotice;

/* What others did to ours. */
typedef struct {
  GArray *rules; /* of KsRule: deleted */
  GArray *routes; /* of KsRoute: deleted; of the routes by a device only the tunnels' */
  gboolean is_vague; /* there may be more: messages were lost, or somebody wrote into our tables */
} KsLosses;

KsLosses *ks_losses_new (void);
void ks_losses_free (KsLosses *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsLosses, ks_losses_free)
/* Empties it. */
void ks_losses_clear (KsLosses *self);

/*
 * Reads everything that waits on the @count @sockets, without blocking, and
 * says what it was about. One that is no socket but a FIFO is a nudge. What this
 * process has changed by netlink itself is of no concern. What others took away
 * from us is added to @losses, which may be NULL.
 */
KsNotice ks_monitor_drain (const int *sockets, guint count, const KsConfig *config, KsLosses *losses);
