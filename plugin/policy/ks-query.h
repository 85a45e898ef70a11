/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A DNS query for the address of one name, byte for byte, as the guard compares
 * it with what a program sends. ks-query.c says which parts of it are free.
 */
#pragma once

#include <glib.h>

/* The longest name, in bytes of the query: kernels older than 6.17 see at most 255 bytes of a UDP packet. */
#define KS_QUERY_MAX_NAME 231
/* What follows the message's ID: the rest of the header, the question, an OPT record. */
#define KS_QUERY_MAX (10 + KS_QUERY_MAX_NAME + 4 + 11)

/* The record types that may be queried, with their numbers. */
typedef enum {
  KS_QUERY_A = 1,
  KS_QUERY_SOA = 6,
  KS_QUERY_AAAA = 28,
  KS_QUERY_DS = 43,
  KS_QUERY_DNSKEY = 48,
} KsQueryType;

typedef enum {
  KS_QUERY_PLAIN,
  KS_QUERY_EDNS, /* with an OPT record */
  KS_QUERY_DNSSEC, /* as systemd-resolved asks when it validates */
} KsQueryForm;

/* A packet is this query if it has this length and, from the third byte on, (its bytes & mask) == bytes. */
typedef struct {
  guint8 bytes[KS_QUERY_MAX]; /* without the message's ID, its first two bytes */
  guint8 mask[KS_QUERY_MAX];
  guint length;
} KsQuery;

/*
 * @name as it is compared and shown: lower case, international names in
 * punycode, no trailing dot (transfer full). NULL if no query can have this
 * name: an empty or overlong label, an invalid character, too long.
 */
char *ks_query_name (const char *name);
/*
 * The query for @name, as ks_query_name() returned it, or "" for the root.
 * FALSE if the kernel could not see all of it: a long name leaves no room for
 * what KS_QUERY_DNSSEC adds.
 */
gboolean ks_query_init (KsQuery *self, const char *name, KsQueryType type, KsQueryForm form);
