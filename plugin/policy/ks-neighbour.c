/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/ks-neighbour.h"

#include <linux/netfilter.h>
#include <string.h>

#include "base/ks-error.h"

void
ks_nft_object_free (KsNftObject *self)
{
  g_free (self->table);
  g_free (self->name);
  g_free (self);
}

static const char *
family_word (guint8 family)
{
  switch (family) {
  case NFPROTO_INET:
    return "inet";
  case NFPROTO_IPV4:
    return "ip";
  case NFPROTO_IPV6:
    return "ip6";
  case NFPROTO_NETDEV:
    return "netdev";
  case NFPROTO_BRIDGE:
    return "bridge";
  default:
    return "arp";
  }
}

char *
ks_nft_object_format (const KsNftObject *self)
{
  g_autofree char *text = g_strdup_printf ("%s %s %s", family_word (self->family), self->table, self->name);

  return ks_error_printable (text);
}

/* --- rules --- */

/* Routing tables and firewall marks that programs use for themselves; 0: none. */
static const struct {
  const char *program;
  guint32 table, mark, mask;
} routings[] = {
  /* wgengine/router/osrouter/router_linux.go (tailscaleRouteTable), tsconst/linuxfw.go */
  { "Tailscale", 52, 0x80000, 0xff0000 },
  /* mullvadvpn-app: talpid-routing/src/unix/linux.rs, with the numbers of mullvad-types ("mole") */
  { "Mullvad's app", 0x6d6f6c65, 0x6d6f6c65, G_MAXUINT32 },
  /* nordvpn-linux: daemon/routes/rule.go, daemon/routes/iprule/iprule.go */
  { "NordVPN", 205, 0xe1f1, G_MAXUINT32 },
  /* strongswan: charon.routing_table, set by --with-routing-table in configure.ac */
  { "strongSwan", 220, 0, 0 },
  /* netbird: client/internal/routemanager/systemops/systemops_linux.go */
  { "NetBird", 0x1bd0, 0, 0 },
};

/* tailscale: osrouter/router_linux.go, ipRules(), at 5200 plus 10, 30, 50, 70 */
#define TAILSCALE_FIRST 5210
#define TAILSCALE_LAST 5270

/* The table and mark that wg-quick and NetworkManager try first for a WireGuard that takes everything. */
#define WIREGUARD_TABLE 51820
#define WIREGUARD_TABLES 100
/* NetworkManager: src/core/devices/nm-device-wireguard.c; wg-quick leaves the priority to the kernel */
#define NM_WIREGUARD_FIRST 30768
#define NM_WIREGUARD_LAST 31766

/* cilium: pkg/datapath/linux/linux_defaults/linux_defaults.go (RulePriority*), with RTPROT_KERNEL as protocol */
static gboolean
is_ciliums (const KsRule *rule)
{
  static const guint32 priorities[] = { 1, 9, 20, 100, 109, 110, 111, 112 };

  if (rule->protocol != RTPROT_KERNEL || (rule->table == RT_TABLE_LOCAL && rule->priority != 100))
    return FALSE;
  for (guint i = 0; i < G_N_ELEMENTS (priorities); i++)
    if (rule->priority == priorities[i])
      return TRUE;
  return FALSE;
}

/* The names of routing protocols, of rules and routes: linux/rtnetlink.h, iproute2's etc/iproute2/rt_protos; for
 * Calico, felix/dataplane/linux/dataplanedefs. */
static const char *
program_of_protocol (guint8 protocol)
{
  switch (protocol) {
  case RTPROT_RA:
    return "a router on the network (router advertisements)";
  case RTPROT_ZEBRA:
  case RTPROT_BGP:
  case RTPROT_ISIS:
  case RTPROT_OSPF:
  case RTPROT_RIP:
  case RTPROT_EIGRP:
    return "FRR";
  case RTPROT_BIRD:
    return "BIRD";
  case RTPROT_DHCP:
    return "a DHCP server on the network";
  case RTPROT_KEEPALIVED:
    return "keepalived";
  case RTPROT_BABEL:
    return "babeld";
  case RTPROT_OPENR:
    return "Open/R";
  case 80:
    return "Calico";
  case 84:
    return "OVN";
  default:
    return NULL; /* static and boot: could be anyone */
  }
}

static gboolean
is_wireguards (const KsRule *rule)
{
  return rule->fwmask && rule->fwmark == rule->table && rule->table >= WIREGUARD_TABLE
         && rule->table - WIREGUARD_TABLE < WIREGUARD_TABLES;
}

/* wg-quick's add_default(); Mullvad's app has the same rule. */
static gboolean
is_suppressor (const KsRule *rule)
{
  return rule->table == RT_TABLE_MAIN && rule->suppress_prefixlength == 0 && !rule->fwmask
         && !ks_prefix_is_set (&rule->to) && !ks_prefix_is_set (&rule->from);
}

const char *
ks_neighbour_of_rule (const KsRule *rule)
{
  const char *program = program_of_protocol (rule->protocol);

  if (program)
    return program;
  for (guint i = 0; i < G_N_ELEMENTS (routings); i++)
    if ((routings[i].table && rule->table == routings[i].table)
        || (rule->fwmask && rule->fwmask == routings[i].mask && rule->fwmark == routings[i].mark))
      return routings[i].program;
  if (rule->priority >= TAILSCALE_FIRST && rule->priority <= TAILSCALE_LAST && rule->fwmask == 0xff0000)
    return "Tailscale";
  if (is_ciliums (rule))
    return "Cilium";
  if ((is_wireguards (rule) || is_suppressor (rule)) && rule->priority >= NM_WIREGUARD_FIRST
      && rule->priority <= NM_WIREGUARD_LAST)
    return "NetworkManager";
  if (is_wireguards (rule))
    return "wg-quick";
  return is_suppressor (rule) ? "wg-quick or Mullvad's app" : NULL;
}

const char *
ks_neighbour_of_route (const KsRoute *route)
{
  return program_of_protocol (route->protocol);
}

/* --- nftables --- */

/* Tables that programs use for themselves; a name that ends in '*' is a prefix. */
static const struct {
  const char *table, *program;
} tables[] = {
  { "mullvad", "Mullvad's app" }, /* mullvadvpn-app: talpid-core/src/firewall/linux.rs */
  { "nordvpn", "NordVPN" }, /* nordvpn-linux: daemon/firewall/nft/nft.go */
  { "netbird", "NetBird" }, /* netbird: client/firewall/nftables/manager_linux.go */
  { "firewalld", "firewalld" }, /* firewalld: src/firewall/core/nftables.py */
  { "firewalld_policy_drop", "firewalld (panic mode, or while it reloads)" },
  { "wg-quick-*", "wg-quick" }, /* wireguard-tools: src/wg-quick/linux.bash */
  { "nm-shared-*", "NetworkManager (a shared connection)" }, /* NetworkManager: src/core/nm-firewall-utils.c */
  { "docker-bridges", "Docker" }, /* moby: daemon/libnetwork/drivers/bridge/internal/nftabler */
  { "netavark", "Podman" }, /* netavark: src/firewall/nft.rs */
  { "libvirt_network", "libvirt" }, /* libvirt: src/network/network_nftables.c */
  { "fw4", "OpenWrt's firewall4" }, /* firewall4: root/usr/share/firewall4/templates/ruleset.uc */
  { "opensnitch", "OpenSnitch" }, /* opensnitch: daemon/firewall/nftables */
  { "calico", "Calico" }, /* calico: felix/nftables */
  { "kube-proxy", "kube-proxy" }, /* kubernetes: pkg/proxy/nftables/proxier.go */
  { "lxd", "LXD" }, /* lxd: lxd/firewall/drivers/drivers_nftables.go */
  { "incus", "Incus" },
};

/*
 * Programs that set the policy of base chains in iptables' tables, recognised by the chains they have beside them.
 * Docker sets only that of forward; most programs set none.
 */
static const struct {
  const char *chains, *program;
  gboolean forward_only;
} iptables[] = {
  { "ufw-*", "ufw", FALSE }, /* ufw: src/ufw-init-functions */
  { "DOCKER*", "Docker", TRUE }, /* moby: daemon/libnetwork/drivers/bridge/internal/iptabler */
};

static gboolean
is_named (const char *name, const char *pattern)
{
  gsize length = strlen (pattern);

  if (length > 0 && pattern[length - 1] == '*')
    return strncmp (name, pattern, length - 1) == 0;
  return strcmp (name, pattern) == 0;
}

static gboolean
has_chain (const GPtrArray *objects, const KsNftObject *beside, const char *pattern)
{
  for (guint i = 0; i < objects->len; i++) {
    const KsNftObject *other = objects->pdata[i];

    if (other->kind == KS_NFT_CHAIN && other->family == beside->family && strcmp (other->table, beside->table) == 0
        && is_named (other->name, pattern))
      return TRUE;
  }
  return FALSE;
}

const char *
ks_neighbour_of_nft (const KsNftObject *object, const GPtrArray *objects)
{
  for (guint i = 0; i < G_N_ELEMENTS (tables); i++)
    if (is_named (object->table, tables[i].table))
      return tables[i].program;
  for (guint i = 0; i < G_N_ELEMENTS (iptables); i++)
    if ((!iptables[i].forward_only || object->hook == NF_INET_FORWARD)
        && has_chain (objects, object, iptables[i].chains))
      return iptables[i].program;
  return NULL;
}

const char *
ks_neighbour_of_sink (const char *interface)
{
  /* python-proton-vpn-killswitch-network-manager:
   * proton/vpn/killswitch/backend/linux/networkmanager/killswitch_connection.py */
  return is_named (interface, "pvpnksintrf*") || is_named (interface, "ipv6leakintrf*") ? "Proton VPN's app" : NULL;
}
