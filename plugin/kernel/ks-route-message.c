/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/ks-route-message.h"

#include <linux/rtnetlink.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <string.h>

typedef struct rtnl_route NlRoute;
typedef struct nl_addr NlAddr;
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NlRoute, rtnl_route_put)
G_DEFINE_AUTOPTR_CLEANUP_FUNC (NlAddr, nl_addr_put)

static NlAddr *
address_new (const KsPrefix *prefix)
{
  g_autoptr (NlAddr) address = nl_addr_build (prefix->family, prefix->bytes, prefix->family == AF_INET6 ? 16 : 4);

  if (address)
    nl_addr_set_prefixlen (address, prefix->length);
  return g_steal_pointer (&address);
}

static gboolean
set_gateway (struct rtnl_nexthop *hop, const KsPrefix *gateway, int route_family)
{
  g_autoptr (NlAddr) address = NULL;

  if (!ks_prefix_is_set (gateway))
    return TRUE;
  address = address_new (gateway);
  if (!address)
    return FALSE;
  if (gateway->family == route_family)
    rtnl_route_nh_set_gateway (hop, address);
  else if (rtnl_route_nh_set_via (hop, address) < 0) /* IPv4 route, IPv6 gateway: RTA_VIA */
    return FALSE;
  return TRUE;
}

static gboolean
add_nexthops (NlRoute *out, const KsRoute *route)
{
  for (guint i = 0; i < route->n_nexthops; i++) {
    const KsNexthop *from = &route->nexthops[i];
    struct rtnl_nexthop *hop = rtnl_route_nh_alloc ();

    if (!hop)
      return FALSE;
    rtnl_route_nh_set_ifindex (hop, from->ifindex);
    rtnl_route_nh_set_weight (hop, from->weight);
    if (from->onlink)
      rtnl_route_nh_set_flags (hop, RTNH_F_ONLINK);
    if (!set_gateway (hop, &from->gateway, route->family)) {
      rtnl_route_nh_free (hop);
      return FALSE;
    }
    rtnl_route_add_nexthop (out, hop); /* takes ownership */
  }
  /* for a single next hop, libnl sends the route's flags, not the next hop's */
  if (route->n_nexthops == 1 && route->nexthops[0].onlink)
    rtnl_route_set_flags (out, RTNH_F_ONLINK);
  return TRUE;
}

static NlRoute *
to_libnl (const KsRoute *route)
{
  g_autoptr (NlRoute) out = rtnl_route_alloc ();
  g_autoptr (NlAddr) dst = address_new (&route->dst);

  if (!out || !dst)
    return NULL;
  rtnl_route_set_family (out, route->family);
  rtnl_route_set_table (out, route->table);
  rtnl_route_set_protocol (out, route->protocol);
  rtnl_route_set_type (out, route->type);
  rtnl_route_set_scope (out, route->scope);
  rtnl_route_set_tos (out, route->tos);
  rtnl_route_set_priority (out, route->metric);
  if (rtnl_route_set_dst (out, dst) < 0)
    return NULL;
  if (ks_prefix_is_set (&route->src)) {
    g_autoptr (NlAddr) src = address_new (&route->src);

    if (!src || rtnl_route_set_src (out, src) < 0)
      return NULL;
  }
  if (ks_prefix_is_set (&route->prefsrc)) {
    g_autoptr (NlAddr) source = address_new (&route->prefsrc);

    if (!source || rtnl_route_set_pref_src (out, source) < 0)
      return NULL;
  }
  for (int i = 1; i <= RTAX_MAX; i++)
    if (route->metrics[i] && rtnl_route_set_metric (out, i, route->metrics[i]) < 0)
      return NULL;
  if (!add_nexthops (out, route))
    return NULL;
  return g_steal_pointer (&out);
}

KsNlMessage *
ks_route_message_add (const KsRoute *route)
{
  g_autoptr (NlRoute) object = to_libnl (route);
  KsNlMessage *message = NULL;

  if (!object || rtnl_route_build_add_request (object, NLM_F_CREATE | NLM_F_APPEND, &message) < 0)
    return NULL;
  return message;
}

KsNlMessage *
ks_route_message_delete (const KsRoute *route)
{
  g_autoptr (NlRoute) object = to_libnl (route);
  KsNlMessage *message = NULL;

  if (!object || rtnl_route_build_del_request (object, 0, &message) < 0)
    return NULL;
  return message;
}

KsNlMessage *
ks_route_message_dump (int family, guint32 table)
{
  g_autoptr (KsNlMessage) message = nlmsg_alloc_simple (RTM_GETROUTE, 0);
  struct rtmsg header = { .rtm_family = family, .rtm_table = table < 256 ? table : RT_TABLE_UNSPEC };

  if (!message || nlmsg_append (message, &header, sizeof header, NLMSG_ALIGNTO) < 0
      || nla_put_u32 (message, RTA_TABLE, table) < 0)
    return NULL;
  return g_steal_pointer (&message);
}

static KsPrefix
prefix_of (struct nl_addr *address, int family)
{
  KsPrefix prefix = KS_PREFIX_UNSET;

  /* libnl represents the default destination as an address of no bytes */
  if (!address)
    return prefix;
  prefix.family = nl_addr_get_family (address);
  if (prefix.family != AF_INET && prefix.family != AF_INET6)
    prefix.family = family;
  prefix.length = MIN (nl_addr_get_prefixlen (address), ks_prefix_full_length (prefix.family));
  memcpy (prefix.bytes, nl_addr_get_binary_addr (address), MIN (nl_addr_get_len (address), sizeof prefix.bytes));
  return prefix;
}

/* A gateway, without its prefix length; unset if there is none. */
static KsPrefix
gateway_of (struct rtnl_nexthop *hop, int family)
{
  struct nl_addr *address = rtnl_route_nh_get_gateway (hop);
  KsPrefix gateway = prefix_of (address ? address : rtnl_route_nh_get_via (hop), family);

  return ks_prefix_is_set (&gateway) ? ks_prefix_host (&gateway) : gateway;
}

static void
get_nexthops (NlRoute *in, KsRoute *out)
{
  int count = rtnl_route_get_nnexthops (in);

  for (int i = 0; i < count && out->n_nexthops < KS_ROUTE_MAX_NEXTHOPS; i++) {
    struct rtnl_nexthop *hop = rtnl_route_nexthop_n (in, i);
    guint flags = rtnl_route_nh_get_flags (hop) | (count == 1 ? rtnl_route_get_flags (in) : 0);
    KsNexthop *to;

    if (flags & RTNH_F_DEAD)
      continue;
    to = &out->nexthops[out->n_nexthops++];
    to->ifindex = rtnl_route_nh_get_ifindex (hop);
    to->gateway = gateway_of (hop, out->family);
    to->weight = count > 1 ? rtnl_route_nh_get_weight (hop) : 0;
    to->onlink = (flags & RTNH_F_ONLINK) != 0;
  }
}

static gboolean
carries (guint8 type)
{
  return type != RTN_BLACKHOLE && type != RTN_UNREACHABLE && type != RTN_PROHIBIT && type != RTN_THROW;
}

/* Without next hops if the route is @encapsulated: a copy would send without the encapsulation. */
static KsRoute
from_libnl (NlRoute *in, gboolean encapsulated)
{
  KsRoute route;

  /* all of it, padding included: equal routes have equal bytes (ks-unchanged.c) */
  memset (&route, 0, sizeof route);
  route.family = rtnl_route_get_family (in);
  route.table = rtnl_route_get_table (in);
  route.protocol = rtnl_route_get_protocol (in);
  route.type = rtnl_route_get_type (in);
  route.tos = rtnl_route_get_tos (in);
  route.metric = rtnl_route_get_priority (in);
  route.scope = route.family == AF_INET6 ? RT_SCOPE_UNIVERSE : rtnl_route_get_scope (in);
  route.dst = prefix_of (rtnl_route_get_dst (in), route.family);
  route.dst.family = route.family;
  route.src = prefix_of (rtnl_route_get_src (in), route.family);
  route.prefsrc = prefix_of (rtnl_route_get_pref_src (in), route.family);
  /* the congestion control algorithm is a name, which libnl takes for a number; transports do not need it */
  for (int i = 1; i <= RTAX_MAX; i++)
    if (i != RTAX_CC_ALGO)
      rtnl_route_get_metric (in, i, &route.metrics[i]);
  /* IPv6 shows blocking routes as routes through the loopback device */
  if (carries (route.type) && !encapsulated)
    get_nexthops (in, &route);
  return route;
}

/*
 * libnl trusts the lengths in a message: an address shorter than its header, or
 * a next hop of length zero, makes it write beyond its memory or loop for ever
 * (3.7, found by fuzzing).
 */
static gboolean is_sound_multipath (const struct nlattr *attribute, int family);

static gboolean
is_sound (const struct nlattr *attribute, int family)
{
  int address_length = family == AF_INET6 ? 16 : 4;
  int length = nla_len (attribute);

  switch (nla_type (attribute)) {
  case RTA_DST:
  case RTA_SRC:
  case RTA_GATEWAY:
  case RTA_PREFSRC:
    return length == address_length;
  case RTA_VIA:
    return length == (int) sizeof (struct rtvia) + 4 || length == (int) sizeof (struct rtvia) + 16;
  case RTA_MULTIPATH:
    return is_sound_multipath (attribute, family);
  default:
    return TRUE;
  }
}

static gboolean
is_sound_multipath (const struct nlattr *attribute, int family)
{
  const struct rtnexthop *hop = nla_data (attribute);
  int length = nla_len (attribute);

  for (; length >= (int) sizeof *hop; hop = RTNH_NEXT (hop)) {
    const struct nlattr *inner = (const struct nlattr *) (gconstpointer) RTNH_DATA (hop);
    int remaining;

    /* the kernel aligns next hops; after one that is not aligned, libnl's count goes below zero */
    if (!RTNH_OK (hop, length) || (int) RTNH_ALIGN (hop->rtnh_len) > length)
      return FALSE;
    remaining = hop->rtnh_len - RTNH_LENGTH (0);
    for (; nla_ok (inner, remaining); inner = nla_next (inner, &remaining))
      if (nla_type (inner) == RTA_MULTIPATH || !is_sound (inner, family))
        return FALSE;
    length -= RTNH_ALIGN (hop->rtnh_len);
  }
  return TRUE;
}

static gboolean
is_sound_message (struct nlmsghdr *header, int family)
{
  struct nlattr *attribute;
  int remaining;

  nlmsg_for_each_attr (attribute, header, sizeof (struct rtmsg), remaining)
    if (!is_sound (attribute, family))
      return FALSE;
  return TRUE;
}

/* Whether one of the attributes that begin at @attribute is of @type. */
static gboolean
has_attribute (const struct nlattr *attribute, int remaining, int type)
{
  for (; nla_ok (attribute, remaining); attribute = nla_next (attribute, &remaining))
    if (nla_type (attribute) == type)
      return TRUE;
  return FALSE;
}

/* Turns the attributes of @type that begin at @attribute into padding. */
static void
hide_attribute (struct nlattr *attribute, int remaining, int type)
{
  for (; nla_ok (attribute, remaining); attribute = nla_next (attribute, &remaining))
    if (nla_type (attribute) == type)
      attribute->nla_type = RTA_PAD;
}

/* The next hops of @header, whose message is_sound_message() has checked; NULL if it has no more than one. */
static struct nlattr *
multipath_of (struct nlmsghdr *header)
{
  return nlmsg_find_attr (header, sizeof (struct rtmsg), RTA_MULTIPATH);
}

static gboolean
is_encapsulated (struct nlmsghdr *header)
{
  const struct nlattr *multipath = multipath_of (header);
  const struct rtnexthop *hop = multipath ? nla_data (multipath) : NULL;
  int length = multipath ? nla_len (multipath) : 0;

  if (nlmsg_find_attr (header, sizeof (struct rtmsg), RTA_ENCAP))
    return TRUE;
  for (; length >= (int) sizeof *hop; length -= RTNH_ALIGN (hop->rtnh_len), hop = RTNH_NEXT (hop))
    if (has_attribute ((const struct nlattr *) (gconstpointer) RTNH_DATA (hop), hop->rtnh_len - RTNH_LENGTH (0),
                       RTA_ENCAP))
      return TRUE;
  return FALSE;
}

/*
 * A copy of the message @header without the encapsulations (transfer full). libnl
 * refuses a route with one that it does not know, which is any but MPLS (3.7,
 * lib/route/nh_encap.c); one foreign route with `encap seg6` or `encap bpf` would
 * then keep every run from reading the kernel, `release` included (run, 6.18).
 */
static KsNlMessage *
without_encapsulation (struct nlmsghdr *header)
{
  g_autoptr (KsNlMessage) copy = nlmsg_convert (header);
  struct nlattr *multipath;
  struct rtnexthop *hop;
  int length;

  if (!copy)
    return NULL;
  header = nlmsg_hdr (copy);
  hide_attribute (nlmsg_attrdata (header, sizeof (struct rtmsg)), nlmsg_attrlen (header, sizeof (struct rtmsg)),
                  RTA_ENCAP);
  multipath = multipath_of (header);
  hop = multipath ? nla_data (multipath) : NULL;
  length = multipath ? nla_len (multipath) : 0;
  for (; length >= (int) sizeof *hop; length -= RTNH_ALIGN (hop->rtnh_len), hop = RTNH_NEXT (hop))
    hide_attribute ((struct nlattr *) (gpointer) RTNH_DATA (hop), hop->rtnh_len - RTNH_LENGTH (0), RTA_ENCAP);
  return g_steal_pointer (&copy);
}

gboolean
ks_route_message_parse (struct nlmsghdr *header, KsRoute *out)
{
  g_autoptr (KsNlMessage) plain = NULL;
  g_autoptr (NlRoute) object = NULL;
  const struct rtmsg *route_header;

  if ((header->nlmsg_type != RTM_NEWROUTE && header->nlmsg_type != RTM_DELROUTE)
      || !nlmsg_valid_hdr (header, sizeof *route_header))
    return FALSE;
  route_header = nlmsg_data (header);
  if (route_header->rtm_family != AF_INET && route_header->rtm_family != AF_INET6)
    return FALSE;
  if (!is_sound_message (header, route_header->rtm_family))
    return FALSE;
  if (is_encapsulated (header) && !(plain = without_encapsulation (header)))
    return FALSE;
  if (rtnl_route_parse (plain ? nlmsg_hdr (plain) : header, &object) < 0)
    return FALSE;
  *out = from_libnl (object, plain != NULL);
  return TRUE;
}
