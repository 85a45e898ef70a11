/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The guard's text while it is built: shared by ks-guard-format.c, ks-guard-text.c, -transports.c and -queries.c. */
#pragma once

#include "policy/ks-policy.h"

/* --- ks-guard-text.c --- */

/* Adds a line to the chain begun last. */
void ks_guard_add_line (GString *out, const char *format, ...) G_GNUC_PRINTF (2, 3);
void ks_guard_begin_chain (GString *out, const char *name);
void ks_guard_end_chain (GString *out);
/* "ADDRESS" or "ADDRESS/LENGTH", also for length 0 (transfer full). */
char *ks_guard_format_prefix (const KsPrefix *prefix);
/* Adds the network of @prefix to the KsPrefix array @prefixes. */
void ks_guard_collect (GArray *prefixes, const KsPrefix *prefix);
/*
 * Sorts @prefixes and formats them as the elements of an interval set: "{ ... }" (transfer full); NULL for none.
 * nftables refuses overlapping intervals, so a prefix inside another one is left out.
 */
char *ks_guard_format_elements (int family, GArray *prefixes);

/* --- ks-guard-transports.c --- */

/* Adds the chain "unowned", which the transports' lines jump to. */
void ks_guard_add_unowned_chain (GString *out);
/* Adds a line for each kind of transport that may leave now. */
void ks_guard_add_transports (GString *out, const KsPolicy *policy);
/* Whether a transport is encrypted by the kernel's IPsec. */
gboolean ks_guard_has_ipsec (const KsPolicy *policy);
/*
 * Matches a packet of @transport, whoever sent it: "meta nfproto ipv4 ip daddr DESTINATION ... " (transfer full).
 * @destination is an address, a prefix or a set of them; NULL for any.
 */
char *ks_guard_format_selector (const KsTransport *transport, const char *destination);

/* --- ks-guard-queries.c --- */

/* Adds the chains "asked" and "names", which the lines of ks_guard_add_bootstrap() jump to. */
void ks_guard_add_names_chains (GString *out, const KsPolicy *policy);
/* Adds a line for each resolver and each user that may ask it. */
void ks_guard_add_bootstrap (GString *out, const KsPolicy *policy);
