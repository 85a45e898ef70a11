/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "input/ks-bus.h"

#include <gio/gio.h>
#include <string.h>

#include "base/ks-error.h"
#include "input/ks-wait.h"

#define BUS_NAME "org.freedesktop.NetworkManager"

struct _KsBus {
  GDBusConnection *connection;
  gint64 deadline; /* microseconds, monotonic */
};

typedef struct {
  GMainLoop *loop;
  GDBusConnection *bus;
  GError *error;
} Connecting;

/* Without the prefix that names the error on the bus; @local is taken over. */
static void
take_bus_error (GError **error, GError *local)
{
  g_dbus_error_strip_remote_error (local);
  g_propagate_error (error, local);
}

static void
on_connected (GObject *source G_GNUC_UNUSED, GAsyncResult *result, gpointer user_data)
{
  Connecting *connecting = user_data;

  connecting->bus = g_dbus_connection_new_for_address_finish (result, &connecting->error);
  g_main_loop_quit (connecting->loop);
}

static GDBusConnection *
open_connection (guint timeout_ms, GError **error)
{
  g_autofree char *address = g_dbus_address_get_for_bus_sync (G_BUS_TYPE_SYSTEM, NULL, error);
  Connecting connecting = { 0 };
  KsWait wait;

  if (!address)
    return NULL;
  ks_wait_init (&wait, timeout_ms);

  connecting.loop = wait.loop;
  g_dbus_connection_new_for_address (
    address, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION, NULL,
    wait.cancellable, on_connected, &connecting);
  g_main_loop_run (wait.loop);
  ks_wait_clear (&wait);
  if (connecting.bus)
    g_dbus_connection_set_exit_on_close (connecting.bus, FALSE);
  else
    take_bus_error (error, connecting.error);
  return connecting.bus;
}

KsBus *
ks_bus_new (guint timeout_ms, GError **error)
{
  gint64 deadline = g_get_monotonic_time () + (gint64) timeout_ms * 1000;
  GDBusConnection *connection = open_connection (timeout_ms, error);
  KsBus *self;

  if (!connection)
    return NULL;
  self = g_new0 (KsBus, 1);
  self->connection = connection;
  self->deadline = deadline;
  return self;
}

void
ks_bus_free (KsBus *self)
{
  g_object_unref (self->connection);
  g_free (self);
}

static int
remaining_ms (const KsBus *self)
{
  gint64 left = (self->deadline - g_get_monotonic_time ()) / 1000;

  return left > 0 ? (int) left : 0;
}

GVariant *
ks_bus_call (KsBus *self, const char *path, const char *interface, const char *method, GVariant *parameters,
             const char *type, guint timeout_ms, GError **error)
{
  g_autoptr (GVariant) arguments = parameters ? g_variant_ref_sink (parameters) : NULL;
  int timeout = timeout_ms > 0 ? (int) timeout_ms : remaining_ms (self);
  GDBusCallFlags flags = G_DBUS_CALL_FLAGS_NO_AUTO_START;
  GError *local = NULL;
  GVariant *reply;

  if (timeout == 0) {
    g_set_error (error, KS_ERROR, KS_ERROR_SILENT, "NetworkManager did not answer in time");
    return NULL;
  }
  if (timeout_ms > 0)
    flags |= G_DBUS_CALL_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION;
  reply = g_dbus_connection_call_sync (self->connection, BUS_NAME, path, interface, method, arguments,
                                       G_VARIANT_TYPE (type), flags, timeout, NULL, &local);
  if (!reply)
    take_bus_error (error, local);
  return reply;
}

GVariant *
ks_bus_get (KsBus *self, const char *path, const char *interface, GError **error)
{
  g_autoptr (GVariant) reply = ks_bus_call (self, path, "org.freedesktop.DBus.Properties", "GetAll",
                                            g_variant_new ("(s)", interface), "(a{sv})", 0, error);

  return reply ? g_variant_get_child_value (reply, 0) : NULL;
}

/* Whether an object vanished between two calls: not an error, it is just not there. */
static gboolean
is_vanished (const GError *error)
{
  return g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_OBJECT)
         || g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_METHOD)
         || g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_UNKNOWN_INTERFACE)
         || g_error_matches (error, G_DBUS_ERROR, G_DBUS_ERROR_INVALID_ARGS);
}

GVariant *
ks_bus_get_or_empty (KsBus *self, const char *path, const char *interface, GError **error)
{
  g_autoptr (GError) local = NULL;
  GVariant *properties = NULL;

  if (strcmp (path, "/") != 0)
    properties = ks_bus_get (self, path, interface, &local);
  if (!properties && local && !is_vanished (local)) {
    g_propagate_error (error, g_steal_pointer (&local));
    return NULL;
  }
  return properties ? properties : g_variant_ref_sink (g_variant_new_array (G_VARIANT_TYPE ("{sv}"), NULL, 0));
}

const char *
ks_bus_string (GVariant *properties, const char *key)
{
  const char *value = "";

  if (!g_variant_lookup (properties, key, "&s", &value))
    g_variant_lookup (properties, key, "&o", &value);
  return value;
}

const char *
ks_bus_path (GVariant *properties, const char *key)
{
  const char *path = ks_bus_string (properties, key);

  return *path ? path : "/";
}

guint32
ks_bus_u32 (GVariant *properties, const char *key)
{
  guint32 value = 0;

  g_variant_lookup (properties, key, "u", &value);
  return value;
}

gboolean
ks_bus_boolean (GVariant *properties, const char *key)
{
  gboolean value = FALSE;

  g_variant_lookup (properties, key, "b", &value);
  return value;
}
