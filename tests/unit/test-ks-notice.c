/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test.h"

#include "desktop/ks-notice.h"
#include "desktop/ks-told.h"

/* A summary in @state with the profiles "a", "b" ..., one for each word of @tunnels; "-" is one that is down. */
static KsSummary *
summary (const char *state, const char *tunnels)
{
  KsSummary *self = ks_summary_new_empty ();
  g_auto (GStrv) words = g_strsplit (tunnels, " ", -1);

  self->state = g_strdup (state);
  for (guint i = 0; words[i] && *words[i]; i++) {
    KsSummaryProfile *profile = ks_summary_add_profile (self);

    profile->id = g_strdup_printf ("%c", 'a' + (int) i);
    profile->uuid = g_strdup_printf ("uuid-%c", 'a' + (int) i);
    profile->tunnel = strcmp (words[i], "-") == 0 ? NULL : g_strdup (words[i]);
  }
  return self;
}

/* The title of the notice, "" for none (transfer full). */
static char *
title (const char *told, gboolean was_up, const char *state)
{
  g_autoptr (KsSummary) now = summary (state, strcmp (state, "protected") == 0 ? "tun0" : "-");
  g_autoptr (KsNotice) notice = ks_notice_new (told, was_up, now);

  return g_strdup (notice ? notice->title : "");
}

static void
notice_says_each_change_and_no_state_twice (void **state G_GNUC_UNUSED)
{
#define LOST "VPN lost: traffic is blocked"
#define DOWN "VPN down: traffic is blocked"
#define BACK "VPN is back"
#define UP "VPN is up"
#define ON "Kill switch is back on"
#define INCOMPLETE "Kill switch is incomplete"
#define HELD "A profile cannot be read"
#define RELEASED "Kill switch released: nothing is blocked"
#define OFF "Kill switch off: nothing is blocked"
  static const char *const states[] = { "protected", "blocking", "incomplete", "held", "released", "off" };
  /* a row for each state that was told, a column for each that is now, in that order */
  static const struct {
    const char *told;
    gboolean was_up;
    const char *titles[G_N_ELEMENTS (states)];
  } rows[] = {
    { NULL, FALSE, { "", DOWN, INCOMPLETE, HELD, RELEASED, "" } },
    { "protected", TRUE, { "", LOST, INCOMPLETE, HELD, RELEASED, OFF } },
    { "blocking", TRUE, { BACK, "", INCOMPLETE, HELD, RELEASED, OFF } },
    { "blocking", FALSE, { UP, "", INCOMPLETE, HELD, RELEASED, OFF } },
    { "incomplete", TRUE, { ON, LOST, "", HELD, RELEASED, OFF } },
    { "incomplete", FALSE, { ON, DOWN, "", HELD, RELEASED, OFF } },
    { "held", TRUE, { ON, LOST, INCOMPLETE, "", RELEASED, OFF } },
    { "held", FALSE, { ON, DOWN, INCOMPLETE, "", RELEASED, OFF } },
    { "released", FALSE, { ON, DOWN, INCOMPLETE, HELD, "", "" } },
    { "off", FALSE, { "", DOWN, INCOMPLETE, HELD, RELEASED, "" } },
  };

  for (guint i = 0; i < G_N_ELEMENTS (rows); i++)
    for (guint k = 0; k < G_N_ELEMENTS (states); k++) {
      g_autofree char *said = title (rows[i].told, rows[i].was_up, states[k]);

      if (strcmp (said, rows[i].titles[k]) != 0)
        fail_msg ("told %s, %s, now %s: '%s'", rows[i].told ? rows[i].told : "nothing",
                  rows[i].was_up ? "was up" : "was not up", states[k], said);
    }
}

static void
notice_says_nothing_about_an_unknown_state (void **state G_GNUC_UNUSED)
{
  g_autofree char *unknown = title ("protected", TRUE, "unknown");
  g_autofree char *other = title ("protected", TRUE, "a later version's");

  assert_string_equal (unknown, "");
  assert_string_equal (other, "");
}

/* "KEY=LABEL;..." for each button of the notice about @now (transfer full). */
static char *
actions (KsSummary *now)
{
  g_autoptr (KsNotice) notice = ks_notice_new ("protected", TRUE, now);
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < notice->actions->len; i++) {
    const KsNoticeAction *action = notice->actions->pdata[i];

    g_string_append_printf (text, "%s=%s;", action->key, action->label);
  }
  ks_summary_free (now);
  return g_string_free (text, FALSE);
}

static void
notice_offers_to_connect_and_to_release (void **state G_GNUC_UNUSED)
{
  g_autofree char *one = actions (summary ("blocking", "-"));
  g_autofree char *two = actions (summary ("blocking", "- -"));
  g_autofree char *many = actions (summary ("blocking", "- - - - -"));
  g_autofree char *released = actions (summary ("released", "-"));
  g_autofree char *incomplete = actions (summary ("incomplete", "-"));
  g_autofree char *held = actions (summary ("held", ""));
  KsSummary *section = summary ("blocking", "-");
  g_autofree char *of_section = NULL;

  assert_string_equal (one, "connect:uuid-a=Connect;release=Release;");
  assert_string_equal (two, "connect:uuid-a=Connect a;connect:uuid-b=Connect b;release=Release;");
  assert_string_equal (many,
                       "connect:uuid-a=Connect a;connect:uuid-b=Connect b;connect:uuid-c=Connect c;release=Release;");
  assert_string_equal (released, "");
  assert_string_equal (incomplete, "");
  assert_string_equal (held, "release=Release;");
  /* NetworkManager knows nothing of a section [vpn NAME] */
  g_clear_pointer (&((KsSummaryProfile *) section->profiles->pdata[0])->uuid, g_free);
  of_section = actions (section);
  assert_string_equal (of_section, "release=Release;");
}

static void
notice_action_names_its_profile (void **state G_GNUC_UNUSED)
{
  assert_string_equal (ks_notice_get_uuid ("connect:1-2"), "1-2");
  assert_null (ks_notice_get_uuid ("release"));
  assert_null (ks_notice_get_uuid ("default"));
}

static char *
body (const char *told, KsSummary *now)
{
  g_autoptr (KsNotice) notice = ks_notice_new (told, TRUE, now);
  char *text = g_strdup (notice->body);

  ks_summary_free (now);
  return text;
}

static void
notice_names_the_vpns (void **state G_GNUC_UNUSED)
{
  KsSummary *closed = summary ("blocking", "-"), *odd = summary ("blocking", "-");
  g_autoptr (KsSummary) first = summary ("protected", "- tun0");
  g_autoptr (KsNotice) connected = ks_notice_new ("blocking", FALSE, first);
  g_autofree char *one = body ("protected", summary ("blocking", "-"));
  g_autofree char *three = body ("protected", summary ("blocking", "- - -"));
  g_autofree char *four = body ("protected", summary ("blocking", "- - - -"));
  g_autofree char *back = body ("blocking", summary ("protected", "- tun0 wg0"));
  g_autofree char *no_lan = NULL, *printable = NULL;

  closed->lan = g_strdup ("off");
  no_lan = body ("protected", closed);
  g_free (((KsSummaryProfile *) odd->profiles->pdata[0])->id);
  ((KsSummaryProfile *) odd->profiles->pdata[0])->id = g_strdup ("x\n\033[2J<b>\377");
  printable = body ("protected", odd);

  assert_string_equal (one, "Only the local network can be reached until a is up.");
  assert_string_equal (three, "Only the local network can be reached until a, b or c is up.");
  assert_string_equal (four, "Only the local network can be reached until one of 4 VPNs is up.");
  assert_string_equal (back, "Traffic goes through b and c again.");
  assert_string_equal (connected->body, "Traffic goes through b.");
  assert_string_equal (no_lan, "Nothing can be reached until a is up.");
  assert_null (strpbrk (printable, "\n\033"));
  assert_true (g_utf8_validate (printable, -1, NULL));
}

static void
told_comes_back_as_it_was (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestDirectory) directory = ks_test_directory_new ();
  KsPaths own = { .runtime = directory->path };
  g_auto (KsTold) told = { 0 }, read = { 0 };
  static const char *const malformed[] = { "",
                                           "blocking",
                                           "blocking 7",
                                           "blocking 7 :1.2",
                                           "blocking x :1.2 -",
                                           "blocking 99999999999 :1.2 -",
                                           "blocking -1 :1.2 -" };

  ks_told_read (&read, &own);
  assert_null (read.state);
  ks_told_set (&told, "blocking", 4294967295, ":1.20");
  ks_told_write (&told, &own);
  ks_told_read (&read, &own);
  assert_string_equal (read.state, "blocking");
  assert_string_equal (read.owner, ":1.20");
  assert_int_equal (read.id, 4294967295);
  ks_told_set (&told, told.state, 0, NULL);
  ks_told_write (&told, &own);
  ks_told_read (&read, &own);
  assert_string_equal (read.state, "blocking");
  assert_int_equal (read.id, 0);
  for (guint i = 0; i < G_N_ELEMENTS (malformed); i++) {
    g_free (ks_test_write (directory, "told", malformed[i]));
    ks_told_read (&read, &own);
    assert_null (read.state);
    assert_int_equal (read.id, 0);
  }
}

/* The states that were told one after the other, kept in the file between them; and whether a VPN is known to have been
 * up. */
static void
told_knows_whether_the_vpn_has_been_up_since_it_was_armed (void **state G_GNUC_UNUSED)
{
  static const struct {
    const char *state;
    gboolean was_up;
  } life[] = { { "off", FALSE },       { "blocking", FALSE }, { "incomplete", FALSE }, { "protected", TRUE },
               { "incomplete", TRUE }, { "blocking", TRUE },  { "held", TRUE },        { "released", FALSE },
               { "blocking", FALSE },  { "protected", TRUE }, { "off", FALSE },        { "blocking", FALSE } };
  g_autoptr (KsTestDirectory) directory = ks_test_directory_new ();
  KsPaths own = { .runtime = directory->path };

  for (guint i = 0; i < G_N_ELEMENTS (life); i++) {
    g_auto (KsTold) told = { 0 }, read = { 0 };

    ks_told_read (&told, &own);
    ks_told_set (&told, life[i].state, 7, ":1.2");
    ks_told_write (&told, &own);
    ks_told_read (&read, &own);
    if (told.was_up != life[i].was_up || read.was_up != life[i].was_up)
      fail_msg ("%u, %s: %d, read back %d", i, life[i].state, told.was_up, read.was_up);
  }
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (notice_says_each_change_and_no_state_twice),
    cmocka_unit_test (notice_says_nothing_about_an_unknown_state),
    cmocka_unit_test (notice_offers_to_connect_and_to_release),
    cmocka_unit_test (notice_action_names_its_profile),
    cmocka_unit_test (notice_names_the_vpns),
    cmocka_unit_test (told_comes_back_as_it_was),
    cmocka_unit_test (told_knows_whether_the_vpn_has_been_up_since_it_was_armed),
  };

  return cmocka_run_group_tests_name ("ks-notice", tests, NULL, NULL);
}
