/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A DNS query for the address of one name, byte for byte, as the guard compares
 * it with what a program sends. ks-query.c tells what is free in it.
 */
#pragma once

#include <glib.h>

/* The longest name, in bytes of the query: a kernel older than 6.17 sees no more than 255 bytes of a UDP packet. */
#define KS_QUERY_MAX_NAME 231
/* What follows the message's ID: the rest of the header, the question, an OPT record. */
#define KS_QUERY_MAX (10 + KS_QUERY_MAX_NAME + 4 + 11)

/* The types of records that are asked for, with their numbers. */
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

/* A packet is such a query if it has this length and (its bytes & mask) == bytes, from the third one on. */
typedef struct {
  guint8 bytes[KS_QUERY_MAX]; /* without the message's ID, its first two bytes */
  guint8 mask[KS_QUERY_MAX];
  guint length;
} KsQuery;

/*
 * The spelling of @name to compare and to show: lower case, international
 * names in punycode, no dot at the end (transfer full). NULL when no query can
 * have it: an empty or overlong label, a character no host name has, too long.
 */
char *ks_query_name (const char *name);
/*
 * The query for @name, as ks_query_name() returned it, or for the root, "".
 * FALSE if the kernel could not see all of it: a long name leaves no room for
 * what KS_QUERY_DNSSEC adds.
 */
gboolean ks_query_init (KsQuery *self, const char *name, KsQueryType type, KsQueryForm form);
