/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "input/ks-bus.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/ks-error.h"
#include "input/ks-bus-message.h"

#define DEFAULT_ADDRESS "unix:path=/var/run/dbus/system_bus_socket"
#define BUS_NAME "org.freedesktop.NetworkManager"
#define DBUS "org.freedesktop.DBus"
/* The longest reply to our authentication, which is one line. */
#define MAX_GREETING 1024
/* How often to retry when the bus has no room for another client. */
#define RETRY_US 10000

struct _KsBus {
  int fd;
  gint64 deadline; /* microseconds, monotonic */
  guint32 serial; /* of the last call */
};

static int
remaining_ms (const KsBus *self)
{
  gint64 left = (self->deadline - g_get_monotonic_time () + 999) / 1000;

  return left > 0 ? (int) left : 0;
}

static void
set_silent (GError **error)
{
  g_set_error (error, KS_ERROR, KS_ERROR_SILENT, "NetworkManager did not answer in time");
}

static void
set_bus_error (GError **error, const char *reason)
{
  g_set_error (error, KS_ERROR, KS_ERROR_IO, "cannot use the system bus: %s", reason);
}

/* Waits for the socket; FALSE if the time is up. */
static gboolean
wait_for (const KsBus *self, short events, GError **error)
{
  struct pollfd waiting = { .fd = self->fd, .events = events };
  int result;

  do
    result = poll (&waiting, 1, remaining_ms (self));
  while (result < 0 && errno == EINTR && remaining_ms (self) > 0);
  if (result > 0)
    return TRUE;
  set_silent (error);
  return FALSE;
}

static gboolean
send_all (const KsBus *self, const guint8 *bytes, gsize length, GError **error)
{
  while (length > 0) {
    gssize count = send (self->fd, bytes, length, MSG_NOSIGNAL);

    if (count > 0) {
      bytes += count;
      length -= (gsize) count;
    } else if (errno == EAGAIN) {
      if (!wait_for (self, POLLOUT, error))
        return FALSE;
    } else if (errno != EINTR) {
      set_bus_error (error, g_strerror (errno));
      return FALSE;
    }
  }
  return TRUE;
}

/* Receives up to @length bytes, with recv(2)'s @flags; 0 on an error. */
static gsize
receive_some (const KsBus *self, guint8 *bytes, gsize length, int flags, GError **error)
{
  for (;;) {
    gssize count = recv (self->fd, bytes, length, flags);

    if (count > 0)
      return (gsize) count;
    if (count == 0) {
      set_bus_error (error, "it closed the connection");
      return 0;
    }
    if (errno == EAGAIN) {
      if (!wait_for (self, POLLIN, error))
        return 0;
    } else if (errno != EINTR) {
      set_bus_error (error, g_strerror (errno));
      return 0;
    }
  }
}

static gboolean
receive_all (const KsBus *self, guint8 *bytes, gsize length, GError **error)
{
  while (length > 0) {
    gsize count = receive_some (self, bytes, length, 0, error);

    if (count == 0)
      return FALSE;
    bytes += count;
    length -= count;
  }
  return TRUE;
}

/* --- connecting --- */

/* The socket for the address "unix:path=..." or "unix:abstract=..."; FALSE for any other. */
static gboolean
parse_address (const char *address, struct sockaddr_un *out, socklen_t *length)
{
  static const char *const kinds[] = { "path=", "abstract=" };
  g_auto (GStrv) items = g_str_has_prefix (address, "unix:") ? g_strsplit (address + strlen ("unix:"), ",", -1) : NULL;

  for (char **item = items; item && *item; item++)
    for (guint i = 0; i < G_N_ELEMENTS (kinds); i++) {
      g_autofree char *path =
        g_str_has_prefix (*item, kinds[i]) ? g_uri_unescape_string (*item + strlen (kinds[i]), NULL) : NULL;
      gsize size = path ? strlen (path) : 0;

      if (size == 0 || size + 1 >= sizeof out->sun_path)
        continue;
      memset (out, 0, sizeof *out);
      out->sun_family = AF_UNIX;
      memcpy (out->sun_path + i, path, size); /* an abstract address begins with a NUL */
      *length = (socklen_t) (offsetof (struct sockaddr_un, sun_path) + size + 1);
      return TRUE;
    }
  return FALSE;
}

static gboolean
connect_to (KsBus *self, const char *address, GError **error)
{
  struct sockaddr_un socket_address;
  socklen_t length;

  if (!parse_address (address, &socket_address, &length)) {
    g_set_error (error, KS_ERROR, KS_ERROR_IO, "cannot use the system bus: unknown address %s", address);
    return FALSE;
  }
  self->fd = socket (AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  while (self->fd >= 0 && connect (self->fd, (const struct sockaddr *) &socket_address, length) < 0) {
    int number = errno;

    if ((number == EAGAIN || number == EINTR) && remaining_ms (self) > 0) {
      g_usleep (RETRY_US);
      continue;
    }
    close (self->fd);
    self->fd = -1;
    errno = number;
  }
  if (self->fd < 0 && errno == EAGAIN)
    set_silent (error);
  else if (self->fd < 0)
    set_bus_error (error, g_strerror (errno));
  return self->fd >= 0;
}

/* Connects to the first address that accepts. */
static gboolean
connect_to_any (KsBus *self, GError **error)
{
  const char *setting = g_getenv ("DBUS_SYSTEM_BUS_ADDRESS");
  g_auto (GStrv) addresses = g_strsplit (setting && *setting ? setting : DEFAULT_ADDRESS, ";", -1);

  for (char **address = addresses; *address; address++) {
    g_clear_error (error);
    if (connect_to (self, *address, error))
      return TRUE;
  }
  return FALSE;
}

/* Our identity in the form the bus expects: the uid, each digit in hexadecimal. */
static char *
format_identity (void)
{
  g_autofree char *uid = g_strdup_printf ("%u", (guint) geteuid ());
  GString *out = g_string_new (NULL);

  for (const char *digit = uid; *digit; digit++)
    g_string_append_printf (out, "%02x", (guint) *digit);
  return g_string_free (out, FALSE);
}

/* The bus accepts us with a line that begins with OK. */
static gboolean
receive_greeting (KsBus *self, GError **error)
{
  guint8 line[MAX_GREETING];
  const guint8 *end = NULL;
  gsize length = 0;

  /* do not read beyond the end of the line: a message follows */
  while (!end && length < sizeof line) {
    gsize count = receive_some (self, line + length, sizeof line - length, MSG_PEEK, error);

    if (count == 0)
      return FALSE;
    end = memchr (line + length, '\n', count);
    if (end)
      count = (gsize) (end + 1 - (line + length));
    if (!receive_all (self, line + length, count, error))
      return FALSE;
    length += count;
  }
  if (end && length > 3 && memcmp (line, "OK ", 3) == 0)
    return TRUE;
  set_bus_error (error, "it refused the connection");
  return FALSE;
}

/* --- calls --- */

/* The next message into @out; FALSE on an error. */
static gboolean
receive_message (KsBus *self, KsBusMessage *out, GError **error)
{
  guint8 start[KS_BUS_MESSAGE_START];
  g_autofree guint8 *bytes = NULL;
  gsize length;

  if (!receive_all (self, start, sizeof start, error))
    return FALSE;
  length = ks_bus_message_length (start);
  if (length == 0) {
    set_bus_error (error, "malformed message");
    return FALSE;
  }
  bytes = g_malloc (length);
  memcpy (bytes, start, sizeof start);
  if (!receive_all (self, bytes + sizeof start, length - sizeof start, error))
    return FALSE;
  if (!ks_bus_message_parse (bytes, length, out)) {
    set_bus_error (error, "malformed message");
    return FALSE;
  }
  return TRUE;
}

/* Our error code for a D-Bus error. */
static KsError
error_code (const char *name)
{
  /* an object that vanished between two calls */
  static const char *const gone[] = { DBUS ".Error.UnknownObject", DBUS ".Error.UnknownMethod",
                                      DBUS ".Error.UnknownInterface", DBUS ".Error.InvalidArgs", NULL };
  static const char *const silent[] = { DBUS ".Error.ServiceUnknown", DBUS ".Error.NameHasNoOwner",
                                        DBUS ".Error.NoReply",        DBUS ".Error.Timeout",
                                        DBUS ".Error.TimedOut",       NULL };

  static const char *const refused[] = { DBUS ".Error.AccessDenied", DBUS ".Error.InteractiveAuthorizationRequired",
                                         BUS_NAME ".Settings.PermissionDenied", NULL };

  if (g_strv_contains (gone, name))
    return KS_ERROR_INVALID;
  if (g_strv_contains (refused, name))
    return KS_ERROR_PERMISSION;
  return g_strv_contains (silent, name) ? KS_ERROR_SILENT : KS_ERROR_IO;
}

static void
set_remote_error (GError **error, const KsBusMessage *message)
{
  const char *name = message->error ? message->error : "unknown error";
  g_autofree char *text = NULL;

  if (g_variant_n_children (message->body) > 0) {
    g_autoptr (GVariant) first = g_variant_get_child_value (message->body, 0);

    if (g_variant_is_of_type (first, G_VARIANT_TYPE_STRING))
      text = g_variant_dup_string (first, NULL);
  }
  g_set_error (error, KS_ERROR, error_code (name), "%s", text ? text : name);
}

/* The reply to the last call (transfer full): a tuple. */
static GVariant *
receive_answer (KsBus *self, GError **error)
{
  for (;;) {
    g_auto (KsBusMessage) message = { 0 };

    if (!receive_message (self, &message, error))
      return NULL;
    if (message.reply_serial != self->serial)
      continue; /* a signal, or a reply that came too late */
    if (message.type == KS_BUS_MESSAGE_RETURN)
      return g_steal_pointer (&message.body);
    if (message.type != KS_BUS_MESSAGE_ERROR)
      continue;
    set_remote_error (error, &message);
    return NULL;
  }
}

/* Authenticates and calls Hello, before which the bus accepts no other message. */
static gboolean
introduce (KsBus *self, GError **error)
{
  g_autofree char *identity = format_identity ();
  g_autofree char *text = g_strdup_printf ("AUTH EXTERNAL %s\r\nBEGIN\r\n", identity);
  g_autoptr (GByteArray) hello =
    ks_bus_message_call (++self->serial, DBUS, "/org/freedesktop/DBus", DBUS, "Hello", NULL, FALSE);
  g_autoptr (GByteArray) out = g_byte_array_new ();
  g_autoptr (GVariant) answer = NULL;

  /* sent all at once: each reply is either the expected one or an error */
  g_byte_array_append (out, (const guint8 *) "", 1);
  g_byte_array_append (out, (const guint8 *) text, (guint) strlen (text));
  g_byte_array_append (out, hello->data, hello->len);
  if (!send_all (self, out->data, out->len, error) || !receive_greeting (self, error))
    return FALSE;
  answer = receive_answer (self, error);
  return answer != NULL;
}

KsBus *
ks_bus_new (guint timeout_ms, GError **error)
{
  g_autoptr (KsBus) self = g_new0 (KsBus, 1);

  self->fd = -1;
  self->deadline = g_get_monotonic_time () + (gint64) timeout_ms * 1000;
  return connect_to_any (self, error) && introduce (self, error) ? g_steal_pointer (&self) : NULL;
}

void
ks_bus_free (KsBus *self)
{
  if (self->fd >= 0)
    close (self->fd);
  g_free (self);
}

/* Calls, and waits for the reply until the deadline. */
static GVariant *
call (KsBus *self, const char *path, const char *interface, const char *method, GVariant *arguments, gboolean may_ask,
      GError **error)
{
  g_autoptr (GByteArray) message =
    ks_bus_message_call (++self->serial, BUS_NAME, path, interface, method, arguments, may_ask);

  return send_all (self, message->data, message->len, error) ? receive_answer (self, error) : NULL;
}

GVariant *
ks_bus_call (KsBus *self, const char *path, const char *interface, const char *method, GVariant *parameters,
             const char *type, guint timeout_ms, GError **error)
{
  g_autoptr (GVariant) arguments = parameters ? g_variant_ref_sink (parameters) : NULL;
  gint64 deadline = self->deadline;
  g_autoptr (GVariant) answer = NULL;

  if (timeout_ms > 0)
    self->deadline = g_get_monotonic_time () + (gint64) timeout_ms * 1000;
  if (remaining_ms (self) > 0)
    answer = call (self, path, interface, method, arguments, timeout_ms > 0, error);
  else
    set_silent (error);
  self->deadline = deadline;
  if (answer && !g_variant_is_of_type (answer, G_VARIANT_TYPE (type))) {
    set_bus_error (error, "unexpected answer");
    return NULL;
  }
  return g_steal_pointer (&answer);
}

GVariant *
ks_bus_get (KsBus *self, const char *path, const char *interface, GError **error)
{
  g_autoptr (GVariant) reply =
    ks_bus_call (self, path, DBUS ".Properties", "GetAll", g_variant_new ("(s)", interface), "(a{sv})", 0, error);

  return reply ? g_variant_get_child_value (reply, 0) : NULL;
}

GVariant *
ks_bus_get_or_empty (KsBus *self, const char *path, const char *interface, GError **error)
{
  g_autoptr (GError) local = NULL;
  GVariant *properties = NULL;

  if (strcmp (path, "/") != 0)
    properties = ks_bus_get (self, path, interface, &local);
  if (!properties && local && !g_error_matches (local, KS_ERROR, KS_ERROR_INVALID)) {
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
