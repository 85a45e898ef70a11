/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Endpoints as profiles spell them. Each plugin of NetworkManager has keys of
 * its own for it (vpn.data); a plugin's server address is exported nowhere
 * else.
 */
#pragma once

#include "value/ks-endpoint.h"

/*
 * "HOST:PORT", "[IPV6]:PORT", as in wg(8). The host is an address or a name
 * of letters, digits, dots, hyphens and underscores. KS_ERROR_INVALID.
 */
KsEndpoint *ks_endpoint_parse_wireguard (const char *text, GError **error);

/* Looks a key of vpn.data up; NULL when it is not set. */
typedef const char *(*KsVpnDataFunc) (gconstpointer data, const char *key);

/*
 * The endpoints of a plugin's profile (transfer full; of KsEndpoint). @service
 * is vpn.service-type. A plugin nobody told us about yields its server with
 * any protocol and port. A malformed value is left out and appends a GError*
 * (KS_ERROR_INVALID, "KEY: 'VALUE' is not ...") to @errors.
 */
GPtrArray *ks_endpoint_parse_vpn (const char *service, KsVpnDataFunc lookup, gconstpointer data, GPtrArray *errors);

/* The user a plugin's transport is sent by besides root; NULL when it is root alone. */
const char *ks_endpoint_service_user (const char *service);
