/* SPDX-License-Identifier: GPL-2.0-or-later */
/* GDBus is the judge: we read what it writes, and it reads what we write. */
#include "ks-test.h"

#include <gio/gio.h>

#include "input/ks-bus-message.h"

static const GDBusMessageByteOrder orders[] = { G_DBUS_MESSAGE_BYTE_ORDER_LITTLE_ENDIAN,
                                                G_DBUS_MESSAGE_BYTE_ORDER_BIG_ENDIAN };

/* A tuple of each kind of value, and of the types of NetworkManager's properties. */
static const char *const bodies[] = {
  "()",
  "('text', '', 'Zürich')",
  "(byte 7, true, false, int16 -5, uint16 65535, -70000, uint32 4000000000)",
  "(byte 1, int64 -5000000000, byte 2, uint64 18000000000000000000, byte 3, 2.5)",
  "(objectpath '/org/freedesktop/NetworkManager/Devices/3', signature 'a{sv}', <'in a variant'>)",
  "(byte 1, @ay [0x01, 0x02, 0xff], @au [], [uint32 1, 2], @ax [], [int64 3])",
  "(['one', 'two', ''], @as [], @ao ['/'], byte 9, @a{sv} {})",
  "({'State': <uint32 70>, 'Vpn': <true>, 'Devices': <[objectpath '/a', '/b']>, 'Empty': <@ao []>},)",
  "(byte 1, {'AddressData': <[{'address': <'192.0.2.1'>, 'prefix': <uint32 24>}, {'address': <'192.0.2.2'>}]>})",
  "({'Nameservers': <[@ay [0x20, 0x01], @ay []]>, 'Odd': <<<(byte 1, 'x', {'k': <int64 1>})>>>},)",
  "(@a(ayuay) [([byte 1], 64, [byte 2]), (@ay [], 0, @ay [])],)",
};

static GDBusMessage *
new_answer (const char *body)
{
  GDBusMessage *message = g_dbus_message_new ();
  GVariant *value = g_variant_new_parsed (body);

  g_dbus_message_set_message_type (message, G_DBUS_MESSAGE_TYPE_METHOD_RETURN);
  g_dbus_message_set_serial (message, 5);
  g_dbus_message_set_reply_serial (message, 4711);
  g_dbus_message_set_sender (message, ":1.7");
  g_dbus_message_set_destination (message, ":1.8");
  g_dbus_message_set_body (message, value);
  return message;
}

static guint8 *
to_bytes (GDBusMessage *message, GDBusMessageByteOrder order, gsize *length)
{
  g_autoptr (GError) error = NULL;
  guint8 *bytes;

  g_dbus_message_set_byte_order (message, order);
  bytes = g_dbus_message_to_blob (message, length, G_DBUS_CAPABILITY_FLAGS_NONE, &error);
  if (!bytes)
    fail_msg ("%s", error->message);
  return bytes;
}

static void
answer_is_read_in_either_byte_order (void **state G_GNUC_UNUSED)
{
  for (guint i = 0; i < G_N_ELEMENTS (bodies); i++)
    for (guint j = 0; j < G_N_ELEMENTS (orders); j++) {
      g_autoptr (GDBusMessage) message = new_answer (bodies[i]);
      g_auto (KsBusMessage) found = { 0 };
      gsize length = 0;
      g_autofree guint8 *bytes = to_bytes (message, orders[j], &length);
      g_autofree char *text = NULL;
      g_autofree char *expected = NULL;

      assert_int_equal (ks_bus_message_length (bytes), length);
      assert_true (ks_bus_message_parse (bytes, length, &found));
      assert_int_equal (found.type, KS_BUS_MESSAGE_RETURN);
      assert_int_equal (found.reply_serial, 4711);
      assert_null (found.error);
      text = g_variant_print (found.body, TRUE);
      expected = g_variant_print (g_dbus_message_get_body (message), TRUE);
      assert_string_equal (text, expected);
    }
}

static void
error_is_read_with_its_name (void **state G_GNUC_UNUSED)
{
  g_autoptr (GDBusMessage) call = g_dbus_message_new_method_call ("org.example", "/", "org.example", "Ask");
  g_autoptr (GDBusMessage) message = NULL;
  g_auto (KsBusMessage) found = { 0 };
  g_autofree guint8 *bytes = NULL;
  gsize length = 0;

  g_dbus_message_set_serial (call, 3);
  message = g_dbus_message_new_method_error_literal (call, "org.example.Error", "no such thing");
  g_dbus_message_set_serial (message, 1);
  bytes = to_bytes (message, orders[0], &length);
  assert_true (ks_bus_message_parse (bytes, length, &found));
  assert_int_equal (found.type, KS_BUS_MESSAGE_ERROR);
  assert_int_equal (found.reply_serial, 3);
  assert_string_equal (found.error, "org.example.Error");
}

static void
message_that_is_cut_or_altered_is_refused_or_read (void **state G_GNUC_UNUSED)
{
  for (guint i = 0; i < G_N_ELEMENTS (bodies); i++) {
    g_autoptr (GDBusMessage) message = new_answer (bodies[i]);
    gsize length = 0;
    g_autofree guint8 *bytes = to_bytes (message, orders[0], &length);

    for (gsize cut = KS_BUS_MESSAGE_START; cut < length; cut++) {
      g_autofree guint8 *part = g_memdup2 (bytes, cut);
      g_auto (KsBusMessage) found = { 0 };

      assert_false (ks_bus_message_parse (part, cut, &found));
    }
    for (gsize at = 0; at < length; at++)
      for (guint bit = 0; bit < 8; bit++) {
        g_auto (KsBusMessage) found = { 0 };

        bytes[at] ^= (guint8) (1u << bit);
        ks_bus_message_parse (bytes, length, &found); /* the sanitizers judge */
        bytes[at] ^= (guint8) (1u << bit);
      }
  }
}

static void
message_of_absurd_length_is_refused (void **state G_GNUC_UNUSED)
{
  const guint8 starts[][KS_BUS_MESSAGE_START] = {
    { 'l', 2, 0, 1, 0xff, 0xff, 0xff, 0xff, 1 },
    { 'l', 2, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0xff, 0xff, 0xff, 0xff },
    { 'l', 2, 0, 2 },
    { 'x', 2, 0, 1 },
  };

  for (guint i = 0; i < G_N_ELEMENTS (starts); i++)
    assert_int_equal (ks_bus_message_length (starts[i]), 0);
}

/* Deeper than the specification allows, and than a parser's stack should be asked for. */
static void
message_that_is_nested_too_deep_is_refused (void **state G_GNUC_UNUSED)
{
  guint8 bytes[1024] = { 'l', 2, 0, 1, [8] = 1 };
  /* the signature of the body, "v" */
  static const guint8 field[] = { 8, 1, 'g', 0, 1, 'v', 0, 0 };
  g_auto (KsBusMessage) found = { 0 };
  guint length = 24;

  bytes[12] = sizeof field - 1;
  memcpy (bytes + 16, field, sizeof field);
  for (guint i = 0; i < 200; i++) { /* a variant in a variant */
    bytes[length++] = 1;
    bytes[length++] = 'v';
    bytes[length++] = 0;
  }
  bytes[length++] = 1;
  bytes[length++] = 'y';
  bytes[length++] = 0;
  bytes[length++] = 7;
  bytes[4] = (guint8) ((length - 24) & 0xff);
  bytes[5] = (guint8) ((length - 24) >> 8);
  assert_int_equal (ks_bus_message_length (bytes), length);
  assert_false (ks_bus_message_parse (bytes, length, &found));
}

/* No value can be made of types that GLib has and D-Bus has not. */
static void
message_with_a_type_of_glib_only_is_refused (void **state G_GNUC_UNUSED)
{
  static const char *const signatures[] = { "r", "*", "?", "mi", "a*", "(i" };

  for (guint i = 0; i < G_N_ELEMENTS (signatures); i++)
    for (gboolean is_in_variant = FALSE; is_in_variant <= TRUE; is_in_variant++) {
      guint8 bytes[64] = { 'l', 2, 0, 1, [4] = 16, [8] = 1, [16] = 8, [17] = 1, [18] = 'g' };
      const char *body = is_in_variant ? "v" : signatures[i];
      g_auto (KsBusMessage) found = { 0 };

      bytes[20] = (guint8) strlen (body);
      memcpy (bytes + 21, body, strlen (body));
      bytes[12] = (guint8) (21 + strlen (body) + 1 - 16);
      if (is_in_variant) {
        bytes[24] = (guint8) strlen (signatures[i]);
        memcpy (bytes + 25, signatures[i], strlen (signatures[i]));
      }
      assert_int_equal (ks_bus_message_length (bytes), 24 + 16);
      assert_false (ks_bus_message_parse (bytes, 24 + 16, &found));
    }
}

static void
call_is_understood (void **state G_GNUC_UNUSED)
{
  for (guint i = 0; i < G_N_ELEMENTS (bodies); i++) {
    g_autoptr (GVariant) parameters = g_variant_ref_sink (g_variant_new_parsed (bodies[i]));
    g_autoptr (GByteArray) bytes = ks_bus_message_call (77, "org.example.Name", "/org/example/Path",
                                                        "org.example.Interface", "Ask", parameters, i % 2);
    g_autoptr (GError) error = NULL;
    g_autoptr (GDBusMessage) message =
      g_dbus_message_new_from_blob (bytes->data, bytes->len, G_DBUS_CAPABILITY_FLAGS_NONE, &error);
    GDBusMessageFlags flags = G_DBUS_MESSAGE_FLAGS_NO_AUTO_START;
    GVariant *body;

    if (!message)
      fail_msg ("%s: %s", bodies[i], error->message);
    if (i % 2)
      flags |= G_DBUS_MESSAGE_FLAGS_ALLOW_INTERACTIVE_AUTHORIZATION;
    assert_int_equal (ks_bus_message_length (bytes->data), bytes->len);
    assert_int_equal (g_dbus_message_get_message_type (message), G_DBUS_MESSAGE_TYPE_METHOD_CALL);
    assert_int_equal (g_dbus_message_get_flags (message), flags);
    assert_int_equal (g_dbus_message_get_serial (message), 77);
    assert_string_equal (g_dbus_message_get_destination (message), "org.example.Name");
    assert_string_equal (g_dbus_message_get_path (message), "/org/example/Path");
    assert_string_equal (g_dbus_message_get_interface (message), "org.example.Interface");
    assert_string_equal (g_dbus_message_get_member (message), "Ask");
    body = g_dbus_message_get_body (message);
    if (g_variant_n_children (parameters) == 0) {
      assert_true (!body || g_variant_n_children (body) == 0);
    } else {
      g_autofree char *text = g_variant_print (body, TRUE);
      g_autofree char *expected = g_variant_print (parameters, TRUE);

      assert_string_equal (text, expected);
    }
  }
}

int
main (void)
{
  const struct CMUnitTest tests[] = {
    cmocka_unit_test (answer_is_read_in_either_byte_order),
    cmocka_unit_test (error_is_read_with_its_name),
    cmocka_unit_test (message_that_is_cut_or_altered_is_refused_or_read),
    cmocka_unit_test (message_of_absurd_length_is_refused),
    cmocka_unit_test (message_that_is_nested_too_deep_is_refused),
    cmocka_unit_test (message_with_a_type_of_glib_only_is_refused),
    cmocka_unit_test (call_is_understood),
  };

  g_log_set_always_fatal (G_LOG_LEVEL_CRITICAL); /* a complaint of GLib's is an error here */
  return cmocka_run_group_tests (tests, NULL, NULL);
}
