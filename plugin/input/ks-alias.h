/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Aliases: the name that a host's name stands for in the DNS (CNAME), the name
 * that one stands for, and so on. getaddrinfo() does not tell them.
 */
#pragma once

#include <glib.h>

/* Looks up the aliases of a host: ks_alias_ask(), or a test's own function. */
typedef GPtrArray *(*KsAliasFunc) (const char *host);

/*
 * Asks the resolvers in /etc/resolv.conf, for at most a second each, and blocks:
 * call in a thread of its own. NULL without an answer (transfer full; of char*).
 */
GPtrArray *ks_alias_ask (const char *host);
/*
 * The aliases of @host in @bytes, the reply to a query for it, in order, at most
 * KS_ANSWERS_MAX_ALIASES. NULL if it is no such reply (transfer full; of char*).
 */
GPtrArray *ks_alias_parse (const guint8 *bytes, gsize length, const char *host);
