/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The parsers in the table of ks-vpn.c, one for each plugin.
 */
#pragma once

#include "vpn/ks-vpn-parser.h"

/* ks-vpn-openvpn.c, ks-vpn-openconnect.c */
void ks_vpn_parse_openvpn (KsVpnParser *p);
void ks_vpn_parse_openconnect (KsVpnParser *p);

/* ks-vpn-ipsec.c */
void ks_vpn_parse_strongswan (KsVpnParser *p);
void ks_vpn_parse_libreswan (KsVpnParser *p);
void ks_vpn_parse_l2tp (KsVpnParser *p);
void ks_vpn_parse_vpnc (KsVpnParser *p);

/* ks-vpn-simple.c */
void ks_vpn_parse_pptp (KsVpnParser *p);
void ks_vpn_parse_sstp (KsVpnParser *p);
void ks_vpn_parse_fortisslvpn (KsVpnParser *p);
void ks_vpn_parse_iodine (KsVpnParser *p);
void ks_vpn_parse_ssh (KsVpnParser *p);
void ks_vpn_parse_unknown (KsVpnParser *p);
