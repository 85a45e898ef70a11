/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "input/ks-wait.h"

static gboolean
on_timeout (gpointer user_data)
{
  g_cancellable_cancel (user_data);
  return G_SOURCE_REMOVE;
}

void
ks_wait_init (KsWait *self, guint timeout_ms)
{
  self->context = g_main_context_new ();
  g_main_context_push_thread_default (self->context);
  self->loop = g_main_loop_new (self->context, FALSE);
  self->cancellable = g_cancellable_new ();
  self->timer = g_timeout_source_new (timeout_ms);
  g_source_set_callback (self->timer, on_timeout, self->cancellable, NULL);
  g_source_attach (self->timer, self->context);
}

void
ks_wait_clear (KsWait *self)
{
  g_source_destroy (self->timer);
  g_main_context_pop_thread_default (self->context);
  g_source_unref (self->timer);
  g_object_unref (self->cancellable);
  g_main_loop_unref (self->loop);
  g_main_context_unref (self->context);
}
