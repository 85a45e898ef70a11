/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parsers of the VPN types share: hosts, ports and errors.
 */
#pragma once

#include "vpn/ks-vpn.h"

typedef struct {
  const KsVpnSettings *settings;
  GPtrArray *endpoints; /* of KsEndpoint */
  GPtrArray *errors; /* of GError */
} KsVpnParser;

/* True if @text is an address, or a name that can be resolved. */
gboolean ks_vpn_is_host (const char *text);
/* True if @text is an IPv6 address, without brackets. */
gboolean ks_vpn_is_ipv6 (const char *text);
gboolean ks_vpn_parse_port (const char *text, guint16 *out);
/* "[ADDRESS]" becomes "ADDRESS" (transfer full). */
char *ks_vpn_strip_brackets (const char *text);
/* "KEY: 'VALUE' is not WHAT" (transfer full). */
GError *ks_vpn_invalid (const char *key, const char *value, const char *what);

/* The value of a key of vpn.data; NULL if it is not set or empty. */
const char *ks_vpn_parser_get (const KsVpnParser *self, const char *key);
/* True if the key has the value "yes", which is what the plugins write for true. */
gboolean ks_vpn_parser_is_yes (const KsVpnParser *self, const char *key);
/* A port in a key of its own; @fallback if it is not set or malformed. */
guint16 ks_vpn_parser_get_port (KsVpnParser *self, const char *key, guint16 fallback);
/* The host in @key, with or without brackets (transfer full); NULL if it is not set or malformed. */
char *ks_vpn_parser_get_host (KsVpnParser *self, const char *key);
/*
 * Parses the text of @key: [SCHEME://][USER@]HOST[:PORT][/...], with brackets
 * around an IPv6 address if a port follows. @port is left alone if the text has
 * none. NULL, and an error, if the text is malformed (transfer full).
 */
char *ks_vpn_parser_split_server (KsVpnParser *self, const char *key, const char *text, guint16 *port);
void ks_vpn_parser_fail (KsVpnParser *self, const char *key, const char *value, const char *what);

/* Adds an endpoint unless it is already there. Port and protocol 0 mean any. */
void ks_vpn_parser_add (KsVpnParser *self, const char *host, guint16 port, guint8 ip_protocol);
void
ks_vpn_parser_add_carried (KsVpnParser *self, const char *host, guint16 port, guint8 ip_protocol, KsCarriage carriage);
