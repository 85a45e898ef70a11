/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Traffic control's redirections: filters that send a device's packets, or
 * copies of them, to another device (tc-mirred(8)). A packet sent like that
 * passes no rule, route or nftables chain. What eBPF programs do cannot be read.
 */
#pragma once

#include "kernel/ks-netlink.h"

/* An action that some filter uses. */
typedef struct {
  guint32 index; /* as `tc actions list action mirred` shows it */
  guint ifindex; /* the device that sends the packets */
  gboolean copies; /* `mirror`: the packets also go on as before */
} KsTcRedirection;

/*
 * All of this network namespace (KsTcRedirection; transfer full); an empty array
 * if the kernel has no such actions. KS_ERROR_KERNEL.
 */
GArray *ks_tc_read_redirections (GError **error);
