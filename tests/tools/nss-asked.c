/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A name service (libnss_asked.so.2, "asked" in /etc/nsswitch.conf) that knows
 * no names and writes each question to /run/asked. It stands for one that waits
 * for the network.
 */
#include <fcntl.h>
#include <nss.h>
#include <stdio.h>
#include <unistd.h>

static enum nss_status
write_down (const char *question)
{
  int file = open ("/run/asked", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);

  dprintf (file, "%s\n", question);
  close (file);
  return NSS_STATUS_NOTFOUND;
}

/* They take arguments, but look at none. */
#define QUESTION(name) \
  enum nss_status _nss_asked_##name (void); \
  enum nss_status _nss_asked_##name (void) \
  { \
    return write_down (#name); \
  }

/* clang-format off */
QUESTION (getpwnam_r)
QUESTION (getpwuid_r)
QUESTION (getgrnam_r)
QUESTION (getgrgid_r)
QUESTION (initgroups_dyn)
QUESTION (getservbyname_r)
QUESTION (getservbyport_r)
QUESTION (getprotobyname_r)
QUESTION (getprotobynumber_r)
QUESTION (gethostbyname_r)
QUESTION (gethostbyname2_r)
QUESTION (gethostbyname3_r)
QUESTION (gethostbyname4_r)
QUESTION (gethostbyaddr_r)
QUESTION (gethostbyaddr2_r)
/* clang-format on */
