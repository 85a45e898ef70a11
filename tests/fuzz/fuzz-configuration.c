/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Input: nm-killswitch.conf. */
#include "fuzz.h"

#include "input/ks-config-read.h"
#include "value/ks-interface.h"
#include "value/ks-profile.h"

/* A section that says nothing of its packets exempts none, and one that is malformed is strict. */
static void
check_section (const KsSection *section)
{
  g_autoptr (KsProfile) profile = ks_profile_new_of_section (section, "config");

  g_assert (g_utf8_validate (section->name, -1, NULL));
  g_assert (!section->interface || ks_interface_name_is_valid (section->interface));
  g_assert (section->exempts_nothing || section->port || section->server_port || section->mark
            || section->servers->len);
  g_assert (!section->is_malformed || !section->is_session);
  g_assert (!section->exempts_nothing || (section->is_malformed && profile->endpoints->len == 0));
}

void
fuzz_configuration (const uint8_t *data, size_t size)
{
  g_autoptr (GPtrArray) errors = g_ptr_array_new_with_free_func ((GDestroyNotify) g_error_free);
  g_autoptr (KsConfig) config = ks_config_read (fuzz_file ("config", data, size), errors);

  fuzz_check_messages (errors);
  g_assert (config->table != config->tunnel_table && config->table != config->uplink_table
            && config->tunnel_table != config->uplink_table);
  g_assert (config->table < 253 || config->table > 255);
  g_assert (config->tunnel_metric < config->blackhole_metric);
  g_assert (config->protocol > 4);
  g_assert (config->priority > 0 && config->priority + KS_PRIORITY_WINDOW <= 32766);
  g_assert (config->lan >= KS_LAN_PRIVATE && config->dns >= KS_DNS_TUNNEL);
  for (guint i = 0; i < config->lan_prefixes->len; i++)
    g_assert (g_array_index (config->lan_prefixes, KsPrefix, i).length > 0);
  for (guint i = 0; i < config->sections->len; i++)
    check_section (config->sections->pdata[i]);
}

KS_FUZZ_ENTRY (fuzz_configuration)
