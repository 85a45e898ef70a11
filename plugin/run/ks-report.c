/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "run/ks-report.h"

#include "run/ks-summary.h"

KsReport *
ks_report_new (void)
{
  KsReport *self = g_new0 (KsReport, 1);

  self->errors = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);
  self->done = g_ptr_array_new_with_free_func (g_free);
  self->cut_off = g_ptr_array_new_with_free_func (g_free);
  self->conflicts = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_conflict_free);
  self->unprotected = g_ptr_array_new_with_free_func (g_free);
  self->added = g_array_new (FALSE, FALSE, sizeof (KsStep));
  return self;
}

void
ks_report_free (KsReport *self)
{
  g_clear_pointer (&self->situation, ks_situation_free);
  g_clear_pointer (&self->policy, ks_policy_free);
  g_clear_pointer (&self->proof, ks_proof_free);
  g_ptr_array_unref (self->errors);
  g_ptr_array_unref (self->done);
  g_ptr_array_unref (self->cut_off);
  g_ptr_array_unref (self->conflicts);
  g_ptr_array_unref (self->unprotected);
  g_array_unref (self->added);
  g_clear_pointer (&self->summary, ks_summary_free);
  g_clear_pointer (&self->former, ks_summary_free);
  g_free (self);
}

gboolean
ks_report_is_lasting (const KsStep *step)
{
  return step->kind == KS_STEP_ADD_RULE || (step->kind == KS_STEP_ADD_ROUTE && step->route.type != RTN_UNICAST);
}

void
ks_report_take_errors (KsReport *self, GPtrArray *errors)
{
  for (guint i = 0; i < errors->len; i++)
    g_ptr_array_add (self->errors, g_error_copy (errors->pdata[i]));
  g_ptr_array_set_size (errors, 0);
}

void
ks_report_take_error (KsReport *self, GError **error)
{
  if (*error)
    g_ptr_array_add (self->errors, g_steal_pointer (error));
}

KsReport *
ks_report_join (KsReport *earlier, KsReport *later)
{
  if (!earlier)
    return later;
  later->changes += earlier->changes;
  later->repairs += earlier->repairs;
  g_array_prepend_vals (later->added, earlier->added->data, earlier->added->len);
  for (guint i = 0; i < earlier->done->len; i++)
    g_ptr_array_insert (later->done, (int) i, g_strdup (earlier->done->pdata[i]));
  for (guint i = 0; i < earlier->cut_off->len; i++)
    g_ptr_array_insert (later->cut_off, (int) i, g_strdup (earlier->cut_off->pdata[i]));
  if (later->summary && earlier->summary) {
    /* the change is from the state before both runs */
    g_clear_pointer (&later->former, ks_summary_free);
    later->former = g_steal_pointer (&earlier->former);
  }
  ks_report_free (earlier);
  return later;
}
