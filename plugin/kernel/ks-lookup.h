/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the kernel would send a packet: the question that `ip route get` asks.
 * Nothing is sent.
 */
#pragma once

#include "kernel/ks-netlink.h"
#include "value/ks-prefix.h"

typedef struct {
  KsPrefix to; /* a host */
  guint oif; /* 0 for a socket that names no device */
  guint8 ip_protocol; /* IPPROTO_UDP, IPPROTO_TCP, IPPROTO_ICMP or IPPROTO_ICMPV6: the kernel accepts no others */
  guint16 sport;
  guint16 dport;
  guint32 uid;
  guint32 mark;
} KsLookup;

typedef struct {
  int error; /* errno value if there is no route, as a program's sendto() would return it; 0 otherwise */
  guint ifindex; /* the device the packet would leave through */
  guint32 table; /* the table of the route */
  guint8 type; /* RTN_* */
} KsLookupResult;

/* Asks the kernel. Returns FALSE only if it could not be asked. KS_ERROR_KERNEL. */
gboolean ks_lookup (KsNlSocket *socket, const KsLookup *lookup, KsLookupResult *result, GError **error);
