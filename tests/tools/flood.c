/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A flood from an ordinary user: UDP datagrams to several addresses at a
 * steady rate, with TCP connections and TCP data among them, until SIGTERM;
 * then it prints what was offered to the kernel and what the kernel took.
 *
 *     flood UID PACKETS-PER-SECOND ADDRESS...
 *
 * The UDP sockets are not connected: every packet is routed anew. A packet
 * that the kernel refuses (a blackhole route) is one that was offered.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BATCH 16
#define SIZE 64
#define MAX_TARGETS 8
#define TICK_NS 1000000

typedef struct {
  struct sockaddr_storage address, echo;
  socklen_t length;
  int datagrams; /* the UDP socket */
  int stream; /* a TCP connection that lives as long as it can, or -1 */
} Target;

static volatile sig_atomic_t stopped;
static uint64_t offered, sent, connections, segments;

static void
stop (int number)
{
  (void) number;
  stopped = 1;
}

static void
parse (Target *target, const char *text)
{
  struct sockaddr_in *v4 = (struct sockaddr_in *) &target->address;
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) &target->address;

  memset (target, 0, sizeof *target);
  if (inet_pton (AF_INET, text, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons (9);
    target->length = sizeof *v4;
  } else if (inet_pton (AF_INET6, text, &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons (9);
    target->length = sizeof *v6;
  } else {
    fprintf (stderr, "flood: no address: %s\n", text);
    exit (2);
  }
  target->echo = target->address; /* the port is at the same place in both */
  ((struct sockaddr_in *) &target->echo)->sin_port = htons (7);
  target->stream = -1;
  target->datagrams = socket (target->address.ss_family, SOCK_DGRAM | SOCK_NONBLOCK, 0);
  if (target->datagrams < 0) {
    perror ("flood: socket");
    exit (1);
  }
}

static void
send_datagrams (Target *target, unsigned count)
{
  static char payload[SIZE] = "nm-killswitch flood";
  struct iovec iov = { payload, sizeof payload };
  struct mmsghdr messages[BATCH];

  memset (messages, 0, sizeof messages);
  for (unsigned i = 0; i < BATCH; i++)
    messages[i].msg_hdr =
      (struct msghdr){ .msg_name = &target->address, .msg_namelen = target->length, .msg_iov = &iov, .msg_iovlen = 1 };
  while (count > 0 && !stopped) {
    unsigned wanted = count < BATCH ? count : BATCH;
    int taken = sendmmsg (target->datagrams, messages, wanted, 0);

    /* it stops at the first one refused */
    offered += taken > 0 ? (unsigned) taken : 1;
    sent += taken > 0 ? (unsigned) taken : 0;
    count -= taken > 0 ? (unsigned) taken : 1;
  }
}

/* A connection attempt that is given up at once, and data on one that lives. */
static void
send_tcp (Target *target)
{
  static const char data[SIZE] = "nm-killswitch flood";
  char answer[4096];
  int attempt = socket (target->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);

  if (attempt >= 0) {
    offered++;
    connections += connect (attempt, (struct sockaddr *) &target->address, target->length) == 0 || errno == EINPROGRESS;
    close (attempt);
  }
  if (target->stream < 0) {
    target->stream = socket (target->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (target->stream < 0)
      return;
    offered++;
    connect (target->stream, (struct sockaddr *) &target->echo, target->length);
    return;
  }
  if (send (target->stream, data, sizeof data, MSG_NOSIGNAL) > 0) {
    offered++;
    segments++;
  } else if (errno != EAGAIN && errno != EINPROGRESS && errno != ENOTCONN) {
    close (target->stream);
    target->stream = -1;
    return;
  }
  while (recv (target->stream, answer, sizeof answer, 0) > 0)
    ;
}

int
main (int argc, char **argv)
{
  Target targets[MAX_TARGETS];
  int n_targets = argc - 3;
  struct sigaction action = { .sa_handler = stop };
  struct timespec next;
  uid_t uid;
  double rate, due = 0;

  if (n_targets < 1 || n_targets > MAX_TARGETS) {
    fprintf (stderr, "usage: flood UID PACKETS-PER-SECOND ADDRESS...\n");
    return 2;
  }
  uid = (uid_t) strtoul (argv[1], NULL, 10);
  rate = strtod (argv[2], NULL) / n_targets;
  for (int i = 0; i < n_targets; i++)
    parse (&targets[i], argv[3 + i]);
  if (uid && (setgroups (0, NULL) < 0 || setgid (uid) < 0 || setuid (uid) < 0)) {
    perror ("flood: setuid");
    return 1;
  }
  sigaction (SIGTERM, &action, NULL);
  sigaction (SIGINT, &action, NULL);
  puts ("ready");
  fflush (stdout);
  clock_gettime (CLOCK_MONOTONIC, &next);
  for (unsigned tick = 0; !stopped; tick++) {
    due += rate * TICK_NS / 1e9;
    for (int i = 0; i < n_targets; i++) {
      send_datagrams (&targets[i], (unsigned) due);
      if (tick % 10 == 0)
        send_tcp (&targets[i]);
    }
    due -= (unsigned) due;
    /* progress, for whoever waits for a number of packets */
    if (tick % 250 == 0) {
      printf ("%llu\n", (unsigned long long) offered);
      fflush (stdout);
    }
    next.tv_nsec += TICK_NS;
    if (next.tv_nsec >= 1000000000) {
      next.tv_sec++;
      next.tv_nsec -= 1000000000;
    }
    clock_nanosleep (CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
  }
  printf ("{\"offered\": %llu, \"sent\": %llu, \"connections\": %llu, \"segments\": %llu}\n",
          (unsigned long long) offered, (unsigned long long) sent, (unsigned long long) connections,
          (unsigned long long) segments);
  return 0;
}
