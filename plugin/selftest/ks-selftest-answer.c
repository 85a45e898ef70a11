/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "selftest/ks-selftest-answer.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "selftest/ks-selftest-packet.h"

#define MAX_DATAGRAM 4096
#define BACKLOG 64

/* One socket for each address: an answer has to come from the address that was asked. */
static const struct {
  const char *address;
  guint16 port;
  int type;
} places[] = {
  { KS_SELFTEST_ROUTER, KS_SELFTEST_ANSWER_PORT, SOCK_DGRAM },
  { KS_SELFTEST_ROUTER6, KS_SELFTEST_ANSWER_PORT, SOCK_DGRAM },
  { KS_SELFTEST_PUBLIC, KS_SELFTEST_ANSWER_PORT, SOCK_DGRAM },
  { KS_SELFTEST_PUBLIC6, KS_SELFTEST_ANSWER_PORT, SOCK_DGRAM },
  { KS_SELFTEST_SERVER, KS_SELFTEST_SERVER_PORT, SOCK_DGRAM },
  { KS_SELFTEST_SERVER6, KS_SELFTEST_SERVER_PORT, SOCK_DGRAM },
  { KS_SELFTEST_PUBLIC, KS_SELFTEST_TCP_PORT, SOCK_STREAM },
  { KS_SELFTEST_PUBLIC6, KS_SELFTEST_TCP_PORT, SOCK_STREAM },
};

struct _KsSelftestAnswer {
  int sockets[G_N_ELEMENTS (places)];
};

static int
open_place (const char *text, guint16 port, int type)
{
  KsPrefix prefix = KS_PREFIX_UNSET;
  struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons (port) };
  struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons (port) };
  int fd, result;

  if (!ks_prefix_parse (text, &prefix, NULL))
    return -1;
  memcpy (&in.sin_addr, prefix.bytes, sizeof in.sin_addr);
  memcpy (&in6.sin6_addr, prefix.bytes, sizeof in6.sin6_addr);
  fd = socket (prefix.family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return -1;
  result = prefix.family == AF_INET6 ? bind (fd, (struct sockaddr *) &in6, sizeof in6)
                                     : bind (fd, (struct sockaddr *) &in, sizeof in);
  /* connections are not accepted: the kernel answers, and keeps what is sent */
  if (result == 0 && type == SOCK_STREAM)
    result = listen (fd, BACKLOG);
  if (result == 0)
    return fd;
  close (fd);
  return -1;
}

KsSelftestAnswer *
ks_selftest_answer_new (void)
{
  KsSelftestAnswer *self = g_new0 (KsSelftestAnswer, 1);

  for (guint i = 0; i < G_N_ELEMENTS (places); i++)
    self->sockets[i] = open_place (places[i].address, places[i].port, places[i].type);
  return self;
}

void
ks_selftest_answer_free (KsSelftestAnswer *self)
{
  for (guint i = 0; i < G_N_ELEMENTS (places); i++)
    if (self->sockets[i] >= 0)
      close (self->sockets[i]);
  g_free (self);
}

static void
answer_one (int fd)
{
  guint8 bytes[MAX_DATAGRAM];
  struct sockaddr_in6 from; /* large enough for both families */
  socklen_t size = sizeof from;
  gssize length;

  while ((length = recvfrom (fd, bytes, sizeof bytes, 0, (struct sockaddr *) &from, &size)) >= 0) {
    sendto (fd, bytes, (gsize) length, 0, (struct sockaddr *) &from, size);
    size = sizeof from;
  }
}

void
ks_selftest_answer_all (KsSelftestAnswer *self)
{
  for (guint i = 0; i < G_N_ELEMENTS (places); i++)
    if (self->sockets[i] >= 0 && places[i].type == SOCK_DGRAM)
      answer_one (self->sockets[i]);
}
