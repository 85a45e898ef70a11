/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cases, as a table: what is sent, and what has to become of it in each
 * state of the host.
 */
#pragma once

#include "selftest/ks-selftest-net.h"
#include "selftest/ks-selftest-packet.h"
#include "selftest/ks-selftest-probe.h"

/* The states that the host goes through, in this order. */
typedef enum {
  KS_SELFTEST_OFF, /* no kill switch, a tunnel that carries only its own subnet: the positive control */
  KS_SELFTEST_BLOCKING, /* armed, no tunnel */
  KS_SELFTEST_UP, /* armed, the tunnel is up, and table main has a default route through it */
  KS_SELFTEST_LOST, /* the tunnel was deleted, without an event */
  KS_SELFTEST_GUARD_ALONE, /* armed, no tunnel, every rule flushed */
  KS_SELFTEST_RULES_ALONE, /* armed, no tunnel, the guard deleted */
  KS_SELFTEST_OFF_AGAIN, /* as at the beginning */
  KS_SELFTEST_N_STATES,
} KsSelftestState;

typedef enum {
  KS_SELFTEST_NOT_TRIED,
  KS_SELFTEST_LEAVES, /* seen on the wire */
  KS_SELFTEST_STOPPED, /* not seen on the wire */
  KS_SELFTEST_TUNNELLED, /* not seen on the wire, but in the tunnel */
} KsSelftestExpectation;

typedef enum {
  KS_SELFTEST_ATTACK, /* stopped by routing and by the guard; goes into the tunnel if there is one */
  KS_SELFTEST_ATTACK_BOUND, /* names a device: for IPv4 the guard stops it; does not go into the tunnel */
  KS_SELFTEST_ATTACK_GUARD, /* stopped by the guard alone */
  KS_SELFTEST_ATTACK_OLD, /* sent by a socket that was connected before arming */
  KS_SELFTEST_ATTACK_IN, /* comes from the LAN to the tunnel's address: the answer must not be seen */
  KS_SELFTEST_WORKS, /* always has to leave */
  KS_SELFTEST_WORKS_DOWN, /* has to leave while no tunnel is known to be up */
} KsSelftestKind;

/* Bits of KsSelftestCase.protocols. */
enum { KS_SELFTEST_UDP = 1, KS_SELFTEST_TCP = 2, KS_SELFTEST_ICMP = 4 };

/* A probe is sent for each protocol to each destination. */
typedef struct {
  const char *name; /* for people */
  KsSelftestKind kind;
  guint protocols;
  const char *to4; /* NULL: not for IPv4 */
  const char *to6;
  guint16 port; /* of udp and tcp */
  guint16 sport; /* 0 for any */
  guint size; /* bytes; 0 for a few */
  KsSelftestSocket socket;
  KsSelftestPlace place; /* where it is sent */
  gboolean other_user; /* by a user without privileges instead of root */
  const char *name_asked; /* of udp: it is a DNS query for this name's address; or NULL */
  gboolean exchange; /* there has to be an answer if the packet has to leave, and none otherwise */
  guint classes; /* KsSelftestClass bits: which packets count, besides leaks */
  const char *routes; /* routes of table main through the LAN's router during the case: as if by DHCP */
  const char *addresses; /* of the uplink, likewise */
  gboolean strict; /* with strict reverse-path filtering */
} KsSelftestCase;

extern const KsSelftestCase ks_selftest_cases[];
extern const guint ks_selftest_n_cases;

/* Whether the case is traffic that has to get out. */
gboolean ks_selftest_case_is_work (const KsSelftestCase *self);
KsSelftestExpectation ks_selftest_case_expectation (const KsSelftestCase *self, int family, KsSelftestState state);
/* The probe for @protocol, one bit of its protocols. FALSE if the case has none for @family. */
gboolean ks_selftest_case_probe (const KsSelftestCase *self, int family, guint protocol, KsSelftestProbe *out);
gboolean ks_selftest_state_is_armed (KsSelftestState state);
/* For people, such as "armed, no tunnel". */
const char *ks_selftest_state_format (KsSelftestState state);
