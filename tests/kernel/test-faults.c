/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The real programs, built with fault injection, with every call that crosses
 * to the kernel failing, or the process killed there, one at a time: while
 * arming, as a tunnel comes and goes, switching VPNs, moving one VPN inside
 * another, with [vpn NAME] sections, changing settings, disarming, releasing.
 * All the while somebody floods the uplink.
 *
 *   +-----------------------------+          +---------------------------+
 *   | host (this namespace)       |          | the wire: this test's own |
 *   |   uplink 192.168.50.2/24    |----------| file descriptor, which    |
 *   |          fd50::2/64         |   tap    | sees every frame          |
 *   |   tun0, tun1: tunnels       |          +---------------------------+
 *   +-----------------------------+
 *
 * Files are the test's own: /etc, /run and /var/lib are empty file systems in
 * a mount namespace. In NetworkManager's place a child of the test answers
 * on a socket of its own: which tunnels are up is a file's existence.
 *
 * A leak is a frame that is neither to the LAN nor a transport nor neighbour
 * discovery of either. It is looked for as long as the host stays armed:
 * whatever fails, what was blocked is blocked. And the next run that nothing
 * disturbs ends with exactly what an undisturbed one does.
 */
#include "netns.h"

#include <arpa/inet.h>
#include <gio/gio.h>
#include <glib/gstdio.h>
#include <linux/if_tun.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip6.h>
#include <netinet/udp.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "kernel/ks-guard-readback.h"
#include "kernel/ks-kernel.h"
#include "ks-test.h"

#define ROUTER "192.168.50.1"
#define ROUTER6 "fd50::1"
#define NEIGHBOUR "192.168.50.77"
#define SERVER "203.0.113.10"
#define SECOND_SERVER "203.0.113.11"
#define PUBLIC "198.51.100.1"
#define PUBLIC6 "2001:db8:1::1"
#define PORT 51820
#define NOBODY 65534
#define MAX_FAULTS 1000 /* far more than a run has calls */
/* With sanitizers a run takes ten times as long. */
#if defined __SANITIZE_ADDRESS__
#define STRIDE 9
#else
#define STRIDE 1
#endif

#define CONFIG "/etc/nm-killswitch.conf"
#define PROFILES "/etc/NetworkManager/system-connections"
#define STATE "/var/lib/nm-killswitch/state"
#define RUNTIME "/run/nm-killswitch"
#define ARMED "zone=killswitch\n"

#define BUS "unix:path=/run/bus"
#define ACTIVE "/run/active" /* followed by the tunnel's number */
#define UPLINK 2 /* in its place, for the uplink, where it matters: when the router is to be asked */

static int wire = -1;
static pid_t flooder;
static pid_t network_manager;
static gboolean has_nft;
static gboolean guard_is_on;
static gboolean local_is_behind; /* table local is looked up behind our rules, as with VRFs */
static gboolean second_sends; /* the second VPN's own packets are part of the flood */

/* --- files --- */

static void
write_file (const char *path, const char *text)
{
  g_autoptr (GError) error = NULL;

  if (!g_file_set_contents_full (path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &error))
    fail_msg ("%s", error->message);
}

/* The profile of tunN: a WireGuard to @host; @connection is added to its section of that name, @more at the end. */
static void
write_whole_profile (guint number, const char *host, const char *connection, const char *more)
{
  g_autofree char *text = ks_test_wireguard (number == 0 ? KS_TEST_UUID_1 : KS_TEST_UUID_2, connection, more);
  g_autofree char *path = g_strdup_printf (PROFILES "/vpn%u.nmconnection", number);
  g_autoptr (GString) named = g_string_new (text);
  g_autofree char *name = g_strdup_printf ("tun%u", number);
  g_autofree char *server = g_strdup_printf ("%s:%u", host, PORT + number);
  g_autofree char *port = g_strdup_printf ("listen-port=%u", PORT + number);

  g_string_replace (named, "wg0", name, 0);
  g_string_replace (named, "203.0.113.10:51820", server, 0);
  g_string_replace (named, "listen-port=51820", port, 0);
  write_file (path, named->str);
}

static void
write_profile_to (guint number, const char *host, const char *connection)
{
  write_whole_profile (number, host, connection, "");
}

static void
write_profile (guint number, const char *connection)
{
  g_autofree char *host = g_strdup_printf ("203.0.113.%u", 10 + number);

  write_profile_to (number, host, connection);
}

/* --- in NetworkManager's place --- */

static gboolean
is_active (guint number)
{
  g_autofree char *path = g_strdup_printf (ACTIVE "%u", number);

  return g_file_test (path, G_FILE_TEST_EXISTS);
}

static void
set_active (guint number, gboolean active)
{
  g_autofree char *path = g_strdup_printf (ACTIVE "%u", number);

  if (active)
    write_file (path, "");
  else
    g_unlink (path);
}

/* The properties of @interface of the object @path, as GVariant's text; NULL when there is no such object. */
static char *
properties_of (const char *path, const char *interface)
{
  guint number = strlen (path) > 3 ? (guint) (path[strlen (path) - 1] - '0') : 0;

  if (g_str_equal (path, "/org/freedesktop/NetworkManager"))
    return g_strdup_printf ("{'State': <uint32 70>, 'ActiveConnections': <@ao [%s%s%s%s%s]>}",
                            is_active (0) ? "objectpath '/active/0'" : "", is_active (0) && is_active (1) ? ", " : "",
                            is_active (1) ? "objectpath '/active/1'" : "",
                            is_active (UPLINK) && (is_active (0) || is_active (1)) ? ", " : "",
                            is_active (UPLINK) ? "objectpath '/active/2'" : "");
  if (number > UPLINK || !is_active (number))
    return NULL;
  if (number == UPLINK && g_str_has_prefix (path, "/active/"))
    return g_strdup ("{'State': <uint32 2>, 'Uuid': <'uplink'>, 'Vpn': <false>, 'Ip4Config': <objectpath '/ip4/2'>, "
                     "'Ip6Config': <objectpath '/'>}");
  if (number == UPLINK)
    return g_strdup ("{'NameserverData': <[{'address': <'" ROUTER "'>}]>}");
  if (g_str_has_prefix (path, "/active/"))
    return g_strdup_printf ("{'State': <uint32 2>, 'Uuid': <'%s'>, 'Vpn': <false>, "
                            "'Devices': <[objectpath '/device/%u']>, 'Ip4Config': <objectpath '/ip4/%u'>, "
                            "'Ip6Config': <objectpath '/'>}",
                            number ? KS_TEST_UUID_2 : KS_TEST_UUID_1, number, number);
  if (g_str_has_suffix (interface, ".WireGuard"))
    return g_strdup_printf ("{'ListenPort': <uint16 %u>, 'FwMark': <uint32 0>}", PORT + number);
  if (g_str_has_prefix (path, "/device/"))
    return g_strdup_printf ("{'Interface': <'tun%u'>, 'IpInterface': <'tun%u'>}", number, number);
  if (g_str_has_prefix (path, "/ip4/"))
    return g_strdup_printf ("{'AddressData': <[{'address': <'10.8.%u.2'>, 'prefix': <uint32 24>}]>, "
                            "'NameserverData': <[{'address': <'10.8.%u.1'>}]>}",
                            number, number);
  return NULL;
}

/* Answers every call itself: Hello of the bus, and GetAll. */
static GDBusMessage *
answer (GDBusConnection *connection, GDBusMessage *message, gboolean incoming, gpointer user_data G_GNUC_UNUSED)
{
  g_autoptr (GDBusMessage) call = message;
  g_autoptr (GDBusMessage) reply = NULL;
  const char *member = g_dbus_message_get_member (call);

  if (!incoming || g_dbus_message_get_message_type (call) != G_DBUS_MESSAGE_TYPE_METHOD_CALL)
    return g_steal_pointer (&call);
  if (g_str_equal (member, "Hello")) {
    reply = g_dbus_message_new_method_reply (call);
    g_dbus_message_set_body (reply, g_variant_new ("(s)", ":1.1"));
  } else if (g_str_equal (member, "GetAll")) {
    const char *interface = "";
    g_autofree char *text = NULL;

    g_variant_get (g_dbus_message_get_body (call), "(&s)", &interface);
    text = properties_of (g_dbus_message_get_path (call), interface);
    if (text) {
      g_autoptr (GVariant) properties = g_variant_parse (G_VARIANT_TYPE ("a{sv}"), text, NULL, NULL, NULL);

      if (!properties)
        g_error ("%s", text);
      reply = g_dbus_message_new_method_reply (call);
      g_dbus_message_set_body (reply, g_variant_new ("(@a{sv})", properties));
    }
  }
  if (!reply)
    reply = g_dbus_message_new_method_error_literal (call, "org.freedesktop.DBus.Error.UnknownObject", "not there");
  g_dbus_connection_send_message (connection, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
  return NULL;
}

static void
on_closed (GDBusConnection *connection, gboolean is_remote G_GNUC_UNUSED, GError *error G_GNUC_UNUSED,
           gpointer user_data G_GNUC_UNUSED)
{
  g_object_unref (connection);
}

static gboolean
on_connection (GDBusServer *server G_GNUC_UNUSED, GDBusConnection *connection, gpointer user_data G_GNUC_UNUSED)
{
  g_dbus_connection_add_filter (connection, answer, NULL, NULL);
  g_signal_connect (g_object_ref (connection), "closed", G_CALLBACK (on_closed), NULL);
  g_dbus_connection_start_message_processing (connection);
  return TRUE;
}

static void G_GNUC_NORETURN
serve (void)
{
  g_autofree char *guid = g_dbus_generate_guid ();
  g_autoptr (GError) error = NULL;
  g_autoptr (GDBusServer) server = g_dbus_server_new_sync (BUS, G_DBUS_SERVER_FLAGS_NONE, guid, NULL, NULL, &error);

  prctl (PR_SET_PDEATHSIG, SIGKILL);
  if (!server)
    g_error ("%s", error->message);
  g_signal_connect (server, "new-connection", G_CALLBACK (on_connection), NULL);
  g_dbus_server_start (server);
  g_main_loop_run (g_main_loop_new (NULL, FALSE));
  _exit (1);
}

static void
start_network_manager (void)
{
  network_manager = fork ();
  assert_true (network_manager >= 0);
  if (network_manager == 0)
    serve ();
  for (int i = 0; i < 500 && !g_file_test ("/run/bus", G_FILE_TEST_EXISTS); i++)
    g_usleep (10000);
}

/* --- the wire --- */

/* The uplink is a bridge with a tap device in it: a tap by itself could be a VPN's tunnel. */
static gboolean
make_network (void)
{
  struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };

  wire = open ("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  g_strlcpy (request.ifr_name, "uplink-port", sizeof request.ifr_name);
  if (wire < 0 || ioctl (wire, TUNSETIFF, &request) < 0) {
    print_message ("skipped: no tap device: %s\n", g_strerror (errno));
    return FALSE;
  }
  netns_run ("ip link add uplink address 02:00:00:00:50:02 type bridge mcast_snooping 0 forward_delay 0");
  netns_run ("ip link set uplink-port addrgenmode none master uplink txqueuelen 10000 up");
  netns_run ("ip link set uplink addrgenmode none up");
  netns_run ("ip addr add 192.168.50.2/24 dev uplink");
  netns_run ("ip addr add fd50::2/64 dev uplink nodad");
  netns_run ("ip neigh add " ROUTER " lladdr 02:00:00:00:00:01 dev uplink nud permanent");
  netns_run ("ip neigh add " NEIGHBOUR " lladdr 02:00:00:00:00:02 dev uplink nud permanent");
  netns_run ("ip neigh add " ROUTER6 " lladdr 02:00:00:00:00:01 dev uplink nud permanent");
  netns_run ("ip route add default via " ROUTER " dev uplink proto dhcp metric 100");
  netns_run ("ip -6 route add default via " ROUTER6 " dev uplink proto ra metric 100");
  for (guint i = 0; i < 2; i++) {
    netns_run ("ip tuntap add mode tun name tun%u", i);
    netns_run ("ip link set tun%u addrgenmode none", i);
    netns_run ("ip link set tun%u up", i);
    netns_run ("ip addr add 10.8.%u.2/24 dev tun%u", i, i);
  }
  netns_settle ();
  return TRUE;
}

typedef struct {
  guint leaks;
  guint transports;
  guint others; /* LAN, neighbour discovery */
  char *first_leak;
} Seen;

static gboolean
is_lan4 (guint32 address)
{
  guint32 host = ntohl (address);

  return host >> 8 == 0xc0a832 /* 192.168.50 */ || host >> 28 == 0xe /* multicast */;
}

static gboolean
is_lan6 (const struct in6_addr *address)
{
  return (address->s6_addr[0] & 0xfe) == 0xfc || address->s6_addr[0] == 0xff || IN6_IS_ADDR_LINKLOCAL (address);
}

static char *
describe (int family, const void *address, guint8 ip_protocol, const struct udphdr *ports)
{
  char text[INET6_ADDRSTRLEN] = "";

  inet_ntop (family, address, text, sizeof text);
  return g_strdup_printf ("protocol %u to %s, ports %u, %u", ip_protocol, text, ntohs (ports->source),
                          ntohs (ports->dest));
}

/* What the leak is, or NULL for a frame that may pass; a transport is counted. */
static char *
judge (const guint8 *frame, gsize length, Seen *seen)
{
  const struct ether_header *ethernet = (const void *) frame;
  const guint8 *packet = frame + sizeof *ethernet;
  gsize left = length - sizeof *ethernet;
  struct udphdr ports = { 0 };

  if (length < sizeof *ethernet)
    return g_strdup ("a short frame");
  switch (ntohs (ethernet->ether_type)) {
  case ETHERTYPE_ARP: {
    struct in_addr target;

    memcpy (&target, packet + 24, sizeof target);
    return is_lan4 (target.s_addr) ? NULL : g_strdup_printf ("ARP for %s", inet_ntoa (target));
  }
  case ETHERTYPE_IP: {
    struct iphdr ip;

    memcpy (&ip, packet, sizeof ip);
    if (left >= ip.ihl * 4 + sizeof ports)
      memcpy (&ports, packet + ip.ihl * 4, sizeof ports);
    if (ip.daddr == inet_addr (ROUTER) && (ports.dest == htons (53) || ports.dest == htons (853)))
      return g_strdup ("DNS to the router");
    if (is_lan4 (ip.daddr))
      return NULL;
    if (ip.protocol == IPPROTO_UDP && ip.daddr == inet_addr (SERVER) && ports.source == htons (PORT)
        && ports.dest == htons (PORT)) {
      seen->transports++;
      return NULL;
    }
    return describe (AF_INET, &ip.daddr, ip.protocol, &ports);
  }
  case ETHERTYPE_IPV6: {
    struct ip6_hdr ip;

    memcpy (&ip, packet, sizeof ip);
    if (left >= sizeof ip + sizeof ports)
      memcpy (&ports, packet + sizeof ip, sizeof ports);
    return is_lan6 (&ip.ip6_dst) ? NULL : describe (AF_INET6, &ip.ip6_dst, ip.ip6_nxt, &ports);
  }
  default:
    return g_strdup_printf ("ethertype 0x%04x", ntohs (ethernet->ether_type));
  }
}

/* Everything that has come out since the last time. */
static Seen
read_wire (void)
{
  guint8 frame[4096];
  Seen seen = { 0 };
  ssize_t length;

  while ((length = read (wire, frame, sizeof frame)) > 0) {
    guint transports = seen.transports;
    char *leak = judge (frame, (gsize) length, &seen);

    if (!leak) {
      seen.others += seen.transports == transports;
      continue;
    }
    seen.leaks++;
    if (seen.first_leak)
      g_free (leak);
    else
      seen.first_leak = leak;
  }
  return seen;
}

/* --- the flood --- */

typedef struct {
  const char *to;
  guint16 dport;
  guint16 sport; /* 0 for any */
  int type; /* SOCK_DGRAM, SOCK_STREAM */
  gboolean bound; /* to the uplink */
} Probe;

static const Probe probes[] = {
  { PUBLIC, 443, 0, SOCK_DGRAM, FALSE },   { PUBLIC, 443, 0, SOCK_STREAM, FALSE },
  { PUBLIC6, 443, 0, SOCK_DGRAM, FALSE },  { ROUTER, 53, 0, SOCK_DGRAM, FALSE },
  { SERVER, 80, 0, SOCK_DGRAM, FALSE },    { PUBLIC6, 443, 0, SOCK_DGRAM, TRUE },
  { "9.9.9.9", 53, 0, SOCK_DGRAM, FALSE }, { "10.8.0.9", 9, 0, SOCK_DGRAM, FALSE },
  { NEIGHBOUR, 9, 0, SOCK_DGRAM, FALSE },
};

/* By a socket that names the uplink: IPv4 gets past every lookup, so that only the guard stops it. */
static const Probe bound_probe = { PUBLIC, 443, 0, SOCK_DGRAM, TRUE };

static int
open_probe (const Probe *probe)
{
  gboolean is6 = strchr (probe->to, ':') != NULL;
  int fd = socket (is6 ? AF_INET6 : AF_INET, probe->type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

  if (probe->bound)
    setsockopt (fd, SOL_SOCKET, SO_BINDTODEVICE, "uplink", strlen ("uplink") + 1);
  return fd;
}

static void
send_probe (int fd, const Probe *probe)
{
  struct sockaddr_in to4 = { .sin_family = AF_INET, .sin_port = htons (probe->dport) };
  struct sockaddr_in6 to6 = { .sin6_family = AF_INET6, .sin6_port = htons (probe->dport) };
  gboolean is6 = inet_pton (AF_INET6, probe->to, &to6.sin6_addr) == 1;
  const struct sockaddr *to = is6 ? (const struct sockaddr *) &to6 : (const struct sockaddr *) &to4;
  socklen_t length = is6 ? sizeof to6 : sizeof to4;

  inet_pton (AF_INET, probe->to, &to4.sin_addr);
  if (probe->type == SOCK_STREAM)
    connect (fd, to, length);
  else
    sendto (fd, "flood", 5, MSG_NOSIGNAL, to, length);
}

/* A VPN's own packet: from its port, as root. */
static void
send_from_port (const Probe *probe)
{
  struct sockaddr_in from = { .sin_family = AF_INET, .sin_port = htons (probe->sport) };
  int fd = socket (AF_INET, probe->type | SOCK_CLOEXEC, 0);

  if (bind (fd, (struct sockaddr *) &from, sizeof from) < 0)
    g_error ("port %u: %s", probe->sport, g_strerror (errno));
  send_probe (fd, probe);
  close (fd);
}

/* Sends each probe over and over, as root and as somebody else, until it is killed. */
static void G_GNUC_NORETURN
flood (gboolean with_bound)
{
  const Probe second = { SECOND_SERVER, PORT + 1, PORT + 1, SOCK_DGRAM, FALSE };
  int fds[G_N_ELEMENTS (probes)];
  int bound;

  prctl (PR_SET_PDEATHSIG, SIGKILL);
  if (fork () == 0) {
    if (setresuid (NOBODY, NOBODY, NOBODY) < 0)
      _exit (0); /* there is nobody else in this user namespace */
    prctl (PR_SET_PDEATHSIG, SIGKILL); /* forgotten when the user changes */
  }
  for (guint i = 0; i < G_N_ELEMENTS (probes); i++)
    fds[i] = open_probe (&probes[i]);
  bound = open_probe (&bound_probe);
  for (;;) {
    for (guint i = 0; i < G_N_ELEMENTS (probes); i++) {
      send_probe (fds[i], &probes[i]);
      if (probes[i].type == SOCK_STREAM) { /* a connection of its own each time */
        close (fds[i]);
        fds[i] = open_probe (&probes[i]);
      }
    }
    if (with_bound)
      send_probe (bound, &bound_probe);
    if (second_sends && getuid () == 0)
      send_from_port (&second);
    g_usleep (300);
  }
}

static void
start_flood (gboolean with_bound)
{
  flooder = fork ();
  assert_true (flooder >= 0);
  if (flooder == 0) {
    setpgid (0, 0);
    flood (with_bound);
  }
  setpgid (flooder, flooder);
}

static void
stop_flood (void)
{
  if (flooder <= 0)
    return;
  kill (-flooder, SIGKILL);
  waitpid (flooder, NULL, 0);
  flooder = 0;
}

static void
send_transport (void)
{
  const Probe probe = { SERVER, PORT, PORT, SOCK_DGRAM, FALSE };

  send_from_port (&probe);
}

/* --- the programs --- */

typedef struct {
  int status; /* exit status; -1 when it was killed */
  gboolean was_stopped;
  char *out;
  char *messages;
} Run;

static void
run_clear (Run *run)
{
  g_free (run->out);
  g_free (run->messages);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (Run, run_clear)

/*
 * Starts a program and returns its process id; its output has to be read from
 * @out and @messages. @command is what follows "nm-killswitch", or "EVENT tunN"
 * for the dispatcher program. @fault may be NULL.
 */
static GPid
start_program (const char *command, const char *fault, int *out, int *messages)
{
  static const char *const events[] = { "up ", "down " };
  g_auto (GStrv) words = g_strsplit (command, " ", -1);
  g_auto (GStrv) environment = g_strdupv ((char *[]){ NULL });
  g_autoptr (GPtrArray) argv = g_ptr_array_new ();
  g_autoptr (GError) error = NULL;
  gboolean is_event = FALSE;
  GPid pid;

  for (guint i = 0; i < G_N_ELEMENTS (events); i++)
    is_event = is_event || g_str_has_prefix (command, events[i]);
  if (is_event) {
    g_ptr_array_add (argv, (gpointer) KS_FAULTY "/10-killswitch");
    g_ptr_array_add (argv, words[1]);
    g_ptr_array_add (argv, words[0]);
    environment = g_environ_setenv (g_steal_pointer (&environment), "CONNECTION_UUID",
                                    g_str_equal (words[1], "tun1") ? KS_TEST_UUID_2 : KS_TEST_UUID_1, TRUE);
  } else {
    g_ptr_array_add (argv, (gpointer) KS_FAULTY "/nm-killswitch");
    for (char **word = words; *word; word++)
      g_ptr_array_add (argv, *word);
  }
  g_ptr_array_add (argv, NULL);
  environment = g_environ_setenv (g_steal_pointer (&environment), "DBUS_SYSTEM_BUS_ADDRESS", BUS, TRUE);
  if (fault)
    environment = g_environ_setenv (g_steal_pointer (&environment), "KS_FAULT", fault, TRUE);
  if (!g_spawn_async_with_pipes (NULL, (char **) argv->pdata, environment, G_SPAWN_DO_NOT_REAP_CHILD, NULL, NULL, &pid,
                                 NULL, out, messages, &error))
    fail_msg ("%s", error->message);
  return pid;
}

/* All that comes from @file, which is closed (transfer full). */
static char *
read_all (int file)
{
  GString *text = g_string_new (NULL);
  char buffer[4096];
  ssize_t length;

  while ((length = read (file, buffer, sizeof buffer)) > 0)
    g_string_append_len (text, buffer, length);
  close (file);
  return g_string_free (text, FALSE);
}

/* Runs a program; while a fault has it stopped, @meanwhile (nullable) does something. */
static Run
run_with (const char *command, const char *fault, void (*meanwhile) (void))
{
  int status = 0, out, messages;
  GPid pid = start_program (command, fault, &out, &messages);
  Run result = { .status = -1 };

  assert_int_equal (waitpid (pid, &status, WUNTRACED), pid);
  if (WIFSTOPPED (status)) {
    meanwhile ();
    kill (pid, SIGCONT);
    assert_int_equal (waitpid (pid, &status, 0), pid);
    result.was_stopped = TRUE;
  }
  result.out = read_all (out);
  result.messages = read_all (messages);
  if (WIFEXITED (status))
    result.status = WEXITSTATUS (status);
  else
    assert_int_equal (WTERMSIG (status), SIGKILL);
  return result;
}

static Run
run (const char *command, const char *fault)
{
  return run_with (command, fault, NULL);
}

/* Without the guard a socket bound to a device escapes, and every run says so. */
static gboolean
is_well (const Run *run)
{
  const char *escapes = strstr (run->messages, "probes would get out past the kill switch");

  return run->status == 0 || (run->status == 1 && !guard_is_on && escapes && strchr (escapes, '\n')[1] == '\0');
}

/* Runs without a fault: it has to succeed. */
static void
run_well (const char *command)
{
  g_auto (Run) result = run (command, NULL);

  if (!is_well (&result))
    fail_msg ("%s: exit status %d: %s", command, result.status, result.messages);
}

/* --- states --- */

static gboolean
has_guard (void)
{
  g_auto (KsGuardReadback) readback = { 0 };

  return has_nft && ks_guard_readback (&readback, NULL) && readback.present;
}

static int
compare_lines (gconstpointer a, gconstpointer b)
{
  return strcmp (*(const char *const *) a, *(const char *const *) b);
}

/* Everybody's rules, and the routes of our tables and main: a line each, sorted. Of one priority, the order tells how
 * they came, and makes no difference. */
static char *
kernel_state (void)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KsConfig) config = ks_config_new ();
  g_autoptr (KsKernel) kernel = ks_kernel_new (&error);
  g_autoptr (KsSnapshot) snapshot = kernel ? ks_kernel_dump (kernel, config, &error) : NULL;
  g_autoptr (GPtrArray) lines = g_ptr_array_new_with_free_func (g_free);

  if (!snapshot)
    fail_msg ("%s", error->message);
  for (guint i = 0; i < snapshot->rules->len; i++) {
    const KsRule *rule = &g_array_index (snapshot->rules, KsRule, i);
    g_autofree char *text = ks_rule_format (rule);

    g_ptr_array_add (lines, g_strdup_printf ("IPv%d rule %s", rule->family == AF_INET ? 4 : 6, text));
  }
  for (guint i = 0; i < snapshot->routes->len; i++) {
    const KsRoute *route = &g_array_index (snapshot->routes, KsRoute, i);
    g_autofree char *text = ks_route_format (route);

    g_ptr_array_add (lines, g_strdup_printf ("IPv%d route %s", route->family == AF_INET ? 4 : 6, text));
  }
  if (has_guard ())
    g_ptr_array_add (lines, g_strdup ("guard"));
  g_ptr_array_sort (lines, compare_lines);
  g_ptr_array_add (lines, NULL);
  return g_strjoinv ("\n", (char **) lines->pdata);
}

/* The lines of one text that the other lacks (transfer full). */
static char *
difference (const char *have, const char *want)
{
  g_auto (GStrv) a = g_strsplit (have, "\n", -1), b = g_strsplit (want, "\n", -1);
  GString *out = g_string_new (NULL);

  for (char **line = a; *line; line++)
    if (!g_strv_contains ((const char *const *) b, *line))
      g_string_append_printf (out, "\n  too much: %s", *line);
  for (char **line = b; *line; line++)
    if (!g_strv_contains ((const char *const *) a, *line))
      g_string_append_printf (out, "\n  missing: %s", *line);
  return g_string_free (out, FALSE);
}

/* One way from one state to another. */
typedef struct {
  const char *name;
  void (*prepare) (void); /* changes files */
  const char *command; /* what is disturbed, and repeated to repair */
} Way;

typedef struct {
  Way there, back;
  gboolean stays_armed; /* no packet may get out, whatever fails */
  gboolean keeps_transport; /* the first VPN's transport passes before, after, and meanwhile */
} Transition;

static void
nothing (void)
{
}

static void
arm_first (void)
{
  write_profile (0, ARMED);
}

static void
arm_neither (void)
{
  write_profile (0, "");
  write_profile (1, "");
}

static void
bring_up (void)
{
  set_active (0, TRUE);
}

static void
take_down (void)
{
  set_active (0, FALSE);
}

/* A second VPN, whose server the router can be asked for; root sends it other queries all the time. */
static void
let_a_name_be_asked_for (void)
{
  write_profile_to (1, "vpn.example", ARMED);
  set_active (UPLINK, TRUE);
}

static void
let_no_name_be_asked_for (void)
{
  write_profile (1, "");
  set_active (UPLINK, FALSE);
}

/* From the first VPN, which stays up, to the second. */
static void
switch_over (void)
{
  write_profile (0, "");
  write_profile (1, ARMED);
  set_active (1, TRUE);
}

static void
switch_back (void)
{
  write_profile (0, ARMED);
  write_profile (1, "");
  set_active (1, FALSE);
}

/* Both VPNs armed, and up. */
static void
let_second_be (const char *placement)
{
  g_autofree char *user = g_strdup_printf ("[user]\nnm-killswitch.transport=%s\n", placement);

  write_profile (0, ARMED);
  write_whole_profile (1, SECOND_SERVER, ARMED, user);
  set_active (0, TRUE);
  set_active (1, TRUE);
}

static void
let_second_be_inside (void)
{
  let_second_be ("inside");
}

static void
let_second_be_beside (void)
{
  let_second_be ("beside");
}

static void
write_config (const char *more)
{
  g_autofree char *text = g_strdup_printf ("[main]\nGuard=%s\n%s", guard_is_on ? "on" : "off", more);

  write_file (CONFIG, text);
}

/* A query to the router is stopped by either, and by nothing in between: the order is all. */
static void
let_lan_be_off_and_dns_be_lan (void)
{
  write_config ("Lan=off\nDns=lan\n");
}

static void
let_lan_be_private_and_dns_be_tunnel (void)
{
  write_config ("");
}

static void
let_management_in (void)
{
  write_config ("ManagementFrom=198.51.100.0/24;2001:db8:1::/48\n");
}

static void
let_nobody_in (void)
{
  write_config ("");
}

/* What the former numbers have has to go, once its replacement is in place. */
static void
let_numbers_be_other (void)
{
  write_config ("Priority=9300\nTable=183\nTunnelTable=184\nUplinkTable=185\nServersTable=186\nManagementTable=8400\n");
}

static void
let_numbers_be_usual (void)
{
  write_config ("");
}

#define SECTION "[vpn other]\nInterface=tun1\nProtocol=udp\nPort=1234\n"

static void
write_section (void)
{
  write_config (SECTION);
}

static void
write_session_section (void)
{
  write_config (SECTION "Mode=session\n");
}

static void
write_no_section (void)
{
  write_config ("");
}

static const Transition arming = {
  { "arming", arm_first, "sync" },
  { "disarming", arm_neither, "sync" },
  FALSE,
  TRUE,
};
static const Transition booting = {
  { "booting", arm_first, "sync --boot" },
  { "disarming", arm_neither, "sync" },
  FALSE,
  TRUE,
};
static const Transition release = {
  { "release", nothing, "release" },
  { "resume", nothing, "resume" },
  FALSE,
  TRUE,
};
static const Transition tunnel = {
  { "tunnel comes", bring_up, "up tun0" },
  { "tunnel goes", take_down, "down tun0" },
  TRUE,
  TRUE,
};
static const Transition lan = {
  { "Lan=off and Dns=lan", let_lan_be_off_and_dns_be_lan, "sync" },
  { "Lan=private and Dns=tunnel", let_lan_be_private_and_dns_be_tunnel, "sync" },
  TRUE,
  TRUE,
};
static const Transition management = {
  { "ManagementFrom=", let_management_in, "sync" },
  { "without ManagementFrom=", let_nobody_in, "sync" },
  TRUE,
  TRUE,
};
static const Transition numbers = {
  { "other numbers", let_numbers_be_other, "sync" },
  { "the usual numbers", let_numbers_be_usual, "sync" },
  TRUE,
  TRUE,
};
static const Transition names = {
  { "a server known by name", let_a_name_be_asked_for, "sync" },
  { "no server known by name", let_no_name_be_asked_for, "sync" },
  TRUE,
  TRUE,
};
static const Transition placement = {
  { "second VPN moves inside the first", let_second_be_inside, "sync" },
  { "second VPN moves beside the first", let_second_be_beside, "sync" },
  TRUE,
  TRUE,
};
static const Transition arming_by_section = {
  { "arming by a section", write_section, "sync" },
  { "disarming", write_no_section, "sync" },
  FALSE,
  FALSE,
};
static const Transition section = {
  { "a section beside a profile", write_section, "sync" },
  { "no section", write_no_section, "sync" },
  TRUE,
  TRUE,
};
static const Transition session = {
  { "a session section is enabled", write_session_section, "enable other" },
  { "a session section is disabled", write_session_section, "disable other" },
  TRUE,
  TRUE,
};
static const Transition vpn = {
  { "second VPN instead of the first", switch_over, "up tun1" },
  { "first VPN instead of the second", switch_back, "down tun1" },
  TRUE,
  FALSE,
};

static void
go (const Way *way)
{
  way->prepare ();
  run_well (way->command);
}

static void
assert_state (const char *want, const char *what, const char *name, const char *fault)
{
  g_autofree char *have = kernel_state ();

  if (strcmp (have, want) != 0) {
    g_autofree char *lines = difference (have, want);

    stop_flood ();
    fail_msg ("%s, %s: %s:%s", name, fault, what, lines);
  }
}

/* A sent packet may wait for the other processor to take it to the wire. */
static gboolean
does_transport_pass (void)
{
  enum { TRIES = 100, WAIT_US = 2000 };

  for (int i = 0; i < TRIES; i++) {
    Seen seen;

    send_transport ();
    seen = read_wire ();
    g_free (seen.first_leak);
    if (seen.transports > 0)
      return TRUE;
    g_usleep (WAIT_US);
  }
  return FALSE;
}

/* Only the guard can tell a reply: without it, no rule of ManagementFrom= may be there. */
static void
assert_management (const Way *way, const char *fault)
{
  g_autofree char *state = has_nft && !has_guard () ? kernel_state () : NULL;

  if (state && strstr (state, "priority 8308 ")) {
    stop_flood ();
    print_message ("%s\n", state);
    fail_msg ("%s, %s: a rule of ManagementFrom= without the guard", way->name, fault);
  }
}

/* Whether a program may send to the loopback address of @family. */
static gboolean
has_way_to_itself (int family)
{
  const struct sockaddr_in to4 = { .sin_family = AF_INET,
                                   .sin_port = htons (9),
                                   .sin_addr = { htonl (INADDR_LOOPBACK) } };
  const struct sockaddr_in6 to6 = { .sin6_family = AF_INET6,
                                    .sin6_port = htons (9),
                                    .sin6_addr = IN6ADDR_LOOPBACK_INIT };
  int fd = socket (family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  int result = family == AF_INET6 ? connect (fd, (const struct sockaddr *) &to6, sizeof to6)
                                  : connect (fd, (const struct sockaddr *) &to4, sizeof to4);

  close (fd);
  return result == 0;
}

/* What came out during a run with @fault, and whether a transport would come out now. */
static void
assert_wire (const Transition *t, const Way *way, const char *fault)
{
  Seen seen = read_wire ();

  assert_management (way, fault);
  if (local_is_behind && (!has_way_to_itself (AF_INET) || !has_way_to_itself (AF_INET6))) {
    g_autofree char *state = kernel_state ();

    stop_flood ();
    print_message ("%s\n", state);
    fail_msg ("%s, %s: the host is cut off from itself", way->name, fault);
  }

  if (t->stays_armed && seen.leaks > 0) {
    g_autofree char *state = kernel_state ();

    stop_flood ();
    print_message ("%s\n", state);
    fail_msg ("%s, %s: %u packets leaked, the first: %s", way->name, fault, seen.leaks, seen.first_leak);
  }
  g_free (seen.first_leak);
  /* with the guard a program has to be known as the sender, or the tunnel to be up */
  if (t->keeps_transport && !guard_is_on && !does_transport_pass ()) {
    g_autofree char *state = kernel_state ();

    stop_flood ();
    print_message ("%s\n", state);
    fail_msg ("%s, %s: the transport does not get out", way->name, fault);
  }
}

/* One run with @fault, and its repair. Returns whether the run got as far as the fault. */
static gboolean
disturb (const Transition *t, const Way *way, const char *fault, const char *after)
{
  g_auto (Run) result = { 0 };

  way->prepare ();
  result = run (way->command, fault);
  assert_wire (t, way, fault);
  if (result.status > 0 && !*result.messages)
    fail_msg ("%s, %s: exit status %d and no word why", way->name, fault, result.status);
  if (result.status != -1 && is_well (&result))
    assert_state (after, "no error, but the state is not what it should be", way->name, fault);

  run_well (way->command);
  assert_wire (t, way, fault);
  assert_state (after, "the next run does not repair", way->name, fault);
  return result.status == -1;
}

/*
 * Every fault of one transition, there and back. The state on entry is where it
 * starts, and ends. Of each call one way is killed and the other one failed, in
 * turn; with KS_EVERY_FAULT in the environment, both of both. (With sanitizers,
 * every ninth.)
 */
static void
try_every_fault (const Transition *t)
{
  static const char *const kinds[] = { "kill", "fail" };
  gboolean is_thorough = g_getenv ("KS_EVERY_FAULT") != NULL;
  g_autofree char *here = kernel_state ();
  g_autofree char *there = NULL;
  gint64 start = g_get_monotonic_time ();
  guint faults = 0, last = 0;

  g_free (read_wire ().first_leak);
  go (&t->there);
  there = kernel_state ();
  assert_string_not_equal (here, there);
  assert_wire (t, &t->there, "undisturbed");
  go (&t->back);
  assert_state (here, "the way back does not lead back", t->back.name, "undisturbed");
  assert_wire (t, &t->back, "undisturbed");

  /* a process that is killed says that there was such a call; each way is killed at every other one */
  for (guint call = 1, turn = 0; call <= last + 2 * STRIDE; call += STRIDE, turn++) {
    g_assert (call < MAX_FAULTS);
    for (guint i = 0; i < (is_thorough ? 2 : 1); i++) {
      g_autofree char *there_fault = g_strdup_printf ("%s:%u", kinds[(turn + i) % 2], call);
      g_autofree char *back_fault = g_strdup_printf ("%s:%u", kinds[(turn + i + 1) % 2], call);
      gboolean is_reached = disturb (t, &t->there, there_fault, there);

      is_reached |= disturb (t, &t->back, back_fault, here);
      last = is_reached ? call : last;
      faults += 2;
    }
  }
  assert_true (last > 10);
  print_message ("%s; %s; guard %s: %u calls, %u faults, %d ms\n", t->there.name, t->back.name,
                 guard_is_on ? "on" : "off", last, faults, (int) ((g_get_monotonic_time () - start) / 1000));
}

/* A host with two profiles, nothing armed, and the flood. */
static gboolean
start (gboolean with_guard)
{
  if (!netns_enter () || !netns_enter_own_files () || !make_network ())
    return FALSE;
  assert_int_equal (g_mkdir_with_parents (PROFILES, 0755), 0);
  start_network_manager ();
  has_nft = netns_try ("nft list tables") == 0;
  guard_is_on = with_guard;
  write_config ("");
  arm_neither ();
  start_flood (with_guard && has_nft);
  return TRUE;
}

static void
finish (void)
{
  second_sends = local_is_behind = FALSE;
  stop_flood ();
  if (network_manager > 0) {
    kill (network_manager, SIGKILL);
    waitpid (network_manager, NULL, 0);
  }
  network_manager = 0;
  if (wire >= 0)
    close (wire);
  wire = -1;
}

static int
teardown (void **state G_GNUC_UNUSED)
{
  finish ();
  return 0;
}

#define START_OR_SKIP(with_guard) \
  do { \
    if (!start (with_guard)) \
      skip (); \
  } while (0)

/* --- tests --- */

static void
flood_is_seen_on_the_wire_while_nothing_is_armed (void **state G_GNUC_UNUSED)
{
  guint leaks = 0, others = 0;

  START_OR_SKIP (TRUE);
  for (int i = 0; i < 3000 && leaks < 100; i++) {
    Seen seen = read_wire ();

    leaks += seen.leaks;
    g_free (seen.first_leak);
    g_usleep (10000);
  }
  assert_true (leaks >= 100);

  /* and is gone at once when armed, but for the LAN */
  arm_first ();
  run_well ("sync");
  g_free (read_wire ().first_leak);
  g_usleep (50000);
  for (int i = 0; i < 3000 && others == 0; i++) {
    Seen seen = read_wire ();

    assert_int_equal (seen.leaks, 0);
    others += seen.others;
    g_usleep (10000);
  }
  assert_true (others > 0);
}

static void
every_fault_while_arming_and_disarming (void **state G_GNUC_UNUSED)
{
  for (int with_guard = 0; with_guard < 2; with_guard++) {
    START_OR_SKIP (with_guard != 0);
    try_every_fault (&arming);
    if (with_guard)
      try_every_fault (&booting);
    go (&arming.there);
    try_every_fault (&release);
    finish ();
  }
}

/* All that happens while armed. */
static void
try_every_fault_while_armed (void)
{
  go (&arming.there);
  if (guard_is_on) /* or root may ask for any name */
    try_every_fault (&names);
  try_every_fault (&tunnel);
  go (&tunnel.there);
  try_every_fault (&lan);
  try_every_fault (&vpn);
}

static void
every_fault_while_armed_by_the_rules_alone (void **state G_GNUC_UNUSED)
{
  START_OR_SKIP (FALSE);
  try_every_fault_while_armed ();
}

static void
every_fault_while_armed_with_the_guard (void **state G_GNUC_UNUSED)
{
  START_OR_SKIP (TRUE);
  try_every_fault_while_armed ();
}

static void
every_fault_with_management_from_outside (void **state G_GNUC_UNUSED)
{
  g_autofree char *armed = NULL;

  START_OR_SKIP (TRUE);
  if (!has_nft)
    skip ();
  let_management_in ();
  try_every_fault (&arming);
  let_nobody_in ();
  go (&arming.there);
  try_every_fault (&management);
  go (&management.there);
  armed = kernel_state ();
  assert_non_null (strstr (armed, "priority 8308 from 192.168.50.2 to 198.51.100.0/24 lookup 8300"));
}

static void
every_fault_while_numbers_change (void **state G_GNUC_UNUSED)
{
  for (int with_guard = 0; with_guard < 2; with_guard++) {
    START_OR_SKIP (with_guard != 0);
    go (&arming.there);
    try_every_fault (&numbers);
    finish ();
  }
}

/* Between any two steps both VPNs are armed. */
static void
every_fault_while_a_vpn_moves_inside_another (void **state G_GNUC_UNUSED)
{
  for (int with_guard = 0; with_guard < 2; with_guard++) {
    START_OR_SKIP (with_guard != 0);
    go (&placement.back);
    try_every_fault (&placement);
    finish ();
  }
}

/* How many packets came out in 50 ms, the first of which is like @what. */
static guint
count_on_wire (const char *what)
{
  Seen seen;

  g_free (read_wire ().first_leak);
  g_usleep (50000);
  seen = read_wire ();
  if (seen.leaks > 0 && !strstr (seen.first_leak, what))
    fail_msg ("leaked: %s", seen.first_leak);
  g_free (seen.first_leak);
  return seen.leaks;
}

/* The second VPN sends to its server all the time: once it is inside the first, nothing of that is seen on the uplink.
 */
static void
every_fault_while_a_vpn_stays_inside_another (void **state G_GNUC_UNUSED)
{
  for (int with_guard = 0; with_guard < 2; with_guard++) {
    gboolean is_seen = FALSE;

    second_sends = TRUE;
    START_OR_SKIP (with_guard != 0);
    go (&placement.back);
    for (int i = 0; i < 200 && !is_seen; i++) /* the flood may have to wait for a processor */
      is_seen = count_on_wire (SECOND_SERVER) > 0;
    assert_true (is_seen);
    go (&placement.there);
    assert_int_equal (count_on_wire (""), 0);
    try_every_fault (&lan);
    finish ();
  }
}

static void
every_fault_with_a_section (void **state G_GNUC_UNUSED)
{
  for (int with_guard = 0; with_guard < 2; with_guard++) {
    START_OR_SKIP (with_guard != 0);
    try_every_fault (&arming_by_section);
    if (with_guard) {
      go (&arming.there);
      try_every_fault (&section);
      go (&session.back);
      try_every_fault (&session);
    }
    finish ();
  }
}

/* As with VRFs: a rule of ours has to look table local up before any of those that block is in, until the last is out.
 */
static void
every_fault_with_table_local_behind_our_rules (void **state G_GNUC_UNUSED)
{
  START_OR_SKIP (FALSE);
  for (const char *const *family = (const char *const[]){ "-4", "-6", NULL }; *family; family++) {
    netns_run ("ip %s rule add pref 32765 lookup local", *family);
    netns_run ("ip %s rule del pref 0", *family);
  }
  local_is_behind = TRUE;
  try_every_fault (&arming);
}

/* A kernel without connection tracking: the rest of the guard is there, and nothing that relies on it. */
static void
management_without_connection_tracking_is_an_error_and_opens_nothing (void **state G_GNUC_UNUSED)
{
  START_OR_SKIP (TRUE);
  if (!has_nft)
    skip ();
  let_management_in ();
  arm_first ();
  for (int i = 0; i < 2; i++) {
    g_auto (Run) result = run ("sync", "refuse:ct state");
    g_autofree char *state_then = kernel_state ();

    assert_int_equal (result.status, 1);
    assert_non_null (strstr (result.messages, "nftables refused"));
    assert_non_null (strstr (result.messages, "ManagementFrom has no effect"));
    assert_true (has_guard ());
    assert_null (strstr (state_then, "priority 8308 "));
    assert_non_null (strstr (state_then, "priority 8390 "));
  }
  run_well ("sync");
  {
    g_autofree char *armed = kernel_state ();

    assert_non_null (strstr (armed, "priority 8308 "));
  }
  let_nobody_in ();
  run_well ("sync");
  {
    g_autofree char *armed = kernel_state ();

    assert_null (strstr (armed, "priority 8308 "));
  }
}

/* A kernel that cannot count queries: likewise. */
static void
names_without_a_guard_that_counts_them_are_an_error_and_not_asked_for (void **state G_GNUC_UNUSED)
{
  START_OR_SKIP (TRUE);
  if (!has_nft)
    skip ();
  let_a_name_be_asked_for ();
  {
    g_auto (Run) result = run ("sync", "refuse:limit rate");
    g_autofree char *state_then = kernel_state ();

    assert_int_equal (result.status, 1);
    assert_non_null (strstr (result.messages, "no server name can be looked up"));
    assert_true (has_guard ());
    assert_null (strstr (state_then, "priority 8305 "));
    assert_non_null (strstr (state_then, "priority 8390 "));
  }
  run_well ("sync");
  {
    g_autofree char *armed = kernel_state ();

    assert_non_null (strstr (armed, "priority 8305 "));
  }
  let_no_name_be_asked_for ();
  run_well ("sync");
}

/* --- what else happens during a run --- */

static void
replace_tunnel (void)
{
  netns_run ("ip link del tun0");
  netns_run ("ip tuntap add mode tun name tun0");
  netns_run ("ip link set tun0 addrgenmode none");
  netns_run ("ip link set tun0 up");
  netns_run ("ip addr add 10.8.0.2/24 dev tun0");
}

/* Whether table 83's default route is by tun0 as it is now. */
static gboolean
is_by_tunnel (void)
{
  g_autofree char *state = kernel_state ();
  g_autofree char *route = g_strdup_printf ("IPv4 route default dev if%u table 83 ", if_nametoindex ("tun0"));

  return strstr (state, route) != NULL;
}

/* A VPN's service may make its device anew at any moment: of the same name, with another index. */
static void
tunnel_that_is_replaced_during_a_run_is_taken_as_it_is_now (void **state G_GNUC_UNUSED)
{
  guint taken = 0, calls = 0;

  START_OR_SKIP (TRUE);
  go (&arming.there);
  g_free (read_wire ().first_leak);
  for (guint call = 1, is_over = FALSE; !is_over; call++) {
    g_autofree char *fault = g_strdup_printf ("stop:%u", call);
    g_auto (Run) result = { 0 };
    Seen seen;

    bring_up ();
    result = run_with ("up tun0", fault, replace_tunnel);
    is_over = !result.was_stopped;
    calls += result.was_stopped;
    seen = read_wire ();
    if (seen.leaks > 0)
      fail_msg ("%s: %u packets leaked, the first: %s", fault, seen.leaks, seen.first_leak);
    if (result.status != 0)
      fail_msg ("%s: %s", fault, result.messages);
    taken += result.was_stopped && is_by_tunnel ();
    run_well ("up tun0");
    if (!is_by_tunnel ())
      fail_msg ("%s: the next run does not repair", fault);
    take_down ();
    run_well ("down tun0");
  }
  print_message ("replaced at each of %u calls; taken at %u by the same run\n", calls, taken);
  /* until its last look at the kernel it can know, and there are many calls before that */
  assert_true (taken > calls / 2);
}

/* The rule that everything ends at, of both families. */
static gboolean
has_terminal_rules (void)
{
  g_autofree char *state = kernel_state ();

  return strstr (state, "IPv4 rule priority 8390 ") && strstr (state, "IPv6 rule priority 8390 ");
}

/* Rules that cannot be read cannot be corrected: then the guard blocks alone. */
static void
guard_blocks_alone_when_rules_cannot_be_read (void **state G_GNUC_UNUSED)
{
  enum { CALLS = 24 }; /* reading both families' rules and routes takes most of them */
  guint alone = 0;

  START_OR_SKIP (TRUE);
  if (!has_nft)
    skip ();
  for (guint call = 1; call <= CALLS; call++) {
    g_autofree char *fault = g_strdup_printf ("fail:%u", call);
    g_auto (Run) result = { 0 };

    arm_first ();
    result = run ("sync", fault);
    if (!has_guard () && !has_terminal_rules ())
      fail_msg ("%s: nothing blocks: %s", fault, result.messages);
    alone += has_guard () && !has_terminal_rules ();
    arm_neither ();
    run_well ("sync");
  }
  assert_true (alone > 4);
}

/* --- broken files --- */

/* Runs `sync`, which has to fail and to name each of @words, and to leave the host armed. */
static void
expect_error (const char *what, const char *const *words)
{
  g_auto (Run) result = run ("sync", NULL);
  Seen seen;

  if (result.status != 1)
    fail_msg ("%s: exit status %d", what, result.status);
  for (; *words; words++)
    if (!strstr (result.messages, *words))
      fail_msg ("%s: no word of '%s' in: %s", what, *words, result.messages);
  if (guard_is_on && strstr (result.messages, "would get out"))
    fail_msg ("%s: a false alarm: %s", what, result.messages);
  g_usleep (5000);
  g_free (read_wire ().first_leak);
  g_usleep (20000);
  seen = read_wire ();
  if (seen.leaks)
    fail_msg ("%s: %u packets leaked, the first: %s", what, seen.leaks, seen.first_leak);
  /* the guard is the default, of a configuration that cannot be read */
  if (!has_guard () && !does_transport_pass ())
    fail_msg ("%s: the transport does not get out", what);
}

#define EXPECT_ERROR(what, ...) expect_error (what, (const char *const[]){ __VA_ARGS__, NULL })

static void
fill_up (const char *path)
{
  g_autofree char *junk = g_malloc0 (65536);
  int file = open (path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

  while (write (file, junk, 65536) > 0 || write (file, junk, 1) > 0)
    ;
  close (file);
}

static void
try_broken_files (void)
{
  g_autofree char *profile = NULL;
  g_autofree char *state_text = NULL;

  assert_true (g_file_get_contents (PROFILES "/vpn0.nmconnection", &profile, NULL, NULL));
  write_config ("Lan=sometimes\nTable=0\n");
  EXPECT_ERROR ("settings that are no values", CONFIG, "Lan", "sometimes", "Table", "'0'");
  write_file (CONFIG, "this is no key file\n");
  EXPECT_ERROR ("configuration that is no key file", CONFIG);
  write_config ("");
  run_well ("sync");

  write_file (PROFILES "/vpn0.nmconnection", "\x01\x02 no key file");
  EXPECT_ERROR ("profile that is no key file", "vpn0.nmconnection");
  write_file (PROFILES "/vpn0.nmconnection", profile);
  assert_int_equal (g_chmod (PROFILES "/vpn0.nmconnection", 0644), 0);
  EXPECT_ERROR ("profile that others may read", "vpn0.nmconnection", "0600");
  write_file (PROFILES "/vpn0.nmconnection", profile);
  run_well ("sync");

  assert_true (g_file_get_contents (STATE, &state_text, NULL, NULL));
  write_file (STATE, "\xff\xfe no key file");
  EXPECT_ERROR ("state that is no key file", STATE);
  run_well ("sync"); /* it was written anew */
}

static void
broken_files_are_reported_and_open_nothing (void **state G_GNUC_UNUSED)
{
  START_OR_SKIP (TRUE);
  arm_first ();
  run_well ("sync");
  try_broken_files ();
}

static void
broken_files_are_reported_and_open_nothing_without_the_guard (void **state G_GNUC_UNUSED)
{
  START_OR_SKIP (FALSE);
  arm_first ();
  run_well ("sync");
  try_broken_files ();
}

/* By the rules; of a guard that it cannot remember the program does not know that it is its own. */
static void
assert_no_rule_lets_out (const char *what)
{
  g_auto (Run) check = run ("check", NULL);
  g_auto (GStrv) lines = g_strsplit (check.out, "\n", -1);

  assert_true (g_strv_length (lines) > 3);
  for (char **line = lines; *line; line++)
    if (strstr (*line, "ESCAPES") && !strstr (*line, " uplink") && !strstr (*line, " tun"))
      fail_msg ("%s: %s", what, *line);
}

/* What cannot be written is said; the kernel is brought to what it should be all the same. */
static void
read_only_disks_are_reported_and_do_not_prevent_arming (void **state G_GNUC_UNUSED)
{
  static const char *const places[] = { "/run", "/var/lib" };

  for (guint i = 0; i < G_N_ELEMENTS (places); i++) {
    g_autofree char *name = g_strconcat (places[i], "/nm-killswitch", NULL);

    START_OR_SKIP (TRUE);
    assert_int_equal (mount (NULL, places[i], NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    arm_first ();
    EXPECT_ERROR (places[i], name);
    assert_no_rule_lets_out (places[i]);
    finish ();
  }
}

static void
full_disks_do_not_prevent_arming (void **state G_GNUC_UNUSED)
{
  static const char *const places[] = { "/run", "/var/lib" };

  for (guint i = 0; i < G_N_ELEMENTS (places); i++) {
    g_autofree char *junk = g_strconcat (places[i], "/junk", NULL);

    START_OR_SKIP (TRUE);
    fill_up (junk);
    arm_first ();
    EXPECT_ERROR (places[i], "nm-killswitch: ");
    assert_no_rule_lets_out (places[i]);
    finish ();
  }
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test_teardown (flood_is_seen_on_the_wire_while_nothing_is_armed, teardown),
    cmocka_unit_test_teardown (every_fault_while_arming_and_disarming, teardown),
    cmocka_unit_test_teardown (every_fault_while_armed_by_the_rules_alone, teardown),
    cmocka_unit_test_teardown (every_fault_while_armed_with_the_guard, teardown),
    cmocka_unit_test_teardown (every_fault_with_management_from_outside, teardown),
    cmocka_unit_test_teardown (every_fault_while_numbers_change, teardown),
    cmocka_unit_test_teardown (every_fault_while_a_vpn_moves_inside_another, teardown),
    cmocka_unit_test_teardown (every_fault_while_a_vpn_stays_inside_another, teardown),
    cmocka_unit_test_teardown (every_fault_with_a_section, teardown),
    cmocka_unit_test_teardown (every_fault_with_table_local_behind_our_rules, teardown),
    cmocka_unit_test_teardown (management_without_connection_tracking_is_an_error_and_opens_nothing, teardown),
    cmocka_unit_test_teardown (names_without_a_guard_that_counts_them_are_an_error_and_not_asked_for, teardown),
    cmocka_unit_test_teardown (tunnel_that_is_replaced_during_a_run_is_taken_as_it_is_now, teardown),
    cmocka_unit_test_teardown (guard_blocks_alone_when_rules_cannot_be_read, teardown),
    cmocka_unit_test_teardown (broken_files_are_reported_and_open_nothing, teardown),
    cmocka_unit_test_teardown (broken_files_are_reported_and_open_nothing_without_the_guard, teardown),
    cmocka_unit_test_teardown (read_only_disks_are_reported_and_do_not_prevent_arming, teardown),
    cmocka_unit_test_teardown (full_disks_do_not_prevent_arming, teardown),
  };

  if (g_getenv ("TEST_FILTER"))
    cmocka_set_test_filter (g_getenv ("TEST_FILTER"));
  return cmocka_run_group_tests (tests, NULL, NULL);
}
