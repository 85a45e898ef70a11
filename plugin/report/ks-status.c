/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "report/ks-status.h"

#include <string.h>

#include "base/ks-error.h"
#include "base/ks-shell.h"

/* The most profiles, and the most transports, that are shown: one screen. */
#define MAX_LINES 12

void
ks_status_init (KsStatus *self, const KsReport *report, const KsSnapshot *snapshot)
{
  const KsSituation *situation = report->situation;

  *self = (KsStatus){ .report = report, .snapshot = snapshot };
  if (snapshot && report->policy)
    self->plan = ks_diff_compute (situation->config, snapshot->rules, snapshot->routes, report->policy,
                                  ks_situation_diff_flags (situation));
  else
    self->plan = g_array_new (FALSE, FALSE, sizeof (KsStep));
}

void
ks_status_init_public (KsStatus *self, const KsPublic *public)
{
  *self = (KsStatus){ .public = public, .plan = g_array_new (FALSE, FALSE, sizeof (KsStep)) };
}

void
ks_status_clear (KsStatus *self)
{
  g_clear_pointer (&self->plan, g_array_unref);
}

/* The guard's state in words. */
static const char *
guard_text (const KsReport *report)
{
  switch (report->guard) {
  case KS_GUARD_IN_PLACE:
    return "in place";
  case KS_GUARD_OUTDATED:
    return "not as it should be: run `nm-killswitch sync`";
  case KS_GUARD_TAMPERED:
    return "changed by another program: run `nm-killswitch sync`";
  case KS_GUARD_UNVERIFIED:
    return "there, but with no record of what was installed: run `nm-killswitch sync`";
  case KS_GUARD_ABSENT:
    return report->policy && report->policy->armed && !report->policy->guard
             ? "off (Guard=off): programs that bind a socket to a device can get out"
             : "missing: run `nm-killswitch sync`";
  case KS_GUARD_UNSUPPORTED:
    return "not possible: this kernel has no nf_tables; programs that bind a socket to a device can get out";
  default:
    return "unknown";
  }
}

/* Whether `sync` would change the guard. */
static gboolean
is_guard_wrong (const KsStatus *self)
{
  const KsReport *report = self->report;
  gboolean is_wanted = report->policy && report->policy->armed && report->policy->guard;

  switch (report->guard) {
  case KS_GUARD_OUTDATED:
  case KS_GUARD_TAMPERED:
  case KS_GUARD_UNVERIFIED:
    return TRUE;
  case KS_GUARD_ABSENT:
    return is_wanted;
  default:
    return FALSE;
  }
}

static gboolean
is_armed (const KsStatus *self)
{
  return self->report && self->report->policy && self->report->policy->armed;
}

static guint
count_tunnels (const KsStatus *self)
{
  return self->report->policy ? self->report->policy->tunnels->len : 0;
}

/* Whether another program sends packets past rules, routes and guard. */
static gboolean
is_bypassed (const KsStatus *self)
{
  return self->report && ks_conflict_any_passes_guard (self->report->conflicts);
}

const char *
ks_status_word (const KsStatus *self)
{
  if (self->public)
    return self->public->summary->state;
  if (!self->report->situation || !self->snapshot)
    return "unknown";
  if (self->report->situation->is_released)
    return "released";
  if (self->plan->len > 0 || is_guard_wrong (self))
    return "incomplete";
  if (!is_armed (self))
    return self->report->situation->is_unclear ? "held" : "off";
  if (is_bypassed (self))
    return "incomplete";
  return count_tunnels (self) > 0 ? "protected" : "blocking";
}

KsSummary *
ks_status_summarise (const KsStatus *self)
{
  const char *word = ks_status_word (self);
  KsSummary *summary;

  if (self->public) {
    g_autofree char *text = ks_summary_format (self->public->summary);

    return ks_summary_parse (text, NULL);
  }
  if (!self->report->situation)
    return NULL;
  summary = ks_summary_new (self->report, word);
  if (self->former && g_str_equal (self->former->state, word))
    summary->since = self->former->since;
  return summary;
}

/* --- the headline --- */

/* What the state means for what leaves the host, in one sentence. */
static const char *
meaning (const char *word)
{
  static const struct {
    const char *word, *meaning;
  } states[] = {
    { "protected", "Only the VPN, the local network and the VPN's own transport get out." },
    { "blocking", "No VPN is up: only the local network and the VPN's own transport get out." },
    { "held", "What was blocked stays blocked: a profile cannot be read." },
    { "off", "No profile asks for it: nothing is blocked." },
    { "released", "Nothing is blocked until `nm-killswitch resume` or a reboot." },
    { "incomplete", "The kernel does not hold what it should: something may get out." },
    { "unknown", "The state could not be read." },
  };

  for (guint i = 0; i < G_N_ELEMENTS (states); i++)
    if (g_str_equal (word, states[i].word))
      return states[i].meaning;
  return "";
}

static KsColour
colour_of (const char *word)
{
  if (g_str_equal (word, "protected"))
    return KS_COLOUR_GOOD;
  return g_str_equal (word, "incomplete") || g_str_equal (word, "unknown") ? KS_COLOUR_BAD : KS_COLOUR_WAIT;
}

static void
format_since (const KsStatus *self, const KsSummary *summary, GString *out)
{
  gint64 seconds;
  g_autofree char *time = NULL, *duration = NULL;

  if (!summary || summary->since < 0 || self->now <= 0)
    return;
  seconds = MAX (self->boottime - summary->since, 0);
  time = ks_style_format_time (self->now - seconds, self->now);
  duration = ks_style_format_duration (seconds);
  g_string_append_printf (out, " since %s (%s)", time, duration);
}

static void
format_headline (const KsStatus *self, const KsSummary *summary, const KsStyle *style, GString *out)
{
  const char *word = ks_status_word (self);

  g_string_append (out, "Kill switch: ");
  ks_style_append (style, out, colour_of (word), word);
  format_since (self, summary, out);
  g_string_append_printf (out, "\n  %s\n",
                          is_bypassed (self) ? "Another program sends packets past the kill switch; see below."
                                             : meaning (word));
  if (self->plan->len > 0)
    g_string_append (out, "  Rules or routes are not as they should be.\n");
}

static void
format_heading (const KsStyle *style, const char *heading, GString *out)
{
  ks_style_append (style, out, KS_COLOUR_HEADING, heading);
  g_string_append_c (out, '\n');
}

/* --- which tunnels --- */

/* The name of the profile whose tunnel is @interface; NULL for none. */
static const char *
find_owner (const KsSummary *summary, const char *interface)
{
  for (guint i = 0; i < summary->profiles->len; i++) {
    const KsSummaryProfile *profile = summary->profiles->pdata[i];

    if (g_strcmp0 (profile->tunnel, interface) == 0
        || g_ptr_array_find_with_equal_func (profile->more_tunnels, interface, g_str_equal, NULL))
      return profile->id;
  }
  return NULL;
}

static void
format_profile (const KsSummary *summary, const KsSummaryProfile *profile, const KsProfile *section, GString *out)
{
  g_autofree char *reason = ks_error_printable (profile->reason);
  gboolean is_remembered = g_str_equal (profile->reason, KS_REASON_TEXT_REMEMBERED);
  const char *owner = profile->inside ? find_owner (summary, profile->inside) : NULL;

  g_string_append (out, "  ");
  ks_style_append_cell (out, profile->id, 20);
  ks_style_append_cell (out, profile->type, 10);
  ks_style_append_cell (out, profile->mode, 8);
  g_string_append_printf (out, "%s%s; ", is_remembered ? "file unreadable: " : "by ", reason);
  if (profile->tunnel)
    g_string_append_printf (out, "up on %s", profile->tunnel);
  else if (section && section->vpn_type == KS_VPN_SECTION)
    g_string_append_printf (out, "down (no device %s is up)", section->interface ? section->interface : "");
  else
    g_string_append (out, "down");
  for (guint i = 0; i < profile->more_tunnels->len; i++)
    g_string_append_printf (out, ", %s", (const char *) profile->more_tunnels->pdata[i]);
  if (owner) {
    g_autofree char *name = ks_error_printable (owner);

    g_string_append_printf (out, ", inside %s (%s)", name, profile->inside);
  }
  if (!profile->has_server)
    g_string_append (out, ", server unknown");
  g_string_append_c (out, '\n');
}

static void
format_profiles (const KsStatus *self, const KsSummary *summary, const KsStyle *style, GString *out)
{
  guint shown = MIN (summary->profiles->len, MAX_LINES);

  if (summary->profiles->len == 0)
    return;
  format_heading (style, "Armed profiles:", out);
  for (guint i = 0; i < shown; i++)
    format_profile (summary, summary->profiles->pdata[i],
                    self->report ? self->report->situation->armed->pdata[i] : NULL, out);
  if (shown < summary->profiles->len)
    g_string_append_printf (out, "  and %u more: see `nm-killswitch list`\n", summary->profiles->len - shown);
}

/* --- what may leave --- */

static void
format_transports (const GPtrArray *texts, const char *what, guint *lines, GString *out)
{
  for (guint i = 0; i < texts->len && *lines < MAX_LINES; i++, (*lines)++)
    g_string_append_printf (out, "  %s%s\n", what, (const char *) texts->pdata[i]);
}

/* The DNS queries that leave outside a tunnel while there is none. */
static void
format_names (const KsPolicy *policy, const char *indent, GString *out)
{
  if (policy->bootstrap->len == 0)
    return;
  g_string_append_printf (out, "%sNames that may be asked for:", indent);
  if (policy->any_name)
    g_string_append (out, " any, by root and from behind this host (there is no guard to check them)");
  for (guint i = 0; !policy->any_name && i < policy->names->len; i++)
    g_string_append_printf (out, " %s", (const char *) policy->names->pdata[i]);
  g_string_append_c (out, '\n');
}

static void
format_lan (const KsPolicy *policy, GString *out)
{
  g_string_append (out, "  Local network:");
  if (policy->lan == KS_LAN_ROUTES) {
    g_string_append (out, " every route but the default one\n");
    return;
  }
  for (guint i = 0; i < policy->lan_prefixes->len; i++) {
    g_autofree char *prefix = ks_prefix_format (&g_array_index (policy->lan_prefixes, KsPrefix, i));

    g_string_append_printf (out, " %s", prefix);
  }
  g_string_append (out, policy->lan == KS_LAN_OFF ? " off\n" : "\n");
}

/* Who may open connections from outside the LAN; nothing if not configured. */
static void
format_management (const KsPolicy *policy, GString *out)
{
  if (policy->management_prefixes->len == 0)
    return;
  g_string_append (out, "  Management:");
  if (policy->management->len == 0)
    g_string_append (out, " no uplink has an address and a route for");
  else
    g_string_append (out, " replies may leave to");
  for (guint i = 0; i < policy->management_prefixes->len; i++) {
    g_autofree char *prefix = ks_prefix_format (&g_array_index (policy->management_prefixes, KsPrefix, i));

    g_string_append_printf (out, " %s", prefix);
  }
  for (guint i = 0; i < policy->management->len; i++) {
    g_autofree char *address = ks_prefix_format_address (&g_array_index (policy->management, KsManagement, i).address);

    g_string_append_printf (out, "%s %s", i ? "," : " from", address);
  }
  g_string_append_c (out, '\n');
}

static void
format_allowed (const KsPolicy *policy, const KsStyle *style, GString *out)
{
  g_autoptr (GPtrArray) transports = ks_transport_format_all (policy->transports);
  g_autoptr (GPtrArray) bootstrap = ks_transport_format_all (policy->bootstrap);
  guint lines = 0, all = transports->len + bootstrap->len;

  format_heading (style, "Allowed outside the VPN:", out);
  format_transports (transports, "", &lines, out);
  format_transports (bootstrap, "DNS while down: ", &lines, out);
  if (lines < all)
    g_string_append_printf (out, "  and %u more: see `nm-killswitch status --json`\n", all - lines);
  if (policy->transports->len == 0)
    g_string_append (out, "  no server address known yet: the VPN cannot connect\n");
  format_names (policy, "  ", out);
  format_lan (policy, out);
  format_management (policy, out);
  g_string_append_printf (out, "  DNS: %s\n",
                          policy->dns == KS_DNS_TUNNEL ? "through the tunnel only" : "local resolvers allowed");
}

/* For a user who is not root: the modes, but no addresses. */
static void
format_allowed_publicly (const KsSummary *summary, const KsStyle *style, GString *out)
{
  format_heading (style, "Allowed outside the VPN:", out);
  g_string_append_printf (out, "  The VPN's own transport\n  Local network: %s\n  DNS: %s\n", summary->lan,
                          g_strcmp0 (summary->dns, "lan") == 0 ? "local resolvers allowed" : "through the tunnel only");
}

/* --- what was stopped --- */

static void
format_guard (const KsReport *report, GString *out)
{
  const KsGuardCounters *counters = &report->counters;
  guint64 packets = counters->output.packets + counters->forward.packets + counters->input.packets;

  g_string_append_printf (out, "Guard: %s", guard_text (report));
  if (report->guard != KS_GUARD_ABSENT && report->guard != KS_GUARD_UNSUPPORTED && report->guard != KS_GUARD_UNKNOWN)
    g_string_append_printf (out, ", %" G_GUINT64_FORMAT " packets stopped", packets);
  if (packets > 0)
    g_string_append_printf (out,
                            " (%" G_GUINT64_FORMAT " from this host, %" G_GUINT64_FORMAT
                            " forwarded, %" G_GUINT64_FORMAT " to the tunnel's address from outside)",
                            counters->output.packets, counters->forward.packets, counters->input.packets);
  g_string_append_c (out, '\n');
}

/* --- problems --- */

static void
format_list (const GPtrArray *texts, const KsStyle *style, const char *heading, GString *out)
{
  if (texts->len > 0)
    format_heading (style, heading, out);
  for (guint i = 0; i < texts->len; i++)
    g_string_append_printf (out, "  %s\n", (const char *) texts->pdata[i]);
}

/* Other programs that interfere. */
static void
format_conflicts (const KsReport *report, const KsStyle *style, GString *out)
{
  if (report->conflicts->len > 0)
    format_heading (style, "Other programs in the way:", out);
  for (guint i = 0; i < report->conflicts->len; i++)
    g_string_append_printf (out, "  %s\n", ((const KsConflict *) report->conflicts->pdata[i])->text);
}

/* "2 warnings", with a comma before it if something stands there already; nothing for none. */
static void
append_count (GString *out, guint count, const char *what)
{
  if (count > 0)
    g_string_append_printf (out, "%s%u %s%s of the last run", out->len > 0 ? ", " : "", count, what,
                            count == 1 ? "" : "s");
}

/* What only root is shown. */
static void
format_left_out (const KsSummary *summary, GString *out)
{
  g_autoptr (GString) what = g_string_new (NULL);

  if (ks_summary_is_armed (summary) || g_str_equal (summary->state, "unknown"))
    g_string_append (what, "the addresses and names that are allowed, other programs in the way, who is not protected, "
                           "the guard and what it has stopped");
  append_count (what, summary->warnings, "warning");
  append_count (what, summary->errors, "error");
  if (what->len > 0)
    g_string_append_printf (out, "Not shown, since only root may see it: %s\n", what->str);
}

static void
format_notes (const KsStatus *self, const KsSummary *summary, GString *out)
{
  if (summary && !summary->networkmanager)
    g_string_append (out, "NetworkManager does not answer: the last known state is kept\n");
  if (summary && ks_summary_is_armed (summary))
    g_string_append (out,
                     "NetworkManager may call the uplink's connectivity \"limited\": its own check is blocked too\n");
  if (!self->report && summary)
    format_left_out (summary, out);
}

/* --- what to do --- */

/* Whether another armed profile has the same name. */
static gboolean
has_twin (const KsSummary *summary, const KsSummaryProfile *profile)
{
  for (guint i = 0; i < summary->profiles->len; i++) {
    const KsSummaryProfile *other = summary->profiles->pdata[i];

    if (other != profile && g_str_equal (other->id, profile->id))
      return TRUE;
  }
  return FALSE;
}

/* The command that connects the first armed profile of NetworkManager's; NULL if there is none (transfer full). */
static char *
connect_command (const KsSummary *summary)
{
  for (guint i = 0; i < summary->profiles->len; i++) {
    const KsSummaryProfile *profile = summary->profiles->pdata[i];
    g_autofree char *name = profile->uuid ? ks_shell_profile (profile->id, profile->uuid) : NULL;

    if (name && has_twin (summary, profile))
      return g_strdup_printf ("nmcli connection up uuid %s", profile->uuid);
    if (name)
      return g_strdup_printf ("nmcli connection up %s", name);
  }
  return NULL;
}

/* Whether another program may lead packets past the VPN. */
static gboolean
has_leak (const KsReport *report)
{
  return report && report->conflicts->len > 0
         && ((const KsConflict *) report->conflicts->pdata[0])->effect == KS_CONFLICT_LEAKS;
}

static void
format_advice (const KsStatus *self, const KsSummary *summary, const KsStyle *style, GString *out)
{
  const char *word = ks_status_word (self), *sudo = self->report ? "" : "sudo ";
  g_autofree char *connect = summary ? connect_command (summary) : NULL;

  format_heading (style, "What to do:", out);
  if (has_leak (self->report))
    g_string_append (out, "  Remove what other programs have put in the way; see above.\n");
  if (g_str_equal (word, "protected") && !has_leak (self->report))
    g_string_append (out, "  Nothing. If the VPN is lost, all else stays blocked until it is back.\n");
  else if (g_str_equal (word, "blocking") && connect)
    g_string_append_printf (out, "  %s: %s\n",
                            summary->networkmanager ? "Connect the VPN" : "Start NetworkManager, then connect the VPN",
                            connect);
  else if (g_str_equal (word, "blocking"))
    g_string_append (out, "  Connect the VPN.\n");
  else if (g_str_equal (word, "incomplete") && !is_bypassed (self))
    g_string_append_printf (out, "  Repair it: %snm-killswitch sync\n", sudo);
  else if (g_str_equal (word, "released"))
    g_string_append_printf (out, "  Block again: %snm-killswitch resume\n", sudo);
  else if (g_str_equal (word, "off"))
    g_string_append (out, "  Arm a VPN: nm-killswitch enable PROFILE (`nm-killswitch list` shows them)\n");
  else if (g_str_equal (word, "held"))
    g_string_append (out, "  Fix or remove the file that the warnings name.\n");
  else if (g_str_equal (word, "unknown"))
    g_string_append_printf (out, "  See the errors%s\n", self->report ? "." : ": sudo nm-killswitch status");
  if (g_str_equal (word, "blocking") || g_str_equal (word, "held") || g_str_equal (word, "incomplete"))
    g_string_append_printf (out, "  Or let everything out: %snm-killswitch release\n", sudo);
}

char *
ks_status_format (const KsStatus *self, const KsStyle *style)
{
  const KsReport *report = self->report;
  g_autoptr (KsSummary) summary = ks_status_summarise (self);
  g_autoptr (GString) out = g_string_new (NULL);

  format_headline (self, summary, style, out);
  if (summary)
    format_profiles (self, summary, style, out);
  if (is_armed (self)) {
    format_allowed (report->policy, style, out);
    format_guard (report, out);
  } else if (!report && summary && summary->lan) {
    format_allowed_publicly (summary, style, out);
  }
  format_notes (self, summary, out);
  if (report) {
    format_conflicts (report, style, out);
    format_list (report->unprotected, style, "Not protected:", out);
  }
  if (self->public)
    format_list (self->public->problems, style, "Problems:", out);
  else if (report->situation)
    format_list (report->situation->warnings, style, "Warnings:", out);
  format_advice (self, summary, style, out);
  return ks_style_wrap (style, out->str);
}

gboolean
ks_status_is_tight (const KsStatus *self)
{
  return self->report->proof && self->report->proof->escapes == 0 && self->plan->len == 0 && !is_guard_wrong (self)
         && !is_bypassed (self);
}

char *
ks_status_format_check (const KsStatus *self)
{
  static const KsStyle plain = { 0 };
  const KsProof *proof = self->report->proof;
  GString *out = g_string_new (NULL);

  g_string_append_printf (out, "%u of %u probes get out\n", proof->escapes, proof->probes->len);
  format_guard (self->report, out);
  if (is_armed (self))
    format_names (self->report->policy, "", out);
  if (self->plan->len > 0)
    g_string_append (out, "Rules or routes are not as they should be; `nm-killswitch sync` would\n");
  for (guint i = 0; i < self->plan->len && i < KS_REPORT_MAX_STEPS; i++) {
    g_autofree char *step = ks_step_format (&g_array_index (self->plan, KsStep, i));

    g_string_append_printf (out, "  %s\n", step);
  }
  if (self->plan->len > KS_REPORT_MAX_STEPS)
    g_string_append_printf (out, "  and %u more\n", self->plan->len - KS_REPORT_MAX_STEPS);
  if (ks_status_is_tight (self))
    g_string_append (out, "Nothing escapes\n");
  format_conflicts (self->report, &plain, out);
  format_list (self->report->unprotected, &plain, "Not protected:", out);
  format_list (self->report->situation->warnings, &plain, "Warnings:", out);
  return g_string_free (out, FALSE);
}
