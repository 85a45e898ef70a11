/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test.h"

#include "input/ks-resolv-conf.h"

static void
assert_servers (const char *text, const char *expected)
{
  g_autoptr (KsTestDirectory) directory = ks_test_directory_new ();
  g_autofree char *path = ks_test_write (directory, "resolv.conf", text);
  g_autoptr (GArray) servers = ks_resolv_conf_read (path);
  g_autofree char *found = ks_test_format_prefixes (servers);

  assert_string_equal (found, expected);
}

static void
resolv_conf_lists_the_resolvers (void **state G_GNUC_UNUSED)
{
  assert_servers ("# by hand\nsearch example.org\nnameserver 192.168.1.1\nnameserver\t2001:db8::53 \n"
                  "nameserver 192.168.1.1\noptions edns0\n",
                  "192.168.1.1 2001:db8::53");
}

/* Whom a resolver on the host asks is known to it alone. */
static void
resolv_conf_leaves_out_what_is_not_an_uplinks_resolver (void **state G_GNUC_UNUSED)
{
  assert_servers ("nameserver 127.0.0.53\nnameserver ::1\nnameserver 10.0.0.0/8\nnameserver\nnameservers 9.9.9.9\n"
                  "nameserver fe80::1%eth0\n;nameserver 1.1.1.1\n",
                  "");
}

static void
resolv_conf_that_is_missing_has_no_resolvers (void **state G_GNUC_UNUSED)
{
  g_autoptr (GArray) none = ks_resolv_conf_read ("/nonexistent/resolv.conf");
  g_autoptr (GArray) nowhere = ks_resolv_conf_read (NULL);

  assert_int_equal (none->len, 0);
  assert_int_equal (nowhere->len, 0);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (resolv_conf_lists_the_resolvers),
    cmocka_unit_test (resolv_conf_leaves_out_what_is_not_an_uplinks_resolver),
    cmocka_unit_test (resolv_conf_that_is_missing_has_no_resolvers),
  };

  return cmocka_run_group_tests_name ("ks-resolv-conf", tests, NULL, NULL);
}
