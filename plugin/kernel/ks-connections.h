/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TCP connections that other hosts have opened to this host, as `ss` shows them.
 */
#pragma once

#include "kernel/ks-netlink.h"
#include "value/ks-prefix.h"

typedef struct {
  KsPrefix local; /* a host; an IPv4 address even if the socket is IPv6 */
  KsPrefix peer; /* likewise */
  guint16 port; /* the local port */
} KsConnection;

/*
 * The established connections to ports that some program listens on (transfer
 * full; of KsConnection), up to a fixed number. Uses NETLINK_SOCK_DIAG, for both
 * families. NULL with KS_ERROR_KERNEL if the kernel cannot be asked (no
 * CONFIG_INET_DIAG).
 */
GArray *ks_connections_read (GError **error);

/* A socket in one of the kernel's answers. */
typedef struct {
  KsConnection connection;
  gboolean is_listening; /* otherwise established */
} KsSocketInfo;

/* Parses one answer. FALSE, with @out untouched, for a message that is malformed or of another kind. */
gboolean ks_connection_parse (const struct nlmsghdr *header, KsSocketInfo *out);
