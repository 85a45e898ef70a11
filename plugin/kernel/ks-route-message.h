/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KsRoute to and from the kernel's route messages, by way of libnl-route-3.
 */
#pragma once

#include "kernel/ks-netlink.h"
#include "policy/ks-route.h"

/* A request to add @route beside existing ones (NLM_F_APPEND); NULL if out of memory. */
KsNlMessage *ks_route_message_add (const KsRoute *route);
/* A request to delete @route, with its full key, the protocol included. */
KsNlMessage *ks_route_message_delete (const KsRoute *route);
/* A request to dump @table of @family. */
KsNlMessage *ks_route_message_dump (int family, guint32 table);
/*
 * Parses a message of such a dump, or a notification of a change. Returns FALSE,
 * with @out untouched, for a message that is malformed, of another type or of
 * another family. Next hops that are dead (their device is down) are left out.
 */
gboolean ks_route_message_parse (struct nlmsghdr *header, KsRoute *out);
