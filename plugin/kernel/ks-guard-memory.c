/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why this misses no change.
 *
 * Each transaction of nftables, whoever makes it and whatever it is about, gives
 * the network namespace's ruleset the next generation number
 * (nf_tables_commit(), net/netfilter/nf_tables_api.c), and nothing but a
 * transaction changes what the digest covers. The exceptions do not apply:
 * counters and the state of limits, which the digest leaves out; elements that
 * packets add or that time out, which our sets do not have; and tables that
 * vanish with the program that owns them, which ours is not and cannot become.
 * So while the number is the one at which the guard was read, the guard is as it
 * was read.
 *
 *   - SO_NETNS_COOKIE, which no other namespace gets until the next boot, and the
 *     boot ID tell which namespace the number belongs to.
 *   - The number has 32 bits. To reach the same one again takes four thousand
 *     million transactions, which is hours of nothing else; after some minutes
 *     the guard is read again in any case.
 *   - All of the guard was read at one generation (ks_guard_readback()).
 *   - The record of what was installed is another file: that one says what the
 *     digest has to be, this one what it is.
 */
#include "kernel/ks-guard-memory.h"

#include <glib/gstdio.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

#define BOOT_ID "/proc/sys/kernel/random/boot_id"
#define MAX_AGE_S 600
#define DIGEST_LENGTH 64

/* "BOOT NAMESPACE GENERATION SECONDS DIGEST": seconds of CLOCK_BOOTTIME. */
static char *
path_of (const char *state_path)
{
  return g_strconcat (state_path, ".read", NULL);
}

static gint64
seconds_since_boot (void)
{
  struct timespec now;

  clock_gettime (CLOCK_BOOTTIME, &now);
  return now.tv_sec;
}

/* The beginning of a record made now (transfer full); NULL if it cannot be told. */
static char *
format_place (guint64 namespace, guint32 generation)
{
  g_autofree char *boot = NULL;

  if (!g_file_get_contents (BOOT_ID, &boot, NULL, NULL) || !*g_strstrip (boot))
    return NULL;
  return g_strdup_printf ("%s %" PRIu64 " %" PRIu32 " ", boot, namespace, generation);
}

static gboolean
is_digest (const char *text)
{
  return strlen (text) == DIGEST_LENGTH && strspn (text, "0123456789abcdef") == DIGEST_LENGTH;
}

char *
ks_guard_memory_recall (const char *state_path)
{
  g_autofree char *path = state_path ? path_of (state_path) : NULL;
  g_autofree char *text = NULL;
  g_autofree char *place = NULL;
  g_auto (GStrv) words = NULL;
  guint64 namespace;
  guint32 generation;
  gint64 then, now = seconds_since_boot ();

  if (!path || !g_file_get_contents (path, &text, NULL, NULL) || !ks_guard_readback_present (&generation, &namespace))
    return NULL;
  place = format_place (namespace, generation);
  if (!place || !g_str_has_prefix (text, place))
    return NULL;
  words = g_strsplit (text + strlen (place), " ", -1);
  if (g_strv_length (words) != 2 || !g_ascii_string_to_signed (words[0], 10, 0, now, &then, NULL)
      || now - then > MAX_AGE_S || !is_digest (words[1]))
    return NULL;
  return g_strdup (words[1]);
}

void
ks_guard_memory_note (const char *state_path, const KsGuardReadback *kernel)
{
  g_autofree char *path = state_path ? path_of (state_path) : NULL;
  g_autofree char *place = NULL;
  g_autofree char *text = NULL;
  guint64 namespace;
  guint32 generation;

  if (!path || !kernel->present || !ks_guard_readback_present (&generation, &namespace)
      || generation != kernel->generation)
    return;
  place = format_place (namespace, generation);
  if (!place)
    return;
  text = g_strdup_printf ("%s%" PRId64 " %s", place, seconds_since_boot (), kernel->digest);
  g_file_set_contents_full (path, text, -1, G_FILE_SET_CONTENTS_CONSISTENT, 0600, NULL);
}

void
ks_guard_memory_forget (const char *state_path)
{
  g_autofree char *path = path_of (state_path);

  g_unlink (path);
}
