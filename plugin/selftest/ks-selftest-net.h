/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The self-test's network: three network namespaces that only this process uses,
 * and that vanish with it. ks-selftest-net.c draws them.
 */
#pragma once

#include "kernel/ks-netlink.h"
#include "selftest/ks-selftest-packet.h"
#include "selftest/ks-selftest-probe.h"
#include "selftest/ks-selftest.h"

#define KS_SELFTEST_UPLINK "lan0"
#define KS_SELFTEST_TUNNEL_DEVICE "tun0"

typedef enum {
  KS_SELFTEST_AT_HOST, /* where the process is */
  KS_SELFTEST_AT_ROUTER,
  KS_SELFTEST_AT_GUEST, /* a virtual machine or container behind the host */
} KsSelftestPlace;

typedef struct _KsSelftestNet KsSelftestNet;

/*
 * Moves this process, which must be single-threaded, permanently into namespaces
 * of its own. KS_ERROR_PERMISSION if it may not, KS_ERROR_KERNEL.
 */
KsSelftestNet *ks_selftest_net_new (const KsSelftestOptions *options, GError **error);
void ks_selftest_net_free (KsSelftestNet *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsSelftestNet, ks_selftest_net_free)

/* Whether the kernel has IPv6. */
gboolean ks_selftest_net_has_ip6 (const KsSelftestNet *self);
/* Sends the probe from @place. Returns 0 or an errno value. */
int ks_selftest_net_send (const KsSelftestNet *self, const KsSelftestProbe *probe, KsSelftestPlace place);
/* The host's routing netlink socket (transfer none). */
KsNlSocket *ks_selftest_net_socket (const KsSelftestNet *self);
/* Writes a setting of the host's namespace: @name is a path in /proc/sys/net. A missing one is no error. */
gboolean ks_selftest_net_set (const char *name, const char *value, GError **error);

/* Creates the tunnel with its addresses, without further routes. */
gboolean ks_selftest_net_add_tunnel (KsSelftestNet *self, GError **error);
/* Deletes the device, if there is one. */
void ks_selftest_net_delete_tunnel (KsSelftestNet *self);

/*
 * Waits until everything that was sent has arrived, and appends what the router
 * saw of the host on the wire, and what came out of the tunnel
 * (KsSelftestPacket). Answers what the tunnel's other end can answer.
 */
gboolean ks_selftest_net_collect (KsSelftestNet *self, GArray *wire, GArray *tunnel, GError **error);
/* Answers packets waiting on the other side of the wire (ks-selftest-answer.h). */
void ks_selftest_net_answer (KsSelftestNet *self);
