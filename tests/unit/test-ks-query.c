/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test.h"

#include "policy/ks-query.h"

static void
assert_name (const char *spelling, const char *expected)
{
  g_autofree char *name = ks_query_name (spelling);

  if (g_strcmp0 (name, expected) != 0)
    fail_msg ("'%s' became %s, not %s", spelling, name ? name : "nothing", expected ? expected : "nothing");
}

/* @length characters in labels of at most 63 (transfer full). */
static char *
long_name (gsize length)
{
  char *name = g_strnfill (length, 'a');

  for (gsize i = 63; i < length - 1; i += 64)
    name[i] = '.';
  return name;
}

static void
query_name_has_one_spelling (void **state G_GNUC_UNUSED)
{
  assert_name ("vpn.example.com", "vpn.example.com");
  assert_name ("VPN.Example.COM.", "vpn.example.com");
  assert_name ("vpn-1.my_net.example", "vpn-1.my_net.example");
  assert_name ("b\xc3\xbc"
               "cher.example",
               "xn--bcher-kva.example");
  assert_name ("vpn", "vpn");
}

static void
query_name_is_one_that_can_be_looked_up (void **state G_GNUC_UNUSED)
{
  static const char *const bad[] = { "",
                                     ".",
                                     "..",
                                     ".example",
                                     "a..example",
                                     "a.example..",
                                     "a b.example",
                                     "a\"b.example",
                                     "a;accept\n.example",
                                     "a\\.b.example",
                                     "\xff.example",
                                     "{.example" };

  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    assert_name (bad[i], NULL);
}

static void
query_name_keeps_to_the_limits_of_labels_and_of_the_kernel (void **state G_GNUC_UNUSED)
{
  g_autofree char *label = g_strnfill (63, 'a'), *too_long = g_strnfill (64, 'a');
  g_autofree char *longest = long_name (KS_QUERY_MAX_NAME - 2), *longer = long_name (KS_QUERY_MAX_NAME - 1);
  KsQuery query;

  assert_name (label, label);
  assert_name (too_long, NULL);
  assert_name (longest, longest);
  assert_name (longer, NULL);
  ks_query_init (&query, longest, KS_QUERY_AAAA, KS_QUERY_EDNS);
  assert_int_equal (query.length, KS_QUERY_MAX);
}

/* Whether @message, without its ID, is such a query. */
static gboolean
is_query (const KsQuery *query, const guint8 *message, gsize length)
{
  if (length != query->length)
    return FALSE;
  for (gsize i = 0; i < length; i++)
    if ((message[i] & query->mask[i]) != query->bytes[i])
      return FALSE;
  return TRUE;
}

/* As glibc 2.36, and with trust-ad. */
static void
query_is_what_a_plain_resolver_sends (void **state G_GNUC_UNUSED)
{
  static const guint8 sent[] = "\x01\0\0\1\0\0\0\0\0\0\3vpN\7e-Mple1\3com\0\0\x1c\0\1";
  const gsize flags = 1;
  guint8 other[sizeof sent - 1];
  KsQuery query;

  memcpy (other, sent, sizeof other);
  ks_query_init (&query, "vpn.e-mple1.com", KS_QUERY_AAAA, KS_QUERY_PLAIN);
  assert_true (is_query (&query, sent, sizeof other));
  other[flags] = 0x20; /* AD */
  assert_true (is_query (&query, other, sizeof other));
  /* every other bit of it counts, but for the case of letters */
  for (gsize i = 0; i < sizeof other; i++)
    for (int bit = 0; bit < 8; bit++) {
      gboolean is_case = bit == 5 && g_ascii_isalpha (sent[i]) && i >= 10;
      gboolean is_ad = i == flags && bit == 5;

      memcpy (other, sent, sizeof other);
      other[i] ^= (guint8) (1 << bit);
      if (is_query (&query, other, sizeof other) != (is_case || is_ad))
        fail_msg ("bit %d of byte %zu: %s", bit, i, is_case || is_ad ? "counts" : "does not count");
    }
}

/* As dnsmasq 2.90 and systemd-resolved 252 send it; the buffer size is theirs to choose. */
static void
query_may_have_an_opt_record_without_options (void **state G_GNUC_UNUSED)
{
  static const guint8 sent[] = "\x01\0\0\1\0\0\0\0\0\1\3vpn\0\0\1\0\1\0\0\x29\4\xd0\0\0\0\0\0\0";
  guint8 other[sizeof sent - 1];
  KsQuery query;

  ks_query_init (&query, "vpn", KS_QUERY_A, KS_QUERY_EDNS);
  assert_true (is_query (&query, sent, sizeof other));
  for (gsize i = sizeof other - 11; i < sizeof other; i++) {
    gboolean is_size = i == sizeof other - 8 || i == sizeof other - 7;

    memcpy (other, sent, sizeof other);
    other[i] ^= 0x80;
    assert_int_equal (is_query (&query, other, sizeof other), is_size);
  }
}

/* As systemd-resolved 252 sends it with DNSSEC=yes, also for the domains that the name is in. */
static void
query_may_be_one_that_validates (void **state G_GNUC_UNUSED)
{
#define RESOLVED_OPT "\0\0\x29\x05\xc0\0\0\x80\0\0\x17\0\5\0\7\5\7\x8\xa\xd\xe\xf\0\6\0\3\1\2\4\0\7\0\1\1"
  static const guint8 sent[] = "\x01\x10\0\1\0\0\0\0\0\1\3vpn\0\0\1\0\1" RESOLVED_OPT;
  static const guint8 root[] = "\x01\x10\0\1\0\0\0\0\0\1\0\0\x30\0\1" RESOLVED_OPT;
  const gsize opt = sizeof sent - sizeof RESOLVED_OPT;
  guint8 other[sizeof sent - 1];
  KsQuery query;

  assert_true (ks_query_init (&query, "", KS_QUERY_DNSKEY, KS_QUERY_DNSSEC));
  assert_true (is_query (&query, root, sizeof root - 1));
  assert_true (ks_query_init (&query, "vpn", KS_QUERY_A, KS_QUERY_DNSSEC));
  assert_true (is_query (&query, sent, sizeof other));
  for (gsize i = opt; i < sizeof other; i++) {
    memcpy (other, sent, sizeof other);
    other[i] ^= 1;
    assert_int_equal (is_query (&query, other, sizeof other), i == opt + 3 || i == opt + 4); /* the buffer size */
  }
  memcpy (other, sent, sizeof other);
  other[1] = 0; /* CD */
  assert_false (is_query (&query, other, sizeof other));
}

static void
query_that_validates_leaves_less_room_for_the_name (void **state G_GNUC_UNUSED)
{
  const gsize options = 23;
  g_autofree char *longest = long_name (KS_QUERY_MAX_NAME - 2 - options),
                  *longer = long_name (KS_QUERY_MAX_NAME - 1 - options);
  KsQuery query;

  assert_true (ks_query_init (&query, longest, KS_QUERY_AAAA, KS_QUERY_DNSSEC));
  assert_int_equal (query.length, KS_QUERY_MAX);
  assert_false (ks_query_init (&query, longer, KS_QUERY_AAAA, KS_QUERY_DNSSEC));
  assert_true (ks_query_init (&query, longer, KS_QUERY_AAAA, KS_QUERY_EDNS));
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (query_name_has_one_spelling),
    cmocka_unit_test (query_name_is_one_that_can_be_looked_up),
    cmocka_unit_test (query_name_keeps_to_the_limits_of_labels_and_of_the_kernel),
    cmocka_unit_test (query_is_what_a_plain_resolver_sends),
    cmocka_unit_test (query_may_have_an_opt_record_without_options),
    cmocka_unit_test (query_may_be_one_that_validates),
    cmocka_unit_test (query_that_validates_leaves_less_room_for_the_name),
  };

  return cmocka_run_group_tests_name ("ks-query", tests, NULL, NULL);
}
