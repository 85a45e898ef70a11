/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * D-Bus messages, as far as method calls and their replies need them (D-Bus
 * specification, "Message Protocol").
 */
#pragma once

#include <glib.h>

/* The beginning of every message; it tells how long the message is. */
#define KS_BUS_MESSAGE_START 16

typedef enum {
  KS_BUS_MESSAGE_RETURN = 2,
  KS_BUS_MESSAGE_ERROR = 3, /* other types (calls, signals) are not for us */
} KsBusMessageType;

typedef struct {
  guint8 type; /* KsBusMessageType, or another one */
  guint32 reply_serial; /* the serial of the call that it answers; 0 for none */
  char *error; /* nullable: the error's name */
  GVariant *body; /* a tuple */
} KsBusMessage;

void ks_bus_message_clear (KsBusMessage *self);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC (KsBusMessage, ks_bus_message_clear)

/*
 * A call that starts no service, with the arguments in the tuple @parameters, NULL for none (transfer full). With
 * @may_ask, the user may be asked for a password before it is answered.
 */
GByteArray *ks_bus_message_call (guint32 serial, const char *destination, const char *path, const char *interface,
                                 const char *member, GVariant *parameters, gboolean may_ask);
/* The length of the message that begins with @start; 0 if it is invalid, or too long for us. */
gsize ks_bus_message_length (const guint8 start[KS_BUS_MESSAGE_START]);
/* Parses a whole message into @out, zeroed by the caller. FALSE if it is malformed. */
gboolean ks_bus_message_parse (const guint8 *bytes, gsize length, KsBusMessage *out);
