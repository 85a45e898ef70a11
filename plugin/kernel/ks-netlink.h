/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A routing netlink socket: one request and its acknowledgement, one dump.
 * Bounded in time; the errors are errno values of the kernel.
 */
#pragma once

#include <glib.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>

typedef struct nl_sock KsNlSocket;
typedef struct nl_msg KsNlMessage;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsNlSocket, nl_socket_free)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsNlMessage, nlmsg_free)

/* Called for each message of a dump; returning FALSE makes the dump fail with EBADMSG. */
typedef gboolean (*KsNetlinkFunc) (struct nlmsghdr *header, gpointer user_data);

/* Opens a socket with strict checking of dump requests. KS_ERROR_KERNEL. */
KsNlSocket *ks_netlink_open (GError **error);
/* The port of the routing socket that was opened last: changes made by it are announced with this number. 0: none was.
 */
guint32 ks_netlink_last_port (void);
/* Opens a socket for questions about sockets (NETLINK_SOCK_DIAG). KS_ERROR_KERNEL. */
KsNlSocket *ks_netlink_open_diag (GError **error);
/* Opens a socket for questions about nftables (NETLINK_NETFILTER). KS_ERROR_KERNEL. */
KsNlSocket *ks_netlink_open_netfilter (GError **error);
/* Sends @message and waits for its acknowledgement. Returns 0, or the errno value the kernel answered. */
int ks_netlink_request (KsNlSocket *socket, KsNlMessage *message);
/* Sends @message and calls @func for its one answer. Returns 0, or the errno value the kernel answered. */
int ks_netlink_ask (KsNlSocket *socket, KsNlMessage *message, KsNetlinkFunc func, gpointer user_data);
/*
 * Sends @message, a dump request, and calls @func for each answer. Returns 0,
 * an errno value, or EINTR when the dump was interrupted by a change
 * (NLM_F_DUMP_INTR) and has to be repeated.
 */
int ks_netlink_dump (KsNlSocket *socket, KsNlMessage *message, KsNetlinkFunc func, gpointer user_data);
