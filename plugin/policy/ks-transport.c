/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/ks-transport.h"

#include <string.h>

gboolean
ks_transport_has_server (const KsTransport *self)
{
  return ks_prefix_is_set (&self->to) && ks_prefix_is_host (&self->to);
}

KsRule
ks_transport_rule (const KsTransport *self, const KsConfig *config, guint32 priority)
{
  KsRule rule = ks_rule_lookup (self->family, priority, config->protocol, config->uplink_table);

  if (ks_transport_has_server (self))
    rule.table = config->servers_table;
  else
    rule.to = self->to;
  rule.ip_protocol = self->ip_protocol;
  rule.sport = (KsPortRange){ self->sport, self->sport };
  rule.dport = (KsPortRange){ self->dport, self->dport };
  if (self->fwmark) {
    rule.fwmark = self->fwmark;
    rule.fwmask = G_MAXUINT32;
  }
  if (self->uid != KS_UID_ANY) {
    rule.has_uid_range = TRUE;
    rule.uid_first = rule.uid_last = self->uid;
  }
  return rule;
}

#define COMPARE(field) \
  if (a->field != b->field) \
  return a->field < b->field ? -1 : 1

int
ks_transport_compare (gconstpointer first, gconstpointer second)
{
  const KsTransport *a = first, *b = second;
  int order;

  COMPARE (family);
  if ((order = ks_prefix_compare (&a->to, &b->to)) != 0)
    return order;
  COMPARE (ip_protocol);
  COMPARE (sport);
  COMPARE (dport);
  COMPARE (fwmark);
  COMPARE (uid);
  COMPARE (kernel);
  COMPARE (carriage);
  order = strncmp (a->device, b->device, IFNAMSIZ);
  return order ? order : strncmp (a->outer, b->outer, IFNAMSIZ);
}

static gboolean
is_same_device (const KsTransport *a, const KsTransport *b)
{
  return a->device[0] && a->family == b->family && strcmp (a->device, b->device) == 0;
}

/* Whether @self is by nothing but the port of the device that sends it. */
static gboolean
is_by_port (const KsTransport *self)
{
  return self->kernel && self->sport && !self->fwmark && !ks_prefix_is_set (&self->to);
}

gboolean
ks_transport_has_mark (const KsTransport *self, const GArray *transports)
{
  for (guint i = 0; i < transports->len; i++) {
    const KsTransport *other = &g_array_index (transports, KsTransport, i);

    if (other->fwmark && is_same_device (other, self))
      return TRUE;
  }
  return FALSE;
}

KsTransport
ks_transport_with_port (const KsTransport *self, const GArray *transports)
{
  KsTransport result = *self;

  if (!self->kernel || !self->fwmark || self->sport || self->ip_protocol != IPPROTO_UDP)
    return result;
  for (guint i = 0; i < transports->len && !result.sport; i++) {
    const KsTransport *other = &g_array_index (transports, KsTransport, i);

    if (is_by_port (other) && is_same_device (other, self))
      result.sport = other->sport;
  }
  return result;
}

char *
ks_transport_format (const KsTransport *self)
{
  GString *out = g_string_new (NULL);

  switch (self->ip_protocol) {
  case 0:
    g_string_append (out, "any protocol");
    break;
  case IPPROTO_UDP:
    g_string_append (out, "udp");
    break;
  case IPPROTO_TCP:
    g_string_append (out, "tcp");
    break;
  case IPPROTO_ESP:
    g_string_append (out, "esp");
    break;
  case IPPROTO_GRE:
    g_string_append (out, "gre");
    break;
  default:
    g_string_append_printf (out, "protocol %u", self->ip_protocol);
  }
  if (self->sport)
    g_string_append_printf (out, " from port %u", self->sport);
  if (ks_prefix_is_set (&self->to)) {
    g_autofree char *to = ks_prefix_format (&self->to);

    g_string_append_printf (out, " to %s", to);
  } else {
    g_string_append (out, self->family == AF_INET6 ? " to any IPv6 address" : " to any IPv4 address");
  }
  if (self->dport)
    g_string_append_printf (out, " port %u", self->dport);
  if (self->fwmark)
    g_string_append_printf (out, ", mark 0x%x", self->fwmark);
  if (self->uid != KS_UID_ANY)
    g_string_append_printf (out, ", uid %u", self->uid);
  if (self->carriage == KS_CARRIAGE_INSIDE_IPSEC)
    g_string_append (out, ", only inside IPsec");
  if (self->carriage == KS_CARRIAGE_LOOKUP)
    g_string_append (out, ", for route lookups only");
  if (self->outer[0])
    g_string_append_printf (out, ", inside %s", self->outer);
  return g_string_free (out, FALSE);
}

GPtrArray *
ks_transport_format_all (const GArray *transports)
{
  GPtrArray *texts = g_ptr_array_new_with_free_func (g_free);
  g_autoptr (GHashTable) seen = g_hash_table_new (g_str_hash, g_str_equal);

  for (guint i = 0; i < transports->len; i++) {
    KsTransport transport = ks_transport_with_port (&g_array_index (transports, KsTransport, i), transports);
    g_autofree char *text = ks_transport_format (&transport);

    if (g_hash_table_contains (seen, text)
        || (is_by_port (&transport) && ks_transport_has_mark (&transport, transports)))
      continue;
    g_hash_table_add (seen, text);
    g_ptr_array_add (texts, g_steal_pointer (&text));
  }
  return texts;
}
