/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reads profiles with a memory in between and without one, which has to come to
 * the same; how often libnm reads a keyfile tells whether it was remembered.
 */
#include "ks-test.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/ks-stamp.h"
#include "input/ks-profile-libnm.h"
#include "input/ks-profile-memory.h"

#define NAME "etc/vpn.nmconnection"
#define STRICT "zone=killswitch\n"
#define OTHER_ZONE "zone=killswitcx\n" /* as long */

/* --- libnm, and the clock --- */

static guint reads;
static __typeof__ (nm_keyfile_read) *read_by_libnm;

static NMConnection *
count_read (GKeyFile *file, const char *directory, NMKeyfileHandlerFlags flags, NMKeyfileReadHandler handler,
            void *user_data, GError **error)
{
  reads++;
  return read_by_libnm (file, directory, flags, handler, user_data, error);
}

/* How far the clock was set, in seconds. */
static gint64 clock_set_by;

/* Used instead of the C library's. */
int
clock_gettime (clockid_t clock, struct timespec *out)
{
  int result = (int) syscall (SYS_clock_gettime, clock, out);

  if (result == 0 && clock == CLOCK_REALTIME)
    out->tv_sec += clock_set_by;
  return result;
}

/* --- a test's state --- */

typedef struct {
  KsTestHost *host;
  KsConfig *config;
  char *memory;
  gint64 age; /* of the files when they are read, in seconds */
} Fixture;

static Fixture *
fixture_new (void)
{
  Fixture *self = g_new0 (Fixture, 1);

  self->host = ks_test_host_new ();
  self->config = ks_config_new ();
  self->memory = ks_test_path (self->host->directory, "memory");
  self->age = 10;
  clock_set_by = 0;
  return self;
}

static void
fixture_free (Fixture *self)
{
  ks_test_host_free (self->host);
  ks_config_free (self->config);
  g_free (self->memory);
  g_free (self);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC (Fixture, fixture_free)

static void
add_prefixes (GString *out, const GArray *prefixes)
{
  g_autofree char *text = ks_test_format_prefixes (prefixes);

  g_string_append_printf (out, " [%s]", text);
}

/* Everything known about a profile. */
static void
add_profile (GString *out, const KsProfile *p)
{
  g_string_append_printf (out, "%s %s %s %s %s %s %d %d %d %d %d %d %d %d %d %u %u %d", p->path, p->uuid, p->id,
                          p->type, p->interface, p->service, p->vpn_type, p->mode, p->reason, p->lan, p->dns,
                          p->placement, p->never_default4, p->never_default6, p->in_pieces, p->listen_port, p->fwmark,
                          p->kernel);
  for (guint i = 0; i < p->endpoints->len; i++) {
    const KsEndpoint *endpoint = p->endpoints->pdata[i];

    g_string_append_printf (out, " %s,%u,%u,%d", endpoint->host, endpoint->port, endpoint->ip_protocol,
                            endpoint->carriage);
  }
  add_prefixes (out, p->prefixes);
  add_prefixes (out, p->nameservers);
  for (guint i = 0; i < p->uids->len; i++)
    g_string_append_printf (out, " %u", g_array_index (p->uids, guint32, i));
  g_string_append_c (out, '\n');
}

/* What there is to read: with @memory, nullable (transfer full). */
static char *
read_with (Fixture *self, KsProfileMemory *memory)
{
  g_autoptr (GPtrArray) errors = ks_test_errors_new ();
  g_autoptr (KsProfileSet) set =
    ks_profile_set_read (self->host->profiles, self->host->zones, self->config, memory, errors);
  const GPtrArray *lists[] = { set->unreadable, set->unclear, set->warnings };
  g_autofree char *messages = ks_test_format_errors (errors);
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < set->profiles->len; i++)
    add_profile (out, set->profiles->pdata[i]);
  for (guint i = 0; i < G_N_ELEMENTS (lists); i++)
    for (guint j = 0; j < lists[i]->len; j++)
      g_string_append_printf (out, "%u: %s\n", i, (const char *) lists[i]->pdata[j]);
  g_string_append (out, messages);
  return g_string_free (out, FALSE);
}

/* Reads with the memory; returns how often libnm had to read. The result must be the same as without a memory. */
static guint
read_again (Fixture *self)
{
  gint64 now = g_get_real_time () / G_USEC_PER_SEC + clock_set_by + self->age;
  g_autoptr (KsProfileMemory) memory = ks_profile_memory_new (self->memory, self->config, now, FALSE);
  g_autofree char *remembered = NULL;
  g_autofree char *anew = NULL;
  guint count;

  reads = 0;
  remembered = read_with (self, memory);
  count = reads;
  ks_profile_memory_write (memory);
  anew = read_with (self, NULL);
  assert_string_equal (remembered, anew);
  return count;
}

static void
write_vpn (Fixture *self, const char *name, const char *uuid, const char *connection)
{
  g_autofree char *text = ks_test_wireguard (uuid, connection, "endpoint=203.0.113.10:51820\nallowed-ips=0.0.0.0/0\n");

  ks_test_host_write (self->host, name, text);
}

/* A host with a profile that is remembered. */
static Fixture *
new_with_memory (void)
{
  Fixture *self = fixture_new ();

  write_vpn (self, NAME, KS_TEST_UUID_1, STRICT);
  assert_int_equal (read_again (self), 1);
  return self;
}

#define MEMORY_OR_SKIP(name) \
  g_autoptr (Fixture) name = new_with_memory (); \
\
  if (read_again (name) == 1) \
  skip () /* the file system's times cannot be trusted */

/* --- what is remembered --- */

static void
profile_that_has_not_changed_is_not_read_again (void **state G_GNUC_UNUSED)
{
  MEMORY_OR_SKIP (self);
  assert_int_equal (read_again (self), 0);
  assert_int_equal (read_again (self), 0);
}

static void
remembered_profile_is_the_one_that_was_read (void **state G_GNUC_UNUSED)
{
  MEMORY_OR_SKIP (self);
  g_autofree char *wireguard = ks_test_wireguard (KS_TEST_UUID_2, "zone=killswitch-auto\ninterface-name=wg7\n",
                                                  "endpoint=[2001:db8::7]:443\nallowed-ips=10.0.0.0/8;fd00::/8\n"
                                                  "[ipv4]\nmethod=manual\naddress1=10.7.0.2/24\ndns=10.7.0.1;\n"
                                                  "never-default=true\n[user]\nnm-killswitch.lan=off\n"
                                                  "nm-killswitch.dns=lan\nnm-killswitch.transport=inside\n");
  g_autofree char *openvpn =
    ks_test_openvpn (KS_TEST_UUID_3, STRICT, "remote=vpn.example.org:1194:udp, 203.0.113.9:443:tcp\n");

  ks_test_host_write (self->host, "etc/a.nmconnection", wireguard);
  ks_test_host_write (self->host, "run/b.nmconnection", openvpn);
  assert_int_equal (read_again (self), 2);
  assert_int_equal (read_again (self), 0);
}

static void
profile_is_forgotten_with_its_file (void **state G_GNUC_UNUSED)
{
  g_autofree char *text = NULL;
  gsize length = 0;

  MEMORY_OR_SKIP (self);
  write_vpn (self, "etc/gone.nmconnection", KS_TEST_UUID_2, STRICT);
  assert_int_equal (read_again (self), 1);
  ks_test_host_remove (self->host, "etc/gone.nmconnection");
  assert_int_equal (read_again (self), 0);
  assert_true (g_file_get_contents (self->memory, &text, &length, NULL));
  assert_null (memmem (text, length, "gone", strlen ("gone")));
}

/* --- what has changed --- */

static void
set_mtime (Fixture *self, const char *name, const struct stat *status)
{
  g_autofree char *path = ks_test_path (self->host->directory, name);
  const struct timespec times[] = { status->st_atim, status->st_mtim };

  assert_int_equal (utimensat (AT_FDCWD, path, times, 0), 0);
}

static struct stat
get_status (Fixture *self, const char *name)
{
  g_autofree char *path = ks_test_path (self->host->directory, name);
  struct stat status;

  assert_int_equal (stat (path, &status), 0);
  return status;
}

/* In place: the same inode, of the same size. */
static void
overwrite (Fixture *self, const char *name, const char *from, const char *to)
{
  g_autofree char *path = ks_test_path (self->host->directory, name);
  g_autofree char *text = NULL;
  const char *found;
  int fd;

  assert_true (g_file_get_contents (path, &text, NULL, NULL));
  found = strstr (text, from);
  assert_non_null (found);
  fd = open (path, O_WRONLY | O_CLOEXEC);
  assert_int_equal (pwrite (fd, to, strlen (to), found - text), strlen (to));
  close (fd);
}

static void
file_overwritten_with_its_old_size_and_time_is_read_again (void **state G_GNUC_UNUSED)
{
  struct stat before, after;

  MEMORY_OR_SKIP (self);
  before = get_status (self, NAME);
  overwrite (self, NAME, "203.0.113.10", "203.0.113.99");
  set_mtime (self, NAME, &before);
  after = get_status (self, NAME);
  assert_true (before.st_ino == after.st_ino && before.st_size == after.st_size);
  assert_true (before.st_mtim.tv_sec == after.st_mtim.tv_sec && before.st_mtim.tv_nsec == after.st_mtim.tv_nsec);
  assert_int_equal (read_again (self), 1);
}

static void
profile_that_gets_or_loses_the_setting_is_read_again (void **state G_GNUC_UNUSED)
{
  struct stat before;

  MEMORY_OR_SKIP (self);
  before = get_status (self, NAME);
  overwrite (self, NAME, STRICT, OTHER_ZONE);
  set_mtime (self, NAME, &before);
  assert_int_equal (read_again (self), 0);
  overwrite (self, NAME, OTHER_ZONE, STRICT);
  set_mtime (self, NAME, &before);
  assert_int_equal (read_again (self), 1);
}

/* One that is of no interest is remembered as well. */
static void
profile_without_a_setting_that_gets_one_is_read_again (void **state G_GNUC_UNUSED)
{
  struct stat before;

  MEMORY_OR_SKIP (self);
  write_vpn (self, "etc/plain.nmconnection", KS_TEST_UUID_2, "#one=killswitch\n");
  assert_int_equal (read_again (self), 0);
  before = get_status (self, "etc/plain.nmconnection");
  overwrite (self, "etc/plain.nmconnection", "#one", "zone");
  set_mtime (self, "etc/plain.nmconnection", &before);
  assert_int_equal (read_again (self), 1);
}

static void
file_that_takes_the_place_of_another_is_read (void **state G_GNUC_UNUSED)
{
  g_autofree char *from = NULL;
  g_autofree char *to = NULL;
  struct stat before;

  MEMORY_OR_SKIP (self);
  before = get_status (self, NAME);
  write_vpn (self, "other", KS_TEST_UUID_2, STRICT);
  set_mtime (self, "other", &before);
  from = ks_test_path (self->host->directory, "other");
  to = ks_test_path (self->host->directory, NAME);
  assert_int_equal (g_rename (from, to), 0);
  assert_int_equal (read_again (self), 1);
}

static void
link_that_leads_elsewhere_is_read_again (void **state G_GNUC_UNUSED)
{
  g_autofree char *link = NULL;

  MEMORY_OR_SKIP (self);
  write_vpn (self, "one", KS_TEST_UUID_2, STRICT);
  write_vpn (self, "two", KS_TEST_UUID_3, STRICT);
  link = ks_test_path (self->host->directory, "etc/link.nmconnection");
  for (int i = 0; i < 4; i++) {
    g_unlink (link);
    assert_int_equal (symlink (i % 2 ? "../one" : "../two", link), 0);
    assert_int_equal (read_again (self), 1);
    assert_int_equal (read_again (self), 0);
  }
}

static void
file_that_others_may_read_is_refused_although_it_is_remembered (void **state G_GNUC_UNUSED)
{
  g_autofree char *path = NULL;

  MEMORY_OR_SKIP (self);
  path = ks_test_path (self->host->directory, NAME);
  assert_int_equal (chmod (path, 0644), 0);
  assert_int_equal (read_again (self), 0);
}

/* --- what is not remembered --- */

static void
file_that_has_just_changed_is_not_remembered (void **state G_GNUC_UNUSED)
{
  MEMORY_OR_SKIP (self);
  write_vpn (self, "etc/new.nmconnection", KS_TEST_UUID_2, STRICT);
  self->age = (gint64) ks_stamp_settled_s - 2; /* the file may be a second old by now */
  assert_int_equal (read_again (self), 1);
  assert_int_equal (read_again (self), 1);
  self->age = 10;
  assert_int_equal (read_again (self), 1);
  assert_int_equal (read_again (self), 0);
}

static void
nothing_is_remembered_once_the_clock_was_set (void **state G_GNUC_UNUSED)
{
  static const gint64 steps[] = { -3600, 3600, -2, 2 };

  for (guint i = 0; i < G_N_ELEMENTS (steps); i++) {
    MEMORY_OR_SKIP (self);
    self->age = 3700;
    clock_set_by = steps[i];
    assert_int_equal (read_again (self), 1);
    assert_int_equal (read_again (self), 0);
  }
  clock_set_by = 0;
}

static void
errors_and_warnings_are_repeated (void **state G_GNUC_UNUSED)
{
  MEMORY_OR_SKIP (self);
  write_vpn (self, "etc/mode.nmconnection", KS_TEST_UUID_2, "[user]\nnm-killswitch.mode=strickt\n");
  write_vpn (self, "etc/zone.nmconnection", KS_TEST_UUID_3, "zone=kilswitch\n");
  assert_int_equal (read_again (self), 1);
  assert_int_equal (read_again (self), 1);
}

/* firewalld's file made it no misspelling. */
static void
zone_that_firewalld_no_longer_knows_is_warned_of (void **state G_GNUC_UNUSED)
{
  g_autofree char *text = NULL;

  MEMORY_OR_SKIP (self);
  ks_test_host_write (self->host, "zones/kilswitch.xml", "<zone/>");
  write_vpn (self, "etc/zone.nmconnection", KS_TEST_UUID_2, "zone=kilswitch\n");
  assert_int_equal (read_again (self), 0);
  ks_test_host_remove (self->host, "zones/kilswitch.xml");
  assert_int_equal (read_again (self), 0);
  text = read_with (self, NULL);
  assert_non_null (strstr (text, "did you mean"));
}

static void
memory_of_another_configuration_is_not_used (void **state G_GNUC_UNUSED)
{
  MEMORY_OR_SKIP (self);
  g_strfreev (self->config->session_zones);
  self->config->session_zones = g_strsplit ("other", " ", -1);
  assert_int_equal (read_again (self), 1);
  assert_int_equal (read_again (self), 0);
  self->config->is_unreadable = TRUE;
  assert_int_equal (read_again (self), 1);
}

static void
memory_that_is_to_be_forgotten_is_not_used (void **state G_GNUC_UNUSED)
{
  MEMORY_OR_SKIP (self);
  {
    g_autoptr (KsProfileMemory) memory =
      ks_profile_memory_new (self->memory, self->config, g_get_real_time () / G_USEC_PER_SEC + 10, TRUE);
    g_autofree char *text = NULL;

    reads = 0;
    text = read_with (self, memory);
    assert_int_equal (reads, 1);
    ks_profile_memory_write (memory);
  }
  assert_int_equal (read_again (self), 0);
}

static void
write_memory (Fixture *self, const char *bytes, gsize length)
{
  assert_true (g_file_set_contents (self->memory, bytes, (gssize) length, NULL));
}

static void
malformed_memory_is_not_used (void **state G_GNUC_UNUSED)
{
  g_autofree char *bytes = NULL;
  g_autofree char *longer = NULL;
  gsize length = 0;

  MEMORY_OR_SKIP (self);
  assert_true (g_file_get_contents (self->memory, &bytes, &length, NULL));
  for (gsize cut = 0; cut < length; cut++) {
    write_memory (self, bytes, cut);
    /* less the only entry it is a memory, of nothing */
    assert_int_equal (read_again (self), 1);
  }
  longer = g_malloc (2 * length);
  memcpy (longer, bytes, length);
  memcpy (longer + length, bytes, length);
  write_memory (self, longer, length + 1);
  assert_int_equal (read_again (self), 1);
  write_memory (self, longer, 2 * length);
  assert_int_equal (read_again (self), 1);
  write_memory (self, bytes, length);
  assert_int_equal (read_again (self), 0);
}

static void
memory_that_cannot_be_written_is_not_needed (void **state G_GNUC_UNUSED)
{
  g_autoptr (Fixture) self = fixture_new ();

  g_free (self->memory);
  self->memory = ks_test_path (self->host->directory, "nowhere/memory");
  write_vpn (self, NAME, KS_TEST_UUID_1, STRICT);
  assert_int_equal (read_again (self), 1);
  assert_int_equal (read_again (self), 1);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (profile_that_has_not_changed_is_not_read_again),
    cmocka_unit_test (remembered_profile_is_the_one_that_was_read),
    cmocka_unit_test (profile_is_forgotten_with_its_file),
    cmocka_unit_test (file_overwritten_with_its_old_size_and_time_is_read_again),
    cmocka_unit_test (profile_that_gets_or_loses_the_setting_is_read_again),
    cmocka_unit_test (profile_without_a_setting_that_gets_one_is_read_again),
    cmocka_unit_test (file_that_takes_the_place_of_another_is_read),
    cmocka_unit_test (link_that_leads_elsewhere_is_read_again),
    cmocka_unit_test (file_that_others_may_read_is_refused_although_it_is_remembered),
    cmocka_unit_test (file_that_has_just_changed_is_not_remembered),
    cmocka_unit_test (nothing_is_remembered_once_the_clock_was_set),
    cmocka_unit_test (errors_and_warnings_are_repeated),
    cmocka_unit_test (zone_that_firewalld_no_longer_knows_is_warned_of),
    cmocka_unit_test (memory_of_another_configuration_is_not_used),
    cmocka_unit_test (memory_that_is_to_be_forgotten_is_not_used),
    cmocka_unit_test (malformed_memory_is_not_used),
    cmocka_unit_test (memory_that_cannot_be_written_is_not_needed),
  };
  KsLibnm *libnm = (KsLibnm *) ks_profile_libnm (NULL);

  assert_non_null (libnm);
  read_by_libnm = libnm->nm_keyfile_read;
  libnm->nm_keyfile_read = count_read;
  return cmocka_run_group_tests (tests, NULL, NULL);
}
