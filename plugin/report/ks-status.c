/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "report/ks-status.h"

#include <string.h>

#include "base/ks-error.h"
#include "report/ks-json.h"

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
ks_status_clear (KsStatus *self)
{
  g_clear_pointer (&self->plan, g_array_unref);
}

/* What the guard is, in words. */
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

/* Whether `sync` would touch the guard. */
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
  return self->report->policy && self->report->policy->armed;
}

static guint
count_tunnels (const KsStatus *self)
{
  return self->report->policy ? self->report->policy->tunnels->len : 0;
}

const char *
ks_status_word (const KsStatus *self)
{
  if (!self->report->situation || !self->snapshot)
    return "unknown";
  if (self->report->situation->is_released)
    return "released";
  if (self->plan->len > 0 || is_guard_wrong (self))
    return "incomplete";
  if (!is_armed (self))
    return self->report->situation->is_unclear ? "held" : "off";
  return count_tunnels (self) > 0 ? "protected" : "blocking";
}

static void
format_headline (const KsStatus *self, GString *out)
{
  const char *word = ks_status_word (self);

  g_string_append_printf (out, "Kill switch: %s", word);
  if (g_str_equal (word, "released"))
    g_string_append (out, " (nothing is blocked until `nm-killswitch resume` or a reboot)");
  else if (g_str_equal (word, "protected"))
    g_string_append (out, " (only the VPN, the local network and the VPN's own transport get out)");
  else if (g_str_equal (word, "blocking"))
    g_string_append (out, " (no VPN is up: only the local network and the VPN's own transport get out)");
  else if (g_str_equal (word, "held"))
    g_string_append (out, " (what was blocked stays blocked: a profile cannot be read, see the warnings)");
  else if (g_str_equal (word, "off"))
    g_string_append (out, " (no profile asks for it)");
  else if (g_str_equal (word, "incomplete"))
    g_string_append_printf (
      out, " (not as they should be: %s%s%s; run `nm-killswitch sync`)", self->plan->len > 0 ? "rules or routes" : "",
      self->plan->len > 0 && is_guard_wrong (self) ? ", " : "", is_guard_wrong (self) ? "the guard" : "");
  g_string_append_c (out, '\n');
}

/* The tunnel that carries the transport of @profile; NULL for none. */
static const KsTunnel *
find_outer (const KsReport *report, const KsProfile *profile)
{
  const char *key = report->policy ? g_hash_table_lookup (report->policy->outers, ks_profile_key (profile)) : NULL;

  return key ? ks_tunnel_find (report->situation->tunnels, key) : NULL;
}

static void
format_outer (const KsReport *report, const KsProfile *profile, GString *out)
{
  const KsTunnel *outer = find_outer (report, profile);

  for (guint i = 0; outer && i < report->situation->armed->len; i++) {
    const KsProfile *other = report->situation->armed->pdata[i];

    if (g_strcmp0 (ks_profile_key (other), outer->key) == 0) {
      g_autofree char *id = ks_error_printable (other->id);

      g_string_append_printf (out, ", inside %s (%s)", id, outer->interface);
    }
  }
}

static void
format_profile (const KsReport *report, const KsProfile *profile, GString *out)
{
  const KsSituation *situation = report->situation;
  g_autofree char *id = ks_error_printable (profile->id);
  g_autofree char *reason = ks_profile_format_reason (profile);
  g_autofree char *printable = ks_error_printable (reason);
  guint count = 0;

  g_string_append_printf (out, "  %-20s %-10s %-8s by %s; ", id, profile->type ? profile->type : "?",
                          ks_mode_format (profile->mode), printable);
  for (guint i = 0; i < situation->tunnels->len; i++) {
    const KsTunnel *tunnel = situation->tunnels->pdata[i];

    if (strcmp (tunnel->key, ks_profile_key (profile)) == 0)
      g_string_append_printf (out, "%s%s", count++ ? ", " : "up on ", tunnel->interface);
  }
  if (count == 0 && profile->vpn_type == KS_VPN_SECTION)
    g_string_append_printf (out, "down (no device %s is up)", profile->interface ? profile->interface : "");
  else if (count == 0)
    g_string_append (out, "down");
  format_outer (report, profile, out);
  g_string_append_c (out, '\n');
}

static void
format_exemptions (const GArray *transports, const char *what, GString *out)
{
  for (guint i = 0; i < transports->len; i++) {
    g_autofree char *text = ks_transport_format (&g_array_index (transports, KsTransport, i));

    g_string_append_printf (out, "  %s%s\n", what, text);
  }
}

/* Which DNS queries leave beside a tunnel, while there is none. */
static void
format_names (const KsPolicy *policy, GString *out)
{
  if (policy->bootstrap->len == 0)
    return;
  g_string_append (out, "Names that may be asked for:");
  if (policy->any_name)
    g_string_append (out, " any, by root and from behind this host (there is no guard to compare them)");
  for (guint i = 0; !policy->any_name && i < policy->names->len; i++)
    g_string_append_printf (out, " %s", (const char *) policy->names->pdata[i]);
  g_string_append_c (out, '\n');
}

static void
format_guard (const KsReport *report, GString *out)
{
  const KsGuardCounters *counters = &report->counters;
  guint64 packets = counters->output.packets + counters->forward.packets + counters->input.packets;

  g_string_append_printf (out, "Guard: %s", guard_text (report));
  if (report->guard != KS_GUARD_ABSENT && report->guard != KS_GUARD_UNSUPPORTED && report->guard != KS_GUARD_UNKNOWN)
    g_string_append_printf (out, ", %" G_GUINT64_FORMAT " packets stopped", packets);
  g_string_append_c (out, '\n');
}

static void
format_lan (const KsPolicy *policy, GString *out)
{
  if (policy->lan == KS_LAN_ROUTES) {
    g_string_append (out, "Local network: every route but the default one\n");
    return;
  }
  g_string_append (out, "Local network:");
  for (guint i = 0; i < policy->lan_prefixes->len; i++) {
    g_autofree char *prefix = ks_prefix_format (&g_array_index (policy->lan_prefixes, KsPrefix, i));

    g_string_append_printf (out, " %s", prefix);
  }
  g_string_append (out, policy->lan == KS_LAN_OFF ? " off\n" : "\n");
}

static void
format_warnings (const KsSituation *situation, GString *out)
{
  if (situation->warnings->len > 0)
    g_string_append (out, "Warnings:\n");
  for (guint i = 0; i < situation->warnings->len; i++)
    g_string_append_printf (out, "  %s\n", (const char *) situation->warnings->pdata[i]);
}

/* Who may open connections from outside the LAN; nothing when nobody is configured to. */
static void
format_management (const KsPolicy *policy, GString *out)
{
  if (policy->management_prefixes->len == 0)
    return;
  g_string_append (out, "Management:");
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

char *
ks_status_format (const KsStatus *self)
{
  const KsSituation *situation = self->report->situation;
  const KsPolicy *policy = self->report->policy;
  GString *out = g_string_new (NULL);

  format_headline (self, out);
  if (situation && situation->armed->len > 0) {
    g_string_append (out, "Armed profiles:\n");
    for (guint i = 0; i < situation->armed->len; i++)
      format_profile (self->report, situation->armed->pdata[i], out);
  }
  if (situation && ks_situation_lacks_network (situation))
    g_string_append (out, "NetworkManager does not answer: the last known state is kept\n");
  if (policy && policy->armed) {
    g_string_append (out, "Exempted transports:\n");
    format_exemptions (policy->transports, "", out);
    format_exemptions (policy->bootstrap, "DNS while down: ", out);
    if (policy->transports->len == 0)
      g_string_append (out, "  no server address known yet: the VPN cannot connect\n");
    format_names (policy, out);
    format_lan (policy, out);
    format_management (policy, out);
    g_string_append_printf (out, "DNS: %s\n",
                            policy->dns == KS_DNS_TUNNEL ? "through the tunnel only" : "local resolvers allowed");
    format_guard (self->report, out);
    g_string_append (out,
                     "NetworkManager may call the uplink's connectivity \"limited\": its own check is blocked too\n");
  }
  if (situation)
    format_warnings (situation, out);
  return g_string_free (out, FALSE);
}

static void
json_profiles (KsJson *json, const KsReport *report)
{
  const KsSituation *situation = report->situation;

  ks_json_open (json, "armed", '[');
  for (guint i = 0; i < situation->armed->len; i++) {
    const KsProfile *profile = situation->armed->pdata[i];
    const KsTunnel *tunnel = ks_tunnel_find (situation->tunnels, ks_profile_key (profile));
    g_autofree char *reason = ks_profile_format_reason (profile);
    const KsTunnel *outer = find_outer (report, profile);

    ks_json_open (json, NULL, '{');
    ks_json_string (json, "id", profile->id);
    ks_json_string (json, "uuid", profile->vpn_type == KS_VPN_SECTION ? NULL : profile->uuid);
    ks_json_string (json, "path", profile->path);
    ks_json_string (json, "type", profile->type);
    ks_json_string (json, "mode", ks_mode_format (profile->mode));
    ks_json_string (json, "reason", reason);
    ks_json_string (json, "tunnel", tunnel ? tunnel->interface : NULL);
    ks_json_string (json, "inside", outer ? outer->interface : NULL);
    ks_json_close (json, '}');
  }
  ks_json_close (json, ']');
}

static void
json_transports (KsJson *json, const char *key, const GArray *transports)
{
  ks_json_open (json, key, '[');
  for (guint i = 0; i < transports->len; i++) {
    g_autofree char *text = ks_transport_format (&g_array_index (transports, KsTransport, i));

    ks_json_string (json, NULL, text);
  }
  ks_json_close (json, ']');
}

static void
json_messages (KsJson *json, const KsReport *report)
{
  ks_json_open (json, "errors", '[');
  for (guint i = 0; i < report->errors->len; i++)
    ks_json_string (json, NULL, ((const GError *) report->errors->pdata[i])->message);
  ks_json_close (json, ']');
  ks_json_open (json, "warnings", '[');
  for (guint i = 0; report->situation && i < report->situation->warnings->len; i++)
    ks_json_string (json, NULL, report->situation->warnings->pdata[i]);
  ks_json_close (json, ']');
}

static void
json_counter (KsJson *json, const char *key, const KsGuardCounter *counter)
{
  ks_json_open (json, key, '{');
  ks_json_number (json, "packets", counter->packets);
  ks_json_number (json, "bytes", counter->bytes);
  ks_json_close (json, '}');
}

static void
json_guard (KsJson *json, const KsReport *report)
{
  static const char *const words[] = { "unknown",  "absent",     "in place",   "outdated",
                                       "tampered", "unverified", "unsupported" };

  ks_json_open (json, "guard", '{');
  ks_json_boolean (json, "wanted", report->policy->guard);
  ks_json_string (json, "state", words[report->guard]);
  ks_json_open (json, "stopped", '{');
  json_counter (json, "output", &report->counters.output);
  json_counter (json, "forward", &report->counters.forward);
  json_counter (json, "input", &report->counters.input);
  ks_json_close (json, '}');
  ks_json_close (json, '}');
}

static void
json_prefixes (KsJson *json, const char *key, const GArray *prefixes)
{
  ks_json_open (json, key, '[');
  for (guint i = 0; i < prefixes->len; i++) {
    g_autofree char *prefix = ks_prefix_format (&g_array_index (prefixes, KsPrefix, i));

    ks_json_string (json, NULL, prefix);
  }
  ks_json_close (json, ']');
}

static void
json_policy (KsJson *json, const KsPolicy *policy)
{
  ks_json_string (json, "lan", ks_lan_format (policy->lan));
  json_prefixes (json, "lan_prefixes", policy->lan_prefixes);
  ks_json_open (json, "management", '{');
  json_prefixes (json, "from", policy->management_prefixes);
  ks_json_open (json, "addresses", '[');
  for (guint i = 0; i < policy->management->len; i++) {
    g_autofree char *address = ks_prefix_format_address (&g_array_index (policy->management, KsManagement, i).address);

    ks_json_string (json, NULL, address);
  }
  ks_json_close (json, ']');
  ks_json_close (json, '}');
  ks_json_string (json, "dns", ks_dns_format (policy->dns));
  json_transports (json, "transports", policy->transports);
  json_transports (json, "bootstrap", policy->bootstrap);
  ks_json_open (json, "may_be_asked_for", '[');
  for (guint i = 0; i < policy->names->len; i++)
    ks_json_string (json, NULL, policy->names->pdata[i]);
  ks_json_close (json, ']');
  ks_json_boolean (json, "any_name", policy->any_name);
}

char *
ks_status_format_json (const KsStatus *self)
{
  const KsSituation *situation = self->report->situation;
  KsJson json = { .text = g_string_new (NULL) };

  ks_json_open (&json, NULL, '{');
  ks_json_string (&json, "version", KS_VERSION);
  ks_json_string (&json, "state", ks_status_word (self));
  ks_json_number (&json, "differences", self->plan->len);
  if (situation) {
    ks_json_boolean (&json, "networkmanager", situation->network != NULL);
    json_profiles (&json, self->report);
  }
  if (is_armed (self)) {
    json_policy (&json, self->report->policy);
    json_guard (&json, self->report);
  }
  json_messages (&json, self->report);
  ks_json_close (&json, '}');
  g_string_append_c (json.text, '\n');
  return g_string_free (json.text, FALSE);
}

gboolean
ks_status_is_tight (const KsStatus *self)
{
  return self->report->proof && self->report->proof->escapes == 0 && self->plan->len == 0 && !is_guard_wrong (self);
}

char *
ks_status_format_check (const KsStatus *self)
{
  const KsProof *proof = self->report->proof;
  GString *out = g_string_new (NULL);

  g_string_append_printf (out, "%u of %u probes get out\n", proof->escapes, proof->probes->len);
  format_guard (self->report, out);
  if (is_armed (self))
    format_names (self->report->policy, out);
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
  format_warnings (self->report->situation, out);
  return g_string_free (out, FALSE);
}
