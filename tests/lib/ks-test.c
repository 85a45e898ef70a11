/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test.h"
#include "input/ks-profile-read.h"

#include <errno.h>
#include <fcntl.h>
#include <glib/gstdio.h>
#include <sys/stat.h>
#include <unistd.h>

KsPrefix
ks_test_prefix (const char *text)
{
  KsPrefix prefix = KS_PREFIX_UNSET;

  assert_true (ks_prefix_parse (text, &prefix, NULL));
  return prefix;
}

GArray *
ks_test_prefixes (const char *words)
{
  GArray *prefixes = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  g_auto (GStrv) list = g_strsplit (words, " ", -1);

  for (char **word = list; *word; word++)
    if (**word) {
      KsPrefix prefix = ks_test_prefix (*word);

      g_array_append_val (prefixes, prefix);
    }
  return prefixes;
}

char *
ks_test_format_prefixes (const GArray *prefixes)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < prefixes->len; i++) {
    g_autofree char *text = ks_prefix_format (&g_array_index (prefixes, KsPrefix, i));

    g_string_append_printf (out, "%s%s", i ? " " : "", text);
  }
  return g_string_free (out, FALSE);
}

GPtrArray *
ks_test_errors_new (void)
{
  return g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);
}

char *
ks_test_format_errors (const GPtrArray *errors)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < errors->len; i++)
    g_string_append_printf (out, "%s\n", ((const GError *) errors->pdata[i])->message);
  return g_string_free (out, FALSE);
}

KsTestDirectory *
ks_test_directory_new (void)
{
  KsTestDirectory *self = g_new0 (KsTestDirectory, 1);

  self->path = g_dir_make_tmp ("ks-test-XXXXXX", NULL);
  assert_non_null (self->path);
  return self;
}

static void
remove_tree (const char *path)
{
  g_autoptr (GDir) dir = NULL;
  const char *name;

  if (!g_file_test (path, G_FILE_TEST_IS_SYMLINK) && g_file_test (path, G_FILE_TEST_IS_DIR)) {
    chmod (path, 0700);
    dir = g_dir_open (path, 0, NULL);
  }
  while (dir && (name = g_dir_read_name (dir))) {
    g_autofree char *child = g_build_filename (path, name, NULL);

    remove_tree (child);
  }
  g_remove (path);
}

void
ks_test_directory_free (KsTestDirectory *self)
{
  remove_tree (self->path);
  g_free (self->path);
  g_free (self);
}

char *
ks_test_path (const KsTestDirectory *self, const char *name)
{
  return g_build_filename (self->path, name, NULL);
}

char *
ks_test_write_bytes (const KsTestDirectory *self, const char *name, const void *bytes, gsize length)
{
  char *path = ks_test_path (self, name);
  g_autofree char *parent = g_path_get_dirname (path);

  assert_int_equal (g_mkdir_with_parents (parent, 0700), 0);
  /* CONTENTS_NONE would leave the rest of a longer file that is there (GLib 2.74) */
  assert_true (g_file_set_contents_full (path, bytes, (gssize) length, G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL));
  assert_int_equal (chmod (path, 0600), 0);
  return path;
}

char *
ks_test_write (const KsTestDirectory *self, const char *name, const char *text)
{
  return ks_test_write_bytes (self, name, text, strlen (text));
}

void
ks_test_set_time (const KsTestDirectory *self, const char *name, gint64 seconds)
{
  g_autofree char *path = ks_test_path (self, name);
  const struct timespec times[2] = { { .tv_sec = seconds }, { .tv_sec = seconds } };

  assert_int_equal (utimensat (AT_FDCWD, path, times, AT_SYMLINK_NOFOLLOW), 0);
}

char *
ks_test_wireguard (const char *uuid, const char *connection, const char *more)
{
  return g_strdup_printf ("[connection]\nid=wg\nuuid=%s\ntype=wireguard\ninterface-name=wg0\n%s"
                          "\n[wireguard]\nprivate-key=yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=\n"
                          "listen-port=51820\n\n"
                          "[wireguard-peer.xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg=]\n"
                          "endpoint=203.0.113.10:51820\nallowed-ips=0.0.0.0/0;::/0;10.99.0.0/16;\n\n"
                          "[ipv4]\nmethod=manual\naddress1=10.8.0.2/24\ndns=10.8.0.1;\n\n"
                          "[ipv6]\nmethod=disabled\n\n%s",
                          uuid, connection, more);
}

char *
ks_test_openvpn (const char *uuid, const char *connection, const char *data)
{
  return g_strdup_printf ("[connection]\nid=ovpn\nuuid=%s\ntype=vpn\n%s"
                          "\n[vpn]\nservice-type=org.freedesktop.NetworkManager.openvpn\nconnection-type=tls\n%s\n"
                          "[ipv4]\nmethod=auto\n\n[ipv6]\nmethod=auto\n",
                          uuid, connection, data);
}

/* A path of the host that lives as long as it (transfer none). */
static const char *
host_path (KsTestHost *self, const char *name)
{
  char *path = ks_test_path (self->directory, name);

  g_ptr_array_add (self->strings, path);
  return path;
}

KsTestHost *
ks_test_host_new (void)
{
  KsTestHost *self = g_new0 (KsTestHost, 1);

  self->directory = ks_test_directory_new ();
  self->strings = g_ptr_array_new_with_free_func (g_free);
  self->profiles[0] = (KsProfileDirectory){ host_path (self, "run"), .tombstones = TRUE };
  self->profiles[1] =
    (KsProfileDirectory){ host_path (self, "etc"), .any_name = TRUE, .tombstones = TRUE, .is_configured = TRUE };
  self->profiles[2] = (KsProfileDirectory){ host_path (self, "lib") };
  self->zones[0] = host_path (self, "zones");
  self->paths = (KsPaths){
    .config = host_path (self, "config"),
    .profiles = self->profiles,
    .nm_config = { .main = { host_path (self, "nm/old.conf"), host_path (self, "nm/main.conf") },
                   .lib = host_path (self, "nm/lib"),
                   .run = host_path (self, "nm/run"),
                   .etc = host_path (self, "nm/etc") },
    .state = host_path (self, "state/state"),
    .runtime = host_path (self, "runtime"),
    .command_line = host_path (self, "cmdline"),
    .boot_id = host_path (self, "boot_id"),
    .zones = self->zones,
  };
  ks_test_host_write (self, "cmdline", "BOOT_IMAGE=/vmlinuz root=/dev/vda1 quiet\n");
  ks_test_host_write (self, "boot_id", "aaaaaaaa-0000-4000-8000-000000000001\n");
  return self;
}

void
ks_test_host_free (KsTestHost *self)
{
  ks_test_directory_free (self->directory);
  g_ptr_array_unref (self->strings);
  g_free (self);
}

void
ks_test_host_write (const KsTestHost *self, const char *name, const char *text)
{
  g_autofree char *path = ks_test_write (self->directory, name, text);

  assert_non_null (path);
}

void
ks_test_host_remove (const KsTestHost *self, const char *name)
{
  g_autofree char *path = ks_test_path (self->directory, name);

  assert_int_equal (g_unlink (path), 0);
}
