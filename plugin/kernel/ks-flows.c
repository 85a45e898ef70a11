/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/ks-flows.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netlink/attr.h>

#include "kernel/ks-netfilter-socket.h"

/* The table of connections changes all the time, which does not interrupt its dump; that of flowtables hardly ever. */
#define DUMP_TRIES 5
/* There may be very many connections: so many are ended at a time, and so many times. */
#define MAX_REQUESTS 1024
#define MAX_ROUNDS 64

/* What to do with those found: count those that leak, or write a request to end each that may not stay. */
typedef struct {
  const KsPolicy *policy;
  guint count;
  GPtrArray *requests; /* of KsNlMessage; NULL: count */
} Search;

/* --- one of them --- */

static gboolean
read_address (const struct nlattr *tuple, int family, int type, KsPrefix *out)
{
  const struct nlattr *address = ks_netlink_find_nested (ks_netlink_find_nested (tuple, CTA_TUPLE_IP), type);
  guint length = ks_prefix_full_length (family);

  if (!address || nla_len (address) != (int) (length / 8))
    return FALSE;
  *out = ks_prefix_from_bytes (family, nla_data (address), length);
  return TRUE;
}

static gboolean
is_offloaded (struct nlmsghdr *header)
{
  const struct nlattr *status = nlmsg_find_attr (header, sizeof (struct nfgenmsg), CTA_STATUS);

  return status && nla_len (status) == sizeof (guint32)
         && (ntohl (nla_get_u32 (status)) & (IPS_OFFLOAD | IPS_HW_OFFLOAD));
}

gboolean
ks_flow_parse (struct nlmsghdr *header, KsFlow *out)
{
  const struct nlattr *original, *reply, *port;
  KsFlow flow = { .port = 0 };
  int family, src, dst;

  if (!nlmsg_valid_hdr (header, sizeof (struct nfgenmsg))
      || header->nlmsg_type != ((NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_NEW) || !is_offloaded (header))
    return FALSE;
  family = ((const struct nfgenmsg *) nlmsg_data (header))->nfgen_family;
  if (family != AF_INET && family != AF_INET6)
    return FALSE;
  src = family == AF_INET6 ? CTA_IP_V6_SRC : CTA_IP_V4_SRC;
  dst = family == AF_INET6 ? CTA_IP_V6_DST : CTA_IP_V4_DST;
  original = nlmsg_find_attr (header, sizeof (struct nfgenmsg), CTA_TUPLE_ORIG);
  reply = nlmsg_find_attr (header, sizeof (struct nfgenmsg), CTA_TUPLE_REPLY);
  if (!read_address (original, family, src, &flow.initiator) || !read_address (original, family, dst, &flow.asked)
      || !read_address (reply, family, src, &flow.responder) || !read_address (reply, family, dst, &flow.answered))
    return FALSE;
  port = ks_netlink_find_nested (ks_netlink_find_nested (reply, CTA_TUPLE_PROTO), CTA_PROTO_SRC_PORT);
  if (port && nla_len (port) == sizeof flow.port)
    flow.port = ntohs (nla_get_u16 (port));
  *out = flow;
  return TRUE;
}

/* --- all of them --- */

static gboolean
copy_attribute (KsNlMessage *request, struct nlmsghdr *header, int type)
{
  const struct nlattr *attribute = nlmsg_find_attr (header, sizeof (struct nfgenmsg), type);

  return !attribute || nla_put (request, attribute->nla_type, nla_len (attribute), nla_data (attribute)) == 0;
}

/* By the number of the entry too: another connection may have the same addresses and ports by then. */
static KsNlMessage *
new_request (struct nlmsghdr *header)
{
  g_autoptr (KsNlMessage) request =
    nlmsg_alloc_simple ((NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_DELETE, NLM_F_REQUEST);
  struct nfgenmsg family = { .nfgen_family = ((const struct nfgenmsg *) nlmsg_data (header))->nfgen_family,
                             .version = NFNETLINK_V0 };

  if (!request || nlmsg_append (request, &family, sizeof family, NLMSG_ALIGNTO) < 0
      || !copy_attribute (request, header, CTA_TUPLE_ORIG) || !copy_attribute (request, header, CTA_ZONE)
      || !copy_attribute (request, header, CTA_ID))
    return NULL;
  return g_steal_pointer (&request);
}

static gboolean
on_entry (struct nlmsghdr *header, gpointer user_data)
{
  Search *search = user_data;
  KsNlMessage *request;
  KsFlow flow;

  if (!ks_flow_parse (header, &flow))
    return TRUE;
  if (!search->requests)
    search->count += ks_flow_leaks (&flow, search->policy);
  else if (search->requests->len < MAX_REQUESTS && !ks_flow_may_stay (&flow, search->policy)
           && (request = new_request (header)))
    g_ptr_array_add (search->requests, request);
  return TRUE;
}

static gboolean
on_flowtable (struct nlmsghdr *header G_GNUC_UNUSED, gpointer user_data)
{
  *(gboolean *) user_data = TRUE;
  return TRUE;
}

static int
dump (KsNlSocket *socket, int type, int family, KsNetlinkFunc func, gpointer user_data)
{
  struct nfgenmsg body = { .nfgen_family = family, .version = NFNETLINK_V0 };
  g_autoptr (KsNlMessage) message = nlmsg_alloc_simple (type, 0);

  if (!message || nlmsg_append (message, &body, sizeof body, NLMSG_ALIGNTO) < 0)
    return ENOMEM;
  return ks_netlink_dump (socket, message, func, user_data);
}

/* Most hosts have none: then connections are not listed, of which there may be very many. */
static gboolean
has_flowtable (KsNlSocket *socket)
{
  gboolean found = FALSE;
  int result = EINTR;

  for (int i = 0; i < DUMP_TRIES && result == EINTR; i++)
    result = dump (socket, (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETFLOWTABLE, AF_UNSPEC, on_flowtable, &found);
  return found;
}

/* FALSE when there is none, or the kernel cannot be asked. */
static gboolean
find (KsNlSocket *socket, Search *search)
{
  return has_flowtable (socket)
         && dump (socket, (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET, AF_UNSPEC, on_entry, search) == 0;
}

guint
ks_flows_count (const KsPolicy *policy)
{
  g_autoptr (KsNetfilterSocket) socket = ks_netlink_open_netfilter (NULL);
  Search search = { .policy = policy };

  return socket && find (socket, &search) ? search.count : 0;
}

/* Returns whether one of @requests has had its effect. */
static gboolean
send_requests (KsNlSocket *socket, GPtrArray *requests)
{
  gboolean has_ended = FALSE;

  for (guint i = 0; i < requests->len; i++) {
    int result = ks_netlink_request (socket, requests->pdata[i]);

    has_ended |= result == 0 || result == ENOENT; /* or it has ended by itself */
  }
  return has_ended;
}

void
ks_flows_end (const KsPolicy *policy)
{
  g_autoptr (KsNetfilterSocket) socket = policy->armed ? ks_netlink_open_netfilter (NULL) : NULL;

  for (int i = 0; socket && i < MAX_ROUNDS; i++) {
    g_autoptr (GPtrArray) requests = g_ptr_array_new_with_free_func ((GDestroyNotify) nlmsg_free);
    Search search = { .policy = policy, .requests = requests };

    if (!find (socket, &search) || !send_requests (socket, requests) || requests->len < MAX_REQUESTS)
      return;
  }
}
