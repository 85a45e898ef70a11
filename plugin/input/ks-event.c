/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "input/ks-event.h"

#include <net/if.h>
#include <string.h>

#include "base/ks-error.h"
#include "value/ks-interface.h"

static const struct {
  const char *word;
  KsAction action;
} actions[] = {
  { "pre-up", KS_ACTION_PRE_UP },
  { "up", KS_ACTION_UP },
  { "pre-down", KS_ACTION_PRE_DOWN },
  { "down", KS_ACTION_DOWN },
  { "vpn-pre-up", KS_ACTION_VPN_PRE_UP },
  { "vpn-up", KS_ACTION_VPN_UP },
  { "vpn-pre-down", KS_ACTION_VPN_PRE_DOWN },
  { "vpn-down", KS_ACTION_VPN_DOWN },
  { "dhcp4-change", KS_ACTION_DHCP4_CHANGE },
  { "dhcp6-change", KS_ACTION_DHCP6_CHANGE },
  { "connectivity-change", KS_ACTION_CONNECTIVITY_CHANGE },
  { "reapply", KS_ACTION_REAPPLY },
  { "dns-change", KS_ACTION_DNS_CHANGE },
};

/* Far more than NetworkManager ever lists: a bound for the loops below. */
#define MAX_ITEMS 256

static KsAction
action_parse (const char *word)
{
  for (guint i = 0; i < G_N_ELEMENTS (actions); i++)
    if (strcmp (actions[i].word, word) == 0)
      return actions[i].action;
  return KS_ACTION_UNKNOWN;
}

const char *
ks_action_format (KsAction action)
{
  for (guint i = 0; i < G_N_ELEMENTS (actions); i++)
    if (actions[i].action == action)
      return actions[i].word;
  return "unknown";
}

gboolean
ks_event_is_down (const KsEvent *self)
{
  return self->action == KS_ACTION_DOWN || self->action == KS_ACTION_VPN_DOWN;
}

gboolean
ks_event_is_of (const KsEvent *self, const KsProfile *profile)
{
  if (!self)
    return FALSE;
  return profile->uuid ? g_strcmp0 (self->uuid, profile->uuid) == 0 : g_strcmp0 (self->path, profile->path) == 0;
}

gboolean
ks_event_is_pre_down (const KsEvent *self)
{
  return self->action == KS_ACTION_PRE_DOWN || self->action == KS_ACTION_VPN_PRE_DOWN;
}

gboolean
ks_event_is_hint (const KsEvent *self)
{
  switch (self->action) {
  case KS_ACTION_UP:
  case KS_ACTION_DOWN:
  case KS_ACTION_VPN_DOWN:
  case KS_ACTION_DHCP4_CHANGE:
  case KS_ACTION_DHCP6_CHANGE:
  case KS_ACTION_CONNECTIVITY_CHANGE:
  case KS_ACTION_REAPPLY:
  case KS_ACTION_DNS_CHANGE:
    return TRUE;
  default:
    return FALSE;
  }
}

/* The value of @name in the environment; NULL if it is not set or empty. */
static const char *
get_variable (char *const *envp, const char *name)
{
  gsize length = strlen (name);

  for (; envp && *envp; envp++)
    if (strncmp (*envp, name, length) == 0 && (*envp)[length] == '=')
      return (*envp)[length + 1] ? *envp + length + 1 : NULL;
  return NULL;
}

static gboolean
set_invalid (GError **error, const char *name, const char *value, const char *what)
{
  g_autofree char *printable = ks_error_printable (value);

  g_set_error (error, KS_ERROR, KS_ERROR_INVALID, "%s: '%s' is not %s", name, printable, what);
  return FALSE;
}

static gboolean
get_interface (char *const *envp, const char *name, char **out, GError **error)
{
  const char *value = get_variable (envp, name);

  if (!value)
    return TRUE;
  if (!ks_interface_name_is_valid (value))
    return set_invalid (error, name, value, "an interface name");
  *out = g_strdup (value);
  return TRUE;
}

static gboolean
is_any (const KsPrefix *address)
{
  static const guint8 any[16];

  return memcmp (address->bytes, any, sizeof any) == 0;
}

/* A gateway. "0.0.0.0" means none, even in VPN_IP6_GATEWAY (NetworkManager 1.42, run). */
static gboolean
get_gateway (char *const *envp, const char *name, int family, KsPrefix *out, GError **error)
{
  const char *value = get_variable (envp, name);
  KsPrefix gateway;

  if (!value)
    return TRUE;
  if (!ks_prefix_parse (value, &gateway, NULL) || !ks_prefix_is_host (&gateway))
    return set_invalid (error, name, value, "an address");
  if (gateway.family == family && !is_any (&gateway))
    *out = gateway;
  return TRUE;
}

/* The first word of each of PREFIX_ADDRESS_0, _1, ...: "10.8.0.2/24 10.8.0.1". */
static gboolean
get_addresses (char *const *envp, const char *prefix, GArray *out, GError **error)
{
  for (guint i = 0; i < MAX_ITEMS; i++) {
    g_autofree char *name = g_strdup_printf ("%s_ADDRESS_%u", prefix, i);
    const char *value = get_variable (envp, name);
    g_autofree char *word = NULL;
    KsPrefix address;

    if (!value)
      return TRUE;
    word = g_strndup (value, strcspn (value, " "));
    if (!ks_prefix_parse (word, &address, NULL))
      return set_invalid (error, name, value, "an address with a prefix length");
    ks_prefix_array_add (out, &address);
  }
  return TRUE;
}

static gboolean
get_nameservers (char *const *envp, const char *name, GArray *out, GError **error)
{
  const char *value = get_variable (envp, name);
  g_auto (GStrv) words = g_strsplit (value ? value : "", " ", MAX_ITEMS);

  for (char **word = words; *word; word++) {
    KsPrefix server;

    if (!**word)
      continue;
    if (!ks_prefix_parse (*word, &server, NULL))
      return set_invalid (error, name, value, "a list of addresses");
    ks_prefix_array_add (out, &server);
  }
  return TRUE;
}

static gboolean
parse_environment (KsEvent *event, char *const *envp, GError **error)
{
  const char *v4, *v6;
  g_autofree char *name4 = NULL, *name6 = NULL, *dns4 = NULL, *dns6 = NULL;

  event->uuid = g_strdup (get_variable (envp, "CONNECTION_UUID"));
  event->id = g_strdup (get_variable (envp, "CONNECTION_ID"));
  event->path = g_strdup (get_variable (envp, "CONNECTION_FILENAME"));
  event->external = g_strcmp0 (get_variable (envp, "CONNECTION_EXTERNAL"), "1") == 0;
  if (!get_interface (envp, "VPN_IP_IFACE", &event->vpn_interface, error))
    return FALSE;
  /* for a VPN without a device of its own, this is the uplink */
  if (g_strcmp0 (event->vpn_interface, get_variable (envp, "DEVICE_IP_IFACE")) == 0)
    g_clear_pointer (&event->vpn_interface, g_free);

  /* For a VPN, IP4_* describe its parent. */
  v4 = event->vpn_interface ? "VPN_IP4" : "IP4";
  v6 = event->vpn_interface ? "VPN_IP6" : "IP6";
  name4 = g_strdup_printf ("%s_GATEWAY", v4);
  name6 = g_strdup_printf ("%s_GATEWAY", v6);
  dns4 = g_strdup_printf ("%s_NAMESERVERS", v4);
  dns6 = g_strdup_printf ("%s_NAMESERVERS", v6);
  return get_gateway (envp, name4, AF_INET, &event->gateway4, error)
         && get_gateway (envp, name6, AF_INET6, &event->gateway6, error)
         && get_addresses (envp, v4, event->addresses, error) && get_addresses (envp, v6, event->addresses, error)
         && get_nameservers (envp, dns4, event->nameservers, error)
         && get_nameservers (envp, dns6, event->nameservers, error);
}

KsEvent *
ks_event_parse (int argc, char *const *argv, char *const *envp, GError **error)
{
  g_autoptr (KsEvent) event = NULL;

  if (argc != 3) {
    g_set_error (error, KS_ERROR, KS_ERROR_INVALID,
                 "expected two arguments, an interface and an action, got %d: NetworkManager's dispatcher calls this",
                 argc > 0 ? argc - 1 : 0);
    return NULL;
  }
  event = g_new0 (KsEvent, 1);
  event->addresses = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  event->nameservers = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  event->action = action_parse (argv[2]);
  if (event->action == KS_ACTION_UNKNOWN)
    return g_steal_pointer (&event);

  /* an event without an interface has "" or "none" */
  if (*argv[1] && strcmp (argv[1], "none") != 0) {
    if (!ks_interface_name_is_valid (argv[1])) {
      set_invalid (error, "the first argument", argv[1], "an interface name");
      return NULL;
    }
    event->interface = g_strdup (argv[1]);
  }
  if (!parse_environment (event, envp, error))
    return NULL;
  return g_steal_pointer (&event);
}

KsEvent *
ks_event_new_of_section (KsAction action, const char *name)
{
  KsEvent *event = g_new0 (KsEvent, 1);

  event->action = action;
  event->uuid = g_strconcat (KS_SECTION_KEY, name, NULL);
  event->id = g_strdup (name);
  event->addresses = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  event->nameservers = g_array_new (FALSE, FALSE, sizeof (KsPrefix));
  return event;
}

void
ks_event_free (KsEvent *self)
{
  g_free (self->interface);
  g_free (self->uuid);
  g_free (self->id);
  g_free (self->path);
  g_free (self->vpn_interface);
  g_array_unref (self->addresses);
  g_array_unref (self->nameservers);
  g_free (self);
}
