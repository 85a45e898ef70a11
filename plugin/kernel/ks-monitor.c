/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/ks-monitor.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
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

/* True if the device @name may be the tunnel of a section; of what sections there are, an unreadable file says nothing.
 */
static gboolean
is_of_section (const KsConfig *config, const char *name)
{
  for (guint i = 0; i < config->sections->len; i++) {
    const KsSection *section = config->sections->pdata[i];

    if (section->interface && ks_section_is_device (section->interface, name))
      return TRUE;
  }
  return config->is_unreadable;
}

/*
 * Sections alone depend on devices. A new name of one that had a section's name
 * has nothing to tell it by, but that nothing else is said to have changed: a
 * card's scan for networks says so too, and is left out.
 */
static gboolean
is_link_relevant (struct nlmsghdr *header, const KsConfig *config)
{
  const struct ifinfomsg *link;
  const struct nlattr *name;
  char text[IFNAMSIZ];

  if (config->sections->len == 0 && !config->is_unreadable)
    return FALSE;
  if (!nlmsg_valid_hdr (header, sizeof *link))
    return TRUE;
  link = nlmsg_data (header);
  name = nlmsg_find_attr (header, sizeof *link, IFLA_IFNAME);
  if (!name || nla_len (name) < 1)
    return TRUE;
  g_strlcpy (text, nla_data (name), MIN (sizeof text, (gsize) nla_len (name)));
  if (is_of_section (config, text))
    return TRUE;
  return header->nlmsg_type == RTM_NEWLINK && link->ifi_change == 0
         && !nlmsg_find_attr (header, sizeof *link, IFLA_WIRELESS);
}

static gboolean
is_address_relevant (struct nlmsghdr *header, const KsConfig *config)
{
  const struct ifaddrmsg *address;
  char name[IFNAMSIZ];

  if (config->sections->len == 0 && !config->is_unreadable)
    return FALSE;
  if (!nlmsg_valid_hdr (header, sizeof *address))
    return TRUE;
  address = nlmsg_data (header);
  /* one of a device that is gone has been followed by the device's own end */
  return if_indextoname (address->ifa_index, name) && is_of_section (config, name);
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
  case RTM_NEWLINK:
  case RTM_DELLINK:
    return is_link_relevant (header, config);
  case RTM_NEWADDR:
  case RTM_DELADDR:
    return is_address_relevant (header, config);
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
