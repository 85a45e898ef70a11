/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test.h"

#include "value/ks-setting.h"

/* A configuration whose administrator has a firewall zone of their own among Zones=. */
static KsConfig *
config_new (void)
{
  static const char *const zones[] = { "killswitch", "vpnzone", NULL };
  KsConfig *config = ks_config_new ();

  g_strfreev (config->zones);
  config->zones = g_strdupv ((char **) zones);
  return config;
}

static void
assert_setting (const KsSetting *got, const char *zone, const char *mode, const char *what)
{
  const KsSetting expected = { .zone = zone, .mode = mode };

  if (!ks_setting_equal (got, &expected))
    fail_msg ("%s: zone '%s', mode '%s'", what, got->zone ? got->zone : "", got->mode ? got->mode : "");
}

static void
setting_that_enables_uses_the_zone_unless_it_is_taken (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *zone, *mode;
    gboolean is_free; /* misspelt */
    const char *strict_zone, *strict_mode, *session_zone, *session_mode;
  } cases[] = {
    { NULL, NULL, FALSE, "killswitch", NULL, "killswitch-auto", NULL },
    { "", NULL, FALSE, "killswitch", NULL, "killswitch-auto", NULL },
    { "killswitch", NULL, FALSE, "killswitch", NULL, "killswitch-auto", NULL },
    { "killswitch-auto", NULL, FALSE, "killswitch", NULL, "killswitch-auto", NULL },
    { "home", NULL, FALSE, "home", "strict", "home", "session" },
    { "vpnzone", NULL, FALSE, "vpnzone", NULL, "vpnzone", "session" },
    { "kilswitch", NULL, TRUE, "killswitch", NULL, "killswitch-auto", NULL },
    { "home", "off", FALSE, "home", "strict", "home", "session" },
    { "vpnzone", "off", FALSE, "vpnzone", NULL, "vpnzone", "session" },
    { "killswitch", "off", FALSE, "killswitch", NULL, "killswitch-auto", NULL },
    { NULL, "nonsense", FALSE, "killswitch", NULL, "killswitch-auto", NULL },
  };
  g_autoptr (KsConfig) config = config_new ();

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    const KsSetting now = { .zone = cases[i].zone, .mode = cases[i].mode };
    KsSetting strict = ks_setting_enable (&now, config, KS_MODE_STRICT, cases[i].is_free);
    KsSetting session = ks_setting_enable (&now, config, KS_MODE_SESSION, cases[i].is_free);
    g_autofree char *what = g_strdup_printf ("from zone '%s', mode '%s'", now.zone, now.mode);

    assert_setting (&strict, cases[i].strict_zone, cases[i].strict_mode, what);
    assert_setting (&session, cases[i].session_zone, cases[i].session_mode, what);
  }
}

static void
setting_that_disables_leaves_foreign_zones_alone (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *zone, *mode, *new_zone, *new_mode;
  } cases[] = {
    { NULL, NULL, NULL, NULL },
    { "killswitch", NULL, "", NULL },
    { "killswitch-auto", "strict", "", NULL },
    { "home", "session", "home", NULL },
    { "vpnzone", NULL, "vpnzone", "off" },
    { "vpnzone", "strict", "vpnzone", "off" },
    { "kilswitch", NULL, "kilswitch", NULL },
  };
  g_autoptr (KsConfig) config = config_new ();

  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    const KsSetting now = { .zone = cases[i].zone, .mode = cases[i].mode };
    KsSetting off = ks_setting_disable (&now, config);

    assert_setting (&off, cases[i].new_zone, cases[i].new_mode, cases[i].zone ? cases[i].zone : "none");
  }
}

/* Whatever there was, what enables arms in the mode that is asked for, and what disables does not arm. */
static void
setting_does_what_it_was_asked_for (void **state G_GNUC_UNUSED)
{
  static const char *const zones[] = { NULL, "", "killswitch", "killswitch-auto", "vpnzone", "home", "kilswitch" };
  static const char *const modes[] = { NULL, "strict", "session", "off", "nonsense" };
  g_autoptr (KsConfig) config = config_new ();

  for (guint i = 0; i < G_N_ELEMENTS (zones) * G_N_ELEMENTS (modes) * 2; i++) {
    const KsSetting now = { .zone = zones[i % G_N_ELEMENTS (zones)],
                            .mode = modes[i / G_N_ELEMENTS (zones) % G_N_ELEMENTS (modes)] };
    gboolean is_free = i % 2;
    KsSetting strict = ks_setting_enable (&now, config, KS_MODE_STRICT, is_free);
    KsSetting session = ks_setting_enable (&now, config, KS_MODE_SESSION, is_free);
    KsSetting off = ks_setting_disable (&now, config);
    g_autoptr (KsProfile) profile = ks_profile_new ();

    assert_true (ks_setting_apply (&strict, config, profile));
    assert_int_equal (profile->mode, KS_MODE_STRICT);
    assert_true (ks_setting_apply (&session, config, profile));
    assert_int_equal (profile->mode, KS_MODE_SESSION);
    assert_true (ks_setting_apply (&off, config, profile));
    assert_int_equal (profile->mode, KS_MODE_OFF);
  }
}

static void
setting_that_is_not_a_mode_arms_strict (void **state G_GNUC_UNUSED)
{
  const KsSetting setting = { .zone = "killswitch-auto", .mode = "strickt" };
  g_autoptr (KsConfig) config = config_new ();
  g_autoptr (KsProfile) profile = ks_profile_new ();

  assert_false (ks_setting_apply (&setting, config, profile));
  assert_int_equal (profile->mode, KS_MODE_STRICT);
  assert_int_equal (profile->reason, KS_REASON_INVALID);
}

/* Zones= may be empty: then there is no zone to use. */
static void
setting_without_any_zone_is_user_data (void **state G_GNUC_UNUSED)
{
  const KsSetting now = { 0 };
  g_autoptr (KsConfig) config = ks_config_new ();
  KsSetting strict;

  g_strfreev (config->zones);
  config->zones = g_new0 (char *, 1);
  strict = ks_setting_enable (&now, config, KS_MODE_STRICT, FALSE);
  assert_setting (&strict, NULL, "strict", "without Zones=");
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (setting_that_enables_uses_the_zone_unless_it_is_taken),
    cmocka_unit_test (setting_that_disables_leaves_foreign_zones_alone),
    cmocka_unit_test (setting_does_what_it_was_asked_for),
    cmocka_unit_test (setting_that_is_not_a_mode_arms_strict),
    cmocka_unit_test (setting_without_any_zone_is_user_data),
  };

  return cmocka_run_group_tests_name ("ks-setting", tests, NULL, NULL);
}
