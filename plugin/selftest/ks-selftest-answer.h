/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The hosts on the other side that answer: the LAN's router, a public host, the
 * VPN's server.
 */
#pragma once

#include <glib.h>

/* The router, the public host and the tunnel's other end answer on this UDP port. */
#define KS_SELFTEST_ANSWER_PORT 7777
/* The public host accepts connections on this TCP port. */
#define KS_SELFTEST_TCP_PORT 443

typedef struct _KsSelftestAnswer KsSelftestAnswer;

/* Opens the sockets, in this network namespace. One that cannot be opened does not answer, which its case reports. */
KsSelftestAnswer *ks_selftest_answer_new (void);
void ks_selftest_answer_free (KsSelftestAnswer *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsSelftestAnswer, ks_selftest_answer_free)
/* Sends each waiting datagram back to its source. */
void ks_selftest_answer_all (KsSelftestAnswer *self);
