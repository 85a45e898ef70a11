/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "selftest/ks-selftest-play.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "selftest/ks-selftest-arm.h"
#include "selftest/ks-selftest-judge.h"
#include "selftest/ks-selftest-link.h"
#include "selftest/ks-selftest-record.h"

/* An answer from the host's own kernel is there at once; a busy machine may take longer. */
#define ANSWER_TIMEOUT_MS 1000
/* Once an answer has not come the self-test has failed, and need not be patient with all the others. */
#define NEXT_ANSWER_TIMEOUT_MS 200
#define CONNECT_TIMEOUT_MS 1000
#define PROTOCOLS 3
#define FAMILIES 2

static const int families[FAMILIES] = { AF_INET, AF_INET6 };
static const guint protocols[PROTOCOLS] = { KS_SELFTEST_UDP, KS_SELFTEST_TCP, KS_SELFTEST_ICMP };

/* Sockets connected before arming, one for each state; -1 for none. */
typedef int OldSockets[KS_SELFTEST_N_STATES][FAMILIES][PROTOCOLS];

typedef struct {
  const KsSelftestOptions *options;
  KsSelftestNet *net;
  KsSelftestArm *arm;
  KsSnapshot *before; /* what the kernel held before arming */
  gboolean has_other_user;
  gboolean is_unanswered; /* an answer has not come */
  KsSelftestState state;
  KsSelftestRecord *records; /* one for each case */
  OldSockets *old; /* one for each case; of KS_SELFTEST_ATTACK_OLD */
  GPtrArray *arming; /* of char*: errors while arming, and packets that got out between the cases */
  GPtrArray *disarming; /* of char*: what differs from the state before arming */
} Play;

/* --- one probe --- */

/* Sends, lets the hosts reached answer, and checks whether the answer arrives. */
static gboolean
exchange (Play *play, const KsSelftestProbe *probe, GArray *wire, GArray *tunnel, KsSelftestObservation *out,
          GError **error)
{
  int fd = ks_selftest_probe_open (probe);
  struct pollfd waiting = { .fd = fd, .events = POLLIN };
  int timeout_ms = 0;
  gboolean is_done;
  guint8 bytes[64];

  if (fd < 0) {
    out->error = errno;
    return ks_selftest_net_collect (play->net, wire, tunnel, error);
  }
  out->error = ks_selftest_probe_send (probe, fd);
  is_done = ks_selftest_net_collect (play->net, wire, tunnel, error);
  ks_selftest_net_answer (play->net);
  /* a packet that nobody received is not answered */
  if (wire->len + tunnel->len > 0)
    timeout_ms = play->is_unanswered ? NEXT_ANSWER_TIMEOUT_MS : ANSWER_TIMEOUT_MS;
  if (poll (&waiting, 1, timeout_ms) > 0)
    out->answered = recv (fd, bytes, sizeof bytes, 0) > 0;
  else if (timeout_ms)
    play->is_unanswered = TRUE;
  close (fd);
  return is_done;
}

/* Checks packets since the last probe: no case sent them, and none of them may leave while armed. */
static gboolean
watch_between (Play *play, GError **error)
{
  g_autoptr (GArray) wire = g_array_new (FALSE, FALSE, sizeof (KsSelftestPacket));
  g_autoptr (GArray) tunnel = g_array_new (FALSE, FALSE, sizeof (KsSelftestPacket));

  if (!ks_selftest_net_collect (play->net, wire, tunnel, error))
    return FALSE;
  for (guint i = 0; i < wire->len && ks_selftest_state_is_armed (play->state); i++) {
    const KsSelftestPacket *packet = &g_array_index (wire, KsSelftestPacket, i);
    g_autofree char *text = ks_selftest_packet_format (packet);

    if (ks_selftest_packet_classify (packet) == KS_SELFTEST_LEAK)
      g_ptr_array_add (play->arming, g_strdup_printf ("%s, between the cases: got out: %s",
                                                      ks_selftest_state_format (play->state), text));
  }
  return TRUE;
}

static gboolean
send_probe (Play *play, const KsSelftestCase *c, const KsSelftestProbe *probe, int old, KsSelftestObservation *out,
            GError **error)
{
  g_autoptr (GArray) wire = g_array_new (FALSE, FALSE, sizeof (KsSelftestPacket));
  g_autoptr (GArray) tunnel = g_array_new (FALSE, FALSE, sizeof (KsSelftestPacket));
  gboolean is_done;

  if (!watch_between (play, error))
    return FALSE;
  if (c->exchange) {
    is_done = exchange (play, probe, wire, tunnel, out, error);
  } else {
    if (c->kind == KS_SELFTEST_ATTACK_OLD)
      out->error = old < 0 ? EBADF : ks_selftest_probe_send (probe, old);
    else
      out->error = ks_selftest_net_send (play->net, probe, c->place);
    is_done = ks_selftest_net_collect (play->net, wire, tunnel, error);
  }
  ks_selftest_observe (c, probe, wire, tunnel, out);
  /* otherwise the next probe would need no neighbour query, and the kernel might repeat one in the middle of another */
  ks_selftest_link_forget_neighbour (ks_selftest_net_socket (play->net), KS_SELFTEST_UPLINK, &probe->to);
  return is_done;
}

/* --- arming --- */

/* An error while arming is a failed case of its own; the other cases show its effect. */
static void
take_arming (Play *play, gboolean is_done, GError **error)
{
  if (!is_done)
    g_ptr_array_add (play->arming,
                     g_strdup_printf ("%s: %s", ks_selftest_state_format (play->state), (*error)->message));
  g_clear_error (error);
}

/* Arms, as any event would. */
static void
arm (Play *play, const char *tunnel)
{
  g_autoptr (GError) error = NULL;

  take_arming (play, ks_selftest_arm_apply (play->arm, tunnel, &error), &error);
}

/* A change in the LAN causes an event, for example of DHCP. In the other states nothing reacts. */
static void
reconcile (Play *play)
{
  if (play->state == KS_SELFTEST_BLOCKING)
    arm (play, NULL);
  else if (play->state == KS_SELFTEST_UP)
    arm (play, KS_SELFTEST_TUNNEL_DEVICE);
}

/* --- one case in one state --- */

/* Adds or deletes each word of @words whose family the kernel has. */
static gboolean
change (Play *play, const char *words, gboolean is_route, gboolean add, GError **error)
{
  KsNlSocket *socket = ks_selftest_net_socket (play->net);
  g_auto (GStrv) list = g_strsplit (words ? words : "", " ", -1);

  for (char **word = list; *word; word++) {
    gboolean is_ip6 = strchr (*word, ':') != NULL;
    const char *gateway = is_ip6 ? KS_SELFTEST_ROUTER6 : KS_SELFTEST_ROUTER;

    if (!**word || (is_ip6 && !ks_selftest_net_has_ip6 (play->net)))
      continue;
    if (is_route
        && !(add ? ks_selftest_link_add_route : ks_selftest_link_delete_route) (socket, *word, gateway,
                                                                                KS_SELFTEST_UPLINK, 100, error))
      return FALSE;
    if (!is_route
        && !(add ? ks_selftest_link_add_address : ks_selftest_link_delete_address) (socket, KS_SELFTEST_UPLINK, *word,
                                                                                    error))
      return FALSE;
  }
  return TRUE;
}

/* Sets up in the LAN what the case needs; without @add, removes it again. */
static gboolean
set_up (Play *play, const KsSelftestCase *c, gboolean add, GError **error)
{
  if (c->strict && !ks_selftest_net_set ("ipv4/conf/" KS_SELFTEST_UPLINK "/rp_filter", add ? "1" : "0", error))
    return FALSE;
  if (!c->routes && !c->addresses)
    return TRUE;
  if (!change (play, c->addresses, FALSE, add, error) || !change (play, c->routes, TRUE, add, error))
    return FALSE;
  reconcile (play);
  return TRUE;
}

/* Tries one protocol to one destination. */
static gboolean
try_probe (Play *play, guint number, guint family, guint protocol, GError **error)
{
  const KsSelftestCase *c = &ks_selftest_cases[number];
  KsSelftestExpectation expectation = ks_selftest_case_expectation (c, families[family], play->state);
  g_autofree char *failure = NULL;
  KsSelftestObservation seen = { 0 };
  KsSelftestProbe probe;
  gboolean is_done;

  if (expectation == KS_SELFTEST_NOT_TRIED || !ks_selftest_case_probe (c, families[family], protocols[protocol], &probe)
      || (families[family] == AF_INET6 && !ks_selftest_net_has_ip6 (play->net)))
    return TRUE;
  is_done = send_probe (play, c, &probe, play->old[number][play->state][family][protocol], &seen, error);
  if (is_done) {
    failure = ks_selftest_judge (c, play->state, expectation, &seen);
    ks_selftest_record_note (&play->records[number], c, &probe, play->state, &seen, failure);
  }
  g_free (seen.what);
  return is_done;
}

static gboolean
is_skipped (const Play *play, const KsSelftestCase *c)
{
  return c->other_user && !play->has_other_user;
}

static gboolean
try_case (Play *play, guint number, GError **error)
{
  const KsSelftestCase *c = &ks_selftest_cases[number];

  if (is_skipped (play, c))
    return TRUE;
  if (!set_up (play, c, TRUE, error))
    return FALSE;
  for (guint family = 0; family < FAMILIES; family++)
    for (guint protocol = 0; protocol < PROTOCOLS; protocol++)
      if (!try_probe (play, number, family, protocol, error))
        return FALSE;
  return set_up (play, c, FALSE, error);
}

/* --- connections opened before arming --- */

static void
open_old (Play *play, guint number, guint family, guint protocol)
{
  KsSelftestProbe probe;

  if (!ks_selftest_case_probe (&ks_selftest_cases[number], families[family], protocols[protocol], &probe))
    return;
  /* one for each state: a connection that waits for an acknowledgement in vain sends nothing for a while */
  for (guint state = 0; state < KS_SELFTEST_N_STATES; state++) {
    int fd = ks_selftest_probe_open (&probe);
    struct pollfd waiting = { .fd = fd, .events = POLLOUT };

    if (fd >= 0)
      poll (&waiting, 1, CONNECT_TIMEOUT_MS);
    play->old[number][state][family][protocol] = fd;
  }
}

static void
close_old (Play *play, guint number, guint family, guint protocol)
{
  /* without retransmitting what was never acknowledged */
  struct linger at_once = { .l_onoff = 1 };

  for (guint state = 0; state < KS_SELFTEST_N_STATES; state++) {
    int *fd = &play->old[number][state][family][protocol];

    if (*fd < 0)
      continue;
    setsockopt (*fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    close (*fd);
    *fd = -1;
  }
}

static void
for_old (Play *play, void (*func) (Play *, guint, guint, guint))
{
  for (guint i = 0; i < ks_selftest_n_cases; i++)
    for (guint family = 0; family < FAMILIES; family++)
      for (guint protocol = 0; protocol < PROTOCOLS; protocol++)
        if (ks_selftest_cases[i].kind == KS_SELFTEST_ATTACK_OLD)
          func (play, i, family, protocol);
}

/* --- states --- */

/* Puts the default route into table main, as NetworkManager does for a plugin VPN. */
static gboolean
bring_tunnel_up (Play *play, GError **error)
{
  KsNlSocket *socket = ks_selftest_net_socket (play->net);

  return ks_selftest_net_add_tunnel (play->net, error)
         && ks_selftest_link_add_route (socket, "0.0.0.0/0", NULL, KS_SELFTEST_TUNNEL_DEVICE, 50, error)
         && (!ks_selftest_net_has_ip6 (play->net)
             || ks_selftest_link_add_route (socket, "::/0", NULL, KS_SELFTEST_TUNNEL_DEVICE, 50, error));
}

static void
disarm (Play *play)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (KsSnapshot) after = NULL;

  for_old (play, close_old);
  arm (play, NULL);
  if (!ks_selftest_arm_disarm (play->arm, &error) || !(after = ks_selftest_arm_dump (play->arm, &error))
      || !ks_selftest_arm_compare (play->before, after, &error))
    g_ptr_array_add (play->disarming, g_strdup (error->message));
}

static gboolean
enter_state (Play *play, GError **error)
{
  g_autoptr (GError) failure = NULL;

  switch (play->state) {
  case KS_SELFTEST_OFF:
    play->before = ks_selftest_arm_dump (play->arm, error);
    if (!play->before || !ks_selftest_net_add_tunnel (play->net, error))
      return FALSE;
    for_old (play, open_old);
    return TRUE;
  case KS_SELFTEST_BLOCKING:
    ks_selftest_net_delete_tunnel (play->net);
    arm (play, NULL);
    return TRUE;
  case KS_SELFTEST_UP:
    if (!bring_tunnel_up (play, error))
      return FALSE;
    arm (play, KS_SELFTEST_TUNNEL_DEVICE);
    return TRUE;
  case KS_SELFTEST_LOST:
    ks_selftest_net_delete_tunnel (play->net);
    return TRUE;
  case KS_SELFTEST_GUARD_ALONE:
    arm (play, NULL);
    take_arming (play, ks_selftest_arm_drop_rules (play->arm, &failure), &failure);
    return TRUE;
  case KS_SELFTEST_RULES_ALONE:
    arm (play, NULL);
    take_arming (play, ks_selftest_arm_drop_guard (play->arm, &failure), &failure);
    return TRUE;
  default:
    disarm (play);
    return ks_selftest_net_add_tunnel (play->net, error);
  }
}

static gboolean
play_all (Play *play, GError **error)
{
  for (play->state = 0; play->state < KS_SELFTEST_N_STATES; play->state++) {
    if (!enter_state (play, error)) {
      g_prefix_error (error, "%s: ", ks_selftest_state_format (play->state));
      return FALSE;
    }
    for (guint i = 0; i < ks_selftest_n_cases; i++)
      if (!try_case (play, i, error)) {
        g_prefix_error (error, "%s, %s: ", ks_selftest_cases[i].name, ks_selftest_state_format (play->state));
        return FALSE;
      }
    if (!watch_between (play, error))
      return FALSE;
  }
  return TRUE;
}

/* --- outcomes --- */

/* For the host as a whole: passed with the text @good, or failed with the first of @failures. */
static KsSelftestOutcome *
host_outcome (const char *name, const char *good, const GPtrArray *failures)
{
  if (failures->len == 0)
    return ks_selftest_outcome_new (KS_SELFTEST_PASSED, name, g_strdup (good));
  if (failures->len == 1)
    return ks_selftest_outcome_new (KS_SELFTEST_FAILED, name, g_strdup (failures->pdata[0]));
  return ks_selftest_outcome_new (
    KS_SELFTEST_FAILED, name,
    g_strdup_printf ("%s (and %u more)", (const char *) failures->pdata[0], failures->len - 1));
}

static GPtrArray *
make_outcomes (const Play *play)
{
  GPtrArray *outcomes = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_selftest_outcome_free);

  g_ptr_array_add (outcomes,
                   host_outcome ("arming", "the kernel takes rules, routes and the nftables table", play->arming));
  for (guint i = 0; i < ks_selftest_n_cases; i++)
    /* a case without IPv4 is left out if there is no IPv6 */
    if (ks_selftest_cases[i].to4 || ks_selftest_net_has_ip6 (play->net))
      g_ptr_array_add (outcomes, ks_selftest_record_outcome (&play->records[i], &ks_selftest_cases[i],
                                                             is_skipped (play, &ks_selftest_cases[i])));
  g_ptr_array_add (outcomes, host_outcome ("disarming", "rules, routes and nftables are as before", play->disarming));
  return outcomes;
}

static void
init_records (Play *play)
{
  play->records = g_new0 (KsSelftestRecord, ks_selftest_n_cases);
  play->old = g_new0 (OldSockets, ks_selftest_n_cases);
  memset (play->old, -1, ks_selftest_n_cases * sizeof *play->old);
  for (guint i = 0; i < ks_selftest_n_cases; i++)
    ks_selftest_record_init (&play->records[i], play->options->verbose);
}

static void
clear (Play *play)
{
  for_old (play, close_old);
  for (guint i = 0; i < ks_selftest_n_cases; i++)
    ks_selftest_record_clear (&play->records[i]);
  g_free (play->records);
  g_free (play->old);
  g_ptr_array_unref (play->arming);
  g_ptr_array_unref (play->disarming);
  g_clear_pointer (&play->before, ks_snapshot_free);
  g_clear_pointer (&play->arm, ks_selftest_arm_free);
  g_clear_pointer (&play->net, ks_selftest_net_free);
}

GPtrArray *
ks_selftest_play (const KsSelftestOptions *options, GError **error)
{
  Play play = {
    .options = options,
    .arming = g_ptr_array_new_with_free_func (g_free),
    .disarming = g_ptr_array_new_with_free_func (g_free),
  };
  GPtrArray *outcomes = NULL;

  init_records (&play);
  play.net = ks_selftest_net_new (options, error);
  if (play.net)
    play.arm = ks_selftest_arm_new (options, error);
  play.has_other_user = play.arm && ks_selftest_probe_has_other_user ();
  if (play.arm && play_all (&play, error))
    outcomes = make_outcomes (&play);
  clear (&play);
  return outcomes;
}
