/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * TCP connections that others have opened to this host, as `ss` shows them.
 */
#pragma once

#include "kernel/ks-netlink.h"
#include "value/ks-prefix.h"

typedef struct {
  KsPrefix local; /* a host; IPv4 also where the socket is an IPv6 one */
  KsPrefix peer; /* likewise */
  guint16 port; /* the local one */
} KsConnection;

/*
 * The established connections to ports that somebody listens on (transfer
 * full; of KsConnection): a bounded number of them, where there are very many.
 * Asks by NETLINK_SOCK_DIAG, both families. NULL when the kernel cannot be
 * asked (no CONFIG_INET_DIAG): KS_ERROR_KERNEL.
 */
GArray *ks_connections_read (GError **error);

/* A socket in an answer of the kernel. */
typedef struct {
  KsConnection connection;
  gboolean is_listening; /* else established */
} KsSocketInfo;

/* Parses one answer. FALSE, with @out untouched, for a message that is malformed or of another kind. */
gboolean ks_connection_parse (const struct nlmsghdr *header, KsSocketInfo *out);
