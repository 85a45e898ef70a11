/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the kernel need not tell of: classic BPF programs for the netlink
 * sockets that systemd holds and passes to ks_heal(). A filter stays with the
 * socket when the process ends, so what it drops starts no process.
 */
#pragma once

#include "value/ks-config.h"

/*
 * What has to be told of; a set of bits. New rules and changes to the guard
 * always are: arming cannot do without a rule, so a process that arms need not
 * reach the sockets for the filter to be replaced by a wider one.
 */
typedef enum {
  KS_INTEREST_NONE = 0,
  KS_INTEREST_DEVICES = 1 << 0, /* devices and their addresses */
  KS_INTEREST_OWN = 1 << 1, /* routes of our tables, deleted rules; rules that every packet meets only after ours not */
  KS_INTEREST_MAIN = 1 << 2, /* routes of table main */
} KsInterest;

/* The programs (of struct sock_filter; transfer full): what they drop is of no interest, what is in doubt they pass. */
GArray *ks_monitor_filter_routing (const KsConfig *config, KsInterest interest);
GArray *ks_monitor_filter_nftables (void);

/* Replaces the filters of those of the @count @sockets that are netlink sockets. FALSE: one of them has none now. */
gboolean ks_monitor_filter_attach (const int *sockets, guint count, const KsConfig *config, KsInterest interest);
/* Lets everything pass. */
void ks_monitor_filter_detach (const int *sockets, guint count);
/* True if each netlink socket of @sockets has a filter. */
gboolean ks_monitor_filter_is_attached (const int *sockets, guint count);
