/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ks-test-nm.h"

#include <signal.h>
#include <sys/prctl.h>

#include "ks-test.h"

#define NAME "org.freedesktop.NetworkManager"
#define PATH "/org/freedesktop/NetworkManager"

struct _KsTestBus {
  KsTestDirectory *directory;
  GSubprocess *daemon;
  char *address;
};

struct _KsTestNm {
  KsTestBus *bus;
  GDBusConnection *connection;
  GMutex mutex; /* the filter runs in GDBus's thread */
  GHashTable *objects; /* "PATH INTERFACE" -> GVariant a{sv} */
  guint answers_left;
  guint questions;
};

void
ks_test_no_bus (void)
{
  g_setenv ("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent/bus", TRUE);
}

static const char bus_configuration[] =
  "<busconfig><listen>unix:dir=%s</listen><auth>EXTERNAL</auth><policy context='default'><allow own='*'/>"
  "<allow send_destination='*'/><allow receive_sender='*'/></policy></busconfig>";

static void
die_with_the_test (gpointer user_data G_GNUC_UNUSED)
{
  prctl (PR_SET_PDEATHSIG, SIGTERM);
}

/* Not GTestDBus: that forks a watcher of this process, which the leak checkers take for one that leaks. */
KsTestBus *
ks_test_bus_new (void)
{
  KsTestBus *self = g_new0 (KsTestBus, 1);
  g_autofree char *text = NULL, *path = NULL, *option = NULL;
  g_autoptr (GSubprocessLauncher) launcher =
    g_subprocess_launcher_new (G_SUBPROCESS_FLAGS_STDOUT_PIPE | G_SUBPROCESS_FLAGS_STDERR_SILENCE);
  g_autoptr (GDataInputStream) output = NULL;
  g_autoptr (GError) error = NULL;

  self->directory = ks_test_directory_new ();
  text = g_strdup_printf (bus_configuration, self->directory->path);
  path = ks_test_write (self->directory, "bus.conf", text);
  option = g_strconcat ("--config-file=", path, NULL);
  g_subprocess_launcher_set_child_setup (launcher, die_with_the_test, NULL, NULL);
  self->daemon =
    g_subprocess_launcher_spawn (launcher, &error, "dbus-daemon", option, "--nofork", "--print-address=1", NULL);
  if (!self->daemon)
    fail_msg ("%s", error->message);
  output = g_data_input_stream_new (g_subprocess_get_stdout_pipe (self->daemon));
  self->address = g_data_input_stream_read_line (output, NULL, NULL, NULL);
  assert_non_null (self->address);
  g_setenv ("DBUS_SYSTEM_BUS_ADDRESS", self->address, TRUE);
  return self;
}

void
ks_test_bus_free (KsTestBus *self)
{
  g_subprocess_send_signal (self->daemon, SIGTERM);
  g_subprocess_wait (self->daemon, NULL, NULL);
  g_object_unref (self->daemon);
  ks_test_directory_free (self->directory);
  g_free (self->address);
  g_free (self);
  ks_test_no_bus ();
}

/* The answer to GetAll of @message; an error for what is not there, as GDBus gives. */
static GDBusMessage *
answer (KsTestNm *self, GDBusMessage *message)
{
  const char *interface = NULL;
  g_autofree char *key = NULL;
  GVariant *properties;
  GDBusMessage *reply;

  g_variant_get_child (g_dbus_message_get_body (message), 0, "&s", &interface);
  key = g_strdup_printf ("%s %s", g_dbus_message_get_path (message), interface);
  properties = g_hash_table_lookup (self->objects, key);
  if (!properties)
    return g_dbus_message_new_method_error (message, "org.freedesktop.DBus.Error.UnknownMethod",
                                            "Object does not exist at path \"%s\"", g_dbus_message_get_path (message));
  reply = g_dbus_message_new_method_reply (message);
  g_dbus_message_set_body (reply, g_variant_new ("(@a{sv})", properties));
  return reply;
}

static GDBusMessage *
on_message (GDBusConnection *connection, GDBusMessage *message, gboolean incoming, gpointer user_data)
{
  KsTestNm *self = user_data;
  g_autoptr (GDBusMessage) reply = NULL;

  if (!incoming || g_dbus_message_get_message_type (message) != G_DBUS_MESSAGE_TYPE_METHOD_CALL
      || g_strcmp0 (g_dbus_message_get_member (message), "GetAll") != 0)
    return message;
  g_mutex_lock (&self->mutex);
  self->questions++;
  if (self->answers_left > 0) {
    self->answers_left--;
    reply = answer (self, message);
  }
  g_mutex_unlock (&self->mutex);
  if (reply)
    g_dbus_connection_send_message (connection, reply, G_DBUS_SEND_MESSAGE_FLAGS_NONE, NULL, NULL);
  g_object_unref (message);
  return NULL;
}

KsTestNm *
ks_test_nm_new (void)
{
  KsTestNm *self = g_new0 (KsTestNm, 1);
  g_autoptr (GVariant) result = NULL;

  g_mutex_init (&self->mutex);
  self->objects = g_hash_table_new_full (g_str_hash, g_str_equal, g_free, (GDestroyNotify) g_variant_unref);
  self->answers_left = G_MAXUINT;
  self->bus = ks_test_bus_new ();
  self->connection = g_dbus_connection_new_for_address_sync (
    self->bus->address, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION,
    NULL, NULL, NULL);
  assert_non_null (self->connection);
  g_dbus_connection_set_exit_on_close (self->connection, FALSE);
  g_dbus_connection_add_filter (self->connection, on_message, self, NULL);
  result = g_dbus_connection_call_sync (self->connection, "org.freedesktop.DBus", "/org/freedesktop/DBus",
                                        "org.freedesktop.DBus", "RequestName", g_variant_new ("(su)", NAME, 4), NULL,
                                        G_DBUS_CALL_FLAGS_NONE, -1, NULL, NULL);
  assert_non_null (result);
  return self;
}

void
ks_test_nm_free (KsTestNm *self)
{
  g_dbus_connection_close_sync (self->connection, NULL, NULL);
  g_object_unref (self->connection);
  ks_test_bus_free (self->bus);
  g_hash_table_unref (self->objects);
  g_mutex_clear (&self->mutex);
  g_free (self);
}

void
ks_test_nm_set (KsTestNm *self, const char *path, const char *interface, const char *properties)
{
  g_autoptr (GError) error = NULL;
  GVariant *value = g_variant_parse (G_VARIANT_TYPE ("a{sv}"), properties, NULL, NULL, &error);

  if (!value)
    fail_msg ("%s: %s", properties, error->message);
  g_mutex_lock (&self->mutex);
  g_hash_table_insert (self->objects, g_strdup_printf ("%s%s %s%s", PATH, path, NAME, interface), value);
  g_mutex_unlock (&self->mutex);
}

void
ks_test_nm_silence_after (KsTestNm *self, guint count)
{
  g_mutex_lock (&self->mutex);
  self->answers_left = count;
  g_mutex_unlock (&self->mutex);
}

guint
ks_test_nm_questions (KsTestNm *self)
{
  guint questions;

  g_mutex_lock (&self->mutex);
  questions = self->questions;
  g_mutex_unlock (&self->mutex);
  return questions;
}

/* An array of the paths of objects @kind with @numbers. */
static char *
format_paths (const char *kind, const char *numbers)
{
  GString *out = g_string_new ("<@ao [");
  g_auto (GStrv) words = g_strsplit (numbers, " ", -1);

  for (char **word = words; *word; word++)
    if (**word)
      g_string_append_printf (out, "%s'" PATH "/%s/%s'", out->str[out->len - 1] == '[' ? "" : ", ", kind, *word);
  g_string_append (out, "]>");
  return g_string_free (out, FALSE);
}

static char *
format_path (const char *kind, guint number)
{
  return number ? g_strdup_printf ("<objectpath '" PATH "/%s/%u'>", kind, number) : g_strdup ("<objectpath '/'>");
}

void
ks_test_nm_main (KsTestNm *self, guint state, const char *active, const char *devices)
{
  g_autofree char *active_paths = format_paths ("ActiveConnection", active);
  g_autofree char *device_paths = format_paths ("Devices", devices);
  g_autofree char *text = g_strdup_printf ("{'State': <uint32 %u>, 'ActiveConnections': %s, 'Devices': %s}", state,
                                           active_paths, device_paths);

  ks_test_nm_set (self, "", "", text);
}

void
ks_test_nm_device (KsTestNm *self, guint number, const char *interface, guint ip4, guint ip6)
{
  g_autofree char *path = g_strdup_printf ("/Devices/%u", number);
  g_autofree char *ip4_path = format_path ("IP4Config", ip4), *ip6_path = format_path ("IP6Config", ip6);
  g_autofree char *text =
    g_strdup_printf ("{'Interface': <'%s'>, 'IpInterface': <'%s'>, 'Ip4Config': %s, 'Ip6Config': %s}", interface,
                     interface, ip4_path, ip6_path);

  ks_test_nm_set (self, path, ".Device", text);
}

void
ks_test_nm_active (KsTestNm *self, guint number, const char *uuid, gboolean vpn, guint state, const char *devices,
                   guint ip4, guint ip6)
{
  g_autofree char *path = g_strdup_printf ("/ActiveConnection/%u", number);
  g_autofree char *ip4_path = format_path ("IP4Config", ip4), *ip6_path = format_path ("IP6Config", ip6);
  g_autofree char *device_paths = format_paths ("Devices", devices);
  g_autofree char *text =
    g_strdup_printf ("{'Uuid': <'%s'>, 'Vpn': <%s>, 'State': <uint32 %u>, 'Devices': %s, 'Ip4Config': %s, "
                     "'Ip6Config': %s, 'Connection': <objectpath '" PATH "/Settings/%u'>}",
                     uuid, vpn ? "true" : "false", state, device_paths, ip4_path, ip6_path, number);

  ks_test_nm_set (self, path, ".Connection.Active", text);
}

/* An array of dictionaries: of "A/N" or "A" with @key, and after '>' a next hop. */
static char *
format_data (const char *words, const char *key)
{
  GString *out = g_string_new ("<@aa{sv} [");
  g_auto (GStrv) list = g_strsplit (words, " ", -1);

  for (char **word = list; *word; word++) {
    g_auto (GStrv) hop = g_strsplit (*word, ">", 2);
    g_auto (GStrv) parts = **word ? g_strsplit (hop[0], "/", 2) : NULL;

    if (!parts)
      continue;
    g_string_append_printf (out, "%s{'%s': <'%s'>", out->str[out->len - 1] == '[' ? "" : ", ", key, parts[0]);
    if (parts[1])
      g_string_append_printf (out, ", 'prefix': <uint32 %s>", parts[1]);
    if (hop[1])
      g_string_append_printf (out, ", 'next-hop': <'%s'>", hop[1]);
    g_string_append_c (out, '}');
  }
  g_string_append (out, "]>");
  return g_string_free (out, FALSE);
}

void
ks_test_nm_ip4 (KsTestNm *self, guint number, const char *addresses, const char *gateway, const char *routes,
                const char *dns)
{
  g_autofree char *path = g_strdup_printf ("/IP4Config/%u", number);
  g_autofree char *address_data = format_data (addresses, "address"), *route_data = format_data (routes, "dest");
  g_autofree char *dns_data = format_data (dns, "address");
  g_autofree char *text =
    g_strdup_printf ("{'AddressData': %s, 'Gateway': <'%s'>, 'RouteData': %s, 'NameserverData': %s}", address_data,
                     gateway, route_data, dns_data);

  ks_test_nm_set (self, path, ".IP4Config", text);
}

void
ks_test_nm_ip6 (KsTestNm *self, guint number, const char *addresses, const char *gateway, const char *routes,
                const char *dns)
{
  g_autofree char *path = g_strdup_printf ("/IP6Config/%u", number);
  g_autofree char *address_data = format_data (addresses, "address"), *route_data = format_data (routes, "dest");
  g_autoptr (GArray) servers = ks_test_prefixes (dns);
  g_autoptr (GString) bytes = g_string_new ("<@aay [");
  g_autofree char *text = NULL;

  for (guint i = 0; i < servers->len; i++) {
    g_string_append (bytes, i ? ", [" : "[");
    for (guint j = 0; j < 16; j++)
      g_string_append_printf (bytes, "%s0x%02x", j ? ", " : "", g_array_index (servers, KsPrefix, i).bytes[j]);
    g_string_append_c (bytes, ']');
  }
  g_string_append (bytes, "]>");
  text = g_strdup_printf ("{'AddressData': %s, 'Gateway': <'%s'>, 'RouteData': %s, 'Nameservers': %s}", address_data,
                          gateway, route_data, bytes->str);
  ks_test_nm_set (self, path, ".IP6Config", text);
}

void
ks_test_nm_wireguard (KsTestNm *self, guint device, guint16 listen_port, guint32 fwmark)
{
  g_autofree char *path = g_strdup_printf ("/Devices/%u", device);
  g_autofree char *text = g_strdup_printf ("{'ListenPort': <uint16 %u>, 'FwMark': <uint32 %u>}", listen_port, fwmark);

  ks_test_nm_set (self, path, ".Device.WireGuard", text);
}
