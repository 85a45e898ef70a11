/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stamps: how to tell a file from the same file after a change.
 *
 * A file is recognised by device, inode, size, and the times of its last
 * modification (mtime) and change (ctime), in nanoseconds. Whatever is changed,
 * its contents, mode, owner, links or name, the kernel sets ctime by its own
 * clock: a program can set mtime, but not ctime. So a changed file has a
 * different stamp, unless both changes came at the same ctime. Therefore a stamp
 * counts only if
 *
 *   - it is settled: its ctime was at least 3 s old when the file was looked at,
 *     which is longer than the coarsest clock of a file system here (1 s). Git
 *     keeps its index by the same rule (racy-git);
 *   - the clock was not set since: its distance to the clock that counts since
 *     boot is the same. A clock that was set back could reach a ctime a second
 *     time. Slowing down or speeding up the clock changes it by less than a
 *     second, for which the 3 s leave room;
 *   - the file system's times are this kernel's own, not those of a network file
 *     system or of a program.
 */
#pragma once

#include <glib.h>
#include <sys/stat.h>

/* All zero for a file that does not exist. */
typedef struct {
  guint64 device, inode, size;
  gint64 mtime, mtime_ns, ctime, ctime_ns;
} KsStamp;

/* For how many seconds a file must have been left alone: 3. Tests wait less. */
extern guint ks_stamp_settled_s;

KsStamp ks_stamp_of (const struct stat *status);
gboolean ks_stamp_equal (const KsStamp *a, const KsStamp *b);
/* Whether the file had not been changed for long enough at @now, in seconds of the real-time clock. */
gboolean ks_stamp_is_settled (const KsStamp *self, gint64 now);

/* Caches the last file system examined, since most files are on the same one. Zero to begin with. */
typedef struct {
  dev_t device;
  gboolean is_known, is_trusted;
} KsStampTrust;

/* Whether the times of the file system @device, which @path is on, are set by this kernel. */
gboolean ks_stamp_is_trusted (KsStampTrust *last, const char *path, dev_t device);

/* Milliseconds between boot and the epoch: changes when the clock is set. */
gint64 ks_stamp_clock (void);
gboolean ks_stamp_is_same_clock (gint64 a, gint64 b);
