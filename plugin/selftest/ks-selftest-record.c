/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "selftest/ks-selftest-record.h"

KsSelftestOutcome *
ks_selftest_outcome_new (KsSelftestResult result, const char *name, char *text)
{
  KsSelftestOutcome *self = g_new0 (KsSelftestOutcome, 1);

  self->result = result;
  self->name = g_strdup (name);
  self->text = text;
  return self;
}

void
ks_selftest_outcome_free (KsSelftestOutcome *self)
{
  g_free (self->name);
  g_free (self->text);
  g_free (self);
}

void
ks_selftest_record_init (KsSelftestRecord *self, gboolean verbose)
{
  *self = (KsSelftestRecord){ .details = verbose ? g_string_new (NULL) : NULL };
}

void
ks_selftest_record_clear (KsSelftestRecord *self)
{
  g_free (self->failure);
  if (self->details)
    g_string_free (self->details, TRUE);
}

static void
note_probe (KsSelftestRecord *self, const KsSelftestProbe *probe, KsSelftestState state,
            const KsSelftestObservation *seen, const char *failure)
{
  g_autofree char *what = ks_selftest_probe_format (probe);

  if (self->details)
    g_string_append_printf (self->details, "\n          %s, %s: %u on the wire, %u in the tunnel%s%s%s%s", what,
                            ks_selftest_state_format (state), MAX (seen->seen, seen->bad), seen->tunnelled,
                            seen->answered ? ", answered" : "", seen->error ? ", " : "",
                            seen->error ? g_strerror (seen->error) : "", failure ? ": WRONG" : "");
  if (!failure)
    return;
  if (self->failures++ == 0)
    self->failure = g_strdup_printf ("%s, %s: %s", what, ks_selftest_state_format (state), failure);
}

static void
count (KsSelftestRecord *self, const KsSelftestCase *c, KsSelftestState state, const KsSelftestObservation *seen)
{
  if (state == KS_SELFTEST_OFF)
    self->without += seen->seen;
  else if (ks_selftest_state_is_armed (state))
    self->with += ks_selftest_case_is_work (c) ? seen->seen : seen->bad;
  self->tunnelled += seen->tunnelled;
}

void
ks_selftest_record_note (KsSelftestRecord *self, const KsSelftestCase *c, const KsSelftestProbe *probe,
                         KsSelftestState state, const KsSelftestObservation *seen, const char *failure)
{
  note_probe (self, probe, state, seen, failure);
  count (self, c, state, seen);
}

static char *
format_text (const KsSelftestRecord *self, const KsSelftestCase *c)
{
  const char *details = self->details ? self->details->str : "";

  if (self->failures > 1)
    return g_strdup_printf ("%s (and %u more)%s", self->failure, self->failures - 1, details);
  if (self->failures)
    return g_strdup_printf ("%s%s", self->failure, details);
  if (c->kind == KS_SELFTEST_ATTACK)
    return g_strdup_printf ("%u seen without, %u with, %u in the tunnel%s", self->without, self->with, self->tunnelled,
                            details);
  return g_strdup_printf ("%u seen without, %u with%s", self->without, self->with, details);
}

KsSelftestOutcome *
ks_selftest_record_outcome (const KsSelftestRecord *self, const KsSelftestCase *c, gboolean is_skipped)
{
  if (is_skipped)
    return ks_selftest_outcome_new (KS_SELFTEST_SKIPPED, c->name, g_strdup ("not run: needs root"));
  return ks_selftest_outcome_new (self->failures ? KS_SELFTEST_FAILED : KS_SELFTEST_PASSED, c->name,
                                  format_text (self, c));
}
