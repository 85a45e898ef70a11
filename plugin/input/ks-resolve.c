/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The C library's resolver has no configurable time limit, so each name is
 * resolved in a thread. Threads that still wait when the time is up end with the
 * process; their results are ignored.
 *
 * Not by GResolver, which does the same: GIO takes longer to load than most
 * runs take (ks-bus-message.c).
 */
#include "input/ks-resolve.h"

#include <netdb.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "value/ks-prefix.h"

/* The number that GResolver uses. */
#define MAX_THREADS 10

/* What the threads share with the thread that waits for them. */
typedef struct {
  GMutex mutex;
  GCond came; /* an answer, or a failure */
  guint pending;
  gboolean is_over; /* nobody waits any more: @answers is gone */
  gboolean is_news;
  KsAnswers *answers;
  KsAliasFunc ask_aliases;
} Shared;

typedef struct {
  Shared *shared; /* a reference */
  char *host;
  gboolean is_about_aliases;
} Job;

static void
shared_clear (gpointer data)
{
  Shared *self = data;

  g_mutex_clear (&self->mutex);
  g_cond_clear (&self->came);
}

static void
job_free (Job *job)
{
  g_atomic_rc_box_release_full (job->shared, shared_clear);
  g_free (job->host);
  g_free (job);
}

/* Whether @host is the host itself, such as "localhost" and names below it: these are never queried (RFC 6761). */
static gboolean
is_localhost (const char *host)
{
  static const char name[] = "localhost";
  gsize length = strlen (host);

  if (length > 0 && host[length - 1] == '.')
    length--;
  if (length < strlen (name) || g_ascii_strncasecmp (host + length - strlen (name), name, strlen (name)) != 0)
    return FALSE;
  return length == strlen (name) || host[length - strlen (name) - 1] == '.';
}

static void
add_loopback (GArray *addresses)
{
  static const guint8 ipv4[] = { 127, 0, 0, 1 };
  KsPrefix address = ks_prefix_from_bytes (AF_INET, ipv4, 32);

  ks_prefix_array_add (addresses, &address);
  address = ks_prefix_from_bytes (AF_INET6, &in6addr_loopback, 128);
  ks_prefix_array_add (addresses, &address);
}

/* The addresses of @host (KsPrefix; transfer full). */
static GArray *
ask_addresses (const char *host)
{
  static const struct addrinfo hints = {
    .ai_family = AF_UNSPEC,
    .ai_socktype = SOCK_STREAM, /* each address once */
    .ai_protocol = IPPROTO_TCP,
    .ai_flags = AI_ADDRCONFIG,
  };
  GArray *addresses = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  g_autofree char *ascii = g_hostname_to_ascii (host);
  struct addrinfo *list = NULL;

  if (is_localhost (host)) {
    add_loopback (addresses);
    return addresses;
  }
  if (!ascii || getaddrinfo (ascii, NULL, &hints, &list) != 0)
    return addresses;
  for (const struct addrinfo *entry = list; entry; entry = entry->ai_next) {
    KsPrefix address;

    if (entry->ai_family == AF_INET)
      address =
        ks_prefix_from_bytes (AF_INET, &((const struct sockaddr_in *) (gconstpointer) entry->ai_addr)->sin_addr, 32);
    else if (entry->ai_family == AF_INET6)
      address = ks_prefix_from_bytes (AF_INET6,
                                      &((const struct sockaddr_in6 *) (gconstpointer) entry->ai_addr)->sin6_addr, 128);
    else
      continue;
    ks_prefix_array_add (addresses, &address);
  }
  freeaddrinfo (list);
  return addresses;
}

/* Runs in a thread. */
static void
run_job (gpointer data, gpointer user_data G_GNUC_UNUSED)
{
  Job *job = data;
  Shared *shared = job->shared;
  g_autoptr (GPtrArray) aliases = NULL;
  g_autoptr (GArray) addresses = NULL;
  gboolean is_over;

  g_mutex_lock (&shared->mutex);
  is_over = shared->is_over;
  g_mutex_unlock (&shared->mutex);
  if (!is_over && job->is_about_aliases)
    aliases = shared->ask_aliases (job->host);
  else if (!is_over)
    addresses = ask_addresses (job->host);

  g_mutex_lock (&shared->mutex);
  if (!shared->is_over && addresses && addresses->len > 0)
    shared->is_news |= ks_answers_add (shared->answers, job->host, addresses);
  if (!shared->is_over && aliases)
    shared->is_news |= ks_answers_set_aliases (shared->answers, job->host, aliases);
  shared->pending--;
  g_cond_signal (&shared->came);
  g_mutex_unlock (&shared->mutex);
  job_free (job);
}

static void
start (GThreadPool *pool, Shared *shared, const char *host, gboolean is_about_aliases)
{
  Job *job = g_new0 (Job, 1);

  job->shared = g_atomic_rc_box_acquire (shared);
  job->host = g_strdup (host);
  job->is_about_aliases = is_about_aliases;
  g_thread_pool_push (pool, job, NULL);
}

gboolean
ks_resolve_hosts (const GPtrArray *hosts, KsAliasFunc ask, guint timeout_ms, KsAnswers *answers)
{
  gint64 end = g_get_monotonic_time () + (gint64) timeout_ms * 1000;
  GThreadPool *pool;
  Shared *shared;
  gboolean is_news;

  if (hosts->len == 0)
    return FALSE;
  shared = g_atomic_rc_box_new0 (Shared);
  g_mutex_init (&shared->mutex);
  g_cond_init (&shared->came);
  shared->answers = answers;
  shared->ask_aliases = ask;
  shared->pending = 2 * hosts->len;
  pool = g_thread_pool_new (run_job, NULL, MAX_THREADS, FALSE, NULL);
  /* addresses come first */
  for (guint i = 0; i < hosts->len; i++)
    start (pool, shared, hosts->pdata[i], FALSE);
  for (guint i = 0; i < hosts->len; i++)
    start (pool, shared, hosts->pdata[i], TRUE);

  g_mutex_lock (&shared->mutex);
  while (shared->pending > 0 && g_cond_wait_until (&shared->came, &shared->mutex, end))
    ;
  shared->is_over = TRUE;
  is_news = shared->is_news;
  g_mutex_unlock (&shared->mutex);
  /* Threads that have not begun ask nobody now, and nobody waits for the rest. "Immediate" would free what GLib uses to
   * wake them. */
  g_thread_pool_free (pool, FALSE, FALSE);
  g_atomic_rc_box_release_full (shared, shared_clear);
  return is_news;
}
