/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test.h"

#include <glib/gstdio.h>
#include <sys/stat.h>

#include "base/ks-error.h"
#include "state/ks-state-file.h"
#include "value/ks-answers.h"

static KsProfile *
new_profile (const char *uuid, const char *path)
{
  KsProfile *profile = ks_profile_new ();
  guint32 uids[] = { 0, 117, 4000000000U };

  profile->path = g_strdup (path);
  profile->uuid = g_strdup (uuid);
  profile->id = g_strdup ("my VPN;\n\033 \"x\" =[y]");
  profile->type = g_strdup ("vpn");
  profile->interface = g_strdup ("tun5");
  profile->service = g_strdup ("org.freedesktop.NetworkManager.openvpn");
  profile->vpn_type = KS_VPN_PLUGIN;
  profile->mode = KS_MODE_SESSION;
  profile->reason = KS_REASON_ZONE;
  profile->lan = KS_LAN_OFF;
  profile->dns = KS_DNS_LAN;
  profile->listen_port = 51820;
  profile->fwmark = 0xffffffff;
  profile->kernel = TRUE;
  g_ptr_array_add (profile->endpoints, ks_endpoint_new ("vpn.example.org", 1194, IPPROTO_UDP));
  g_ptr_array_add (profile->endpoints, ks_endpoint_new ("2001:db8::1", 0, 0));
  for (KsCarriage carriage = KS_CARRIAGE_WRAPPED; carriage <= KS_CARRIAGE_INSIDE_IPSEC; carriage++) {
    KsEndpoint *endpoint = ks_endpoint_new (KS_ENDPOINT_RESOLVERS, 1701, IPPROTO_UDP);

    endpoint->carriage = carriage;
    g_ptr_array_add (profile->endpoints, endpoint);
  }
  g_array_unref (profile->prefixes);
  profile->prefixes = ks_test_prefixes ("10.99.0.0/16 2001:db8::/32 203.0.113.1");
  g_array_unref (profile->nameservers);
  profile->nameservers = ks_test_prefixes ("10.8.0.1");
  g_array_append_vals (profile->uids, uids, G_N_ELEMENTS (uids));
  return profile;
}

static KsState *
read_state (const KsTestDirectory *directory, GPtrArray *errors)
{
  g_autofree char *path = ks_test_path (directory, "state/state");

  return ks_state_file_read (path, errors);
}

static void
write_state (const KsTestDirectory *directory, const KsState *self)
{
  g_autofree char *path = ks_test_path (directory, "state/state");
  g_autoptr (GError) error = NULL;

  if (!ks_state_file_write (self, path, &error))
    fail_msg ("%s", error->message);
}

static void
set_aliases (KsState *self, const char *host, const char *aliases)
{
  g_auto (GStrv) words = g_strsplit (aliases, " ", -1);
  g_autoptr (GPtrArray) array = g_ptr_array_new ();

  for (char **word = words; *word; word++)
    g_ptr_array_add (array, *word);
  ks_answers_set_aliases (self->answers, host, array);
}

static void
assert_aliases (const KsState *self, const char *host, const char *expected)
{
  const GPtrArray *known = g_hash_table_lookup (self->answers->aliases, host);
  g_autoptr (GString) text = g_string_new (NULL);

  for (guint i = 0; known && i < known->len; i++)
    g_string_append_printf (text, "%s%s", i ? " " : "", (const char *) known->pdata[i]);
  assert_string_equal (text->str, expected);
}

static void
state_remembers_everything_of_a_profile (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestDirectory) directory = ks_test_directory_new ();
  g_autoptr (GPtrArray) errors = ks_test_errors_new ();
  g_autoptr (KsProfile) profile = new_profile (KS_TEST_UUID_1, "/etc/x");
  g_autoptr (KsState) written = ks_state_new (), read = NULL;
  g_autofree char *prefixes = NULL, *nameservers = NULL, *tunnel_prefixes = NULL, *addresses = NULL;
  KsRemembered *remembered = ks_state_remember (written, profile);
  guint32 devices[] = { 7, 4000000000U };

  remembered->tunnel = g_strdup ("tun0");
  g_ptr_array_add (remembered->former, ks_endpoint_new ("old.example.org", 1195, IPPROTO_TCP));
  remembered->session = g_strdup ("boot-1");
  remembered->leaving = TRUE;
  remembered->listen_port = 51821;
  remembered->fwmark = 0xca6c;
  g_array_unref (remembered->prefixes);
  remembered->prefixes = ks_test_prefixes ("10.8.0.0/24 10.64.0.1");
  g_array_unref (remembered->addresses);
  remembered->addresses = ks_test_prefixes ("10.8.0.2/24 fd08::2/64");
  remembered->disabled = g_strdup ("boot-2");
  g_array_append_vals (remembered->disabled_devices, devices, G_N_ELEMENTS (devices));
  write_state (directory, written);

  read = read_state (directory, errors);
  assert_int_equal (errors->len, 0);
  assert_true (read->is_known);
  assert_int_equal (read->remembered->len, 1);
  remembered = ks_state_find (read, KS_TEST_UUID_1);
  assert_non_null (remembered);
  assert_string_equal (remembered->tunnel, "tun0");
  assert_int_equal (remembered->former->len, 1);
  assert_true (
    ks_endpoint_equal (remembered->former->pdata[0], ks_state_find (written, KS_TEST_UUID_1)->former->pdata[0]));
  assert_string_equal (remembered->session, "boot-1");
  assert_true (remembered->leaving);
  assert_string_equal (remembered->disabled, "boot-2");
  assert_int_equal (remembered->disabled_devices->len, 2);
  assert_int_equal (g_array_index (remembered->disabled_devices, guint32, 1), 4000000000U);
  assert_int_equal (remembered->listen_port, 51821);
  assert_int_equal (remembered->fwmark, 0xca6c);
  assert_string_equal (remembered->profile->path, "/etc/x");
  assert_string_equal (remembered->profile->id, profile->id);
  assert_string_equal (remembered->profile->type, "vpn");
  assert_string_equal (remembered->profile->interface, "tun5");
  assert_string_equal (remembered->profile->service, profile->service);
  assert_int_equal (remembered->profile->vpn_type, KS_VPN_PLUGIN);
  assert_int_equal (remembered->profile->mode, KS_MODE_SESSION);
  assert_int_equal (remembered->profile->reason, KS_REASON_REMEMBERED);
  assert_int_equal (remembered->profile->lan, KS_LAN_OFF);
  assert_int_equal (remembered->profile->dns, KS_DNS_LAN);
  assert_int_equal (remembered->profile->listen_port, 51820);
  assert_int_equal (remembered->profile->fwmark, 0xffffffff);
  assert_true (remembered->profile->kernel);
  assert_int_equal (remembered->profile->endpoints->len, 5);
  for (guint i = 0; i < profile->endpoints->len; i++)
    assert_true (ks_endpoint_equal (remembered->profile->endpoints->pdata[i], profile->endpoints->pdata[i]));
  assert_int_equal (remembered->profile->uids->len, 3);
  assert_int_equal (g_array_index (remembered->profile->uids, guint32, 2), 4000000000U);
  prefixes = ks_test_format_prefixes (remembered->profile->prefixes);
  nameservers = ks_test_format_prefixes (remembered->profile->nameservers);
  tunnel_prefixes = ks_test_format_prefixes (remembered->prefixes);
  addresses = ks_test_format_prefixes (remembered->addresses);
  assert_string_equal (prefixes, "10.99.0.0/16 2001:db8::/32 203.0.113.1");
  assert_string_equal (nameservers, "10.8.0.1");
  assert_string_equal (tunnel_prefixes, "10.8.0.0/24 10.64.0.1");
  assert_string_equal (addresses, "10.8.0.2/24 fd08::2/64");
}

static void
state_remembers_profiles_with_hostile_keys (void **state G_GNUC_UNUSED)
{
  static const char *const uuids[] = { "a]b", "[x", "line\nbreak", "", "a=b", "profile host x", NULL };
  static const char *const paths[] = { "/etc/[x]", "/etc/a\nb", "/etc/\xff\xfe", "/etc/; x", "/etc/\\n" };
  g_autoptr (KsTestDirectory) directory = ks_test_directory_new ();
  g_autoptr (GPtrArray) errors = ks_test_errors_new ();
  g_autoptr (KsState) written = ks_state_new (), read = NULL;

  for (guint i = 0; uuids[i]; i++) {
    g_autoptr (KsProfile) profile = new_profile (uuids[i], "/etc/x");

    ks_state_remember (written, profile);
  }
  for (guint i = 0; i < G_N_ELEMENTS (paths); i++) {
    g_autoptr (KsProfile) profile = new_profile (NULL, paths[i]);

    ks_state_remember (written, profile);
  }
  write_state (directory, written);
  read = read_state (directory, errors);
  for (guint i = 0; uuids[i]; i++)
    assert_non_null (ks_state_find (read, uuids[i]));
  for (guint i = 0; i < G_N_ELEMENTS (paths); i++)
    assert_non_null (ks_state_find (read, paths[i]));
  assert_int_equal (read->remembered->len, written->remembered->len);
}

static void
state_without_a_file_is_empty_and_unknown (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestDirectory) directory = ks_test_directory_new ();
  g_autoptr (GPtrArray) errors = ks_test_errors_new ();
  g_autoptr (KsState) read = read_state (directory, errors);

  assert_false (read->is_known);
  assert_int_equal (errors->len, 0);
  assert_int_equal (read->remembered->len, 0);
}

static void
state_of_a_corrupt_file_is_empty_unknown_and_an_error (void **state G_GNUC_UNUSED)
{
  static const char *const texts[] = { "", "nonsense", "[profile x\n", "[profile x]\npath\n", "\xff\xff", "\033[2J" };

  for (guint i = 0; i < G_N_ELEMENTS (texts); i++) {
    g_autoptr (KsTestDirectory) directory = ks_test_directory_new ();
    g_autoptr (GPtrArray) errors = ks_test_errors_new ();
    g_autofree char *path = ks_test_write (directory, "state/state", texts[i]);
    g_autoptr (KsState) read = read_state (directory, errors);

    assert_false (read->is_known);
    assert_int_equal (errors->len, 1);
    assert_true (g_error_matches (errors->pdata[0], KS_ERROR, KS_ERROR_INVALID));
    assert_true (g_str_has_prefix (((GError *) errors->pdata[0])->message, path));
    assert_null (strchr (((GError *) errors->pdata[0])->message, '\033'));
    assert_int_equal (read->remembered->len, 0);
  }
}

static void
state_with_malformed_values_keeps_the_rest (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestDirectory) directory = ks_test_directory_new ();
  g_autoptr (GPtrArray) errors = ks_test_errors_new ();
  g_autofree char *path = ks_test_write (
    directory, "state/state",
    "[profile 1]\npath=/etc/x\nuuid=u\nid=i\nmode=whatever\nvpn-type=99\nlan=x\ndns=y\nlisten-port=70000\n"
    "fwmark=99999999999\nendpoints=17,1194,a.example;nonsense;999,1,b;17,99999,c;17,1;\n"
    "prefixes=10.0.0.0/8;x;10.0.0.0/99\nuids=a;b\ninterface=../x\ntunnel=a b\nsession=\xff\n"
    "[profile 2]\npath=/etc/y\n[profile 3]\nid=z\n[profile 4]\npath=/etc/z\nuuid=u\nid=again\n"
    "[unknown]\nx=y\n[host h.example]\naddresses=203.0.113.1;nonsense;\n[host none.example]\n");
  g_autoptr (KsState) read = read_state (directory, errors);
  const KsRemembered *remembered = ks_state_find (read, "u");
  g_autofree char *prefixes = NULL, *answers = NULL;

  assert_non_null (path);
  assert_int_equal (errors->len, 3); /* profiles 2, 3 and 4, which may have been armed */
  assert_false (read->is_known);
  assert_int_equal (read->remembered->len, 1);
  assert_non_null (remembered);
  assert_string_equal (remembered->profile->id, "i");
  assert_int_equal (remembered->profile->mode, KS_MODE_STRICT); /* it was armed */
  assert_int_equal (remembered->profile->vpn_type, KS_VPN_PLUGIN);
  assert_int_equal (remembered->profile->lan, KS_LAN_UNSET);
  assert_int_equal (remembered->profile->dns, KS_DNS_UNSET);
  assert_int_equal (remembered->profile->listen_port, 0);
  assert_int_equal (remembered->profile->fwmark, 0);
  assert_int_equal (remembered->profile->endpoints->len, 1);
  assert_int_equal (remembered->profile->uids->len, 1);
  assert_int_equal (g_array_index (remembered->profile->uids, guint32, 0), 0);
  assert_null (remembered->profile->interface);
  assert_null (remembered->tunnel);
  assert_null (remembered->session);
  prefixes = ks_test_format_prefixes (remembered->profile->prefixes);
  assert_string_equal (prefixes, "10.0.0.0/8");
  answers = ks_test_format_prefixes (g_hash_table_lookup (read->answers->addresses, "h.example"));
  assert_string_equal (answers, "203.0.113.1");
}

static void
state_remembers_what_is_unclear_and_a_release (void **state G_GNUC_UNUSED)
{
  static const char *const paths[] = { "/etc/a", "/etc/\xff;\n b", "/etc/\\n" };
  g_autoptr (KsTestDirectory) directory = ks_test_directory_new ();
  g_autoptr (GPtrArray) errors = ks_test_errors_new ();
  g_autoptr (KsState) written = ks_state_new (), read = NULL, again = NULL;

  for (guint i = 0; i < G_N_ELEMENTS (paths); i++)
    g_ptr_array_add (written->unclear, g_strdup (paths[i]));
  written->released = g_strdup ("boot-1");
  write_state (directory, written);
  read = read_state (directory, errors);
  assert_int_equal (errors->len, 0);
  assert_true (read->is_known);
  assert_string_equal (read->released, "boot-1");
  assert_int_equal (read->unclear->len, G_N_ELEMENTS (paths));
  for (guint i = 0; i < G_N_ELEMENTS (paths); i++)
    assert_string_equal (read->unclear->pdata[i], paths[i]);

  g_ptr_array_set_size (read->unclear, 0);
  g_clear_pointer (&read->released, g_free);
  write_state (directory, read);
  again = read_state (directory, errors);
  assert_null (again->released);
  assert_int_equal (again->unclear->len, 0);
}

static void
state_is_written_only_when_it_changes (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestDirectory) directory = ks_test_directory_new ();
  g_autoptr (KsProfile) profile = new_profile (KS_TEST_UUID_1, "/etc/x");
  g_autoptr (KsState) self = ks_state_new ();
  g_autoptr (GArray) addresses = ks_test_prefixes ("203.0.113.1");
  g_autofree char *path = ks_test_path (directory, "state/state");
  struct stat first, second;

  ks_state_remember (self, profile);
  ks_answers_add (self->answers, "b.example", addresses);
  ks_answers_add (self->answers, "a.example", addresses);
  write_state (directory, self);
  ks_test_set_time (directory, "state/state", 1000);
  assert_int_equal (stat (path, &first), 0);
  assert_int_equal (first.st_mode & 0777, 0600);
  write_state (directory, self);
  assert_int_equal (stat (path, &second), 0);
  assert_int_equal (second.st_ino, first.st_ino);
  assert_int_equal (second.st_mtime, 1000);
  ks_state_find (self, KS_TEST_UUID_1)->leaving = TRUE;
  write_state (directory, self);
  assert_int_equal (stat (path, &second), 0);
  assert_int_not_equal (second.st_mtime, 1000);
}

static void
state_that_was_read_is_written_as_it_was (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestDirectory) directory = ks_test_directory_new ();
  g_autoptr (GPtrArray) errors = ks_test_errors_new ();
  g_autoptr (KsProfile) first = new_profile (KS_TEST_UUID_1, "/etc/x"), second = new_profile (NULL, "/etc/\xff");
  g_autoptr (GArray) addresses = ks_test_prefixes ("203.0.113.1 2001:db8::1");
  g_autoptr (KsState) self = ks_state_new (), read = NULL;
  g_autofree char *path = ks_test_path (directory, "state/state"), *before = NULL, *after = NULL;

  ks_state_remember (self, first);
  ks_state_remember (self, second);
  ks_answers_add (self->answers, "vpn.example.org", addresses);
  set_aliases (self, "vpn.example.org", "b.cdn.example c.cdn.example");
  write_state (directory, self);
  assert_true (g_file_get_contents (path, &before, NULL, NULL));
  read = read_state (directory, errors);
  write_state (directory, read);
  assert_aliases (read, "vpn.example.org", "b.cdn.example c.cdn.example");
  assert_true (g_file_get_contents (path, &after, NULL, NULL));
  assert_string_equal (before, after);
}

static void
state_that_cannot_be_written_is_an_error (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsTestDirectory) directory = ks_test_directory_new ();
  g_autofree char *file = ks_test_write (directory, "file", ""), *below_a_file = g_strconcat (file, "/state", NULL);
  g_autofree char *taken = ks_test_path (directory, "taken"), *inside = ks_test_write (directory, "taken/x", "");
  g_autoptr (KsState) self = ks_state_new ();
  g_autoptr (GError) first = NULL, second = NULL;

  assert_non_null (inside);
  assert_false (ks_state_file_write (self, below_a_file, &first));
  assert_true (g_error_matches (first, KS_ERROR, KS_ERROR_IO));
  assert_false (ks_state_file_write (self, taken, &second)); /* a directory */
  assert_true (g_error_matches (second, KS_ERROR, KS_ERROR_IO));
}

static void
state_remembers_the_newest_of_a_profile (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsState) self = ks_state_new ();
  g_autoptr (KsProfile) first = new_profile (KS_TEST_UUID_1, "/etc/x"), second = new_profile (KS_TEST_UUID_1, "/run/x");
  KsRemembered *remembered = ks_state_remember (self, first);

  remembered->session = g_strdup ("boot-1");
  assert_ptr_equal (ks_state_remember (self, second), remembered);
  assert_string_equal (remembered->profile->path, "/run/x");
  assert_string_equal (remembered->session, "boot-1");
  /* its own copy given back to it */
  assert_ptr_equal (ks_state_remember (self, remembered->profile), remembered);
  assert_int_equal (self->remembered->len, 1);
}

static void
state_forgets_profiles_and_answers_nobody_asks_for (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsState) self = ks_state_new ();
  g_autoptr (KsProfile) first = new_profile (KS_TEST_UUID_1, "/etc/x"), second = new_profile (KS_TEST_UUID_2, "/etc/y");
  g_autoptr (GArray) addresses = ks_test_prefixes ("203.0.113.1");
  g_autoptr (GHashTable) keys = g_hash_table_new (g_str_hash, g_str_equal);

  g_ptr_array_add (second->endpoints, ks_endpoint_new ("other.example", 1, IPPROTO_UDP));
  ks_state_remember (self, first);
  ks_state_remember (self, second);
  ks_answers_add (self->answers, "vpn.example.org", addresses);
  ks_answers_add (self->answers, "other.example", addresses);
  set_aliases (self, "vpn.example.org", "b.example");
  set_aliases (self, "other.example", "c.example");
  g_hash_table_add (keys, (gpointer) KS_TEST_UUID_1);
  ks_state_keep_only (self, keys);
  assert_non_null (ks_state_find (self, KS_TEST_UUID_1));
  assert_null (ks_state_find (self, KS_TEST_UUID_2));
  assert_non_null (g_hash_table_lookup (self->answers->addresses, "vpn.example.org"));
  assert_null (g_hash_table_lookup (self->answers->addresses, "other.example"));
  assert_aliases (self, "vpn.example.org", "b.example");
  assert_aliases (self, "other.example", "");
}

static void
state_keeps_the_newest_answers_within_a_limit (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsState) self = ks_state_new ();
  const GArray *known;
  KsPrefix newest;

  for (guint i = 0; i < 3 * KS_ANSWERS_MAX; i++) {
    g_autofree char *text = g_strdup_printf ("203.0.113.%u", i);
    g_autoptr (GArray) addresses = ks_test_prefixes (text);

    assert_true (ks_answers_add (self->answers, "h.example", addresses));
    assert_false (ks_answers_add (self->answers, "h.example", addresses));
  }
  known = g_hash_table_lookup (self->answers->addresses, "h.example");
  newest = g_array_index (known, KsPrefix, 0);
  assert_int_equal (known->len, KS_ANSWERS_MAX);
  assert_int_equal (newest.bytes[3], 3 * KS_ANSWERS_MAX - 1);
}

static void
state_keeps_no_more_aliases_than_a_chain_may_have (void **state G_GNUC_UNUSED)
{
  g_autoptr (KsState) self = ks_state_new ();

  set_aliases (self, "h.example", "1 2 3 4 5 6 7 8 9 10");
  assert_aliases (self, "h.example", "1 2 3 4 5 6 7 8");
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (state_remembers_everything_of_a_profile),
    cmocka_unit_test (state_remembers_profiles_with_hostile_keys),
    cmocka_unit_test (state_without_a_file_is_empty_and_unknown),
    cmocka_unit_test (state_of_a_corrupt_file_is_empty_unknown_and_an_error),
    cmocka_unit_test (state_with_malformed_values_keeps_the_rest),
    cmocka_unit_test (state_remembers_what_is_unclear_and_a_release),
    cmocka_unit_test (state_is_written_only_when_it_changes),
    cmocka_unit_test (state_that_was_read_is_written_as_it_was),
    cmocka_unit_test (state_that_cannot_be_written_is_an_error),
    cmocka_unit_test (state_remembers_the_newest_of_a_profile),
    cmocka_unit_test (state_forgets_profiles_and_answers_nobody_asks_for),
    cmocka_unit_test (state_keeps_the_newest_answers_within_a_limit),
    cmocka_unit_test (state_keeps_no_more_aliases_than_a_chain_may_have),
  };

  return cmocka_run_group_tests_name ("ks-state", tests, NULL, NULL);
}
