/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The account is a single number, the debt. Processor time used adds to it;
 * SHARE of the time that passes is subtracted. Below CREDIT nothing waits, so a
 * host that only changes networks now and then never does.
 */
#include "run/ks-effort.h"

#include <stdio.h>
#include <time.h>

#define EFFORT_NAME "effort"
/* Less than a tenth, since systemd has work with each start too. */
#define SHARE 12
#define CREDIT_US (400 * 1000)
/* The debt never exceeds this, which bounds the wait. */
#define MAX_DEBT_US (1500 * 1000)
/* What systemd needs to start a process, and what the process uses until it gets here. */
#define START_US 12000

struct _KsEffort {
  char *path;
  gint64 debt; /* microseconds of a processor, at ... */
  gint64 time; /* ... microseconds of the monotonic clock */
  gint64 used; /* by this process, as of the last ks_effort_add() */
};

static gint64
processor_time (void)
{
  struct timespec time;

  clock_gettime (CLOCK_PROCESS_CPUTIME_ID, &time);
  return time.tv_sec * G_USEC_PER_SEC + time.tv_nsec / 1000;
}

/* Subtracts what the time passed has paid off. */
static void
pay (KsEffort *self)
{
  gint64 now = g_get_monotonic_time ();

  self->debt = MAX (self->debt - (now - self->time) / SHARE, 0);
  self->time = now;
}

KsEffort *
ks_effort_new (const KsPaths *paths)
{
  KsEffort *self = g_new0 (KsEffort, 1);
  g_autofree char *text = NULL;
  long long debt, time;

  self->path = ks_paths_runtime (paths, EFFORT_NAME);
  self->time = g_get_monotonic_time ();
  text = ks_paths_read_line (self->path);
  /* the clock starts at zero at boot, and the directory is empty */
  if (text && sscanf (text, "%lld %lld", &debt, &time) == 2 && time >= 0 && time <= self->time && debt >= 0) {
    self->debt = MIN (debt, MAX_DEBT_US);
    self->time = time;
  }
  pay (self);
  self->debt += START_US;
  self->used = processor_time ();
  return self;
}

void
ks_effort_free (KsEffort *self)
{
  g_free (self->path);
  g_free (self);
}

gint64
ks_effort_add (KsEffort *self)
{
  gint64 used = processor_time ();
  gint64 more = used - self->used;
  g_autofree char *text = NULL;

  pay (self);
  self->debt = MIN (self->debt + more, MAX_DEBT_US);
  self->used = used;
  text = g_strdup_printf ("%" G_GINT64_FORMAT " %" G_GINT64_FORMAT "\n", self->debt, self->time);
  /* if that fails (a full /run), the next process merely begins without debt */
  g_file_set_contents_full (self->path, text, -1, G_FILE_SET_CONTENTS_NONE, 0600, NULL);
  return more;
}

gboolean
ks_effort_is_exceeded (KsEffort *self)
{
  pay (self);
  return self->debt > CREDIT_US;
}
