/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Replies as a resolver sends them, or an attacker. */
#include "ks-test.h"

#include "input/ks-alias.h"
#include "value/ks-answers.h"

/* --- a reply --- */

static void
add_u16 (GByteArray *out, guint16 value)
{
  const guint8 bytes[] = { (guint8) (value >> 8), (guint8) value };

  g_byte_array_append (out, bytes, sizeof bytes);
}

static void
add_name (GByteArray *out, const char *name)
{
  g_auto (GStrv) labels = g_strsplit (name, ".", -1);
  guint8 length = 0;

  for (char **label = labels; *label; label++) {
    length = (guint8) strlen (*label);
    g_byte_array_append (out, &length, 1);
    g_byte_array_append (out, (const guint8 *) *label, length);
  }
  length = 0;
  g_byte_array_append (out, &length, 1);
}

static GByteArray *
new_reply (const char *host, guint16 flags, guint16 answers)
{
  GByteArray *out = g_byte_array_new ();

  add_u16 (out, 0x1234);
  add_u16 (out, flags);
  add_u16 (out, 1);
  add_u16 (out, answers);
  add_u16 (out, 0);
  add_u16 (out, 0);
  add_name (out, host);
  add_u16 (out, 1);
  add_u16 (out, 1);
  return out;
}

static void
add_cname (GByteArray *out, const char *name, const char *target)
{
  add_name (out, name);
  add_u16 (out, 5);
  add_u16 (out, 1);
  add_u16 (out, 0);
  add_u16 (out, 60);
  add_u16 (out, (guint16) (strlen (target) + 2));
  add_name (out, target);
}

#define OK 0x8180
#define NXDOMAIN 0x8183

/* Expects the aliases of vpn.example between spaces; "nothing" for no answer. Ends the reply. */
static void
assert_aliases (GByteArray *reply, const char *expected)
{
  g_autoptr (GPtrArray) aliases = ks_alias_parse (reply->data, reply->len, "vpn.example");
  g_autofree char *text = NULL;

  if (aliases)
    g_ptr_array_add (aliases, NULL);
  text = aliases ? g_strjoinv (" ", (char **) aliases->pdata) : g_strdup ("nothing");
  assert_string_equal (text, expected);
  g_byte_array_unref (reply);
}

/* --- claims --- */

static void
alias_follows_the_chain_in_whatever_order_it_comes (void **state G_GNUC_UNUSED)
{
  GByteArray *reply = new_reply ("vpn.example", OK, 3);

  add_cname (reply, "b.cdn.example", "c.cdn.example");
  add_cname (reply, "VPN.example", "B.cdn.example");
  add_cname (reply, "other.example", "d.example");
  assert_aliases (reply, "B.cdn.example c.cdn.example");
}

static void
alias_of_a_name_without_one_is_none (void **state G_GNUC_UNUSED)
{
  assert_aliases (new_reply ("vpn.example", OK, 0), "");
}

static void
alias_of_a_refusal_is_unknown (void **state G_GNUC_UNUSED)
{
  assert_aliases (new_reply ("vpn.example", NXDOMAIN, 0), "nothing");
}

static void
alias_chain_that_loops_ends (void **state G_GNUC_UNUSED)
{
  GByteArray *reply = new_reply ("vpn.example", OK, 2);
  g_autoptr (GPtrArray) aliases = NULL;

  add_cname (reply, "vpn.example", "a.example");
  add_cname (reply, "a.example", "vpn.example");
  aliases = ks_alias_parse (reply->data, reply->len, "vpn.example");
  assert_int_equal (aliases->len, KS_ANSWERS_MAX_ALIASES);
  g_byte_array_unref (reply);
}

static void
alias_of_a_reply_that_is_cut_anywhere_reads_nothing_else (void **state G_GNUC_UNUSED)
{
  GByteArray *reply = new_reply ("vpn.example", OK, 1);

  add_cname (reply, "vpn.example", "a.example");
  for (guint i = 0; i < reply->len; i++) {
    g_autofree guint8 *cut = g_memdup2 (reply->data, i);
    g_autoptr (GPtrArray) aliases = ks_alias_parse (cut, i, "vpn.example");

    assert_true (!aliases || aliases->len == 0);
  }
  assert_aliases (reply, "a.example");
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (alias_follows_the_chain_in_whatever_order_it_comes),
    cmocka_unit_test (alias_of_a_name_without_one_is_none),
    cmocka_unit_test (alias_of_a_refusal_is_unknown),
    cmocka_unit_test (alias_chain_that_loops_ends),
    cmocka_unit_test (alias_of_a_reply_that_is_cut_anywhere_reads_nothing_else),
  };

  return cmocka_run_group_tests_name ("ks-alias", tests, NULL, NULL);
}
