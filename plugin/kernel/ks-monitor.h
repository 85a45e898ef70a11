/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Notifications of changes to rules, routes, nftables and devices, read from sockets
 * that systemd listens on (ListenNetlink=).
 */
#pragma once

#include "value/ks-config.h"

typedef enum {
  KS_NOTICE_NONE, /* nothing was waiting */
  KS_NOTICE_OTHER, /* only changes of no concern: other tables, other people's nftables, other devices */
  KS_NOTICE_RELEVANT, /* a rule, a route of ours or of main, our guard, a section's device; or some were lost */
} KsNotice;

/*
 * Reads everything that waits on the @count netlink sockets, without blocking,
 * and says what it was about. The routes of the tunnels that were deleted are
 * appended to @deleted (KsRoute), which may be NULL.
 */
KsNotice ks_monitor_drain (const int *sockets, guint count, const KsConfig *config, GArray *deleted);
