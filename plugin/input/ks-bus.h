/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls to NetworkManager on the system bus: properties, one object at a time,
 * all within one deadline.
 */
#pragma once

#include <glib.h>

typedef struct _KsBus KsBus;

/*
 * Connects to the bus, which may hang as well. Connecting and all calls together
 * take at most @timeout_ms milliseconds. KS_ERROR_IO, KS_ERROR_SILENT.
 */
KsBus *ks_bus_new (guint timeout_ms, GError **error);
void ks_bus_free (KsBus *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsBus, ks_bus_free)

/*
 * All properties of one interface of an object: a{sv} (transfer full). NULL with
 * KS_ERROR_INVALID if the object does not exist, KS_ERROR_SILENT if nobody
 * answers or the time is up, KS_ERROR_PERMISSION if the user may not,
 * KS_ERROR_IO for any other error reply and if the bus fails.
 */
GVariant *ks_bus_get (KsBus *self, const char *path, const char *interface, GError **error);
/* As ks_bus_get(), but with an empty dictionary for "/" and for an object that has vanished. */
GVariant *ks_bus_get_or_empty (KsBus *self, const char *path, const char *interface, GError **error);

/*
 * Calls a method of an object. With @timeout_ms 0 the reply has to come within
 * the remaining time; otherwise within @timeout_ms milliseconds, during which
 * the user may be asked for a password. The reply must be of @type (transfer
 * full). NULL as for ks_bus_get().
 */
GVariant *ks_bus_call (KsBus *self, const char *path, const char *interface, const char *method, GVariant *parameters,
                       const char *type, guint timeout_ms, GError **error);

/* A string or object path from such a dictionary (transfer none); "" if it is missing. */
const char *ks_bus_string (GVariant *properties, const char *key);
/* Likewise, an object path; "/" if it is missing. */
const char *ks_bus_path (GVariant *properties, const char *key);
guint32 ks_bus_u32 (GVariant *properties, const char *key);
gboolean ks_bus_boolean (GVariant *properties, const char *key);
