/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "selftest/ks-selftest-wire.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ks-error.h"
#include "selftest/ks-selftest-answer.h"

#define RECEIVE_BUFFER (1 << 20)
#define MAX_FRAME 4096

typedef struct {
  guint8 bytes[MAX_FRAME];
  gsize length;
} Frame;

int
ks_selftest_wire_open (const char *device, GError **error)
{
  struct sockaddr_ll address = {
    .sll_family = AF_PACKET,
    .sll_protocol = htons (ETH_P_ALL),
    .sll_ifindex = (int) if_nametoindex (device),
  };
  int fd = socket (AF_PACKET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, htons (ETH_P_ALL));
  int size = RECEIVE_BUFFER;

  if (fd >= 0 && bind (fd, (struct sockaddr *) &address, sizeof address) == 0) {
    setsockopt (fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    return fd;
  }
  g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "cannot capture packets of %s: %s", device, g_strerror (errno));
  if (fd >= 0)
    close (fd);
  return -1;
}

/* The destination address for a frame of @ethertype sent through the device with @index. */
static struct sockaddr_ll
broadcast (guint16 ethertype, guint index)
{
  return (struct sockaddr_ll){
    .sll_family = AF_PACKET,
    .sll_protocol = htons (ethertype),
    .sll_ifindex = (int) index,
    .sll_halen = ETH_ALEN,
    .sll_addr = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff },
  };
}

/* Reads a frame that came from the other end. FALSE if none is waiting. */
static gboolean
read_frame (int fd, Frame *frame, KsSelftestPacket *out)
{
  struct sockaddr_ll from;
  socklen_t from_length = sizeof from;
  gssize length;

  while ((length = recvfrom (fd, frame->bytes, sizeof frame->bytes, 0, (struct sockaddr *) &from, &from_length)) >= 0) {
    frame->length = (gsize) length;
    if (from.sll_pkttype != PACKET_OUTGOING) {
      *out = ks_selftest_packet_parse (ntohs (from.sll_protocol), frame->bytes, frame->length);
      return TRUE;
    }
    from_length = sizeof from;
  }
  return FALSE;
}

gboolean
ks_selftest_wire_settle (int marker, const char *device, int capture, guint32 serial, int timeout_ms, GArray *packets)
{
  struct sockaddr_ll to = broadcast (KS_SELFTEST_MARKER, if_nametoindex (device));
  struct pollfd waiting = { .fd = capture, .events = POLLIN };
  KsSelftestPacket packet;
  Frame frame;

  if (sendto (marker, &serial, sizeof serial, 0, (struct sockaddr *) &to, sizeof to) != sizeof serial)
    return FALSE;
  for (;;) {
    while (read_frame (capture, &frame, &packet)) {
      if (packet.ethertype != KS_SELFTEST_MARKER)
        g_array_append_val (packets, packet);
      else if (packet.serial == serial)
        return TRUE;
    }
    if (poll (&waiting, 1, timeout_ms) <= 0)
      return FALSE;
  }
}

/* --- the tunnel --- */

/* A tun device delivers one packet at a time, without any header. */
static gboolean
read_tun (int fd, Frame *frame, KsSelftestPacket *out)
{
  gssize length = read (fd, frame->bytes, sizeof frame->bytes);

  if (length <= 0)
    return FALSE;
  frame->length = (gsize) length;
  *out = ks_selftest_packet_parse (frame->bytes[0] >> 4 == 6 ? ETH_P_IPV6 : ETH_P_IP, frame->bytes, frame->length);
  return TRUE;
}

/* Swaps the @size bytes at @a and @b: addresses, ports. */
static void
swap (Frame *frame, gsize a, gsize b, gsize size)
{
  for (gsize i = 0; i < size; i++) {
    guint8 byte = frame->bytes[a + i];

    frame->bytes[a + i] = frame->bytes[b + i];
    frame->bytes[b + i] = byte;
  }
}

static guint32
sum_words (const guint8 *bytes, gsize length, guint32 sum)
{
  for (gsize i = 0; i < length; i++)
    sum += i % 2 == 0 ? (guint32) bytes[i] << 8 : bytes[i];
  return sum;
}

/* A veth device shows packets before their checksum is computed. RFC 768; RFC 8200, 8.1: never 0. */
static void
fill_checksum (Frame *frame, gsize header, gsize addresses, gsize addresses_length)
{
  gsize length = frame->length - header;
  guint8 *field = frame->bytes + header + 6;
  guint32 sum;

  field[0] = field[1] = 0;
  sum = sum_words (frame->bytes + addresses, addresses_length, (guint32) length + IPPROTO_UDP);
  sum = sum_words (frame->bytes + header, length, sum);
  while (sum >> 16)
    sum = (sum & 0xffff) + (sum >> 16);
  sum = sum == 0xffff ? sum : ~sum & 0xffff;
  field[0] = (guint8) (sum >> 8);
  field[1] = (guint8) sum;
}

/* Sends a datagram to the answer port back to its source. If that fails there is no answer, which the case reports. */
static void
answer (int fd, gboolean is_veth, const KsSelftestPacket *packet, Frame *frame)
{
  gboolean is_ip6 = packet->ethertype == ETH_P_IPV6;
  gsize header = is_ip6 ? 40 : 20; /* our packets have no options */
  struct sockaddr_ll device = { 0 }, to;
  socklen_t size = sizeof device;
  gssize sent;

  if (packet->ip_protocol != IPPROTO_UDP || packet->dport != KS_SELFTEST_ANSWER_PORT || frame->length < header + 8)
    return;
  swap (frame, is_ip6 ? 8 : 12, is_ip6 ? 24 : 16, is_ip6 ? 16 : 4);
  swap (frame, header, header + 2, 2);
  fill_checksum (frame, header, is_ip6 ? 8 : 12, is_ip6 ? 32 : 8);
  if (!is_veth) {
    sent = write (fd, frame->bytes, frame->length);
  } else {
    getsockname (fd, (struct sockaddr *) &device, &size);
    to = broadcast (packet->ethertype, (guint) device.sll_ifindex);
    sent = sendto (fd, frame->bytes, frame->length, 0, (struct sockaddr *) &to, sizeof to);
  }
  (void) sent;
}

void
ks_selftest_wire_read_tunnel (int fd, gboolean is_veth, GArray *packets)
{
  KsSelftestPacket packet;
  Frame frame;

  while (is_veth ? read_frame (fd, &frame, &packet) : read_tun (fd, &frame, &packet)) {
    g_array_append_val (packets, packet);
    answer (fd, is_veth, &packet, &frame);
  }
}
