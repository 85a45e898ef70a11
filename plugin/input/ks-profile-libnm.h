/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * libnm, loaded when the first profile has to go through it (base/ks-library.h).
 */
#pragma once

#include <NetworkManager.h>

#define KS_LIBNM_FUNCTIONS(FUNCTION) \
  FUNCTION (nm_connection_get_id) \
  FUNCTION (nm_connection_get_interface_name) \
  FUNCTION (nm_connection_get_setting) \
  FUNCTION (nm_connection_get_setting_connection) \
  FUNCTION (nm_connection_get_setting_ip4_config) \
  FUNCTION (nm_connection_get_setting_ip6_config) \
  FUNCTION (nm_connection_get_setting_ip_tunnel) \
  FUNCTION (nm_connection_get_setting_vpn) \
  FUNCTION (nm_connection_get_uuid) \
  FUNCTION (nm_connection_normalize) \
  FUNCTION (nm_ip_address_get_address) \
  FUNCTION (nm_ip_address_get_prefix) \
  FUNCTION (nm_ip_route_get_dest) \
  FUNCTION (nm_ip_route_get_prefix) \
  FUNCTION (nm_keyfile_handler_data_get_context) \
  FUNCTION (nm_keyfile_handler_data_warn_get) \
  FUNCTION (nm_keyfile_read) \
  FUNCTION (nm_setting_ip_config_get_address) \
  FUNCTION (nm_setting_ip_config_get_dns) \
  FUNCTION (nm_setting_ip_config_get_never_default) \
  FUNCTION (nm_setting_ip_config_get_num_addresses) \
  FUNCTION (nm_setting_ip_config_get_num_dns) \
  FUNCTION (nm_setting_ip_config_get_num_routes) \
  FUNCTION (nm_setting_ip_config_get_route) \
  FUNCTION (nm_setting_ip_tunnel_get_mode) \
  FUNCTION (nm_setting_ip_tunnel_get_remote) \
  FUNCTION (nm_setting_vpn_get_data_item) \
  FUNCTION (nm_setting_vpn_get_secret) \
  FUNCTION (nm_setting_vpn_get_service_type) \
  FUNCTION (nm_setting_wireguard_get_fwmark) \
  FUNCTION (nm_setting_wireguard_get_listen_port) \
  FUNCTION (nm_setting_wireguard_get_peer) \
  FUNCTION (nm_setting_wireguard_get_peer_routes) \
  FUNCTION (nm_setting_wireguard_get_peers_len) \
  FUNCTION (nm_setting_wireguard_get_type) \
  FUNCTION (nm_wireguard_peer_get_allowed_ip) \
  FUNCTION (nm_wireguard_peer_get_allowed_ips_len) \
  FUNCTION (nm_wireguard_peer_get_endpoint) \
  FUNCTION (nm_wireguard_peer_get_public_key) \
  FUNCTION (g_object_set) \
  FUNCTION (g_object_unref)

#define KS_LIBNM_MEMBER(function) __typeof__ (function) *function;

typedef struct {
  KS_LIBNM_FUNCTIONS (KS_LIBNM_MEMBER)
} KsLibnm;

/* The file that libnm was loaded from; NULL if it was not loaded or that is not known (transfer none). */
const char *ks_profile_libnm_path (void);

/* NULL with KS_ERROR_UNSUPPORTED if it cannot be loaded. */
const KsLibnm *ks_profile_libnm (GError **error);
