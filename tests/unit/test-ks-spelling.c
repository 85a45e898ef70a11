/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test.h"

#include "value/ks-spelling.h"

static void
assert_close (const char *text, const char *name, gboolean expected)
{
  if (ks_spelling_is_close (text, name) != expected)
    fail_msg ("'%s' is %staken for '%s'", text, expected ? "not " : "", name);
}

static void
spelling_ignores_case_separators_quotes_and_blanks (void **state G_GNUC_UNUSED)
{
  static const char *const texts[] = {
    "kill-switch", "Killswitch",   "KILLSWITCH",     "killswitch ",        " killswitch",           "kill_switch",
    "kill switch", "killswitch\t", "\"killswitch\"", "kill\302\240switch", "\342\200\213killswitch"
  };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    assert_close (texts[i], "killswitch", TRUE);
  assert_close ("killswitchauto", "killswitch-auto", TRUE);
  assert_close ("Killswitch_Auto", "killswitch-auto", TRUE);
}

static void
spelling_forgives_one_letter (void **state G_GNUC_UNUSED)
{
  static const char *const texts[] = { "kilswitch",   "killswich",   "killswitc",   "illswitch",
                                       "killlswitch", "killswitchh", "xkillswitch", "killswotch",
                                       "killsiwtch",  "ikllswitch",  "killswithc" };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    assert_close (texts[i], "killswitch", TRUE);
}

static void
spelling_of_another_word_is_not_close (void **state G_GNUC_UNUSED)
{
  static const char *const texts[] = { "",           "public",  "home",         "work",        "switch",
                                       "kill",       "killswi", "killswitches", "kliislwitch", "killswitch-auto",
                                       "kiilswihtc", "\xff\xfe" };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    assert_close (texts[i], "killswitch", FALSE);
}

static void
spelling_that_is_right_is_not_a_misspelling (void **state G_GNUC_UNUSED)
{
  assert_close ("killswitch", "killswitch", FALSE);
  assert_close ("killswitch-auto", "killswitch-auto", FALSE);
}

static void
spelling_of_a_short_name_must_have_the_same_letters (void **state G_GNUC_UNUSED)
{
  assert_close ("word", "work", FALSE);
  assert_close ("hone", "home", FALSE);
  assert_close ("Work", "work", TRUE);
  assert_close ("vpn ", "vpn", TRUE);
  assert_close ("", "-", FALSE);
  assert_close ("_", "-", FALSE);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (spelling_ignores_case_separators_quotes_and_blanks),
    cmocka_unit_test (spelling_forgives_one_letter),
    cmocka_unit_test (spelling_of_another_word_is_not_close),
    cmocka_unit_test (spelling_that_is_right_is_not_a_misspelling),
    cmocka_unit_test (spelling_of_a_short_name_must_have_the_same_letters),
  };

  return cmocka_run_group_tests_name ("ks-spelling", tests, NULL, NULL);
}
