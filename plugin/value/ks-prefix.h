/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An address with a prefix length, of either family: what a route or a rule
 * matches. A host address is a prefix of full length.
 */
#pragma once

#include <glib.h>
#include <netinet/in.h>

typedef struct {
  guint8 family; /* AF_INET, AF_INET6, or AF_UNSPEC for "not set" */
  guint8 length; /* bits */
  guint8 bytes[16]; /* network byte order; IPv4 uses the first four */
} KsPrefix;

#define KS_PREFIX_UNSET ((KsPrefix){ .family = AF_UNSPEC })

/* Parses "ADDRESS" or "ADDRESS/LENGTH". Host bits are kept. @out is untouched on failure (KS_ERROR_INVALID). */
gboolean ks_prefix_parse (const char *text, KsPrefix *out, GError **error);
/* From @length bits and the raw address; @family is AF_INET or AF_INET6. */
KsPrefix ks_prefix_from_bytes (int family, const void *bytes, guint length);
/* "ADDRESS/LENGTH", or "ADDRESS" for a host, or "default" for length 0 (transfer full). */
char *ks_prefix_format (const KsPrefix *self);
/* "ADDRESS" without a length (transfer full). */
char *ks_prefix_format_address (const KsPrefix *self);

KsPrefix ks_prefix_default (int family);
/* The same prefix with its host bits cleared. */
KsPrefix ks_prefix_network (const KsPrefix *self);
/* The address alone, as a host prefix. */
KsPrefix ks_prefix_host (const KsPrefix *self);
guint ks_prefix_full_length (int family);

gboolean ks_prefix_is_set (const KsPrefix *self);
gboolean ks_prefix_is_host (const KsPrefix *self);
gboolean ks_prefix_is_link_local (const KsPrefix *self);
gboolean ks_prefix_is_loopback (const KsPrefix *self);
gboolean ks_prefix_is_multicast (const KsPrefix *self);
gboolean ks_prefix_contains (const KsPrefix *outer, const KsPrefix *inner);
gboolean ks_prefix_overlaps (const KsPrefix *a, const KsPrefix *b);
gboolean ks_prefix_equal (const KsPrefix *a, const KsPrefix *b);
/* For hash tables whose keys are KsPrefix. */
guint ks_prefix_hash (gconstpointer prefix);
gboolean ks_prefix_equal_func (gconstpointer a, gconstpointer b);
/* A total order: family, length, bytes. */
int ks_prefix_compare (const KsPrefix *a, const KsPrefix *b);

/* Adds @prefix to an array of KsPrefix unless it is already there. */
void ks_prefix_array_add (GArray *prefixes, const KsPrefix *prefix);
gboolean ks_prefix_array_contains (const GArray *prefixes, const KsPrefix *prefix);
/* Whether any of @prefixes is of @family. */
gboolean ks_prefix_array_has_family (const GArray *prefixes, int family);
/* Whether one of @prefixes contains @prefix. */
gboolean ks_prefix_array_covers (const GArray *prefixes, const KsPrefix *prefix);
