/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "desktop/ks-request.h"

#include <gio/gio.h>

#define NM "org.freedesktop.NetworkManager"
#define NM_PATH "/org/freedesktop/NetworkManager"
#define SYSTEMD "org.freedesktop.systemd1"
#define SYSTEMD_PATH "/org/freedesktop/systemd1"

#define LOOKUP_TIMEOUT_MS 10000
#define PERSON_TIMEOUT_MS (5 * 60 * 1000)

typedef struct {
  GDBusConnection *bus;
  KsRequestFunc on_answer;
  gpointer user_data;
} Request;

/* Ends a request; @error is taken over. */
static void
finish (Request *self, GError *error)
{
  if (error)
    g_dbus_error_strip_remote_error (error);
  self->on_answer (error, self->user_data);
  g_clear_error (&error);
  g_clear_object (&self->bus);
  g_free (self);
}

static void
on_accepted (GObject *bus, GAsyncResult *result, gpointer user_data)
{
  GError *error = NULL;
  GVariant *answer = g_dbus_connection_call_finish (G_DBUS_CONNECTION (bus), result, &error);

  g_clear_pointer (&answer, g_variant_unref);
  finish (user_data, error);
}

/* The call that needs authorization, for which the service may ask the user. */
static void
ask (Request *self, const char *name, const char *path, const char *interface, const char *method, GVariant *arguments)
{
  g_dbus_connection_call (self->bus, name, path, interface, method, arguments, G_VARIANT_TYPE ("(o)"),
                          G_DBUS_CALL_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION, PERSON_TIMEOUT_MS, NULL, on_accepted,
                          self);
}

static void
on_profile (GObject *bus, GAsyncResult *result, gpointer user_data)
{
  Request *self = user_data;
  GError *error = NULL;
  g_autoptr (GVariant) answer = g_dbus_connection_call_finish (G_DBUS_CONNECTION (bus), result, &error);
  const char *profile;

  if (!answer) {
    finish (self, error);
    return;
  }
  g_variant_get (answer, "(&o)", &profile);
  /* "/": NetworkManager chooses the device, and the connection that the VPN runs over */
  ask (self, NM, NM_PATH, NM, "ActivateConnection", g_variant_new ("(ooo)", profile, "/", "/"));
}

static void
connect_profile (Request *self, const char *uuid)
{
  g_dbus_connection_call (self->bus, NM, NM_PATH "/Settings", NM ".Settings", "GetConnectionByUuid",
                          g_variant_new ("(s)", uuid), G_VARIANT_TYPE ("(o)"), G_DBUS_CALL_FLAGS_NONE,
                          LOOKUP_TIMEOUT_MS, NULL, on_profile, self);
}

static void
release (Request *self, const char *unused G_GNUC_UNUSED)
{
  ask (self, SYSTEMD, SYSTEMD_PATH, SYSTEMD ".Manager", "StartUnit",
       g_variant_new ("(ss)", "nm-killswitch-release.service", "replace"));
}

/* --- the system bus --- */

typedef struct {
  Request *request;
  GError *error;
} Refusal;

static gboolean
on_refused (gpointer user_data)
{
  Refusal *self = user_data;

  finish (self->request, self->error);
  g_free (self);
  return G_SOURCE_REMOVE;
}

/* Connects to the bus and continues with @next. */
static void
begin (void (*next) (Request *self, const char *uuid), const char *uuid, KsRequestFunc on_answer, gpointer user_data)
{
  Request *self = g_new0 (Request, 1);
  GError *error = NULL;

  self->on_answer = on_answer;
  self->user_data = user_data;
  self->bus = g_bus_get_sync (G_BUS_TYPE_SYSTEM, NULL, &error);
  if (!self->bus) {
    Refusal *refusal = g_new0 (Refusal, 1);

    refusal->request = self;
    refusal->error = error;
    g_idle_add (on_refused, refusal); /* from the main loop, as promised */
    return;
  }
  g_dbus_connection_set_exit_on_close (self->bus, FALSE);
  next (self, uuid);
}

void
ks_request_connect (const char *uuid, KsRequestFunc on_answer, gpointer user_data)
{
  begin (connect_profile, uuid, on_answer, user_data);
}

void
ks_request_release (KsRequestFunc on_answer, gpointer user_data)
{
  begin (release, NULL, on_answer, user_data);
}
