/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Where the kernel would send a packet: what `ip route get` asks, nothing is
 * sent.
 */
#pragma once

#include "kernel/ks-netlink.h"
#include "value/ks-prefix.h"

typedef struct {
  KsPrefix to; /* a host */
  guint oif; /* 0 for a socket that names no device */
  guint8 ip_protocol; /* IPPROTO_UDP, IPPROTO_TCP, IPPROTO_ICMP or IPPROTO_ICMPV6: what the kernel lets one ask for */
  guint16 sport;
  guint16 dport;
  guint32 uid;
  guint32 mark;
} KsLookup;

typedef struct {
  int error; /* errno value when there is no route, as a program's sendto() would see it; 0 otherwise */
  guint ifindex; /* the device the packet would leave by */
  guint32 table; /* whose route that is */
  guint8 type; /* RTN_* */
} KsLookupResult;

/* Asks. Returns FALSE only when the kernel could not be asked. KS_ERROR_KERNEL. */
gboolean ks_lookup (KsNlSocket *socket, const KsLookup *lookup, KsLookupResult *result, GError **error);
