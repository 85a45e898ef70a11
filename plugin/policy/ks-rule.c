/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "policy/ks-rule.h"

#include <string.h>

KsRule
ks_rule_init (int family, guint32 priority, guint8 protocol)
{
  return (KsRule){
    .family = family,
    .priority = priority,
    .action = FR_ACT_NOP,
    .from = KS_PREFIX_UNSET,
    .to = KS_PREFIX_UNSET,
    .suppress_prefixlength = -1,
    .suppress_ifgroup = -1,
    .protocol = protocol,
  };
}

KsRule
ks_rule_lookup (int family, guint32 priority, guint8 protocol, guint32 table)
{
  KsRule rule = ks_rule_init (family, priority, protocol);

  rule.action = FR_ACT_TO_TBL;
  rule.table = table;
  return rule;
}

#define COMPARE(field) \
  if (a->field != b->field) \
  return a->field < b->field ? -1 : 1

int
ks_rule_compare (gconstpointer first, gconstpointer second)
{
  const KsRule *a = first, *b = second;
  int order;

  COMPARE (family);
  COMPARE (priority);
  COMPARE (action);
  COMPARE (table);
  COMPARE (goto_target);
  COMPARE (invert);
  if ((order = ks_prefix_compare (&a->from, &b->from)) != 0)
    return order;
  if ((order = ks_prefix_compare (&a->to, &b->to)) != 0)
    return order;
  COMPARE (suppress_prefixlength);
  COMPARE (suppress_ifgroup);
  COMPARE (ip_protocol);
  COMPARE (sport.first);
  COMPARE (sport.last);
  COMPARE (dport.first);
  COMPARE (dport.last);
  COMPARE (has_uid_range);
  COMPARE (uid_first);
  COMPARE (uid_last);
  COMPARE (fwmark);
  COMPARE (fwmask);
  if ((order = strncmp (a->iifname, b->iifname, IFNAMSIZ)) != 0)
    return order;
  if ((order = strncmp (a->oifname, b->oifname, IFNAMSIZ)) != 0)
    return order;
  COMPARE (tos);
  COMPARE (flow);
  COMPARE (tun_id);
  COMPARE (l3mdev);
  COMPARE (protocol);
  COMPARE (has_unknown);
  return 0;
}

gboolean
ks_rule_is_local_lookup (const KsRule *self)
{
  return self->action == FR_ACT_TO_TBL && self->table == RT_TABLE_LOCAL;
}

gboolean
ks_rule_equal (const KsRule *a, const KsRule *b)
{
  return ks_rule_compare (a, b) == 0;
}

static gboolean
is_same_range (const KsPortRange *a, const KsPortRange *b)
{
  return a->first == b->first && a->last == b->last;
}

gboolean
ks_rule_matches_key (const KsRule *self, const KsRule *key)
{
#define SAME(field) (!key->field || self->field == key->field)
  return self->family == key->family && self->priority == key->priority && SAME (action) && SAME (table)
         && SAME (fwmark) && SAME (fwmask) && SAME (tos) && SAME (flow) && SAME (tun_id) && SAME (l3mdev)
         && SAME (ip_protocol) && SAME (protocol)
         && (key->suppress_prefixlength < 0 || self->suppress_prefixlength == key->suppress_prefixlength)
         && (key->suppress_ifgroup < 0 || self->suppress_ifgroup == key->suppress_ifgroup)
         && (key->from.length == 0 || ks_prefix_equal (&self->from, &key->from))
         && (key->to.length == 0 || ks_prefix_equal (&self->to, &key->to))
         && (!*key->iifname || strncmp (self->iifname, key->iifname, IFNAMSIZ) == 0)
         && (!*key->oifname || strncmp (self->oifname, key->oifname, IFNAMSIZ) == 0)
         && (!key->has_uid_range
             || (self->has_uid_range && self->uid_first == key->uid_first && self->uid_last == key->uid_last))
         && (key->sport.first == 0 || is_same_range (&self->sport, &key->sport))
         && (key->dport.first == 0 || is_same_range (&self->dport, &key->dport));
#undef SAME
}

static void
format_ports (GString *out, const char *word, const KsPortRange *ports)
{
  if (ports->first == 0)
    return;
  g_string_append_printf (out, " %s %u", word, ports->first);
  if (ports->last != ports->first)
    g_string_append_printf (out, "-%u", ports->last);
}

static void
format_protocol (GString *out, guint8 ip_protocol)
{
  switch (ip_protocol) {
  case 0:
    break;
  case IPPROTO_UDP:
    g_string_append (out, " ipproto udp");
    break;
  case IPPROTO_TCP:
    g_string_append (out, " ipproto tcp");
    break;
  default:
    g_string_append_printf (out, " ipproto %u", ip_protocol);
  }
}

static void
format_action (GString *out, const KsRule *self)
{
  switch (self->action) {
  case FR_ACT_TO_TBL:
    if (self->table == 254)
      g_string_append (out, " lookup main");
    else if (self->table == 255)
      g_string_append (out, " lookup local");
    else
      g_string_append_printf (out, " lookup %u", self->table);
    break;
  case FR_ACT_GOTO:
    g_string_append_printf (out, " goto %u", self->goto_target);
    break;
  case FR_ACT_BLACKHOLE:
    g_string_append (out, " blackhole");
    break;
  case FR_ACT_UNREACHABLE:
    g_string_append (out, " unreachable");
    break;
  case FR_ACT_PROHIBIT:
    g_string_append (out, " prohibit");
    break;
  default:
    g_string_append (out, " nop");
  }
}

char *
ks_rule_format (const KsRule *self)
{
  GString *out = g_string_new (NULL);
  g_autofree char *from = ks_prefix_is_set (&self->from) ? ks_prefix_format (&self->from) : g_strdup ("all");

  g_string_append_printf (out, "priority %u%s from %s", self->priority, self->invert ? " not" : "", from);
  if (ks_prefix_is_set (&self->to)) {
    g_autofree char *to = ks_prefix_format (&self->to);

    g_string_append_printf (out, " to %s", to);
  }
  if (self->tos)
    g_string_append_printf (out, " tos 0x%02x", self->tos);
  if (self->fwmask == G_MAXUINT32)
    g_string_append_printf (out, " fwmark 0x%x", self->fwmark);
  else if (self->fwmask)
    g_string_append_printf (out, " fwmark 0x%x/0x%x", self->fwmark, self->fwmask);
  if (*self->iifname)
    g_string_append_printf (out, " iif %s", self->iifname);
  if (*self->oifname)
    g_string_append_printf (out, " oif %s", self->oifname);
  if (self->l3mdev)
    g_string_append (out, " l3mdev");
  if (self->has_uid_range)
    g_string_append_printf (out, " uidrange %u-%u", self->uid_first, self->uid_last);
  format_protocol (out, self->ip_protocol);
  format_ports (out, "sport", &self->sport);
  format_ports (out, "dport", &self->dport);
  if (self->tun_id)
    g_string_append_printf (out, " tun_id %" G_GUINT64_FORMAT, self->tun_id);
  format_action (out, self);
  if (self->suppress_prefixlength >= 0)
    g_string_append_printf (out, " suppress_prefixlength %d", self->suppress_prefixlength);
  if (self->suppress_ifgroup >= 0)
    g_string_append_printf (out, " suppress_ifgroup %d", self->suppress_ifgroup);
  if (self->flow)
    g_string_append_printf (out, " realms %u/%u", self->flow >> 16, self->flow & 0xffff);
  g_string_append_printf (out, " protocol %u", self->protocol);
  return g_string_free (out, FALSE);
}
