/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Devices, addresses, routes and neighbours of the network namespace that the
 * calling process is in, and that @socket was opened in.
 *
 * An address is text, ours and never somebody's input. Each function returns
 * FALSE with KS_ERROR_KERNEL, which names the object.
 */
#pragma once

#include "kernel/ks-netlink.h"
#include "value/ks-prefix.h"

/* A veth pair: @name here, @peer in the namespace that the file descriptor @peer_namespace stands for. */
gboolean
ks_selftest_link_add_veth (KsNlSocket *socket, const char *name, const char *peer, int peer_namespace, GError **error);
gboolean ks_selftest_link_delete (KsNlSocket *socket, const char *name, GError **error);
/* Brings it up; with @noarp as a device whose neighbours need no asking. */
gboolean ks_selftest_link_up (KsNlSocket *socket, const char *name, gboolean noarp, GError **error);

/* "ADDRESS/LENGTH"; valid at once, without duplicate address detection. */
gboolean ks_selftest_link_add_address (KsNlSocket *socket, const char *name, const char *address, GError **error);
gboolean ks_selftest_link_delete_address (KsNlSocket *socket, const char *name, const char *address, GError **error);

/* A route in table main; @gateway is NULL for none. */
gboolean ks_selftest_link_add_route (KsNlSocket *socket, const char *destination, const char *gateway, const char *name,
                                     guint32 metric, GError **error);
gboolean ks_selftest_link_delete_route (KsNlSocket *socket, const char *destination, const char *gateway,
                                        const char *name, guint32 metric, GError **error);

/* Forgets what is known of a neighbour, so that the next packet has to ask. It is no error if nothing is. */
void ks_selftest_link_forget_neighbour (KsNlSocket *socket, const char *name, const KsPrefix *address);
