/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "desktop/ks-notice.h"

#include <string.h>

#include "base/ks-error.h"

/* More than this would not make a readable list or row of buttons. */
#define MAX_NAMES 3

static void
action_free (gpointer data)
{
  KsNoticeAction *self = data;

  g_free (self->key);
  g_free (self->label);
  g_free (self);
}

/* @body is taken over. */
static KsNotice *
notice_new (KsUrgency urgency, const char *icon, const char *category, const char *title, char *body)
{
  KsNotice *self = g_new0 (KsNotice, 1);

  self->title = g_strdup (title);
  self->body = body;
  self->icon = icon;
  self->category = category;
  self->urgency = urgency;
  self->actions = g_ptr_array_new_with_free_func (action_free);
  return self;
}

void
ks_notice_free (KsNotice *self)
{
  g_free (self->title);
  g_free (self->body);
  g_ptr_array_unref (self->actions);
  g_free (self);
}

/* @key and @label are taken over. */
static void
add_action (KsNotice *self, char *key, char *label)
{
  KsNoticeAction *action = g_new0 (KsNoticeAction, 1);

  action->key = key;
  action->label = label;
  g_ptr_array_add (self->actions, action);
}

const char *
ks_notice_get_uuid (const char *key)
{
  return g_str_has_prefix (key, KS_NOTICE_CONNECT) ? key + strlen (KS_NOTICE_CONNECT) : NULL;
}

/* --- names --- */

static gboolean
is_any (const KsSummaryProfile *profile G_GNUC_UNUSED)
{
  return TRUE;
}

static gboolean
is_up (const KsSummaryProfile *profile)
{
  return profile->tunnel != NULL;
}

/* The names of the profiles for which @is_wanted holds: "a", "a or b", "a, b or c", "one of 4 VPNs". */
static char *
format_names (const KsSummary *summary, gboolean (*is_wanted) (const KsSummaryProfile *), const char *conjunction)
{
  g_autoptr (GPtrArray) names = g_ptr_array_new_with_free_func (g_free);
  GString *text = g_string_new (NULL);

  for (guint i = 0; i < summary->profiles->len; i++) {
    const KsSummaryProfile *profile = summary->profiles->pdata[i];

    if (is_wanted (profile))
      g_ptr_array_add (names, ks_error_printable (profile->id));
  }
  if (names->len == 0)
    g_string_assign (text, "the VPN");
  else if (names->len > MAX_NAMES)
    g_string_printf (text, "one of %u VPNs", names->len);
  else
    for (guint i = 0; i < names->len; i++)
      g_string_append_printf (text, "%s%s",
                              i == 0                ? ""
                              : i + 1 == names->len ? conjunction
                                                    : ", ",
                              (const char *) names->pdata[i]);
  return g_string_free (text, FALSE);
}

/* --- texts --- */

static gboolean
is_connectable (const KsSummaryProfile *profile)
{
  return profile->uuid && !profile->tunnel;
}

/* One button for each profile that NetworkManager can bring up. */
static void
add_connect (KsNotice *self, const KsSummary *now)
{
  guint count = 0;

  for (guint i = 0; i < now->profiles->len; i++)
    count += is_connectable (now->profiles->pdata[i]);
  for (guint i = 0; i < now->profiles->len && self->actions->len < MAX_NAMES; i++) {
    const KsSummaryProfile *profile = now->profiles->pdata[i];
    g_autofree char *name = ks_error_printable (profile->id);

    if (is_connectable (profile))
      add_action (self, g_strconcat (KS_NOTICE_CONNECT, profile->uuid, NULL),
                  count == 1 ? g_strdup ("Connect") : g_strdup_printf ("Connect %s", name));
  }
}

static KsNotice *
say_blocking (const char *told G_GNUC_UNUSED, gboolean was_up, const KsSummary *now)
{
  g_autofree char *names = format_names (now, is_any, " or ");
  gboolean has_lan = g_strcmp0 (now->lan, "off") != 0;
  KsNotice *self = notice_new (
    was_up ? KS_URGENCY_CRITICAL : KS_URGENCY_NORMAL, "network-error", "network.disconnected",
    was_up ? "VPN lost: traffic is blocked" : "VPN down: traffic is blocked",
    g_strdup_printf ("%s can be reached until %s is up.", has_lan ? "Only the local network" : "Nothing", names));

  add_connect (self, now);
  add_action (self, g_strdup (KS_NOTICE_RELEASE), g_strdup ("Release"));
  return self;
}

static KsNotice *
say_protected (const char *told, gboolean was_up, const KsSummary *now)
{
  g_autofree char *names = format_names (now, is_up, " and ");
  gboolean was_blocking = g_strcmp0 (told, "blocking") == 0, is_back = was_blocking && was_up;

  if (!told || strcmp (told, "off") == 0)
    return NULL;
  return notice_new (KS_URGENCY_NORMAL, "network-vpn", "network.connected",
                     is_back        ? "VPN is back"
                     : was_blocking ? "VPN is up"
                                    : "Kill switch is back on",
                     g_strdup_printf ("Traffic goes through %s%s.", names, is_back ? " again" : ""));
}

static KsNotice *
say_incomplete (const char *told G_GNUC_UNUSED, gboolean was_up G_GNUC_UNUSED, const KsSummary *now G_GNUC_UNUSED)
{
  return notice_new (KS_URGENCY_CRITICAL, "dialog-error", "network.error", "Kill switch is incomplete",
                     g_strdup ("The kernel does not hold all of its rules, so traffic may leave outside the VPN. "
                               "To see what is wrong, run: sudo nm-killswitch status"));
}

static KsNotice *
say_held (const char *told G_GNUC_UNUSED, gboolean was_up G_GNUC_UNUSED, const KsSummary *now G_GNUC_UNUSED)
{
  KsNotice *self = notice_new (KS_URGENCY_CRITICAL, "dialog-warning", "network.error", "A profile cannot be read",
                               g_strdup ("It may ask for the kill switch, so what is blocked stays blocked. To see "
                                         "which file it is, run: sudo nm-killswitch status"));

  add_action (self, g_strdup (KS_NOTICE_RELEASE), g_strdup ("Release"));
  return self;
}

static KsNotice *
say_released (const char *told G_GNUC_UNUSED, gboolean was_up G_GNUC_UNUSED, const KsSummary *now G_GNUC_UNUSED)
{
  return notice_new (KS_URGENCY_NORMAL, "dialog-warning", "network", "Kill switch released: nothing is blocked",
                     g_strdup ("To turn it on again, run: sudo nm-killswitch resume"));
}

static KsNotice *
say_off (const char *told, gboolean was_up G_GNUC_UNUSED, const KsSummary *now G_GNUC_UNUSED)
{
  if (!told || strcmp (told, "released") == 0)
    return NULL;
  return notice_new (KS_URGENCY_NORMAL, "dialog-information", "network", "Kill switch off: nothing is blocked",
                     g_strdup ("No VPN asks for it now."));
}

KsNotice *
ks_notice_new (const char *told, gboolean was_up, const KsSummary *now)
{
  static const struct {
    const char *state;
    KsNotice *(*say) (const char *told, gboolean was_up, const KsSummary *now);
  } states[] = {
    { "blocking", say_blocking }, { "protected", say_protected }, { "incomplete", say_incomplete },
    { "held", say_held },         { "released", say_released },   { "off", say_off },
  };

  if (g_strcmp0 (told, now->state) == 0)
    return NULL;
  for (guint i = 0; i < G_N_ELEMENTS (states); i++)
    if (strcmp (now->state, states[i].state) == 0)
      return states[i].say (told, was_up, now);
  return NULL;
}
