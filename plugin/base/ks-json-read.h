/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading JSON (RFC 8259) into GVariants.
 */
#pragma once

#include <glib.h>

/*
 * Parses @text, which must be a single JSON value: an object becomes a{sv}, an
 * array av, a string s, an integer x, a boolean b, and null the empty tuple.
 * This program writes no other numbers, so fractions, exponents and numbers
 * beyond 64 bits are errors, as are more than 16 levels. Of two members with the
 * same name, the first one counts. Returns a new value (transfer full), or NULL
 * with KS_ERROR_INVALID, which names the offset in bytes.
 */
GVariant *ks_json_read (const char *text, GError **error);
