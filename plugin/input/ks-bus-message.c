/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Why not GDBus: GIO with all its dependencies, and its thread, take as long to
 * start as the rest of a run that changes nothing. Why not sd-bus: libsystemd
 * loads four libraries that compress and encrypt its journal.
 *
 * Messages come from the bus daemon, which has validated them, but are checked
 * all the same: each value has to lie within the message, and strings have to be
 * what they claim to be.
 */
#include "input/ks-bus-message.h"

#include <string.h>

#define CALL 1
#define NO_AUTO_START 0x02
#define ALLOW_INTERACTIVE_AUTHORIZATION 0x04
#define PROTOCOL 1

enum {
  FIELD_PATH = 1,
  FIELD_INTERFACE = 2,
  FIELD_MEMBER = 3,
  FIELD_ERROR_NAME = 4,
  FIELD_REPLY_SERIAL = 5,
  FIELD_DESTINATION = 6,
  FIELD_SIGNATURE = 8,
};

/* The specification allows 128 MiB; NetworkManager never has that much to say. */
#define MAX_LENGTH (16u << 20)
/* The nesting depth of arrays, structures and variants, as in the specification. */
#define MAX_DEPTH 64

void
ks_bus_message_clear (KsBusMessage *self)
{
  g_clear_pointer (&self->error, g_free);
  g_clear_pointer (&self->body, g_variant_unref);
}

static gsize
alignment_of (const GVariantType *type)
{
  switch (*g_variant_type_peek_string (type)) {
  case 'y':
  case 'g':
  case 'v':
    return 1;
  case 'n':
  case 'q':
    return 2;
  case 'x':
  case 't':
  case 'd':
  case '(':
  case '{':
    return 8;
  default:
    return 4;
  }
}

/* --- serialising --- */

static void
pad (GByteArray *out, guint alignment)
{
  static const guint8 zeros[8];
  guint excess = out->len % alignment;

  if (excess)
    g_byte_array_append (out, zeros, alignment - excess);
}

static void
put_u32 (GByteArray *out, guint32 value)
{
  pad (out, 4);
  g_byte_array_append (out, (const guint8 *) &value, sizeof value);
}

static void
put_string (GByteArray *out, const char *text)
{
  guint length = (guint) strlen (text);

  put_u32 (out, length);
  g_byte_array_append (out, (const guint8 *) text, length + 1);
}

static void
put_signature (GByteArray *out, const char *signature)
{
  guint8 length = (guint8) strlen (signature);

  g_byte_array_append (out, &length, 1);
  g_byte_array_append (out, (const guint8 *) signature, length + 1u);
}

/* A header field: a structure of its number and a variant of @type, 's', 'o' or 'g'. */
static void
put_field (GByteArray *out, guint8 number, char type, const char *text)
{
  const char signature[] = { type, '\0' };

  pad (out, 8);
  g_byte_array_append (out, &number, 1);
  put_signature (out, signature);
  if (type == 'g')
    put_signature (out, text);
  else
    put_string (out, text);
}

/* At @offset. */
static void
set_u32 (GByteArray *out, guint offset, guint32 value)
{
  memcpy (out->data + offset, &value, sizeof value);
}

static void put_value (GByteArray *out, GVariant *value);

static void
put_children (GByteArray *out, GVariant *value)
{
  for (gsize i = 0; i < g_variant_n_children (value); i++) {
    g_autoptr (GVariant) child = g_variant_get_child_value (value, i);

    put_value (out, child);
  }
}

static void
put_array (GByteArray *out, GVariant *value)
{
  guint length, start;

  put_u32 (out, 0);
  length = out->len - (guint) sizeof (guint32);
  pad (out, (guint) alignment_of (g_variant_type_element (g_variant_get_type (value))));
  start = out->len;
  put_children (out, value);
  set_u32 (out, length, out->len - start);
}

/* A number; GVariant stores numbers as D-Bus does. */
static void
put_number (GByteArray *out, GVariant *value)
{
  gsize size = g_variant_get_size (value);

  pad (out, (guint) size);
  g_byte_array_append (out, g_variant_get_data (value), (guint) size);
}

static void
put_value (GByteArray *out, GVariant *value)
{
  g_autoptr (GVariant) inner = NULL;

  switch (g_variant_classify (value)) {
  case G_VARIANT_CLASS_BOOLEAN:
    put_u32 (out, g_variant_get_boolean (value));
    break;
  case G_VARIANT_CLASS_STRING:
  case G_VARIANT_CLASS_OBJECT_PATH:
    put_string (out, g_variant_get_string (value, NULL));
    break;
  case G_VARIANT_CLASS_SIGNATURE:
    put_signature (out, g_variant_get_string (value, NULL));
    break;
  case G_VARIANT_CLASS_VARIANT:
    inner = g_variant_get_variant (value);
    put_signature (out, g_variant_get_type_string (inner));
    put_value (out, inner);
    break;
  case G_VARIANT_CLASS_ARRAY:
    put_array (out, value);
    break;
  case G_VARIANT_CLASS_TUPLE:
  case G_VARIANT_CLASS_DICT_ENTRY:
    pad (out, 8);
    put_children (out, value);
    break;
  default:
    put_number (out, value);
  }
}

/* The part of a tuple's type between the parentheses (transfer full). */
static char *
signature_of (GVariant *tuple)
{
  const char *type = g_variant_get_type_string (tuple);

  return g_strndup (type + 1, strlen (type) - 2);
}

GByteArray *
ks_bus_message_call (guint32 serial, const char *destination, const char *path, const char *interface,
                     const char *member, GVariant *parameters, gboolean may_ask)
{
  const guint8 start[] = { G_BYTE_ORDER == G_LITTLE_ENDIAN ? 'l' : 'B', CALL,
                           may_ask ? NO_AUTO_START | ALLOW_INTERACTIVE_AUTHORIZATION : NO_AUTO_START, PROTOCOL };
  g_autofree char *signature = parameters ? signature_of (parameters) : NULL;
  GByteArray *out = g_byte_array_new ();
  guint body;

  g_byte_array_append (out, start, sizeof start);
  put_u32 (out, 0); /* the length of the body, at offset 4 */
  put_u32 (out, serial);
  put_u32 (out, 0); /* the length of the fields, at offset 12 */
  put_field (out, FIELD_PATH, 'o', path);
  put_field (out, FIELD_DESTINATION, 's', destination);
  put_field (out, FIELD_INTERFACE, 's', interface);
  put_field (out, FIELD_MEMBER, 's', member);
  if (signature && *signature)
    put_field (out, FIELD_SIGNATURE, 'g', signature);
  set_u32 (out, 12, out->len - KS_BUS_MESSAGE_START);
  pad (out, 8);
  body = out->len;
  if (parameters)
    put_children (out, parameters);
  set_u32 (out, 4, out->len - body);
  return out;
}

/* --- parsing --- */

typedef struct {
  const guint8 *bytes;
  gsize length, offset;
  gboolean is_swapped; /* the other byte order */
} Reader;

/* The next @length bytes, aligned; NULL if there are not that many. */
static const guint8 *
take (Reader *r, gsize alignment, gsize length)
{
  gsize offset = (r->offset + alignment - 1) / alignment * alignment;

  if (offset > r->length || r->length - offset < length)
    return NULL;
  r->offset = offset + length;
  return r->bytes + offset;
}

static gboolean
take_u16 (Reader *r, guint16 *out)
{
  const guint8 *bytes = take (r, sizeof *out, sizeof *out);

  if (!bytes)
    return FALSE;
  memcpy (out, bytes, sizeof *out);
  if (r->is_swapped)
    *out = GUINT16_SWAP_LE_BE (*out);
  return TRUE;
}

static gboolean
take_u32 (Reader *r, guint32 *out)
{
  const guint8 *bytes = take (r, sizeof *out, sizeof *out);

  if (!bytes)
    return FALSE;
  memcpy (out, bytes, sizeof *out);
  if (r->is_swapped)
    *out = GUINT32_SWAP_LE_BE (*out);
  return TRUE;
}

static gboolean
take_u64 (Reader *r, guint64 *out)
{
  const guint8 *bytes = take (r, sizeof *out, sizeof *out);

  if (!bytes)
    return FALSE;
  memcpy (out, bytes, sizeof *out);
  if (r->is_swapped)
    *out = GUINT64_SWAP_LE_BE (*out);
  return TRUE;
}

/* @length bytes followed by the only NUL; NULL if they are not. */
static const char *
take_text (Reader *r, gsize length)
{
  const guint8 *bytes = take (r, 1, length + 1);

  return bytes && memchr (bytes, '\0', length + 1) == bytes + length ? (const char *) bytes : NULL;
}

static const char *
take_string (Reader *r)
{
  guint32 length;

  return take_u32 (r, &length) ? take_text (r, length) : NULL;
}

static const char *
take_signature (Reader *r)
{
  const guint8 *length = take (r, 1, 1);

  return length ? take_text (r, *length) : NULL;
}

static GVariant *take_value (Reader *r, const GVariantType *type, guint depth);

static GVariant *
take_variant (Reader *r, guint depth)
{
  const char *signature = take_signature (r);
  GVariant *value;

  /* a single type, and none of those that only GLib has, such as "*" */
  if (!signature || !g_variant_type_string_is_valid (signature) || !g_variant_is_signature (signature))
    return NULL;
  value = take_value (r, G_VARIANT_TYPE (signature), depth + 1);
  return value ? g_variant_new_variant (value) : NULL;
}

static GVariant *
take_array (Reader *r, const GVariantType *type, guint depth)
{
  const GVariantType *element = g_variant_type_element (type);
  GVariantBuilder builder;
  guint32 length;
  gsize end;

  /* the padding before the first element does not count towards the length */
  if (!take_u32 (r, &length) || !take (r, alignment_of (element), 0) || length > r->length - r->offset)
    return NULL;
  end = r->offset + length;
  if (g_variant_type_equal (element, G_VARIANT_TYPE_BYTE))
    return g_variant_new_fixed_array (element, take (r, 1, length), length, 1);
  g_variant_builder_init (&builder, type);
  while (r->offset < end) {
    gsize before = r->offset;
    GVariant *value = take_value (r, element, depth + 1);

    if (value)
      g_variant_builder_add_value (&builder, value);
    if (!value || r->offset == before || r->offset > end) {
      g_variant_builder_clear (&builder);
      return NULL;
    }
  }
  return g_variant_builder_end (&builder);
}

/* A structure, or a dictionary entry. */
static GVariant *
take_tuple (Reader *r, const GVariantType *type, guint depth)
{
  GVariantBuilder builder;

  if (!take (r, 8, 0))
    return NULL;
  g_variant_builder_init (&builder, type);
  for (const GVariantType *item = g_variant_type_first (type); item; item = g_variant_type_next (item)) {
    GVariant *value = take_value (r, item, depth + 1);

    if (!value) {
      g_variant_builder_clear (&builder);
      return NULL;
    }
    g_variant_builder_add_value (&builder, value);
  }
  return g_variant_builder_end (&builder);
}

static GVariant *
take_number (Reader *r, char type)
{
  const guint8 *byte;
  guint16 n16;
  guint32 n32;
  guint64 n64;
  double real;

  switch (type) {
  case 'y':
    byte = take (r, 1, 1);
    return byte ? g_variant_new_byte (*byte) : NULL;
  case 'b':
    return take_u32 (r, &n32) && n32 <= 1 ? g_variant_new_boolean (n32 == 1) : NULL;
  case 'n':
    return take_u16 (r, &n16) ? g_variant_new_int16 ((gint16) n16) : NULL;
  case 'q':
    return take_u16 (r, &n16) ? g_variant_new_uint16 (n16) : NULL;
  case 'i':
    return take_u32 (r, &n32) ? g_variant_new_int32 ((gint32) n32) : NULL;
  case 'u':
    return take_u32 (r, &n32) ? g_variant_new_uint32 (n32) : NULL;
  case 'x':
    return take_u64 (r, &n64) ? g_variant_new_int64 ((gint64) n64) : NULL;
  case 't':
    return take_u64 (r, &n64) ? g_variant_new_uint64 (n64) : NULL;
  case 'd':
    if (!take_u64 (r, &n64))
      return NULL;
    memcpy (&real, &n64, sizeof real);
    return g_variant_new_double (real);
  default: /* file descriptors are not passed to us */
    return NULL;
  }
}

/* A floating reference; NULL if it is malformed. */
static GVariant *
take_value (Reader *r, const GVariantType *type, guint depth)
{
  char kind = *g_variant_type_peek_string (type);
  const char *text;

  if (depth > MAX_DEPTH)
    return NULL;
  switch (kind) {
  case 's':
    text = take_string (r);
    return text && g_utf8_validate (text, -1, NULL) ? g_variant_new_string (text) : NULL;
  case 'o':
    text = take_string (r);
    return text && g_variant_is_object_path (text) ? g_variant_new_object_path (text) : NULL;
  case 'g':
    text = take_signature (r);
    return text && g_variant_is_signature (text) ? g_variant_new_signature (text) : NULL;
  case 'v':
    return take_variant (r, depth);
  case 'a':
    return take_array (r, type, depth);
  case '(':
  case '{':
    return take_tuple (r, type, depth);
  default:
    return take_number (r, kind);
  }
}

static gboolean
init_reader (Reader *r, const guint8 *bytes, gsize length)
{
  char order = (char) bytes[0];

  *r = (Reader){ .bytes = bytes, .length = length };
  r->is_swapped = order != (G_BYTE_ORDER == G_LITTLE_ENDIAN ? 'l' : 'B');
  return (order == 'l' || order == 'B') && bytes[3] == PROTOCOL;
}

gsize
ks_bus_message_length (const guint8 start[KS_BUS_MESSAGE_START])
{
  guint32 body, fields;
  Reader r;

  if (!init_reader (&r, start, KS_BUS_MESSAGE_START))
    return 0;
  r.offset = 4;
  take_u32 (&r, &body);
  r.offset = 12;
  take_u32 (&r, &fields);
  if (body > MAX_LENGTH || fields > MAX_LENGTH)
    return 0;
  return KS_BUS_MESSAGE_START + ((gsize) fields + 7) / 8 * 8 + body;
}

/* One header field; the value of an unknown field may be anything. */
static gboolean
take_field (GVariant *field, KsBusMessage *out, char **signature)
{
  g_autoptr (GVariant) value = NULL;
  guint8 number;

  g_variant_get (field, "(yv)", &number, &value);
  switch (number) {
  case FIELD_ERROR_NAME:
    if (!g_variant_is_of_type (value, G_VARIANT_TYPE_STRING))
      return FALSE;
    g_free (out->error);
    out->error = g_variant_dup_string (value, NULL);
    return TRUE;
  case FIELD_REPLY_SERIAL:
    if (!g_variant_is_of_type (value, G_VARIANT_TYPE_UINT32))
      return FALSE;
    out->reply_serial = g_variant_get_uint32 (value);
    return TRUE;
  case FIELD_SIGNATURE:
    if (!g_variant_is_of_type (value, G_VARIANT_TYPE_SIGNATURE))
      return FALSE;
    g_free (*signature);
    *signature = g_variant_dup_string (value, NULL);
    return TRUE;
  default:
    return TRUE;
  }
}

gboolean
ks_bus_message_parse (const guint8 *bytes, gsize length, KsBusMessage *out)
{
  g_autoptr (GVariant) fields = NULL;
  g_autofree char *signature = NULL;
  g_autofree char *tuple = NULL;
  Reader r;

  if (length < KS_BUS_MESSAGE_START || ks_bus_message_length (bytes) != length || !init_reader (&r, bytes, length))
    return FALSE;
  out->type = bytes[1];
  r.offset = 12;
  fields = take_value (&r, G_VARIANT_TYPE ("a(yv)"), 0);
  if (!fields)
    return FALSE;
  g_variant_ref_sink (fields);
  for (gsize i = 0; i < g_variant_n_children (fields); i++) {
    g_autoptr (GVariant) field = g_variant_get_child_value (fields, i);

    if (!take_field (field, out, &signature))
      return FALSE;
  }
  tuple = g_strdup_printf ("(%s)", signature ? signature : "");
  if (!g_variant_is_signature (tuple) || !g_variant_type_string_is_valid (tuple))
    return FALSE;
  out->body = take_value (&r, G_VARIANT_TYPE (tuple), 0);
  if (out->body)
    g_variant_ref_sink (out->body);
  return out->body && r.offset == length;
}
