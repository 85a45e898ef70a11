/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why this misses no change.
 *
 * A run is a function of what it reads. If everything that it would read is what
 * an earlier run read, and that run changed nothing, wrote nothing and had
 * nothing to report, this one would not either. So the earlier run records what
 * it read, in full rather than as a digest, to be compared with what is there
 * now:
 *
 *   - Files, by their stamps (ks-stamp.h): this program, the libnm that read the
 *     profiles, our configuration, NetworkManager's, the users, each file in the
 *     directories of profiles, what earlier runs have left in /var and /run, and
 *     the markers. A missing file has an empty stamp. What /proc says about the
 *     boot is compared as text.
 *   - NetworkManager's answers, byte by byte (ks_network_repeats()).
 *   - The kernel's rules, the routes of our tables and of main, addresses, the
 *     tunnels' devices, whether there is IPv6: as parsed, so that a lifetime that
 *     counts down is no change.
 *   - The guard: by nftables' generation number (ks-guard-memory.c). Every ten
 *     minutes, it is read in full and so is everything else.
 *   - The event: not at all. This is only used for events that do not affect a
 *     run (ks_event_is_hint()).
 *   - The time: by itself it changes what names resolve to, and whether the clock
 *     may be right (ks-clock.h). With names among the servers, nothing is
 *     recorded; a clock that was right stays right, since setting it invalidates
 *     all of this.
 *
 * Everything was read by the same run, not before or after it: answers and
 * snapshot are the run's own, and the files' stamps are the same before it began
 * and after it ended. A file that changed and changed back in between would be
 * noticed, since no ctime occurs twice. This also shows that the run has written
 * none of the files.
 *
 * In case of doubt, the run is done in full. There is doubt whenever something
 * cannot be compared this way: a symbolic link, a file that has just changed or
 * is on another host's file system, sections (which depend on all routes and
 * devices), a silent NetworkManager, a warning or an error (to be reported
 * again), a file that had to be read (firewalld's zones may have decided),
 * anything released, held, refused or incomplete, a foreign rule or route where
 * it could do harm, no guard, a malformed record.
 *
 * The file is root's, in /run, and replaced as a whole. An empty file asks the
 * next run to look at the files before it begins: a host on which this is of no
 * use (with nothing armed, for example) has no file, and does not pay for it.
 */
#include "run/ks-unchanged.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <string.h>

#include "base/ks-bytes.h"
#include "base/ks-stamp.h"
#include "base/ks-user.h"
#include "input/ks-config-read.h"
#include "input/ks-nm-config.h"
#include "state/ks-marker.h"

#define MAGIC "nm-killswitch: unchanged 1\n"
#define SELF "/proc/self/exe"
/* NetworkManager answers at once; if not, a full run has to find out why. */
#define NETWORK_TIMEOUT_MS 1000

/* The parts of the file, each preceded by its length. */
typedef struct {
  const guint8 *start;
  gsize length;
} Part;

typedef struct {
  Part files, network, tunnels, kernel;
  const char *libnm; /* nullable */
} Memory;

struct _KsUnchanged {
  const KsPaths *paths;
  gint64 now; /* seconds */
  gint64 clock;
  char *text; /* what an earlier run has written; NULL for no file */
  gsize length;
  char *libnm; /* nullable: of that run */
  GByteArray *files; /* the stamps at the beginning of this run; NULL: in doubt, or not asked for */
  GByteArray *kernel; /* of this run's snapshot; NULL before */
};

/* --- files --- */

typedef struct {
  GByteArray *out;
  gint64 now;
  KsStampTrust trust;
  gboolean is_certain;
} Collector;

static void
put_stamp (Collector *c, const char *path, const char *name, const struct stat *status)
{
  KsStamp stamp = ks_stamp_of (status);

  c->is_certain &= ks_stamp_is_settled (&stamp, c->now) && ks_stamp_is_trusted (&c->trust, path, status->st_dev);
  ks_bytes_put_string (c->out, name);
  ks_bytes_put (c->out, &stamp, sizeof stamp);
}

/* With @follow, the name may be a link that nobody changes while we run. */
static void
put_file (Collector *c, const char *path, gboolean follow)
{
  struct stat status;

  if ((follow ? stat (path, &status) : lstat (path, &status)) == 0) {
    c->is_certain &= !S_ISLNK (status.st_mode);
    put_stamp (c, path, path, &status);
  } else {
    c->is_certain &= errno == ENOENT;
    ks_bytes_put_string (c->out, path);
  }
}

static void
put_runtime_file (Collector *c, const KsPaths *paths, const char *name)
{
  g_autofree char *path = ks_paths_runtime (paths, name);

  put_file (c, path, FALSE);
}

/* A directory and each file in it, in the kernel's order; or a file. */
static void
put_directory (Collector *c, const char *path)
{
  DIR *directory;
  const struct dirent *entry;

  put_file (c, path, FALSE);
  directory = opendir (path);
  if (!directory) {
    c->is_certain &= errno == ENOENT || errno == ENOTDIR;
    return;
  }
  while ((errno = 0, entry = readdir (directory))) {
    struct stat status;

    if (strcmp (entry->d_name, ".") == 0 || strcmp (entry->d_name, "..") == 0)
      continue;
    if (fstatat (dirfd (directory), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0 || S_ISLNK (status.st_mode)) {
      c->is_certain = FALSE;
      break;
    }
    put_stamp (c, path, entry->d_name, &status);
  }
  c->is_certain &= errno == 0;
  closedir (directory);
}

static void
put_text (Collector *c, const char *path)
{
  g_autofree char *line = ks_paths_read_line (path);

  ks_bytes_put_string (c->out, line);
}

static void
put_own_files (Collector *c, const KsPaths *paths)
{
  static const char *const names[] = { KS_STATE_NAME,      KS_STATUS_NAME,    KS_WARNED_NAME, KS_GUARD_NAME,
                                       KS_MARKER_RELEASED, KS_MARKER_RESUMED, KS_MARKER_NAMES };

  put_file (c, paths->config, FALSE);
  put_file (c, paths->state, FALSE);
  for (guint i = 0; i < G_N_ELEMENTS (names); i++)
    put_runtime_file (c, paths, names[i]);
}

static void
put_profiles (Collector *c, const KsPaths *paths)
{
  g_autoptr (GPtrArray) errors = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);
  g_autoptr (GPtrArray) sources = ks_nm_config_sources (paths);
  g_autoptr (GArray) directories = ks_nm_config_directories (paths, errors);

  for (guint i = 0; i < sources->len; i++)
    put_directory (c, sources->pdata[i]);
  for (guint i = 0; i < directories->len; i++)
    put_directory (c, g_array_index (directories, KsProfileDirectory, i).path);
  c->is_certain &= errors->len == 0;
}

/* The stamps of all files that a run reads (transfer full); NULL in case of doubt. @libnm may be NULL. */
static GByteArray *
collect_files (const KsPaths *paths, const char *libnm, gint64 now)
{
  g_autoptr (GByteArray) out = g_byte_array_new ();
  Collector c = { .out = out, .now = now, .is_certain = TRUE };

  put_text (&c, paths->boot_id);
  put_text (&c, paths->command_line);
  put_file (&c, SELF, TRUE);
  if (libnm)
    put_file (&c, libnm, TRUE);
  for (guint i = 0; ks_user_files[i]; i++)
    put_file (&c, ks_user_files[i], FALSE);
  put_own_files (&c, paths);
  put_profiles (&c, paths);
  return c.is_certain ? g_steal_pointer (&out) : NULL;
}

/* --- the kernel --- */

static void
put_array (GByteArray *out, const GArray *array)
{
  ks_bytes_put_u32 (out, array->len);
  ks_bytes_put (out, array->data, (gsize) array->len * g_array_get_element_size ((GArray *) array));
}

/* The padding between a struct's members may differ: then a full run is done needlessly. */
static GByteArray *
encode_snapshot (const KsSnapshot *snapshot)
{
  GByteArray *out = g_byte_array_new ();

  ks_bytes_put_u32 (out, snapshot->no_ipv6);
  put_array (out, snapshot->rules);
  put_array (out, snapshot->addresses);
  put_array (out, snapshot->tunnel_links);
  put_array (out, snapshot->offload_links);
  ks_bytes_put_u32 (out, snapshot->routes->len);
  for (guint i = 0; i < snapshot->routes->len; i++) {
    const KsRoute *route = &g_array_index (snapshot->routes, KsRoute, i);

    ks_bytes_put (out, route, offsetof (KsRoute, nexthops) + route->n_nexthops * sizeof route->nexthops[0]);
  }
  return out;
}

/* The devices that the run looked for, and those it found. */
static GByteArray *
encode_tunnels (const GPtrArray *tunnels)
{
  GByteArray *out = g_byte_array_new ();

  for (guint i = 0; i < tunnels->len; i++) {
    const KsTunnel *tunnel = tunnels->pdata[i];

    ks_bytes_put_string (out, tunnel->interface);
    ks_bytes_put_u32 (out, tunnel->ifindex);
  }
  return out;
}

static gboolean
has_same_tunnels (KsKernel *kernel, const Part *then)
{
  KsBytes b = { .next = then->start, .end = then->start + then->length };

  while (b.next < b.end) {
    const char *interface = ks_bytes_take_string (&b);
    guint32 ifindex = ks_bytes_take_u32 (&b);

    if (b.failed || !interface || ks_kernel_link_index (kernel, interface) != ifindex)
      return FALSE;
  }
  return TRUE;
}

static gboolean
is_same (const Part *then, const GByteArray *now)
{
  return now && now->len == then->length && memcmp (now->data, then->start, now->len) == 0;
}

static gboolean
has_same_kernel (const KsPaths *paths, const Memory *then)
{
  g_autoptr (GPtrArray) errors = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);
  g_autoptr (KsConfig) config = ks_config_read (paths->config, errors);
  g_autoptr (KsKernel) kernel = errors->len == 0 ? ks_kernel_new (NULL) : NULL;
  g_autoptr (KsSnapshot) snapshot = kernel ? ks_kernel_dump (kernel, config, NULL) : NULL;
  g_autoptr (GByteArray) now = snapshot ? encode_snapshot (snapshot) : NULL;

  return is_same (&then->kernel, now) && has_same_tunnels (kernel, &then->tunnels);
}

/* --- the record --- */

static void
put_part (GByteArray *out, const GByteArray *part)
{
  ks_bytes_put_u32 (out, part->len);
  ks_bytes_put (out, part->data, part->len);
}

static Part
take_part (KsBytes *b)
{
  Part part = { .length = ks_bytes_take_u32 (b) };

  part.start = b->next;
  if (part.length > (gsize) (b->end - b->next))
    b->failed = TRUE;
  else
    b->next += part.length;
  return part;
}

static gboolean
parse (const KsUnchanged *self, Memory *out)
{
  KsBytes b = { .next = (const guint8 *) self->text, .end = (const guint8 *) self->text + self->length };
  gint64 clock;

  if (!self->text || self->length < strlen (MAGIC) || memcmp (self->text, MAGIC, strlen (MAGIC)) != 0)
    return FALSE;
  b.next += strlen (MAGIC);
  ks_bytes_take (&b, &clock, sizeof clock);
  out->libnm = ks_bytes_take_string (&b);
  out->files = take_part (&b);
  out->network = take_part (&b);
  out->tunnels = take_part (&b);
  out->kernel = take_part (&b);
  return !b.failed && b.next == b.end && ks_stamp_is_same_clock (clock, self->clock);
}

KsUnchanged *
ks_unchanged_new (const KsPaths *paths)
{
  g_autofree char *path = ks_paths_runtime (paths, KS_UNCHANGED_NAME);
  KsUnchanged *self = g_new0 (KsUnchanged, 1);
  Memory memory = { 0 };

  self->paths = paths;
  self->now = g_get_real_time () / G_USEC_PER_SEC;
  self->clock = ks_stamp_clock ();
  if (!g_file_get_contents (path, &self->text, &self->length, NULL))
    return self;
  if (parse (self, &memory))
    self->libnm = g_strdup (memory.libnm);
  self->files = collect_files (paths, self->libnm, self->now);
  return self;
}

void
ks_unchanged_free (KsUnchanged *self)
{
  g_free (self->text);
  g_free (self->libnm);
  g_clear_pointer (&self->files, g_byte_array_unref);
  g_clear_pointer (&self->kernel, g_byte_array_unref);
  g_free (self);
}

gboolean
ks_unchanged_holds (KsUnchanged *self)
{
  g_autofree char *guard = ks_paths_runtime (self->paths, KS_GUARD_NAME);
  Memory then;

  return parse (self, &then) && is_same (&then.files, self->files) && ks_guard_is_as_installed (guard)
         && ks_network_repeats (then.network.start, then.network.length, NETWORK_TIMEOUT_MS)
         && has_same_kernel (self->paths, &then);
}

void
ks_unchanged_take_snapshot (KsUnchanged *self, const KsSnapshot *snapshot)
{
  g_clear_pointer (&self->kernel, g_byte_array_unref);
  self->kernel = encode_snapshot (snapshot);
}

/* Whether everything the run depended on is recorded, and the next one would have nothing to report. */
static gboolean
is_plain (const KsReport *report)
{
  const KsSituation *situation = report->situation;
  g_autoptr (GPtrArray) hosts = ks_situation_hosts (situation);

  return report->policy && report->policy->armed && report->policy->guard && !report->has_suspects && situation->network
         && situation->network->conversation
         && situation->network->tunnels->len == 0 /* those left here were not looked for, or are down */
         && situation->config->sections->len == 0 && !situation->config->is_unreadable
         && ks_profile_memory_is_whole (situation->memory) && situation->set->unreadable->len == 0
         && situation->set->unclear->len == 0 && situation->warnings->len == 0 && hosts->len == 0
         && !situation->is_released && !situation->is_unclear && !situation->no_guard && !situation->no_names
         && !situation->no_management && ks_situation_diff_flags (situation) == KS_DIFF_DEFAULT;
}

static gboolean
had_nothing_to_do (const KsReport *report)
{
  return report->errors->len == 0 && report->changes == 0 && !report->adds_only && report->is_saved
         && !report->is_guard_refused && !report->is_incomplete;
}

void
ks_unchanged_write (KsUnchanged *self, const KsReport *report)
{
  g_autofree char *path = ks_paths_runtime (self->paths, KS_UNCHANGED_NAME);
  g_autofree char *guard = ks_paths_runtime (self->paths, KS_GUARD_NAME);
  g_autoptr (GByteArray) out = NULL, files = NULL, tunnels = NULL;
  const char *libnm;

  if (!is_plain (report)) {
    g_unlink (path);
    return;
  }
  if (!had_nothing_to_do (report))
    return;
  if (!self->text) {
    g_file_set_contents_full (path, "", 0, G_FILE_SET_CONTENTS_NONE, 0600, NULL);
    return;
  }
  if (!self->files || !self->kernel || !ks_guard_is_as_installed (guard)
      || !ks_stamp_is_same_clock (self->clock, ks_stamp_clock ()))
    return;
  files = collect_files (self->paths, self->libnm, self->now);
  if (!files || files->len != self->files->len || memcmp (files->data, self->files->data, files->len) != 0)
    return;
  libnm = ks_profile_memory_libnm (report->situation->memory);
  if (g_strcmp0 (libnm, self->libnm) != 0) {
    g_clear_pointer (&files, g_byte_array_unref);
    files = collect_files (self->paths, libnm, self->now);
    if (!files)
      return;
  }
  tunnels = encode_tunnels (report->situation->tunnels);
  out = g_byte_array_new ();
  ks_bytes_put (out, MAGIC, strlen (MAGIC));
  ks_bytes_put (out, &self->clock, sizeof self->clock);
  ks_bytes_put_string (out, libnm);
  put_part (out, files);
  put_part (out, report->situation->network->conversation);
  put_part (out, tunnels);
  put_part (out, self->kernel);
  g_file_set_contents_full (path, (const char *) out->data, out->len, G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL);
}
