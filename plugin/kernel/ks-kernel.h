/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernel's routing: reads the rules and routes that policy/ks-diff.c compares
 * with the policy, and applies the resulting plan. The only module that changes
 * rules and routes.
 */
#pragma once

#include "policy/ks-diff.h"

typedef struct _KsKernel KsKernel;

/* What the kernel held at one moment. */
typedef struct {
  GArray *rules; /* KsRule, both families, everybody's */
  GArray *routes; /* KsRoute, both families: our tables and main */
  GArray *addresses; /* KsAddress, both families */
  GArray *tunnel_links; /* guint: the devices of kinds that VPNs use, whoever created them */
  GArray *offload_links; /* guint: those of them that encapsulate in place of a program */
  gboolean no_ipv6; /* the kernel has no IPv6 (ipv6.disable=1): nothing to block there */
} KsSnapshot;

void ks_snapshot_free (KsSnapshot *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsSnapshot, ks_snapshot_free)

/* Opens a netlink socket. KS_ERROR_UNSUPPORTED or KS_ERROR_KERNEL. */
KsKernel *ks_kernel_new (GError **error);
void ks_kernel_free (KsKernel *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsKernel, ks_kernel_free)

/* Dumps the rules, and the routes of @config's tables and main. An interrupted dump is repeated a few times. */
KsSnapshot *ks_kernel_dump (KsKernel *self, const KsConfig *config, GError **error);

/*
 * Applies @plan as ks_plan_take() does. Returns FALSE with the first error if
 * any step failed; *@changes counts the messages the kernel accepted.
 */
gboolean ks_kernel_apply (KsKernel *self, const GArray *plan, guint *changes, GError **error);

/* The length of an Ethernet address. */
#define KS_LINK_ADDRESS 6

/* A network device. */
typedef struct {
  guint ifindex;
  char name[IFNAMSIZ];
  char kind[IFNAMSIZ]; /* of a virtual device, as in `ip -d link`; "" for others */
  guint master; /* the device that it is a port of; 0: none */
  guint lower; /* the device below it (IFLA_LINK), which may be in another network namespace; 0: none */
  guint8 address[KS_LINK_ADDRESS]; /* zeros for a device without an Ethernet address */
  gboolean is_up; /* set up by the administrator or a program (IFF_UP) */
  gboolean is_tunnel; /* of a kind that VPNs use, whoever created it */
  gboolean is_offload; /* a tunnel that encapsulates in place of a program: ks_interface_kind_is_offload() */
  gboolean is_mute; /* it has not received a single packet */
  gboolean is_hardware; /* a network card, a bridge or similar on top of some, or lo: certainly no tunnel */
} KsLink;

/* All network devices (KsLink; transfer full), in the order of their indices. KS_ERROR_KERNEL. */
GArray *ks_kernel_dump_links (KsKernel *self, GError **error);

/* An address that a network device receives for besides its own: its unicast filter, as `bridge fdb` shows it. */
typedef struct {
  guint ifindex;
  guint8 address[KS_LINK_ADDRESS];
} KsStation;

/* All of these (KsStation; transfer full). KS_ERROR_KERNEL. */
GArray *ks_kernel_dump_stations (KsKernel *self, GError **error);
/* The routes of all tables, both families (KsRoute; transfer full). KS_ERROR_KERNEL. */
GArray *ks_kernel_dump_all_routes (KsKernel *self, GError **error);

/* The index of a device that exists and is up; 0 otherwise. */
guint ks_kernel_link_index (KsKernel *self, const char *interface);
