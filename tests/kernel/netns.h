/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A throw-away network namespace per test, and `ip` in it. As root, or as an
 * ordinary user in a user namespace; where the system allows neither, a test
 * is skipped and says why.
 */
#pragma once

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static inline gboolean
netns_write_file (const char *path, const char *text)
{
  int file = open (path, O_WRONLY | O_CLOEXEC);
  gboolean is_written = file >= 0 && write (file, text, strlen (text)) == (ssize_t) strlen (text);

  if (file >= 0)
    close (file);
  return is_written;
}

/* A user namespace in which this user is root; once per process. */
static inline gboolean
netns_become_root (void)
{
  g_autofree char *uids = g_strdup_printf ("0 %u 1", (unsigned) geteuid ());
  g_autofree char *gids = g_strdup_printf ("0 %u 1", (unsigned) getegid ());

  if (unshare (CLONE_NEWUSER) < 0) {
    print_message ("skipped: no user namespace: %s\n", g_strerror (errno));
    return FALSE;
  }
  if (!netns_write_file ("/proc/self/setgroups", "deny") || !netns_write_file ("/proc/self/uid_map", uids)
      || !netns_write_file ("/proc/self/gid_map", gids)) {
    print_message ("skipped: the user namespace's maps cannot be written: %s\n", g_strerror (errno));
    return FALSE;
  }
  return TRUE;
}

/* Runs @argv; its exit status, or -1 (@out, nullable: standard output, transfer full). */
static inline int
netns_spawn (char **argv, char **out, char **messages)
{
  g_autoptr (GError) error = NULL;
  int status = -1;

  if (!g_spawn_sync (NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, out, messages, &status, &error)) {
    if (messages)
      *messages = g_strdup (error->message);
    return -1;
  }
  return WIFEXITED (status) ? WEXITSTATUS (status) : -1;
}

static inline char **netns_words (const char *format, va_list arguments) G_GNUC_PRINTF (1, 0);

static inline char **
netns_words (const char *format, va_list arguments)
{
  g_autofree char *line = g_strdup_vprintf (format, arguments);
  g_autoptr (GError) error = NULL;
  char **argv = NULL;

  if (!g_shell_parse_argv (line, NULL, &argv, &error))
    fail_msg ("%s: %s", line, error->message);
  return argv;
}

/* Runs a command without a shell; it has to succeed. Returns its standard output (transfer full). */
static inline char *G_GNUC_PRINTF (1, 2) netns_output (const char *format, ...)
{
  g_autofree char *messages = NULL;
  g_auto (GStrv) argv = NULL;
  char *out = NULL;
  va_list arguments;
  int status;

  va_start (arguments, format);
  argv = netns_words (format, arguments);
  va_end (arguments);
  status = netns_spawn (argv, &out, &messages);
  if (status != 0) {
    g_autofree char *line = g_strjoinv (" ", argv);

    fail_msg ("%s: exit status %d: %s", line, status, messages);
  }
  return out;
}

/* Runs a command that has to succeed. */
#define netns_run(...) g_free (netns_output (__VA_ARGS__))

/* Runs a command that may fail; returns its exit status. */
static inline int G_GNUC_PRINTF (1, 2) netns_try (const char *format, ...)
{
  g_autofree char *messages = NULL;
  g_autofree char *out = NULL;
  g_auto (GStrv) argv = NULL;
  va_list arguments;

  va_start (arguments, format);
  argv = netns_words (format, arguments);
  va_end (arguments);
  return netns_spawn (argv, &out, &messages);
}

/* Whether users other than root exist in this user namespace: a rule can name no other. */
static inline gboolean
netns_has_users (void)
{
  g_autofree char *map = NULL;

  assert_true (g_file_get_contents ("/proc/self/uid_map", &map, NULL, NULL));
  return strstr (map, "4294967295") != NULL;
}

/* Moves this process into a new, empty network namespace with the loopback device up; the one before it goes. */
static inline gboolean
netns_enter (void)
{
  static gboolean is_prepared = FALSE;

  if (!is_prepared) {
    g_autofree char *path = g_strconcat ("/usr/sbin:/sbin:", g_getenv ("PATH"), NULL);

    g_setenv ("PATH", path, TRUE);
    g_log_set_always_fatal (G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_ERROR);
    if (geteuid () != 0 && !netns_become_root ())
      return FALSE;
    is_prepared = TRUE;
  }
  if (unshare (CLONE_NEWNET) < 0) {
    print_message ("skipped: no network namespace: %s\n", g_strerror (errno));
    return FALSE;
  }
  netns_run ("ip link set lo up");
  /* the tests' WireGuard ports: a socket of root's that the kernel gave one would pass for the VPN's transport */
  assert_true (netns_write_file ("/proc/sys/net/ipv4/ip_local_reserved_ports", "51820-51821"));
  return TRUE;
}

/* Moves this process into a mount namespace in which /etc, /run and /var/lib are empty file systems. */
static inline gboolean
netns_enter_own_files (void)
{
  static const char *const places[] = { "/etc", "/run", "/var/lib" };

  if (unshare (CLONE_NEWNS) < 0 || mount (NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) {
    print_message ("skipped: no mount namespace: %s\n", g_strerror (errno));
    return FALSE;
  }
  for (guint i = 0; i < G_N_ELEMENTS (places); i++)
    if (mount ("tmpfs", places[i], "tmpfs", 0, "mode=755,size=4m") < 0) {
      print_message ("skipped: no file system of our own on %s: %s\n", places[i], g_strerror (errno));
      return FALSE;
    }
  return TRUE;
}

/* Under QEMU's user mode (tests/arch) too: it hands netlink through for some of the kernel's messages only. */
#define NETNS_ENTER_OR_SKIP() \
  do { \
    if (g_getenv ("KS_EMULATED") || !netns_enter ()) \
      skip (); \
  } while (0)

/* All rules and routes of both families, as `ip` prints them (transfer full). */
static inline char *
netns_everything (void)
{
  static const char *const commands[] = {
    "ip -N -4 rule show",
    "ip -N -6 rule show",
    "ip -N -4 route show table all",
    "ip -N -6 route show table all",
  };
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < G_N_ELEMENTS (commands); i++) {
    g_autofree char *text = netns_output ("%s", commands[i]);

    g_string_append (out, text);
  }
  return g_string_free (out, FALSE);
}

/* The kernel adds addresses' routes and notices carriers a little later: waits until nothing moves any more. */
static inline void
netns_settle (void)
{
  enum { STEP_US = 15000, QUIET = 4, TRIES = 200 };
  g_autofree char *last = netns_everything ();

  for (int i = 0, quiet = 0; i < TRIES && quiet < QUIET; i++) {
    char *now;

    g_usleep (STEP_US);
    now = netns_everything ();
    quiet = strcmp (now, last) == 0 ? quiet + 1 : 0;
    g_free (last);
    last = now;
  }
}

/* --- the little JSON that `ip -j` prints: an array of objects, on one line --- */

/* The objects of the array @json, as text, in order (transfer full; of char*). */
static inline GPtrArray *
netns_json_objects (const char *json)
{
  GPtrArray *objects = g_ptr_array_new_with_free_func (g_free);
  const char *start = NULL;
  gboolean is_quoted = FALSE;
  int depth = 0;

  for (const char *p = json; *p; p++) {
    if (*p == '"')
      is_quoted = !is_quoted;
    else if (is_quoted)
      continue;
    else if (*p == '{' && depth++ == 0)
      start = p;
    else if (*p == '}' && --depth == 0)
      g_ptr_array_add (objects, g_strndup (start, p + 1 - start));
  }
  return objects;
}
