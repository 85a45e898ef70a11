/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run/ks-summary.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether an address of one of @profile's servers is known: in the profile, or by resolving its name. */
static gboolean
has_server (const KsSituation *situation, const KsProfile *profile)
{
  for (guint i = 0; i < profile->endpoints->len; i++) {
    const KsEndpoint *endpoint = profile->endpoints->pdata[i];
    const GArray *answers = g_hash_table_lookup (situation->state->answers->addresses, endpoint->host);

    if (ks_endpoint_get_address (endpoint, NULL) || ks_endpoint_is_resolvers (endpoint) || strchr (endpoint->host, '/')
        || (answers && answers->len > 0))
      return TRUE;
  }
  return FALSE;
}

static void
add_tunnels (KsSummaryProfile *self, const GPtrArray *tunnels, const char *key)
{
  for (guint i = 0; i < tunnels->len; i++) {
    const KsTunnel *tunnel = tunnels->pdata[i];

    if (strcmp (tunnel->key, key) != 0)
      continue;
    if (self->tunnel)
      g_ptr_array_add (self->more_tunnels, g_strdup (tunnel->interface));
    else
      self->tunnel = g_strdup (tunnel->interface);
  }
}

static void
add_profile (KsSummary *summary, const KsReport *report, const KsProfile *profile)
{
  const KsSituation *situation = report->situation;
  KsSummaryProfile *self = ks_summary_add_profile (summary);
  const char *key = ks_profile_key (profile);
  const char *outer = report->policy ? g_hash_table_lookup (report->policy->outers, key) : NULL;
  const KsTunnel *carrier = outer ? ks_tunnel_find (situation->tunnels, outer) : NULL;

  self->id = g_strdup (profile->id);
  self->uuid = profile->vpn_type == KS_VPN_SECTION ? NULL : g_strdup (profile->uuid);
  self->type = g_strdup (profile->type ? profile->type : "?");
  self->mode = g_strdup (ks_mode_format (profile->mode));
  self->reason = ks_profile_format_reason (profile);
  add_tunnels (self, situation->tunnels, key);
  self->inside = g_strdup (carrier ? carrier->interface : NULL);
  self->has_server = has_server (situation, profile);
}

KsSummary *
ks_summary_new (const KsReport *report, const char *state)
{
  const KsSituation *situation = report->situation;
  const KsPolicy *policy = report->policy;
  KsSummary *self = ks_summary_new_empty ();

  self->state = g_strdup (state);
  self->networkmanager = !ks_situation_lacks_network (situation);
  if (policy && policy->armed) {
    self->lan = g_strdup (ks_lan_format (policy->lan));
    self->dns = g_strdup (ks_dns_format (policy->dns));
    self->guard = policy->guard && !situation->no_guard;
  }
  self->warnings = situation->warnings->len;
  self->errors = report->errors->len;
  for (guint i = 0; i < situation->armed->len; i++)
    add_profile (self, report, situation->armed->pdata[i]);
  return self;
}

static gboolean
write_all (int file, const char *text)
{
  gsize length = strlen (text);

  while (length > 0) {
    ssize_t written = write (file, text, length);

    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return FALSE;
    text += written;
    length -= (gsize) written;
  }
  return TRUE;
}

/*
 * A reader sees the old text or the new one, never a part of it. No fsync(): the
 * file is gone after a reboot. The mode is set explicitly because the caller's
 * umask, such as sudo's, may take away other users' right to read it.
 */
static void
write_text (const KsPaths *paths, const char *text)
{
  g_autofree char *path = ks_paths_runtime (paths, KS_STATUS_NAME);
  g_autofree char *new = g_strconcat (path, ".new", NULL);
  int file = open (new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
  gboolean is_written;

  if (file < 0)
    return;
  is_written = fchmod (file, 0644) == 0 && write_all (file, text);
  if (close (file) < 0 || !is_written || rename (new, path) < 0)
    g_unlink (new);
}

/* One word for the state that the run has left the kernel in. */
static const char *
find_state (const KsReport *report)
{
  const KsPolicy *policy = report->policy;

  if (report->situation->is_released)
    return report->is_incomplete ? "incomplete" : "released";
  if (!policy || report->is_incomplete)
    return "incomplete";
  if (!policy->armed)
    return report->situation->is_unclear ? "held" : "off";
  return policy->tunnels->len > 0 ? "protected" : "blocking";
}

static void
set_since (KsSummary *self, const KsSummary *former)
{
  if (former && g_str_equal (former->state, self->state))
    self->since = former->since;
  if (self->since < 0)
    self->since = ks_summary_now ();
}

/*
 * Whether @before is what would be written now, apart from the time it began.
 * Mostly it is, and then it need not be parsed, which takes longer than all the
 * rest of a run with a thousand profiles.
 */
static gboolean
is_as_before (KsSummary *now, const char *before)
{
  g_autofree char *text = NULL;

  now->since = ks_summary_find_since (before);
  text = ks_summary_format (now);
  if (g_str_equal (before, text))
    return TRUE;
  now->since = -1;
  return FALSE;
}

void
ks_summary_update (const KsPaths *paths, KsReport *report)
{
  g_autofree char *before = ks_summary_read_text (paths);
  const char *state = find_state (report);
  g_autofree char *now = NULL;

  g_clear_pointer (&report->former, ks_summary_free);
  g_clear_pointer (&report->summary, ks_summary_free);
  report->summary = ks_summary_new (report, state);
  if (before && is_as_before (report->summary, before)) {
    report->former = ks_summary_new (report, state);
    report->former->since = report->summary->since;
    return;
  }
  report->former = before ? ks_summary_parse (before, NULL) : NULL;
  set_since (report->summary, report->former);
  now = ks_summary_format (report->summary);
  if (g_strcmp0 (before, now) != 0)
    write_text (paths, now);
}
