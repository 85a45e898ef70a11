/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/ks-kernel.h"

#include <errno.h>
#include <linux/if_arp.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/route/link.h>
#include <string.h>
#include <unistd.h>

#include "base/ks-error.h"
#include "kernel/ks-netlink.h"
#include "kernel/ks-route-message.h"
#include "kernel/ks-rule-message.h"
#include "value/ks-interface.h"

/* A dump interrupted this often will not get better: fail closed. */
#define DUMP_TRIES 8

struct _KsKernel {
  KsNlSocket *socket;
};

void
ks_snapshot_free (KsSnapshot *self)
{
  g_clear_pointer (&self->rules, g_array_unref);
  g_clear_pointer (&self->routes, g_array_unref);
  g_clear_pointer (&self->addresses, g_array_unref);
  g_clear_pointer (&self->tunnel_links, g_array_unref);
  g_clear_pointer (&self->offload_links, g_array_unref);
  g_free (self);
}

KsKernel *
ks_kernel_new (GError **error)
{
  KsNlSocket *socket = ks_netlink_open (error);
  KsKernel *self;

  if (!socket)
    return NULL;
  self = g_new0 (KsKernel, 1);
  self->socket = socket;
  return self;
}

void
ks_kernel_free (KsKernel *self)
{
  nl_socket_free (self->socket);
  g_free (self);
}

static gboolean
collect_rule (struct nlmsghdr *header, gpointer user_data)
{
  KsRule rule;

  if (!ks_rule_message_parse (header, &rule))
    return FALSE;
  g_array_append_val ((GArray *) user_data, rule);
  return TRUE;
}

/*
 * To the kernel, IPv6 next hops are separate routes, but it shows some of them
 * as one route: those added without a lifetime. Split up, each can be added or
 * deleted without the others, and the defaults of two router advertisements are
 * the same in table 85 as in main. Weights are lost.
 */
static void
append_apart (GArray *routes, const KsRoute *route)
{
  for (guint i = 0; i < route->n_nexthops; i++) {
    KsRoute one = *route;

    memset (one.nexthops, 0, sizeof one.nexthops);
    one.n_nexthops = 1;
    one.nexthops[0] = route->nexthops[i];
    one.nexthops[0].weight = 0;
    g_array_append_val (routes, one);
  }
}

static gboolean
collect_route (struct nlmsghdr *header, gpointer user_data)
{
  KsRoute route;

  if (!ks_route_message_parse (header, &route))
    return FALSE;
  if (route.family == AF_INET6 && route.n_nexthops > 1)
    append_apart (user_data, &route);
  else
    g_array_append_val ((GArray *) user_data, route);
  return TRUE;
}

static KsNlMessage *
address_dump_request (int family, guint32 table G_GNUC_UNUSED)
{
  g_autoptr (KsNlMessage) message = nlmsg_alloc_simple (RTM_GETADDR, 0);
  struct ifaddrmsg header = { .ifa_family = family };

  if (!message || nlmsg_append (message, &header, sizeof header, NLMSG_ALIGNTO) < 0)
    return NULL;
  return g_steal_pointer (&message);
}

/* IFA_ADDRESS is the peer's address if there is one; IFA_LOCAL is ours, and IPv6 has it only in that case. */
static gboolean
collect_address (struct nlmsghdr *header, gpointer user_data)
{
  const struct ifaddrmsg *message;
  const struct nlattr *attribute;
  KsAddress address;

  if (header->nlmsg_type != RTM_NEWADDR || !nlmsg_valid_hdr (header, sizeof *message))
    return FALSE;
  message = nlmsg_data (header);
  attribute = nlmsg_find_attr (header, sizeof *message, IFA_LOCAL);
  if (!attribute)
    attribute = nlmsg_find_attr (header, sizeof *message, IFA_ADDRESS);
  if ((message->ifa_family != AF_INET && message->ifa_family != AF_INET6) || !attribute
      || nla_len (attribute) != (message->ifa_family == AF_INET6 ? 16 : 4)
      || message->ifa_prefixlen > ks_prefix_full_length (message->ifa_family))
    return FALSE;
  memset (&address, 0, sizeof address); /* the padding too, for ks-unchanged.c */
  address.prefix = ks_prefix_from_bytes (message->ifa_family, nla_data (attribute), message->ifa_prefixlen);
  address.ifindex = message->ifa_index;
  g_array_append_val ((GArray *) user_data, address);
  return TRUE;
}

static KsNlMessage *
link_dump_request (int family G_GNUC_UNUSED, guint32 table G_GNUC_UNUSED)
{
  g_autoptr (KsNlMessage) message = nlmsg_alloc_simple (RTM_GETLINK, 0);
  struct ifinfomsg header = { .ifi_family = AF_UNSPEC };

  if (!message || nlmsg_append (message, &header, sizeof header, NLMSG_ALIGNTO) < 0)
    return NULL;
  return g_steal_pointer (&message);
}

/*
 * A device that a software driver creates has a kind (IFLA_INFO_KIND); a tunnel without one is at least no ethernet.
 * A device stacked on others may well send through a network card.
 */
static gboolean
is_hardware (const struct ifinfomsg *message, const char *kind)
{
  if (message->ifi_type == ARPHRD_LOOPBACK)
    return TRUE;
  if (kind)
    return ks_interface_kind_is_stacked (kind);
  return message->ifi_type == ARPHRD_ETHER || message->ifi_type == ARPHRD_IEEE80211;
}

/* The device's kind; NULL if it has none. */
static const char *
link_kind (struct nlmsghdr *header)
{
  const struct nlattr *info = nlmsg_find_attr (header, sizeof (struct ifinfomsg), IFLA_LINKINFO);
  const struct nlattr *kind = ks_netlink_find_nested (info, IFLA_INFO_KIND);

  return kind && memchr (nla_data (kind), '\0', nla_len (kind)) ? nla_data (kind) : NULL;
}

/* 0 for a device without that attribute. */
static guint32
link_number (struct nlmsghdr *header, int type)
{
  const struct nlattr *attribute = nlmsg_find_attr (header, sizeof (struct ifinfomsg), type);

  return attribute && nla_len (attribute) == sizeof (guint32) ? nla_get_u32 (attribute) : 0;
}

/* Whether the device's counter of received packets is there and 0. */
static gboolean
is_mute (struct nlmsghdr *header)
{
  const struct nlattr *attribute = nlmsg_find_attr (header, sizeof (struct ifinfomsg), IFLA_STATS64);
  struct rtnl_link_stats64 stats = { .rx_packets = 0 };

  if (!attribute)
    return FALSE;
  memcpy (&stats, nla_data (attribute), MIN (sizeof stats, (gsize) nla_len (attribute)));
  return stats.rx_packets == 0;
}

static gboolean
collect_link (struct nlmsghdr *header, gpointer user_data)
{
  const struct ifinfomsg *message;
  const struct nlattr *name, *address;
  const char *kind = NULL;
  KsLink link = { 0 };

  if (header->nlmsg_type != RTM_NEWLINK || !nlmsg_valid_hdr (header, sizeof *message))
    return FALSE;
  message = nlmsg_data (header);
  name = nlmsg_find_attr (header, sizeof *message, IFLA_IFNAME);
  if (!name || nla_len (name) < 1)
    return FALSE;
  link.ifindex = (guint) message->ifi_index;
  g_strlcpy (link.name, nla_data (name), MIN (sizeof link.name, (gsize) nla_len (name)));
  link.is_up = (message->ifi_flags & IFF_UP) != 0;
  kind = link_kind (header);
  g_strlcpy (link.kind, kind ? kind : "", sizeof link.kind);
  link.master = link_number (header, IFLA_MASTER);
  link.lower = link_number (header, IFLA_LINK);
  address = nlmsg_find_attr (header, sizeof *message, IFLA_ADDRESS);
  if (address && nla_len (address) == KS_LINK_ADDRESS)
    memcpy (link.address, nla_data (address), KS_LINK_ADDRESS);
  link.is_mute = is_mute (header);
  link.is_hardware = is_hardware (message, kind);
  link.is_tunnel = kind && ks_interface_kind_is_tunnel (kind);
  link.is_offload = kind && ks_interface_kind_is_offload (kind);
  g_array_append_val ((GArray *) user_data, link);
  return TRUE;
}

static KsNlMessage *
station_dump_request (int family G_GNUC_UNUSED, guint32 table G_GNUC_UNUSED)
{
  g_autoptr (KsNlMessage) message = nlmsg_alloc_simple (RTM_GETNEIGH, 0);
  struct ndmsg header = { .ndm_family = AF_BRIDGE };

  if (!message || nlmsg_append (message, &header, sizeof header, NLMSG_ALIGNTO) < 0)
    return NULL;
  return g_steal_pointer (&message);
}

/* Takes only the devices' own filters (NTF_SELF) from the forwarding databases, without group addresses. */
static gboolean
collect_station (struct nlmsghdr *header, gpointer user_data)
{
  const struct ndmsg *message;
  const struct nlattr *address;
  KsStation station = { 0 };

  if (header->nlmsg_type != RTM_NEWNEIGH || !nlmsg_valid_hdr (header, sizeof *message))
    return FALSE;
  message = nlmsg_data (header);
  address = nlmsg_find_attr (header, sizeof *message, NDA_LLADDR);
  if (!(message->ndm_flags & NTF_SELF) || !address || nla_len (address) != KS_LINK_ADDRESS)
    return TRUE;
  station.ifindex = (guint) message->ndm_ifindex;
  memcpy (station.address, nla_data (address), KS_LINK_ADDRESS);
  if (!(station.address[0] & 1))
    g_array_append_val ((GArray *) user_data, station);
  return TRUE;
}

/* Dumps by @request into @out; repeats while changes by other programs interrupt it. */
static gboolean
dump (KsKernel *self, KsNlMessage *(*request) (int, guint32), int family, guint32 table, KsNetlinkFunc func,
      GArray *out, GError **error)
{
  guint before = out->len;
  int result = EINTR;

  for (int i = 0; i < DUMP_TRIES && result == EINTR; i++) {
    g_autoptr (KsNlMessage) message = request (family, table);

    g_array_set_size (out, before);
    result = message ? ks_netlink_dump (self->socket, message, func, out) : ENOMEM;
  }
  /* strict checking: a table that never had a route does not exist */
  if (result == 0 || (result == ENOENT && func == collect_route))
    return TRUE;
  if (func == collect_rule && result == EOPNOTSUPP)
    g_set_error (error, KS_ERROR, KS_ERROR_UNSUPPORTED,
                 "this kernel has no policy routing for %s (CONFIG_IP%s_MULTIPLE_TABLES)",
                 family == AF_INET6 ? "IPv6" : "IPv4", family == AF_INET6 ? "V6" : "");
  else
    g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "cannot dump %s %s of the kernel: %s",
                 family == AF_INET6 ? "IPv6" : "IPv4",
                 func == collect_rule      ? "rules"
                 : func == collect_route   ? "routes"
                 : func == collect_link    ? "links"
                 : func == collect_station ? "link-layer addresses"
                                           : "addresses",
                 g_strerror (result));
  return FALSE;
}

static KsNlMessage *
rule_dump_request (int family, guint32 table G_GNUC_UNUSED)
{
  return ks_rule_message_dump (family);
}

/* Without IPv6 there is no such directory, and requests about it fail in a different way. */
static gboolean
is_ipv6_absent (void)
{
  return access ("/proc/sys/net/ipv6", F_OK) < 0 && access ("/proc/sys/net/ipv4", F_OK) == 0;
}

static gboolean
is_same_list (const GArray *a, const GArray *b)
{
  if (a->len != b->len)
    return FALSE;
  for (guint i = 0; i < a->len; i++)
    if (!ks_rule_equal (&g_array_index (a, KsRule, i), &g_array_index (b, KsRule, i)))
      return FALSE;
  return TRUE;
}

/*
 * Dumps until two dumps in a row are the same. The kernel does not flag an
 * interrupted dump of rules, and resumes one by counting (dump_rules(),
 * net/core/fib_rules.c): a rule added or deleted meanwhile makes another one
 * appear twice or not at all, and we would delete one of the two, which is the
 * only one there is (run). From the second dump on, some 300 rules come in one
 * piece.
 */
static gboolean
dump_rules (KsKernel *self, int family, GArray *out, GError **error)
{
  g_autoptr (GArray) last = g_array_new (FALSE, FALSE, sizeof (KsRule));

  if (!dump (self, rule_dump_request, family, 0, collect_rule, last, error))
    return FALSE;
  for (int i = 0; i < DUMP_TRIES; i++) {
    g_autoptr (GArray) again = g_array_new (FALSE, FALSE, sizeof (KsRule));

    if (!dump (self, rule_dump_request, family, 0, collect_rule, again, error))
      return FALSE;
    if (is_same_list (last, again)) {
      g_array_append_vals (out, again->data, again->len);
      return TRUE;
    }
    g_clear_pointer (&last, g_array_unref);
    last = g_steal_pointer (&again);
  }
  g_set_error (error, KS_ERROR, KS_ERROR_KERNEL,
               "cannot dump %s rules of the kernel: another program keeps changing them",
               family == AF_INET6 ? "IPv6" : "IPv4");
  return FALSE;
}

static gboolean
collect_tunnel_links (KsKernel *self, KsSnapshot *out, GError **error)
{
  g_autoptr (GArray) links = ks_kernel_dump_links (self, error);

  for (guint i = 0; links && i < links->len; i++) {
    const KsLink *link = &g_array_index (links, KsLink, i);

    if (link->is_tunnel)
      g_array_append_val (out->tunnel_links, link->ifindex);
    if (link->is_offload)
      g_array_append_val (out->offload_links, link->ifindex);
  }
  return links != NULL;
}

KsSnapshot *
ks_kernel_dump (KsKernel *self, const KsConfig *config, GError **error)
{
  const guint32 tables[] = { config->table, config->tunnel_table, config->uplink_table, config->servers_table,
                             RT_TABLE_MAIN };
  static const int families[] = { AF_INET, AF_INET6 };
  g_autoptr (KsSnapshot) snapshot = g_new0 (KsSnapshot, 1);

  snapshot->rules = g_array_new (FALSE, FALSE, sizeof (KsRule));
  snapshot->routes = g_array_new (FALSE, FALSE, sizeof (KsRoute));
  snapshot->addresses = g_array_new (FALSE, FALSE, sizeof (KsAddress));
  snapshot->tunnel_links = g_array_new (FALSE, FALSE, sizeof (guint));
  snapshot->offload_links = g_array_new (FALSE, FALSE, sizeof (guint));
  snapshot->no_ipv6 = is_ipv6_absent ();
  for (guint i = 0; i < (snapshot->no_ipv6 ? 1 : G_N_ELEMENTS (families)); i++) {
    if (!dump_rules (self, families[i], snapshot->rules, error))
      return NULL;
    for (guint j = 0; j < G_N_ELEMENTS (tables); j++)
      if (!dump (self, ks_route_message_dump, families[i], tables[j], collect_route, snapshot->routes, error))
        return NULL;
    for (guint j = 0; j < KS_MANAGEMENT_TABLES; j++)
      if (!dump (self, ks_route_message_dump, families[i], config->management_table + j, collect_route,
                 snapshot->routes, error))
        return NULL;
    if (!dump (self, address_dump_request, families[i], 0, collect_address, snapshot->addresses, error))
      return NULL;
  }
  if (!collect_tunnel_links (self, snapshot, error))
    return NULL;
  return g_steal_pointer (&snapshot);
}

static int
compare_links (gconstpointer a, gconstpointer b)
{
  const KsLink *first = a, *second = b;

  return first->ifindex < second->ifindex ? -1 : first->ifindex > second->ifindex;
}

GArray *
ks_kernel_dump_links (KsKernel *self, GError **error)
{
  g_autoptr (GArray) links = g_array_new (FALSE, FALSE, sizeof (KsLink));

  if (!dump (self, link_dump_request, AF_UNSPEC, 0, collect_link, links, error))
    return NULL;
  g_array_sort (links, compare_links);
  return g_steal_pointer (&links);
}

GArray *
ks_kernel_dump_stations (KsKernel *self, GError **error)
{
  g_autoptr (GArray) stations = g_array_new (FALSE, FALSE, sizeof (KsStation));

  return dump (self, station_dump_request, AF_UNSPEC, 0, collect_station, stations, error) ? g_steal_pointer (&stations)
                                                                                           : NULL;
}

GArray *
ks_kernel_dump_all_routes (KsKernel *self, GError **error)
{
  static const int families[] = { AF_INET, AF_INET6 };
  g_autoptr (GArray) routes = g_array_new (FALSE, FALSE, sizeof (KsRoute));

  for (guint i = 0; i < (is_ipv6_absent () ? 1 : G_N_ELEMENTS (families)); i++)
    if (!dump (self, ks_route_message_dump, families[i], RT_TABLE_UNSPEC, collect_route, routes, error))
      return NULL;
  return g_steal_pointer (&routes);
}

static KsNlMessage *
step_message (const KsStep *step)
{
  switch (step->kind) {
  case KS_STEP_ADD_RULE:
    return ks_rule_message_add (&step->rule);
  case KS_STEP_DELETE_RULE:
    return ks_rule_message_delete (&step->rule);
  case KS_STEP_ADD_ROUTE:
    return ks_route_message_add (&step->route);
  case KS_STEP_DELETE_ROUTE:
    return ks_route_message_delete (&step->route);
  default:
    g_return_val_if_reached (NULL);
  }
}

/* Whether the kernel's refusal means that the step is done: the object already exists, or is already gone. */
static gboolean
is_done_already (const KsStep *step, int result)
{
  switch (step->kind) {
  case KS_STEP_ADD_RULE:
  case KS_STEP_ADD_ROUTE:
    return result == EEXIST;
  case KS_STEP_DELETE_RULE:
    return result == ENOENT;
  case KS_STEP_DELETE_ROUTE:
    return result == ESRCH || result == ENODEV;
  default:
    return FALSE;
  }
}

static void
set_step_error (GError **error, const KsStep *step, int result)
{
  g_autofree char *text = ks_step_format (step);
  gboolean has_ports =
    step->kind == KS_STEP_ADD_RULE && (step->rule.ip_protocol || step->rule.sport.first || step->rule.dport.first);

  if (result == EPERM)
    g_set_error (error, KS_ERROR, KS_ERROR_PERMISSION, "not permitted: changing rules and routes needs CAP_NET_ADMIN");
  else if (step->kind == KS_STEP_ADD_RULE && result == EOPNOTSUPP)
    g_set_error (error, KS_ERROR, KS_ERROR_UNSUPPORTED, "this kernel has no policy routing for %s: %s",
                 step->rule.family == AF_INET6 ? "IPv6" : "IPv4", text);
  else if (has_ports && (result == EINVAL || result == ERANGE))
    g_set_error (error, KS_ERROR, KS_ERROR_UNSUPPORTED,
                 "this kernel has no protocol and port selectors in rules (Linux 4.17 has): %s", text);
  else
    g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "%s: %s", text, g_strerror (result));
}

typedef struct {
  KsKernel *kernel;
  guint *changes;
  GError **error;
  gboolean failed;
} Application;

static gboolean
take_step (const KsStep *step, gpointer user_data)
{
  Application *application = user_data;
  g_autoptr (KsNlMessage) message = step_message (step);
  int result = message ? ks_netlink_request (application->kernel->socket, message) : ENOMEM;

  if (result == 0)
    (*application->changes)++;
  if (result == 0 || is_done_already (step, result))
    return TRUE;
  if (!application->failed)
    set_step_error (application->error, step, result);
  application->failed = TRUE;
  return FALSE;
}

gboolean
ks_kernel_apply (KsKernel *self, const GArray *plan, guint *changes, GError **error)
{
  Application application = { .kernel = self, .changes = changes, .error = error };

  return ks_plan_take (plan, take_step, &application);
}

/* A link by name; index 0 if there is none. */
static guint
find_link (KsKernel *self, const char *interface, guint *flags)
{
  struct rtnl_link *link = NULL;
  guint index;

  if (rtnl_link_get_kernel (self->socket, 0, interface, &link) < 0)
    return 0;
  index = rtnl_link_get_ifindex (link);
  *flags = rtnl_link_get_flags (link);
  rtnl_link_put (link);
  return index;
}

guint
ks_kernel_link_index (KsKernel *self, const char *interface)
{
  guint flags = 0;
  guint index = find_link (self, interface, &flags);

  return flags & IFF_UP ? index : 0;
}
