/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "desktop/ks-notifications.h"

#include <gio/gio.h>
#include <string.h>

#include "base/ks-error.h"

#define NAME "org.freedesktop.Notifications"
#define PATH "/org/freedesktop/Notifications"
/* A service that has to be started first takes a moment. */
#define CALL_TIMEOUT_MS 10000
#define EXPIRES_BY_DEFAULT (-1)

struct _KsNotifications {
  GDBusConnection *bus;
  guint subscription;
  guint watch;
  gboolean is_owned; /* the service is running */
  guint32 id; /* of the notification shown last; 0 for none */
  KsNotificationsFunc on_event;
  gpointer user_data;
};

/* --- signals from the service --- */

static void
on_signal (GDBusConnection *bus G_GNUC_UNUSED, const char *sender G_GNUC_UNUSED, const char *path G_GNUC_UNUSED,
           const char *interface G_GNUC_UNUSED, const char *signal, GVariant *arguments, gpointer user_data)
{
  KsNotifications *self = user_data;
  const char *key = NULL;
  guint32 id = 0, reason;

  if (strcmp (signal, "ActionInvoked") == 0 && g_variant_is_of_type (arguments, G_VARIANT_TYPE ("(us)")))
    g_variant_get (arguments, "(u&s)", &id, &key);
  else if (strcmp (signal, "NotificationClosed") == 0 && g_variant_is_of_type (arguments, G_VARIANT_TYPE ("(uu)")))
    g_variant_get (arguments, "(uu)", &id, &reason);
  if (id == 0 || id != self->id)
    return;
  if (!key)
    self->id = 0;
  self->on_event (key, self->user_data);
}

static void
on_appeared (GDBusConnection *bus G_GNUC_UNUSED, const char *name G_GNUC_UNUSED, const char *owner G_GNUC_UNUSED,
             gpointer user_data)
{
  KsNotifications *self = user_data;

  self->is_owned = TRUE;
}

/* Also called at the beginning if there is no service yet: the first notification starts it. */
static void
on_vanished (GDBusConnection *bus G_GNUC_UNUSED, const char *name G_GNUC_UNUSED, gpointer user_data)
{
  KsNotifications *self = user_data;

  if (!self->is_owned || self->id == 0)
    return;
  self->is_owned = FALSE;
  self->id = 0;
  self->on_event (NULL, self->user_data);
}

/* --- the bus --- */

/*
 * The address of the session bus according to the environment. GIO's own lookup
 * would run dbus-launch, which starts a bus that nobody else uses.
 */
static char *
find_address (void)
{
  const char *address = g_getenv ("DBUS_SESSION_BUS_ADDRESS");
  const char *runtime = g_getenv ("XDG_RUNTIME_DIR");
  g_autofree char *socket = runtime ? g_build_filename (runtime, "bus", NULL) : NULL;
  g_autofree char *escaped = socket ? g_dbus_address_escape_value (socket) : NULL;

  if (address && *address)
    return g_str_has_prefix (address, "autolaunch:") ? NULL : g_strdup (address);
  return socket && g_file_test (socket, G_FILE_TEST_EXISTS) ? g_strconcat ("unix:path=", escaped, NULL) : NULL;
}

KsNotifications *
ks_notifications_new (KsNotificationsFunc on_event, gpointer user_data, GError **error)
{
  g_autofree char *address = find_address ();
  GDBusConnection *bus;
  KsNotifications *self;

  if (!address) {
    g_set_error (error, KS_ERROR, KS_ERROR_UNSUPPORTED, "there is no session bus");
    return NULL;
  }
  bus = g_dbus_connection_new_for_address_sync (
    address, G_DBUS_CONNECTION_FLAGS_AUTHENTICATION_CLIENT | G_DBUS_CONNECTION_FLAGS_MESSAGE_BUS_CONNECTION, NULL, NULL,
    error);
  if (!bus)
    return NULL;
  g_dbus_connection_set_exit_on_close (bus, FALSE);
  self = g_new0 (KsNotifications, 1);
  self->bus = bus;
  self->on_event = on_event;
  self->user_data = user_data;
  self->subscription = g_dbus_connection_signal_subscribe (bus, NAME, NAME, NULL, PATH, NULL, G_DBUS_SIGNAL_FLAGS_NONE,
                                                           on_signal, self, NULL);
  self->watch =
    g_bus_watch_name_on_connection (bus, NAME, G_BUS_NAME_WATCHER_FLAGS_NONE, on_appeared, on_vanished, self, NULL);
  return self;
}

void
ks_notifications_free (KsNotifications *self)
{
  g_bus_unwatch_name (self->watch);
  g_dbus_connection_signal_unsubscribe (self->bus, self->subscription);
  g_dbus_connection_close_sync (self->bus, NULL, NULL);
  g_object_unref (self->bus);
  g_free (self);
}

/* Without a display, starting a service could only fail, with a message in the journal. */
static GDBusCallFlags
call_flags (void)
{
  return g_getenv ("DISPLAY") || g_getenv ("WAYLAND_DISPLAY") ? G_DBUS_CALL_FLAGS_NONE
                                                              : G_DBUS_CALL_FLAGS_NO_AUTO_START;
}

static GVariant *
call (KsNotifications *self, const char *method, GVariant *arguments, const char *reply, GError **error)
{
  g_autoptr (GError) local = NULL;
  GVariant *answer = g_dbus_connection_call_sync (self->bus, NAME, PATH, NAME, method, arguments,
                                                  G_VARIANT_TYPE (reply), call_flags (), CALL_TIMEOUT_MS, NULL, &local);

  if (!answer) {
    g_dbus_error_strip_remote_error (local);
    g_propagate_error (error, g_steal_pointer (&local));
  }
  return answer;
}

/* --- a notification --- */

/* The service's capabilities, each with a blank before and after it. Empty if it does not answer. */
static char *
read_capabilities (KsNotifications *self)
{
  g_autoptr (GVariant) answer = call (self, "GetCapabilities", NULL, "(as)", NULL);
  g_autofree const char **names = NULL;
  g_autofree char *joined = NULL;

  if (!answer)
    return g_strdup ("");
  g_variant_get (answer, "(^a&s)", &names);
  joined = g_strjoinv (" ", (char **) names);
  return g_strconcat (" ", joined, " ", NULL);
}

static GVariant *
build_actions (const KsNotice *notice, gboolean has_actions)
{
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE ("as"));
  for (guint i = 0; has_actions && i < notice->actions->len; i++) {
    const KsNoticeAction *action = notice->actions->pdata[i];

    g_variant_builder_add (&builder, "s", action->key);
    g_variant_builder_add (&builder, "s", action->label);
  }
  return g_variant_builder_end (&builder);
}

static GVariant *
build_hints (const KsNotice *notice)
{
  GVariantBuilder builder;

  g_variant_builder_init (&builder, G_VARIANT_TYPE_VARDICT);
  g_variant_builder_add (&builder, "{sv}", "urgency", g_variant_new_byte ((guchar) notice->urgency));
  g_variant_builder_add (&builder, "{sv}", "category", g_variant_new_string (notice->category));
  return g_variant_builder_end (&builder);
}

guint32
ks_notifications_show (KsNotifications *self, const KsNotice *notice, guint32 replaces, gboolean *has_actions,
                       GError **error)
{
  g_autofree char *capabilities = read_capabilities (self);
  /* a service that supports markup would interpret a profile named "<b>" as markup */
  g_autofree char *body =
    strstr (capabilities, " body-markup ") ? g_markup_escape_text (notice->body, -1) : g_strdup (notice->body);
  g_autoptr (GVariant) answer = NULL;

  *has_actions = *has_actions && notice->actions->len > 0 && strstr (capabilities, " actions ");
  answer = call (self, "Notify",
                 g_variant_new ("(susss@as@a{sv}i)", "nm-killswitch", replaces, notice->icon, notice->title, body,
                                build_actions (notice, *has_actions), build_hints (notice), EXPIRES_BY_DEFAULT),
                 "(u)", error);
  if (!answer)
    return 0;
  g_variant_get (answer, "(u)", &self->id);
  return self->id;
}

void
ks_notifications_close (KsNotifications *self, guint32 id)
{
  g_autoptr (GVariant) answer = NULL;

  if (id == 0)
    return;
  self->id = 0;
  answer = call (self, "CloseNotification", g_variant_new ("(u)", id), "()", NULL);
}

char *
ks_notifications_read_owner (KsNotifications *self)
{
  g_autoptr (GVariant) answer = g_dbus_connection_call_sync (
    self->bus, "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "GetNameOwner",
    g_variant_new ("(s)", NAME), G_VARIANT_TYPE ("(s)"), G_DBUS_CALL_FLAGS_NONE, CALL_TIMEOUT_MS, NULL, NULL);
  char *owner = NULL;

  if (answer)
    g_variant_get (answer, "(s)", &owner);
  return owner;
}
