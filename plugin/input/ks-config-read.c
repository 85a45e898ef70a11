/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "input/ks-config-read.h"

#include <string.h>

#include "base/ks-error.h"
#include "input/ks-section-read.h"

#define GROUP "main"

/* Where a malformed value is reported: the path for messages, and the errors. */
typedef struct {
  const char *path;
  GKeyFile *file;
  GPtrArray *errors;
} Reader;

static void
report (Reader *r, const char *key, const char *value, const char *what)
{
  g_autofree char *printable = ks_error_printable (value);

  g_ptr_array_add (r->errors,
                   g_error_new (KS_ERROR, KS_ERROR_INVALID, "%s: %s: '%s' is not %s", r->path, key, printable, what));
}

/* The value of @key; NULL if it is not set (transfer full). */
static char *
get_value (Reader *r, const char *key)
{
  g_autoptr (GError) error = NULL;
  char *value = g_key_file_get_string (r->file, GROUP, key, &error);

  if (error && !g_error_matches (error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_KEY_NOT_FOUND)
      && !g_error_matches (error, G_KEY_FILE_ERROR, G_KEY_FILE_ERROR_GROUP_NOT_FOUND)) {
    g_autofree char *raw = g_key_file_get_value (r->file, GROUP, key, NULL);

    report (r, key, raw ? raw : "", "text in UTF-8 with valid escapes");
    g_clear_pointer (&value, g_free); /* after an invalid escape, GLib returns what it could parse */
  }
  return value ? g_strstrip (value) : NULL;
}

static void
read_number (Reader *r, const char *key, guint32 min, guint32 max, guint32 *out)
{
  g_autofree char *value = get_value (r, key);
  g_autofree char *what = g_strdup_printf ("a number from %u to %u", min, max);
  guint64 number;

  if (!value)
    return;
  if (g_ascii_string_to_unsigned (value, 10, min, max, &number, NULL))
    *out = (guint32) number;
  else
    report (r, key, value, what);
}

/* Tables 253 to 255 are default, main and local. */
static void
read_table (Reader *r, const char *key, guint32 *out)
{
  guint32 table = *out;

  read_number (r, key, 1, G_MAXUINT32, &table);
  if (table >= 253 && table <= 255) {
    g_autofree char *value = g_strdup_printf ("%u", table);

    report (r, key, value, "a table of our own: 253 to 255 are the system's");
    return;
  }
  *out = table;
}

static void
read_list (Reader *r, const char *key, char ***out)
{
  g_autofree char *value = get_value (r, key);
  g_autoptr (GPtrArray) list = NULL;
  g_auto (GStrv) words = NULL;

  if (!value)
    return;
  list = g_ptr_array_new ();
  words = g_strsplit_set (value, ";,", -1);
  for (char **word = words; *word; word++)
    if (*g_strstrip (*word))
      g_ptr_array_add (list, g_strdup (*word));
  g_ptr_array_add (list, NULL);
  g_strfreev (*out);
  *out = (char **) g_ptr_array_free (g_steal_pointer (&list), FALSE);
}

static void
read_lan (Reader *r, KsConfig *config)
{
  g_autofree char *value = get_value (r, "Lan");

  if (value && !ks_lan_parse (value, &config->lan)) {
    report (r, "Lan", value, "one of private, routes, off");
    config->lan = KS_LAN_OFF;
  } else if (!value && g_key_file_has_key (r->file, GROUP, "Lan", NULL)) {
    config->lan = KS_LAN_OFF;
  }
}

/* Reads prefixes into @out, which is unchanged if @key is not set. A prefix of length 0 would be no limit at all. */
static void
read_prefixes (Reader *r, const char *key, GArray *out)
{
  g_autofree char *value = get_value (r, key);
  g_auto (GStrv) words = NULL;

  if (!value)
    return;
  g_array_set_size (out, 0);
  words = g_strsplit_set (value, ";,", -1);
  for (char **word = words; *word; word++) {
    KsPrefix prefix;

    if (!*g_strstrip (*word))
      continue;
    if (!ks_prefix_parse (*word, &prefix, NULL) || prefix.length == 0) {
      report (r, key, *word, "a prefix such as 192.168.0.0/16 or fc00::/7");
      continue;
    }
    prefix = ks_prefix_network (&prefix);
    ks_prefix_array_add (out, &prefix);
  }
}

/* Without the guard, every program could send to these prefixes past the tunnel. */
static void
read_management (Reader *r, KsConfig *config)
{
  read_prefixes (r, "ManagementFrom", config->management_prefixes);
  if (config->management_prefixes->len == 0 || config->guard)
    return;
  g_array_set_size (config->management_prefixes, 0);
  ks_error_add (r->errors,
                "%s: ManagementFrom has no effect with Guard=off: only the guard can tell a reply from other traffic",
                r->path);
}

static void
read_dns (Reader *r, KsConfig *config)
{
  g_autofree char *value = get_value (r, "Dns");

  if (value && !ks_dns_parse (value, &config->dns)) {
    report (r, "Dns", value, "one of tunnel, lan");
    config->dns = KS_DNS_TUNNEL;
  }
}

static void
read_placement (Reader *r, KsConfig *config)
{
  g_autofree char *value = get_value (r, "Transport");

  if (value && !ks_placement_parse (value, &config->placement))
    report (r, "Transport", value, "one of auto, inside, beside");
}

static void
read_guard (Reader *r, KsConfig *config)
{
  g_autofree char *value = get_value (r, "Guard");

  if (!value)
    return;
  config->guard = strcmp (value, "off") != 0;
  if (config->guard && strcmp (value, "on") != 0)
    report (r, "Guard", value, "one of on, off");
}

static void
read_numbers (Reader *r, KsConfig *config)
{
  guint32 protocol = config->protocol;
  g_autoptr (KsConfig) defaults = ks_config_new ();

  read_table (r, "Table", &config->table);
  read_table (r, "TunnelTable", &config->tunnel_table);
  read_table (r, "UplinkTable", &config->uplink_table);
  read_table (r, "ServersTable", &config->servers_table);
  /* several consecutive tables, all above the system's */
  read_number (r, "ManagementTable", KS_MANAGEMENT_TABLE_MIN, KS_MANAGEMENT_TABLE_MAX, &config->management_table);
  /* 0 to 4 are the kernel's own and "static" */
  read_number (r, "Protocol", 5, 255, &protocol);
  read_number (r, "Priority", 1, 32766 - KS_PRIORITY_WINDOW, &config->priority);
  read_number (r, "TunnelMetric", 1, 1000000, &config->tunnel_metric);
  read_number (r, "BlackholeMetric", 2, 1000000, &config->blackhole_metric);
  config->protocol = protocol;

  if (!ks_config_numbers_are_valid (config)) {
    g_autofree char *tables = g_strdup_printf ("%u, %u, %u, %u", config->table, config->tunnel_table,
                                               config->uplink_table, config->servers_table);
    g_autofree char *management = g_strdup_printf ("%u", config->management_table);

    if (!ks_config_tables_differ (config))
      report (r, "Table, TunnelTable, UplinkTable, ServersTable", tables, "four different tables");
    else
      report (r, "ManagementTable", management, "the first of four tables that no other setting uses");
    config->table = defaults->table;
    config->tunnel_table = defaults->tunnel_table;
    config->uplink_table = defaults->uplink_table;
    config->servers_table = defaults->servers_table;
    config->management_table = defaults->management_table;
  }
  if (config->tunnel_metric >= config->blackhole_metric) {
    g_autofree char *metrics = g_strdup_printf ("%u, %u", config->tunnel_metric, config->blackhole_metric);

    report (r, "TunnelMetric, BlackholeMetric", metrics, "in this order");
    config->tunnel_metric = defaults->tunnel_metric;
    config->blackhole_metric = defaults->blackhole_metric;
  }
}

/* A misspelt key is an error too: the setting that the user meant has no effect. */
static void
check_names (Reader *r)
{
  static const char *const known[] = {
    "Zones",          "SessionZones",    "Lan",      "LanPrefixes",  "Dns",
    "Guard",          "Transport",       "Table",    "TunnelTable",  "UplinkTable",
    "ServersTable",   "Protocol",        "Priority", "TunnelMetric", "BlackholeMetric",
    "ManagementFrom", "ManagementTable", NULL
  };
  g_auto (GStrv) groups = g_key_file_get_groups (r->file, NULL);
  g_auto (GStrv) keys = g_key_file_get_keys (r->file, GROUP, NULL, NULL);

  for (char **group = groups; *group; group++)
    if (strcmp (*group, GROUP) != 0)
      report (r, "section", *group, "known; there are [" GROUP "] and [vpn NAME]");
  for (char **key = keys; key && *key; key++)
    if (!g_strv_contains (known, *key))
      report (r, "[" GROUP "]", *key, "a setting");
}

/* Reads @path: the sections of VPNs into @config, everything else into @file. */
static gboolean
load (const char *path, GKeyFile *file, KsConfig *config, GPtrArray *errors, GError **error)
{
  g_autofree char *text = NULL, *rest = NULL;
  gsize length;

  if (!g_file_get_contents (path, &text, &length, error))
    return FALSE;
  if (strlen (text) < length) {
    g_set_error_literal (error, KS_ERROR, KS_ERROR_INVALID, "contains a NUL byte");
    return FALSE;
  }
  rest = ks_section_read (path, text, config->sections, errors);
  return g_key_file_load_from_data (file, rest, strlen (rest), G_KEY_FILE_NONE, error);
}

KsConfig *
ks_config_read (const char *path, GPtrArray *errors)
{
  g_autoptr (KsConfig) config = ks_config_new ();
  g_autoptr (GKeyFile) file = g_key_file_new ();
  g_autoptr (GError) error = NULL;
  Reader r = { .path = path, .file = file, .errors = errors };

  if (!load (path, file, config, errors, &error)) {
    if (!g_error_matches (error, G_FILE_ERROR, G_FILE_ERROR_NOENT)) {
      g_autofree char *reason = ks_error_printable (error->message);

      g_ptr_array_add (errors, g_error_new (KS_ERROR, KS_ERROR_INVALID, "%s: %s", path, reason));
      config->is_unreadable = TRUE;
    }
    return g_steal_pointer (&config);
  }
  check_names (&r);
  read_list (&r, "Zones", &config->zones);
  read_list (&r, "SessionZones", &config->session_zones);
  read_lan (&r, config);
  read_prefixes (&r, "LanPrefixes", config->lan_prefixes);
  read_dns (&r, config);
  read_guard (&r, config);
  read_placement (&r, config);
  read_management (&r, config);
  read_numbers (&r, config);
  return g_steal_pointer (&config);
}
