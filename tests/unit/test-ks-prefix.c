/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test.h"

#include "base/ks-error.h"
#include "value/ks-prefix.h"

static void
prefix_keeps_what_it_parsed (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *text;
    const char *formatted;
    int family;
    guint length;
  } cases[] = {
    { "192.0.2.1", "192.0.2.1", AF_INET, 32 },
    { "192.0.2.1/32", "192.0.2.1", AF_INET, 32 },
    { "10.8.0.2/24", "10.8.0.2/24", AF_INET, 24 },
    { "0.0.0.0/0", "default", AF_INET, 0 },
    { "128.0.0.0/1", "128.0.0.0/1", AF_INET, 1 },
    { "2001:db8::1", "2001:db8::1", AF_INET6, 128 },
    { "2001:DB8:0:0::1/64", "2001:db8::1/64", AF_INET6, 64 },
    { "::/0", "default", AF_INET6, 0 },
    { "::ffff:192.0.2.1", "::ffff:192.0.2.1", AF_INET6, 128 },
    { "fe80::1/10", "fe80::1/10", AF_INET6, 10 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    KsPrefix prefix = ks_test_prefix (cases[i].text);
    g_autofree char *text = ks_prefix_format (&prefix);

    assert_int_equal (prefix.family, cases[i].family);
    assert_int_equal (prefix.length, cases[i].length);
    assert_string_equal (text, cases[i].formatted);
  }
}

static void
prefix_refuses_invalid_text_and_leaves_the_output_alone (void **state G_GNUC_UNUSED)
{
  static const char *const cases[] = {
    "",
    "/",
    "/24",
    "10.0.0.0/",
    "10.0.0.0/33",
    "10.0.0.0/-1",
    "10.0.0.0/+8",
    "10.0.0/8",
    "10.0.0.0/8 ",
    " 10.0.0.0/8",
    "10.0.0.0/08x",
    "10.0.0.0/0x8",
    "10.0.0.256",
    "010.0.0.1",
    "::/129",
    ":::",
    "fe80::1%eth0",
    "example.org",
    "10.0.0.0//8",
    "10.0.0.0/8/8",
    "2001:db8::1/64/1",
    "10.0.0.0/4294967304",
    "[::1]",
    "1",
    "default",
    "10.0.0.0/\n8",
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    KsPrefix prefix = { .family = 99, .length = 7 };

    if (ks_prefix_parse (cases[i], &prefix, &error))
      fail_msg ("'%s' was taken as a prefix", cases[i]);
    assert_true (g_error_matches (error, KS_ERROR, KS_ERROR_INVALID));
    assert_int_equal (prefix.family, 99);
    assert_int_equal (prefix.length, 7);
  }
}

static void
prefix_error_has_no_control_characters (void **state G_GNUC_UNUSED)
{
  g_autoptr (GError) error = NULL;
  KsPrefix prefix;

  assert_false (ks_prefix_parse ("\033[31m1.2.3.4\n\xff", &prefix, &error));
  for (const char *p = error->message; *p; p++)
    assert_true ((guchar) *p >= 0x20 && *p != 0x7f);
  assert_true (g_utf8_validate (error->message, -1, NULL));
}

static void
prefix_network_clears_host_bits (void **state G_GNUC_UNUSED)
{
  static const char *const cases[][2] = {
    { "10.8.1.2/24", "10.8.1.0/24" },       { "10.8.1.2/31", "10.8.1.2/31" },
    { "10.8.1.3/31", "10.8.1.2/31" },       { "10.8.1.2", "10.8.1.2" },
    { "255.255.255.255/1", "128.0.0.0/1" }, { "10.8.1.2/0", "default" },
    { "10.255.0.0/9", "10.128.0.0/9" },     { "2001:db8:ffff::1/33", "2001:db8:8000::/33" },
    { "2001:db8::1/128", "2001:db8::1" },   { "2001:db8::3/127", "2001:db8::2/127" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    KsPrefix prefix = ks_test_prefix (cases[i][0]);
    KsPrefix network = ks_prefix_network (&prefix);
    KsPrefix expected = ks_test_prefix (g_str_equal (cases[i][1], "default") ? "0.0.0.0/0" : cases[i][1]);

    assert_true (ks_prefix_equal (&network, &expected));
  }
}

static void
prefix_contains_and_overlaps_as_sets_do (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *outer, *inner;
    gboolean contains, overlaps;
  } cases[] = {
    { "10.0.0.0/8", "10.8.0.0/16", TRUE, TRUE },
    { "10.8.0.0/16", "10.0.0.0/8", FALSE, TRUE },
    { "10.0.0.0/8", "11.0.0.0/8", FALSE, FALSE },
    { "10.0.0.0/8", "10.0.0.0/8", TRUE, TRUE },
    { "10.1.2.3/8", "10.9.9.9", TRUE, TRUE },
    { "0.0.0.0/0", "203.0.113.1", TRUE, TRUE },
    { "0.0.0.0/0", "2001:db8::/32", FALSE, FALSE },
    { "::/0", "0.0.0.0/0", FALSE, FALSE },
    { "fe80::/10", "febf::1", TRUE, TRUE },
    { "fe80::/10", "fec0::1", FALSE, FALSE },
    { "192.0.2.0/25", "192.0.2.128/25", FALSE, FALSE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    KsPrefix outer = ks_test_prefix (cases[i].outer), inner = ks_test_prefix (cases[i].inner);

    assert_int_equal (ks_prefix_contains (&outer, &inner), cases[i].contains);
    assert_int_equal (ks_prefix_overlaps (&outer, &inner), cases[i].overlaps);
    assert_int_equal (ks_prefix_overlaps (&inner, &outer), cases[i].overlaps);
  }
}

static void
prefix_knows_special_addresses (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *text;
    gboolean link_local, loopback, multicast;
  } cases[] = {
    { "169.254.1.1", TRUE, FALSE, FALSE },  { "fe80::1", TRUE, FALSE, FALSE },
    { "127.0.0.53", FALSE, TRUE, FALSE },   { "::1", FALSE, TRUE, FALSE },
    { "224.0.0.251", FALSE, FALSE, TRUE },  { "ff02::fb", FALSE, FALSE, TRUE },
    { "203.0.113.1", FALSE, FALSE, FALSE }, { "2001:db8::1", FALSE, FALSE, FALSE },
    { "0.0.0.0/0", FALSE, FALSE, FALSE },   { "::/0", FALSE, FALSE, FALSE },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    KsPrefix prefix = ks_test_prefix (cases[i].text);

    assert_int_equal (ks_prefix_is_link_local (&prefix), cases[i].link_local);
    assert_int_equal (ks_prefix_is_loopback (&prefix), cases[i].loopback);
    assert_int_equal (ks_prefix_is_multicast (&prefix), cases[i].multicast);
  }
}

static void
prefix_array_holds_each_prefix_once (void **state G_GNUC_UNUSED)
{
  g_autoptr (GArray) prefixes = ks_test_prefixes ("10.0.0.0/8 2001:db8::1");
  KsPrefix known = ks_test_prefix ("10.0.0.0/8"), news = ks_test_prefix ("10.0.0.0/9");
  g_autofree char *text = NULL;

  ks_prefix_array_add (prefixes, &known);
  ks_prefix_array_add (prefixes, &news);
  text = ks_test_format_prefixes (prefixes);
  assert_string_equal (text, "10.0.0.0/8 2001:db8::1 10.0.0.0/9");
}

static void
prefix_order_is_total (void **state G_GNUC_UNUSED)
{
  g_autoptr (GArray) prefixes =
    ks_test_prefixes ("0.0.0.0/0 10.0.0.0/8 11.0.0.0/8 10.0.0.0/9 10.0.0.1 ::/0 2001:db8::/32 2001:db8::1");

  for (guint i = 0; i < prefixes->len; i++)
    for (guint j = 0; j < prefixes->len; j++) {
      int order = ks_prefix_compare (&g_array_index (prefixes, KsPrefix, i), &g_array_index (prefixes, KsPrefix, j));

      assert_int_equal (order < 0, i < j);
      assert_int_equal (order > 0, i > j);
    }
}

static void
prefix_unset_is_not_a_default (void **state G_GNUC_UNUSED)
{
  KsPrefix unset = KS_PREFIX_UNSET, all = ks_prefix_default (AF_INET);
  g_autofree char *address = ks_prefix_format_address (&unset);

  assert_false (ks_prefix_is_set (&unset));
  assert_true (ks_prefix_is_set (&all));
  assert_false (ks_prefix_equal (&unset, &all));
  assert_false (ks_prefix_contains (&unset, &all));
  assert_string_equal (address, "");
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (prefix_keeps_what_it_parsed),
    cmocka_unit_test (prefix_refuses_invalid_text_and_leaves_the_output_alone),
    cmocka_unit_test (prefix_error_has_no_control_characters),
    cmocka_unit_test (prefix_network_clears_host_bits),
    cmocka_unit_test (prefix_contains_and_overlaps_as_sets_do),
    cmocka_unit_test (prefix_knows_special_addresses),
    cmocka_unit_test (prefix_array_holds_each_prefix_once),
    cmocka_unit_test (prefix_order_is_total),
    cmocka_unit_test (prefix_unset_is_not_a_default),
  };

  return cmocka_run_group_tests_name ("ks-prefix", tests, NULL, NULL);
}
