/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why this misses no change.
 *
 * A keyfile is recognised by device, inode, size, and the times of its last
 * modification (mtime) and change (ctime), in nanoseconds. Whatever is written
 * to it, its mode, owner or links, the kernel sets ctime, by its own clock: a
 * program can set mtime, but not ctime. So a file that has changed since it was
 * read differs, unless both changes came at one ctime. For that,
 *
 *   - a file is remembered only if its ctime was at least 3 s old when it was
 *     read: longer than the coarsest clock of a file system here (1 s). Git keeps its
 *     index by the same rule (racy-git).
 *   - nothing is remembered once the clock was set: its distance to the clock
 *     that counts since boot is in the memory. A clock that was set back could
 *     come to a ctime a second time. One that is slowed down or sped up keeps
 *     within a second, which the 3 s leave room for.
 *   - of a file system whose times are not this kernel's own (a network's, a
 *     program's) nothing is remembered.
 *   - the file is looked at before it is opened, once open and once read, and
 *     what was read is remembered only if it was the same all the time.
 *
 * A program that writes through a shared mapping may do so unseen until it lets
 * go of the file; nm-killswitch-sync.path then sees it, and `sync` reads every
 * file, whatever is remembered.
 *
 * What is remembered is what read_keyfile() (ks-profile-read.c) made of the
 * file. That depends on the configuration, on this program and on libnm: the
 * memory of another configuration, program or libnm is not used. What depends
 * on anything else (users, firewalld's zones) is not remembered, and neither is
 * a file that was the reason for an error or a warning, which has to be said
 * again. Which file counts of several, and whether NetworkManager would take
 * it, is decided anew each time.
 *
 * The file is root's, in /run, and replaced as a whole. One that is malformed
 * anywhere is not used at all.
 */
#include "input/ks-profile-memory.h"

#include <linux/magic.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>

#include "base/ks-bytes.h"
#include "input/ks-profile-codec.h"
#include "input/ks-profile-libnm.h"

#ifndef XFS_SUPER_MAGIC
#define XFS_SUPER_MAGIC 0x58465342
#endif
#ifndef F2FS_SUPER_MAGIC
#define F2FS_SUPER_MAGIC 0xF2F52010
#endif
#ifndef EROFS_SUPER_MAGIC_V1
#define EROFS_SUPER_MAGIC_V1 0xE0F5E1E2
#endif

#define MAGIC "nm-killswitch: profiles\n"
#define MAX_CLOCK_DRIFT_MS 1000

/* What a file is recognised by. */
typedef struct {
  guint64 device, inode, size;
  gint64 mtime, mtime_ns, ctime, ctime_ns;
} Identity;

/* In a memory that was read. */
typedef struct {
  KsKeyfile *keyfile; /* NULL once it was recalled */
  Identity identity;
  const guint8 *start; /* the whole entry: the identity and the keyfile */
  gsize length;
} Entry;

struct _KsProfileMemory {
  char *path;
  gint64 now; /* seconds */
  gint64 clock; /* milliseconds between boot and the epoch, when this memory was begun */
  gint64 clock_now; /* the same, when @now was taken */
  GByteArray *key; /* what the beginning of a usable memory is */
  guint8 *former; /* what was read; NULL for nothing */
  gsize former_length;
  char *libnm; /* path, nullable: none of the entries went through it */
  Identity libnm_identity;
  GHashTable *entries; /* path -> Entry */
  GByteArray *kept; /* entries that were recalled or added */
  guint recalled;
  gboolean is_news; /* something was added */
  dev_t checked_device; /* the file system that @is_trusted is about */
  gboolean is_checked, is_trusted;
};

/* --- the memory --- */

static Identity
identity_of (const struct stat *status)
{
  return (Identity){
    .device = status->st_dev,
    .inode = status->st_ino,
    .size = (guint64) status->st_size,
    .mtime = status->st_mtim.tv_sec,
    .mtime_ns = status->st_mtim.tv_nsec,
    .ctime = status->st_ctim.tv_sec,
    .ctime_ns = status->st_ctim.tv_nsec,
  };
}

static gboolean
is_same (const Identity *a, const Identity *b)
{
  return memcmp (a, b, sizeof *a) == 0;
}

static void
put_strings (GByteArray *out, char **words)
{
  ks_bytes_put_u32 (out, g_strv_length (words));
  for (char **word = words; *word; word++)
    ks_bytes_put_string (out, *word);
}

/* Milliseconds between boot and the epoch: another one once the clock was set. */
static gint64
read_clock (void)
{
  struct timespec real, boot;

  clock_gettime (CLOCK_REALTIME, &real);
  clock_gettime (CLOCK_BOOTTIME, &boot);
  return (real.tv_sec - boot.tv_sec) * 1000 + (real.tv_nsec - boot.tv_nsec) / 1000000;
}

static gboolean
is_same_clock (gint64 a, gint64 b)
{
  return ABS (a - b) <= MAX_CLOCK_DRIFT_MS;
}

static void
entry_free (gpointer data)
{
  Entry *entry = data;

  g_clear_pointer (&entry->keyfile, ks_keyfile_free);
  g_free (entry);
}

/* The entries, all of which have to be what this file writes. */
static gboolean
index_entries (KsProfileMemory *self, KsBytes *b)
{
  while (b->next < b->end) {
    Entry *entry = g_new0 (Entry, 1);
    const char *path;

    entry->start = b->next;
    ks_bytes_take (b, &entry->identity, sizeof entry->identity);
    path = (const char *) b->next + sizeof (guint32); /* in the memory itself: the keyfile is given away */
    entry->keyfile = ks_profile_decode (b);
    entry->length = (gsize) (b->next - entry->start);
    if (!entry->keyfile || (entry->keyfile->profile && !self->libnm) || g_hash_table_contains (self->entries, path)) {
      entry_free (entry);
      return FALSE;
    }
    g_hash_table_insert (self->entries, (gpointer) path, entry);
  }
  return TRUE;
}

/* Whether libnm is the one that the entries were read with. */
static gboolean
is_same_libnm (const KsProfileMemory *self)
{
  struct stat status;
  Identity identity;

  if (!self->libnm)
    return TRUE;
  if (stat (self->libnm, &status) < 0)
    return FALSE;
  identity = identity_of (&status);
  return is_same (&identity, &self->libnm_identity);
}

static void
forget_all (KsProfileMemory *self)
{
  g_hash_table_remove_all (self->entries);
  g_clear_pointer (&self->libnm, g_free);
  memset (&self->libnm_identity, 0, sizeof self->libnm_identity);
  self->clock = self->clock_now;
}

static gboolean
parse (KsProfileMemory *self)
{
  KsBytes b = { .next = self->former, .end = self->former + self->former_length };

  if (self->former_length < self->key->len || memcmp (self->former, self->key->data, self->key->len) != 0)
    return FALSE;
  b.next += self->key->len;
  ks_bytes_take (&b, &self->clock, sizeof self->clock);
  self->libnm = g_strdup (ks_bytes_take_string (&b));
  ks_bytes_take (&b, &self->libnm_identity, sizeof self->libnm_identity);
  return !b.failed && is_same_clock (self->clock, self->clock_now) && is_same_libnm (self) && index_entries (self, &b);
}

KsProfileMemory *
ks_profile_memory_new (const char *path, const KsConfig *config, gint64 now, gboolean forget)
{
  KsProfileMemory *self = g_new0 (KsProfileMemory, 1);

  self->path = g_strdup (path);
  self->now = now;
  self->clock = self->clock_now = read_clock ();
  self->entries = g_hash_table_new_full (g_str_hash, g_str_equal, NULL, entry_free);
  self->kept = g_byte_array_new ();
  self->key = g_byte_array_new ();
  ks_bytes_put (self->key, MAGIC, strlen (MAGIC));
  ks_bytes_put_string (self->key, KS_READER);
  put_strings (self->key, config->zones);
  put_strings (self->key, config->session_zones);
  ks_bytes_put_u32 (self->key, config->is_unreadable != FALSE);
  if (forget || !g_file_get_contents (path, (char **) &self->former, &self->former_length, NULL) || !parse (self))
    forget_all (self);
  return self;
}

void
ks_profile_memory_free (KsProfileMemory *self)
{
  g_free (self->path);
  g_free (self->libnm);
  g_hash_table_unref (self->entries);
  g_byte_array_unref (self->kept);
  g_byte_array_unref (self->key);
  g_free (self->former);
  g_free (self);
}

KsKeyfile *
ks_profile_memory_recall (KsProfileMemory *self, const char *path, const struct stat *status)
{
  Entry *entry = g_hash_table_lookup (self->entries, path);
  Identity now = identity_of (status);

  if (!entry || !entry->keyfile || !is_same (&now, &entry->identity))
    return NULL;
  ks_bytes_put (self->kept, entry->start, entry->length);
  self->recalled++;
  return g_steal_pointer (&entry->keyfile);
}

/* Whether the times of the file system that @path is on are this kernel's. */
static gboolean
is_trusted (KsProfileMemory *self, const char *path, dev_t device)
{
  static const guint32 local[] = { EXT4_SUPER_MAGIC,      XFS_SUPER_MAGIC,  BTRFS_SUPER_MAGIC,
                                   TMPFS_MAGIC,           F2FS_SUPER_MAGIC, RAMFS_MAGIC,
                                   OVERLAYFS_SUPER_MAGIC, SQUASHFS_MAGIC,   EROFS_SUPER_MAGIC_V1 };
  struct statfs status;

  if (self->is_checked && self->checked_device == device)
    return self->is_trusted;
  self->is_checked = TRUE;
  self->checked_device = device;
  self->is_trusted = FALSE;
  if (statfs (path, &status) == 0)
    for (guint i = 0; i < G_N_ELEMENTS (local); i++)
      self->is_trusted |= (guint32) status.f_type == local[i];
  return self->is_trusted;
}

/* The entries that went through libnm all have the same one. */
static gboolean
note_libnm (KsProfileMemory *self)
{
  const char *path = ks_profile_libnm_path ();
  struct stat status;

  if (self->libnm)
    return g_strcmp0 (self->libnm, path) == 0;
  if (!path || stat (path, &status) < 0)
    return FALSE;
  self->libnm = g_strdup (path);
  self->libnm_identity = identity_of (&status);
  return TRUE;
}

void
ks_profile_memory_add (KsProfileMemory *self, const KsKeyfile *keyfile, const struct stat *status)
{
  Identity identity = identity_of (status);

  if (keyfile->errors->len > 0 || keyfile->warnings->len > 0 || keyfile->is_unclear || keyfile->may_warn
      || status->st_ctim.tv_sec + KS_PROFILE_MEMORY_SETTLED_S > self->now
      || !is_trusted (self, keyfile->path, status->st_dev) || (keyfile->profile && !note_libnm (self)))
    return;
  ks_bytes_put (self->kept, &identity, sizeof identity);
  ks_profile_encode (keyfile, self->kept);
  self->is_news = TRUE;
}

void
ks_profile_memory_write (KsProfileMemory *self)
{
  g_autoptr (GByteArray) out = NULL;

  if ((!self->is_news && self->recalled == g_hash_table_size (self->entries))
      || !is_same_clock (self->clock_now, read_clock ()))
    return;
  out = g_byte_array_new ();
  ks_bytes_put (out, self->key->data, self->key->len);
  ks_bytes_put (out, &self->clock, sizeof self->clock);
  ks_bytes_put_string (out, self->libnm);
  ks_bytes_put (out, &self->libnm_identity, sizeof self->libnm_identity);
  ks_bytes_put (out, self->kept->data, self->kept->len);
  g_file_set_contents_full (self->path, (const char *) out->data, out->len, G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL);
}
