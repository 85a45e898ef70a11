/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "input/ks-resolve.h"

#include <gio/gio.h>

#include "input/ks-wait.h"
#include "value/ks-prefix.h"

typedef struct {
  KsAnswers *answers;
  KsAliasFunc ask_aliases;
  GMainLoop *loop;
  guint pending;
  gboolean is_news;
} Resolving;

typedef struct {
  Resolving *resolving;
  char *host;
} Query;

/* What a thread needs. */
typedef struct {
  KsAliasFunc ask;
  char *host;
} Job;

static void
end_query (Query *query)
{
  if (--query->resolving->pending == 0)
    g_main_loop_quit (query->resolving->loop);
  g_free (query->host);
  g_free (query);
}

static void
on_answer (GObject *source, GAsyncResult *result, gpointer user_data)
{
  Query *query = user_data;
  Resolving *resolving = query->resolving;
  g_autoptr (GArray) addresses = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  GList *answers = g_resolver_lookup_by_name_finish (G_RESOLVER (source), result, NULL);

  for (GList *answer = answers; answer; answer = answer->next) {
    int family = g_inet_address_get_family (answer->data) == G_SOCKET_FAMILY_IPV6 ? AF_INET6 : AF_INET;
    KsPrefix address =
      ks_prefix_from_bytes (family, g_inet_address_to_bytes (answer->data), ks_prefix_full_length (family));

    ks_prefix_array_add (addresses, &address);
  }
  g_resolver_free_addresses (answers);
  if (addresses->len > 0 && ks_answers_add (resolving->answers, query->host, addresses))
    resolving->is_news = TRUE;
  end_query (query);
}

/* In a thread: the query may be gone by the time there is an answer. */
static void
ask_aliases (GTask *task, gpointer source G_GNUC_UNUSED, gpointer task_data, GCancellable *cancellable G_GNUC_UNUSED)
{
  const Job *job = task_data;

  g_task_return_pointer (task, job->ask (job->host), (GDestroyNotify) g_ptr_array_unref);
}

static void
on_aliases (GObject *source G_GNUC_UNUSED, GAsyncResult *result, gpointer user_data)
{
  Query *query = user_data;
  g_autoptr (GPtrArray) aliases = g_task_propagate_pointer (G_TASK (result), NULL);

  if (aliases && ks_answers_set_aliases (query->resolving->answers, query->host, aliases))
    query->resolving->is_news = TRUE;
  end_query (query);
}

static Query *
new_query (Resolving *resolving, const char *host)
{
  Query *query = g_new0 (Query, 1);

  query->resolving = resolving;
  query->host = g_strdup (host);
  resolving->pending++;
  return query;
}

static void
job_free (gpointer data)
{
  Job *job = data;

  g_free (job->host);
  g_free (job);
}

static void
start_asking_aliases (Resolving *resolving, const char *host, GCancellable *cancellable)
{
  g_autoptr (GTask) task = g_task_new (NULL, cancellable, on_aliases, new_query (resolving, host));
  Job *job = g_new0 (Job, 1);

  job->ask = resolving->ask_aliases;
  job->host = g_strdup (host);
  g_task_set_task_data (task, job, job_free);
  g_task_set_return_on_cancel (task, TRUE);
  /* the threads are GResolver's too: addresses come first */
  g_task_set_priority (task, G_PRIORITY_LOW);
  g_task_run_in_thread (task, ask_aliases);
}

gboolean
ks_resolve_hosts (const GPtrArray *hosts, KsAliasFunc ask, guint timeout_ms, KsAnswers *answers)
{
  g_autoptr (GResolver) resolver = NULL;
  Resolving resolving = { .answers = answers, .ask_aliases = ask };
  KsWait wait;

  if (hosts->len == 0)
    return FALSE;
  ks_wait_init (&wait, timeout_ms);
  resolver = g_resolver_get_default ();

  resolving.loop = wait.loop;
  for (guint i = 0; i < hosts->len; i++) {
    const char *host = hosts->pdata[i];

    g_resolver_lookup_by_name_async (resolver, host, wait.cancellable, on_answer, new_query (&resolving, host));
    start_asking_aliases (&resolving, host, wait.cancellable);
  }
  /* after the time limit every query ends as cancelled; threads that still wait end with the process */
  g_main_loop_run (wait.loop);
  ks_wait_clear (&wait);
  return resolving.is_news;
}
