/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test-nm.h"
#include "ks-test.h"

#include <time.h>

#include "run/ks-situation.h"
#include "value/ks-clock.h"

#define BUILT G_GINT64_CONSTANT (1795608000) /* 2026-11-25 12:00 UTC */

/* The time as this program sees it, in seconds since 1970; 0 for the real time. Used instead of GLib's function. */
static gint64 faked_now;

gint64
g_get_real_time (void)
{
  return (faked_now ? faked_now : (gint64) time (NULL)) * G_USEC_PER_SEC;
}

static void
clock_before_the_build_is_wrong (void **state G_GNUC_UNUSED)
{
  static const gint64 wrong[] = { G_MININT64, -1, 0, 86400, BUILT - 1 };

  for (guint i = 0; i < G_N_ELEMENTS (wrong); i++) {
    g_autofree char *text = ks_clock_warning (wrong[i], BUILT);

    assert_non_null (text);
    assert_non_null (strstr (text, "was built on 2026-11-25"));
  }
}

static void
clock_warning_names_the_day_and_changes_only_with_it (void **state G_GNUC_UNUSED)
{
  g_autofree char *morning = ks_clock_warning (60, BUILT);
  g_autofree char *evening = ks_clock_warning (86399, BUILT);
  g_autofree char *next = ks_clock_warning (86400, BUILT);

  assert_non_null (strstr (morning, "it says 1970-01-01"));
  assert_string_equal (morning, evening);
  assert_string_not_equal (evening, next);
}

static void
clock_at_the_build_or_later_may_be_right (void **state G_GNUC_UNUSED)
{
  assert_null (ks_clock_warning (BUILT, BUILT));
  assert_null (ks_clock_warning (BUILT + 1, BUILT));
  assert_null (ks_clock_warning (G_MAXINT64, BUILT));
}

static void
clock_of_the_build_is_neither_unset_nor_in_the_future (void **state G_GNUC_UNUSED)
{
  assert_true (ks_clock_built > G_GINT64_CONSTANT (1700000000)); /* 2023 */
  assert_true (ks_clock_built <= (gint64) time (NULL));
}

static void
situation_warns_of_a_wrong_clock_and_not_of_a_right_one (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestHost) host = ks_test_host_new ();

  ks_test_no_bus ();
  for (int i = 0; i < 2; i++) {
    g_autoptr (KsSituation) situation = NULL;

    faked_now = i == 0 ? 86400 : 0;
    situation = ks_situation_read (&host->paths, NULL, KS_READ_NO_NETWORK);
    assert_int_equal (situation->warnings->len, i == 0 ? 1 : 0);
    assert_int_equal (situation->errors->len, 0);
    if (i == 0)
      assert_non_null (strstr (situation->warnings->pdata[0], "the clock is wrong: it says 1970-01-02"));
  }
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (clock_before_the_build_is_wrong),
    cmocka_unit_test (clock_warning_names_the_day_and_changes_only_with_it),
    cmocka_unit_test (clock_at_the_build_or_later_may_be_right),
    cmocka_unit_test (clock_of_the_build_is_neither_unset_nor_in_the_future),
    cmocka_unit_test (situation_warns_of_a_wrong_clock_and_not_of_a_right_one),
  };

  return cmocka_run_group_tests_name ("ks-clock", tests, NULL, NULL);
}
