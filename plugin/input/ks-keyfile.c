/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which of several files with the same UUID counts is decided as in
 * NetworkManager (cmp_fcn(), nms-keyfile-storage.c): /run before /etc before
 * /usr/lib; within a directory, a tombstone first, then the newer file. Every
 * file is loaded, to get its UUID.
 */
#include "input/ks-keyfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/ks-error.h"
#include "input/ks-profile-memory.h"

typedef struct {
  KsKeyfile *keyfile; /* not filled in for a tombstone */
  guint directory; /* index: the lowest wins */
  gboolean is_tombstone;
  struct timespec mtime;
} Candidate;

typedef struct {
  GPtrArray *candidates; /* of Candidate */
  KsProfileMemory *memory;
  KsKeyfileFunc read;
  gpointer user_data;
  GPtrArray *unreadable;
  GPtrArray *errors;
} Search;

KsKeyfile *
ks_keyfile_new (const char *path)
{
  KsKeyfile *self = g_new0 (KsKeyfile, 1);

  self->path = g_strdup (path);
  self->errors = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);
  self->warnings = g_ptr_array_new_with_free_func (g_free);
  return self;
}

void
ks_keyfile_free (KsKeyfile *self)
{
  g_free (self->path);
  g_free (self->uuid);
  g_clear_pointer (&self->profile, ks_profile_free);
  g_clear_pointer (&self->errors, g_ptr_array_unref);
  g_clear_pointer (&self->warnings, g_ptr_array_unref);
  g_free (self);
}

static Candidate *
candidate_new (Search *s, KsKeyfile *keyfile, guint directory)
{
  Candidate *candidate = g_new0 (Candidate, 1);

  candidate->keyfile = keyfile;
  candidate->directory = directory;
  g_ptr_array_add (s->candidates, candidate);
  return candidate;
}

static void
candidate_free (gpointer data)
{
  Candidate *candidate = data;

  g_clear_pointer (&candidate->keyfile, ks_keyfile_free);
  g_free (candidate);
}

/* Six letters or digits after the last dot: the temporary file of a program that is writing (mkstemp). */
static gboolean
has_temporary_suffix (const char *name)
{
  const char *dot = strrchr (name, '.');

  if (!dot || strlen (dot + 1) != 6)
    return FALSE;
  for (const char *p = dot + 1; *p; p++)
    if (!g_ascii_isalnum (*p))
      return FALSE;
  return TRUE;
}

static gboolean
has_suffix_ignoring_case (const char *name, const char *suffix)
{
  gsize length = strlen (name), suffix_length = strlen (suffix);

  return length > suffix_length && g_ascii_strcasecmp (name + length - suffix_length, suffix) == 0;
}

/* nm_keyfile_utils_ignore_filename() */
static gboolean
is_profile_name (const char *name, gboolean any_name)
{
  if (*name == '.' || *name == '\0')
    return FALSE;
  if (!any_name)
    return g_str_has_suffix (name, ".nmconnection") && strlen (name) > strlen (".nmconnection");
  return !g_str_has_suffix (name, "~") && !has_temporary_suffix (name) && !has_suffix_ignoring_case (name, ".pem")
         && !has_suffix_ignoring_case (name, ".der");
}

/* The UUID in UUID.nmmeta (transfer full), or NULL for another name. */
static char *
tombstone_uuid (const char *name)
{
  g_autofree char *uuid = NULL;

  if (strlen (name) != 36 + strlen (".nmmeta") || !g_str_has_suffix (name, ".nmmeta"))
    return NULL;
  uuid = g_strndup (name, 36);
  return g_uuid_string_is_valid (uuid) ? g_steal_pointer (&uuid) : NULL;
}

/* A link to /dev/null, or an nmmeta file that names it. */
static gboolean
is_tombstone (const char *path)
{
  g_autofree char *target = g_file_read_link (path, NULL);
  g_autoptr (GKeyFile) file = NULL;
  g_autofree char *loaded_path = NULL;

  if (target)
    return strcmp (target, "/dev/null") == 0;
  file = g_key_file_new ();
  if (!g_key_file_load_from_file (file, path, G_KEY_FILE_NONE, NULL))
    return FALSE;
  loaded_path = g_key_file_get_string (file, "nmmeta", "loaded-path", NULL);
  return g_strcmp0 (loaded_path, "/dev/null") == 0;
}

static void
add_unreadable (Search *s, const char *path)
{
  g_ptr_array_add (s->unreadable, g_strdup (path));
}

/*
 * Why NetworkManager would not read the file: it is not root's, or others may
 * read it. NULL if it would. Tests run as an ordinary user, who owns their files.
 */
static const char *
insecurity (const struct stat *status)
{
  if (!S_ISREG (status->st_mode))
    return "is not a regular file";
  if (status->st_uid != 0 && status->st_uid != geteuid ())
    return "is not owned by root";
  if (status->st_mode & 0077)
    return "may be read by others (mode 0600 is right): NetworkManager ignores it";
  return NULL;
}

static char *
lower_uuid (GKeyFile *file)
{
  g_autofree char *uuid = g_key_file_get_string (file, "connection", "uuid", NULL);

  return uuid && *uuid ? g_ascii_strdown (uuid, -1) : NULL;
}

/* The whole contents of @fd (transfer full). */
static char *
read_all (int fd, gsize *length)
{
  g_autoptr (GString) text = g_string_new (NULL);
  char buffer[4096];
  gssize count;

  while ((count = read (fd, buffer, sizeof buffer)) != 0) {
    if (count > 0)
      g_string_append_len (text, buffer, count);
    else if (errno != EINTR)
      return NULL;
  }
  *length = text->len;
  return g_string_free (g_steal_pointer (&text), FALSE);
}

/* Whether @before and @after describe the same file, unchanged in between. */
static gboolean
is_unchanged (const struct stat *before, const struct stat *after)
{
  return before->st_dev == after->st_dev && before->st_ino == after->st_ino && before->st_size == after->st_size
         && before->st_mtim.tv_sec == after->st_mtim.tv_sec && before->st_mtim.tv_nsec == after->st_mtim.tv_nsec
         && before->st_ctim.tv_sec == after->st_ctim.tv_sec && before->st_ctim.tv_nsec == after->st_ctim.tv_nsec;
}

/* The key file @path (transfer full), which was found as @status says; *@is_certain if that was still so when it had
 * been read. */
static GKeyFile *
load_file (const char *path, const struct stat *status, gboolean *is_certain, GError **error)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autofree char *text = NULL;
  int fd = open (path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  struct stat before, after;
  gsize length = 0;
  int number;

  *is_certain = fd >= 0 && fstat (fd, &before) == 0 && is_unchanged (status, &before);
  text = fd >= 0 ? read_all (fd, &length) : NULL;
  number = errno;
  *is_certain = *is_certain && text && fstat (fd, &after) == 0 && is_unchanged (&before, &after);
  if (fd >= 0)
    close (fd);
  if (!text) {
    g_set_error_literal (error, G_FILE_ERROR, g_file_error_from_errno (number), g_strerror (number));
    return NULL;
  }
  return g_key_file_load_from_data (file, text, length, G_KEY_FILE_NONE, error) ? g_steal_pointer (&file) : NULL;
}

/* Reads a profile from the file (transfer full); NULL if it is not a profile. */
static KsKeyfile *
read_profile_file (Search *s, const char *path, const struct stat *status)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GKeyFile) file = NULL;
  KsKeyfile *keyfile;
  gboolean is_certain;

  file = load_file (path, status, &is_certain, &error);
  if (!file) {
    if (!g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
      ks_error_add (s->errors, "%s: %s", path, error->message);
      add_unreadable (s, path);
    }
    return NULL;
  }
  /* empty after a crash, or truncated: this does not mean that the profile was deleted */
  if (!g_key_file_has_group (file, "connection")) {
    ks_error_add (s->errors, "%s: there is no [connection] section", path);
    add_unreadable (s, path);
    return NULL;
  }
  keyfile = ks_keyfile_new (path);
  keyfile->uuid = lower_uuid (file);
  s->read (keyfile, file, s->user_data);
  if (s->memory && is_certain)
    ks_profile_memory_add (s->memory, keyfile, status);
  return keyfile;
}

static void
add_profile_file (Search *s, const char *path, guint directory)
{
  const char *insecure;
  struct stat status;
  KsKeyfile *keyfile = NULL;

  if (stat (path, &status) < 0) {
    if (errno != ENOENT) { /* deleted since it was listed, or a dangling link */
      ks_error_add (s->errors, "%s: %s", path, g_strerror (errno));
      add_unreadable (s, path);
    }
    return;
  }
  if (S_ISDIR (status.st_mode))
    return;
  insecure = insecurity (&status);
  if (insecure) {
    ks_error_add (s->errors, "%s: %s", path, insecure);
    add_unreadable (s, path);
    return;
  }
  if (s->memory)
    keyfile = ks_profile_memory_recall (s->memory, path, &status);
  if (!keyfile)
    keyfile = read_profile_file (s, path, &status);
  if (keyfile)
    candidate_new (s, keyfile, directory)->mtime = status.st_mtim;
}

static void
add_tombstone (Search *s, const char *path, const char *uuid, guint directory)
{
  Candidate *candidate;

  if (!is_tombstone (path))
    return;
  candidate = candidate_new (s, ks_keyfile_new (path), directory);
  candidate->keyfile->uuid = g_ascii_strdown (uuid, -1);
  candidate->is_tombstone = TRUE;
}

static void
list_directory (Search *s, const KsProfileDirectory *directory, guint index)
{
  g_autoptr (GError) error = NULL;
  g_autoptr (GDir) dir = g_dir_open (directory->path, 0, &error);
  const char *name;

  if (!dir) {
    if (!g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
      ks_error_add (s->errors, "%s", error->message);
      add_unreadable (s, directory->path);
    }
    return;
  }
  while ((errno = 0, name = g_dir_read_name (dir))) {
    g_autofree char *path = g_build_filename (directory->path, name, NULL);
    g_autofree char *uuid = directory->tombstones ? tombstone_uuid (name) : NULL;

    if (uuid)
      add_tombstone (s, path, uuid, index);
    else if (is_profile_name (name, directory->any_name))
      add_profile_file (s, path, index);
  }
  if (errno) {
    ks_error_add (s->errors, "%s: %s", directory->path, g_strerror (errno));
    add_unreadable (s, directory->path);
  }
}

/* Less than 0 if @a takes precedence over @b. */
static int
compare_precedence (const Candidate *a, const Candidate *b)
{
  if (a->directory != b->directory)
    return a->directory < b->directory ? -1 : 1;
  if (a->is_tombstone != b->is_tombstone)
    return a->is_tombstone ? -1 : 1;
  if (a->mtime.tv_sec != b->mtime.tv_sec)
    return a->mtime.tv_sec > b->mtime.tv_sec ? -1 : 1;
  if (a->mtime.tv_nsec != b->mtime.tv_nsec)
    return a->mtime.tv_nsec > b->mtime.tv_nsec ? -1 : 1;
  return -strcmp (a->keyfile->path, b->keyfile->path);
}

static const char *
keyfile_key (const KsKeyfile *keyfile)
{
  return keyfile->uuid ? keyfile->uuid : keyfile->path;
}

/* UUID -> the Candidate that counts. A file without a UUID is a profile of its own. */
static GHashTable *
find_winners (const GPtrArray *candidates)
{
  GHashTable *winners = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < candidates->len; i++) {
    Candidate *candidate = candidates->pdata[i];
    const char *key = keyfile_key (candidate->keyfile);
    Candidate *other = g_hash_table_lookup (winners, key);

    if (!other || compare_precedence (candidate, other) < 0)
      g_hash_table_insert (winners, (gpointer) key, candidate);
  }
  return winners;
}

GPtrArray *
ks_keyfile_find (const KsProfileDirectory *directories, KsProfileMemory *memory, KsKeyfileFunc read, gpointer user_data,
                 GPtrArray *unreadable, GPtrArray *errors)
{
  g_autoptr (GPtrArray) candidates = g_ptr_array_new_with_free_func (candidate_free);
  g_autoptr (GHashTable) winners = NULL;
  GPtrArray *keyfiles = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_keyfile_free);
  Search s = { .candidates = candidates,
               .memory = memory,
               .read = read,
               .user_data = user_data,
               .unreadable = unreadable,
               .errors = errors };

  for (guint i = 0; directories[i].path; i++)
    list_directory (&s, &directories[i], i);

  winners = find_winners (candidates);
  for (guint i = 0; i < candidates->len; i++) {
    Candidate *candidate = candidates->pdata[i];

    if (!candidate->is_tombstone && g_hash_table_lookup (winners, keyfile_key (candidate->keyfile)) == candidate)
      g_ptr_array_add (keyfiles, g_steal_pointer (&candidate->keyfile));
  }
  return keyfiles;
}
