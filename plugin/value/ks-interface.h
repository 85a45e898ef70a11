/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Network devices: their names, and the kinds that VPNs use.
 */
#pragma once

#include <glib.h>

/* Whether @name may be an interface: 1 to 15 bytes without '/', white space, ':' or control characters. That is what
 * the kernel accepts (dev_valid_name(), net/core/dev.c), and a little stricter. */
gboolean ks_interface_name_is_valid (const char *name);

/* The kinds (IFLA_INFO_KIND, `ip -d link`) of the devices that VPNs use, ended by NULL. */
extern const char *const ks_interface_tunnel_kinds[];
/* Whether @kind is one of them. */
gboolean ks_interface_kind_is_tunnel (const char *kind);
/*
 * Whether a device of @kind encapsulates in place of a program: OpenVPN's data channel offload. The program opens the
 * connection; from then on the kernel sends the packets through the program's socket. It routes them as root's, and
 * their owner is whoever sent the packet inside (ovpn_udp4_output(), drivers/net/ovpn/udp.c, and the same function of
 * the separate module ovpn-dco; run, Linux 6.1 with ovpn-dco 2.0.0).
 */
gboolean ks_interface_kind_is_offload (const char *kind);
/* Whether a device of @kind sends through other devices that belong to it, such as a bridge through its ports. */
gboolean ks_interface_kind_is_stacked (const char *kind);
