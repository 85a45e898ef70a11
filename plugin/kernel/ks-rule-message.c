/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/ks-rule-message.h"

#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <string.h>

/* May be missing in the headers that this is built with. */
#define KS_FRA_SPORT_MASK 28 /* Linux 6.15 */
#define KS_FRA_DPORT_MASK 29 /* Linux 6.15 */

static gboolean
put_prefix (KsNlMessage *message, int attribute, const KsPrefix *prefix)
{
  if (!ks_prefix_is_set (prefix))
    return TRUE;
  return nla_put (message, attribute, prefix->family == AF_INET6 ? 16 : 4, prefix->bytes) == 0;
}

static gboolean
put_u32 (KsNlMessage *message, int attribute, gboolean is_set, guint32 value)
{
  return !is_set || nla_put_u32 (message, attribute, value) == 0;
}

static gboolean
put_ports (KsNlMessage *message, int attribute, const KsPortRange *ports)
{
  struct fib_rule_port_range range = { .start = ports->first, .end = ports->last };

  return ports->first == 0 || nla_put (message, attribute, sizeof range, &range) == 0;
}

static gboolean
put_selector (KsNlMessage *message, const KsRule *rule)
{
  struct fib_rule_uid_range uids = { .start = rule->uid_first, .end = rule->uid_last };

  return put_prefix (message, FRA_SRC, &rule->from) && put_prefix (message, FRA_DST, &rule->to)
         && put_u32 (message, FRA_FWMARK, rule->fwmask != 0, rule->fwmark)
         && put_u32 (message, FRA_FWMASK, rule->fwmask != 0, rule->fwmask)
         && (!*rule->iifname || nla_put_string (message, FRA_IIFNAME, rule->iifname) == 0)
         && (!*rule->oifname || nla_put_string (message, FRA_OIFNAME, rule->oifname) == 0)
         && (!rule->has_uid_range || nla_put (message, FRA_UID_RANGE, sizeof uids, &uids) == 0)
         && (!rule->ip_protocol || nla_put_u8 (message, FRA_IP_PROTO, rule->ip_protocol) == 0)
         && put_ports (message, FRA_SPORT_RANGE, &rule->sport) && put_ports (message, FRA_DPORT_RANGE, &rule->dport)
         && (!rule->tun_id || nla_put_u64 (message, FRA_TUN_ID, GUINT64_TO_BE (rule->tun_id)) == 0)
         && (!rule->l3mdev || nla_put_u8 (message, FRA_L3MDEV, 1) == 0);
}

static gboolean
put_action (KsNlMessage *message, const KsRule *rule)
{
  return put_u32 (message, FRA_TABLE, rule->action == FR_ACT_TO_TBL, rule->table)
         && put_u32 (message, FRA_GOTO, rule->action == FR_ACT_GOTO, rule->goto_target)
         && put_u32 (message, FRA_SUPPRESS_PREFIXLEN, rule->suppress_prefixlength >= 0, rule->suppress_prefixlength)
         && put_u32 (message, FRA_SUPPRESS_IFGROUP, rule->suppress_ifgroup >= 0, rule->suppress_ifgroup)
         && put_u32 (message, FRA_FLOW, rule->flow != 0, rule->flow);
}

/* NULL only if out of memory: a rule always fits into a page. */
static KsNlMessage *
build (const KsRule *rule, int type, int flags)
{
  g_autoptr (KsNlMessage) message = nlmsg_alloc_simple (type, flags);
  struct fib_rule_hdr header = {
    .family = rule->family,
    .src_len = rule->from.length,
    .dst_len = rule->to.length,
    .tos = rule->tos,
    .table = rule->action == FR_ACT_TO_TBL && rule->table < 256 ? rule->table : RT_TABLE_UNSPEC,
    .action = rule->action,
    .flags = rule->invert ? FIB_RULE_INVERT : 0,
  };

  if (!message || nlmsg_append (message, &header, sizeof header, NLMSG_ALIGNTO) < 0
      || nla_put_u32 (message, FRA_PRIORITY, rule->priority) < 0
      || nla_put_u8 (message, FRA_PROTOCOL, rule->protocol) < 0 || !put_selector (message, rule)
      || !put_action (message, rule))
    return NULL;
  return g_steal_pointer (&message);
}

KsNlMessage *
ks_rule_message_add (const KsRule *rule)
{
  return build (rule, RTM_NEWRULE, NLM_F_CREATE);
}

KsNlMessage *
ks_rule_message_delete (const KsRule *rule)
{
  return build (rule, RTM_DELRULE, 0);
}

KsNlMessage *
ks_rule_message_dump (int family)
{
  g_autoptr (KsNlMessage) message = nlmsg_alloc_simple (RTM_GETRULE, 0);
  struct fib_rule_hdr header = { .family = family };

  if (!message || nlmsg_append (message, &header, sizeof header, NLMSG_ALIGNTO) < 0)
    return NULL;
  return g_steal_pointer (&message);
}

/* --- parsing: every length is checked, since the message may contain anything --- */

static gboolean
get_u8 (const struct nlattr *attribute, guint8 *out)
{
  if (nla_len (attribute) != sizeof *out)
    return FALSE;
  *out = nla_get_u8 (attribute);
  return TRUE;
}

static gboolean
get_u32 (const struct nlattr *attribute, guint32 *out)
{
  if (nla_len (attribute) != sizeof *out)
    return FALSE;
  *out = nla_get_u32 (attribute);
  return TRUE;
}

static gboolean
get_prefix (const struct nlattr *attribute, int family, guint length, KsPrefix *out)
{
  if (nla_len (attribute) != (family == AF_INET6 ? 16 : 4) || length > ks_prefix_full_length (family))
    return FALSE;
  *out = ks_prefix_from_bytes (family, nla_data (attribute), length);
  return TRUE;
}

static gboolean
get_name (const struct nlattr *attribute, char *out)
{
  int length = nla_len (attribute);

  if (length < 1 || length > IFNAMSIZ || memchr (nla_data (attribute), '\0', length) == NULL)
    return FALSE;
  g_strlcpy (out, nla_data (attribute), IFNAMSIZ);
  return TRUE;
}

static gboolean
get_ports (const struct nlattr *attribute, KsPortRange *out)
{
  struct fib_rule_port_range range;

  if (nla_len (attribute) != sizeof range)
    return FALSE;
  memcpy (&range, nla_data (attribute), sizeof range);
  *out = (KsPortRange){ range.start, range.end };
  return TRUE;
}

static gboolean
get_uids (const struct nlattr *attribute, KsRule *rule)
{
  struct fib_rule_uid_range range;

  if (nla_len (attribute) != sizeof range)
    return FALSE;
  memcpy (&range, nla_data (attribute), sizeof range);
  rule->has_uid_range = TRUE;
  rule->uid_first = range.start;
  rule->uid_last = range.end;
  return TRUE;
}

static gboolean
get_signed (const struct nlattr *attribute, int *out)
{
  guint32 value;

  if (!get_u32 (attribute, &value))
    return FALSE;
  *out = (int) value; /* the kernel's own "unset" is (u32) -1 */
  return TRUE;
}

/* A port mask of all ones means a plain port. */
static gboolean
get_port_mask (const struct nlattr *attribute, KsRule *rule)
{
  if (nla_len (attribute) != sizeof (guint16))
    return FALSE;
  rule->has_unknown = rule->has_unknown || nla_get_u16 (attribute) != G_MAXUINT16;
  return TRUE;
}

static gboolean
parse_attribute (const struct nlattr *attribute, const struct fib_rule_hdr *header, KsRule *rule)
{
  guint8 byte;

  switch (nla_type (attribute)) {
  case FRA_UNSPEC:
  case FRA_PAD:
    return TRUE;
  case FRA_PRIORITY:
    return get_u32 (attribute, &rule->priority);
  case FRA_TABLE:
    return get_u32 (attribute, &rule->table);
  case FRA_GOTO:
    return get_u32 (attribute, &rule->goto_target);
  case FRA_SRC:
    return get_prefix (attribute, header->family, header->src_len, &rule->from);
  case FRA_DST:
    return get_prefix (attribute, header->family, header->dst_len, &rule->to);
  case FRA_FWMARK:
    return get_u32 (attribute, &rule->fwmark);
  case FRA_FWMASK:
    return get_u32 (attribute, &rule->fwmask);
  case FRA_FLOW:
    return get_u32 (attribute, &rule->flow);
  case FRA_TUN_ID:
    if (nla_len (attribute) != sizeof (guint64))
      return FALSE;
    rule->tun_id = GUINT64_FROM_BE (nla_get_u64 (attribute));
    return TRUE;
  case FRA_SUPPRESS_IFGROUP:
    return get_signed (attribute, &rule->suppress_ifgroup);
  case FRA_SUPPRESS_PREFIXLEN:
    return get_signed (attribute, &rule->suppress_prefixlength);
  case FRA_IIFNAME:
    return get_name (attribute, rule->iifname);
  case FRA_OIFNAME:
    return get_name (attribute, rule->oifname);
  case FRA_L3MDEV:
    if (!get_u8 (attribute, &byte))
      return FALSE;
    rule->l3mdev = byte != 0;
    return TRUE;
  case FRA_UID_RANGE:
    return get_uids (attribute, rule);
  case FRA_PROTOCOL:
    return get_u8 (attribute, &rule->protocol);
  case FRA_IP_PROTO:
    return get_u8 (attribute, &rule->ip_protocol);
  case FRA_SPORT_RANGE:
    return get_ports (attribute, &rule->sport);
  case FRA_DPORT_RANGE:
    return get_ports (attribute, &rule->dport);
  case KS_FRA_SPORT_MASK:
  case KS_FRA_DPORT_MASK:
    return get_port_mask (attribute, rule);
  default:
    rule->has_unknown = TRUE;
    return TRUE;
  }
}

gboolean
ks_rule_message_parse (struct nlmsghdr *header, KsRule *out)
{
  const struct fib_rule_hdr *rule_header;
  struct nlattr *attribute;
  int remaining;
  KsRule rule;

  if ((header->nlmsg_type != RTM_NEWRULE && header->nlmsg_type != RTM_DELRULE)
      || !nlmsg_valid_hdr (header, sizeof *rule_header))
    return FALSE;
  rule_header = nlmsg_data (header);
  if (rule_header->family != AF_INET && rule_header->family != AF_INET6)
    return FALSE;

  rule = ks_rule_init (rule_header->family, 0, RTPROT_UNSPEC);
  rule.action = rule_header->action;
  rule.table = rule_header->table;
  rule.tos = rule_header->tos;
  rule.invert = (rule_header->flags & FIB_RULE_INVERT) != 0;
  nlmsg_for_each_attr (attribute, header, sizeof *rule_header, remaining)
    if (!parse_attribute (attribute, rule_header, &rule))
      return FALSE;

  /* a mark without a mask means the whole word; actions other than a lookup ignore the table */
  if (rule.fwmark && !rule.fwmask)
    rule.fwmask = G_MAXUINT32;
  if (rule.action != FR_ACT_TO_TBL)
    rule.table = 0;
  *out = rule;
  return TRUE;
}
