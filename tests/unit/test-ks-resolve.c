/* SPDX-License-Identifier: GPL-2.0-or-later */
/* With a resolver that is made up: nothing is asked outside of the test. */
#include "ks-test.h"

#include <gio/gio.h>

#include "input/ks-resolve.h"

/* --- the resolver --- */

#define TEST_TYPE_RESOLVER (test_resolver_get_type ())
G_DECLARE_FINAL_TYPE (TestResolver, test_resolver, TEST, RESOLVER, GResolver)

struct _TestResolver {
  GResolver parent;
  GHashTable *answers; /* name -> addresses between spaces; "never" for none, ever */
};

G_DEFINE_TYPE (TestResolver, test_resolver, G_TYPE_RESOLVER)

static void
on_cancelled (GCancellable *cancellable G_GNUC_UNUSED, gpointer user_data)
{
  g_task_return_error_if_cancelled (user_data);
  g_object_unref (user_data);
}

static void
lookup_async (GResolver *resolver, const char *name, GCancellable *cancellable, GAsyncReadyCallback callback,
              gpointer user_data)
{
  const char *answer = g_hash_table_lookup (TEST_RESOLVER (resolver)->answers, name);
  GTask *task = g_task_new (resolver, cancellable, callback, user_data);
  GList *list = NULL;
  g_auto (GStrv) words = NULL;

  if (g_strcmp0 (answer, "never") == 0) {
    g_signal_connect (cancellable, "cancelled", G_CALLBACK (on_cancelled), task);
    return;
  }
  words = g_strsplit (answer ? answer : "", " ", -1);
  for (char **word = words; *word; word++)
    list = g_list_append (list, g_inet_address_new_from_string (*word));
  if (list)
    g_task_return_pointer (task, list, (GDestroyNotify) g_resolver_free_addresses);
  else
    g_task_return_new_error (task, G_RESOLVER_ERROR, G_RESOLVER_ERROR_NOT_FOUND, "no such name");
  g_object_unref (task);
}

static GList *
lookup_finish (GResolver *resolver G_GNUC_UNUSED, GAsyncResult *result, GError **error)
{
  return g_task_propagate_pointer (G_TASK (result), error);
}

static void
test_resolver_finalize (GObject *object)
{
  g_hash_table_unref (TEST_RESOLVER (object)->answers);
  G_OBJECT_CLASS (test_resolver_parent_class)->finalize (object);
}

static void
test_resolver_class_init (TestResolverClass *class)
{
  G_OBJECT_CLASS (class)->finalize = test_resolver_finalize;
  G_RESOLVER_CLASS (class)->lookup_by_name_async = lookup_async;
  G_RESOLVER_CLASS (class)->lookup_by_name_finish = lookup_finish;
}

static void
test_resolver_init (TestResolver *self)
{
  self->answers = g_hash_table_new (g_str_hash, g_str_equal);
}

/* --- a test's state --- */

typedef struct {
  TestResolver *resolver;
  GResolver *before;
  KsAnswers *answers;
} Fixture;

/* What the names are aliases of, between spaces; asked by threads, changed while there are none. */
static const char *made_up_aliases;

static GPtrArray *
ask (const char *host)
{
  GPtrArray *aliases = g_ptr_array_new_with_free_func (g_free);
  g_auto (GStrv) words = g_strsplit (made_up_aliases ? made_up_aliases : "", " ", -1);

  if (g_str_equal (host, "silent.example")) {
    g_ptr_array_unref (aliases);
    return NULL;
  }
  for (char **word = words; *word; word++)
    if (**word)
      g_ptr_array_add (aliases, g_strdup (*word));
  return aliases;
}

static int
setup (void **state)
{
  Fixture *f = g_new0 (Fixture, 1);

  f->before = g_resolver_get_default ();
  f->resolver = g_object_new (TEST_TYPE_RESOLVER, NULL);
  g_resolver_set_default (G_RESOLVER (f->resolver));
  f->answers = ks_answers_new ();
  *state = f;
  return 0;
}

static int
teardown (void **state)
{
  Fixture *f = *state;

  g_resolver_set_default (f->before);
  g_object_unref (f->before);
  g_object_unref (f->resolver);
  ks_answers_free (f->answers);
  made_up_aliases = NULL;
  g_free (f);
  return 0;
}

static void
set_answer (Fixture *f, const char *name, const char *answer)
{
  g_hash_table_insert (f->resolver->answers, (gpointer) name, (gpointer) answer);
}

/* Asks for the names between spaces. */
static gboolean
resolve (Fixture *f, const char *names, guint timeout_ms)
{
  g_autoptr (GPtrArray) hosts = g_ptr_array_new_with_free_func (g_free);
  g_auto (GStrv) words = g_strsplit (names, " ", -1);

  for (char **word = words; *word; word++)
    if (**word)
      g_ptr_array_add (hosts, g_strdup (*word));
  return ks_resolve_hosts (hosts, ask, timeout_ms, f->answers);
}

static void
assert_known (const Fixture *f, const char *name, const char *expected)
{
  const GArray *known = g_hash_table_lookup (f->answers->addresses, name);
  g_autofree char *text = known ? ks_test_format_prefixes (known) : g_strdup ("nothing");

  assert_string_equal (text, expected);
}

static void
assert_aliases (const Fixture *f, const char *name, const char *expected)
{
  const GPtrArray *known = g_hash_table_lookup (f->answers->aliases, name);
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; known && i < known->len; i++)
    g_string_append_printf (text, "%s%s", i ? " " : "", (const char *) known->pdata[i]);
  assert_string_equal (text->str, expected);
}

/* --- claims --- */

static void
resolve_asks_nobody_for_nothing (void **state)
{
  assert_false (resolve (*state, "", 1000));
}

static void
resolve_keeps_answers_of_both_families (void **state)
{
  Fixture *f = *state;

  set_answer (f, "a.example", "203.0.113.1 2001:db8::1");
  set_answer (f, "b.example", "203.0.113.2");
  assert_true (resolve (f, "a.example b.example", 1000));
  assert_known (f, "a.example", "203.0.113.1 2001:db8::1");
  assert_known (f, "b.example", "203.0.113.2");
}

static void
resolve_tells_what_is_news (void **state)
{
  Fixture *f = *state;

  set_answer (f, "a.example", "203.0.113.1");
  assert_true (resolve (f, "a.example", 1000));
  assert_false (resolve (f, "a.example", 1000));
  set_answer (f, "a.example", "203.0.113.9 203.0.113.1");
  assert_true (resolve (f, "a.example", 1000));
  assert_known (f, "a.example", "203.0.113.9 203.0.113.1");
}

static void
resolve_keeps_the_last_good_answer_when_there_is_none (void **state)
{
  Fixture *f = *state;

  set_answer (f, "a.example", "203.0.113.1");
  assert_true (resolve (f, "a.example", 1000));
  set_answer (f, "a.example", "");
  assert_false (resolve (f, "a.example", 1000));
  assert_known (f, "a.example", "203.0.113.1");
  assert_false (resolve (f, "unknown.example", 1000));
  assert_known (f, "unknown.example", "nothing");
}

static void
resolve_is_over_after_its_time_and_keeps_what_came (void **state)
{
  Fixture *f = *state;
  gint64 start = g_get_monotonic_time (), took_ms;

  set_answer (f, "slow.example", "never");
  set_answer (f, "slower.example", "never");
  set_answer (f, "quick.example", "203.0.113.1");
  assert_true (resolve (f, "slow.example quick.example slower.example", 100));
  took_ms = (g_get_monotonic_time () - start) / 1000;
  assert_true (took_ms >= 50);
  ks_test_assert_in_time (took_ms, 5000);
  assert_known (f, "quick.example", "203.0.113.1");
  assert_known (f, "slow.example", "nothing");
}

static void
resolve_keeps_the_aliases_it_was_told_last (void **state)
{
  Fixture *f = *state;

  made_up_aliases = "b.cdn.example c.cdn.example";
  assert_true (resolve (f, "a.example silent.example", 1000));
  assert_aliases (f, "a.example", "b.cdn.example c.cdn.example");
  assert_aliases (f, "silent.example", "");
  assert_false (resolve (f, "a.example", 1000));
  made_up_aliases = "d.cdn.example";
  assert_true (resolve (f, "a.example", 1000));
  assert_aliases (f, "a.example", "d.cdn.example");
  made_up_aliases = "";
  assert_true (resolve (f, "a.example", 1000));
  assert_aliases (f, "a.example", "");
}

#define resolver_test(name) cmocka_unit_test_setup_teardown (name, setup, teardown)

int
main (void)
{
  const struct CMUnitTest tests[] = {
    resolver_test (resolve_asks_nobody_for_nothing),
    resolver_test (resolve_keeps_answers_of_both_families),
    resolver_test (resolve_tells_what_is_news),
    resolver_test (resolve_keeps_the_last_good_answer_when_there_is_none),
    resolver_test (resolve_keeps_the_aliases_it_was_told_last),
    resolver_test (resolve_is_over_after_its_time_and_keeps_what_came),
  };

  return cmocka_run_group_tests_name ("ks-resolve", tests, NULL, NULL);
}
