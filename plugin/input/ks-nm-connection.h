/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The connection profiles as NetworkManager shows them to the calling user, and
 * our setting in them, over D-Bus: for the commands that people run. What arms
 * is read from disk (ks-profile-read.h), never from here.
 */
#pragma once

#include "input/ks-bus.h"
#include "value/ks-setting.h"

typedef struct {
  char *object; /* its D-Bus path */
  char *id;
  char *uuid;
  char *type; /* connection.type */
  char *filename; /* nullable */
  gboolean is_unsaved; /* it differs from its file, or has none */
  gboolean is_external; /* made up by NetworkManager for a device that another program has set up */
  GKeyFile *file; /* its [connection] and [user] groups, as in a keyfile */
  char *zone; /* nullable */
  char *mode; /* nullable: user data nm-killswitch.mode */
  char *lan; /* nullable: user data nm-killswitch.lan */
} KsNmConnection;

void ks_nm_connection_free (KsNmConnection *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsNmConnection, ks_nm_connection_free)

/* The profiles that the user may see, in NetworkManager's order (transfer full; of KsNmConnection). NULL as
 * ks_bus_get(). */
GPtrArray *ks_nm_connection_list (KsBus *bus, GError **error);

/* A profile with what is known from here: no endpoints. Its mode and reason follow from @config. */
KsProfile *ks_nm_connection_profile (const KsNmConnection *self, const KsConfig *config);

/*
 * Sets @setting and changes nothing else, including where the profile is stored.
 * NetworkManager may refuse, or have the user asked for a password. Returns when
 * it has been written. D-Bus's own error, or KS_ERROR_SILENT.
 */
gboolean ks_nm_connection_set (KsBus *bus, const KsNmConnection *self, const KsSetting *setting, GError **error);

/*
 * The settings for Update2: @settings (a{sa{sv}}, from GetSettings) with
 * @setting applied. Leaves out the old forms of addresses, routes and DNS
 * servers, which NetworkManager prefers to the new ones although they hold less.
 * Pure (floating).
 */
GVariant *ks_nm_connection_edit (GVariant *settings, const KsSetting *setting);
