/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A reader of JSON (RFC 8259) that is strict and knows no values: whether a
 * text is one value.
 */
#pragma once

#include <glib.h>

gboolean ks_test_json_is_valid (const char *text);
