/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What other programs put into the kernel that defeats a promise: planted,
 * seen to do harm, and named with the program it probably belongs to. What is
 * there of programs that do no harm is not named.
 *
 *   uplink 192.168.50.2/24, default via 192.168.50.1     an armed OpenVPN, down; its server 203.0.113.10, udp 1194
 *
 * That a packet goes past the kill switch is asked of the kernel's routing, which is half of it: the guard, the other
 * half, is seen in test-ks-guard.c.
 */
#include "ks-test-nm.h"
#include "ks-test.h"
#include "netns.h"

#include <arpa/inet.h>

#include "run/ks-reconcile.h"
#include "state/ks-summary-file.h"

#define PUBLIC "198.51.100.1"
#define SERVER "203.0.113.10"
#define SERVER_PORT 1194

static KsTestHost *
host_new (void)
{
  g_autofree char *text = NULL;
  KsTestHost *host;

  if (!netns_enter ())
    return NULL;
  netns_run ("ip tuntap add mode tap name uplink");
  netns_run ("ip link set uplink up");
  netns_run ("ip addr add 192.168.50.2/24 dev uplink");
  netns_run ("ip neigh add 192.168.50.1 lladdr 02:00:00:00:00:01 dev uplink nud permanent");
  netns_run ("ip route add default via 192.168.50.1 dev uplink");
  netns_settle ();
  host = ks_test_host_new ();
  ks_test_no_bus ();
  text = ks_test_openvpn (KS_TEST_UUID_1, "zone=killswitch\n", "remote=" SERVER "\n");
  ks_test_host_write (host, "etc/vpn", text);
  return host;
}

/* Declares @host, or skips. */
#define HOST_OR_SKIP() \
  g_autoptr (KsTestHost) host = host_new (); \
  if (!host) \
  skip ()

/* Runs each of @commands, between newlines. */
static void
run_all (const char *commands)
{
  g_auto (GStrv) lines = g_strsplit (commands, "\n", -1);

  for (char **line = lines; *line; line++)
    if (**line)
      netns_run ("%s", *line);
}

/* A run: its errors and warnings, and the state that it leaves for everybody, if there are any (transfer full). */
static char *
sync_now (const KsTestHost *host)
{
  g_autoptr (KsReport) report = ks_reconcile (&host->paths, NULL, KS_RECONCILE_QUICK);
  g_autofree char *errors = ks_test_format_errors (report->errors);
  GString *out = g_string_new (errors);

  for (guint i = 0; i < report->situation->warnings->len; i++)
    g_string_append_printf (out, "%s\n", (const char *) report->situation->warnings->pdata[i]);
  if (out->len > 0)
    g_string_append_printf (out, "%s\n", report->summary->state);
  return g_string_free (out, FALSE);
}

static KsReport *
look (const KsTestHost *host)
{
  g_autoptr (KsSnapshot) snapshot = NULL;

  return ks_reconcile_preview (&host->paths, &snapshot);
}

/* The device by which the kernel sends root's UDP to @address, or "" (transfer full). */
static char *
way_to (const char *address, guint port)
{
  g_autofree char *port_text = g_strdup_printf ("%u", port);
  g_autofree char *messages = NULL, *out = NULL;
  const char *argv[] = { "ip",  "route", "get",   address, "uid",     "0", "ipproto",
                         "udp", "sport", "40000", "dport", port_text, NULL };
  g_auto (GStrv) words = NULL;

  if (netns_spawn ((char **) argv, &out, &messages) != 0)
    return g_strdup ("");
  words = g_strsplit (out, " ", -1);
  for (char **word = words; word[0] && word[1]; word++)
    if (strcmp (word[0], "dev") == 0)
      return g_strdup (word[1]);
  return g_strdup ("");
}

static void
assert_way (const char *address, guint port, const char *expected)
{
  g_autofree char *way = way_to (address, port);

  if (strcmp (way, expected) != 0)
    fail_msg ("the way to %s is by '%s', not by '%s'", address, way, expected);
}

/* Sends what the VPN would; returns 0 or an errno value. */
static int
send_to_server (void)
{
  int fd = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons (SERVER_PORT) };
  int result;

  assert_true (fd >= 0);
  inet_pton (AF_INET, SERVER, &to.sin_addr);
  result = sendto (fd, "x", 1, 0, (struct sockaddr *) &to, sizeof to) < 0 ? errno : 0;
  close (fd);
  return result;
}

/* What @report says of conflicts, one a line (transfer full). */
static char *
conflicts_of (const KsReport *report)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < report->conflicts->len; i++) {
    const KsConflict *conflict = report->conflicts->pdata[i];

    g_string_append_printf (out, "%s %s [%s] %s\n%s\n", ks_conflict_effect_format (conflict->effect), conflict->kind,
                            conflict->object, conflict->program ? conflict->program : "-", conflict->text);
  }
  return g_string_free (out, FALSE);
}

/* --- what defeats --- */

typedef struct {
  const char *commands;
  const char *named; /* as conflicts_of() begins */
  const char *repair; /* that its text ends with; NULL: advice without a command */
  /* ESCAPES and STRANDS: as LETS_OUT and STOPS, but only `status` and `check` tell; HIDES: the server is this host */
  enum { LETS_OUT, ESCAPES, STOPS, STRANDS, SWALLOWS, HIDES } harm;
} Case;

static const Case cases[] = {
  { "ip rule add priority 0 lookup main", "leak rule [0: from all lookup main] -",
    "ip -4 rule del priority 0 from all lookup main", LETS_OUT },
  { "ip route add default via 192.168.50.1 table 200\nip rule add priority 0 lookup 200 protocol bird",
    "leak rule [0: from all lookup 200] BIRD", "ip -4 rule del priority 0 from all lookup 200", LETS_OUT },
  { "ip rule add priority 0 to 128.0.0.0/1 lookup main", "leak rule [0: from all to 128.0.0.0/1 lookup main] -",
    "ip -4 rule del priority 0 from all to 128.0.0.0/1 lookup main", LETS_OUT },
  { "ip rule add priority 8331 lookup main", "leak rule [8331: from all lookup main] -",
    "ip -4 rule del priority 8331 from all lookup main", LETS_OUT },
  { "ip rule add priority 0 goto 32766", "leak rule [0: from all goto 32766] -",
    "ip -4 rule del priority 0 from all goto 32766", LETS_OUT },
  /* Cilium moves table local, so that what stands before it cannot be jumped over */
  { "ip route add default via 192.168.50.1 table 2005\nip rule add priority 100 lookup local protocol kernel\n"
    "ip rule del priority 0\nip rule add priority 9 lookup 2005 protocol kernel",
    "leak rule [9: from all lookup 2005] Cilium", "ip -4 rule del priority 9 from all lookup 2005", LETS_OUT },
  { "ip route add default via 192.168.50.1 dev uplink table 83 metric 1 protocol zebra",
    "leak route [default via 192.168.50.1 dev uplink table 83 metric 1] FRR",
    "ip -4 route del default via 192.168.50.1 dev uplink table 83 metric 1", LETS_OUT },
  { "ip route add 128.0.0.0/1 via 192.168.50.1 dev uplink table 84",
    "leak route [128.0.0.0/1 via 192.168.50.1 dev uplink table 84] -",
    "ip -4 route del 128.0.0.0/1 via 192.168.50.1 dev uplink table 84", LETS_OUT },
  /* it skips our jump, which is before the rule at 100 */
  { "ip rule add priority 100 lookup main\nip rule add priority 0 goto 100", "leak rule [0: from all goto 100] -",
    "ip -4 rule del priority 0 from all goto 100", LETS_OUT },
  /* our own table of the uplink's routes, and our own protocol number */
  { "ip rule add priority 0 lookup 85", "leak rule [0: from all lookup 85] -",
    "ip -4 rule del priority 0 from all lookup 85", LETS_OUT },
  { "ip rule add priority 0 lookup main protocol 83", "leak rule [0: from all lookup main] -",
    "ip -4 rule del priority 0 from all lookup main", LETS_OUT },
  { "ip route add broadcast " PUBLIC " dev uplink table 83", "leak route [broadcast " PUBLIC " dev uplink table 83] -",
    "ip -4 route del broadcast " PUBLIC " dev uplink table 83", LETS_OUT },
  { "ip route add 128.0.0.0/1 via 192.168.50.1 dev uplink table local protocol bird",
    "leak route [128.0.0.0/1 via 192.168.50.1 dev uplink table 255] BIRD",
    "ip -4 route del 128.0.0.0/1 via 192.168.50.1 dev uplink table 255", ESCAPES },
  { "ip route add multicast " PUBLIC " dev uplink table local",
    "leak route [multicast " PUBLIC " dev uplink table 255] -",
    "ip -4 route del multicast " PUBLIC " dev uplink table 255", ESCAPES },
  { "ip rule add priority 0 uidrange 0-0 ipproto 17 dport 1194 prohibit",
    "block rule [0: from all uidrange 0-0 ipproto udp dport 1194 prohibit] -",
    "ip -4 rule del priority 0 from all uidrange 0-0 ipproto udp dport 1194 prohibit", STOPS },
  { "ip rule add priority 50 not to 192.168.0.0/16 unreachable",
    "block rule [50: not from all to 192.168.0.0/16 unreachable] -",
    "ip -4 rule del priority 50 not from all to 192.168.0.0/16 unreachable", STOPS },
  { "ip route add blackhole default table 77\nip rule add priority 0 lookup 77", "block rule [0: from all lookup 77] -",
    "ip -4 rule del priority 0 from all lookup 77", STOPS },
  { "ip rule add priority 0 lookup 83", "block rule [0: from all lookup 83] -",
    "ip -4 rule del priority 0 from all lookup 83", STOPS },
  { "ip route add blackhole 203.0.113.0/24", "block route [blackhole 203.0.113.0/24] -",
    "ip -4 route del blackhole 203.0.113.0/24", STRANDS },
  { "ip route add throw 203.0.113.0/24 metric 7", "block route [throw 203.0.113.0/24 metric 7] -",
    "ip -4 route del throw 203.0.113.0/24 metric 7", STRANDS },
  { "ip route add unreachable " SERVER " table local", "block route [unreachable " SERVER " table 255] -",
    "ip -4 route del unreachable " SERVER " table 255", STRANDS },
  { "ip addr add " SERVER "/32 dev uplink", "block route [local " SERVER " dev uplink table 255] -",
    "ip -4 route del local " SERVER " dev uplink table 255", HIDES },
  { "ip rule add priority 100 prohibit", "block rule [100: from all prohibit] -",
    "ip -4 rule del priority 100 from all prohibit", STOPS },
  { "ip rule add priority 100 not fwmark 0x1 unreachable", "block rule [100: not from all fwmark 0x1 unreachable] -",
    "ip -4 rule del priority 100 not from all fwmark 0x1 unreachable", STOPS },
  { "ip route add blackhole " SERVER " table 86", "block route [blackhole " SERVER " table 86] -",
    "ip -4 route del blackhole " SERVER " table 86", STOPS },
  { "ip tuntap add mode tap name pvpnksintrf0\nip link set pvpnksintrf0 up\nip addr add 100.85.0.1/24 dev "
    "pvpnksintrf0\n"
    "ip route del default via 192.168.50.1\nip route add default via 192.168.50.1 metric 100\n"
    "ip route add default via 100.85.0.2 dev pvpnksintrf0",
    "block route [default via 100.85.0.2 dev pvpnksintrf0] Proton VPN's app",
    "ip -4 route del default via 100.85.0.2 dev pvpnksintrf0", SWALLOWS },
  { "ip route del default via 192.168.50.1\nip route add default via 192.168.50.1 table 300\n"
    "ip rule add priority 300 lookup 300",
    "block rule [300: from all lookup 300] -", "ip -4 route add default via 192.168.50.1 dev uplink onlink", STRANDS },
  { "nft add table inet mullvad\nnft add chain inet mullvad output '{ type filter hook output priority 0; policy drop; "
    "}'",
    "block chain [inet mullvad output] Mullvad's app", NULL, STOPS },
  { "nft add table ip filter\nnft add chain ip filter ufw-before-output\n"
    "nft add chain ip filter OUTPUT '{ type filter hook output priority 0; policy drop; }'",
    "block chain [ip filter OUTPUT] ufw", NULL, STOPS },
  { "nft add table ip mine\nnft add chain ip mine o '{ type filter hook postrouting priority 0; policy drop; }'",
    "block chain [ip mine o] -", NULL, STOPS },
  /* a policy of accept, and a last rule that drops the rest */
  { "nft add table inet mine\nnft add chain inet mine o '{ type filter hook output priority 0; }'\n"
    "nft add rule inet mine o oifname lo accept\nnft add rule inet mine o counter log drop",
    "block chain [inet mine o] -", NULL, STOPS },
  /* the kill switch of wg-quick(8)'s manual page */
  { "nft add table ip mine\nnft add chain ip mine o '{ type filter hook output priority 0; }'\n"
    "nft add rule ip mine o oifname != wg9 meta mark != 0xca6c fib daddr type != local counter reject\n"
    "nft add rule ip mine o accept",
    "block chain [ip mine o] -", NULL, STOPS },
};

static void
assert_does_harm (const Case *each)
{
  switch (each->harm) {
  case LETS_OUT:
  case ESCAPES:
    assert_way (PUBLIC, 443, "uplink");
    break;
  case STOPS:
  case STRANDS:
    if (send_to_server () == 0)
      fail_msg ("the VPN can connect in spite of: %s", each->commands);
    break;
  case SWALLOWS:
    assert_way (SERVER, SERVER_PORT, "pvpnksintrf0");
    break;
  case HIDES:
    assert_way (SERVER, SERVER_PORT, "lo");
    break;
  }
}

/*
 * What a run says that found nothing to change: of what gets out, and of what it sees without looking further. A run
 * after it must not be easier on it.
 */
static void
assert_told_by_runs (const KsTestHost *host, const Case *each)
{
  for (guint i = 0; i < 2; i++) {
    g_autofree char *told = sync_now (host);
    gboolean is_seen =
      each->harm == LETS_OUT
      || (each->harm == STOPS && (strstr (each->named, " rule [") || strstr (each->named, " route [blackhole")));

    if (is_seen && !strstr (told, each->repair))
      fail_msg ("%s: %s does not say %s", each->commands, told, each->repair);
    if (!is_seen)
      assert_string_equal (told, "");
    if (each->harm == LETS_OUT
        && (!strstr (told, "probes would get out past the kill switch") || !g_str_has_suffix (told, "\nincomplete\n")))
      fail_msg ("%s: %s", each->commands, told);
    if (is_seen && each->harm != LETS_OUT)
      assert_true (g_str_has_suffix (told, "\nblocking\n"));
  }
}

static void
what_defeats_a_promise_is_named (void **state G_GNUC_UNUSED)
{
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    HOST_OR_SKIP ();
    g_autofree char *before = sync_now (host), *first = NULL, *found = NULL;
    g_autoptr (KsReport) clean = look (host), report = NULL;

    assert_string_equal (before, "");
    assert_int_equal (clean->conflicts->len, 0);
    assert_way (PUBLIC, 443, "");
    assert_int_equal (send_to_server (), 0);

    run_all (cases[i].commands);
    first = sync_now (host);
    assert_does_harm (&cases[i]);
    assert_told_by_runs (host, &cases[i]);
    report = look (host);
    found = conflicts_of (report);
    if (!g_str_has_prefix (found, cases[i].named))
      fail_msg ("%s\nnot named as %s but:\n%s", cases[i].commands, cases[i].named, found);
    assert_int_equal (report->conflicts->len, 1);
    if (cases[i].repair) {
      const KsConflict *conflict = report->conflicts->pdata[0];
      const char *repair = strstr (conflict->text, "run: ");
      g_autofree char *after = NULL;

      assert_non_null (repair);
      assert_string_equal (repair + strlen ("run: "), cases[i].repair);
      netns_run ("%s", repair + strlen ("run: "));
      after = sync_now (host);
      assert_string_equal (after, "");
      assert_way (PUBLIC, 443, "");
      assert_int_equal (send_to_server (), 0);
    }
  }
}

/* The journal tells it too: the error of the run that found that packets get out. */
static void
refuted_run_names_the_program (void **state G_GNUC_UNUSED)
{
  HOST_OR_SKIP ();
  g_autofree char *errors = NULL;

  run_all ("ip route add default via 192.168.50.1 table 200\nip rule add priority 0 lookup 200 protocol bird");
  errors = sync_now (host);
  if (!strstr (errors, "probes would get out past the kill switch")
      || !strstr (errors, "; IPv4 rule '0: from all lookup 200' (probably set by BIRD) "))
    fail_msg ("%s", errors);
}

/* --- what does not --- */

static void
what_does_no_harm_is_not_named (void **state G_GNUC_UNUSED)
{
  static const char *const harmless[] = {
    /* in front of ours, and jumped over: Tailscale, wg-quick or Mullvad's app, an administrator */
    "ip rule add priority 5210 fwmark 0x80000/0xff0000 lookup main\nip rule add priority 5230 fwmark 0x80000/0xff0000 "
    "lookup default\n"
    "ip rule add priority 5250 fwmark 0x80000/0xff0000 unreachable\nip rule add priority 5270 lookup 52\n"
    "ip route add default via 192.168.50.1 table 52",
    "ip rule add priority 100 not fwmark 51820 table 51820\nip rule add priority 99 table main suppress_prefixlength "
    "0\n"
    "ip route add default via 192.168.50.1 table 51820",
    "ip rule add priority 1 lookup main",
    /* the jump for another rule leads over it */
    "ip rule add priority 50 lookup main\nip rule add priority 51 prohibit",
    /* a default route in another table, while main has one as well, or for one source address only */
    "ip route add default via 192.168.50.1 table 300\nip rule add priority 300 lookup 300",
    "ip rule add priority 300 from 192.168.50.2 lookup 300\nip route add default via 192.168.50.1 table 300",
    /* behind ours */
    "ip rule add priority 9000 lookup main\nip rule add priority 9001 prohibit",
    /* before table local, and for the LAN alone, or to a table that leads nowhere */
    "ip rule add priority 0 to 192.168.0.0/16 lookup main",
    "ip rule add priority 0 lookup main suppress_prefixlength 0",
    "ip rule add priority 0 fwmark 0x200/0xf00 lookup 2004\nip route add local default dev lo table 2004",
    "ip rule add priority 8331 lookup 83",
    "ip rule add priority 0 goto 8300\nip rule add priority 100 lookup main",
    /* what stops packets, but not the VPN's */
    "ip rule add priority 0 ipproto 17 dport 53 prohibit\nip rule add priority 50 iif uplink prohibit\n"
    "ip rule add priority 0 to " SERVER " ipproto 6 unreachable\nip rule add priority 8301 to " SERVER " prohibit\n"
    "ip route add blackhole 198.51.0.0/16\nip route add blackhole default metric 2000000\n"
    "ip route add local 198.51.100.7 dev lo table local\nip route add throw default table local",
    /* a bridge's routes, and routes that a routing daemon learns: the LAN is limited to private prefixes */
    "ip route add 0.0.0.0/1 via 192.168.50.1 protocol bird\nip route add 10.0.0.0/8 via 192.168.50.1 protocol bird",
    /* firewalls that let everything out but what they know, or are about other packets */
    "nft add table ip filter\nnft add chain ip filter DOCKER-USER\n"
    "nft add chain ip filter FORWARD '{ type filter hook forward priority 0; policy drop; }'\n"
    "nft add chain ip filter OUTPUT '{ type filter hook output priority 0; policy accept; }'\n"
    "nft add chain ip filter INPUT '{ type filter hook input priority 0; policy drop; }'\n"
    "nft add rule ip filter OUTPUT ct state invalid counter drop\nnft add rule ip filter OUTPUT oifname wg9 ip daddr "
    "!= 10.0.0.0/8 drop\n"
    "nft add rule ip filter FORWARD drop",
  };

  for (guint i = 0; i < G_N_ELEMENTS (harmless); i++) {
    HOST_OR_SKIP ();
    g_autofree char *before = sync_now (host), *after = NULL, *found = NULL;
    g_autoptr (KsReport) report = NULL;

    run_all (harmless[i]);
    after = sync_now (host);
    report = look (host);
    found = conflicts_of (report);
    assert_way (PUBLIC, 443, "");
    if (send_to_server () != 0)
      fail_msg ("the VPN cannot connect: %s", harmless[i]);
    if (*found || *before || *after)
      fail_msg ("%s\nnamed: %s%s%s", harmless[i], found, before, after);
  }
}

/* Nothing is promised, so nothing is defeated. */
static void
nothing_is_named_while_nothing_is_armed (void **state G_GNUC_UNUSED)
{
  HOST_OR_SKIP ();
  g_autofree char *before = sync_now (host), *after = NULL;
  g_autoptr (KsReport) report = NULL;

  assert_string_equal (before, "");
  run_all (cases[0].commands);
  ks_test_host_remove (host, "etc/vpn");
  after = sync_now (host);
  assert_string_equal (after, "");
  report = look (host);
  assert_int_equal (report->conflicts->len, 0);
}

static void
assert_unprotected (const KsTestHost *host, const char *expected)
{
  g_autoptr (KsReport) report = look (host);

  assert_int_equal (report->unprotected->len, expected ? 1 : 0);
  if (expected && !g_str_has_prefix (report->unprotected->pdata[0], expected))
    fail_msg ("%s", (const char *) report->unprotected->pdata[0]);
}

/* A macvlan device in a container is not seen from here; what it leaves behind on the uplink is. */
static void
an_address_that_the_uplink_receives_for_is_named_as_unprotected (void **state G_GNUC_UNUSED)
{
  HOST_OR_SKIP ();
  g_autofree char *before = sync_now (host), *after = NULL;

  assert_string_equal (before, "");
  assert_unprotected (host, NULL);
  netns_run ("bridge fdb add 02:00:00:00:00:77 dev uplink self");
  netns_run ("bridge fdb add 01:00:5e:00:00:77 dev uplink self");
  assert_unprotected (host, "02:00:00:00:00:77 on uplink, probably a container (macvlan): ");
  after = sync_now (host);
  assert_string_equal (after, "");
  netns_run ("bridge fdb del 02:00:00:00:00:77 dev uplink self");
  assert_unprotected (host, NULL);
}

/* --- what passes all hooks --- */

/*
 * A guest on g0, whose end is g1, and an uplink "wan", whose other end is "net":
 *
 *   10.9.0.1 g1 -- g0     wan 192.168.60.2/24, a default route -- net
 */
static void
add_guest_and_uplink (void)
{
  assert_true (netns_write_file ("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1"));
  run_all ("ip link add g0 type veth peer name g1\nip link add wan type veth peer name net\n"
           "ip link set g0 up\nip link set g1 up\nip link set wan up\nip link set net up\n"
           "ip addr add 10.9.0.1/24 dev g1\nip addr add 192.168.60.2/24 dev wan\n"
           "ip neigh add 10.9.0.2 lladdr 02:00:00:00:00:09 dev g1 nud permanent\n"
           "ip route add default via 192.168.60.1 dev wan metric 50");
  netns_settle ();
}

/* How many packets @device has received. */
static guint64
received_by (const char *device)
{
  g_autofree char *text = NULL, *name = g_strdup_printf (" %s:", device);
  const char *line;
  guint64 bytes, packets;

  assert_true (g_file_get_contents ("/proc/net/dev", &text, NULL, NULL));
  line = strstr (text, name);
  assert_non_null (line);
  assert_int_equal (sscanf (line + strlen (name), " %" G_GUINT64_FORMAT " %" G_GUINT64_FORMAT, &bytes, &packets), 2);
  return packets;
}

/* The guest sends something: whether it leaves by the uplink. */
static gboolean
guest_gets_out (void)
{
  enum { PACKETS = 5, STEP_US = 10000, TRIES = 300, LINGER = 5 };
  const guint64 guest = received_by ("g0"), net = received_by ("net");
  struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons (9) };
  int fd = socket (AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  int i;

  assert_true (fd >= 0);
  inet_pton (AF_INET, "10.9.0.2", &to.sin_addr);
  for (i = 0; i < PACKETS; i++)
    assert_int_equal (sendto (fd, "x", 1, 0, (struct sockaddr *) &to, sizeof to), 1);
  close (fd);
  for (i = 0; i < TRIES && received_by ("g0") < guest + PACKETS; i++)
    g_usleep (STEP_US);
  assert_true (received_by ("g0") >= guest + PACKETS);
  for (i = 0; i < LINGER && received_by ("net") < net + PACKETS; i++)
    g_usleep (STEP_US);
  return received_by ("net") >= net + PACKETS;
}

/* @commands make the guest's packets leave by the uplink, past the guard, until @undo. */
static void
assert_redirection (const KsTestHost *host, const char *commands, const char *named, const char *undo)
{
  enum { STEP_US = 10000, TRIES = 300 };
  g_autofree char *found = NULL, *left = NULL;
  g_autoptr (KsReport) report = NULL;

  assert_false (guest_gets_out ());
  run_all (commands);
  assert_true (guest_gets_out ());
  report = look (host);
  found = conflicts_of (report);
  if (!g_str_has_prefix (found, named) || report->conflicts->len != 1)
    fail_msg ("%s\nnot named as %s but:\n%s", commands, named, found);
  assert_true (ks_conflict_any_passes_guard (report->conflicts));
  run_all (undo);
  assert_false (guest_gets_out ());
  /* the kernel frees a filter's actions a little later */
  for (int i = 0; i < TRIES && (!left || *left); i++) {
    g_autoptr (KsReport) after = look (host);

    if (left)
      g_usleep (STEP_US);
    g_free (left);
    left = conflicts_of (after);
  }
  assert_string_equal (left, "");
}

static void
nftables_redirection_to_the_uplink_is_named (void **state G_GNUC_UNUSED)
{
  HOST_OR_SKIP ();
  g_autofree char *before = NULL;
  g_autoptr (KsReport) report = NULL;

  add_guest_and_uplink ();
  before = sync_now (host);
  assert_string_equal (before, "");
  run_all ("nft add table netdev mine\n"
           "nft add chain netdev mine in '{ type filter hook ingress device g0 priority 0; }'");
  assert_redirection (host, "nft add rule netdev mine in fwd to wan", "leak chain [netdev mine in] -",
                      "nft flush chain netdev mine in");
  assert_redirection (host, "nft add rule netdev mine in counter dup to wan", "leak chain [netdev mine in] -",
                      "nft flush chain netdev mine in");
  assert_redirection (host, "nft add rule netdev mine in fwd to meta mark map '{ 0 : wan }'",
                      "leak chain [netdev mine in] -", "nft flush chain netdev mine in");
  /* from one guest to another */
  run_all ("nft add rule netdev mine in fwd to g1");
  report = look (host);
  assert_int_equal (report->conflicts->len, 0);
}

static void
traffic_controls_redirection_to_the_uplink_is_named (void **state G_GNUC_UNUSED)
{
  static const char filter[] = "tc filter add dev g0 ingress prio 1 u32 match u32 0 0 action mirred egress";
  g_autofree char *redirect = g_strdup_printf ("%s redirect dev wan", filter);
  g_autofree char *mirror = g_strdup_printf ("%s mirror dev wan", filter);
  HOST_OR_SKIP ();
  g_autofree char *before = NULL;
  g_autoptr (KsReport) report = NULL;

  add_guest_and_uplink ();
  if (netns_try ("tc qdisc add dev g0 clsact") != 0 || netns_try ("%s redirect dev g1", filter) != 0) {
    print_message ("skipped: this kernel has no clsact, u32 or mirred\n");
    skip ();
  }
  before = sync_now (host);
  assert_string_equal (before, "");
  report = look (host);
  assert_int_equal (report->conflicts->len, 0); /* to another guest */
  run_all ("tc filter del dev g0 ingress");
  /* the number is the kernel's choice */
  assert_redirection (host, redirect, "leak action [mirred redirect to wan index ", "tc filter del dev g0 ingress");
  assert_redirection (host, mirror, "leak action [mirred mirror to wan index ", "tc filter del dev g0 ingress");
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (what_defeats_a_promise_is_named),
    cmocka_unit_test (refuted_run_names_the_program),
    cmocka_unit_test (what_does_no_harm_is_not_named),
    cmocka_unit_test (nothing_is_named_while_nothing_is_armed),
    cmocka_unit_test (an_address_that_the_uplink_receives_for_is_named_as_unprotected),
    cmocka_unit_test (nftables_redirection_to_the_uplink_is_named),
    cmocka_unit_test (traffic_controls_redirection_to_the_uplink_is_named),
  };

  return cmocka_run_group_tests_name ("ks-conflict", tests, NULL, NULL);
}
