/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/ks-netfilter-socket.h"

#include <netlink/socket.h>
#include <unistd.h>

/* One run leaves some ten. A process of many runs (the selftest) must not run out of descriptors. */
#define MAX_OPEN 32

typedef struct {
  gpointer owner;
  GDestroyNotify close;
} Late;

static Late late[MAX_OPEN];
static guint n_late;

static void
close_all (void)
{
  while (n_late > 0) {
    n_late--;
    late[n_late].close (late[n_late].owner);
  }
}

void
ks_netfilter_close_later (gpointer owner, GDestroyNotify close)
{
  if (n_late == MAX_OPEN)
    close_all ();
  late[n_late++] = (Late){ .owner = owner, .close = close };
}

static void
close_descriptor (gpointer descriptor)
{
  close (GPOINTER_TO_INT (descriptor));
}

void
ks_netfilter_close_descriptor_later (int descriptor)
{
  ks_netfilter_close_later (GINT_TO_POINTER (descriptor), close_descriptor);
}

void
ks_netfilter_socket_close_later (KsNetfilterSocket *self)
{
  ks_netfilter_close_later (self, (GDestroyNotify) nl_socket_free);
}
