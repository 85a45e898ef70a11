/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Devices, addresses, routes and neighbours of the calling process's network
 * namespace, in which @socket must have been opened.
 *
 * Addresses are text from this program, never a user's input. Each function
 * returns FALSE with KS_ERROR_KERNEL, which names the object.
 */
#pragma once

#include "kernel/ks-netlink.h"
#include "value/ks-prefix.h"

/* A veth pair: @name here, @peer in the namespace that the file descriptor @peer_namespace stands for. */
gboolean
ks_selftest_link_add_veth (KsNlSocket *socket, const char *name, const char *peer, int peer_namespace, GError **error);
gboolean ks_selftest_link_delete (KsNlSocket *socket, const char *name, GError **error);
/* Brings it up; with @noarp, as a device that does not resolve neighbours. */
gboolean ks_selftest_link_up (KsNlSocket *socket, const char *name, gboolean noarp, GError **error);

/* "ADDRESS/LENGTH"; usable at once, without duplicate address detection. */
gboolean ks_selftest_link_add_address (KsNlSocket *socket, const char *name, const char *address, GError **error);
gboolean ks_selftest_link_delete_address (KsNlSocket *socket, const char *name, const char *address, GError **error);

/* A route in table main; @gateway is NULL for none. */
gboolean ks_selftest_link_add_route (KsNlSocket *socket, const char *destination, const char *gateway, const char *name,
                                     guint32 metric, GError **error);
gboolean ks_selftest_link_delete_route (KsNlSocket *socket, const char *destination, const char *gateway,
                                        const char *name, guint32 metric, GError **error);

/* Forgets a neighbour, so that the next packet has to resolve it again. It is no error if it is not known. */
void ks_selftest_link_forget_neighbour (KsNlSocket *socket, const char *name, const KsPrefix *address);
