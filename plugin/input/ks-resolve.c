/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "input/ks-resolve.h"

#include <gio/gio.h>

#include "input/ks-wait.h"
#include "value/ks-answers.h"
#include "value/ks-prefix.h"

typedef struct {
  GHashTable *answers;
  GMainLoop *loop;
  guint pending;
  gboolean is_news;
} Resolving;

typedef struct {
  Resolving *resolving;
  char *host;
} Query;

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
  g_free (query->host);
  g_free (query);
  if (--resolving->pending == 0)
    g_main_loop_quit (resolving->loop);
}

gboolean
ks_resolve_hosts (const GPtrArray *hosts, guint timeout_ms, GHashTable *answers)
{
  g_autoptr (GResolver) resolver = NULL;
  Resolving resolving = { .answers = answers };
  KsWait wait;

  if (hosts->len == 0)
    return FALSE;
  ks_wait_init (&wait, timeout_ms);
  resolver = g_resolver_get_default ();

  resolving.loop = wait.loop;
  resolving.pending = hosts->len;
  for (guint i = 0; i < hosts->len; i++) {
    Query *query = g_new0 (Query, 1);

    query->resolving = &resolving;
    query->host = g_strdup (hosts->pdata[i]);
    g_resolver_lookup_by_name_async (resolver, query->host, wait.cancellable, on_answer, query);
  }
  /* after the time limit every query ends as cancelled; getaddrinfo()'s threads end with the process */
  g_main_loop_run (wait.loop);
  ks_wait_clear (&wait);
  return resolving.is_news;
}
