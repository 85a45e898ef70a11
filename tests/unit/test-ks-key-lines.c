/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GKeyFile is the judge: we read what it writes, and it reads what we write. */
#include "ks-test.h"

#include "base/ks-error.h"
#include "state/ks-key-lines.h"

/* Texts that have to be escaped somewhere. */
static const char *const texts[] = {
  "plain",      "",     " leading",    "\tleading", "trailing ", "in the middle",
  "two\nlines", "cr\r", "back\\slash", "\\s\\;\\",  "a;b;;c",    ";",
  "; x",        "=",    "#x",          "[x]",       "Zürich",    "\"quoted\"",
  "a=b=c",      "\n",   "a;\tb; c",    "ends in\\",
};

static KsKeyLines *
parse (const char *text)
{
  g_autoptr (GError) error = NULL;
  KsKeyLines *lines = ks_key_lines_parse (g_strdup (text), strlen (text), &error);

  if (!lines)
    fail_msg ("%s", error->message);
  return lines;
}

static void
key_lines_reads_what_gkeyfile_writes (void **state G_GNUC_UNUSED)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (KsKeyLines) lines = NULL;
  g_autofree char *data = NULL;
  g_auto (GStrv) list = NULL;
  const KsKeyGroup *group;

  g_key_file_set_comment (file, NULL, NULL, " A comment", NULL);
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autofree char *key = g_strdup_printf ("key-%u", i);

    g_key_file_set_string (file, "group one", key, texts[i]);
  }
  g_key_file_set_string_list (file, "two", "list", texts, G_N_ELEMENTS (texts));
  g_key_file_set_boolean (file, "two", "yes", TRUE);
  g_key_file_set_boolean (file, "two", "no", FALSE);
  g_key_file_set_uint64 (file, "two", "number", 4000000000U);
  data = g_key_file_to_data (file, NULL, NULL);
  lines = parse (data);
  assert_int_equal (lines->groups->len, 2);
  group = ks_key_lines_find (lines, "group one");
  assert_non_null (group);
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autofree char *key = g_strdup_printf ("key-%u", i);
    g_autofree char *value = ks_key_group_string (group, key);

    assert_string_equal (value, texts[i]);
  }
  group = ks_key_lines_find (lines, "two");
  list = ks_key_group_list (group, "list");
  assert_int_equal (g_strv_length (list), G_N_ELEMENTS (texts));
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    assert_string_equal (list[i], texts[i]);
  assert_true (ks_key_group_boolean (group, "yes"));
  assert_false (ks_key_group_boolean (group, "no"));
  assert_int_equal (ks_key_group_number (group, "number", G_MAXUINT32), 4000000000U);
  assert_int_equal (ks_key_group_number (group, "number", 3999999999U), 0);
}

static void
key_lines_writes_what_gkeyfile_reads (void **state G_GNUC_UNUSED)
{
  g_autoptr (GString) out = g_string_new ("# A comment\n");
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_auto (GStrv) list = NULL;
  gsize length = 0;

  ks_key_put_group (out, "group one");
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autofree char *key = g_strdup_printf ("key-%u", i);

    ks_key_put_string (out, key, texts[i]);
  }
  ks_key_put_group (out, "two");
  ks_key_put_list (out, "list");
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    ks_key_put_part (out, texts[i]);
  ks_key_put_end (out);
  ks_key_put_number (out, "number", 4000000000U);
  assert_true (g_key_file_load_from_data (file, out->str, out->len, G_KEY_FILE_NONE, NULL));
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autofree char *key = g_strdup_printf ("key-%u", i);
    g_autofree char *value = g_key_file_get_string (file, "group one", key, NULL);

    assert_string_equal (value, texts[i]);
  }
  list = g_key_file_get_string_list (file, "two", "list", &length, NULL);
  assert_int_equal (length, G_N_ELEMENTS (texts));
  for (guint i = 0; i < G_N_ELEMENTS (texts); i++)
    assert_string_equal (list[i], texts[i]);
  assert_int_equal (g_key_file_get_uint64 (file, "two", "number", NULL), 4000000000U);
}

static void
malformed_text_is_refused (void **state G_GNUC_UNUSED)
{
  static const char *const malformed[] = { "x",      "x=y",      "[a\n",      "[]\n",    "[a]b\n",
                                           "[a]]\n", "[a]\nx\n", "[a]\n=x\n", "[\xff]\n" };

  for (guint i = 0; i < G_N_ELEMENTS (malformed); i++) {
    g_autoptr (GError) error = NULL;

    assert_null (ks_key_lines_parse (g_strdup (malformed[i]), strlen (malformed[i]), &error));
    assert_true (g_error_matches (error, KS_ERROR, KS_ERROR_INVALID));
  }
  {
    static const char with_nul[] = "[a]\nx=\0y\n";

    assert_null (ks_key_lines_parse (g_memdup2 (with_nul, sizeof with_nul), sizeof with_nul - 1, NULL));
  }
}

static void
malformed_value_is_ignored (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsKeyLines) lines = parse ("[a]\nescape=\\x\nend=\\\nbytes=\xff\n"
                                        "number=12x\nminus=-1\nyes=True\ngood=1\n");
  const KsKeyGroup *group = ks_key_lines_find (lines, "a");
  static const char *const keys[] = { "escape", "end", "bytes", "absent" };

  for (guint i = 0; i < G_N_ELEMENTS (keys); i++) {
    g_auto (GStrv) list = ks_key_group_list (group, keys[i]);

    assert_null (ks_key_group_string (group, keys[i]));
    assert_null (list[0]);
  }
  assert_int_equal (ks_key_group_number (group, "number", G_MAXUINT32), 0);
  assert_int_equal (ks_key_group_number (group, "minus", G_MAXUINT32), 0);
  assert_false (ks_key_group_boolean (group, "yes"));
  assert_true (ks_key_group_has (group, "good"));
  assert_null (ks_key_lines_find (lines, "b"));
  assert_null (ks_key_group_string (NULL, "good"));
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (key_lines_reads_what_gkeyfile_writes),
    cmocka_unit_test (key_lines_writes_what_gkeyfile_reads),
    cmocka_unit_test (malformed_text_is_refused),
    cmocka_unit_test (malformed_value_is_ignored),
  };

  return cmocka_run_group_tests (tests, NULL, NULL);
}
