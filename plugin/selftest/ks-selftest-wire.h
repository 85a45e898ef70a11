/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What comes out of a device: packets of the wire, seen by a packet socket at
 * its other end, and those of the tunnel.
 */
#pragma once

#include "selftest/ks-selftest-packet.h"

/* A packet socket, in this network namespace, that sees every frame of @device. -1 with KS_ERROR_KERNEL. */
int ks_selftest_wire_open (const char *device, GError **error);

/*
 * Sends a marker by the packet socket @marker out of @device, and appends what
 * comes out at @capture before it to @packets (KsSelftestPacket). FALSE when
 * it does not arrive within @timeout_ms.
 */
gboolean
ks_selftest_wire_settle (int marker, const char *device, int capture, guint32 serial, int timeout_ms, GArray *packets);

/* Appends what came out of the tunnel, and answers datagrams to KS_SELFTEST_ANSWER_PORT. @is_veth: @fd is a packet
 * socket. */
void ks_selftest_wire_read_tunnel (int fd, gboolean is_veth, GArray *packets);
