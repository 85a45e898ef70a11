/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The policy: what the kernel has to hold while armed, as a pure value. The
 * same inputs give the same bytes. ks-policy.c opens with the specification.
 *
 * run/ks-situation.c provides the inputs. ks-diff.c compares the result with the
 * kernel's rules and routes, and ks-guard-format.c writes the guard from it.
 */
#pragma once

#include "policy/ks-owner.h"
#include "policy/ks-route.h"
#include "policy/ks-rule.h"
#include "policy/ks-transport.h"
#include "value/ks-config.h"
#include "value/ks-profile.h"
#include "value/ks-tunnel.h"

/* An address of the host. */
typedef struct {
  KsPrefix prefix; /* the address, with the length of its subnet */
  guint ifindex; /* the device that holds it */
} KsAddress;

/* An address whose replies to KsPolicy.management_prefixes may leave. */
typedef struct {
  KsPrefix address; /* a host */
  guint ifindex; /* the device that holds it, and the only one the replies may leave by */
  guint32 table; /* the device's routes to the prefixes */
} KsManagement;

/*
 * The metric of a server's route through another VPN's tunnel, which identifies
 * it: just before the unreachable route at the end of the table.
 */
#define KS_NESTED_METRIC (G_MAXUINT32 - 1)

/* Everything the policy depends on; nothing is owned. */
typedef struct {
  const KsConfig *config;
  const GPtrArray *armed; /* of KsProfile: the profiles that are armed now */
  const GPtrArray *standby; /* of KsProfile: armed once they are activated; NULL for none */
  const GPtrArray *tunnels; /* of KsTunnel, in NetworkManager's order of preference */
  GHashTable *resolved; /* host name -> GArray of KsPrefix: the answers that are known */
  GHashTable *aliases; /* host name -> GPtrArray of char*: the other names it is known to resolve through */
  GHashTable *remembered; /* profile key -> GArray of KsPrefix: the tunnel's subnets at the last activation */
  const GArray *main_routes; /* KsRoute: table main of both families; other routes of the kernel may be among them */
  const GArray *rules; /* KsRule: everybody's, to see which stand before ours */
  gboolean no_ipv6; /* the kernel has no IPv6 */
  const GArray *resolvers; /* KsPrefix: the DNS servers the uplinks were given */
  const GArray *tunnel_links; /* guint: devices of a kind that VPNs use, the tunnels among them; NULL for none */
  const GArray *offload_links; /* guint: those of them that encapsulate in place of a program; NULL for none */
  const GArray *addresses; /* KsAddress: the host's; NULL if no reply of ManagementFrom= may leave */
  const GArray *resolver_uids; /* guint32: the users that a resolver of the system may run as, besides root */
  gboolean no_names; /* the guard cannot compare names: none may be queried */
  gboolean no_guard; /* the guard is not in the kernel, and cannot be installed */
} KsPolicyInput;

/* What the guard needs to know about a tunnel. */
typedef struct {
  char interface[IFNAMSIZ];
  guint ifindex;
  GArray *addresses; /* KsPrefix, hosts */
} KsPolicyTunnel;

typedef struct {
  gboolean armed;
  GArray *rules; /* KsRule, in order of priority */
  GArray *routes; /* KsRoute */
  GArray *transports; /* KsTransport: what the rules at KS_PRIORITY_TRANSPORT exempt */
  GHashTable *outers; /* profile key (char*) -> key (char*) of the profile whose tunnel carries its transport */
  GArray *bootstrap; /* KsTransport: what the rules at KS_PRIORITY_BOOTSTRAP exempt */
  GPtrArray *names; /* of char*, by ks_query_name(): the names these may query; the guard enforces it */
  gboolean any_name; /* no guard enforces it: root, and hosts behind this one, may query any name */
  GPtrArray *tunnels; /* KsPolicyTunnel */
  GArray *management; /* KsManagement: empty when nothing is exempted by ManagementFrom= */
  GArray *management_prefixes; /* KsPrefix, both families; empty when the setting is, or must have no effect */
  KsLan lan;
  GArray *lan_prefixes; /* KsPrefix */
  guint32 servers_table; /* of routes: the routes to the transports' servers */
  guint32 uplink_table; /* of routes: with Lan=routes its routes, other than the default, are the LAN */
  KsDns dns;
  gboolean guard;
} KsPolicy;

/* Computes the policy. With no profile armed, it is empty, except for ks-bypass.h. Never fails (transfer full). */
KsPolicy *ks_policy_compute (const KsPolicyInput *input);
void ks_policy_free (KsPolicy *self);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (KsPolicy, ks_policy_free)
/*
 * The firewall mark that the guard sets on packets from a VPN's server, or from
 * a resolver that is asked for one: the number of the servers' table.
 */
guint32 ks_policy_answers_mark (const KsPolicy *self);
/* Whether packets from the resolver of @bootstrap get that mark; a resolver in the local network needs none. */
gboolean ks_policy_marks_resolver (const KsPolicy *self, const KsTransport *bootstrap);
/* Whether @route leads what is for the local network past the default routes of table 84 (ks-policy.c). */
gboolean ks_policy_is_pass (const KsConfig *config, const KsRoute *route);
/* Whether the device @ifindex is one of the tunnels. */
gboolean ks_policy_has_tunnel (const KsPolicy *self, guint ifindex);
