/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/ks-kernel.h"

#include <errno.h>
#include <netlink/route/link.h>
#include <unistd.h>

#include "kernel/ks-netlink.h"
#include "kernel/ks-route-message.h"
#include "kernel/ks-rule-message.h"
#include "ks-error.h"

/* A dump that is interrupted this often will not be better the next time: fail closed. */
#define DUMP_TRIES 8

struct _KsKernel {
  KsNlSocket *socket;
};

void
ks_snapshot_free (KsSnapshot *self)
{
  g_array_unref (self->rules);
  g_array_unref (self->routes);
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

static gboolean
collect_route (struct nlmsghdr *header, gpointer user_data)
{
  KsRoute route;

  if (!ks_route_message_parse (header, &route))
    return FALSE;
  g_array_append_val ((GArray *) user_data, route);
  return TRUE;
}

/* Dumps by @request into @out; repeats while somebody else's changes interrupt. */
static gboolean
dump (KsKernel *self, KsNlMessage *(*request) (int, guint32), int family, guint32 table, KsNetlinkFunc func, GArray *out,
      GError **error)
{
  guint before = out->len;
  int result = EINTR;

  for (int i = 0; i < DUMP_TRIES && result == EINTR; i++) {
    g_autoptr (KsNlMessage) message = request (family, table);

    g_array_set_size (out, before);
    result = message ? ks_netlink_dump (self->socket, message, func, out) : ENOMEM;
  }
  /* strict checking: a table nobody has put a route into does not exist */
  if (result == 0 || (result == ENOENT && func == collect_route))
    return TRUE;
  if (func == collect_rule && result == EOPNOTSUPP)
    g_set_error (error, KS_ERROR, KS_ERROR_UNSUPPORTED,
                 "this kernel has no policy routing for %s (CONFIG_IP%s_MULTIPLE_TABLES)",
                 family == AF_INET6 ? "IPv6" : "IPv4", family == AF_INET6 ? "V6" : "");
  else
    g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "cannot dump %s %s of the kernel: %s",
                 family == AF_INET6 ? "IPv6" : "IPv4", func == collect_rule ? "rules" : "routes", g_strerror (result));
  return FALSE;
}

static KsNlMessage *
rule_dump_request (int family, guint32 table G_GNUC_UNUSED)
{
  return ks_rule_message_dump (family);
}

/* Without IPv6 there is no such directory, and requests about it are refused in a way of their own. */
static gboolean
is_ipv6_absent (void)
{
  return access ("/proc/sys/net/ipv6", F_OK) < 0 && access ("/proc/sys/net/ipv4", F_OK) == 0;
}

KsSnapshot *
ks_kernel_dump (KsKernel *self, const KsConfig *config, GError **error)
{
  const guint32 tables[] = { config->table, config->tunnel_table, config->uplink_table, RT_TABLE_MAIN };
  static const int families[] = { AF_INET, AF_INET6 };
  g_autoptr (KsSnapshot) snapshot = g_new0 (KsSnapshot, 1);

  snapshot->rules = g_array_new (FALSE, FALSE, sizeof (KsRule));
  snapshot->routes = g_array_new (FALSE, FALSE, sizeof (KsRoute));
  snapshot->no_ipv6 = is_ipv6_absent ();
  for (guint i = 0; i < (snapshot->no_ipv6 ? 1 : G_N_ELEMENTS (families)); i++) {
    if (!dump (self, rule_dump_request, families[i], 0, collect_rule, snapshot->rules, error))
      return NULL;
    for (guint j = 0; j < G_N_ELEMENTS (tables); j++)
      if (!dump (self, ks_route_message_dump, families[i], tables[j], collect_route, snapshot->routes, error))
        return NULL;
  }
  return g_steal_pointer (&snapshot);
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

/* Whether the kernel's refusal means that the step is done: there already, or gone already. */
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
  gboolean has_ports = step->kind == KS_STEP_ADD_RULE
                       && (step->rule.ip_protocol || step->rule.sport.first || step->rule.dport.first);

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

static gboolean
is_deletion (const KsStep *step)
{
  return step->kind == KS_STEP_DELETE_RULE || step->kind == KS_STEP_DELETE_ROUTE;
}

gboolean
ks_kernel_apply (KsKernel *self, const GArray *plan, guint *changes, GError **error)
{
  gboolean failed = FALSE;
  gboolean blocker_failed = FALSE;

  for (guint i = 0; i < plan->len; i++) {
    const KsStep *step = &g_array_index (plan, KsStep, i);
    g_autoptr (KsNlMessage) message = NULL;
    int result;

    if (blocker_failed && is_deletion (step))
      continue;
    message = step_message (step);
    result = message ? ks_netlink_request (self->socket, message) : ENOMEM;
    if (result == 0) {
      (*changes)++;
    } else if (!is_done_already (step, result)) {
      if (!failed)
        set_step_error (error, step, result);
      failed = TRUE;
      blocker_failed = blocker_failed || step->blocks;
    }
  }
  return !failed;
}

/* A link by name; 0 index when there is none. */
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

gboolean
ks_kernel_link_exists (KsKernel *self, const char *interface)
{
  guint flags = 0;

  return find_link (self, interface, &flags) != 0;
}
