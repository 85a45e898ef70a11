/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "selftest/ks-selftest-judge.h"

/* Whether @packet is what the probe sent, a query for its next hop or, for ATTACK_IN, an answer to it. */
static gboolean
is_of_probe (const KsSelftestPacket *packet, const KsSelftestCase *c, const KsSelftestProbe *probe)
{
  if (c->kind == KS_SELFTEST_ATTACK_IN)
    return ks_prefix_equal (&packet->from, &probe->to);
  if (!ks_prefix_equal (&packet->to, &probe->to))
    return FALSE;
  return packet->is_question
         || (packet->ip_protocol == probe->ip_protocol
             && (!probe->port || packet->dport == probe->port || packet->is_later_fragment));
}

static void
observe_wire (const KsSelftestCase *c, const KsSelftestProbe *probe, const GArray *wire, KsSelftestObservation *out)
{
  for (guint i = 0; i < wire->len; i++) {
    const KsSelftestPacket *packet = &g_array_index (wire, KsSelftestPacket, i);
    KsSelftestClass class = ks_selftest_packet_classify (packet);
    gboolean is_seen = is_of_probe (packet, c, probe);
    gboolean is_bad = class == KS_SELFTEST_LEAK;

    if (ks_selftest_case_is_work (c)) {
      is_seen = is_seen && (class & c->classes); /* a query for the next hop does not count as arriving */
      is_bad = is_bad && !is_seen;
    } else {
      is_bad = is_bad || (class & c->classes);
    }
    if ((is_bad && out->bad == 0) || (is_seen && !out->what)) {
      g_free (out->what);
      out->what = ks_selftest_packet_format (packet);
    }
    out->seen += is_seen;
    out->bad += is_bad;
  }
}

void
ks_selftest_observe (const KsSelftestCase *c, const KsSelftestProbe *probe, const GArray *wire, const GArray *tunnel,
                     KsSelftestObservation *out)
{
  observe_wire (c, probe, wire, out);
  for (guint i = 0; i < tunnel->len; i++)
    out->tunnelled += is_of_probe (&g_array_index (tunnel, KsSelftestPacket, i), c, probe);
}

char *
ks_selftest_judge (const KsSelftestCase *c, KsSelftestState state, KsSelftestExpectation expectation,
                   const KsSelftestObservation *seen)
{
  const char *reason = seen->error ? g_strerror (seen->error) : "sent";

  if (expectation == KS_SELFTEST_LEAVES) {
    if (seen->seen == 0)
      return g_strdup_printf ("%s: nothing came out (%s)", state == KS_SELFTEST_OFF ? "could not be tried" : "broken",
                              reason);
    if (c->exchange && !seen->answered)
      return g_strdup ("no answer came back");
    return ks_selftest_state_is_armed (state) && seen->bad ? g_strdup_printf ("got out: %s", seen->what) : NULL;
  }
  if (seen->bad)
    return g_strdup_printf ("got out: %s", seen->what);
  if (expectation == KS_SELFTEST_STOPPED)
    return c->exchange && seen->answered ? g_strdup ("an answer came back") : NULL;
  if (seen->tunnelled == 0)
    return g_strdup_printf ("did not arrive in the tunnel (%s)", reason);
  return c->exchange && !seen->answered ? g_strdup ("no answer came back through the tunnel") : NULL;
}
