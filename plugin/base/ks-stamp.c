/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/ks-stamp.h"

#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif
#ifndef F2FS_SUPER_MAGIC
#define F2FS_SUPER_MAGIC 0xF2F52010
#endif
#ifndef EROFS_SUPER_MAGIC_V1
#define EROFS_SUPER_MAGIC_V1 0xE0F5E1E2
#endif

#define MAX_CLOCK_DRIFT_MS 1000

guint ks_stamp_settled_s = 3;

KsStamp
ks_stamp_of (const struct stat *status)
{
  return (KsStamp){
    .device = status->st_dev,
    .inode = status->st_ino,
    .size = (guint64) status->st_size,
    .mtime = status->st_mtim.tv_sec,
    .mtime_ns = status->st_mtim.tv_nsec,
    .ctime = status->st_ctim.tv_sec,
    .ctime_ns = status->st_ctim.tv_nsec,
  };
}

gboolean
ks_stamp_equal (const KsStamp *a, const KsStamp *b)
{
  return memcmp (a, b, sizeof *a) == 0;
}

gboolean
ks_stamp_is_settled (const KsStamp *self, gint64 now)
{
  return self->ctime + ks_stamp_settled_s <= now;
}

gboolean
ks_stamp_is_trusted (KsStampTrust *last, const char *path, dev_t device)
{
  static const guint32 local[] = { EXT4_SUPER_MAGIC,      XFS_SUPER_MAGIC,  BTRFS_SUPER_MAGIC,
                                   TMPFS_MAGIC,           F2FS_SUPER_MAGIC, RAMFS_MAGIC,
                                   OVERLAYFS_SUPER_MAGIC, SQUASHFS_MAGIC,   EROFS_SUPER_MAGIC_V1 };
  struct statfs status;

  if (last->is_known && last->device == device)
    return last->is_trusted;
  *last = (KsStampTrust){ .device = device, .is_known = TRUE };
  if (statfs (path, &status) == 0)
    for (guint i = 0; i < G_N_ELEMENTS (local); i++)
      last->is_trusted |= (guint32) status.f_type == local[i];
  return last->is_trusted;
}

gint64
ks_stamp_clock (void)
{
  struct timespec real, boot;

  clock_gettime (CLOCK_REALTIME, &real);
  clock_gettime (CLOCK_BOOTTIME, &boot);
  return (real.tv_sec - boot.tv_sec) * 1000 + (real.tv_nsec - boot.tv_nsec) / 1000000;
}

gboolean
ks_stamp_is_same_clock (gint64 a, gint64 b)
{
  return ABS (a - b) <= MAX_CLOCK_DRIFT_MS;
}
