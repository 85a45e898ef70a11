/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Netlink sockets: a request and its acknowledgement, a question and its answer,
 * a dump. Bounded in time; errors are the kernel's errno values.
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
/* The port of the routing socket opened last: the kernel announces changes made by it with this number. 0: none yet. */
guint32 ks_netlink_last_port (void);
/* Opens a socket for queries about sockets (NETLINK_SOCK_DIAG). KS_ERROR_KERNEL. */
KsNlSocket *ks_netlink_open_diag (GError **error);
/* Opens a socket for queries about nftables (NETLINK_NETFILTER); better closed late: ks-netfilter-socket.h.
 * KS_ERROR_KERNEL. */
KsNlSocket *ks_netlink_open_netfilter (GError **error);
/* Sends @message and waits for its acknowledgement. Returns 0, or the kernel's errno value. */
int ks_netlink_request (KsNlSocket *socket, KsNlMessage *message);
/* Sends @message and calls @func for its single answer. Returns 0, or the kernel's errno value. */
int ks_netlink_ask (KsNlSocket *socket, KsNlMessage *message, KsNetlinkFunc func, gpointer user_data);
/*
 * Sends @message, a dump request, and calls @func for each answer. Returns 0,
 * an errno value, or EINTR if the dump was interrupted by a change
 * (NLM_F_DUMP_INTR) and has to be repeated.
 */
int ks_netlink_dump (KsNlSocket *socket, KsNlMessage *message, KsNetlinkFunc func, gpointer user_data);

/* The attribute of @type inside @parent; NULL if there is none, or @parent is NULL. */
const struct nlattr *ks_netlink_find_nested (const struct nlattr *parent, int type);
