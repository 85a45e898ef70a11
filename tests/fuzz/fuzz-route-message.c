/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Input: what follows the header of a message of the kernel's route dump. */
#include "fuzz.h"

#include <linux/rtnetlink.h>

#include "kernel/ks-route-message.h"

void
fuzz_route_message (const uint8_t *data, size_t size)
{
  g_autofree struct nlmsghdr *message = fuzz_message (RTM_NEWROUTE, data, size);
  g_autoptr (KsNlMessage) add = NULL, delete = NULL;
  g_autofree char *text = NULL;
  KsRoute route;

  if (!ks_route_message_parse (message, &route))
    return;
  text = ks_route_format (&route);
  g_assert (route.family == AF_INET || route.family == AF_INET6);
  g_assert (route.dst.family == route.family && route.dst.length <= ks_prefix_full_length (route.family));
  g_assert (route.n_nexthops <= KS_ROUTE_MAX_NEXTHOPS);
  add = ks_route_message_add (&route);
  delete = ks_route_message_delete (&route);
}

KS_FUZZ_ENTRY (fuzz_route_message)
