/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A transport: the VPN's own encapsulated traffic, the only thing exempted
 * from the tunnel. Each is as narrow as our knowledge of it allows, and no
 * unprivileged program can use one. ks-policy-transports.c derives them from the
 * armed profiles' endpoints; each becomes a rule and a line of the guard.
 */
#pragma once

#include "policy/ks-rule.h"
#include "value/ks-config.h"
#include "value/ks-endpoint.h"

#define KS_UID_ANY G_MAXUINT32

typedef struct {
  int family;
  KsPrefix to; /* the server; unset when only the local port or the mark is known */
  guint8 ip_protocol; /* IPPROTO_*; 0 for any */
  guint16 sport; /* 0 for any */
  guint16 dport; /* 0 for any */
  guint32 fwmark; /* 0 for none */
  guint32 uid; /* KS_UID_ANY for any */
  char device[IFNAMSIZ]; /* the kernel tunnel that holds @sport or whose packets it carries, or "" */
  gboolean kernel; /* sent by the kernel: its packets have no socket owner that the guard could check */
  KsCarriage carriage;
  char outer[IFNAMSIZ]; /* the tunnel of another VPN that carries it, or "": it leaves by an uplink */
} KsTransport;

/*
 * The rule that exempts the transport. For a transport to one server, the rule
 * names no address and looks up the servers' table, which holds the addresses:
 * all servers with the same protocol, port and user share the rule. For others
 * it looks up the uplinks' table.
 */
KsRule ks_transport_rule (const KsTransport *self, const KsConfig *config, guint32 priority);
/* Whether the transport is to one server, whose address is a route in the servers' table. */
gboolean ks_transport_has_server (const KsTransport *self);
/* A GCompareFunc of KsTransport. */
int ks_transport_compare (gconstpointer a, gconstpointer b);
/* Whether one of @transports (of KsTransport) is by the mark of the packets that the device of @self sends. */
gboolean ks_transport_has_mark (const KsTransport *self, const GArray *transports);
/* @self; if it is by the mark of a device that one of @transports names the port of, with that port: routing has a rule
 * for either, but a packet has both. */
KsTransport ks_transport_with_port (const KsTransport *self, const GArray *transports);
/* For people, such as "udp to 203.0.113.10 port 51820, uid 0" (transfer full). */
char *ks_transport_format (const KsTransport *self);
/* The same for all of @transports (of KsTransport), in their order, each text once, and a device's port together with
 * its mark (of char*; transfer full). */
GPtrArray *ks_transport_format_all (const GArray *transports);
