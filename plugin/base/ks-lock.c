/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/ks-lock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/ks-error.h"

#define POLL_MICROSECONDS 5000

/*
 * flock() does not need a writable file: on a read-only or full file system, a
 * file left by an earlier run will do. Only root can open it, so nobody else can
 * keep it locked.
 */
static int
open_lock (const char *path, GError **error)
{
  int lock = open (path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  int first_errno = errno;

  if (lock < 0)
    lock = open (path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
  if (lock < 0)
    g_set_error (error, KS_ERROR, KS_ERROR_IO, "cannot open %s: %s", path, g_strerror (first_errno));
  return lock;
}

int
ks_lock_take (const KsPaths *paths, guint timeout_ms, GError **error)
{
  g_autofree char *path = ks_paths_runtime (paths, KS_LOCK_NAME);
  gint64 deadline = g_get_monotonic_time () + (gint64) timeout_ms * 1000;
  int lock;

  if (!ks_paths_make_runtime (paths, error))
    return -1;
  lock = open_lock (path, error);
  if (lock < 0)
    return -1;
  while (flock (lock, LOCK_EX | LOCK_NB) < 0) {
    if (errno != EWOULDBLOCK || g_get_monotonic_time () > deadline) {
      g_set_error (error, KS_ERROR, KS_ERROR_IO, "cannot lock %s: %s", path,
                   errno == EWOULDBLOCK ? "another run holds it" : g_strerror (errno));
      close (lock);
      return -1;
    }
    g_usleep (POLL_MICROSECONDS);
  }
  return lock;
}

void
ks_lock_release (int lock)
{
  if (lock >= 0)
    close (lock);
}
