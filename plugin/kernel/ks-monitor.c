/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/ks-monitor.h"

#include <errno.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/ks-guard.h"
#include "kernel/ks-netlink.h"
#include "kernel/ks-route-message.h"
#include "kernel/ks-rule-message.h"
#include "policy/ks-owner.h"

#define BUFFER_SIZE (64 * 1024)
/* Messages about nf_tables objects name their table in an attribute of this number (NFTA_*_TABLE). */
#define ANY_NFTA_TABLE 1

KsLosses *
ks_losses_new (void)
{
  KsLosses *self = g_new0 (KsLosses, 1);

  self->rules = g_array_new (FALSE, FALSE, sizeof (KsRule));
  self->routes = g_array_new (FALSE, FALSE, sizeof (KsRoute));
  return self;
}

void
ks_losses_free (KsLosses *self)
{
  g_array_unref (self->rules);
  g_array_unref (self->routes);
  g_free (self);
}

void
ks_losses_clear (KsLosses *self)
{
  g_array_set_size (self->rules, 0);
  g_array_set_size (self->routes, 0);
  self->is_vague = FALSE;
}

static KsNotice
judge_route (struct nlmsghdr *header, const KsConfig *config)
{
  const struct rtmsg *route;
  const struct nlattr *attribute;
  guint32 table;

  if (!nlmsg_valid_hdr (header, sizeof *route))
    return KS_NOTICE_URGENT;
  route = nlmsg_data (header);
  attribute = nlmsg_find_attr (header, sizeof *route, RTA_TABLE);
  table = attribute && nla_len (attribute) == sizeof table ? nla_get_u32 (attribute) : route->rtm_table;
  if (ks_owner_has_table (config, table))
    return KS_NOTICE_URGENT;
  return table == RT_TABLE_MAIN ? KS_NOTICE_RELEVANT : KS_NOTICE_OTHER;
}

/* A foreign rule after ours decides nothing: our last one, for all packets, is `unreachable`. */
static KsNotice
judge_rule (struct nlmsghdr *header, const KsConfig *config)
{
  KsRule rule;

  if (!ks_rule_message_parse (header, &rule) || ks_owner_has_rule (config, &rule))
    return KS_NOTICE_URGENT;
  if (rule.priority >= config->priority + KS_PRIORITY_WINDOW)
    return KS_NOTICE_OTHER;
  return header->nlmsg_type == RTM_NEWRULE ? KS_NOTICE_URGENT : KS_NOTICE_RELEVANT;
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

/* True if the device @name may be the tunnel of a section; always, if the configuration that lists the sections is
 * unreadable. */
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
 * Only sections depend on devices. Renaming a device that had a section's name
 * shows only in that nothing else is said to have changed. A card's scan for
 * networks looks the same, and is left out.
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

/* ManagementFrom= applies to each address of the uplinks; with a /32, or a second address of a subnet, comes no route.
 */
static KsNotice
judge_address (struct nlmsghdr *header, const KsConfig *config)
{
  gboolean has_sections = config->sections->len > 0 || config->is_unreadable;
  const struct ifaddrmsg *address;
  char name[IFNAMSIZ];

  if (has_sections && !nlmsg_valid_hdr (header, sizeof *address))
    return KS_NOTICE_URGENT;
  address = nlmsg_data (header);
  /* if its device is gone, a message about that has followed */
  if (has_sections && if_indextoname (address->ifa_index, name) && is_of_section (config, name))
    return KS_NOTICE_URGENT;
  return config->management_prefixes->len > 0 ? KS_NOTICE_RELEVANT : KS_NOTICE_OTHER;
}

static KsNotice
judge (struct nlmsghdr *header, const KsConfig *config)
{
  if (header->nlmsg_pid && header->nlmsg_pid == ks_netlink_last_port ())
    return KS_NOTICE_OTHER; /* our own change; the dump that ended the run came after it */
  if (header->nlmsg_type >> 8 == NFNL_SUBSYS_NFTABLES)
    return is_nftables_relevant (header) ? KS_NOTICE_URGENT : KS_NOTICE_OTHER;
  switch (header->nlmsg_type) {
  case RTM_NEWROUTE:
  case RTM_DELROUTE:
    return judge_route (header, config);
  case RTM_NEWRULE:
  case RTM_DELRULE:
    return judge_rule (header, config);
  case RTM_NEWLINK:
  case RTM_DELLINK:
    return is_link_relevant (header, config) ? KS_NOTICE_URGENT : KS_NOTICE_OTHER;
  case RTM_NEWADDR:
  case RTM_DELADDR:
    return judge_address (header, config);
  case RTM_DELNEXTHOP:
    return KS_NOTICE_RELEVANT; /* routes of main may have gone with it, unannounced (fib_flush()) */
  case RTM_NEWNEXTHOP:
  case RTM_NEWNEXTHOPBUCKET:
    return KS_NOTICE_OTHER;
  default:
    return KS_NOTICE_URGENT; /* whatever it is */
  }
}

/* Of routes through a device, only a tunnel's may have to be put back: the others follow table main. */
static gboolean
is_loss (const KsConfig *config, const KsRoute *route)
{
  return ks_owner_has_route (config, route)
         && (route->type != RTN_UNICAST || route->table == config->table || route->table == config->tunnel_table);
}

/* @header is about an object of ours, or before ours. */
static void
take_loss (struct nlmsghdr *header, const KsConfig *config, KsLosses *losses)
{
  KsRoute route;
  KsRule rule;

  switch (header->nlmsg_type) {
  case RTM_DELROUTE:
    if (!ks_route_message_parse (header, &route))
      losses->is_vague = TRUE;
    else if (is_loss (config, &route))
      g_array_append_val (losses->routes, route);
    break;
  case RTM_DELRULE:
    if (!ks_rule_message_parse (header, &rule))
      losses->is_vague = TRUE;
    else if (ks_owner_has_rule (config, &rule))
      g_array_append_val (losses->rules, rule);
    break;
  case RTM_NEWROUTE:
    /* the kernel reports the route that replaces another, but not the one replaced */
    if (header->nlmsg_flags & NLM_F_REPLACE)
      losses->is_vague = TRUE;
    break;
  }
}

static KsNotice
drain_one (int socket, char *buffer, const KsConfig *config, KsLosses *losses)
{
  KsNotice notice = KS_NOTICE_NONE;

  for (;;) {
    ssize_t length = recv (socket, buffer, BUFFER_SIZE, MSG_DONTWAIT);

    if (length < 0 && errno == ENOBUFS) {
      notice = KS_NOTICE_URGENT; /* messages were lost */
      if (losses)
        losses->is_vague = TRUE;
      continue;
    }
    if (length < 0 && errno == EINTR)
      continue;
    if (length <= 0)
      return notice;
    notice = MAX (notice, KS_NOTICE_OTHER);
    for (struct nlmsghdr *header = (struct nlmsghdr *) (gpointer) buffer; NLMSG_OK (header, (size_t) length);
         header = NLMSG_NEXT (header, length)) {
      KsNotice one = judge (header, config);

      notice = MAX (notice, one);
      if (losses && one == KS_NOTICE_URGENT)
        take_loss (header, config, losses);
    }
  }
}

/* A FIFO rather than a socket: systemd has removed O_NONBLOCK, and holds the other end itself. */
static KsNotice
drain_fifo (int fifo, char *buffer)
{
  struct pollfd waiting = { .fd = fifo, .events = POLLIN };
  KsNotice notice = KS_NOTICE_NONE;

  while (poll (&waiting, 1, 0) == 1 && (waiting.revents & POLLIN) && read (fifo, buffer, BUFFER_SIZE) > 0)
    notice = KS_NOTICE_URGENT;
  return notice;
}

static gboolean
is_socket (int fd)
{
  int type;
  socklen_t size = sizeof type;

  return getsockopt (fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0;
}

KsNotice
ks_monitor_drain (const int *sockets, guint count, const KsConfig *config, KsLosses *losses)
{
  g_autofree char *buffer = g_malloc (BUFFER_SIZE);
  KsNotice notice = KS_NOTICE_NONE;

  for (guint i = 0; i < count; i++) {
    KsNotice one =
      is_socket (sockets[i]) ? drain_one (sockets[i], buffer, config, losses) : drain_fifo (sockets[i], buffer);

    notice = MAX (notice, one);
  }
  return notice;
}
