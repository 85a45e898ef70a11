/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A probe: one packet from a program that does not care where it goes, or tries
 * to decide it. What becomes of it is seen on the wire.
 */
#pragma once

#include "value/ks-prefix.h"

/* What the program does to its socket; none of it needs privileges. */
typedef enum {
  KS_SELFTEST_PLAIN,
  KS_SELFTEST_BOUND, /* SO_BINDTODEVICE */
  KS_SELFTEST_BOUND_ON_LINK, /* the same with SO_DONTROUTE */
  KS_SELFTEST_UNICAST_IF, /* IP_UNICAST_IF, IPV6_UNICAST_IF */
  KS_SELFTEST_PKTINFO, /* IP_PKTINFO, IPV6_PKTINFO with the packet */
  KS_SELFTEST_MULTICAST_IF, /* IP_MULTICAST_IF, IPV6_MULTICAST_IF */
  KS_SELFTEST_SOURCE, /* bound to the address of the LAN */
} KsSelftestSocket;

typedef struct {
  int ip_protocol; /* IPPROTO_UDP, _TCP, _ICMP or _ICMPV6 */
  KsPrefix to;
  guint16 port; /* 0 for echo requests */
  guint16 sport; /* 0 for any */
  KsSelftestSocket socket;
  const char *device; /* for @socket */
  KsPrefix source; /* of KS_SELFTEST_SOURCE */
  guint size; /* bytes of payload; 0 for a few */
  const char *name; /* udp: the payload is a DNS query for it; NULL for none */
  gboolean connected; /* udp: the route is looked up when the socket is opened, and kept; tcp is always connected */
  gboolean other_user; /* sent as KS_SELFTEST_NOBODY, without capabilities, instead of root */
} KsSelftestProbe;

#define KS_SELFTEST_NOBODY 65534

/* Opens a non-blocking socket for the probe. -1 with errno set. To be closed by the caller. */
int ks_selftest_probe_open (const KsSelftestProbe *self);
/* Sends through such a socket. Returns 0 or an errno value. */
int ks_selftest_probe_send (const KsSelftestProbe *self, int fd);
/*
 * Opens and sends, in the network namespace @network (a file descriptor; -1 for
 * the process's own, which @home stands for), and as the right user: if that is
 * another one, in a child process. Returns 0 or an errno value.
 */
int ks_selftest_probe_run (const KsSelftestProbe *self, int network, int home);
/* Whether a child process can become KS_SELFTEST_NOBODY. */
gboolean ks_selftest_probe_has_other_user (void);
/* Such as "udp to 198.51.100.1 port 443" (transfer full). */
char *ks_selftest_probe_format (const KsSelftestProbe *self);
