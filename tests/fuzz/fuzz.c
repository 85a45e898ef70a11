/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fuzz.h"

#include <fcntl.h>
#include <glib/gstdio.h>
#include <linux/netlink.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char *directory;
static GPtrArray *paths; /* what is in it */

static void
remove_directory (void)
{
  for (guint i = 0; i < paths->len; i++)
    g_unlink (paths->pdata[i]);
  g_rmdir (directory);
  g_ptr_array_unref (paths);
  g_free (directory);
}

const char *
fuzz_directory (void)
{
  if (directory)
    return directory;
  directory =
    g_build_filename (g_access ("/dev/shm", W_OK) == 0 ? "/dev/shm" : g_get_tmp_dir (), "ks-fuzz-XXXXXX", NULL);
  g_assert (g_mkdtemp (directory));
  paths = g_ptr_array_new_with_free_func (g_free);
  atexit (remove_directory);
  return directory;
}

const char *
fuzz_file (const char *name, const uint8_t *data, size_t size)
{
  g_autofree char *path = g_build_filename (fuzz_directory (), name, NULL);
  guint index;
  int file = open (path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

  g_assert (file >= 0);
  g_assert (write (file, data, size) == (ssize_t) size);
  close (file);
  if (!g_ptr_array_find_with_equal_func (paths, path, g_str_equal, &index)) {
    g_ptr_array_add (paths, g_steal_pointer (&path));
    index = paths->len - 1;
  }
  return paths->pdata[index];
}

void
fuzz_check_messages (const GPtrArray *errors)
{
  for (guint i = 0; i < errors->len; i++) {
    const char *message = ((const GError *) errors->pdata[i])->message;

    g_assert (g_utf8_validate (message, -1, NULL));
    for (const char *p = message; *p; p = g_utf8_next_char (p))
      g_assert (g_unichar_isprint (g_utf8_get_char (p)));
  }
}

struct nlmsghdr *
fuzz_message (int type, const uint8_t *data, size_t size)
{
  struct nlmsghdr *message = g_malloc0 (NLMSG_HDRLEN + size);

  message->nlmsg_len = NLMSG_HDRLEN + size;
  message->nlmsg_type = type;
  if (size > 0)
    memcpy ((char *) message + NLMSG_HDRLEN, data, size);
  return message;
}
