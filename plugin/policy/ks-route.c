/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/ks-route.h"

#include <string.h>

KsRoute
ks_route_init (guint32 table, guint8 protocol, const KsPrefix *dst, guint32 metric)
{
  return (KsRoute){
    .family = dst->family,
    .table = table,
    .protocol = protocol,
    .type = RTN_UNICAST,
    .scope = RT_SCOPE_UNIVERSE,
    .dst = ks_prefix_network (dst),
    .metric = metric,
  };
}

KsRoute
ks_route_blackhole (guint32 table, guint8 protocol, const KsPrefix *dst, guint32 metric)
{
  KsRoute route = ks_route_init (table, protocol, dst, metric);

  route.type = RTN_BLACKHOLE;
  return route;
}

KsRoute
ks_route_via (guint32 table, guint8 protocol, const KsPrefix *dst, guint32 metric, guint ifindex,
              const KsPrefix *gateway)
{
  KsRoute route = ks_route_init (table, protocol, dst, metric);

  route.n_nexthops = 1;
  route.nexthops[0].ifindex = ifindex;
  if (ks_prefix_is_set (gateway)) {
    route.nexthops[0].gateway = *gateway;
    /* The tunnel says who its gateway is; looking it up in the routing tables
     * would make one route depend on the order in which others were added. */
    route.nexthops[0].onlink = TRUE;
  } else if (route.family == AF_INET) {
    route.scope = RT_SCOPE_LINK;
  }
  return route;
}

gboolean
ks_route_is_default (const KsRoute *self)
{
  return self->dst.length == 0;
}

gboolean
ks_route_uses (const KsRoute *self, guint ifindex)
{
  for (guint i = 0; i < self->n_nexthops; i++)
    if (self->nexthops[i].ifindex == ifindex)
      return TRUE;
  return FALSE;
}

#define COMPARE(field) \
  if (a->field != b->field) \
  return a->field < b->field ? -1 : 1

static int
nexthop_compare (const KsNexthop *a, const KsNexthop *b)
{
  int order;

  COMPARE (ifindex);
  if ((order = ks_prefix_compare (&a->gateway, &b->gateway)) != 0)
    return order;
  COMPARE (weight);
  COMPARE (onlink);
  return 0;
}

int
ks_route_compare (gconstpointer first, gconstpointer second)
{
  const KsRoute *a = first, *b = second;
  int order;

  COMPARE (family);
  COMPARE (table);
  if ((order = ks_prefix_compare (&a->dst, &b->dst)) != 0)
    return order;
  if ((order = ks_prefix_compare (&a->src, &b->src)) != 0)
    return order;
  COMPARE (metric);
  COMPARE (tos);
  COMPARE (type);
  COMPARE (scope);
  COMPARE (protocol);
  if ((order = ks_prefix_compare (&a->prefsrc, &b->prefsrc)) != 0)
    return order;
  if ((order = memcmp (a->metrics, b->metrics, sizeof a->metrics)) != 0)
    return order;
  COMPARE (n_nexthops);
  for (guint i = 0; i < a->n_nexthops; i++)
    if ((order = nexthop_compare (&a->nexthops[i], &b->nexthops[i])) != 0)
      return order;
  return 0;
}

gboolean
ks_route_equal (const KsRoute *a, const KsRoute *b)
{
  return ks_route_compare (a, b) == 0;
}

/* What precedes the destination; "" for unicast. */
static const char *
type_word (guint8 type)
{
  switch (type) {
  case RTN_UNICAST:
    return "";
  case RTN_LOCAL:
    return "local ";
  case RTN_BROADCAST:
    return "broadcast ";
  case RTN_ANYCAST:
    return "anycast ";
  case RTN_MULTICAST:
    return "multicast ";
  case RTN_BLACKHOLE:
    return "blackhole ";
  case RTN_UNREACHABLE:
    return "unreachable ";
  case RTN_PROHIBIT:
    return "prohibit ";
  case RTN_THROW:
    return "throw ";
  default:
    return "other ";
  }
}

char *
ks_route_format_destination (const KsRoute *self)
{
  g_autofree char *dst = ks_prefix_format (&self->dst);
  g_autofree char *src = ks_prefix_is_set (&self->src) ? ks_prefix_format (&self->src) : NULL;

  return g_strconcat (type_word (self->type), dst, src ? " from " : NULL, src, NULL);
}

static void
format_nexthop (GString *out, const KsNexthop *hop)
{
  if (ks_prefix_is_set (&hop->gateway)) {
    g_autofree char *gateway = ks_prefix_format_address (&hop->gateway);

    g_string_append_printf (out, " via %s", gateway);
  }
  if (hop->ifindex)
    g_string_append_printf (out, " dev if%u", hop->ifindex);
  if (hop->onlink)
    g_string_append (out, " onlink");
}

char *
ks_route_format (const KsRoute *self)
{
  g_autofree char *destination = ks_route_format_destination (self);
  GString *out = g_string_new (destination);

  for (guint i = 0; i < self->n_nexthops; i++) {
    if (self->n_nexthops > 1)
      g_string_append (out, " nexthop");
    format_nexthop (out, &self->nexthops[i]);
    if (self->n_nexthops > 1)
      g_string_append_printf (out, " weight %u", self->nexthops[i].weight + 1);
  }
  g_string_append_printf (out, " table %u protocol %u metric %u", self->table, self->protocol, self->metric);
  if (ks_prefix_is_set (&self->prefsrc)) {
    g_autofree char *source = ks_prefix_format_address (&self->prefsrc);

    g_string_append_printf (out, " src %s", source);
  }
  return g_string_free (out, FALSE);
}
