/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "report/ks-list-format.h"

#include <string.h>

#include "base/ks-error.h"

/* The width of each cell in columns; the last cell of a line takes what it needs. */
enum {
  PROFILE_COLUMNS = 21,
  TYPE_COLUMNS = 9,
  MODE_COLUMNS = 7,
  ARMED_COLUMNS = 5,
  VPN_COLUMNS = 10,
  SERVER_COLUMNS = 7
};

/* The reason in a few words. */
static const char *
why (const KsListEntry *entry)
{
  static const struct {
    const char *reason, *text;
  } words[] = { { "connection.zone", "zone" },
                { "user.data nm-killswitch.mode", "user data" },
                { "an invalid setting: fail closed", "invalid setting" } };

  if (!entry->reason)
    return "";
  if (!entry->uuid)
    return "section";
  for (guint i = 0; i < G_N_ELEMENTS (words); i++)
    if (strcmp (entry->reason, words[i].reason) == 0)
      return words[i].text;
  return "file unreadable"; /* remembered */
}

static const char *
server_word (KsServerState server)
{
  return server == KS_SERVER_KNOWN ? "known" : server == KS_SERVER_UNKNOWN ? "unknown" : "-";
}

static void
append_entry (GString *out, const KsListEntry *entry)
{
  g_autofree char *vpn = NULL;
  gsize end;

  vpn =
    entry->is_up && entry->device ? g_strdup_printf ("up %s", entry->device) : g_strdup (entry->is_up ? "up" : "down");
  ks_style_append_cell (out, entry->id, PROFILE_COLUMNS);
  ks_style_append_cell (out, entry->type, TYPE_COLUMNS);
  ks_style_append_cell (out, entry->mode == KS_MODE_OFF ? "-" : ks_mode_format (entry->mode), MODE_COLUMNS);
  ks_style_append_cell (out, entry->is_armed ? "yes" : "no", ARMED_COLUMNS);
  ks_style_append_cell (out, vpn, VPN_COLUMNS);
  ks_style_append_cell (out, server_word (entry->server), SERVER_COLUMNS);
  g_string_append (out, why (entry));
  for (end = out->len; end > 0 && out->str[end - 1] == ' '; end--)
    ;
  g_string_truncate (out, end);
  g_string_append_c (out, '\n');
}

char *
ks_list_format (const KsList *self, const KsStyle *style)
{
  g_autoptr (GString) out = g_string_new (NULL);
  g_autoptr (GString) heading = g_string_new (NULL);

  ks_style_append_cell (heading, "PROFILE", PROFILE_COLUMNS);
  ks_style_append_cell (heading, "TYPE", TYPE_COLUMNS);
  ks_style_append_cell (heading, "MODE", MODE_COLUMNS);
  ks_style_append_cell (heading, "ARMED", ARMED_COLUMNS);
  ks_style_append_cell (heading, "VPN", VPN_COLUMNS);
  ks_style_append_cell (heading, "SERVER", SERVER_COLUMNS);
  g_string_append (heading, "WHY");
  if (self->entries->len > 0) {
    ks_style_append (style, out, KS_COLOUR_HEADING, heading->str);
    g_string_append_c (out, '\n');
  } else {
    g_string_append (out, "There are no VPN profiles.\n");
  }
  for (guint i = 0; i < self->entries->len; i++)
    append_entry (out, self->entries->pdata[i]);
  if (!self->networkmanager)
    g_string_append (out, "NetworkManager does not answer: profiles that are not armed are not shown\n");
  if (self->mistakes->len > 0) {
    ks_style_append (style, out, KS_COLOUR_HEADING, "Mistakes?");
    g_string_append_c (out, '\n');
  }
  for (guint i = 0; i < self->mistakes->len; i++)
    g_string_append_printf (out, "  %s\n", (const char *) self->mistakes->pdata[i]);
  return ks_style_wrap (style, out->str);
}

char *
ks_list_format_names (const KsList *self)
{
  GString *out = g_string_new (NULL);

  for (guint i = 0; i < self->entries->len; i++) {
    const KsListEntry *entry = self->entries->pdata[i];
    g_autofree char *printable = ks_error_printable (entry->id);

    if (strcmp (printable, entry->id) == 0)
      g_string_append_printf (out, "%s\n", entry->id);
  }
  return g_string_free (out, FALSE);
}
