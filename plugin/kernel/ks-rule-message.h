/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * KsRule to and from the kernel's rule messages (linux/fib_rules.h), with every
 * attribute in both directions.
 */
#pragma once

#include "kernel/ks-netlink.h"
#include "policy/ks-rule.h"

/* A request to add @rule. Not exclusive: a foreign rule that differs only in its protocol does not prevent it. */
KsNlMessage *ks_rule_message_add (const KsRule *rule);
/* A request to delete @rule, with its full key, the protocol included. */
KsNlMessage *ks_rule_message_delete (const KsRule *rule);
/* A request to dump the rules of @family. */
KsNlMessage *ks_rule_message_dump (int family);
/*
 * Parses a message of such a dump. Returns FALSE, with @out untouched, for a
 * message that is malformed or of another type (a family other than IPv4 and
 * IPv6 included). An attribute unknown to this code sets has_unknown.
 */
gboolean ks_rule_message_parse (struct nlmsghdr *header, KsRule *out);
