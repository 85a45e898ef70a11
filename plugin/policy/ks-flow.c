/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/ks-flow.h"

/* As in the guard (ks-guard-format.c): DNS, DNS over TLS, LLMNR. */
static gboolean
is_name_port (guint16 port)
{
  return port == 53 || port == 853 || port == 5355;
}

static gboolean
is_tunnel_address (const KsPolicy *policy, const KsPrefix *address)
{
  for (guint i = 0; i < policy->tunnels->len; i++)
    if (ks_prefix_array_contains (((const KsPolicyTunnel *) policy->tunnels->pdata[i])->addresses, address))
      return TRUE;
  return FALSE;
}

gboolean
ks_flow_may_stay (const KsFlow *self, const KsPolicy *policy)
{
  if (!policy->armed)
    return TRUE;
  if (is_tunnel_address (policy, &self->asked) || is_tunnel_address (policy, &self->answered))
    return TRUE;
  return policy->lan != KS_LAN_OFF && !(policy->dns == KS_DNS_TUNNEL && is_name_port (self->port))
         && ks_prefix_array_covers (policy->lan_prefixes, &self->initiator)
         && ks_prefix_array_covers (policy->lan_prefixes, &self->responder);
}

gboolean
ks_flow_leaks (const KsFlow *self, const KsPolicy *policy)
{
  if (ks_flow_may_stay (self, policy))
    return FALSE;
  return policy->tunnels->len == 0 || !ks_prefix_equal (&self->initiator, &self->answered)
         || !ks_prefix_equal (&self->responder, &self->asked);
}
