/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "selftest/ks-selftest-link.h"

#include <errno.h>
#include <linux/if_link.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>

#include "base/ks-error.h"
#include "kernel/ks-lookup.h"
#include "kernel/ks-route-message.h"

#define ADDRESS_STEP_US 500
#define ADDRESS_TRIES 4000

/* Sends @message; its purpose is named in the error. */
static gboolean
request (KsNlSocket *socket, KsNlMessage *message, GError **error, const char *format, ...) G_GNUC_PRINTF (4, 5);

static gboolean
request (KsNlSocket *socket, KsNlMessage *message, GError **error, const char *format, ...)
{
  int result = message ? ks_netlink_request (socket, message) : ENOMEM;
  g_autofree char *what = NULL;
  va_list arguments;

  if (result == 0)
    return TRUE;
  va_start (arguments, format);
  what = g_strdup_vprintf (format, arguments);
  va_end (arguments);
  g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "%s: %s", what, g_strerror (result));
  return FALSE;
}

/* --- devices --- */

static KsNlMessage *
link_message (int type, int flags, const struct ifinfomsg *header, const char *name)
{
  g_autoptr (KsNlMessage) message = nlmsg_alloc_simple (type, flags);

  if (!message || nlmsg_append (message, (void *) header, sizeof *header, NLMSG_ALIGNTO) < 0
      || nla_put_string (message, IFLA_IFNAME, name) < 0)
    return NULL;
  return g_steal_pointer (&message);
}

/* The kind of the device: veth, with a description of the other end. */
static gboolean
put_veth (KsNlMessage *message, const char *peer, int peer_namespace)
{
  struct ifinfomsg header = { .ifi_family = AF_UNSPEC };
  struct nlattr *info = nla_nest_start (message, IFLA_LINKINFO);
  struct nlattr *data, *other;

  if (!info || nla_put_string (message, IFLA_INFO_KIND, "veth") < 0)
    return FALSE;
  data = nla_nest_start (message, IFLA_INFO_DATA);
  other = data ? nla_nest_start (message, VETH_INFO_PEER) : NULL;
  if (!other || nlmsg_append (message, &header, sizeof header, NLMSG_ALIGNTO) < 0
      || nla_put_string (message, IFLA_IFNAME, peer) < 0
      || nla_put_u32 (message, IFLA_NET_NS_FD, (guint32) peer_namespace) < 0)
    return FALSE;
  nla_nest_end (message, other);
  nla_nest_end (message, data);
  nla_nest_end (message, info);
  return TRUE;
}

gboolean
ks_selftest_link_add_veth (KsNlSocket *socket, const char *name, const char *peer, int peer_namespace, GError **error)
{
  struct ifinfomsg header = { .ifi_family = AF_UNSPEC };
  g_autoptr (KsNlMessage) message = link_message (RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &header, name);

  if (message && !put_veth (message, peer, peer_namespace))
    g_clear_pointer (&message, nlmsg_free);
  return request (socket, message, error, "add veth device %s", name);
}

gboolean
ks_selftest_link_delete (KsNlSocket *socket, const char *name, GError **error)
{
  struct ifinfomsg header = { .ifi_family = AF_UNSPEC };
  g_autoptr (KsNlMessage) message = link_message (RTM_DELLINK, 0, &header, name);

  return request (socket, message, error, "delete device %s", name);
}

gboolean
ks_selftest_link_up (KsNlSocket *socket, const char *name, gboolean noarp, GError **error)
{
  struct ifinfomsg header = {
    .ifi_family = AF_UNSPEC,
    .ifi_flags = IFF_UP | (noarp ? IFF_NOARP : 0),
    .ifi_change = IFF_UP | (noarp ? IFF_NOARP : 0),
  };
  g_autoptr (KsNlMessage) message = link_message (RTM_NEWLINK, 0, &header, name);

  return request (socket, message, error, "bring device %s up", name);
}

/* --- addresses --- */

static gboolean
change_address (KsNlSocket *socket, int type, const char *name, const char *address, GError **error)
{
  g_autoptr (KsNlMessage) message = nlmsg_alloc_simple (type, type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_EXCL : 0);
  KsPrefix prefix = KS_PREFIX_UNSET;
  struct ifaddrmsg header = { .ifa_index = if_nametoindex (name) };
  int length;

  if (!ks_prefix_parse (address, &prefix, error))
    return FALSE;
  header.ifa_family = prefix.family;
  header.ifa_prefixlen = prefix.length;
  header.ifa_flags = prefix.family == AF_INET6 ? IFA_F_NODAD : 0;
  length = prefix.family == AF_INET6 ? 16 : 4;
  if (message
      && (nlmsg_append (message, &header, sizeof header, NLMSG_ALIGNTO) < 0
          || nla_put (message, IFA_LOCAL, length, prefix.bytes) < 0
          || nla_put (message, IFA_ADDRESS, length, prefix.bytes) < 0))
    g_clear_pointer (&message, nlmsg_free);
  return request (socket, message, error, "%s address %s of %s", type == RTM_NEWADDR ? "add" : "delete", address, name);
}

/* Whether packets to @prefix are for the namespace itself. */
static gboolean
is_local (KsNlSocket *socket, const char *name, const KsPrefix *prefix)
{
  KsLookup lookup = { .to = ks_prefix_host (prefix), .ip_protocol = IPPROTO_UDP, .sport = 1, .dport = 1 };
  KsLookupResult result;

  /* a link-local address is looked up with its link */
  lookup.oif = ks_prefix_is_link_local (prefix) ? if_nametoindex (name) : 0;
  return ks_lookup (socket, &lookup, &result, NULL) && result.error == 0 && result.type == RTN_LOCAL;
}

gboolean
ks_selftest_link_add_address (KsNlSocket *socket, const char *name, const char *address, GError **error)
{
  KsPrefix prefix = KS_PREFIX_UNSET;

  if (!change_address (socket, RTM_NEWADDR, name, address, error) || !ks_prefix_parse (address, &prefix, error))
    return FALSE;
  /* IPv6 finishes later, even without duplicate address detection */
  for (int i = 0; i < ADDRESS_TRIES; i++) {
    if (is_local (socket, name, &prefix))
      return TRUE;
    g_usleep (ADDRESS_STEP_US);
  }
  g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "address %s of %s does not come up", address, name);
  return FALSE;
}

gboolean
ks_selftest_link_delete_address (KsNlSocket *socket, const char *name, const char *address, GError **error)
{
  return change_address (socket, RTM_DELADDR, name, address, error);
}

/* --- routes and neighbours --- */

static gboolean
change_route (KsNlSocket *socket, gboolean add, const char *destination, const char *gateway, const char *name,
              guint32 metric, GError **error)
{
  KsPrefix dst = KS_PREFIX_UNSET, via = KS_PREFIX_UNSET;
  g_autoptr (KsNlMessage) message = NULL;
  KsRoute route;

  if (!ks_prefix_parse (destination, &dst, error) || (gateway && !ks_prefix_parse (gateway, &via, error)))
    return FALSE;
  route = ks_route_via (RT_TABLE_MAIN, RTPROT_DHCP, &dst, metric, if_nametoindex (name), &via);
  message = add ? ks_route_message_add (&route) : ks_route_message_delete (&route);
  return request (socket, message, error, "%s route %s by %s", add ? "add" : "delete", destination, name);
}

gboolean
ks_selftest_link_add_route (KsNlSocket *socket, const char *destination, const char *gateway, const char *name,
                            guint32 metric, GError **error)
{
  return change_route (socket, TRUE, destination, gateway, name, metric, error);
}

gboolean
ks_selftest_link_delete_route (KsNlSocket *socket, const char *destination, const char *gateway, const char *name,
                               guint32 metric, GError **error)
{
  return change_route (socket, FALSE, destination, gateway, name, metric, error);
}

void
ks_selftest_link_forget_neighbour (KsNlSocket *socket, const char *name, const KsPrefix *address)
{
  struct ndmsg header = { .ndm_family = address->family, .ndm_ifindex = (int) if_nametoindex (name) };
  g_autoptr (KsNlMessage) message = nlmsg_alloc_simple (RTM_DELNEIGH, 0);

  if (message && nlmsg_append (message, &header, sizeof header, NLMSG_ALIGNTO) == 0
      && nla_put (message, NDA_DST, address->family == AF_INET6 ? 16 : 4, address->bytes) == 0)
    ks_netlink_request (socket, message);
}
