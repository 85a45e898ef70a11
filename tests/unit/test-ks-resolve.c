/* SPDX-License-Identifier: GPL-2.0-or-later */
/* With a resolver that is made up: nothing is asked outside of the test. */
#include "ks-test.h"

#include <arpa/inet.h>
#include <netdb.h>

#include "input/ks-resolve.h"

/* --- the resolver --- */

/* name -> addresses between spaces; "never" for none, ever; changed while nobody asks. */
static GHashTable *made_up_addresses;

static struct addrinfo *
new_entry (const char *text)
{
  struct {
    struct addrinfo info;
    union {
      struct sockaddr_in in;
      struct sockaddr_in6 in6;
    } address;
  } *entry = calloc (1, sizeof *entry);

  entry->info.ai_addr = (struct sockaddr *) &entry->address;
  entry->info.ai_family = strchr (text, ':') ? AF_INET6 : AF_INET;
  if (entry->info.ai_family == AF_INET)
    inet_pton (AF_INET, text, &entry->address.in.sin_addr);
  else
    inet_pton (AF_INET6, text, &entry->address.in6.sin6_addr);
  return &entry->info;
}

/* In place of the C library's. */
int
getaddrinfo (const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
  const char *answer = g_hash_table_lookup (made_up_addresses, name);
  g_auto (GStrv) words = g_strsplit (answer ? answer : "", " ", -1);
  struct addrinfo **next = out;

  assert_null (service);
  assert_int_equal (hints->ai_family, AF_UNSPEC);
  while (g_strcmp0 (answer, "never") == 0)
    g_usleep (G_USEC_PER_SEC);
  *out = NULL;
  for (char **word = words; *word; word++)
    if (**word) {
      *next = new_entry (*word);
      next = &(*next)->ai_next;
    }
  return *out ? 0 : EAI_NONAME;
}

void
freeaddrinfo (struct addrinfo *list)
{
  while (list) {
    struct addrinfo *next = list->ai_next;

    free (list);
    list = next;
  }
}

/* --- a test's state --- */

typedef struct {
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

  f->answers = ks_answers_new ();
  *state = f;
  return 0;
}

static int
teardown (void **state)
{
  Fixture *f = *state;

  ks_answers_free (f->answers);
  made_up_aliases = NULL;
  g_free (f);
  return 0;
}

static void
set_answer (const char *name, const char *answer)
{
  g_hash_table_insert (made_up_addresses, (gpointer) name, (gpointer) answer);
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
resolve_asks_nobody_for_the_host_itself (void **state)
{
  Fixture *f = *state;

  set_answer ("localhost", "203.0.113.1");
  set_answer ("vpn.localhost", "203.0.113.1");
  set_answer ("notlocalhost", "203.0.113.1");
  assert_true (resolve (f, "localhost vpn.LocalHost. notlocalhost", 1000));
  assert_known (f, "localhost", "127.0.0.1 ::1");
  assert_known (f, "vpn.LocalHost.", "127.0.0.1 ::1");
  assert_known (f, "notlocalhost", "203.0.113.1");
}

static void
resolve_keeps_answers_of_both_families (void **state)
{
  Fixture *f = *state;

  set_answer ("a.example", "203.0.113.1 2001:db8::1");
  set_answer ("b.example", "203.0.113.2");
  assert_true (resolve (f, "a.example b.example", 1000));
  assert_known (f, "a.example", "203.0.113.1 2001:db8::1");
  assert_known (f, "b.example", "203.0.113.2");
}

static void
resolve_tells_what_is_news (void **state)
{
  Fixture *f = *state;

  set_answer ("a.example", "203.0.113.1");
  assert_true (resolve (f, "a.example", 1000));
  assert_false (resolve (f, "a.example", 1000));
  set_answer ("a.example", "203.0.113.9 203.0.113.1");
  assert_true (resolve (f, "a.example", 1000));
  assert_known (f, "a.example", "203.0.113.9 203.0.113.1");
}

static void
resolve_keeps_the_last_good_answer_when_there_is_none (void **state)
{
  Fixture *f = *state;

  set_answer ("a.example", "203.0.113.1");
  assert_true (resolve (f, "a.example", 1000));
  set_answer ("a.example", "");
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

  set_answer ("slow.example", "never");
  set_answer ("slower.example", "never");
  set_answer ("quick.example", "203.0.113.1");
  assert_true (resolve (f, "slow.example quick.example slower.example", 1000));
  took_ms = (g_get_monotonic_time () - start) / 1000;
  assert_true (took_ms >= 500);
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
    resolver_test (resolve_asks_nobody_for_the_host_itself),
    resolver_test (resolve_keeps_answers_of_both_families),
    resolver_test (resolve_tells_what_is_news),
    resolver_test (resolve_keeps_the_last_good_answer_when_there_is_none),
    resolver_test (resolve_keeps_the_aliases_it_was_told_last),
    resolver_test (resolve_is_over_after_its_time_and_keeps_what_came),
  };

  /* for good: threads that got no answer may be looking at it */
  made_up_addresses = g_hash_table_new (g_str_hash, g_str_equal);
  return cmocka_run_group_tests_name ("ks-resolve", tests, NULL, NULL);
}
