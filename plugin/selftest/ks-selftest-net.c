/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 *      guest                     host                          router
 *   +-----------+     +---------------------------+     +---------------------+
 *   | eth0      |-----| guest0              lan0  |-----| host0               |
 *   | 10.66.0.2 |     | 10.66.0.1   192.168.77.2  |     | 192.168.77.1        |
 *   | fd66::2   |     | fd66::1     fd77::2       |     | fd77::1             |
 *   +-----------+     |                           |     | lo                  |
 *                     |      tun0 10.8.0.2        |     | 198.51.100.1        |
 *                     |           fd08::2         |     | 2001:db8:1::1       |
 *                     +-----------|---------------+     | 203.0.113.10 ...    |
 *                          file descriptor              +---------------------+
 *
 * The router has the public addresses itself, and so answers ARP requests for
 * them: to the host it looks like a router with proxy ARP. A packet socket there
 * sees every frame that leaves the host.
 *
 * The process is in the host's namespace; its file descriptors keep the others
 * alive. It stays on one CPU: frames between namespaces wait in a queue per CPU,
 * and in a single queue, whatever was sent before a marker is ahead of it.
 */
#include "selftest/ks-selftest-net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/ks-error.h"
#include "selftest/ks-selftest-answer.h"
#include "selftest/ks-selftest-link.h"
#include "selftest/ks-selftest-wire.h"

/* A packet, the query for its next hop and the answer each take one more turn in the queue. */
#define ROUNDS 4
#define MARKER_TIMEOUT_MS 2000
/* A new device carries nothing until the kernel has noticed its carrier. */
#define LINK_STEP_MS 10
#define LINK_TRIES 500

struct _KsSelftestNet {
  gboolean without_tun;
  gboolean has_ip6;
  int router, guest, host; /* namespaces */
  KsNlSocket *socket;
  int wire; /* packet socket on host0 */
  int guest_wire; /* packet socket on eth0 */
  int marker; /* packet socket in the host's namespace */
  guint32 serial;
  int tunnel; /* the tun device, or a packet socket on far0; -1 without a tunnel */
  gboolean is_veth;
  KsSelftestAnswer *answer;
};

/* --- namespaces --- */

static gboolean
fail (GError **error, KsError code, const char *what)
{
  g_set_error (error, KS_ERROR, code, "%s: %s", what, g_strerror (errno));
  return FALSE;
}

static gboolean
write_file (const char *path, const char *text)
{
  int file = open (path, O_WRONLY | O_CLOEXEC);
  gboolean is_written = file >= 0 && write (file, text, strlen (text)) == (ssize_t) strlen (text);
  int result = errno;

  if (file >= 0)
    close (file);
  errno = result;
  return is_written;
}

gboolean
ks_selftest_net_set (const char *name, const char *value, GError **error)
{
  g_autofree char *path = g_build_filename ("/proc/sys/net", name, NULL);

  return write_file (path, value) || errno == ENOENT || fail (error, KS_ERROR_KERNEL, path);
}

/* The kernel's reason would only confuse: if the limit is zero, it says "no space left on device". */
static gboolean
fail_forbidden (GError **error)
{
  g_set_error (error, KS_ERROR, KS_ERROR_PERMISSION,
               "this user may not create network namespaces here (user.max_user_namespaces, "
               "kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns can forbid it): "
               "run it as root");
  return FALSE;
}

/* A user namespace in which this user is root. */
static gboolean
become_root (GError **error)
{
  g_autofree char *uids = g_strdup_printf ("0 %u 1", (guint) geteuid ());
  g_autofree char *gids = g_strdup_printf ("0 %u 1", (guint) getegid ());

  if (unshare (CLONE_NEWUSER) < 0 || !write_file ("/proc/self/setgroups", "deny")
      || !write_file ("/proc/self/uid_map", uids) || !write_file ("/proc/self/gid_map", gids))
    return fail_forbidden (error);
  return TRUE;
}

/* Enters the first namespace. Root does so without a user namespace, so that other users exist. */
static gboolean
leave_host (GError **error)
{
  if (unshare (CLONE_NEWNET) == 0)
    return TRUE;
  if (errno != EPERM)
    return fail (error, KS_ERROR_KERNEL, "cannot make a network namespace");
  if (!become_root (error))
    return FALSE;
  return unshare (CLONE_NEWNET) == 0 || fail_forbidden (error);
}

/* A descriptor of the process's namespace. -1 with an error. */
static int
open_namespace (GError **error)
{
  int fd = open ("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

  if (fd < 0)
    fail (error, KS_ERROR_KERNEL, "/proc/self/ns/net");
  return fd;
}

static gboolean
make_namespaces (KsSelftestNet *self, GError **error)
{
  if (!leave_host (error) || (self->router = open_namespace (error)) < 0)
    return FALSE;
  if (unshare (CLONE_NEWNET) < 0)
    return fail (error, KS_ERROR_KERNEL, "cannot make a second network namespace");
  if ((self->guest = open_namespace (error)) < 0)
    return FALSE;
  if (unshare (CLONE_NEWNET) < 0)
    return fail (error, KS_ERROR_KERNEL, "cannot make a third network namespace");
  return (self->host = open_namespace (error)) >= 0;
}

static gboolean
enter (int namespace, GError **error)
{
  return setns (namespace, CLONE_NEWNET) == 0 || fail (error, KS_ERROR_KERNEL, "cannot change the network namespace");
}

static void
keep_to_one_cpu (void)
{
  cpu_set_t set;
  int cpu = sched_getcpu ();

  CPU_ZERO (&set);
  CPU_SET (cpu < 0 || cpu >= CPU_SETSIZE ? 0 : cpu, &set);
  sched_setaffinity (0, sizeof set, &set);
}

/* --- their contents --- */

/* Settings of a namespace that the host's distribution may have changed, some of which a new namespace inherits. */
static gboolean
set_defaults (GError **error)
{
  static const char *const settings[][2] = {
    { "ipv4/conf/all/rp_filter", "0" },
    { "ipv4/conf/default/rp_filter", "0" },
    { "ipv4/conf/all/arp_ignore", "0" },
    { "ipv4/conf/default/arp_ignore", "0" },
    { "ipv4/conf/all/arp_filter", "0" },
    { "ipv4/conf/default/arp_filter", "0" },
    { "ipv6/conf/all/disable_ipv6", "0" },
    { "ipv6/conf/default/disable_ipv6", "0" },
    { "ipv6/conf/default/accept_dad", "0" },
    /* the kernel adds its link-local addresses at any time, even in the middle of a probe; we use our own instead */
    { "ipv6/conf/default/addr_gen_mode", "1" },
    /* else a socket that the kernel chooses a port for may have this one when a case wants it */
    { "ipv4/ip_local_reserved_ports", G_STRINGIFY (KS_SELFTEST_WIREGUARD_PORT) },
  };

  for (guint i = 0; i < G_N_ELEMENTS (settings); i++)
    if (!ks_selftest_net_set (settings[i][0], settings[i][1], error))
      return FALSE;
  return TRUE;
}

/* Lets every user use ping sockets; the namespace of an ordinary user has one group. */
static void
allow_ping (void)
{
  if (!write_file ("/proc/sys/net/ipv4/ping_group_range", "0 2147483647"))
    write_file ("/proc/sys/net/ipv4/ping_group_range", "0 0");
}

/* @addresses in one string, without those of IPv6 if the kernel has no IPv6. */
static gboolean
add_addresses (const KsSelftestNet *self, KsNlSocket *socket, const char *name, const char *addresses, GError **error)
{
  g_auto (GStrv) words = g_strsplit (addresses, " ", -1);

  for (char **word = words; *word; word++)
    if ((self->has_ip6 || !strchr (*word, ':')) && !ks_selftest_link_add_address (socket, name, *word, error))
      return FALSE;
  return TRUE;
}

/* A route for each gateway whose family the kernel has. */
static gboolean
add_routes (const KsSelftestNet *self, KsNlSocket *socket, const char *name, const char *const *routes, GError **error)
{
  for (guint i = 0; routes[i]; i += 2)
    if ((self->has_ip6 || !strchr (routes[i], ':'))
        && !ks_selftest_link_add_route (socket, routes[i], routes[i + 1], name, 100, error))
      return FALSE;
  return TRUE;
}

/* Creates the devices of all three, which have a carrier once the other ends are up. */
static gboolean
make_links (KsSelftestNet *self, GError **error)
{
  self->socket = ks_netlink_open (error);
  return self->socket && set_defaults (error)
         && ks_selftest_link_add_veth (self->socket, KS_SELFTEST_UPLINK, "host0", self->router, error)
         && ks_selftest_link_add_veth (self->socket, "guest0", "eth0", self->guest, error)
         && ks_selftest_link_up (self->socket, "lo", FALSE, error)
         && ks_selftest_link_up (self->socket, KS_SELFTEST_UPLINK, FALSE, error)
         && ks_selftest_link_up (self->socket, "guest0", FALSE, error);
}

static gboolean
fill_host (const KsSelftestNet *self, GError **error)
{
  static const char *const routes[] = { "0.0.0.0/0", KS_SELFTEST_ROUTER, "::/0", KS_SELFTEST_ROUTER6, NULL };

  return ks_selftest_net_set ("ipv4/ip_forward", "1", error)
         && ks_selftest_net_set ("ipv6/conf/all/forwarding", "1", error)
         /* the kernel would ask again a second later, in the middle of another probe */
         && ks_selftest_net_set ("ipv4/neigh/" KS_SELFTEST_UPLINK "/mcast_solicit", "1", error)
         && ks_selftest_net_set ("ipv6/neigh/" KS_SELFTEST_UPLINK "/mcast_solicit", "1", error)
         && add_addresses (self, self->socket, KS_SELFTEST_UPLINK,
                           KS_SELFTEST_HOST "/24 " KS_SELFTEST_HOST6 "/64 fe80::2/64", error)
         && add_addresses (self, self->socket, "guest0", "10.66.0.1/24 fd66::1/64 fe80::1/64", error)
         && add_routes (self, self->socket, KS_SELFTEST_UPLINK, routes, error);
}

static gboolean
fill_router (KsSelftestNet *self, KsNlSocket *socket, GError **error)
{
  static const char *const routes[] = { KS_SELFTEST_TUNNEL, KS_SELFTEST_HOST, KS_SELFTEST_TUNNEL6, KS_SELFTEST_HOST6,
                                        NULL };

  return socket && set_defaults (error) && ks_selftest_link_up (socket, "lo", FALSE, error)
         && ks_selftest_link_up (socket, "host0", FALSE, error)
         && add_addresses (self, socket, "host0",
                           KS_SELFTEST_ROUTER "/24 " KS_SELFTEST_ROUTER6 "/64 " KS_SELFTEST_ON_LINK6 "/64 fe80::1/64",
                           error)
         && add_addresses (self, socket, "lo",
                           KS_SELFTEST_PUBLIC " " KS_SELFTEST_PUBLIC6 " " KS_SELFTEST_ON_LINK " " KS_SELFTEST_SERVER
                                              " " KS_SELFTEST_SERVER6,
                           error)
         && add_routes (self, socket, "host0", routes, error);
}

static gboolean
fill_guest (KsSelftestNet *self, KsNlSocket *socket, GError **error)
{
  static const char *const routes[] = { "0.0.0.0/0", "10.66.0.1", "::/0", "fd66::1", NULL };

  return socket && set_defaults (error) && ks_selftest_link_up (socket, "lo", FALSE, error)
         && ks_selftest_link_up (socket, "eth0", FALSE, error)
         && add_addresses (self, socket, "eth0", "10.66.0.2/24 fd66::2/64 fe80::2/64", error)
         && add_routes (self, socket, "eth0", routes, error);
}

/* --- the whole network --- */

/* Waits until what leaves by @device arrives at @capture. */
static gboolean
wait_for_link (KsSelftestNet *self, const char *device, int capture, GError **error)
{
  g_autoptr (GArray) packets = g_array_new (FALSE, FALSE, sizeof (KsSelftestPacket));

  for (int i = 0; i < LINK_TRIES; i++) {
    if (ks_selftest_wire_settle (self->marker, device, capture, ++self->serial, LINK_STEP_MS, packets))
      return TRUE;
    g_usleep (1000);
  }
  g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "device %s carries nothing", device);
  return FALSE;
}

static gboolean
make_router (KsSelftestNet *self, GError **error)
{
  g_autoptr (KsNlSocket) socket = NULL;

  if (!enter (self->router, error))
    return FALSE;
  socket = ks_netlink_open (error);
  if (!fill_router (self, socket, error) || (self->wire = ks_selftest_wire_open ("host0", error)) < 0)
    return FALSE;
  self->answer = ks_selftest_answer_new ();
  return TRUE;
}

static gboolean
make_guest (KsSelftestNet *self, GError **error)
{
  g_autoptr (KsNlSocket) socket = NULL;

  if (!enter (self->guest, error))
    return FALSE;
  socket = ks_netlink_open (error);
  allow_ping ();
  return fill_guest (self, socket, error) && (self->guest_wire = ks_selftest_wire_open ("eth0", error)) >= 0;
}

static gboolean
make_host (KsSelftestNet *self, GError **error)
{
  if (!enter (self->host, error))
    return FALSE;
  allow_ping ();
  self->marker = socket (AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (self->marker < 0)
    return fail (error, KS_ERROR_KERNEL, "cannot open a packet socket");
  return fill_host (self, error) && wait_for_link (self, KS_SELFTEST_UPLINK, self->wire, error)
         && wait_for_link (self, "guest0", self->guest_wire, error);
}

static KsSelftestNet *
net_alloc (const KsSelftestOptions *options)
{
  KsSelftestNet *self = g_new0 (KsSelftestNet, 1);

  self->without_tun = options->without_tun;
  self->has_ip6 = access ("/proc/sys/net/ipv6", F_OK) == 0;
  self->router = self->guest = self->host = self->wire = self->guest_wire = self->marker = self->tunnel = -1;
  return self;
}

KsSelftestNet *
ks_selftest_net_new (const KsSelftestOptions *options, GError **error)
{
  g_autoptr (KsSelftestNet) self = net_alloc (options);

  keep_to_one_cpu ();
  if (!make_namespaces (self, error) || !make_links (self, error) || !make_router (self, error)
      || !make_guest (self, error) || !make_host (self, error))
    return NULL;
  return g_steal_pointer (&self);
}

static void
close_if_open (int *fd)
{
  if (*fd >= 0)
    close (*fd);
  *fd = -1;
}

void
ks_selftest_net_free (KsSelftestNet *self)
{
  int *const descriptors[] = { &self->router,     &self->guest,  &self->host,  &self->wire,
                               &self->guest_wire, &self->marker, &self->tunnel };

  for (guint i = 0; i < G_N_ELEMENTS (descriptors); i++)
    close_if_open (descriptors[i]);
  g_clear_pointer (&self->answer, ks_selftest_answer_free);
  g_clear_pointer (&self->socket, nl_socket_free);
  g_free (self);
}

gboolean
ks_selftest_net_has_ip6 (const KsSelftestNet *self)
{
  return self->has_ip6;
}

int
ks_selftest_net_send (const KsSelftestNet *self, const KsSelftestProbe *probe, KsSelftestPlace place)
{
  const int networks[] = {
    [KS_SELFTEST_AT_HOST] = -1,
    [KS_SELFTEST_AT_ROUTER] = self->router,
    [KS_SELFTEST_AT_GUEST] = self->guest,
  };

  return ks_selftest_probe_run (probe, networks[place], self->host);
}

KsNlSocket *
ks_selftest_net_socket (const KsSelftestNet *self)
{
  return self->socket;
}

/* --- the tunnel --- */

static int
open_tun (void)
{
  struct ifreq interface = { .ifr_flags = IFF_TUN | IFF_NO_PI };
  int fd = open ("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

  g_strlcpy (interface.ifr_name, KS_SELFTEST_TUNNEL_DEVICE, sizeof interface.ifr_name);
  if (fd >= 0 && ioctl (fd, TUNSETIFF, &interface) < 0)
    close_if_open (&fd);
  return fd;
}

/* Without a tun device: a veth pair whose other end is in the router, and which does not resolve neighbours. */
static gboolean
add_veth_tunnel (KsSelftestNet *self, GError **error)
{
  g_autoptr (KsNlSocket) socket = NULL;
  gboolean is_made;

  if (!ks_selftest_link_add_veth (self->socket, KS_SELFTEST_TUNNEL_DEVICE, "far0", self->router, error)
      || !enter (self->router, error))
    return FALSE;
  socket = ks_netlink_open (error);
  is_made = socket && ks_selftest_link_up (socket, "far0", TRUE, error)
            && (self->tunnel = ks_selftest_wire_open ("far0", error)) >= 0;
  return enter (self->host, is_made ? error : NULL) && is_made;
}

gboolean
ks_selftest_net_add_tunnel (KsSelftestNet *self, GError **error)
{
  self->tunnel = self->without_tun ? -1 : open_tun ();
  self->is_veth = self->tunnel < 0;
  return (!self->is_veth || add_veth_tunnel (self, error))
         && ks_selftest_link_up (self->socket, KS_SELFTEST_TUNNEL_DEVICE, TRUE, error)
         && (!self->is_veth || wait_for_link (self, KS_SELFTEST_TUNNEL_DEVICE, self->tunnel, error))
         && add_addresses (self, self->socket, KS_SELFTEST_TUNNEL_DEVICE,
                           KS_SELFTEST_TUNNEL_ADDRESS " " KS_SELFTEST_TUNNEL_ADDRESS6, error);
}

void
ks_selftest_net_delete_tunnel (KsSelftestNet *self)
{
  /* a tun device exists as long as its descriptor is open */
  close_if_open (&self->tunnel);
  if (self->is_veth)
    ks_selftest_link_delete (self->socket, KS_SELFTEST_TUNNEL_DEVICE, NULL);
  self->is_veth = FALSE;
}

/* --- collecting packets --- */

gboolean
ks_selftest_net_collect (KsSelftestNet *self, GArray *wire, GArray *tunnel, GError **error)
{
  for (int i = 0; i < ROUNDS; i++)
    if (!ks_selftest_wire_settle (self->marker, KS_SELFTEST_UPLINK, self->wire, ++self->serial, MARKER_TIMEOUT_MS,
                                  wire)) {
      g_set_error (error, KS_ERROR, KS_ERROR_KERNEL, "a frame sent by a packet socket did not reach the router");
      return FALSE;
    }
  if (self->tunnel >= 0)
    ks_selftest_wire_read_tunnel (self->tunnel, self->is_veth, tunnel);
  return TRUE;
}

void
ks_selftest_net_answer (KsSelftestNet *self)
{
  ks_selftest_answer_all (self->answer);
}
