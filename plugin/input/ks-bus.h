/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Questions to the NetworkManager on the system bus: properties, one object at
 * a time, all within one deadline.
 */
#pragma once

#include <glib.h>

typedef struct _KsBus KsBus;

/*
 * Connects to the bus, which may hang as well. This and all that is asked
 * takes at most @timeout_ms milliseconds. KS_ERROR_IO, KS_ERROR_SILENT.
 */
KsBus *ks_bus_new (guint timeout_ms, GError **error);
void ks_bus_free (KsBus *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsBus, ks_bus_free)

/*
 * All properties of one interface of one object: a{sv} (transfer full). NULL
 * with KS_ERROR_INVALID for an object that is not there, KS_ERROR_SILENT when
 * there is nobody to answer or the time is over, KS_ERROR_PERMISSION for another
 * error as an answer, KS_ERROR_IO when the bus fails.
 */
GVariant *ks_bus_get (KsBus *self, const char *path, const char *interface, GError **error);
/* As ks_bus_get(), with an empty dictionary for "/" and for an object that vanished. */
GVariant *ks_bus_get_or_empty (KsBus *self, const char *path, const char *interface, GError **error);

/*
 * Calls a method of an object. With @timeout_ms 0 the answer has to come within
 * the time that is left; otherwise within @timeout_ms milliseconds, and the
 * person may be asked for a password meanwhile. The answer has to be of @type
 * (transfer full). NULL as for ks_bus_get().
 */
GVariant *ks_bus_call (KsBus *self, const char *path, const char *interface, const char *method, GVariant *parameters,
                       const char *type, guint timeout_ms, GError **error);

/* One property of such a dictionary, text or an object path (transfer none); "" when it is not there. */
const char *ks_bus_string (GVariant *properties, const char *key);
/* Likewise, an object path; "/" when it is not there. */
const char *ks_bus_path (GVariant *properties, const char *key);
guint32 ks_bus_u32 (GVariant *properties, const char *key);
gboolean ks_bus_boolean (GVariant *properties, const char *key);
