/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "value/ks-profile.h"

KsProfile *
ks_profile_new (void)
{
  KsProfile *self = g_new0 (KsProfile, 1);

  self->lan = KS_LAN_UNSET;
  self->dns = KS_DNS_UNSET;
  self->placement = KS_PLACEMENT_UNSET;
  self->endpoints = g_ptr_array_new_with_free_func ((GDestroyNotify) ks_endpoint_free);
  self->prefixes = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  self->nameservers = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  self->uids = g_array_new (FALSE, FALSE, sizeof (guint32));
  return self;
}

void
ks_profile_free (KsProfile *self)
{
  g_free (self->path);
  g_free (self->uuid);
  g_free (self->id);
  g_free (self->type);
  g_free (self->interface);
  g_free (self->service);
  g_ptr_array_unref (self->endpoints);
  g_array_unref (self->prefixes);
  g_array_unref (self->nameservers);
  g_array_unref (self->uids);
  g_free (self);
}

KsVpnType
ks_vpn_type_of (const char *type)
{
  if (g_strcmp0 (type, "wireguard") == 0)
    return KS_VPN_WIREGUARD;
  if (g_strcmp0 (type, "vpn") == 0)
    return KS_VPN_PLUGIN;
  if (g_strcmp0 (type, "tun") == 0)
    return KS_VPN_TUN;
  if (g_strcmp0 (type, "ip-tunnel") == 0)
    return KS_VPN_IP_TUNNEL;
  return KS_VPN_NONE;
}

static const char *const mode_words[] = { "off", "strict", "session" };

gboolean
ks_mode_parse (const char *text, KsMode *out)
{
  int word = ks_config_find_word (mode_words, G_N_ELEMENTS (mode_words), text);

  if (word >= 0)
    *out = word;
  return word >= 0;
}

const char *
ks_mode_format (KsMode mode)
{
  return mode_words[mode];
}

static const char *
format_reason (KsReason reason)
{
  switch (reason) {
  case KS_REASON_ZONE:
    return "connection.zone";
  case KS_REASON_USER_DATA:
    return "user.data nm-killswitch.mode";
  case KS_REASON_INVALID:
    return "an invalid setting: fail closed";
  case KS_REASON_REMEMBERED:
    return KS_REASON_TEXT_REMEMBERED;
  default:
    return "no setting";
  }
}

char *
ks_profile_format_reason (const KsProfile *self)
{
  return self->reason == KS_REASON_SECTION ? g_strdup_printf ("[vpn %s]", self->id)
                                           : g_strdup (format_reason (self->reason));
}

/* One for each family: without a server, any address is an endpoint. */
static void
add_any_server (const KsSection *section, GPtrArray *endpoints)
{
  static const char *const all[] = { "0.0.0.0/0", "::/0" };

  for (guint i = 0; i < G_N_ELEMENTS (all); i++)
    g_ptr_array_add (endpoints, ks_endpoint_new (all[i], section->server_port, section->ip_protocol));
}

KsProfile *
ks_profile_new_of_section (const KsSection *section, const char *path)
{
  KsProfile *self = ks_profile_new ();
  guint32 root = 0;

  self->path = g_strdup (path);
  self->uuid = g_strconcat (KS_SECTION_KEY, section->name, NULL);
  self->id = g_strdup (section->name);
  self->placement = section->placement;
  self->type = g_strdup ("section");
  self->interface = g_strdup (section->interface);
  self->vpn_type = KS_VPN_SECTION;
  self->mode = section->is_session ? KS_MODE_SESSION : KS_MODE_STRICT;
  self->reason = section->is_malformed ? KS_REASON_INVALID : KS_REASON_SECTION;
  /* the kernel validates the source of incoming packets by looking up the route back as root */
  g_array_append_val (self->uids, root);
  if (section->exempts_nothing)
    return self;
  self->listen_port = section->port;
  self->fwmark = section->mark;
  self->kernel = section->kernel;
  if (section->uid != 0)
    g_array_append_val (self->uids, section->uid);
  for (guint i = 0; i < section->servers->len; i++)
    g_ptr_array_add (self->endpoints,
                     ks_endpoint_new (section->servers->pdata[i], section->server_port, section->ip_protocol));
  if (section->servers->len == 0)
    add_any_server (section, self->endpoints);
  return self;
}

const char *
ks_profile_key (const KsProfile *self)
{
  return self->uuid ? self->uuid : self->path;
}

gboolean
ks_profile_wants (const KsProfile *self)
{
  return self->mode != KS_MODE_OFF;
}

void
ks_profile_set_free (KsProfileSet *self)
{
  g_ptr_array_unref (self->profiles);
  g_ptr_array_unref (self->unreadable);
  g_ptr_array_unref (self->unclear);
  g_ptr_array_unref (self->warnings);
  g_clear_pointer (&self->index, g_hash_table_unref);
  g_free (self);
}

const KsProfile *
ks_profile_set_find (KsProfileSet *self, const char *key)
{
  if (!self->index)
    self->index = g_hash_table_new (g_str_hash, g_str_equal);
  for (; self->indexed < self->profiles->len; self->indexed++) {
    KsProfile *profile = self->profiles->pdata[self->indexed];
    const char *own = ks_profile_key (profile);

    if (!g_hash_table_contains (self->index, own))
      g_hash_table_insert (self->index, (gpointer) own, profile);
  }
  return g_hash_table_lookup (self->index, key);
}
