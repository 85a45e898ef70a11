/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel sends a notification for each object that a transaction has added
 * or deleted (nf_tables_commit(), nf_tables_api.c). Its res_id holds the lower
 * 16 bits of the generation that the transaction created. After them comes one
 * NFT_MSG_NEWGEN with the full generation number.
 */
#include "kernel/ks-guard-watch.h"

#include <errno.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kernel/ks-guard-readback.h"

#define BUFFER_SIZE (64 * 1024)
/* Notifications that do not fit are lost; the answer is then "cannot be told". */
#define RECEIVE_BUFFER (4 << 20)
/* A transaction takes effect a moment before its notifications are sent. */
#define WAIT_MS 500

int
ks_guard_watch_open (void)
{
  int watch = socket (AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_NETFILTER);
  struct sockaddr_nl address = { .nl_family = AF_NETLINK, .nl_groups = 1 << (NFNLGRP_NFTABLES - 1) };
  int size = RECEIVE_BUFFER;

  if (watch < 0)
    return -1;
  if (bind (watch, (struct sockaddr *) &address, sizeof address) < 0) {
    close (watch);
    return -1;
  }
  setsockopt (watch, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof size);
  return watch;
}

/* Records a message's transaction in @transactions. Returns whether it ends the one that created @generation. */
static gboolean
take_message (struct nlmsghdr *header, guint32 generation, GHashTable *transactions)
{
  const struct nfgenmsg *message = nlmsg_data (header);
  guint32 made;

  if (header->nlmsg_type == ((NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWGEN))
    return ks_guard_readback_generation (header, &made) && made == generation;
  if (ks_guard_readback_is_ours (header))
    g_hash_table_add (transactions, GUINT_TO_POINTER ((guint) message->res_id));
  return FALSE;
}

int
ks_guard_watch_count (int watch, guint32 generation)
{
  g_autoptr (GHashTable) transactions = g_hash_table_new (NULL, NULL);
  g_autofree char *buffer = g_malloc (BUFFER_SIZE);
  struct pollfd waiting = { .fd = watch, .events = POLLIN };

  while (watch >= 0 && poll (&waiting, 1, WAIT_MS) > 0) {
    ssize_t length = recv (watch, buffer, BUFFER_SIZE, 0);

    if (length < 0 && errno != EINTR)
      return -1; /* some were lost */
    for (struct nlmsghdr *header = (struct nlmsghdr *) (gpointer) buffer;
         length > 0 && NLMSG_OK (header, (size_t) length); header = NLMSG_NEXT (header, length))
      if (take_message (header, generation, transactions))
        return (int) g_hash_table_size (transactions);
  }
  return -1;
}
