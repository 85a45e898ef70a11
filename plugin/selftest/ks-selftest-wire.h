/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Packets that come out of a device: those on the wire, seen by a packet socket
 * at its other end, and those in the tunnel.
 */
#pragma once

#include "selftest/ks-selftest-packet.h"

/* A packet socket, in this network namespace, that sees every frame of @device. -1 with KS_ERROR_KERNEL. */
int ks_selftest_wire_open (const char *device, GError **error);

/*
 * Sends a marker through the packet socket @marker and @device, and appends what
 * arrives at @capture before it to @packets (KsSelftestPacket). FALSE if the
 * marker does not arrive within @timeout_ms.
 */
gboolean
ks_selftest_wire_settle (int marker, const char *device, int capture, guint32 serial, int timeout_ms, GArray *packets);

/* Appends what came out of the tunnel, and answers datagrams to KS_SELFTEST_ANSWER_PORT. @is_veth: @fd is a packet
 * socket. */
void ks_selftest_wire_read_tunnel (int fd, gboolean is_veth, GArray *packets);
