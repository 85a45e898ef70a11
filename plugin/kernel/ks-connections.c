/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/ks-connections.h"

#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/sock_diag.h>
#include <netinet/tcp.h>
#include <string.h>

#include "base/ks-error.h"

/* A busy server has more; whoever manages it is among the first, or is warned about others. */
#define MAX_CONNECTIONS 65536

typedef struct {
  GArray *connections; /* KsConnection: the established ones */
  GHashTable *ports; /* those that some program listens on */
} Reader;

/* A mapped address (::ffff:192.0.2.5) becomes an IPv4 address. */
static KsPrefix
read_address (int family, const __be32 words[4])
{
  static const guint8 mapped[12] = { [10] = 0xff, [11] = 0xff };
  const guint8 *bytes = (const guint8 *) words;

  if (family == AF_INET6 && memcmp (bytes, mapped, sizeof mapped) == 0)
    return ks_prefix_from_bytes (AF_INET, bytes + sizeof mapped, 32);
  return ks_prefix_from_bytes (family, bytes, ks_prefix_full_length (family));
}

gboolean
ks_connection_parse (const struct nlmsghdr *header, KsSocketInfo *out)
{
  const struct inet_diag_msg *message;

  if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY || !nlmsg_valid_hdr (header, sizeof *message))
    return FALSE;
  message = nlmsg_data (header);
  if ((message->idiag_family != AF_INET && message->idiag_family != AF_INET6)
      || (message->idiag_state != TCP_ESTABLISHED && message->idiag_state != TCP_LISTEN))
    return FALSE;
  *out = (KsSocketInfo){
    .connection = {
      .local = read_address (message->idiag_family, message->id.idiag_src),
      .peer = read_address (message->idiag_family, message->id.idiag_dst),
      .port = GUINT16_FROM_BE (message->id.idiag_sport),
    },
    .is_listening = message->idiag_state == TCP_LISTEN,
  };
  return TRUE;
}

static gboolean
on_socket (struct nlmsghdr *header, gpointer user_data)
{
  Reader *reader = user_data;
  KsSocketInfo info;

  if (!ks_connection_parse (header, &info))
    return FALSE;
  if (info.is_listening)
    g_hash_table_add (reader->ports, GUINT_TO_POINTER ((guint) info.connection.port));
  else if (reader->connections->len < MAX_CONNECTIONS)
    g_array_append_val (reader->connections, info.connection);
  return TRUE;
}

/* Returns 0 or an errno value. */
static int
dump (KsNlSocket *socket, int family, Reader *reader)
{
  struct inet_diag_req_v2 request = {
    .sdiag_family = family,
    .sdiag_protocol = IPPROTO_TCP,
    .idiag_states = 1u << TCP_ESTABLISHED | 1u << TCP_LISTEN,
  };
  g_autoptr (KsNlMessage) message = nlmsg_alloc_simple (SOCK_DIAG_BY_FAMILY, 0);

  if (!message || nlmsg_append (message, &request, sizeof request, NLMSG_ALIGNTO) < 0)
    return ENOMEM;
  return ks_netlink_dump (socket, message, on_socket, reader);
}

/* Keeps the connections to ports that some program listens on: all others were opened by the host itself. */
static void
keep_incoming (Reader *reader)
{
  guint kept = 0;

  for (guint i = 0; i < reader->connections->len; i++) {
    KsConnection connection = g_array_index (reader->connections, KsConnection, i);

    if (g_hash_table_contains (reader->ports, GUINT_TO_POINTER ((guint) connection.port)))
      g_array_index (reader->connections, KsConnection, kept++) = connection;
  }
  g_array_set_size (reader->connections, kept);
}

GArray *
ks_connections_read (GError **error)
{
  static const int families[] = { AF_INET, AF_INET6 };
  g_autoptr (GArray) connections = g_array_new (FALSE, FALSE, sizeof (KsConnection));
  g_autoptr (GHashTable) ports = g_hash_table_new (NULL, NULL);
  Reader reader = { .connections = connections, .ports = ports };
  g_autoptr (KsNlSocket) socket = ks_netlink_open_diag (error);

  if (!socket)
    return NULL;
  for (guint i = 0; i < G_N_ELEMENTS (families); i++) {
    int result = dump (socket, families[i], &reader);

    /* interrupted by a change: what was seen is good enough for a warning */
    if (result != 0 && result != EINTR) {
      g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "cannot list TCP connections: %s", g_strerror (result));
      return NULL;
    }
  }
  keep_incoming (&reader);
  return g_steal_pointer (&connections);
}
