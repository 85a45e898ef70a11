/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test-json.h"
#include "ks-test.h"

#include "base/ks-error.h"
#include "base/ks-json-read.h"
#include "base/ks-json.h"

static void
json_checker_tells_good_from_bad (void **state G_GNUC_UNUSED)
{
  static const char *const good[] = {
    "{}", "[]", " [ 1 , 20 , \"a\" , { \"k\" : null } ] \n", "\"\\u001b\\n\\\\\"", "true", "0", "[[],[[]]]"
  };
  static const char *const bad[] = { "",       "{",       "[1,]",      "{\"a\":}", "{\"a\" 1}", "{a:1}",
                                     "\"\n\"", "\"\\x\"", "\"\\u12\"", "01",       "[1 2]",     "{}{}",
                                     "\"a",    "nul",     "\"\xff\"",  "," };

  for (guint i = 0; i < G_N_ELEMENTS (good); i++)
    assert_true (ks_test_json_is_valid (good[i]));
  for (guint i = 0; i < G_N_ELEMENTS (bad); i++)
    assert_false (ks_test_json_is_valid (bad[i]));
}

static void
json_writes_every_kind_of_value (void **state G_GNUC_UNUSED)
{
  g_autoptr (GString) text = g_string_new (NULL);
  KsJson json = { .text = text };

  ks_json_open (&json, NULL, '{');
  ks_json_string (&json, "string", "value");
  ks_json_string (&json, "null", NULL);
  ks_json_number (&json, "number", G_MAXUINT64);
  ks_json_boolean (&json, "yes", TRUE);
  ks_json_boolean (&json, "no", FALSE);
  ks_json_open (&json, "empty", '[');
  ks_json_close (&json, ']');
  ks_json_open (&json, "list", '[');
  ks_json_number (&json, NULL, 1);
  ks_json_open (&json, NULL, '{');
  ks_json_close (&json, '}');
  ks_json_string (&json, NULL, "");
  ks_json_close (&json, ']');
  ks_json_close (&json, '}');
  assert_string_equal (text->str, "{\"string\":\"value\",\"null\":null,\"number\":18446744073709551615,\"yes\":true,"
                                  "\"no\":false,\"empty\":[],\"list\":[1,{},\"\"]}");
  assert_true (ks_test_json_is_valid (text->str));
}

static void
json_escapes_quotes_and_control_characters (void **state G_GNUC_UNUSED)
{
  g_autoptr (GString) text = g_string_new (NULL);
  KsJson json = { .text = text };

  ks_json_open (&json, NULL, '{');
  ks_json_string (&json, "a\"b", "quote \" backslash \\ tab \t line \n escape \033 b\303\274ro \xff end");
  ks_json_close (&json, '}');
  assert_string_equal (text->str, "{\"a\\\"b\":\"quote \\\" backslash \\\\ tab \\u0009 line \\u000a escape \\u001b "
                                  "b\303\274ro \357\277\275 end\"}");
  assert_true (ks_test_json_is_valid (text->str));
}

static void
json_of_any_byte_is_valid (void **state G_GNUC_UNUSED)
{
  for (int c = 1; c < 256; c++) {
    const char value[] = { 'x', (char) c, 'y', '\0' };
    g_autoptr (GString) text = g_string_new (NULL);
    KsJson json = { .text = text };

    ks_json_string (&json, NULL, value);
    assert_true (ks_test_json_is_valid (text->str));
  }
}

static char *
read_and_print (const char *text)
{
  g_autoptr (GVariant) value = ks_json_read (text, NULL);

  return value ? g_variant_print (value, FALSE) : NULL;
}

static void
json_reads_every_kind_of_value (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *text, *value;
  } cases[] = {
    { " { \"b\" : [ true ,false,null,1] }\n", "{'b': <[<true>, <false>, <()>, <int64 1>]>}" },
    { "-9223372036854775808", "-9223372036854775808" },
    { "0", "0" },
    { "[]", "[]" },
    { "{}", "{}" },
    { "\"q\\\" \\\\ \\/ \\b\\f\\n\\r\\t\"", "'q\" \\\\ / \\b\\f\\n\\r\\t'" },
    { "\"\\u00fc\\ud83d\\udd12\"", "'\303\274\360\237\224\222'" },
    { "{\"a\":1,\"a\":2}", "{'a': <int64 1>}" },
  };

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autofree char *got = read_and_print (cases[i].text);

    assert_non_null (got);
    assert_string_equal (got, cases[i].value);
  }
}

static void
json_reader_refuses_what_is_malformed (void **state G_GNUC_UNUSED)
{
  static const char *const texts[] = {
    "",
    " ",
    "{",
    "}",
    "[",
    "[1",
    "[1,",
    "[1,]",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{a:1}",
    "'a'",
    "\"a",
    "\"\n\"",
    "\"\\x\"",
    "\"\\u12\"",
    "\"\\ud800\"",
    "\"\\udc00\"",
    "\"\\ud800\\u0041\"",
    "\"\\u0000\"",
    "\"\xff\"",
    "tru",
    "truex",
    "01",
    "-01",
    "+1",
    "-",
    "1.5",
    "1e3",
    "9223372036854775808",
    "1 2",
    "{} x",
    "[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]",
  };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (GError) error = NULL;

    if (ks_json_read (texts[i], &error))
      fail_msg ("taken: %s", texts[i]);
    assert_true (g_error_matches (error, KS_ERROR, KS_ERROR_INVALID));
  }
}

static void
json_reads_what_it_writes (void **state G_GNUC_UNUSED)
{
  for (int c = 1; c < 128; c++) {
    const char value[] = { 'x', (char) c, 'y', '\0' };
    g_autoptr (GString) text = g_string_new (NULL);
    g_autoptr (GVariant) read = NULL;
    KsJson json = { .text = text };

    ks_json_string (&json, NULL, value);
    read = ks_json_read (text->str, NULL);
    assert_non_null (read);
    assert_string_equal (g_variant_get_string (read, NULL), value);
  }
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (json_checker_tells_good_from_bad),
    cmocka_unit_test (json_writes_every_kind_of_value),
    cmocka_unit_test (json_escapes_quotes_and_control_characters),
    cmocka_unit_test (json_of_any_byte_is_valid),
    cmocka_unit_test (json_reads_every_kind_of_value),
    cmocka_unit_test (json_reader_refuses_what_is_malformed),
    cmocka_unit_test (json_reads_what_it_writes),
  };

  return cmocka_run_group_tests_name ("ks-json", tests, NULL, NULL);
}
