/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file that keeps the state: a key file, written as a whole by way of a
 * temporary file. A disk may lose it or cut it short: what cannot be read is an
 * empty state, and said.
 */
#include "state/ks-state-file.h"

#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "base/ks-error.h"
#include "value/ks-interface.h"

#define PROFILE_GROUP "profile "
#define NUMBERS_GROUP "numbers"
#define HOST_GROUP "host "
#define UNCLEAR_GROUP "unclear"
#define RELEASE_GROUP "release"

/* --- a profile, as lines of a key file --- */

static void
set_string (GKeyFile *file, const char *group, const char *key, const char *value)
{
  if (value)
    g_key_file_set_string (file, group, key, value);
}

static void
set_number (GKeyFile *file, const char *group, const char *key, guint32 value)
{
  if (value)
    g_key_file_set_uint64 (file, group, key, value);
}

/* 0 when it is not there, or larger than @max. */
static guint32
get_number (GKeyFile *file, const char *group, const char *key, guint32 max)
{
  guint64 value = g_key_file_get_uint64 (file, group, key, NULL);

  return value <= max ? (guint32) value : 0;
}

static void
set_prefixes (GKeyFile *file, const char *group, const char *key, const GArray *prefixes)
{
  g_autoptr (GPtrArray) words = g_ptr_array_new_with_free_func (g_free);

  if (prefixes->len == 0)
    return;
  for (guint i = 0; i < prefixes->len; i++) {
    const KsPrefix *prefix = &g_array_index (prefixes, KsPrefix, i);
    g_autofree char *address = ks_prefix_format_address (prefix);

    g_ptr_array_add (words, g_strdup_printf ("%s/%u", address, prefix->length));
  }
  g_key_file_set_string_list (file, group, key, (const char *const *) words->pdata, words->len);
}

/* By KsCarriage. */
static const char *const carriage_words[] = { "", "/wrapped", "/ipsec", "/inside-ipsec" };

/* PROTOCOL[/CARRIAGE],PORT,HOST each */
static void
set_endpoints (GKeyFile *file, const char *group, const GPtrArray *endpoints)
{
  g_autoptr (GPtrArray) words = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < endpoints->len; i++) {
    const KsEndpoint *endpoint = endpoints->pdata[i];

    g_ptr_array_add (words, g_strdup_printf ("%u%s,%u,%s", endpoint->ip_protocol, carriage_words[endpoint->carriage],
                                             endpoint->port, endpoint->host));
  }
  g_key_file_set_string_list (file, group, "endpoints", (const char *const *) words->pdata, words->len);
}

/* @values is of guint32. */
static void
set_numbers (GKeyFile *file, const char *group, const char *key, const GArray *values)
{
  g_autofree int *numbers = g_new (int, values->len + 1);

  for (guint i = 0; i < values->len; i++)
    numbers[i] = (int) g_array_index (values, guint32, i);
  g_key_file_set_integer_list (file, group, key, numbers, values->len);
}

static void
write_remembered (GKeyFile *file, const KsRemembered *remembered, guint number)
{
  const KsProfile *profile = remembered->profile;
  /* not its key, a UUID or a path as somebody wrote it: a group's name may not have brackets or control characters */
  g_autofree char *group = g_strdup_printf (PROFILE_GROUP "%u", number);
  g_autofree char *path = g_strescape (profile->path, NULL); /* need not be UTF-8 */

  set_string (file, group, "path", path);
  set_string (file, group, "uuid", profile->uuid);
  set_string (file, group, "id", profile->id);
  set_string (file, group, "type", profile->type);
  set_string (file, group, "interface", profile->interface);
  set_string (file, group, "service", profile->service);
  g_key_file_set_string (file, group, "mode", ks_mode_format (profile->mode));
  g_key_file_set_integer (file, group, "vpn-type", profile->vpn_type);
  if (profile->lan != KS_LAN_UNSET)
    g_key_file_set_string (file, group, "lan", ks_lan_format (profile->lan));
  if (profile->dns != KS_DNS_UNSET)
    g_key_file_set_string (file, group, "dns", ks_dns_format (profile->dns));
  set_number (file, group, "listen-port", profile->listen_port);
  set_number (file, group, "fwmark", profile->fwmark);
  set_endpoints (file, group, profile->endpoints);
  set_prefixes (file, group, "prefixes", profile->prefixes);
  set_prefixes (file, group, "nameservers", profile->nameservers);
  set_numbers (file, group, "uids", profile->uids);
  if (profile->kernel)
    g_key_file_set_boolean (file, group, "kernel", TRUE);
  set_string (file, group, "tunnel", remembered->tunnel);
  set_prefixes (file, group, "tunnel-prefixes", remembered->prefixes);
  set_prefixes (file, group, "tunnel-addresses", remembered->addresses);
  set_number (file, group, "tunnel-listen-port", remembered->listen_port);
  set_number (file, group, "tunnel-fwmark", remembered->fwmark);
  set_string (file, group, "session", remembered->session);
  set_string (file, group, "disabled", remembered->disabled);
  if (remembered->disabled)
    set_numbers (file, group, "disabled-devices", remembered->disabled_devices);
  if (remembered->leaving)
    g_key_file_set_boolean (file, group, "leaving", TRUE);
}

/* Words that are no prefix are left out: the file may be anything. */
static void
get_prefixes (GKeyFile *file, const char *group, const char *key, GArray *out)
{
  g_auto (GStrv) words = g_key_file_get_string_list (file, group, key, NULL, NULL);

  for (char **word = words; word && *word; word++) {
    KsPrefix prefix;

    if (ks_prefix_parse (*word, &prefix, NULL))
      ks_prefix_array_add (out, &prefix);
  }
}

/* Cuts the carriage off @text. */
static KsCarriage
cut_carriage (char *text)
{
  for (guint i = KS_CARRIAGE_WRAPPED; i < G_N_ELEMENTS (carriage_words); i++)
    if (g_str_has_suffix (text, carriage_words[i])) {
      text[strlen (text) - strlen (carriage_words[i])] = '\0';
      return i;
    }
  return KS_CARRIAGE_PLAIN;
}

static void
get_endpoints (GKeyFile *file, const char *group, GPtrArray *out)
{
  g_auto (GStrv) words = g_key_file_get_string_list (file, group, "endpoints", NULL, NULL);

  for (char **word = words; word && *word; word++) {
    g_auto (GStrv) parts = g_strsplit (*word, ",", 3);
    KsCarriage carriage = *parts ? cut_carriage (parts[0]) : KS_CARRIAGE_PLAIN;
    guint64 ip_protocol, port;

    if (g_strv_length (parts) == 3 && g_ascii_string_to_unsigned (parts[0], 10, 0, 255, &ip_protocol, NULL)
        && g_ascii_string_to_unsigned (parts[1], 10, 0, 65535, &port, NULL)) {
      KsEndpoint *endpoint = ks_endpoint_new (parts[2], port, ip_protocol);

      endpoint->carriage = carriage;
      g_ptr_array_add (out, endpoint);
    }
  }
}

/* Appends those of the list that are not 0 to @out (of guint32). */
static void
get_numbers (GKeyFile *file, const char *group, const char *key, GArray *out)
{
  gsize count = 0;
  g_autofree int *numbers = g_key_file_get_integer_list (file, group, key, &count, NULL);

  for (gsize i = 0; i < count; i++) {
    guint32 number = (guint32) numbers[i];

    if (number != 0)
      g_array_append_val (out, number);
  }
}

/* Root is always among them. */
static void
get_uids (GKeyFile *file, const char *group, GArray *out)
{
  guint32 root = 0;

  g_array_append_val (out, root);
  get_numbers (file, group, "uids", out);
}

static char *
get_interface (GKeyFile *file, const char *group, const char *key)
{
  g_autofree char *name = g_key_file_get_string (file, group, key, NULL);

  return name && ks_interface_name_is_valid (name) ? g_steal_pointer (&name) : NULL;
}

static KsProfile *
read_profile (GKeyFile *file, const char *group)
{
  KsProfile *profile = ks_profile_new ();
  g_autofree char *mode = g_key_file_get_string (file, group, "mode", NULL);
  g_autofree char *lan = g_key_file_get_string (file, group, "lan", NULL);
  g_autofree char *dns = g_key_file_get_string (file, group, "dns", NULL);
  g_autofree char *path = g_key_file_get_string (file, group, "path", NULL);
  int type = g_key_file_get_integer (file, group, "vpn-type", NULL);

  profile->path = path ? g_strcompress (path) : NULL;
  profile->uuid = g_key_file_get_string (file, group, "uuid", NULL);
  profile->id = g_key_file_get_string (file, group, "id", NULL);
  profile->type = g_key_file_get_string (file, group, "type", NULL);
  profile->service = g_key_file_get_string (file, group, "service", NULL);
  profile->interface = get_interface (file, group, "interface");
  profile->vpn_type = type > KS_VPN_NONE && type <= KS_VPN_SECTION ? (KsVpnType) type : KS_VPN_PLUGIN;
  /* remembered is armed: what cannot be read any more arms strict */
  if (!mode || !ks_mode_parse (mode, &profile->mode) || profile->mode == KS_MODE_OFF)
    profile->mode = KS_MODE_STRICT;
  profile->reason = KS_REASON_REMEMBERED;
  if (lan)
    ks_lan_parse (lan, &profile->lan);
  if (dns)
    ks_dns_parse (dns, &profile->dns);
  profile->listen_port = (guint16) get_number (file, group, "listen-port", G_MAXUINT16);
  profile->fwmark = get_number (file, group, "fwmark", G_MAXUINT32);
  get_endpoints (file, group, profile->endpoints);
  get_prefixes (file, group, "prefixes", profile->prefixes);
  get_prefixes (file, group, "nameservers", profile->nameservers);
  get_uids (file, group, profile->uids);
  profile->kernel = g_key_file_get_boolean (file, group, "kernel", NULL);
  return profile;
}

/* Whether @group is one that we wrote. */
static gboolean
read_remembered (KsState *state, GKeyFile *file, const char *group)
{
  KsProfile *profile = read_profile (file, group);
  KsRemembered *remembered;

  if (!profile->path || !profile->id || ks_state_find (state, ks_profile_key (profile))) {
    ks_profile_free (profile);
    return FALSE;
  }
  remembered = ks_state_add (state, profile);
  remembered->tunnel = get_interface (file, group, "tunnel");
  get_prefixes (file, group, "tunnel-prefixes", remembered->prefixes);
  get_prefixes (file, group, "tunnel-addresses", remembered->addresses);
  remembered->listen_port = (guint16) get_number (file, group, "tunnel-listen-port", G_MAXUINT16);
  remembered->fwmark = get_number (file, group, "tunnel-fwmark", G_MAXUINT32);
  remembered->session = g_key_file_get_string (file, group, "session", NULL);
  remembered->disabled = g_key_file_get_string (file, group, "disabled", NULL);
  get_numbers (file, group, "disabled-devices", remembered->disabled_devices);
  remembered->leaving = g_key_file_get_boolean (file, group, "leaving", NULL);
  return TRUE;
}

static void
read_host (KsState *state, GKeyFile *file, const char *group)
{
  const char *host = group + strlen (HOST_GROUP);
  g_auto (GStrv) words = g_key_file_get_string_list (file, group, "aliases", NULL, NULL);
  g_autoptr (GPtrArray) aliases = g_ptr_array_new ();
  GArray *addresses = g_array_new (FALSE, FALSE, sizeof (KsPrefix));

  get_prefixes (file, group, "addresses", addresses);
  g_hash_table_insert (state->answers->addresses, g_strdup (host), addresses);
  for (char **word = words; word && *word; word++)
    g_ptr_array_add (aliases, *word);
  ks_answers_set_aliases (state->answers, host, aliases);
}

/* We never write an empty file: a disk may leave one after a crash. */
static gboolean
load (GKeyFile *file, const char *path, GError **error)
{
  g_autofree char *text = NULL;
  gsize length;

  if (!g_file_get_contents (path, &text, &length, error))
    return FALSE;
  if (length == 0) {
    g_set_error_literal (error, KS_ERROR, KS_ERROR_INVALID, "the file is empty");
    return FALSE;
  }
  return g_key_file_load_from_data (file, text, length, G_KEY_FILE_NONE, error);
}

/* Numbers that this program would never use are no hint: they could name somebody else's objects. */
static KsConfig *
read_numbers (GKeyFile *file)
{
  g_autoptr (KsConfig) numbers = ks_config_new ();

  numbers->table = get_number (file, NUMBERS_GROUP, "table", G_MAXUINT32);
  numbers->tunnel_table = get_number (file, NUMBERS_GROUP, "tunnel-table", G_MAXUINT32);
  numbers->uplink_table = get_number (file, NUMBERS_GROUP, "uplink-table", G_MAXUINT32);
  /* version 0.1.0 had no such table, and did not write it */
  if (g_key_file_has_key (file, NUMBERS_GROUP, "servers-table", NULL))
    numbers->servers_table = get_number (file, NUMBERS_GROUP, "servers-table", G_MAXUINT32);
  /* an older version knew none, and used none */
  if (g_key_file_has_key (file, NUMBERS_GROUP, "management-table", NULL))
    numbers->management_table = get_number (file, NUMBERS_GROUP, "management-table", G_MAXUINT32);
  numbers->protocol = (guint8) get_number (file, NUMBERS_GROUP, "protocol", G_MAXUINT8);
  numbers->priority = get_number (file, NUMBERS_GROUP, "priority", 32766 - KS_PRIORITY_WINDOW);
  return ks_config_numbers_are_valid (numbers) ? g_steal_pointer (&numbers) : NULL;
}

static void
read_unclear (KsState *state, GKeyFile *file)
{
  g_auto (GStrv) paths = g_key_file_get_string_list (file, UNCLEAR_GROUP, "paths", NULL, NULL);

  for (char **path = paths; path && *path; path++)
    g_ptr_array_add (state->unclear, g_strcompress (*path));
}

KsState *
ks_state_file_read (const char *path, GPtrArray *errors)
{
  KsState *state = ks_state_new ();
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) error = NULL;
  g_auto (GStrv) groups = NULL;

  if (!load (file, path, &error)) {
    if (!g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
      g_autofree char *reason = ks_error_printable (error->message);

      g_ptr_array_add (errors, g_error_new (KS_ERROR, KS_ERROR_INVALID, "%s: %s", path, reason));
    }
    return state;
  }
  state->is_known = TRUE;
  if (g_key_file_has_group (file, NUMBERS_GROUP))
    state->numbers = read_numbers (file);
  read_unclear (state, file);
  state->released = g_key_file_get_string (file, RELEASE_GROUP, "boot", NULL);
  groups = g_key_file_get_groups (file, NULL);
  for (char **group = groups; *group; group++) {
    if (g_str_has_prefix (*group, PROFILE_GROUP)) {
      if (!read_remembered (state, file, *group)) {
        state->is_known = FALSE;
        g_ptr_array_add (errors, g_error_new (KS_ERROR, KS_ERROR_INVALID, "%s: [%s] is incomplete", path, *group));
      }
    } else if (g_str_has_prefix (*group, HOST_GROUP)) {
      read_host (state, file, *group);
    }
  }
  return state;
}

static int
compare_names (gconstpointer a, gconstpointer b)
{
  return strcmp (a, b);
}

static void
write_numbers (GKeyFile *file, const KsConfig *numbers)
{
  set_number (file, NUMBERS_GROUP, "table", numbers->table);
  set_number (file, NUMBERS_GROUP, "tunnel-table", numbers->tunnel_table);
  set_number (file, NUMBERS_GROUP, "uplink-table", numbers->uplink_table);
  set_number (file, NUMBERS_GROUP, "servers-table", numbers->servers_table);
  set_number (file, NUMBERS_GROUP, "management-table", numbers->management_table);
  set_number (file, NUMBERS_GROUP, "protocol", numbers->protocol);
  set_number (file, NUMBERS_GROUP, "priority", numbers->priority);
}

static void
write_unclear (GKeyFile *file, const GPtrArray *unclear)
{
  g_autoptr (GPtrArray) paths = g_ptr_array_new_with_free_func (g_free);

  for (guint i = 0; i < unclear->len; i++)
    g_ptr_array_add (paths, g_strescape (unclear->pdata[i], NULL)); /* need not be UTF-8 */
  if (paths->len > 0)
    g_key_file_set_string_list (file, UNCLEAR_GROUP, "paths", (const char *const *) paths->pdata, paths->len);
}

static char *
format_state (const KsState *self, gsize *length)
{
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GList) hosts = g_list_sort (g_hash_table_get_keys (self->answers->addresses), compare_names);

  g_key_file_set_comment (file, NULL, NULL, " What nm-killswitch remembers. Safe to delete.", NULL);
  for (guint i = 0; i < self->remembered->len; i++)
    write_remembered (file, self->remembered->pdata[i], i + 1);
  for (GList *host = hosts; host; host = host->next) {
    g_autofree char *group = g_strconcat (HOST_GROUP, (const char *) host->data, NULL);

    const GPtrArray *aliases = g_hash_table_lookup (self->answers->aliases, host->data);

    set_prefixes (file, group, "addresses", g_hash_table_lookup (self->answers->addresses, host->data));
    if (aliases)
      g_key_file_set_string_list (file, group, "aliases", (const char *const *) aliases->pdata, aliases->len);
  }
  if (self->numbers)
    write_numbers (file, self->numbers);
  write_unclear (file, self->unclear);
  set_string (file, RELEASE_GROUP, "boot", self->released);
  return g_key_file_to_data (file, length, NULL);
}

gboolean
ks_state_file_write (const KsState *self, const char *path, GError **error)
{
  gsize length, old_length;
  g_autofree char *text = format_state (self, &length);
  g_autofree char *old = NULL;
  g_autofree char *directory = g_path_get_dirname (path);
  g_autoptr (GError) local = NULL;

  if (g_file_get_contents (path, &old, &old_length, NULL) && old_length == length && memcmp (old, text, length) == 0)
    return TRUE;
  if (g_mkdir_with_parents (directory, 0700) < 0) {
    g_set_error (error, KS_ERROR, KS_ERROR_IO, "cannot make %s: %s", directory, g_strerror (errno));
    return FALSE;
  }
  if (!g_file_set_contents_full (path, text, length, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &local)) {
    g_set_error (error, KS_ERROR, KS_ERROR_IO, "cannot write what has to be remembered: %s", local->message);
    return FALSE;
  }
  return TRUE;
}
