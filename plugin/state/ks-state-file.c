/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The file that keeps the state: a key file, written as a whole by means of a
 * temporary file. A disk may lose or truncate it: a file that cannot be read
 * counts as an empty state, and is reported.
 */
#include "state/ks-state-file.h"

#include <arpa/inet.h>
#include <errno.h>
#include <glib/gstdio.h>
#include <string.h>

#include "base/ks-error.h"
#include "state/ks-key-lines.h"
#include "value/ks-interface.h"

#define PROFILE_GROUP "profile "
#define NUMBERS_GROUP "numbers"
#define HOST_GROUP "host "
#define UNCLEAR_GROUP "unclear"
#define RELEASE_GROUP "release"

/* --- a profile in the key file --- */

static void
put_string (GString *out, const char *key, const char *value)
{
  if (value)
    ks_key_put_string (out, key, value);
}

static void
put_number (GString *out, const char *key, guint32 value)
{
  if (value)
    ks_key_put_number (out, key, value);
}

static void
put_prefixes (GString *out, const char *key, const GArray *prefixes)
{
  if (prefixes->len == 0)
    return;
  ks_key_put_list (out, key);
  for (guint i = 0; i < prefixes->len; i++) {
    const KsPrefix *prefix = &g_array_index (prefixes, KsPrefix, i);
    char address[INET6_ADDRSTRLEN], text[INET6_ADDRSTRLEN + 4];

    inet_ntop (prefix->family, prefix->bytes, address, sizeof address);
    g_snprintf (text, sizeof text, "%s/%u", address, prefix->length);
    ks_key_put_part (out, text);
  }
  ks_key_put_end (out);
}

/* Indexed by KsCarriage. */
static const char *const carriage_words[] = { "", "/wrapped", "/ipsec", "/inside-ipsec" };

/* A list of PROTOCOL[/CARRIAGE],PORT,HOST */
static void
put_endpoints (GString *out, const char *key, const GPtrArray *endpoints)
{
  ks_key_put_list (out, key);
  for (guint i = 0; i < endpoints->len; i++) {
    const KsEndpoint *endpoint = endpoints->pdata[i];
    g_autofree char *word = g_strdup_printf ("%u%s,%u,%s", endpoint->ip_protocol, carriage_words[endpoint->carriage],
                                             endpoint->port, endpoint->host);

    ks_key_put_part (out, word);
  }
  ks_key_put_end (out);
}

/* @values is of guint32. Values above G_MAXINT32 are written as negative numbers, as always in this file. */
static void
put_numbers (GString *out, const char *key, const GArray *values)
{
  ks_key_put_list (out, key);
  for (guint i = 0; i < values->len; i++) {
    char text[16];

    g_snprintf (text, sizeof text, "%d", (int) g_array_index (values, guint32, i));
    ks_key_put_part (out, text);
  }
  ks_key_put_end (out);
}

static void
write_remembered (GString *out, const KsRemembered *remembered, guint number)
{
  const KsProfile *profile = remembered->profile;
  /* a number rather than its key, a UUID or path: a group's name may not have brackets or control characters */
  g_autofree char *group = g_strdup_printf (PROFILE_GROUP "%u", number);
  g_autofree char *path = g_strescape (profile->path, NULL); /* need not be UTF-8 */

  ks_key_put_group (out, group);
  put_string (out, "path", path);
  put_string (out, "uuid", profile->uuid);
  put_string (out, "id", profile->id);
  put_string (out, "type", profile->type);
  put_string (out, "interface", profile->interface);
  put_string (out, "service", profile->service);
  ks_key_put_string (out, "mode", ks_mode_format (profile->mode));
  ks_key_put_number (out, "vpn-type", profile->vpn_type);
  if (profile->lan != KS_LAN_UNSET)
    ks_key_put_string (out, "lan", ks_lan_format (profile->lan));
  if (profile->dns != KS_DNS_UNSET)
    ks_key_put_string (out, "dns", ks_dns_format (profile->dns));
  put_number (out, "listen-port", profile->listen_port);
  put_number (out, "fwmark", profile->fwmark);
  put_endpoints (out, "endpoints", profile->endpoints);
  put_prefixes (out, "prefixes", profile->prefixes);
  put_prefixes (out, "nameservers", profile->nameservers);
  put_numbers (out, "uids", profile->uids);
  if (profile->kernel)
    ks_key_put_string (out, "kernel", "true");
  if (remembered->former->len > 0)
    put_endpoints (out, "former-endpoints", remembered->former);
  put_string (out, "tunnel", remembered->tunnel);
  put_prefixes (out, "tunnel-prefixes", remembered->prefixes);
  put_prefixes (out, "tunnel-addresses", remembered->addresses);
  put_number (out, "tunnel-listen-port", remembered->listen_port);
  put_number (out, "tunnel-fwmark", remembered->fwmark);
  put_string (out, "session", remembered->session);
  put_string (out, "disabled", remembered->disabled);
  if (remembered->disabled)
    put_numbers (out, "disabled-devices", remembered->disabled_devices);
  if (remembered->leaving)
    ks_key_put_string (out, "leaving", "true");
}

/* Leaves out words that are not prefixes: the file may contain anything. */
static void
get_prefixes (const KsKeyGroup *group, const char *key, GArray *out)
{
  g_auto (GStrv) words = ks_key_group_list (group, key);

  for (char **word = words; word && *word; word++) {
    KsPrefix prefix;

    if (ks_prefix_parse (*word, &prefix, NULL))
      ks_prefix_array_add (out, &prefix);
  }
}

/* Cuts the carriage off @text and returns it. */
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
get_endpoints (const KsKeyGroup *group, const char *key, GPtrArray *out)
{
  g_auto (GStrv) words = ks_key_group_list (group, key);

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

/* Appends the numbers in the list other than 0 to @out (of guint32). */
static void
get_numbers (const KsKeyGroup *group, const char *key, GArray *out)
{
  g_auto (GStrv) words = ks_key_group_list (group, key);

  for (char **word = words; *word; word++) {
    gint64 value;

    if (g_ascii_string_to_signed (*word, 10, G_MININT32, G_MAXUINT32, &value, NULL) && value != 0) {
      guint32 number = (guint32) value;

      g_array_append_val (out, number);
    }
  }
}

/* Always includes root. */
static void
get_uids (const KsKeyGroup *group, GArray *out)
{
  guint32 root = 0;

  g_array_append_val (out, root);
  get_numbers (group, "uids", out);
}

static char *
get_interface (const KsKeyGroup *group, const char *key)
{
  g_autofree char *name = ks_key_group_string (group, key);

  return name && ks_interface_name_is_valid (name) ? g_steal_pointer (&name) : NULL;
}

static KsProfile *
read_profile (const KsKeyGroup *group)
{
  KsProfile *profile = ks_profile_new ();
  g_autofree char *mode = ks_key_group_string (group, "mode");
  g_autofree char *lan = ks_key_group_string (group, "lan");
  g_autofree char *dns = ks_key_group_string (group, "dns");
  g_autofree char *path = ks_key_group_string (group, "path");
  guint32 type = ks_key_group_number (group, "vpn-type", KS_VPN_SECTION);

  profile->path = path ? g_strcompress (path) : NULL;
  profile->uuid = ks_key_group_string (group, "uuid");
  profile->id = ks_key_group_string (group, "id");
  profile->type = ks_key_group_string (group, "type");
  profile->service = ks_key_group_string (group, "service");
  profile->interface = get_interface (group, "interface");
  profile->vpn_type = type > KS_VPN_NONE ? (KsVpnType) type : KS_VPN_PLUGIN;
  /* whatever is remembered was armed: if the mode cannot be read, it is strict */
  if (!mode || !ks_mode_parse (mode, &profile->mode) || profile->mode == KS_MODE_OFF)
    profile->mode = KS_MODE_STRICT;
  profile->reason = KS_REASON_REMEMBERED;
  if (lan)
    ks_lan_parse (lan, &profile->lan);
  if (dns)
    ks_dns_parse (dns, &profile->dns);
  profile->listen_port = (guint16) ks_key_group_number (group, "listen-port", G_MAXUINT16);
  profile->fwmark = ks_key_group_number (group, "fwmark", G_MAXUINT32);
  get_endpoints (group, "endpoints", profile->endpoints);
  get_prefixes (group, "prefixes", profile->prefixes);
  get_prefixes (group, "nameservers", profile->nameservers);
  get_uids (group, profile->uids);
  profile->kernel = ks_key_group_boolean (group, "kernel");
  return profile;
}

/* Whether @group is written by this file. */
static gboolean
read_remembered (KsState *state, const KsKeyGroup *group)
{
  KsProfile *profile = read_profile (group);
  KsRemembered *remembered;

  if (!profile->path || !profile->id || ks_state_find (state, ks_profile_key (profile))) {
    ks_profile_free (profile);
    return FALSE;
  }
  remembered = ks_state_add (state, profile);
  get_endpoints (group, "former-endpoints", remembered->former);
  remembered->tunnel = get_interface (group, "tunnel");
  get_prefixes (group, "tunnel-prefixes", remembered->prefixes);
  get_prefixes (group, "tunnel-addresses", remembered->addresses);
  remembered->listen_port = (guint16) ks_key_group_number (group, "tunnel-listen-port", G_MAXUINT16);
  remembered->fwmark = ks_key_group_number (group, "tunnel-fwmark", G_MAXUINT32);
  remembered->session = ks_key_group_string (group, "session");
  remembered->disabled = ks_key_group_string (group, "disabled");
  get_numbers (group, "disabled-devices", remembered->disabled_devices);
  remembered->leaving = ks_key_group_boolean (group, "leaving");
  return TRUE;
}

static void
read_host (KsState *state, const KsKeyGroup *group)
{
  const char *host = group->name + strlen (HOST_GROUP);
  g_auto (GStrv) words = ks_key_group_list (group, "aliases");
  g_autoptr (GPtrArray) aliases = g_ptr_array_new ();
  GArray *addresses = g_array_new (FALSE, FALSE, sizeof (KsPrefix));

  get_prefixes (group, "addresses", addresses);
  g_hash_table_insert (state->answers->addresses, g_strdup (host), addresses);
  for (char **word = words; word && *word; word++)
    g_ptr_array_add (aliases, *word);
  ks_answers_set_aliases (state->answers, host, aliases);
}

/* We never write an empty file, but a disk may leave one after a crash. */
static KsKeyLines *
load (const char *path, GError **error)
{
  g_autofree char *text = NULL;
  gsize length;

  if (!g_file_get_contents (path, &text, &length, error))
    return NULL;
  if (length == 0) {
    g_set_error_literal (error, KS_ERROR, KS_ERROR_INVALID, "the file is empty");
    return NULL;
  }
  return ks_key_lines_parse (g_steal_pointer (&text), length, error);
}

/* Ignores numbers that this program would never use: they could belong to another program's objects. */
static KsConfig *
read_numbers (const KsKeyGroup *group)
{
  g_autoptr (KsConfig) numbers = ks_config_new ();

  numbers->table = ks_key_group_number (group, "table", G_MAXUINT32);
  numbers->tunnel_table = ks_key_group_number (group, "tunnel-table", G_MAXUINT32);
  numbers->uplink_table = ks_key_group_number (group, "uplink-table", G_MAXUINT32);
  /* version 0.1.0 had no such table, and did not write it */
  if (ks_key_group_has (group, "servers-table"))
    numbers->servers_table = ks_key_group_number (group, "servers-table", G_MAXUINT32);
  /* an older version did not know these, and used none */
  if (ks_key_group_has (group, "management-table"))
    numbers->management_table = ks_key_group_number (group, "management-table", G_MAXUINT32);
  numbers->protocol = (guint8) ks_key_group_number (group, "protocol", G_MAXUINT8);
  numbers->priority = ks_key_group_number (group, "priority", 32766 - KS_PRIORITY_WINDOW);
  return ks_config_numbers_are_valid (numbers) ? g_steal_pointer (&numbers) : NULL;
}

static void
read_unclear (KsState *state, const KsKeyGroup *group)
{
  g_auto (GStrv) paths = ks_key_group_list (group, "paths");

  for (char **path = paths; *path; path++)
    g_ptr_array_add (state->unclear, g_strcompress (*path));
}

KsState *
ks_state_file_read (const char *path, GPtrArray *errors)
{
  KsState *state = ks_state_new ();
  g_autoptr (GError) error = NULL;
  g_autoptr (KsKeyLines) lines = load (path, &error);
  const KsKeyGroup *numbers;

  if (!lines) {
    if (!g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
      g_autofree char *reason = ks_error_printable (error->message);

      g_ptr_array_add (errors, g_error_new (KS_ERROR, KS_ERROR_INVALID, "%s: %s", path, reason));
    }
    return state;
  }
  state->is_known = TRUE;
  numbers = ks_key_lines_find (lines, NUMBERS_GROUP);
  if (numbers)
    state->numbers = read_numbers (numbers);
  read_unclear (state, ks_key_lines_find (lines, UNCLEAR_GROUP));
  state->released = ks_key_group_string (ks_key_lines_find (lines, RELEASE_GROUP), "boot");
  for (guint i = 0; i < lines->groups->len; i++) {
    const KsKeyGroup *group = lines->groups->pdata[i];

    if (g_str_has_prefix (group->name, PROFILE_GROUP)) {
      if (!read_remembered (state, group)) {
        g_autofree char *name = ks_error_printable (group->name);

        state->is_known = FALSE;
        g_ptr_array_add (errors, g_error_new (KS_ERROR, KS_ERROR_INVALID, "%s: [%s] is incomplete", path, name));
      }
    } else if (g_str_has_prefix (group->name, HOST_GROUP)) {
      read_host (state, group);
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
write_numbers (GString *out, const KsConfig *numbers)
{
  ks_key_put_group (out, NUMBERS_GROUP);
  put_number (out, "table", numbers->table);
  put_number (out, "tunnel-table", numbers->tunnel_table);
  put_number (out, "uplink-table", numbers->uplink_table);
  put_number (out, "servers-table", numbers->servers_table);
  put_number (out, "management-table", numbers->management_table);
  put_number (out, "protocol", numbers->protocol);
  put_number (out, "priority", numbers->priority);
}

static void
write_unclear (GString *out, const GPtrArray *unclear)
{
  if (unclear->len == 0)
    return;
  ks_key_put_group (out, UNCLEAR_GROUP);
  ks_key_put_list (out, "paths");
  for (guint i = 0; i < unclear->len; i++) {
    g_autofree char *path = g_strescape (unclear->pdata[i], NULL); /* need not be UTF-8 */

    ks_key_put_part (out, path);
  }
  ks_key_put_end (out);
}

/* Whether @host can be part of a group's name; every valid host name can. */
static gboolean
is_plain (const char *host)
{
  for (const char *p = host; *p; p++)
    if (*p == '[' || *p == ']' || g_ascii_iscntrl (*p))
      return FALSE;
  return g_utf8_validate (host, -1, NULL);
}

static void
write_host (GString *out, const char *host, const KsAnswers *answers)
{
  g_autofree char *group = g_strconcat (HOST_GROUP, host, NULL);
  const GPtrArray *aliases = g_hash_table_lookup (answers->aliases, host);

  ks_key_put_group (out, group);
  put_prefixes (out, "addresses", g_hash_table_lookup (answers->addresses, host));
  if (!aliases)
    return;
  ks_key_put_list (out, "aliases");
  for (guint i = 0; i < aliases->len; i++)
    ks_key_put_part (out, aliases->pdata[i]);
  ks_key_put_end (out);
}

static GString *
format_state (const KsState *self)
{
  g_autoptr (GList) hosts = g_list_sort (g_hash_table_get_keys (self->answers->addresses), compare_names);
  GString *out = g_string_new ("# What nm-killswitch remembers. Safe to delete.\n");

  for (guint i = 0; i < self->remembered->len; i++)
    write_remembered (out, self->remembered->pdata[i], i + 1);
  for (GList *host = hosts; host; host = host->next)
    if (is_plain (host->data))
      write_host (out, host->data, self->answers);
  if (self->numbers)
    write_numbers (out, self->numbers);
  write_unclear (out, self->unclear);
  if (self->released) {
    ks_key_put_group (out, RELEASE_GROUP);
    put_string (out, "boot", self->released);
  }
  return out;
}

gboolean
ks_state_file_write (const KsState *self, const char *path, GError **error)
{
  g_autoptr (GString) text = format_state (self);
  gsize old_length;
  g_autofree char *old = NULL;
  g_autofree char *directory = g_path_get_dirname (path);
  g_autoptr (GError) local = NULL;

  if (g_file_get_contents (path, &old, &old_length, NULL) && old_length == text->len
      && memcmp (old, text->str, text->len) == 0)
    return TRUE;
  if (g_mkdir_with_parents (directory, 0700) < 0) {
    g_set_error (error, KS_ERROR, KS_ERROR_IO, "cannot make %s: %s", directory, g_strerror (errno));
    return FALSE;
  }
  if (!g_file_set_contents_full (path, text->str, (gssize) text->len, G_FILE_SET_CONTENTS_CONSISTENT, 0600, &local)) {
    g_set_error (error, KS_ERROR, KS_ERROR_IO, "cannot save the state: %s", local->message);
    return FALSE;
  }
  return TRUE;
}
