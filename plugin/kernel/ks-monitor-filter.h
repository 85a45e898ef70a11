/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Notifications that the kernel need not deliver: classic BPF programs for the
 * netlink sockets that systemd holds and passes to ks_heal(). A filter stays on
 * the socket when the process ends, so what it drops starts no process.
 */
#pragma once

#include "value/ks-config.h"

/*
 * What has to be delivered; a set of bits. New rules and changes to the guard
 * always are. Arming cannot do without a rule, so a process that arms need not
 * reach the sockets for the filter to be replaced by a wider one.
 */
typedef enum {
  KS_INTEREST_NONE = 0,
  KS_INTEREST_DEVICES = 1 << 0, /* devices, and addresses as well */
  KS_INTEREST_OWN = 1 << 1, /* routes of our tables; deleted rules, except for catch-all rules after ours */
  KS_INTEREST_MAIN = 1 << 2, /* routes of table main; deleted next hop objects */
  KS_INTEREST_ADDRESSES = 1 << 3, /* addresses of all devices */
} KsInterest;

/* The programs (of struct sock_filter; transfer full): they drop what does not matter and pass everything in doubt. */
GArray *ks_monitor_filter_routing (const KsConfig *config, KsInterest interest);
GArray *ks_monitor_filter_nftables (void);
/* A digest of both programs in hexadecimal (transfer full). */
char *ks_monitor_filter_digest (const KsConfig *config, KsInterest interest);

/* Replaces the filters of the netlink sockets among the @count @sockets. FALSE: one of them has no filter now. */
gboolean ks_monitor_filter_attach (const int *sockets, guint count, const KsConfig *config, KsInterest interest);
/* Removes the filters. */
void ks_monitor_filter_detach (const int *sockets, guint count);
/* True if each netlink socket of @sockets has a filter. */
gboolean ks_monitor_filter_is_attached (const int *sockets, guint count);
