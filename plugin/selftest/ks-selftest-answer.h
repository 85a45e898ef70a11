/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Those on the other side who answer: the LAN's router, a public host, the
 * VPN's server.
 */
#pragma once

#include <glib.h>

/* Whoever is asked at this UDP port of the router, the public host or the tunnel's other end answers. */
#define KS_SELFTEST_ANSWER_PORT 7777
/* At this TCP port the public host accepts connections. */
#define KS_SELFTEST_TCP_PORT 443

typedef struct _KsSelftestAnswer KsSelftestAnswer;

/* Opens the sockets, in this network namespace. One that cannot be opened gives no answer, which its case reports. */
KsSelftestAnswer *ks_selftest_answer_new (void);
void ks_selftest_answer_free (KsSelftestAnswer *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsSelftestAnswer, ks_selftest_answer_free)
/* Sends each datagram that waits back to where it came from. */
void ks_selftest_answer_all (KsSelftestAnswer *self);
