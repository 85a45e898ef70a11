/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * `status --json` is a stable interface. docs/status-json.md describes each
 * member, and tests/unit/test-ks-status.c checks that the two agree.
 */
#include "base/ks-json.h"
#include "report/ks-status.h"

static void
json_path_of (KsJson *json, const KsReport *report, guint index)
{
  if (report)
    ks_json_string (json, "path", ((const KsProfile *) report->situation->armed->pdata[index])->path);
}

static void
json_strings (KsJson *json, const char *key, const GPtrArray *strings)
{
  ks_json_open (json, key, '[');
  for (guint i = 0; strings && i < strings->len; i++)
    ks_json_string (json, NULL, strings->pdata[i]);
  ks_json_close (json, ']');
}

static void
json_profiles (KsJson *json, const KsStatus *self, const KsSummary *summary)
{
  ks_json_open (json, "armed", '[');
  for (guint i = 0; i < summary->profiles->len; i++) {
    const KsSummaryProfile *profile = summary->profiles->pdata[i];

    ks_json_open (json, NULL, '{');
    ks_json_string (json, "id", profile->id);
    ks_json_string (json, "uuid", profile->uuid);
    json_path_of (json, self->report, i);
    ks_json_string (json, "type", profile->type);
    ks_json_string (json, "mode", profile->mode);
    ks_json_string (json, "reason", profile->reason);
    ks_json_string (json, "tunnel", profile->tunnel);
    json_strings (json, "more_tunnels", profile->more_tunnels);
    ks_json_string (json, "inside", profile->inside);
    ks_json_boolean (json, "server_known", profile->has_server);
    ks_json_close (json, '}');
  }
  ks_json_close (json, ']');
}

static void
json_transports (KsJson *json, const char *key, const GArray *transports)
{
  g_autoptr (GPtrArray) texts = ks_transport_format_all (transports);

  ks_json_open (json, key, '[');
  for (guint i = 0; i < texts->len; i++)
    ks_json_string (json, NULL, texts->pdata[i]);
  ks_json_close (json, ']');
}

static void
json_messages (KsJson *json, const KsReport *report)
{
  ks_json_open (json, "errors", '[');
  for (guint i = 0; i < report->errors->len; i++)
    ks_json_string (json, NULL, ((const GError *) report->errors->pdata[i])->message);
  ks_json_close (json, ']');
  json_strings (json, "warnings", report->situation ? report->situation->warnings : NULL);
}

static void
json_conflicts (KsJson *json, const GPtrArray *conflicts)
{
  ks_json_open (json, "conflicts", '[');
  for (guint i = 0; i < conflicts->len; i++) {
    const KsConflict *conflict = conflicts->pdata[i];

    ks_json_open (json, NULL, '{');
    ks_json_string (json, "kind", conflict->kind);
    ks_json_string (json, "object", conflict->object);
    ks_json_string (json, "program", conflict->program);
    ks_json_string (json, "effect", ks_conflict_effect_format (conflict->effect));
    ks_json_string (json, "text", conflict->text);
    ks_json_close (json, '}');
  }
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
  json_transports (json, "transports", policy->transports);
  json_transports (json, "bootstrap", policy->bootstrap);
  json_strings (json, "may_be_asked_for", policy->names);
  ks_json_boolean (json, "any_name", policy->any_name);
}

static void
json_summary (KsJson *json, const KsStatus *self, const KsSummary *summary)
{
  g_autofree char *since = NULL;

  if (summary->since >= 0 && self->now > 0)
    since = ks_style_format_timestamp (self->now - (self->boottime - summary->since));
  ks_json_string (json, "since", since);
  ks_json_boolean (json, "networkmanager", summary->networkmanager);
  ks_json_number (json, "warning_count", summary->warnings);
  ks_json_number (json, "error_count", summary->errors);
  json_profiles (json, self, summary);
  if (!summary->lan)
    return;
  ks_json_string (json, "lan", summary->lan);
  ks_json_string (json, "dns", summary->dns);
}

char *
ks_status_format_json (const KsStatus *self)
{
  const KsReport *report = self->report;
  g_autoptr (KsSummary) summary = ks_status_summarise (self);
  KsJson json = { .text = g_string_new (NULL) };

  ks_json_open (&json, NULL, '{');
  ks_json_number (&json, "schema", KS_STATUS_SCHEMA);
  ks_json_string (&json, "version", KS_VERSION);
  ks_json_boolean (&json, "complete", report != NULL);
  ks_json_string (&json, "state", ks_status_word (self));
  if (summary)
    json_summary (&json, self, summary);
  if (report) {
    ks_json_number (&json, "differences", self->plan->len);
    if (report->policy && report->policy->armed) {
      json_policy (&json, report->policy);
      json_guard (&json, report);
      json_conflicts (&json, report->conflicts);
      json_strings (&json, "unprotected", report->unprotected);
    }
    json_messages (&json, report);
  }
  json_strings (&json, "problems", self->public ? self->public->problems : NULL);
  ks_json_close (&json, '}');
  g_string_append_c (json.text, '\n');
  return g_string_free (json.text, FALSE);
}
