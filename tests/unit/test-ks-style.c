/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test.h"

#include "report/ks-style.h"

static void
assert_wrapped (guint columns, const char *text, const char *expected)
{
  const KsStyle style = { .columns = columns };
  g_autofree char *wrapped = ks_style_wrap (&style, text);

  assert_string_equal (wrapped, expected);
}

static void
style_wraps_at_blanks_and_indents_the_rest (void **state G_GNUC_UNUSED)
{
  assert_wrapped (10, "one two three\n", "one two\n  three\n");
  assert_wrapped (10, "  one two three four\nx\n", "  one two\n    three\n    four\nx\n");
  assert_wrapped (10, "exactly 10\n", "exactly 10\n");
  assert_wrapped (10, "a-word-that-is-too-long b\n", "a-word-that-is-too-long\n  b\n");
  assert_wrapped (10, "a    b\n\n\nc", "a    b\n\n\nc");
  assert_wrapped (0, "never wrapped, however long a line it is\n", "never wrapped, however long a line it is\n");
}

static void
style_cells_are_padded_by_columns (void **state G_GNUC_UNUSED)
{
  g_autoptr (GString) text = g_string_new (NULL);

  ks_style_append_cell (text, "ab", 4);
  ks_style_append_cell (text, "\303\274b", 4);
  ks_style_append_cell (text, "\346\235\261b", 4); /* the first is two columns wide */
  ks_style_append_cell (text, "a\n", 4); /* shown as 7 characters */
  ks_style_append_cell (text, "abcde", 4);
  assert_string_equal (text->str, "ab   \303\274b   \346\235\261b  a\\u000a abcde ");
}

static void
style_counts_columns_and_not_bytes (void **state G_GNUC_UNUSED)
{
  assert_wrapped (10, "\303\274\303\274\303\274\303\274\303\274 abcd\n",
                  "\303\274\303\274\303\274\303\274\303\274 abcd\n");
  /* each of these is two columns wide */
  assert_wrapped (10, "\346\227\245\346\234\254\350\252\236 abcd\n", "\346\227\245\346\234\254\350\252\236\n  abcd\n");
  assert_wrapped (10, "\033[1;32mgreen\033[0m abcd\n", "\033[1;32mgreen\033[0m abcd\n");
}

static void
style_colours_only_where_asked (void **state G_GNUC_UNUSED)
{
  const KsStyle plain = { 0 }, coloured = { .has_colour = TRUE };
  g_autoptr (GString) text = g_string_new (NULL);

  ks_style_append (&plain, text, KS_COLOUR_BAD, "bad");
  ks_style_append (&coloured, text, KS_COLOUR_BAD, "bad");
  assert_string_equal (text->str, "bad\033[1;31mbad\033[0m");
}

static void
style_formats_times (void **state G_GNUC_UNUSED)
{
  static const struct {
    gint64 seconds;
    const char *text;
  } cases[] = { { -3, "0 s" }, { 59, "59 s" }, { 60, "1 min" }, { 7500, "2 h 5 min" }, { 356400, "4 d 3 h" } };
  g_autofree char *same = ks_style_format_time (1764324000, 1764324060);
  g_autofree char *other = ks_style_format_time (1764324000, 1764324060 + 86400 * 3);
  g_autofree char *stamp = ks_style_format_timestamp (1764324000);

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *text = ks_style_format_duration (cases[i].seconds);

    assert_string_equal (text, cases[i].text);
  }
  assert_int_equal (strlen (same), strlen ("10:00"));
  assert_int_equal (strlen (other), strlen ("2025-11-28 10:00"));
  assert_string_equal (stamp, "2025-11-28T10:00:00Z");
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (style_wraps_at_blanks_and_indents_the_rest),
    cmocka_unit_test (style_cells_are_padded_by_columns),
    cmocka_unit_test (style_counts_columns_and_not_bytes),
    cmocka_unit_test (style_colours_only_where_asked),
    cmocka_unit_test (style_formats_times),
  };

  return cmocka_run_group_tests_name ("ks-style", tests, NULL, NULL);
}
