/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Waiting for asynchronous calls, for a limited time, in a main context of
 * their own.
 */
#pragma once

#include <gio/gio.h>

typedef struct {
  GMainContext *context;
  GMainLoop *loop; /* the last call's answer quits it */
  GCancellable *cancellable; /* for the calls: cancelled when the time is over */
  GSource *timer;
} KsWait;

/* From now on until ks_wait_clear(), calls are made in the context; the time runs. */
void ks_wait_init (KsWait *self, guint timeout_ms);
void ks_wait_clear (KsWait *self);
