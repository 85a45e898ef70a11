/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Netfilter sockets that stay open for a while after their last use.
 *
 * After a transaction that replaces or removes anything, the kernel frees it
 * once no processor uses it any more, which takes some 15 ms. Closing any
 * netfilter socket of the network namespace waits for that (nft_rcv_nl_event(),
 * net/netfilter/nf_tables_api.c). The rules that follow the guard must not wait.
 */
#pragma once

#include <glib.h>
#include <netlink/netlink.h>

/* Has @close called with @socket later: when the process ends at the latest, where ending alone closes it. */
void ks_guard_sockets_close_later (gpointer socket, GDestroyNotify close);
/* The same for a file descriptor. */
void ks_guard_sockets_close_descriptor_later (int descriptor);

/* A libnl socket that g_autoptr() closes later. */
typedef struct nl_sock KsGuardSocket;
void ks_guard_socket_close_later (KsGuardSocket *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsGuardSocket, ks_guard_socket_close_later)
