/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What sending costs: nanoseconds for each packet, one line for each batch.
 *
 *     pace send|connected ADDRESS BATCHES COUNT [OPTION...]   UDP to port 9; each packet of `send` is routed anew
 *     pace stream ADDRESS BATCHES COUNT [OPTION...]           TCP to port 9; COUNT writes of 64 KiB
 *     pace watch ADDRESS MILLISECONDS [OPTION...]             the longest time without a packet that the kernel took,
 *                                                             one line for each 10 ms
 *     pace lose ADDRESS DEVICE                                sets DEVICE down while it sends: the longest nanoseconds
 *                                                             without a packet that was taken, the same before, and
 *                                                             how many were refused; with a real-time priority
 *     pace sink [OPTION...]                                   takes what is sent by `stream`, until it is killed
 *     pace run COMMAND [ARGUMENT...]                          from exec to exit: microseconds, microseconds of a
 * processor, and the most memory in KiB; its output is not shown
 *
 * Options: device=NAME (SO_BINDTODEVICE), sport=PORT, port=PORT, mark=NUMBER, uid=NUMBER, cpu=NUMBER, size=BYTES (64).
 *
 * `cpu` also takes a real-time priority there: what else the machine does is not measured.
 * A packet that the kernel refuses is an error, but for `watch` and `lose`.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PORT 9
#define SIZE 64
#define MOST_BYTES 65000
#define CHUNK (64 * 1024)
/* Of a TCP stream: what is on its way stays in the processor's cache, and every run is alike. */
#define BUFFER (4 * CHUNK)
#define WINDOW_NS 10000000u

typedef struct {
  const char *device;
  int port, sport, cpu, size;
  unsigned mark, uid;
} Options;

static void
fail (const char *what)
{
  fprintf (stderr, "pace: %s: %s\n", what, strerror (errno));
  exit (1);
}

static uint64_t
now (void)
{
  struct timespec time;

  clock_gettime (CLOCK_MONOTONIC, &time);
  return (uint64_t) time.tv_sec * 1000000000u + (uint64_t) time.tv_nsec;
}

static Options
parse_options (char **argv)
{
  Options options = { .port = PORT, .cpu = -1, .size = SIZE };

  for (; *argv; argv++) {
    char *value = strchr (*argv, '=');

    if (!value) {
      fprintf (stderr, "pace: what is '%s'?\n", *argv);
      exit (2);
    }
    value++;
    if (strncmp (*argv, "device=", 7) == 0)
      options.device = value;
    else if (strncmp (*argv, "port=", 5) == 0)
      options.port = atoi (value);
    else if (strncmp (*argv, "sport=", 6) == 0)
      options.sport = atoi (value);
    else if (strncmp (*argv, "mark=", 5) == 0)
      options.mark = (unsigned) strtoul (value, NULL, 0);
    else if (strncmp (*argv, "uid=", 4) == 0)
      options.uid = (unsigned) strtoul (value, NULL, 0);
    else if (strncmp (*argv, "cpu=", 4) == 0)
      options.cpu = atoi (value);
    else if (strncmp (*argv, "size=", 5) == 0)
      options.size = atoi (value);
  }
  if (options.size < 0 || options.size > MOST_BYTES) {
    fprintf (stderr, "pace: too many bytes\n");
    exit (2);
  }
  return options;
}

static socklen_t
parse_address (const char *text, int port, struct sockaddr_storage *out)
{
  struct sockaddr_in *v4 = (struct sockaddr_in *) out;
  struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) out;

  memset (out, 0, sizeof *out);
  if (inet_pton (AF_INET, text, &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons ((uint16_t) port);
    return sizeof *v4;
  }
  if (inet_pton (AF_INET6, text, &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons ((uint16_t) port);
    return sizeof *v6;
  }
  fprintf (stderr, "pace: no address: %s\n", text);
  exit (2);
}

/* Nothing else runs on that processor for the milliseconds that are measured. */
static void
take_processor (unsigned cpu)
{
  struct sched_param parameter = { .sched_priority = 1 };
  cpu_set_t set;

  CPU_ZERO (&set);
  CPU_SET (cpu, &set);
  sched_setaffinity (0, sizeof set, &set);
  sched_setscheduler (0, SCHED_FIFO, &parameter);
}

/* A socket as the options say, of the user they say. */
static int
open_socket (int family, int type, const Options *options)
{
  int fd = socket (family, type, 0);

  if (fd < 0)
    fail ("socket");
  if (options->device
      && setsockopt (fd, SOL_SOCKET, SO_BINDTODEVICE, options->device, (socklen_t) strlen (options->device) + 1) < 0)
    fail (options->device);
  if (options->mark && setsockopt (fd, SOL_SOCKET, SO_MARK, &options->mark, sizeof options->mark) < 0)
    fail ("mark");
  if (options->sport) {
    struct sockaddr_storage any;
    socklen_t length = parse_address (family == AF_INET ? "0.0.0.0" : "::", options->sport, &any);

    if (bind (fd, (struct sockaddr *) &any, length) < 0)
      fail ("bind");
  }
  if (options->cpu >= 0)
    take_processor ((unsigned) options->cpu);
  if (options->uid && (setgroups (0, NULL) < 0 || setgid (options->uid) < 0 || setuid (options->uid) < 0))
    fail ("uid");
  return fd;
}

static void
run_datagrams (const char *mode, const char *address, int batches, int count, const Options *options)
{
  static const char payload[MOST_BYTES] = "nm-killswitch bench";
  struct sockaddr_storage to;
  socklen_t length = parse_address (address, options->port, &to);
  int fd = open_socket (to.ss_family, SOCK_DGRAM, options);

  if (strcmp (mode, "connected") == 0) {
    if (connect (fd, (struct sockaddr *) &to, length) < 0)
      fail ("connect");
    length = 0;
  }
  for (int i = 0; i < batches; i++) {
    uint64_t begin = now ();

    for (int j = 0; j < count; j++)
      if (sendto (fd, payload, (size_t) options->size, 0, length ? (struct sockaddr *) &to : NULL, length) < 0)
        fail ("sendto");
    printf ("%.1f\n", (double) (now () - begin) / count);
  }
}

static void
run_stream (const char *address, int batches, int count, const Options *options)
{
  static char chunk[CHUNK];
  struct sockaddr_storage to;
  socklen_t length = parse_address (address, options->port, &to);
  int fd = open_socket (to.ss_family, SOCK_STREAM, options);
  int buffer = BUFFER;

  setsockopt (fd, SOL_SOCKET, SO_SNDBUF, &buffer, sizeof buffer);
  if (connect (fd, (struct sockaddr *) &to, length) < 0)
    fail ("connect");
  for (int i = -1; i < batches; i++) { /* the first is to warm up */
    uint64_t begin = now ();

    for (int j = 0; j < count; j++)
      for (size_t done = 0; done < sizeof chunk;) {
        ssize_t sent = send (fd, chunk + done, sizeof chunk - done, 0);

        if (sent < 0)
          fail ("send");
        done += (size_t) sent;
      }
    if (i >= 0)
      printf ("%.1f\n", (double) (now () - begin) / count);
  }
}

/* Of each window: when it ended, the longest time between two packets that were taken, how many were, how many not. */
static void
run_watch (const char *address, int milliseconds, const Options *options)
{
  static const char payload[SIZE] = "nm-killswitch bench";
  struct sockaddr_storage to;
  socklen_t length = parse_address (address, options->port, &to);
  int fd = open_socket (to.ss_family, SOCK_DGRAM, options);
  uint64_t start, end, time, last, longest = 0, taken = 0, refused = 0;

  puts ("ready");
  fflush (stdout);
  start = last = now ();
  end = start + (uint64_t) milliseconds * 1000000u;
  do {
    int ok = sendto (fd, payload, sizeof payload, 0, (struct sockaddr *) &to, length) >= 0;

    time = now ();
    if (time - last > longest)
      longest = time - last;
    if (ok)
      last = time;
    taken += ok;
    refused += !ok;
    if (time - start > WINDOW_NS) {
      printf ("%llu %llu %llu %llu\n", (unsigned long long) time, (unsigned long long) longest,
              (unsigned long long) taken, (unsigned long long) refused);
      fflush (stdout);
      start = time;
      longest = taken = refused = 0;
    }
  } while (time < end);
}

static void
set_down (const char *device)
{
  struct ifreq request = { 0 };
  int fd = socket (AF_INET, SOCK_DGRAM, 0);

  strncpy (request.ifr_name, device, IFNAMSIZ - 1);
  if (ioctl (fd, SIOCGIFFLAGS, &request) < 0)
    fail (device);
  request.ifr_flags &= ~IFF_UP;
  if (ioctl (fd, SIOCSIFFLAGS, &request) < 0)
    fail (device);
}

/* Sends until @end, or until @child has ended and a little longer. Returns the longest time without a packet taken. */
static uint64_t
send_until (int fd, const struct sockaddr_storage *to, socklen_t length, uint64_t end, pid_t child, uint64_t *refused)
{
  static const char payload[SIZE] = "nm-killswitch bench";
  uint64_t last = now (), time, longest = 0;

  do {
    int ok = sendto (fd, payload, sizeof payload, 0, (const struct sockaddr *) to, length) >= 0;

    time = now ();
    if (time - last > longest)
      longest = time - last;
    if (ok)
      last = time;
    else
      ++*refused;
    if (child && waitpid (child, NULL, WNOHANG) == child) {
      child = 0;
      end = time + 1000000;
    }
  } while (time < end);
  return longest;
}

static void
run_lose (const char *address, const char *device)
{
  struct sockaddr_storage to;
  socklen_t length = parse_address (address, PORT, &to);
  int fd = socket (to.ss_family, SOCK_DGRAM, 0);
  uint64_t before, during, refused = 0;
  pid_t child;

  take_processor (0);
  before = send_until (fd, &to, length, now () + 5000000, 0, &refused);
  child = fork ();
  if (child == 0) {
    take_processor (1);
    usleep (2000);
    set_down (device);
    _exit (0);
  }
  during = send_until (fd, &to, length, now () + 100000000, child, &refused);
  printf ("%llu %llu %llu\n", (unsigned long long) during, (unsigned long long) before, (unsigned long long) refused);
}

static void
run_sink (const Options *options)
{
  struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons (PORT) };
  int one = 1, buffer = BUFFER;
  int listener = socket (AF_INET6, SOCK_STREAM, 0);

  setsockopt (listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  setsockopt (listener, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  if (bind (listener, (struct sockaddr *) &any, sizeof any) < 0 || listen (listener, 16) < 0)
    fail ("listen");
  if (options->cpu >= 0)
    take_processor ((unsigned) options->cpu);
  puts ("ready");
  fflush (stdout);
  for (;;) {
    int fd = accept (listener, NULL, NULL);

    /* one after the other: that is how they are sent; MSG_TRUNC copies nothing */
    while (fd >= 0 && recv (fd, NULL, 1 << 20, MSG_TRUNC) > 0)
      ;
    close (fd);
  }
}

static int
run_command (char **command)
{
  uint64_t begin = now ();
  struct rusage usage;
  int status, nowhere;
  pid_t pid = vfork ();

  if (pid == 0) {
    nowhere = open ("/dev/null", O_RDWR);
    dup2 (nowhere, 1);
    dup2 (nowhere, 2);
    execvp (command[0], command);
    _exit (127);
  }
  if (pid < 0 || wait4 (pid, &status, 0, &usage) < 0)
    fail (command[0]);
  printf ("%.1f %lld %ld\n", (double) (now () - begin) / 1000,
          (long long) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec
            + usage.ru_stime.tv_usec,
          usage.ru_maxrss);
  return WIFEXITED (status) ? WEXITSTATUS (status) : 1;
}

int
main (int argc, char **argv)
{
  const char *mode = argc > 1 ? argv[1] : "";
  Options options;

  if (strcmp (mode, "sink") == 0) {
    options = parse_options (argv + 2);
    run_sink (&options);
  } else if (strcmp (mode, "lose") == 0 && argc == 4) {
    run_lose (argv[2], argv[3]);
  } else if (strcmp (mode, "run") == 0 && argc >= 3) {
    return run_command (argv + 2);
  } else if (strcmp (mode, "watch") == 0 && argc >= 4) {
    options = parse_options (argv + 4);
    run_watch (argv[2], atoi (argv[3]), &options);
  } else if (argc >= 5) {
    options = parse_options (argv + 5);
    if (strcmp (mode, "stream") == 0)
      run_stream (argv[2], atoi (argv[3]), atoi (argv[4]), &options);
    else
      run_datagrams (mode, argv[2], atoi (argv[3]), atoi (argv[4]), &options);
  } else {
    fprintf (stderr, "usage: pace send|connected|stream|watch|lose|sink|run ...\n");
    return 2;
  }
  return 0;
}
