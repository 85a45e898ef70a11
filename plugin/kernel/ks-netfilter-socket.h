/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Netfilter sockets, which stay open for a while after their last use.
 *
 * After a transaction that replaces or removes anything, the kernel frees it
 * once no processor uses it any more, which takes some 15 ms. Closing any
 * netfilter socket of the network namespace waits for that (nft_rcv_nl_event(),
 * net/netfilter/nf_tables_api.c). The rules that follow the guard must not wait.
 */
#pragma once

#include <glib.h>
#include <netlink/netlink.h>

/* A socket of ks_netlink_open_netfilter() or the like, which g_autoptr() closes later. */
typedef struct nl_sock KsNetfilterSocket;
void ks_netfilter_socket_close_later (KsNetfilterSocket *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsNetfilterSocket, ks_netfilter_socket_close_later)

/* Has @close called with @owner, whose socket it closes, later; the end of the process closes it without that. */
void ks_netfilter_close_later (gpointer owner, GDestroyNotify close);
/* The same for a file descriptor. */
void ks_netfilter_close_descriptor_later (int descriptor);
