/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Input: what follows the header of a message of the kernel's rule dump. */
#include "fuzz.h"

#include <linux/rtnetlink.h>

#include "kernel/ks-rule-message.h"

/* The rule that comes back when @rule is sent. */
static KsRule
there_and_back (const KsRule *rule)
{
  g_autoptr (KsNlMessage) message = ks_rule_message_add (rule);
  KsRule back;

  g_assert (message);
  g_assert (ks_rule_message_parse (nlmsg_hdr (message), &back));
  return back;
}

void
fuzz_rule_message (const uint8_t *data, size_t size)
{
  g_autofree struct nlmsghdr *message = fuzz_message (RTM_NEWRULE, data, size);
  g_autofree char *text = NULL;
  KsRule rule, once, twice;

  if (!ks_rule_message_parse (message, &rule))
    return;
  text = ks_rule_format (&rule);
  g_assert (rule.family == AF_INET || rule.family == AF_INET6);
  once = there_and_back (&rule);
  twice = there_and_back (&once);
  g_assert (ks_rule_equal (&once, &twice));
}

KS_FUZZ_ENTRY (fuzz_rule_message)
