/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The VPN types: where the transport of each goes and who sends it, according to
 * its profile. A plugin's server address is available nowhere else.
 */
#pragma once

#include "value/ks-endpoint.h"

/* Looks up a key; NULL if it is not set. */
typedef const char *(*KsVpnLookup) (gconstpointer profile, const char *key);

/* The settings in a plugin's profile. */
typedef struct {
  KsVpnLookup data; /* vpn.data */
  KsVpnLookup secret; /* vpn.secrets, as far as the profile contains them */
  gconstpointer profile; /* passed to both */
} KsVpnSettings;

/*
 * The endpoints of a plugin's profile (transfer full; of KsEndpoint). @service
 * is vpn.service-type. A plugin that is not in the table yields its server with
 * any protocol and port. A malformed value is left out, and a GError*
 * (KS_ERROR_INVALID, "KEY: 'VALUE' is not ...") is appended to @errors.
 */
GPtrArray *ks_vpn_endpoints (const char *service, const KsVpnSettings *settings, GPtrArray *errors);

/* The user that sends a plugin's transport besides root; NULL if only root does. */
const char *ks_vpn_user (const char *service);

/* The firewall mark of a plugin's route lookups to its server; 0 if it does none, or without a mark. */
guint32 ks_vpn_mark (const char *service);

/*
 * The endpoint of a WireGuard peer: "HOST:PORT" or "[IPV6]:PORT", as in wg(8).
 * The host is an address or a name of letters, digits, dots, hyphens and
 * underscores. KS_ERROR_INVALID.
 */
KsEndpoint *ks_vpn_wireguard_endpoint (const char *text, GError **error);
