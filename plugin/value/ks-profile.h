/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * NetworkManager's connection profiles, and the [vpn NAME] sections of the
 * configuration, which count as profiles: which ones arm, in which mode and why,
 * and what they say about their transports. input/ks-profile-read.c reads them.
 */
#pragma once

#include "value/ks-config.h"
#include "value/ks-endpoint.h"

typedef enum {
  KS_MODE_OFF,
  KS_MODE_STRICT, /* armed until the setting is removed */
  KS_MODE_SESSION, /* armed by activation, released by an orderly disconnect */
} KsMode;

typedef enum {
  KS_REASON_NONE,
  KS_REASON_ZONE, /* connection.zone */
  KS_REASON_USER_DATA, /* user.data nm-killswitch.mode */
  KS_REASON_SECTION, /* a section of the configuration */
  KS_REASON_INVALID, /* the setting's value is invalid: armed strict, fail closed */
  KS_REASON_REMEMBERED, /* the file can no longer be read, and was armed when it could */
} KsReason;

/* KS_REASON_REMEMBERED in the words of status and its JSON. */
#define KS_REASON_TEXT_REMEMBERED "armed when last readable"

typedef enum {
  KS_VPN_NONE, /* not a VPN: cannot be armed */
  KS_VPN_WIREGUARD,
  KS_VPN_PLUGIN,
  KS_VPN_TUN,
  KS_VPN_IP_TUNNEL,
  KS_VPN_SECTION, /* a [vpn NAME] section: NetworkManager does not start it */
} KsVpnType;

/* Of a connection.type, as NetworkManager spells it; KS_VPN_NONE for NULL. */
KsVpnType ks_vpn_type_of (const char *type);

/* Prefix that makes a section's name its key. No UUID begins with it. */
#define KS_SECTION_KEY "vpn:"

typedef struct {
  char *path; /* of the keyfile; a section's is the configuration */
  char *uuid; /* nullable: NetworkManager makes one up if there is none; a section's is KS_SECTION_KEY and its name */
  char *id;
  char *type; /* connection.type, as NetworkManager spells it */
  char *interface; /* nullable: connection.interface-name; a section's device name or glob */
  KsVpnType vpn_type;
  char *service; /* nullable: vpn.service-type */
  KsMode mode;
  KsReason reason;
  KsLan lan; /* KS_LAN_UNSET: as configured */
  KsDns dns; /* KS_DNS_UNSET: as configured */
  KsPlacement placement; /* KS_PLACEMENT_UNSET: as configured */
  gboolean never_default4; /* carries only subnets of its own */
  gboolean never_default6;
  gboolean in_pieces; /* its routes are a default route cut into pieces, which are not subnets of its own */
  guint16 listen_port; /* WireGuard's, 0 for "the kernel picks one"; a section's source port, 0 for any */
  guint32 fwmark; /* WireGuard's, a section's or ks_vpn_mark(); 0 for none */
  gboolean kernel; /* a section's: no process owns the transport's packets */
  GPtrArray *endpoints; /* of KsEndpoint */
  GArray *prefixes; /* KsPrefix: the tunnel's own subnets, as far as the profile lists them */
  GArray *nameservers; /* KsPrefix, hosts */
  GArray *uids; /* guint32: who sends the transport; always includes 0 */
} KsProfile;

KsProfile *ks_profile_new (void);
void ks_profile_free (KsProfile *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsProfile, ks_profile_free)

/* The profile that @section, of the configuration @path, stands for (transfer full). */
KsProfile *ks_profile_new_of_section (const KsSection *section, const char *path);

/* Whether it asks for the kill switch, in either mode. */
gboolean ks_profile_wants (const KsProfile *self);

gboolean ks_mode_parse (const char *text, KsMode *out);
const char *ks_mode_format (KsMode mode);
/* What arms @self, for people (transfer full). */
char *ks_profile_format_reason (const KsProfile *self);
/* What identifies a profile in our state: the UUID, or the path of a file without one. */
const char *ks_profile_key (const KsProfile *self);

typedef struct {
  GPtrArray *profiles; /* of KsProfile, every VPN profile with one of our settings, "off" included; by path */
  GPtrArray *unreadable; /* of char*, paths of files that are not valid profiles, and of directories */
  GPtrArray *unclear; /* of char*, paths of profiles with a zone that may arm: the configuration is unreadable */
  GPtrArray *warnings; /* of char*, sorted: settings that have no effect, and what to do about it */
  GHashTable *index; /* nullable: key -> the first of the profiles that has it */
  guint indexed; /* how many of the profiles are in the index: profiles are added, but never removed */
} KsProfileSet;

void ks_profile_set_free (KsProfileSet *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsProfileSet, ks_profile_set_free)

/* The profile with @key; NULL if there is none (transfer none). */
const KsProfile *ks_profile_set_find (KsProfileSet *self, const char *key);
