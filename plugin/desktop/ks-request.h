/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a user may request by an action of a notification, on the system bus, as
 * themselves: NetworkManager and systemd ask polkit whether they may, and polkit
 * may ask them for a password. Nothing here has privileges of its own.
 */
#pragma once

#include <glib.h>

/* @error is NULL if the service has accepted the request, otherwise D-Bus's own error, without its prefix. */
typedef void (*KsRequestFunc) (const GError *error, gpointer user_data);

/*
 * NetworkManager activates the profile with @uuid. @on_answer is called once,
 * from the main loop, within five minutes, during which the user may be asked
 * for a password.
 */
void ks_request_connect (const char *uuid, KsRequestFunc on_answer, gpointer user_data);
/* systemd starts nm-killswitch-release.service; likewise. */
void ks_request_release (KsRequestFunc on_answer, gpointer user_data);
