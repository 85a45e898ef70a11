/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "report/ks-transition.h"

#include <string.h>

#include "base/ks-error.h"

/* The number of profiles that a message names; its fields have all of them. */
#define MAX_NAMED 3

/* What identifies a profile, as for ks_summary_find() (transfer full). */
static char *
key_of (const KsSummaryProfile *profile)
{
  return profile->uuid ? g_ascii_strdown (profile->uuid, -1) : g_strconcat ("id ", profile->id, NULL);
}

/* The keys of @summary's profiles if it is armed (set of char*; transfer full): there may be a thousand. */
static GHashTable *
keys_of (const KsSummary *summary)
{
  GHashTable *keys = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, NULL);

  for (guint i = 0; summary && ks_summary_is_armed (summary) && i < summary->profiles->len; i++)
    g_hash_table_add (keys, key_of (summary->profiles->pdata[i]));
  return keys;
}

/* The profiles of @summary, if it is armed, that @other does not have. */
static void
add_missing (GPtrArray *profiles, const KsSummary *summary, const KsSummary *other)
{
  g_autoptr (GHashTable) others = keys_of (other);

  if (!summary || !ks_summary_is_armed (summary))
    return;
  for (guint i = 0; i < summary->profiles->len; i++) {
    const KsSummaryProfile *profile = summary->profiles->pdata[i];
    g_autofree char *key = key_of (profile);

    if (!g_hash_table_contains (others, key))
      g_ptr_array_add (profiles, (gpointer) profile);
  }
}

/* The profiles of @summary that are up, or those that are not. */
static void
add_all (GPtrArray *profiles, const KsSummary *summary, gboolean is_up)
{
  for (guint i = 0; i < summary->profiles->len; i++) {
    const KsSummaryProfile *profile = summary->profiles->pdata[i];

    if ((profile->tunnel != NULL) == is_up)
      g_ptr_array_add (profiles, (gpointer) profile);
  }
}

static gboolean
is_in (const KsSummary *summary, const char *state)
{
  return summary && strcmp (summary->state, state) == 0;
}

/* Whether @now is in @state and @former was not. */
static gboolean
has_become (const KsSummary *former, const KsSummary *now, const char *state)
{
  return is_in (now, state) && !is_in (former, state);
}

static KsTransitionKind
find_kind (const KsSummary *former, const KsSummary *now, GPtrArray *profiles)
{
  gboolean was_armed = former && ks_summary_is_armed (former), is_armed = ks_summary_is_armed (now);

  if (has_become (former, now, "incomplete")) {
    add_all (profiles, now, TRUE);
    add_all (profiles, now, FALSE);
    return KS_TRANSITION_INCOMPLETE;
  }
  if ((was_armed && !is_armed) || (former && has_become (former, now, "released"))) {
    add_missing (profiles, former, now);
    return KS_TRANSITION_RELEASED;
  }
  add_missing (profiles, now, former);
  if (profiles->len > 0)
    return KS_TRANSITION_ARMED;
  add_missing (profiles, former, now);
  if (profiles->len > 0)
    return KS_TRANSITION_DISARMED;
  if (has_become (former, now, "protected")) {
    add_all (profiles, now, TRUE);
    return KS_TRANSITION_PROTECTED;
  }
  if (has_become (former, now, "blocking")) {
    add_all (profiles, now, FALSE);
    return KS_TRANSITION_BLOCKED;
  }
  return KS_TRANSITION_NONE;
}

void
ks_transition_init (KsTransition *self, const KsSummary *former, const KsSummary *now)
{
  self->profiles = g_ptr_array_new ();
  self->kind = now ? find_kind (former, now, self->profiles) : KS_TRANSITION_NONE;
}

void
ks_transition_clear (KsTransition *self)
{
  g_clear_pointer (&self->profiles, g_ptr_array_unref);
}

/* "'a' (strict), 'b' on wg0 and 2 more" */
static char *
format_profiles (const GPtrArray *profiles, gboolean with_mode)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < profiles->len && i < MAX_NAMED; i++) {
    const KsSummaryProfile *profile = profiles->pdata[i];
    g_autofree char *id = ks_error_printable (profile->id);

    g_string_append_printf (out, "%s'%s'", i ? ", " : "", id);
    if (with_mode)
      g_string_append_printf (out, " (%s)", profile->mode);
    else if (profile->tunnel)
      g_string_append_printf (out, " on %s", profile->tunnel);
  }
  if (profiles->len > MAX_NAMED)
    g_string_append_printf (out, " and %u more", profiles->len - MAX_NAMED);
  return g_string_free (out, FALSE);
}

char *
ks_transition_format (const KsTransition *self, const KsSummary *now)
{
  g_autofree char *profiles =
    format_profiles (self->profiles, self->kind == KS_TRANSITION_ARMED || self->kind == KS_TRANSITION_DISARMED);

  switch (self->kind) {
  case KS_TRANSITION_INCOMPLETE:
    return g_strdup ("incomplete: the kernel does not hold what it should");
  case KS_TRANSITION_RELEASED:
    return g_strdup (is_in (now, "released") ? "released: nothing is blocked" : "no longer armed: nothing is blocked");
  case KS_TRANSITION_ARMED:
    return g_strdup_printf ("armed by %s, %s", profiles, now->state);
  case KS_TRANSITION_DISARMED:
    return g_strdup_printf ("no longer armed by %s, still %s", profiles, now->state);
  case KS_TRANSITION_PROTECTED:
    return g_strdup_printf ("protected by %s", profiles);
  case KS_TRANSITION_BLOCKED:
    return g_strdup ("blocking: no VPN is up");
  default:
    return g_strdup (ks_summary_is_armed (now) ? "armed" : "not armed");
  }
}
