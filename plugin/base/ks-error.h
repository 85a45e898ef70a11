/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The only error domain. A message names the object and the reason: it gets
 * prefixes on its way up (g_prefix_error) and is logged once, at the top.
 */
#pragma once

#include <glib.h>

typedef enum {
  KS_ERROR_INVALID, /* an input is malformed; the message names file or variable, key and value */
  KS_ERROR_PERMISSION, /* not root, or no CAP_NET_ADMIN */
  KS_ERROR_UNSUPPORTED, /* the kernel lacks a required feature */
  KS_ERROR_KERNEL, /* the kernel refused a change or an answer */
  KS_ERROR_IO, /* a file could not be read or written */
  KS_ERROR_SILENT, /* NetworkManager is absent or did not answer in time */
} KsError;

#define KS_ERROR (ks_error_quark ())
GQuark ks_error_quark (void);

/* Returns @text without control characters, safe for a terminal and a journal (transfer full). */
char *ks_error_printable (const char *text);
/* Appends a GError* (KS_ERROR_INVALID) to @errors, its text made printable. */
void ks_error_add (GPtrArray *errors, const char *format, ...) G_GNUC_PRINTF (2, 3);
