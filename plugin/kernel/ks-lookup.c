/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/ks-lookup.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>

#include "base/ks-error.h"

typedef struct {
  KsLookupResult result;
  gboolean is_answered;
} Answer;

static gboolean
on_route (struct nlmsghdr *header, gpointer user_data)
{
  Answer *answer = user_data;
  const struct rtmsg *route;
  const struct nlattr *oif, *table;

  if (header->nlmsg_type != RTM_NEWROUTE || !nlmsg_valid_hdr (header, sizeof *route))
    return FALSE;
  route = nlmsg_data (header);
  oif = nlmsg_find_attr (header, sizeof *route, RTA_OIF);
  table = nlmsg_find_attr (header, sizeof *route, RTA_TABLE);
  answer->is_answered = TRUE;
  answer->result.type = route->rtm_type;
  answer->result.table = table && nla_len (table) == sizeof (guint32) ? nla_get_u32 (table) : route->rtm_table;
  answer->result.ifindex = oif && nla_len (oif) == sizeof (guint32) ? nla_get_u32 (oif) : 0;
  return TRUE;
}

static gboolean
put (KsNlMessage *message, const KsLookup *lookup)
{
  gboolean has_ports = lookup->ip_protocol == IPPROTO_UDP || lookup->ip_protocol == IPPROTO_TCP;

  return nla_put (message, RTA_DST, lookup->to.family == AF_INET6 ? 16 : 4, lookup->to.bytes) == 0
         && (!lookup->oif || nla_put_u32 (message, RTA_OIF, lookup->oif) == 0)
         && (!lookup->mark || nla_put_u32 (message, RTA_MARK, lookup->mark) == 0)
         && nla_put_u32 (message, RTA_UID, lookup->uid) == 0
         && nla_put_u8 (message, RTA_IP_PROTO, lookup->ip_protocol) == 0
         && (!has_ports || !lookup->sport || nla_put_u16 (message, RTA_SPORT, GUINT16_TO_BE (lookup->sport)) == 0)
         && (!has_ports || !lookup->dport || nla_put_u16 (message, RTA_DPORT, GUINT16_TO_BE (lookup->dport)) == 0);
}

/* The errors of a lookup that finds no route; all others mean that the question was wrong. @oif is the device asked
 * for. */
static gboolean
is_no_route (int error, guint oif)
{
  switch (error) {
  case ENODEV: /* it has just been deleted */
    return oif != 0;
  case ENETUNREACH:
  case EHOSTUNREACH:
  case EACCES: /* prohibit */
  case EINVAL: /* blackhole */
  case ENETDOWN:
  case EAGAIN:
    return TRUE;
  default:
    return FALSE;
  }
}

gboolean
ks_lookup (KsNlSocket *socket, const KsLookup *lookup, KsLookupResult *result, GError **error)
{
  g_autoptr (KsNlMessage) message = nlmsg_alloc_simple (RTM_GETROUTE, NLM_F_REQUEST);
  struct rtmsg header = {
    .rtm_family = lookup->to.family,
    .rtm_dst_len = ks_prefix_full_length (lookup->to.family),
    /* without it IPv4 answers that the table is main; IPv6 always tells the table, and does not know the flag */
    .rtm_flags = lookup->to.family == AF_INET ? RTM_F_LOOKUP_TABLE : 0,
  };
  Answer answer = { 0 };
  int failure;

  if (!message || nlmsg_append (message, &header, sizeof header, NLMSG_ALIGNTO) < 0 || !put (message, lookup))
    failure = ENOMEM;
  else
    failure = ks_netlink_ask (socket, message, on_route, &answer);
  if (failure == 0 && !answer.is_answered)
    failure = EBADMSG;
  if (failure != 0 && !is_no_route (failure, lookup->oif)) {
    g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "cannot ask the kernel for a route: %s", g_strerror (failure));
    return FALSE;
  }
  *result = answer.result;
  result->error = failure;
  return TRUE;
}
