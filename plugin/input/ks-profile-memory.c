/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why this misses no change.
 *
 * A keyfile is recognised by its stamp, according to the rules in ks-stamp.h: it
 * is remembered only if it was settled and its file system's times are this
 * kernel's, and nothing is remembered once the clock was set, which shows in the
 * distance between the clock and the time since boot. In addition:
 *
 *   - The file's stamp is taken before it is opened, once it is open and after it
 *     was read, and what was read is remembered only if all three are the same.
 *
 * A program that writes through a shared mapping may do so unseen until it
 * closes the file. Then nm-killswitch-sync.path sees it, and `sync` reads every
 * file, whatever is remembered.
 *
 * What is remembered is the result of read_keyfile() (ks-profile-read.c). That
 * depends on the configuration, on this program and on libnm: the memory of
 * another configuration, program or libnm is not used. Whatever depends on
 * anything else (users, firewalld's zones) is not remembered, and neither is a
 * file that caused an error or a warning, which has to be reported again. Which
 * of several files counts, and whether NetworkManager would accept it, is
 * decided anew each time.
 *
 * The file is root's, in /run, and replaced as a whole. If any part of it is
 * malformed, it is not used at all.
 */
#include "input/ks-profile-memory.h"

#include <string.h>

#include "base/ks-bytes.h"
#include "base/ks-stamp.h"
#include "input/ks-profile-codec.h"
#include "input/ks-profile-libnm.h"

#define MAGIC "nm-killswitch: profiles\n"

/* An entry of the memory as read from the file. */
typedef struct {
  KsKeyfile *keyfile; /* NULL once it was recalled */
  KsStamp stamp;
  const guint8 *start; /* the whole entry: the stamp and the keyfile */
  gsize length;
} Entry;

struct _KsProfileMemory {
  char *path;
  gint64 now; /* seconds */
  gint64 clock; /* milliseconds between boot and the epoch, when this memory was begun */
  gint64 clock_now; /* the same, when @now was taken */
  GByteArray *key; /* how a usable memory has to begin */
  guint8 *former; /* what was read; NULL for nothing */
  gsize former_length;
  char *libnm; /* path, nullable: no entry went through libnm */
  KsStamp libnm_stamp;
  GHashTable *entries; /* path -> Entry */
  GByteArray *kept; /* entries that were recalled or added */
  guint asked, recalled; /* files */
  gboolean is_news; /* something was added */
  KsStampTrust trust;
};

/* --- the memory --- */

static void
put_strings (GByteArray *out, char **words)
{
  ks_bytes_put_u32 (out, g_strv_length (words));
  for (char **word = words; *word; word++)
    ks_bytes_put_string (out, *word);
}

static void
entry_free (gpointer data)
{
  Entry *entry = data;

  g_clear_pointer (&entry->keyfile, ks_keyfile_free);
  g_free (entry);
}

/* Reads the entries, all of which have to be what this file writes. */
static gboolean
index_entries (KsProfileMemory *self, KsBytes *b)
{
  while (b->next < b->end) {
    Entry *entry = g_new0 (Entry, 1);
    const char *path;

    entry->start = b->next;
    ks_bytes_take (b, &entry->stamp, sizeof entry->stamp);
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

/* Whether libnm is still the one that the entries were read with. */
static gboolean
is_same_libnm (const KsProfileMemory *self)
{
  struct stat status;
  KsStamp stamp;

  if (!self->libnm)
    return TRUE;
  if (stat (self->libnm, &status) < 0)
    return FALSE;
  stamp = ks_stamp_of (&status);
  return ks_stamp_equal (&stamp, &self->libnm_stamp);
}

static void
forget_all (KsProfileMemory *self)
{
  g_hash_table_remove_all (self->entries);
  g_clear_pointer (&self->libnm, g_free);
  memset (&self->libnm_stamp, 0, sizeof self->libnm_stamp);
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
  ks_bytes_take (&b, &self->libnm_stamp, sizeof self->libnm_stamp);
  return !b.failed && ks_stamp_is_same_clock (self->clock, self->clock_now) && is_same_libnm (self)
         && index_entries (self, &b);
}

KsProfileMemory *
ks_profile_memory_new (const char *path, const KsConfig *config, gint64 now, gboolean forget)
{
  KsProfileMemory *self = g_new0 (KsProfileMemory, 1);

  self->path = g_strdup (path);
  self->now = now;
  self->clock = self->clock_now = ks_stamp_clock ();
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
  KsStamp now = ks_stamp_of (status);

  self->asked++;
  if (!entry || !entry->keyfile || !ks_stamp_equal (&now, &entry->stamp))
    return NULL;
  ks_bytes_put (self->kept, entry->start, entry->length);
  self->recalled++;
  return g_steal_pointer (&entry->keyfile);
}

/* All entries that went through libnm used the same one. */
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
  self->libnm_stamp = ks_stamp_of (&status);
  return TRUE;
}

void
ks_profile_memory_add (KsProfileMemory *self, const KsKeyfile *keyfile, const struct stat *status)
{
  KsStamp stamp = ks_stamp_of (status);

  if (keyfile->errors->len > 0 || keyfile->warnings->len > 0 || keyfile->is_unclear || keyfile->may_warn
      || !ks_stamp_is_settled (&stamp, self->now) || !ks_stamp_is_trusted (&self->trust, keyfile->path, status->st_dev)
      || (keyfile->profile && !note_libnm (self)))
    return;
  ks_bytes_put (self->kept, &stamp, sizeof stamp);
  ks_profile_encode (keyfile, self->kept);
  self->is_news = TRUE;
}

gboolean
ks_profile_memory_is_whole (const KsProfileMemory *self)
{
  return self->recalled == self->asked;
}

const char *
ks_profile_memory_libnm (const KsProfileMemory *self)
{
  return self->libnm;
}

void
ks_profile_memory_write (KsProfileMemory *self)
{
  g_autoptr (GByteArray) out = NULL;

  if ((!self->is_news && self->recalled == g_hash_table_size (self->entries))
      || !ks_stamp_is_same_clock (self->clock_now, ks_stamp_clock ()))
    return;
  out = g_byte_array_new ();
  ks_bytes_put (out, self->key->data, self->key->len);
  ks_bytes_put (out, &self->clock, sizeof self->clock);
  ks_bytes_put_string (out, self->libnm);
  ks_bytes_put (out, &self->libnm_stamp, sizeof self->libnm_stamp);
  ks_bytes_put (out, self->kept->data, self->kept->len);
  g_file_set_contents_full (self->path, (const char *) out->data, out->len, G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL);
}
