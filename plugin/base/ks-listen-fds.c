/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/ks-listen-fds.h"

#include <fcntl.h>
#include <unistd.h>

static gboolean
read_number (const char *name, guint64 most, guint64 *number)
{
  const char *text = g_getenv (name);

  return text && g_ascii_string_to_unsigned (text, 10, 1, most, number, NULL);
}

guint
ks_listen_fds (guint most)
{
  guint64 pid, count;

  if (!read_number ("LISTEN_PID", G_MAXINT, &pid) || pid != (guint64) getpid ()
      || !read_number ("LISTEN_FDS", G_MAXINT - KS_LISTEN_FDS_START, &count))
    return 0;
  count = MIN (count, most);
  for (int fd = KS_LISTEN_FDS_START; fd < KS_LISTEN_FDS_START + (int) count; fd++) {
    int flags = fcntl (fd, F_GETFD);

    if (flags < 0 || fcntl (fd, F_SETFD, flags | FD_CLOEXEC) < 0)
      return 0;
  }
  return (guint) count;
}
