/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What tells a file from the same file after a change.
 *
 * A file is recognised by device, inode, size, and the times of its last
 * modification (mtime) and change (ctime), in nanoseconds. Whatever is written
 * to it, its mode, owner, links or name, the kernel sets ctime, by its own
 * clock: a program can set mtime, but not ctime. So a file that has changed
 * differs, unless both changes came at one ctime. For that, a stamp counts only if
 *
 *   - it is settled: its ctime was at least 3 s old when the file was looked at,
 *     longer than the coarsest clock of a file system here (1 s). Git keeps its
 *     index by the same rule (racy-git);
 *   - the clock was not set since: its distance to the clock that counts since
 *     boot is the same. A clock that was set back could come to a ctime a second
 *     time. One that is slowed down or sped up keeps within a second, which the
 *     3 s leave room for;
 *   - the times of the file system are this kernel's own, not a network's or a
 *     program's.
 */
#pragma once

#include <glib.h>
#include <sys/stat.h>

/* All zero for a file that is not there. */
typedef struct {
  guint64 device, inode, size;
  gint64 mtime, mtime_ns, ctime, ctime_ns;
} KsStamp;

/* For how many seconds a file must have been left alone: 3. Tests wait less. */
extern guint ks_stamp_settled_s;

KsStamp ks_stamp_of (const struct stat *status);
gboolean ks_stamp_equal (const KsStamp *a, const KsStamp *b);
/* Whether the file had been left alone for long enough at @now, in seconds of the real-time clock. */
gboolean ks_stamp_is_settled (const KsStamp *self, gint64 now);

/* The file system that was asked for last: most files are on the same. Zero to begin with. */
typedef struct {
  dev_t device;
  gboolean is_known, is_trusted;
} KsStampTrust;

/* Whether the times of the file system @device, which @path is on, are this kernel's. */
gboolean ks_stamp_is_trusted (KsStampTrust *last, const char *path, dev_t device);

/* Milliseconds between boot and the epoch: another number once the clock was set. */
gint64 ks_stamp_clock (void);
gboolean ks_stamp_is_same_clock (gint64 a, gint64 b);
