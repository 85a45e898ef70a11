/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test.h"

#include "report/ks-transition.h"

/* A summary in @state, with profiles as "name[@device]" between spaces; NULL for "none". */
static KsSummary *
summary_of (const char *state, const char *profiles)
{
  g_auto (GStrv) words = g_strsplit (profiles, " ", -1);
  KsSummary *summary;

  if (strcmp (state, "none") == 0)
    return NULL;
  summary = ks_summary_new_empty ();
  summary->state = g_strdup (state);
  for (char **word = words; *word && **word; word++) {
    KsSummaryProfile *profile = ks_summary_add_profile (summary);
    const char *device = strchr (*word, '@');

    profile->id = g_strndup (*word, strcspn (*word, "@"));
    profile->uuid = g_strdup_printf ("uuid-of-%s", profile->id);
    profile->type = g_strdup ("vpn");
    profile->mode = g_strdup ("strict");
    profile->reason = g_strdup ("connection.zone");
    profile->tunnel = device ? g_strdup (device + 1) : NULL;
  }
  return summary;
}

static const struct {
  const char *former, *former_profiles, *now, *now_profiles;
  KsTransitionKind kind;
  const char *text;
} cases[] = {
  { "none", "", "off", "", KS_TRANSITION_NONE, "not armed" },
  { "none", "", "blocking", "a", KS_TRANSITION_ARMED, "armed by 'a' (strict), blocking" },
  { "none", "", "protected", "a@tun0", KS_TRANSITION_ARMED, "armed by 'a' (strict), protected" },
  { "off", "", "blocking", "a", KS_TRANSITION_ARMED, "armed by 'a' (strict), blocking" },
  { "blocking", "a", "blocking", "a", KS_TRANSITION_NONE, "armed" },
  { "blocking", "a", "protected", "a@tun0", KS_TRANSITION_PROTECTED, "protected by 'a' on tun0" },
  { "protected", "a@tun0", "blocking", "a", KS_TRANSITION_BLOCKED, "blocking: no VPN is up" },
  { "protected", "a@tun0 b@tun1", "protected", "a@tun0 b", KS_TRANSITION_NONE, "armed" },
  { "blocking", "a", "blocking", "a b", KS_TRANSITION_ARMED, "armed by 'b' (strict), blocking" },
  { "blocking", "a b", "blocking", "b", KS_TRANSITION_DISARMED, "no longer armed by 'a' (strict), still blocking" },
  { "blocking", "a", "off", "", KS_TRANSITION_RELEASED, "no longer armed: nothing is blocked" },
  { "protected", "a@tun0", "released", "", KS_TRANSITION_RELEASED, "released: nothing is blocked" },
  { "off", "", "released", "", KS_TRANSITION_RELEASED, "released: nothing is blocked" },
  { "released", "", "released", "", KS_TRANSITION_NONE, "not armed" },
  { "released", "", "blocking", "a", KS_TRANSITION_ARMED, "armed by 'a' (strict), blocking" },
  { "released", "", "off", "", KS_TRANSITION_NONE, "not armed" },
  { "protected", "a@tun0", "incomplete", "a@tun0", KS_TRANSITION_INCOMPLETE,
    "incomplete: the kernel does not hold what it should" },
  { "incomplete", "a@tun0", "incomplete", "a@tun0", KS_TRANSITION_NONE, "armed" },
  { "incomplete", "a@tun0", "protected", "a@tun0", KS_TRANSITION_PROTECTED, "protected by 'a' on tun0" },
  { "none", "", "blocking", "a b c d e", KS_TRANSITION_ARMED,
    "armed by 'a' (strict), 'b' (strict), 'c' (strict) and 2 more, blocking" },
};

static void
transition_is_what_has_changed_for_a_person (void **state G_GNUC_UNUSED)
{
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (KsSummary) former = summary_of (cases[i].former, cases[i].former_profiles);
    g_autoptr (KsSummary) now = summary_of (cases[i].now, cases[i].now_profiles);
    g_auto (KsTransition) transition = { 0 };
    g_autofree char *text = NULL;

    ks_transition_init (&transition, former, now);
    if (transition.kind != cases[i].kind)
      fail_msg ("from %s (%s) to %s (%s): %d", cases[i].former, cases[i].former_profiles, cases[i].now,
                cases[i].now_profiles, (int) transition.kind);
    text = ks_transition_format (&transition, now);
    assert_string_equal (text, cases[i].text);
  }
}

static void
transition_names_the_profiles_it_is_about (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsSummary) former = summary_of ("blocking", "a b"), now = summary_of ("protected", "a@tun0 b");
  g_auto (KsTransition) transition = { 0 };

  ks_transition_init (&transition, former, now);
  assert_int_equal (transition.profiles->len, 1);
  assert_string_equal (((const KsSummaryProfile *) transition.profiles->pdata[0])->uuid, "uuid-of-a");
}

static void
transition_is_none_when_a_run_knows_nothing (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsSummary) former = summary_of ("blocking", "a");
  g_auto (KsTransition) transition = { 0 };

  ks_transition_init (&transition, former, NULL);
  assert_int_equal (transition.kind, KS_TRANSITION_NONE);
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (transition_is_what_has_changed_for_a_person),
    cmocka_unit_test (transition_names_the_profiles_it_is_about),
    cmocka_unit_test (transition_is_none_when_a_run_knows_nothing),
  };

  return cmocka_run_group_tests_name ("ks-transition", tests, NULL, NULL);
}
