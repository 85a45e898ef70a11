/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Aliases: what a host's name stands for in the DNS (CNAME), and what that
 * stands for, and so on. getaddrinfo() keeps that to itself.
 */
#pragma once

#include <glib.h>

/* Asks for the aliases of a host: ks_alias_ask(), or a test's own. */
typedef GPtrArray *(*KsAliasFunc) (const char *host);

/*
 * Asks the resolvers of /etc/resolv.conf, at most a second each, and waits:
 * for a thread of its own. NULL without an answer (transfer full; of char*).
 */
GPtrArray *ks_alias_ask (const char *host);
/*
 * The aliases of @host in the reply @bytes to a query for it, in order, at
 * most KS_ANSWERS_MAX_ALIASES. NULL when it is no answer (transfer full; of char*).
 */
GPtrArray *ks_alias_parse (const guint8 *bytes, gsize length, const char *host);
