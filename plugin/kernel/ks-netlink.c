/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "kernel/ks-netlink.h"

#include <errno.h>
#include <linux/netlink.h>
#include <netlink/attr.h>
#include <netlink/socket.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/ks-error.h"
#include "kernel/ks-fault.h"

/* The kernel answers at once; a socket that does not respond is broken. */
#define TIMEOUT_SECONDS 5
#define RECEIVE_BUFFER (1 << 20)
/* The kernel fills at most 32 KiB at a time, and only for a reader that has shown a buffer of that size. */
#define MESSAGE_BUFFER (64 << 10)

#ifndef NETLINK_GET_STRICT_CHK
#define NETLINK_GET_STRICT_CHK 12
#endif

typedef struct {
  KsNetlinkFunc func;
  gpointer user_data;
  gboolean done;
  gboolean interrupted;
  int error; /* errno value */
} Exchange;

static int
on_valid (struct nl_msg *message, void *data)
{
  Exchange *exchange = data;

  if (exchange->func && exchange->error == 0 && !exchange->func (nlmsg_hdr (message), exchange->user_data))
    exchange->error = EBADMSG;
  return NL_OK;
}

static int
on_end (struct nl_msg *message G_GNUC_UNUSED, void *data)
{
  ((Exchange *) data)->done = TRUE;
  return NL_STOP;
}

/* A dump that fails half way reports it only in its last message (NLMSG_DONE), which libnl 3.7 ignores. */
static int
on_finish (struct nl_msg *message, void *data)
{
  Exchange *exchange = data;
  const struct nlmsghdr *header = nlmsg_hdr (message);
  int result = 0;

  if (nlmsg_datalen (header) >= (int) sizeof result)
    memcpy (&result, nlmsg_data (header), sizeof result);
  if (result < 0 && exchange->error == 0)
    exchange->error = -result;
  exchange->done = TRUE;
  return NL_STOP;
}

static int
on_interrupted (struct nl_msg *message G_GNUC_UNUSED, void *data)
{
  ((Exchange *) data)->interrupted = TRUE;
  return NL_OK;
}

static int
on_error (struct sockaddr_nl *peer G_GNUC_UNUSED, struct nlmsgerr *answer, void *data)
{
  Exchange *exchange = data;

  exchange->error = -answer->error;
  exchange->done = TRUE;
  return NL_STOP;
}

static KsNlSocket *
open_socket (int protocol, const char *name, GError **error)
{
  g_autoptr (KsNlSocket) socket = nl_socket_alloc ();
  struct timeval timeout = { .tv_sec = TIMEOUT_SECONDS };
  int one = 1;
  int result;

  result = socket ? nl_connect (socket, protocol) : -NLE_NOMEM;
  if (result < 0) {
    g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "cannot open a %s netlink socket: %s", name, nl_geterror (result));
    return NULL;
  }
  /* It works without these too, only more slowly, and a hang would then last. */
  nl_socket_set_buffer_size (socket, RECEIVE_BUFFER, 0);
  nl_socket_set_msg_buf_size (socket, MESSAGE_BUFFER);
  setsockopt (nl_socket_get_fd (socket), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  setsockopt (nl_socket_get_fd (socket), SOL_NETLINK, NETLINK_GET_STRICT_CHK, &one, sizeof one);
  return g_steal_pointer (&socket);
}

static guint32 last_port;

KsNlSocket *
ks_netlink_open (GError **error)
{
  KsNlSocket *socket = open_socket (NETLINK_ROUTE, "routing", error);

  if (socket)
    last_port = nl_socket_get_local_port (socket);
  return socket;
}

guint32
ks_netlink_last_port (void)
{
  return last_port;
}

KsNlSocket *
ks_netlink_open_diag (GError **error)
{
  return open_socket (NETLINK_SOCK_DIAG, "sock_diag", error);
}

KsNlSocket *
ks_netlink_open_netfilter (GError **error)
{
  return open_socket (NETLINK_NETFILTER, "netfilter", error);
}

/* Receives until the exchange is over. */
static int
receive (KsNlSocket *socket, Exchange *exchange)
{
  struct nl_cb *callbacks = nl_cb_alloc (NL_CB_CUSTOM);
  int result = 0;

  if (!callbacks)
    return ENOMEM;
  nl_cb_set (callbacks, NL_CB_VALID, NL_CB_CUSTOM, on_valid, exchange);
  nl_cb_set (callbacks, NL_CB_FINISH, NL_CB_CUSTOM, on_finish, exchange);
  nl_cb_set (callbacks, NL_CB_ACK, NL_CB_CUSTOM, on_end, exchange);
  nl_cb_set (callbacks, NL_CB_DUMP_INTR, NL_CB_CUSTOM, on_interrupted, exchange);
  nl_cb_err (callbacks, NL_CB_CUSTOM, on_error, exchange);
  while (!exchange->done && result >= 0)
    result = nl_recvmsgs (socket, callbacks);
  nl_cb_put (callbacks);

  if (exchange->error)
    return exchange->error;
  if (exchange->interrupted)
    return EINTR;
  if (!exchange->done)
    return result == -NLE_AGAIN ? ETIMEDOUT : EIO;
  return 0;
}

static int
exchange_message (KsNlSocket *socket, KsNlMessage *message, Exchange *exchange)
{
  if (nl_send_auto (socket, message) < 0)
    return errno ? errno : EIO;
  return receive (socket, exchange);
}

int
ks_netlink_request (KsNlSocket *socket, KsNlMessage *message)
{
  Exchange exchange = { 0 };
  int fault = ks_fault_point ();

  if (fault)
    return fault;
  nlmsg_hdr (message)->nlmsg_flags |= NLM_F_ACK;
  return exchange_message (socket, message, &exchange);
}

int
ks_netlink_ask (KsNlSocket *socket, KsNlMessage *message, KsNetlinkFunc func, gpointer user_data)
{
  Exchange exchange = { .func = func, .user_data = user_data };

  /* the acknowledgement ends the exchange; it is the only answer to a failed request */
  nlmsg_hdr (message)->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
  return exchange_message (socket, message, &exchange);
}

int
ks_netlink_dump (KsNlSocket *socket, KsNlMessage *message, KsNetlinkFunc func, gpointer user_data)
{
  Exchange exchange = { .func = func, .user_data = user_data };
  int fault = ks_fault_point ();

  if (fault)
    return fault;
  nlmsg_hdr (message)->nlmsg_flags |= NLM_F_REQUEST | NLM_F_DUMP;
  return exchange_message (socket, message, &exchange);
}

const struct nlattr *
ks_netlink_find_nested (const struct nlattr *parent, int type)
{
  return parent ? nla_find (nla_data (parent), nla_len (parent), type) : NULL;
}
