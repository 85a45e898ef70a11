/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/ks-guard-sockets.h"

#include <netlink/socket.h>
#include <unistd.h>

/* A run leaves some ten. A process that does more than one run (the selftest) must not run out of descriptors. */
#define MAX_OPEN 32

typedef struct {
  gpointer socket;
  GDestroyNotify close;
} Late;

static Late open_sockets[MAX_OPEN];
static guint n_open;

static void
close_all (void)
{
  while (n_open > 0) {
    const Late *late = &open_sockets[--n_open];

    late->close (late->socket);
  }
}

void
ks_guard_sockets_close_later (gpointer socket, GDestroyNotify close)
{
  if (n_open == MAX_OPEN)
    close_all ();
  open_sockets[n_open++] = (Late){ .socket = socket, .close = close };
}

static void
close_descriptor (gpointer descriptor)
{
  close (GPOINTER_TO_INT (descriptor));
}

void
ks_guard_sockets_close_descriptor_later (int descriptor)
{
  ks_guard_sockets_close_later (GINT_TO_POINTER (descriptor), close_descriptor);
}

void
ks_guard_socket_close_later (KsGuardSocket *self)
{
  ks_guard_sockets_close_later (self, (GDestroyNotify) nl_socket_free);
}
