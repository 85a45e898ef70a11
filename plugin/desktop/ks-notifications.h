/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Notifications on the session bus: the client's side of the Desktop
 * Notifications Specification 1.2. One notification at a time.
 */
#pragma once

#include <glib.h>

#include "desktop/ks-notice.h"

typedef struct _KsNotifications KsNotifications;

/*
 * Something happened to the notification shown last: the user chose the action
 * @key; or, if @key is NULL, it is no longer on the screen, because the user
 * closed it, it expired, or the service ended.
 */
typedef void (*KsNotificationsFunc) (const char *key, gpointer user_data);

/*
 * Connects to the session bus. NULL with D-Bus's or GIO's own error if there is
 * none, or KS_ERROR_UNSUPPORTED if the environment names none: a new bus is
 * never started (transfer full).
 */
KsNotifications *ks_notifications_new (KsNotificationsFunc on_event, gpointer user_data, GError **error);
void ks_notifications_free (KsNotifications *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsNotifications, ks_notifications_free)

/*
 * Shows @notice in place of the notification @replaces, if that is not 0 and
 * still exists. @has_actions: set to FALSE to leave its actions out; FALSE
 * afterwards if the service does not support actions. Returns the notification's
 * number, or 0 with D-Bus's own error, for example if there is no notification
 * service. In an environment without a display, none is started.
 */
guint32 ks_notifications_show (KsNotifications *self, const KsNotice *notice, guint32 replaces, gboolean *has_actions,
                               GError **error);
/* Removes the notification @id from the screen; 0, or one that no longer exists, is ignored. */
void ks_notifications_close (KsNotifications *self, guint32 id);
/* The unique bus name of the service's process; NULL if there is none (transfer full). */
char *ks_notifications_read_owner (KsNotifications *self);
