/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Replays what the fuzz targets were given, tests/fuzz/corpus/NAME/, whole and
 * cut short: what was found once is not found again. Meant for a build with
 * sanitizers (make check-sanitizers).
 */
#include "ks-test.h"

#include "fuzz.h"

static void
replay (const char *name, KsFuzzFunc fuzz)
{
  g_autofree char *directory = g_build_filename (KS_TESTS "/fuzz/corpus", name, NULL);
  g_autoptr (GDir) dir = g_dir_open (directory, 0, NULL);
  const char *file;
  guint count = 0;

  assert_non_null (dir);
  while ((file = g_dir_read_name (dir))) {
    g_autofree char *path = g_build_filename (directory, file, NULL);
    g_autofree char *data = NULL;
    gsize size;

    assert_true (g_file_get_contents (path, &data, &size, NULL));
    fuzz ((const uint8_t *) data, size);
    for (gsize length = 0; length < size; length += size / 32 + 1)
      fuzz ((const uint8_t *) data, length);
    count++;
  }
  assert_true (count > 0);
}

#define CORPUS(name, function) \
  static void corpus_of_##function##_is_harmless (void **state G_GNUC_UNUSED) \
  { \
    replay (name, fuzz_##function); \
  }

CORPUS ("bus-message", bus_message)
CORPUS ("configuration", configuration)
CORPUS ("endpoint", endpoint)
CORPUS ("event", event)
CORPUS ("json-read", json_read)
CORPUS ("profile", profile)
CORPUS ("profile-codec", profile_codec)
CORPUS ("route-message", route_message)
CORPUS ("rule-message", rule_message)
CORPUS ("state", state)

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (corpus_of_bus_message_is_harmless),   cmocka_unit_test (corpus_of_configuration_is_harmless),
    cmocka_unit_test (corpus_of_endpoint_is_harmless),      cmocka_unit_test (corpus_of_event_is_harmless),
    cmocka_unit_test (corpus_of_json_read_is_harmless),     cmocka_unit_test (corpus_of_profile_is_harmless),
    cmocka_unit_test (corpus_of_profile_codec_is_harmless), cmocka_unit_test (corpus_of_route_message_is_harmless),
    cmocka_unit_test (corpus_of_rule_message_is_harmless),  cmocka_unit_test (corpus_of_state_is_harmless),
  };

  return cmocka_run_group_tests_name ("corpora", tests, NULL, NULL);
}
