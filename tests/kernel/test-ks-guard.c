/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guard against the kernel, in a network namespace of its own, with no
 * rule and no route of the kill switch: the guard alone.
 *
 *      guest            host (this namespace)          the wire
 *   +---------+     +----------------------------+     +---------------------+
 *   | tap fd  |-----| guest           uplink     |-----| tap fd              |   (bridges with a tap each)
 *   | 10.66.. |     | 10.66.0.1       192.168.50.2     | router 192.168.50.1 |
 *   +---------+     |   tun0 10.8.0.2 fd50::2    |     |        fd50::1      |
 *                   +-----|----------------------+     +---------------------+
 *                       tun fd
 *
 * Every device ends in a file descriptor of the test, which sees each frame
 * and sends its own. A probe is over when a marker, sent after it by a packet
 * socket that no hook sees, has come out: no waiting, no guessing.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip_icmp.h>
#include <netpacket/packet.h>
#include <poll.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include "base/ks-error.h"
#include "kernel/ks-guard-libnftables.h"
#include "kernel/ks-guard-readback.h"
#include "kernel/ks-guard.h"
#include "ks-test-policy.h"
#include "ks-test.h"
#include "netns.h"
#include "policy/ks-query.h"

#define TARGET "198.51.100.1"
#define TARGET6 "2001:db8:1::1"
#define SERVER "203.0.113.10"
#define ROUTER "192.168.50.1"
#define ROUTER6 "fd50::1"
#define TUNNEL_ADDRESS "10.8.0.2"
#define NOBODY 65534
#define MARKER 0x88b5 /* ETH_P_802_EX1 */

static int uplink_fd = -1, guest_fd = -1, tunnel_fd = -1;
static gboolean other_uids; /* whether a child can become NOBODY */
static const char *skip_reason;
static KsTestDirectory *directory;
static char *state_path;
static const char router_mac[] = "02:00:00:00:00:01";
static const guint8 router_mac_bytes[] = { 2, 0, 0, 0, 0, 1 };

/* --- the namespace --- */

#define command(...) (netns_try (__VA_ARGS__) == 0)

static int
open_device (const char *name, int flags)
{
  struct ifreq request = { .ifr_flags = flags | IFF_NO_PI };
  int fd = open ("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

  g_strlcpy (request.ifr_name, name, sizeof request.ifr_name);
  if (fd >= 0 && ioctl (fd, TUNSETIFF, &request) != 0) {
    close (fd);
    return -1;
  }
  return fd;
}

/* A bridge with a tap device in it: a tap by itself could be a VPN's tunnel. */
static int
open_bridge (const char *name)
{
  g_autofree char *port = g_strconcat (name, "-port", NULL);
  int fd = open_device (port, IFF_TAP);

  if (fd >= 0 && command ("ip link add %s type bridge mcast_snooping 0 forward_delay 0", name)
      && command ("ip link set %s addrgenmode none master %s up", port, name))
    return fd;
  return -1;
}

/* What the uplink loses when it goes down. */
static gboolean
restore_routes (void)
{
  return command ("ip address replace fd50::2/64 dev uplink nodad")
         && command ("ip neighbour replace " ROUTER " lladdr %s dev uplink nud permanent", router_mac)
         && command ("ip neighbour replace " ROUTER6 " lladdr %s dev uplink nud permanent", router_mac)
         && command ("ip route replace default via " ROUTER " dev uplink")
         && command ("ip -6 route replace default via " ROUTER6 " dev uplink");
}

static gboolean
make_network (void)
{
  netns_write_file ("/proc/sys/net/ipv4/ip_forward", "1");
  netns_write_file ("/proc/sys/net/ipv6/conf/all/forwarding", "1");
  netns_write_file ("/proc/sys/net/ipv6/conf/default/accept_dad", "0");
  uplink_fd = open_bridge ("uplink");
  guest_fd = open_bridge ("guest");
  tunnel_fd = open_device ("tun0", IFF_TUN);
  return uplink_fd >= 0 && guest_fd >= 0 && tunnel_fd >= 0 && command ("ip link set uplink up")
         && command ("ip link set guest address 02:00:00:00:66:01 up") && command ("ip link set tun0 up")
         && command ("ip address add 192.168.50.2/24 dev uplink") && command ("ip address add 10.66.0.1/24 dev guest")
         && command ("ip address add " TUNNEL_ADDRESS "/24 dev tun0") && restore_routes ();
}

/* Root in a container may have no other user to become. */
static gboolean
can_be_nobody (void)
{
  int status = -1;
  pid_t child = fork ();

  if (child == 0)
    _exit (setresuid (NOBODY, NOBODY, NOBODY) == 0 ? 0 : 1);
  return waitpid (child, &status, 0) == child && status == 0;
}

static int
set_up_group (void **state G_GNUC_UNUSED)
{
  directory = ks_test_directory_new ();
  state_path = ks_test_path (directory, "guard");
  other_uids = geteuid () == 0 && can_be_nobody ();
  if (!netns_enter ())
    skip_reason = "no network namespace";
  else if (!make_network ())
    skip_reason = "cannot make devices in a network namespace (needs /dev/net/tun and iproute2)";
  else if (!command ("nft list ruleset"))
    skip_reason = "no nf_tables, or no nft";
  return 0;
}

static int
tear_down_group (void **state G_GNUC_UNUSED)
{
  ks_test_directory_free (directory);
  g_free (state_path);
  return 0;
}

/* Each test starts without a guard. */
static int
set_up (void **state G_GNUC_UNUSED)
{
  if (!skip_reason) {
    netns_try ("nft flush ruleset");
    g_unlink (state_path);
  }
  return 0;
}

#define NEED_NAMESPACE() \
  if (skip_reason) { \
    print_message ("skipped: %s\n", skip_reason); \
    skip (); \
  }

#define NEED_OTHER_UIDS() \
  if (!other_uids) { \
    print_message ("skipped: no other user to become (needs root)\n"); \
    skip (); \
  }

/* --- policies --- */

static KsPolicy *
new_policy (void)
{
  return ks_test_policy_new ("10.0.0.0/8 172.16.0.0/12 192.168.0.0/16 169.254.0.0/16 fc00::/7 fe80::/10");
}

static void
add_tunnel (KsPolicy *policy, const char *interface, const char *address)
{
  guint ifindex = if_nametoindex (interface);

  assert_int_not_equal (ifindex, 0);
  ks_test_policy_add_tunnel (policy, interface, ifindex, address);
}

static void
add_transport (KsPolicy *policy, KsTransport transport)
{
  g_array_append_val (policy->transports, transport);
}

static KsTransport
server_transport (guint16 dport, guint32 uid, gboolean kernel)
{
  return (KsTransport){ .family = AF_INET,
                        .to = ks_test_prefix (SERVER),
                        .ip_protocol = IPPROTO_UDP,
                        .dport = dport,
                        .uid = uid,
                        .kernel = kernel };
}

/* Applies and says how many transactions it took. */
static guint
apply (const KsPolicy *policy)
{
  g_autoptr (GError) error = NULL;
  guint changes = 0;

  if (!ks_guard_apply (policy, FALSE, state_path, NULL, &changes, &error))
    fail_msg ("%s", error->message);
  return changes;
}

/* What is there and what it took to @hold it. */
static KsGuardState
hold (const KsPolicy *policy, guint *changes)
{
  g_autoptr (GError) error = NULL;
  KsGuardState found;

  *changes = 0;
  if (!ks_guard_apply (policy, TRUE, state_path, &found, changes, &error))
    fail_msg ("%s", error->message);
  return found;
}

static KsGuardState
inspect (const KsPolicy *policy, KsGuardCounters *counters)
{
  g_autoptr (GError) error = NULL;
  KsGuardState result = ks_guard_inspect (policy, FALSE, state_path, counters, &error);

  assert_null (error);
  return result;
}

/* --- another program, right after a transaction of ours --- */

/* How often it gets in between, and what it does. */
static int intrusions;
static const char *intrusion;

static __typeof__ (nft_run_cmd_from_buffer) *run_cmd_from_buffer;

/* Takes the place of libnftables' function. */
static int
run_and_intrude (struct nft_ctx *context, const char *text)
{
  int result = run_cmd_from_buffer (context, text);

  if (intrusions > 0) {
    intrusions--;
    assert_true (command ("%s", intrusion));
  }
  return result;
}

static void
watch_transactions (void)
{
  KsLibnftables *library = ks_guard_libnftables (NULL);

  assert_non_null (library);
  run_cmd_from_buffer = library->nft_run_cmd_from_buffer;
  library->nft_run_cmd_from_buffer = run_and_intrude;
}

/* --- frames --- */

/* Whether an Ethernet frame is a packet to @address, or asks who has it. */
static gboolean
concerns (const guint8 *frame, gssize length, const KsPrefix *address)
{
  guint type = length < 14 ? 0 : (guint) (frame[12] << 8 | frame[13]);

  if (type == 0x0800 && address->family == AF_INET && length >= 34)
    return memcmp (frame + 30, address->bytes, 4) == 0;
  if (type == 0x0806 && address->family == AF_INET && length >= 42)
    return memcmp (frame + 38, address->bytes, 4) == 0;
  if (type == 0x86dd && address->family == AF_INET6 && length >= 54)
    return memcmp (frame + 38, address->bytes, 16) == 0
           || (frame[20] == IPPROTO_ICMPV6 && frame[54] == ND_NEIGHBOR_SOLICIT && length >= 78
               && memcmp (frame + 62, address->bytes, 16) == 0);
  return FALSE;
}

static gssize
read_frame (int fd, guint8 *frame, gsize size, int milliseconds)
{
  struct pollfd waiting = { .fd = fd, .events = POLLIN };

  if (poll (&waiting, 1, milliseconds) <= 0)
    return 0;
  return read (fd, frame, size);
}

static void
drain (int fd)
{
  guint8 frame[2048];

  while (read_frame (fd, frame, sizeof frame, 0) > 0)
    ;
}

/* Puts the marker behind everything the uplink has been given. */
static void
send_marker (void)
{
  static const guint8 frame[60] = { 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, MARKER >> 8, MARKER & 0xff };
  struct sockaddr_ll to = { .sll_family = AF_PACKET, .sll_ifindex = (int) if_nametoindex ("uplink") };
  int fd = socket (AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);

  assert_true (fd >= 0);
  assert_int_equal (sendto (fd, frame, sizeof frame, 0, (struct sockaddr *) &to, sizeof to), sizeof frame);
  close (fd);
}

/* Whether a packet to @address, or a question for it, has come out of the uplink since it was drained. */
static gboolean
has_left (const char *address)
{
  const KsPrefix wanted = ks_test_prefix (address);
  gboolean seen = FALSE;
  guint8 frame[2048];
  gssize length;

  send_marker ();
  while ((length = read_frame (uplink_fd, frame, sizeof frame, 5000)) > 0) {
    if (length >= 14 && frame[12] == MARKER >> 8 && frame[13] == (MARKER & 0xff))
      return seen;
    seen = seen || concerns (frame, length, &wanted);
  }
  fail_msg ("the marker did not come out of the uplink");
  return TRUE;
}

static guint16
checksum (const guint8 *bytes, gsize length)
{
  guint32 sum = 0;

  for (gsize i = 0; i + 1 < length; i += 2)
    sum += (guint32) (bytes[i] << 8 | bytes[i + 1]);
  while (sum >> 16)
    sum = (sum & 0xffff) + (sum >> 16);
  return (guint16) ~sum;
}

/* Sends an IPv4 UDP packet into the device behind @fd, as if it came from the other end. */
static void
inject (int fd, const char *interface, const char *from, const char *to)
{
  guint8 frame[64] = { [12] = 8, [14] = 0x45, [17] = 50, [22] = 64, [23] = IPPROTO_UDP, [34] = 4, 0, 4, 0, 0, 30 };
  KsPrefix source = ks_test_prefix (from), destination = ks_test_prefix (to);
  struct ifreq request = { 0 };
  int control = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  guint16 sum;

  g_strlcpy (request.ifr_name, interface, sizeof request.ifr_name);
  assert_int_equal (ioctl (control, SIOCGIFHWADDR, &request), 0);
  close (control);
  memcpy (frame, request.ifr_hwaddr.sa_data, 6);
  memcpy (frame + 6, router_mac_bytes, 6);
  memcpy (frame + 26, source.bytes, 4);
  memcpy (frame + 30, destination.bytes, 4);
  sum = checksum (frame + 14, 20);
  frame[24] = (guint8) (sum >> 8);
  frame[25] = (guint8) sum;
  assert_int_equal (write (fd, frame, sizeof frame), sizeof frame);
}

/* --- probes --- */

typedef struct {
  const char *to;
  int protocol;
  guint16 port;
  guint16 sport;
  const char *device; /* to bind to, or NULL */
  guint32 mark;
  GBytes *payload; /* of udp; NULL for a few bytes */
} Probe;

static socklen_t
fill_address (const Probe *probe, struct sockaddr_storage *out)
{
  KsPrefix to = ks_test_prefix (probe->to);

  memset (out, 0, sizeof *out);
  if (to.family == AF_INET6) {
    struct sockaddr_in6 *address = (struct sockaddr_in6 *) out;

    address->sin6_family = AF_INET6;
    /* a raw socket takes no port */
    address->sin6_port = probe->protocol == IPPROTO_ICMPV6 ? 0 : htons (probe->port);
    memcpy (&address->sin6_addr, to.bytes, 16);
    return sizeof *address;
  } else {
    struct sockaddr_in *address = (struct sockaddr_in *) out;

    address->sin_family = AF_INET;
    address->sin_port = htons (probe->port);
    memcpy (&address->sin_addr, to.bytes, 4);
    return sizeof *address;
  }
}

static void
bind_port (int fd, int family, guint16 port)
{
  struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons (port) };
  struct sockaddr_in any4 = { .sin_family = AF_INET, .sin_port = htons (port) };
  int one = 1;

  setsockopt (fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (family == AF_INET6 ? bind (fd, (struct sockaddr *) &any, sizeof any) != 0
                         : bind (fd, (struct sockaddr *) &any4, sizeof any4) != 0)
    _exit (1);
}

/* In a child: whatever comes of it is seen on the wire. */
static void
send_probe (const Probe *probe)
{
  const guint8 echo[16] = { strchr (probe->to, ':') ? ICMP6_ECHO_REQUEST : ICMP_ECHO };
  struct sockaddr_storage to;
  socklen_t length = fill_address (probe, &to);
  gboolean raw = probe->protocol == IPPROTO_ICMP || probe->protocol == IPPROTO_ICMPV6;
  int type = raw ? SOCK_RAW : probe->protocol == IPPROTO_TCP ? SOCK_STREAM : SOCK_DGRAM;
  int fd = socket (to.ss_family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, probe->protocol);

  if (fd < 0)
    _exit (1);
  if (probe->device && setsockopt (fd, SOL_SOCKET, SO_BINDTODEVICE, probe->device, strlen (probe->device)) != 0)
    _exit (1);
  if (probe->mark && setsockopt (fd, SOL_SOCKET, SO_MARK, &probe->mark, sizeof probe->mark) != 0)
    _exit (1);
  if (probe->sport)
    bind_port (fd, to.ss_family, probe->sport);
  if (type == SOCK_STREAM)
    connect (fd, (struct sockaddr *) &to, length);
  else if (probe->payload)
    sendto (fd, g_bytes_get_data (probe->payload, NULL), g_bytes_get_size (probe->payload), 0, (struct sockaddr *) &to,
            length);
  else
    sendto (fd, echo, sizeof echo, 0, (struct sockaddr *) &to, length);
  close (fd);
}

static void
run_probe (guint32 uid, const Probe *probe)
{
  int status = 0;
  pid_t child = fork ();

  if (child == 0) {
    if (uid != 0 && setresuid (uid, uid, uid) != 0)
      _exit (2);
    send_probe (probe);
    _exit (0);
  }
  assert_int_equal (waitpid (child, &status, 0), child);
  if (!WIFEXITED (status) || WEXITSTATUS (status) != 0)
    fail_msg ("the probe to %s could not be sent", probe->to);
}

/* Whether the probe, sent by @uid, comes out of the uplink. */
static gboolean
leaves (guint32 uid, const Probe *probe)
{
  drain (uplink_fd);
  run_probe (uid, probe);
  return has_left (probe->to);
}

#define LEAVES(uid, ...) leaves (uid, &(const Probe){ __VA_ARGS__ })
#define UDP(address, number) .to = (address), .protocol = IPPROTO_UDP, .port = (number)
#define TCP(address, number) .to = (address), .protocol = IPPROTO_TCP, .port = (number)

/* --- what it lets out --- */

static const Probe public_probes[] = {
  { UDP (TARGET, 9) },
  { UDP (TARGET, 53) },
  { TCP (TARGET, 80) },
  { .to = TARGET, .protocol = IPPROTO_ICMP },
  { UDP (TARGET, 9), .device = "uplink" },
  { TCP (TARGET, 80), .device = "uplink" },
  { .to = TARGET, .protocol = IPPROTO_ICMP, .device = "uplink" },
  { UDP (SERVER, 9) },
  { UDP ("233.252.0.1", 9), .device = "uplink" },
  { UDP (TARGET6, 9) },
  { TCP (TARGET6, 80) },
  { .to = TARGET6, .protocol = IPPROTO_ICMPV6 },
  { UDP (TARGET6, 9), .device = "uplink" },
  { TCP (TARGET6, 80), .device = "uplink" },
  { UDP ("ff0e::1234", 9), .device = "uplink" },
};

static void
guard_alone_lets_nothing_public_out (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  KsGuardCounters counters;

  NEED_NAMESPACE ();
  for (guint i = 0; i < G_N_ELEMENTS (public_probes); i++)
    if (!leaves (0, &public_probes[i]))
      fail_msg ("control: probe %u to %s is not seen without the guard", i, public_probes[i].to);
  apply (policy);
  for (guint i = 0; i < G_N_ELEMENTS (public_probes); i++)
    if (leaves (0, &public_probes[i]))
      fail_msg ("probe %u to %s leaked", i, public_probes[i].to);
  assert_int_equal (inspect (policy, &counters), KS_GUARD_IN_PLACE);
  assert_true (counters.output.packets >= G_N_ELEMENTS (public_probes));
  assert_true (counters.output.bytes > counters.output.packets * 20);
}

static void
guard_lets_no_arp_request_for_a_public_address_out (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();

  NEED_NAMESPACE ();
  /* What the kill switch's routing makes of a lookup with a device: on link. Two addresses, since ARP repeats itself.
   */
  assert_true (command ("ip route add 233.252.1.0/24 dev uplink"));
  assert_true (LEAVES (0, UDP ("233.252.1.1", 9), .device = "uplink"));
  apply (policy);
  assert_false (LEAVES (0, UDP ("233.252.1.2", 9), .device = "uplink"));
}

static void
guard_lets_the_lan_work (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();

  NEED_NAMESPACE ();
  apply (policy);
  assert_true (LEAVES (0, UDP (ROUTER, 9)));
  assert_true (LEAVES (0, TCP (ROUTER, 80)));
  assert_true (LEAVES (0, UDP ("192.168.50.77", 9))); /* the question for it */
  assert_true (LEAVES (0, UDP (ROUTER6, 9)));
  assert_true (LEAVES (0, UDP ("fd50::77", 9)));
  assert_true (LEAVES (0, UDP ("224.0.0.251", 5353), .device = "uplink"));
  assert_true (LEAVES (0, UDP ("239.255.255.250", 1900), .device = "uplink"));
  assert_true (LEAVES (0, UDP ("ff02::fb", 5353), .device = "uplink"));
}

static void
guard_drops_lan_dns_unless_it_is_let (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();

  NEED_NAMESPACE ();
  NEED_OTHER_UIDS ();
  apply (policy);
  assert_false (LEAVES (0, UDP (ROUTER, 53)));
  assert_false (LEAVES (0, TCP (ROUTER, 853)));
  assert_false (LEAVES (0, UDP ("224.0.0.252", 5355), .device = "uplink"));
  assert_false (LEAVES (0, UDP (ROUTER6, 53)));

  policy->dns = KS_DNS_LAN;
  apply (policy);
  assert_true (LEAVES (NOBODY, UDP (ROUTER, 53)));
}

/* --- queries for names --- */

#define NAME "vpn.example.com"
#define WIRE_NAME "\3vpn\7example\3com"
#define RESOLVER_UID 101

typedef struct {
  const char *labels; /* as in a message, without the zero at the end */
  const char *opt; /* what follows the question, @opt_size bytes */
  gsize opt_size;
  guint16 flags;
  guint16 questions;
  guint16 answers;
  guint16 type;
  guint16 class;
} Message;

static void
add_u16 (GByteArray *out, guint16 value)
{
  const guint8 bytes[] = { (guint8) (value >> 8), (guint8) value };

  g_byte_array_append (out, bytes, sizeof bytes);
}

/* An ID, then what @message says (transfer full). */
static GBytes *
format_message (const Message *message)
{
  GByteArray *out = g_byte_array_new ();

  add_u16 (out, 0xbeef);
  add_u16 (out, message->flags);
  add_u16 (out, message->questions);
  add_u16 (out, message->answers);
  add_u16 (out, 0);
  add_u16 (out, message->opt_size > 0);
  g_byte_array_append (out, (const guint8 *) message->labels, strlen (message->labels) + 1);
  add_u16 (out, message->type);
  add_u16 (out, message->class);
  g_byte_array_append (out, (const guint8 *) message->opt, message->opt_size);
  return g_byte_array_free_to_bytes (out);
}

/* Whether such a query gets to the router's port 53, from @uid; @cut bytes are missing at the end. */
static gboolean
asks (guint32 uid, const char *router, gsize cut, const Message *message)
{
  g_autoptr (GBytes) whole = format_message (message);
  g_autoptr (GBytes) bytes = g_bytes_new_from_bytes (whole, 0, g_bytes_get_size (whole) - cut);

  return LEAVES (uid, UDP (router, 53), .payload = bytes);
}

#define PLAIN .labels = WIRE_NAME, .flags = 0x0100, .questions = 1, .type = 1, .class = 1
#define ASKS(...) asks (RESOLVER_UID, ROUTER, 0, &(const Message){ PLAIN, __VA_ARGS__ })
#define OPT(text) .opt = (text), .opt_size = sizeof (text) - 1

static void
let_ask (KsPolicy *policy, const char *router, guint32 uid)
{
  KsTransport query = server_transport (53, uid, FALSE);

  query.to = ks_test_prefix (router);
  query.family = query.to.family;
  g_array_append_val (policy->bootstrap, query);
}

static KsPolicy *
asking_policy (const char *name)
{
  KsPolicy *policy = new_policy ();

  let_ask (policy, ROUTER, 0);
  let_ask (policy, ROUTER, RESOLVER_UID);
  let_ask (policy, ROUTER6, RESOLVER_UID);
  g_ptr_array_add (policy->names, g_strdup (name));
  return policy;
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Woverride-init" /* PLAIN, but for what the case is about */

static void
guard_lets_the_resolver_ask_for_the_servers_name (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = asking_policy (NAME);

  NEED_NAMESPACE ();
  NEED_OTHER_UIDS ();
  apply (policy);
  assert_true (ASKS (.type = 1));
  assert_true (ASKS (.type = 28));
  assert_true (ASKS (.flags = 0x0120)); /* AD, as with glibc's trust-ad */
  assert_true (ASKS (.labels = "\3VpN\7eXAMPLE\3cOm"));
  assert_true (ASKS (OPT ("\0\0\x29\4\xd0\0\0\0\0\0\0")));
  assert_true (ASKS (.type = 28, OPT ("\0\0\x29\x10\0\0\0\0\0\0\0")));
  assert_true (asks (0, ROUTER, 0, &(const Message){ PLAIN }));
  assert_true (asks (RESOLVER_UID, ROUTER6, 0, &(const Message){ PLAIN }));
}

static void
guard_lets_nothing_else_be_asked_for (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = asking_policy (NAME);
  static const char cookie[] = "\0\0\x29\4\xd0\0\0\0\0\0\x0c\0\x0a\0\10secret!!";

  NEED_NAMESPACE ();
  NEED_OTHER_UIDS ();
  apply (policy);
  assert_true (ASKS (.type = 1)); /* the control */
  /* other names */
  assert_false (ASKS (.labels = "\6secret" WIRE_NAME));
  assert_false (ASKS (.labels = "\7example\3com"));
  assert_false (ASKS (.labels = "\3vpn\7example\2co"));
  assert_false (ASKS (.labels = "\3vpn\7example\3comm"));
  assert_false (ASKS (.labels = WIRE_NAME "\6secret"));
  assert_false (ASKS (.labels = "\3vpo\7example\3com"));
  assert_false (ASKS (.labels = "\3vpn\7exampl\x05\3com")); /* E but for bit 0x40 */
  assert_false (ASKS (.labels = "\13vpn.example\3com"));
  assert_false (ASKS (.labels = "\x23vpn\7example\3com")); /* a length but for bit 0x20 */
  assert_false (ASKS (.labels = ""));
  /* other questions */
  assert_false (ASKS (.type = 16));
  assert_false (ASKS (.type = 0x0101));
  assert_false (ASKS (.class = 3));
  /* room for something else */
  assert_false (ASKS (.flags = 0x0110)); /* CD */
  assert_false (ASKS (.flags = 0x0000));
  assert_false (ASKS (.flags = 0x8180));
  assert_false (ASKS (.questions = 2));
  assert_false (ASKS (.answers = 1));
  assert_false (ASKS (OPT ("\0\0\x29\4\xd0\0\0\x80\0\0\0"))); /* DO */
  assert_false (ASKS (.opt = cookie, .opt_size = sizeof cookie - 1));
  assert_false (ASKS (OPT ("\0\0\x29\4\xd0\0\0\0\0\0\0x")));
  assert_false (ASKS (OPT ("0123456789a")));
  assert_false (ASKS (OPT ("x")));
  assert_false (asks (RESOLVER_UID, ROUTER, 1, &(const Message){ PLAIN }));
  assert_false (asks (RESOLVER_UID, ROUTER, 5, &(const Message){ PLAIN }));
  assert_false (LEAVES (RESOLVER_UID, UDP (ROUTER, 53)));
  /* somebody else, elsewhere */
  assert_false (asks (NOBODY, ROUTER, 0, &(const Message){ PLAIN }));
  assert_false (asks (RESOLVER_UID, "192.168.50.77", 0, &(const Message){ PLAIN }));
  assert_false (LEAVES (RESOLVER_UID, TCP (ROUTER, 53)));
  assert_false (LEAVES (0, TCP (ROUTER, 53)));
  assert_true (ASKS (.type = 1));
}

#define DNSSEC_OPT "\0\0\x29\x05\xc0\0\0\x80\0\0\x17\0\5\0\7\5\7\x8\xa\xd\xe\xf\0\6\0\3\1\2\4\0\7\0\1\1"
#define VALIDATES(...) ASKS (OPT (DNSSEC_OPT), .flags = 0x0110, __VA_ARGS__)

/* systemd-resolved with DNSSEC=yes: or it believes no answer. */
static void
guard_lets_the_resolver_validate_the_servers_name (void **state G_GNUC_UNUSED)
{
  static const char *const domains[] = { WIRE_NAME, "\7example\3com", "\3com", "" };
  static const guint16 types[] = { 6, 43, 48 };
  g_autoptr (KsPolicy) policy = asking_policy (NAME);

  NEED_NAMESPACE ();
  NEED_OTHER_UIDS ();
  g_ptr_array_add (policy->names, g_strdup ("vpn2.example.com")); /* in the same domains */
  apply (policy);
  assert_true (VALIDATES (.type = 1));
  assert_true (VALIDATES (.type = 28));
  for (guint i = 0; i < G_N_ELEMENTS (domains); i++)
    for (guint j = 0; j < G_N_ELEMENTS (types); j++)
      assert_true (VALIDATES (.labels = domains[i], .type = types[j]));
  assert_true (VALIDATES (.labels = "\4vpn2\7example\3com", .type = 43));
  assert_false (VALIDATES (.labels = "\7example\3com", .type = 1));
  assert_false (VALIDATES (.labels = "\3net", .type = 43));
  assert_false (VALIDATES (.labels = "\6secret\7example\3com", .type = 43));
  assert_false (VALIDATES (.type = 16));
  assert_false (VALIDATES (.type = 43, .flags = 0x0100));
  assert_false (VALIDATES (OPT (DNSSEC_OPT "x")));
  assert_false (VALIDATES (OPT ("\0\0\x29\x05\xc0\0\0\x80\0\0\x17\0\5\0\7secret!\0\6\0\3\1\2\4\0\7\0\1\1")));
  assert_false (ASKS (.type = 43));
}

static void
guard_takes_the_longest_name_and_many (void **state G_GNUC_UNUSED)
{
  char name[KS_QUERY_MAX_NAME - 1] = "", labels[KS_QUERY_MAX_NAME] = "";
  g_autoptr (KsPolicy) policy = NULL;

  for (gsize i = 0; i < sizeof name - 1; i++)
    name[i] = i % 64 == 63 ? '.' : 'a';
  for (gsize i = 0, left = sizeof name - 1; i < sizeof labels - 1; i++) {
    labels[i] = i % 64 == 0 ? (char) MIN (left, 63) : 'a';
    left -= i % 64 == 0 ? MIN (left, 64) : 0;
  }
  policy = asking_policy (name);
  NEED_NAMESPACE ();
  NEED_OTHER_UIDS ();
  for (guint i = 0; i < 300; i++)
    g_ptr_array_add (policy->names, g_strdup_printf ("server-%u.vpn.example.net", i));
  apply (policy);
  assert_int_equal (apply (policy), 0);
  assert_true (ASKS (.labels = labels, OPT ("\0\0\x29\4\xd0\0\0\0\0\0\0")));
  labels[1] = 'b';
  assert_false (ASKS (.labels = labels, OPT ("\0\0\x29\4\xd0\0\0\0\0\0\0")));
  assert_true (ASKS (.labels = "\x0aserver-299\3vpn\7example\3net"));
  assert_false (ASKS (.labels = "\x0aserver-300\3vpn\7example\3net"));
}

/* Or a program could write a message into the case of letters, one query after the other. */
static void
guard_lets_no_more_than_some_queries_out_at_once (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = asking_policy (NAME);
  gint64 start;
  guint count = 0, sent = 0, seconds;

  NEED_NAMESPACE ();
  NEED_OTHER_UIDS ();
  apply (policy);
  start = g_get_monotonic_time ();
  while (sent < 150) {
    sent++;
    count += ASKS (.type = 1);
  }
  seconds = (guint) ((g_get_monotonic_time () - start) / G_USEC_PER_SEC) + 1;
  assert_in_range (count, 40, 50 + 10 * seconds);
  /* a machine that asks no faster than the limit never meets it, and shows nothing */
  if (50 + 10 * seconds >= sent)
    print_message ("%u queries took %u s: too slow to meet the limit\n", sent, seconds);
  else
    assert_true (count < sent);
}

#pragma GCC diagnostic pop

static void
guard_has_no_lan_when_lan_is_off (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();

  NEED_NAMESPACE ();
  policy->lan = KS_LAN_OFF;
  g_array_set_size (policy->lan_prefixes, 0);
  apply (policy);
  assert_false (LEAVES (0, UDP (ROUTER, 9)));
  assert_false (LEAVES (0, UDP ("224.0.0.251", 5353), .device = "uplink"));
  assert_false (LEAVES (0, UDP (ROUTER6, 9)));
  assert_true (LEAVES (0, UDP (TARGET, 67), .sport = 68, .device = "uplink"));
}

static void
guard_takes_lan_routes_from_the_policy (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  KsPrefix to = ks_test_prefix ("198.51.100.0/24");
  KsRoute route = ks_route_init (85, 83, &to, 0);

  NEED_NAMESPACE ();
  route.n_nexthops = 1;
  route.nexthops[0].ifindex = if_nametoindex ("uplink");
  g_array_append_val (policy->routes, route);
  apply (policy);
  assert_false (LEAVES (0, UDP (TARGET, 9)));
  policy->lan = KS_LAN_ROUTES;
  apply (policy);
  assert_true (LEAVES (0, UDP (TARGET, 9)));
  assert_false (LEAVES (0, UDP (SERVER, 9)));
}

static void
guard_keeps_the_tunnels_private_subnets_off_the_lan (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  KsPrefix to = ks_test_prefix ("10.20.0.0/16");
  KsRoute route = ks_route_blackhole (84, 83, &to, 200);

  NEED_NAMESPACE ();
  apply (policy);
  assert_true (LEAVES (0, UDP ("10.20.0.53", 9)));
  g_array_append_val (policy->routes, route);
  apply (policy);
  assert_false (LEAVES (0, UDP ("10.20.0.53", 9)));
  assert_true (LEAVES (0, UDP ("10.21.0.53", 9)));
}

static void
guard_lets_everything_into_the_tunnel_and_the_loopback (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  KsGuardCounters counters;
  guint8 packet[2048];

  NEED_NAMESPACE ();
  add_tunnel (policy, "tun0", TUNNEL_ADDRESS);
  apply (policy);
  drain (tunnel_fd);
  assert_false (LEAVES (0, UDP (TARGET, 9), .device = "tun0"));
  assert_true (read_frame (tunnel_fd, packet, sizeof packet, 1000) > 20);
  assert_memory_equal (packet + 16, ks_test_prefix (TARGET).bytes, 4);
  assert_false (LEAVES (0, UDP ("127.0.0.1", 9)));
  assert_false (LEAVES (0, UDP (TUNNEL_ADDRESS, 9)));
  inspect (policy, &counters);
  assert_int_equal (counters.output.packets, 0);
  assert_int_equal (counters.input.packets, 0);
}

static void
guard_takes_a_device_of_the_same_name_for_another_one (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  gboolean leaked;
  int fd;

  NEED_NAMESPACE ();
  fd = open_device ("tun9", IFF_TUN);
  assert_true (fd >= 0);
  add_tunnel (policy, "tun9", "10.9.0.2");
  apply (policy);
  close (fd);
  /* now the uplink has the tunnel's name */
  assert_true (command ("ip link set uplink down") && command ("ip link set uplink name tun9")
               && command ("ip link set tun9 up") && command ("ip route add " TARGET " dev tun9"));
  drain (uplink_fd);
  run_probe (0, &(const Probe){ UDP (TARGET, 9), .device = "tun9" });
  assert_true (command ("ip link set tun9 down") && command ("ip link set tun9 name uplink")
               && command ("ip link set uplink up"));
  restore_routes ();
  leaked = has_left (TARGET);
  assert_false (leaked);
}

/* --- transports --- */

static void
guard_lets_only_its_uid_send_a_programs_transport (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();

  NEED_NAMESPACE ();
  NEED_OTHER_UIDS ();
  add_transport (policy, server_transport (1194, 0, FALSE));
  apply (policy);
  assert_true (LEAVES (0, UDP (SERVER, 1194)));
  assert_false (LEAVES (NOBODY, UDP (SERVER, 1194)));
  assert_false (LEAVES (NOBODY, UDP (SERVER, 1194), .device = "uplink"));
  assert_false (LEAVES (0, TCP (SERVER, 1194)));
  assert_false (LEAVES (0, UDP (SERVER, 1195)));
  assert_false (LEAVES (0, UDP (TARGET, 1194)));
}

/* As a [vpn NAME] section has them. */
static void
guard_knows_a_transport_by_its_network_and_its_source_port (void **state G_GNUC_UNUSED)
{
  static const char *const networks[] = { "203.0.113.0/28", "198.51.100.0/24", "198.51.100.64/26" };
  g_autoptr (KsPolicy) policy = new_policy ();
  KsTransport port = { .family = AF_INET, .ip_protocol = IPPROTO_UDP, .sport = 1234 };

  NEED_NAMESPACE ();
  NEED_OTHER_UIDS ();
  for (guint i = 0; i < G_N_ELEMENTS (networks); i++) {
    KsTransport network = server_transport (443, 0, FALSE);

    network.to = ks_test_prefix (networks[i]);
    add_transport (policy, network);
  }
  apply (policy);
  assert_true (LEAVES (0, UDP (SERVER, 443)));
  assert_true (LEAVES (0, UDP (TARGET, 443)));
  assert_false (LEAVES (NOBODY, UDP (TARGET, 443)));
  assert_false (LEAVES (NOBODY, UDP (TARGET, 443), .device = "uplink"));
  assert_false (LEAVES (0, UDP (TARGET, 444)));
  assert_false (LEAVES (0, UDP ("203.0.113.77", 443)));
  assert_false (LEAVES (0, UDP (TARGET, 9), .sport = 1234));
  add_transport (policy, port);
  apply (policy);
  assert_true (LEAVES (0, UDP (TARGET, 9), .sport = 1234));
  assert_false (LEAVES (NOBODY, UDP (TARGET, 9), .sport = 1234));
  assert_false (LEAVES (0, TCP (TARGET, 9), .sport = 1234));
  assert_false (LEAVES (0, UDP (TARGET, 9), .sport = 1235));
}

static void
guard_lets_a_transport_find_its_next_hop_when_lan_is_off (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  KsTransport transport = server_transport (1194, 0, FALSE);

  NEED_NAMESPACE ();
  policy->lan = KS_LAN_OFF;
  g_array_set_size (policy->lan_prefixes, 0);
  transport.to = ks_test_prefix ("192.168.50.88");
  add_transport (policy, transport);
  transport.family = AF_INET6;
  transport.to = ks_test_prefix ("fd50::88");
  add_transport (policy, transport);
  apply (policy);
  assert_true (LEAVES (0, UDP ("192.168.50.88", 1194)));
  assert_true (LEAVES (0, UDP ("fd50::88", 1194)));
  assert_false (LEAVES (0, UDP ("fd50::89", 1194)));
}

static void
guard_knows_a_marked_transport_by_its_mark (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  KsTransport transport = {
    .family = AF_INET, .ip_protocol = IPPROTO_UDP, .fwmark = 51821, .uid = KS_UID_ANY, .kernel = TRUE
  };

  NEED_NAMESPACE ();
  add_transport (policy, transport);
  apply (policy);
  assert_true (LEAVES (0, UDP (TARGET, 9), .mark = 51821));
  assert_false (LEAVES (0, UDP (TARGET, 9), .mark = 51820));
  assert_false (LEAVES (0, TCP (TARGET, 9), .mark = 51821));
}

/* Split tunnelling for wg-quick marks what is to go past the VPN with the mark of the VPN's device. */
static void
guard_stops_a_program_with_the_mark_of_a_wireguard_device (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  KsTransport port = { .family = AF_INET, .ip_protocol = IPPROTO_UDP, .sport = 51820, .device = "wg0", .kernel = TRUE };
  KsTransport mark = port;

  NEED_NAMESPACE ();
  mark.sport = 0;
  mark.fwmark = 51821;
  mark.uid = KS_UID_ANY;
  add_transport (policy, mark);
  apply (policy);
  assert_true (LEAVES (0, UDP (TARGET, 9), .mark = 51821));
  add_transport (policy, port);
  apply (policy);
  assert_false (LEAVES (0, UDP (TARGET, 9), .mark = 51821));
  assert_true (LEAVES (0, UDP (TARGET, 9), .mark = 51821, .sport = 51820));
}

/*
 * VXLAN sends as kernel WireGuard does: from a port of its own, data with the
 * owner of the packet inside, and, as a handshake, ARP requests without one.
 */
static gboolean
make_kernel_tunnel (void)
{
  netns_try ("ip link delete vx0");
  /* One ARP request each, and no multicast listener reports: what the kernel sends later would be in the next probe. */
  return command ("ip link add vx0 type vxlan id 7 remote " SERVER
                  " local 192.168.50.2 dev uplink dstport 51820 srcport 51820 51821")
         && netns_write_file ("/proc/sys/net/ipv4/neigh/vx0/mcast_solicit", "1")
         && netns_write_file ("/proc/sys/net/ipv6/conf/vx0/disable_ipv6", "1") && command ("ip link set vx0 up")
         && command ("ip address add 10.77.0.2/24 dev vx0")
         && command ("ip neighbour add 10.77.0.1 lladdr %s dev vx0 nud permanent", router_mac);
}

/* Whether a packet inside vx0, to @to, has an outer one leave to the server. */
static gboolean
kernel_tunnel_sends (guint32 uid, const char *to)
{
  drain (uplink_fd);
  run_probe (uid, &(const Probe){ UDP (to, 9) });
  return has_left (SERVER);
}

static void
guard_lets_the_kernels_handshake_out_but_no_program (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();

  NEED_NAMESPACE ();
  NEED_OTHER_UIDS ();
  if (!make_kernel_tunnel ()) {
    print_message ("skipped: no VXLAN in this kernel\n");
    skip ();
  }
  apply (policy);
  assert_false (kernel_tunnel_sends (0, "10.77.0.8"));
  add_transport (policy, server_transport (51820, 0, TRUE));
  apply (policy);
  assert_false (kernel_tunnel_sends (0, "10.77.0.1"));
  assert_false (LEAVES (0, UDP (SERVER, 51820)));
  assert_false (LEAVES (NOBODY, UDP (SERVER, 51820), .device = "uplink"));
  assert_true (kernel_tunnel_sends (0, "10.77.0.9"));
  assert_true (kernel_tunnel_sends (NOBODY, "10.77.0.10"));
  netns_try ("ip link delete vx0");
}

static void
guard_lets_the_kernels_data_out_only_while_the_device_exists (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  KsTransport transport = {
    .family = AF_INET, .ip_protocol = IPPROTO_UDP, .sport = 51820, .device = "vx0", .kernel = TRUE
  };

  NEED_NAMESPACE ();
  NEED_OTHER_UIDS ();
  if (!make_kernel_tunnel ()) {
    print_message ("skipped: no VXLAN in this kernel\n");
    skip ();
  }
  add_transport (policy, transport);
  apply (policy);
  assert_false (kernel_tunnel_sends (NOBODY, "10.77.0.1"));
  add_tunnel (policy, "vx0", "10.77.0.2");
  apply (policy);
  assert_true (kernel_tunnel_sends (NOBODY, "10.77.0.1"));
  assert_true (kernel_tunnel_sends (0, "10.77.0.1"));
  netns_try ("ip link delete vx0");
  g_ptr_array_set_size (policy->tunnels, 0);
  apply (policy);
  assert_false (LEAVES (NOBODY, UDP (SERVER, 9), .sport = 51820));
}

/* What the kernel wraps, as for L2TP and ESP in UDP, has the owner of what is inside: any. */
static void
guard_lets_the_kernels_wrapped_packets_out_but_no_bound_program (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  const KsPrefix server = ks_test_prefix (SERVER), router = ks_test_prefix (ROUTER);
  KsRoute route = ks_route_via (86, 83, &server, 0, if_nametoindex ("uplink"), &router);
  KsTransport transport = server_transport (51820, 0, FALSE);

  NEED_NAMESPACE ();
  NEED_OTHER_UIDS ();
  if (!make_kernel_tunnel ()) {
    print_message ("skipped: no VXLAN in this kernel\n");
    skip ();
  }
  transport.carriage = KS_CARRIAGE_WRAPPED;
  g_strlcpy (transport.device, "vx0", sizeof transport.device);
  add_transport (policy, transport);
  g_array_append_val (policy->routes, route);
  add_tunnel (policy, "vx0", "10.77.0.2");
  apply (policy);
  /* as the policy's rules do it: whoever is not root finds no route */
  assert_true (command ("ip rule add pref 5 uidrange %u-%u unreachable", NOBODY, NOBODY));
  assert_true (kernel_tunnel_sends (0, "10.77.0.1"));
  assert_true (LEAVES (0, UDP (SERVER, 51820)));
  assert_false (LEAVES (NOBODY, UDP (SERVER, 51820)));
  assert_false (LEAVES (NOBODY, UDP (SERVER, 51820), .device = "uplink"));
  netns_try ("ip rule delete pref 5");
  assert_true (kernel_tunnel_sends (NOBODY, "10.77.0.1"));
  netns_try ("ip link delete vx0");
}

/* --- what arrives, what is forwarded, what is rerouted --- */

static void
guard_forwards_nothing_public (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  KsGuardCounters counters;

  NEED_NAMESPACE ();
  drain (uplink_fd);
  inject (guest_fd, "guest", "10.66.0.2", TARGET);
  assert_true (has_left (TARGET));
  /* neither is a guest's packet one of the kernel's, though it has no owner either */
  add_transport (policy, server_transport (1024, 0, TRUE));
  apply (policy);
  drain (uplink_fd);
  inject (guest_fd, "guest", "10.66.0.2", TARGET);
  assert_false (has_left (TARGET));
  inject (guest_fd, "guest", "10.66.0.2", SERVER);
  assert_false (has_left (SERVER));
  inject (guest_fd, "guest", "10.66.0.2", ROUTER);
  assert_true (has_left (ROUTER));
  inspect (policy, &counters);
  assert_int_equal (counters.forward.packets, 2);
}

static void
guard_drops_packets_for_the_tunnel_that_arrive_elsewhere (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  KsGuardCounters counters;

  NEED_NAMESPACE ();
  drain (uplink_fd);
  inject (uplink_fd, "uplink", ROUTER, TUNNEL_ADDRESS);
  assert_true (has_left (ROUTER)); /* "port unreachable": the address is there */
  add_tunnel (policy, "tun0", TUNNEL_ADDRESS);
  apply (policy);
  inject (uplink_fd, "uplink", ROUTER, TUNNEL_ADDRESS);
  assert_false (has_left (ROUTER));
  inspect (policy, &counters);
  assert_int_equal (counters.input.packets, 1);
}

static void
guard_judges_the_device_a_packet_leaves_by_in_the_end (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  gboolean leaked;

  NEED_NAMESPACE ();
  add_tunnel (policy, "tun0", TUNNEL_ADDRESS);
  apply (policy);
  /* routed into the tunnel, then marked, and routed out again by the mark */
  assert_true (command ("ip route add " TARGET " dev tun0"));
  assert_true (command ("ip rule add fwmark 7 lookup 7"));
  assert_true (command ("ip route add default via " ROUTER " dev uplink table 7"));
  assert_true (command ("nft add table ip somebody"));
  assert_true (command ("nft add chain ip somebody out '{ type route hook output priority mangle; }'"));
  assert_true (command ("nft add rule ip somebody out ip daddr " TARGET " meta mark set 7"));
  leaked = LEAVES (0, UDP (TARGET, 9));
  netns_try ("nft delete table inet nm_killswitch");
  assert_true (LEAVES (0, UDP (TARGET, 9)));
  netns_try ("ip route delete " TARGET " dev tun0");
  netns_try ("ip rule delete fwmark 7");
  assert_false (leaked);
}

/* --- keeping it in place --- */

static void
guard_is_not_touched_when_nothing_changed (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();

  NEED_NAMESPACE ();
  add_tunnel (policy, "tun0", TUNNEL_ADDRESS);
  assert_int_equal (inspect (policy, NULL), KS_GUARD_ABSENT);
  assert_int_equal (apply (policy), 1);
  assert_int_equal (apply (policy), 0);
  assert_false (LEAVES (0, UDP (TARGET, 9)));
  assert_int_equal (apply (policy), 0); /* counters are no change */
  assert_int_equal (inspect (policy, NULL), KS_GUARD_IN_PLACE);
  policy->dns = KS_DNS_LAN;
  assert_int_equal (inspect (policy, NULL), KS_GUARD_OUTDATED);
  assert_int_equal (apply (policy), 1);
  assert_int_equal (apply (policy), 0);
}

static void
guard_notices_whatever_somebody_does_to_it (void **state G_GNUC_UNUSED)
{
  static const char *const deeds[] = {
    "nft flush ruleset",
    "nft flush table inet nm_killswitch",
    "nft flush chain inet nm_killswitch lan",
    "nft insert rule inet nm_killswitch postrouting accept",
    "nft delete element inet nm_killswitch lan4 '{ 192.168.0.0/16 }'",
    "nft add element inet nm_killswitch lan4 '{ 198.51.100.0/24 }'",
    "nft 'delete element inet nm_killswitch lan4 {10.0.0.0/8}; add element inet nm_killswitch lan4 {8.0.0.0/8}'",
    "nft insert rule inet nm_killswitch postrouting oif 77 accept",
    "nft add chain inet nm_killswitch postrouting '{ policy accept; }'",
    "nft add table inet nm_killswitch '{ flags dormant; }'",
    "nft add set inet nm_killswitch more '{ type ipv4_addr; }'",
  };
  g_autoptr (KsPolicy) policy = new_policy ();

  NEED_NAMESPACE ();
  apply (policy);
  for (guint i = 0; i < G_N_ELEMENTS (deeds); i++) {
    assert_int_equal (inspect (policy, NULL), KS_GUARD_IN_PLACE);
    if (!command ("%s", deeds[i]))
      fail_msg ("'%s' failed", deeds[i]);
    if (inspect (policy, NULL) == KS_GUARD_IN_PLACE)
      fail_msg ("'%s' goes unnoticed", deeds[i]);
    assert_int_equal (apply (policy), 1);
    assert_false (LEAVES (0, UDP (TARGET, 9)));
  }
}

/* The number that nftables gave to the last rule of postrouting. */
static int
last_rule (void)
{
  g_autofree char *rules = NULL;
  const char *rule;

  assert_true (
    g_spawn_command_line_sync ("nft -a list chain inet nm_killswitch postrouting", &rules, NULL, NULL, NULL));
  rule = strstr (rules, "dropped_output");
  assert_non_null (rule);
  rule = strstr (rule, "# handle ");
  assert_non_null (rule);
  return (int) g_ascii_strtoll (rule + strlen ("# handle "), NULL, 10);
}

static void
guard_notices_a_deleted_and_a_replaced_rule (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();

  NEED_NAMESPACE ();
  apply (policy);
  assert_true (command ("nft delete rule inet nm_killswitch postrouting handle %d", last_rule ()));
  assert_int_equal (inspect (policy, NULL), KS_GUARD_TAMPERED);
  assert_int_equal (apply (policy), 1);
  assert_true (command ("nft replace rule inet nm_killswitch postrouting handle %d "
                        "counter name dropped_output accept",
                        last_rule ()));
  assert_int_equal (inspect (policy, NULL), KS_GUARD_TAMPERED);
  assert_int_equal (apply (policy), 1);
}

/* --- what is remembered of it --- */

static guint messages_sent;

/* In place of the C library's, also for libraries. */
ssize_t
sendmsg (int fd, const struct msghdr *message, int flags)
{
  messages_sent++;
  return syscall (SYS_sendmsg, fd, message, flags);
}

/* How many messages it took to find the guard in place. */
static guint
count_messages (const KsPolicy *policy)
{
  messages_sent = 0;
  assert_int_equal (apply (policy), 0);
  return messages_sent;
}

static void
guard_is_not_read_while_nothing_in_nftables_changes (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  guint32 generation;
  guint64 namespace;

  NEED_NAMESPACE ();
  if (!ks_guard_readback_present (&generation, &namespace))
    skip (); /* no SO_NETNS_COOKIE */
  apply (policy);
  assert_int_equal (count_messages (policy), 1);
  assert_int_equal (count_messages (policy), 1);
  /* another program's table */
  assert_true (command ("nft add table ip others"));
  assert_true (count_messages (policy) > 5);
  assert_int_equal (count_messages (policy), 1);
}

static void
guard_that_is_remembered_is_replaced_after_any_change (void **state G_GNUC_UNUSED)
{
  static const char *const changes[] = {
    "delete table inet nm_killswitch",
    "flush chain inet nm_killswitch postrouting",
    "add table inet nm_killswitch { flags dormant; }",
    "add element inet nm_killswitch lan4 { 198.51.100.0/24 }",
    "insert rule inet nm_killswitch postrouting accept",
    "add chain inet nm_killswitch postrouting { policy accept; }",
    "flush ruleset",
  };
  g_autoptr (KsPolicy) policy = new_policy ();

  NEED_NAMESPACE ();
  apply (policy);
  for (guint i = 0; i < G_N_ELEMENTS (changes); i++) {
    count_messages (policy);
    assert_true (command ("nft %s", changes[i]));
    if (apply (policy) != 1)
      fail_msg ("nft %s: not noticed", changes[i]);
    assert_int_equal (inspect (policy, NULL), KS_GUARD_IN_PLACE);
  }
}

/* The same file in /run, and the number of the ruleset is the same. */
static void
guard_that_is_remembered_of_another_namespace_is_installed (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  int home = open ("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  guint32 remembered, generation = 0;
  guint64 one, other = 0;

  NEED_NAMESPACE ();
  apply (policy);
  count_messages (policy);
  if (!ks_guard_readback_present (&remembered, &one))
    skip ();
  assert_int_equal (unshare (CLONE_NEWNET), 0);
  for (int i = 0; i < 1000 && generation != remembered; i++) {
    assert_true (command ("nft add table ip others%d", i));
    assert_true (ks_guard_readback_present (&generation, &other));
  }
  assert_int_equal (generation, remembered);
  assert_true (one != other);
  assert_int_equal (apply (policy), 1);
  assert_int_equal (inspect (policy, NULL), KS_GUARD_IN_PLACE);
  assert_int_equal (setns (home, CLONE_NEWNET), 0);
  close (home);
}

static void
guard_with_a_malformed_memory_is_read (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  g_autofree char *path = g_strconcat (state_path, ".read", NULL);
  g_autofree char *text = NULL;
  gsize length = 0;

  NEED_NAMESPACE ();
  apply (policy);
  if (!g_file_get_contents (path, &text, &length, NULL))
    skip ();
  for (gsize cut = 0; cut < length; cut += 3) {
    assert_true (g_file_set_contents (path, text, (gssize) cut, NULL));
    assert_true (count_messages (policy) > 5);
  }
}

static void
guard_is_replaced_when_its_state_file_is_lost (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();

  NEED_NAMESPACE ();
  apply (policy);
  g_unlink (state_path);
  assert_int_equal (apply (policy), 1);
  assert_int_equal (apply (policy), 0);
}

/* A policy with one transport, of root's to port 1194 of the server: what NetworkManager told while it answered. */
static KsPolicy *
new_policy_with_transport (void)
{
  KsPolicy *policy = new_policy ();

  add_transport (policy, server_transport (1194, 0, FALSE));
  return policy;
}

static void
guard_that_is_held_stays_as_long_as_it_is_as_installed (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) told = new_policy_with_transport ();
  g_autoptr (KsPolicy) poorer = new_policy ();
  guint changes;

  NEED_NAMESPACE ();
  apply (told);
  assert_int_equal (inspect (poorer, NULL), KS_GUARD_OUTDATED);
  assert_int_equal (ks_guard_inspect (poorer, TRUE, state_path, NULL, NULL), KS_GUARD_IN_PLACE);
  assert_int_equal (hold (poorer, &changes), KS_GUARD_IN_PLACE);
  assert_int_equal (changes, 0);
  assert_true (LEAVES (0, UDP (SERVER, 1194)));
  poorer->guard = FALSE;
  assert_int_equal (hold (poorer, &changes), KS_GUARD_IN_PLACE);
  assert_int_equal (changes, 0);
}

static void
guard_that_is_held_is_restored_when_it_was_tampered_with (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *deed;
    KsGuardState found;
  } cases[] = {
    { "nft insert rule inet nm_killswitch postrouting accept", KS_GUARD_TAMPERED },
    { "nft flush chain inet nm_killswitch forward", KS_GUARD_TAMPERED },
    { "nft delete table inet nm_killswitch", KS_GUARD_ABSENT },
  };
  g_autoptr (KsPolicy) told = new_policy_with_transport ();
  g_autoptr (KsPolicy) poorer = new_policy ();
  guint changes;

  NEED_NAMESPACE ();
  apply (told);
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    assert_true (command ("%s", cases[i].deed));
    assert_int_equal (ks_guard_inspect (poorer, TRUE, state_path, NULL, NULL), cases[i].found);
    assert_int_equal (hold (poorer, &changes), cases[i].found);
    assert_int_equal (changes, 1);
    assert_false (LEAVES (0, UDP (TARGET, 9)));
    assert_true (LEAVES (0, UDP (SERVER, 1194))); /* exactly what was installed */
    assert_int_equal (inspect (told, NULL), KS_GUARD_IN_PLACE);
  }
}

static void
guard_without_a_record_is_replaced_even_when_held (void **state G_GNUC_UNUSED)
{
  static const char *const rests[] = { NULL, "", "no record", "0 0\ntable inet nm_killswitch {}\n" };
  g_autoptr (KsPolicy) told = new_policy_with_transport ();
  g_autoptr (KsPolicy) poorer = new_policy ();
  guint changes;

  NEED_NAMESPACE ();
  for (guint i = 0; i < G_N_ELEMENTS (rests); i++) {
    apply (told);
    g_unlink (state_path);
    if (rests[i])
      assert_true (g_file_set_contents (state_path, rests[i], -1, NULL));
    assert_true (command ("nft insert rule inet nm_killswitch postrouting accept"));
    assert_int_equal (hold (poorer, &changes), KS_GUARD_UNVERIFIED);
    assert_int_equal (changes, 1);
    assert_false (LEAVES (0, UDP (TARGET, 9)));
    assert_int_equal (inspect (poorer, NULL), KS_GUARD_IN_PLACE);
  }
}

static void
guard_that_nothing_is_known_of_is_not_removed_while_held (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  guint changes;

  NEED_NAMESPACE ();
  apply (policy);
  g_unlink (state_path);
  policy->armed = FALSE;
  assert_int_equal (hold (policy, &changes), KS_GUARD_UNVERIFIED);
  assert_int_equal (changes, 0);
  assert_false (LEAVES (0, UDP (TARGET, 9)));
}

/* What this program says, started anew, of new_policy(): it knows no more than what is written down. */
static KsGuardState
inspect_in_another_process (const char *path)
{
  g_autofree char *self = g_file_read_link ("/proc/self/exe", NULL);
  char *argv[] = { self, (char *) path, NULL };

  return (KsGuardState) netns_spawn (argv, NULL, NULL);
}

static void
guard_is_known_to_the_process_that_could_not_record_it (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  g_autofree char *nowhere = g_build_filename (directory->path, "missing", "guard", NULL);
  g_autoptr (GError) error = NULL;
  guint changes = 0;

  NEED_NAMESPACE ();
  assert_false (ks_guard_apply (policy, FALSE, nowhere, NULL, &changes, &error));
  assert_true (g_error_matches (error, KS_ERROR, KS_ERROR_IO));
  assert_non_null (strstr (error->message, "cannot be recorded"));
  assert_int_equal (changes, 1);
  assert_int_equal (ks_guard_inspect (policy, FALSE, nowhere, NULL, NULL), KS_GUARD_IN_PLACE);
  assert_true (ks_guard_apply (policy, FALSE, nowhere, NULL, &changes, NULL));
  assert_int_equal (changes, 1);
  assert_true (command ("nft insert rule inet nm_killswitch postrouting accept"));
  assert_int_equal (ks_guard_inspect (policy, FALSE, nowhere, NULL, NULL), KS_GUARD_TAMPERED);
  assert_int_equal (inspect_in_another_process (nowhere), KS_GUARD_UNVERIFIED);
  /* from here on there is a file again */
  assert_int_equal (apply (policy), 1);
  assert_int_equal (inspect_in_another_process (state_path), KS_GUARD_IN_PLACE);
}

static void
guard_changed_before_it_was_read_back_is_installed_again (void **state G_GNUC_UNUSED)
{
  static const char *const deeds[] = {
    "nft insert rule inet nm_killswitch postrouting accept",
    "nft delete table inet nm_killswitch",
  };
  g_autoptr (KsPolicy) policy = new_policy ();

  NEED_NAMESPACE ();
  for (guint i = 0; i < G_N_ELEMENTS (deeds); i++) {
    netns_try ("nft flush ruleset");
    intrusion = deeds[i];
    intrusions = 2;
    assert_int_equal (apply (policy), 3);
    assert_int_equal (intrusions, 0);
    assert_false (LEAVES (0, UDP (TARGET, 9)));
    assert_int_equal (inspect (policy, NULL), KS_GUARD_IN_PLACE);
  }
}

static void
guard_is_certified_whatever_others_do_to_their_own_tables (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();

  NEED_NAMESPACE ();
  intrusion = "nft 'add table inet somebody; delete table inet somebody'";
  intrusions = 1;
  assert_int_equal (apply (policy), 1);
  assert_int_equal (intrusions, 0);
  assert_int_equal (inspect (policy, NULL), KS_GUARD_IN_PLACE);
}

static void
guard_is_not_certified_while_another_program_keeps_changing_it (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  g_autoptr (GError) error = NULL;
  guint changes = 0;

  NEED_NAMESPACE ();
  intrusion = "nft insert rule inet nm_killswitch postrouting accept";
  intrusions = 50;
  assert_false (ks_guard_apply (policy, FALSE, state_path, NULL, &changes, &error));
  assert_true (intrusions > 40); /* it ends soon */
  intrusions = 0;
  assert_non_null (strstr (error->message, "another program keeps changing nftables"));
  assert_int_not_equal (inspect (policy, NULL), KS_GUARD_IN_PLACE);
  assert_int_equal (apply (policy), 1);
  assert_false (LEAVES (0, UDP (TARGET, 9)));
}

static void
guard_keeps_its_counters_when_replaced (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  KsGuardCounters before, after;

  NEED_NAMESPACE ();
  apply (policy);
  assert_false (LEAVES (0, UDP (TARGET, 9)));
  inspect (policy, &before);
  assert_int_equal (before.output.packets, 1);
  add_tunnel (policy, "tun0", TUNNEL_ADDRESS);
  assert_int_equal (apply (policy), 1);
  inspect (policy, &after);
  assert_memory_equal (&before, &after, sizeof before);
}

static void
guard_is_removed_when_the_policy_wants_none (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  g_autoptr (GError) error = NULL;
  guint changes = 0;

  NEED_NAMESPACE ();
  apply (policy);
  assert_true (command ("nft add table inet somebody"));
  policy->guard = FALSE;
  assert_int_equal (inspect (policy, NULL), KS_GUARD_OUTDATED);
  assert_int_equal (apply (policy), 1);
  assert_int_equal (inspect (policy, NULL), KS_GUARD_ABSENT);
  assert_int_equal (apply (policy), 0);
  assert_false (g_file_test (state_path, G_FILE_TEST_EXISTS));
  assert_true (ks_guard_remove (state_path, &changes, &error));
  assert_int_equal (changes, 0);
  assert_true (command ("nft list table inet somebody"));
}

static void
guard_loads_with_every_kind_of_transport (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsPolicy) policy = new_policy ();
  KsTransport any = { .family = AF_INET6, .to = ks_test_prefix ("2001:db8::/32"), .uid = KS_UID_ANY };
  KsTransport esp = server_transport (0, 0, FALSE);
  KsTransport unknown = server_transport (0, 0, TRUE);
  KsTransport ports = server_transport (4500, 998, FALSE);
  KsTransport everywhere = { .family = AF_INET,
                             .to = ks_prefix_default (AF_INET),
                             .ip_protocol = IPPROTO_TCP,
                             .sport = 1,
                             .dport = 65535,
                             .fwmark = G_MAXUINT32,
                             .uid = G_MAXUINT32 - 1 };
  KsPrefix all = ks_prefix_default (AF_INET6);

  NEED_NAMESPACE ();
  esp.ip_protocol = IPPROTO_ESP;
  unknown.ip_protocol = 0;
  add_transport (policy, any);
  add_transport (policy, esp);
  add_transport (policy, unknown);
  add_transport (policy, ports);
  ports.ip_protocol = 0;
  add_transport (policy, ports);
  add_transport (policy, everywhere);
  for (KsCarriage carriage = KS_CARRIAGE_WRAPPED; carriage <= KS_CARRIAGE_INSIDE_IPSEC; carriage++) {
    ports.carriage = carriage;
    add_transport (policy, ports);
  }
  g_array_append_val (policy->lan_prefixes, all);
  add_tunnel (policy, "tun0", TUNNEL_ADDRESS);
  add_tunnel (policy, "guest", "fd66::1");
  assert_int_equal (apply (policy), 1);
  assert_int_equal (apply (policy), 0);
}

#define TEST(name) cmocka_unit_test_setup (name, set_up)

int
main (int argc, char **argv)
{
  const struct CMUnitTest tests[] = {
    TEST (guard_alone_lets_nothing_public_out),
    TEST (guard_lets_no_arp_request_for_a_public_address_out),
    TEST (guard_lets_the_lan_work),
    TEST (guard_drops_lan_dns_unless_it_is_let),
    TEST (guard_lets_the_resolver_ask_for_the_servers_name),
    TEST (guard_lets_nothing_else_be_asked_for),
    TEST (guard_lets_the_resolver_validate_the_servers_name),
    TEST (guard_takes_the_longest_name_and_many),
    TEST (guard_lets_no_more_than_some_queries_out_at_once),
    TEST (guard_has_no_lan_when_lan_is_off),
    TEST (guard_takes_lan_routes_from_the_policy),
    TEST (guard_keeps_the_tunnels_private_subnets_off_the_lan),
    TEST (guard_lets_everything_into_the_tunnel_and_the_loopback),
    TEST (guard_takes_a_device_of_the_same_name_for_another_one),
    TEST (guard_lets_only_its_uid_send_a_programs_transport),
    TEST (guard_knows_a_transport_by_its_network_and_its_source_port),
    TEST (guard_lets_a_transport_find_its_next_hop_when_lan_is_off),
    TEST (guard_knows_a_marked_transport_by_its_mark),
    TEST (guard_stops_a_program_with_the_mark_of_a_wireguard_device),
    TEST (guard_lets_the_kernels_handshake_out_but_no_program),
    TEST (guard_lets_the_kernels_data_out_only_while_the_device_exists),
    TEST (guard_lets_the_kernels_wrapped_packets_out_but_no_bound_program),
    TEST (guard_forwards_nothing_public),
    TEST (guard_drops_packets_for_the_tunnel_that_arrive_elsewhere),
    TEST (guard_judges_the_device_a_packet_leaves_by_in_the_end),
    TEST (guard_is_not_touched_when_nothing_changed),
    TEST (guard_notices_whatever_somebody_does_to_it),
    TEST (guard_notices_a_deleted_and_a_replaced_rule),
    TEST (guard_is_not_read_while_nothing_in_nftables_changes),
    TEST (guard_that_is_remembered_is_replaced_after_any_change),
    TEST (guard_that_is_remembered_of_another_namespace_is_installed),
    TEST (guard_with_a_malformed_memory_is_read),
    TEST (guard_is_replaced_when_its_state_file_is_lost),
    TEST (guard_that_is_held_stays_as_long_as_it_is_as_installed),
    TEST (guard_that_is_held_is_restored_when_it_was_tampered_with),
    TEST (guard_without_a_record_is_replaced_even_when_held),
    TEST (guard_that_nothing_is_known_of_is_not_removed_while_held),
    TEST (guard_is_known_to_the_process_that_could_not_record_it),
    TEST (guard_changed_before_it_was_read_back_is_installed_again),
    TEST (guard_is_certified_whatever_others_do_to_their_own_tables),
    TEST (guard_is_not_certified_while_another_program_keeps_changing_it),
    TEST (guard_keeps_its_counters_when_replaced),
    TEST (guard_is_removed_when_the_policy_wants_none),
    TEST (guard_loads_with_every_kind_of_transport),
  };

  if (argc == 2) { /* of inspect_in_another_process() */
    g_autoptr (KsPolicy) policy = new_policy ();

    return (int) ks_guard_inspect (policy, FALSE, argv[1], NULL, NULL);
  }
  watch_transactions ();
  return cmocka_run_group_tests (tests, set_up_group, tear_down_group);
}
