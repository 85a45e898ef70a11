/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/ks-monitor.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <string.h>
#include <sys/socket.h>

#include "kernel/ks-guard.h"
#include "kernel/ks-route-message.h"
#include "policy/ks-owner.h"

#define BUFFER_SIZE (64 * 1024)
/* Messages of every nf_tables object name their table in an attribute of this number (NFTA_*_TABLE). */
#define ANY_NFTA_TABLE 1

static gboolean
is_route_relevant (struct nlmsghdr *header, const KsConfig *config)
{
  const struct rtmsg *route;
  const struct nlattr *attribute;
  guint32 table;

  if (!nlmsg_valid_hdr (header, sizeof *route))
    return TRUE;
  route = nlmsg_data (header);
  attribute = nlmsg_find_attr (header, sizeof *route, RTA_TABLE);
  table = attribute && nla_len (attribute) == sizeof table ? nla_get_u32 (attribute) : route->rtm_table;
  return table == RT_TABLE_MAIN || ks_owner_has_table (config, table);
}

static gboolean
is_nftables_relevant (struct nlmsghdr *header)
{
  const struct nlattr *attribute;

  if (!nlmsg_valid_hdr (header, sizeof (struct nfgenmsg)))
    return TRUE;
  attribute = nlmsg_find_attr (header, sizeof (struct nfgenmsg), ANY_NFTA_TABLE);
  return attribute && nla_len (attribute) == sizeof KS_GUARD_TABLE
         && memcmp (nla_data (attribute), KS_GUARD_TABLE, sizeof KS_GUARD_TABLE) == 0;
}

static gboolean
is_relevant (struct nlmsghdr *header, const KsConfig *config)
{
  if (header->nlmsg_type >> 8 == NFNL_SUBSYS_NFTABLES)
    return is_nftables_relevant (header);
  switch (header->nlmsg_type) {
  case RTM_NEWROUTE:
  case RTM_DELROUTE:
    return is_route_relevant (header, config);
  default:
    return TRUE; /* rules; whatever else there may be */
  }
}

/* A route of ours by a tunnel that went, for who wants to know whether it has to come back. */
static void
take_deleted (struct nlmsghdr *header, const KsConfig *config, GArray *deleted)
{
  KsRoute route;

  if (header->nlmsg_type == RTM_DELROUTE && ks_route_message_parse (header, &route)
      && ks_owner_has_route (config, &route) && (route.table == config->table || route.table == config->tunnel_table))
    g_array_append_val (deleted, route);
}

static KsNotice
drain_one (int socket, char *buffer, const KsConfig *config, GArray *deleted)
{
  KsNotice notice = KS_NOTICE_NONE;

  for (;;) {
    ssize_t length = recv (socket, buffer, BUFFER_SIZE, MSG_DONTWAIT);

    if (length < 0 && errno == ENOBUFS) {
      notice = KS_NOTICE_RELEVANT; /* something was lost */
      continue;
    }
    if (length < 0 && errno == EINTR)
      continue;
    if (length <= 0)
      return notice;
    notice = MAX (notice, KS_NOTICE_OTHER);
    for (struct nlmsghdr *header = (struct nlmsghdr *) (gpointer) buffer; NLMSG_OK (header, (size_t) length);
         header = NLMSG_NEXT (header, length)) {
      if (is_relevant (header, config))
        notice = KS_NOTICE_RELEVANT;
      if (deleted)
        take_deleted (header, config, deleted);
    }
  }
}

KsNotice
ks_monitor_drain (const int *sockets, guint count, const KsConfig *config, GArray *deleted)
{
  g_autofree char *buffer = g_malloc (BUFFER_SIZE);
  KsNotice notice = KS_NOTICE_NONE;

  for (guint i = 0; i < count; i++) {
    KsNotice one = drain_one (sockets[i], buffer, config, deleted); /* not inside MAX(), which evaluates it twice */

    notice = MAX (notice, one);
  }
  return notice;
}
