/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "selftest/ks-selftest-probe.h"

#include <arpa/inet.h>
#include <errno.h>
#include <grp.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "policy/ks-query.h"
#include "selftest/ks-selftest-packet.h"
#include "selftest/ks-selftest-process.h"

#define MAX_PAYLOAD 4096
#define DEFAULT_PAYLOAD 16

typedef union {
  struct sockaddr any;
  struct sockaddr_in in;
  struct sockaddr_in6 in6;
} Address;

static gboolean
is_ip6 (const KsSelftestProbe *probe)
{
  return probe->to.family == AF_INET6;
}

static gboolean
is_echo (const KsSelftestProbe *probe)
{
  return probe->ip_protocol == IPPROTO_ICMP || probe->ip_protocol == IPPROTO_ICMPV6;
}

/* A link-local destination needs its device. */
static socklen_t
make_address (const KsPrefix *prefix, guint16 port, const char *device, Address *out)
{
  memset (out, 0, sizeof *out);
  if (prefix->family == AF_INET6) {
    out->in6.sin6_family = AF_INET6;
    out->in6.sin6_port = htons (port);
    memcpy (&out->in6.sin6_addr, prefix->bytes, 16);
    if (device && (ks_prefix_is_link_local (prefix) || ks_prefix_is_multicast (prefix)))
      out->in6.sin6_scope_id = if_nametoindex (device);
    return sizeof out->in6;
  }
  out->in.sin_family = AF_INET;
  out->in.sin_port = htons (port);
  memcpy (&out->in.sin_addr, prefix->bytes, 4);
  return sizeof out->in;
}

static int
set_option (int fd, int level, int name, const void *value, socklen_t length)
{
  return setsockopt (fd, level, name, value, length);
}

/* Options that name a device by its index, which some of them expect in network byte order. */
static int
name_device (const KsSelftestProbe *probe, int fd)
{
  guint index = if_nametoindex (probe->device);
  guint32 swapped = htonl (index);
  struct ip_mreqn membership = { .imr_ifindex = (int) index };

  if (probe->socket == KS_SELFTEST_UNICAST_IF)
    return is_ip6 (probe) ? set_option (fd, IPPROTO_IPV6, IPV6_UNICAST_IF, &swapped, sizeof swapped)
                          : set_option (fd, IPPROTO_IP, IP_UNICAST_IF, &swapped, sizeof swapped);
  return is_ip6 (probe) ? set_option (fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &index, sizeof index)
                        : set_option (fd, IPPROTO_IP, IP_MULTICAST_IF, &membership, sizeof membership);
}

static int
bind_device (const KsSelftestProbe *probe, int fd)
{
  int one = 1;

  if (set_option (fd, SOL_SOCKET, SO_BINDTODEVICE, probe->device, strlen (probe->device)) < 0)
    return -1;
  return probe->socket == KS_SELFTEST_BOUND_ON_LINK ? set_option (fd, SOL_SOCKET, SO_DONTROUTE, &one, sizeof one) : 0;
}

static int
prepare (const KsSelftestProbe *probe, int fd)
{
  KsPrefix any = ks_prefix_default (probe->to.family);
  Address local;
  socklen_t length;
  int one = 1;

  switch (probe->socket) {
  case KS_SELFTEST_BOUND:
  case KS_SELFTEST_BOUND_ON_LINK:
    if (bind_device (probe, fd) < 0)
      return -1;
    break;
  case KS_SELFTEST_UNICAST_IF:
  case KS_SELFTEST_MULTICAST_IF:
    if (name_device (probe, fd) < 0)
      return -1;
    break;
  default:
    break;
  }
  if (!probe->sport && probe->socket != KS_SELFTEST_SOURCE)
    return 0;
  set_option (fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  length = make_address (probe->socket == KS_SELFTEST_SOURCE ? &probe->source : &any, probe->sport, NULL, &local);
  return bind (fd, &local.any, length);
}

static int
socket_type (const KsSelftestProbe *probe)
{
  if (probe->ip_protocol == IPPROTO_TCP)
    return SOCK_STREAM;
  /* as ping(8) does without privileges; the namespace's ping_group_range allows it */
  return is_echo (probe) && !probe->other_user ? SOCK_RAW : SOCK_DGRAM;
}

/* Older kernels ignore IP_UNICAST_IF in connect(), and keep the route found there. */
static gboolean
is_connected (const KsSelftestProbe *probe)
{
  return probe->connected || probe->ip_protocol == IPPROTO_TCP;
}

int
ks_selftest_probe_open (const KsSelftestProbe *self)
{
  int fd = socket (self->to.family, socket_type (self) | SOCK_NONBLOCK | SOCK_CLOEXEC, self->ip_protocol);
  Address to;
  socklen_t length = make_address (&self->to, is_echo (self) ? 0 : self->port, self->device, &to);
  int error;

  if (fd < 0)
    return -1;
  if (prepare (self, fd) == 0 && (!is_connected (self) || connect (fd, &to.any, length) == 0 || errno == EINPROGRESS))
    return fd;
  error = errno;
  close (fd);
  errno = error;
  return -1;
}

/* --- sending --- */

static guint16
checksum (const guint8 *bytes, gsize length)
{
  guint32 sum = 0;

  for (gsize i = 0; i + 1 < length; i += 2)
    sum += (guint32) (bytes[i] << 8 | bytes[i + 1]);
  while (sum >> 16)
    sum = (sum & 0xffff) + (sum >> 16);
  return htons ((guint16) ~sum);
}

/* An echo request; the kernel fills in the checksum of ICMPv6, and of ICMP unless the socket is raw. */
static void
make_echo (const KsSelftestProbe *probe, guint8 *payload, gsize size)
{
  guint16 sum;

  payload[0] = is_ip6 (probe) ? ICMP6_ECHO_REQUEST : ICMP_ECHO;
  if (!is_ip6 (probe)) {
    sum = checksum (payload, size);
    memcpy (payload + 2, &sum, sizeof sum);
  }
}

/* The control message that names the device for a single packet. */
static void
add_packet_info (const KsSelftestProbe *probe, struct msghdr *message)
{
  struct cmsghdr *header = CMSG_FIRSTHDR (message);
  struct in_pktinfo info = { .ipi_ifindex = (int) if_nametoindex (probe->device) };
  struct in6_pktinfo info6 = { .ipi6_ifindex = if_nametoindex (probe->device) };

  header->cmsg_level = is_ip6 (probe) ? IPPROTO_IPV6 : IPPROTO_IP;
  header->cmsg_type = is_ip6 (probe) ? IPV6_PKTINFO : IP_PKTINFO;
  header->cmsg_len = is_ip6 (probe) ? CMSG_LEN (sizeof info6) : CMSG_LEN (sizeof info);
  if (is_ip6 (probe))
    memcpy (CMSG_DATA (header), &info6, sizeof info6);
  else
    memcpy (CMSG_DATA (header), &info, sizeof info);
  message->msg_controllen = is_ip6 (probe) ? CMSG_SPACE (sizeof info6) : CMSG_SPACE (sizeof info);
}

/* A query for the probe's name, as glibc would send it. Returns its size. */
static gsize
make_query (const KsSelftestProbe *probe, guint8 payload[MAX_PAYLOAD])
{
  const gsize id_size = 2;
  KsQuery query;

  ks_query_init (&query, probe->name, KS_QUERY_A, KS_QUERY_PLAIN);
  memcpy (payload + id_size, query.bytes, query.length);
  return id_size + query.length;
}

int
ks_selftest_probe_send (const KsSelftestProbe *self, int fd)
{
  guint8 payload[MAX_PAYLOAD] = { 0 };
  union {
    char bytes[CMSG_SPACE (sizeof (struct in6_pktinfo))];
    struct cmsghdr align;
  } control = { 0 };
  Address to;
  struct iovec data = { payload, MIN (self->size ? self->size : DEFAULT_PAYLOAD, sizeof payload) };
  struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1 };

  if (is_echo (self))
    make_echo (self, payload, data.iov_len);
  else if (self->name)
    data.iov_len = make_query (self, payload);
  if (!is_connected (self)) {
    message.msg_namelen = make_address (&self->to, is_echo (self) ? 0 : self->port, self->device, &to);
    message.msg_name = &to;
  }
  if (self->socket == KS_SELFTEST_PKTINFO) {
    message.msg_control = &control;
    message.msg_controllen = sizeof control;
    add_packet_info (self, &message);
  }
  return sendmsg (fd, &message, MSG_NOSIGNAL) < 0 ? errno : 0;
}

/* Becomes an ordinary program: without root's user, groups and capabilities. */
static int
become_nobody (gpointer user_data G_GNUC_UNUSED)
{
  return setgroups (0, NULL) < 0 || setresgid (KS_SELFTEST_NOBODY, KS_SELFTEST_NOBODY, KS_SELFTEST_NOBODY) < 0
         || setresuid (KS_SELFTEST_NOBODY, KS_SELFTEST_NOBODY, KS_SELFTEST_NOBODY) < 0;
}

static int
run_here (const KsSelftestProbe *probe)
{
  int fd = ks_selftest_probe_open (probe);
  int result = 0;

  if (fd < 0)
    return errno;
  /* a connection attempt has already sent its packet */
  if (probe->ip_protocol != IPPROTO_TCP)
    result = ks_selftest_probe_send (probe, fd);
  close (fd);
  return result;
}

static int
run_in_child (gpointer user_data)
{
  if (become_nobody (NULL) != 0)
    return errno;
  ks_selftest_process_die_with_parent ();
  return run_here (user_data);
}

int
ks_selftest_probe_run (const KsSelftestProbe *self, int network, int home)
{
  int result;

  if (network >= 0 && setns (network, CLONE_NEWNET) < 0)
    return errno;
  result = self->other_user ? ks_selftest_process_run (run_in_child, (gpointer) self) : run_here (self);
  if (network >= 0 && setns (home, CLONE_NEWNET) < 0)
    g_error ("cannot return to the host's network namespace: %s", g_strerror (errno));
  return result < 0 ? ECHILD : result;
}

gboolean
ks_selftest_probe_has_other_user (void)
{
  return ks_selftest_process_run (become_nobody, NULL) == 0;
}

char *
ks_selftest_probe_format (const KsSelftestProbe *self)
{
  g_autofree char *to = ks_prefix_format_address (&self->to);
  g_autofree char *protocol = ks_selftest_protocol_format ((guint8) self->ip_protocol);
  g_autofree char *port = self->port ? g_strdup_printf (" port %u", self->port) : g_strdup ("");
  g_autofree char *sport = self->sport ? g_strdup_printf (" from port %u", self->sport) : g_strdup ("");

  return g_strdup_printf ("%s%s to %s%s", protocol, sport, to, port);
}
